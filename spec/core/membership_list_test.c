#include "membership_rig.h"

static void a_listed_node_is_dialled_until_it_is_not_listed(void **state) {
  byn_membership *m = of(state);
  assert_true(byn_membership_list(m, "b", true, 0));
  assert_true(byn_membership_list(m, "m", true, 0)); /* itself */
  byn_membership_tick(m, 0);
  expect(m, "dial b");
  byn_membership_dialing(m, "b", 1);
  byn_membership_link_down(m, 1, "refused", 0);
  int64_t due = byn_membership_deadline(m);
  assert_true(byn_membership_list(m, "b", true, due - 1)); /* said again */
  assert_int_equal(byn_membership_deadline(m), due);
  byn_membership_tick(m, 100 * FORGET);
  expect(m, "dial b");
  byn_membership_dialing(m, "b", 2);
  byn_membership_link_up(m, "b", 1, 2, 100 * FORGET);
  assert_true(byn_membership_list(m, "b", false, 100 * FORGET));
  assert_true(byn_membership_is_up(m, "b"));
  expect(m, "up b/2 #1");
  byn_membership_link_down(m, 2, "closed", 100 * FORGET);
  expect(m, "down b/2 #1 closed");
  byn_membership_tick(m, 101 * FORGET);
  assert_false(byn_membership_remove(m, "b")); /* it is unknown */
}

static void a_list_and_what_is_configured_are_two_things(void **state) {
  byn_membership *m = of(state);
  add(m, "b", 0);
  assert_true(byn_membership_list(m, "b", true, 0));
  assert_true(byn_membership_list(m, "b", false, 0));
  assert_true(byn_membership_list(m, "unheard of", false, 0));
  byn_membership_tick(m, 100 * FORGET);
  expect(m, "dial b");
  byn_membership_dialing(m, "b", 1);
  assert_true(byn_membership_remove(m, "b"));
  expect(m, "close b/1 disconnected");
  byn_membership_tick(m, 200 * FORGET);
  expect(m, "");
  assert_true(byn_membership_list(m, "b", true, 200 * FORGET));
  byn_membership_tick(m, 200 * FORGET);
  expect(m, "dial b");
}

#define ROOM(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      ROOM(a_listed_node_is_dialled_until_it_is_not_listed),
      ROOM(a_list_and_what_is_configured_are_two_things),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
