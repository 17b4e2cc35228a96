/* Entities: started by who asks first, stopped for want of messages, kept. */
#define RIG_IDS 64
#include "../../csrc/core/dist/parts.h"
#include "dist_rig.h"

enum { ASKED = BYN_DIST_TRANSIENT | BYN_DIST_ENSURE | BYN_DIST_ENTITY };

static rig *new_rig(rig *r, int nodes, uint32_t replicas) {
  rig_init(r, 11, nodes);
  r->config.replicas = replicas;
  for (int i = 0; i < nodes; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  return r;
}

static rig_process *process_of(rig *r, int id) {
  int count;
  rig_process *p = rig_running(r, id, &count);
  RIG_HOLDS(r, count == 1);
  return p;
}

static bool rest(rig *r, const rig_process *p) {
  rig_time(r, p->node);
  bool rests = byn_dist_rest(r->nodes[p->node].d, p->child);
  rig_drain(r, p->node);
  return rests;
}

static rig_process *ask(rig *r, int node, int id) {
  int request = rig_start(r, node, id, ASKED);
  rig_run(r, 300);
  rig_assert_answer(r, request, BYN_DIST_OK);
  return process_of(r, id);
}

static uint32_t holders(rig *r, int id, int *list) {
  uint32_t n = 0;
  for (int i = 0; i < r->count; i++) {
    if (!r->nodes[i].d || !rig_explain(r, i, id).held_epoch) continue;
    if (list) list[n] = i;
    n++;
  }
  return n;
}

static void assert_idle(rig *r, int id) {
  int count;
  rig_running(r, id, &count);
  RIG_HOLDS(r, count == 0);
  for (int i = 0; i < r->count; i++)
    if (r->nodes[i].d)
      RIG_HOLDS(r, rig_explain(r, i, id).state == BYN_DIST_IDLE);
}

/* Starts it, has it hand that over, and leaves it idle. */
static void put_to_rest(rig *r, int id, const char *text) {
  rig_process *p = ask(r, 0, id);
  p->hands = text;
  assert_true(rest(r, p));
  rig_run(r, 300);
  assert_idle(r, id);
}

static void goes_on_where_it_was(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  for (int id = 0; id < 8; id++) {
    put_to_rest(&r, id, "kept");
    assert_int_equal(holders(&r, id, NULL), 2);
  }
  byn_dist_status s;
  byn_dist_status_of(r.nodes[0].d, &s);
  assert_int_equal(s.idle, 8);
  assert_int_equal(s.everywhere, 0);
  rig_run(&r, 5000);
  for (int id = 0; id < 8; id++) {
    assert_idle(&r, id);
    rig_process *p = ask(&r, (id + 1) % 3, id);
    assert_string_equal(p->given, "kept");
    assert_false(p->handed);
  }
  rig_free(&r);
}

/* Started, put to rest and woken up again, while one allocation fails. false:
 * none did. */
static bool lives_on(uint64_t nth) {
  rig r;
  new_rig(&r, 3, 2);
  byn_test_fail_nth(&r.memory, nth);
  rig_start(&r, 0, 1, ASKED);
  rig_run(&r, 1000);
  rig_start(&r, 1, 1, ASKED); /* again, as the first may have been refused */
  rig_run(&r, 1000);
  rig_process *p = process_of(&r, 1);
  p->hands = "kept";
  int write = r.request_count;
  bool rested = rest(&r, p);
  rig_run(&r, 1000);
  bool kept = rested && r.requests[write].code == BYN_DIST_OK;
  if (rested) assert_idle(&r, 1);
  rig_start(&r, 2, 1, ASKED);
  rig_run(&r, 1000);
  bool failed = r.memory.failed > 0;
  byn_test_fail_nth(&r.memory, 0);
  rig_start(&r, 2, 1, ASKED);
  rig_run(&r, 10000);
  rig_process *again = process_of(&r, 1);
  if (again != p) assert_string_equal(again->given, kept ? "kept" : "");
  RIG_HOLDS(&r, rested == (again != p));
  rig_free(&r);
  return failed;
}

static void survives_each_failed_allocation(void **state) {
  (void)state;
  const char *one = getenv("BYN_SEED");
  uint64_t nth = one ? strtoull(one, NULL, 10) : 1;
  while (lives_on(nth) && !one)
    nth++;
  assert_true(nth > 1);
}

static void one_that_kept_nothing_is_forgotten(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  for (int id = 0; id < 8; id++) {
    assert_true(rest(&r, ask(&r, 0, id)));
    rig_run(&r, 300);
    assert_idle(&r, id);
  }
  for (int i = 0; i < 3; i++)
    assert_int_equal(r.nodes[i].d->registry.tree.count, 8);
  rig_run(&r, 12000); /* other ends are kept for 60000 */
  for (int i = 0; i < 3; i++) {
    assert_int_equal(r.nodes[i].d->registry.tree.count, 0);
    assert_int_equal(r.nodes[i].d->run_count, 0);
  }
  assert_string_equal(ask(&r, 1, 0)->given, "");
  rig_free(&r);
}

/* Ends of idle ones, though many, do not push out others. */
static void other_ends_are_remembered(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 11, 1);
  r.config.keep_ended = 8;
  rig_boot(&r, 0);
  rig_run(&r, 500);
  rig_start(&r, 0, 63, 0);
  rig_run(&r, 200);
  rig_terminate(&r, 0, 63);
  rig_run(&r, 200);
  for (int id = 0; id < 32; id++) {
    assert_true(rest(&r, ask(&r, 0, id)));
    rig_run(&r, 20);
  }
  rig_run(&r, 2000);
  assert_int_equal(rig_explain(&r, 0, 63).state, BYN_DIST_ENDED);
  rig_free(&r);
}

static void many_who_ask_start_it_once(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 5, 3);
  for (int id = 0; id < 16; id++)
    put_to_rest(&r, id, "kept");
  for (int round = 0; round < 2; round++) { /* idle ones, and unknown ones */
    uint32_t before = rig_starts(&r);
    int first = 16 * round;
    for (int id = first; id < first + 16; id++)
      for (int i = 0; i < 5; i++)
        rig_start(&r, i, id, ASKED);
    rig_run(&r, 2000);
    assert_int_equal(rig_starts(&r) - before, 16);
    for (int id = first; id < first + 16; id++)
      assert_string_equal(process_of(&r, id)->given, round ? "" : "kept");
  }
  for (int q = 0; q < r.request_count; q++)
    RIG_HOLDS(&r, r.requests[q].answered);
  rig_free(&r);
}

static void is_kept_while_nodes_crash(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 5, 3);
  for (int id = 0; id < 8; id++)
    put_to_rest(&r, id, "kept");
  for (int round = 0; round < 5; round++) {
    int a = round, b = (round + 2) % 5;
    rig_kill(&r, a);
    rig_kill(&r, b);
    rig_run(&r, 8000);
    for (int id = 0; id < 8; id++) {
      assert_idle(&r, id);
      assert_int_equal(holders(&r, id, NULL), 3);
    }
    rig_boot(&r, a);
    rig_boot(&r, b);
    rig_run(&r, 4000);
    for (int id = 0; id < 8; id++)
      assert_int_equal(holders(&r, id, NULL), 3);
  }
  for (int id = 0; id < 8; id++)
    assert_string_equal(ask(&r, 0, id)->given, "kept");
  rig_free(&r);
}

/* Each node in its turn, as in a rolling restart; of two there is always one
 * that has not heard anything in its life but from the other. */
static void is_handed_on_by_nodes_that_leave(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 2, 2);
  r.config.replicas = 1;
  for (int id = 0; id < 8; id++)
    put_to_rest(&r, id, "kept");
  for (int round = 0; round < 4; round++) {
    int i = round % 2;
    rig_time(&r, i);
    byn_dist_leave(r.nodes[i].d, (const uint8_t *)"end", 3);
    rig_drain(&r, i);
    rig_run(&r, 1500);
    RIG_HOLDS(&r, r.nodes[i].left);
    rig_kill(&r, i);
    rig_boot(&r, i);
    rig_run(&r, 3000);
  }
  for (int id = 0; id < 8; id++)
    assert_string_equal(ask(&r, 0, id)->given, "kept");
  rig_free(&r);
}

static void moves_with_the_ring(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 5, 6);
  for (int i = 0; i < 2; i++)
    rig_boot(&r, i);
  rig_run(&r, 500);
  for (int id = 0; id < 16; id++) {
    put_to_rest(&r, id, "kept");
  }
  for (int i = 2; i < 6; i++) {
    rig_boot(&r, i);
    for (int step = 0; step < 30; step++) {
      rig_run(&r, 100);
      for (int id = 0; id < 16; id++)
        RIG_HOLDS(&r, holders(&r, id, NULL) >= 2);
    }
  }
  rig_run(&r, 3000);
  for (int id = 0; id < 16; id++) {
    assert_int_equal(holders(&r, id, NULL), 2);
    assert_string_equal(ask(&r, id % 6, id)->given, "kept");
  }
  rig_free(&r);
}

static void takes_no_room(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 11, 1);
  r.config.max_children = 1;
  rig_boot(&r, 0);
  rig_run(&r, 500);
  for (int id = 0; id < 4; id++)
    put_to_rest(&r, id, "kept");
  rig_process *p = ask(&r, 0, 0);
  int request = rig_start(&r, 0, 1, ASKED);
  rig_run(&r, 300);
  rig_assert_answer(&r, request, BYN_DIST_ALREADY_PRESENT);
  assert_int_equal(rig_explain(&r, 0, 1).state, BYN_DIST_WAITING);
  p->hands = "kept more";
  assert_true(rest(&r, p));
  rig_run(&r, 3000);
  assert_string_equal(process_of(&r, 1)->given, "kept");
  rig_free(&r);
}

static void only_entities_rest(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 2, 2);
  rig_start_all(&r, 2);
  assert_false(rest(&r, process_of(&r, 0)));
  rig_time(&r, 0);
  assert_false(byn_dist_rest(r.nodes[0].d, 77));
  rig_process *p = ask(&r, 0, 8);
  assert_true(rest(&r, p));
  assert_false(rest(&r, p));
  rig_run(&r, 300);
  assert_idle(&r, 8);
  rig_free(&r);
}

static void ends(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  put_to_rest(&r, 0, "kept");
  int request = rig_terminate(&r, 1, 0);
  rig_run(&r, 300);
  rig_assert_answer(&r, request, BYN_DIST_OK);
  assert_int_equal(holders(&r, 0, NULL), 0);
  assert_int_equal(rig_explain(&r, 0, 0).state, BYN_DIST_ENDED);
  request = rig_start(&r, 1, 1, 0);
  rig_run(&r, 300);
  put_to_rest(&r, 2, "kept");
  request = rig_start(&r, 1, 2, 0); /* not with ENSURE */
  rig_run(&r, 300);
  rig_assert_answer(&r, request, BYN_DIST_ALREADY_PRESENT);
  assert_idle(&r, 2);
  assert_string_equal(ask(&r, 0, 0)->given, "");
  rig_free(&r);
}

/* A crash restarts it; an end in order ends it. */
static void crashes(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  rig_process *p = ask(&r, 0, 0);
  int node = p->node;
  rig_write(&r, p, "kept", true, false);
  rig_end(&r, p, false, "crash");
  rig_run(&r, 300);
  assert_string_equal(process_of(&r, 0)->given, "kept");
  rig_kill(&r, node);
  rig_run(&r, 3000);
  p = process_of(&r, 0);
  assert_string_equal(p->given, "kept");
  rig_end(&r, p, true, "normal");
  rig_run(&r, 300);
  assert_int_equal(rig_explain(&r, p->node, 0).state, BYN_DIST_ENDED);
  assert_string_equal(ask(&r, p->node, 0)->given, "");
  rig_free(&r);
}

static void a_failing_start_is_answered(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  r.failing_id = 5;
  uint32_t before = rig_starts(&r);
  int request = rig_start(&r, 0, 5, ASKED);
  rig_run(&r, 1000);
  rig_assert_answer(&r, request, BYN_DIST_ERROR);
  assert_string_equal(r.requests[request].reason, "sorry");
  assert_int_equal(rig_starts(&r) - before, 1);
  rig_free(&r);
}

/* --- random orders -------------------------------------------------------- */

enum { IDS = 6 };

typedef struct history {
  int written[IDS];          /* the newest that was handed over */
  rig_process *resting[IDS]; /* that is to hand the next over */
  char text[IDS][2000][12];
  int seen;
} history;

/* Whatever one is given was its newest, where nodes do not crash; and no two
 * run, where all are connected. */
static void look_at_starts(rig *r, history *h) {
  for (; h->seen < r->process_count; h->seen++) {
    const rig_process *p = &r->processes[h->seen];
    int given = atoi(p->given);
    if (given != h->written[p->id])
      fail_msg("seed %" PRIu64 ", %" PRId64 ": child %d was given %d of %d",
               r->seed, r->now, p->id, given, h->written[p->id]);
  }
}

static void note_handed(history *h) {
  for (int id = 0; id < IDS; id++) {
    if (!h->resting[id] || h->resting[id]->hands) continue;
    h->written[id]++;
    h->resting[id] = NULL;
  }
}

static void let_pass(rig *r, history *h, int64_t ms) {
  for (int64_t until = r->now + ms; r->now < until;) {
    rig_run(r, 1);
    note_handed(h);
    look_at_starts(r, h);
    for (int id = 0; id < IDS; id++) {
      int count;
      rig_running(r, id, &count);
      if (count > 1)
        fail_msg("seed %" PRIu64 ": %d of child %d", r->seed, count, id);
    }
  }
}

static void rest_one(rig *r, history *h, int id) {
  int count;
  rig_process *p = rig_running(r, id, &count);
  if (count != 1 || h->resting[id] || h->written[id] > 1990) return;
  int n = h->written[id] + 1;
  snprintf(h->text[id][n], sizeof h->text[id][n], "%d", n);
  p->hands = h->text[id][n];
  if (rest(r, p))
    h->resting[id] = p;
  else
    p->hands = NULL;
}

static void come_and_go(rig *r, history *h) {
  int i = (int)rig_draw(r, (uint32_t)r->count), up = 0;
  for (int j = 0; j < r->count; j++)
    up += r->nodes[j].d != NULL;
  if (!r->nodes[i].d) {
    rig_boot(r, i);
    let_pass(r, h, 1000);
  } else if (up > 2) {
    for (int id = 0; id < IDS; id++) { /* none runs there */
      int count;
      rig_process *p = rig_running(r, id, &count);
      if (count && p->node == i) rest_one(r, h, id);
    }
    let_pass(r, h, 200);
    rig_time(r, i);
    byn_dist_leave(r->nodes[i].d, (const uint8_t *)"end", 3);
    rig_drain(r, i);
    for (int step = 0; step < 60 && !r->nodes[i].left; step++)
      let_pass(r, h, 100);
    RIG_HOLDS(r, r->nodes[i].left);
    rig_kill(r, i);
    let_pass(r, h, 500);
  }
}

static void play(uint64_t seed) {
  static rig r;
  static history h;
  memset(&h, 0, sizeof h);
  rig_init(&r, seed, 4);
  r.config.replicas = 1 + (uint32_t)(seed % 3);
  for (int i = 0; i < r.count; i++)
    rig_boot(&r, i);
  rig_run(&r, 500);
  for (int step = 0; step < 120; step++) {
    int id = (int)rig_draw(&r, IDS), node = (int)rig_draw(&r, 4);
    switch (rig_draw(&r, 10)) {
    case 0:
      come_and_go(&r, &h);
      break;
    case 1:
    case 2:
    case 3:
    case 4:
      rest_one(&r, &h, id);
      break;
    default:
      if (r.nodes[node].d && !r.nodes[node].left)
        rig_start(&r, node, id, ASKED);
    }
    let_pass(&r, &h, rig_draw(&r, 30));
  }
  let_pass(&r, &h, 10000);
  for (int q = 0; q < r.request_count; q++) {
    const rig_request *one = &r.requests[q];
    if (one->life == r.nodes[one->node].life && r.nodes[one->node].d)
      RIG_HOLDS(&r, one->answered);
  }
  rig_free(&r);
}

static void any_order(void **state) {
  (void)state;
  const char *given = getenv("BYN_SEED");
  if (given) {
    play(strtoull(given, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= byn_test_plays(60); seed++)
    play(seed);
}

/* --- who was away --------------------------------------------------------- */

/* All that it has of each is told, and the state that it left with is held by
 * as many as before. */
static void a_newcomer_knows_those_that_sleep(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 11, 4);
  for (int i = 0; i < 3; i++)
    rig_boot(&r, i);
  rig_run(&r, 500);
  for (int id = 0; id < 16; id++)
    put_to_rest(&r, id, "kept");
  rig_boot(&r, 3);
  rig_run(&r, 2000);
  for (int id = 0; id < 16; id++) {
    assert_idle(&r, id);
    assert_int_equal(holders(&r, id, NULL), 2);
  }
  rig_kill(&r, 0);
  rig_run(&r, 2000);
  for (int id = 0; id < 16; id++)
    assert_string_equal(ask(&r, 1 + id % 3, id)->given, "kept");
  rig_free(&r);
}

static bool sleeps_everywhere(rig *r, int id) {
  for (int i = 0; i < r->count; i++)
    if (rig_explain(r, i, id).state != BYN_DIST_IDLE) return false;
  return true;
}

/* Nobody says again that it sleeps, or that it was woken: the digests do. */
static void who_missed_it_finds_it_by_its_digest(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  rig_process *p = ask(&r, 0, 0);
  int host = p->node, third = (host + 1) % 3;
  p->hands = "kept";
  assert_true(rest(&r, p));
  while (p->state == RIG_RUNNING)
    rig_run(&r, 1);
  r.mute[host][third] = true;
  rig_run(&r, 300);
  r.mute[host][third] = false;
  assert_false(sleeps_everywhere(&r, 0));
  rig_run(&r, 12000);
  assert_true(sleeps_everywhere(&r, 0));
  assert_idle(&r, 0);
  rig_free(&r);
}

/* --- without a quorum ----------------------------------------------------- */

/* What sleeps is no process that has to end: the node takes part again, and
 * takes what it missed from the others. */
static void sleeps_where_there_is_no_quorum(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 11, 3);
  r.config.down_after_ms = 1000;
  r.config.heartbeat_ms = 200;
  r.config.quorum_needed = 2;
  r.config.quorum_stop_ms = 600;
  for (int i = 0; i < 3; i++)
    rig_boot(&r, i);
  rig_run(&r, 4000);
  for (int id = 0; id < 16; id++)
    put_to_rest(&r, id, "kept");
  rig_cut(&r, 0, 1);
  rig_cut(&r, 0, 2);
  rig_run(&r, 6000);
  byn_dist_quorum q;
  byn_dist_quorum_of(r.nodes[0].d, &q);
  assert_false(q.runs);
  assert_string_equal(q.state, "lacks");
  for (int id = 0; id < 8; id++)
    assert_string_equal(ask(&r, 1, id)->given, "kept");
  for (int i = 1; i < 3; i++) {
    rig_mend(&r, 0, i);
    rig_connect(&r, 0, i);
  }
  rig_run(&r, 6000);
  byn_dist_quorum_of(r.nodes[0].d, &q);
  assert_true(q.runs);
  for (int id = 0; id < 8; id++)
    assert_int_equal(rig_explain(&r, 0, id).state, BYN_DIST_RUNNING);
  for (int id = 8; id < 16; id++) {
    assert_idle(&r, id);
    assert_string_equal(ask(&r, 0, id)->given, "kept");
  }
  rig_free(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(goes_on_where_it_was),
      cmocka_unit_test(survives_each_failed_allocation),
      cmocka_unit_test(one_that_kept_nothing_is_forgotten),
      cmocka_unit_test(other_ends_are_remembered),
      cmocka_unit_test(many_who_ask_start_it_once),
      cmocka_unit_test(is_kept_while_nodes_crash),
      cmocka_unit_test(is_handed_on_by_nodes_that_leave),
      cmocka_unit_test(moves_with_the_ring),
      cmocka_unit_test(takes_no_room),
      cmocka_unit_test(only_entities_rest),
      cmocka_unit_test(ends),
      cmocka_unit_test(crashes),
      cmocka_unit_test(a_failing_start_is_answered),
      cmocka_unit_test(a_newcomer_knows_those_that_sleep),
      cmocka_unit_test(who_missed_it_finds_it_by_its_digest),
      cmocka_unit_test(sleeps_where_there_is_no_quorum),
      cmocka_unit_test(any_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
