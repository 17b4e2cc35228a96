/* Buffers: bytes being written, and readers of bytes. */
#include "buffer.h"

#include <string.h>

#define BYN_BUF_FIRST 64

void byn_buf_init(byn_buf *b, const byn_alloc *alloc) {
  *b = (byn_buf){.alloc = alloc};
}

void byn_buf_free(byn_buf *b) {
  byn_free(b->alloc, b->data, b->cap);
  byn_buf_init(b, b->alloc);
}

void byn_buf_truncate(byn_buf *b, size_t len) {
  if (len < b->len) b->len = len;
  b->failed = false;
}

void byn_buf_drop(byn_buf *b, size_t n) {
  if (n > b->len) n = b->len;
  if (n == 0) return;
  b->len -= n;
  memmove(b->data, b->data + n, b->len);
}

/* Doubling keeps appending linear; past SIZE_MAX / 2 there is no sane
 * buffer, and doubling could not be computed. */
static bool grow(byn_buf *b, size_t n) {
  size_t need, cap = b->cap ? b->cap : BYN_BUF_FIRST;
  void *data;
  if (n > SIZE_MAX / 2 || b->len > SIZE_MAX / 2 - n) return false;
  need = b->len + n;
  while (cap < need)
    cap *= 2;
  data = byn_resize(b->alloc, b->data, b->cap, cap);
  if (!data) return false;
  b->data = data;
  b->cap = cap;
  return true;
}

uint8_t *byn_put_space(byn_buf *b, size_t n) {
  uint8_t *at;
  if (b->failed) return NULL;
  if (b->cap - b->len < n && !grow(b, n)) {
    b->failed = true;
    return NULL;
  }
  at = b->data + b->len;
  b->len += n;
  return at;
}

static void store_u32(uint8_t *at, uint32_t v) {
  at[0] = (uint8_t)(v >> 24);
  at[1] = (uint8_t)(v >> 16);
  at[2] = (uint8_t)(v >> 8);
  at[3] = (uint8_t)v;
}

static uint32_t load_u32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 |
         at[3];
}

void byn_put_u8(byn_buf *b, uint8_t v) {
  uint8_t *at = byn_put_space(b, 1);
  if (at) *at = v;
}

void byn_put_u32(byn_buf *b, uint32_t v) {
  uint8_t *at = byn_put_space(b, 4);
  if (at) store_u32(at, v);
}

void byn_put_u64(byn_buf *b, uint64_t v) {
  uint8_t *at = byn_put_space(b, 8);
  if (!at) return;
  store_u32(at, (uint32_t)(v >> 32));
  store_u32(at + 4, (uint32_t)v);
}

void byn_put_varint(byn_buf *b, uint64_t v) {
  uint8_t bytes[10];
  size_t n = 0;
  if (v < 0x80) {
    byn_put_u8(b, (uint8_t)v);
    return;
  }
  for (; v >= 0x80; v >>= 7)
    bytes[n++] = (uint8_t)(v | 0x80);
  bytes[n++] = (uint8_t)v;
  byn_put_bytes(b, bytes, n);
}

void byn_put_signed(byn_buf *b, int64_t v) {
  uint64_t sign = v < 0 ? UINT64_MAX : 0;
  byn_put_varint(b, (uint64_t)v << 1 ^ sign);
}

void byn_put_double(byn_buf *b, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  byn_put_u64(b, bits);
}

void byn_put_bytes(byn_buf *b, const void *bytes, size_t n) {
  uint8_t *at;
  if (n == 0) return;
  at = byn_put_space(b, n);
  if (at) memcpy(at, bytes, n);
}

void byn_put_string(byn_buf *b, const void *bytes, size_t n) {
  byn_put_varint(b, n);
  byn_put_bytes(b, bytes, n);
}

void byn_patch_u32(byn_buf *b, size_t at, uint32_t v) {
  if (b->len >= 4 && at <= b->len - 4) store_u32(b->data + at, v);
}

void byn_reader_init(byn_reader *r, const void *bytes, size_t n) {
  r->at = n ? bytes : (const void *)"";
  r->end = r->at + n;
  r->failed = false;
}

size_t byn_reader_left(const byn_reader *r) {
  return (size_t)(r->end - r->at);
}

/* A failed reader stands at its end, so that whatever follows fails too. */
static void fail(byn_reader *r) {
  r->failed = true;
  r->at = r->end;
}

const uint8_t *byn_get_bytes(byn_reader *r, size_t n) {
  const uint8_t *at = r->at;
  if (r->failed || n > byn_reader_left(r)) {
    fail(r);
    return NULL;
  }
  r->at += n;
  return at;
}

uint8_t byn_get_u8(byn_reader *r) {
  const uint8_t *at = byn_get_bytes(r, 1);
  return at ? *at : 0;
}

uint32_t byn_get_u32(byn_reader *r) {
  const uint8_t *at = byn_get_bytes(r, 4);
  return at ? load_u32(at) : 0;
}

uint64_t byn_get_u64(byn_reader *r) {
  const uint8_t *at = byn_get_bytes(r, 8);
  return at ? (uint64_t)load_u32(at) << 32 | load_u32(at + 4) : 0;
}

uint64_t byn_get_varint(byn_reader *r) {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = byn_get_u8(r);
    /* The tenth byte has room for one bit. */
    if (r->failed || (shift == 63 && byte > 1)) break;
    v |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return v;
  }
  fail(r);
  return 0;
}

int64_t byn_get_signed(byn_reader *r) {
  uint64_t v = byn_get_varint(r);
  uint64_t bits = v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
  int64_t result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

double byn_get_double(byn_reader *r) {
  uint64_t bits = byn_get_u64(r);
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

const uint8_t *byn_get_string(byn_reader *r, size_t *n) {
  uint64_t length = byn_get_varint(r);
  const uint8_t *at = NULL;
  if (length > byn_reader_left(r))
    fail(r);
  else
    at = byn_get_bytes(r, (size_t)length);
  *n = at ? (size_t)length : 0;
  return at;
}
