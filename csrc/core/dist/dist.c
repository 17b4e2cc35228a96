/* The object: inputs, time, and the order of what follows. */
#include "dist.h"

#include "../assert.h"
#include "candidate.h"
#include "checkpoint.h"
#include "cohort.h"
#include "entity.h"
#include "collect.h"
#include "dump.h"
#include "greet.h"
#include "move.h"
#include "parts.h"
#include "pull.h"
#include "quorum.h"
#include "receive.h"
#include "reconcile.h"
#include "record.h"
#include "report.h"
#include "request.h"
#include "run.h"
#include "show.h"
#include "suspicion.h"
#include "sync.h"
#include "told.h"
#include "want.h"

enum {
  TICK_MS = 1000,
  LOOKS = 4096, /* at places, after an input */
  BATCHES = 8,  /* of entries, the same */
  OPENING_TICK_MS = 100,
  AWAY_MS = 2000,
  LEAVE_MS = 5000, /* others take so long to hold what it holds, at most */
  EXPECT_MS = 3000
};

/* --- its life ------------------------------------------------------------- */

static uint64_t seed_of(const byn_dist_config *c) {
  uint64_t h = c->seed ^ c->incarnation * 0x9e3779b97f4a7c15u;
  for (const char *at = c->node; *at; at++)
    h = (h ^ (uint8_t)*at) * 0x100000001b3u;
  return h;
}

static bool is_listed(const char *node, const char *const *nodes,
                      uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (strcmp(nodes[i], node) == 0) return true;
  return false;
}

/* The list in byte order, each name once, as NODES has it. */
static bool encode_nodes(byn_dist *d, const char *const *nodes,
                         uint32_t count) {
  if (!nodes) {
    byn_blob_clear(&d->nodes, &d->alloc);
    return true;
  }
  byn_buf b;
  byn_buf_init(&b, &d->alloc);
  const char *last = NULL;
  for (uint32_t i = 0; i < count; i++) {
    const char *next = NULL;
    for (uint32_t j = 0; j < count; j++)
      if ((!last || strcmp(nodes[j], last) > 0) &&
          (!next || strcmp(nodes[j], next) < 0))
        next = nodes[j];
    if (!next) break;
    byn_put_string(&b, next, strlen(next));
    last = next;
  }
  bool done = !b.failed && byn_blob_set(&d->nodes, &d->alloc,
                                        b.data ? b.data : (uint8_t *)"", b.len);
  byn_buf_free(&b);
  return done;
}

/* Restarts are counted anew by another limit. */
static void set_limit(const byn_dist *d, byn_intensity *w) {
  if (w->limit == d->max_restarts && w->period == d->max_ms) return;
  byn_intensity_clear(w);
  byn_intensity_init(w, &d->alloc, d->max_restarts, d->max_ms);
}

static void configure_run(const byn_dist *d, byn_run *run) {
  set_limit(d, &run->intensity);
  const byn_generation *g = byn_place_find(run->place, run->token);
  if (g && g->own_backoff) return;
  run->backoff.min = d->backoff.min;
  run->backoff.max = d->backoff.max;
  run->backoff.factor = d->backoff.factor;
  run->backoff.jitter = d->backoff.jitter;
}

bool byn_dist_configure(byn_dist *d, const byn_dist_config *c) {
  d->replicas = c->replicas ? c->replicas : 1;
  d->start_concurrency = c->start_concurrency ? c->start_concurrency : 1;
  d->max_children = c->max_children;
  d->newest = c->newest;
  d->escalate = c->escalate;
  d->max_restarts = c->max_restarts;
  d->max_ms = c->max_ms;
  d->backoff = c->backoff;
  d->max_spec = c->max_spec < BYN_SPEC_MOST ? c->max_spec : BYN_SPEC_MOST;
  d->max_packet = c->max_packet ? c->max_packet : BYN_PACKET_LIMIT;
  d->max_checkpoint =
      c->max_checkpoint < BYN_SPEC_MOST ? c->max_checkpoint : BYN_SPEC_MOST;
  d->keep_ended_ms = c->keep_ended_ms;
  d->heartbeat_ms = c->heartbeat_ms;
  d->down_after_ms = c->down_after_ms;
  d->handoff_ms = c->handoff_ms;
  d->per_second = c->rebalance_per_second;
  byn_registry_keep(&d->registry, c->keep_ended, c->keep_ended_ms);
  set_limit(d, &d->intensity);
  const byn_tree *tree = &d->registry.tree;
  for (byn_place *p = byn_tree_first(tree); p; p = byn_tree_next(tree, p))
    if (p->run) configure_run(d, p->run);
  return byn_quorum_configure(d, c);
}

byn_dist *byn_dist_new(const byn_dist_config *c, int64_t now, int64_t wall) {
  byn_dist *d = byn_new(&c->alloc, sizeof *d);
  if (!d) return NULL;
  *d = (byn_dist){.alloc = c->alloc,
                  .check = c->check,
                  .check_ud = c->check_ud,
                  .now = now,
                  .round = 1,
                  .looks = LOOKS,
                  .batches = BATCHES};
  d->hosts_wanted = c->hosts;
  d->hosts =
      c->hosts && (!c->nodes || is_listed(c->node, c->nodes, c->node_count));
  byn_rng_seed(&d->rng, seed_of(c));
  byn_map_init(&d->children, &d->alloc);
  byn_map_init(&d->tokens, &d->alloc);
  byn_map_init(&d->by_name, &d->alloc);
  byn_buf_init(&d->scratch, &d->alloc);
  byn_intensity_init(&d->intensity, &d->alloc, c->max_restarts, c->max_ms);
  d->timers = byn_timers_new(&d->alloc);
  bool made = byn_registry_init(&d->registry, &d->alloc, c->keep_ended,
                                c->keep_ended_ms);
  made &= byn_dist_configure(d, c);
  byn_registry_time(&d->registry, now, wall);
  if (made)
    d->self = byn_registry_host(&d->registry, c->node, strlen(c->node),
                                c->incarnation);
  if (!d->timers || !d->self ||
      !byn_blob_set(&d->name, &d->alloc, c->name, c->name_len) ||
      !encode_nodes(d, c->nodes, c->node_count)) {
    byn_dist_free(d);
    return NULL;
  }
  d->self->named = true;
  d->registry.self = d->self;
  d->registry.new_hosts = false;
  d->ring_due = true;
  return d;
}

static void release_taken(byn_dist *d) {
  byn_packet_free(d, d->taken_packet);
  byn_request_free(d, d->taken_request);
  if (d->taken_told) byn_told_free(d, d->taken_told);
  if (d->taken_place) byn_registry_free_place(&d->registry, d->taken_place);
  byn_blob_clear(&d->taken_pid, &d->alloc);
  byn_blob_clear(&d->taken_reason, &d->alloc);
  d->taken_packet = NULL;
  d->taken_request = NULL;
  d->taken_told = NULL;
  d->taken_place = NULL;
}

static void free_runs(byn_dist *d) {
  const byn_tree *tree = &d->registry.tree;
  for (byn_place *p = byn_tree_first(tree); p; p = byn_tree_next(tree, p)) {
    if (!p->run) continue;
    p->run->under_way = false;
    byn_run_free(d, p->run);
  }
}

void byn_dist_free(byn_dist *d) {
  if (!d) return;
  if (d->self) {
    byn_request_forget_all(d);
    byn_move_forget_probes(d);
    free_runs(d);
  }
  release_taken(d);
  while (d->told) {
    byn_told *t = d->told;
    d->told = t->next;
    byn_told_free(d, t);
  }
  byn_cohort_free(d);
  byn_registry_clear(&d->registry);
  byn_map_clear(&d->children);
  byn_map_clear(&d->tokens);
  byn_intensity_clear(&d->intensity);
  byn_timers_free(d->timers);
  if (d->ring) byn_ring_free(d->ring);
  byn_free(&d->alloc, d->ring_peers, d->ring_capacity * sizeof *d->ring_peers);
  byn_free(&d->alloc, d->successors, d->ring_capacity * sizeof *d->successors);
  byn_buf_free(&d->scratch);
  byn_blob_clear(&d->name, &d->alloc);
  byn_blob_clear(&d->nodes, &d->alloc);
  byn_blob_clear(&d->leave_reason, &d->alloc);
  byn_quorum_free(d);
  byn_alloc alloc = d->alloc;
  byn_free(&alloc, d, sizeof *d);
}

void byn_dist_attach(byn_dist *d, int64_t now) {
  byn_dist_detach(d);
  d->now = now > d->now ? now : d->now;
  byn_registry_time(&d->registry, d->now, d->registry.wall);
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->state == BYN_PEER_SUSPECT) peer->suspect_at = d->now + AWAY_MS;
  d->attached = true;
  d->ring_due |= d->leaving;
  d->leaving = d->opened_once = false;
  d->next_tick = d->now;
  d->open_due = d->review_due = d->retake_all = true;
  byn_quorum_attach(d);
}

void byn_dist_detach(byn_dist *d) {
  if (!d->attached) return;
  byn_request_forget_all(d);
  byn_move_drop_all(d);
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    byn_cohort_suspect(d, peer, peer->proven, AWAY_MS);
    peer->connected = peer->connect = false;
    peer->expected_until = 0;
  }
  d->attached = d->open = false;
}

/* --- time ----------------------------------------------------------------- */

static void tick(byn_dist *d) {
  bool slow = d->opened_once && !d->leaving;
  d->next_tick = d->now + (slow ? TICK_MS : OPENING_TICK_MS);
  byn_cohort_recall(d);
  if (!byn_cohort_is_greeting(d)) byn_registry_expire(&d->registry);
  byn_cohort_sweep(d);
  byn_registry_sweep_hosts(&d->registry);
  byn_report_retake_due(d);
  if (d->starved) d->review_due = true;
  d->starved = false;
  byn_report_retake(d);
  byn_reconcile_conflicts(d);
  byn_request_review_copying(d);
  byn_checkpoint_tick(d);
  if (!d->attached) return;
  byn_greet_tick(d);
  byn_sync_tick(d);
  byn_pull_tick(d);
  byn_move_tick(d);
  byn_want_tick(d);
}

void byn_dist_gap(byn_dist *d, int64_t ms, int64_t now) {
  byn_suspicion_gap(d, ms, now > d->now ? now : d->now);
}

void byn_dist_time(byn_dist *d, int64_t now, int64_t wall) {
  if (now < d->now) now = d->now;
  d->now = now;
  d->looks = LOOKS;
  d->batches = BATCHES;
  d->behind = false;
  byn_registry_time(&d->registry, now, wall);
  byn_quorum_time(d);
  if (d->awoke) byn_run_write_awoke(d);
  d->awoke = false;
  byn_due due;
  while (byn_timers_pop(d->timers, now, &due)) {
    if (due.kind == BYN_TIMER_RUN)
      byn_report_due(d, due.owner);
    else if (due.kind == BYN_TIMER_MOVE)
      byn_move_due(d, due.owner);
    else
      byn_request_due(d, due.owner);
  }
  if (now >= d->next_tick) tick(d);
  d->open_due = true;
}

/* Is anything left that was not done after the last input? */
static bool is_behind(const byn_dist *d) {
  if (!d->attached) return false;
  return d->behind || !byn_registry_is_reviewed(&d->registry) ||
         !byn_registry_is_settled(&d->registry) || byn_dump_is_due(d);
}

int64_t byn_dist_deadline(const byn_dist *d) {
  if (is_behind(d)) return d->now;
  int64_t at = d->next_tick;
  int64_t due = byn_timers_next(d->timers);
  if (due < at) at = due;
  due = d->attached ? byn_suspicion_deadline(d) : BYN_NEVER;
  if (due < at) at = due;
  due = byn_quorum_deadline(d);
  return due < at ? due : at;
}

/* --- nodes ---------------------------------------------------------------- */

static byn_peer *peer_named(byn_dist *d, const char *node) {
  if (strcmp(node, d->self->name) == 0) return NULL;
  return byn_cohort_peer(d, node, strlen(node));
}

void byn_dist_expect(byn_dist *d, const char *node) {
  byn_peer *peer = d->attached ? peer_named(d, node) : NULL;
  if (!peer || peer->connected) return;
  peer->expected_until = d->now + EXPECT_MS;
  d->open_due = true;
}

void byn_dist_node_up(byn_dist *d, const char *node) {
  byn_peer *peer = d->attached ? peer_named(d, node) : NULL;
  if (peer && !peer->connected) byn_greet(d, peer);
}

static void lose_connection(byn_dist *d, const char *node, bool proven,
                            int64_t after_ms) {
  byn_peer *peer = d->attached ? peer_named(d, node) : NULL;
  if (!peer) return;
  byn_cohort_suspect(d, peer, proven, after_ms);
  if (peer->host) peer->host->unseen = d->review_due = true;
  peer->connected = false;
  peer->expected_until = 0;
}

void byn_dist_node_down(byn_dist *d, const char *node, bool proven) {
  lose_connection(d, node, proven, 0);
}

void byn_dist_given_up(byn_dist *d, const char *node) {
  int64_t wait = d->down_after_ms;
  lose_connection(d, node, false, wait > AWAY_MS ? wait : AWAY_MS);
}

void byn_dist_peer_away(byn_dist *d, const char *node) {
  byn_peer *peer = d->attached ? peer_named(d, node) : NULL;
  if (!peer) return;
  bool leaves = peer->leaving;
  byn_cohort_suspect(d, peer, false, leaves ? 0 : AWAY_MS);
  peer->expected_until = 0;
}

bool byn_dist_receive(byn_dist *d, const char *from, const uint8_t *bytes,
                      size_t n) {
  return byn_receive(d, from, bytes, n);
}

static void update_hosts(byn_dist *d) {
  bool listed = !d->nodes.at;
  byn_reader r;
  size_t n;
  byn_reader_init(&r, d->nodes.at, d->nodes.n);
  for (const char *name; !listed && (name = byn_record_next_name(&r, &n));)
    listed = n == strlen(d->self->name) && !memcmp(name, d->self->name, n);
  bool hosts = d->hosts_wanted && listed && !d->drained;
  if (hosts == d->hosts) return;
  d->hosts = hosts;
  d->ring_due = d->review_due = true;
  byn_greet_again_ready(d);
}

void byn_dist_set_hosts(byn_dist *d, bool hosts) {
  d->hosts_wanted = hosts;
  update_hosts(d);
}

void byn_dist_set_nodes(byn_dist *d, const char *const *nodes, uint32_t count) {
  if (!encode_nodes(d, nodes, count)) return;
  byn_greet_tell_list(d);
  update_hosts(d);
}

void byn_dist_leave(byn_dist *d, const uint8_t *reason, size_t n) {
  if (d->leaving) return;
  d->leaving = true;
  d->leave_until = d->now + LEAVE_MS;
  d->next_tick = d->now + OPENING_TICK_MS;
  byn_checkpoint_count_idle(d);
  d->drained = d->draining = false;
  d->open_due = d->ring_due = d->review_due = true;
  byn_sync_flush(d);
  byn_put_bytes_field(byn_record_begin(d, BYN_RECORD_LEAVING), BYN_FIELD_REASON,
                      reason, n);
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) byn_record_send(d, peer);
}

void byn_dist_drain(byn_dist *d, bool moves) {
  d->drained = true;
  d->draining = moves;
  if (!moves) byn_move_drop_drains(d);
  d->review_due = true;
  update_hosts(d);
}

void byn_dist_undrain(byn_dist *d) {
  if (!d->drained) return;
  d->drained = d->draining = false;
  byn_move_drop_drains(d);
  update_hosts(d);
}

bool byn_dist_rebalance(byn_dist *d, uint32_t *count) {
  return byn_move_rebalance(d, count);
}

uint32_t byn_dist_moves_pending(const byn_dist *d) {
  return d->move_count;
}

uint64_t byn_dist_moves_made(const byn_dist *d) {
  return d->moves_made;
}

bool byn_dist_has_left(const byn_dist *d) {
  if (!d->leaving || d->run_count > 0) return false;
  if (byn_entity_holds_back(d) && !byn_dist_is_last(d)) return false;
  if (d->registry.published || d->review_due) return false;
  if (!byn_registry_is_reviewed(&d->registry)) return false;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->packets) return false;
  return true;
}

bool byn_dist_is_last(const byn_dist *d) {
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer) && !peer->leaving) return false;
  return true;
}

bool byn_dist_is_ready(const byn_dist *d) {
  return d->open && byn_quorum_is_decided(d);
}

bool byn_dist_lacks_quorum(const byn_dist *d) {
  return byn_quorum_denies(d);
}

/* --- requests, children --------------------------------------------------- */

void byn_dist_start(byn_dist *d, uint64_t request, const byn_dist_id *id,
                    const byn_dist_start_spec *what, int64_t limit_ms) {
  byn_assert(d->attached && id->n <= BYN_DIST_KEY_MAX);
  byn_request_start(d, request, id, what, limit_ms);
}

void byn_dist_terminate(byn_dist *d, uint64_t request, const byn_dist_id *id,
                        int64_t limit_ms) {
  byn_assert(d->attached && id->n <= BYN_DIST_KEY_MAX);
  byn_request_terminate(d, request, id, limit_ms);
}

void byn_dist_move(byn_dist *d, uint64_t request, const byn_dist_id *id,
                   const char *node, int64_t limit_ms) {
  byn_assert(d->attached && id->n <= BYN_DIST_KEY_MAX);
  byn_request_move(d, request, id, node, limit_ms);
}

void byn_dist_handoff_failed(byn_dist *d, uint32_t child, const uint8_t *reason,
                             size_t n) {
  byn_report_handoff_failed(d, child, (byn_dist_bytes){reason, n});
}

void byn_dist_probed(byn_dist *d, uint64_t probe, const uint8_t *reason,
                     size_t n) {
  byn_move_probed(d, probe, (byn_dist_bytes){reason, n});
}

void byn_dist_checkpoint(byn_dist *d, uint64_t request, uint32_t child,
                         const byn_dist_written *what, int64_t limit_ms) {
  byn_assert(d->attached && what->bytes);
  byn_request_keep(d, request, child, what, limit_ms);
}

bool byn_dist_started(byn_dist *d, uint32_t child, const uint8_t *pid,
                      size_t n) {
  return byn_report_started(d, child, (byn_dist_bytes){pid, n});
}

void byn_dist_start_failed(byn_dist *d, uint32_t child, byn_dist_failure kind,
                           const uint8_t *reason, size_t n) {
  byn_report_failed(d, child, kind, (byn_dist_bytes){reason, n});
}

void byn_dist_exited(byn_dist *d, uint32_t child, bool normal,
                     const uint8_t *reason, size_t n) {
  byn_report_exited(d, child, normal, (byn_dist_bytes){reason, n});
}

bool byn_dist_rest(byn_dist *d, uint32_t child) {
  byn_run *run = byn_run_find(d, child);
  return run && byn_entity_rest(d, run);
}

void byn_dist_refusals_gone(byn_dist *d) {
  d->retake_all = true;
  byn_report_retake(d);
}

/* --- what follows --------------------------------------------------------- */

/* What inputs left to be decided. */
static void decide(byn_dist *d) {
  byn_candidate_remake(d);
  if (d->open_due) {
    d->open_due = false;
    byn_suspicion_review(d);
    byn_candidate_remake(d);
    byn_cohort_review_open(d);
    byn_quorum_review(d);
  }
  if (d->review_due) byn_registry_review(&d->registry);
  d->review_due = false;
  byn_looks_count(d, byn_registry_go_on(&d->registry, d->looks));
}

static byn_place *next_place(byn_dist *d) {
  byn_place *p = d->looks > 0 ? byn_registry_next_dirty(&d->registry) : NULL;
  if (p) byn_looks_count(d, 1);
  return p;
}

/* Looks at what changed, until something is to be shown. */
static bool next_change(byn_dist *d, byn_dist_action *a) {
  for (byn_place *p; (p = next_place(d));) {
    if (byn_show(d, p, a, &d->starved)) {
      byn_registry_touch_again(&d->registry, p);
      byn_looks_count(d, BYN_LOOKS_SHOWN);
      return true;
    }
    byn_reconcile(d, p);
    if (p->run && p->run->gone) byn_report_review_gone(d, p->run);
    byn_request_review_place(d, p);
    if (!byn_registry_is_idle(p)) continue;
    byn_registry_remove(&d->registry, p);
    a->kind = BYN_DIST_FORGET;
    a->id = byn_place_id(p);
    d->taken_place = p;
    return true;
  }
  return false;
}

static bool next_packet(byn_dist *d, byn_dist_action *a) {
  byn_sync_flush(d);
  byn_checkpoint_look_for_spares(d);
  byn_dump_pump(d);
  byn_pull_pump(d);
  byn_checkpoint_pump(d);
  byn_collect_pump(d);
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    byn_packet *packet = byn_packet_take(peer);
    if (!packet) continue;
    d->taken_packet = packet;
    a->kind = BYN_DIST_SEND;
    a->node = peer->name;
    a->bytes = (byn_dist_bytes){packet->bytes.data, packet->bytes.len};
    return true;
  }
  return false;
}

static bool is_unsettled(const byn_dist *d) {
  bool looks = d->looks > 0 && !byn_registry_is_reviewed(&d->registry);
  return d->open_due || d->review_due || looks || d->peers_due;
}

bool byn_dist_next(byn_dist *d, byn_dist_action *a) {
  *a = (byn_dist_action){0};
  release_taken(d);
  if (!d->attached) return false;
  do {
    decide(d);
    if (byn_quorum_next(d, a) || byn_told_next(d, a) || byn_cohort_next(d, a) ||
        next_change(d, a) || byn_reconcile_next(d, a) || byn_move_next(d, a))
      return true;
    *a = (byn_dist_action){0};
    if (byn_request_next(d, a)) return true;
    *a = (byn_dist_action){0};
    if (next_packet(d, a)) return true;
    *a = (byn_dist_action){0};
  } while (is_unsettled(d));
  return false;
}
