/* What the owner reports of the processes of this node's children.
 *
 * A crash costs the child's own limit. Within it the child is queued to be
 * started again at once. Beyond it, the child fails: it is tried again after a
 * wait that grows with each further crash, until it has run max_ms without one.
 * How often it failed stands in the place, so that the next host goes on from
 * there.
 */
#ifndef BYN_DIST_REPORT_H
#define BYN_DIST_REPORT_H

#include "parts.h"

/* As byn_dist_started, byn_dist_start_failed and byn_dist_exited. */
bool byn_report_started(byn_dist *d, uint32_t child, byn_dist_bytes pid);
void byn_report_failed(byn_dist *d, uint32_t child, byn_dist_failure kind,
                       byn_dist_bytes reason);
void byn_report_exited(byn_dist *d, uint32_t child, bool normal,
                       byn_dist_bytes reason);
/* Its handoff failed, and its process goes on. */
void byn_report_handoff_failed(byn_dist *d, uint32_t child,
                               byn_dist_bytes reason);
/* Its process is gone, and its checkpoint was on its way to others: are they
 * to hear of its end now? */
void byn_report_review_gone(byn_dist *d, byn_run *run);
/* The timer of a run is due: its wait is over, or it has run well; or one that
 * is gone has waited long enough. */
void byn_report_due(byn_dist *d, byn_run *run);
/* Each second: after a wait, those whose reason nobody says is gone. */
void byn_report_retake_due(byn_dist *d);
/* Takes back refusals whose reason is gone. O(children) if there are any. */
void byn_report_retake(byn_dist *d);

#endif
