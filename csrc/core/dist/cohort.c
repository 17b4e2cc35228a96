/* The nodes that take part, and when this one is open. */
#include "cohort.h"

#include "../assert.h"
#include "../coverage.h"
#include "checkpoint.h"
#include "dump.h"
#include "pull.h"
#include "quorum.h"
#include "record.h"
#include "told.h"

BYN_MACHINE("dist: a peer",
            "unknown greeting in_step ready leaving suspect lost dead",
            "unknown greeting in_step ready leaving suspect lost dead "
            "new_life hearsay");

enum {
  EXPECT_MS = 3000,
  GREET_MS = 1000,
  HEARSAY_MS = 1000,
  TELLING_MS = 60000, /* one that takes longer is not considered */
  HEARD_MOST = 4096,  /* peers, or none is added that others speak of */
  IDLE_MS = 300000    /* then one that nothing needs is forgotten */
};

/* --- by name -------------------------------------------------------------- */

/* FNV-1a. */
static uint64_t name_hash(const char *name, size_t n) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; i++)
    h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
  return h;
}

byn_peer *byn_cohort_find(const byn_dist *d, const char *name, size_t n) {
  byn_peer *peer = byn_map_get(&d->by_name, name_hash(name, n));
  while (peer &&
         !(peer->name_size == n + 1 && memcmp(peer->name, name, n) == 0))
    peer = peer->same;
  return peer;
}

/* false when memory is short. */
static bool enter_name(byn_dist *d, byn_peer *peer) {
  uint64_t hash = name_hash(peer->name, peer->name_size - 1);
  peer->same = byn_map_get(&d->by_name, hash);
  return byn_map_put(&d->by_name, hash, peer);
}

static void leave_name(byn_dist *d, byn_peer *peer) {
  uint64_t hash = name_hash(peer->name, peer->name_size - 1);
  byn_peer *at = byn_map_get(&d->by_name, hash);
  if (at == peer) byn_map_put(&d->by_name, hash, peer->same);
  while (at && at != peer && at->same != peer)
    at = at->same;
  if (at && at != peer) at->same = peer->same;
}

byn_peer *byn_cohort_peer(byn_dist *d, const char *name, size_t n) {
  byn_peer *peer = byn_cohort_find(d, name, n);
  if (peer) return peer;
  peer = byn_new(&d->alloc, sizeof *peer + n + 1);
  if (!peer) return NULL;
  *peer = (byn_peer){.name_size = n + 1};
  memcpy(peer->name, name, n);
  peer->name[n] = 0;
  if (!enter_name(d, peer)) {
    byn_free(&d->alloc, peer, sizeof *peer + n + 1);
    return NULL;
  }
  byn_peer **at = &d->peers;
  while (*at && strcmp((*at)->name, peer->name) < 0)
    at = &(*at)->next;
  peer->next = *at;
  *at = peer;
  d->peer_count++;
  return peer;
}

static void free_peer(byn_dist *d, byn_peer *peer) {
  byn_assert(d->peer_count > 0);
  d->peer_count--;
  leave_name(d, peer);
  for (byn_peer *other = d->peers; other; other = other->next)
    if (other->dump.doubt == peer) other->dump.doubt = NULL;
  byn_dump_forget(d, peer);
  byn_pull_forget(d, peer);
  byn_checkpoint_forget_peer(d, peer);
  byn_packet_drop_all(d, peer);
  byn_blob_clear(&peer->nodes, &d->alloc);
  byn_blob_clear(&peer->leave_reason, &d->alloc);
  byn_free(&d->alloc, peer, sizeof *peer + peer->name_size);
}

void byn_cohort_free(byn_dist *d) {
  while (d->peers) {
    byn_peer *peer = d->peers;
    d->peers = peer->next;
    free_peer(d, peer);
  }
  byn_map_clear(&d->by_name);
}

/* Something points to it, or may want to know what it says of a life. */
static bool is_needed(const byn_dist *d, const byn_peer *peer) {
  bool over = peer->state == BYN_PEER_UNKNOWN || peer->state == BYN_PEER_DEAD;
  if (!over || peer->connected || peer->connect || peer->packets) return true;
  if (peer->host && (!peer->host->dropped || peer->host->registers > 0))
    return true;
  if (d->now < peer->expected_until || peer->told_up || peer->in_ring)
    return true;
  if (d->ring_due || d->digest_turn == peer) return true;
  for (const byn_peer *other = d->peers; other; other = other->next)
    if (other->via == peer) return true;
  for (const byn_request *q = d->requests; q; q = q->after)
    if (q->asked == peer) return true;
  return false;
}

void byn_cohort_sweep(byn_dist *d) {
  for (byn_peer **at = &d->peers; *at;) {
    byn_peer *peer = *at;
    if (is_needed(d, peer))
      peer->idle_at = 0;
    else if (peer->idle_at == 0)
      peer->idle_at = d->now;
    if (peer->idle_at == 0 || d->now - peer->idle_at < IDLE_MS) {
      at = &peer->next;
      continue;
    }
    *at = peer->next;
    if (peer->host) peer->host->named = false;
    free_peer(d, peer);
  }
}

bool byn_cohort_is_greeting(const byn_dist *d) {
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    bool greets = peer->state == BYN_PEER_GREETING && peer->matched;
    if (greets && d->now - peer->greeted_at < TELLING_MS) return true;
  }
  return false;
}

void byn_cohort_recall(byn_dist *d) {
  uint64_t from = UINT64_MAX, to = 0;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!peer->host || peer->host->dropped || peer->got_all) continue;
    uint64_t contact = peer->contact;
    uint64_t margin =
        contact < BYN_CONTACT_MARGIN ? contact : BYN_CONTACT_MARGIN;
    if (contact > 0 && contact - margin < from) from = contact - margin;
    if (contact > to) to = contact;
  }
  byn_registry_recall(&d->registry, to ? from : 0, to);
}

void byn_cohort_set_state(byn_dist *d, byn_peer *peer, byn_peer_state state) {
  byn_assert(state == BYN_PEER_UNKNOWN || state == BYN_PEER_GREETING ||
             peer->host);
  byn_assert(state != BYN_PEER_IN_STEP || (peer->got_all && peer->sent_all));
  byn_assert(state != BYN_PEER_READY || peer->let_in);
  BYN_COVER_NTH(peer->state, state);
  peer->state = state;
  d->open_due = d->peers_due = d->copies_due = true;
  d->review_due |= d->copied_runs > 0;
}

void byn_cohort_set_proven(byn_dist *d, byn_peer *peer, bool proven) {
  byn_assert(!proven || peer->host);
  peer->proven = proven;
  byn_host *host = peer->host;
  if (host) byn_registry_host_over(&d->registry, host, proven || host->dropped);
}

static void forget_session(byn_dist *d, byn_peer *peer) {
  byn_packet_drop_all(d, peer);
  byn_checkpoint_forget_session(d, peer);
  byn_dump_forget(d, peer);
  byn_pull_forget(d, peer);
  peer->matched = peer->got_all = peer->sent_all = peer->let_in = false;
  peer->regreet = false;
  peer->theirs = peer->acked_round = peer->acked_seq = peer->differ = 0;
  peer->ready_seq = peer->told_seq = peer->shown_seq = 0;
  memset(peer->acks, 0, sizeof peer->acks);
  peer->asked_round = peer->answered_round = peer->pulled_round = 0;
  peer->asked_at = 0;
}

void byn_cohort_suspect(byn_dist *d, byn_peer *peer, bool proven,
                        int64_t after_ms) {
  bool knew_all = peer->got_all;
  forget_session(d, peer);
  bool was_dead = peer->host && peer->host->gone && peer->proven;
  byn_cohort_set_proven(d, peer, peer->host && (proven || was_dead));
  if (!peer->host) {
    byn_cohort_set_state(d, peer, BYN_PEER_UNKNOWN);
  } else if (peer->host->gone) {
    byn_cohort_set_state(d, peer, BYN_PEER_LOST);
    if (peer->proven) byn_cohort_give_up(d, peer);
  } else {
    if (knew_all) peer->contact = byn_registry_clock(&d->registry);
    bool again = peer->state == BYN_PEER_SUSPECT;
    int64_t at = d->now + after_ms;
    if (!again || at < peer->suspect_at) peer->suspect_at = at;
    byn_cohort_set_state(d, peer, BYN_PEER_SUSPECT);
  }
}

static void put_dead(byn_dist *d, const byn_peer *dead) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_DEAD);
  byn_put_bytes_field(b, BYN_FIELD_NODE, dead->name, strlen(dead->name));
  byn_put_number_field(b, BYN_FIELD_INCARNATION, dead->host->incarnation);
}

void byn_cohort_give_up(byn_dist *d, byn_peer *peer) {
  byn_assert(peer->host && !peer->matched);
  bool was_gone = peer->host->gone, was_dropped = peer->host->dropped;
  byn_cohort_set_state(d, peer, peer->proven ? BYN_PEER_DEAD : BYN_PEER_LOST);
  peer->host->gone = true;
  if (!was_gone) peer->gone_at = d->now;
  peer->member = false;
  d->ring_due = d->review_due = true;
  if (!peer->proven || was_dropped) return;
  peer->host->dropped = true;
  byn_registry_drop_host(&d->registry, peer->host);
  put_dead(d, peer);
  for (byn_peer *other = d->peers; other; other = other->next)
    if (byn_peer_sees(other)) byn_record_send(d, other);
}

void byn_cohort_tell_dead(byn_dist *d, byn_peer *peer) {
  for (const byn_peer *dead = d->peers; dead; dead = dead->next) {
    if (dead->state != BYN_PEER_DEAD || !dead->host->dropped) continue;
    put_dead(d, dead);
    byn_record_send(d, peer);
  }
}

void byn_cohort_take_back(byn_dist *d, byn_peer *peer, bool member,
                          bool hosts) {
  byn_assert(peer->state == BYN_PEER_LOST && !peer->matched);
  byn_assert(!peer->proven && !peer->host->dropped);
  peer->host->gone = false;
  peer->host->unseen = true;
  peer->member = member;
  peer->hosts = hosts;
  peer->suspect_at = d->now;
  d->ring_due = d->review_due = true;
  byn_cohort_set_state(d, peer, BYN_PEER_SUSPECT);
}

bool byn_cohort_set_life(byn_dist *d, byn_peer *peer, uint64_t incarnation) {
  byn_host *old = peer->host;
  if (old && old->incarnation == incarnation) return true;
  byn_host *host = byn_registry_host(&d->registry, peer->name,
                                     strlen(peer->name), incarnation);
  if (!host) return false;
  BYN_COVER(peer->state, "new_life");
  host->named = true;
  peer->host = host;
  peer->proven = false;
  peer->member = false;
  peer->contact = peer->over_before = 0;
  d->ring_due = d->review_due = d->peers_due = true;
  if (old) {
    old->named = false;
    old->gone = old->dropped = true;
    byn_registry_drop_host(&d->registry, old);
  }
  return true;
}

void byn_cohort_hearsay(byn_dist *d, const char *name, size_t n,
                        uint64_t incarnation, bool member, bool hosts) {
  if (n == strlen(d->self->name) && memcmp(name, d->self->name, n) == 0) return;
  byn_peer *peer = byn_cohort_find(d, name, n);
  if (!peer && d->peer_count < HEARD_MOST) peer = byn_cohort_peer(d, name, n);
  if (!peer || peer->matched) return;
  if (peer->host && peer->host->incarnation >= incarnation) return;
  if (!byn_cohort_set_life(d, peer, incarnation)) return;
  BYN_COVER(peer->state, "hearsay");
  peer->member = member;
  peer->hosts = hosts;
  d->ring_due = true;
  if (peer->state == BYN_PEER_GREETING) return;
  peer->suspect_at = d->now + HEARSAY_MS;
  peer->expected_until = d->now + EXPECT_MS;
  byn_cohort_set_state(d, peer, BYN_PEER_SUSPECT);
  peer->connect = !peer->connected;
}

void byn_cohort_learn_hosts(byn_dist *d) {
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&d->registry.hosts, &cursor, &entry);)
    for (byn_host *h = entry.value; h; h = h->next) {
      if (h->named || h->gone || h == d->self) continue;
      byn_peer *peer = byn_cohort_find(d, h->name, strlen(h->name));
      bool own = strcmp(h->name, d->self->name) == 0;
      uint64_t life = own                  ? d->self->incarnation
                      : peer && peer->host ? peer->host->incarnation
                                           : 0;
      if (!own && life <= h->incarnation) continue;
      h->gone = h->dropped = d->review_due = true;
      byn_registry_drop_host(&d->registry, h);
    }
  for (bool again = true; again;) {
    again = false;
    for (uint32_t cursor = 0;
         !again && byn_map_next(&d->registry.hosts, &cursor, &entry);)
      for (byn_host *h = entry.value; h && !again; h = h->next) {
        if (h->named || h->gone || h == d->self) continue;
        byn_cohort_hearsay(d, h->name, strlen(h->name), h->incarnation, false,
                           false);
        again = h->named; /* the table may have moved */
      }
  }
}

/* --- open ----------------------------------------------------------------- */

/* This peer must be waited for. */
static bool closes(const byn_dist *d, const byn_peer *peer) {
  bool fresh = !d->opened_once;
  if (fresh && !peer->matched && d->now < peer->expected_until) return true;
  switch (peer->state) {
  case BYN_PEER_GREETING:
    return peer->matched || (fresh && d->now < peer->greeted_at + GREET_MS);
  case BYN_PEER_IN_STEP:
    return true;
  case BYN_PEER_READY:
    return peer->acked_round != d->round || byn_quorum_misses(d, peer);
  default:
    return false;
  }
}

void byn_cohort_review_open(byn_dist *d) {
  bool open = d->attached && !d->leaving && !d->ring_due;
  for (const byn_peer *peer = d->peers; peer && open; peer = peer->next)
    open = !closes(d, peer);
  if (open == d->open) return;
  d->open = open;
  if (!open) return;
  d->opened_once = true;
  d->review_due = true;
}

/* --- what is told --------------------------------------------------------- */

static bool is_gone(const byn_peer *peer) {
  return !peer->host || peer->host->gone;
}

static bool next_of_peer(byn_dist *d, byn_peer *peer, byn_dist_action *a) {
  a->node = peer->name;
  if (peer->connect) {
    peer->connect = false;
    a->kind = BYN_DIST_CONNECT;
    return true;
  }
  if (peer->terminates && peer->told_up) {
    peer->terminates = false;
    a->kind = BYN_DIST_NODE_TERMINATE;
    a->reason = (byn_dist_bytes){peer->leave_reason.at, peer->leave_reason.n};
    return true;
  }
  bool renewed = peer->told_up && peer->told_life != peer->host->incarnation;
  if (peer->told_up && (renewed || is_gone(peer))) {
    peer->told_up = false;
    a->kind = BYN_DIST_NODE_DOWN;
    return true;
  }
  if (!peer->told_up && peer->state == BYN_PEER_READY) {
    peer->told_up = true;
    peer->told_life = peer->host->incarnation;
    a->kind = BYN_DIST_NODE_UP;
    return true;
  }
  (void)d;
  return false;
}

bool byn_cohort_next(byn_dist *d, byn_dist_action *a) {
  if (!d->peers_due) return false;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (next_of_peer(d, peer, a)) return true;
  a->node = NULL;
  d->peers_due = false;
  return false;
}
