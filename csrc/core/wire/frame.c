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
  *frame = (byn_frame){.type = at[LENGTH_SIZE],
                       .begins = true,
                       .ends = true,
                       .payload = at + BYN_FRAME_HEADER,
                       .length = size - BYN_FRAME_HEADER};
}

/* What the chunk has of the data frame whose header has been read. */
static byn_frame_status next_piece(byn_frame_reader *r, byn_frame *frame) {
  size_t n = r->left < unread(r) ? r->left : unread(r);
  if (n == 0) return BYN_FRAME_NONE;
  *frame = (byn_frame){.type = r->type,
                       .begins = !r->begun,
                       .ends = n == r->left,
                       .payload = r->at,
                       .length = n};
  r->begun = true;
  r->at += n;
  r->left -= n;
  return BYN_FRAME_READ;
}

/* Its header, at `at`, has been taken from the chunk or stands in the tail. */
static byn_frame_status begin_pieces(byn_frame_reader *r, const uint8_t *at,
                                     size_t size, byn_frame *frame) {
  r->type = at[LENGTH_SIZE];
  r->left = size - BYN_FRAME_HEADER;
  r->begun = false;
  if (r->left) return next_piece(r, frame);
  set_frame(frame, at, size);
  return BYN_FRAME_READ;
}

static bool is_data(const uint8_t *frame) {
  return frame[LENGTH_SIZE] == BYN_FRAME_MESSAGE ||
         frame[LENGTH_SIZE] == BYN_FRAME_FRAGMENT;
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
  if (status == BYN_FRAME_READ) status = fill_tail(r, BYN_FRAME_HEADER);
  if (status != BYN_FRAME_READ) return status;
  if (!is_data(r->tail.data)) status = fill_tail(r, size);
  if (status != BYN_FRAME_READ) return status;
  r->spent = true;
  if (is_data(r->tail.data)) return begin_pieces(r, r->tail.data, size, frame);
  set_frame(frame, r->tail.data, size);
  return BYN_FRAME_READ;
}

static byn_frame_status next_in_chunk(byn_frame_reader *r, byn_frame *frame) {
  size_t size = 0, left = unread(r);
  byn_frame_status status = measure(r, r->at, left, &size);
  if (status == BYN_FRAME_READ && size <= left) {
    set_frame(frame, r->at, size);
    r->at += size;
    return BYN_FRAME_READ;
  }
  if (status == BYN_FRAME_READ && left > BYN_FRAME_HEADER && is_data(r->at)) {
    const uint8_t *header = r->at;
    r->at += BYN_FRAME_HEADER;
    return begin_pieces(r, header, size, frame);
  }
  if (status != BYN_FRAME_NONE && status != BYN_FRAME_READ) return status;
  status = fill_tail(r, left);
  return status == BYN_FRAME_NO_MEMORY ? status : BYN_FRAME_NONE;
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
  if (r->left) return next_piece(r, frame);
  return r->tail.len ? next_in_tail(r, frame) : next_in_chunk(r, frame);
}
