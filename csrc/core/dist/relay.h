/* What is said by way of a third node.
 *
 * Two nodes that lost sight of each other may both see a third. Then neither
 * takes over what the other runs (suspicion.h), and ids that the other owns
 * are still to be served. So what they say to each other about children goes
 * through the third (`via`), and the third passes on what it hears of either.
 *
 *   a   RELAY to c, START ...   -->   b   RELAYED from a, START ...   -->   c
 *
 * Nothing depends on it: records of that kind may be lost, doubled or late,
 * and who waits for an answer asks again. One node is passed, never two.
 */
#ifndef BYN_DIST_RELAY_H
#define BYN_DIST_RELAY_H

#include "record.h"

/* The record in d->scratch, to a peer or by way of the one that sees it. */
void byn_relay_send(byn_dist *d, byn_peer *peer);
/* Is it known to live just now: seen, or seen by a peer that is? */
bool byn_relay_reaches(const byn_peer *peer);
/* Has somebody lost sight of it, so that what it says is passed on? */
bool byn_relay_is_missed(const byn_dist *d, const byn_peer *peer);

/* A peer's question whether somebody is seen; whom it sees, `all` of them or
 * some. */
void byn_relay_hear_ask(byn_dist *d, const byn_record *r);
void byn_relay_hear_seen(byn_dist *d, byn_peer *peer, const byn_record *r,
                         bool all);

/* The record within RELAY and RELAYED; false: it is malformed. */
bool byn_relay_open(const byn_record *r, byn_record *inner);
void byn_relay_pass_on(byn_dist *d, const byn_peer *from, const byn_record *r);
/* Who says what was RELAYED by `via`; NULL: it does not count. */
byn_peer *byn_relay_source(byn_dist *d, byn_peer *via, const byn_record *r);

#endif
