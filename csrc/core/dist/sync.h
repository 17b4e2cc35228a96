/* Keeping places equal on all nodes.
 *
 * What changed is published to all peers at once. What a peer may have missed
 * is found by comparing digests of buckets: at the greeting, when a host is
 * suspected, and each second with one peer in turn. Buckets that differ are
 * sent whole, a few batches ahead of what the other side has confirmed.
 */
#ifndef BYN_DIST_SYNC_H
#define BYN_DIST_SYNC_H

#include "parts.h"
#include "record.h"

/* Everything in the queue of what is to be published goes to all peers. */
void byn_sync_flush(byn_dist *d);
/* One place, whole, to one peer. */
void byn_sync_send_place(byn_dist *d, byn_peer *peer, const byn_place *p);
/* The buckets whose digests are not those here, as a mask. */
uint64_t byn_sync_compare(const byn_dist *d, byn_dist_bytes digests);
void byn_sync_dump(byn_peer *peer, uint64_t mask);
/* Goes on with all dumps. */
void byn_sync_pump(byn_dist *d);
/* A place is about to be freed: dumps that stand at it go on after it. */
void byn_sync_skip(byn_dist *d, const byn_place *p);
/* Each second. */
void byn_sync_tick(byn_dist *d);
void byn_sync_take_digest(byn_dist *d, byn_peer *peer, byn_dist_bytes digests);

#endif
