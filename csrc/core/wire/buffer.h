/* Bytes being written, and bytes being read.
 *
 * A writer never fails half-way in its caller's face: the first allocation
 * that fails sets `failed`, later puts do nothing, and the caller looks once
 * at the end. A reader is the same: a read past the end, or a number that
 * does not fit, sets `failed` and answers 0.
 *
 * Integers on the wire are either fixed-width big-endian or varints:
 * 7 bits a byte, least significant first, high bit set on all but the last,
 * at most 10 bytes. Signed integers go through zigzag first.
 */
#ifndef BYN_WIRE_BUFFER_H
#define BYN_WIRE_BUFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "../alloc.h"

typedef struct byn_buf {
  const byn_alloc *alloc; /* must outlive the buffer */
  uint8_t *data;
  size_t len, cap;
  bool failed;
} byn_buf;

void byn_buf_init(byn_buf *b, const byn_alloc *alloc);
void byn_buf_free(byn_buf *b);
void byn_buf_truncate(byn_buf *b, size_t len); /* also clears `failed` */
void byn_buf_drop(byn_buf *b, size_t n);       /* the first n bytes */

void byn_put_u8(byn_buf *b, uint8_t v);
void byn_put_u32(byn_buf *b, uint32_t v);
void byn_put_u64(byn_buf *b, uint64_t v);
void byn_put_varint(byn_buf *b, uint64_t v);
void byn_put_signed(byn_buf *b, int64_t v);
void byn_put_double(byn_buf *b, double v);
void byn_put_bytes(byn_buf *b, const void *bytes, size_t n);
/* A varint length, then the bytes. */
void byn_put_string(byn_buf *b, const void *bytes, size_t n);
/* Room for n bytes that the caller fills before the next put, or NULL. */
uint8_t *byn_put_space(byn_buf *b, size_t n);
/* Overwrites four bytes that are there already. */
void byn_patch_u32(byn_buf *b, size_t at, uint32_t v);

typedef struct byn_reader {
  const uint8_t *at, *end;
  bool failed;
} byn_reader;

void byn_reader_init(byn_reader *r, const void *bytes, size_t n);
size_t byn_reader_left(const byn_reader *r);

uint8_t byn_get_u8(byn_reader *r);
uint32_t byn_get_u32(byn_reader *r);
uint64_t byn_get_u64(byn_reader *r);
uint64_t byn_get_varint(byn_reader *r);
int64_t byn_get_signed(byn_reader *r);
double byn_get_double(byn_reader *r);
/* A view of the next n bytes, or NULL. */
const uint8_t *byn_get_bytes(byn_reader *r, size_t n);
/* A view of a string written by byn_put_string; NULL sets *n to 0. */
const uint8_t *byn_get_string(byn_reader *r, size_t *n);

#endif
