/* How two nodes come to take part together.
 *
 *   A: HELLO(a, 0)        its session, and what it has seen of B's
 *   B: HELLO(b, a)        A knows now that B is there, and B's digests
 *   A: HELLO(a, b)        and B of A: they are matched
 *   each: ENTRY*, IN_STEP what the other lacks
 *   each: READY           let me in
 *   each: READY_OK        you are in my ring, and have what I accepted before
 *
 * A coordinator that began again has another session: all of it is done again.
 */
#ifndef BYN_DIST_GREET_H
#define BYN_DIST_GREET_H

#include "parts.h"
#include "record.h"

/* Connected: a new session begins. */
void byn_greet(byn_dist *d, byn_peer *peer);
void byn_greet_take_hello(byn_dist *d, byn_peer *peer, const byn_record *r,
                          uint64_t incarnation);
void byn_greet_take_in_step(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_greet_take_ready(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_greet_take_ready_ok(byn_dist *d, byn_peer *peer, const byn_record *r);
/* MET: what another peer knows. */
void byn_greet_take_met(byn_dist *d, const byn_record *r);
/* A packet of that peer (or NULL) was refused: what was in it is missing, so
 * the session begins anew, each time later. */
void byn_greet_refused(byn_dist *d, byn_peer *peer);
/* The last entry of the dump has been sent. */
void byn_greet_sent_all(byn_dist *d, byn_peer *peer);
/* Whether this node hosts has changed: all are to let it in anew. */
void byn_greet_again_ready(byn_dist *d);
/* The list of nodes is another: HELLO says it again. */
void byn_greet_tell_list(byn_dist *d);
/* Each second: what was not answered is said again. */
void byn_greet_tick(byn_dist *d);

#endif
