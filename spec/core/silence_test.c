#include "support.h"

#include "../../csrc/core/silence.h"
#include "../../csrc/core/timers.h"

enum { BEAT = 1000, DOWN = 5000 };

static byn_silence of(const int64_t *heard_at, size_t n) {
  byn_silence s = {0};
  for (size_t i = 0; i < n; i++)
    byn_silence_add(&s, heard_at[i]);
  return s;
}

static void one_peer_alone_is_never_all(void **state) {
  (void)state;
  byn_silence none = {0}, one = of((int64_t[]){5000}, 1);
  assert_false(byn_silence_is_common(&none, BEAT, DOWN, 100000));
  assert_false(byn_silence_is_common(&one, BEAT, DOWN, 100000));
}

static void all_within_a_heartbeat_are(void **state) {
  (void)state;
  byn_silence s = of((int64_t[]){5400, 5000, 6000}, 3);
  assert_true(byn_silence_is_common(&s, BEAT, DOWN, 10000));
}

static void one_that_was_heard_later_tells_them_apart(void **state) {
  (void)state;
  byn_silence s = of((int64_t[]){5400, 5000, 6001}, 3);
  assert_false(byn_silence_is_common(&s, BEAT, DOWN, 10000));
  s = of((int64_t[]){5000, 9900}, 2);
  assert_false(byn_silence_is_common(&s, BEAT, DOWN, 10000));
}

static void it_shows_when_the_first_is_noticed(void **state) {
  (void)state;
  byn_silence s = of((int64_t[]){5400, 5000}, 2);
  assert_false(byn_silence_is_common(&s, BEAT, DOWN, 7499));
  assert_true(byn_silence_is_common(&s, BEAT, DOWN, 7500));
}

static void silence_is_not_noticed_within_a_heartbeat(void **state) {
  (void)state;
  assert_int_equal(byn_silence_noticed_ms(1000, 5000), 2500);
  assert_int_equal(byn_silence_noticed_ms(1000, 3000), 1500);
  assert_int_equal(byn_silence_noticed_ms(1000, 2000), 1500);
  assert_int_equal(byn_silence_noticed_ms(1000, 1100), 1050);
  assert_int_equal(byn_silence_noticed_ms(1000, BYN_NEVER), BYN_NEVER);
}

static void times_before_zero_count_too(void **state) {
  (void)state;
  byn_silence s = of((int64_t[]){-300, -900}, 2);
  assert_false(byn_silence_is_common(&s, BEAT, DOWN, 1599));
  assert_true(byn_silence_is_common(&s, BEAT, DOWN, 1600));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_peer_alone_is_never_all),
      cmocka_unit_test(all_within_a_heartbeat_are),
      cmocka_unit_test(one_that_was_heard_later_tells_them_apart),
      cmocka_unit_test(it_shows_when_the_first_is_noticed),
      cmocka_unit_test(silence_is_not_noticed_within_a_heartbeat),
      cmocka_unit_test(times_before_zero_count_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
