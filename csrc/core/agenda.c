/* Agendas: timers that are moved, and a list of those that were touched. */
#include "agenda.h"

#include "assert.h"

bool byn_agenda_open(byn_agenda *a, const byn_alloc *alloc) {
  *a = (byn_agenda){.timers = byn_timers_new(alloc)};
  return a->timers != NULL;
}

void byn_agenda_close(byn_agenda *a) {
  byn_timers_free(a->timers);
  *a = (byn_agenda){0};
}

static void unlist(byn_agenda *a, byn_entry *e) {
  byn_assert(e->touched);
  *(e->previous ? &e->previous->next : &a->first) = e->next;
  *(e->next ? &e->next->previous : &a->last) = e->previous;
  e->next = e->previous = NULL;
  e->touched = false;
  byn_assert((a->first == NULL) == (a->last == NULL));
}

bool byn_agenda_join(byn_agenda *a, byn_entry *e, uint32_t kind, void *owner) {
  *e = (byn_entry){.kind = kind, .owner = owner, .at = BYN_NEVER};
  e->timer = byn_timers_add(a->timers, BYN_NEVER, kind, e);
  if (!e->timer) return false;
  byn_agenda_touch(a, e);
  return true;
}

void byn_agenda_leave(byn_agenda *a, byn_entry *e) {
  if (!e->timer) return;
  if (e->touched) unlist(a, e);
  byn_timers_cancel(a->timers, e->timer, NULL);
  e->timer = 0;
}

void byn_agenda_touch(byn_agenda *a, byn_entry *e) {
  byn_assert(e->timer);
  if (e->touched) return;
  e->touched = true;
  e->previous = a->last;
  *(a->last ? &a->last->next : &a->first) = e;
  a->last = e;
}

byn_entry *byn_agenda_next_touched(byn_agenda *a) {
  byn_entry *e = a->first;
  if (e) unlist(a, e);
  return e;
}

bool byn_agenda_has_touched(const byn_agenda *a) {
  return a->first != NULL;
}

void byn_agenda_set(byn_agenda *a, byn_entry *e, int64_t at) {
  byn_assert(e->timer);
  if (at == e->at) return;
  e->at = at;
  byn_timers_move(a->timers, e->timer, at);
}

byn_entry *byn_agenda_next_due(byn_agenda *a, int64_t now) {
  byn_due due;
  if (byn_timers_next(a->timers) > now) return NULL;
  if (!byn_timers_due(a->timers, now, &due, 1)) return NULL;
  byn_entry *e = due.owner;
  byn_assert(e->at == due.at && e->timer == due.timer);
  byn_agenda_set(a, e, BYN_NEVER);
  byn_agenda_touch(a, e);
  return e;
}

int64_t byn_agenda_deadline(const byn_agenda *a) {
  return byn_timers_next(a->timers);
}
