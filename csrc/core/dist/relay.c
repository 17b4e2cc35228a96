/* Two nodes that only a third one sees: what they say to each other. */
#include "relay.h"

#include "../assert.h"
#include "cohort.h"
#include "request.h"

enum { MISSED_MS = 3000 }; /* rounds of questions are more frequent */

static byn_peer *via_of(const byn_peer *peer) {
  return peer->via && byn_peer_sees(peer->via) ? peer->via : NULL;
}

bool byn_relay_reaches(const byn_peer *peer) {
  return byn_peer_sees(peer) || via_of(peer);
}

static void put_record(byn_buf *b, const byn_peer *peer, const byn_host *host,
                       const uint8_t *bytes, size_t n) {
  byn_put_bytes_field(b, BYN_FIELD_NODE, peer->name, strlen(peer->name));
  byn_put_number_field(b, BYN_FIELD_INCARNATION, host->incarnation);
  byn_put_bytes_field(b, BYN_FIELD_RECORD, bytes, n);
}

void byn_relay_send(byn_dist *d, byn_peer *peer) {
  byn_peer *via = byn_peer_sees(peer) || !peer->host ? NULL : via_of(peer);
  if (!via) {
    byn_record_send(d, peer);
    return;
  }
  byn_buf inner;
  byn_buf_init(&inner, &d->alloc);
  if (!d->scratch.failed) {
    byn_put_u8(&inner, d->scratch.data[0]);
    byn_put_string(&inner, d->scratch.data + 1, d->scratch.len - 1);
  }
  if (!d->scratch.failed && !inner.failed) {
    byn_buf *b = byn_record_begin(d, BYN_RECORD_RELAY);
    put_record(b, peer, peer->host, inner.data, inner.len);
    byn_record_send(d, via);
  }
  byn_buf_free(&inner);
}

/* --- who sees whom -------------------------------------------------------- */

static bool is_named(const byn_record *r, const byn_peer *peer,
                     uint64_t without) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_SUSPECT, &node, &flags))
    if (peer->host && peer->host->incarnation == node.incarnation &&
        node.node.n == strlen(peer->name) && !(flags & without) &&
        memcmp(node.node.at, peer->name, node.node.n) == 0)
      return true;
  return false;
}

bool byn_relay_is_missed(const byn_dist *d, const byn_peer *peer) {
  return d->now < peer->missed_until;
}

void byn_relay_hear_ask(byn_dist *d, const byn_record *r) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer) && is_named(r, peer, BYN_KNOWN_PROVEN))
      peer->missed_until = d->now + MISSED_MS;
}

static void set_via(byn_dist *d, byn_peer *peer, byn_peer *via) {
  bool fresh = via && !via_of(peer);
  peer->via = via;
  if (fresh) byn_request_ask_again(d);
}

/* Those that it names and this node does not see are reached by way of it. */
static void take_named(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_SUSPECT, &node, &flags)) {
    byn_peer *other =
        byn_cohort_find(d, (const char *)node.node.at, node.node.n);
    if (!other || byn_peer_sees(other) || !other->host ||
        other->host->incarnation != node.incarnation)
      continue;
    other->unnamed = false;
    if (!via_of(other)) set_via(d, other, peer);
  }
}

void byn_relay_hear_seen(byn_dist *d, byn_peer *peer, const byn_record *r,
                         bool all) {
  for (byn_peer *other = d->peers; all && other; other = other->next)
    other->unnamed = !byn_peer_sees(other) && other->via == peer;
  take_named(d, peer, r);
  for (byn_peer *other = d->peers; all && other; other = other->next)
    if (other->unnamed) other->via = NULL;
}

/* --- what is passed on ---------------------------------------------------- */

bool byn_relay_open(const byn_record *r, byn_record *inner) {
  byn_reader reader;
  byn_reader_init(&reader, r->record.at, r->record.n);
  return byn_record_next(&reader, inner) && byn_reader_left(&reader) == 0;
}

static byn_peer *peer_named(const byn_dist *d, const byn_record *r) {
  byn_peer *peer = byn_cohort_find(d, (const char *)r->node.at, r->node.n);
  bool same = peer && peer->host && peer->host->incarnation == r->incarnation;
  return same ? peer : NULL;
}

void byn_relay_pass_on(byn_dist *d, const byn_peer *from, const byn_record *r) {
  byn_peer *to = peer_named(d, r);
  if (!to || to == from || !byn_peer_sees(to)) return;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_RELAYED);
  put_record(b, from, from->host, r->record.at, r->record.n);
  byn_record_send(d, to);
}

byn_peer *byn_relay_source(byn_dist *d, byn_peer *via, const byn_record *r) {
  byn_peer *from = peer_named(d, r);
  if (!from || from == via || from->host->gone) return NULL;
  byn_assert(byn_peer_sees(via));
  if (!byn_relay_reaches(from)) set_via(d, from, via);
  return from;
}
