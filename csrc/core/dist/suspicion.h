/* How a peer is given up.
 *
 * All that are SUSPECT are asked about in one round of questions: each peer
 * that takes part is told the digests here, sends first what is not known
 * here, and then whom it sees. When all have answered, or have been silent for
 * too long to count, those that nobody sees are LOST, and of those that are
 * proven dead all that is known has come. A new round begins each second for
 * those that are left.
 */
#ifndef BYN_DIST_SUSPICION_H
#define BYN_DIST_SUSPICION_H

#include "parts.h"
#include "record.h"

/* Begins rounds, and judges. */
void byn_suspicion_review(byn_dist *d);
/* When a suspect is due to be judged, or BYN_NEVER. */
int64_t byn_suspicion_deadline(const byn_dist *d);
void byn_suspicion_take_ask(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_suspicion_take_seen(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_suspicion_take_dead(byn_dist *d, const byn_record *r);
/* What the peer lacked has been sent: now the answer. */
void byn_suspicion_answer(byn_dist *d, byn_peer *peer);

#endif
