/* Checkpoints: who holds them, and what the next process is started with. */
#define RIG_IDS 64
#include "../../csrc/core/dist/parts.h"
#include "../../csrc/core/dist/record.h"
#include "dist_rig.h"

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

static void write_ok(rig *r, int id, const char *text) {
  int request = rig_write(r, process_of(r, id), text, false, false);
  rig_run(r, 200);
  rig_assert_answer(r, request, BYN_DIST_OK);
}

/* The nodes that hold a checkpoint of a child. */
static uint32_t holders(rig *r, int id, int *list) {
  uint32_t n = 0;
  for (int i = 0; i < r->count; i++) {
    if (!r->nodes[i].d || !rig_explain(r, i, id).held_epoch) continue;
    if (list) list[n] = i;
    n++;
  }
  return n;
}

static void survives_the_loss_of_its_node(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  rig_start_all(&r, 8);
  for (int id = 0; id < 8; id++) {
    assert_string_equal(process_of(&r, id)->given, "");
    write_ok(&r, id, "first");
    write_ok(&r, id, "second");
    assert_int_equal(holders(&r, id, NULL), 2);
  }
  rig_kill(&r, process_of(&r, 0)->node);
  rig_run(&r, 3000);
  for (int id = 0; id < 8; id++) {
    rig_process *p = process_of(&r, id);
    if (p->begun > 3000) assert_string_equal(p->given, "second");
    assert_false(p->handed);
    assert_int_equal(holders(&r, id, NULL), 2);
  }
  rig_free(&r);
}

static void survives_all_but_one(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 5, 3);
  rig_start_all(&r, 8);
  for (int id = 0; id < 8; id++)
    write_ok(&r, id, "kept");
  for (int id = 0; id < 8; id++) {
    int list[RIG_NODES];
    assert_int_equal(holders(&r, id, list), 3);
    int runner = process_of(&r, id)->node;
    int other = list[0] == runner ? list[1] : list[0];
    rig_kill(&r, runner);
    rig_kill(&r, other);
    rig_run(&r, 8000);
    assert_string_equal(process_of(&r, id)->given, "kept");
    rig_boot(&r, runner);
    rig_boot(&r, other);
    rig_run(&r, 3000);
    assert_int_equal(holders(&r, id, NULL), 3);
  }
  rig_free(&r);
}

/* A restart in place has even what nobody has confirmed. */
static void restarts_in_place(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  rig_start_all(&r, 1);
  rig_process *p = process_of(&r, 0);
  int node = p->node;
  rig_write(&r, p, "newest", true, false);
  rig_end(&r, p, false, "crash");
  rig_run(&r, 500);
  p = process_of(&r, 0);
  assert_int_equal(p->node, node);
  assert_string_equal(p->given, "newest");
  rig_free(&r);
}

static void is_gone_with_the_child(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 3);
  for (int round = 0; round < 2; round++) {
    rig_start_all(&r, 1);
    assert_string_equal(process_of(&r, 0)->given, "");
    write_ok(&r, 0, "old");
    assert_int_equal(holders(&r, 0, NULL), 3);
    int request = rig_terminate(&r, 1, 0);
    rig_run(&r, 500);
    rig_assert_answer(&r, request, BYN_DIST_OK);
    assert_int_equal(holders(&r, 0, NULL), 0);
  }
  rig_free(&r);
}

/* Nodes join until others are to hold it: those are sent it, and only then
 * those that held it drop theirs. */
static void moves_with_the_ring(void **state) {
  (void)state;
  rig r;
  rig_init(&r, 5, 8);
  r.config.replicas = 3;
  for (int i = 0; i < 3; i++)
    rig_boot(&r, i);
  rig_run(&r, 500);
  int requests[16];
  for (int id = 0; id < 16; id++)
    requests[id] = rig_start(&r, 0, id, 0);
  rig_run(&r, 1000);
  for (int id = 0; id < 16; id++) {
    rig_assert_answer(&r, requests[id], BYN_DIST_OK);
    write_ok(&r, id, "kept");
  }
  for (int i = 3; i < 8; i++) {
    rig_boot(&r, i);
    for (int step = 0; step < 30; step++) {
      rig_run(&r, 100);
      for (int id = 0; id < 16; id++)
        RIG_HOLDS(&r, holders(&r, id, NULL) >= 3);
    }
  }
  bool moved = false;
  for (int id = 0; id < 16; id++) {
    int list[RIG_NODES];
    assert_int_equal(holders(&r, id, list), 3);
    moved |= list[2] >= 3;
  }
  assert_true(moved);
  rig_free(&r);
}

/* Each is one message to each replica; what is written while that is under way
 * waits, and only the newest goes. */
static void coalesces(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  rig_start_all(&r, 1);
  write_ok(&r, 0, "first");
  rig_process *p = process_of(&r, 0);
  uint32_t sends = r.nodes[p->node].sends;
  for (int i = 0; i < 100; i++)
    rig_write(&r, p, i == 99 ? "last" : "between", true, false);
  rig_run(&r, 200);
  assert_true(r.nodes[p->node].sends - sends <= 4);
  for (int i = 0; i < 100; i++)
    rig_assert_answer(&r, r.request_count - 100 + i, BYN_DIST_OK);
  rig_kill(&r, p->node);
  rig_run(&r, 3000);
  assert_string_equal(process_of(&r, 0)->given, "last");
  rig_free(&r);
}

static void refusals(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 2);
  r.config.max_checkpoint = 4;
  for (int i = 0; i < 3; i++)
    byn_dist_configure(r.nodes[i].d, &r.config);
  rig_start_all(&r, 1);
  rig_process *p = process_of(&r, 0), ended = *p;
  int large = rig_write(&r, p, "large", false, false);
  write_ok(&r, 0, "fits");
  rig_assert_answer(&r, large, BYN_DIST_TOO_LARGE);
  rig_end(&r, p, false, "crash");
  rig_run(&r, 500);
  int late = rig_write(&r, &ended, "late", false, false);
  rig_assert_answer(&r, late, BYN_DIST_NOT_FOUND);
  rig_free(&r);
}

/* Nobody confirms: the answer is TIMEOUT, and it is not lost here. */
static void times_out(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 2, 2);
  rig_start_all(&r, 1);
  rig_process *p = process_of(&r, 0);
  r.notice_ms = 60000;
  rig_cut(&r, 0, 1);
  r.wires[0][1].notice = r.wires[1][0].notice = r.now + 60000;
  int request = rig_write(&r, p, "here", false, false);
  rig_run(&r, 4900);
  assert_false(r.requests[request].answered);
  rig_run(&r, 200);
  rig_assert_answer(&r, request, BYN_DIST_TIMEOUT);
  rig_end(&r, p, false, "crash");
  rig_run(&r, 500);
  assert_string_equal(process_of(&r, 0)->given, "here");
  rig_free(&r);
}

/* Both sides of a split write. Whichever is newer, what the copy writes that
 * stays is what the next one gets. */
static void winner_of_a_conflict(void **state) {
  (void)state;
  for (int newest = 0; newest < 2; newest++) {
    rig r;
    rig_init(&r, 3, 4);
    r.config.replicas = 2;
    r.config.newest = newest;
    for (int i = 0; i < 4; i++)
      rig_boot(&r, i);
    rig_run(&r, 500);
    rig_start_all(&r, 8);
    for (int id = 0; id < 8; id++)
      write_ok(&r, id, "before");
    for (int i = 0; i < 2; i++)
      for (int j = 2; j < 4; j++)
        rig_cut(&r, i, j);
    rig_run(&r, 8000);
    for (int p = 0; p < r.process_count; p++) {
      rig_process *x = &r.processes[p];
      if (x->state != RIG_RUNNING) continue;
      for (int n = 0; n < 4; n++)
        rig_write(&r, x, x->node < 2 ? "left" : "right", false, false);
    }
    rig_run(&r, 500);
    for (int i = 0; i < 2; i++)
      for (int j = 2; j < 4; j++)
        rig_mend(&r, i, j);
    rig_run(&r, 8000);
    bool left[8];
    for (int id = 0; id < 8; id++)
      left[id] = process_of(&r, id)->node < 2;
    for (int id = 0; id < 8; id++) {
      int node = process_of(&r, id)->node;
      rig_kill(&r, node);
      rig_run(&r, 8000);
      assert_string_equal(process_of(&r, id)->given,
                          left[id] ? "left" : "right");
      rig_boot(&r, node);
      rig_run(&r, 3000);
    }
    rig_free(&r);
  }
}

/* --- which of two copies stays -------------------------------------------- */

static void divide(rig *r) {
  for (int i = 0; i < r->count / 2; i++)
    for (int j = r->count / 2; j < r->count; j++)
      rig_cut(r, i, j);
}

static void meet(rig *r) {
  for (int i = 0; i < r->count / 2; i++)
    for (int j = r->count / 2; j < r->count; j++)
      rig_mend(r, i, j);
}

/* The process of a child on one side of a network of four that is divided. */
static rig_process *process_at(rig *r, int id, bool left) {
  for (int p = 0; p < r->process_count; p++) {
    rig_process *x = &r->processes[p];
    if (x->id == id && x->state == RIG_RUNNING && (x->node < 2) == left)
      return x;
  }
  fail_msg("no process of %d on the %s", id, left ? "left" : "right");
  return NULL;
}

/* What was written where is known to that side alone. */
static void write_at(rig *r, int id, bool left, const char *text) {
  int request = rig_write(r, process_at(r, id, left), text, false, false);
  rig_run(r, 200);
  rig_assert_answer(r, request, BYN_DIST_OK);
}

/* Four nodes, eight children on whatever side, each with a copy on the other
 * side that began later; none of them has written anything. */
static rig *divided(rig *r, uint64_t seed, bool *left) {
  rig_init(r, seed, 4);
  r->config.replicas = 2;
  for (int i = 0; i < 4; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  rig_start_all(r, 8);
  for (int id = 0; id < 8; id++)
    left[id] = process_of(r, id)->node < 2;
  divide(r);
  rig_run(r, 8000);
  return r;
}

/* The older process began anew; the younger was given what one wrote that began
 * before that. */
static void longer_history_stays(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    rig r;
    bool left[8];
    divided(&r, seed, left);
    char pids[8][24];
    for (int id = 0; id < 8; id++) {
      write_at(&r, id, left[id], "long");
      write_at(&r, id, !left[id], "short");
      rig_end(&r, process_at(&r, id, left[id]), false, "crash");
    }
    rig_run(&r, 500);
    for (int id = 0; id < 8; id++) {
      rig_process *p = process_at(&r, id, left[id]);
      RIG_HOLDS(&r, p->begun > process_at(&r, id, !left[id])->begun);
      assert_string_equal(p->given, "long");
      memcpy(pids[id], p->pid, sizeof pids[id]);
    }
    meet(&r);
    rig_run(&r, 8000);
    for (int id = 0; id < 8; id++)
      assert_string_equal(process_of(&r, id)->pid, pids[id]);
    rig_free(&r);
  }
}

/* What the process of a node that slept has, those that took the child over
 * with its checkpoint had too, and went on. One that began anew has less. */
static void the_one_that_slept_goes(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 30; seed++) {
    bool slept = seed % 3, wrote = seed % 4;
    rig r;
    new_rig(&r, 3, 3);
    byn_rng_seed(&r.rng, seed);
    rig_start_all(&r, 8);
    for (int id = 0; id < 8 && wrote; id++)
      write_ok(&r, id, "before");
    int node = process_of(&r, 0)->node;
    int other = (node + 1) % 3, third = (node + 2) % 3;
    rig_cut(&r, node, other);
    rig_cut(&r, node, third);
    rig_run(&r, 9000);
    if (slept) rig_gap(&r, node, 9000);
    rig_mend(&r, node, seed % 2 ? other : third);
    rig_run(&r, (int64_t)(seed % 5) * 400);
    rig_mend(&r, node, seed % 2 ? third : other);
    rig_run(&r, 8000);
    bool stays = !slept || !wrote;
    rig_process *p = process_of(&r, 0);
    RIG_HOLDS(&r, (p->node == node) == stays);
    rig_free(&r);
  }
}

/* Of a gap before the child was taken over nothing follows. */
static void slept_before(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 3);
  rig_start_all(&r, 1);
  write_ok(&r, 0, "before");
  int node = process_of(&r, 0)->node;
  rig_gap(&r, node, 9000);
  rig_run(&r, 1000);
  for (int j = 0; j < 3; j++)
    if (j != node) rig_cut(&r, node, j);
  rig_run(&r, 9000);
  int count;
  rig_running(&r, 0, &count);
  assert_int_equal(count, 2);
  for (int j = 0; j < 3; j++)
    rig_mend(&r, node, j);
  rig_run(&r, 5000);
  assert_int_equal(process_of(&r, 0)->node, node);
  rig_free(&r);
}

/* As soon as the loser is told to stop, what it wrote counts for nothing, even
 * if the node of the winner is lost in that very moment. */
static void the_losers_never_counts(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= byn_test_plays(60); seed++) {
    rig r;
    bool left[8];
    rig_init(&r, seed, 1);
    divided(&r, seed, left);
    for (int i = 0; i < 4; i++) /* the clocks of one side are late */
      if ((i < 2) == (seed % 2)) r.nodes[i].wall = -1000;
    int id = (int)(seed % 8);
    for (int n = 0; n < 3; n++) {
      write_at(&r, id, left[id], "winner");
      write_at(&r, id, !left[id], "loser");
    }
    if (seed % 3 == 0) { /* it is started with that */
      rig_end(&r, process_at(&r, id, !left[id]), false, "crash");
      rig_run(&r, 200);
      write_at(&r, id, !left[id], "loser");
    }
    meet(&r);
    int count = 2;
    while (count > 1) {
      rig_run(&r, 1);
      rig_running(&r, id, &count);
      RIG_HOLDS(&r, r.now < 60000);
    }
    int node = process_of(&r, id)->node;
    RIG_HOLDS(&r, (node < 2) == left[id]);
    rig_kill(&r, node);
    rig_run(&r, 12000);
    RIG_HOLDS(&r, strcmp(process_of(&r, id)->given, "winner") == 0);
    rig_free(&r);
  }
}

/* Nothing was written by the one that stays: its next one begins anew. */
static void the_losers_is_gone_where_the_winner_has_none(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    rig r;
    bool left[8];
    divided(&r, seed, left);
    for (int id = 0; id < 8; id++) {
      process_at(&r, id, !left[id])->hands = "mine";
      write_at(&r, id, !left[id], "loser");
    }
    meet(&r);
    rig_run(&r, 10000);
    for (int id = 0; id < 8; id++) {
      RIG_HOLDS(&r, (process_of(&r, id)->node < 2) == left[id]);
      RIG_HOLDS(&r, holders(&r, id, NULL) == 0);
      if (id % 2) write_ok(&r, id, "winner");
      rig_end(&r, process_of(&r, id), false, "crash");
      rig_run(&r, 500);
      assert_string_equal(process_of(&r, id)->given, id % 2 ? "winner" : "");
    }
    rig_free(&r);
  }
}

/* The copy that stays hears once what the other handed over, and that is no
 * checkpoint. */
static void is_told_to_the_winner(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    rig r;
    bool left[8];
    divided(&r, seed, left);
    for (int id = 0; id < 8; id++) {
      write_at(&r, id, left[id], "winner");
      write_at(&r, id, !left[id], "loser");
      process_at(&r, id, !left[id])->hands = id % 2 ? "mine" : NULL;
      process_at(&r, id, left[id])->hands = "not asked";
    }
    meet(&r);
    rig_run(&r, 10000);
    for (int id = 0; id < 8; id++) {
      rig_process *p = process_of(&r, id);
      RIG_HOLDS(&r, p->hears == id % 2);
      assert_string_equal(p->heard, id % 2 ? "mine" : "");
      RIG_HOLDS(&r, (p->node < 2) == left[id]);
      rig_end(&r, p, false, "crash");
      rig_run(&r, 500);
      p = process_of(&r, id);
      assert_string_equal(p->given, "winner");
      RIG_HOLDS(&r, !p->handed && !p->hears);
    }
    rig_free(&r);
  }
}

/* Where nobody stays any more, the next one is started with it. */
static void is_kept_where_the_winner_is_lost(void **state) {
  (void)state;
  rig r;
  bool left[8];
  divided(&r, 1, left);
  r.stop_ms = 2000;
  byn_rng_seed(&r.rng, 2);
  rig_process *loser = process_at(&r, 0, !left[0]);
  loser->hands = "mine";
  meet(&r);
  while (loser->state != RIG_STOPPING)
    rig_run(&r, 1);
  rig_process *winner = process_at(&r, 0, left[0]);
  RIG_HOLDS(&r, loser->due > r.now + 100);
  rig_kill(&r, winner->node);
  rig_run(&r, 10000);
  assert_string_equal(process_of(&r, 0)->given, "mine");
  assert_true(process_of(&r, 0)->handed);
  rig_free(&r);
}

/* The two cannot reach each other, and both reach a third. */
static void is_told_by_way_of_a_third(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 3, 3);
  rig_start_all(&r, 1);
  int node = process_of(&r, 0)->node;
  int other = (node + 1) % 3, third = (node + 2) % 3, count;
  rig_cut(&r, node, other);
  rig_cut(&r, node, third);
  rig_run(&r, 9000);
  rig_running(&r, 0, &count);
  assert_int_equal(count, 2);
  int copy = -1;
  for (int p = 0; p < r.process_count; p++)
    if (r.processes[p].state == RIG_RUNNING && r.processes[p].node != node) {
      copy = r.processes[p].node;
      r.processes[p].hands = "mine";
    }
  rig_mend(&r, node, copy == other ? third : other);
  rig_run(&r, 9000);
  assert_int_equal(process_of(&r, 0)->node, node);
  assert_string_equal(process_of(&r, 0)->heard, "mine");
  assert_int_equal(process_of(&r, 0)->hears, 1);
  rig_free(&r);
}

/* A node leaves in order: its process ends when the others hold what it handed
 * over, and the next one is started with that. */
static void is_handed_over(void **state) {
  (void)state;
  for (uint32_t replicas = 1; replicas <= 3; replicas++) {
    rig r;
    new_rig(&r, 3, replicas);
    rig_start_all(&r, 8);
    int node = process_of(&r, 0)->node;
    for (int id = 0; id < 8; id++) {
      write_ok(&r, id, "before");
      if (process_of(&r, id)->node == node) process_of(&r, id)->hands = "last";
    }
    int64_t left_at = r.now;
    byn_dist_leave(r.nodes[node].d, NULL, 0);
    rig_drain(&r, node);
    rig_run(&r, 300);
    assert_true(r.nodes[node].left);
    rig_kill(&r, node);
    rig_run(&r, 2000);
    for (int id = 0; id < 8; id++) {
      rig_process *p = process_of(&r, id);
      if (p->begun < left_at) continue;
      assert_string_equal(p->given, "last");
      assert_true(p->handed);
      rig_end(&r, p, false, "crash");
      rig_run(&r, 300);
      p = process_of(&r, id);
      assert_string_equal(p->given, "last");
      assert_false(p->handed);
    }
    rig_free(&r);
  }
}

/* A peer says that it holds one of that epoch. */
static bool claim(rig *r, int to, int from, int id, uint64_t epoch) {
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  byn_dist *d = r->nodes[from].d;
  byn_place *p = byn_registry_find(&d->registry, &name);
  byn_buf body, packet;
  byn_buf_init(&body, &r->alloc);
  byn_buf_init(&packet, &r->alloc);
  byn_record_put_id(&body, p);
  byn_put_number_field(&body, BYN_FIELD_TOKEN, p->generations->token);
  byn_put_number_field(&body, BYN_FIELD_EPOCH, epoch);
  byn_put_number_field(&body, BYN_FIELD_VERSION, 1000);
  byn_put_u8(&packet, BYN_PACKET_VERSION);
  byn_put_string(&packet, rig_names[from], strlen(rig_names[from]));
  byn_put_u64(&packet, d->self->incarnation);
  byn_put_u8(&packet, BYN_RECORD_HELD);
  byn_put_string(&packet, body.data, body.len);
  rig_time(r, to);
  bool taken = byn_dist_receive(r->nodes[to].d, rig_names[from], packet.data,
                                packet.len);
  rig_drain(r, to);
  byn_buf_free(&body);
  byn_buf_free(&packet);
  return taken;
}

/* Whatever a peer claims to hold, the child's own node goes on to write. */
static void strange_claims(void **state) {
  (void)state;
  rig r;
  new_rig(&r, 2, 2);
  rig_start_all(&r, 1);
  write_ok(&r, 0, "first");
  int node = process_of(&r, 0)->node;
  assert_false(claim(&r, node, 1 - node, 0, BYN_STAMP_MAX));
  rig_run(&r, 3000); /* it is greeted anew */
  write_ok(&r, 0, "second");
  for (int i = 0; i < 3; i++)
    assert_true(claim(&r, node, 1 - node, 0, BYN_STAMP_MAX - 1));
  write_ok(&r, 0, "third");
  rig_end(&r, process_of(&r, 0), false, "crash");
  rig_run(&r, 500);
  assert_string_equal(process_of(&r, 0)->given, "third");
  write_ok(&r, 0, "fourth");
  rig_free(&r);
}

/* --- chance --------------------------------------------------------------- */

enum { IDS = 6 };

typedef struct history {
  int written[IDS], acknowledged[IDS]; /* the number of the last one */
  int seen;                            /* processes that were looked at */
  int request[IDS];
} history;

/* No process is started with an older one than what was acknowledged before, or
 * with what nobody wrote. */
static void look_at_starts(rig *r, history *h) {
  for (; h->seen < r->process_count; h->seen++) {
    const rig_process *p = &r->processes[h->seen];
    int found = atoi(p->given);
    RIG_HOLDS(r, found >= h->acknowledged[p->id]);
    RIG_HOLDS(r, found <= h->written[p->id]);
    h->written[p->id] = found; /* it goes on from there */
  }
}

static void note_answers(rig *r, history *h) {
  for (int id = 0; id < IDS; id++) {
    if (h->request[id] < 0) continue;
    const rig_request *q = &r->requests[h->request[id]];
    if (!q->answered && r->nodes[q->node].life == q->life) continue;
    h->request[id] = -1;
    if (q->answered && q->code == BYN_DIST_OK)
      h->acknowledged[id] = h->written[id];
  }
}

static void let_pass(rig *r, history *h, int64_t ms) {
  for (int64_t until = r->now + ms; r->now < until;) {
    rig_run(r, 1);
    look_at_starts(r, h);
    note_answers(r, h);
  }
}

static void write_some(rig *r, history *h) {
  int id = (int)rig_draw(r, IDS), count;
  rig_process *p = rig_running(r, id, &count);
  if (count != 1 || h->request[id] >= 0) return;
  char text[12];
  snprintf(text, sizeof text, "%d", ++h->written[id]);
  int request = rig_write(r, p, text, rig_draw(r, 4) == 0, false);
  if (!r->requests[request].answered) h->request[id] = request;
}

static void crash_nodes(rig *r, history *h, uint32_t count) {
  bool was[RIG_NODES] = {0};
  for (uint32_t i = 0; i < count; i++) {
    int node = (int)rig_draw(r, (uint32_t)r->count);
    if (!r->nodes[node].d) continue;
    was[node] = true;
    rig_kill(r, node);
  }
  note_answers(r, h);
  let_pass(r, h, 12000);
  for (int i = 0; i < r->count; i++)
    if (was[i]) rig_boot(r, i);
  let_pass(r, h, 5000);
}

static void flap(rig *r, history *h) {
  int a = (int)rig_draw(r, (uint32_t)r->count);
  int b = (int)rig_draw(r, (uint32_t)r->count);
  if (a == b) return;
  rig_cut(r, a, b);
  let_pass(r, h, 1 + rig_draw(r, 100));
  rig_mend(r, a, b);
}

static void play(uint64_t seed) {
  static rig r;
  history h = {.seen = 0};
  rig_init(&r, seed, 5);
  r.config.replicas = 2 + (uint32_t)(seed % 3);
  r.config.newest = seed % 2;
  for (int id = 0; id < IDS; id++)
    h.request[id] = -1;
  for (int i = 0; i < r.count; i++)
    rig_boot(&r, i);
  rig_run(&r, 500);
  rig_start_all(&r, IDS);
  look_at_starts(&r, &h);
  for (int step = 0; step < 60; step++) {
    switch (rig_draw(&r, 8)) {
    case 0:
      if (step % 2) crash_nodes(&r, &h, r.config.replicas - 1);
      break;
    case 1:
      flap(&r, &h);
      break;
    case 2: {
      int count;
      rig_process *p = rig_running(&r, (int)rig_draw(&r, IDS), &count);
      if (count == 1) rig_end(&r, p, false, "crash");
      break;
    }
    default:
      for (uint32_t n = rig_draw(&r, 6); n > 0; n--)
        write_some(&r, &h);
    }
    let_pass(&r, &h, rig_draw(&r, 60));
  }
  let_pass(&r, &h, 10000);
  for (int id = 0; id < IDS; id++) {
    int count;
    RIG_HOLDS(&r, rig_running(&r, id, &count) && count == 1);
  }
  rig_free(&r);
}

static void acknowledged_is_never_lost(void **state) {
  (void)state;
  const char *given = getenv("BYN_SEED");
  if (given) {
    play(strtoull(given, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= byn_test_plays(60); seed++)
    play(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(survives_the_loss_of_its_node),
      cmocka_unit_test(survives_all_but_one),
      cmocka_unit_test(restarts_in_place),
      cmocka_unit_test(is_gone_with_the_child),
      cmocka_unit_test(moves_with_the_ring),
      cmocka_unit_test(coalesces),
      cmocka_unit_test(refusals),
      cmocka_unit_test(times_out),
      cmocka_unit_test(winner_of_a_conflict),
      cmocka_unit_test(longer_history_stays),
      cmocka_unit_test(the_one_that_slept_goes),
      cmocka_unit_test(slept_before),
      cmocka_unit_test(the_losers_never_counts),
      cmocka_unit_test(the_losers_is_gone_where_the_winner_has_none),
      cmocka_unit_test(is_told_to_the_winner),
      cmocka_unit_test(is_kept_where_the_winner_is_lost),
      cmocka_unit_test(is_told_by_way_of_a_third),
      cmocka_unit_test(is_handed_over),
      cmocka_unit_test(strange_claims),
      cmocka_unit_test(acknowledged_is_never_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
