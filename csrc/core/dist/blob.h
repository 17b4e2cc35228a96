/* A copy of bytes that somebody else wrote: a pid, a reason, a spec. */
#ifndef BYN_DIST_BLOB_H
#define BYN_DIST_BLOB_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../alloc.h"

typedef struct byn_blob {
  uint8_t *at; /* NULL: absent; n is 0 then */
  uint32_t n;
} byn_blob;

static inline void byn_blob_clear(byn_blob *b, const byn_alloc *alloc) {
  byn_free(alloc, b->at, (size_t)b->n + 1);
  *b = (byn_blob){0};
}

/* false when memory is short, `b` then as it was. NULL bytes make it absent.
 * One byte more is taken, and is 0, so that a blob may be a name. */
static inline bool byn_blob_set(byn_blob *b, const byn_alloc *alloc,
                                const void *bytes, size_t n) {
  byn_blob copy = {0};
  if (bytes) {
    copy.at = byn_new(alloc, n + 1);
    if (!copy.at) return false;
    if (n) memcpy(copy.at, bytes, n);
    copy.at[n] = 0;
    copy.n = (uint32_t)n;
  }
  byn_blob_clear(b, alloc);
  *b = copy;
  return true;
}

/* Absent before what is there, then in byte order. */
static inline int byn_bytes_compare(const uint8_t *a, size_t an,
                                    const uint8_t *b, size_t bn) {
  size_t least = an < bn ? an : bn;
  int order = least ? memcmp(a, b, least) : 0;
  if (order != 0) return order;
  if (an != bn) return an < bn ? -1 : 1;
  return (a != NULL) - (b != NULL);
}

#endif
