/* Processes while memory runs out: a life of everything that they can do, with
 * each allocation failing in turn. Nothing may crash, leak or stay half-made,
 * and the node must still work.
 */
#include "scarcity.h"

#include "../../csrc/lua/node.h"

#define SCENARIO "spec/alloc/process.lua"

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
  uint64_t n = 1;
  while (leaves_nothing(SCENARIO, LIVE, n))
    n++;
  assert_true(n > (VM_SURVIVES ? 200 : 20)); /* it did what it says */
}

static void a_node_that_cannot_be_made_leaves_nothing(void **state) {
  (void)state;
  uint64_t n = 1;
  while (leaves_nothing(SCENARIO, MAKE, n))
    n++;
  assert_true(n > (VM_SURVIVES ? 10 : 5));
}

static void a_node_that_closes_takes_everything_with_it(void **state) {
  (void)state;
  for (uint64_t n = 1; closes(n); n++)
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
      cmocka_unit_test(a_node_that_closes_takes_everything_with_it),
      cmocka_unit_test(a_lua_state_that_closes_takes_its_nodes_with_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
