/* What tests of distributed supervisors ask of a rig: the end of dist_rig.h.
 */
#ifndef BYN_SPEC_DIST_RIG_ASKS_H
#define BYN_SPEC_DIST_RIG_ASKS_H

#include "dist_rig.h"

static inline int rig_ask(rig *r, int node, int id, bool terminates,
                          const byn_dist_start_spec *what, int64_t limit) {
  RIG_HOLDS(r, r->request_count < RIG_REQUESTS);
  int number = r->request_count++;
  RIG_TRACE(r, "%d: %s %d", node, terminates ? "ask end" : "ask start", id);
  r->requests[number] = (rig_request){.node = node,
                                      .id = id,
                                      .life = r->nodes[node].life,
                                      .terminates = terminates};
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  rig_time(r, node);
  if (terminates)
    byn_dist_terminate(r->nodes[node].d, (uint64_t)number, &name, limit);
  else
    byn_dist_start(r->nodes[node].d, (uint64_t)number, &name, what, limit);
  rig_drain(r, node);
  return number;
}

static inline int rig_start(rig *r, int node, int id, uint32_t flags) {
  byn_dist_start_spec what = {
      .spec = (const uint8_t *)"spec", .spec_len = 4, .flags = flags};
  return rig_ask(r, node, id, false, &what, 30000);
}

static inline int rig_terminate(rig *r, int node, int id) {
  return rig_ask(r, node, id, true, NULL, 30000);
}

/* `to`: a node, or -1: where the ring says. */
static inline int rig_move_within(rig *r, int node, int id, int to,
                                  int64_t limit) {
  RIG_HOLDS(r, r->request_count < RIG_REQUESTS);
  int number = r->request_count++;
  RIG_TRACE(r, "%d: ask move %d to %d", node, id, to);
  r->requests[number] = (rig_request){
      .node = node, .id = id, .life = r->nodes[node].life, .moves = true};
  char key[16];
  byn_dist_id name;
  rig_key(id, key, &name);
  rig_time(r, node);
  byn_dist_move(r->nodes[node].d, (uint64_t)number, &name,
                to < 0 ? NULL : rig_names[to], limit);
  rig_drain(r, node);
  return number;
}

static inline int rig_move(rig *r, int node, int id, int to) {
  return rig_move_within(r, node, id, to, 30000);
}

static inline void rig_leave(rig *r, int i) {
  rig_time(r, i);
  RIG_TRACE(r, "leave %d", i);
  r->nodes[i].leaves = true;
  byn_dist_leave(r->nodes[i].d, (const uint8_t *)"bye", 3);
  rig_drain(r, i);
}

static inline void rig_drain_node(rig *r, int i, bool moves) {
  rig_time(r, i);
  RIG_TRACE(r, "drain %d%s", i, moves ? "" : ": time over");
  byn_dist_drain(r->nodes[i].d, moves);
  rig_drain(r, i);
}

static inline void rig_undrain(rig *r, int i) {
  rig_time(r, i);
  RIG_TRACE(r, "undrain %d", i);
  byn_dist_undrain(r->nodes[i].d);
  rig_drain(r, i);
}

static inline uint32_t rig_rebalance(rig *r, int i) {
  uint32_t count;
  rig_time(r, i);
  bool done = byn_dist_rebalance(r->nodes[i].d, &count);
  rig_drain(r, i);
  return done ? count : 0;
}

static inline rig *rig_all(rig *r, int count) {
  rig_init(r, 7, count);
  for (int i = 0; i < count; i++)
    rig_boot(r, i);
  rig_run(r, 500);
  for (int i = 0; i < count; i++)
    RIG_HOLDS(r, byn_dist_is_ready(r->nodes[i].d));
  return r;
}

static inline void rig_assert_answer(rig *r, int request, byn_dist_code code) {
  RIG_HOLDS(r, r->requests[request].answered);
  assert_int_equal(r->requests[request].code, code);
}

static inline void rig_start_all(rig *r, int count) {
  int requests[RIG_IDS];
  for (int id = 0; id < count; id++)
    requests[id] = rig_start(r, id % r->count, id, 0);
  rig_run(r, 1000);
  for (int id = 0; id < count; id++)
    rig_assert_answer(r, requests[id], BYN_DIST_OK);
}

/* Each runs once, and every node shows that very process. */
static inline void rig_assert_all_run(rig *r, int count) {
  for (int id = 0; id < count; id++) {
    int running;
    rig_process *p = rig_running(r, id, &running);
    if (running != 1) fail_msg("child %d: %d processes", id, running);
    for (int i = 0; i < r->count; i++)
      if (r->nodes[i].d && r->nodes[i].attached && !r->nodes[i].left)
        assert_string_equal(r->nodes[i].shown[id], p->pid);
  }
}

static inline byn_dist_child rig_explain(rig *r, int node, int id) {
  char key[16];
  byn_dist_id name;
  byn_dist_child c;
  rig_key(id, key, &name);
  byn_dist_explain(r->nodes[node].d, &name, &c);
  return c;
}

static inline uint32_t rig_starts(const rig *r) {
  uint32_t all = 0;
  for (int i = 0; i < r->count; i++)
    all += r->nodes[i].starts;
  return all;
}

/* What all nodes send in that time. */
static inline void rig_count_sent(rig *r, int64_t ms, uint32_t *sends,
                                  uint64_t *bytes) {
  *sends = 0;
  *bytes = 0;
  for (int i = 0; i < r->count; i++) {
    *sends -= r->nodes[i].sends;
    *bytes -= r->nodes[i].bytes;
  }
  rig_run(r, ms);
  for (int i = 0; i < r->count; i++) {
    *sends += r->nodes[i].sends;
    *bytes += r->nodes[i].bytes;
  }
}

#endif
