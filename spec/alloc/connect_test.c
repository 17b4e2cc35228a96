/* Two nodes that connect while memory runs out. */
#include "scarcity.h"

static void an_attempt_to_connect_answers_whoever_waits_for_it(void **state) {
  (void)state;
  assert_not_lost("spec/alloc/connect.lua", LIVE);
}

static void a_claim_to_a_name_is_decided(void **state) {
  (void)state;
  assert_not_lost("spec/alloc/claim.lua", LIVE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_attempt_to_connect_answers_whoever_waits_for_it),
      cmocka_unit_test(a_claim_to_a_name_is_decided),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
