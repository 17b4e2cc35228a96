/* Keeping places equal on all nodes.
 *
 * What changed is published to all peers at once. What a peer may have missed
 * is found by comparing digests: at the greeting, when a host is suspected, and
 * each second with one peer in turn. The node that lacks something takes it
 * (pull.h), the other one gives it (dump.h).
 *
 * Of what is compared each second, the children of the root, some differ by
 * what is on its way; that changes from time to time. What differs by just as
 * much as the last time is pulled, by both. Where that does not help, as they
 * cannot agree, it is done again ever later.
 */
#ifndef BYN_DIST_SYNC_H
#define BYN_DIST_SYNC_H

#include "parts.h"
#include "record.h"

/* Everything in the queue of what is to be published goes to all peers. */
void byn_sync_flush(byn_dist *d);
/* SYNC: all that the peer published before is here. It is told so at once, and
 * once more when lookups see it, and what is for a child that moves is held: a
 * node that has very much to look at shows it by and by. */
void byn_sync_take_sync(byn_dist *d, byn_peer *peer, uint64_t seq);
/* One place, whole, to one peer. */
void byn_sync_send_place(byn_dist *d, byn_peer *peer, const byn_place *p);
/* Each second. */
void byn_sync_tick(byn_dist *d);
void byn_sync_take_digest(byn_dist *d, byn_peer *peer, byn_dist_bytes digests);

#endif
