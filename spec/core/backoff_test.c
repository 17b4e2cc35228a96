#include "support.h"

#include "../../csrc/core/backoff.h"

static byn_backoff made(double jitter) {
  return (byn_backoff){
      .min = 10, .max = 100, .reset_after = 500, .factor = 2, .jitter = jitter};
}

static void waits_grow_up_to_the_maximum(void **state) {
  (void)state;
  static const int64_t waits[] = {10, 20, 40, 80, 100, 100};
  byn_backoff b = made(0);
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  for (int i = 0; i < 6; i++)
    assert_int_equal(byn_backoff_next(&b, 0, false, &rng), waits[i]);
}

static void a_child_that_ran_well_starts_over_at_the_minimum(void **state) {
  (void)state;
  byn_backoff b = made(0);
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  byn_backoff_next(&b, 0, true, &rng);
  byn_backoff_started(&b, 1000);
  assert_int_equal(byn_backoff_next(&b, 1499, true, &rng), 20);
  byn_backoff_started(&b, 2000);
  assert_int_equal(byn_backoff_next(&b, 9000, false, &rng), 40);
  assert_int_equal(byn_backoff_next(&b, 2500, true, &rng), 10);
}

static void jitter_shortens_a_wait_by_at_most_its_part(void **state) {
  (void)state;
  byn_rng rng;
  int64_t least = 100, most = 0;
  byn_rng_seed(&rng, 1);
  for (int i = 0; i < 5000; i++) {
    byn_backoff b = made(0.5);
    b.wait = 100;
    int64_t wait = byn_backoff_next(&b, 0, false, &rng);
    if (wait < least) least = wait;
    if (wait > most) most = wait;
  }
  assert_in_range(least, 50, 52);
  assert_in_range(most, 98, 100);
}

static void a_huge_factor_does_not_overflow(void **state) {
  (void)state;
  byn_backoff b = made(0);
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  b.factor = 1e300;
  byn_backoff_next(&b, 0, false, &rng);
  assert_int_equal(byn_backoff_next(&b, 0, false, &rng), 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waits_grow_up_to_the_maximum),
      cmocka_unit_test(a_child_that_ran_well_starts_over_at_the_minimum),
      cmocka_unit_test(jitter_shortens_a_wait_by_at_most_its_part),
      cmocka_unit_test(a_huge_factor_does_not_overflow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
