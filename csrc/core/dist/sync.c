/* Publishing, and what is compared each second. */
#include "sync.h"

#include "../assert.h"
#include "cohort.h"
#include "place_wire.h"
#include "pull.h"
#include "relay.h"
#include "suspicion.h"
#include "told.h"

enum {
  PATIENCE = 8,   /* comparisons in a row that may find changes */
  AT_A_TIME = 8,  /* children of the root, where they find changes only */
  RESTS_MOST = 64 /* comparisons */
};

/* A peer that takes no packet of that size knows the child by all but its
 * spec. */
static void send_without_spec(byn_dist *d, byn_peer *peer, const byn_place *p) {
  if (!peer->told_withheld)
    peer->told_withheld = byn_told_add(d, BYN_DIST_WITHHELD, p, peer->name);
  byn_place_put(byn_record_begin(d, BYN_RECORD_ENTRY), p, BYN_ENTRY_WITHHELD);
  byn_relay_send(d, peer);
}

void byn_sync_send_place(byn_dist *d, byn_peer *peer, const byn_place *p) {
  byn_suspicion_tell_met(d);
  byn_place_put(byn_record_begin(d, BYN_RECORD_ENTRY), p, BYN_ENTRY_WHOLE);
  if (byn_record_fits(d, peer))
    byn_relay_send(d, peer);
  else
    send_without_spec(d, peer, p);
}

static void publish(byn_dist *d, byn_place *p) {
  bool withheld = false;
  byn_suspicion_tell_met(d);
  byn_place_put(byn_record_begin(d, BYN_RECORD_ENTRY), p,
                p->publish_spec ? BYN_ENTRY_WHOLE : BYN_ENTRY_LIGHT);
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!byn_peer_sees(peer)) continue;
    withheld |= !byn_record_fits(d, peer);
    byn_record_send(d, peer);
  }
  for (byn_peer *peer = d->peers; peer && withheld; peer = peer->next) {
    if (!byn_peer_sees(peer)) continue;
    byn_place_put(byn_record_begin(d, BYN_RECORD_ENTRY), p, BYN_ENTRY_WHOLE);
    if (!byn_record_fits(d, peer)) send_without_spec(d, peer, p);
  }
  p->publish_spec = false;
}

void byn_sync_take_sync(byn_dist *d, byn_peer *peer, uint64_t seq) {
  if (peer->regreet) return; /* it lacks something: it asks for all anew */
  byn_ack *ack = &peer->acks[peer->acks[0].seq != 0];
  *ack = (byn_ack){.seq = seq, .touched = d->registry.touched};
}

static void acknowledge(byn_dist *d, byn_peer *peer, uint64_t seq,
                        bool behind) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_ACK);
  byn_put_number_field(b, BYN_FIELD_SEQ, seq);
  byn_put_number_field(b, BYN_FIELD_BEHIND, behind);
  byn_record_send(d, peer);
}

static void acknowledge_all(byn_dist *d, byn_peer *peer) {
  byn_ack *first = &peer->acks[0], *last = &peer->acks[1];
  while (first->seq && byn_registry_has_looked(&d->registry, first->touched)) {
    bool both =
        last->seq && byn_registry_has_looked(&d->registry, last->touched);
    if (!both) acknowledge(d, peer, first->seq, false);
    *first = *last;
    *last = (byn_ack){0};
  }
  if (!last->seq) last = first;
  if (!last->seq || last->told) return;
  last->told = true;
  acknowledge(d, peer, last->seq, true);
}

void byn_sync_flush(byn_dist *d) {
  for (byn_place *p; (p = byn_registry_next_published(&d->registry));)
    publish(d, p);
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->acks[0].seq) acknowledge_all(d, peer);
  if (!d->sync_due) return;
  d->sync_due = false;
  byn_put_number_field(byn_record_begin(d, BYN_RECORD_SYNC), BYN_FIELD_SEQ,
                       d->seq);
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) byn_record_send(d, peer);
}

void byn_sync_tick(byn_dist *d) {
  if (!byn_registry_is_settled(&d->registry)) return;
  byn_peer *turn = NULL;
  bool passed = d->digest_turn == NULL;
  for (byn_peer *peer = d->peers; peer && !turn; peer = peer->next) {
    if (passed && byn_peer_sees(peer) && peer->got_all) turn = peer;
    if (peer == d->digest_turn) passed = true;
  }
  d->digest_turn = turn; /* NULL: the first is next */
  if (!turn) return;
  byn_record_put_digests(byn_record_begin(d, BYN_RECORD_DIGEST), &d->registry);
  byn_record_send(d, turn);
}

/* Where it never stops changing, what has differed twice is taken for it, a
 * part of it each time. */
static uint64_t part_of(byn_peer *peer, uint64_t mask) {
  uint64_t part = 0;
  for (uint32_t i = 0; i < AT_A_TIME; i++) {
    peer->differ_turn = (peer->differ_turn + 1) % BYN_BUCKETS;
    part |= mask & (uint64_t)1 << peer->differ_turn;
  }
  return part;
}

/* Those that differ by just as much as they did last time. What is on its way
 * to one of the two changes the difference from time to time; what one of them
 * lacks does not. */
static uint64_t lasting_differences(const byn_dist *d, byn_peer *peer,
                                    byn_dist_bytes digests) {
  uint64_t mask = 0, lasting = 0;
  for (uint32_t i = 0; i < BYN_BUCKETS; i++) {
    uint64_t bit = (uint64_t)1 << i;
    uint64_t by = byn_record_digest(digests, i) - d->registry.tree.top_sums[i];
    if (by) mask |= bit;
    if (by && by == peer->differ_by[i]) lasting |= bit & peer->differ;
    if (by != peer->differ_by[i]) peer->pulled &= ~bit;
    peer->differ_by[i] = by;
  }
  peer->differed = mask ? peer->differed + 1 : 0;
  if (!lasting && peer->differed >= PATIENCE)
    lasting = part_of(peer, mask & peer->differ);
  if (lasting) peer->differed = 0;
  peer->differ = mask & ~lasting;
  return lasting;
}

/* Have they been pulled already, all of them, and are just as they were? */
static bool rests(byn_peer *peer, uint64_t lasting) {
  bool again = (lasting & ~peer->pulled) == 0;
  peer->pulled |= lasting;
  if (!again) {
    peer->rest = peer->rests = 0;
    return false;
  }
  if (peer->rest > 0) {
    peer->rest--;
    return true;
  }
  peer->rest = peer->rests;
  peer->rests = peer->rests ? 2 * peer->rests : 1;
  if (peer->rests > RESTS_MOST) peer->rests = RESTS_MOST;
  return false;
}

void byn_sync_take_digest(byn_dist *d, byn_peer *peer, byn_dist_bytes digests) {
  if (!byn_registry_is_settled(&d->registry) || !peer->got_all) return;
  uint64_t lasting = lasting_differences(d, peer, digests);
  if (!lasting || rests(peer, lasting)) return;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_DIFFER);
  size_t mark = byn_field_open(b, BYN_FIELD_MASK);
  byn_put_u64(b, lasting);
  byn_field_close(b, mark);
  byn_record_send(d, peer);
  byn_pull_want(d, peer, lasting, 0);
}
