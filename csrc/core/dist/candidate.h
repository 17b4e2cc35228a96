/* The ring of those that run children, and who may start one. */
#ifndef BYN_DIST_CANDIDATE_H
#define BYN_DIST_CANDIDATE_H

#include "parts.h"

/* Makes the ring anew where members came or went (`ring_due`); tells so, and
 * has every child looked at. Without memory the old one stays, and the call is
 * to be made again. */
void byn_candidate_remake(byn_dist *d);

/* Is this node in the ring? */
bool byn_candidate_is_member(const byn_dist *d);
/* Who owns a hash: false if the ring is empty; `*peer` NULL: this node. */
bool byn_candidate_owner(const byn_dist *d, uint64_t hash, byn_peer **peer);

typedef enum byn_candidate {
  BYN_CANDIDATE_NONE,    /* there is nobody to run children */
  BYN_CANDIDATE_SELF,    /* this node */
  BYN_CANDIDATE_PEER,    /* another */
  BYN_CANDIDATE_REFUSED, /* each refused it: `last`, its register */
} byn_candidate;

/* Who may start a generation that runs nowhere: the node that it was moved to
 * while that is a member and has not refused it; else the one that it is pinned
 * to while that is a member; else the first of the ring's successors that has
 * not refused it. One that ran already may leave the node that it is pinned to
 * if that refuses it. PEER: `*peer`. */
byn_candidate byn_candidate_find(byn_dist *d, const byn_place *p,
                                 const byn_generation *g,
                                 const byn_register **last, byn_peer **peer);
byn_candidate byn_candidate_of(byn_dist *d, const byn_place *p,
                               const byn_generation *g,
                               const byn_register **last);
/* The same of one that runs: where rebalancing has it. That is the node that it
 * was moved to by name, else the one that it is pinned to, else that of the
 * ring. */
byn_candidate byn_candidate_wanted(byn_dist *d, const byn_place *p,
                                   const byn_generation *g,
                                   const byn_register **last, byn_peer **peer);
/* The same by the ring alone. */
byn_candidate byn_candidate_of_ring(byn_dist *d, const byn_place *p,
                                    const byn_generation *g,
                                    const byn_register **last, byn_peer **peer);

#endif
