/* What a peer lacks: entries of leaves, and which nodes differ. */
#include "dump.h"

#include "../assert.h"
#include "../coverage.h"
#include "cohort.h"
#include "compare.h"
#include "sync.h"

BYN_MACHINE("dist: what a peer lacks", "none answering",
            "compare replaced batch compared doubt forget");

enum {
  AHEAD = 16,     /* batches that a peer has not confirmed */
  DOUBT_MS = 1000 /* then it is answered all the same */
};

void byn_dump_forget(byn_dist *d, byn_peer *peer) {
  if (peer->dump.asked.at) BYN_COVER(1, "forget");
  byn_blob_clear(&peer->dump.asked, &d->alloc);
  peer->dump = (byn_dump){0};
}

void byn_dump_take_compare(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_dump *dump = &peer->dump;
  BYN_COVER(dump->asked.at != NULL, dump->asked.at ? "replaced" : "compare");
  if (!byn_blob_set(&dump->asked, &d->alloc, r->body.at, r->body.n)) {
    peer->regreet = true;
    return;
  }
  dump->seq = r->seq;
  dump->at = 0;
  dump->in_leaf = false;
  d->dumps_due = true;
}

void byn_dump_doubt(byn_dist *d, byn_peer *peer, byn_peer *seen) {
  BYN_COVER(peer->dump.asked.at != NULL, "doubt");
  peer->dump.doubt = seen;
  peer->dump.doubt_until = d->now + DOUBT_MS;
}

void byn_dump_take_got(byn_dist *d, byn_peer *peer) {
  if (peer->dump.ahead > 0) peer->dump.ahead--;
  d->dumps_due = true;
}

/* --- leaves --------------------------------------------------------------- */

/* The leaf that is being sent, or the next one. */
static bool find_leaf(byn_dump *dump, byn_span_view *leaf) {
  byn_reader r;
  size_t begin = dump->at;
  byn_reader_init(&r, dump->asked.at + begin, dump->asked.n - begin);
  while (byn_compare_next(&r, leaf)) {
    if (!leaf->leaf) continue;
    if (!dump->in_leaf) dump->from = leaf->span.first;
    dump->in_leaf = true;
    return true;
  }
  return false;
}

/* Behind the leaf that was being sent. */
static void leave_leaf(byn_dump *dump, const byn_span_view *leaf) {
  const uint8_t *end = leaf->digests.at + leaf->digests.n;
  dump->at = (size_t)(end - dump->asked.at);
  dump->in_leaf = false;
}

/* Places of that leaf, up to the size of a packet. Answers how many bytes that
 * took. */
static size_t send_leaf(byn_dist *d, byn_peer *peer, const byn_span_view *leaf,
                        size_t sent) {
  byn_dump *dump = &peer->dump;
  const byn_tree *tree = &d->registry.tree;
  uint64_t last = byn_span_last(leaf->span);
  for (;;) {
    const byn_place *p = byn_tree_from(tree, dump->from);
    if (!p || p->hash > last) break;
    bool differs = byn_compare_differs(leaf, p);
    uint64_t hash = p->hash;
    for (; p && p->hash == hash && differs; p = p->after) {
      if (!p->generations) continue;
      byn_sync_send_place(d, peer, p);
      sent += d->scratch.len;
    }
    if (hash == last) break;
    dump->from = hash + 1;
    if (sent >= BYN_PACKET_MOST) return sent;
  }
  leave_leaf(dump, leaf);
  return sent;
}

/* --- answers -------------------------------------------------------------- */

static void send_compared(byn_dist *d, byn_peer *peer) {
  byn_dump *dump = &peer->dump;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_COMPARED);
  byn_put_number_field(b, BYN_FIELD_SEQ, dump->seq);
  size_t mark = byn_field_open(b, BYN_FIELD_MASKS);
  byn_reader r;
  byn_span_view v;
  byn_reader_init(&r, dump->asked.at, dump->asked.n);
  while (byn_compare_next(&r, &v)) {
    if (v.leaf) continue;
    uint64_t mask = byn_compare_children(&d->registry.tree, &v);
    if (v.span.bits == 0) {
      byn_put_u64(b, mask);
    } else {
      byn_put_u8(b, (uint8_t)(mask >> 8));
      byn_put_u8(b, (uint8_t)mask);
    }
  }
  byn_field_close(b, mark);
  byn_record_send(d, peer);
  BYN_COVER(1, "compared");
  byn_blob_clear(&dump->asked, &d->alloc);
}

/* false: there was nothing left but the answer. */
static bool send_batch(byn_dist *d, byn_peer *peer) {
  byn_span_view leaf;
  size_t sent = 0;
  while (sent < BYN_PACKET_MOST && find_leaf(&peer->dump, &leaf))
    sent = send_leaf(d, peer, &leaf, sent);
  if (d->batches > 0) d->batches--;
  if (sent < BYN_PACKET_MOST) {
    send_compared(d, peer);
    return false;
  }
  BYN_COVER(1, "batch");
  byn_record_begin(d, BYN_RECORD_MORE);
  byn_record_send(d, peer);
  peer->dump.ahead++;
  return true;
}

static bool is_in_doubt(const byn_dist *d, const byn_dump *dump) {
  return dump->doubt && dump->doubt->matched && d->now < dump->doubt_until;
}

static bool may_go_on(const byn_dist *d, const byn_peer *peer) {
  return peer->dump.asked.at && byn_peer_sees(peer) &&
         peer->dump.ahead < AHEAD && !is_in_doubt(d, &peer->dump) &&
         byn_registry_is_settled(&d->registry);
}

/* A batch of each in turn. */
void byn_dump_pump(byn_dist *d) {
  if (!d->dumps_due) return;
  for (bool more = true; more && d->batches > 0;) {
    more = false;
    for (byn_peer *peer = d->peers; peer && d->batches > 0; peer = peer->next)
      if (may_go_on(d, peer)) more |= send_batch(d, peer);
  }
  d->dumps_due = false;
  for (byn_peer *peer = d->peers; peer && !d->dumps_due; peer = peer->next)
    d->dumps_due = peer->dump.asked.at != NULL;
}

bool byn_dump_is_due(const byn_dist *d) {
  for (byn_peer *peer = d->peers; peer && d->dumps_due; peer = peer->next)
    if (may_go_on(d, peer)) return true;
  return false;
}
