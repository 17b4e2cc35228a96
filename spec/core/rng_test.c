#include "support.h"

#include "../../csrc/core/rng.h"

static void it_follows_the_published_generator(void **state) {
  (void)state;
  /* The first numbers of xoshiro256** from the state 1, 2, 3, 4. */
  byn_rng rng = {{1, 2, 3, 4}};
  assert_true(byn_rng_next(&rng) == 11520u);
  assert_true(byn_rng_next(&rng) == 0u);
  assert_true(byn_rng_next(&rng) == 1509978240u);
  assert_true(byn_rng_next(&rng) == 1215971899390074240u);
}

static void a_seed_goes_through_splitmix64(void **state) {
  (void)state;
  byn_rng rng;
  byn_rng_seed(&rng, 1234567);
  assert_true(rng.s[0] == 6457827717110365317u);
  assert_true(rng.s[1] == 3203168211198807973u);
  assert_true(rng.s[2] == 9817491932198370423u);
  assert_true(rng.s[3] == 4593380528125082431u);
}

static void equal_seeds_give_equal_numbers(void **state) {
  (void)state;
  byn_rng a, b, c;
  byn_rng_seed(&a, 7);
  byn_rng_seed(&b, 7);
  byn_rng_seed(&c, 8);
  int same = 0;
  for (int i = 0; i < 1000; i++) {
    uint64_t x = byn_rng_next(&a);
    assert_true(x == byn_rng_next(&b));
    same += x == byn_rng_next(&c);
  }
  assert_int_equal(same, 0);
}

static void below_keeps_its_bound(void **state) {
  (void)state;
  static const uint64_t bounds[] = {1,    2,          3,          10,
                                    1000, UINT32_MAX, 1ull << 63, UINT64_MAX};
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++)
    for (int i = 0; i < 1000; i++)
      assert_true(byn_rng_below(&rng, bounds[b]) < bounds[b]);
  assert_true(byn_rng_below(&rng, 0) == 0);
}

/* A plain remainder of three quarters of the range would fall into the lower
 * third of it half the time. */
static void below_has_no_modulo_bias(void **state) {
  (void)state;
  enum { ROUNDS = 30000 };
  const uint64_t third = 1ull << 62;
  byn_rng rng;
  byn_rng_seed(&rng, 2);
  int counts[3] = {0};
  for (int i = 0; i < ROUNDS; i++)
    counts[byn_rng_below(&rng, 3 * third) / third]++;
  for (int i = 0; i < 3; i++)
    assert_in_range(counts[i], ROUNDS / 3 - 500, ROUNDS / 3 + 500);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_follows_the_published_generator),
      cmocka_unit_test(a_seed_goes_through_splitmix64),
      cmocka_unit_test(equal_seeds_give_equal_numbers),
      cmocka_unit_test(below_keeps_its_bound),
      cmocka_unit_test(below_has_no_modulo_bias),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
