/* The outbox: frames that wait to be written or acknowledged. */
#include "outbox.h"

#include <string.h>

#include "../assert.h"

#define STEP (BYN_FRAGMENT_SIZE + BYN_FRAME_HEADER)
#define KEPT_SMALL (256 * 1024)      /* a buffer that is kept in any case */
#define KEPT_LARGE (8 * 1024 * 1024) /* and one that is kept while in use */

void byn_outbox_init(byn_outbox *o, const byn_alloc *alloc) {
  *o = (byn_outbox){0};
  byn_buf_init(&o->bytes, alloc);
}

void byn_outbox_free(byn_outbox *o) {
  byn_buf_free(&o->bytes);
}

static inline bool outbox_is_in_order(const byn_outbox *o) {
  return o->kept <= o->taken && o->taken <= o->whole &&
         o->whole <= o->bytes.len && (o->keeps || o->kept == o->taken);
}

void byn_outbox_abort(byn_outbox *o) {
  byn_buf_truncate(&o->bytes, o->whole);
  o->open = false;
}

static void write_acknowledgement(const byn_outbox *o, uint8_t *at) {
  byn_frame_header(at, BYN_FRAME_HEARTBEAT, 8);
  for (int i = 0; i < 8; i++)
    at[BYN_FRAME_HEADER + i] = (uint8_t)(o->received >> (56 - 8 * i));
}

/* An acknowledgement that is owed goes before the first frame of a view, in
 * the same write. Its number is put right when the view is taken. */
static void put_acknowledgement(byn_outbox *o) {
  if (!o->owes || o->whole > o->taken) return;
  if (!byn_put_space(&o->bytes, BYN_ACKNOWLEDGEMENT_SIZE)) return;
  write_acknowledgement(o, o->bytes.data + o->whole);
  o->whole += BYN_ACKNOWLEDGEMENT_SIZE;
  o->owes = false;
}

byn_buf *byn_outbox_begin(byn_outbox *o, byn_frame_type type) {
  uint8_t *header;
  byn_outbox_abort(o);
  put_acknowledgement(o);
  header = byn_put_space(&o->bytes, BYN_FRAME_HEADER);
  if (header) byn_frame_header(header, type, 0);
  o->open = true;
  byn_assert(outbox_is_in_order(o));
  return &o->bytes;
}

/* Spreads a payload of `length` bytes into frames. Part 0 stands where it
 * should; the others move up by one header for each part before them, the
 * last one first, so that none is overwritten. */
static void cut_into_fragments(byn_outbox *o, size_t length) {
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

static void finish_frame(byn_outbox *o, size_t length) {
  uint8_t *header = o->bytes.data + o->whole;
  byn_assert(length <= BYN_FRAGMENT_SIZE || header[4] == BYN_FRAME_MESSAGE);
  if (length > BYN_FRAGMENT_SIZE)
    cut_into_fragments(o, length);
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
      finish_frame(o, length);
  }
  if (o->bytes.failed) {
    byn_outbox_abort(o);
    return false;
  }
  o->whole = o->bytes.len;
  o->open = false;
  byn_assert(outbox_is_in_order(o));
  return true;
}

void byn_outbox_beat(byn_outbox *o) {
  o->beat = true;
}

void byn_outbox_receive(byn_outbox *o, uint64_t received) {
  byn_assert(received >= o->received);
  o->received = received;
  o->owes = o->keeps;
}

void byn_outbox_clear(byn_outbox *o) {
  o->whole = o->taken;
  o->beat = false;
  byn_outbox_abort(o);
  byn_assert(outbox_is_in_order(o));
}

/* Nothing is left. A large buffer is kept for the next messages as long as they
 * fill a part of it. */
static void start_over(byn_outbox *o) {
  size_t cap = o->bytes.cap;
  bool unused = o->bytes.len < cap / 4;
  byn_assert(o->kept == o->bytes.len);
  if (cap > KEPT_LARGE || (cap > KEPT_SMALL && unused))
    byn_buf_free(&o->bytes);
  else
    byn_buf_truncate(&o->bytes, 0);
  o->kept = o->taken = o->whole = 0;
}

/* Moves what is left to the front once it is no more than what is gone, so that
 * every byte moves at most once on average; not while half of the buffer is
 * free, as all may be gone by the time that it is full. */
static void compact(byn_outbox *o) {
  size_t left = o->bytes.len - o->kept;
  if (left == 0 && !o->open) {
    if (o->kept || o->bytes.cap > KEPT_LARGE) start_over(o);
    return;
  }
  if (o->kept < left || o->bytes.len <= o->bytes.cap / 2) return;
  byn_buf_drop(&o->bytes, o->kept);
  o->whole -= o->kept;
  o->taken -= o->kept;
  o->kept = 0;
}

/* byn_frame_size without a call: every frame that is kept passes here. */
static inline size_t frame_size(const uint8_t *at) {
  return 4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 |
              at[3]);
}

static bool is_data(const uint8_t *frame) {
  return frame[4] == BYN_FRAME_MESSAGE || frame[4] == BYN_FRAME_FRAGMENT;
}

bool byn_outbox_acknowledge(byn_outbox *o, uint64_t number) {
  const uint8_t *bytes = o->bytes.data;
  uint64_t done = o->acknowledged;
  size_t at = o->kept;
  if (number <= done) return true;
  while (done < number && at < o->taken) {
    done += is_data(bytes + at);
    at += frame_size(bytes + at);
  }
  o->acknowledged = done;
  o->kept = at;
  byn_assert(outbox_is_in_order(o));
  compact(o);
  return done == number;
}

void byn_outbox_rewind(byn_outbox *o) {
  byn_assert(o->keeps);
  o->taken = o->kept;
  o->beat = o->beat_was_last = false;
}

void byn_outbox_forget(byn_outbox *o) {
  o->keeps = o->owes = o->beat = false;
  o->kept = o->taken;
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
  if (now) o->beat = false;
  o->beat_was_last = now;
  return now;
}

static size_t take_heartbeat(byn_outbox *o, const uint8_t **bytes) {
  *bytes = o->heartbeat;
  if (!o->keeps) {
    byn_frame_header(o->heartbeat, BYN_FRAME_HEARTBEAT, 0);
    return BYN_FRAME_HEADER;
  }
  write_acknowledgement(o, o->heartbeat);
  o->owes = false;
  return BYN_ACKNOWLEDGEMENT_SIZE;
}

size_t byn_outbox_take(byn_outbox *o, const uint8_t **bytes) {
  size_t n;
  uint8_t *at;
  *bytes = NULL;
  if (beats_now(o)) return take_heartbeat(o, bytes);
  compact(o);
  n = o->whole - o->taken;
  if (n == 0) return 0;
  at = o->bytes.data + o->taken;
  if (o->keeps && at[4] == BYN_FRAME_HEARTBEAT) {
    write_acknowledgement(o, at);
    o->owes = false;
  }
  if (n > BYN_VIEW_MAX) n = whole_frames(at);
  o->taken += n;
  if (!o->keeps) o->kept = o->taken;
  byn_assert(outbox_is_in_order(o));
  *bytes = at;
  return n;
}

void byn_outbox_rest(byn_outbox *o) {
  if (o->kept < o->bytes.len || o->open) return;
  byn_buf_free(&o->bytes);
  o->kept = o->taken = o->whole = 0;
}

size_t byn_outbox_waiting(const byn_outbox *o) {
  return o->whole - o->taken;
}

size_t byn_outbox_queued(const byn_outbox *o) {
  return o->whole - o->kept;
}
