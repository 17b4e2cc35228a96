/* Drained nodes, and rebalancing: which children move, how many, and when. */
#define RIG_IDS 1000
#include "dist_move_rig.h"

static rig big;

/* --- drain ---------------------------------------------------------------- */

static void drain_moves_all(void **state) {
  (void)state;
  rig *r = &big;
  new_rig(r, 4);
  rig_start_all(r, 40);
  start_on(r, 40, 1, 0, true); /* pinned there */
  for (int id = 0; id <= 40; id++)
    process_of(r, id)->hands = "new";
  int here = count_on(r, 1);
  rig_drain_node(r, 1, true);
  rig_run(r, 2000);
  assert_int_equal(count_on(r, 1), 0);
  assert_int_equal(byn_dist_moves_made(r->nodes[1].d), here);
  rig_assert_all_run(r, 41);
  assert_string_equal(process_of(r, 40)->given, "new");
  assert_at_rest(r);
  rig_undrain(r, 1);
  rig_run(r, 3000);
  assert_int_equal(count_on(r, 1), 0);
  uint32_t count, all = 0;
  for (int i = 0; i < 4; i++) {
    assert_true(byn_dist_rebalance(r->nodes[i].d, &count));
    rig_drain(r, i);
    all += count;
  }
  rig_run(r, 2000);
  assert_int_equal(all, here);
  assert_int_equal(count_on(r, 1), here);
  assert_at_rest(r);
  rig_free(r);
}

static void drain_leaves_them_where_nobody_else_is(void **state) {
  (void)state;
  rig *r = &big;
  new_rig(r, 1);
  rig_start_all(r, 5);
  rig_drain_node(r, 0, true);
  rig_run(r, 3000);
  rig_assert_all_run(r, 5);
  assert_at_rest(r);
  r->count = 2;
  rig_boot(r, 1);
  rig_run(r, 3000);
  assert_int_equal(count_on(r, 1), 5);
  assert_at_rest(r);
  rig_free(r);
}

static void drain_may_be_over_or_taken_back(void **state) {
  (void)state;
  for (int back = 0; back < 2; back++)
    for (int ms = 0; ms < 60; ms += 3) {
      rig *r = &big;
      new_rig(r, 3);
      r->stop_ms = 20;
      rig_start_all(r, 40);
      byn_dist_config c = r->config;
      c.start_concurrency = 2;
      byn_dist_configure(r->nodes[1].d, &c);
      rig_drain_node(r, 1, true);
      rig_run(r, ms);
      if (back)
        rig_undrain(r, 1);
      else
        rig_drain_node(r, 1, false);
      rig_run(r, 3000);
      int left = count_on(r, 1);
      assert_true(left > 0 || ms > 20);
      rig_assert_all_run(r, 40);
      assert_at_rest(r);
      rig_run(r, 20000);
      assert_int_equal(count_on(r, 1), left);
      rig_free(r);
    }
}

/* --- rebalancing ---------------------------------------------------------- */

static void a_join_moves_what_the_ring_wants(void **state) {
  (void)state;
  for (int nodes = 2; nodes < 6; nodes++) {
    rig *r = &big;
    rig_init(r, 17, nodes);
    r->config.rebalance_per_second = 100;
    r->config.keep_ended = 1000;
    for (int i = 0; i < nodes; i++)
      rig_boot(r, i);
    rig_run(r, 500);
    rig_start_all(r, RIG_IDS - 2);
    start_on(r, RIG_IDS - 2, 0, 0, true);
    start_on(r, RIG_IDS - 1, 1, 0, false);
    int named = rig_move(r, 0, RIG_IDS - 1, 0);
    rig_run(r, 500);
    rig_assert_answer(r, named, BYN_DIST_OK);
    uint64_t before = 0;
    for (int i = 0; i < nodes; i++)
      before += byn_dist_moves_made(r->nodes[i].d);
    r->count = nodes + 1;
    rig_boot(r, nodes);
    for (int s = 0; s < 20; s++) {
      uint64_t last[RIG_NODES];
      for (int i = 0; i < nodes; i++)
        last[i] = byn_dist_moves_made(r->nodes[i].d);
      rig_run(r, 1000);
      for (int i = 0; i < nodes; i++)
        RIG_HOLDS(r, byn_dist_moves_made(r->nodes[i].d) - last[i] <= 101);
    }
    uint64_t made = -before;
    for (int i = 0; i <= nodes; i++)
      made += byn_dist_moves_made(r->nodes[i].d);
    print_message("to %d nodes: %d of %d moved\n", nodes + 1, (int)made,
                  RIG_IDS);
    RIG_HOLDS(r, made == (uint64_t)count_on(r, nodes));
    rig_assert_all_run(r, RIG_IDS);
    RIG_HOLDS(r, process_of(r, RIG_IDS - 2)->node == 0);
    RIG_HOLDS(r, process_of(r, RIG_IDS - 1)->node == 0);
    for (int id = 0; id < RIG_IDS - 2; id++)
      RIG_HOLDS(r, !strcmp(rig_explain(r, 0, id).owner,
                           rig_names[process_of(r, id)->node]));
    assert_at_rest(r);
    rig_free(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(drain_moves_all),
      cmocka_unit_test(drain_leaves_them_where_nobody_else_is),
      cmocka_unit_test(drain_may_be_over_or_taken_back),
      cmocka_unit_test(a_join_moves_what_the_ring_wants),
  };
  return cmocka_run_group_tests_name("dist rebalance", tests, NULL, NULL);
}
