#include "map.h"

#include <string.h>

#define SMALLEST 8

/* The finalizer of splitmix64: keys that differ in few bits, as counters do,
 * come out far apart. */
static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

static uint32_t home_of(const byn_map *m, uint64_t key) {
  return (uint32_t)mix(key) & (m->capacity - 1);
}

/* Where the key is, or the free place where it would go. There always is a
 * free place: the table is at most three quarters full. */
static uint32_t find(const byn_map *m, uint64_t key) {
  uint32_t i = home_of(m, key);
  while (m->entries[i].value && m->entries[i].key != key)
    i = (i + 1) & (m->capacity - 1);
  return i;
}

void byn_map_init(byn_map *m, const byn_alloc *alloc) {
  m->alloc = alloc;
  m->entries = NULL;
  m->capacity = 0;
  m->count = 0;
}

void byn_map_clear(byn_map *m) {
  byn_free(m->alloc, m->entries, m->capacity * sizeof *m->entries);
  byn_map_init(m, m->alloc);
}

void byn_map_empty(byn_map *m) {
  if (m->count > 0) memset(m->entries, 0, m->capacity * sizeof *m->entries);
  m->count = 0;
}

void *byn_map_get(const byn_map *m, uint64_t key) {
  if (m->count == 0) return NULL;
  return m->entries[find(m, key)].value;
}

static bool is_full(const byn_map *m) {
  return m->count >= m->capacity - m->capacity / 4;
}

static bool can_double(size_t capacity, size_t entry_size) {
  return capacity <= UINT32_MAX / 2 && capacity <= SIZE_MAX / 2 / entry_size;
}

static bool grow(byn_map *m) {
  byn_map bigger = *m;
  if (!can_double(m->capacity, sizeof *m->entries)) return false;
  bigger.capacity = m->capacity ? m->capacity * 2 : SMALLEST;
  size_t size = bigger.capacity * sizeof *bigger.entries;
  bigger.entries = byn_new(m->alloc, size);
  if (!bigger.entries) return false;
  memset(bigger.entries, 0, size);

  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(m, &cursor, &entry);)
    bigger.entries[find(&bigger, entry.key)] = entry;
  byn_free(m->alloc, m->entries, m->capacity * sizeof *m->entries);
  *m = bigger;
  return true;
}

bool byn_map_reserve(byn_map *m) {
  return !is_full(m) || grow(m);
}

bool byn_map_put(byn_map *m, uint64_t key, void *value) {
  if (!value) {
    byn_map_remove(m, key);
    return true;
  }
  if (m->count > 0) {
    byn_map_entry *old = &m->entries[find(m, key)];
    if (old->value) {
      old->value = value;
      return true;
    }
  }
  if (!byn_map_reserve(m)) return false;
  byn_map_entry *e = &m->entries[find(m, key)];
  e->key = key;
  e->value = value;
  m->count++;
  return true;
}

/* Closes the gap at `hole` so that no probe stops short: an entry further
 * on moves back unless its home lies after the hole. */
static void close_gap(byn_map *m, uint32_t hole) {
  uint32_t mask = m->capacity - 1;
  for (uint32_t i = (hole + 1) & mask; m->entries[i].value;
       i = (i + 1) & mask) {
    uint32_t from_home = (i - home_of(m, m->entries[i].key)) & mask;
    if (from_home < ((i - hole) & mask)) continue;
    m->entries[hole] = m->entries[i];
    hole = i;
  }
  m->entries[hole].value = NULL;
}

void *byn_map_remove(byn_map *m, uint64_t key) {
  if (m->count == 0) return NULL;
  uint32_t i = find(m, key);
  void *value = m->entries[i].value;
  if (!value) return NULL;
  close_gap(m, i);
  m->count--;
  return value;
}

bool byn_map_next(const byn_map *m, uint32_t *cursor, byn_map_entry *out) {
  for (uint32_t i = *cursor; i < m->capacity; i++) {
    if (!m->entries[i].value) continue;
    *out = m->entries[i];
    *cursor = i + 1;
    return true;
  }
  *cursor = m->capacity;
  return false;
}
