/* What tests of moving children share. RIG_IDS is at least 64.
 */
#ifndef BYN_SPEC_DIST_MOVE_RIG_H
#define BYN_SPEC_DIST_MOVE_RIG_H

#include "../../csrc/core/dist/move.h"
#include "dist_rig.h"

static inline rig *seeded_rig(rig *r, int nodes, uint64_t seed) {
  rig_init(r, seed, nodes);
  for (int i = 0; i < nodes; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  return r;
}

static inline rig *new_rig(rig *r, int nodes) {
  return seeded_rig(r, nodes, 17);
}

static inline rig_process *process_of(rig *r, int id) {
  int count;
  rig_process *p = rig_running(r, id, &count);
  RIG_HOLDS(r, count == 1);
  return p;
}

static inline bool is_up(const rig *r, int i) {
  return r->nodes[i].d && r->nodes[i].attached && !r->nodes[i].left;
}

static inline void assert_nothing_held(const rig *r) {
  for (int i = 0; i < r->count; i++)
    for (int id = 0; id < RIG_IDS && is_up(r, i); id++)
      RIG_HOLDS(r, !r->nodes[i].held[id]);
}

/* No move is under way, and nothing that belongs to one is left. */
static inline void assert_at_rest(const rig *r) {
  assert_nothing_held(r);
  for (int i = 0; i < r->count; i++) {
    const byn_dist *d = r->nodes[i].d;
    if (!is_up(r, i)) continue;
    RIG_HOLDS(r, d->move_count == 0 && d->moves_begun == 0);
    RIG_HOLDS(r, d->moves.count == 0 && d->holding.count == 0);
    RIG_HOLDS(r, d->probe_count == 0 && !d->probes);
    RIG_HOLDS(r, d->shown_held == 0 && d->stops.count == 0);
  }
}

static inline const byn_run *run_on(const rig *r, int node, int id) {
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  const byn_dist *d = r->nodes[node].d;
  const byn_place *p = d ? byn_registry_find(&d->registry, &name) : NULL;
  return p ? p->run : NULL;
}

static inline void start_on(rig *r, int id, int node, uint32_t flags,
                            bool pinned) {
  byn_dist_start_spec what = {
      .spec = (const uint8_t *)"spec", .spec_len = 4, .flags = flags};
  what.node = pinned ? rig_names[node] : NULL;
  int request = rig_ask(r, 0, id, false, &what, 30000);
  rig_run(r, 300);
  rig_assert_answer(r, request, BYN_DIST_OK);
}

static inline void write_ok(rig *r, int id, const char *text) {
  int request = rig_write(r, process_of(r, id), text, false, false);
  rig_run(r, 300);
  rig_assert_answer(r, request, BYN_DIST_OK);
}

/* Processes of a child that have not ended. */
static inline int alive(const rig *r, int id) {
  int count = 0;
  for (int p = 0; p < r->process_count; p++) {
    const rig_process *x = &r->processes[p];
    bool lives =
        x->state == RIG_RUNNING || (x->state == RIG_STOPPING && x->pid[0]);
    count += x->id == id && lives;
  }
  return count;
}

/* Meanwhile no two processes of it run. */
static inline void run_watched(rig *r, int id, int64_t ms) {
  for (int64_t until = r->now + ms; r->now < until;) {
    int64_t next = rig_next(r);
    rig_run(r, (next < until ? next : until) - r->now);
    RIG_HOLDS(r, alive(r, id) <= 1);
  }
}

static inline int count_on(const rig *r, int node) {
  int count = 0;
  for (int p = 0; p < r->process_count; p++)
    count +=
        r->processes[p].node == node && r->processes[p].state == RIG_RUNNING;
  return count;
}

#endif
