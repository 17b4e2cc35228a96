/* Frames: headers, and the reader that finds frames in chunks. */
#include "frame.h"

#define LENGTH_SIZE 4
#define TAIL_KEPT 4096

void byn_frame_header(uint8_t *at, byn_frame_type type, size_t payload) {
  uint32_t length = (uint32_t)payload + 1;
  at[0] = (uint8_t)(length >> 24);
  at[1] = (uint8_t)(length >> 16);
  at[2] = (uint8_t)(length >> 8);
  at[3] = (uint8_t)length;
  at[4] = (uint8_t)type;
}

size_t byn_frame_size(const uint8_t *at) {
  uint32_t length = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
                    (uint32_t)at[2] << 8 | at[3];
  return LENGTH_SIZE + (size_t)length;
}

void byn_frame_reader_init(byn_frame_reader *r, const byn_alloc *alloc,
                           size_t max) {
  *r = (byn_frame_reader){.max = max};
  byn_buf_init(&r->tail, alloc);
}

void byn_frame_reader_free(byn_frame_reader *r) {
  byn_buf_free(&r->tail);
}

void byn_frame_reader_limit(byn_frame_reader *r, size_t max) {
  r->max = max;
}

void byn_frame_reader_feed(byn_frame_reader *r, const uint8_t *bytes,
                           size_t n) {
  r->at = bytes;
  r->end = n ? bytes + n : bytes;
}

bool byn_frame_reader_is_done(const byn_frame_reader *r) {
  return r->at == r->end;
}

static size_t unread(const byn_frame_reader *r) {
  return r->at ? (size_t)(r->end - r->at) : 0;
}

/* The size of the frame that begins at `bytes`, judged before more of it is
 * taken. */
static byn_frame_status measure(const byn_frame_reader *r, const uint8_t *bytes,
                                size_t n, size_t *size) {
  if (n < LENGTH_SIZE) return BYN_FRAME_NONE;
  *size = byn_frame_size(bytes);
  if (*size == LENGTH_SIZE) return BYN_FRAME_BAD;
  if (*size - BYN_FRAME_HEADER > r->max) return BYN_FRAME_TOO_LARGE;
  return BYN_FRAME_READ;
}

static void set_frame(byn_frame *frame, const uint8_t *at, size_t size) {
  frame->type = at[LENGTH_SIZE];
  frame->payload = at + BYN_FRAME_HEADER;
  frame->length = size - BYN_FRAME_HEADER;
}

/* Copies from the chunk until the tail has `want` bytes or the chunk is
 * empty. */
static byn_frame_status fill_tail(byn_frame_reader *r, size_t want) {
  size_t n = want > r->tail.len ? want - r->tail.len : 0;
  if (n > unread(r)) n = unread(r);
  byn_put_bytes(&r->tail, r->at, n);
  if (r->tail.failed) return BYN_FRAME_NO_MEMORY;
  if (n) r->at += n;
  return r->tail.len < want ? BYN_FRAME_NONE : BYN_FRAME_READ;
}

static byn_frame_status next_in_tail(byn_frame_reader *r, byn_frame *frame) {
  size_t size = 0;
  byn_frame_status status = fill_tail(r, LENGTH_SIZE);
  if (status == BYN_FRAME_READ)
    status = measure(r, r->tail.data, r->tail.len, &size);
  if (status == BYN_FRAME_READ) status = fill_tail(r, size);
  if (status != BYN_FRAME_READ) return status;
  set_frame(frame, r->tail.data, size);
  r->spent = true;
  return BYN_FRAME_READ;
}

static byn_frame_status next_in_chunk(byn_frame_reader *r, byn_frame *frame) {
  size_t size = 0, left = unread(r);
  byn_frame_status status = measure(r, r->at, left, &size);
  if (status == BYN_FRAME_NONE || (status == BYN_FRAME_READ && size > left)) {
    status = fill_tail(r, left);
    return status == BYN_FRAME_NO_MEMORY ? status : BYN_FRAME_NONE;
  }
  if (status != BYN_FRAME_READ) return status;
  set_frame(frame, r->at, size);
  r->at += size;
  return BYN_FRAME_READ;
}

/* A tail that grew for one large frame is not kept while the link idles. */
static void drop_tail(byn_frame_reader *r) {
  r->spent = false;
  if (r->tail.cap > TAIL_KEPT)
    byn_buf_free(&r->tail);
  else
    byn_buf_truncate(&r->tail, 0);
}

byn_frame_status byn_frame_next(byn_frame_reader *r, byn_frame *frame) {
  if (r->spent) drop_tail(r);
  return r->tail.len ? next_in_tail(r, frame) : next_in_chunk(r, frame);
}
