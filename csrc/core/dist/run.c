/* Records of this node's runs, and what they write into places. */
#include "run.h"

#include "../assert.h"
#include "../coverage.h"
#include "checkpoint.h"
#include "move.h"

BYN_MACHINE("dist: a run", "queued starting running stopping waiting idle",
            "end none starting running waiting refused freed");

#ifdef BYN_COVERAGE
static const unsigned written_events[] = {[BYN_REGISTER_NONE] = 1,
                                          [BYN_REGISTER_STARTING] = 2,
                                          [BYN_REGISTER_RUNNING] = 3,
                                          [BYN_REGISTER_WAITING] = 4,
                                          [BYN_REGISTER_REFUSED] = 5};
#endif

byn_run *byn_run_new(byn_dist *d, byn_place *p, const byn_generation *g) {
  byn_assert(!p->run && !g->ended && g->spec_set);
  byn_run *run = byn_new(&d->alloc, sizeof *run);
  if (!run) return NULL;
  *run = (byn_run){.place = p, .token = g->token, .state = BYN_RUN_QUEUED};
  byn_intensity_init(&run->intensity, &d->alloc, d->max_restarts, d->max_ms);
  run->backoff = d->backoff;
  if (g->own_backoff) {
    run->backoff.min = g->backoff_min;
    run->backoff.max = g->backoff_max;
    run->backoff.factor = g->backoff_factor;
    run->backoff.jitter = g->backoff_jitter;
  }
  run->backoff.reset_after = BYN_NEVER; /* a heal resets it */
  run->backoff.wait = 0;
  run->backoff.timer = 0;
  p->run = run;
  d->run_count++;
  return run;
}

void byn_run_free(byn_dist *d, byn_run *run) {
  byn_assert(run->place->run == run && d->run_count > 0 && !run->under_way);
  BYN_COVER(run->state, "freed");
  byn_run_delist(run);
  byn_move_forget(d, run);
  byn_checkpoint_forget_run(d, run);
  byn_blob_clear(&run->gone_reason, &d->alloc);
  byn_timers_cancel(d->timers, run->backoff.timer, NULL);
  if (run->child) byn_map_remove(&d->children, run->child);
  byn_intensity_clear(&run->intensity);
  byn_blob_clear(&run->pid, &d->alloc);
  byn_blob_clear(&run->winner, &d->alloc);
  if (run->state == BYN_RUN_IDLE) d->idle_count--;
  run->place->run = NULL;
  byn_registry_touch(&d->registry, run->place);
  byn_free(&d->alloc, run, sizeof *run);
  d->run_count--;
  if (d->refusals > 0) d->retake_room = true;
}

byn_run *byn_run_find(const byn_dist *d, uint32_t child) {
  return byn_map_get(&d->children, child);
}

bool byn_run_number(byn_dist *d, byn_run *run) {
  if (!byn_map_reserve(&d->children)) return false;
  if (run->child) byn_map_remove(&d->children, run->child);
  do
    d->last_child++;
  while (d->last_child == 0 || byn_map_get(&d->children, d->last_child));
  run->child = d->last_child;
  byn_map_put(&d->children, run->child, run);
  return true;
}

void byn_run_enlist(byn_run_list *list, byn_run *run) {
  byn_run_delist(run);
  run->list = list;
  run->before = list->last;
  run->after = NULL;
  if (list->last)
    list->last->after = run;
  else
    list->first = run;
  list->last = run;
  list->count++;
}

void byn_run_delist(byn_run *run) {
  byn_run_list *list = run->list;
  if (!list) return;
  byn_assert(list->count > 0);
  if (run->before)
    run->before->after = run->after;
  else
    list->first = run->after;
  if (run->after)
    run->after->before = run->before;
  else
    list->last = run->before;
  run->before = run->after = NULL;
  run->list = NULL;
  list->count--;
}

void byn_run_begin_start(byn_run *run, byn_run_list *from) {
  byn_assert(!run->under_way && !run->list);
  run->under_way = true;
  run->from = from;
  from->under_way++;
}

void byn_run_end_start(byn_run *run) {
  byn_assert(run->under_way && run->from->under_way > 0);
  run->under_way = false;
  run->from->under_way--;
}

bool byn_run_write(byn_dist *d, byn_place *p, byn_generation *g,
                   const byn_written *w) {
  byn_assert(!g->ended);
  byn_assert(w->state != BYN_REGISTER_RUNNING || (w->pid.at && w->run));
  BYN_COVER_NTH(p->run ? p->run->state : BYN_RUN_QUEUED,
                written_events[w->state]);
  byn_blob pid = {0}, reason = {0};
  byn_register *r = byn_register_of(g, &d->alloc, d->self);
  if (!r || !byn_blob_set(&pid, &d->alloc, w->pid.at, w->pid.n) ||
      !byn_blob_set(&reason, &d->alloc, w->reason.at, w->reason.n)) {
    byn_blob_clear(&pid, &d->alloc);
    return false;
  }
  byn_blob_clear(&r->pid, &d->alloc);
  byn_blob_clear(&r->reason, &d->alloc);
  if (r->state == BYN_REGISTER_REFUSED && d->refusals > 0) d->refusals--;
  if (w->state == BYN_REGISTER_REFUSED) d->refusals++;
  r->pid = pid;
  r->reason = reason;
  r->version++;
  r->state = (uint8_t)w->state;
  r->why = w->why;
  r->run = w->run;
  r->begun = w->begun;
  r->history = w->history;
  r->awoke = 0;
  r->moving = false;
  if (w->state == BYN_REGISTER_RUNNING) g->ran = true;
  byn_registry_changed(&d->registry, p);
  byn_registry_publish(&d->registry, p, false);
  return true;
}

void byn_run_write_awoke(byn_dist *d) {
  uint64_t now = byn_registry_stamp(&d->registry);
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&d->children, &cursor, &entry);) {
    const byn_run *run = entry.value;
    byn_generation *g = byn_place_find(run->place, run->token);
    if (run->state != BYN_RUN_RUNNING || !g || g->ended || !g->kept) continue;
    byn_register *own = byn_register_find(g, d->self);
    if (!own || own->run != run->id) continue;
    own->version++;
    own->awoke = now;
    byn_registry_changed(&d->registry, run->place);
    byn_registry_publish(&d->registry, run->place, false);
  }
}

void byn_run_end(byn_dist *d, byn_place *p, byn_generation *g,
                 const byn_end_reason *reason) {
  if (p->run && p->run->token == g->token) BYN_COVER(p->run->state, "end");
  byn_register *own = byn_register_find(g, d->self);
  if (own && own->state == BYN_REGISTER_REFUSED && d->refusals > 0)
    d->refusals--;
  byn_place_end(p, &d->alloc, g, byn_registry_stamp(&d->registry), reason);
  byn_registry_changed(&d->registry, p);
  byn_registry_publish(&d->registry, p, false);
}

void byn_run_write_failures(byn_dist *d, byn_place *p, byn_generation *g,
                            uint32_t count, uint8_t why,
                            byn_dist_bytes reason) {
  byn_assert(!g->ended);
  g->failures.version = byn_registry_stamp(&d->registry);
  g->failures.count = count;
  g->failures.why = why;
  if (!byn_blob_set(&g->failures.reason, &d->alloc, reason.at, reason.n))
    byn_blob_clear(&g->failures.reason, &d->alloc);
  byn_registry_changed(&d->registry, p);
  byn_registry_publish(&d->registry, p, false);
}

void byn_run_set_timer(byn_dist *d, byn_run *run, int64_t at) {
  byn_timers_cancel(d->timers, run->backoff.timer, NULL);
  run->backoff.timer = byn_timers_add(d->timers, at, BYN_TIMER_RUN, run);
  run->retry_at = at;
}
