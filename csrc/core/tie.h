/* A link between processes of two nodes, as the node of one of them sees it.
 *
 * Links are made and taken away from both ends, and the signals cross. A LINK
 * or an EXIT that comes after an unlink may have been sent before the other
 * end knew of it; then it is about the old link. So an UNLINK has a number and
 * is confirmed, and until then its end remembers it:
 *
 *   A                                                     B
 *   unlink     UNLINK 7  --------.    .------  EXIT       ends
 *   link       LINK  ----------.  \  /
 *              (old: ignored)   \  `/-------->            (its node answers)
 *                <---------------\-'    .---  CONFIRM 7
 *              (7 is over)        `-----/-->              LINK to the dead
 *                <---------------------'  .-  EXIT noproc
 *              (this one counts)  <------'
 *
 * Where both ends unlink at the same time and link again, a signal that
 * follows the other's UNLINK is about the new link, and counts at once.
 *
 * A tie is a number that fits into a relation, 0 for a plain link. Each node
 * has its own for its end. It takes no memory, and nothing of it can fail. A
 * tie that is over must be dropped: nothing may be asked of it but whether it
 * is linked, and whether it is over.
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
/* Is there neither a link nor anything to remember? Drop it then. */
bool byn_tie_is_over(const byn_tie *t);

/* The program links: true if LINK is to be sent. */
bool byn_tie_link(byn_tie *t);
/* The program unlinks: true if UNLINK is to be sent, with `number`: greater
 * than all before, and below 2^60. */
bool byn_tie_unlink(byn_tie *t, uint64_t number);

/* What comes from the other end. */
void byn_tie_on_link(byn_tie *t);
void byn_tie_on_unlink(byn_tie *t); /* CONFIRM it in any case */
void byn_tie_on_confirm(byn_tie *t, uint64_t number);
/* The other has ended, or was not there: true if this link broke by it. */
bool byn_tie_on_exit(byn_tie *t);

#endif
