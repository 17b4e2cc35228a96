/* A distributed supervisor in a simulated cluster of 1 to 7 nodes: faults are
 * thrown in for a while, then they stop, and what was promised must hold:
 *
 *   - a child whose start was answered runs, once, if its spec is known to a
 *     node that lives;
 *   - nothing runs of a child whose end was answered;
 *   - a process that no fault stopped is still the child's;
 *   - all nodes show the process that runs;
 *   - who asked for something was answered;
 *   - no move is left, and no node holds messages for a child that moves;
 *   - of each child that wrote a checkpoint the nodes that are to hold it hold
 *     the same, and nobody holds one of a child that has ended.
 *
 * While faults go on, each node shows processes in alternation (dist_rig.h).
 */
#include "dist_move_rig.h"

enum { IDS = 60, FAULTS_MS = 20000, CALM_MS = 9000, LIMIT_MS = 8000 };

typedef struct child {
  uint32_t flags;
  int start, end, rival;    /* requests, or -1; rival: the same start again */
  char first[24];           /* the process that its start was answered with */
  bool hit;                 /* a fault stopped a process of it */
  bool wrote;               /* it has written a checkpoint */
  bool slept;               /* after that, the node of a process of it */
  bool may_end;             /* one of its processes ended as it should */
  bool forgotten;           /* no living node knew it for a moment */
  bool over, end_forgotten; /* its end was answered; the same of that */
} child;

static rig the_rig;
static child children[IDS];
static int next_id;
static uint32_t attached[RIG_NODES]; /* how often it was */
static uint32_t asked_in[RIG_REQUESTS];

static bool has_coordinator(const rig *r, int i) {
  return r->nodes[i].d && r->nodes[i].attached;
}

static int some_up(rig *r) {
  for (int tries = 0; tries < 50; tries++) {
    int i = (int)rig_draw(r, (uint32_t)r->count);
    if (has_coordinator(r, i) && !r->nodes[i].left) return i;
  }
  return -1;
}

static bool may_run(const byn_generation *g) {
  return g->ran || byn_generation_may_run(g, NULL);
}

/* Does a node but one know its spec and that it may run, or its end? */
static bool is_known(rig *r, int id, int but, bool ended) {
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  for (int i = 0; i < r->count; i++) {
    if (i == but || !r->nodes[i].d) continue;
    const byn_place *p = byn_registry_find(&r->nodes[i].d->registry, &name);
    const byn_generation *g = p ? p->generations : NULL;
    for (; g; g = g->next)
      if (ended ? g->ended : !g->ended && g->spec_set && may_run(g))
        return true;
  }
  return false;
}

static void hit_node(rig *r, int i) {
  for (int p = 0; p < r->process_count; p++)
    if (r->processes[p].node == i && r->processes[p].state != RIG_GONE)
      children[r->processes[p].id].hit = true;
}

/* --- faults --------------------------------------------------------------- */

static void kill_node(rig *r, int i) {
  if (!r->nodes[i].d) return;
  hit_node(r, i);
  for (int id = 0; id < next_id; id++) {
    if (!is_known(r, id, i, false)) children[id].forgotten = true;
    if (!is_known(r, id, i, true)) children[id].end_forgotten = true;
  }
  rig_kill(r, i);
}

static void leave_node(rig *r, int i) {
  if (!has_coordinator(r, i)) return;
  hit_node(r, i);
  rig_leave(r, i);
}

static void detach_node(rig *r, int i) {
  if (!has_coordinator(r, i) || r->nodes[i].left) return;
  attached[i]++;
  rig_detach(r, i);
}

static void attach_node(rig *r, int i) {
  if (r->nodes[i].d && !r->nodes[i].attached) rig_attach(r, i);
}

static void split(rig *r) {
  uint32_t sides = rig_draw(r, 1u << r->count);
  for (int i = 0; i < r->count; i++)
    for (int j = i + 1; j < r->count; j++)
      if ((sides >> i & 1) != (sides >> j & 1) && !r->cut[i][j])
        rig_cut(r, i, j);
}

static void mend_all(rig *r) {
  for (int i = 0; i < r->count; i++)
    for (int j = i + 1; j < r->count; j++)
      rig_mend(r, i, j);
}

static void crash_child(rig *r) {
  if (r->process_count == 0) return;
  rig_process *p = &r->processes[rig_draw(r, (uint32_t)r->process_count)];
  if (p->state != RIG_RUNNING) return;
  child *c = &children[p->id];
  c->hit = true;
  bool normal = rig_draw(r, 4) == 0;
  c->may_end |= normal && c->flags == BYN_DIST_TRANSIENT;
  rig_end(r, p, normal, "crash");
}

/* A process that took the child over with its checkpoint stays, then. */
static void sleep_node(rig *r, int i, int64_t ms) {
  for (int p = 0; p < r->process_count; p++) {
    const rig_process *x = &r->processes[p];
    bool runs = x->node == i && x->state == RIG_RUNNING;
    if (runs && ms > r->config.down_after_ms - r->config.heartbeat_ms)
      children[x->id].slept |= children[x->id].wrote;
  }
  rig_gap(r, i, ms);
}

/* --- callers -------------------------------------------------------------- */

static int ask(rig *r, int i, int id, bool ends,
               const byn_dist_start_spec *what) {
  int number = rig_ask(r, i, id, ends, what, LIMIT_MS);
  asked_in[number] = attached[i];
  return number;
}

static void start_child(rig *r) {
  int i = some_up(r);
  if (i < 0 || next_id == IDS) return;
  static const uint32_t kinds[] = {0, 0, BYN_DIST_TEMPORARY,
                                   BYN_DIST_TRANSIENT};
  uint32_t flags = kinds[rig_draw(r, 4)];
  children[next_id] = (child){.end = -1, .rival = -1, .flags = flags};
  byn_dist_start_spec what = {
      .spec = (const uint8_t *)"spec", .spec_len = 4, .flags = flags};
  if (rig_draw(r, 5) == 0)
    what.node = rig_names[rig_draw(r, (uint32_t)r->count)];
  children[next_id].start = ask(r, i, next_id, false, &what);
  int j = some_up(r);
  what.flags |= BYN_DIST_ENSURE;
  if (j >= 0 && rig_draw(r, 4) == 0)
    children[next_id].rival = ask(r, j, next_id, false, &what);
  next_id++;
}

static void end_child(rig *r) {
  int i = some_up(r);
  if (i < 0 || next_id == 0) return;
  int id = (int)rig_draw(r, (uint32_t)next_id);
  child *c = &children[id];
  if (c->end < 0 && c->rival < 0) c->end = ask(r, i, id, true, NULL);
}

static void take_refusals_back(rig *r) {
  for (int i = 0; i < r->count; i++) {
    if (!r->nodes[i].d || i == r->refusing_node) continue;
    rig_time(r, i);
    byn_dist_refusals_gone(r->nodes[i].d);
    rig_drain(r, i);
  }
}

/* Of these nodes lose each other for longer than ends are kept. None of them is
 * new: such a one cannot know what another, which it meets first, missed. */
static bool is_long(const rig *r) {
  return r->seed % 10 == 0;
}

static void write_checkpoints(rig *r) {
  for (int tries = 0; tries < 5; tries++) {
    rig_process *p = &r->processes[rig_draw(r, (uint32_t)r->process_count + 1)];
    bool writes = p->state == RIG_STARTING || p->state == RIG_RUNNING;
    if (!p->child || !writes || !has_coordinator(r, p->node)) continue;
    asked_in[r->request_count] = attached[p->node];
    rig_write(r, p, "state", rig_draw(r, 2) == 0, false);
    children[p->id].wrote = true;
    if (rig_draw(r, 2)) p->hands = "handed";
  }
}

/* What its process had, the next one has; it is not that process. */
static void move_child(rig *r) {
  int i = some_up(r);
  if (i < 0 || next_id == 0) return;
  int id = (int)rig_draw(r, (uint32_t)next_id);
  children[id].hit = true;
  asked_in[r->request_count] = attached[i];
  int to = (int)rig_draw(r, (uint32_t)r->count + 1) - 1;
  rig_move_within(r, i, id, to, LIMIT_MS);
}

static void move_all(rig *r, int i) {
  if (!has_coordinator(r, i) || r->nodes[i].left) return;
  for (int id = 0; id < next_id; id++)
    children[id].hit = true;
  switch (rig_draw(r, 4)) {
  case 0:
    rig_drain_node(r, i, true);
    break;
  case 1:
    rig_drain_node(r, i, false);
    break;
  case 2:
    rig_rebalance(r, i);
    break;
  default:
    rig_undrain(r, i);
    break;
  }
}

static void disturb(rig *r) {
  int i = (int)rig_draw(r, (uint32_t)r->count);
  int j = (int)rig_draw(r, (uint32_t)r->count);
  uint32_t what = rig_draw(r, 36);
  bool makes_new = what <= 2 || (what >= 8 && what <= 11);
  if (makes_new && is_long(r)) return;
  switch (what) {
  case 0:
    kill_node(r, i);
    break;
  case 1:
  case 2:
    if (!r->nodes[i].d) rig_boot(r, i);
    break;
  case 3:
    split(r);
    break;
  case 4:
  case 5:
    mend_all(r);
    break;
  case 6:
    if (i != j && !r->cut[i][j]) rig_cut(r, i, j);
    break;
  case 7:
    if (i != j) rig_mend(r, i, j);
    break;
  case 8:
    detach_node(r, i);
    break;
  case 9:
  case 10:
    attach_node(r, i);
    break;
  case 11:
    if (rig_draw(r, 3) == 0) leave_node(r, i);
    break;
  case 12:
    crash_child(r);
    break;
  case 13:
    end_child(r);
    break;
  case 15:
    if (has_coordinator(r, i) && rig_draw(r, 3) == 0) {
      hit_node(r, i);
      rig_time(r, i);
      byn_dist_set_hosts(r->nodes[i].d, rig_draw(r, 2) == 0);
      rig_drain(r, i);
    }
    break;
  case 14:
    if (has_coordinator(r, i)) sleep_node(r, i, 1 + rig_draw(r, 8000));
    break;
  case 16:
    r->refusing_node = rig_draw(r, 2) ? i : -1;
    take_refusals_back(r);
    break;
  case 17:
    r->failing_id = rig_draw(r, 2) ? (int)rig_draw(r, IDS) : -1;
    break;
  case 27:
  case 28:
  case 29:
  case 30:
    write_checkpoints(r);
    break;
  case 31:
  case 32:
  case 33:
    move_child(r);
    break;
  case 34:
    move_all(r, i);
    break;
  default:
    start_child(r);
    break;
  }
}

static void note_answers(rig *r) {
  for (int id = 0; id < next_id; id++) {
    child *c = &children[id];
    const rig_request *q = &r->requests[c->start];
    if (c->rival >= 0 && !(q->answered && q->code == BYN_DIST_OK))
      q = &r->requests[c->rival];
    if (q->answered && q->code == BYN_DIST_OK && !c->first[0])
      memcpy(c->first, q->pid, sizeof c->first);
    if (c->over || c->end < 0) continue;
    q = &r->requests[c->end];
    c->over = q->answered && q->code == BYN_DIST_OK;
    if (c->over) c->end_forgotten = false;
  }
}

static void reap_leavers(rig *r) {
  for (int i = 0; i < r->count; i++)
    if (r->nodes[i].left) kill_node(r, i);
}

/* --- what must hold ------------------------------------------------------- */

static const rig_process *first_process(const rig *r, int id) {
  const rig_process *first = NULL;
  for (int p = 0; p < r->process_count; p++) {
    const rig_process *x = &r->processes[p];
    if (x->id == id && x->pid[0] && (!first || x->begun < first->begun))
      first = x;
  }
  return first;
}

/* Which of two that began apart is older, clocks must agree about. */
static bool has_one_clock(const rig *r) {
  return r->seed % 2 == 0;
}

static void check_child(rig *r, int id) {
  child *c = &children[id];
  int count;
  rig_process *p = rig_running(r, id, &count);
  bool acknowledged = c->first[0] != 0;
  bool ended = c->over && !c->end_forgotten;
  if (count > 1)
    fail_msg("seed %" PRIu64 ": %d processes of %d", r->seed, count, id);
  if (ended && count > 0)
    fail_msg("seed %" PRIu64 ": %d runs after its end", r->seed, id);
  bool lasts = c->flags != BYN_DIST_TEMPORARY && !c->may_end && c->end < 0 &&
               id != r->poison;
  if (acknowledged && lasts && !c->forgotten && count == 0)
    fail_msg("seed %" PRIu64 ": %d does not run", r->seed, id);
  const rig_process *oldest = first_process(r, id);
  bool moves = r->config.rebalance_per_second > 0;
  bool kept = lasts && !c->hit && !c->slept && !moves;
  if (p && acknowledged && kept && has_one_clock(r) && !r->config.newest &&
      oldest->begun < p->begun)
    fail_msg("seed %" PRIu64 ": %d lost its state: %s, not %s", r->seed, id,
             p->pid, oldest->pid);
  for (int i = 0; i < r->count && id != r->poison; i++)
    if (strcmp(r->nodes[i].shown[id], p ? p->pid : "") != 0)
      fail_msg("seed %" PRIu64 ": %s shows \"%s\" of %d, \"%s\" runs", r->seed,
               rig_names[i], r->nodes[i].shown[id], id, p ? p->pid : "");
}

/* The nodes that host, without those that have left. */
static uint32_t count_hosts(const rig *r) {
  uint32_t hosts = 0;
  for (int i = 0; i < r->count; i++)
    hosts += r->nodes[i].d != NULL;
  return hosts;
}

static void check_checkpoint(rig *r, int id) {
  int count;
  const rig_process *p = rig_running(r, id, &count);
  byn_dist_child own = {.held_epoch = 0};
  if (count == 1) own = rig_explain(r, p->node, id);
  uint32_t holders = 0, hosts = count_hosts(r);
  for (int i = 0; i < r->count && id != r->poison; i++) {
    byn_dist_child c = rig_explain(r, i, id);
    if (!c.held_epoch) continue;
    holders++;
    if (count == 0 && c.state == BYN_DIST_ENDED)
      fail_msg("seed %" PRIu64 ": %s holds a checkpoint of %d, which ended",
               r->seed, rig_names[i], id);
    if (own.held_epoch &&
        (c.held_epoch != own.held_epoch || c.held_version != own.held_version))
      fail_msg("seed %" PRIu64 ": %s holds %" PRIu64 ":%" PRIu64
               " of %d, its node %" PRIu64 ":%" PRIu64,
               r->seed, rig_names[i], c.held_epoch, c.held_version, id,
               own.held_epoch, own.held_version);
  }
  uint32_t want = r->config.replicas < hosts ? r->config.replicas : hosts;
  if (own.held_epoch && holders != want)
    fail_msg("seed %" PRIu64 ": %u nodes hold a checkpoint of %d, not %u",
             r->seed, holders, id, want);
}

static void check_answers(const rig *r) {
  for (int number = 0; number < r->request_count; number++) {
    const rig_request *q = &r->requests[number];
    const rig_node *n = &r->nodes[q->node];
    if (q->answered || !n->d || n->life != q->life) continue;
    if (asked_in[number] == attached[q->node])
      fail_msg("seed %" PRIu64 ": %s of %d on %s was not answered", r->seed,
               q->terminates ? "end"
               : q->keeps    ? "checkpoint"
               : q->moves    ? "move"
                             : "start",
               q->id, rig_names[q->node]);
  }
}

/* Of these an allocation fails now and then. */
static bool is_short(const rig *r) {
  return r->seed % 4 == 3;
}

static void play(uint64_t seed) {
  rig *r = &the_rig;
  rig_init(r, seed, 1 + (int)(seed % 7));
  r->config.backoff.max = 1000;
  r->config.newest = seed % 11 == 0;
  if (seed % 8 == 5) r->config.rebalance_per_second = 10;
  r->poison = seed % 6 == 1 ? 3 : -1;
  if (seed % 13 == 0) r->config.max_children = IDS / 2;
  r->config.handoff_ms = CALM_MS / 3; /* who leaves is gone by the end */
  r->start_ms = seed % 3 == 0 ? 100 : 5;
  r->delay_ms = seed % 5 == 0 ? 100 : 3;
  int64_t faults_ms = is_long(r) ? 3 * FAULTS_MS : FAULTS_MS;
  if (is_long(r)) r->config.keep_ended_ms = 12000;
  next_id = 0;
  memset(attached, 0, sizeof attached);
  for (int i = 0; i < r->count; i++) {
    if (!has_one_clock(r)) r->nodes[i].wall = rig_some(r, 4000) - 2000;
    rig_boot(r, i);
  }
  while (r->now < faults_ms) {
    byn_test_fail_nth(&r->memory, is_short(r) ? rig_draw(r, 400) : 0);
    disturb(r);
    rig_run(r, rig_some(r, 300));
    note_answers(r);
    reap_leavers(r);
  }
  byn_test_fail_nth(&r->memory, 0);
  mend_all(r);
  r->refusing_node = r->failing_id = -1;
  take_refusals_back(r);
  for (int i = 0; i < r->count; i++) {
    attach_node(r, i);
    if (!r->nodes[i].d) rig_boot(r, i);
    rig_time(r, i);
    byn_dist_set_hosts(r->nodes[i].d, true);
    rig_undrain(r, i);
  }
  for (int ms = 0; ms < CALM_MS; ms += 100) {
    rig_run(r, 100);
    reap_leavers(r);
    for (int i = 0; i < r->count; i++)
      if (!r->nodes[i].d) rig_boot(r, i);
  }
  note_answers(r);
  for (int id = 0; id < next_id; id++)
    check_child(r, id);
  for (int id = 0; id < next_id; id++)
    check_checkpoint(r, id);
  check_answers(r);
  assert_at_rest(r);
  rig_free(r);
}

static void chaos(void **state) {
  (void)state;
  const char *one = getenv("BYN_SEED");
  if (one) {
    play(strtoull(one, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= byn_test_plays(600); seed++)
    play(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(chaos)};
  return cmocka_run_group_tests_name("dist cluster", tests, NULL, NULL);
}
