/* The newest checkpoint, before a child is started again on this node.
 *
 * A queued run of a generation that has written a checkpoint waits in
 * `collecting` until each node that may hold one has answered, is gone, or has
 * been silent for too long: it was then, too, when the run came. Runs are
 * numbered as they come there. A peer is
 * asked for many at once, says what it holds that is newer than what is here,
 * and then how far it got:
 *
 *   starter  COLLECT 7 8 9 -->                  peer
 *   starter  <-- FOUND 8, COLLECTED 9           peer
 *
 * It stops early where that becomes much, and is asked for the rest then. A
 * process that is started again where it ran finds the newest on its own node.
 * So many wait there at a time, the others in `restarts`.
 */
#ifndef BYN_DIST_COLLECT_H
#define BYN_DIST_COLLECT_H

#include "parts.h"
#include "record.h"

/* Is there room for one more to wait? */
bool byn_collect_has_room(const byn_dist *d);
/* A run that is QUEUED: it is to wait for the newest checkpoint. */
bool byn_collect_is_due(const byn_run *run, const byn_generation *g);
void byn_collect_begin(byn_dist *d, byn_run *run);
/* Those that wait no more go on to the restarts. */
void byn_collect_review(byn_dist *d);
/* Asks peers that have answered what they were asked for. */
void byn_collect_pump(byn_dist *d);

void byn_collect_take_ask(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_collect_take_answer(byn_dist *d, byn_peer *peer, const byn_record *r);

#endif
