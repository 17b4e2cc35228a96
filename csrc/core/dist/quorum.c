/* Whether this node sees the quorum, and what it may do then. */
#include "quorum.h"

#include "../assert.h"
#include "../coverage.h"
#include "../wire/handshake.h"
#include "cohort.h"
#include "told.h"

BYN_MACHINE("dist: the quorum", "off lacks gaining has stopping",
            "on off seen settled lost stopped told");

/* What PONG says of its sender. */
enum {
  REMEMBERS = 1, /* whom it answered, for as long as that counts */
  HAS = 2
};

static void set_state(byn_dist *d, byn_quorum_state state) {
  d->quorum.state = state;
  d->review_due = true;
}

/* --- options -------------------------------------------------------------- */

static bool is_on(const byn_dist *d) {
  return d->quorum.state != BYN_QUORUM_OFF;
}

static bool is_named(const byn_dist *d, const char *node) {
  byn_reader r;
  size_t n, size = strlen(node);
  byn_reader_init(&r, d->quorum.names.at, d->quorum.names.n);
  for (const char *name; (name = byn_record_next_name(&r, &n));)
    if (n == size && memcmp(name, node, n) == 0) return true;
  return false;
}

static bool encode_names(byn_dist *d, const byn_dist_config *c) {
  byn_buf b;
  byn_buf_init(&b, &d->alloc);
  for (uint32_t i = 0; i < c->quorum_count; i++) {
    const char *name = c->quorum_nodes[i];
    byn_assert(i == 0 || strcmp(c->quorum_nodes[i - 1], name) < 0);
    byn_put_string(&b, name, strlen(name));
  }
  bool done =
      !b.failed && byn_blob_set(&d->quorum.names, &d->alloc, b.data, b.len);
  byn_buf_free(&b);
  return done;
}

bool byn_quorum_configure(byn_dist *d, const byn_dist_config *c) {
  byn_quorum *q = &d->quorum;
  bool named = c->quorum_count > 0;
  if (!c->quorum_needed && !named) {
    if (is_on(d)) BYN_COVER(q->state, "off");
    if (is_on(d)) set_state(d, BYN_QUORUM_OFF);
    byn_blob_clear(&q->names, &d->alloc);
    return true;
  }
  if (named && !encode_names(d, c)) return false;
  if (!named) byn_blob_clear(&q->names, &d->alloc);
  q->needed = named ? c->quorum_count / 2 + 1 : c->quorum_needed;
  q->all = named ? c->quorum_count : 2 * q->needed - 1;
  q->stop_ms = c->quorum_stop_ms;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    peer->named = BYN_NAMED_UNKNOWN;
  if (is_on(d)) return true;
  BYN_COVER(q->state, "on");
  q->born = d->now;
  set_state(d, BYN_QUORUM_LACKS);
  return true;
}

void byn_quorum_free(byn_dist *d) {
  byn_blob_clear(&d->quorum.names, &d->alloc);
}

void byn_quorum_attach(byn_dist *d) {
  d->quorum.undecided_until = d->now + d->down_after_ms;
  d->quorum.next_beat = d->now;
}

/* --- who is seen ---------------------------------------------------------- */

static bool counts_self(const byn_dist *d) {
  return d->quorum.names.at ? is_named(d, d->self->name) : d->hosts;
}

/* Is it one of those whose number matters? */
static bool counts(const byn_dist *d, const byn_peer *peer) {
  return d->quorum.names.at ? peer->named == BYN_NAMED : peer->hosts;
}

static void look_up_names(byn_dist *d) {
  if (!d->quorum.names.at) return;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->named == BYN_NAMED_UNKNOWN)
      peer->named = is_named(d, peer->name) ? BYN_NAMED : BYN_NOT_NAMED;
}

static bool is_seen(const byn_dist *d, const byn_peer *peer) {
  return peer->answers && d->now - peer->answer_asked_at < d->down_after_ms &&
         counts(d, peer);
}

uint32_t byn_quorum_seen(const byn_dist *d) {
  uint32_t seen = counts_self(d);
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    seen += is_seen(d, peer);
  return seen;
}

static bool sees(const byn_dist *d) {
  return byn_quorum_seen(d) >= d->quorum.needed;
}

/* When the quorum was over, which is not seen any more. */
static int64_t over_at(const byn_dist *d) {
  uint32_t needed = d->quorum.needed - counts_self(d);
  int64_t at = d->now - d->down_after_ms;
  bool found = false;
  for (const byn_peer *p = d->peers; p; p = p->next) {
    if (!p->answers || !counts(d, p)) continue;
    uint32_t as_new = 0;
    for (const byn_peer *o = d->peers; o; o = o->next)
      as_new += o->answers && counts(d, o) &&
                o->answer_asked_at >= p->answer_asked_at;
    if (as_new < needed || (found && p->answer_asked_at <= at)) continue;
    at = p->answer_asked_at;
    found = true;
  }
  return at + d->down_after_ms;
}

/* --- times ---------------------------------------------------------------- */

/* So long after a node was answered last, its processes have ended. */
static int64_t wait_of(const byn_dist *d, int64_t bound) {
  int64_t own = d->down_after_ms + d->quorum.stop_ms;
  if (own > bound) bound = own;
  return bound + bound * 21 / 1000 + 1 + d->heartbeat_ms;
}

/* Was this node there for so long that it knows whom it answered, whatever an
 * earlier life of it did? */
static bool remembers(const byn_dist *d) {
  return d->now - d->quorum.born >= wait_of(d, 0);
}

static void ping(byn_dist *d, byn_peer *peer) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_PING);
  byn_put_number_field(b, BYN_FIELD_SEQ, (uint64_t)d->now + 1);
  byn_put_number_field(b, BYN_FIELD_BOUND,
                       (uint64_t)(d->down_after_ms + d->quorum.stop_ms));
  byn_record_send(d, peer);
}

static void ask_all(byn_dist *d) {
  d->quorum.next_beat = d->now + d->heartbeat_ms;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) ping(d, peer);
}

/* --- the states ----------------------------------------------------------- */

static void tell_lost(byn_dist *d, int64_t kill_ms) {
  byn_quorum *q = &d->quorum;
  q->lost = q->tell = true;
  q->kill_ms = kill_ms > 0 ? kill_ms : 0;
}

static void lose(byn_dist *d) {
  BYN_COVER(d->quorum.state, "lost");
  if (d->quorum.state == BYN_QUORUM_GAINING) {
    set_state(d, BYN_QUORUM_LACKS);
    return;
  }
  tell_lost(d, over_at(d) + d->quorum.stop_ms - d->now);
  set_state(d, BYN_QUORUM_STOPPING);
}

/* What it knew of those that it gave up is not so any more: they may have had
 * the quorum since. */
static void gain(byn_dist *d) {
  BYN_COVER(d->quorum.state, "seen");
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->state == BYN_PEER_LOST && !peer->proven && !peer->host->dropped)
      byn_cohort_take_back(d, peer, false, peer->hosts);
  d->quorum.gained_at = d->now;
  ask_all(d);
  set_state(d, BYN_QUORUM_GAINING);
}

static void look(byn_dist *d) {
  byn_quorum *q = &d->quorum;
  look_up_names(d);
  bool enough = sees(d);
  switch (q->state) {
  case BYN_QUORUM_OFF:
    break;
  case BYN_QUORUM_STOPPING:
    if (d->run_count > 0) break;
    BYN_COVER(q->state, "stopped");
    set_state(d, BYN_QUORUM_LACKS);
    break;
  case BYN_QUORUM_LACKS:
    if (enough && d->run_count == 0)
      gain(d);
    else if (!enough && !q->lost && d->now >= q->undecided_until)
      tell_lost(d, 0);
    break;
  case BYN_QUORUM_GAINING:
  case BYN_QUORUM_HAS:
    if (!enough) lose(d);
    break;
  }
}

/* Has it this node in its ring still? What this side has not heard yet is shown
 * by an answer alone. One in the other mode, which gives none, is not waited
 * for. */
static bool takes_part(const byn_dist *d, const byn_peer *peer) {
  if (peer->state != BYN_PEER_READY && peer->state != BYN_PEER_LEAVING)
    return false;
  if (!peer->answers) return peer->told_quorum;
  return byn_peer_sees(peer) && peer->answer_asked_at >= d->quorum.gained_at;
}

/* Each node that is known takes part with this one, or is over. */
static bool has_judged_all(const byn_dist *d) {
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->host && !peer->host->gone && !takes_part(d, peer)) return false;
  return true;
}

/* Can nobody have the quorum whom this node does not know of? */
static bool knows_all(const byn_dist *d) {
  uint32_t old = counts_self(d) && remembers(d), seen = counts_self(d);
  bool joins = false;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    bool now = is_seen(d, peer) && byn_peer_sees(peer);
    seen += now;
    old += now && (peer->said & REMEMBERS) != 0;
    joins |= now && (peer->said & HAS) != 0;
  }
  return joins || old >= d->quorum.needed || seen >= d->quorum.all;
}

void byn_quorum_review(byn_dist *d) {
  byn_quorum *q = &d->quorum;
  if (!is_on(d) || !d->attached) return;
  look(d);
  if (q->state != BYN_QUORUM_GAINING || !d->open) return;
  if (!has_judged_all(d) || !knows_all(d)) return;
  BYN_COVER(q->state, "settled");
  set_state(d, BYN_QUORUM_HAS);
  q->tell = q->lost;
  q->lost = false;
}

void byn_quorum_time(byn_dist *d) {
  if (!is_on(d) || !d->attached || d->now < d->quorum.next_beat) return;
  ask_all(d);
}

int64_t byn_quorum_deadline(const byn_dist *d) {
  const byn_quorum *q = &d->quorum;
  if (!is_on(d) || !d->attached) return BYN_NEVER;
  int64_t at = q->next_beat;
  bool undecided = q->state == BYN_QUORUM_LACKS && !q->lost;
  if (undecided && q->undecided_until < at) at = q->undecided_until;
  int64_t old_at = q->born + wait_of(d, 0);
  if (q->state == BYN_QUORUM_GAINING && old_at > d->now && old_at < at)
    at = old_at;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    int64_t over = peer->answer_asked_at + d->down_after_ms;
    if (is_seen(d, peer) && over < at) at = over;
  }
  return at;
}

bool byn_quorum_next(byn_dist *d, byn_dist_action *a) {
  byn_quorum *q = &d->quorum;
  if (!q->tell) return false;
  BYN_COVER(q->state, "told");
  q->tell = false;
  a->kind = BYN_DIST_QUORUM;
  a->joined = !q->lost;
  a->count = byn_quorum_seen(d);
  a->needed = q->needed;
  a->wait_ms = q->kill_ms;
  return true;
}

bool byn_quorum_is_decided(const byn_dist *d) {
  const byn_quorum *q = &d->quorum;
  if (q->state == BYN_QUORUM_GAINING) return false;
  return q->state != BYN_QUORUM_LACKS || q->lost;
}

bool byn_quorum_denies(const byn_dist *d) {
  const byn_quorum *q = &d->quorum;
  return q->state == BYN_QUORUM_STOPPING ||
         (q->state == BYN_QUORUM_LACKS && q->lost);
}

/* --- records -------------------------------------------------------------- */

void byn_quorum_matched(byn_dist *d, byn_peer *peer) {
  if (!is_on(d)) return;
  byn_assert(byn_peer_sees(peer) && peer->host);
  peer->said = 0; /* it may be another life, which has not answered yet */
  byn_buf *b = byn_record_begin(d, BYN_RECORD_MET);
  byn_record_put_node(b, BYN_FIELD_KNOWN, peer->host,
                      peer->hosts ? BYN_KNOWN_HOSTS : 0);
  for (byn_peer *other = d->peers; other; other = other->next)
    if (other != peer && byn_peer_sees(other)) byn_record_send(d, other);
  ping(d, peer);
}

void byn_quorum_take_ping(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (!is_on(d)) return;
  peer->was_answered = true;
  peer->answered_at = d->now;
  peer->bound = (int64_t)r->bound;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_PONG);
  byn_put_number_field(b, BYN_FIELD_SEQ, r->seq);
  byn_put_number_field(
      b, BYN_FIELD_VOTES,
      (remembers(d) ? REMEMBERS : 0u) |
          (d->quorum.state == BYN_QUORUM_HAS ? (unsigned)HAS : 0u));
  byn_record_send(d, peer);
}

void byn_quorum_take_pong(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (!is_on(d) || r->seq > (uint64_t)d->now + 1) return;
  int64_t at = (int64_t)(r->seq - 1);
  peer->said = (uint8_t)r->votes;
  if (peer->answers && at <= peer->answer_asked_at) return;
  peer->answers = true;
  peer->answer_asked_at = at;
}

void byn_quorum_put_hello(const byn_dist *d, byn_buf *b) {
  if (!is_on(d)) return;
  const byn_quorum *q = &d->quorum;
  size_t mark = byn_field_open(b, BYN_FIELD_QUORUM);
  byn_put_varint(b, q->needed);
  byn_put_varint(b, (uint64_t)q->stop_ms);
  byn_put_varint(b, (uint64_t)d->down_after_ms);
  byn_put_bytes(b, q->names.at, q->names.n);
  byn_field_close(b, mark);
}

static bool is_own(const byn_dist *d, byn_dist_bytes said) {
  const byn_quorum *q = &d->quorum;
  if (!is_on(d) || !said.at) return !is_on(d) && !said.at;
  byn_reader r;
  byn_reader_init(&r, said.at, said.n);
  bool numbers = byn_get_varint(&r) == q->needed;
  numbers &= byn_get_varint(&r) == (uint64_t)q->stop_ms;
  numbers &= byn_get_varint(&r) == (uint64_t)d->down_after_ms;
  if (!numbers || r.failed) return false;
  size_t left = byn_reader_left(&r);
  return left == q->names.n && byn_bytes_compare(said.at + said.n - left, left,
                                                 q->names.at, q->names.n) == 0;
}

void byn_quorum_take_hello(byn_dist *d, byn_peer *peer, byn_dist_bytes said) {
  bool differs = !is_own(d, said);
  if (differs && !peer->told_quorum) {
    byn_told *t = byn_told_add(d, BYN_DIST_QUORUM_DIFFERS, NULL, peer->name);
    byn_reader r;
    byn_reader_init(&r, said.at, said.n);
    uint64_t needed = said.at ? byn_get_varint(&r) : 0;
    if (t) t->count = needed < UINT32_MAX ? (uint32_t)needed : UINT32_MAX;
  }
  peer->told_quorum = differs;
}

/* --- giving up a peer ----------------------------------------------------- */

int64_t byn_quorum_judge_at(const byn_dist *d, const byn_peer *peer) {
  byn_quorum_state state = d->quorum.state;
  if (state == BYN_QUORUM_OFF || peer->proven) return peer->suspect_at;
  if (state != BYN_QUORUM_GAINING && state != BYN_QUORUM_HAS) return BYN_NEVER;
  if (!peer->was_answered) return peer->suspect_at;
  int64_t at = peer->answered_at + wait_of(d, peer->bound);
  return at > peer->suspect_at ? at : peer->suspect_at;
}

bool byn_quorum_voted(const byn_dist *d) {
  if (!is_on(d)) return true;
  /* Or the first answers are older than the wait allows. */
  if (d->now - d->asked_at > d->quorum.stop_ms + d->heartbeat_ms / 2)
    return false;
  uint32_t votes = counts_self(d) && remembers(d);
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    votes += counts(d, peer) && peer->voted_round == d->ask_round;
  return votes >= d->quorum.needed;
}

void byn_quorum_put_seen(const byn_dist *d, byn_buf *b, const byn_peer *to) {
  if (!is_on(d)) return;
  byn_put_number_field(b, BYN_FIELD_VOTES, remembers(d) ? REMEMBERS : 0u);
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (peer == to || !peer->host || peer->proven || !peer->was_answered)
      continue;
    if (d->now - peer->answered_at < wait_of(d, peer->bound))
      byn_record_put_node(b, BYN_FIELD_ANSWERED, peer->host, 0);
  }
}

void byn_quorum_take_seen(byn_dist *d, byn_peer *peer, const byn_record *r) {
  if (!is_on(d)) return;
  if ((r->votes & REMEMBERS) != 0) peer->voted_round = r->round;
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_ANSWERED, &node, &flags)) {
    byn_peer *seen =
        byn_cohort_find(d, (const char *)node.node.at, node.node.n);
    if (seen && seen->host && seen->host->incarnation == node.incarnation &&
        r->round == d->ask_round)
      seen->seen_round = r->round;
  }
}
