/* An agenda: who of very many is due next, and who has changed.
 *
 * Whoever is on it has an entry, which is a part of its own record, and a
 * place among the deadlines from _join to _leave. When something happened to
 * one of them its owner says so (_touch), which is all that is done at that
 * moment. Before the deadline is asked for, the owner looks at those that were
 * touched (_next_touched) and sets when each is due again (_set). So what is
 * done in a step depends on how many of them had anything to do, and not on how
 * many there are.
 *
 *   at rest    due at `at`, which may be BYN_NEVER
 *   touched    it may be due at another time than `at`
 *
 * Both lists are in an order that depends on nothing but the calls: of those
 * due at one instant who was set first comes first, and the touched come in the
 * order in which they were.
 */
#ifndef BYN_AGENDA_H
#define BYN_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "timers.h"

typedef struct byn_entry {
  void *owner;
  uint32_t kind; /* the owner's */
  byn_timer timer;
  int64_t at;
  struct byn_entry *next, *previous; /* of the touched */
  bool touched;
} byn_entry;

typedef struct byn_agenda {
  byn_timers *timers;
  byn_entry *first, *last; /* of the touched */
} byn_agenda;

/* false when memory is short; _close is right in either case. */
bool byn_agenda_open(byn_agenda *a, const byn_alloc *alloc);
void byn_agenda_close(byn_agenda *a);

/* Takes an entry in, touched and due never; false when memory is short. From
 * then on nothing about it needs memory. */
bool byn_agenda_join(byn_agenda *a, byn_entry *e, uint32_t kind, void *owner);
/* Nothing happens if it is not on it: all of it is zero, or it has left. */
void byn_agenda_leave(byn_agenda *a, byn_entry *e);

/* Something happened to its owner. O(1). */
void byn_agenda_touch(byn_agenda *a, byn_entry *e);
/* Takes the first one out of the touched, or NULL: what it is due is to be
 * _set. O(1). */
byn_entry *byn_agenda_next_touched(byn_agenda *a);
/* Is anybody touched? */
bool byn_agenda_has_touched(const byn_agenda *a);

/* It is due at `at`. O(log n), or O(1) where it was before. */
void byn_agenda_set(byn_agenda *a, byn_entry *e, int64_t at);

/* The first that is due at or before `now`, or NULL; it is touched, and not due
 * until it is set again. So each of them comes once. O(log n). */
byn_entry *byn_agenda_next_due(byn_agenda *a, int64_t now);

/* The earliest deadline that was set, of the touched as well, or BYN_NEVER. */
int64_t byn_agenda_deadline(const byn_agenda *a);

#endif
