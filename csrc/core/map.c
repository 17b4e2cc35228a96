/* A hash map with open addressing and linear probing. */
#include "map.h"

#include <string.h>

#include "assert.h"

#define SMALLEST 8

/* The finalizer of splitmix64: keys that differ in few bits, as counters do,
 * come out far apart. */
static uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/* Where the search for a key begins. */
static uint32_t home_of(const byn_map *m, uint64_t key) {
  return (uint32_t)mix(key) & (m->capacity - 1);
}

/* Each search ends, because the table always has a free place: it is at most
 * three quarters full. */
static bool is_sound(const byn_map *m) {
  if (m->capacity == 0) return !m->entries && m->count == 0;
  return m->entries && (m->capacity & (m->capacity - 1)) == 0 &&
         m->count <= m->capacity - m->capacity / 4;
}

/* Where the key is, or the free place where it would go. */
static uint32_t find_place(const byn_map *m, uint64_t key) {
  byn_assert(m->capacity > 0);
  byn_assert(is_sound(m));
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
  byn_assert(is_sound(m));
  byn_free(m->alloc, m->entries, m->capacity * sizeof *m->entries);
  byn_map_init(m, m->alloc);
}

void byn_map_empty(byn_map *m) {
  byn_assert(is_sound(m));
  if (m->count > 0) memset(m->entries, 0, m->capacity * sizeof *m->entries);
  m->count = 0;
}

void *byn_map_get(const byn_map *m, uint64_t key) {
  if (m->count == 0) return NULL;
  return m->entries[find_place(m, key)].value;
}

static bool double_map(byn_map *m) {
  byn_map bigger = *m;
  size_t most = SIZE_MAX / 2 / sizeof *m->entries;
  if (m->capacity > UINT32_MAX / 2 || m->capacity > most) return false;
  bigger.capacity = m->capacity ? m->capacity * 2 : SMALLEST;
  size_t size = bigger.capacity * sizeof *bigger.entries;
  bigger.entries = byn_new(m->alloc, size);
  if (!bigger.entries) return false;
  memset(bigger.entries, 0, size);

  uint32_t moved = 0;
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(m, &cursor, &entry); moved++)
    bigger.entries[find_place(&bigger, entry.key)] = entry;
  byn_assert(moved == m->count);
  byn_free(m->alloc, m->entries, m->capacity * sizeof *m->entries);
  *m = bigger;
  return true;
}

bool byn_map_reserve(byn_map *m) {
  byn_assert(is_sound(m));
  bool full = m->count >= m->capacity - m->capacity / 4;
  if (full && !double_map(m)) return false;
  byn_assert(m->count < m->capacity - m->capacity / 4);
  return true;
}

bool byn_map_put(byn_map *m, uint64_t key, void *value) {
  if (!value) {
    byn_map_remove(m, key);
    return true;
  }
  if (m->count > 0) {
    byn_map_entry *old = &m->entries[find_place(m, key)];
    if (old->value) {
      old->value = value;
      return true;
    }
  }
  if (!byn_map_reserve(m)) return false;
  byn_map_entry *e = &m->entries[find_place(m, key)];
  byn_assert(!e->value);
  e->key = key;
  e->value = value;
  m->count++;
  byn_assert(is_sound(m));
  return true;
}

/* Fills the gap at `hole`, or a search would end there too early: an entry
 * further on moves back unless its home lies after the hole. */
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
  uint32_t i = find_place(m, key);
  void *value = m->entries[i].value;
  if (!value) return NULL;
  close_gap(m, i);
  m->count--;
  byn_assert(!byn_map_get(m, key));
  byn_assert(is_sound(m));
  return value;
}

bool byn_map_next(const byn_map *m, uint32_t *cursor, byn_map_entry *out) {
  byn_assert(*cursor <= m->capacity);
  for (uint32_t i = *cursor; i < m->capacity; i++) {
    if (!m->entries[i].value) continue;
    *out = m->entries[i];
    *cursor = i + 1;
    return true;
  }
  *cursor = m->capacity;
  return false;
}
