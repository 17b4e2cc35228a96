/* The nodes that take part: what is known of each, and when this node is open.
 *
 * See byn_peer (parts.h) for the states. This file moves peers from one to
 * another; greet.h says how two come to know each other, suspicion.h how one
 * is given up.
 *
 * A node is open while all that take part have let it in and it has let them
 * in: it serves requests for ids that it owns, and takes over children.
 * Whoever lets a peer in has that peer in its ring, and has told it all that
 * was accepted before (greet.h says why). So in a healthy cluster no id has two
 * owners.
 */
#ifndef BYN_DIST_COHORT_H
#define BYN_DIST_COHORT_H

#include "parts.h"

/* Stamps: of a start that is so much older than the last contact with a peer,
 * that peer had heard, and this node of all of his. */
enum { BYN_CONTACT_MARGIN = 10000 * 1024 };

byn_peer *byn_cohort_find(const byn_dist *d, const char *name, size_t n);
/* Made UNKNOWN if it is new; NULL when memory is short. */
byn_peer *byn_cohort_peer(byn_dist *d, const char *name, size_t n);
void byn_cohort_free(byn_dist *d);

void byn_cohort_set_state(byn_dist *d, byn_peer *peer, byn_peer_state state);
/* Whether its life is over for sure. */
void byn_cohort_set_proven(byn_dist *d, byn_peer *peer, bool proven);
/* Its connection, or its coordinator, is gone; it is judged after `after_ms`.
 */
void byn_cohort_suspect(byn_dist *d, byn_peer *peer, bool proven,
                        int64_t after_ms);
/* It is gone: LOST, or DEAD if that is proven. */
void byn_cohort_give_up(byn_dist *d, byn_peer *peer);
/* Tells a peer who is DEAD: it may have been away then. Else it would keep what
 * those wrote, and never have the same digests. */
void byn_cohort_tell_dead(byn_dist *d, byn_peer *peer);
/* One that was LOST lives, another peer sees it: it is SUSPECT again, and what
 * it runs counts. */
void byn_cohort_take_back(byn_dist *d, byn_peer *peer, bool member, bool hosts);
/* This is the life that the peer lives now; another one is over. false when
 * memory is short. */
bool byn_cohort_set_life(byn_dist *d, byn_peer *peer, uint64_t incarnation);
/* Somebody says that this life of a node takes part. */
void byn_cohort_hearsay(byn_dist *d, const char *name, size_t n,
                        uint64_t incarnation, bool member, bool hosts);
/* Places name hosts that no peer is known by: hearsay, too. */
void byn_cohort_learn_hosts(byn_dist *d);

/* Each second: forgets peers that nothing has needed for minutes, and has ends
 * remembered that those out of sight may not have heard of. */
void byn_cohort_sweep(byn_dist *d);
void byn_cohort_recall(byn_dist *d);

/* A peer and this node are telling each other what they have: ends that it was
 * not told of yet are not to be forgotten meanwhile. */
bool byn_cohort_is_greeting(const byn_dist *d);

/* Looks whether this node is open. */
void byn_cohort_review_open(byn_dist *d);
/* NODE_UP, NODE_DOWN, NODE_TERMINATE, CONNECT, and nodes that differ. */
bool byn_cohort_next(byn_dist *d, byn_dist_action *a);
/* Those that one may talk to: both know the other's session. */
static inline bool byn_peer_sees(const byn_peer *peer) {
  return peer->matched && peer->connected;
}

#endif
