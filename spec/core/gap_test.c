#include "support.h"

#include "../../csrc/core/gap.h"
#include "../../csrc/core/timers.h"

enum { LIMIT = 1000 };

/* A node whose step at `now` took no time and that asked for the next one at
 * `due`. */
static byn_gap asked(int64_t now, int64_t due) {
  byn_gap g;
  byn_gap_init(&g, LIMIT);
  assert_int_equal(byn_gap_step(&g, now), 0);
  assert_int_equal(byn_gap_rest(&g, now), 0);
  byn_gap_ask(&g, now, due);
  return g;
}

static void a_step_in_time_is_no_gap(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  assert_int_equal(byn_gap_step(&g, 60), 0);
  byn_gap_rest(&g, 60);
  byn_gap_ask(&g, 60, 100);
  assert_int_equal(byn_gap_step(&g, 100 + LIMIT), 0);
  assert_int_equal(g.count, 0);
}

static void a_step_before_its_time_is_no_gap(void **state) {
  (void)state;
  byn_gap g = asked(10, 5000);
  assert_int_equal(byn_gap_step(&g, 4000), 0);
  byn_gap_rest(&g, 4000);
  byn_gap_ask(&g, 4000, 5000);
  assert_int_equal(byn_gap_step(&g, 5001 + LIMIT), LIMIT + 1);
}

static void a_late_step_is_one(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  assert_int_equal(byn_gap_step(&g, 12060), 12000);
  assert_int_equal(g.count, 1);
  assert_int_equal(g.ms, 12000);
}

static void a_time_that_has_passed_is_asked_for_now(void **state) {
  (void)state;
  byn_gap g = asked(5000, 0);
  assert_int_equal(byn_gap_step(&g, 5000 + LIMIT), 0);
}

static void who_waits_for_input_alone_is_never_late(void **state) {
  (void)state;
  byn_gap g = asked(10, BYN_NEVER);
  byn_gap_told(&g, 1000000);
  assert_int_equal(byn_gap_step(&g, 1000000), 0);
}

static void the_first_step_is_never_late(void **state) {
  (void)state;
  byn_gap g;
  byn_gap_init(&g, LIMIT);
  byn_gap_told(&g, 1000000);
  assert_int_equal(byn_gap_step(&g, 1000000), 0);
}

static void a_long_step_is_a_gap(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  byn_gap_step(&g, 60);
  assert_int_equal(byn_gap_rest(&g, 6060), 6000);
  byn_gap_ask(&g, 6060, 6060);
  assert_int_equal(byn_gap_step(&g, 6061), 0);
  assert_int_equal(g.count, 1);
}

/* Many processes each take a little: the step was long all the same. */
static void a_long_step_of_short_turns_is_a_gap(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  byn_gap_step(&g, 60);
  for (int64_t now = 60; now < 3000; now += 10)
    byn_gap_told(&g, now);
  assert_int_equal(byn_gap_rest(&g, 3060), 3000);
}

/* Within a step what acts on the time sees the gap at once. */
static void it_shows_before_it_is_over(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  byn_gap_step(&g, 60);
  byn_gap_told(&g, 60 + LIMIT);
  assert_int_equal(g.count, 0);
  byn_gap_told(&g, 6060);
  assert_int_equal(g.count, 1);
  assert_int_equal(g.ms, 6000);
  byn_gap_told(&g, 6070);
  assert_int_equal(g.count, 1);
  assert_int_equal(g.ms, 6010);
  assert_int_equal(byn_gap_rest(&g, 6080), 6020);
  assert_int_equal(g.total_ms, 6020);
}

/* Input may come before the step: the driver reads first. */
static void it_is_told_once_where_input_comes_before_the_step(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  byn_gap_told(&g, 12060);
  byn_gap_told(&g, 12061);
  assert_int_equal(byn_gap_step(&g, 12062), 12002);
  assert_int_equal(byn_gap_rest(&g, 12063), 0);
  assert_int_equal(g.count, 1);
}

static void each_gap_counts(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  assert_int_equal(byn_gap_step(&g, 2060), 2000);
  assert_int_equal(byn_gap_rest(&g, 5060), 3000);
  byn_gap_ask(&g, 5060, 6000);
  assert_int_equal(byn_gap_step(&g, 10000), 4000);
  assert_int_equal(g.count, 3);
  assert_int_equal(g.ms, 4000);
  assert_int_equal(g.total_ms, 9000);
}

static void time_that_went_back_changes_nothing(void **state) {
  (void)state;
  byn_gap g = asked(10, 60);
  byn_gap_told(&g, 12060);
  byn_gap_told(&g, 70);
  assert_int_equal(g.ms, 12000);
  assert_int_equal(byn_gap_step(&g, 12060), 12000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_in_time_is_no_gap),
      cmocka_unit_test(a_step_before_its_time_is_no_gap),
      cmocka_unit_test(a_late_step_is_one),
      cmocka_unit_test(a_time_that_has_passed_is_asked_for_now),
      cmocka_unit_test(who_waits_for_input_alone_is_never_late),
      cmocka_unit_test(the_first_step_is_never_late),
      cmocka_unit_test(a_long_step_is_a_gap),
      cmocka_unit_test(a_long_step_of_short_turns_is_a_gap),
      cmocka_unit_test(it_shows_before_it_is_over),
      cmocka_unit_test(it_is_told_once_where_input_comes_before_the_step),
      cmocka_unit_test(each_gap_counts),
      cmocka_unit_test(time_that_went_back_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
