#include "tape.h"

#include <string.h>

#define SMALLEST 64
#define MOST (1u << 29) /* so that its bytes fit a size_t of 32 bits */

static void restart(byn_tape *t) {
  t->count = 0;
  t->script_count = 0;
  t->replaying = false;
  t->failed = false;
}

void byn_tape_init(byn_tape *t, const byn_alloc *alloc) {
  memset(t, 0, sizeof *t);
  t->alloc = alloc;
  restart(t);
}

void byn_tape_clear(byn_tape *t) {
  byn_free(t->alloc, t->values, t->capacity * sizeof *t->values);
  byn_free(t->alloc, t->script, t->script_capacity * sizeof *t->script);
  byn_tape_init(t, t->alloc);
}

void byn_tape_record(byn_tape *t) {
  restart(t);
}

static bool reserve(const byn_alloc *alloc, uint32_t **list, uint32_t *capacity,
                    uint32_t wanted) {
  if (wanted <= *capacity) return true;
  if (wanted > MOST) return false;
  uint32_t size = *capacity ? *capacity : SMALLEST;
  while (size < wanted)
    size *= 2;
  uint32_t *bigger =
      byn_resize(alloc, *list, *capacity * sizeof **list, size * sizeof **list);
  if (!bigger) return false;
  *list = bigger;
  *capacity = size;
  return true;
}

/* Room for as many values as the script has is made here, so that no choice
 * of the script can be lost on the way. `values` may be the tape's own list,
 * so the script is filled before that list can move. */
bool byn_tape_replay(byn_tape *t, const uint32_t *values, uint32_t count) {
  restart(t);
  if (!reserve(t->alloc, &t->script, &t->script_capacity, count)) return false;
  if (count > 0) memmove(t->script, values, count * sizeof *values);
  if (!reserve(t->alloc, &t->values, &t->capacity, count)) return false;
  t->script_count = count;
  t->replaying = true;
  return true;
}

/* After a choice that was lost no other is kept: a tape may be short, but has
 * no gap. */
static void append(byn_tape *t, uint32_t choice) {
  if (t->failed) return;
  if (t->count == t->capacity &&
      !reserve(t->alloc, &t->values, &t->capacity, t->count + 1)) {
    t->failed = true;
    return;
  }
  t->values[t->count++] = choice;
}

void byn_tape_note(byn_tape *t, uint32_t n, uint32_t choice) {
  if (n > 1) append(t, choice);
}

/* Each answer goes onto the tape, so its length is the place in the script. */
static uint32_t scripted(const byn_tape *t, uint32_t n) {
  if (t->count >= t->script_count) return 0;
  uint32_t value = t->script[t->count];
  return value < n ? value : n - 1;
}

uint32_t byn_tape_answer(byn_tape *t, uint32_t n) {
  if (n <= 1) return 0;
  uint32_t choice = scripted(t, n);
  append(t, choice);
  return choice;
}
