/* Runs under lockstep while memory runs out. */
#include "scarcity.h"

#define SCENARIO "spec/alloc/control.lua"

static void lockstep_survives_each_failing_allocation(void **state) {
  (void)state;
  assert_true(survives(SCENARIO, LIVE) > (VM_SURVIVES ? 200 : 20));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lockstep_survives_each_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
