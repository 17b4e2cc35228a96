/* Supervisors while memory runs out, each allocation of a life failing in
 * turn: no process that one started may outlive it, nothing may leak, and
 * the node must still work.
 */
#include "scarcity.h"

#include "../../csrc/lua/process/node.h"

#define SCENARIO "spec/alloc/supervisor.lua"

static void supervisors_survive_each_failing_allocation(void **state) {
  (void)state;
  uint64_t n = 1;
  while (leaves_nothing(SCENARIO, LIVE, n))
    n++;
  assert_true(n > (VM_SURVIVES ? 200 : 20)); /* it did what it says */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(supervisors_survive_each_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
