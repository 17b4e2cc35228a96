/* What is shown of a child: the process that it is, in alternation. */
#include "show.h"

#include "../assert.h"

/* Why the process that was shown is not any more. */
static void explain_end(byn_dist *d, const byn_place *p, byn_dist_action *a) {
  byn_generation *g = byn_place_find(p, p->shown_token);
  const byn_register *r = NULL;
  if (g && !g->ended) r = byn_register_find(g, p->shown_host);
  const byn_blob *reason = NULL;
  if (!g) {
    a->why = BYN_DIST_WHY_ENDED;
  } else if (g->ended) {
    a->why = (byn_dist_why)g->end.why;
    reason = &g->end.reason;
  } else if (p->shown_host->gone || p->shown_host->unseen || !r) {
    a->why = BYN_DIST_WHY_NOCONNECTION;
  } else if (r->state == BYN_REGISTER_RUNNING && r->run == p->shown_run) {
    a->why = BYN_DIST_WHY_CONFLICT;
  } else {
    a->why = (byn_dist_why)r->why;
    reason = &r->reason;
  }
  if (!reason || !reason->at) return;
  /* The place may change while the action is read. */
  if (byn_blob_set(&d->taken_reason, &d->alloc, reason->at, reason->n))
    a->reason = (byn_dist_bytes){d->taken_reason.at, d->taken_reason.n};
}

static void count_shown(byn_dist *d, const byn_place *p, int change) {
  if (!p->shown.at) return;
  d->shown += (uint32_t)change;
  if (p->shown_host == d->self) d->shown_here += (uint32_t)change;
}

/* No process follows: each generation has ended, or is to end with its host. */
static bool is_final(const byn_place *p) {
  for (const byn_generation *g = p->generations; g; g = g->next) {
    bool temporary = (g->flags & BYN_DIST_TEMPORARY) && g->ran;
    bool over = temporary && !byn_generation_active(g) &&
                !byn_generation_is_on_its_way(g);
    if (!g->ended && !over) return false;
  }
  return true;
}

/* The process that is shown is about to stop, or is not any more. */
static bool show_hold(byn_dist *d, byn_place *p, const byn_register *now,
                      byn_dist_action *a) {
  bool held = now && now->moving;
  if (held == p->held) return false;
  p->held = held;
  d->shown_held += held ? 1 : (uint32_t)-1;
  a->kind = BYN_DIST_HOLD;
  a->id = byn_place_id(p);
  a->held = held;
  return true;
}

bool byn_show(byn_dist *d, byn_place *p, byn_dist_action *a, bool *starved) {
  byn_generation *g = NULL;
  byn_register *now = byn_place_seen(p, d->newest, &g);
  if ((now ? now->run : 0) == p->shown_run) return show_hold(d, p, now, a);
  byn_blob pid = {0};
  if (now && !byn_blob_set(&pid, &d->alloc, now->pid.at, now->pid.n)) {
    *starved = true;
    return false;
  }
  a->kind = BYN_DIST_SHOW;
  a->id = byn_place_id(p);
  a->final = !now && is_final(p);
  a->here = now && now->host == d->self;
  if (p->shown.at) explain_end(d, p, a);
  if (a->why == BYN_DIST_WHY_IDLE) a->final = false;
  const byn_host *where = now ? now->host : p->shown_host;
  a->node = where->name;
  count_shown(d, p, -1);
  byn_blob_clear(&d->taken_pid, &d->alloc);
  d->taken_pid = p->shown;
  p->shown = pid;
  a->old_pid = (byn_dist_bytes){d->taken_pid.at, d->taken_pid.n};
  a->pid = (byn_dist_bytes){p->shown.at, p->shown.n};
  if (p->shown_host) p->shown_host->registers--;
  p->shown_host = now ? now->host : NULL;
  if (now) now->host->registers++;
  p->shown_run = now ? now->run : 0;
  p->shown_token = now ? g->token : 0;
  count_shown(d, p, 1);
  byn_assert(a->old_pid.at || a->pid.at);
  return true;
}
