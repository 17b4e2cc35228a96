/* Tagged fields, written and read. */
#include "fields.h"

#include <string.h>

#include "../assert.h"

void byn_put_number_field(byn_buf *b, uint8_t tag, uint64_t value) {
  if (value == 0) return;
  size_t mark = byn_field_open(b, tag);
  byn_put_varint(b, value);
  byn_field_close(b, mark);
}

void byn_put_bytes_field(byn_buf *b, uint8_t tag, const void *bytes, size_t n) {
  if (!bytes) return;
  byn_put_u8(b, tag);
  byn_put_string(b, bytes, n);
}

size_t byn_field_open(byn_buf *b, uint8_t tag) {
  byn_assert(tag != 0);
  byn_put_u8(b, tag);
  return b->len;
}

/* The length is known only now, and takes as many bytes as it needs: the body
 * moves up. */
void byn_field_close(byn_buf *b, size_t mark) {
  if (b->failed) return;
  byn_assert(mark <= b->len);
  size_t n = b->len - mark;
  byn_put_varint(b, n);
  if (b->failed) return;
  uint8_t length[10];
  size_t width = b->len - mark - n;
  memcpy(length, b->data + mark + n, width);
  memmove(b->data + mark + width, b->data + mark, n);
  memcpy(b->data + mark, length, width);
}

bool byn_get_field(byn_reader *r, byn_field *f) {
  if (r->failed || byn_reader_left(r) == 0) return false;
  f->tag = byn_get_u8(r);
  f->at = byn_get_string(r, &f->n);
  if (f->tag == 0) r->failed = true;
  return !r->failed;
}

bool byn_field_number(const byn_field *f, uint64_t most, uint64_t *value) {
  byn_reader r;
  byn_reader_init(&r, f->at, f->n);
  *value = byn_get_varint(&r);
  return !r.failed && byn_reader_left(&r) == 0 && *value <= most;
}
