/* Two nodes and what goes between them while memory runs out. */
#include "scarcity.h"

static void two_nodes_survive_each_failing_allocation(void **state) {
  (void)state;
  assert_true(survives("spec/alloc/remote.lua", LIVE) >
              (VM_SURVIVES ? 300 : 10));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(two_nodes_survive_each_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
