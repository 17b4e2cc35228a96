/* What is shown of a child: the process that it is, in alternation. */
#ifndef BYN_DIST_SHOW_H
#define BYN_DIST_SHOW_H

#include "parts.h"

/* Fills in a SHOW if the child's process is another than the one that was
 * shown last; false if it is the same, or (starved) memory is short. */
bool byn_show(byn_dist *d, byn_place *p, byn_dist_action *a, bool *starved);

#endif
