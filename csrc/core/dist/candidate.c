/* The ring of members, and who of them may start a child. */
#include "candidate.h"

#include <string.h>

#include "../assert.h"
#include "cohort.h"
#include "told.h"

bool byn_candidate_is_member(const byn_dist *d) {
  return d->hosts && !d->leaving;
}

static bool belongs(const byn_peer *p) {
  return p->member && p->hosts;
}

static uint32_t count_members(const byn_dist *d) {
  uint32_t count = byn_candidate_is_member(d);
  for (const byn_peer *p = d->peers; p; p = p->next)
    count += belongs(p);
  return count;
}

static bool reserve_members(byn_dist *d, uint32_t count) {
  if (count <= d->ring_capacity) return true;
  uint32_t capacity = count * 2;
  byn_peer **peers = byn_new(&d->alloc, capacity * sizeof *peers);
  uint32_t *order = byn_new(&d->alloc, capacity * sizeof *order);
  if (!peers || !order) {
    byn_free(&d->alloc, peers, capacity * sizeof *peers);
    byn_free(&d->alloc, order, capacity * sizeof *order);
    return false;
  }
  byn_free(&d->alloc, d->ring_peers, d->ring_capacity * sizeof *peers);
  byn_free(&d->alloc, d->successors, d->ring_capacity * sizeof *order);
  d->ring_peers = peers;
  d->successors = order;
  d->ring_capacity = capacity;
  return true;
}

/* Peers are in byte order, and so are the nodes of a ring. */
static void list_members(byn_dist *d, byn_ring_member *members) {
  bool self_due = byn_candidate_is_member(d);
  uint32_t n = 0;
  for (byn_peer *p = d->peers;; p = p->next) {
    if (self_due && (!p || strcmp(d->self->name, p->name) < 0)) {
      members[n] = (byn_ring_member){d->self->name, strlen(d->self->name), 1};
      d->ring_peers[n++] = NULL;
      self_due = false;
    }
    if (!p) return;
    if (!belongs(p)) continue;
    members[n] = (byn_ring_member){p->name, strlen(p->name), 1};
    d->ring_peers[n++] = p;
  }
}

static void tell_changes(byn_dist *d) {
  for (byn_peer *p = d->peers; p; p = p->next) {
    if (belongs(p) == p->in_ring) continue;
    p->in_ring = belongs(p);
    byn_told *t = byn_told_add(d, BYN_DIST_MEMBER, NULL, p->name);
    if (t) t->joined = p->in_ring;
  }
}

static bool is_node(const byn_ring *ring, uint32_t node,
                    const byn_ring_member *m) {
  size_t n;
  const char *name = byn_ring_name(ring, node, &n);
  return n == m->size && memcmp(name, m->name, n) == 0;
}

/* Are they the nodes of the ring, from `node` of it and `m` of them on? */
static bool are_nodes(const byn_ring *ring, uint32_t node,
                      const byn_ring_member *m, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (!is_node(ring, node + i, &m[i])) return false;
  return true;
}

/* Most often one came or went, and the points of all others stay. false: it is
 * more than that, or memory is short. */
static bool change_one(byn_ring *ring, const byn_ring_member *m,
                       uint32_t count) {
  uint32_t before = byn_ring_count(ring), same = 0;
  uint32_t both = before < count ? before : count;
  while (same < both && is_node(ring, same, &m[same]))
    same++;
  uint32_t rest = both - same;
  if (before == count) return rest == 0;
  if (count == before + 1)
    return are_nodes(ring, same, &m[same + 1], rest) &&
           byn_ring_add(ring, m[same].name, m[same].size, 1);
  if (before != count + 1 || !are_nodes(ring, same + 1, &m[same], rest))
    return false;
  size_t n;
  const char *name = byn_ring_name(ring, same, &n);
  return byn_ring_remove(ring, name, n);
}

/* The ring of these: the one that there is, changed, or another; NULL without
 * memory. */
static byn_ring *ring_of(const byn_dist *d, const byn_ring_member *members,
                         uint32_t count) {
  if (d->ring && change_one(d->ring, members, count)) return d->ring;
  return byn_ring_build(&d->alloc, BYN_RING_VNODES, members, count);
}

void byn_candidate_remake(byn_dist *d) {
  if (!d->ring_due) return;
  uint32_t count = count_members(d);
  byn_ring *ring = NULL;
  if (count > 0) {
    size_t size = count * sizeof(byn_ring_member);
    byn_ring_member *members = byn_new(&d->alloc, size);
    if (!members) return;
    if (!reserve_members(d, count)) {
      byn_free(&d->alloc, members, size);
      return;
    }
    list_members(d, members);
    ring = ring_of(d, members, count);
    byn_free(&d->alloc, members, size);
    if (!ring) count = 0; /* nobody's index is right any more */
  }
  if (d->ring && d->ring != ring) byn_ring_free(d->ring);
  d->ring = ring;
  d->ring_count = count;
  if (!ring && count_members(d) > 0) return;
  byn_assert(!ring || byn_ring_count(ring) == count);
  d->ring_due = false;
  d->review_due = true;
  tell_changes(d);
}

bool byn_candidate_owner(const byn_dist *d, uint64_t hash, byn_peer **peer) {
  if (d->ring_count == 0) return false;
  int32_t owner = byn_ring_owner(d->ring, hash);
  byn_assert(owner >= 0 && (uint32_t)owner < d->ring_count);
  *peer = d->ring_peers[owner];
  return true;
}

/* The refusal of a member, NULL: this node; or NULL. */
static const byn_register *refusal(const byn_dist *d, const byn_generation *g,
                                   const byn_peer *peer) {
  const byn_host *host = peer ? peer->host : d->self;
  const byn_register *r = host ? byn_register_find(g, host) : NULL;
  return r && r->state == BYN_REGISTER_REFUSED ? r : NULL;
}

static byn_peer *find_member(const byn_dist *d, const char *name,
                             bool *is_self) {
  *is_self = strcmp(name, d->self->name) == 0;
  byn_peer *p = byn_cohort_find(d, name, strlen(name));
  return p && belongs(p) ? p : NULL;
}

/* That node, if it is a member. */
static byn_candidate candidate_named(byn_dist *d, const byn_generation *g,
                                     const byn_blob *name,
                                     const byn_register **last,
                                     byn_peer **peer) {
  bool is_self;
  if (!name->at) return BYN_CANDIDATE_NONE;
  *peer = find_member(d, (const char *)name->at, &is_self);
  if (!*peer && !(is_self && byn_candidate_is_member(d)))
    return BYN_CANDIDATE_NONE;
  *last = refusal(d, g, *peer);
  if (*last) return BYN_CANDIDATE_REFUSED;
  return *peer ? BYN_CANDIDATE_PEER : BYN_CANDIDATE_SELF;
}

byn_candidate byn_candidate_of_ring(byn_dist *d, const byn_place *p,
                                    const byn_generation *g,
                                    const byn_register **last,
                                    byn_peer **peer) {
  if (!byn_candidate_owner(d, p->hash, peer)) return BYN_CANDIDATE_NONE;
  *last = refusal(d, g, *peer);
  if (!*last) return *peer ? BYN_CANDIDATE_PEER : BYN_CANDIDATE_SELF;
  uint32_t n =
      byn_ring_successors(d->ring, p->hash, d->successors, d->ring_count);
  for (uint32_t i = 0; i < n; i++) {
    *peer = d->ring_peers[d->successors[i]];
    const byn_register *r = refusal(d, g, *peer);
    if (!r) return *peer ? BYN_CANDIDATE_PEER : BYN_CANDIDATE_SELF;
    *last = r;
  }
  return BYN_CANDIDATE_REFUSED;
}

byn_candidate byn_candidate_find(byn_dist *d, const byn_place *p,
                                 const byn_generation *g,
                                 const byn_register **last, byn_peer **peer) {
  if (d->ring_count == 0) return BYN_CANDIDATE_NONE;
  byn_candidate who = candidate_named(d, g, &g->preference.node, last, peer);
  if (who == BYN_CANDIDATE_SELF || who == BYN_CANDIDATE_PEER) return who;
  who = candidate_named(d, g, &g->node, last, peer);
  bool is_final =
      who == BYN_CANDIDATE_REFUSED && !byn_generation_may_have_run(g);
  if (who == BYN_CANDIDATE_SELF || who == BYN_CANDIDATE_PEER || is_final)
    return who;
  return byn_candidate_of_ring(d, p, g, last, peer);
}

byn_candidate byn_candidate_wanted(byn_dist *d, const byn_place *p,
                                   const byn_generation *g,
                                   const byn_register **last, byn_peer **peer) {
  byn_candidate who = BYN_CANDIDATE_NONE;
  if (g->preference.stays)
    who = candidate_named(d, g, &g->preference.node, last, peer);
  if (who == BYN_CANDIDATE_SELF || who == BYN_CANDIDATE_PEER) return who;
  who = candidate_named(d, g, &g->node, last, peer);
  if (who == BYN_CANDIDATE_SELF || who == BYN_CANDIDATE_PEER) return who;
  return byn_candidate_of_ring(d, p, g, last, peer);
}

byn_candidate byn_candidate_of(byn_dist *d, const byn_place *p,
                               const byn_generation *g,
                               const byn_register **last) {
  byn_peer *peer;
  return byn_candidate_find(d, p, g, last, &peer);
}
