#include "membership_rig.h"

/* "b" is up as life 5 over link 1. */
static void bring_b_up(byn_membership *m) {
  bring_up(m, "b", 5, 1, 0);
}

/* Life `incarnation` claims "b" over a link, and the question is taken. */
static void claim_b(byn_membership *m, uint64_t incarnation, uint32_t link,
                    uint64_t number, int64_t now) {
  char wanted[64];
  assert_string_equal(admit(m, "b", incarnation, link, now), "held");
  snprintf(wanted, sizeof wanted,
           "ask b/1 %" PRIu64 " for %" PRIu32 " #%" PRIu64, number, link,
           incarnation);
  expect(m, wanted);
}

/* Ticks whenever that is due. */
static void pass(byn_membership *m, int64_t from, int64_t to) {
  for (int64_t now = from; now <= to; now = byn_membership_deadline(m)) {
    byn_membership_tick(m, now);
    if (byn_membership_deadline(m) == BYN_NEVER) return;
  }
}

/* -- what becomes of a claim -------------------------------------------- */

static void a_name_whose_node_answers_is_taken(void **state) {
  static const uint64_t claimants[] = {6, 4}; /* whichever is greater */
  byn_membership *m = of(state);
  bring_b_up(m);
  for (uint32_t i = 0; i < 2; i++) {
    claim_b(m, claimants[i], 10 + i, i + 1, 0);
    byn_membership_answered(m, 1, i + 1);
    expect(m, i ? "refuse b/11 name_taken #5" : "refuse b/10 name_taken #5");
    assert_true(byn_membership_is_up(m, "b"));
    assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
    byn_membership_link_down(m, 10 + i, "closed", 0); /* it is nobody's */
    expect(m, "");
  }
}

static void a_name_whose_node_is_silent_goes_to_the_claimant(void **state) {
  static const uint64_t claimants[] = {6, 4};
  byn_membership *m = of(state);
  for (uint32_t i = 0; i < 2; i++) {
    int64_t now = 10000 * i;
    bring_up(m, "b", 5, 1, now);
    claim_b(m, claimants[i], 2, i + 1, now);
    pass(m, now, now + ANSWER - 1);
    expect(m, "");
    assert_int_equal(byn_membership_deadline(m), now + ANSWER);
    byn_membership_tick(m, now + ANSWER);
    assert_false(byn_membership_is_up(m, "b"));
    expect(m, "close b/1 restarted, down b/1 #5 restarted, admit b/2");
    byn_membership_link_down(m, 1, "restarted", now + ANSWER);
    byn_membership_link_up(m, "b", claimants[i], 2, now + ANSWER);
    expect(m, i ? "up b/2 #4" : "up b/2 #6");
    byn_membership_answered(m, 2, i + 1); /* too late, and from the other */
    expect(m, "");
    byn_membership_link_down(m, 2, "closed", now + ANSWER);
    byn_member_action a;
    while (byn_membership_next(m, &a))
      continue;
  }
}

static void a_node_whose_link_is_down_is_replaced_at_once(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  byn_membership_link_down(m, 1, "econnrefused", 1);
  expect(m, "down b/1 #5 econnrefused, admit b/2");
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
  byn_membership_link_up(m, "b", 6, 2, 1);
  expect(m, "up b/2 #6");
}

static void an_answer_to_an_older_question_is_none(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  byn_membership_link_down(m, 2, "closed", 10);
  expect(m, "");
  claim_b(m, 7, 3, 2, 20);
  byn_membership_answered(m, 1, 1);
  expect(m, "");
  byn_membership_answered(m, 99, 2); /* on a link that nobody has */
  expect(m, "");
  byn_membership_answered(m, 1, 2);
  expect(m, "refuse b/3 name_taken #5");
}

static void a_claimant_that_goes_away_leaves_nothing_behind(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  for (uint32_t i = 1; i <= 2 * 32; i++) { /* more than can be held */
    claim_b(m, 6, 1 + i, i, 0);
    byn_membership_link_down(m, 1 + i, "closed", 0);
    assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
  }
  byn_membership_tick(m, 1000000);
  expect(m, "");
  assert_true(byn_membership_is_up(m, "b"));
}

static void a_claimant_that_goes_once_it_is_granted_frees_the_name(void **s) {
  byn_membership *m = of(s);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  byn_membership_link_down(m, 1, "closed", 1);
  byn_membership_link_down(m, 2, "closed", 1);
  expect(m, "down b/1 #5 closed"); /* and no ADMIT */
  assert_null(admit(m, "b", 7, 3, 2));
}

/* -- several claimants -------------------------------------------------- */

static void all_claimants_of_a_name_that_is_taken_are_refused(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  claim_b(m, 7, 3, 2, 0);
  byn_membership_answered(m, 1, 2);
  expect(m, "refuse b/2 name_taken #5, refuse b/3 name_taken #5");
}

static void of_two_claimants_the_first_is_let_in(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 7, 2, 1, 0);
  claim_b(m, 6, 3, 2, 0);
  byn_membership_answered(m, 1, 0);
  byn_membership_link_down(m, 1, "closed", 1);
  expect(m, "down b/1 #5 closed, admit b/2, refuse b/3 simultaneous #7");
  byn_membership_link_up(m, "b", 7, 2, 1);
  expect(m, "up b/2 #7");
  /* The other one comes again, against the one that is there now. */
  assert_string_equal(admit(m, "b", 6, 4, 2), "held");
  expect(m, "ask b/2 3 for 4 #6");
  byn_membership_answered(m, 2, 3);
  expect(m, "refuse b/4 name_taken #7");
}

static void one_answered_one_not_when_the_node_goes(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  claim_b(m, 7, 3, 2, 0);
  byn_membership_answered(m, 1, 1);
  byn_membership_link_down(m, 1, "closed", 1);
  expect(m, "down b/1 #5 closed, refuse b/2 name_taken #7, admit b/3");
}

/* Its first connection may be dead: the question stays, and its time. */
static void a_claimant_that_dials_again_goes_on_waiting(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  pass(m, 0, ANSWER / 2);
  assert_string_equal(admit(m, "b", 6, 3, ANSWER / 2), "held");
  expect(m, "refuse b/2 simultaneous #5");
  pass(m, ANSWER / 2, ANSWER);
  expect(m, "close b/1 restarted, down b/1 #5 restarted, admit b/3");
}

static void the_life_that_is_up_is_connected_already(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  assert_string_equal(admit(m, "b", 5, 3, 0), "already_connected");
  byn_membership_answered(m, 1, 1);
  expect(m, "refuse b/2 name_taken #5");
}

/* Its last life is replaced; then its link breaks, and it claims anew. */
static void a_node_that_was_asked_may_claim_its_name_itself(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  pass(m, 0, ANSWER);
  expect(m, "close b/1 restarted, down b/1 #5 restarted, admit b/2");
  byn_membership_link_up(m, "b", 6, 2, ANSWER);
  expect(m, "up b/2 #6");
  assert_string_equal(admit(m, "b", 5, 3, ANSWER), "held");
  expect(m, "ask b/2 2 for 3 #5");
  byn_membership_answered(m, 2, 2);
  expect(m, "refuse b/3 name_taken #6");
}

static void a_link_that_is_not_up_yet_may_be_claimed(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "b", 5, 1, 0));
  claim_b(m, 6, 2, 1, 0);
  byn_membership_link_down(m, 1, "closed", 0);
  expect(m, "admit b/2");
  byn_membership_link_up(m, "b", 6, 2, 0);
  expect(m, "up b/2 #6");
}

static void claims_of_a_removed_node_may_try_again(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  assert_true(byn_membership_remove(m, "b"));
  expect(m, "close b/1 disconnected, down b/1 #5 disconnected, "
            "refuse b/2 simultaneous #5");
  assert_null(admit(m, "b", 6, 3, 1));
}

static void only_so_many_claims_are_held(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  for (uint32_t i = 1; i <= 32; i++)
    claim_b(m, 5 + i, 1 + i, i, 0);
  assert_string_equal(admit(m, "b", 99, 99, 0), "simultaneous");
  byn_membership_link_down(m, 2, "closed", 0);
  assert_string_equal(admit(m, "b", 99, 99, 0), "held");
}

static void the_name_of_a_hidden_node_is_asked_for_as_any(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "b", 5, 1, 0));
  byn_membership_hide(m, "b", 1);
  byn_membership_link_up(m, "b", 5, 1, 0);
  expect(m, "up b/1 #5");
  claim_b(m, 6, 2, 1, 0);
  byn_membership_answered(m, 1, 1);
  expect(m, "refuse b/2 name_taken #5");
  claim_b(m, 7, 3, 2, 0);
  pass(m, 0, ANSWER);
  expect(m, "close b/1 restarted, down b/1 #5 restarted, admit b/3");
  byn_membership_link_up(m, "b", 7, 3, ANSWER);
  assert_int_equal(byn_membership_up_count(m), 1);
}

/* -- time --------------------------------------------------------------- */

/* It was stopped itself: the answer may be waiting to be read. */
static void a_node_that_was_held_up_goes_on_waiting(void **state) {
  byn_membership *m = of(state);
  bring_b_up(m);
  claim_b(m, 6, 2, 1, 0);
  byn_membership_tick(m, 1000000);
  expect(m, "");
  assert_true(byn_membership_deadline(m) > 1000000);
  pass(m, 1000000, 1000000 + ANSWER / 2);
  expect(m, "");
  byn_membership_answered(m, 1, 1);
  expect(m, "refuse b/2 name_taken #5");
}

static void a_node_that_cannot_be_asked_has_twice_the_time(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "b", 5, 1, 0));
  byn_membership_mute(m, "b", 1);
  byn_membership_link_up(m, "b", 5, 1, 0);
  expect(m, "up b/1 #5");
  claim_b(m, 6, 2, 1, 0);
  pass(m, 0, 2 * ANSWER - 1);
  expect(m, "");
  pass(m, 2 * ANSWER, 2 * ANSWER);
  expect(m, "close b/1 restarted, down b/1 #5 restarted, admit b/2");
  byn_membership_link_up(m, "b", 6, 2, 2 * ANSWER); /* this one can be asked */
  expect(m, "up b/2 #6");
  assert_string_equal(admit(m, "b", 7, 3, 10000), "held");
  pass(m, 10000, 10000 + ANSWER);
  expect(m, "close b/2 restarted, down b/2 #6 restarted, admit b/3");
}

/* -- this node's own name ----------------------------------------------- */

static void a_newcomer_gives_its_name_up(void **state) {
  static const uint64_t holders[] = {OWN - 1, OWN + 1}; /* whichever is older */
  for (uint32_t i = 0; i < 2; i++) {
    byn_membership *m = of(state);
    dial(m, "b", 1, 0);
    byn_membership_name_taken(m, holders[i]);
    byn_membership_link_down(m, 1, "name_taken", 1);
    assert_true(byn_membership_has_lost_name(m));
    expect(m, "lost m");
    expect(m, "");
    byn_membership_tick(m, 1000000); /* and dials nobody */
    expect(m, "");
    tear_down(state);
    set_up(state);
  }
}

static void of_two_members_the_later_life_gives_the_name_up(void **state) {
  byn_membership *m = of(state);
  bring_up(m, "x", 1, 9, 0);
  dial(m, "b", 1, 0);
  byn_membership_name_taken(m, OWN + 1);
  byn_membership_link_down(m, 1, "name_taken", 1);
  expect(m, "");
  assert_false(byn_membership_has_lost_name(m));
  dial(m, "b", 2, 10000);
  byn_membership_name_taken(m, OWN - 1);
  assert_true(byn_membership_has_lost_name(m));
  byn_membership_link_down(m, 2, "name_taken", 10000);
  expect(m, "lost m");
}

/* It was stopped, and all have let another life in. */
static void one_that_has_no_member_left_gives_the_name_up(void **state) {
  byn_membership *m = of(state);
  bring_up(m, "x", 1, 9, 0);
  byn_membership_link_down(m, 9, "restarted", 1);
  expect(m, "down x/9 #1 restarted");
  dial(m, "x", 10, 2000);
  byn_membership_name_taken(m, OWN + 1);
  byn_membership_link_down(m, 10, "name_taken", 2000);
  expect(m, "lost m");
}

static void it_awaits_the_dials_that_are_under_way(void **state) {
  byn_membership *m = of(state);
  dial(m, "a", 1, 0);
  dial(m, "b", 2, 0);
  byn_membership_name_taken(m, OWN + 1);
  byn_membership_link_down(m, 1, "name_taken", 0);
  byn_membership_link_up(m, "b", 1, 2, 0);
  byn_membership_link_down(m, 2, "closed", 0);
  expect(m, "up b/2 #1, down b/2 #1 closed");
  assert_false(byn_membership_has_lost_name(m)); /* somebody had it */
  byn_membership_tick(m, 10000);
  expect(m, "dial a, dial b");
  byn_membership_dialing(m, "a", 11);
  byn_membership_dialing(m, "b", 12);
  byn_membership_name_taken(m, OWN + 1);
  byn_membership_link_down(m, 11, "name_taken", 10000);
  assert_null(admit(m, "b", 1, 13, 10000)); /* instead of the dial */
  expect(m, "close b/12 simultaneous");
  byn_membership_link_down(m, 13, "closed", 10000);
  expect(m, "lost m");
}

static void removing_the_last_awaited_one_decides(void **state) {
  byn_membership *m = of(state);
  dial(m, "a", 1, 0);
  dial(m, "b", 2, 0);
  byn_membership_name_taken(m, OWN + 1);
  byn_membership_link_down(m, 1, "name_taken", 0);
  byn_membership_remove(m, "b");
  expect(m, "close b/2 disconnected, lost m");
}

static void a_claimant_that_has_members_and_is_older_gets_the_name(void **s) {
  byn_membership *m = of(s);
  bring_up(m, "x", 1, 9, 0);
  assert_true(byn_membership_claimed(m, OWN + 1, true));
  assert_true(byn_membership_claimed(m, OWN + 1, false));
  assert_true(byn_membership_claimed(m, OWN - 1, false));
  assert_false(byn_membership_has_lost_name(m));
  assert_false(byn_membership_claimed(m, OWN - 1, true));
  assert_false(byn_membership_claimed(m, OWN + 1, false)); /* no more */
  expect(m, "lost m");
}

static void a_member_that_hides_is_none(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "x", 1, 9, 0));
  byn_membership_hide(m, "x", 9);
  byn_membership_link_up(m, "x", 1, 9, 0);
  expect(m, "up x/9 #1");
  dial(m, "b", 1, 0);
  byn_membership_name_taken(m, OWN + 1);
  byn_membership_link_down(m, 1, "name_taken", 0);
  expect(m, "lost m");
}

/* -- memory ------------------------------------------------------------- */

static void no_memory_refuses_a_claim(void **state) {
  fixture *f = *state;
  uint32_t held = 0;
  bring_b_up(f->m);
  byn_test_fail_from(&f->memory, 1);
  const char *no = "held";
  while (!strcmp(no, "held") && held < 32)
    no = admit(f->m, "b", 6 + held, 2 + held, 0), held++;
  assert_string_equal(no, "out_of_memory");
  byn_membership_link_down(f->m, 1, "closed", 1);
  byn_membership_link_up(f->m, "b", 6, 2, 1); /* what was promised is kept */
  assert_true(byn_membership_is_up(f->m, "b"));
}

/* Names are claimed, and some holders go, answer, or say nothing. */
static void claim_and_decide(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_membership *m = new_membership(alloc, "m", OWN, 42);
  byn_member_action a;
  if (!m) return;
  for (uint32_t i = 0; i < 20; i++) {
    char name[2] = {(char)('a' + i % 4), '\0'};
    if (!admit(m, name, i, 10 * i + 1, 10 * i))
      byn_membership_link_up(m, name, i, 10 * i + 1, 10 * i);
    admit(m, name, i + 1, 10 * i + 2, 10 * i);
    admit(m, name, i + 2, 10 * i + 3, 10 * i);
    if (i % 3 == 0) byn_membership_answered(m, 10 * i + 1, i);
    if (i % 3 == 1) byn_membership_link_down(m, 10 * i + 1, "closed", 10 * i);
    byn_membership_tick(m, 10 * i);
    while (i % 2 && byn_membership_next(m, &a))
      if (a.kind == BYN_MEMBER_ADMIT && i % 5 < 4)
        byn_membership_link_up(m, a.name, i + 1, a.link, 10 * i);
  }
  byn_membership_free(m);
}

static void each_allocation_may_fail(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(claim_and_decide, NULL) > 5);
}

#define ROOM(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      ROOM(a_name_whose_node_answers_is_taken),
      ROOM(a_name_whose_node_is_silent_goes_to_the_claimant),
      ROOM(a_node_whose_link_is_down_is_replaced_at_once),
      ROOM(an_answer_to_an_older_question_is_none),
      ROOM(a_claimant_that_goes_away_leaves_nothing_behind),
      ROOM(a_claimant_that_goes_once_it_is_granted_frees_the_name),
      ROOM(all_claimants_of_a_name_that_is_taken_are_refused),
      ROOM(of_two_claimants_the_first_is_let_in),
      ROOM(one_answered_one_not_when_the_node_goes),
      ROOM(a_claimant_that_dials_again_goes_on_waiting),
      ROOM(the_life_that_is_up_is_connected_already),
      ROOM(a_node_that_was_asked_may_claim_its_name_itself),
      ROOM(a_link_that_is_not_up_yet_may_be_claimed),
      ROOM(claims_of_a_removed_node_may_try_again),
      ROOM(only_so_many_claims_are_held),
      ROOM(the_name_of_a_hidden_node_is_asked_for_as_any),
      ROOM(a_node_that_was_held_up_goes_on_waiting),
      ROOM(a_node_that_cannot_be_asked_has_twice_the_time),
      ROOM(a_newcomer_gives_its_name_up),
      ROOM(of_two_members_the_later_life_gives_the_name_up),
      ROOM(one_that_has_no_member_left_gives_the_name_up),
      ROOM(it_awaits_the_dials_that_are_under_way),
      ROOM(removing_the_last_awaited_one_decides),
      ROOM(a_claimant_that_has_members_and_is_older_gets_the_name),
      ROOM(a_member_that_hides_is_none),
      ROOM(no_memory_refuses_a_claim),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
