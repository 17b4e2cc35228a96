/* A roster: things with names, in byte order of the names.
 *
 * The things are the owner's, and so are the names, which stay while the thing
 * is listed. Room is reserved ahead, so that an insertion cannot fail.
 */
#ifndef BYN_ROSTER_H
#define BYN_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

typedef struct byn_roster {
  struct byn_roster_entry {
    const char *name;
    void *thing;
  } * at;
  uint32_t count, capacity;
} byn_roster; /* empty: all zero */

/* false when memory is short. */
bool byn_roster_reserve(const byn_alloc *alloc, byn_roster *r, uint32_t count);
void byn_roster_free(const byn_alloc *alloc, byn_roster *r);

/* NULL if there is none of that name. O(log n). */
void *byn_roster_get(const byn_roster *r, const char *name);
/* Nothing happens if the name is listed; there must be room. */
void byn_roster_insert(byn_roster *r, const char *name, void *thing);
/* Nothing happens if the name is not listed. */
void byn_roster_remove(byn_roster *r, const char *name);

/* For assertions: is it in order around that index? */
bool byn_roster_is_sorted(const byn_roster *r, uint32_t index);

#endif
