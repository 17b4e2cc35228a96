/* Nodes with mode = "quorum": who runs children, and when. Times are short:
 * what must hold does not depend on their length.
 */
#include "../../csrc/core/dist/parts.h"
#include "dist_rig.h"

enum { HEARTBEAT = 200, DOWN = 1000, STOP = 600, IDS = 20 };
/* Two clocks that are wrong by 1 % each, and the margin. */
enum { WAIT = (DOWN + STOP) + (DOWN + STOP) * 21 / 1000 + 1 + HEARTBEAT };

static rig the_rig;

static rig *begin(uint64_t seed, int count, uint32_t needed) {
  rig *r = &the_rig;
  rig_init(r, seed, count);
  r->config.heartbeat_ms = HEARTBEAT;
  r->config.down_after_ms = DOWN;
  r->config.quorum_stop_ms = STOP;
  r->config.backoff.max = 500;
  if (needed) {
    r->config.quorum_needed = needed;
  } else {
    r->config.quorum_nodes = rig_names;
    r->config.quorum_count = (uint32_t)count;
  }
  return r;
}

static void boot_all(rig *r) {
  for (int i = 0; i < r->count; i++)
    rig_boot(r, i);
}

static byn_dist_quorum quorum_of(const rig *r, int i) {
  byn_dist_quorum q;
  byn_dist_quorum_of(r->nodes[i].d, &q);
  return q;
}

static bool runs(const rig *r, int i) {
  return quorum_of(r, i).runs;
}

/* Those that live and have children. */
static rig *together(int count) {
  rig *r = begin(7, count, 0);
  boot_all(r);
  rig_run(r, 500);
  for (int i = 0; i < count; i++)
    assert_true(runs(r, i));
  rig_start_all(r, IDS);
  return r;
}

static int processes_on(const rig *r, int i) {
  int count = 0;
  for (int p = 0; p < r->process_count; p++)
    count += r->processes[p].node == i && r->processes[p].state != RIG_GONE;
  return count;
}

/* Processes of a child, on whatever node, which does not stand still. */
static int copies(const rig *r, int id) {
  int count = 0;
  for (int p = 0; p < r->process_count; p++)
    count += r->processes[p].id == id && r->processes[p].state != RIG_GONE &&
             !rig_stands(r, r->processes[p].node);
  return count;
}

static void check_copies(rig *r, int ids) {
  for (int id = 0; id < ids; id++)
    if (copies(r, id) > 1)
      fail_msg("seed %" PRIu64 ", %" PRId64 " ms: %d copies of %d", r->seed,
               r->now, copies(r, id), id);
}

/* rig_run, where no child may have two processes at any time. */
static void run_checked(rig *r, int64_t ms, int ids) {
  int64_t until = r->now + ms;
  while (r->now < until) {
    rig_step(r);
    check_copies(r, ids);
    int64_t next = rig_next(r);
    r->now = next < until ? next : until;
  }
  rig_step(r);
  check_copies(r, ids);
}

/* Nodes below `side` and the others do not reach each other. */
static void divide(rig *r, int side) {
  for (int i = 0; i < side; i++)
    for (int j = side; j < r->count; j++)
      rig_cut(r, i, j);
}

static void mend_all(rig *r) {
  memset(r->mute, 0, sizeof r->mute);
  memset(r->late_ms, 0, sizeof r->late_ms);
  for (int i = 0; i < r->count; i++)
    for (int j = i + 1; j < r->count; j++)
      rig_mend(r, i, j);
}

/* --- the beginning -------------------------------------------------------- */

static void all_of_a_list(void **state) {
  (void)state;
  rig *r = begin(1, 3, 0);
  boot_all(r);
  rig_run(r, 500);
  for (int i = 0; i < 3; i++) {
    byn_dist_quorum q = quorum_of(r, i);
    assert_true(q.on && q.runs && q.seen);
    assert_int_equal(q.nodes, 3);
    assert_int_equal(q.needed, 2);
    assert_int_equal(r->nodes[i].lost + r->nodes[i].regained, 0);
  }
  rig_free(r);
}

/* Earlier lives of them may have answered one that is not there. */
static void as_many_as_are_needed(void **state) {
  (void)state;
  rig *r = begin(1, 2, 2);
  boot_all(r);
  int start = rig_start(r, 0, 1, 0);
  run_checked(r, WAIT - 100, 2);
  assert_true(quorum_of(r, 0).seen && !runs(r, 0) && !runs(r, 1));
  assert_false(byn_dist_is_ready(r->nodes[0].d));
  assert_false(r->requests[start].answered);
  run_checked(r, 1000, 2);
  assert_true(runs(r, 0) && runs(r, 1));
  rig_assert_answer(r, start, BYN_DIST_OK);
  rig_free(r);
}

/* One that joins need not wait: those that are there know. */
static void one_that_joins(void **state) {
  (void)state;
  rig *r = begin(1, 4, 2);
  for (int i = 0; i < 3; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  for (int i = 0; i < 3; i++)
    assert_true(runs(r, i));
  rig_boot(r, 3);
  rig_run(r, 100);
  assert_true(runs(r, 3));
  rig_free(r);
}

static void alone(void **state) {
  (void)state;
  rig *r = begin(1, 3, 0);
  rig_boot(r, 0);
  int early = rig_start(r, 0, 1, 0);
  rig_run(r, DOWN - 100);
  assert_false(r->requests[early].answered);
  assert_int_equal(r->nodes[0].lost, 0);
  rig_run(r, 300);
  rig_assert_answer(r, early, BYN_DIST_NO_QUORUM);
  assert_int_equal(r->nodes[0].lost, 1);
  int late = rig_start(r, 0, 2, BYN_DIST_ENSURE);
  rig_run(r, 20);
  rig_assert_answer(r, late, BYN_DIST_NO_QUORUM);
  assert_true(byn_dist_lacks_quorum(r->nodes[0].d));
  assert_true(byn_dist_is_ready(r->nodes[0].d));
  assert_false(quorum_of(r, 0).seen);
  assert_int_equal(rig_starts(r), 0);
  rig_boot(r, 1);
  rig_boot(r, 2);
  rig_run(r, 500);
  assert_int_equal(r->nodes[0].regained, 1);
  int there = rig_start(r, 0, 1, 0);
  rig_run(r, 500);
  rig_assert_answer(r, there, BYN_DIST_OK);
  rig_free(r);
}

/* --- splits --------------------------------------------------------------- */

static void minority(void **state) {
  (void)state;
  for (int side = 1; side <= 2; side++) {
    rig *r = together(5);
    r->stop_ms = 1000000; /* they do not stop by themselves */
    int before = processes_on(r, 0);
    assert_true(before > 0);
    divide(r, side);
    int64_t cut_at = r->now;
    run_checked(r, DOWN - HEARTBEAT - 50, IDS);
    assert_int_equal(processes_on(r, 0), before);
    run_checked(r, cut_at + DOWN + STOP + 50 - r->now, IDS);
    for (int i = 0; i < side; i++) {
      assert_int_equal(processes_on(r, i), 0);
      assert_int_equal(r->nodes[i].lost, 1);
      assert_false(runs(r, i));
    }
    uint32_t starts = rig_starts(r);
    run_checked(r, cut_at + WAIT - 50 - HEARTBEAT - r->now, IDS);
    assert_int_equal(rig_starts(r), starts);
    run_checked(r, 3000, IDS);
    for (int id = 0; id < IDS; id++)
      assert_int_equal(copies(r, id), 1);
    int there = rig_start(r, 4, 100, 0), here = rig_start(r, 0, 101, 0);
    run_checked(r, 500, IDS);
    rig_assert_answer(r, there, BYN_DIST_OK);
    rig_assert_answer(r, here, BYN_DIST_NO_QUORUM);
    mend_all(r);
    run_checked(r, 2000, IDS);
    rig_assert_all_run(r, IDS);
    assert_int_equal(r->nodes[0].regained, 1);
    assert_int_equal(r->nodes[4].lost, 0);
    rig_free(r);
  }
}

/* Two of the three sides are single nodes; or none has the quorum. */
static void three_sides(void **state) {
  (void)state;
  rig *r = together(5);
  divide(r, 1);
  for (int j = 2; j < 5; j++)
    rig_cut(r, 1, j);
  run_checked(r, 10000, IDS);
  for (int id = 0; id < IDS; id++)
    assert_int_equal(copies(r, id), 1);
  assert_int_equal(processes_on(r, 0) + processes_on(r, 1), 0);
  rig_cut(r, 2, 3);
  rig_cut(r, 2, 4);
  run_checked(r, 10000, IDS);
  for (int i = 0; i < 5; i++)
    assert_int_equal(processes_on(r, i), 0);
  mend_all(r);
  run_checked(r, 3000, IDS);
  rig_assert_all_run(r, IDS);
  rig_free(r);
}

static void bridge(void **state) {
  (void)state;
  rig *r = together(5);
  for (int i = 0; i < 2; i++)
    for (int j = 3; j < 5; j++)
      rig_cut(r, i, j);
  uint32_t starts = rig_starts(r);
  run_checked(r, 20000, IDS);
  assert_int_equal(rig_starts(r), starts);
  for (int i = 0; i < 5; i++)
    assert_true(runs(r, i));
  mend_all(r);
  run_checked(r, 2000, IDS);
  rig_assert_all_run(r, IDS);
  rig_free(r);
}

/* What it hears is not heard of it: it has no answer. */
static void one_way(void **state) {
  (void)state;
  for (int out = 0; out < 2; out++) {
    rig *r = together(3);
    for (int j = 1; j < 3; j++)
      r->mute[out ? 0 : j][out ? j : 0] = true;
    run_checked(r, DOWN + STOP + 50, IDS);
    assert_int_equal(processes_on(r, 0), 0);
    assert_false(runs(r, 0));
    assert_true(runs(r, 1) && runs(r, 2));
    divide(r, 1);
    run_checked(r, 3000, IDS);
    for (int id = 0; id < IDS; id++)
      assert_int_equal(copies(r, id), 1);
    mend_all(r);
    run_checked(r, 3000, IDS);
    rig_assert_all_run(r, IDS);
    rig_free(r);
  }
}

/* An answer counts from when it was asked for, however late it comes. */
static void late_answers(void **state) {
  (void)state;
  rig *r = together(3);
  r->stop_ms = 1000000;
  for (int j = 1; j < 3; j++)
    r->late_ms[j][0] = DOWN - HEARTBEAT - 50;
  run_checked(r, 5000, IDS);
  assert_true(runs(r, 0) && processes_on(r, 0) > 0);
  for (int j = 1; j < 3; j++)
    r->mute[0][j] = true;
  run_checked(r, DOWN + STOP + 50, IDS);
  assert_int_equal(processes_on(r, 0), 0);
  rig_free(r);
}

/* Again and again, for a shorter time than it takes to be missed. */
static void flapping(void **state) {
  (void)state;
  rig *r = together(3);
  uint32_t starts = rig_starts(r);
  for (int n = 0; n < 20; n++) {
    divide(r, 1);
    run_checked(r, DOWN / 2, IDS);
    mend_all(r);
    run_checked(r, DOWN / 2, IDS);
  }
  assert_int_equal(rig_starts(r), starts);
  assert_int_equal(r->nodes[0].lost, 0);
  for (int n = 0; n < 20; n++) {
    divide(r, 1);
    run_checked(r, DOWN + 100 * n, IDS);
    mend_all(r);
    run_checked(r, 100 * n, IDS);
  }
  run_checked(r, 3000, IDS);
  rig_assert_all_run(r, IDS);
  rig_free(r);
}

/* There are six, so each side of three sees as many as are needed. Those that
 * gain the quorum then do not know what the others do. */
static void joins_a_minority(void **state) {
  (void)state;
  rig *r = begin(7, 6, 3);
  for (int i = 0; i < 5; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  divide(r, 2);
  for (int j = 2; j < 5; j++)
    rig_cut(r, 5, j);
  run_checked(r, 5000, IDS);
  rig_mend(r, 5, 0);
  rig_mend(r, 5, 1);
  rig_boot(r, 5);
  run_checked(r, WAIT - 100, IDS);
  assert_true(quorum_of(r, 0).seen);
  assert_false(runs(r, 0) || runs(r, 5));
  mend_all(r);
  run_checked(r, 1000, IDS);
  for (int i = 0; i < 6; i++)
    assert_true(runs(r, i));
  rig_free(r);
}

/* Nodes 1 and 2 do not reach each other, and 2 does not know of 1 when node 0,
 * which had just begun, has met both. */
static void told_of_another(void **state) {
  (void)state;
  rig *r = begin(7, 3, 0);
  boot_all(r);
  rig_run(r, 500);
  rig_cut(r, 1, 2);
  rig_cut(r, 0, 1);
  rig_kill(r, 2);
  rig_kill(r, 0);
  rig_boot(r, 0);
  rig_boot(r, 2);
  rig_run(r, 100);
  rig_mend(r, 0, 1);
  for (int ms = 0; ms < 2 * WAIT; ms++) {
    run_checked(r, 1, IDS);
    assert_false(runs(r, 2));
    assert_true(runs(r, 1));
  }
  assert_true(runs(r, 0) && quorum_of(r, 2).seen);
  rig_mend(r, 1, 2);
  rig_run(r, 500);
  assert_true(runs(r, 2));
  rig_free(r);
}

/* Node 0 had given 3 up. That has the quorum now, and 0 does not reach it. */
static void judged_anew(void **state) {
  (void)state;
  rig *r = together(5);
  for (int i = 0; i < 3; i++)
    for (int j = 3; j < 5; j++)
      rig_cut(r, i, j);
  run_checked(r, WAIT + 2500, IDS);
  divide(r, 1);
  rig_mend(r, 1, 3);
  rig_mend(r, 2, 3);
  run_checked(r, WAIT + 2500, IDS);
  assert_true(runs(r, 3));
  rig_mend(r, 0, 1);
  rig_mend(r, 0, 2);
  for (int ms = 0; ms < 2 * WAIT; ms++) {
    run_checked(r, 1, IDS);
    assert_false(runs(r, 0));
  }
  assert_true(quorum_of(r, 0).seen);
  rig_free(r);
}

/* --- deaths --------------------------------------------------------------- */

static void proven(void **state) {
  (void)state;
  rig *r = together(3);
  rig_kill(r, 2);
  run_checked(r, 500, IDS);
  for (int id = 0; id < IDS; id++)
    assert_int_equal(copies(r, id), 1);
  rig_free(r);
}

static void more_than_half(void **state) {
  (void)state;
  rig *r = together(5);
  for (int i = 2; i < 5; i++)
    rig_kill(r, i);
  run_checked(r, DOWN + STOP + 100, IDS);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(processes_on(r, i), 0);
    assert_int_equal(r->nodes[i].lost, 1);
  }
  rig_boot(r, 3);
  run_checked(r, WAIT + 500, IDS);
  for (int i = 0; i < 2; i++)
    assert_int_equal(r->nodes[i].regained, 1);
  for (int id = 0; id < IDS; id++)
    assert_int_equal(copies(r, id), 1);
  rig_free(r);
}

/* --- pauses --------------------------------------------------------------- */

/* It stands still while others take over what it runs; when it goes on that is
 * to be killed at once. */
static void long_pause(void **state) {
  (void)state;
  rig *r = together(3);
  r->stop_ms = 1000000;
  r->nodes[0].paused = r->now + 10000;
  rig_run(r, 2 * DOWN);
  for (int j = 1; j < 3; j++) {
    rig_lose_messages(r, 0, j);
    rig_notice(r, j, 0, false);
  }
  rig_run(r, 7900);
  for (int id = 0; id < IDS; id++)
    assert_int_equal(copies(r, id), 1);
  assert_int_equal(r->nodes[0].lost, 0);
  rig_run(r, 10000 - 2 * DOWN - 7900 + 1);
  assert_int_equal(r->nodes[0].lost, 1);
  assert_int_equal(r->nodes[0].kill_ms, 0);
  rig_run(r, 1);
  assert_int_equal(processes_on(r, 0), 0);
  for (int j = 1; j < 3; j++)
    r->wires[0][j] = (rig_wire){.notice = BYN_NEVER};
  run_checked(r, 3000, IDS);
  rig_assert_all_run(r, IDS);
  rig_free(r);
}

/* --- other options -------------------------------------------------------- */

static void differs(void **state) {
  (void)state;
  rig *r = begin(3, 2, 1);
  rig_boot(r, 0);
  r->config.quorum_needed = 2;
  rig_boot(r, 1);
  rig_run(r, 500);
  for (int i = 0; i < 2; i++)
    assert_int_equal(r->nodes[i].events[BYN_DIST_QUORUM_DIFFERS], 1);
  rig_free(r);
}

/* One in the other mode does not count, and is not disturbed. */
static void available(void **state) {
  (void)state;
  rig *r = begin(3, 2, 2);
  rig_boot(r, 0);
  r->config.quorum_needed = 0;
  rig_boot(r, 1);
  rig_run(r, 2 * DOWN);
  for (int i = 0; i < 2; i++)
    assert_int_equal(r->nodes[i].events[BYN_DIST_QUORUM_DIFFERS], 1);
  assert_false(quorum_of(r, 1).on);
  assert_int_equal(quorum_of(r, 0).nodes, 1);
  assert_true(byn_dist_is_ready(r->nodes[1].d));
  rig_free(r);
}

static void another_mode(void **state) {
  (void)state;
  rig *r = together(3);
  byn_dist_config c = r->config;
  c.quorum_nodes = NULL;
  c.quorum_count = 0;
  divide(r, 1);
  run_checked(r, 2 * (DOWN + STOP), IDS);
  assert_true(byn_dist_configure(r->nodes[0].d, &c));
  assert_false(quorum_of(r, 0).on);
  rig_run(r, 3000);
  assert_int_equal(processes_on(r, 0), IDS);
  assert_true(byn_dist_configure(r->nodes[0].d, &r->config));
  rig_run(r, 3000);
  assert_int_equal(processes_on(r, 0), 0);
  rig_free(r);
}

/* --- storms --------------------------------------------------------------- */

static bool is_up(const rig *r, int i) {
  return r->nodes[i].d && !rig_stands(r, i);
}

/* Its messages are lost, and the others give it up after a while. */
static void cut_some(rig *r) {
  r->notice_ms = rig_draw(r, 2) ? 20 : DOWN;
  int kind = (int)rig_draw(r, 4);
  uint32_t sides = rig_draw(r, 1u << r->count), odd = rig_draw(r, 5);
  for (int i = 0; i < r->count; i++)
    for (int j = i + 1; j < r->count; j++) {
      bool apart = (sides >> i & 1) != (sides >> j & 1);
      bool bridged = i == (int)odd || j == (int)odd;
      if (kind == 0 ? apart && !bridged : kind < 3 ? apart : !rig_draw(r, 4))
        rig_cut(r, i, j);
    }
}

/* One direction is lost for a while; then both sides notice. */
static void mute_some(rig *r, bool *muted) {
  int i = (int)rig_draw(r, (uint32_t)r->count);
  for (int j = 0; j < r->count; j++) {
    if (j == i || rig_draw(r, 3) == 0) continue;
    r->mute[i][j] = true;
    *muted = true;
  }
}

static void end_mute(rig *r) {
  for (int i = 0; i < r->count; i++)
    for (int j = 0; j < r->count; j++)
      if (r->mute[i][j]) rig_cut(r, i, j);
  memset(r->mute, 0, sizeof r->mute);
}

static void disturb(rig *r, bool *muted) {
  int i = (int)rig_draw(r, (uint32_t)r->count);
  switch (rig_draw(r, 10)) {
  case 0:
  case 1:
    cut_some(r);
    break;
  case 2:
  case 3:
    end_mute(r);
    *muted = false;
    mend_all(r);
    break;
  case 4:
    mute_some(r, muted);
    break;
  case 5:
    if (is_up(r, i)) rig_kill(r, i);
    break;
  case 6:
    if (!r->nodes[i].d) rig_boot(r, i);
    break;
  case 7:
    for (int j = 0; j < r->count; j++)
      r->late_ms[j][i] = rig_some(r, DOWN - 100);
    break;
  case 8: /* shorter than the margin */
    if (is_up(r, i)) r->nodes[i].paused = r->now + 1 + rig_some(r, 180);
    break;
  default:
    if (r->process_count > 0) {
      rig_process *p = &r->processes[rig_draw(r, (uint32_t)r->process_count)];
      if (p->state == RIG_RUNNING && is_up(r, p->node))
        rig_end(r, p, false, "crash");
    }
    break;
  }
}

static void ask_for_one(rig *r, int *ids) {
  int i = (int)rig_draw(r, (uint32_t)r->count);
  if (!is_up(r, i)) return;
  int id = *ids < IDS ? (*ids)++ : (int)rig_draw(r, IDS);
  rig_start(r, i, id, rig_draw(r, 2) ? BYN_DIST_ENSURE : 0);
}

/* Of these an allocation fails now and then. */
static bool is_short(const rig *r) {
  return r->seed % 7 == 3;
}

static void play(uint64_t seed) {
  int count = 3 + (int)(seed % 3);
  bool listed = seed % 2 == 0;
  rig *r = begin(seed, count, listed ? 0 : (uint32_t)count / 2 + 1);
  r->stop_ms = seed % 3 ? 5 : 1000000;
  r->start_ms = seed % 5 ? 5 : 100;
  r->delay_ms = seed % 4 ? 3 : 60;
  for (int i = 0; i < count; i++) {
    r->nodes[i].drift = (int)rig_draw(r, 20001) - 10000;
    rig_boot(r, i);
  }
  int ids = 0;
  bool muted = false;
  while (r->now < 30000) {
    byn_test_fail_nth(&r->memory, is_short(r) ? rig_draw(r, 400) : 0);
    disturb(r, &muted);
    for (int n = 0; n < 2; n++)
      ask_for_one(r, &ids);
    run_checked(r, rig_some(r, rig_draw(r, 4) ? 300 : 3000), IDS);
  }
  byn_test_fail_nth(&r->memory, 0);
  end_mute(r);
  mend_all(r);
  for (int i = 0; i < count; i++)
    if (!r->nodes[i].d) rig_boot(r, i);
  run_checked(r, 3 * WAIT + 4000, IDS);
  for (int i = 0; i < count; i++)
    RIG_HOLDS(r, runs(r, i));
  for (int id = 0; id < IDS; id++)
    rig_start(r, id % count, id, BYN_DIST_ENSURE);
  run_checked(r, 3000, IDS);
  /* A start that found no memory may have left a child without a spec. */
  for (int id = 0; id < IDS && !is_short(r); id++)
    if (copies(r, id) != 1)
      fail_msg("seed %" PRIu64 ": no process of %d", seed, id);
  rig_free(r);
}

static void storms(void **state) {
  (void)state;
  const char *one = getenv("BYN_SEED");
  if (one) {
    play(strtoull(one, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= byn_test_plays(300); seed++)
    play(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_of_a_list),
      cmocka_unit_test(as_many_as_are_needed),
      cmocka_unit_test(one_that_joins),
      cmocka_unit_test(alone),
      cmocka_unit_test(minority),
      cmocka_unit_test(three_sides),
      cmocka_unit_test(bridge),
      cmocka_unit_test(one_way),
      cmocka_unit_test(late_answers),
      cmocka_unit_test(flapping),
      cmocka_unit_test(joins_a_minority),
      cmocka_unit_test(told_of_another),
      cmocka_unit_test(judged_anew),
      cmocka_unit_test(proven),
      cmocka_unit_test(more_than_half),
      cmocka_unit_test(long_pause),
      cmocka_unit_test(differs),
      cmocka_unit_test(available),
      cmocka_unit_test(another_mode),
      cmocka_unit_test(storms),
  };
  return cmocka_run_group_tests_name("dist quorum", tests, NULL, NULL);
}
