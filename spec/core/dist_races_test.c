/* Nodes of a distributed supervisor where something comes at a bad moment: one
 * promise at a time.
 */
#include "../../csrc/core/dist/cohort.h"
#include "../../csrc/core/dist/record.h"
#include "dist_rig.h"

static rig the_rig;

/* The first id that a node says another owns. */
static int id_of(rig *r, int node, int owner) {
  int id = 0;
  while (strcmp(rig_explain(r, node, id).owner, rig_names[owner]) != 0)
    id++;
  return id;
}

static void cut_all(rig *r) {
  for (int i = 0; i < r->count; i++)
    for (int j = i + 1; j < r->count; j++)
      rig_cut(r, i, j);
}

/* A node that missed the spec, and hears of the child, asks for it. */
static void spec_missed(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  int id = id_of(r, 0, 0);
  rig_start(r, 0, id, 0);
  rig_lose_messages(r, 0, 2);
  rig_run(r, 40);
  assert_int_equal(rig_explain(r, 2, id).state, BYN_DIST_RUNNING);
  rig_kill(r, 0);
  rig_kill(r, 1);
  rig_run(r, 500);
  int running;
  rig_process *p = rig_running(r, id, &running);
  RIG_HOLDS(r, p && p->node == 2);
  rig_free(r);
}

static const char *state_of(const rig *r, int at, int node) {
  byn_dist_node n;
  for (uint32_t cursor = 0; byn_dist_each_node(r->nodes[at].d, &cursor, &n);)
    if (strcmp(n.node, rig_names[node]) == 0) return n.state;
  return NULL;
}

/* One node was refused by the dead one's host, another has lost sight of it:
 * that one hears of the proof. */
static void proof_passed_on(void **state) {
  (void)state;
  for (int early = 0; early < 2; early++) {
    rig *r = rig_all(&the_rig, 3);
    rig_start_all(r, 20);
    rig_cut(r, 0, 1);
    if (early) rig_cut(r, 1, 2);
    rig_run(r, 1500);
    assert_string_equal(state_of(r, 0, 1), early ? "lost" : "suspect");
    rig_mend(r, 1, 2);
    rig_run(r, early ? 20 : 500);
    rig_kill(r, 1);
    rig_run(r, 500);
    assert_string_equal(state_of(r, 0, 1), "dead");
    rig_assert_all_run(r, 20);
    rig_free(r);
  }
}

/* Whoever asks may have another ring: only the owner takes a start. */
static void owner_only(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  int id = id_of(r, 0, 2);
  byn_dist *d = r->nodes[0].d;
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  byn_buf *b = byn_record_begin(d, BYN_RECORD_START);
  byn_put_bytes_field(b, BYN_FIELD_KEY, name.key, name.n);
  size_t mark = byn_field_open(b, BYN_FIELD_HASH);
  byn_put_u64(b, name.hash);
  byn_field_close(b, mark);
  byn_put_number_field(b, BYN_FIELD_TOKEN, 99);
  byn_put_number_field(b, BYN_FIELD_STAMP, 99);
  byn_put_bytes_field(b, BYN_FIELD_SPEC, "spec", 4);
  byn_record_send(d, byn_cohort_find(d, rig_names[1], strlen(rig_names[1])));
  rig_drain(r, 0);
  rig_run(r, 300);
  assert_int_equal(rig_starts(r), 0);
  assert_int_equal(rig_explain(r, 1, id).state, BYN_DIST_UNKNOWN);
  rig_free(r);
}

/* The child of one generation was taken over while its host was lost. What
 * loses to an older generation is the copy: the host may run it still. */
static void loser_out_of_sight(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  cut_all(r);
  rig_run(r, 2000);
  int lost = rig_start(r, 1, 0, 0);
  rig_run(r, 200);
  int other = rig_start(r, 0, 0, 0);
  rig_run(r, 200);
  rig_assert_answer(r, lost, BYN_DIST_OK);
  rig_assert_answer(r, other, BYN_DIST_OK);
  rig_mend(r, 1, 2);
  rig_run(r, 500);
  rig_cut(r, 1, 2);
  rig_run(r, 2000);
  int running;
  rig_running(r, 0, &running);
  assert_int_equal(running, 3);
  rig_mend(r, 0, 2);
  rig_run(r, 3000);
  rig_running(r, 0, &running);
  assert_int_equal(running, 2);
  rig_mend(r, 0, 1);
  rig_mend(r, 1, 2);
  rig_run(r, 3000);
  rig_assert_all_run(r, 1);
  assert_string_equal(r->nodes[0].shown[0], r->requests[lost].pid);
  rig_free(r);
}

/* A loser that is answered that the winner does not run goes on. */
static void winner_is_gone(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 1);
  rig_cut(r, 0, 1);
  rig_run(r, 2000);
  int running, w = rig_running(r, 0, &running)->node;
  assert_int_equal(running, 2);
  r->delay_ms = 50;
  rig_mend(r, 0, 1);
  byn_dist *winner = r->nodes[w].d, *loser = r->nodes[1 - w].d;
  char key[16];
  byn_dist_id name;
  rig_key(0, key, &name);
  const byn_place *p = byn_registry_find(&loser->registry, &name);
  const byn_register *best;
  do {
    rig_run(r, 1);
    best = byn_place_running(p, false, NULL);
  } while (!best || best->host == loser->self);
  byn_peer *to =
      byn_cohort_find(winner, rig_names[1 - w], strlen(rig_names[1 - w]));
  for (int runs = 0; runs < 2; runs++) {
    byn_buf *b = byn_record_begin(winner, BYN_RECORD_CONFIRMED);
    byn_record_put_id(b, p);
    byn_put_number_field(b, BYN_FIELD_RUN, best->run);
    byn_put_number_field(b, BYN_FIELD_RUNS, (uint64_t)runs);
    byn_record_send(winner, to);
    byn_packet *packet = byn_packet_take(to);
    RIG_HOLDS(r, byn_dist_receive(loser, rig_names[w], packet->bytes.data,
                                  packet->bytes.len));
    byn_packet_free(winner, packet);
    rig_drain(r, 1 - w);
    assert_int_equal(r->nodes[1 - w].stops, runs);
  }
  rig_free(r);
}

/* While a node joins the ring, no id has two owners. */
static void two_rings(void **state) {
  (void)state;
  for (int id = 0; id < 20; id++) {
    rig *r = &the_rig;
    rig_init(r, (uint64_t)id, 2);
    r->delay_ms = 50;
    rig_boot(r, 0);
    rig_boot(r, 1);
    rig_run(r, 3000);
    byn_dist_set_hosts(r->nodes[1].d, false);
    rig_drain(r, 1);
    rig_run(r, 1000);
    byn_dist_set_hosts(r->nodes[1].d, true);
    rig_drain(r, 1);
    int a = rig_start(r, 1, id, 0), b = rig_start(r, 0, id, 0);
    rig_run(r, 3000);
    bool first = r->requests[a].code == BYN_DIST_OK;
    rig_assert_answer(r, first ? a : b, BYN_DIST_OK);
    rig_assert_answer(r, first ? b : a, BYN_DIST_ALREADY_STARTED);
    assert_int_equal(rig_starts(r), 1);
    rig_free(r);
  }
}

/* An end is of what was there when it was asked for. */
static void end_and_start(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 4);
  r->config.replicas = 4;
  for (int i = 0; i < 4; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  int id = id_of(r, 0, 0), running;
  rig_start(r, 0, id, 0);
  rig_run(r, 200);
  r->delay_ms = 200;
  int end = rig_terminate(r, 0, id);
  while (rig_explain(r, 0, id).state == BYN_DIST_RUNNING)
    rig_run(r, 1);
  int start = rig_start(r, 0, id, 0);
  rig_run(r, 3000);
  rig_assert_answer(r, end, BYN_DIST_OK);
  rig_assert_answer(r, start, BYN_DIST_OK);
  rig_running(r, id, &running);
  assert_int_equal(running, 1);
  rig_free(r);
}

/* A host has forgotten a child, and starts it anew as another remembers it:
 * that one takes what it writes for newer. */
static void forgotten_by_its_host(void **state) {
  (void)state;
  rig *r = &the_rig;
  rig_init(r, 3, 3);
  r->config.keep_ended_ms = 15000;
  r->config.down_after_ms = 60000; /* so long the gap has it wait */
  rig_boot(r, 0);
  rig_boot(r, 2);
  rig_run(r, 500);
  int id = id_of(r, 0, 0), running;
  rig_start(r, 0, id, 0);
  for (int crashes = 0; crashes < 3; crashes++) {
    rig_run(r, 200);
    rig_end(r, rig_running(r, id, &running), false, "crash");
  }
  rig_run(r, 200);
  rig_cut(r, 0, 2);
  rig_gap(r, 2, 60000);
  rig_run(r, 2000);
  rig_terminate(r, 0, id);
  rig_run(r, 30000);
  assert_int_equal(rig_explain(r, 0, id).state, BYN_DIST_UNKNOWN);
  rig_boot(r, 1);
  rig_run(r, 3000);
  rig_mend(r, 0, 2);
  rig_run(r, 6000);
  rig_process *p = rig_running(r, id, &running);
  assert_true(running <= 1);
  for (int i = 0; i < 3; i++)
    assert_string_equal(r->nodes[i].shown[id], p ? p->pid : "");
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(spec_missed),    cmocka_unit_test(proof_passed_on),
      cmocka_unit_test(owner_only),     cmocka_unit_test(loser_out_of_sight),
      cmocka_unit_test(winner_is_gone), cmocka_unit_test(two_rings),
      cmocka_unit_test(end_and_start),  cmocka_unit_test(forgotten_by_its_host),
  };
  return cmocka_run_group_tests_name("dist races", tests, NULL, NULL);
}
