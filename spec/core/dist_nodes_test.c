/* Nodes of a distributed supervisor that come, go, and lose sight of each
 * other, one promise at a time.
 */
#include "dist_rig.h"

static rig the_rig;

static void killed_node(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 60);
  rig_kill(r, 1);
  rig_run(r, 1000);
  rig_assert_all_run(r, 60);
  rig_boot(r, 1);
  rig_run(r, 1000);
  rig_assert_all_run(r, 60);
  rig_free(r);
}

/* Questions that are answered later than they could be asked again. */
static void slow_answers(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 60);
  r->delay_ms = 4000;
  rig_kill(r, 1);
  rig_run(r, 20000);
  rig_assert_all_run(r, 60);
  rig_free(r);
}

static void split(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 60);
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
  rig_assert_all_run(r, 60);
  for (int id = 0; id < 60; id++)
    assert_string_equal(r->nodes[1].shown[id], before[id]);
  rig_free(r);
}

/* conflict = "newest": of each two the copy stays, wherever it runs. */
static void newest_stays(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 7, 2);
  r->config.newest = true;
  rig_boot(r, 0);
  rig_boot(r, 1);
  rig_run(r, 500);
  rig_start_all(r, 40);
  char copies[40][24];
  memcpy(copies, r->nodes[0].shown, sizeof copies);
  rig_cut(r, 0, 1);
  rig_run(r, 3000);
  for (int id = 0; id < 40; id++) {
    bool here = strcmp(copies[id], r->nodes[0].shown[id]) == 0;
    memcpy(copies[id], r->nodes[here ? 1 : 0].shown[id], 24);
  }
  rig_mend(r, 0, 1);
  rig_run(r, 2000);
  rig_assert_all_run(r, 40);
  for (int id = 0; id < 40; id++)
    assert_string_equal(r->nodes[0].shown[id], copies[id]);
  rig_free(r);
}

/* A copy began after what it was copied from, whatever clocks say. */
static void clocks_differ(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 7, 3);
  for (int i = 0; i < 3; i++) {
    r->nodes[i].wall = -10000 * i;
    rig_boot(r, i);
  }
  rig_run(r, 500);
  rig_start_all(r, 60);
  char before[60][24];
  for (int id = 0; id < 60; id++)
    memcpy(before[id], r->nodes[0].shown[id], 24);
  rig_cut(r, 0, 1);
  rig_cut(r, 1, 2);
  rig_cut(r, 0, 2);
  rig_run(r, 3000);
  rig_mend(r, 0, 1);
  rig_mend(r, 0, 2);
  rig_mend(r, 1, 2);
  rig_run(r, 2000);
  rig_assert_all_run(r, 60);
  for (int id = 0; id < 60; id++)
    assert_string_equal(r->nodes[1].shown[id], before[id]);
  rig_free(r);
}

/* The loser of a conflict stops only when the winner was asked: here the
 * winner is out of sight again before it can answer. */
static void unconfirmed(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 1);
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
  rig_assert_all_run(r, 1);
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
  rig_assert_answer(r, request, BYN_DIST_OK);
  for (int i = 0; i < 4; i++)
    assert_int_equal(rig_explain(r, i, 1).state, BYN_DIST_RUNNING);
  rig_free(r);
}

static void leaving(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 60);
  r->stop_ms = 3000;
  byn_dist_leave(r->nodes[1].d, (const uint8_t *)"shutdown", 8);
  rig_drain(r, 1);
  rig_run(r, 50);
  assert_int_equal(byn_dist_member_count(r->nodes[0].d), 2);
  int requests[10], end = rig_terminate(r, 1, 99);
  for (int i = 0; i < 10; i++)
    requests[i] = rig_start(r, i % 3, 60 + i, 0);
  rig_run(r, 200);
  rig_assert_answer(r, end, BYN_DIST_NOT_FOUND);
  for (int i = 0; i < 10; i++)
    rig_assert_answer(r, requests[i], BYN_DIST_OK);
  rig_run(r, 3500);
  RIG_HOLDS(r, r->nodes[1].left);
  rig_kill(r, 1);
  rig_run(r, 500);
  rig_assert_all_run(r, 60);
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
  rig_assert_answer(r, nobody, BYN_DIST_NO_NODES);
  r->config.hosts = true;
  rig_boot(r, 1);
  rig_run(r, 500);
  rig_start_all(r, 20);
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
  rig_assert_all_run(r, 20);
  for (int id = 0, n; id < 20; id++)
    assert_int_equal(rig_running(r, id, &n)->node, 0);
  rig_free(r);
}

/* The last one that ran children does so no more. */
static void nobody_hosts(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 10);
  r->stop_ms = 5000;
  for (int i = 0; i < 2; i++) {
    rig_time(r, i);
    byn_dist_set_hosts(r->nodes[i].d, false);
    rig_drain(r, i);
  }
  rig_run(r, 20);
  int id = 0, running;
  while (rig_explain(r, 0, id).state != BYN_DIST_RUNNING)
    id++;
  int ensured = rig_start(r, 0, id, BYN_DIST_ENSURE);
  rig_run(r, 20);
  rig_assert_answer(r, ensured, BYN_DIST_OK);
  rig_run(r, 6000);
  for (id = 0; id < 10; id++) {
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
    assert_int_equal(rig_explain(r, 1, id).state, BYN_DIST_WAITING);
  }
  int nobody = rig_start(r, 1, 20, 0), end = rig_terminate(r, 0, 0);
  rig_run(r, 200);
  rig_assert_answer(r, nobody, BYN_DIST_NO_NODES);
  rig_assert_answer(r, end, BYN_DIST_OK);
  rig_time(r, 0);
  byn_dist_set_hosts(r->nodes[0].d, true);
  rig_drain(r, 0);
  rig_run(r, 500);
  for (id = 1; id < 10; id++)
    assert_int_equal(rig_running(r, id, &running)->node, 0);
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
  rig_start_all(r, 5);
  for (int id = 0, n; id < 5; id++)
    assert_int_equal(rig_running(r, id, &n)->node, 0);
  byn_dist_set_nodes(r->nodes[1].d, some, 2);
  rig_drain(r, 1);
  rig_run(r, 500);
  assert_int_equal(byn_dist_member_count(r->nodes[0].d), 2);
  rig_free(r);
}

static uint32_t here(const rig *r, int i) {
  uint32_t mine, everywhere;
  byn_dist_count(r->nodes[i].d, &mine, &everywhere);
  return mine;
}

/* Two nodes with 20 children; how many are on the first. */
static uint32_t two_nodes(rig *r) {
  rig_all(r, 2);
  rig_start_all(r, 20);
  uint32_t mine = here(r, 0);
  assert_true(mine > 0 && mine < 20);
  return mine;
}

/* The others have given it up: it hears that first, and nothing of them. */
static void after_a_gap_it_takes_nothing_over(void **state) {
  (void)state;
  rig *r = &the_rig;
  uint32_t mine = two_nodes(r), starts = r->nodes[0].starts;
  rig_gap(r, 0, 12000);
  rig_cut(r, 0, 1);
  rig_run(r, 4000);
  assert_true(rig_is_held(r, 0));
  assert_int_equal(here(r, 0), mine);
  rig_mend(r, 0, 1);
  rig_run(r, 500);
  assert_false(rig_is_held(r, 0));
  assert_int_equal(r->nodes[0].starts, starts);
  rig_run(r, 1500);
  rig_assert_all_run(r, 20);
  rig_free(r);
}

static void an_answer_ends_the_hold(void **state) {
  (void)state;
  rig *r = &the_rig;
  two_nodes(r);
  rig_gap(r, 0, 12000);
  assert_true(rig_is_held(r, 0));
  rig_run(r, 50);
  assert_false(rig_is_held(r, 0));
  rig_cut(r, 0, 1);
  rig_run(r, 3000);
  assert_int_equal(here(r, 0), 20);
  rig_free(r);
}

/* What the other had sent before says nothing of the time since. */
static void what_was_under_way_does_not_end_it(void **state) {
  (void)state;
  rig *r = &the_rig;
  uint32_t mine = two_nodes(r);
  for (int id = 20; id < 30; id++)
    rig_start(r, 1, id, 0);
  rig_run(r, 2);
  assert_non_null(r->messages);
  r->cut[0][1] = true; /* what it sends is lost */
  rig_gap(r, 0, 12000);
  rig_run(r, 100);
  assert_true(rig_is_held(r, 0));
  rig_cut(r, 0, 1);
  rig_run(r, 4000);
  assert_true(rig_is_held(r, 0));
  assert_true(here(r, 0) < mine + 10);
  rig_mend(r, 0, 1);
  rig_run(r, 2000);
  rig_free(r);
}

static void the_hold_ends_with_its_time(void **state) {
  (void)state;
  rig *r = &the_rig;
  uint32_t mine = two_nodes(r);
  rig_gap(r, 0, 12000);
  rig_cut(r, 0, 1);
  rig_run(r, 4990);
  assert_int_equal(here(r, 0), mine);
  rig_run(r, 500);
  assert_false(rig_is_held(r, 0));
  assert_int_equal(here(r, 0), 20);
  rig_free(r);
}

static void a_proven_end_ends_the_hold(void **state) {
  (void)state;
  rig *r = &the_rig;
  two_nodes(r);
  r->cut[0][1] = true; /* what it asks is lost */
  rig_gap(r, 0, 12000);
  rig_run(r, 500);
  assert_true(rig_is_held(r, 0));
  r->cut[0][1] = false;
  rig_kill(r, 1);
  rig_run(r, 500);
  assert_false(rig_is_held(r, 0));
  assert_int_equal(here(r, 0), 20);
  rig_free(r);
}

/* One is proven dead, and another may have its children by now. */
static void a_proven_end_is_not_all(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 30);
  uint32_t mine = here(r, 0);
  rig_gap(r, 0, 12000);
  rig_cut(r, 0, 2);
  rig_kill(r, 1);
  rig_run(r, 3000);
  assert_true(rig_is_held(r, 0));
  assert_int_equal(here(r, 0), mine);
  rig_mend(r, 0, 2);
  rig_run(r, 2000);
  assert_false(rig_is_held(r, 0));
  rig_assert_all_run(r, 30);
  rig_free(r);
}

static void a_short_gap_holds_nothing_up(void **state) {
  (void)state;
  rig *r = &the_rig;
  two_nodes(r);
  rig_gap(r, 0, 4000);
  assert_false(rig_is_held(r, 0));
  rig_gap(r, 0, 4001);
  assert_true(rig_is_held(r, 0)); /* it was silent a heartbeat before */
  rig_free(r);
}

/* A wait that was under way does not end by the time of a gap. */
static void a_suspect_has_its_time_again(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 20);
  uint32_t mine = here(r, 0);
  rig_time(r, 0);
  byn_dist_peer_away(r->nodes[0].d, "b@h"); /* 2000 ms */
  rig_drain(r, 0);
  r->now += 3000;
  rig_gap(r, 0, 3000);
  assert_int_equal(here(r, 0), mine);
  byn_dist_node_up(r->nodes[0].d, "b@h");
  rig_drain(r, 0);
  rig_run(r, 500);
  assert_int_equal(here(r, 0), mine);
  rig_free(r);
}

/* The other said itself that it lives. */
static void whoever_gave_it_up_is_waited_for(void **state) {
  (void)state;
  rig *r = &the_rig;
  uint32_t mine = two_nodes(r);
  rig_lose_messages(r, 0, 1);
  r->cut[0][1] = r->cut[1][0] = true;
  r->wires[0][1] = r->wires[1][0] = (rig_wire){.notice = BYN_NEVER};
  rig_time(r, 0);
  byn_dist_given_up(r->nodes[0].d, "b@h");
  rig_drain(r, 0);
  rig_run(r, 4900);
  assert_int_equal(here(r, 0), mine);
  rig_run(r, 300);
  assert_int_equal(here(r, 0), 20);
  rig_free(r);
}

static void a_node_alone_is_not_held(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 1);
  rig_gap(r, 0, 12000);
  assert_false(rig_is_held(r, 0));
  rig_free(r);
}

/* A cut between two of three harms nobody: the third sees both. */
static void partly_cut(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 40);
  uint32_t before = rig_starts(r);
  rig_cut(r, 0, 1);
  rig_run(r, 8000);
  assert_int_equal(rig_starts(r), before);
  rig_mend(r, 0, 1);
  rig_run(r, 2000);
  assert_int_equal(rig_starts(r), before);
  rig_assert_all_run(r, 40);
  rig_free(r);
}

/* Two that only the third sees start and end each other's children by way of
 * it, as fast as others do. */
static void relayed(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_cut(r, 0, 2);
  rig_run(r, 200);
  int starts[30], ends[30];
  for (int id = 0; id < 30; id++)
    starts[id] = rig_start(r, id % 2 * 2, id, 0);
  rig_run(r, 200);
  for (int id = 0; id < 30; id++)
    rig_assert_answer(r, starts[id], BYN_DIST_OK);
  int again = rig_start(r, 0, 1, 0);
  for (int id = 0; id < 30; id += 3)
    ends[id] = rig_terminate(r, id % 2 * 2, id);
  rig_run(r, 200);
  rig_assert_answer(r, again, BYN_DIST_ALREADY_STARTED);
  for (int id = 0; id < 30; id += 3)
    rig_assert_answer(r, ends[id], BYN_DIST_OK);
  rig_mend(r, 0, 2);
  rig_run(r, 2000);
  for (int id = 0; id < 30; id++) {
    int running;
    rig_running(r, id, &running);
    assert_int_equal(running, id % 3 != 0);
  }
  rig_free(r);
}

/* What was asked before the cut was noticed is asked again, by the third. */
static void relayed_under_way(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  int starts[30];
  for (int id = 0; id < 30; id++)
    starts[id] = rig_start(r, 0, id, 0);
  rig_cut(r, 0, 2);
  rig_run(r, 300);
  for (int id = 0; id < 30; id++)
    rig_assert_answer(r, starts[id], BYN_DIST_OK);
  rig_mend(r, 0, 2);
  rig_run(r, 2000);
  rig_assert_all_run(r, 30);
  rig_free(r);
}

static void assert_each_runs(rig *r, int count, int times) {
  for (int id = 0; id < count; id++) {
    int running;
    rig_running(r, id, &running);
    if (running != times) fail_msg("child %d: %d processes", id, running);
  }
}

static rig *each_alone(void) {
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 30);
  for (int i = 0; i < 3; i++)
    rig_cut(r, i, (i + 1) % 3);
  rig_run(r, 3000);
  assert_each_runs(r, 30, 3);
  return r;
}

/* Nodes that gave each other up, and that the third sees now, have one copy of
 * each child between them; without the third each takes over again. */
static void seen_by_a_third(void **state) {
  (void)state;
  rig *r = each_alone();
  rig_mend(r, 0, 1);
  rig_mend(r, 1, 2);
  rig_run(r, 3000);
  assert_each_runs(r, 30, 1);
  rig_kill(r, 1);
  rig_run(r, 8000);
  assert_each_runs(r, 30, 2);
  rig_mend(r, 0, 2);
  rig_boot(r, 1);
  rig_run(r, 3000);
  rig_assert_all_run(r, 30);
  rig_free(r);
}

/* Both reach it at the same time: nothing is started for one of them where the
 * other is heard of, in whatever order that comes. */
static void seen_by_a_third_at_once(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 100; seed++) {
    rig *r = each_alone();
    byn_rng_seed(&r->rng, seed);
    uint32_t starts = rig_starts(r);
    rig_mend(r, 0, 1);
    rig_mend(r, 1, 2);
    rig_run(r, 3000);
    assert_each_runs(r, 30, 1);
    if (rig_starts(r) != starts)
      fail_msg("seed %d: %u starts", (int)seed, rig_starts(r) - starts);
    rig_free(r);
  }
}

/* The third is another life, which never had lost anybody. */
static void seen_by_a_new_third(void **state) {
  (void)state;
  rig *r = each_alone();
  rig_kill(r, 1);
  rig_boot(r, 1);
  rig_run(r, 1000);
  rig_mend(r, 0, 1);
  rig_run(r, 1000);
  rig_mend(r, 1, 2);
  rig_run(r, 3000);
  assert_each_runs(r, 30, 1);
  rig_mend(r, 0, 2);
  rig_run(r, 3000);
  rig_assert_all_run(r, 30);
  rig_free(r);
}

/* The third answers so late that its word did not count, and was connected all
 * the time: what it says then, of the question or of no question, counts. */
static void seen_by_a_slow_third(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 30);
  r->delay_ms = 0;
  for (int i = 0; i < 3; i += 2)
    r->late_ms[1][i] = 9000;
  rig_cut(r, 0, 2);
  rig_run(r, 8500);
  assert_true(rig_starts(r) > 30); /* each took over what the other ran */
  for (int i = 0; i < 3; i += 2)
    r->late_ms[1][i] = 0;
  rig_run(r, 12000);
  assert_each_runs(r, 30, 1);
  rig_mend(r, 0, 2);
  rig_run(r, 3000);
  rig_assert_all_run(r, 30);
  rig_free(r);
}

static void coordinator_crashes(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 40);
  uint32_t before = rig_starts(r);
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
  assert_int_equal(rig_starts(r), before);
  rig_assert_all_run(r, 40);
  rig_start_all(r, 0);
  rig_free(r);
}

/* Takes all but one spec. */
static bool refuse_bad(void *ud, byn_dist_content content, byn_dist_bytes bytes,
                       uint64_t hash) {
  (void)ud;
  (void)hash;
  return content != BYN_DIST_CONTENT_SPEC || bytes.n != 3 ||
         memcmp(bytes.at, "bad", 3) != 0;
}

/* A packet counts as a whole, and what else was in it is asked for anew. */
static void bad_content(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 2);
  r->config.check = refuse_bad;
  r->lenient = true;
  for (int i = 0; i < 2; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  rig_start_all(r, 10);
  byn_dist_start_spec what = {.spec = (const uint8_t *)"bad", .spec_len = 3};
  int id = 10;
  while (strcmp(rig_explain(r, 0, id).owner, rig_names[0]) != 0)
    id++;
  rig_ask(r, 0, id, false, &what, 3000);
  rig_run(r, 5);
  for (int i = 100; i < 110; i++)
    rig_start(r, 0, i, 0);
  rig_run(r, 300);
  assert_true(r->refused > 0);
  rig_terminate(r, 0, id);
  rig_run(r, 40000);
  for (int i = 100; i < 110; i++)
    assert_int_equal(rig_explain(r, 1, i).state, BYN_DIST_RUNNING);
  uint32_t so_far = r->refused;
  rig_run(r, 10000);
  assert_int_equal(r->refused, so_far);
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
  rig_assert_all_run(r, 50);
  rig_kill(r, 0);
  rig_run(r, 500);
  rig_assert_all_run(r, 50);
  free(spec);
  rig_free(r);
}

/* What was published and not heard is found by its digest. */
static void repaired(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 30);
  for (int id = 30; id < 60; id++) {
    rig_start(r, 0, id, 0);
    rig_run(r, 6);
    rig_lose_messages(r, 0, 2);
    rig_lose_messages(r, 1, 2);
  }
  rig_run(r, 300);
  int missed = 0;
  for (int id = 30; id < 60; id++)
    missed += rig_explain(r, 2, id).state != BYN_DIST_RUNNING;
  assert_true(missed > 0);
  rig_run(r, 8000);
  rig_assert_all_run(r, 60);
  rig_free(r);
}

/* An idle cluster says little, and equal digests stop all else. */
static void idle(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 100);
  rig_run(r, 5000);
  uint64_t bytes;
  uint32_t sends;
  rig_count_sent(r, 10000, &sends, &bytes);
  assert_true(sends <= 33);
  assert_true(bytes <= 33 * 600);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(killed_node),
      cmocka_unit_test(slow_answers),
      cmocka_unit_test(nobody_hosts),
      cmocka_unit_test(bad_content),
      cmocka_unit_test(split),
      cmocka_unit_test(newest_stays),
      cmocka_unit_test(clocks_differ),
      cmocka_unit_test(unconfirmed),
      cmocka_unit_test(not_enough_copies),
      cmocka_unit_test(leaving),
      cmocka_unit_test(no_hosts),
      cmocka_unit_test(lists_differ),
      cmocka_unit_test(after_a_gap_it_takes_nothing_over),
      cmocka_unit_test(an_answer_ends_the_hold),
      cmocka_unit_test(what_was_under_way_does_not_end_it),
      cmocka_unit_test(the_hold_ends_with_its_time),
      cmocka_unit_test(a_proven_end_ends_the_hold),
      cmocka_unit_test(a_proven_end_is_not_all),
      cmocka_unit_test(a_short_gap_holds_nothing_up),
      cmocka_unit_test(a_suspect_has_its_time_again),
      cmocka_unit_test(whoever_gave_it_up_is_waited_for),
      cmocka_unit_test(a_node_alone_is_not_held),
      cmocka_unit_test(partly_cut),
      cmocka_unit_test(relayed),
      cmocka_unit_test(relayed_under_way),
      cmocka_unit_test(seen_by_a_third),
      cmocka_unit_test(seen_by_a_third_at_once),
      cmocka_unit_test(seen_by_a_new_third),
      cmocka_unit_test(seen_by_a_slow_third),
      cmocka_unit_test(coordinator_crashes),
      cmocka_unit_test(large_specs),
      cmocka_unit_test(repaired),
      cmocka_unit_test(idle),
  };
  return cmocka_run_group_tests_name("dist nodes", tests, NULL, NULL);
}
