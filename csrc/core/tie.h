/* A link between processes of two nodes, as the node of one of them sees it.
 *
 * Links are made and taken away from both ends, and the signals cross. LINK
 * and the EXIT of a broken link that come after an unlink may have been sent
 * before the other end knew of it; then they tell of a link that is no more.
 * So an UNLINK has a number and is confirmed, and its end remembers it until
 * then:
 *
 *   A                                                     B
 *   unlink     UNLINK 7  --------.    .------  EXIT       ends
 *   link       LINK  ----------.  \  /
 *              (old: ignored)   \  `/-------->            (its node answers)
 *                <---------------\-'    .---  CONFIRM 7
 *              (7 is settled)     `-----/-->              LINK to the dead
 *                <---------------------'  .-  EXIT noproc
 *              (this one counts)  <------'
 *
 * Where both ends unlink at the same time and link again, a signal that
 * follows the other's UNLINK is of the time after, and counts at once.
 *
 * A tie is a number that fits into a relation, 0 for a plain link. Each node
 * has its own for its end; no memory, no failure.
 */
#ifndef BYN_TIE_H
#define BYN_TIE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct byn_tie {
  uint64_t word; /* number of the unlink that is not confirmed, and facts */
} byn_tie;

/* Is it a link, rather than the memory of one? */
bool byn_tie_is_linked(const byn_tie *t);
/* Is there nothing to remember? It is to be dropped then. */
bool byn_tie_is_over(const byn_tie *t);

/* The program links: true if LINK is to be sent. */
bool byn_tie_link(byn_tie *t);
/* The program unlinks: true if UNLINK is to be sent, with `number`, greater
 * than all before. */
bool byn_tie_unlink(byn_tie *t, uint64_t number);

/* What comes from the other end. */
void byn_tie_on_link(byn_tie *t);
void byn_tie_on_unlink(byn_tie *t); /* is to be confirmed in any case */
void byn_tie_on_confirm(byn_tie *t, uint64_t number);
/* The other has ended, or was not there: true if this link broke by it. */
bool byn_tie_on_exit(byn_tie *t);

#endif
