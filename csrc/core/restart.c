#include "restart.h"

#include "coverage.h"

BYN_MACHINE("restart: a child", "stopped starting running stopping restarting",
            "start revive terminate delete exited retry started ignored "
            "failed stopped kill due");

typedef struct byn_plan plan;

enum { BOOT, START, REVIVE, TERMINATE, RESTART, FINISH };
enum { REST, GIVING_UP, STOPS, STARTS, CLOSING, OVER };

/* --- lists ---------------------------------------------------------------- */

static void enqueue(byn_child_queue *q, byn_child *c) {
  c->queue_next = NULL;
  c->queue_previous = q->last;
  if (q->last)
    q->last->queue_next = c;
  else
    q->first = c;
  q->last = c;
}

static void unqueue(byn_child_queue *q, byn_child *c) {
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

static byn_child *dequeue(byn_child_queue *q) {
  byn_child *c = q->first;
  if (c) unqueue(q, c);
  return c;
}

static void append(byn_restart *r, byn_child *c) {
  c->next = NULL;
  c->previous = r->children.last;
  if (c->previous)
    c->previous->next = c;
  else
    r->children.first = c;
  r->children.last = c;
  r->count++;
  r->supervisors += c->supervisor;
}

static void take_out(byn_restart *r, byn_child *c) {
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

/* --- children ------------------------------------------------------------- */

static bool has_process(const byn_child *c) {
  return c->state == BYN_CHILD_RUNNING || c->state == BYN_CHILD_STOPPING;
}

static bool is_significant(const byn_child *c) {
  return c->significant && (has_process(c) || c->state == BYN_CHILD_RESTARTING);
}

static void set_state(byn_restart *r, byn_child *c, byn_child_state state) {
  r->active -= has_process(c);
  r->significant_alive -= is_significant(c);
  c->state = (uint8_t)state;
  r->active += has_process(c);
  r->significant_alive += is_significant(c);
}

static void release(byn_restart *r, byn_child *c) {
  take_out(r, c);
  enqueue(&r->gone, c);
  if (r->plan.about == c) r->plan.about = NULL;
}

/* It has stopped, and not because it is being restarted. */
static void settle(byn_restart *r, byn_child *c) {
  set_state(r, c, BYN_CHILD_STOPPED);
  if (r->flags.dynamic || c->restart == BYN_TEMPORARY) release(r, c);
}

static void retry_later(byn_restart *r, byn_child *c) {
  set_state(r, c, BYN_CHILD_RESTARTING);
  enqueue(&r->retries, c);
  r->unasked++;
}

static byn_timer add_timer(byn_restart *r, int64_t wait, byn_child *c) {
  if (!r->timers) r->timers = byn_timers_new(r->window.alloc);
  return r->timers ? byn_timers_add(r->timers, r->now + wait, 0, c) : 0;
}

static void back_off(byn_restart *r, byn_child *c) {
  byn_backoff *b = c->backoff;
  int64_t wait = byn_backoff_next(b, r->now, c->ran, &r->rng);
  b->timer = add_timer(r, wait, c);
  c->paid = true;
  if (b->timer)
    set_state(r, c, BYN_CHILD_RESTARTING);
  else
    retry_later(r, c);
}

/* No more tries for now, if any were coming. */
static void cancel_retry(byn_restart *r, byn_child *c) {
  if (c->state != BYN_CHILD_RESTARTING) return;
  if (c->backoff && c->backoff->timer)
    byn_timers_cancel(r->timers, c->backoff->timer, NULL);
  else
    unqueue(&r->retries, c);
  if (c->backoff) c->backoff->timer = 0;
  set_state(r, c, BYN_CHILD_STOPPED);
}

/* --- plans ---------------------------------------------------------------- */

static plan *begin(byn_restart *r, int kind, int phase, byn_child *about) {
  r->plan = (plan){.kind = (uint8_t)kind,
                   .phase = (uint8_t)phase,
                   .about = about,
                   .cursor = about};
  return &r->plan;
}

static void finish(byn_restart *r, int cause, byn_child *about) {
  plan *p = begin(r, FINISH, STOPS, about);
  p->cause = (uint8_t)cause;
  p->cursor = r->children.last;
}

static void give_up(byn_restart *r, byn_child *c) {
  plan *p = begin(r, FINISH, GIVING_UP, c);
  p->cause = BYN_END_GAVE_UP;
}

/* Stops those that the strategy says, then starts them and the child. */
static void plan_restart(byn_restart *r, byn_child *c, bool delays) {
  bool alone = r->flags.strategy == BYN_ONE_FOR_ONE;
  plan *p = begin(r, RESTART, alone ? STARTS : STOPS, c);
  p->delays = delays;
  if (alone) {
    if (delays) p->phase = CLOSING;
    return;
  }
  p->cursor = r->children.last;
  p->edge = r->flags.strategy == BYN_REST_FOR_ONE ? c : NULL;
}

static bool pay(byn_restart *r, byn_child *c) {
  if (c->paid || byn_intensity_add(&r->window, r->now)) return true;
  give_up(r, c);
  return false;
}

bool byn_restart_wants(const byn_child *c, bool normal) {
  return c->restart == BYN_PERMANENT ||
         (c->restart == BYN_TRANSIENT && !normal);
}

static bool ends_all(const byn_restart *r, bool significant) {
  if (!significant || r->flags.auto_shutdown == BYN_AUTO_NEVER) return false;
  return r->flags.auto_shutdown == BYN_AUTO_ANY || r->significant_alive == 0;
}

/* --- making --------------------------------------------------------------- */

void byn_restart_init(byn_restart *r, const byn_alloc *alloc,
                      const byn_restart_flags *flags) {
  *r = (byn_restart){.flags = *flags};
  byn_intensity_init(&r->window, alloc, flags->max_restarts, flags->period);
  byn_rng_seed(&r->rng, flags->seed);
}

void byn_restart_clear(byn_restart *r) {
  byn_intensity_clear(&r->window);
  byn_timers_free(r->timers);
  r->timers = NULL;
}

/* --- the time ------------------------------------------------------------- */

void byn_restart_time(byn_restart *r, int64_t now) {
  byn_due due;
  r->now = now;
  while (r->timers && byn_timers_pop(r->timers, now, &due)) {
    byn_child *c = due.owner;
    c->backoff->timer = 0;
    BYN_COVER(c->state, "due");
    retry_later(r, c);
  }
}

/* How long it may take to stop. */
static int64_t patience(const byn_child *c) {
  return c->killed || c->shutdown < 0 ? BYN_NEVER : c->shutdown;
}

static int64_t next_kill(const byn_restart *r) {
  const byn_child *c = r->stopping.first;
  if (!c || patience(c) == BYN_NEVER) return BYN_NEVER;
  return r->plan.began + patience(c);
}

int64_t byn_restart_deadline(const byn_restart *r) {
  int64_t kill = next_kill(r);
  int64_t retry = r->timers ? byn_timers_next(r->timers) : BYN_NEVER;
  return kill < retry ? kill : retry;
}

/* --- requests ------------------------------------------------------------- */

static const char *stopped_or(const byn_child *c) {
  if (c->state == BYN_CHILD_RESTARTING) return "restarting";
  return c->state == BYN_CHILD_STOPPED ? NULL : "running";
}

void byn_restart_add(byn_restart *r, byn_child *c) {
  append(r, c);
}

void byn_restart_boot(byn_restart *r) {
  plan *p = begin(r, BOOT, STARTS, NULL);
  p->cursor = r->children.first;
  p->all = true;
}

const char *byn_restart_start(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "start");
  if (r->count >= r->flags.max_children) return "max_children";
  append(r, c);
  begin(r, START, STARTS, c);
  return NULL;
}

const char *byn_restart_revive(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "revive");
  const char *refusal = stopped_or(c);
  if (!refusal) begin(r, REVIVE, STARTS, c);
  return refusal;
}

void byn_restart_terminate(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "terminate");
  plan *p = begin(r, TERMINATE, STOPS, c);
  p->edge = c->previous;
}

const char *byn_restart_delete(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "delete");
  const char *refusal = stopped_or(c);
  if (!refusal) take_out(r, c);
  return refusal;
}

void byn_restart_stop(byn_restart *r) {
  finish(r, BYN_END_ASKED, NULL);
}

/* --- events --------------------------------------------------------------- */

void byn_restart_exited(byn_restart *r, byn_child *c, bool normal) {
  BYN_COVER(c->state, "exited");
  set_state(r, c, BYN_CHILD_STOPPED);
  if (byn_restart_wants(c, normal)) {
    if (pay(r, c)) plan_restart(r, c, c->backoff != NULL);
    return;
  }
  bool over = ends_all(r, c->significant);
  settle(r, c);
  if (over) finish(r, BYN_END_AUTO, NULL);
}

void byn_restart_retry(byn_restart *r) {
  byn_child *c = dequeue(&r->retries);
  if (!c) return;
  BYN_COVER(c->state, "retry");
  set_state(r, c, BYN_CHILD_STOPPED);
  if (pay(r, c)) plan_restart(r, c, false);
}

void byn_restart_started(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "started");
  r->plan.waits = false;
  c->ran = true;
  set_state(r, c, BYN_CHILD_RUNNING);
  if (c->backoff) byn_backoff_started(c->backoff, r->now);
}

void byn_restart_ignored(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "ignored");
  r->plan.waits = false;
  settle(r, c);
}

/* A restart that failed: with a back-off the next try is decided now, else
 * when its turn comes. */
static void try_again(byn_restart *r, byn_child *c) {
  r->plan.phase = CLOSING;
  if (!c->backoff)
    retry_later(r, c);
  else if (pay(r, c))
    back_off(r, c);
}

void byn_restart_failed(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "failed");
  plan *p = &r->plan;
  p->waits = false;
  set_state(r, c, BYN_CHILD_STOPPED);
  switch (p->kind) {
  case BOOT:
    finish(r, BYN_END_BOOT, c);
    break;
  case START:
    release(r, c);
    break;
  case RESTART:
    try_again(r, c);
    break;
  default:
    break;
  }
}

void byn_restart_stopped(byn_restart *r, byn_child *c) {
  BYN_COVER(c->state, "stopped");
  unqueue(&r->stopping, c);
  c->killed = false;
  settle(r, c);
}

/* --- stopping ------------------------------------------------------------- */

/* What one step of a plan came to. */
typedef enum outcome { ACT, WAIT, MOVE_ON } outcome;

static outcome act(byn_restart_action *a, int what, byn_child *c) {
  a->what = what;
  a->child = c;
  return ACT;
}

/* Merges two lists (by queue_next) that are in order; a's come first where
 * they are equal. */
static byn_child *merge(byn_child *a, byn_child *b) {
  byn_child *head = NULL, **link = &head;
  while (a && b) {
    byn_child **least = patience(b) < patience(a) ? &b : &a;
    *link = *least;
    link = &(*link)->queue_next;
    *least = *link;
  }
  *link = a ? a : b;
  return head;
}

/* Most often all have the same time to stop. */
static bool in_order(const byn_child *c) {
  for (; c->queue_next; c = c->queue_next)
    if (patience(c->queue_next) < patience(c)) return false;
  return true;
}

static byn_child *sorted(byn_child *list) {
  byn_child *bins[32] = {0}; /* bins[i]: 2^i children in order, or none */
  while (list) {
    byn_child *run = list;
    int i = 0;
    list = list->queue_next;
    run->queue_next = NULL;
    for (; i < 31 && bins[i]; bins[i++] = NULL)
      run = merge(bins[i], run);
    bins[i] = merge(bins[i], run);
  }
  byn_child *all = NULL;
  for (int i = 0; i < 32; i++)
    all = merge(bins[i], all);
  return all;
}

/* Those that stop side by side share one timer: the first to be killed
 * stands first. */
static void sort_stopping(byn_restart *r) {
  r->plan.sorted = true;
  if (in_order(r->stopping.first)) return;
  byn_child *list = sorted(r->stopping.first);
  r->stopping = (byn_child_queue){0};
  while (list) {
    byn_child *next = list->queue_next;
    enqueue(&r->stopping, list);
    list = next;
  }
}

static outcome stop_one(byn_restart *r, byn_child *c, byn_restart_action *a) {
  set_state(r, c, BYN_CHILD_STOPPING);
  enqueue(&r->stopping, c);
  r->plan.began = r->now;
  return act(a, BYN_DO_STOP, c);
}

static outcome stop_more(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  if (!r->flags.dynamic && r->stopping.first) return WAIT;
  while (p->cursor != p->edge) {
    byn_child *c = p->cursor;
    p->cursor = c->previous;
    if (c->state == BYN_CHILD_RUNNING) return stop_one(r, c, a);
    if (c->state != BYN_CHILD_RESTARTING) continue;
    cancel_retry(r, c);
    settle(r, c);
  }
  return r->stopping.first ? WAIT : MOVE_ON;
}

static outcome kill_overdue(byn_restart *r, byn_restart_action *a) {
  if (next_kill(r) > r->now) return WAIT;
  byn_child *c = dequeue(&r->stopping);
  BYN_COVER(c->state, "kill");
  c->killed = true;
  enqueue(&r->stopping, c);
  return act(a, BYN_DO_KILL, c);
}

static void after_stops(byn_restart *r) {
  plan *p = &r->plan;
  p->phase = CLOSING;
  if (p->kind != RESTART || p->delays) return;
  bool from_first = r->flags.strategy == BYN_ONE_FOR_ALL;
  p->phase = STARTS;
  p->cursor = from_first ? r->children.first : p->about;
  p->all = true;
}

static outcome stop_step(byn_restart *r, byn_restart_action *a) {
  outcome o = stop_more(r, a);
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
  c->paid = c->ran = false;
  set_state(r, c, BYN_CHILD_STARTING);
  return act(a, BYN_DO_START, c);
}

/* --- closing -------------------------------------------------------------- */

static outcome give_up_step(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  byn_child *c = p->about;
  p->phase = STOPS;
  settle(r, c);
  p->about = NULL;
  p->cursor = r->children.last;
  return act(a, BYN_DO_GIVE_UP, c);
}

static outcome close_step(byn_restart *r, byn_restart_action *a) {
  plan *p = &r->plan;
  p->phase = REST;
  switch (p->kind) {
  case RESTART:
    if (p->delays) back_off(r, p->about);
    return MOVE_ON;
  case FINISH:
    p->phase = OVER;
    a->cause = p->cause;
    return act(a, BYN_DO_END, p->about);
  default:
    return act(a, BYN_DO_DONE, p->about);
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
static bool side_step(byn_restart *r, byn_restart_action *a) {
  byn_child *c = dequeue(&r->gone);
  if (!c && !r->retries.first) r->unasked = 0;
  if (!c && !r->unasked) return false;
  if (!c) r->unasked--;
  act(a, c ? BYN_DO_FORGET : BYN_DO_RETRY, c);
  return true;
}

bool byn_restart_next(byn_restart *r, byn_restart_action *action) {
  outcome o = MOVE_ON;
  *action = (byn_restart_action){0};
  while (o == MOVE_ON) {
    if (side_step(r, action)) return true;
    o = plan_step(r, action);
  }
  return o == ACT;
}

bool byn_restart_busy(const byn_restart *r) {
  return r->plan.phase != REST;
}
