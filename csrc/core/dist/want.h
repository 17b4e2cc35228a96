/* Specs that this node lacks.
 *
 * An entry may come without its spec: it was light, or the spec was withheld,
 * as it does not fit the packets that this node takes. Whether the spec is here
 * is not in the digest of a place, or two nodes of which one takes no spec of
 * that size would differ, and tell each other so, for good. So who lacks a spec
 * asks for it:
 *
 *   the sender of the entry   at once
 *   a peer that is greeted    when all else that differs has been pulled
 *   all that take part        a few each time, after a wait that doubles as
 *                             long as none comes; but for those withheld: what
 *                             this node takes does not change in a session
 *
 * Places that have a spec to be asked for are in a list, `lacking`.
 */
#ifndef BYN_DIST_WANT_H
#define BYN_DIST_WANT_H

#include "parts.h"

/* Something was merged into it. */
void byn_want_review(byn_dist *d, byn_place *p);
/* Asks one peer, if anything but what was withheld is lacking. */
void byn_want_ask(byn_dist *d, byn_peer *peer, const byn_place *p);
/* Has this node a spec of it that another may lack? */
bool byn_want_is_known(const byn_place *p);
/* Does this node lack a spec of it? */
bool byn_want_lacks(const byn_place *p);
/* Each second. */
void byn_want_tick(byn_dist *d);

#endif
