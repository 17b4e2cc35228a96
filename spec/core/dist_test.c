/* Several nodes of a distributed supervisor, one promise at a time. */
#include "dist_rig.h"

static rig the_rig;

static rig *rig_of(int count) {
  rig *r = &the_rig;
  rig_init(r, 7, count);
  for (int i = 0; i < count; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  for (int i = 0; i < count; i++)
    RIG_HOLDS(r, byn_dist_is_ready(r->nodes[i].d));
  return r;
}

static void assert_answer(rig *r, int request, byn_dist_code code) {
  RIG_HOLDS(r, r->requests[request].answered);
  assert_int_equal(r->requests[request].code, code);
}

static void start_all(rig *r, int count) {
  int requests[RIG_IDS];
  for (int id = 0; id < count; id++)
    requests[id] = rig_start(r, id % r->count, id, 0);
  rig_run(r, 1000);
  for (int id = 0; id < count; id++)
    assert_answer(r, requests[id], BYN_DIST_OK);
}

/* Each runs once, and every node shows that very process. */
static void assert_all_run(rig *r, int count) {
  for (int id = 0; id < count; id++) {
    int running;
    rig_process *p = rig_running(r, id, &running);
    if (running != 1) fail_msg("child %d: %d processes", id, running);
    for (int i = 0; i < r->count; i++)
      if (r->nodes[i].d && r->nodes[i].attached && !r->nodes[i].left)
        assert_string_equal(r->nodes[i].shown[id], p->pid);
  }
}

static void one_node(void **state) {
  (void)state;
  rig *r = rig_of(1);
  start_all(r, 10);
  assert_all_run(r, 10);
  int again = rig_start(r, 0, 3, 0);
  rig_run(r, 100);
  assert_answer(r, again, BYN_DIST_ALREADY_STARTED);
  int end = rig_terminate(r, 0, 3);
  int none = rig_terminate(r, 0, 99);
  rig_run(r, 100);
  assert_answer(r, end, BYN_DIST_OK);
  assert_answer(r, none, BYN_DIST_NOT_FOUND);
  int running;
  rig_running(r, 3, &running);
  assert_int_equal(running, 0);
  rig_free(r);
}

static void three_nodes(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 60);
  assert_all_run(r, 60);
  for (int i = 0; i < 3; i++)
    RIG_HOLDS(r, r->nodes[i].starts > 5);
  int ends[60];
  for (int id = 0; id < 60; id++)
    ends[id] = rig_terminate(r, (id + 1) % 3, id);
  rig_run(r, 500);
  for (int id = 0; id < 60; id++) {
    assert_answer(r, ends[id], BYN_DIST_OK);
    int running;
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
  }
  rig_free(r);
}

static void killed_node(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 60);
  rig_kill(r, 1);
  rig_run(r, 1000);
  assert_all_run(r, 60);
  rig_boot(r, 1);
  rig_run(r, 1000);
  assert_all_run(r, 60);
  rig_free(r);
}

static void split(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 60);
  char before[60][24];
  for (int id = 0; id < 60; id++)
    memcpy(before[id], r->nodes[0].shown[id], 24);
  rig_cut(r, 0, 1);
  rig_cut(r, 0, 2);
  rig_run(r, 3000);
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[0].d, &here, &everywhere);
  assert_int_equal(here, 60);
  rig_mend(r, 0, 1);
  rig_mend(r, 0, 2);
  rig_run(r, 2000);
  assert_all_run(r, 60);
  for (int id = 0; id < 60; id++)
    assert_string_equal(r->nodes[1].shown[id], before[id]);
  rig_free(r);
}

/* The loser of a conflict stops only when the winner was asked: here the
 * winner is out of sight again before it can answer. */
static void unconfirmed(void **state) {
  (void)state;
  rig *r = rig_of(2);
  start_all(r, 1);
  int running, loser = 1 - rig_running(r, 0, &running)->node;
  rig_cut(r, 0, 1);
  rig_run(r, 2000);
  rig_running(r, 0, &running);
  assert_int_equal(running, 2);
  char own[24];
  memcpy(own, r->nodes[loser].shown[0], sizeof own);
  r->delay_ms = 50;
  rig_mend(r, 0, 1);
  while (strcmp(r->nodes[loser].shown[0], own) == 0)
    rig_run(r, 1);
  rig_cut(r, 0, 1);
  rig_run(r, 3000);
  rig_running(r, 0, &running);
  assert_int_equal(running, 2);
  assert_string_equal(r->nodes[loser].shown[0], own);
  r->delay_ms = 3;
  rig_mend(r, 0, 1);
  rig_run(r, 500);
  assert_all_run(r, 1);
  rig_free(r);
}

/* --- children that fail --------------------------------------------------- */

static byn_dist_child explain(rig *r, int node, int id) {
  char key[16];
  byn_dist_id name;
  byn_dist_child c;
  rig_key(id, key, &name);
  byn_dist_explain(r->nodes[node].d, &name, &c);
  return c;
}

static uint32_t starts(const rig *r) {
  uint32_t all = 0;
  for (int i = 0; i < r->count; i++)
    all += r->nodes[i].starts;
  return all;
}

static void poison(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 30);
  r->poison = 30;
  int request = rig_start(r, 0, 30, 0);
  rig_run(r, 60);
  assert_answer(r, request, BYN_DIST_OK);
  rig_run(r, 2000);
  assert_int_equal(explain(r, 0, 30).state, BYN_DIST_FAILING);
  byn_dist_child c = explain(r, 1, 30);
  assert_int_equal(c.state, BYN_DIST_FAILING);
  assert_true(c.failures >= 4);
  assert_memory_equal(c.reason.at, "crash", 5);
  assert_int_equal(starts(r), 30 + 4 + c.failures - 1);
  assert_all_run(r, 30);
  int again = rig_start(r, 1, 30, 0);
  rig_run(r, 100);
  assert_answer(r, again, BYN_DIST_ALREADY_PRESENT);
  r->poison = -1;
  rig_run(r, 20000);
  assert_all_run(r, 31);
  assert_int_equal(explain(r, 2, 30).failures, 0);
  r->poison = 30;
  int running;
  rig_end(r, rig_running(r, 30, &running), false, "crash");
  rig_run(r, 1000);
  int end = rig_terminate(r, 2, 30);
  rig_run(r, 100);
  assert_answer(r, end, BYN_DIST_OK);
  assert_int_equal(explain(r, 0, 30).state, BYN_DIST_ENDED);
  uint32_t so_far = starts(r);
  rig_run(r, 40000);
  assert_int_equal(starts(r), so_far);
  rig_free(r);
}

/* Where it fails next it waits as long as it would have. */
static void failing_moves(void **state) {
  (void)state;
  rig *r = rig_of(3);
  r->poison = 0;
  rig_start(r, 0, 0, 0);
  rig_run(r, 5000);
  byn_dist_child c = explain(r, 0, 0);
  assert_int_equal(c.state, BYN_DIST_FAILING);
  int there = rig_index(c.node);
  uint32_t failures = c.failures, before = starts(r);
  rig_kill(r, there);
  rig_run(r, 1000);
  assert_int_equal(starts(r), before);
  c = explain(r, (there + 1) % 3, 0);
  assert_int_equal(c.state, BYN_DIST_FAILING);
  assert_true(c.failures >= failures);
  assert_true(rig_index(c.node) != there);
  rig_free(r);
}

static void failed_starts(void **state) {
  (void)state;
  rig *r = rig_of(3);
  r->failing_id = 5;
  int request = rig_start(r, 0, 5, 0);
  rig_run(r, 100);
  assert_answer(r, request, BYN_DIST_ERROR);
  assert_string_equal(r->requests[request].reason, "sorry");
  r->failing_id = -1;
  request = rig_start(r, 1, 5, 0);
  rig_run(r, 100);
  assert_answer(r, request, BYN_DIST_OK);
  r->failing_id = 5;
  int running;
  rig_end(r, rig_running(r, 5, &running), false, "crash");
  rig_run(r, 500);
  assert_int_equal(explain(r, 0, 5).state, BYN_DIST_FAILING);
  r->failing_id = -1;
  rig_run(r, 5000);
  assert_all_run(r, 0);
  assert_int_equal(explain(r, 0, 5).state, BYN_DIST_RUNNING);
  rig_free(r);
}

/* A host that is lost between STARTING and RUNNING may have answered. */
static void lost_while_starting(void **state) {
  (void)state;
  rig *r = rig_of(3);
  int id = 0, running;
  while (strcmp(explain(r, 0, id).owner, rig_names[2]) != 0)
    id++;
  r->start_ms = 40;
  r->notice_ms = 300;
  int request = rig_start(r, 2, id, 0);
  while (explain(r, 0, id).state != BYN_DIST_STARTING ||
         explain(r, 1, id).state != BYN_DIST_STARTING)
    rig_run(r, 1);
  rig_running(r, id, &running);
  assert_int_equal(running, 0);
  rig_cut(r, 0, 2);
  rig_cut(r, 1, 2);
  rig_run(r, 50);
  rig_running(r, id, &running);
  assert_int_equal(running, 1);
  r->failing_id = id;
  rig_run(r, 1000);
  assert_answer(r, request, BYN_DIST_OK);
  assert_int_equal(explain(r, 0, id).state, BYN_DIST_FAILING);
  r->failing_id = -1;
  rig_mend(r, 0, 2);
  rig_mend(r, 1, 2);
  rig_run(r, 1000);
  assert_int_equal(rig_running(r, id, &running)->node, 2);
  assert_int_equal(running, 1);
  rig_free(r);
}

static void ends(void **state) {
  (void)state;
  rig *r = rig_of(2);
  int running;
  int first = rig_start(r, 0, 1, BYN_DIST_TRANSIENT);
  rig_start(r, 0, 2, BYN_DIST_TRANSIENT);
  rig_start(r, 0, 3, BYN_DIST_TEMPORARY);
  rig_start(r, 0, 4, 0);
  rig_run(r, 100);
  assert_answer(r, first, BYN_DIST_OK);
  for (int id = 1; id <= 4; id++)
    rig_end(r, rig_running(r, id, &running), id != 2, "end");
  rig_run(r, 100);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(explain(r, i, 1).state, BYN_DIST_ENDED);
    assert_int_equal(explain(r, i, 2).state, BYN_DIST_RUNNING);
    assert_int_equal(explain(r, i, 3).state, BYN_DIST_ENDED);
    assert_int_equal(explain(r, i, 4).state, BYN_DIST_RUNNING);
    assert_string_equal(r->nodes[i].shown[1], "");
  }
  rig_run(r, 70000);
  assert_int_equal(explain(r, 0, 1).state, BYN_DIST_UNKNOWN);
  rig_free(r);
}

static void temporary_is_lost(void **state) {
  (void)state;
  rig *r = rig_of(3);
  for (int id = 0; id < 30; id++)
    rig_start(r, 0, id, BYN_DIST_TEMPORARY);
  rig_run(r, 200);
  int on[30], lost = 0;
  for (int id = 0; id < 30; id++) {
    int running;
    on[id] = rig_running(r, id, &running)->node;
  }
  rig_kill(r, 2);
  rig_run(r, 500);
  for (int id = 0; id < 30; id++) {
    byn_dist_child c = explain(r, 0, id);
    assert_int_equal(c.state, on[id] == 2 ? BYN_DIST_ENDED : BYN_DIST_RUNNING);
    lost += on[id] == 2;
    if (on[id] == 2) assert_int_equal(c.why, BYN_DIST_WHY_NOCONNECTION);
  }
  assert_true(lost > 0);
  rig_free(r);
}

/* --- refusals ------------------------------------------------------------- */

static void refused(void **state) {
  (void)state;
  rig *r = rig_of(3);
  r->refusing_node = 1;
  start_all(r, 40);
  assert_all_run(r, 40);
  int running, not_there = 0;
  for (int id = 0; id < 40; id++) {
    assert_int_not_equal(rig_running(r, id, &running)->node, 1);
    byn_dist_child c = explain(r, 0, id);
    if (strcmp(c.owner, rig_names[1]) != 0) continue;
    assert_true(c.refused_by_owner);
    not_there++;
  }
  assert_true(not_there > 0);
  rig_free(r);
}

static void refused_by_all(void **state) {
  (void)state;
  rig *r = rig_of(1);
  r->refusing_node = 0;
  int request = rig_start(r, 0, 1, 0);
  rig_run(r, 100);
  assert_answer(r, request, BYN_DIST_REFUSED);
  assert_string_equal(r->requests[request].reason, "sorry");
  assert_string_equal(r->requests[request].where, rig_names[0]);
  rig_free(r);
}

static void waits_for_room(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 2);
  r->config.max_children = 10;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  int last = 0;
  for (int id = 0; id < 20; id++)
    last = rig_start(r, 0, id, 0);
  rig_run(r, 500);
  assert_answer(r, last, BYN_DIST_OK);
  int full = rig_start(r, 1, 20, 0);
  rig_run(r, 200);
  assert_answer(r, full, BYN_DIST_NO_ROOM);
  rig_kill(r, 1);
  rig_run(r, 1000);
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[0].d, &here, &everywhere);
  assert_int_equal(here, 10);
  byn_dist_status s;
  byn_dist_status_of(r->nodes[0].d, &s);
  assert_int_equal(s.waiting, 10);
  int waiting = 0;
  while (explain(r, 0, waiting).state != BYN_DIST_WAITING)
    waiting++;
  int present = rig_start(r, 0, waiting, 0);
  rig_run(r, 1);
  assert_answer(r, present, BYN_DIST_ALREADY_PRESENT);
  rig_boot(r, 1);
  rig_run(r, 2000);
  assert_all_run(r, 20);
  rig_free(r);
}

static void room_comes_back(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 2);
  r->config.max_children = 10;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  for (int id = 0; id < 20; id++)
    rig_start(r, 0, id, 0);
  rig_run(r, 500);
  rig_kill(r, 1);
  rig_run(r, 1000);
  for (int id = 0; id < 20; id++)
    if (explain(r, 0, id).state == BYN_DIST_RUNNING) rig_terminate(r, 0, id);
  rig_run(r, 3000);
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[0].d, &here, &everywhere);
  assert_int_equal(here, 10);
  rig_free(r);
}

/* --- requests ------------------------------------------------------------- */

static void pinned(void **state) {
  (void)state;
  rig *r = rig_of(3);
  byn_dist_start_spec what = {.spec = (const uint8_t *)"s", .spec_len = 1};
  for (int id = 0; id < 9; id++) {
    what.node = rig_names[id % 3];
    rig_ask(r, 0, id, false, &what, 1000);
  }
  what.node = "x@h";
  int nobody = rig_ask(r, 0, 9, false, &what, 1000);
  rig_run(r, 200);
  assert_answer(r, nobody, BYN_DIST_NOCONNECTION);
  int running;
  for (int id = 0; id < 9; id++)
    assert_int_equal(rig_running(r, id, &running)->node, id % 3);
  rig_kill(r, 1);
  rig_run(r, 500);
  assert_all_run(r, 9);
  rig_free(r);
}

static void ensured(void **state) {
  (void)state;
  rig *r = rig_of(3);
  int a = rig_start(r, 0, 1, BYN_DIST_ENSURE);
  int b = rig_start(r, 1, 1, BYN_DIST_ENSURE);
  int c = rig_start(r, 2, 1, 0);
  rig_run(r, 300);
  assert_answer(r, a, BYN_DIST_OK);
  assert_answer(r, b, BYN_DIST_OK);
  assert_string_equal(r->requests[a].pid, r->requests[b].pid);
  assert_answer(r, c, BYN_DIST_ALREADY_STARTED);
  assert_string_equal(r->requests[a].pid, r->requests[c].pid);
  rig_free(r);
}

static void too_large(void **state) {
  (void)state;
  rig *r = rig_of(1);
  uint8_t *spec = calloc(1, (1 << 20) + 1);
  byn_dist_start_spec what = {.spec = spec, .spec_len = (1 << 20) + 1};
  int large = rig_ask(r, 0, 1, false, &what, 1000);
  what.spec_len--;
  int most = rig_ask(r, 0, 1, false, &what, 1000);
  rig_run(r, 100);
  assert_answer(r, large, BYN_DIST_TOO_LARGE);
  assert_answer(r, most, BYN_DIST_OK);
  free(spec);
  rig_free(r);
}

static void hanging_start(void **state) {
  (void)state;
  rig *r = rig_of(1);
  r->hanging = true;
  byn_dist_start_spec what = {.spec = (const uint8_t *)"s", .spec_len = 1};
  int hangs = rig_ask(r, 0, 1, false, &what, 2000);
  rig_run(r, 10);
  r->hanging = false;
  int other = rig_start(r, 0, 2, 0);
  rig_run(r, 100);
  assert_answer(r, other, BYN_DIST_OK);
  rig_run(r, 3000);
  assert_answer(r, hangs, BYN_DIST_TIMEOUT);
  int end = rig_terminate(r, 0, 1);
  rig_run(r, 100);
  assert_answer(r, end, BYN_DIST_OK);
  rig_free(r);
}

static void side_by_side(void **state) {
  (void)state;
  rig *r = rig_of(2);
  start_all(r, 100);
  r->start_ms = 0;
  int there = 0, running;
  for (int id = 0; id < 100; id++)
    there += rig_running(r, id, &running)->node == 1;
  rig_kill(r, 1);
  rig_run(r, 20);
  byn_dist_status s;
  byn_dist_status_of(r->nodes[0].d, &s);
  rig_run(r, 500);
  assert_all_run(r, 100);
  assert_true(there > 20);
  rig_free(r);
}

/* A restart does not wait for starts that were asked for before. */
static void restart_first(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 1);
  r->config.start_concurrency = 1;
  rig_boot(r, 0);
  rig_run(r, 500);
  start_all(r, 1);
  r->start_ms = 40;
  for (int id = 1; id < 60; id++)
    rig_start(r, 0, id, 0);
  int running;
  rig_end(r, rig_running(r, 0, &running), false, "crash");
  rig_run(r, 100);
  assert_int_equal(explain(r, 0, 0).state, BYN_DIST_RUNNING);
  assert_int_equal(explain(r, 0, 59).state, BYN_DIST_STARTING);
  rig_run(r, 4000);
  assert_all_run(r, 60);
  rig_free(r);
}

static void not_enough_copies(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 4);
  r->config.replicas = 4;
  r->delay_ms = 50;
  for (int i = 0; i < 4; i++)
    rig_boot(r, i);
  rig_run(r, 2000);
  int request = rig_start(r, 0, 1, 0);
  while (!r->requests[request].answered)
    rig_run(r, 1);
  assert_answer(r, request, BYN_DIST_OK);
  for (int i = 0; i < 4; i++)
    assert_int_equal(explain(r, i, 1).state, BYN_DIST_RUNNING);
  rig_free(r);
}

/* --- nodes ---------------------------------------------------------------- */

static void leaving(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 60);
  r->stop_ms = 3000;
  byn_dist_leave(r->nodes[1].d, (const uint8_t *)"shutdown", 8);
  rig_drain(r, 1);
  rig_run(r, 50);
  assert_int_equal(byn_dist_member_count(r->nodes[0].d), 2);
  int requests[10];
  for (int i = 0; i < 10; i++)
    requests[i] = rig_start(r, i % 3, 60 + i, 0);
  rig_run(r, 200);
  for (int i = 0; i < 10; i++)
    if (i % 3 != 1) assert_answer(r, requests[i], BYN_DIST_OK);
  rig_run(r, 3500);
  RIG_HOLDS(r, r->nodes[1].left);
  rig_kill(r, 1);
  rig_run(r, 500);
  assert_all_run(r, 60);
  rig_free(r);
}

static void no_hosts(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 5, 2);
  r->config.hosts = false;
  rig_boot(r, 0);
  rig_run(r, 200);
  int nobody = rig_start(r, 0, 1, 0);
  rig_run(r, 200);
  assert_answer(r, nobody, BYN_DIST_NO_NODES);
  r->config.hosts = true;
  rig_boot(r, 1);
  rig_run(r, 500);
  start_all(r, 20);
  for (int id = 0, n; id < 20; id++)
    assert_int_equal(rig_running(r, id, &n)->node, 1);
  rig_time(r, 0);
  byn_dist_set_hosts(r->nodes[0].d, true);
  rig_drain(r, 0);
  rig_run(r, 200);
  assert_int_equal(byn_dist_member_count(r->nodes[1].d), 2);
  rig_time(r, 1);
  byn_dist_set_hosts(r->nodes[1].d, false);
  rig_drain(r, 1);
  rig_run(r, 1000);
  assert_all_run(r, 20);
  for (int id = 0, n; id < 20; id++)
    assert_int_equal(rig_running(r, id, &n)->node, 0);
  rig_free(r);
}

static void lists_differ(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 5, 2);
  const char *some[] = {"a@h", "b@h"}, *one[] = {"a@h"};
  r->config.nodes = some;
  r->config.node_count = 2;
  rig_boot(r, 0);
  r->config.nodes = one;
  r->config.node_count = 1;
  rig_boot(r, 1);
  rig_run(r, 500);
  assert_int_equal(r->nodes[0].events[BYN_DIST_NODES_DIFFER], 1);
  assert_int_equal(r->nodes[1].events[BYN_DIST_NODES_DIFFER], 1);
  assert_int_equal(byn_dist_member_count(r->nodes[1].d), 1);
  start_all(r, 5);
  for (int id = 0, n; id < 5; id++)
    assert_int_equal(rig_running(r, id, &n)->node, 0);
  byn_dist_set_nodes(r->nodes[1].d, some, 2);
  rig_drain(r, 1);
  rig_run(r, 500);
  assert_int_equal(byn_dist_member_count(r->nodes[0].d), 2);
  rig_free(r);
}

static void held(void **state) {
  (void)state;
  rig *r = rig_of(2);
  start_all(r, 20);
  byn_dist_hold(r->nodes[0].d, true);
  rig_cut(r, 0, 1);
  rig_run(r, 3000);
  uint32_t here, everywhere;
  byn_dist_count(r->nodes[0].d, &here, &everywhere);
  assert_true(here < 20);
  rig_mend(r, 0, 1);
  rig_run(r, 1500);
  byn_dist_hold(r->nodes[0].d, false);
  rig_run(r, 500);
  assert_all_run(r, 20);
  rig_free(r);
}

/* A cut between two of three harms nobody: the third sees both. */
static void partly_cut(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 40);
  uint32_t before = starts(r);
  rig_cut(r, 0, 1);
  rig_run(r, 8000);
  assert_int_equal(starts(r), before);
  rig_mend(r, 0, 1);
  rig_run(r, 2000);
  assert_int_equal(starts(r), before);
  assert_all_run(r, 40);
  rig_free(r);
}

static void coordinator_crashes(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 40);
  uint32_t before = starts(r);
  rig_node *n = &r->nodes[1];
  byn_dist_detach(n->d);
  for (int j = 0; j < 3; j += 2) {
    rig_lose_messages(r, 1, j);
    byn_dist_peer_away(r->nodes[j].d, rig_names[1]);
    rig_drain(r, j);
  }
  n->attached = false;
  rig_run(r, 500);
  byn_dist_attach(n->d, r->now);
  n->attached = true;
  for (int j = 0; j < 3; j += 2)
    byn_dist_node_up(n->d, rig_names[j]);
  rig_drain(r, 1);
  rig_run(r, 1000);
  assert_int_equal(starts(r), before);
  assert_all_run(r, 40);
  start_all(r, 0);
  rig_free(r);
}

/* What was ended and forgotten while a node was away does not come back with
 * it; what it started on its own does. */
static void newcomer(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 3);
  r->config.keep_ended_ms = 15000;
  for (int i = 0; i < 3; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  start_all(r, 30);
  rig_run(r, 12000);
  rig_cut(r, 0, 2);
  rig_cut(r, 1, 2);
  rig_run(r, 2000);
  for (int id = 0; id < 15; id++)
    rig_terminate(r, 0, id);
  int alone = rig_start(r, 2, 40, 0);
  rig_run(r, 40000);
  assert_answer(r, alone, BYN_DIST_OK);
  assert_int_equal(explain(r, 0, 3).state, BYN_DIST_UNKNOWN);
  assert_int_equal(explain(r, 2, 3).state, BYN_DIST_RUNNING);
  rig_mend(r, 0, 2);
  rig_mend(r, 1, 2);
  rig_run(r, 3000);
  for (int id = 0; id < 15; id++) {
    int running;
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
  }
  for (int id = 15; id < 30; id++)
    assert_int_equal(explain(r, 1, id).state, BYN_DIST_RUNNING);
  assert_int_equal(explain(r, 1, 40).state, BYN_DIST_RUNNING);
  rig_free(r);
}

static void large_specs(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 2);
  rig_boot(r, 0);
  rig_run(r, 500);
  uint8_t *spec = calloc(1, 200000);
  byn_dist_start_spec what = {.spec = spec, .spec_len = 200000};
  for (int id = 0; id < 50; id++)
    rig_ask(r, 0, id, false, &what, 1000);
  rig_run(r, 200);
  rig_boot(r, 1);
  rig_run(r, 1000);
  assert_all_run(r, 50);
  rig_kill(r, 0);
  rig_run(r, 500);
  assert_all_run(r, 50);
  free(spec);
  rig_free(r);
}

/* What was published and not heard is found by its digest. */
static void repaired(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 30);
  for (int id = 30; id < 60; id++) {
    rig_start(r, 0, id, 0);
    rig_run(r, 8);
    rig_lose_messages(r, 0, 2);
    rig_lose_messages(r, 1, 2);
  }
  rig_run(r, 300);
  int missed = 0;
  for (int id = 30; id < 60; id++)
    missed += explain(r, 2, id).state != BYN_DIST_RUNNING;
  assert_true(missed > 0);
  rig_run(r, 7000);
  assert_all_run(r, 60);
  rig_free(r);
}

/* An idle cluster says little, and equal digests stop all else. */
static void idle(void **state) {
  (void)state;
  rig *r = rig_of(3);
  start_all(r, 100);
  rig_run(r, 5000);
  uint64_t bytes = 0;
  uint32_t sends = 0;
  for (int i = 0; i < 3; i++) {
    bytes -= r->nodes[i].bytes;
    sends -= r->nodes[i].sends;
  }
  rig_run(r, 10000);
  for (int i = 0; i < 3; i++) {
    bytes += r->nodes[i].bytes;
    sends += r->nodes[i].sends;
  }
  assert_true(sends <= 33);
  assert_true(bytes <= 33 * 600);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_node),
      cmocka_unit_test(three_nodes),
      cmocka_unit_test(killed_node),
      cmocka_unit_test(split),
      cmocka_unit_test(unconfirmed),
      cmocka_unit_test(poison),
      cmocka_unit_test(failing_moves),
      cmocka_unit_test(failed_starts),
      cmocka_unit_test(lost_while_starting),
      cmocka_unit_test(ends),
      cmocka_unit_test(restart_first),
      cmocka_unit_test(temporary_is_lost),
      cmocka_unit_test(refused),
      cmocka_unit_test(refused_by_all),
      cmocka_unit_test(waits_for_room),
      cmocka_unit_test(room_comes_back),
      cmocka_unit_test(pinned),
      cmocka_unit_test(ensured),
      cmocka_unit_test(too_large),
      cmocka_unit_test(hanging_start),
      cmocka_unit_test(side_by_side),
      cmocka_unit_test(not_enough_copies),
      cmocka_unit_test(leaving),
      cmocka_unit_test(no_hosts),
      cmocka_unit_test(lists_differ),
      cmocka_unit_test(held),
      cmocka_unit_test(partly_cut),
      cmocka_unit_test(coordinator_crashes),
      cmocka_unit_test(newcomer),
      cmocka_unit_test(large_specs),
      cmocka_unit_test(repaired),
      cmocka_unit_test(idle),
  };
  return cmocka_run_group_tests_name("dist", tests, NULL, NULL);
}
