/* How a peer is given up.
 *
 * All that are SUSPECT are asked about in one round of questions: each peer
 * that takes part says whom it sees, and what it knows and this node does not
 * is taken from it (pull.h): it has answered when both is done. When all have,
 * or have been silent for too long to count, those that nobody sees are LOST,
 * and of those that are proven dead all that is known has come. A new round
 * begins each second for those that are left.
 *
 * A node with which another becomes READY is told of by that one to all whom it
 * sees, and is told of them. So one that is LOST for a node, as there was a
 * split, is SUSPECT again as soon as a third one sees both: what it runs counts
 * again, and of two copies one is stopped. HELLO says so too, and whoever tells
 * of children says before whom it has come to see: what has a process on such a
 * node is not started for want of that node.
 *
 * After a gap that was long enough for the others to give this node up, it
 * suspects itself: it is held. It takes over no child and judges no suspect
 * whose end is not proven until it has heard all peers again, in answer to a
 * question of its own or in a session that began since, or they were proven
 * dead, or down_after_ms has passed.
 *
 *   free --- a long gap --> held --- heard, proven or waited --> free
 *
 * With mode = "quorum" nobody is given up without proof before its processes
 * must have ended, and only by so many as the quorum needs (quorum.h).
 */
#ifndef BYN_DIST_SUSPICION_H
#define BYN_DIST_SUSPICION_H

#include "parts.h"
#include "record.h"

/* This node stood still for `ms` until `now`, the time of this call. Comes
 * before all else of that time. The time since the last input does not count
 * for anybody. */
void byn_suspicion_gap(byn_dist *d, int64_t ms, int64_t now);
/* Begins rounds, and judges; ends the hold. */
void byn_suspicion_review(byn_dist *d);
/* When a suspect is due to be judged, or the hold is over, or BYN_NEVER. */
int64_t byn_suspicion_deadline(const byn_dist *d);
void byn_suspicion_take_ask(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_suspicion_take_seen(byn_dist *d, byn_peer *peer, const byn_record *r);
/* A peer is READY: the others are told, those that are so at about the same
 * time together. */
void byn_suspicion_tell_seen(byn_dist *d, byn_peer *peer);
/* Tells each peer of the sessions that began since it was told last. */
void byn_suspicion_tell_met(byn_dist *d);
void byn_suspicion_take_sees(byn_dist *d, const byn_record *r);
/* HELLO in answer to this node's. */
void byn_suspicion_take_known(byn_dist *d, const byn_record *r);
void byn_suspicion_take_dead(byn_dist *d, const byn_record *r);
/* It has said whom it sees, or what it knew is here. */
void byn_suspicion_review_answer(byn_dist *d, byn_peer *peer);

#endif
