/* Nodes of a distributed supervisor that were away, for longer than the others
 * remember what ended meanwhile.
 */
#include "dist_rig.h"

static rig the_rig;

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
  rig_start_all(r, 30);
  rig_run(r, 12000);
  rig_cut(r, 0, 2);
  rig_cut(r, 1, 2);
  rig_run(r, 2000);
  for (int id = 0; id < 15; id++)
    rig_terminate(r, 0, id);
  int alone = rig_start(r, 2, 40, 0);
  rig_run(r, 40000);
  rig_assert_answer(r, alone, BYN_DIST_OK);
  assert_int_equal(rig_explain(r, 0, 3).state, BYN_DIST_UNKNOWN);
  assert_int_equal(rig_explain(r, 2, 3).state, BYN_DIST_RUNNING);
  rig_mend(r, 0, 2);
  rig_mend(r, 1, 2);
  rig_run(r, 3000);
  for (int id = 0; id < 15; id++) {
    int running;
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
  }
  for (int id = 15; id < 30; id++)
    assert_int_equal(rig_explain(r, 1, id).state, BYN_DIST_RUNNING);
  assert_int_equal(rig_explain(r, 1, 40).state, BYN_DIST_RUNNING);
  rig_free(r);
}

/* As many ends as are kept are not all that there were. */
static void more_ends_than_are_kept(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 2);
  r->config.keep_ended = 5;
  for (int i = 0; i < 2; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  rig_start_all(r, 15);
  rig_run(r, 12000);
  for (int id = 15; id < 30; id++)
    rig_start(r, 0, id, 0);
  rig_run(r, 100);
  rig_cut(r, 0, 1);
  rig_run(r, 3000);
  for (int id = 0; id < 30; id++)
    rig_terminate(r, 0, id);
  rig_run(r, 5000);
  rig_mend(r, 0, 1);
  rig_run(r, 3000);
  for (int id = 0, running; id < 30; id++) {
    rig_running(r, id, &running);
    assert_int_equal(running, 0);
  }
  rig_free(r);
}

/* The same for what began just before the nodes lost each other: it is not
 * what one of them may not have heard of. */
static void ended_and_forgotten(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 9, 2);
  r->config.keep_ended_ms = 15000;
  for (int i = 0; i < 2; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  rig_start_all(r, 20);
  r->cut[0][1] = true; /* of this one the other does not hear */
  int id = 20;
  while (strcmp(rig_explain(r, 0, id).owner, rig_names[0]) != 0)
    id++;
  rig_start(r, 0, id, 0);
  rig_run(r, 50);
  rig_cut(r, 0, 1);
  rig_run(r, 2000);
  for (int i = 0; i < 20; i++)
    rig_terminate(r, 1, i);
  rig_run(r, 40000);
  assert_int_equal(rig_explain(r, 1, 3).state, BYN_DIST_UNKNOWN);
  rig_mend(r, 0, 1);
  rig_run(r, 3000);
  int running;
  for (int i = 0; i < 20; i++) {
    rig_running(r, i, &running);
    assert_int_equal(running, 0);
  }
  assert_int_equal(rig_explain(r, 1, id).state, BYN_DIST_RUNNING);
  rig_free(r);
}

/* Two that lost each other for longer than ends are kept each start the same
 * child: one process of it stays, by whatever way each hears of the other. */
static void newcomer_in_conflict(void **state) {
  (void)state;
  for (int order = 0; order < 8; order++) {
    rig *r = &the_rig;
    rig_init(r, (uint64_t)order, 3);
    r->config.keep_ended_ms = 15000;
    for (int i = 0; i < 3; i++)
      rig_boot(r, i);
    rig_run(r, 500);
    rig_cut(r, 0, 1);
    rig_cut(r, 0, 2);
    rig_cut(r, 1, 2);
    rig_run(r, 40000);
    int starts[20];
    for (int id = 0; id < 20; id++) {
      starts[id] = rig_start(r, id % 2 * 2, id, 0);
      rig_run(r, 20);
      rig_start(r, 2 - id % 2 * 2, id, 0);
      rig_run(r, 20);
    }
    rig_run(r, 200);
    for (int step = 0; step < 3; step++) {
      int i = (order + step) % 3;
      rig_mend(r, i, (i + 1) % 3);
      rig_run(r, order & 4 ? 8 : 3000);
    }
    rig_run(r, 3000);
    rig_assert_all_run(r, 20);
    for (int id = 0; id < 20; id++)
      assert_string_equal(r->nodes[1].shown[id], r->requests[starts[id]].pid);
    rig_free(r);
  }
}

/* Nodes that are dead and named by nothing are forgotten. */
static void dead_peers_are_forgotten(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 10);
  rig_kill(r, 2);
  rig_run(r, 200000);
  byn_dist_node node;
  uint32_t cursor = 0, nodes = 0;
  while (byn_dist_each_node(r->nodes[0].d, &cursor, &node))
    nodes++;
  assert_int_equal(nodes, 3);
  rig_run(r, 200000);
  for (cursor = nodes = 0; byn_dist_each_node(r->nodes[0].d, &cursor, &node);)
    nodes++;
  assert_int_equal(nodes, 2);
  rig_boot(r, 2);
  rig_run(r, 1000);
  rig_assert_all_run(r, 10);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(newcomer),
      cmocka_unit_test(more_ends_than_are_kept),
      cmocka_unit_test(ended_and_forgotten),
      cmocka_unit_test(newcomer_in_conflict),
      cmocka_unit_test(dead_peers_are_forgotten),
  };
  return cmocka_run_group_tests_name("dist return", tests, NULL, NULL);
}
