#include "support.h"

#include <stdio.h>

#include "../../csrc/core/addresses.h"

#define A "a@127.0.0.1:9101"
#define B "b@127.0.0.1:9102"

static byn_test_alloc watched;

static byn_addresses made(void) {
  byn_addresses a;
  watched = (byn_test_alloc){0};
  byn_alloc alloc = byn_test_allocator(&watched);
  byn_addresses_init(&a, &alloc);
  return a;
}

static void ended(byn_addresses *a) {
  byn_addresses_free(a);
  byn_test_assert_clean(&watched);
}

static void assert_is(const byn_addresses *a, const char *name,
                      const char *text) {
  const char *found = byn_addresses_of(a, name);
  if (!text) {
    assert_null(found);
    return;
  }
  assert_non_null(found);
  assert_string_equal(found, text);
}

/* What is dialled next; "": what the name says. */
static void assert_dials(byn_addresses *a, bool resumes, const char *text,
                         bool is_doubted) {
  bool doubted = !is_doubted;
  const char *found = byn_addresses_to_dial(a, A, resumes, &doubted);
  assert_string_equal(found ? found : "", text);
  assert_int_equal(doubted, is_doubted);
}

static void a_node_that_nobody_spoke_of_is_dialled_by_its_name(void **state) {
  (void)state;
  byn_addresses a = made();
  assert_is(&a, A, NULL);
  assert_dials(&a, false, "", false);
  byn_addresses_doubt(&a, A);
  byn_addresses_proven(&a, A);
  byn_addresses_part(&a, A);
  assert_dials(&a, false, "", false);
  ended(&a);
}

static void hearsay_replaces_no_word_of_the_node_itself(void **state) {
  (void)state;
  byn_addresses a = made();
  byn_addresses_tell(&a, A, "unix:/1", BYN_ADDRESS_HEARSAY);
  byn_addresses_tell(&a, A, "unix:/2", BYN_ADDRESS_HEARSAY);
  assert_is(&a, A, "unix:/2");
  assert_null(byn_addresses_own(&a, A));
  byn_addresses_tell(&a, A, "unix:/3", BYN_ADDRESS_OWN);
  byn_addresses_tell(&a, A, "unix:/4", BYN_ADDRESS_HEARSAY);
  assert_is(&a, A, "unix:/3");
  assert_string_equal(byn_addresses_own(&a, A), "unix:/3");
  byn_addresses_tell(&a, A, "unix:/5", BYN_ADDRESS_OWN);
  assert_is(&a, A, "unix:/5");
  assert_is(&a, B, NULL);
  ended(&a);
}

static void the_next_life_may_have_another(void **state) {
  (void)state;
  byn_addresses a = made();
  byn_addresses_tell(&a, A, "unix:/1", BYN_ADDRESS_OWN);
  byn_addresses_part(&a, A);
  assert_is(&a, A, "unix:/1");
  assert_null(byn_addresses_own(&a, A));
  byn_addresses_tell(&a, A, "unix:/2", BYN_ADDRESS_HEARSAY);
  assert_is(&a, A, "unix:/2");
  byn_addresses_tell(&a, A, "", BYN_ADDRESS_OWN);
  assert_is(&a, A, NULL);
  ended(&a);
}

/* A refusal there ends the session: it must not be one of a place that a third
 * node has named. */
static void hearsay_resumes_nothing(void **state) {
  (void)state;
  byn_addresses a = made();
  byn_addresses_tell(&a, A, "tcp://h:1", BYN_ADDRESS_HEARSAY);
  assert_dials(&a, true, "", false);
  assert_dials(&a, false, "tcp://h:1", false);
  byn_addresses_tell(&a, A, "tcp://h:1", BYN_ADDRESS_OWN);
  assert_dials(&a, true, "tcp://h:1", false);
  byn_addresses_part(&a, A);
  assert_dials(&a, true, "", false);
  ended(&a);
}

static void doubt_is_for_the_next_attempt_alone(void **state) {
  (void)state;
  byn_addresses a = made();
  byn_addresses_tell(&a, A, "unix:/1", BYN_ADDRESS_OWN);
  byn_addresses_doubt(&a, A);
  assert_dials(&a, true, "unix:/1", true);
  assert_dials(&a, true, "unix:/1", false);
  byn_addresses_doubt(&a, A);
  byn_addresses_proven(&a, A);
  assert_dials(&a, true, "unix:/1", false);
  ended(&a);
}

static void fill(byn_addresses *a, byn_address_word word) {
  char name[BYN_ADDRESS_TEXT_MAX];
  for (int i = 0; i < BYN_ADDRESSES_MAX; i++) {
    snprintf(name, sizeof name, "n%d@h:1", i);
    byn_addresses_tell(a, name, "unix:/n", word);
  }
  assert_int_equal(a->known.count, BYN_ADDRESSES_MAX);
}

static void the_oldest_hearsay_makes_room(void **state) {
  (void)state;
  byn_addresses a = made();
  fill(&a, BYN_ADDRESS_HEARSAY);
  byn_addresses_tell(&a, "n0@h:1", "unix:/again", BYN_ADDRESS_HEARSAY);
  byn_addresses_tell(&a, A, "unix:/a", BYN_ADDRESS_HEARSAY);
  assert_int_equal(a.known.count, BYN_ADDRESSES_MAX);
  assert_is(&a, A, "unix:/a");
  assert_is(&a, "n0@h:1", "unix:/again");
  assert_is(&a, "n1@h:1", NULL);
  ended(&a);
}

static void what_nodes_said_of_themselves_makes_room_for_nothing(void **state) {
  (void)state;
  byn_addresses a = made();
  fill(&a, BYN_ADDRESS_OWN);
  byn_addresses_tell(&a, A, "unix:/a", BYN_ADDRESS_OWN);
  assert_is(&a, A, NULL);
  assert_is(&a, "n0@h:1", "unix:/n");
  ended(&a);
}

static void a_text_has_a_limit_and_no_control_character(void **state) {
  (void)state;
  char text[BYN_ADDRESS_TEXT_MAX + 1];
  memset(text, 'x', sizeof text);
  assert_true(byn_address_is_valid(text, BYN_ADDRESS_TEXT_MAX));
  assert_false(byn_address_is_valid(text, sizeof text));
  assert_true(byn_address_is_valid("unix:/a tcp://\xc3\xa4:1", 16));
  assert_false(byn_address_is_valid("unix:/a\n", 8));
  assert_false(byn_address_is_valid("unix:\0a", 7));
  assert_false(byn_address_is_valid("\x7f", 1));
  assert_true(byn_address_is_valid("", 0));
}

static void tell_some(const byn_alloc *alloc, void *arg) {
  byn_addresses a;
  (void)arg;
  byn_addresses_init(&a, alloc);
  byn_addresses_tell(&a, A, "unix:/1", BYN_ADDRESS_HEARSAY);
  byn_addresses_tell(&a, B, "unix:/2", BYN_ADDRESS_OWN);
  byn_addresses_tell(&a, A, "unix:/3", BYN_ADDRESS_OWN);
  const char *text = byn_addresses_of(&a, A);
  if (text) assert_string_equal(text, "unix:/3");
  byn_addresses_free(&a);
}

static void without_memory_the_name_is_dialled(void **state) {
  (void)state;
  assert_int_equal(byn_test_each_failure(tell_some, NULL), 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_node_that_nobody_spoke_of_is_dialled_by_its_name),
      cmocka_unit_test(hearsay_replaces_no_word_of_the_node_itself),
      cmocka_unit_test(the_next_life_may_have_another),
      cmocka_unit_test(hearsay_resumes_nothing),
      cmocka_unit_test(doubt_is_for_the_next_attempt_alone),
      cmocka_unit_test(the_oldest_hearsay_makes_room),
      cmocka_unit_test(what_nodes_said_of_themselves_makes_room_for_nothing),
      cmocka_unit_test(a_text_has_a_limit_and_no_control_character),
      cmocka_unit_test(without_memory_the_name_is_dialled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
