/* Supervisors while memory runs out, each allocation of a life failing in
 * turn: no process that one started may outlive it, nothing may leak, and
 * the node must still work.
 */
#include "scarcity.h"

#include "../../csrc/lua/process/node.h"

#define SCENARIO "spec/alloc/supervisor.lua"

static void supervisors_survive_each_failing_allocation(void **state) {
  (void)state;
  /* The scenario did what it says. */
  assert_true(survives(SCENARIO, LIVE) > (VM_SURVIVES ? 200 : 20));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(supervisors_survive_each_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
