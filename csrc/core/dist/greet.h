/* How two nodes come to take part together.
 *
 *   A: HELLO(a, 0)        its session, and what it has seen of B's
 *   B: HELLO(b, a)        A knows now that B is there
 *   A: HELLO(a, b)        and B of A: they are matched
 *   each: COMPARE*        what do you have that I lack? (pull.h)
 *   each: IN_STEP         I have all that you had
 *   each: READY           let me in
 *   each: READY_OK        you are in my ring, and have what I accepted before
 *
 * A coordinator that began again has another session: all of it is done again.
 *
 * What READY_OK says holds for each two nodes, whoever else the registry was
 * taken from. Let A accept a start, or an end, before its READY_OK to B, in a
 * session of the two.
 *
 *   - A has B matched by then, as it has B's READY. What A changes once it has
 *     B matched it publishes to B, before READY_OK, on a way that keeps the
 *     order.
 *   - What A had changed before, A has when it answers B's last COMPARE of a
 *     span that it lies in, for B compares only after A's HELLO matched them.
 *     B's digest of that span was equal then, and B had it; or it was not, and
 *     B went on to the children of the span, and at last to the place itself,
 *     which A sent before COMPARED. B says READY only in step, when COMPARED of
 *     the last has come.
 *
 * So B need not ask A for anything that it has by then from C: equal digests
 * prove it, but nothing that C says of A does. B may take in what others say at
 * any time between: places only grow, and a digest that differs though B has
 * more than A costs an entry that is no news.
 *
 * Equal digests mean equal sets but for one in 2^64. They do not have what
 * hosts wrote whose lives are over, for both (registry.h): a peer may lack such
 * a register. If the process ever ran, `ran` says so, which is in the digest.
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
/* What the peer had is here. */
void byn_greet_got_all(byn_dist *d, byn_peer *peer);
/* Whether this node hosts has changed: all are to let it in anew. */
void byn_greet_again_ready(byn_dist *d);
/* The list of nodes is another: HELLO says it again. */
void byn_greet_tell_list(byn_dist *d);
/* Each second: what was not answered is said again. */
void byn_greet_tick(byn_dist *d);

#endif
