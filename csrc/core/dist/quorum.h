/* Quorum: may this node run children at all?
 *
 * With mode = "quorum" children run only where enough nodes are seen, and a
 * side that sees them no more has stopped its children before another side may
 * start them. What counts as seen is an answer, from the time at which the
 * question was sent: PING goes to each peer at heartbeat pace and is echoed by
 * PONG, so what one direction loses is lost for both sides.
 *
 *   OFF                         mode = "available": nothing of this happens
 *
 *   LACKS ----- seen -----> GAINING ----- settled -----> HAS
 *     ^                        |                          | not seen for
 *     |<------- not seen ------'                          v down_after_ms
 *     '------------------ none runs any more ---------- STOPPING
 *
 * HAS alone starts and serves. In any other state but OFF no process is
 * wanted; in STOPPING those that are there end, by quorum_stop_ms after the
 * quorum was over at the latest (BYN_DIST_QUORUM says by when).
 *
 * Who gives a peer up without proof of its death asks others, as suspicion.h
 * says, and here
 *   - this node and each of those answers `wait` after it answered that peer
 *     last: down_after_ms and quorum_stop_ms, 2.1 % for two clocks that differ
 *     from the time by 1 %, and heartbeat_ms, the margin for pauses;
 *   - they are as many as the quorum needs, in a round that is shorter than
 *     what the wait has besides down_after_ms.
 * Any two quorums have a node in common. So whoever is given up saw none then,
 * and its processes have ended.
 *
 * A node that gains the quorum knows nothing of what went on without it. It is
 * settled when each node that it knows of is READY and has answered since, or
 * was given up since, and when it knows of all that have a quorum: a READY peer
 * has it; or as many as it needs have been there for longer than `wait`, and so
 * remember whom they answered; or there are no others. Whoever gets to know a
 * node tells all whom it sees (MET) before it answers that node's first PING,
 * so of two that gain it by way of a third at least one knows of the other.
 *
 * A node that stood still has all that counted against it: what it had sent
 * before is as old as it is.
 */
#ifndef BYN_DIST_QUORUM_H
#define BYN_DIST_QUORUM_H

#include "parts.h"
#include "record.h"

/* The options. false: memory is short, and all is as it was. */
bool byn_quorum_configure(byn_dist *d, const byn_dist_config *config);
void byn_quorum_free(byn_dist *d);
/* The coordinator began: it may take down_after_ms until the quorum is seen. */
void byn_quorum_attach(byn_dist *d);

/* Asks the others, if that is due. */
void byn_quorum_time(byn_dist *d);
int64_t byn_quorum_deadline(const byn_dist *d);
/* After the peers were judged: is the quorum still seen, or again, and may this
 * node start children? It comes before what is asked now is answered, so a
 * quorum that was over is missed even if it is there again. */
void byn_quorum_review(byn_dist *d);
/* BYN_DIST_QUORUM. */
bool byn_quorum_next(byn_dist *d, byn_dist_action *a);

/* May children run here, be started, be served? */
static inline bool byn_quorum_runs(const byn_dist *d) {
  return d->quorum.state == BYN_QUORUM_OFF || d->quorum.state == BYN_QUORUM_HAS;
}
/* Something from it, or for it, found no memory: with a quorum nothing that
 * came after that counts, and nothing is started, before it was greeted anew.
 */
static inline bool byn_quorum_misses(const byn_dist *d, const byn_peer *peer) {
  return peer->regreet && d->quorum.state != BYN_QUORUM_OFF;
}
/* Is a caller to be told that there is no quorum? Not before this node had the
 * time to see it. */
bool byn_quorum_denies(const byn_dist *d);
/* Is it known whether there is one? */
bool byn_quorum_is_decided(const byn_dist *d);
/* So many are seen. */
uint32_t byn_quorum_seen(const byn_dist *d);

/* --- records -------------------------------------------------------------- */

/* Both know the other's session: tells the others of the peer, asks it. */
void byn_quorum_matched(byn_dist *d, byn_peer *peer);
void byn_quorum_take_ping(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_quorum_take_pong(byn_dist *d, byn_peer *peer, const byn_record *r);
/* What HELLO says of the mode. */
void byn_quorum_put_hello(const byn_dist *d, byn_buf *b);
void byn_quorum_take_hello(byn_dist *d, byn_peer *peer, byn_dist_bytes said);

/* --- giving up a peer (suspicion.h) --------------------------------------- */

/* When the peer may be judged; BYN_NEVER: not as it stands. */
int64_t byn_quorum_judge_at(const byn_dist *d, const byn_peer *peer);
/* Have enough nodes answered the round that is over? */
bool byn_quorum_voted(const byn_dist *d);
/* SEEN: this node remembers, and whom it answered lately. */
void byn_quorum_put_seen(const byn_dist *d, byn_buf *b, const byn_peer *to);
void byn_quorum_take_seen(byn_dist *d, byn_peer *peer, const byn_record *r);

#endif
