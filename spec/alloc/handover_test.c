/* States that go from one server to another while memory runs out: a server
 * that was given one has it or does not start, and hands over its own. */
#include "scarcity.h"

static void states_survive_each_failing_allocation(void **state) {
  (void)state;
  assert_true(survives("spec/alloc/handover.lua", LIVE) >
              (VM_SURVIVES ? 300 : 10));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(states_survive_each_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
