#include "outbox.h"

#include <string.h>

#define STEP (BYN_FRAGMENT_SIZE + BYN_FRAME_HEADER)

static const uint8_t heartbeat[BYN_FRAME_HEADER] = {0, 0, 0, 1,
                                                    BYN_FRAME_HEARTBEAT};

void byn_outbox_init(byn_outbox *o, const byn_alloc *alloc) {
  *o = (byn_outbox){0};
  byn_buf_init(&o->bytes, alloc);
}

void byn_outbox_free(byn_outbox *o) {
  byn_buf_free(&o->bytes);
}

void byn_outbox_abort(byn_outbox *o) {
  byn_buf_truncate(&o->bytes, o->whole);
  o->open = false;
}

byn_buf *byn_outbox_begin(byn_outbox *o, byn_frame_type type) {
  uint8_t *header;
  byn_outbox_abort(o);
  header = byn_put_space(&o->bytes, BYN_FRAME_HEADER);
  if (header) byn_frame_header(header, type, 0);
  o->open = true;
  return &o->bytes;
}

/* Spreads a payload of `length` bytes into frames. Part 0 stands where it
 * should; the others move up by one header for each part before them, the
 * last one first, so that none is overwritten. */
static void cut(byn_outbox *o, size_t length) {
  size_t parts = (length - 1) / BYN_FRAGMENT_SIZE;
  size_t last = length - parts * BYN_FRAGMENT_SIZE;
  uint8_t *base;
  if (!byn_put_space(&o->bytes, parts * BYN_FRAME_HEADER)) return;
  base = o->bytes.data + o->whole;
  for (size_t i = parts, n = last; i > 0; i--, n = BYN_FRAGMENT_SIZE) {
    uint8_t *to = base + i * STEP;
    byn_frame_type type = i == parts ? BYN_FRAME_MESSAGE : BYN_FRAME_FRAGMENT;
    memmove(to + BYN_FRAME_HEADER,
            base + BYN_FRAME_HEADER + i * BYN_FRAGMENT_SIZE, n);
    byn_frame_header(to, type, n);
  }
  byn_frame_header(base, BYN_FRAME_FRAGMENT, BYN_FRAGMENT_SIZE);
}

static void finish(byn_outbox *o, size_t length) {
  uint8_t *header = o->bytes.data + o->whole;
  if (length > BYN_FRAGMENT_SIZE)
    cut(o, length);
  else
    byn_frame_header(header, (byn_frame_type)header[4], length);
}

bool byn_outbox_commit(byn_outbox *o, size_t max) {
  size_t length;
  if (!o->open) return false;
  if (!o->bytes.failed) {
    length = o->bytes.len - o->whole - BYN_FRAME_HEADER;
    if (length > max)
      o->bytes.failed = true;
    else
      finish(o, length);
  }
  if (o->bytes.failed) {
    byn_outbox_abort(o);
    return false;
  }
  o->whole = o->bytes.len;
  o->open = false;
  return true;
}

void byn_outbox_beat(byn_outbox *o) {
  o->beat = true;
}

void byn_outbox_clear(byn_outbox *o) {
  o->whole = o->taken;
  o->beat = false;
  byn_outbox_abort(o);
}

/* Moves what is left to the front once it is no more than what is gone, so
 * that every byte moves at most once on average. */
static void compact(byn_outbox *o) {
  if (o->bytes.len == o->taken && o->bytes.cap > BYN_VIEW_MAX)
    byn_buf_free(&o->bytes);
  else if (o->taken < o->bytes.len - o->taken)
    return;
  else
    byn_buf_drop(&o->bytes, o->taken);
  o->whole -= o->taken;
  o->taken = 0;
}

/* As many whole frames as fit into a view; `at` has more than fit. */
static size_t whole_frames(const uint8_t *at) {
  size_t n = 0, size = byn_frame_size(at);
  while (n + size <= BYN_VIEW_MAX) {
    n += size;
    size = byn_frame_size(at + n);
  }
  return n;
}

/* A heartbeat passes what waits, but never two in a row: an owner that
 * writes no more often than the heart beats must get its messages out. */
static bool beats_now(byn_outbox *o) {
  bool now = o->beat && !(o->beat_was_last && o->whole > o->taken);
  o->beat = false;
  o->beat_was_last = now;
  return now;
}

size_t byn_outbox_take(byn_outbox *o, const uint8_t **bytes) {
  size_t n;
  *bytes = NULL;
  if (o->unconfirmed) return 0;
  if (beats_now(o)) {
    *bytes = heartbeat;
    return o->unconfirmed = sizeof heartbeat;
  }
  compact(o);
  n = o->whole - o->taken;
  if (n == 0) return 0;
  *bytes = o->bytes.data + o->taken;
  if (n > BYN_VIEW_MAX) n = whole_frames(*bytes);
  o->taken += n;
  return o->unconfirmed = n;
}

void byn_outbox_wrote(byn_outbox *o, size_t n) {
  o->unconfirmed -= n < o->unconfirmed ? n : o->unconfirmed;
}

size_t byn_outbox_queued(const byn_outbox *o) {
  return o->whole - o->taken + o->unconfirmed;
}
