#include "restart_rig.h"

static byn_restart_flags usual(byn_strategy strategy) {
  return (byn_restart_flags){.strategy = (uint8_t)strategy,
                             .max_restarts = 3,
                             .period = 5000,
                             .max_children = UINT32_MAX};
}

static byn_restart_flags dynamic(void) {
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  flags.dynamic = true;
  return flags;
}

typedef struct fixture {
  byn_test_alloc watch;
  byn_alloc alloc;
  rig g;
} fixture;

/* A supervisor with these children, booted. */
static rig *open_rig(fixture *f, byn_restart_flags flags, const char *names) {
  memset(f, 0, sizeof *f);
  f->alloc = byn_test_allocator(&f->watch);
  rig_open(&f->g, &f->alloc, &flags);
  for (; *names; names++)
    byn_restart_add(&f->g.machine, &rig_child_new(&f->g, *names)->core);
  return &f->g;
}

static rig *booted(fixture *f, byn_restart_flags flags, const char *names) {
  rig *g = open_rig(f, flags, names);
  byn_restart_boot(&g->machine);
  rig_run(g);
  trace_clear(&g->trace);
  return g;
}

static void close_rig(fixture *f) {
  rig_close(&f->g);
  byn_test_assert_clean(&f->watch);
}

static void policy(rig *g, char name, byn_restart_type type) {
  rig_at(g, name)->core.restart = (uint8_t)type;
}

static void fails(rig *g, char name, int start) {
  rig_at(g, name)->next[start] = FAILS;
}

static const char *start(rig *g, char name) {
  const char *no =
      byn_restart_start(&g->machine, &rig_child_new(g, name)->core);
  rig_run(g);
  return no;
}

static void stop(rig *g) {
  byn_restart_stop(&g->machine);
  rig_run(g);
}

/* --- starting and stopping ------------------------------------------------ */

static void children_start_in_order_and_stop_in_reverse(void **state) {
  (void)state;
  fixture f;
  rig *g = open_rig(&f, usual(BYN_ONE_FOR_ONE), "abc");
  byn_restart_boot(&g->machine);
  rig_run(g);
  rig_expect(g, "+a a+ +b b+ +c c+ ok");
  stop(g);
  rig_expect(g, "-c c. -b b. -a a. end(asked)");
  assert_true(byn_restart_busy(&g->machine));
  close_rig(&f);
}

static void a_failed_boot_stops_those_that_had_started(void **state) {
  (void)state;
  fixture f;
  rig *g = open_rig(&f, usual(BYN_ONE_FOR_ONE), "abcd");
  fails(g, 'c', 0);
  byn_restart_boot(&g->machine);
  byn_restart_action a, last = {0};
  while (byn_restart_next(&g->machine, &a)) {
    rig_do(g, &a);
    last = a;
  }
  rig_expect(g, "+a a+ +b b+ +c c! -b b. -a a. end(boot)");
  assert_ptr_equal(last.child, &rig_at(g, 'c')->core);
  close_rig(&f);
}

static void an_empty_supervisor_boots_and_ends(void **state) {
  (void)state;
  fixture f;
  rig *g = open_rig(&f, usual(BYN_ONE_FOR_ALL), "");
  byn_restart_boot(&g->machine);
  rig_run(g);
  rig_expect(g, "ok");
  stop(g);
  rig_expect(g, "end(asked)");
  close_rig(&f);
}

static void a_child_that_ignores_is_kept_unless_temporary(void **state) {
  (void)state;
  fixture f;
  rig *g = open_rig(&f, usual(BYN_ONE_FOR_ONE), "abc");
  rig_at(g, 'a')->next[0] = rig_at(g, 'b')->next[0] = IGNORES;
  policy(g, 'b', BYN_TEMPORARY);
  byn_restart_boot(&g->machine);
  rig_run(g);
  rig_expect(g, "+a a? +b b? xb +c c+ ok");
  assert_int_equal(g->machine.count, 2);
  assert_null(byn_restart_child(&g->machine, &rig_at(g, 'a')->core));
  rig_run(g);
  rig_expect(g, "+a a+ ok");
  close_rig(&f);
}

static void a_child_that_hangs_is_killed_after_its_shutdown_time(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "ab");
  rig_at(g, 'b')->hangs = HANGS;
  stop(g);
  rig_expect(g, "-b");
  assert_int_equal(byn_restart_deadline(&g->machine), 100);
  rig_pass(g, 99);
  rig_expect(g, "");
  rig_pass(g, 1);
  rig_expect(g, "*b b. -a a. end(asked)");
  close_rig(&f);
}

static void infinity_waits_and_brutal_kill_does_not(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "ab");
  rig_at(g, 'a')->hangs = rig_at(g, 'b')->hangs = HANGS;
  rig_at(g, 'a')->core.shutdown = BYN_SHUTDOWN_INFINITY;
  rig_at(g, 'b')->core.shutdown = BYN_SHUTDOWN_KILL;
  stop(g);
  rig_expect(g, "-b b. -a");
  assert_true(byn_restart_deadline(&g->machine) == BYN_NEVER);
  rig_pass(g, 1000000000);
  rig_expect(g, "");
  rig_stopped(g, &rig_at(g, 'a')->core);
  rig_run(g);
  rig_expect(g, "a. end(asked)");
  close_rig(&f);
}

static void a_shutdown_time_of_zero_kills_at_once(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "a");
  rig_at(g, 'a')->hangs = HANGS;
  rig_at(g, 'a')->core.shutdown = 0;
  stop(g);
  rig_expect(g, "-a *a a. end(asked)");
  close_rig(&f);
}

/* --- requests ------------------------------------------------------------- */

static void a_child_is_terminated_restarted_and_deleted(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "ab");
  byn_child *a = &rig_at(g, 'a')->core;
  assert_string_equal(byn_restart_child(&g->machine, a), "running");
  assert_string_equal(byn_restart_delete(&g->machine, a), "running");
  for (int twice = 0; twice < 2; twice++) {
    byn_restart_terminate(&g->machine, a);
    rig_run(g);
    rig_expect(g, twice ? "ok" : "-a a. ok");
  }
  assert_null(byn_restart_child(&g->machine, a));
  rig_run(g);
  rig_expect(g, "+a a+ ok");
  byn_restart_terminate(&g->machine, a);
  rig_run(g);
  assert_null(byn_restart_delete(&g->machine, a));
  assert_false(byn_restart_busy(&g->machine));
  assert_ptr_equal(g->machine.children.first, &rig_at(g, 'b')->core);
  assert_int_equal(g->machine.count, 1);
  close_rig(&f);
}

static void a_child_that_fails_to_start_is_forgotten(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "a");
  rig_child *b = rig_child_new(g, 'b');
  b->next[0] = FAILS;
  assert_null(byn_restart_start(&g->machine, &b->core));
  rig_run(g);
  rig_expect(g, "+b b! xb ok");
  assert_int_equal(g->machine.count, 1);
  close_rig(&f);
}

static void a_failed_restart_child_leaves_it_stopped(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "a");
  byn_child *a = &rig_at(g, 'a')->core;
  fails(g, 'a', 1);
  byn_restart_terminate(&g->machine, a);
  rig_run(g);
  assert_null(byn_restart_child(&g->machine, a));
  rig_run(g);
  rig_expect(g, "-a a. ok +a a! ok");
  assert_int_equal(a->state, BYN_CHILD_STOPPED);
  close_rig(&f);
}

static void max_children_limits_the_children(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = dynamic();
  flags.max_children = 2;
  rig *g = booted(&f, flags, "");
  assert_null(start(g, 'a'));
  assert_null(start(g, 'b'));
  assert_string_equal(start(g, 'c'), "max_children");
  rig_at(g, 'c')->known = false;
  policy(g, 'a', BYN_TEMPORARY);
  rig_exit(g, 'a', false);
  assert_null(start(g, 'c'));
  rig_expect(g, "+a a+ ok +b b+ ok xa +c c+ ok");
  close_rig(&f);
}

/* --- restarts ------------------------------------------------------------- */

static void the_restart_type_decides_who_is_restarted(void **state) {
  (void)state;
  static const struct {
    byn_restart_type type;
    bool normal;
    const char *trace;
  } cells[] = {
      {BYN_PERMANENT, true, "+a a+"}, {BYN_PERMANENT, false, "+a a+"},
      {BYN_TRANSIENT, true, ""},      {BYN_TRANSIENT, false, "+a a+"},
      {BYN_TEMPORARY, true, "xa"},    {BYN_TEMPORARY, false, "xa"},
  };
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
    fixture f;
    rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "ab");
    policy(g, 'a', cells[i].type);
    rig_exit(g, 'a', cells[i].normal);
    rig_expect(g, cells[i].trace);
    close_rig(&f);
  }
}

static void too_many_restarts_end_the_supervisor(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "ab");
  for (int i = 0; i < 4; i++)
    rig_exit(g, 'a', false);
  rig_expect(g, "+a a+ +a a+ +a a+ give_up(a) -b b. end(gave up)");
  close_rig(&f);
}

static void an_intensity_of_zero_allows_no_restart(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  flags.max_restarts = 0;
  rig *g = booted(&f, flags, "a");
  rig_exit(g, 'a', false);
  rig_expect(g, "give_up(a) end(gave up)");
  close_rig(&f);
}

static void a_failed_restart_is_tried_again_after_what_waits(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "a");
  byn_child *a = &rig_at(g, 'a')->core;
  fails(g, 'a', 1);
  fails(g, 'a', 2);
  rig_exit(g, 'a', false);
  rig_expect(g, "+a a! ~");
  assert_false(byn_restart_busy(&g->machine));
  assert_int_equal(a->state, BYN_CHILD_RESTARTING);
  assert_string_equal(byn_restart_child(&g->machine, a), "restarting");
  assert_string_equal(byn_restart_delete(&g->machine, a), "restarting");
  rig_retry(g);
  rig_expect(g, "+a a! ~");
  rig_retry(g);
  rig_expect(g, "+a a+");
  rig_exit(g, 'a', false);
  rig_expect(g, "give_up(a) end(gave up)");
  close_rig(&f);
}

static void terminating_a_child_cancels_its_retry(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "a");
  fails(g, 'a', 1);
  rig_exit(g, 'a', false);
  byn_restart_terminate(&g->machine, &rig_at(g, 'a')->core);
  rig_run(g);
  rig_expect(g, "+a a! ~ ok");
  rig_retry(g);
  rig_expect(g, "");
  assert_int_equal(rig_at(g, 'a')->core.state, BYN_CHILD_STOPPED);
  close_rig(&f);
}

static void one_for_all_restarts_all_and_counts_one_restart(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ALL);
  flags.max_restarts = 1;
  rig *g = booted(&f, flags, "abcd");
  policy(g, 'd', BYN_TEMPORARY);
  rig_exit(g, 'b', false);
  rig_expect(g, "-d d. xd -c c. -a a. +a a+ +b b+ +c c+");
  rig_exit(g, 'a', false);
  rig_expect(g, "give_up(a) -c c. -b b. end(gave up)");
  close_rig(&f);
}

static void
in_one_for_all_a_failed_restart_stops_those_before_it(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ALL), "abc");
  fails(g, 'b', 1);
  rig_exit(g, 'c', false);
  rig_expect(g, "-b b. -a a. +a a+ +b b! ~");
  rig_retry(g);
  rig_expect(g, "-a a. +a a+ +b b+ +c c+");
  close_rig(&f);
}

static void rest_for_one_restarts_those_after_it(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_REST_FOR_ONE), "abcd");
  fails(g, 'c', 1);
  rig_exit(g, 'b', false);
  rig_expect(g, "-d d. -c c. +b b+ +c c! ~");
  rig_retry(g);
  rig_expect(g, "+c c+ +d d+");
  rig_exit(g, 'd', false);
  rig_expect(g, "+d d+");
  close_rig(&f);
}

static void a_group_restart_takes_the_place_of_a_retry(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ALL), "ab");
  fails(g, 'b', 1);
  rig_exit(g, 'b', false);
  rig_expect(g, "-a a. +a a+ +b b! ~");
  rig_exit(g, 'a', false);
  rig_expect(g, "+a a+ +b b+");
  rig_retry(g);
  rig_expect(g, "");
  close_rig(&f);
}

/* --- auto shutdown -------------------------------------------------------- */

static void
auto_shutdown_any_ends_with_the_first_significant_child(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  flags.auto_shutdown = BYN_AUTO_ANY;
  rig *g = open_rig(&f, flags, "abc");
  for (char c = 'a'; c <= 'c'; c++)
    policy(g, c, BYN_TRANSIENT);
  rig_at(g, 'b')->core.significant = true;
  byn_restart_boot(&g->machine);
  rig_run(g);
  trace_clear(&g->trace);
  rig_exit(g, 'b', false);
  rig_exit(g, 'a', true);
  rig_expect(g, "+b b+");
  rig_exit(g, 'b', true);
  rig_expect(g, "-c c. end(auto)");
  close_rig(&f);
}

static void
auto_shutdown_all_ends_with_the_last_significant_child(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  flags.auto_shutdown = BYN_AUTO_ALL;
  rig *g = open_rig(&f, flags, "abc");
  for (char c = 'a'; c <= 'b'; c++) {
    policy(g, c, BYN_TEMPORARY);
    rig_at(g, c)->core.significant = true;
  }
  byn_restart_boot(&g->machine);
  rig_run(g);
  trace_clear(&g->trace);
  rig_exit(g, 'a', false);
  rig_expect(g, "xa");
  rig_exit(g, 'b', true);
  rig_expect(g, "xb -c c. end(auto)");
  close_rig(&f);
}

static void terminating_a_significant_child_shuts_nothing_down(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  flags.auto_shutdown = BYN_AUTO_ANY;
  rig *g = open_rig(&f, flags, "a");
  policy(g, 'a', BYN_TRANSIENT);
  rig_at(g, 'a')->core.significant = true;
  byn_restart_boot(&g->machine);
  rig_run(g);
  byn_restart_terminate(&g->machine, &rig_at(g, 'a')->core);
  rig_run(g);
  rig_expect(g, "+a a+ ok -a a. ok");
  close_rig(&f);
}

/* --- back-off ------------------------------------------------------------- */

static void a_restart_backs_off_longer_each_time(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ONE), "ab");
  byn_backoff b = {.min = 10, .max = 40, .factor = 3, .reset_after = 1000};
  rig_at(g, 'a')->core.backoff = &b;
  fails(g, 'a', 1);
  rig_exit(g, 'a', false);
  rig_expect(g, "");
  assert_int_equal(byn_restart_deadline(&g->machine), 10);
  rig_pass(g, 10);
  rig_expect(g, "~");
  rig_retry(g);
  rig_expect(g, "+a a!");
  rig_pass(g, 29);
  rig_expect(g, "");
  rig_pass(g, 1);
  rig_retry(g);
  rig_expect(g, "~ +a a+");
  assert_true(byn_restart_deadline(&g->machine) == BYN_NEVER);
  close_rig(&f);
}

static void a_back_off_counts_as_a_restart_when_it_begins(void **state) {
  (void)state;
  fixture f;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  flags.max_restarts = 1;
  rig *g = booted(&f, flags, "a");
  byn_backoff b = {.min = 10, .max = 40, .factor = 3, .reset_after = 1000};
  rig_at(g, 'a')->core.backoff = &b;
  fails(g, 'a', 1);
  rig_exit(g, 'a', false);
  rig_pass(g, 10);
  rig_retry(g);
  rig_expect(g, "~ +a a! give_up(a) end(gave up)");
  close_rig(&f);
}

static void a_group_is_down_while_one_of_it_backs_off(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, usual(BYN_ONE_FOR_ALL), "abc");
  byn_backoff b = {.min = 10, .max = 40, .factor = 3, .reset_after = 1000};
  rig_at(g, 'b')->core.backoff = &b;
  rig_exit(g, 'b', false);
  rig_expect(g, "-c c. -a a.");
  rig_pass(g, 10);
  rig_retry(g);
  rig_expect(g, "~ +a a+ +b b+ +c c+");
  close_rig(&f);
}

static void stopping_ends_a_back_off(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, dynamic(), "ab");
  byn_backoff b = {.min = 10, .max = 40, .factor = 3, .reset_after = 1000};
  rig_at(g, 'a')->core.backoff = &b;
  rig_exit(g, 'a', false);
  stop(g);
  rig_expect(g, "-b b. xb xa end(asked)");
  assert_true(byn_restart_deadline(&g->machine) == BYN_NEVER);
  close_rig(&f);
}

/* --- dynamic children ----------------------------------------------------- */

static void dynamic_children_that_end_are_forgotten(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, dynamic(), "abc");
  for (char c = 'a'; c <= 'c'; c++)
    policy(g, c, BYN_TRANSIENT);
  rig_exit(g, 'a', true);
  rig_expect(g, "xa");
  byn_restart_terminate(&g->machine, &rig_at(g, 'b')->core);
  rig_run(g);
  rig_expect(g, "-b b. xb ok");
  rig_at(g, 'c')->next[1] = IGNORES;
  rig_exit(g, 'c', false);
  rig_expect(g, "+c c? xc");
  assert_int_equal(g->machine.count, 0);
  close_rig(&f);
}

static void dynamic_children_stop_side_by_side(void **state) {
  (void)state;
  fixture f;
  rig *g = booted(&f, dynamic(), "abcdef");
  static const int32_t shutdowns[] = {300, 100, BYN_SHUTDOWN_INFINITY,
                                      200, 100, BYN_SHUTDOWN_KILL};
  for (int i = 0; i < 6; i++) {
    g->children[i].core.shutdown = shutdowns[i];
    g->children[i].hangs = HANGS;
  }
  stop(g);
  rig_expect(g, "-f f. xf -e -d -c -b -a");
  rig_stopped(g, &rig_at(g, 'c')->core);
  rig_run(g);
  rig_expect(g, "c. xc");
  rig_pass(g, 100);
  rig_expect(g, "*e e. xe *b b. xb");
  assert_int_equal(byn_restart_deadline(&g->machine), 200);
  rig_pass(g, 250);
  rig_expect(g, "*d d. xd *a a. xa end(asked)");
  close_rig(&f);
}

/* Many with many timeouts: each is killed on time, in order. */
static void many_children_are_killed_in_the_order_of_their_time(void **state) {
  (void)state;
  enum { MANY = 20000 };
  byn_test_alloc watch = {0};
  byn_alloc alloc = byn_test_allocator(&watch);
  byn_restart_flags flags = dynamic();
  byn_child *children = calloc(MANY, sizeof *children);
  byn_restart r;
  byn_restart_action a;
  byn_rng rng;
  byn_rng_seed(&rng, 7);
  byn_restart_init(&r, &alloc, &flags);
  for (int i = 0; i < MANY; i++) {
    children[i].shutdown = (int32_t)byn_rng_below(&rng, 1000);
    byn_restart_add(&r, &children[i]);
  }
  byn_restart_boot(&r);
  while (byn_restart_next(&r, &a))
    if (a.what == BYN_DO_START) byn_restart_started(&r, a.child);
  byn_restart_stop(&r);
  int kills = 0, forgotten = 0;
  for (int64_t now = 0; byn_restart_busy(&r) && now < 1000; now++) {
    byn_restart_time(&r, now);
    while (byn_restart_next(&r, &a)) {
      forgotten += a.what == BYN_DO_FORGET;
      if (a.what != BYN_DO_KILL) continue;
      kills++;
      assert_int_equal(a.child->shutdown, now);
      byn_restart_stopped(&r, a.child);
    }
  }
  assert_int_equal(kills, MANY);
  assert_int_equal(forgotten, MANY);
  byn_restart_clear(&r);
  byn_test_assert_clean(&watch);
  free(children);
}

/* --- short memory ----------------------------------------------------------
 */

static void a_busy_life(const byn_alloc *alloc, void *arg) {
  (void)arg;
  rig g;
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  byn_backoff b = {.min = 10, .max = 40, .factor = 3, .reset_after = 1000};
  flags.max_restarts = 10;
  rig_open(&g, alloc, &flags);
  for (char c = 'a'; c <= 'c'; c++)
    byn_restart_add(&g.machine, &rig_child_new(&g, c)->core);
  rig_at(&g, 'a')->core.backoff = &b;
  byn_restart_boot(&g.machine);
  rig_run(&g);
  for (int i = 0; i < 5; i++) {
    rig_exit(&g, 'a', false);
    rig_exit(&g, 'b', false);
    rig_pass(&g, 40);
    if (g.retries > 0) rig_retry(&g);
    assert_int_equal(g.machine.active, 3);
  }
  stop(&g);
  assert_true(g.ended);
  rig_close(&g);
}

static void short_memory_loses_no_child(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(a_busy_life, NULL) >= 3);
}

/* --- lists ---------------------------------------------------------------- */

enum { WALKS = BYN_CHILD_MARKS + 4, CROWD = 300, STAY = 3 };

/* A list that is taken in slices: where it is, and how often it has had each
 * child. */
typedef struct walk {
  uint64_t after, until;
  bool done;
  uint8_t seen[CROWD];
} walk;

typedef struct crowd {
  byn_restart machine;
  byn_child children[CROWD];
  bool there[CROWD];
  walk walks[WALKS];
} crowd;

static void come(crowd *w, int i) {
  w->children[i] = (byn_child){.shutdown = 100};
  w->there[i] = true;
  byn_restart_add(&w->machine, &w->children[i]);
}

static void go(crowd *w, int i) {
  assert_null(byn_restart_delete(&w->machine, &w->children[i]));
  w->there[i] = false;
}

/* The next `count` children of a list. */
static void take_slice(crowd *w, walk *k, int count) {
  const byn_child *c = byn_restart_after(&w->machine, k->after);
  const byn_child *last = NULL;
  for (; c && c->number <= k->until && count-- > 0; c = c->next) {
    k->seen[c - w->children]++;
    last = c;
  }
  k->done = !last || !c || c->number > k->until;
  if (k->done) return;
  byn_restart_mark(&w->machine, last);
  k->after = last->number;
}

static void come_or_go(crowd *w, byn_rng *rng) {
  int i = (int)byn_rng_below(rng, CROWD);
  if (i % STAY == 0) return;
  if (w->there[i])
    go(w, i);
  else
    come(w, i);
}

/* Many lists at once, while other children come and go. */
static void list_a_crowd(const byn_alloc *alloc, uint64_t seed) {
  static crowd w;
  byn_rng rng;
  int left = WALKS;
  byn_rng_seed(&rng, seed);
  memset(&w, 0, sizeof w);
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  byn_restart_init(&w.machine, alloc, &flags);
  for (int i = 0; i < CROWD; i++)
    come(&w, i);
  for (int k = 0; k < WALKS; k++)
    w.walks[k].until = w.machine.numbered;
  while (left > 0) {
    walk *k = &w.walks[byn_rng_below(&rng, WALKS)];
    for (uint64_t n = byn_rng_below(&rng, 40); n > 0; n--)
      come_or_go(&w, &rng);
    if (k->done) continue;
    take_slice(&w, k, 1 + (int)byn_rng_below(&rng, 20));
    if (k->done) left--;
  }
  for (int k = 0; k < WALKS; k++)
    for (int i = 0; i < CROWD; i++) {
      if (i % STAY == 0) assert_int_equal(w.walks[k].seen[i], 1);
      assert_true(w.walks[k].seen[i] <= 1);
    }
  byn_restart_clear(&w.machine);
}

static void a_list_in_slices_has_each_child_that_stays_once(void **state) {
  (void)state;
  byn_test_alloc watch = {0};
  byn_alloc alloc = byn_test_allocator(&watch);
  for (uint64_t seed = 1; seed <= 20; seed++)
    list_a_crowd(&alloc, seed);
  byn_test_assert_clean(&watch);
}

static void list_with(const byn_alloc *alloc, void *ud) {
  (void)ud;
  list_a_crowd(alloc, 1);
}

static void a_list_in_slices_needs_no_memory(void **state) {
  (void)state;
  assert_true(byn_test_each_failure(list_with, NULL) >= 1);
}

/* The list goes on where it was, however many have gone since. */
static void the_next_slice_begins_at_the_mark(void **state) {
  (void)state;
  static crowd w;
  byn_test_alloc watch = {0};
  byn_alloc alloc = byn_test_allocator(&watch);
  byn_restart_flags flags = usual(BYN_ONE_FOR_ONE);
  memset(&w, 0, sizeof w);
  byn_restart_init(&w.machine, &alloc, &flags);
  for (int i = 0; i < CROWD; i++)
    come(&w, i);
  w.walks[0].until = w.machine.numbered;
  take_slice(&w, &w.walks[0], 100);
  for (int i = 50; i < 150; i++)
    go(&w, i);
  assert_ptr_equal(w.machine.marks[0].next, &w.children[150]);
  assert_ptr_equal(byn_restart_after(&w.machine, w.walks[0].after),
                   &w.children[150]);
  for (int i = 150; i < CROWD; i++)
    go(&w, i);
  assert_null(byn_restart_after(&w.machine, w.walks[0].after));
  come(&w, 60);
  assert_ptr_equal(byn_restart_after(&w.machine, w.walks[0].after),
                   &w.children[60]);
  byn_restart_clear(&w.machine);
  byn_test_assert_clean(&watch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(children_start_in_order_and_stop_in_reverse),
      cmocka_unit_test(a_failed_boot_stops_those_that_had_started),
      cmocka_unit_test(an_empty_supervisor_boots_and_ends),
      cmocka_unit_test(a_child_that_ignores_is_kept_unless_temporary),
      cmocka_unit_test(a_child_that_hangs_is_killed_after_its_shutdown_time),
      cmocka_unit_test(infinity_waits_and_brutal_kill_does_not),
      cmocka_unit_test(a_shutdown_time_of_zero_kills_at_once),
      cmocka_unit_test(a_child_is_terminated_restarted_and_deleted),
      cmocka_unit_test(a_child_that_fails_to_start_is_forgotten),
      cmocka_unit_test(a_failed_restart_child_leaves_it_stopped),
      cmocka_unit_test(max_children_limits_the_children),
      cmocka_unit_test(the_restart_type_decides_who_is_restarted),
      cmocka_unit_test(too_many_restarts_end_the_supervisor),
      cmocka_unit_test(an_intensity_of_zero_allows_no_restart),
      cmocka_unit_test(a_failed_restart_is_tried_again_after_what_waits),
      cmocka_unit_test(terminating_a_child_cancels_its_retry),
      cmocka_unit_test(one_for_all_restarts_all_and_counts_one_restart),
      cmocka_unit_test(in_one_for_all_a_failed_restart_stops_those_before_it),
      cmocka_unit_test(rest_for_one_restarts_those_after_it),
      cmocka_unit_test(a_group_restart_takes_the_place_of_a_retry),
      cmocka_unit_test(auto_shutdown_any_ends_with_the_first_significant_child),
      cmocka_unit_test(auto_shutdown_all_ends_with_the_last_significant_child),
      cmocka_unit_test(terminating_a_significant_child_shuts_nothing_down),
      cmocka_unit_test(a_restart_backs_off_longer_each_time),
      cmocka_unit_test(a_back_off_counts_as_a_restart_when_it_begins),
      cmocka_unit_test(a_group_is_down_while_one_of_it_backs_off),
      cmocka_unit_test(stopping_ends_a_back_off),
      cmocka_unit_test(dynamic_children_that_end_are_forgotten),
      cmocka_unit_test(dynamic_children_stop_side_by_side),
      cmocka_unit_test(many_children_are_killed_in_the_order_of_their_time),
      cmocka_unit_test(short_memory_loses_no_child),
      cmocka_unit_test(a_list_in_slices_has_each_child_that_stays_once),
      cmocka_unit_test(a_list_in_slices_needs_no_memory),
      cmocka_unit_test(the_next_slice_begins_at_the_mark),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
