/* How a peer is given up: rounds of questions to all others. */
#include "suspicion.h"

#include "../assert.h"
#include "../coverage.h"
#include "cohort.h"
#include "dump.h"
#include "pull.h"
#include "quorum.h"

BYN_MACHINE("dist: a gap", "free held", "short_gap gap heard waited");

enum { ROUND_MS = 1000, SILENCE_MS = 5000, TOLD_MS = 100 };

/* While this node suspects itself it judges only whose end is proven. */
static bool is_due(const byn_dist *d, const byn_peer *peer) {
  return peer->state == BYN_PEER_SUSPECT && (!d->held || peer->proven) &&
         d->now >= byn_quorum_judge_at(d, peer);
}

/* It takes part, and will answer. */
static bool votes(const byn_peer *peer) {
  return byn_peer_sees(peer) && peer->got_all &&
         (peer->state == BYN_PEER_IN_STEP || peer->state == BYN_PEER_READY ||
          peer->state == BYN_PEER_LEAVING);
}

static void ask(byn_dist *d, byn_peer *voter) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_ASK);
  byn_put_number_field(b, BYN_FIELD_ROUND, d->ask_round);
  for (const byn_peer *peer = d->peers; peer; peer = peer->next)
    if (peer->judged_round == d->ask_round)
      byn_record_put_node(b, BYN_FIELD_SUSPECT, peer->host,
                          peer->proven ? BYN_KNOWN_PROVEN : 0);
  byn_record_send(d, voter);
  byn_pull_want(d, voter, UINT64_MAX, d->ask_round);
  voter->asked_round = d->ask_round;
  if (voter->asked_at == 0) voter->asked_at = d->now ? d->now : 1;
}

static void begin_round(byn_dist *d) {
  d->ask_round++;
  d->round_over = false;
  d->asked_at = d->now;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (is_due(d, peer)) peer->judged_round = d->ask_round;
}

/* It has said whom it sees, and all that it knew then is here. */
static bool has_answered(const byn_peer *peer, uint64_t round) {
  return peer->answered_round == round && peer->pulled_round == round;
}

/* All that count have answered this round. */
static bool is_complete(byn_dist *d) {
  bool complete = true;
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (peer->state == BYN_PEER_GREETING && peer->matched &&
        d->now - peer->greeted_at < SILENCE_MS)
      complete = false;
    if (!votes(peer)) continue;
    if (peer->asked_round != d->ask_round) ask(d, peer);
    bool silent = peer->asked_at && d->now - peer->asked_at >= SILENCE_MS;
    if (!has_answered(peer, d->ask_round) && !silent) complete = false;
  }
  return complete;
}

/* --- after a gap ---------------------------------------------------------- */

static void add_time(int64_t *at, int64_t now, int64_t more) {
  if (*at > now) *at += more;
}

/* What this node waits for in others has the time again that was told last. */
static void give_time_again(byn_dist *d, int64_t more) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    add_time(&peer->suspect_at, d->now, more);
    add_time(&peer->expected_until, d->now, more);
    peer->greeted_at += more;
    if (peer->asked_at) peer->asked_at += more;
  }
}

/* The others have heard this node a heartbeat before the gap, at the latest. */
static bool may_be_given_up(const byn_dist *d, int64_t ms) {
  return ms > d->down_after_ms - d->heartbeat_ms;
}

void byn_suspicion_gap(byn_dist *d, int64_t ms, int64_t now) {
  byn_assert(ms > 0 && now >= d->now);
  give_time_again(d, now - d->now);
  d->now = now;
  bool lasting = may_be_given_up(d, ms);
  BYN_COVER(d->held, lasting ? "gap" : "short_gap");
  if (!lasting) return;
  begin_round(d);
  d->held = d->awoke = true;
  d->held_until = now + d->down_after_ms;
  d->held_round = d->ask_round;
  d->held_session = d->sessions;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    peer->unheard = peer->host && !peer->host->gone;
  d->open_due = true;
}

/* Is it still to be heard, after the gap? An answer to what was asked then
 * counts, and a session that began then; but not what was on its way before. */
static bool is_awaited(const byn_dist *d, const byn_peer *peer) {
  if (!peer->unheard || peer->proven) return false;
  switch (peer->state) {
  case BYN_PEER_UNKNOWN:
  case BYN_PEER_LOST:
  case BYN_PEER_DEAD:
    return false;
  case BYN_PEER_IN_STEP:
  case BYN_PEER_READY:
  case BYN_PEER_LEAVING:
    return peer->session <= d->held_session;
  default:
    return true;
  }
}

static void review_hold(byn_dist *d) {
  bool awaits = false;
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!is_awaited(d, peer)) continue;
    awaits = true;
    if (votes(peer) && peer->asked_round < d->held_round) ask(d, peer);
  }
  if (awaits && d->now < d->held_until) return;
  BYN_COVER(d->held, awaits ? "waited" : "heard");
  d->held = false;
  d->review_due = true;
}

/* --- the rounds ----------------------------------------------------------- */

static void put_seen(byn_buf *b, const byn_peer *peer) {
  uint64_t flags = (peer->member ? BYN_KNOWN_MEMBER : 0) |
                   (peer->hosts ? BYN_KNOWN_HOSTS : 0);
  byn_record_put_node(b, BYN_FIELD_SUSPECT, peer->host, flags);
}

static bool is_ready(const byn_peer *peer) {
  return byn_peer_sees(peer) && peer->state == BYN_PEER_READY;
}

/* To one that is READY since the last time, all that are; to others, those that
 * are since. */
static void tell_who_is_seen(byn_dist *d, byn_peer *peer) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_SEES);
  bool news = peer->untold;
  for (const byn_peer *other = d->peers; other; other = other->next) {
    if (other == peer || !is_ready(other)) continue;
    if (!peer->untold && !other->untold) continue;
    put_seen(b, other);
    news = true;
  }
  if (news) byn_record_send(d, peer);
}

/* Where many become READY at once, as a cluster starts, they are told of
 * together: one record for each of them, to each, would be n^3 of them. */
static void tell_untold(byn_dist *d) {
  if (!d->untold || d->now < d->tell_at) return;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (is_ready(peer)) tell_who_is_seen(d, peer);
  bool all = true;
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    peer->untold = false;
    all &= is_ready(peer) || !byn_peer_sees(peer);
  }
  for (byn_peer *peer = d->peers; peer && all; peer = peer->next)
    peer->told_met = d->met;
  d->untold = false;
  d->tell_at = d->now + TOLD_MS;
}

void byn_suspicion_review(byn_dist *d) {
  if (!d->attached) return;
  tell_untold(d);
  if (d->held) review_hold(d);
  bool fresh = false, waits = false;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!is_due(d, peer)) continue;
    waits = true;
    fresh |= !d->ask_round || peer->judged_round != d->ask_round;
  }
  if (!waits) return;
  if (fresh || (d->round_over && d->now - d->asked_at >= ROUND_MS))
    begin_round(d);
  if (!is_complete(d)) return;
  d->round_over = true;
  bool voted = byn_quorum_voted(d);
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!is_due(d, peer) || peer->judged_round != d->ask_round) continue;
    bool unseen = voted && peer->seen_round != d->ask_round;
    if (peer->proven || unseen) byn_cohort_give_up(d, peer);
  }
}

int64_t byn_suspicion_deadline(const byn_dist *d) {
  int64_t at = d->held ? d->held_until : BYN_NEVER;
  if (d->untold && d->tell_at < at) at = d->tell_at;
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (peer->state != BYN_PEER_SUSPECT) continue;
    if (d->held && !peer->proven) continue;
    int64_t due = byn_quorum_judge_at(d, peer);
    if (due <= d->now) due = d->now + 100; /* a round is under way */
    if (due < at) at = due;
  }
  return at;
}

/* --- the others' questions ------------------------------------------------ */

static void hear_proofs(byn_dist *d, byn_peer *from, const byn_record *r) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_SUSPECT, &node, &flags)) {
    byn_peer *peer =
        byn_cohort_find(d, (const char *)node.node.at, node.node.n);
    bool same =
        peer && peer->host && peer->host->incarnation == node.incarnation;
    if (!(flags & BYN_KNOWN_PROVEN) || !same) continue;
    if (peer->matched)
      byn_dump_doubt(d, from, peer);
    else
      byn_cohort_set_proven(d, peer, true);
  }
}

static void answer(byn_dist *d, byn_peer *peer, uint64_t round) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_SEEN);
  byn_put_number_field(b, BYN_FIELD_ROUND, round);
  for (const byn_peer *other = d->peers; other; other = other->next)
    if (other != peer && other->host && byn_peer_sees(other))
      put_seen(b, other);
  byn_quorum_put_seen(d, b, peer);
  byn_record_send(d, peer);
}

void byn_suspicion_take_ask(byn_dist *d, byn_peer *peer, const byn_record *r) {
  hear_proofs(d, peer, r);
  answer(d, peer, r->round);
}

/* --- who is seen without being asked about -------------------------------- */

void byn_suspicion_tell_seen(byn_dist *d, byn_peer *peer) {
  byn_assert(is_ready(peer));
  peer->untold = d->untold = true;
  d->open_due = true;
}

static bool is_known(const byn_peer *peer, const byn_packet_head *node) {
  return peer && peer->host && peer->host->incarnation == node->incarnation;
}

static void tell_whom_it_met(byn_dist *d, byn_peer *peer) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_SEES);
  bool news = false;
  for (const byn_peer *other = d->peers; other; other = other->next) {
    bool met = byn_peer_sees(other) && other->met > peer->told_met;
    if (other == peer || !met) continue;
    put_seen(b, other);
    news = true;
  }
  peer->told_met = d->met;
  if (news) byn_record_send(d, peer);
}

void byn_suspicion_tell_met(byn_dist *d) {
  if (d->told_met == d->met) return;
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) tell_whom_it_met(d, peer);
  d->told_met = d->met;
}

/* It may have been seen before it was in the ring of the one that says so. */
static void take_back_lost(byn_dist *d, byn_peer *seen, uint64_t flags) {
  bool member = (flags & BYN_KNOWN_MEMBER) != 0;
  bool hosts = (flags & BYN_KNOWN_HOSTS) != 0;
  if (seen->state == BYN_PEER_LOST && !seen->proven && !seen->host->dropped)
    byn_cohort_take_back(d, seen, member, hosts);
  if (seen->state != BYN_PEER_SUSPECT || !seen->host->unseen) return;
  if (!member || seen->member) return;
  seen->member = true;
  seen->hosts = hosts;
  d->ring_due = true;
}

static void hear_seen(byn_dist *d, const byn_packet_head *node,
                      uint64_t flags) {
  byn_peer *seen =
      byn_cohort_find(d, (const char *)node->node.at, node->node.n);
  if (!is_known(seen, node)) return;
  /* Who answered the round under way may not have seen it yet. */
  seen->seen_round = d->ask_round;
  take_back_lost(d, seen, flags);
}

void byn_suspicion_take_sees(byn_dist *d, const byn_record *r) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_SUSPECT, &node, &flags))
    hear_seen(d, &node, flags);
}

void byn_suspicion_take_known(byn_dist *d, const byn_record *r) {
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_KNOWN, &node, &flags))
    if (flags & BYN_KNOWN_SEEN) hear_seen(d, &node, flags);
}

void byn_suspicion_review_answer(byn_dist *d, byn_peer *peer) {
  if (!has_answered(peer, peer->answered_round)) return;
  if (peer->answered_round == peer->asked_round) peer->asked_at = 0;
  d->open_due = true;
  if (peer->answered_round >= d->held_round) peer->unheard = false;
}

/* An answer that came too late to count says all the same who is seen now. */
void byn_suspicion_take_seen(byn_dist *d, byn_peer *peer, const byn_record *r) {
  peer->answered_round = r->round;
  byn_quorum_take_seen(d, peer, r);
  byn_suspicion_review_answer(d, peer);
  byn_reader fields;
  byn_reader_init(&fields, r->body.at, r->body.n);
  byn_packet_head node;
  uint64_t flags;
  while (byn_record_next_node(&fields, BYN_FIELD_SUSPECT, &node, &flags)) {
    byn_peer *seen =
        byn_cohort_find(d, (const char *)node.node.at, node.node.n);
    if (!is_known(seen, &node)) continue;
    if (r->round == d->ask_round) seen->seen_round = r->round;
    if ((flags & BYN_KNOWN_MEMBER) && votes(peer))
      take_back_lost(d, seen, flags);
  }
}

void byn_suspicion_take_dead(byn_dist *d, const byn_record *r) {
  byn_peer *peer = byn_cohort_find(d, (const char *)r->node.at, r->node.n);
  if (!peer || !peer->host || peer->host->incarnation != r->incarnation) return;
  if (peer->matched || peer->host->dropped) return;
  if (peer->state == BYN_PEER_SUSPECT) {
    byn_cohort_set_proven(d, peer, true);
    peer->suspect_at = d->now;
  } else if (peer->state == BYN_PEER_LOST) {
    byn_cohort_set_proven(d, peer, true);
    byn_cohort_give_up(d, peer);
  }
}
