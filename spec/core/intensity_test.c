#include "support.h"

#include "../../csrc/core/intensity.h"
#include "../../csrc/core/rng.h"

static void one_restart_more_than_the_limit_is_too_many(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_intensity w;
  byn_intensity_init(&w, &alloc, 3, 5000);
  for (int i = 0; i < 3; i++)
    assert_true(byn_intensity_add(&w, 1000 + i));
  assert_false(byn_intensity_add(&w, 1003));
  byn_intensity_clear(&w);
  byn_test_assert_clean(&t);
}

static void a_limit_of_zero_allows_no_restart(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_intensity w;
  byn_intensity_init(&w, &alloc, 0, 5000);
  assert_false(byn_intensity_add(&w, 0));
  assert_int_equal(t.calls, 0);
}

static void a_restart_counts_until_the_period_is_over(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_intensity w;
  byn_intensity_init(&w, &alloc, 1, 5000);
  assert_true(byn_intensity_add(&w, 100));
  assert_false(byn_intensity_add(&w, 5100));
  assert_true(byn_intensity_add(&w, 5101));
  byn_intensity_clear(&w);
}

/* The model keeps every time, as OTP does. */
enum { TIMES = 4000 };

static bool model_add(int64_t *times, uint32_t *n, uint32_t limit,
                      int64_t period, int64_t now) {
  uint32_t in = 0;
  for (uint32_t i = 0; i < *n; i++)
    in += now - times[i] <= period;
  if (in >= limit) return false;
  times[(*n)++] = now;
  return true;
}

static void compare(uint64_t seed) {
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  int64_t times[TIMES], now = 0;
  uint32_t n = 0;
  byn_rng rng;
  byn_intensity w;
  byn_rng_seed(&rng, seed);
  uint32_t limit = (uint32_t)byn_rng_below(&rng, 40);
  int64_t period = (int64_t)byn_rng_below(&rng, 100);
  byn_intensity_init(&w, &alloc, limit, period);
  for (int i = 0; i < TIMES; i++) {
    now += (int64_t)byn_rng_below(&rng, 8);
    bool expected = model_add(times, &n, limit, period, now);
    assert_int_equal(byn_intensity_add(&w, now), expected);
  }
  byn_intensity_clear(&w);
  byn_test_assert_clean(&t);
}

static void it_agrees_with_a_list_of_all_times(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 20; seed++)
    compare(seed);
}

static void many_restarts_take_bounded_memory(void **state) {
  (void)state;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_intensity w;
  byn_intensity_init(&w, &alloc, 4000000000u, 60000);
  for (int64_t now = 0; now < 300000; now++)
    assert_true(byn_intensity_add(&w, now));
  assert_in_range(t.peak_bytes, 1, 2 * BYN_INTENSITY_MOST * 16);
  /* Those of more than a period ago do not count for ever. */
  assert_in_range(w.total, 60000, 60000 + 60000 / 1000);
  byn_intensity_clear(&w);
  byn_test_assert_clean(&t);
}

/* Short of memory it may say "too many" early, never late. */
static void short_of_memory(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_intensity w;
  byn_intensity_init(&w, alloc, 20, 100);
  for (int i = 0; i < 20; i++)
    assert_true(byn_intensity_add(&w, i * 2));
  assert_false(byn_intensity_add(&w, 40));
  assert_true(byn_intensity_add(&w, 1000));
  byn_intensity_clear(&w);
}

static void short_memory_refuses_restarts_early_and_never_late(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(short_of_memory, NULL) >= 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_restart_more_than_the_limit_is_too_many),
      cmocka_unit_test(a_limit_of_zero_allows_no_restart),
      cmocka_unit_test(a_restart_counts_until_the_period_is_over),
      cmocka_unit_test(it_agrees_with_a_list_of_all_times),
      cmocka_unit_test(many_restarts_take_bounded_memory),
      cmocka_unit_test(short_memory_refuses_restarts_early_and_never_late),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
