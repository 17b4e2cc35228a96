/* Rosters: things sorted by their names. */
#include "roster.h"

#include <string.h>

#include "assert.h"

/* Where `name` is, or where it would go. */
static bool find_name(const byn_roster *r, const char *name, uint32_t *index) {
  uint32_t low = 0, high = r->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = strcmp(r->at[middle].name, name);
    if (order == 0) {
      *index = middle;
      return true;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *index = low;
  return false;
}

bool byn_roster_reserve(const byn_alloc *alloc, byn_roster *r, uint32_t count) {
  if (count <= r->capacity) return true;
  uint32_t capacity = r->capacity ? r->capacity * 2 : 8;
  struct byn_roster_entry *at =
      byn_resize(alloc, r->at, r->capacity * sizeof *at, capacity * sizeof *at);
  if (!at) return false;
  r->at = at;
  r->capacity = capacity;
  return true;
}

void byn_roster_free(const byn_alloc *alloc, byn_roster *r) {
  byn_free(alloc, r->at, r->capacity * sizeof *r->at);
  *r = (byn_roster){0};
}

void *byn_roster_get(const byn_roster *r, const char *name) {
  uint32_t index;
  return find_name(r, name, &index) ? r->at[index].thing : NULL;
}

void byn_roster_insert(byn_roster *r, const char *name, void *thing) {
  uint32_t index;
  if (find_name(r, name, &index)) return;
  byn_assert(r->count < r->capacity);
  memmove(r->at + index + 1, r->at + index, (r->count - index) * sizeof *r->at);
  r->at[index].name = name;
  r->at[index].thing = thing;
  r->count++;
  byn_assert(byn_roster_is_sorted(r, index));
}

void byn_roster_remove(byn_roster *r, const char *name) {
  uint32_t index;
  if (!find_name(r, name, &index)) return;
  r->count--;
  memmove(r->at + index, r->at + index + 1, (r->count - index) * sizeof *r->at);
  byn_assert(byn_roster_is_sorted(r, index));
}

bool byn_roster_is_sorted(const byn_roster *r, uint32_t index) {
  uint32_t first = index > 0 ? index - 1 : 0;
  for (uint32_t i = first; i < index + 1 && i + 1 < r->count; i++)
    if (strcmp(r->at[i].name, r->at[i + 1].name) >= 0) return false;
  return r->count <= r->capacity;
}
