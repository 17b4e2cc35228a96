/* Publishing, dumps of buckets, digests. */
#include "sync.h"

#include "../assert.h"
#include "cohort.h"
#include "greet.h"
#include "place_wire.h"
#include "relay.h"
#include "suspicion.h"
#include "told.h"

enum {
  AHEAD = 16,  /* batches that a peer has not confirmed */
  PATIENCE = 8 /* comparisons in a row that may find changes */
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

void byn_sync_flush(byn_dist *d) {
  for (byn_place *p; (p = byn_registry_next_published(&d->registry));)
    publish(d, p);
  if (!d->sync_due) return;
  d->sync_due = false;
  byn_put_number_field(byn_record_begin(d, BYN_RECORD_SYNC), BYN_FIELD_SEQ,
                       d->seq);
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) byn_record_send(d, peer);
}

uint64_t byn_sync_compare(const byn_dist *d, byn_dist_bytes digests) {
  uint64_t mask = 0;
  for (uint32_t i = 0; i < BYN_BUCKETS; i++)
    if (byn_record_digest(digests, i) != d->registry.buckets[i].digest)
      mask |= (uint64_t)1 << i;
  return mask;
}

void byn_sync_dump(byn_peer *peer, uint64_t mask) {
  peer->dump.mask |= mask;
}

static bool next_bucket(byn_dist *d, byn_dump *dump) {
  for (uint32_t i = 0; i < BYN_BUCKETS && !dump->at; i++) {
    uint64_t bit = (uint64_t)1 << i;
    if (!(dump->mask & bit)) continue;
    dump->mask &= ~bit;
    dump->at = d->registry.buckets[i].first;
  }
  return dump->at != NULL;
}

/* Entries up to the size of a packet. */
static void send_batch(byn_dist *d, byn_peer *peer) {
  byn_dump *dump = &peer->dump;
  size_t sent = 0;
  while (sent < BYN_PACKET_MOST && (dump->at || next_bucket(d, dump))) {
    const byn_place *p = dump->at;
    dump->at = p->after;
    if (!p->generations) continue;
    byn_sync_send_place(d, peer, p);
    sent += d->scratch.len;
  }
  if (sent == 0) return;
  byn_record_begin(d, BYN_RECORD_MORE);
  byn_record_send(d, peer);
  dump->ahead++;
}

static void pump_peer(byn_dist *d, byn_peer *peer) {
  byn_dump *dump = &peer->dump;
  while ((dump->mask || dump->at) && dump->ahead < AHEAD)
    send_batch(d, peer);
  if (dump->mask || dump->at) return;
  if (dump->in_step) {
    dump->in_step = false;
    byn_greet_sent_all(d, peer);
  }
  if (dump->seen) byn_suspicion_answer(d, peer);
}

void byn_sync_pump(byn_dist *d) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) pump_peer(d, peer);
}

void byn_sync_skip(byn_dist *d, const byn_place *p) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->dump.at == p) peer->dump.at = p->after;
}

void byn_sync_tick(byn_dist *d) {
  byn_peer *turn = NULL;
  bool passed = d->digest_turn == NULL;
  for (byn_peer *peer = d->peers; peer && !turn; peer = peer->next) {
    if (passed && byn_peer_sees(peer) && peer->got_all) turn = peer;
    if (peer == d->digest_turn) passed = true;
  }
  d->digest_turn = turn; /* NULL: the first is next */
  if (!turn) return;
  byn_record_put_digests(byn_record_begin(d, BYN_RECORD_DIGEST), &d->registry,
                         0);
  byn_record_send(d, turn);
}

/* The buckets that differ by just as much as they did last time. What is on
 * its way to one of the two changes the difference from time to time; what one
 * of them lacks does not. Where it never stops changing, what has differed
 * twice is taken for it. */
static uint64_t lasting_differences(const byn_dist *d, byn_peer *peer,
                                    byn_dist_bytes digests) {
  uint64_t mask = 0, lasting = 0;
  for (uint32_t i = 0; i < BYN_BUCKETS; i++) {
    uint64_t bit = (uint64_t)1 << i;
    uint64_t by = byn_record_digest(digests, i) - d->registry.buckets[i].digest;
    if (by) mask |= bit;
    if (by && by == peer->differ_by[i]) lasting |= bit & peer->differ;
    peer->differ_by[i] = by;
  }
  peer->differed = mask ? peer->differed + 1 : 0;
  if (peer->differed >= PATIENCE) lasting = mask & peer->differ;
  if (lasting) peer->differed = 0;
  peer->differ = mask & ~lasting;
  return lasting;
}

void byn_sync_take_digest(byn_dist *d, byn_peer *peer, byn_dist_bytes digests) {
  uint64_t lasting = lasting_differences(d, peer, digests);
  if (!lasting) return;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_DIFFER);
  size_t mark = byn_field_open(b, BYN_FIELD_MASK);
  byn_put_u64(b, lasting);
  byn_field_close(b, mark);
  byn_record_send(d, peer);
  byn_sync_dump(peer, lasting);
}
