/* Questions: what one may ask of a byn_dist. */
#include "view.h"

#include "../assert.h"
#include "candidate.h"
#include "cohort.h"
#include "parts.h"
#include "quorum.h"

static byn_dist_bytes bytes_of(const byn_blob *b) {
  return (byn_dist_bytes){b->at, b->n};
}

static const char *owner_name(const byn_dist *d, uint64_t hash) {
  byn_peer *owner;
  if (!byn_candidate_owner(d, hash, &owner)) return NULL;
  return owner ? owner->name : d->self->name;
}

static const byn_register *owner_refusal(const byn_dist *d, const byn_place *p,
                                         const byn_generation *g) {
  byn_peer *owner;
  if (!byn_candidate_owner(d, p->hash, &owner)) return NULL;
  const byn_host *host = owner ? owner->host : d->self;
  const byn_register *r = host ? byn_register_find(g, host) : NULL;
  return r && r->state == BYN_REGISTER_REFUSED ? r : NULL;
}

/* Where the last process of it was. */
static const byn_register *last_register(const byn_generation *g) {
  const byn_register *last = NULL;
  for (const byn_register *r = g->registers; r; r = r->next)
    if (r->run && (!last || r->begun > last->begun)) last = r;
  return last;
}

static void explain_ended(const byn_place *p, byn_dist_child *c) {
  const byn_generation *last = NULL;
  for (const byn_generation *g = p->generations; g; g = g->next)
    if (g->ended && (!last || g->end.stamp > last->end.stamp)) last = g;
  if (!last) return;
  bool idle = last->end.why == BYN_DIST_WHY_IDLE;
  c->state = idle ? BYN_DIST_IDLE : BYN_DIST_ENDED;
  c->stamp = last->stamp;
  c->node = (const char *)last->end.node.at;
  c->why = (byn_dist_why)last->end.why;
  c->reason = bytes_of(&last->end.reason);
}

static void explain_inactive(byn_dist *d, const byn_place *p,
                             const byn_generation *g, byn_dist_child *c) {
  const byn_register *refusal = NULL;
  const byn_register *last = last_register(g);
  byn_candidate who = byn_candidate_of(d, p, g, &refusal);
  if (byn_generation_is_idle(g)) {
    c->state = BYN_DIST_IDLE;
  } else if (who == BYN_CANDIDATE_REFUSED) {
    c->state = BYN_DIST_WAITING;
    c->node = refusal->host->name;
    c->why = (byn_dist_why)refusal->why;
    c->reason = bytes_of(&refusal->reason);
  } else if (who == BYN_CANDIDATE_NONE) {
    c->state = BYN_DIST_WAITING;
  } else if (!byn_generation_may_have_run(g)) {
    c->state = BYN_DIST_STARTING;
    c->node = who == BYN_CANDIDATE_SELF ? d->self->name : NULL;
  } else if (byn_generation_is_on_its_way(g)) {
    c->state = BYN_DIST_MOVING;
    c->node = (const char *)g->preference.node.at;
  } else {
    c->state = BYN_DIST_LOST;
    c->node = last ? last->host->name : NULL;
  }
}

static void explain_active(const byn_dist *d, const byn_place *p,
                           const byn_generation *g, const byn_register *r,
                           byn_dist_child *c) {
  c->node = r->host->name;
  if (r->state != BYN_REGISTER_WAITING) {
    c->state = BYN_DIST_STARTING;
    return;
  }
  c->state = BYN_DIST_FAILING;
  c->why = (byn_dist_why)g->failures.why;
  c->reason = bytes_of(&g->failures.reason);
  if (p->run && p->run->state == BYN_RUN_WAITING && p->run->retry_at > d->now)
    c->wait_ms = p->run->retry_at - d->now;
}

static void explain(const byn_dist *d, const byn_place *p, byn_dist_child *c) {
  *c = (byn_dist_child){.id = byn_place_id(p)};
  c->owner = owner_name(d, p->hash);
  const byn_generation *g = byn_place_live(p, d->newest);
  if (!g) {
    explain_ended(p, c);
    return;
  }
  c->stamp = g->stamp;
  c->flags = g->flags;
  c->pinned = (const char *)g->node.at;
  if (g->preference.stamp) c->moved_to = (const char *)g->preference.node.at;
  c->stays = g->preference.stays;
  c->failures = g->failures.count;
  if (g->checkpoint) {
    c->held_epoch = g->checkpoint->epoch;
    c->held_version = g->checkpoint->version;
  }
  const byn_register *refusal = owner_refusal(d, p, g);
  c->refused_by_owner = refusal != NULL;
  if (refusal) c->refusal = bytes_of(&refusal->reason);
  const byn_register *r = byn_place_running(p, d->newest, NULL);
  const byn_register *active = byn_generation_active(g);
  if (r && r->host->unseen) {
    c->state = BYN_DIST_LOST;
    c->node = r->host->name;
  } else if (r) {
    c->state = r->moving ? BYN_DIST_MOVING : BYN_DIST_RUNNING;
    c->node = r->host->name;
    c->pid = bytes_of(&r->pid);
    c->begun = r->begun / 1024;
    c->version = r->version;
    c->here = r->host == d->self;
  } else if (active) {
    explain_active(d, p, g, active, c);
  } else {
    /* Only room of its own is written to. */
    explain_inactive((byn_dist *)d, p, g, c);
  }
}

void byn_dist_explain(const byn_dist *d, const byn_dist_id *id,
                      byn_dist_child *child) {
  const byn_place *p = byn_registry_find(&d->registry, id);
  if (p)
    explain(d, p, child);
  else
    *child = (byn_dist_child){.id = *id, .owner = owner_name(d, id->hash)};
}

bool byn_dist_each(const byn_dist *d, byn_dist_cursor *cursor,
                   byn_dist_child *child) {
  const byn_place *p = cursor->at;
  const byn_tree *tree = &d->registry.tree;
  do {
    p = p ? byn_tree_next(tree, p) : byn_tree_first(tree);
    if (!p) return false;
  } while (p->live == 0);
  cursor->at = p;
  explain(d, p, child);
  return true;
}

/* --- the ring, nodes ------------------------------------------------------ */

uint32_t byn_dist_member_count(const byn_dist *d) {
  return d->ring_count;
}

const char *byn_dist_member(const byn_dist *d, uint32_t index) {
  if (index >= d->ring_count) return NULL;
  const byn_peer *peer = d->ring_peers[index];
  return peer ? peer->name : d->self->name;
}

const char *byn_dist_owner(const byn_dist *d, uint64_t hash) {
  return owner_name(d, hash);
}

bool byn_dist_each_node(const byn_dist *d, uint32_t *cursor,
                        byn_dist_node *node) {
  static const char *const states[] = {"unknown", "greeting", "in_step",
                                       "ready",   "leaving",  "suspect",
                                       "lost",    "dead"};
  uint32_t index = (*cursor)++;
  if (index == 0) {
    *node = (byn_dist_node){.node = d->self->name,
                            .state = d->leaving ? "leaving"
                                     : d->open  ? "ready"
                                                : "opening",
                            .member = byn_candidate_is_member(d),
                            .hosts = d->hosts,
                            .self = true};
    return true;
  }
  const byn_peer *peer = d->peers;
  while (peer && --index > 0)
    peer = peer->next;
  if (!peer) return false;
  *node = (byn_dist_node){.node = peer->name,
                          .state = states[peer->state],
                          .member = peer->in_ring,
                          .hosts = peer->hosts};
  return true;
}

/* --- numbers -------------------------------------------------------------- */

void byn_dist_status_begin(const byn_dist *d, byn_dist_status *s) {
  *s = (byn_dist_status){.here = d->shown_here,
                         .everywhere = d->shown,
                         .ended = byn_timers_count(d->registry.ends),
                         .queued = d->first_starts.count +
                                   d->nested_starts.count + d->restarts.count,
                         .ready = byn_dist_is_ready(d),
                         .held = d->held,
                         .hosts = d->hosts};
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    s->peers += byn_peer_sees(peer);
}

uint32_t byn_dist_status_add(const byn_dist *d, uint32_t bucket,
                             byn_dist_status *s) {
  uint32_t count = 0;
  byn_assert(bucket < BYN_BUCKETS);
  byn_assert((int)BYN_BUCKETS == (int)BYN_DIST_BUCKETS);
  const byn_tree *tree = &d->registry.tree;
  byn_span all = byn_span_child((byn_span){0}, bucket);
  const byn_place *p = byn_tree_from(tree, all.first);
  for (; p && p->hash <= byn_span_last(all);
       p = byn_tree_next(tree, p), count++) {
    byn_dist_child c;
    if (p->live == 0) continue;
    explain(d, p, &c);
    s->starting += c.state == BYN_DIST_STARTING;
    s->lost += c.state == BYN_DIST_LOST;
    s->failing += c.state == BYN_DIST_FAILING;
    s->waiting += c.state == BYN_DIST_WAITING;
    s->idle += c.state == BYN_DIST_IDLE;
    s->moving += c.state == BYN_DIST_MOVING;
  }
  return count;
}

void byn_dist_status_of(const byn_dist *d, byn_dist_status *s) {
  byn_dist_status_begin(d, s);
  for (uint32_t i = 0; i < BYN_DIST_BUCKETS; i++)
    byn_dist_status_add(d, i, s);
}

void byn_dist_quorum_of(const byn_dist *d, byn_dist_quorum *q) {
  static const char *const states[] = {"off", "lacks", "gaining", "has",
                                       "stopping"};
  *q = (byn_dist_quorum){.state = states[d->quorum.state]};
  if (d->quorum.state == BYN_QUORUM_OFF) return;
  q->on = true;
  q->runs = byn_quorum_runs(d);
  q->nodes = byn_quorum_seen(d);
  q->needed = d->quorum.needed;
  q->seen = q->nodes >= q->needed;
}

void byn_dist_count(const byn_dist *d, uint32_t *here, uint32_t *everywhere) {
  *here = d->shown_here;
  *everywhere = d->shown;
}
