/* What this node lacks of what a peer has.
 *
 * A pull compares the digests of the root's children, then walks down those
 * that differ, many spans in each message, and ends with the places of small
 * spans: of these the peer sends all that differ (dump.h). What is not here at
 * all is taken whole. When a pull has ended, all that the peer had when it
 * began is here; what it changed since is published, and comes the same way.
 *
 * One peer at a time has its turn to be walked. The root of another is compared
 * once more when its turn comes: what two of them know is taken from one. So a
 * newcomer takes the registry from one node, and digests from all others; and
 * what it has of it so far are whole spans, so that others who compare with it
 * meanwhile find little that differs. A
 * peer is not waited for that is slow, which one that is gone, or hangs, is:
 * the next has its turn then as well.
 *
 * Each peer is compared for itself, with all that it has. That others have the
 * same is never concluded from anything else: it may have heard what none of
 * them has.
 *
 * No turn begins, nor does a walk go on, while digests are not settled
 * (registry.h). Where memory is short, or the session ends, it begins anew.
 *
 * A peer that lies about what differs is asked for more, or for less: never for
 * spans that this node has nothing in, nor twice for one in a pull.
 */
#ifndef BYN_DIST_PULL_H
#define BYN_DIST_PULL_H

#include "parts.h"
#include "record.h"

/* Those children of the root are to be compared. `round`, if it is not 0: of
 * suspicion, in which the peer was asked before. */
void byn_pull_want(byn_dist *d, byn_peer *peer, uint64_t mask, uint64_t round);
/* Of that peer nothing more is awaited. */
void byn_pull_forget(byn_dist *d, byn_peer *peer);
/* Begins pulls and turns, and goes on with walks. */
void byn_pull_pump(byn_dist *d);
/* Each second. */
void byn_pull_tick(byn_dist *d);

void byn_pull_take_compared(byn_dist *d, byn_peer *peer, const byn_record *r);
/* A batch of what was asked for is here. */
void byn_pull_take_more(byn_dist *d, byn_peer *peer);

#endif
