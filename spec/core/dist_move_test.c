/* Moving children: that one runs, with its state, whatever happens meanwhile.
 */
#define RIG_IDS 64
#include "dist_move_rig.h"

/* --- each phase with each fault ------------------------------------------- */

/* Of a move of CHILD from `host` to `target`, that `caller` asked for. */
typedef enum phase {
  WAITING, /* for another move of the host's */
  ASKING,
  HOLDING,
  STOPPING,
  GONE,     /* the process has ended, its state is on its way */
  ARRIVING, /* the next one starts */
  PHASES
} phase;

enum { CHILD = 0, BLOCKER = 1, NODES = 5 };

typedef struct move {
  int host, target, caller, other;
  int request, second; /* second: -1, or another move of it */
  phase at;
  rig_process *was; /* before the move */
  bool ends;        /* it is to be gone */
  bool separates;   /* two may run for a while */
  bool loses;       /* the host is lost, and what it alone had */
  bool crashes;     /* the process ended by itself */
  bool refused;     /* it is to stay */
} move;

static phase phase_of(const rig *r, const move *m) {
  const byn_run *run = run_on(r, m->host, CHILD);
  if (run && run->gone) return GONE;
  if (run && run->move) return (phase)run->move->state;
  for (int p = 0; p < r->process_count; p++)
    if (r->processes[p].id == CHILD && r->processes[p].state == RIG_STARTING)
      return ARRIVING;
  return PHASES;
}

static void prepare(rig *r, move *m, phase at, uint64_t seed) {
  seeded_rig(r, NODES, seed);
  r->start_ms = r->stop_ms = 60;
  r->least_ms = 2;
  *m = (move){
      .at = at, .second = -1, .host = 1, .target = 2, .caller = 3, .other = 4};
  if (at == WAITING) r->config.start_concurrency = 1;
  for (int i = 0; i < NODES; i++) {
    byn_dist_config c = r->config;
    byn_dist_configure(r->nodes[i].d, &c);
  }
  start_on(r, CHILD, m->host, 0, true);
  start_on(r, BLOCKER, m->host, 0, true);
  write_ok(r, CHILD, "old");
  m->was = process_of(r, CHILD);
  m->was->hands = "new";
}

static void begin_move(rig *r, move *m, phase at, uint64_t seed) {
  prepare(r, m, at, seed);
  if (at == WAITING) {
    rig_move(r, m->host, BLOCKER, m->other);
    for (int ms = 0; ms < 200; ms++) {
      rig_run(r, 1);
      for (int p = 0; p < r->process_count; p++)
        if (r->processes[p].id == BLOCKER &&
            r->processes[p].state == RIG_STOPPING)
          r->processes[p].due = r->now + 1500;
    }
  }
  m->request = rig_move(r, m->caller, CHILD, m->target);
  for (int ms = 0; ms < 500 && phase_of(r, m) != at; ms++)
    run_watched(r, CHILD, 1);
  RIG_HOLDS(r, phase_of(r, m) == at);
}

static void nothing(rig *r, move *m) {
  (void)r;
  (void)m;
}

static void kill_target(rig *r, move *m) {
  rig_kill(r, m->target);
  m->refused = m->at < STOPPING;
}

static void target_leaves(rig *r, move *m) {
  rig_leave(r, m->target);
  m->refused = m->at < STOPPING;
}

static void target_drains(rig *r, move *m) {
  rig_drain_node(r, m->target, true);
  m->refused = m->at < STOPPING;
}

static void target_detaches(rig *r, move *m) {
  rig_detach(r, m->target);
  run_watched(r, CHILD, 300);
  rig_attach(r, m->target);
}

static void target_is_away(rig *r, move *m) {
  m->separates = m->at >= GONE; /* nobody hears of what begins there */
  rig_detach(r, m->target);
  rig_run(r, 9000);
  rig_attach(r, m->target);
}

static void target_is_cut_off(rig *r, move *m) {
  m->separates = true; /* what begins there is not seen */
  for (int i = 0; i < NODES; i++)
    if (i != m->target) rig_cut(r, m->target, i);
  rig_run(r, 9000);
  for (int i = 0; i < NODES; i++)
    rig_mend(r, m->target, i);
}

static void host_loses_target(rig *r, move *m) {
  rig_cut(r, m->host, m->target);
  run_watched(r, CHILD, 4000);
  rig_mend(r, m->host, m->target);
}

/* The link does not say that it is cut. */
static void target_is_silent(rig *r, move *m) {
  r->late_ms[m->target][m->host] = 14000;
  run_watched(r, CHILD, 15000);
  r->late_ms[m->target][m->host] = 0;
}

static void other_is_silent(rig *r, move *m) {
  r->late_ms[m->other][m->host] = 14000;
  run_watched(r, CHILD, 15000);
  r->late_ms[m->other][m->host] = 0;
}

static void kill_host(rig *r, move *m) {
  rig_kill(r, m->host);
  m->loses = true;
}

static void host_leaves(rig *r, move *m) {
  rig_leave(r, m->host);
}

static void host_drains(rig *r, move *m) {
  rig_drain_node(r, m->host, true);
}

static void host_drains_and_not(rig *r, move *m) {
  rig_drain_node(r, m->host, true);
  run_watched(r, CHILD, 2);
  rig_undrain(r, m->host);
}

static void host_detaches(rig *r, move *m) {
  rig_detach(r, m->host);
  run_watched(r, CHILD, 300);
  rig_attach(r, m->host);
}

static void host_is_cut_off(rig *r, move *m) {
  m->separates = m->loses = true;
  for (int i = 0; i < NODES; i++)
    if (i != m->host) rig_cut(r, m->host, i);
  rig_run(r, 9000);
  for (int i = 0; i < NODES; i++)
    rig_mend(r, m->host, i);
}

static void host_sleeps(rig *r, move *m) {
  rig_gap(r, m->host, 7000);
}

static void kill_caller(rig *r, move *m) {
  rig_kill(r, m->caller);
}

static void caller_detaches(rig *r, move *m) {
  rig_detach(r, m->caller);
  run_watched(r, CHILD, 300);
  rig_attach(r, m->caller);
}

static void other_detaches(rig *r, move *m) {
  rig_detach(r, m->other);
  run_watched(r, CHILD, 300);
  rig_attach(r, m->other);
}

static void other_joins(rig *r, move *m) {
  rig_kill(r, m->other);
  rig_boot(r, m->other);
}

static void terminate(rig *r, move *m) {
  m->second = rig_terminate(r, m->other, CHILD);
  m->ends = true;
}

static void crash_process(rig *r, move *m) {
  if (m->was->state == RIG_GONE) return;
  m->crashes = true;
  rig_end(r, m->was, false, "crash");
}

static void move_elsewhere(rig *r, move *m) {
  m->second = rig_move(r, m->other, CHILD, m->other);
}

static void move_back(rig *r, move *m) {
  m->second = rig_move(r, m->other, CHILD, m->host);
}

static void (*const faults[])(rig *, move *) = {
    nothing,          kill_target,         target_leaves,     target_drains,
    target_detaches,  target_is_away,      target_is_cut_off, host_loses_target,
    target_is_silent, other_is_silent,     kill_host,         host_leaves,
    host_drains,      host_drains_and_not, host_detaches,     host_is_cut_off,
    host_sleeps,      kill_caller,         caller_detaches,   other_detaches,
    other_joins,      terminate,           crash_process,     move_elsewhere,
    move_back};

/* What its process was given, if it is another, is what the one before left. */
static void assert_newest(rig *r, const move *m, const rig_process *p) {
  if (p == m->was) return;
  bool fell_back = m->loses || m->crashes || m->separates;
  if (!strcmp(p->given, "new")) return;
  if (fell_back && !strcmp(p->given, "old")) return;
  fail_msg("%d ms: it was given \"%s\"", (int)r->now, p->given);
}

static void play(phase at, void (*fault)(rig *, move *), uint64_t seed) {
  rig r;
  move m;
  begin_move(&r, &m, at, seed);
  fault(&r, &m);
  for (int ms = 0; ms < 30000; ms += 500) {
    if (m.separates)
      rig_run(&r, 500);
    else
      run_watched(&r, CHILD, 500);
    for (int i = 0; i < NODES; i++)
      if (r.nodes[i].left) rig_kill(&r, i);
  }
  if (m.ends)
    RIG_HOLDS(&r, alive(&r, CHILD) == 0);
  else
    assert_newest(&r, &m, process_of(&r, CHILD));
  assert_at_rest(&r);
  rig_request *asked = &r.requests[m.request];
  bool forgotten = fault == kill_caller || fault == caller_detaches;
  RIG_HOLDS(&r, asked->answered || forgotten);
  if (fault == nothing) RIG_HOLDS(&r, asked->code == BYN_DIST_OK);
  if (m.second >= 0) rig_assert_answer(&r, m.second, BYN_DIST_OK);
  if (m.refused) {
    RIG_HOLDS(&r, asked->code != BYN_DIST_OK);
    RIG_HOLDS(&r, process_of(&r, CHILD) == m.was);
  }
  rig_free(&r);
}

static void survives_each_fault_in_each_phase(void **state) {
  (void)state;
  const char *one = getenv("BYN_SEED");
  uint64_t rounds = byn_test_plays(1000) < 1000 ? 1 : 3; /* of all pairs */
  enum { FAULTS = sizeof faults / sizeof *faults };
  uint64_t first = one ? strtoull(one, NULL, 10) : 0;
  uint64_t last = one ? first + 1 : rounds * FAULTS * PHASES;
  for (uint64_t seed = first; seed < last; seed++)
    play((phase)(seed % PHASES), faults[seed / PHASES % FAULTS], seed);
}

/* Whatever found no memory: one process runs, with one of its states. */
static void survives_each_failed_allocation(void **state) {
  (void)state;
  bool failed = true;
  for (uint64_t nth = 1; failed; nth++) {
    const char *one = getenv("BYN_SEED");
    if (one) nth = strtoull(one, NULL, 10);
    rig r;
    move m;
    prepare(&r, &m, ASKING, nth);
    byn_test_fail_nth(&r.memory, nth);
    m.request = rig_move(&r, m.caller, CHILD, m.target);
    run_watched(&r, CHILD, 1000);
    failed = r.memory.failed > 0;
    byn_test_fail_nth(&r.memory, 0);
    run_watched(&r, CHILD, 20000);
    m.loses = failed;
    assert_newest(&r, &m, process_of(&r, CHILD));
    assert_at_rest(&r);
    RIG_HOLDS(&r, r.requests[m.request].answered);
    rig_free(&r);
    failed &= !one;
  }
}

/* --- without a fault ------------------------------------------------------ */

static void moves_with_its_state(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3);
  rig_start_all(&r, 8);
  for (int id = 0; id < 8; id++) {
    rig_process *p = process_of(&r, id);
    int to = (p->node + 1) % 3;
    p->hands = "score";
    int request = rig_move(&r, (p->node + 2) % 3, id, to);
    run_watched(&r, id, 500);
    rig_assert_answer(&r, request, BYN_DIST_OK);
    assert_int_equal(p->asked, BYN_DIST_HANDOFF_MOVE);
    p = process_of(&r, id);
    assert_int_equal(p->node, to);
    assert_string_equal(p->given, "score");
    assert_true(p->handed);
    assert_string_equal(r.requests[request].pid, p->pid);
  }
  assert_at_rest(&r);
  rig_free(&r);
}

/* --- one thing at a time -------------------------------------------------- */

static void expect_stay(rig *r, int id, int request, byn_dist_code code,
                        const rig_process *was) {
  rig_assert_answer(r, request, code);
  RIG_HOLDS(r, process_of(r, id) == was);
  assert_at_rest(r);
}

static void stays_where_its_target_refuses(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 4);
  start_on(&r, 0, 1, 0, true);
  const rig_process *was = process_of(&r, 0);
  r.refusing_node = 2;
  int request = rig_move(&r, 3, 0, 2);
  run_watched(&r, 0, 500);
  expect_stay(&r, 0, request, BYN_DIST_REFUSED, was);
  assert_string_equal(r.requests[request].reason, "sorry");
  rig_time(&r, 2);
  byn_dist_set_hosts(r.nodes[2].d, false);
  rig_drain(&r, 2);
  run_watched(&r, 0, 500);
  request = rig_move(&r, 3, 0, 2);
  run_watched(&r, 0, 500);
  expect_stay(&r, 0, request, BYN_DIST_NOT_A_MEMBER, was);
  request = rig_move(&r, 3, 0, 9);
  run_watched(&r, 0, 500);
  expect_stay(&r, 0, request, BYN_DIST_NOCONNECTION, was);
  rig_free(&r);
}

/* Where a node that refused it once would take it now, it goes there. */
static void goes_to_a_node_that_refused_it_once(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 4);
  start_on(&r, 0, 1, 0, true);
  r.refusing_node = 2;
  rig_move(&r, 3, 0, 2);
  run_watched(&r, 0, 500);
  r.refusing_node = -1;
  int request = rig_move(&r, 3, 0, 2);
  run_watched(&r, 0, 500);
  rig_assert_answer(&r, request, BYN_DIST_OK);
  assert_int_equal(process_of(&r, 0)->node, 2);
  assert_at_rest(&r);
  rig_free(&r);
}

static void stays_where_its_target_has_no_room(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3);
  start_on(&r, 0, 1, 0, true);
  start_on(&r, 1, 2, 0, true);
  byn_dist_config c = r.config;
  c.max_children = 1;
  byn_dist_configure(r.nodes[2].d, &c);
  const rig_process *was = process_of(&r, 0);
  int request = rig_move(&r, 0, 0, 2);
  run_watched(&r, 0, 500);
  expect_stay(&r, 0, request, BYN_DIST_NO_ROOM, was);
  rig_terminate(&r, 0, 1);
  run_watched(&r, 0, 2000);
  request = rig_move(&r, 0, 0, 2);
  run_watched(&r, 0, 500);
  rig_assert_answer(&r, request, BYN_DIST_OK);
  assert_int_equal(process_of(&r, 0)->node, 2);
  rig_free(&r);
}

static void goes_on_where_its_handoff_fails(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3);
  start_on(&r, 0, 1, 0, true);
  write_ok(&r, 0, "old");
  rig_process *was = process_of(&r, 0);
  was->clings = true;
  int request = rig_move(&r, 0, 0, 2);
  run_watched(&r, 0, 1000);
  expect_stay(&r, 0, request, BYN_DIST_HANDOFF_FAILED, was);
  rig_drain_node(&r, 1, true); /* there it is stopped all the same */
  run_watched(&r, 0, 1000);
  assert_int_equal(was->asked, BYN_DIST_HANDOFF_DRAIN);
  assert_int_not_equal(process_of(&r, 0)->node, 1);
  assert_string_equal(process_of(&r, 0)->given, "old");
  was = process_of(&r, 0);
  was->clings = true;
  rig_leave(&r, was->node);
  run_watched(&r, 0, 2000);
  assert_int_equal(was->asked, BYN_DIST_HANDOFF_LEAVE);
  assert_string_equal(process_of(&r, 0)->given, "old");
  assert_at_rest(&r);
  rig_free(&r);
}

/* Two that are asked for at once are one after the other; of two that one node
 * or the other asked for first, the later counts. */
static void two_moves_at_once_end_at_one_node(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= byn_test_plays(40); seed++) {
    rig r;
    seeded_rig(&r, 5, seed);
    start_on(&r, 0, 1, 0, true);
    process_of(&r, 0)->hands = "new";
    bool apart = seed % 2;
    int one = rig_move(&r, 3, 0, 2);
    run_watched(&r, 0, apart);
    int other = rig_move(&r, 4, 0, 4);
    run_watched(&r, 0, 3000);
    rig_assert_answer(&r, one, BYN_DIST_OK);
    rig_assert_answer(&r, other, BYN_DIST_OK);
    uint32_t starts = rig_starts(&r);
    RIG_HOLDS(&r, starts <= 3);
    int node = process_of(&r, 0)->node;
    assert_true(node == 4 || (node == 2 && !apart));
    run_watched(&r, 0, 20000);
    RIG_HOLDS(&r, rig_starts(&r) == starts);
    assert_at_rest(&r);
    rig_free(&r);
  }
}

/* A coordinator that is away does not hear that messages are to be held, and
 * the processes of its node go on to send. */
static void waits_for_a_coordinator_that_is_away(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 4);
  start_on(&r, 0, 1, 0, true);
  const rig_process *was = process_of(&r, 0);
  rig_detach(&r, 3);
  int request = rig_move(&r, 0, 0, 2);
  run_watched(&r, 0, 1000);
  assert_int_equal(was->state, RIG_RUNNING);
  assert_false(r.requests[request].answered);
  rig_attach(&r, 3);
  run_watched(&r, 0, 1000);
  rig_assert_answer(&r, request, BYN_DIST_OK);
  assert_at_rest(&r);
  rig_free(&r);
}

/* Nodes come back to each other while moves are under way: what they show and
 * what they were told are checked in each order (rig_check_barrier). */
static void waits_for_nodes_that_come_back(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= byn_test_plays(60); seed++) {
    rig r;
    seeded_rig(&r, 4, seed);
    r.delay_ms = 30;
    start_on(&r, 0, 1, 0, true);
    bool cuts = seed % 2;
    for (int round = 0; round < 10; round++) {
      int from = process_of(&r, 0)->node, to = (from + 1) % 4;
      int third = (from + 2) % 4;
      if (cuts)
        rig_cut(&r, from, third);
      else
        rig_detach(&r, third);
      rig_run(&r, 100 + rig_some(&r, 1000));
      if (cuts)
        rig_mend(&r, from, third);
      else
        rig_attach(&r, third);
      rig_run(&r, rig_some(&r, 150));
      int request = rig_move(&r, to, 0, to);
      run_watched(&r, 0, 4000);
      rig_assert_answer(&r, request, BYN_DIST_OK);
    }
    assert_at_rest(&r);
    rig_free(&r);
  }
}

/* A temporary child moves, and ends with the node that it was moved to. */
static void a_temporary_child_moves_and_ends(void **state) {
  (void)state;
  for (int proven = 0; proven < 2; proven++) {
    rig r;
    new_rig(&r, 4);
    start_on(&r, 0, 1, BYN_DIST_TEMPORARY, true);
    process_of(&r, 0)->hands = "new";
    int request = rig_move(&r, 3, 0, 2);
    run_watched(&r, 0, 500);
    rig_assert_answer(&r, request, BYN_DIST_OK);
    assert_string_equal(process_of(&r, 0)->given, "new");
    for (int i = 0; i < 4 && !proven; i++)
      if (i != 2) rig_cut(&r, 2, i);
    rig_kill(&r, 2);
    for (int i = 0; i < 4; i++)
      rig_mend(&r, 2, i);
    rig_run(&r, 10000);
    assert_int_equal(alive(&r, 0), 0);
    rig_boot(&r, 2);
    rig_run(&r, 5000);
    assert_int_equal(alive(&r, 0), 0);
    assert_at_rest(&r);
    rig_free(&r);
  }
}

/* A process is not stopped to be moved while another of the child is known. */
static void watch_rivals(rig *r, const rig_process *was, int64_t ms) {
  for (; ms > 0; ms--) {
    bool ran = was->state == RIG_RUNNING, rivals = false;
    const byn_run *run = run_on(r, was->node, 0);
    const byn_generation *g = run ? run->place->generations : NULL;
    for (; g; g = g->next)
      for (const byn_register *x = g->registers; x; x = x->next)
        rivals |= x->state == BYN_REGISTER_RUNNING && !x->host->gone &&
                  x->host != r->nodes[was->node].d->self;
    rig_run(r, 1);
    bool moves =
        was->state == RIG_STOPPING && was->asked == BYN_DIST_HANDOFF_MOVE;
    RIG_HOLDS(r, !(ran && rivals && moves));
  }
}

static void moves_after_two_copies_met(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < byn_test_plays(100); seed++) {
    rig r;
    seeded_rig(&r, 5, seed);
    r.delay_ms = 40;
    start_on(&r, 0, 1, 0, true);
    write_ok(&r, 0, "old");
    rig_process *was = process_of(&r, 0);
    for (int i = 0; i < 2; i++)
      for (int j = 2; j < 5; j++)
        rig_cut(&r, i, j);
    rig_run(&r, 9000);
    RIG_HOLDS(&r, alive(&r, 0) == 2);
    for (int i = 0; i < 2; i++)
      for (int j = 2; j < 5; j++)
        rig_mend(&r, i, j);
    watch_rivals(&r, was, 2 * (int64_t)seed);
    rig_move(&r, 0, 0, 0);
    watch_rivals(&r, was, 500);
    rig_run(&r, 20000);
    process_of(&r, 0);
    assert_at_rest(&r);
    rig_free(&r);
  }
}

/* --- leaving -------------------------------------------------------------- */

static void two_leave_side_by_side(void **state) {
  (void)state;
  for (int ms = 0; ms < 60; ms += 4) {
    rig r;
    new_rig(&r, 4);
    rig_start_all(&r, 40);
    for (int id = 0; id < 40; id++)
      process_of(&r, id)->hands = "new";
    rig_leave(&r, 0);
    rig_run(&r, ms);
    rig_leave(&r, 1);
    rig_run(&r, 5000);
    assert_true(r.nodes[0].left && r.nodes[1].left);
    rig_assert_all_run(&r, 40);
    for (int id = 0; id < 40; id++) {
      const rig_process *p = process_of(&r, id);
      assert_true(p->node >= 2 && (p->hands || !strcmp(p->given, "new")));
    }
    assert_at_rest(&r);
    rig_free(&r);
  }
}

/* Its targets are lost one after the other. It is not kept by that for longer
 * than handoff_ms: it is stopped then, and anybody's. */
static void leaves_though_its_targets_are_lost(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 5);
  start_on(&r, 0, 1, 0, true);
  process_of(&r, 0)->hands = "new";
  byn_dist_config c = r.config;
  c.handoff_ms = 1500;
  byn_dist_configure(r.nodes[1].d, &c);
  r.hanging = true; /* nobody answers */
  rig_leave(&r, 1);
  for (int lost = 0; lost < 2; lost++) {
    rig_run(&r, lost == 0 ? 600 : 1300);
    const byn_run *run = run_on(&r, 1, 0);
    RIG_HOLDS(&r, run && run->move && run->move->to.at);
    rig_kill(&r, rig_index((const char *)run->move->to.at));
  }
  r.hanging = false;
  rig_run(&r, 9000);
  assert_true(r.nodes[1].left);
  assert_string_equal(process_of(&r, 0)->given, "new");
  assert_at_rest(&r);
  rig_free(&r);
}

static void moves_where_nobody_else_holds_its_state(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 17, 3);
  r.config.replicas = 1;
  for (int i = 0; i < 3; i++)
    rig_boot(&r, i);
  rig_run(&r, 500);
  start_on(&r, 0, 1, 0, true);
  process_of(&r, 0)->hands = "new";
  int request = rig_move(&r, 0, 0, 2);
  run_watched(&r, 0, 1000);
  rig_assert_answer(&r, request, BYN_DIST_OK);
  assert_string_equal(process_of(&r, 0)->given, "new");
  rig_leave(&r, 2);
  run_watched(&r, 0, 3000);
  assert_string_equal(process_of(&r, 0)->given, "new");
  assert_at_rest(&r);
  rig_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(survives_each_fault_in_each_phase),
      cmocka_unit_test(survives_each_failed_allocation),
      cmocka_unit_test(moves_with_its_state),
      cmocka_unit_test(stays_where_its_target_refuses),
      cmocka_unit_test(goes_to_a_node_that_refused_it_once),
      cmocka_unit_test(stays_where_its_target_has_no_room),
      cmocka_unit_test(goes_on_where_its_handoff_fails),
      cmocka_unit_test(two_moves_at_once_end_at_one_node),
      cmocka_unit_test(waits_for_a_coordinator_that_is_away),
      cmocka_unit_test(waits_for_nodes_that_come_back),
      cmocka_unit_test(a_temporary_child_moves_and_ends),
      cmocka_unit_test(moves_after_two_copies_met),
      cmocka_unit_test(two_leave_side_by_side),
      cmocka_unit_test(leaves_though_its_targets_are_lost),
      cmocka_unit_test(moves_where_nobody_else_holds_its_state),
  };
  return cmocka_run_group_tests_name("dist move", tests, NULL, NULL);
}
