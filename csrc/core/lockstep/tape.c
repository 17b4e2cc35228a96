/* The choices of one run, as they are recorded and replayed. */
#include "tape.h"

#include <string.h>

#include "../assert.h"

#define CAPACITY_MIN 64
#define CAPACITY_MAX (1u << 29) /* its bytes fit a size_t of 32 bits */

static void tape_reset(byn_tape *t) {
  t->count = 0;
  t->script_count = 0;
  t->replaying = false;
  t->failed = false;
}

void byn_tape_init(byn_tape *t, const byn_alloc *alloc) {
  memset(t, 0, sizeof *t);
  t->alloc = alloc;
  tape_reset(t);
}

void byn_tape_clear(byn_tape *t) {
  byn_free(t->alloc, t->values, t->capacity * sizeof *t->values);
  byn_free(t->alloc, t->script, t->script_capacity * sizeof *t->script);
  byn_tape_init(t, t->alloc);
}

void byn_tape_record(byn_tape *t) {
  tape_reset(t);
}

static bool reserve_values(const byn_alloc *alloc, uint32_t **list,
                           uint32_t *capacity, uint32_t wanted) {
  if (wanted <= *capacity) return true;
  if (wanted > CAPACITY_MAX) return false;
  uint32_t size = *capacity ? *capacity : CAPACITY_MIN;
  while (size < wanted)
    size *= 2;
  uint32_t *bigger =
      byn_resize(alloc, *list, *capacity * sizeof **list, size * sizeof **list);
  if (!bigger) return false;
  *list = bigger;
  *capacity = size;
  byn_assert(*capacity >= wanted);
  return true;
}

/* Makes room for as many values as the script has, so that none of its choices
 * can be lost during the replay. `values` may be the tape's own list: the
 * script is filled before that list can move. */
bool byn_tape_replay(byn_tape *t, const uint32_t *values, uint32_t count) {
  tape_reset(t);
  if (!reserve_values(t->alloc, &t->script, &t->script_capacity, count))
    return false;
  if (count > 0) memmove(t->script, values, count * sizeof *values);
  if (!reserve_values(t->alloc, &t->values, &t->capacity, count)) return false;
  t->script_count = count;
  t->replaying = true;
  byn_assert(t->script_count <= t->script_capacity);
  byn_assert(t->script_count <= t->capacity);
  return true;
}

/* Once a choice could not be kept, none after it is: the tape ends too early,
 * but it has no gap. */
static void append_choice(byn_tape *t, uint32_t choice) {
  byn_assert(t->count <= t->capacity);
  if (t->failed) return;
  if (t->count == t->capacity &&
      !reserve_values(t->alloc, &t->values, &t->capacity, t->count + 1)) {
    t->failed = true;
    return;
  }
  t->values[t->count++] = choice;
  byn_assert(t->count <= t->capacity);
}

void byn_tape_note(byn_tape *t, uint32_t n, uint32_t choice) {
  byn_assert(!t->replaying);
  byn_assert(n >= 1 && choice < n);
  if (n > 1) append_choice(t, choice);
}

/* Each answer goes onto the tape, so that the number of choices on it is the
 * place in the script. */
static uint32_t scripted_choice(const byn_tape *t, uint32_t n) {
  if (t->count >= t->script_count) return 0;
  uint32_t value = t->script[t->count];
  return value < n ? value : n - 1;
}

uint32_t byn_tape_answer(byn_tape *t, uint32_t n) {
  byn_assert(t->replaying);
  byn_assert(n >= 1);
  if (n <= 1) return 0;
  uint32_t choice = scripted_choice(t, n);
  append_choice(t, choice);
  byn_assert(choice < n);
  byn_assert(!t->failed || t->count >= t->script_count);
  return choice;
}
