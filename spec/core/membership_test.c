#include "membership_rig.h"

/* -- one membership ----------------------------------------------------- */

/* Lets the dial of "b" fail and answers the wait until the next one. */
static int64_t fail_dial(byn_membership *m, uint32_t link, int64_t *now) {
  byn_membership_tick(m, *now);
  expect(m, "dial b");
  byn_membership_dialing(m, "b", link);
  byn_membership_link_down(m, link, "refused", *now);
  int64_t wait = byn_membership_deadline(m) - *now;
  byn_membership_tick(m, *now + wait - 1);
  expect(m, "");
  *now += wait;
  return wait;
}

static void an_added_node_is_dialled_at_once_and_comes_up(void **state) {
  byn_membership *m = of(state);
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
  add(m, "b", 10);
  byn_membership_link_down(m, 0, "closed", 5); /* no link has number 0 */
  assert_int_equal(byn_membership_deadline(m), 10);
  byn_membership_tick(m, 9);
  expect(m, "");
  byn_membership_tick(m, 10);
  expect(m, "dial b");
  byn_membership_dialing(m, "b", 1);
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
  assert_false(byn_membership_is_up(m, "b"));
  byn_membership_link_up(m, "b", 7, 1, 20);
  assert_true(byn_membership_is_up(m, "b"));
  expect(m, "up b/1 #7");
  byn_membership_link_down(m, 1, "timeout", 30);
  assert_false(byn_membership_is_up(m, "b"));
  expect(m, "down b/1 #7 timeout");
}

static void its_own_name_is_neither_dialled_nor_admitted(void **state) {
  byn_membership *m = of(state);
  add(m, "m", 0);
  byn_membership_tick(m, 1000000);
  expect(m, "");
  assert_string_equal(admit(m, "m", 1, 1, 0), "own_name");
  assert_int_equal(byn_membership_up_count(m), 0);
}

static void of_two_dials_the_smaller_name_keeps_its_own(void **state) {
  byn_membership *m = of(state);
  dial(m, "x", 1, 0);
  assert_string_equal(admit(m, "x", 5, 2, 1), "simultaneous");
  byn_membership_link_down(m, 2, "simultaneous", 1);
  expect(m, "");
  byn_membership_link_up(m, "x", 5, 1, 2);
  expect(m, "up x/1 #5");
  assert_string_equal(admit(m, "x", 5, 3, 3), "already_connected");
  expect(m, "");
}

static void a_dial_without_its_proof_yields_whatever_its_name(void **state) {
  byn_membership *m = of(state);
  dial(m, "x", 1, 0);
  assert_null(admit_crossing(m, "x", 5, 2, false, 1));
  expect(m, "close x/1 simultaneous");
  byn_membership_link_up(m, "x", 5, 2, 2);
  expect(m, "up x/2 #5");
}

static void of_two_dials_the_greater_name_gives_its_own_up(void **state) {
  byn_membership *m = of(state);
  dial(m, "b", 1, 0);
  assert_null(admit(m, "b", 5, 2, 1));
  expect(m, "close b/1 simultaneous");
  byn_membership_link_up(m, "b", 5, 2, 2);
  expect(m, "up b/2 #5");
}

static void what_a_closed_dial_still_reports_is_ignored(void **state) {
  byn_membership *m = of(state);
  dial(m, "b", 1, 0);
  assert_null(admit(m, "b", 5, 2, 1));
  expect(m, "close b/1 simultaneous");
  byn_membership_link_up(m, "b", 5, 1, 2);
  expect(m, "");
  byn_membership_link_up(m, "b", 5, 2, 3);
  expect(m, "up b/2 #5");
  byn_membership_link_down(m, 1, "simultaneous", 4);
  expect(m, "");
  assert_true(byn_membership_is_up(m, "b"));
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
}

static void a_refused_dial_waits_as_any_other(void **state) {
  static const char *const reasons[] = {"simultaneous", "already_connected"};
  byn_membership *m = of(state);
  for (uint32_t i = 0; i < 2; i++) {
    int64_t now = 10000 * i, wait = MIN << i;
    dial(m, "x", i + 1, now);
    byn_membership_link_down(m, i + 1, reasons[i], now);
    expect(m, "");
    int64_t due = byn_membership_deadline(m) - now;
    assert_within(due, wait * 3 / 4, wait * 5 / 4);
    byn_membership_tick(m, now + due - 1);
    expect(m, "");
  }
}

static void a_dial_still_queued_yields_to_any_link_that_comes_in(void **state) {
  byn_membership *m = of(state);
  add(m, "x", 0);
  byn_membership_tick(m, 0);
  assert_null(admit(m, "x", 1, 1, 0));
  expect(m, "");
  byn_membership_link_up(m, "x", 1, 1, 0);
  expect(m, "up x/1 #1");
}

static void a_dial_overtaken_before_its_number_is_known_is_closed(void **s) {
  byn_membership *m = of(s);
  add(m, "b", 0);
  byn_membership_tick(m, 0);
  expect(m, "dial b");
  assert_null(admit(m, "b", 1, 2, 0));
  byn_membership_link_down(m, 2, "closed", 1);
  byn_membership_tick(m, 1000000);
  expect(m, ""); /* no second dial while the first has no number */
  byn_membership_dialing(m, "b", 1);
  expect(m, "close b/1 simultaneous");
  byn_membership_tick(m, 1000000);
  expect(m, "dial b");
}

static void a_second_link_of_one_incarnation_is_refused(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "b", 5, 1, 0));
  assert_string_equal(admit(m, "b", 5, 2, 0), "already_connected");
  byn_membership_link_up(m, "b", 5, 1, 0);
  expect(m, "up b/1 #5");
  assert_string_equal(admit(m, "b", 5, 4, 0), "already_connected");
  byn_membership_link_down(m, 4, "already_connected", 0);
  expect(m, "");
  assert_true(byn_membership_is_up(m, "b"));
}

static void a_node_that_was_down_may_return_with_an_older_clock(void **s) {
  byn_membership *m = of(s);
  bring_up(m, "b", 5, 1, 0);
  byn_membership_link_down(m, 1, "closed", 1);
  expect(m, "down b/1 #5 closed");
  bring_up(m, "b", 4, 2, 2);
}

static void an_admission_that_never_comes_up_frees_the_node(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "b", 5, 1, 0));
  byn_membership_tick(m, 1000000);
  expect(m, "");
  byn_membership_link_down(m, 1, "closed", 1000);
  int64_t due = byn_membership_deadline(m);
  assert_within(due, 1000 + MIN * 3 / 4, 1000 + MIN * 5 / 4);
  byn_membership_tick(m, due);
  expect(m, "dial b");
}

static void a_late_tick_dials_each_node_once(void **state) {
  byn_membership *m = of(state);
  add(m, "x", 0);
  add(m, "b", 0);
  for (int64_t now = 1; now < 1000000; now *= 10)
    byn_membership_tick(m, now);
  expect(m, "dial b, dial x");
  byn_membership_tick(m, 2000000);
  expect(m, "");
}

static void removing_a_node_closes_its_link_and_reports_down(void **state) {
  byn_membership *m = of(state);
  bring_up(m, "b", 5, 1, 0);
  assert_true(byn_membership_remove(m, "b"));
  assert_int_equal(byn_membership_up_count(m), 0);
  expect(m, "close b/1 disconnected, down b/1 #5 disconnected");
  byn_membership_link_down(m, 1, "disconnected", 1);
  byn_membership_tick(m, 1000000);
  expect(m, "");
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
  assert_false(byn_membership_remove(m, "b"));
  assert_false(byn_membership_remove(m, "unheard of"));
}

static void a_removed_node_is_dialled_only_when_added_again(void **state) {
  byn_membership *m = of(state);
  int64_t now = 0;
  add(m, "b", now);
  for (uint32_t i = 1; i < 5; i++)
    fail_dial(m, i, &now);
  dial(m, "b", 5, now);
  assert_true(byn_membership_remove(m, "b"));
  expect(m, "close b/5 disconnected");
  assert_true(byn_membership_add(m, "b", false, 1));
  byn_membership_tick(m, 1000000);
  expect(m, "");
  add(m, "b", 1000001);
  now = 1000001;
  assert_within(fail_dial(m, 6, &now), MIN * 3 / 4, MIN * 5 / 4);
}

static void a_removed_node_may_come_in_but_is_not_dialled(void **state) {
  byn_membership *m = of(state);
  add(m, "b", 0);
  assert_true(byn_membership_remove(m, "b"));
  bring_up(m, "b", 5, 1, 0);
  byn_membership_link_down(m, 1, "closed", 1);
  expect(m, "down b/1 #5 closed");
  byn_membership_tick(m, 1000000);
  expect(m, "");
}

static void a_node_that_has_disconnected_this_one_is_not_dialled(void **state) {
  byn_membership *m = of(state);
  add(m, "b", 0);
  bring_up(m, "b", 5, 1, 0);
  byn_membership_link_down(m, 1, "disconnected", 1);
  expect(m, "down b/1 #5 disconnected");
  byn_membership_tick(m, 1000000);
  expect(m, "");
  add(m, "b", 1000001);
  byn_membership_tick(m, 1000001);
  expect(m, "dial b");
}

static void a_node_removed_while_its_dial_is_opened_is_closed(void **state) {
  byn_membership *m = of(state);
  add(m, "b", 0);
  byn_membership_tick(m, 0);
  expect(m, "dial b");
  assert_true(byn_membership_remove(m, "b"));
  expect(m, "");
  byn_membership_dialing(m, "b", 1);
  expect(m, "close b/1 disconnected");
  byn_membership_link_up(m, "b", 1, 1, 0);
  expect(m, "");
}

static void waits_double_to_the_maximum_and_start_over_after_up(void **state) {
  byn_membership *m = of(state);
  int64_t now = 0, wait = MIN;
  bool jitter = false;
  add(m, "b", now);
  for (uint32_t i = 1; i <= 20; i++) {
    int64_t got = fail_dial(m, i, &now);
    assert_within(got, wait * 3 / 4, wait * 5 / 4);
    jitter = jitter || got != wait;
    wait = wait * 2 < MAX ? wait * 2 : MAX;
  }
  assert_true(jitter);
  bring_up(m, "b", 1, 50, now);
  byn_membership_link_down(m, 50, "closed", now);
  expect(m, "down b/50 #1 closed");
  wait = byn_membership_deadline(m) - now;
  assert_within(wait, MIN * 3 / 4, MIN * 5 / 4);
}

/* Lets dials of "b" fail until a time, and answers the longest wait. */
static int64_t longest_wait(byn_membership *m, int64_t *now, int64_t till) {
  static uint32_t link = 1000;
  int64_t longest = 0;
  while (*now < till) {
    int64_t wait = fail_dial(m, ++link, now);
    if (wait > longest) longest = wait;
  }
  return longest;
}

static void a_node_that_was_up_is_expected_back_for_a_minute(void **state) {
  byn_membership *m = of(state);
  int64_t now = 0;
  add(m, "b", now);
  assert_true(longest_wait(m, &now, 20000) > 1250); /* never up yet */
  bring_up(m, "b", 1, 1, now);
  int64_t down = now;
  byn_membership_link_down(m, 1, "closed", now);
  expect(m, "down b/1 #1 closed");
  now = byn_membership_deadline(m);
  assert_within(longest_wait(m, &now, down + 59000), 1000, 1250);
  assert_true(longest_wait(m, &now, down + 80000) > 1250);
}

static void two_nodes_do_not_wait_alike(void **state) {
  fixture *f = *state;
  byn_membership *other = new_membership(&f->alloc, "n", 1, 43);
  int64_t one = 0, two = 0;
  add(f->m, "b", 0);
  add(other, "b", 0);
  for (uint32_t i = 1; i <= 8; i++) {
    fail_dial(f->m, i, &one);
    fail_dial(other, i, &two);
  }
  assert_true(one != two);
  byn_membership_free(other);
}

static void a_learned_node_is_forgotten_in_time(void **state) {
  fixture *f = *state;
  byn_membership *m = f->m;
  assert_true(byn_membership_add(m, "b", false, 0));
  for (int64_t now = 0; now < FORGET; now = byn_membership_deadline(m)) {
    byn_membership_tick(m, now);
    expect(m, "dial b");
    byn_membership_dialing(m, "b", (uint32_t)now + 1);
    byn_membership_link_down(m, (uint32_t)now + 1, "refused", now);
    assert_true(byn_membership_deadline(m) <= FORGET);
  }
  assert_int_equal(byn_membership_deadline(m), FORGET);
  byn_membership_tick(m, FORGET);
  expect(m, "");
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
  assert_false(byn_membership_remove(m, "b")); /* it is unknown */
}

static void forgetting_counts_from_the_last_time_it_was_up(void **state) {
  byn_membership *m = of(state);
  bring_up(m, "b", 1, 1, 0);
  byn_membership_tick(m, 10 * FORGET);
  byn_membership_link_down(m, 1, "closed", 10 * FORGET);
  byn_membership_tick(m, 11 * FORGET - 1);
  expect(m, "down b/1 #1 closed, dial b");
  byn_membership_dialing(m, "b", 2);
  byn_membership_tick(m, 12 * FORGET); /* a dial is under way */
  byn_membership_link_down(m, 2, "refused", 12 * FORGET);
  assert_int_equal(byn_membership_deadline(m), 11 * FORGET);
  byn_membership_tick(m, 12 * FORGET);
  assert_int_equal(byn_membership_deadline(m), BYN_NEVER);
}

static void a_configured_node_is_never_forgotten(void **state) {
  byn_membership *m = of(state);
  assert_true(byn_membership_add(m, "b", false, 0));
  add(m, "b", 0);
  assert_true(byn_membership_add(m, "b", false, 0));
  byn_membership_tick(m, 100 * FORGET);
  expect(m, "dial b");
}

static void a_node_in_an_action_is_not_forgotten_before_it(void **state) {
  byn_membership *m = of(state);
  byn_member_action a;
  assert_null(admit(m, "b", 1, 1, 0));
  byn_membership_link_up(m, "b", 1, 1, 0);
  byn_membership_link_down(m, 1, "closed", 1);
  byn_membership_tick(m, 1 + FORGET);
  assert_true(byn_membership_next(m, &a));
  assert_true(byn_membership_next(m, &a));
  assert_int_equal(a.kind, BYN_MEMBER_DOWN);
  byn_membership_tick(m, 1 + FORGET);
  assert_string_equal(a.name, "b");
  assert_string_equal(a.reason, "closed");
}

static void an_action_that_was_handled_delays_no_forgetting(void **state) {
  byn_membership *m = of(state);
  byn_member_action a;
  int64_t now = FORGET - MIN / 2;
  assert_true(byn_membership_add(m, "b", false, 0));
  byn_membership_tick(m, now);
  assert_true(byn_membership_next(m, &a));
  byn_membership_dialing(m, "b", 1);
  byn_membership_link_down(m, 1, "refused", now);
  assert_true(byn_membership_deadline(m) > FORGET);
  assert_false(byn_membership_next(m, &a));
  assert_int_equal(byn_membership_deadline(m), FORGET);
}

/* Passes time; how often "b" is reported as unreachable, and when last. */
static uint32_t count_reports(byn_membership *m, int64_t *now, int64_t till,
                              const char *reason, int64_t *last) {
  uint32_t count = 0, link = (uint32_t)*now + 100;
  byn_member_action a;
  for (; *now < till; *now = byn_membership_deadline(m)) {
    byn_membership_tick(m, *now);
    while (byn_membership_next(m, &a)) {
      if (a.kind == BYN_MEMBER_DIAL) {
        byn_membership_dialing(m, a.name, ++link);
        byn_membership_link_down(m, link, reason, *now);
      } else if (a.kind == BYN_MEMBER_UNREACHABLE) {
        assert_string_equal(a.name, "b");
        assert_string_equal(a.reason, reason);
        *last = *now;
        count++;
      }
    }
  }
  return count;
}

/* 3 s, then after waits that double to five minutes. */
static void a_configured_node_is_reported_unreachable(void **state) {
  fixture *f = *state;
  byn_membership_config config = {.alloc = f->alloc,
                                  .name = "m",
                                  .incarnation = 1,
                                  .redial_min_ms = MIN,
                                  .redial_max_ms = MAX,
                                  .forget_after_ms = FORGET,
                                  .answer_ms = ANSWER,
                                  .unreachable_ms = 3000};
  byn_membership *m = byn_membership_new(&config);
  int64_t now = 0, last = 0;
  assert_true(byn_membership_add(m, "b", false, 0)); /* learned: never */
  assert_int_equal(count_reports(m, &now, 4000, "bad_secret", &last), 0);
  now = 10000;
  add(m, "b", now);
  assert_int_equal(count_reports(m, &now, 13000, "bad_secret", &last), 0);
  assert_int_equal(count_reports(m, &now, 13001, "bad_secret", &last), 1);
  assert_int_equal(last, 13000);
  assert_int_equal(count_reports(m, &now, 34000, "bad_secret", &last), 2);
  assert_int_equal(last, 31000); /* 3 s, 6 s, 12 s */
  assert_int_equal(count_reports(m, &now, 3600000, "closed", &last), 14);
  assert_true(now - last < BYN_UNREACHABLE_MAX_MS);
  now = 4000000;
  assert_null(admit(m, "b", 1, 1, now));
  byn_membership_link_up(m, "b", 1, 1, now);
  byn_membership_tick(m, 5000000); /* not while it is up */
  expect(m, "up b/1 #1");
  now = 5000000;
  byn_membership_link_down(m, 1, "closed", now);
  assert_int_equal(count_reports(m, &now, 5003001, "closed", &last), 1);
  assert_true(byn_membership_remove(m, "b"));
  byn_membership_tick(m, 9000000);
  expect(m, "");
  byn_membership_free(m);
}

static void a_dial_without_an_end_is_reported_as_a_timeout(void **state) {
  fixture *f = *state;
  byn_membership_config config = {
      .alloc = f->alloc, .name = "m", .unreachable_ms = 3000};
  byn_membership *m = byn_membership_new(&config);
  dial(m, "b", 1, 0);
  assert_int_equal(byn_membership_deadline(m), 3000);
  byn_test_fail_from(&f->memory, 1); /* one without memory is left out */
  byn_membership_tick(m, 3000);
  byn_test_fail_nth(&f->memory, 0);
  byn_membership_tick(m, 9000);
  byn_membership_link_up(m, "b", 1, 1, 9000);
  byn_membership_link_down(m, 1, "closed", 9000);
  byn_member_action a;
  uint32_t reports = 0;
  while (byn_membership_next(m, &a))
    reports += a.kind == BYN_MEMBER_UNREACHABLE && !strcmp(a.reason, "timeout");
  assert_in_range(reports, 1, 2);
  byn_membership_free(m);
}

static void a_long_reason_is_cut(void **state) {
  byn_membership *m = of(state);
  char reason[BYN_MEMBER_REASON_MAX + 10];
  byn_member_action a;
  memset(reason, 'r', sizeof reason);
  reason[sizeof reason - 1] = '\0';
  bring_up(m, "b", 1, 1, 0);
  byn_membership_link_down(m, 1, reason, 1);
  memset(reason, 's', sizeof reason - 1);
  assert_true(byn_membership_next(m, &a));
  assert_int_equal(strlen(a.reason), BYN_MEMBER_REASON_MAX);
  assert_int_equal(strspn(a.reason, "r"), BYN_MEMBER_REASON_MAX);
}

static void names_that_are_up_are_listed_in_byte_order(void **state) {
  static const char *const names[] = {"z", "\xff", "a\x80", "aa", "a"};
  static const char *const sorted[] = {"a", "aa", "a\x80", "z", "\xff"};
  byn_membership *m = of(state);
  for (uint32_t i = 0; i < 5; i++)
    bring_up(m, names[i], 1, i + 1, 0);
  assert_int_equal(byn_membership_up_count(m), 5);
  for (uint32_t i = 0; i < 5; i++)
    assert_string_equal(byn_membership_up_name(m, i), sorted[i]);
  assert_null(byn_membership_up_name(m, 5));
  byn_membership_link_down(m, 4, "closed", 1);
  assert_int_equal(byn_membership_up_count(m), 4);
  assert_string_equal(byn_membership_up_name(m, 1), "a\x80");
}

static void actions_wait_in_order_until_they_are_taken(void **state) {
  enum { NODES = 300 };
  byn_membership *m = of(state);
  char name[16];
  for (uint32_t i = 0; i < NODES; i++) {
    snprintf(name, sizeof name, "n%03u", (unsigned)i);
    assert_null(admit(m, name, 1, i + 1, 0));
    byn_membership_link_up(m, name, 1, i + 1, 0);
  }
  for (uint32_t i = 0; i < NODES; i++)
    byn_membership_link_down(m, i + 1, "closed", 0);
  byn_member_action a;
  for (uint32_t i = 0; i < 2 * NODES; i++) {
    assert_true(byn_membership_next(m, &a));
    assert_int_equal(a.kind, i < NODES ? BYN_MEMBER_UP : BYN_MEMBER_DOWN);
    assert_int_equal(a.link, i % NODES + 1);
  }
  assert_false(byn_membership_next(m, &a));
}

/* -- memory ------------------------------------------------------------- */

static void no_memory_refuses_a_link_and_delays_a_dial(void **state) {
  fixture *f = *state;
  byn_test_fail_from(&f->memory, 1);
  assert_string_equal(admit(f->m, "b", 1, 1, 0), "out_of_memory");
  assert_false(byn_membership_add(f->m, "b", true, 0));
  byn_test_fail_nth(&f->memory, 0);
  add(f->m, "b", 0);
  byn_test_fail_from(&f->memory, 1);
  byn_membership_tick(f->m, 0);
  expect(f->m, "");
  assert_int_equal(byn_membership_deadline(f->m), MIN);
  byn_test_fail_nth(&f->memory, 0);
  byn_membership_tick(f->m, MIN);
  expect(f->m, "dial b");
}

/* How many actions of each kind there were. */
typedef struct tally {
  uint32_t dials, ups, downs, closes;
} tally;

static void count(byn_membership *m, tally *t) {
  byn_member_action a;
  while (byn_membership_next(m, &a)) {
    t->dials += a.kind == BYN_MEMBER_DIAL;
    t->ups += a.kind == BYN_MEMBER_UP;
    t->downs += a.kind == BYN_MEMBER_DOWN;
    t->closes += a.kind == BYN_MEMBER_CLOSE;
    if (a.kind == BYN_MEMBER_DIAL) byn_membership_dialing(m, a.name, t->dials);
  }
}

typedef enum stage { AT_DIALING, AT_ADMITTED, AT_UP, STAGES } stage;

/* Brings link `i` to node `i` to a stage and takes the actions. */
static void bring_to_stage(byn_membership *m, const char *name, uint32_t i,
                           stage at, tally *t) {
  if (at == AT_DIALING)
    add(m, name, 0);
  else
    assert_null(admit(m, name, 1, i, 0));
  if (at == AT_UP) byn_membership_link_up(m, name, 1, i, 0);
  byn_membership_tick(m, 0);
  count(m, t);
}

/* Begins a link to each of `nodes` nodes, then starves: all come up and are
 * removed, while `waiting` CLOSE actions are in the queue from before, and the
 * name of one that is removed is claimed. */
static void end_starved(uint32_t nodes, uint32_t waiting, stage at) {
  byn_test_alloc memory = {0};
  byn_alloc alloc = byn_test_allocator(&memory);
  byn_membership *m = new_membership(&alloc, "m", 1, 42);
  tally t = {0};
  char name[16];
  for (uint32_t i = 1; i <= nodes; i++) {
    snprintf(name, sizeof name, "n%03u", (unsigned)i);
    bring_to_stage(m, name, i, at, &t);
  }
  for (uint32_t i = 0; i < waiting; i++) {
    assert_null(admit(m, "w", i, 2000 + i, 0));
    assert_true(byn_membership_remove(m, "w"));
  }
  assert_null(admit(m, "w", waiting, 1000 + waiting, 0));
  assert_string_equal(admit(m, "w", 99, 1999, 0), "held");
  byn_test_fail_from(&memory, 1);
  byn_membership_link_up(m, "w", waiting, 1000 + waiting, 0);
  byn_membership_link_down(m, 1000 + waiting, "closed", 0);
  byn_membership_link_up(m, "w", 99, 1999, 0);
  assert_true(byn_membership_remove(m, "w"));
  for (uint32_t i = 1; i <= nodes; i++) {
    snprintf(name, sizeof name, "n%03u", (unsigned)i);
    if (at != AT_UP) byn_membership_link_up(m, name, 1, i, 0);
    assert_true(byn_membership_remove(m, name));
  }
  count(m, &t);
  assert_int_equal(t.ups, nodes + 2);
  assert_int_equal(t.downs, nodes + 2);
  assert_int_equal(t.closes, nodes + 1 + waiting);
  byn_membership_free(m);
  byn_test_assert_clean(&memory);
}

/* Over all these sizes the queue is often exactly full. */
static void a_link_once_begun_needs_no_memory_to_be_reported(void **state) {
  (void)state;
  for (uint32_t nodes = 1; nodes < 50; nodes++)
    for (uint32_t waiting = 0; waiting < 4; waiting++)
      for (stage at = AT_DIALING; at < STAGES; at++)
        end_starved(nodes, waiting, at);
}

/* As many DIALs are taken, then removed, before a number is reported;
 * nothing may be lost that waits behind them. */
static void dials_overtaken_need_no_memory_to_be_closed(void **state) {
  (void)state;
  for (uint32_t nodes = 1; nodes < 70; nodes++) {
    byn_test_alloc memory = {0};
    byn_alloc alloc = byn_test_allocator(&memory);
    byn_membership *m = new_membership(&alloc, "a", 1, 42);
    byn_member_action a;
    tally t = {0};
    char name[16];
    for (uint32_t i = 1; i <= nodes; i++) {
      snprintf(name, sizeof name, "n%03u", (unsigned)i);
      add(m, name, 0);
    }
    byn_membership_tick(m, 0);
    byn_test_fail_from(&memory, 1);
    while (byn_membership_next(m, &a))
      assert_true(byn_membership_remove(m, a.name));
    for (uint32_t i = 1; i <= nodes; i++) {
      snprintf(name, sizeof name, "n%03u", (unsigned)i);
      byn_membership_dialing(m, name, i);
    }
    count(m, &t);
    assert_int_equal(t.closes, nodes);
    byn_membership_free(m);
    byn_test_assert_clean(&memory);
  }
}

static void drain(byn_membership *m, bool up[26], uint32_t *link) {
  byn_member_action a;
  while (byn_membership_next(m, &a)) {
    bool *there = &up[a.name[0] - 'a'];
    if (a.kind == BYN_MEMBER_DIAL) byn_membership_dialing(m, a.name, (*link)++);
    if (a.kind == BYN_MEMBER_UP || a.kind == BYN_MEMBER_DOWN) {
      assert_int_equal(*there, a.kind == BYN_MEMBER_DOWN);
      *there = a.kind == BYN_MEMBER_UP;
    }
  }
  for (char name[2] = "a"; name[0] <= 'z'; name[0]++)
    assert_int_equal(byn_membership_is_up(m, name), up[name[0] - 'a']);
}

/* Twenty nodes come, restart and go; half of the actions wait a while. */
static void come_restart_and_go(const byn_alloc *alloc, void *arg) {
  (void)arg;
  byn_membership *m = new_membership(alloc, "m", 1, 42);
  bool up[26] = {false};
  uint32_t link = 1000;
  if (!m) return;
  for (uint32_t i = 0; i < 20; i++) {
    char name[2] = {(char)('a' + i), '\0'};
    byn_membership_add(m, name, i % 2 == 0, 0);
    byn_membership_list(m, name, i % 3 == 0, 0);
    if (i % 5 == 0) byn_membership_tick(m, 0);
    if (i % 3 == 0) drain(m, up, &link);
    if (!admit(m, name, 1, 2 * i + 1, 0))
      byn_membership_link_up(m, name, 1, 2 * i + 1, 0);
    admit(m, name, 2, 2 * i + 2, 0);
    if (i % 4 == 0) byn_membership_link_down(m, 2 * i + 1, "closed", 0);
    byn_membership_link_up(m, name, 2, 2 * i + 2, 0);
  }
  drain(m, up, &link);
  for (uint32_t i = 1; i < 20; i++)
    byn_membership_link_down(m, i, "closed", 0);
  for (char name[2] = "k"; name[0] < 't'; name[0]++)
    byn_membership_remove(m, name);
  byn_membership_tick(m, 2 * FORGET);
  drain(m, up, &link);
  byn_membership_free(m);
}

static void a_hidden_node_is_connected_and_not_listed(void **state) {
  byn_membership *m = of(state);
  byn_member_action a;
  assert_null(admit(m, "h", 1, 1, 0));
  byn_membership_hide(m, "h", 1);
  byn_membership_link_up(m, "h", 1, 1, 0);
  assert_true(byn_membership_is_up(m, "h"));
  assert_int_equal(byn_membership_up_count(m), 0);
  assert_true(byn_membership_next(m, &a));
  assert_int_equal(a.kind, BYN_MEMBER_UP);
  assert_true(a.hidden);
  byn_membership_link_down(m, 1, "closed", 10);
  assert_true(byn_membership_next(m, &a));
  assert_int_equal(a.kind, BYN_MEMBER_DOWN);
  assert_true(a.hidden);
  assert_false(byn_membership_is_up(m, "h"));
}

static void a_hidden_node_is_dialled_only_if_configured(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "h", 1, 1, 0));
  byn_membership_hide(m, "h", 1);
  byn_membership_link_up(m, "h", 1, 1, 0);
  byn_membership_link_down(m, 1, "closed", 10);
  expect(m, "up h/1 #1, down h/1 #1 closed");
  byn_membership_tick(m, 10 + FORGET - 1);
  expect(m, "");
  add(m, "h", 10 + FORGET - 1);
  byn_membership_tick(m, 10 + FORGET - 1);
  expect(m, "dial h");
}

static void a_node_that_hides_no_more_is_listed(void **state) {
  byn_membership *m = of(state);
  assert_null(admit(m, "h", 1, 1, 0));
  byn_membership_hide(m, "h", 1);
  byn_membership_link_up(m, "h", 1, 1, 0);
  byn_membership_link_down(m, 1, "closed", 10);
  expect(m, "up h/1 #1, down h/1 #1 closed");
  bring_up(m, "h", 2, 2, 20);
  assert_int_equal(byn_membership_up_count(m), 1);
}

/* A node that hid is dialled, starts again without hiding, and dials in. */
static void a_link_that_was_closed_hides_nobody(void **state) {
  byn_membership *m = of(state);
  dial(m, "b", 1, 0);
  assert_null(admit(m, "b", 5, 2, 1));
  byn_membership_hide(m, "b", 1);
  byn_membership_link_up(m, "b", 4, 1, 2);
  byn_membership_link_up(m, "b", 5, 2, 2);
  expect(m, "close b/1 simultaneous, up b/2 #5");
  assert_int_equal(byn_membership_up_count(m), 1);
}

static void each_allocation_may_fail(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(come_restart_and_go, NULL) > 20);
}

#define ROOM(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      ROOM(an_added_node_is_dialled_at_once_and_comes_up),
      ROOM(its_own_name_is_neither_dialled_nor_admitted),
      ROOM(of_two_dials_the_smaller_name_keeps_its_own),
      ROOM(a_dial_without_its_proof_yields_whatever_its_name),
      ROOM(of_two_dials_the_greater_name_gives_its_own_up),
      ROOM(what_a_closed_dial_still_reports_is_ignored),
      ROOM(a_refused_dial_waits_as_any_other),
      ROOM(a_dial_still_queued_yields_to_any_link_that_comes_in),
      ROOM(a_dial_overtaken_before_its_number_is_known_is_closed),
      ROOM(a_second_link_of_one_incarnation_is_refused),
      ROOM(a_node_that_was_down_may_return_with_an_older_clock),
      ROOM(an_admission_that_never_comes_up_frees_the_node),
      ROOM(a_late_tick_dials_each_node_once),
      ROOM(removing_a_node_closes_its_link_and_reports_down),
      ROOM(a_removed_node_is_dialled_only_when_added_again),
      ROOM(a_node_that_has_disconnected_this_one_is_not_dialled),
      ROOM(a_removed_node_may_come_in_but_is_not_dialled),
      ROOM(a_node_removed_while_its_dial_is_opened_is_closed),
      ROOM(waits_double_to_the_maximum_and_start_over_after_up),
      ROOM(a_node_that_was_up_is_expected_back_for_a_minute),
      ROOM(a_configured_node_is_reported_unreachable),
      ROOM(a_dial_without_an_end_is_reported_as_a_timeout),
      ROOM(two_nodes_do_not_wait_alike),
      ROOM(a_learned_node_is_forgotten_in_time),
      ROOM(forgetting_counts_from_the_last_time_it_was_up),
      ROOM(a_configured_node_is_never_forgotten),
      ROOM(a_node_in_an_action_is_not_forgotten_before_it),
      ROOM(an_action_that_was_handled_delays_no_forgetting),
      ROOM(a_long_reason_is_cut),
      ROOM(names_that_are_up_are_listed_in_byte_order),
      ROOM(actions_wait_in_order_until_they_are_taken),
      ROOM(no_memory_refuses_a_link_and_delays_a_dial),
      ROOM(a_hidden_node_is_connected_and_not_listed),
      ROOM(a_hidden_node_is_dialled_only_if_configured),
      ROOM(a_node_that_hides_no_more_is_listed),
      ROOM(a_link_that_was_closed_hides_nobody),
      cmocka_unit_test(a_link_once_begun_needs_no_memory_to_be_reported),
      cmocka_unit_test(dials_overtaken_need_no_memory_to_be_closed),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
