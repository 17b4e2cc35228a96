/* A peer's packet: checked as a whole, then taken record by record. */
#include "receive.h"

#include "../assert.h"
#include "checkpoint.h"
#include "cohort.h"
#include "collect.h"
#include "content.h"
#include "dump.h"
#include "greet.h"
#include "move.h"
#include "place_wire.h"
#include "pull.h"
#include "quorum.h"
#include "reconcile.h"
#include "record.h"
#include "relay.h"
#include "request.h"
#include "serve.h"
#include "suspicion.h"
#include "sync.h"
#include "want.h"

static bool is_sound(byn_dist *d, byn_packet_head *head) {
  byn_reader records = head->records;
  byn_record r;
  while (byn_record_next(&records, &r)) {
    byn_entry_view entry;
    byn_record inner = r;
    if ((r.kind == BYN_RECORD_RELAY || r.kind == BYN_RECORD_RELAYED) &&
        !byn_relay_open(&r, &inner))
      return false;
    if (inner.kind == BYN_RECORD_ENTRY &&
        !byn_entry_check(inner.body.at, inner.body.n, BYN_SPEC_MOST, &entry,
                         &d->view))
      return false;
    if (!byn_content_is_sound(d, &inner, &entry)) return false;
  }
  return !records.failed;
}

static void take_entry(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_entry_view entry;
  bool sound =
      byn_entry_check(r->body.at, r->body.n, BYN_SPEC_MOST, &entry, &d->view);
  byn_assert(sound);
  if (!sound) return;
  uint64_t over_before = peer->got_all ? 0 : peer->over_before;
  byn_place *p = NULL;
  byn_merged merged = byn_registry_merge(&d->registry, r->body.at, r->body.n,
                                         &entry, over_before, &d->view, &p);
  if (p) byn_want_review(d, p);
  if (merged == BYN_MERGED_NO_MEMORY) peer->regreet = true;
  if (merged != BYN_MERGED_NEWS) return;
  if (over_before || byn_relay_is_missed(d, peer))
    byn_registry_publish(&d->registry, p, false);
  byn_want_ask(d, peer, p);
}

static void take_leaving(byn_dist *d, byn_peer *peer, const byn_record *r) {
  byn_blob_set(&peer->leave_reason, &d->alloc, r->reason.at, r->reason.n);
  peer->leaving = peer->terminates = true;
  peer->member = false;
  d->ring_due = d->peers_due = true;
  if (peer->state == BYN_PEER_IN_STEP || peer->state == BYN_PEER_READY)
    byn_cohort_set_state(d, peer, BYN_PEER_LEAVING);
}

static void take_place_record(byn_dist *d, byn_peer *peer,
                              const byn_record *r) {
  byn_place *p = byn_registry_find(&d->registry, &r->id);
  if (!p) return;
  if (r->kind == BYN_RECORD_CONFIRMED)
    byn_reconcile_confirmed(d, p, peer->host, r);
  else if (r->kind == BYN_RECORD_RESOLVE)
    byn_reconcile_resolve(d, p, r);
  else if (byn_want_is_known(p))
    byn_sync_send_place(d, peer, p);
}

static void take_ack(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (r->seq > d->seq) return;
  if (!r->behind && r->seq > peer->shown_seq) peer->shown_seq = r->seq;
  if (r->seq <= peer->acked_seq) return;
  peer->acked_seq = r->seq;
  byn_request_review_copying(d);
}

/* How nodes stand to each other. false: it is not of that. */
static bool take_node_record(byn_dist *d, byn_peer *peer, const byn_record *r) {
  switch (r->kind) {
  case BYN_RECORD_IN_STEP:
    byn_greet_take_in_step(d, peer, r);
    return true;
  case BYN_RECORD_READY:
    byn_greet_take_ready(d, peer, r);
    return true;
  case BYN_RECORD_READY_OK:
    byn_greet_take_ready_ok(d, peer, r);
    return true;
  case BYN_RECORD_LEAVING:
    take_leaving(d, peer, r);
    return true;
  case BYN_RECORD_ASK:
    byn_suspicion_take_ask(d, peer, r);
    byn_relay_hear_ask(d, r);
    return true;
  case BYN_RECORD_SEEN:
    byn_suspicion_take_seen(d, peer, r);
    byn_relay_hear_seen(d, peer, r, true);
    return true;
  case BYN_RECORD_SEES:
    byn_suspicion_take_sees(d, r);
    byn_relay_hear_seen(d, peer, r, false);
    return true;
  case BYN_RECORD_DEAD:
    byn_suspicion_take_dead(d, r);
    return true;
  case BYN_RECORD_PING:
    byn_quorum_take_ping(d, peer, r);
    return true;
  case BYN_RECORD_PONG:
    byn_quorum_take_pong(d, peer, r);
    return true;
  case BYN_RECORD_MET:
    byn_greet_take_met(d, r);
    return true;
  default:
    return false;
  }
}

/* What is said of checkpoints. false: it is not of that. */
static bool take_checkpoint_record(byn_dist *d, byn_peer *peer,
                                   const byn_record *r) {
  switch (r->kind) {
  case BYN_RECORD_CHECKPOINT:
    byn_checkpoint_take_sent(d, peer, r);
    return true;
  case BYN_RECORD_HELD:
    byn_checkpoint_take_held(d, peer, r);
    return true;
  case BYN_RECORD_SPARE:
    byn_checkpoint_take_spare(d, peer, r);
    return true;
  case BYN_RECORD_DROP:
    byn_checkpoint_take_drop(d, r);
    return true;
  case BYN_RECORD_COLLECT:
    byn_collect_take_ask(d, peer, r);
    return true;
  case BYN_RECORD_FOUND:
  case BYN_RECORD_COLLECTED:
    byn_collect_take_answer(d, peer, r);
    return true;
  default:
    return false;
  }
}

/* What differs between two nodes. false: it is not of that. */
static bool take_difference(byn_dist *d, byn_peer *peer, const byn_record *r) {
  switch (r->kind) {
  case BYN_RECORD_MORE:
    byn_pull_take_more(d, peer);
    byn_record_begin(d, BYN_RECORD_GOT);
    byn_record_send(d, peer);
    return true;
  case BYN_RECORD_GOT:
    byn_dump_take_got(d, peer);
    return true;
  case BYN_RECORD_COMPARE:
    byn_dump_take_compare(d, peer, r);
    return true;
  case BYN_RECORD_COMPARED:
    byn_pull_take_compared(d, peer, r);
    return true;
  case BYN_RECORD_DIGEST:
    byn_sync_take_digest(d, peer, r->digests);
    return true;
  case BYN_RECORD_DIFFER:
    if (peer->got_all) byn_pull_want(d, peer, r->mask, 0);
    peer->differ = 0;
    return true;
  default:
    return false;
  }
}

/* What is said of places. */
static void take_record(byn_dist *d, byn_peer *peer, const byn_record *r) {
  switch (r->kind) {
  case BYN_RECORD_ENTRY:
    take_entry(d, peer, r);
    break;
  case BYN_RECORD_START:
    byn_serve_take_start(d, peer, r);
    break;
  case BYN_RECORD_TERMINATE:
    byn_serve_take_terminate(d, peer, r);
    break;
  case BYN_RECORD_REPLY:
    byn_request_take_reply(d, r);
    break;
  case BYN_RECORD_CONFIRM:
    byn_serve_take_confirm(d, peer, r);
    break;
  case BYN_RECORD_WANT:
  case BYN_RECORD_CONFIRMED:
  case BYN_RECORD_RESOLVE:
    take_place_record(d, peer, r);
    break;
  case BYN_RECORD_MOVE:
    byn_move_take(d, peer, r);
    break;
  case BYN_RECORD_OFFER:
    byn_move_take_offer(d, peer, r);
    break;
  case BYN_RECORD_ACCEPT:
    byn_move_take_accept(d, peer, r);
    break;
  case BYN_RECORD_SYNC:
    byn_sync_take_sync(d, peer, r->seq);
    break;
  case BYN_RECORD_ACK:
    take_ack(d, peer, r);
    break;
  default:
    break;
  }
}

static void take_relayed(byn_dist *d, byn_peer *via, const byn_record *r) {
  byn_record inner;
  byn_peer *from = byn_relay_source(d, via, r);
  if (!from || !byn_relay_open(r, &inner)) return;
  bool of_children =
      inner.kind == BYN_RECORD_ENTRY || inner.kind == BYN_RECORD_START ||
      inner.kind == BYN_RECORD_TERMINATE || inner.kind == BYN_RECORD_REPLY ||
      inner.kind == BYN_RECORD_CONFIRM || inner.kind == BYN_RECORD_CONFIRMED ||
      inner.kind == BYN_RECORD_RESOLVE || inner.kind == BYN_RECORD_MOVE;
  if (of_children) take_record(d, from, &inner);
}

bool byn_receive(byn_dist *d, const char *from, const uint8_t *bytes,
                 size_t n) {
  byn_packet_head head;
  if (!byn_packet_open(&head, bytes, n)) return false;
  size_t size = strlen(from);
  if (head.node.n != size || memcmp(head.node.at, from, size) != 0)
    return false;
  if (strcmp(from, d->self->name) == 0) return false;
  if (!is_sound(d, &head)) {
    byn_greet_refused(d, byn_cohort_find(d, from, size));
    return false;
  }
  if (!d->attached) return true;
  byn_peer *peer = byn_cohort_peer(d, from, size);
  if (!peer) return true;
  byn_record r;
  while (byn_record_next(&head.records, &r)) {
    bool known = peer->host && peer->host->incarnation == head.incarnation;
    if (r.kind == BYN_RECORD_HELLO)
      byn_greet_take_hello(d, peer, &r, head.incarnation);
    else if (!known || !byn_peer_sees(peer) || byn_quorum_misses(d, peer))
      continue;
    else if (r.kind == BYN_RECORD_RELAY)
      byn_relay_pass_on(d, peer, &r);
    else if (r.kind == BYN_RECORD_RELAYED)
      take_relayed(d, peer, &r);
    else if (!take_node_record(d, peer, &r) && !take_difference(d, peer, &r) &&
             !take_checkpoint_record(d, peer, &r))
      take_record(d, peer, &r);
  }
  if (d->registry.new_hosts) byn_cohort_learn_hosts(d);
  d->registry.new_hosts = false;
  d->open_due = true;
  return true;
}
