/* What waits to be written: whole frames in the order in which they were
 * put, as one run of bytes.
 *
 *   | handed out | whole frames that wait | one frame being written |
 *   0          taken                    whole                    bytes.len
 *
 * A frame is written in place behind the others; commit puts its header
 * right and makes it one of them. A message longer than a fragment is cut
 * into FRAGMENT frames there and then. Views end where a frame ends, so a
 * heartbeat can be slipped in before any view, and has never more than one
 * view before it.
 *
 * Owned by a link; not thread-safe, no I/O.
 */
#ifndef BYN_WIRE_OUTBOX_H
#define BYN_WIRE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "frame.h"

/* The bytes of one view, at most: four full frames. */
#define BYN_VIEW_MAX (4 * (BYN_FRAGMENT_SIZE + BYN_FRAME_HEADER))

typedef struct byn_outbox {
  byn_buf bytes;
  size_t taken, whole;
  size_t unconfirmed; /* bytes of the view that is out */
  bool open;          /* a frame is being written */
  bool beat;          /* a heartbeat is due */
  bool beat_was_last; /* the last view was one */
} byn_outbox;

void byn_outbox_init(byn_outbox *o, const byn_alloc *alloc);
void byn_outbox_free(byn_outbox *o);

/* The buffer to append a payload to. A frame that was begun and not
 * committed is dropped. */
byn_buf *byn_outbox_begin(byn_outbox *o, byn_frame_type type);
/* false if none was begun, its payload is longer than `max`, or memory is
 * short: the outbox is then as it was before begin. Only a MESSAGE may be
 * longer than a fragment. */
bool byn_outbox_commit(byn_outbox *o, size_t max);
void byn_outbox_abort(byn_outbox *o);

/* Puts one heartbeat before the next view; none where the last view was a
 * heartbeat and there are frames to show life instead. */
void byn_outbox_beat(byn_outbox *o);
/* Drops all that has not been handed out. */
void byn_outbox_clear(byn_outbox *o);

/* Hands out a view, valid until the next call. 0 while the last one is not
 * confirmed, or when nothing waits. */
size_t byn_outbox_take(byn_outbox *o, const uint8_t **bytes);
/* n bytes of the last view are written. */
void byn_outbox_wrote(byn_outbox *o, size_t n);

/* Bytes of committed frames that are not confirmed. */
size_t byn_outbox_queued(const byn_outbox *o);

#endif
