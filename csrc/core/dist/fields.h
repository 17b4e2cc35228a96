/* Fields on the wire: a tag, a length, a body. A reader skips tags that it
 * does not know, so that a later version may write more.
 */
#ifndef BYN_DIST_FIELDS_H
#define BYN_DIST_FIELDS_H

#include "../wire/buffer.h"

/* A field whose body is a varint; 0 is not written, and read as absent. */
void byn_put_number_field(byn_buf *b, uint8_t tag, uint64_t value);
/* NULL is not written. */
void byn_put_bytes_field(byn_buf *b, uint8_t tag, const void *bytes, size_t n);

/* A field with whatever is put between: the answer of _open goes to _close. */
size_t byn_field_open(byn_buf *b, uint8_t tag);
void byn_field_close(byn_buf *b, size_t mark);

typedef struct byn_field {
  uint8_t tag;
  const uint8_t *at; /* the body; never NULL */
  size_t n;
} byn_field;

/* The next field; false at the end, and with `failed` set where the bytes are
 * none. */
bool byn_get_field(byn_reader *r, byn_field *f);
/* The body as a number; false if it is none of at most `most`. */
bool byn_field_number(const byn_field *f, uint64_t most, uint64_t *value);

#endif
