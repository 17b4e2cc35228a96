/* Entities: children that any message starts.
 *
 *   unknown --> running --> idle --> running ...
 *        start with      rest     start with ENSURE
 *        ENSURE          '--> unknown: it has kept nothing
 *
 * An entity is a generation with the flag ENTITY. If no message has come for
 * its process for a while, its node stops it (byn_dist_rest), so that none is
 * lost that is on its way (move.h). One that has written a checkpoint is idle
 * then: the generation goes on, nobody starts it, and its checkpoint waits for
 * the next process. One that has none has ended, and that end is soon forgotten
 * (place.h).
 *
 * The owner of an idle generation keeps it by a run that is IDLE: so its
 * checkpoint lies on `replicas` nodes, and moves when the ring changes, as if
 * it ran there. An owner that has no such run yet collects the newest first
 * (collect.h). Who asks the owner for a start with ENSURE wakes it. That is one
 * node (cohort.h), so there is one process, whoever asks. Where there is no
 * quorum nobody keeps it: others may have woken it by the time there is one.
 *
 * A node that leaves waits, for a few seconds at most, until the others hold
 * what it holds of idle ones.
 */
#ifndef BYN_DIST_ENTITY_H
#define BYN_DIST_ENTITY_H

#include "parts.h"

/* Has the process of a run that is RUNNING stop; false: it goes on. */
bool byn_entity_rest(byn_dist *d, byn_run *run);
/* It has ended for that. The run may be freed. */
void byn_entity_rested(byn_dist *d, byn_run *run, byn_generation *g);
/* Somebody asked the owner, this node, for it. */
void byn_entity_wake(byn_dist *d, byn_place *p, byn_generation *g);
/* Nobody starts an idle generation: keeps it, if this node is its owner. */
void byn_entity_keep(byn_dist *d, byn_place *p, byn_generation *g);
/* Looks at a run that is IDLE. It may be freed, or QUEUED. */
void byn_entity_review(byn_dist *d, byn_run *run, byn_generation *g);
/* Another node holds a newer checkpoint of it than this one. */
void byn_entity_collect(byn_dist *d, byn_run *run);
/* This node leaves: are there others that do not hold yet what it has? */
bool byn_entity_holds_back(const byn_dist *d);

#endif
