/* What a peer lacks of what is here, as it compares.
 *
 *   COMPARE -->   spans of the tree of digests, as the peer has them
 *   <-- ENTRY*    of its leaves all places that differ, whole
 *   <-- COMPARED  of its nodes, which children differ; it compares those next
 *
 * The other side is pull.h. Entries travel in batches, a few ahead of what the
 * peer has confirmed (MORE, GOT), and a few in each step of this node. One
 * COMPARE of a peer is answered at a time: another one takes its place. What is
 * published goes the same way as the answer, so that a peer that has the
 * answer has all that was here when it was made.
 */
#ifndef BYN_DIST_DUMP_H
#define BYN_DIST_DUMP_H

#include "parts.h"
#include "record.h"

void byn_dump_take_compare(byn_dist *d, byn_peer *peer, const byn_record *r);
/* It says that the life of that one is over, which is seen here: what it would
 * not find to differ once that is known here too, it is not sent for now. */
void byn_dump_doubt(byn_dist *d, byn_peer *peer, byn_peer *seen);
void byn_dump_take_got(byn_dist *d, byn_peer *peer);
/* Goes on with all. */
void byn_dump_pump(byn_dist *d);
/* Has it more to send, and may? */
bool byn_dump_is_due(const byn_dist *d);
void byn_dump_forget(byn_dist *d, byn_peer *peer);

#endif
