/* Requests of callers on this node, from their beginning to their answer.
 *
 *   OPENING --> ASKED --> COPYING --> ANSWERED
 *
 * The asker makes the token of the generation that it wants, so that a request
 * that is made again is the same one. It finds the outcome in the place; only
 * that there is none is answered by the owner. So it does not matter who of
 * the nodes that served it is lost.
 *
 * A request is looked at when its place changes, when its timer is due, and
 * when nodes come or go.
 */
#ifndef BYN_DIST_REQUEST_H
#define BYN_DIST_REQUEST_H

#include "parts.h"
#include "record.h"

void byn_request_start(byn_dist *d, uint64_t number, const byn_dist_id *id,
                       const byn_dist_start_spec *what, int64_t limit_ms);
void byn_request_terminate(byn_dist *d, uint64_t number, const byn_dist_id *id,
                           int64_t limit_ms);
/* `node`: NULL: where the ring says. */
void byn_request_move(byn_dist *d, uint64_t number, const byn_dist_id *id,
                      const char *node, int64_t limit_ms);
/* A checkpoint of a process of this node. */
void byn_request_keep(byn_dist *d, uint64_t number, uint32_t child,
                      const byn_dist_written *what, int64_t limit_ms);
/* Looks at those of a place, and at one whose timer is due. */
void byn_request_review_place(byn_dist *d, byn_place *p);
void byn_request_due(byn_dist *d, byn_request *q);
/* Peers acknowledged something, came or went: looks at those that wait for it.
 */
void byn_request_review_copying(byn_dist *d);
/* A way to their owners or hosts was found: those that were asked already are
 * asked again. */
void byn_request_ask_again(byn_dist *d);
void byn_request_take_reply(byn_dist *d, const byn_record *r);
bool byn_request_next(byn_dist *d, byn_dist_action *a);
void byn_request_free(byn_dist *d, byn_request *q);
/* Forgets all that wait, and answers that nobody took. */
void byn_request_forget_all(byn_dist *d);

#endif
