/* Servers while memory runs out: from start to stop, and each way to fail. */
#include "scarcity.h"

enum { SLOW_INIT = CLEAR + 1 };

static void servers_survive_each_failing_allocation(void **state) {
  (void)state;
  assert_true(survives("spec/alloc/server.lua", LIVE) >
              (VM_SURVIVES ? 300 : 10));
}

static void an_init_that_takes_too_long_is_not_forgotten(void **state) {
  (void)state;
  assert_not_lost("spec/alloc/server.lua", SLOW_INIT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(servers_survive_each_failing_allocation),
      cmocka_unit_test(an_init_that_takes_too_long_is_not_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
