/* The decisions of a supervisor: plans, and the steps of one. */
#include "restart.h"

#include <string.h>

#include "assert.h"
#include "coverage.h"

BYN_MACHINE("restart: a child", "stopped starting running stopping restarting",
            "start restart_child terminate delete exited retry started ignored "
            "failed stopped kill due");

typedef struct byn_plan plan;

/* What a plan is for. */
enum { BOOT, START, RESTART_CHILD, TERMINATE, RESTART, SHUTDOWN };

/* How far it is. NONE: no plan is under way; OVER: none will be. */
enum { NONE, GIVING_UP, STOPS, STARTS, CLOSING, OVER };

/* --- lists ---------------------------------------------------------------- */

/* A child is in one queue at most. */
static void queue_add(byn_child_queue *q, byn_child *c) {
  byn_assert(!c->queue_next && !c->queue_previous && q->last != c);
  c->queue_previous = q->last;
  if (q->last)
    q->last->queue_next = c;
  else
    q->first = c;
  q->last = c;
}

static void queue_remove(byn_child_queue *q, byn_child *c) {
  byn_assert(c->queue_previous ? c->queue_previous->queue_next == c
                               : q->first == c);
  byn_assert(c->queue_next ? c->queue_next->queue_previous == c : q->last == c);
  if (c->queue_previous)
    c->queue_previous->queue_next = c->queue_next;
  else
    q->first = c->queue_next;
  if (c->queue_next)
    c->queue_next->queue_previous = c->queue_previous;
  else
    q->last = c->queue_previous;
  c->queue_next = c->queue_previous = NULL;
}

static byn_child *queue_take(byn_child_queue *q) {
  byn_child *c = q->first;
  if (c) queue_remove(q, c);
  return c;
}

static void children_append(byn_restart *r, byn_child *c) {
  byn_assert(c->state == BYN_CHILD_STOPPED);
  byn_assert(r->children.last != c);
  c->next = NULL;
  c->previous = r->children.last;
  if (c->previous)
    c->previous->next = c;
  else
    r->children.first = c;
  r->children.last = c;
  c->number = ++r->numbered;
  r->count++;
  r->supervisors += c->supervisor;
}

/* The marks in front of c, which is taken out, are in front of the next one. */
static void marks_pass(byn_restart *r, const byn_child *c) {
  for (int i = 0; r->marks && i < BYN_CHILD_MARKS; i++) {
    byn_child_mark *m = &r->marks[i];
    if (m->after && m->next == c) m->next = c->next;
    if (!m->next) m->after = 0; /* whoever is added later is not known here */
  }
}

static void children_remove(byn_restart *r, byn_child *c) {
  byn_assert(r->count > 0);
  byn_assert(c->state == BYN_CHILD_STOPPED);
  marks_pass(r, c);
  if (c->previous)
    c->previous->next = c->next;
  else
    r->children.first = c->next;
  if (c->next)
    c->next->previous = c->previous;
  else
    r->children.last = c->previous;
  r->count--;
  r->supervisors -= c->supervisor;
}

byn_child *byn_restart_after(const byn_restart *r, uint64_t number) {
  const byn_child *last = r->children.last;
  if (!last || last->number <= number) return NULL;
  byn_child *c = r->children.first;
  for (int i = 0; r->marks && i < BYN_CHILD_MARKS; i++) {
    const byn_child_mark *m = &r->marks[i];
    bool before = m->after && m->after <= number;
    if (before && m->next->number > c->number) c = m->next;
  }
  while (c->number <= number)
    c = c->next;
  return c;
}

void byn_restart_mark(byn_restart *r, const byn_child *c) {
  size_t size = BYN_CHILD_MARKS * sizeof *r->marks;
  if (!c->next) return;
  if (!r->marks) {
    r->marks = byn_new(r->window.alloc, size);
    if (!r->marks) return;
    memset(r->marks, 0, size);
  }
  byn_child_mark *m = &r->marks[r->marked++ % BYN_CHILD_MARKS];
  *m = (byn_child_mark){.after = c->number, .next = c->next};
}

/* --- children ------------------------------------------------------------- */

static bool has_process(const byn_child *c) {
  return c->state == BYN_CHILD_RUNNING || c->state == BYN_CHILD_STOPPING;
}

static bool is_significant(const byn_child *c) {
  return c->significant && (has_process(c) || c->state == BYN_CHILD_RESTARTING);
}

/* The arrows of the header. A child that waits for its back-off stays
 * RESTARTING when that is over; one that is stopped may be so once more, for
 * good. */
static bool may_become(byn_child_state from, byn_child_state to) {
  switch (from) {
  case BYN_CHILD_STOPPED:
    return to != BYN_CHILD_RUNNING && to != BYN_CHILD_STOPPING;
  case BYN_CHILD_STARTING:
    return to == BYN_CHILD_RUNNING || to == BYN_CHILD_STOPPED;
  case BYN_CHILD_RUNNING:
    return to == BYN_CHILD_STOPPING || to == BYN_CHILD_STOPPED;
  case BYN_CHILD_STOPPING:
    return to == BYN_CHILD_STOPPED;
  case BYN_CHILD_RESTARTING:
    return to == BYN_CHILD_STOPPED || to == BYN_CHILD_RESTARTING;
  }
  return false;
}

static void set_state(byn_restart *r, byn_child *c, byn_child_state state) {
  byn_assert(may_become(c->state, state));
  byn_assert(r->active >= has_process(c));
  r->active -= has_process(c);
  r->significant_alive -= is_significant(c);
  c->state = (uint8_t)state;
  r->active += has_process(c);
  r->significant_alive += is_significant(c);
}

static void forget_child(byn_restart *r, byn_child *c) {
  children_remove(r, c);
  queue_add(&r->gone, c);
  if (r->plan.about == c) r->plan.about = NULL;
}

/* It has stopped, and not because it is being restarted. */
static void stop_for_good(byn_restart *r, byn_child *c) {
  set_state(r, c, BYN_CHILD_STOPPED);
  if (r->flags.dynamic || c->restart == BYN_TEMPORARY) forget_child(r, c);
}

static void queue_retry(byn_restart *r, byn_child *c) {
  set_state(r, c, BYN_CHILD_RESTARTING);
  queue_add(&r->retries, c);
  r->unasked++;
}

/* Without memory for the timer the next try is made as soon as one without a
 * back-off would be. */
static void back_off(byn_restart *r, byn_child *c) {
  byn_backoff *b = c->backoff;
  byn_assert(c->state == BYN_CHILD_STOPPED);
  byn_assert(b->timer == 0);
  int64_t wait = byn_backoff_next(b, r->now, c->ran, &r->rng);
  if (!r->timers) r->timers = byn_timers_new(r->window.alloc);
  if (r->timers) b->timer = byn_timers_add(r->timers, r->now + wait, 0, c);
  c->counted = true;
  if (b->timer)
    set_state(r, c, BYN_CHILD_RESTARTING);
  else
    queue_retry(r, c);
}

static void cancel_retry(byn_restart *r, byn_child *c) {
  byn_assert(c->state == BYN_CHILD_RESTARTING);
  if (c->backoff && c->backoff->timer)
    byn_timers_cancel(r->timers, c->backoff->timer, NULL);
  else
    queue_remove(&r->retries, c);
  if (c->backoff) c->backoff->timer = 0;
  set_state(r, c, BYN_CHILD_STOPPED);
}

/* --- plans ---------------------------------------------------------------- */

static plan *begin_plan(byn_restart *r, int kind, int phase, byn_child *about) {
  byn_assert(r->plan.phase != OVER);
  byn_assert(!r->stopping.first && !r->plan.waits);
  r->plan = (plan){.kind = (uint8_t)kind,
                   .phase = (uint8_t)phase,
                   .about = about,
                   .cursor = about};
  return &r->plan;
}

static void plan_shutdown(byn_restart *r, int cause, byn_child *about) {
  plan *p = begin_plan(r, SHUTDOWN, STOPS, about);
  p->cause = (uint8_t)cause;
  p->cursor = r->children.last;
}

/* Stops those that the strategy says, then starts them and the child. */
static void plan_restart(byn_restart *r, byn_child *c, bool delays) {
  bool alone = r->flags.strategy == BYN_ONE_FOR_ONE;
  byn_assert(c->state == BYN_CHILD_STOPPED);
  plan *p = begin_plan(r, RESTART, alone ? STARTS : STOPS, c);
  p->delays = delays;
  if (alone) {
    if (delays) p->phase = CLOSING;
    return;
  }
  p->cursor = r->children.last;
  p->edge = r->flags.strategy == BYN_REST_FOR_ONE ? c : NULL;
}

/* Counts a restart of the child, unless that was done before its back-off.
 * false: there were too many, and the supervisor gives up. */
static bool count_restart(byn_restart *r, byn_child *c) {
  if (c->counted || byn_intensity_add(&r->window, r->now)) return true;
  plan *p = begin_plan(r, SHUTDOWN, GIVING_UP, c);
  p->cause = BYN_END_GAVE_UP;
  return false;
}

bool byn_restart_wants(const byn_child *c, bool normal) {
  return c->restart == BYN_PERMANENT ||
         (c->restart == BYN_TRANSIENT && !normal);
}

/* Does the end of a child, significant or not, end the supervisor? */
static bool shuts_down(const byn_restart *r, bool significant) {
  if (!significant || r->flags.auto_shutdown == BYN_AUTO_NEVER) return false;
  return r->flags.auto_shutdown == BYN_AUTO_ANY || r->significant_alive == 0;
}

/* --- what holds between calls --------------------------------------------- */

/* More children are not looked through at each call. */
enum { LOOKED_THROUGH = 16 };

static bool is_sound(const byn_restart *r) {
  uint32_t active = 0, supervisors = 0, significant = 0, count = 0;
  const plan *p = &r->plan;
  if (r->stopping.first && p->phase != STOPS) return false;
  if (p->waits && p->phase != STARTS) return false;
  if (r->count > LOOKED_THROUGH) return r->active <= r->count;
  for (const byn_child *c = r->children.first; c; c = c->next, count++) {
    if (c->next ? c->next->previous != c : r->children.last != c) return false;
    if (c->state == BYN_CHILD_STARTING && !p->waits) return false;
    active += has_process(c);
    supervisors += c->supervisor;
    significant += is_significant(c);
  }
  return count == r->count && active == r->active &&
         supervisors == r->supervisors && significant == r->significant_alive;
}

/* --- making --------------------------------------------------------------- */

void byn_restart_init(byn_restart *r, const byn_alloc *alloc,
                      const byn_restart_flags *flags) {
  byn_assert(!flags->dynamic || flags->strategy == BYN_ONE_FOR_ONE);
  *r = (byn_restart){.flags = *flags};
  byn_intensity_init(&r->window, alloc, flags->max_restarts, flags->period);
  byn_rng_seed(&r->rng, flags->seed);
  byn_assert(is_sound(r));
}

void byn_restart_clear(byn_restart *r) {
  byn_intensity_clear(&r->window);
  byn_timers_free(r->timers);
  byn_free(r->window.alloc, r->marks, BYN_CHILD_MARKS * sizeof *r->marks);
  r->timers = NULL;
  r->marks = NULL;
}

/* --- the time ------------------------------------------------------------- */

void byn_restart_time(byn_restart *r, int64_t now) {
  byn_due due;
  byn_assert(now >= r->now);
  r->now = now;
  while (r->timers && byn_timers_pop(r->timers, now, &due)) {
    byn_child *c = due.owner;
    byn_assert(c->state == BYN_CHILD_RESTARTING);
    byn_assert(c->backoff->timer == due.timer);
    c->backoff->timer = 0;
    BYN_COVER(c->state, "due");
    queue_retry(r, c);
  }
  byn_assert(is_sound(r));
}

/* How long it may take to stop, in ms. */
static int64_t time_to_stop(const byn_child *c) {
  return c->killed || c->shutdown < 0 ? BYN_NEVER : c->shutdown;
}

static int64_t next_kill(const byn_restart *r) {
  const byn_child *c = r->stopping.first;
  if (!c || time_to_stop(c) == BYN_NEVER) return BYN_NEVER;
  return r->plan.began + time_to_stop(c);
}

int64_t byn_restart_deadline(const byn_restart *r) {
  int64_t kill = next_kill(r);
  int64_t retry = r->timers ? byn_timers_next(r->timers) : BYN_NEVER;
  return kill < retry ? kill : retry;
}

/* --- requests ------------------------------------------------------------- */

/* Why it cannot be started or deleted, or NULL. */
static const char *refuse_unless_stopped(const byn_child *c) {
  if (c->state == BYN_CHILD_RESTARTING) return "restarting";
  return c->state == BYN_CHILD_STOPPED ? NULL : "running";
}

void byn_restart_add(byn_restart *r, byn_child *c) {
  byn_assert(!byn_restart_busy(r));
  children_append(r, c);
  byn_assert(is_sound(r));
}

void byn_restart_boot(byn_restart *r) {
  byn_assert(!byn_restart_busy(r));
  byn_assert(r->active == 0);
  plan *p = begin_plan(r, BOOT, STARTS, NULL);
  p->cursor = r->children.first;
  p->all = true;
}

const char *byn_restart_start(byn_restart *r, byn_child *c) {
  byn_assert(!byn_restart_busy(r));
  BYN_COVER(c->state, "start");
  if (r->count >= r->flags.max_children) return "max_children";
  children_append(r, c);
  begin_plan(r, START, STARTS, c);
  byn_assert(r->children.last == c);
  byn_assert(is_sound(r));
  return NULL;
}

const char *byn_restart_child(byn_restart *r, byn_child *c) {
  byn_assert(!byn_restart_busy(r));
  BYN_COVER(c->state, "restart_child");
  const char *refusal = refuse_unless_stopped(c);
  if (!refusal) begin_plan(r, RESTART_CHILD, STARTS, c);
  byn_assert(byn_restart_busy(r) == !refusal);
  return refusal;
}

void byn_restart_terminate(byn_restart *r, byn_child *c) {
  byn_assert(!byn_restart_busy(r));
  byn_assert(c->state != BYN_CHILD_STARTING && c->state != BYN_CHILD_STOPPING);
  BYN_COVER(c->state, "terminate");
  plan *p = begin_plan(r, TERMINATE, STOPS, c);
  p->edge = c->previous;
}

const char *byn_restart_delete(byn_restart *r, byn_child *c) {
  byn_assert(!byn_restart_busy(r));
  BYN_COVER(c->state, "delete");
  const char *refusal = refuse_unless_stopped(c);
  if (!refusal) children_remove(r, c);
  byn_assert(is_sound(r));
  return refusal;
}

void byn_restart_stop(byn_restart *r) {
  byn_assert(!byn_restart_busy(r));
  plan_shutdown(r, BYN_END_ASKED, NULL);
}

/* --- events --------------------------------------------------------------- */

void byn_restart_exited(byn_restart *r, byn_child *c, bool normal) {
  byn_assert(!byn_restart_busy(r));
  byn_assert(c->state == BYN_CHILD_RUNNING);
  BYN_COVER(c->state, "exited");
  set_state(r, c, BYN_CHILD_STOPPED);
  if (byn_restart_wants(c, normal)) {
    if (count_restart(r, c)) plan_restart(r, c, c->backoff != NULL);
  } else {
    bool over = shuts_down(r, c->significant);
    stop_for_good(r, c);
    if (over) plan_shutdown(r, BYN_END_AUTO, NULL);
  }
  byn_assert(is_sound(r));
}

void byn_restart_retry(byn_restart *r) {
  byn_assert(!byn_restart_busy(r));
  byn_child *c = queue_take(&r->retries);
  if (!c) return;
  byn_assert(c->state == BYN_CHILD_RESTARTING);
  BYN_COVER(c->state, "retry");
  set_state(r, c, BYN_CHILD_STOPPED);
  if (count_restart(r, c)) plan_restart(r, c, false);
  byn_assert(byn_restart_busy(r));
  byn_assert(is_sound(r));
}

/* Was the owner asked to start it, and has not yet said how that went? */
static bool is_being_started(const byn_restart *r, const byn_child *c) {
  return r->plan.phase == STARTS && r->plan.waits &&
         c->state == BYN_CHILD_STARTING;
}

void byn_restart_started(byn_restart *r, byn_child *c) {
  byn_assert(is_being_started(r, c));
  BYN_COVER(c->state, "started");
  r->plan.waits = false;
  c->ran = true;
  set_state(r, c, BYN_CHILD_RUNNING);
  if (c->backoff) byn_backoff_started(c->backoff, r->now);
  byn_assert(is_sound(r));
}

void byn_restart_ignored(byn_restart *r, byn_child *c) {
  byn_assert(is_being_started(r, c));
  BYN_COVER(c->state, "ignored");
  r->plan.waits = false;
  stop_for_good(r, c);
  byn_assert(is_sound(r));
}

void byn_restart_failed(byn_restart *r, byn_child *c) {
  byn_assert(is_being_started(r, c));
  BYN_COVER(c->state, "failed");
  plan *p = &r->plan;
  p->waits = false;
  set_state(r, c, BYN_CHILD_STOPPED);
  switch (p->kind) {
  case BOOT:
    plan_shutdown(r, BYN_END_BOOT, c);
    break;
  case START:
    forget_child(r, c);
    break;
  case RESTART:
    /* With a back-off the next try counts from now, else from its turn. */
    p->phase = CLOSING;
    if (!c->backoff)
      queue_retry(r, c);
    else if (count_restart(r, c))
      back_off(r, c);
    break;
  default:
    break;
  }
  byn_assert(is_sound(r));
}

void byn_restart_stopped(byn_restart *r, byn_child *c) {
  byn_assert(r->plan.phase == STOPS);
  byn_assert(c->state == BYN_CHILD_STOPPING);
  BYN_COVER(c->state, "stopped");
  queue_remove(&r->stopping, c);
  c->killed = false;
  stop_for_good(r, c);
  byn_assert(is_sound(r));
}

/* --- stopping ------------------------------------------------------------- */

/* What one step of a plan came to. */
typedef enum outcome { ACT, WAIT, MOVE_ON } outcome;

static outcome answer(byn_restart_action *a, int what, byn_child *c) {
  byn_assert(c || what == BYN_DO_RETRY || what == BYN_DO_DONE ||
             what == BYN_DO_END);
  a->what = what;
  a->child = c;
  return ACT;
}

/* Merges two lists (by queue_next) that are sorted; a's come first where they
 * are equal. */
static byn_child *merge_by_time(byn_child *a, byn_child *b) {
  byn_child *head = NULL, **link = &head;
  while (a && b) {
    byn_child **least = time_to_stop(b) < time_to_stop(a) ? &b : &a;
    *link = *least;
    link = &(*link)->queue_next;
    *least = *link;
  }
  *link = a ? a : b;
  return head;
}

static bool is_sorted_by_time(const byn_child *c) {
  for (; c->queue_next; c = c->queue_next)
    if (time_to_stop(c->queue_next) < time_to_stop(c)) return false;
  return true;
}

/* Merge sort from the bottom up, without recursion. */
static byn_child *sorted_by_time(byn_child *list) {
  byn_child *bins[32] = {0}; /* bins[i]: 2^i children in order, or none */
  while (list) {
    byn_child *run = list;
    int i = 0;
    list = list->queue_next;
    run->queue_next = NULL;
    for (; i < 31 && bins[i]; bins[i++] = NULL)
      run = merge_by_time(bins[i], run);
    bins[i] = merge_by_time(bins[i], run);
  }
  byn_child *all = NULL;
  for (int i = 0; i < 32; i++)
    all = merge_by_time(bins[i], all);
  return all;
}

/* Those that stop side by side share one timer: the first to be killed
 * stands first. Most often all have the same time to stop. */
static void sort_stopping(byn_restart *r) {
  r->plan.sorted = true;
  if (is_sorted_by_time(r->stopping.first)) return;
  byn_child *previous = NULL;
  r->stopping.first = sorted_by_time(r->stopping.first);
  for (byn_child *c = r->stopping.first; c; c = c->queue_next) {
    c->queue_previous = previous;
    previous = c;
  }
  r->stopping.last = previous;
  byn_assert(is_sorted_by_time(r->stopping.first));
}

/* Asks the next child to stop. Where it is not dynamic, one at a time. */
static outcome stop_next(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  if (!r->flags.dynamic && r->stopping.first) return WAIT;
  while (p->cursor != p->edge) {
    byn_child *c = p->cursor;
    p->cursor = c->previous;
    if (c->state == BYN_CHILD_RUNNING) {
      set_state(r, c, BYN_CHILD_STOPPING);
      queue_add(&r->stopping, c);
      p->began = r->now;
      return answer(a, BYN_DO_STOP, c);
    }
    if (c->state != BYN_CHILD_RESTARTING) continue;
    cancel_retry(r, c);
    stop_for_good(r, c);
  }
  return r->stopping.first ? WAIT : MOVE_ON;
}

static outcome kill_overdue(byn_restart *r, byn_restart_action *a) {
  if (next_kill(r) > r->now) return WAIT;
  byn_child *c = queue_take(&r->stopping);
  byn_assert(c->state == BYN_CHILD_STOPPING);
  byn_assert(!c->killed);
  BYN_COVER(c->state, "kill");
  c->killed = true;
  queue_add(&r->stopping, c);
  return answer(a, BYN_DO_KILL, c);
}

/* All have stopped: a restart goes on to start them again. */
static void after_stops(byn_restart *r) {
  plan *p = &r->plan;
  byn_assert(!r->stopping.first);
  p->phase = CLOSING;
  if (p->kind != RESTART || p->delays) return;
  byn_assert(p->about);
  bool from_first = r->flags.strategy == BYN_ONE_FOR_ALL;
  p->phase = STARTS;
  p->cursor = from_first ? r->children.first : p->about;
  p->all = true;
}

static outcome stop_step(byn_restart *r, byn_restart_action *a) {
  outcome o = stop_next(r, a);
  if (o == MOVE_ON) after_stops(r);
  if (o != WAIT) return o;
  bool several = r->stopping.first != r->stopping.last;
  if (several && !r->plan.sorted) sort_stopping(r);
  return kill_overdue(r, a);
}

/* --- starting ------------------------------------------------------------- */

static outcome start_step(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  byn_child *c = p->cursor;
  if (p->waits) return WAIT;
  if (!c) {
    p->phase = CLOSING;
    return MOVE_ON;
  }
  p->cursor = p->all ? c->next : NULL;
  p->waits = true;
  c->counted = c->ran = false;
  set_state(r, c, BYN_CHILD_STARTING);
  return answer(a, BYN_DO_START, c);
}

/* --- closing -------------------------------------------------------------- */

static outcome give_up_step(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  byn_child *c = p->about;
  byn_assert(c && c->state == BYN_CHILD_STOPPED);
  p->phase = STOPS;
  stop_for_good(r, c);
  p->about = NULL;
  p->cursor = r->children.last;
  return answer(a, BYN_DO_GIVE_UP, c);
}

static outcome close_step(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  p->phase = NONE;
  switch (p->kind) {
  case RESTART:
    if (p->delays) back_off(r, p->about);
    return MOVE_ON;
  case SHUTDOWN:
    byn_assert(r->active == 0 && !r->retries.first && !r->gone.first);
    p->phase = OVER;
    a->cause = p->cause;
    return answer(a, BYN_DO_END, p->about);
  default:
    return answer(a, BYN_DO_DONE, p->about);
  }
}

static outcome plan_step(byn_restart *r, byn_restart_action *a) {
  switch (r->plan.phase) {
  case GIVING_UP:
    return give_up_step(r, a);
  case STOPS:
    return stop_step(r, a);
  case STARTS:
    return start_step(r, a);
  case CLOSING:
    return close_step(r, a);
  default:
    return WAIT;
  }
}

/* What is due whatever the plan: children to give back, retries to ask for. */
static bool forget_or_retry(byn_restart *r, byn_restart_action *a) {
  byn_child *c = queue_take(&r->gone);
  if (!c && !r->retries.first) r->unasked = 0;
  if (!c && !r->unasked) return false;
  if (!c) r->unasked--;
  answer(a, c ? BYN_DO_FORGET : BYN_DO_RETRY, c);
  return true;
}

bool byn_restart_next(byn_restart *r, byn_restart_action *action) {
  outcome o = MOVE_ON;
  byn_assert(is_sound(r));
  *action = (byn_restart_action){0};
  while (o == MOVE_ON) {
    if (forget_or_retry(r, action)) return true;
    o = plan_step(r, action);
  }
  byn_assert(is_sound(r));
  return o == ACT;
}

bool byn_restart_busy(const byn_restart *r) {
  return r->plan.phase != NONE;
}
