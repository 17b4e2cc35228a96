/* Processes while memory runs out: a life of everything that they can do. */
#include "scarcity.h"

#define SCENARIO "spec/alloc/process.lua"

enum {
  SEND_AFTER = CLOSE + 1,
  OWN = SEND_AFTER + 3,
  AWAIT = OWN + 3,
  INTERVAL = AWAIT + 3,
  LONG = INTERVAL + 3,
  FULL = LONG + 3,
  DROPS = FULL + 3
};

static int closes(uint64_t n) {
  scarcity s = {.fail_at = n};
  lua_State *L = set_up(&s, SCENARIO);
  play(L, CROWD, n);
  play_in_need(L, &s, CLOSE);
  lua_close(L);
  byn_test_assert_clean(&s.alloc);
  return s.failed;
}

static void processes_survive_each_failing_allocation(void **state) {
  (void)state;
  /* The scenario did what it says. */
  assert_true(survives(SCENARIO, LIVE) > (VM_SURVIVES ? 200 : 10));
}

static void a_node_that_cannot_be_made_leaves_nothing(void **state) {
  (void)state;
  assert_true(survives(SCENARIO, MAKE) > (VM_SURVIVES ? 10 : 5));
}

static void a_message_for_later_is_not_lost(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, SEND_AFTER);
}

static void what_a_process_owns_is_released(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, OWN);
}

static void an_await_is_answered(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, AWAIT);
}

static void an_interval_goes_on(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, INTERVAL);
}

static void a_long_mailbox_is_told_of(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, LONG);
}

static void a_full_mailbox_is_told_of(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, FULL);
}

static void dropped_messages_are_told_of(void **state) {
  (void)state;
  assert_not_lost(SCENARIO, DROPS);
}

static void a_node_that_closes_takes_everything_with_it(void **state) {
  (void)state;
  for (uint64_t n = 1; closes(n); n += scarcity_step())
    continue;
}

static void a_lua_state_that_closes_takes_its_nodes_with_it(void **state) {
  (void)state;
  scarcity s = {.fail_at = 0};
  lua_State *L = set_up(&s, SCENARIO);
  play(L, CROWD, 0);
  lua_close(L);
  byn_test_assert_clean(&s.alloc);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(processes_survive_each_failing_allocation),
      cmocka_unit_test(a_node_that_cannot_be_made_leaves_nothing),
      cmocka_unit_test(a_message_for_later_is_not_lost),
      cmocka_unit_test(what_a_process_owns_is_released),
      cmocka_unit_test(an_await_is_answered),
      cmocka_unit_test(an_interval_goes_on),
      cmocka_unit_test(a_long_mailbox_is_told_of),
      cmocka_unit_test(a_full_mailbox_is_told_of),
      cmocka_unit_test(dropped_messages_are_told_of),
      cmocka_unit_test(a_node_that_closes_takes_everything_with_it),
      cmocka_unit_test(a_lua_state_that_closes_takes_its_nodes_with_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
