/* Moves, drains, leaves, crashes of single nodes and of coordinators in random
 * orders, where no fault separates nodes. What must hold at each step:
 *
 *   - no two processes of a child run;
 *   - a process is given what the one before it handed over, or acknowledged;
 *     of one whose node crashed, what two nodes held;
 *
 * and in the end: each child runs, nobody holds messages, no move is left.
 */
#define RIG_IDS 64
#include "dist_move_rig.h"

enum { CHILDREN = 8, ROUNDS = 60, LIMIT_MS = 20000 };

typedef struct child {
  char text[CHILDREN * 256]
           [12]; /* what its processes hand over: "1", "2" ... */
  int version;   /* the last that one of them had to hand over */
  int least;     /* that some process was given, or was told that it is held */
  int handed;    /* what the last process handed over; 0: it has begun since */
  int from;      /* on that node */
} child;

static rig the_rig;
static child children[CHILDREN];
static int seen; /* of the processes, these are known to begin right */

static const char *next_state(int id) {
  child *c = &children[id];
  c->version++;
  snprintf(c->text[c->version % (CHILDREN * 256)], 12, "%d", c->version);
  return c->text[c->version % (CHILDREN * 256)];
}

/* Each process has something to hand over; what it was given is new enough. */
static void look_at_processes(rig *r) {
  for (int i = 0; i < r->process_count; i++) {
    rig_process *p = &r->processes[i];
    child *c = &children[p->id];
    if (i >= seen) {
      int given = atoi(p->given), least = c->handed ? c->handed : c->least;
      if (given < least)
        fail_msg("seed %" PRIu64 ", %" PRId64 " ms: %d is given %d, not %d",
                 r->seed, r->now, p->id, given, least);
      c->least = given;
      c->handed = 0;
      p->hands = next_state(p->id);
    }
    if (p->handed_over && p->hears == 0) {
      p->hears = 1; /* noted */
      c->handed = p->left;
      c->from = p->node;
    }
  }
  seen = r->process_count;
  for (int id = 0; id < CHILDREN; id++)
    RIG_HOLDS(r, alive(r, id) <= 1);
}

static void run_on_and_look(rig *r, int64_t ms) {
  for (int64_t until = r->now + ms; r->now < until;) {
    int64_t next = rig_next(r);
    rig_run(r, (next < until ? next : until) - r->now);
    look_at_processes(r);
    for (int i = 0; i < r->count; i++)
      if (r->nodes[i].d && r->nodes[i].left) rig_kill(r, i);
  }
}

static int hosts(const rig *r) {
  int count = 0;
  for (int i = 0; i < r->count; i++)
    count += is_up(r, i) && r->nodes[i].d->hosts && !r->nodes[i].d->leaving;
  return count;
}

/* What a process handed over on that node may be nowhere else yet. */
static void crash(rig *r, int i) {
  if (!r->nodes[i].d || hosts(r) < 3) return;
  for (int id = 0; id < CHILDREN; id++)
    if (children[id].from == i) children[id].handed = 0;
  rig_kill(r, i);
  run_on_and_look(r, 8000);
  rig_boot(r, i);
  run_on_and_look(r, 3000);
}

static void detach(rig *r, int i) {
  if (!is_up(r, i) || r->nodes[i].d->leaving) return;
  rig_detach(r, i);
  run_on_and_look(r, rig_some(r, 1000));
  rig_attach(r, i);
}

static void crash_process(rig *r) {
  rig_process *p = &r->processes[rig_draw(r, (uint32_t)r->process_count)];
  if (p->state == RIG_RUNNING) rig_end(r, p, false, "crash");
}

static void disturb(rig *r) {
  int i = (int)rig_draw(r, (uint32_t)r->count);
  int id = (int)rig_draw(r, CHILDREN);
  switch (rig_draw(r, 12)) {
  case 0:
    if (is_up(r, i) && hosts(r) > 2) rig_drain_node(r, i, true);
    break;
  case 1:
    if (is_up(r, i) && r->nodes[i].d->drained) rig_drain_node(r, i, false);
    break;
  case 2:
  case 3:
    if (is_up(r, i)) rig_undrain(r, i);
    break;
  case 4:
    if (is_up(r, i) && hosts(r) > 2) rig_leave(r, i);
    break;
  case 5:
    if (!r->nodes[i].d) rig_boot(r, i);
    break;
  case 6:
    if (rig_draw(r, 3) == 0) crash(r, i);
    break;
  case 7:
    detach(r, i);
    break;
  case 8:
    if (r->process_count > 0) crash_process(r);
    break;
  case 9:
    if (is_up(r, i)) rig_rebalance(r, i);
    break;
  default:
    if (is_up(r, i))
      rig_move_within(r, i, id, (int)rig_draw(r, (uint32_t)r->count + 1) - 1,
                      LIMIT_MS);
    break;
  }
}

static void play(uint64_t seed) {
  rig *r = &the_rig;
  seen = 0;
  memset(children, 0, sizeof children);
  seeded_rig(r, 4, seed);
  r->start_ms = seed % 3 == 0 ? 100 : 5;
  r->stop_ms = seed % 2 == 0 ? 60 : 5;
  r->delay_ms = seed % 5 == 0 ? 40 : 3;
  r->config.start_concurrency = seed % 7 == 0 ? 1 : 16;
  r->config.max_restarts = 1000;
  for (int id = 0; id < CHILDREN; id++)
    rig_start(r, 0, id, 0);
  run_on_and_look(r, 1000);
  for (int round = 0; round < ROUNDS; round++) {
    disturb(r);
    run_on_and_look(r, rig_draw(r, 4) ? rig_some(r, 60) : rig_some(r, 2000));
  }
  for (int i = 0; i < r->count; i++) {
    if (!r->nodes[i].d) rig_boot(r, i);
    rig_undrain(r, i);
  }
  run_on_and_look(r, 30000);
  for (int id = 0; id < CHILDREN; id++)
    process_of(r, id);
  assert_at_rest(r);
  for (int i = 0; i < r->request_count; i++) {
    const rig_request *q = &r->requests[i];
    bool lives = is_up(r, q->node) && q->life == r->nodes[q->node].life;
    bool forgotten = r->nodes[q->node].away > 0;
    RIG_HOLDS(r, q->answered || !q->moves || !lives || forgotten);
  }
  rig_free(r);
}

static void random_orders(void **state) {
  (void)state;
  const char *one = getenv("BYN_SEED");
  if (one) {
    play(strtoull(one, NULL, 10));
    return;
  }
  for (uint64_t seed = 1; seed <= byn_test_plays(200); seed++)
    play(seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_orders)};
  return cmocka_run_group_tests_name("dist handover", tests, NULL, NULL);
}
