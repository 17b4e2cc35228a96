/* Timers: a binary heap of (at, sequence, slot) beside an array of slots.
 *
 * A slot holds what does not take part in the ordering, and where its entry
 * stands in the heap. A handle is the slot's generation and its number; the
 * generation moves on when the slot is given back, so an old handle finds
 * nothing. A slot whose generations are used up is never used again.
 */
#include "timers.h"

#include "assert.h"

#define NO_SLOT UINT32_MAX
#define SMALLEST 16

typedef struct heap_entry {
  int64_t at;
  uint64_t sequence;
  uint32_t slot;
} heap_entry;

typedef struct timer_slot {
  void *owner;
  uint32_t kind;
  uint32_t generation; /* from 1, so that no handle is 0 */
  uint32_t place;      /* in the heap; in a free slot the next free one */
  bool waiting;        /* it has an entry in the heap */
} timer_slot;

struct byn_timers {
  byn_alloc alloc;
  heap_entry *heap;
  timer_slot *slots;
  uint32_t count, heap_capacity;
  uint32_t slots_made, slot_capacity;
  uint32_t free_slot; /* NO_SLOT when there is none */
  uint64_t sequence;
};

byn_timers *byn_timers_new(const byn_alloc *alloc) {
  byn_timers *t = byn_new(alloc, sizeof *t);
  if (!t) return NULL;
  byn_timers empty = {.alloc = *alloc, .free_slot = NO_SLOT};
  *t = empty;
  return t;
}

void byn_timers_free(byn_timers *t) {
  if (!t) return;
  byn_alloc alloc = t->alloc;
  byn_free(&alloc, t->heap, t->heap_capacity * sizeof *t->heap);
  byn_free(&alloc, t->slots, t->slot_capacity * sizeof *t->slots);
  byn_free(&alloc, t, sizeof *t);
}

/* ---- the heap ---- */

static bool is_before(const heap_entry *a, const heap_entry *b) {
  if (a->at != b->at) return a->at < b->at;
  return a->sequence < b->sequence;
}

static void put_at(byn_timers *t, uint32_t place, heap_entry entry) {
  t->heap[place] = entry;
  t->slots[entry.slot].place = place;
}

/* Is the entry at `place` known to its slot, and neither before its parent nor
 * behind a child? */
static bool is_in_order(const byn_timers *t, uint32_t place) {
  const heap_entry *e = &t->heap[place];
  if (place >= t->count || e->slot >= t->slots_made) return false;
  if (!t->slots[e->slot].waiting || t->slots[e->slot].place != place)
    return false;
  if (place > 0 && is_before(e, &t->heap[(place - 1) / 2])) return false;
  for (uint32_t side = 1; side <= 2; side++) {
    uint64_t child = (uint64_t)2 * place + side;
    if (child < t->count && is_before(&t->heap[child], e)) return false;
  }
  return true;
}

/* A larger heap is not looked through each time. */
enum { LOOKED_THROUGH = 16 };

static bool is_sound(const byn_timers *t) {
  if (t->count > t->heap_capacity || t->slots_made > t->slot_capacity)
    return false;
  if (t->count > t->slots_made) return false;
  for (uint32_t i = 0; i < t->count && i < LOOKED_THROUGH; i++)
    if (!is_in_order(t, i)) return false;
  return true;
}

/* Puts `entry` at `place` or above it. */
static void sift_up(byn_timers *t, uint32_t place, heap_entry entry) {
  while (place > 0) {
    uint32_t parent = (place - 1) / 2;
    if (!is_before(&entry, &t->heap[parent])) break;
    put_at(t, place, t->heap[parent]);
    place = parent;
  }
  put_at(t, place, entry);
  byn_assert(is_in_order(t, place));
}

/* Puts `entry` at `place` or below it. */
static void sift_down(byn_timers *t, uint32_t place, heap_entry entry) {
  while (place < t->count / 2) {
    uint32_t child = 2 * place + 1;
    if (child + 1 < t->count && is_before(&t->heap[child + 1], &t->heap[child]))
      child++;
    if (!is_before(&t->heap[child], &entry)) break;
    put_at(t, place, t->heap[child]);
    place = child;
  }
  put_at(t, place, entry);
  byn_assert(is_in_order(t, place));
}

/* Puts `entry` at `place`, above or below it. */
static void sift(byn_timers *t, uint32_t place, heap_entry entry) {
  if (place > 0 && is_before(&entry, &t->heap[(place - 1) / 2]))
    sift_up(t, place, entry);
  else
    sift_down(t, place, entry);
}

/* Takes out the entry at `place`; the last one takes its room. */
static void heap_remove(byn_timers *t, uint32_t place) {
  byn_assert(is_in_order(t, place));
  heap_entry last = t->heap[--t->count];
  if (place < t->count) sift(t, place, last);
}

/* ---- the slots ---- */

/* Doubles an array in place; false leaves it as it was. */
static bool double_array(const byn_alloc *alloc, void **array,
                         uint32_t *capacity, size_t size) {
  if (*capacity > UINT32_MAX / 2 || *capacity > SIZE_MAX / 2 / size)
    return false;
  uint32_t wanted = *capacity ? *capacity * 2 : SMALLEST;
  void *p = byn_resize(alloc, *array, *capacity * size, wanted * size);
  if (!p) return false;
  *array = p;
  *capacity = wanted;
  return true;
}

/* Room for one more entry. */
static bool reserve_entry(byn_timers *t) {
  if (t->count < t->heap_capacity) return true;
  void *heap = t->heap;
  bool ok = double_array(&t->alloc, &heap, &t->heap_capacity, sizeof *t->heap);
  t->heap = heap;
  return ok;
}

/* Room for one more slot that was never used. */
static bool reserve_slot(byn_timers *t) {
  if (t->slots_made < t->slot_capacity) return true;
  void *slots = t->slots;
  bool ok =
      double_array(&t->alloc, &slots, &t->slot_capacity, sizeof *t->slots);
  t->slots = slots;
  return ok;
}

/* A slot to use, its generation set; NO_SLOT when memory is short. */
static uint32_t take_slot(byn_timers *t) {
  uint32_t slot = t->free_slot;
  if (slot != NO_SLOT) {
    byn_assert(!t->slots[slot].waiting);
    t->free_slot = t->slots[slot].place;
    return slot;
  }
  if (!reserve_slot(t)) return NO_SLOT;
  slot = t->slots_made++;
  t->slots[slot].generation = 1;
  return slot;
}

static void give_slot(byn_timers *t, uint32_t slot) {
  timer_slot *s = &t->slots[slot];
  byn_assert(s->waiting);
  s->waiting = false;
  if (s->generation == UINT32_MAX) return;
  s->generation++;
  s->place = t->free_slot;
  t->free_slot = slot;
}

static byn_timer handle_of(const byn_timers *t, uint32_t slot) {
  byn_assert(t->slots[slot].generation > 0);
  return (byn_timer)t->slots[slot].generation << 32 | slot;
}

/* ---- the set ---- */

byn_timer byn_timers_add(byn_timers *t, int64_t at, uint32_t kind,
                         void *owner) {
  byn_assert(is_sound(t));
  if (!reserve_entry(t)) return 0;
  uint32_t slot = take_slot(t);
  if (slot == NO_SLOT) return 0;
  timer_slot *s = &t->slots[slot];
  s->owner = owner;
  s->kind = kind;
  s->waiting = true;
  heap_entry entry = {at, t->sequence++, slot};
  sift_up(t, t->count++, entry);
  byn_assert(is_sound(t));
  return handle_of(t, slot);
}

void byn_timers_move(byn_timers *t, byn_timer timer, int64_t at) {
  uint32_t slot = (uint32_t)timer;
  byn_assert(is_sound(t) && slot < t->slots_made);
  byn_assert(t->slots[slot].waiting && handle_of(t, slot) == timer);
  sift(t, t->slots[slot].place, (heap_entry){at, t->sequence++, slot});
  byn_assert(is_sound(t));
}

static byn_due due_at(const byn_timers *t, uint32_t place) {
  const heap_entry *entry = &t->heap[place];
  const timer_slot *s = &t->slots[entry->slot];
  return (byn_due){.timer = handle_of(t, entry->slot),
                   .at = entry->at,
                   .kind = s->kind,
                   .owner = s->owner};
}

static void take_timer_at(byn_timers *t, uint32_t place, byn_due *due) {
  uint32_t slot = t->heap[place].slot;
  byn_assert(is_sound(t));
  *due = due_at(t, place);
  heap_remove(t, place);
  give_slot(t, slot);
  byn_assert(is_sound(t));
}

bool byn_timers_pop(byn_timers *t, int64_t now, byn_due *due) {
  if (t->count == 0 || t->heap[0].at > now) return false;
  take_timer_at(t, 0, due);
  byn_assert(t->count == 0 || t->heap[0].at >= due->at);
  return true;
}

/* The places of those due at or before `now`, from the top of the heap down:
 * none is due below one that is not. */
static uint32_t find_due(const byn_timers *t, int64_t now, uint32_t *places,
                         uint32_t max) {
  uint32_t n = 0;
  if (t->count && t->heap[0].at <= now) places[n++] = 0;
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t side = 1; side <= 2 && n < max; side++) {
      uint32_t child = 2 * places[i] + side;
      if (child < t->count && t->heap[child].at <= now) places[n++] = child;
    }
  }
  return n;
}

uint32_t byn_timers_due(const byn_timers *t, int64_t now, byn_due *all,
                        uint32_t max) {
  uint32_t places[BYN_TIMERS_DUE];
  if (max > BYN_TIMERS_DUE) max = BYN_TIMERS_DUE;
  uint32_t n = max ? find_due(t, now, places, max) : 0;
  for (uint32_t i = 1; i < n; i++) { /* almost in order: by insertion */
    uint32_t place = places[i], at = i;
    for (; at && is_before(&t->heap[place], &t->heap[places[at - 1]]); at--)
      places[at] = places[at - 1];
    places[at] = place;
  }
  for (uint32_t i = 0; i < n; i++)
    all[i] = due_at(t, places[i]);
  return n;
}

bool byn_timers_take(byn_timers *t, byn_timer timer, byn_due *due) {
  uint32_t slot = (uint32_t)timer;
  if (slot >= t->slots_made) return false;
  if (!t->slots[slot].waiting || handle_of(t, slot) != timer) return false;
  take_timer_at(t, t->slots[slot].place, due);
  byn_assert(due->timer == timer);
  return true;
}

bool byn_timers_cancel(byn_timers *t, byn_timer timer, int64_t *at) {
  byn_due due;
  if (!byn_timers_take(t, timer, &due)) return false;
  if (at) *at = due.at;
  return true;
}

int64_t byn_timers_next(const byn_timers *t) {
  return t->count ? t->heap[0].at : BYN_NEVER;
}

uint32_t byn_timers_count(const byn_timers *t) {
  return t->count;
}
