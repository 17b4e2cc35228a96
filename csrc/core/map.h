/* A hash map from 64-bit keys to pointers: open addressing with linear
 * probing. Keys need not be spread; the map mixes them. The value NULL means
 * that a key is absent, so it cannot be stored.
 */
#ifndef BYN_MAP_H
#define BYN_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

typedef struct byn_map_entry {
  uint64_t key;
  void *value;
} byn_map_entry;

typedef struct byn_map {
  const byn_alloc *alloc; /* must outlive the map */
  byn_map_entry *entries;
  uint32_t capacity; /* 0 or a power of two */
  uint32_t count;
} byn_map;

void byn_map_init(byn_map *m, const byn_alloc *alloc);
void byn_map_clear(byn_map *m); /* frees the entries, not the values */
void byn_map_empty(byn_map *m); /* forgets them, and keeps their room */

void *byn_map_get(const byn_map *m, uint64_t key);

/* Stores or replaces; NULL removes. false when memory is short, the map then
 * unchanged. */
bool byn_map_put(byn_map *m, uint64_t key, void *value);

/* Afterwards the next key can be put without fail; false when memory is
 * short. */
bool byn_map_reserve(byn_map *m);

/* Takes the value out and answers it, or NULL. */
void *byn_map_remove(byn_map *m, uint64_t key);

/* Visits the entries in table order: start with *cursor = 0. The map must
 * not change between two calls. */
bool byn_map_next(const byn_map *m, uint32_t *cursor, byn_map_entry *out);

#endif
