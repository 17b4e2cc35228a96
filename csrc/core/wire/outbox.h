/* What waits to be written, and what the peer has not acknowledged: whole
 * frames in the order in which they were put, as one run of bytes.
 *
 *   | done | handed out, not acknowledged | whole, waiting | being written |
 *   0     kept                          taken            whole       bytes.len
 *
 * A frame is written in place behind the others; commit puts its header
 * right and makes it one of them. A message longer than a fragment is cut
 * into FRAGMENT frames there and then. Views end where a frame ends, so a
 * heartbeat can be slipped in before any view, and has never more than one
 * view before it.
 *
 * Data frames (MESSAGE, FRAGMENT) are numbered from 1. Where the peer
 * acknowledges them they are kept until it has, so that all of them can be
 * handed out once more (_rewind); where it does not, they are done with as
 * soon as they are handed out.
 *
 * An acknowledgement of what came the other way rides along: the outbox is
 * told the number of frames received, puts it into each heartbeat, and puts
 * one before the first frame that follows a view, if one is owed.
 *
 * Owned by a link; not thread-safe, no I/O.
 */
#ifndef BYN_WIRE_OUTBOX_H
#define BYN_WIRE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "frame.h"

/* The bytes of one view, at most: a full frame and what is small beside it. So
 * much is in the caches still when it is written, and is not yet so much that
 * malloc gets it from the system each time. */
#define BYN_VIEW_MAX (120 * 1024)
/* The bytes of a heartbeat that acknowledges. */
#define BYN_ACKNOWLEDGEMENT_SIZE (BYN_FRAME_HEADER + 8)

typedef struct byn_outbox {
  byn_buf bytes;
  size_t kept, taken, whole;
  uint64_t acknowledged; /* data frames that are done with */
  uint64_t received;     /* to tell the peer */
  bool keeps;            /* the peer acknowledges, and is acknowledged to */
  bool owes;             /* `received` has grown since it was told */
  bool open;             /* a frame is being written */
  bool beat;             /* a heartbeat is due */
  bool beat_was_last;    /* the last view was one */
  uint8_t heartbeat[BYN_ACKNOWLEDGEMENT_SIZE];
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

/* Puts one heartbeat before the next view; after that view where the last one
 * was a heartbeat and there are frames to show life instead. */
void byn_outbox_beat(byn_outbox *o);
/* The peer's data frames up to this number are here. Never less than before. */
void byn_outbox_receive(byn_outbox *o, uint64_t received);
/* Drops all that has not been handed out. */
void byn_outbox_clear(byn_outbox *o);

/* The peer has all data frames up to this number. false: it cannot, they were
 * not handed out. A number that was passed before means nothing. */
bool byn_outbox_acknowledge(byn_outbox *o, uint64_t number);
/* Has all that is not acknowledged handed out again: to another connection. */
void byn_outbox_rewind(byn_outbox *o);
/* The session is over: what was handed out is done with. */
void byn_outbox_forget(byn_outbox *o);

/* Nothing was written for a while: gives memory back that is not in use. Until
 * then a buffer of up to 8 MiB may stay. */
void byn_outbox_rest(byn_outbox *o);

/* Hands out a view, valid until the next call; 0 when nothing waits. */
size_t byn_outbox_take(byn_outbox *o, const uint8_t **bytes);

/* Bytes of committed frames that were not handed out; and of those that are
 * not done with. */
size_t byn_outbox_waiting(const byn_outbox *o);
size_t byn_outbox_queued(const byn_outbox *o);

#endif
