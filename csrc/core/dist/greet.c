/* How two nodes come to take part together. */
#include "greet.h"

#include "../assert.h"
#include "candidate.h"
#include "checkpoint.h"
#include "cohort.h"
#include "dump.h"
#include "move.h"
#include "pull.h"
#include "quorum.h"
#include "request.h"
#include "suspicion.h"
#include "sync.h"
#include "told.h"

enum {
  REPEAT_MS = 5000,    /* HELLO is repeated for so long, */
  AGAIN_MS = 100,      /* first after so long, and then after twice as long */
  REFUSED_MS = 1000,   /* after a packet was refused it is greeted anew, */
  REFUSED_DOUBLED = 5, /* and each time later, so often; */
  FORGIVEN_MS = 60000, /* after a session of this length as at first */
};

static void send_hello(byn_dist *d, byn_peer *peer) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_HELLO);
  byn_put_number_field(b, BYN_FIELD_SESSION, peer->session);
  byn_put_number_field(b, BYN_FIELD_ANSWERS, peer->theirs);
  byn_put_number_field(b, BYN_FIELD_HOSTS, d->hosts);
  byn_put_number_field(b, BYN_FIELD_LEAVING, d->leaving);
  byn_put_number_field(b, BYN_FIELD_LIMIT, d->max_packet);
  byn_put_bytes_field(b, BYN_FIELD_NODES, d->nodes.at, d->nodes.n);
  byn_quorum_put_hello(d, b);
  for (const byn_peer *other = d->peers; other; other = other->next) {
    bool seen = byn_peer_sees(other);
    if (other == peer || !other->host || (other->host->gone && !seen)) continue;
    uint64_t flags = (other->member ? BYN_KNOWN_MEMBER : 0) |
                     (other->hosts ? BYN_KNOWN_HOSTS : 0) |
                     (seen ? BYN_KNOWN_SEEN : 0);
    byn_record_put_node(b, BYN_FIELD_KNOWN, other->host, flags);
  }
  peer->told_met = peer->theirs ? d->met : 0; /* as it is an answer */
  byn_record_send(d, peer);
}

void byn_greet_tell_list(byn_dist *d) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) send_hello(d, peer);
}

static void forget_greeting(byn_dist *d, byn_peer *peer) {
  byn_checkpoint_forget_session(d, peer);
  byn_dump_forget(d, peer);
  byn_pull_forget(d, peer);
  peer->matched = peer->got_all = peer->sent_all = peer->let_in = false;
  peer->acked_round = peer->acked_seq = peer->differ = 0;
  peer->ready_seq = peer->told_seq = peer->shown_seq = 0;
  memset(peer->acks, 0, sizeof peer->acks);
  peer->asked_round = peer->answered_round = peer->pulled_round = 0;
  peer->asked_at = 0;
  peer->greeted_at = d->now;
  peer->hello_wait = AGAIN_MS;
  peer->hello_at = d->now + AGAIN_MS;
}

static void begin_session(byn_dist *d, byn_peer *peer) {
  byn_packet_drop_all(d, peer);
  forget_greeting(d, peer);
  peer->connected = true;
  peer->regreet = peer->connect = false;
  peer->regreet_at = 0;
  peer->theirs = 0;
  peer->session = ++d->sessions;
  byn_cohort_set_state(d, peer, BYN_PEER_GREETING);
}

void byn_greet(byn_dist *d, byn_peer *peer) {
  begin_session(d, peer);
  send_hello(d, peer);
}

static void hear_of_others(byn_dist *d, const byn_record *r) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_KNOWN, &node, &flags))
    byn_cohort_hearsay(d, (const char *)node.node.at, node.node.n,
                       node.incarnation, (flags & BYN_KNOWN_MEMBER) != 0,
                       (flags & BYN_KNOWN_HOSTS) != 0);
}

void byn_greet_take_met(byn_dist *d, const byn_record *r) {
  if (d->quorum.state != BYN_QUORUM_OFF) hear_of_others(d, r);
}

static void tell_difference(byn_dist *d, const byn_peer *peer) {
  byn_told *t = byn_told_add(d, BYN_DIST_NODES_DIFFER, NULL, peer->name);
  if (!t || !peer->nodes.at) return;
  byn_reader r;
  uint32_t count = 0;
  size_t n;
  byn_reader_init(&r, peer->nodes.at, peer->nodes.n);
  while (byn_record_next_name(&r, &n))
    count++;
  /* The names follow the pointers, in a blob of the event. */
  if (!byn_blob_set(&t->reason, &d->alloc, peer->nodes.at, peer->nodes.n))
    return;
  const char **names = count ? byn_new(&d->alloc, count * sizeof *names) : NULL;
  if (!names) return;
  byn_reader_init(&r, t->reason.at, t->reason.n);
  for (uint32_t i = 0; i < count; i++) {
    const char *name = byn_record_next_name(&r, &n);
    /* Over its own length, which was read: room for a NUL. */
    char *moved = (char *)t->reason.at + (name - (char *)t->reason.at) - 1;
    memmove(moved, name, n);
    moved[n] = 0;
    names[i] = moved;
  }
  t->names = names;
  t->name_count = count;
}

static void take_list(byn_dist *d, byn_peer *peer, byn_dist_bytes nodes) {
  bool known =
      byn_bytes_compare(peer->nodes.at, peer->nodes.n, nodes.at, nodes.n) == 0;
  if (!known && !byn_blob_set(&peer->nodes, &d->alloc, nodes.at, nodes.n))
    return;
  bool same =
      byn_bytes_compare(d->nodes.at, d->nodes.n, nodes.at, nodes.n) == 0;
  if (!same && !(known && peer->told_differs)) tell_difference(d, peer);
  peer->told_differs = !same;
}

/* Both know the other's session now. */
static void match(byn_dist *d, byn_peer *peer, const byn_record *r) {
  peer->matched = true;
  peer->met = ++d->met;
  bool long_gone = peer->contact > BYN_CONTACT_MARGIN &&
                   byn_registry_horizon(&d->registry) > peer->contact;
  peer->over_before = long_gone ? peer->contact - BYN_CONTACT_MARGIN : 0;
  peer->leaving = r->leaving;
  byn_pull_want(d, peer, UINT64_MAX, 0);
  d->open_due = true;
  byn_quorum_matched(d, peer);
}

void byn_greet_take_hello(byn_dist *d, byn_peer *peer, const byn_record *r,
                          uint64_t incarnation) {
  bool new_life = !peer->host || peer->host->incarnation != incarnation;
  if (!byn_cohort_set_life(d, peer, incarnation)) return;
  peer->limit = r->limit;
  bool had_session = peer->state >= BYN_PEER_GREETING &&
                     peer->state <= BYN_PEER_LEAVING && peer->connected;
  if (!had_session) begin_session(d, peer);
  bool news = new_life || r->session != peer->theirs;
  if (news) {
    byn_packet_drop_all(d, peer);
    forget_greeting(d, peer);
    peer->theirs = r->session;
    byn_cohort_set_state(d, peer, BYN_PEER_GREETING);
  }
  bool answered = r->answers == peer->session;
  if (news || !answered) send_hello(d, peer);
  if (answered) take_list(d, peer, r->nodes);
  if (answered) byn_quorum_take_hello(d, peer, r->quorum);
  if (answered && !peer->matched) match(d, peer, r);
  hear_of_others(d, r);
  if (answered) byn_suspicion_take_known(d, r);
}

static bool is_of_session(const byn_peer *peer, const byn_record *r) {
  return peer->matched && r->session == peer->theirs &&
         r->answers == peer->session;
}

static void put_session(byn_buf *b, const byn_peer *peer) {
  byn_put_number_field(b, BYN_FIELD_SESSION, peer->session);
  byn_put_number_field(b, BYN_FIELD_ANSWERS, peer->theirs);
}

static void send_ready(byn_dist *d, byn_peer *peer) {
  byn_sync_flush(d);
  peer->ready_seq = d->seq;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_READY);
  put_session(b, peer);
  byn_put_number_field(b, BYN_FIELD_ROUND, d->round);
  byn_put_number_field(b, BYN_FIELD_HOSTS, d->hosts);
  byn_record_send(d, peer);
}

static void try_in_step(byn_dist *d, byn_peer *peer) {
  if (!peer->got_all || !peer->sent_all) return;
  if (peer->state != BYN_PEER_GREETING) return;
  byn_assert(peer->matched && peer->host);
  const byn_host *host = peer->host;
  if (host->gone || host->dropped || host->unseen) d->review_due = true;
  peer->host->gone = peer->host->dropped = peer->host->unseen = false;
  byn_cohort_set_proven(d, peer, false);
  peer->over_before = 0;
  byn_cohort_set_state(d, peer,
                       peer->leaving ? BYN_PEER_LEAVING : BYN_PEER_IN_STEP);
  byn_cohort_tell_dead(d, peer);
  if (!d->leaving) send_ready(d, peer);
}

static void try_ready(byn_dist *d, byn_peer *peer) {
  if (peer->state != BYN_PEER_IN_STEP) return;
  if (!peer->let_in || peer->acked_round != d->round) return;
  byn_cohort_set_state(d, peer, BYN_PEER_READY);
  byn_suspicion_tell_seen(d, peer);
}

void byn_greet_got_all(byn_dist *d, byn_peer *peer) {
  byn_assert(peer->matched && !peer->got_all);
  byn_buf *b = byn_record_begin(d, BYN_RECORD_IN_STEP);
  put_session(b, peer);
  byn_record_send(d, peer);
  peer->got_all = true;
  d->open_due = true;
  try_in_step(d, peer);
}

void byn_greet_take_in_step(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (!is_of_session(peer, r)) return;
  peer->sent_all = true;
  byn_move_told_all(d, peer);
  try_in_step(d, peer);
}

void byn_greet_take_ready(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (!is_of_session(peer, r) || !peer->got_all) return;
  peer->hosts = r->hosts;
  peer->member = !peer->leaving;
  peer->let_in = true;
  d->ring_due = true;
  /* First the ring, then what was accepted before, then the answer. */
  byn_candidate_remake(d);
  byn_sync_flush(d);
  byn_buf *b = byn_record_begin(d, BYN_RECORD_READY_OK);
  put_session(b, peer);
  byn_put_number_field(b, BYN_FIELD_ROUND, r->round);
  byn_record_send(d, peer);
  try_ready(d, peer);
  d->open_due = true;
}

void byn_greet_take_ready_ok(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (!is_of_session(peer, r) || r->round > d->round) return;
  if (r->round > peer->acked_round) peer->acked_round = r->round;
  /* It has all that was said before READY, so it holds what requests wait
   * for that were there before it came. */
  if (r->round == d->round && peer->ready_seq > peer->acked_seq) {
    peer->acked_seq = peer->ready_seq;
    byn_request_review_copying(d);
  }
  try_ready(d, peer);
  d->open_due = true;
}

void byn_greet_again_ready(byn_dist *d) {
  d->round++;
  d->open_due = d->ring_due = true;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->state == BYN_PEER_IN_STEP || peer->state == BYN_PEER_READY)
      send_ready(d, peer);
}

void byn_greet_refused(byn_dist *d, byn_peer *peer) {
  if (!peer || !peer->connected || peer->regreet_at) return;
  bool calm = d->now - peer->greeted_at > FORGIVEN_MS;
  if (calm) peer->refused = 0;
  int64_t wait = (int64_t)REFUSED_MS << peer->refused;
  if (peer->refused < REFUSED_DOUBLED) peer->refused++;
  peer->regreet_at = d->now + wait;
}

/* Nobody may be there yet who takes it; whoever comes greets too. */
static void repeat_hello(byn_dist *d, byn_peer *peer) {
  peer->hello_wait *= 2;
  peer->hello_at = d->now + peer->hello_wait;
  send_hello(d, peer);
}

void byn_greet_tick(byn_dist *d) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!peer->connected) continue;
    bool waits = peer->state == BYN_PEER_GREETING && !peer->matched &&
                 d->now >= peer->hello_at;
    bool refused = peer->regreet_at && d->now >= peer->regreet_at;
    if (peer->regreet || refused)
      byn_greet(d, peer);
    else if (waits && d->now - peer->greeted_at < REPEAT_MS)
      repeat_hello(d, peer);
  }
}
