/* Events on their way to the owner. One that finds no memory is lost. */
#ifndef BYN_DIST_TOLD_H
#define BYN_DIST_TOLD_H

#include "parts.h"

/* An event about a place (or NULL) and a node (or NULL), last in the queue, to
 * be filled in; NULL when memory is short. */
byn_told *byn_told_add(byn_dist *d, byn_dist_event event, const byn_place *p,
                       const char *node);
void byn_told_free(byn_dist *d, byn_told *t);
bool byn_told_next(byn_dist *d, byn_dist_action *a);

#endif
