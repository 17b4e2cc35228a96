/* The scheduler: whose turn it is, and what is done in a turn. */
#include "scheduler.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "coroutine.h"
#include "event.h"
#include "foreign.h"
#include "label.h"
#include "lookup.h"
#include "node.h"
#include "preempt.h"
#include "process.h"
#include "reap.h"
#include "relation.h"
#include "wait.h"

/* Messages that a process may receive, or replies, before others have their
 * turn: one that always has mail must not keep timers and peers waiting. */
#define SHARE 32

/* The busy have a turn after this time at the latest, whoever else is READY. */
#define BUSY_WAIT_MS 10

/* --- turns ---------------------------------------------------------------- */

static int push_timeout(lua_State *L, byn_process *p) {
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  lua_xmove(L, p->co, 2);
  return 2;
}

static inline void cancel_wait_timer(byn_process *p) {
  if (p->timer) byn_timers_cancel(p->node->timers, p->timer, NULL);
  p->timer = 0;
  p->expired = false;
}

#define LONGEST_CHAIN 100 /* of calls that wait for each other */

/* Whom p has called and waits for; NULL: nobody. */
static const byn_relation *call_of(const byn_process *p) {
  bool waits = p->state == BYN_IDLE && p->co && p->wait == BYN_WAIT_REPLY;
  return waits ? p->call : NULL;
}

/* Sets the fields that say what the one called was doing: to_waits_for, whom
 * it had called itself, and deadlock, whether that led back to p. */
static void tell_called(lua_State *L, const byn_process *p,
                        const byn_relation *call) {
  const byn_id *to = byn_end_id(call, &call->b);
  const byn_process *other = byn_node_find(p->node, to);
  if (!other) return;
  byn_label_push(L, other);
  lua_setfield(L, -2, "to_label");
  const byn_relation *next = call_of(other);
  if (!next) return;
  to = byn_end_id(next, &next->b);
  byn_id_push(L, to);
  lua_setfield(L, -2, "to_waits_for");
  for (int i = 0; next && i < LONGEST_CHAIN; i++) {
    to = byn_end_id(next, &next->b);
    other = byn_node_find(p->node, to);
    if (other == p) break;
    next = other ? call_of(other) : NULL;
  }
  lua_pushboolean(L, next && other == p);
  lua_setfield(L, -2, "deadlock");
}

/* The event call_timeout. */
static void tell_timeout(lua_State *L, const byn_process *p,
                         const byn_relation *call) {
  if (!byn_event(L, p->node, "call_timeout")) return;
  const byn_id *to = byn_end_id(call, &call->b);
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  byn_label_push(L, p);
  lua_setfield(L, -2, "label");
  if (to->serial) {
    byn_id_push(L, to);
    lua_setfield(L, -2, "to");
  }
  if (to->origin == p->node->origin) tell_called(L, p, call);
  byn_event_done(L, p->node);
}

/* No reply has come in time: one that comes later is dropped. */
static int time_out_call(lua_State *L, byn_process *p) {
  byn_relation *call = p->call;
  if (call) tell_timeout(L, p, call);
  p->call = NULL;
  p->reply = 0;
  if (call) byn_relation_give_up(L, p->node, call);
  return push_timeout(L, p);
}

/* Its message, or that the time is over; -1 if a finalizer took the message
 * away while it was made. */
static int push_message(lua_State *L, byn_process *p) {
  if (!byn_process_take_mail(L, p)) return p->expired ? push_timeout(L, p) : -1;
  lua_xmove(L, p->co, 1);
  return 1;
}

static inline void behaviour_run(lua_State *L, byn_process *p) {
  int top = byn_stack_top(L);
  p->behaviour->run(L, p);
  byn_assert(byn_stack_top(L) == top);
}

/* `count` values are on top, which it pops. */
static inline void behaviour_returned(lua_State *L, byn_process *p, int status,
                                      int count) {
  int top = byn_stack_top(L) - count;
  byn_assert(!p->exiting && !p->exit_reason);
  p->behaviour->returned(L, p, status, count);
  byn_assert(byn_stack_top(L) == top);
}

/* Takes the coroutine of p away from it, and back to the pool; a receive that
 * was under way is over. */
static void release_coroutine(lua_State *L, byn_process *p, int status) {
  lua_State *co = p->co;
  p->co = NULL;
  p->matching = false;
  byn_mailbox_rewind(&p->mail);
  byn_coroutine_give(L, p->node->world, co, p->thread, status);
}

/* The code has ended for the reason on top, which an exit that its to-be-closed
 * variables call does not replace. */
static void code_broken_off(lua_State *L, byn_process *p, int status) {
  if (status != BYN_EXITED) byn_label_keep(L, p);
  byn_process_cancel_end(L, p);
  release_coroutine(L, p, LUA_YIELD);
  byn_process_cancel_end(L, p);
  behaviour_returned(L, p, status, 1);
}

/* Somebody else has resumed or closed the coroutine: that is an error of the
 * code. Answers -1. */
static int code_taken(lua_State *L, byn_process *p) {
  if (p->call) byn_relation_give_up(L, p->node, p->call);
  p->call = NULL;
  p->reply = 0;
  cancel_wait_timer(p);
  byn_foreign_push_reason(L, p);
  code_broken_off(L, p, LUA_ERRRUN);
  return -1;
}

static void code_yielded_values(lua_State *L, byn_process *p) {
  byn_yielded_push_reason(L, p);
  code_broken_off(L, p, LUA_ERRRUN);
}

/* The code has called banyan.exit, and may have caught the error of that. */
static void code_exited(lua_State *L, byn_process *p) {
  byn_slot_push(L, p->exit_reason);
  code_broken_off(L, p, BYN_EXITED);
}

static void code_failed(lua_State *L, byn_process *p, int status) {
  if (lua_status(p->co) == LUA_OK) { /* it could not be resumed */
    code_taken(L, p);
    return;
  }
  if (byn_reason_is_shortage(p->co, -1)) p->node->memory_short = true;
  bool token = byn_reason_of_error(L, p->co);
  code_broken_off(L, p, token ? BYN_EXITED : status);
}

static void code_returned(lua_State *L, byn_process *p, int count) {
  if (count > 1) luaL_checkstack(L, count + BYN_TURN_STACK, NULL);
  lua_xmove(p->co, L, count);
  release_coroutine(L, p, LUA_OK);
  behaviour_returned(L, p, LUA_OK, count);
}

/* Puts onto the coroutine what its wait yields; answers how many values, or
 * -1 if it has to wait on, or has ended. */
static int push_results(lua_State *L, byn_process *p) {
  if (!BYN_WAITS_GUARDED && p->wait != BYN_WAIT_NOTHING &&
      lua_status(p->co) != LUA_YIELD)
    return code_taken(L, p);
  switch (p->wait) {
  case BYN_WAIT_MESSAGE:
    return push_message(L, p);
  case BYN_WAIT_MAIL:
    lua_pushboolean(p->co, byn_process_peek_mail(p) != NULL);
    return 1;
  case BYN_WAIT_SLEEP:
    lua_pushboolean(p->co, 1);
    return 1;
  case BYN_WAIT_REPLY:
    if (p->arguments < 0) return time_out_call(L, p);
    return p->arguments;
  case BYN_WAIT_AWAIT:
    return p->arguments < 0 ? push_timeout(L, p) : p->arguments;
  case BYN_WAIT_PAUSE:
    return lua_status(p->co) == LUA_YIELD ? 0 : code_taken(L, p);
  case BYN_WAIT_BROKEN:
    return code_taken(L, p);
  default:
    return p->arguments;
  }
}

/* Runs the coroutine until it waits or ends. */
static void resume_code(lua_State *L, byn_process *p) {
  int count = push_results(L, p);
  if (count < 0) return;
  p->arguments = count;
  byn_assert(lua_gettop(p->co) >= count && !p->call);
  cancel_wait_timer(p);
  p->wait = BYN_WAIT_PAUSE;
  byn_watchdog *watch = p->node->watch;
  byn_watchdog_enter(watch, p->co);
  int status = lua_resume(p->co, L, count, &count);
  byn_watchdog_leave(watch);
  byn_assert(p->state == BYN_RUNNING && p->node->world->running == p);
  byn_assert(p->exiting || !p->exits_itself);
  if (p->exits_itself) {
    code_exited(L, p);
  } else if (p->exiting) {
    return; /* its end closes the coroutine */
  } else if (status == LUA_YIELD) {
    if (count)
      code_yielded_values(L, p);
    else if (p->wait == BYN_WAIT_PAUSE)
      p->arguments = 0;
  } else if (status == LUA_OK) {
    code_returned(L, p, count - BYN_COROUTINE_BASE);
  } else {
    code_failed(L, p, status);
  }
}

/* Has what the coroutine waits for come? */
static bool can_resume(byn_process *p) {
  switch (p->wait) {
  case BYN_WAIT_MESSAGE:
  case BYN_WAIT_MAIL:
    return byn_process_peek_mail(p) || p->expired;
  case BYN_WAIT_SLEEP:
    return p->expired;
  case BYN_WAIT_REPLY:
  case BYN_WAIT_AWAIT:
    return p->arguments >= 0 || p->expired;
  default:
    return true;
  }
}

/* One turn of one process: until it waits, has handled one mail, or has had
 * its share. */
static void take_turn(lua_State *L, byn_process *p) {
  byn_watchdog *watch = p->node->watch;
  p->node->share = p->node->points ? 1 : SHARE;
  byn_watchdog_turn(watch);
  if (!p->co) behaviour_run(L, p);
  while (p->co && !p->exiting && can_resume(p)) {
    bool spent = p->node->share-- <= 0 || byn_watchdog_late(watch);
    if (!spent) resume_code(L, p);
    if (!spent && (!p->co || p->wait != BYN_WAIT_PAUSE)) continue;
    p->woken = true; /* gives way to the others */
    break;
  }
  if (watch && (p->held_ms || byn_watchdog_late(watch)))
    byn_preempt_account(L, p);
}

/* The turn of p is over: it exits, is ready again, or waits. */
static void end_turn(byn_process *p) {
  byn_world *w = p->node->world;
  byn_assert(p->state == BYN_RUNNING && w->running == p && !p->queued);
  w->running = NULL;
  p->state = BYN_IDLE;
  if (p->exiting) {
    p->exiting = p->exits_itself = false;
    byn_process_reap_later(p);
  } else if (p->woken || (!p->co && !p->held && p->mail.head)) {
    byn_process_ready(p);
  }
  p->woken = false;
}

/* Takes the first out of a queue. NULL: there is none, or it is not READY any
 * more. */
static inline byn_process *dequeue(byn_process **first, byn_process **last) {
  byn_process *p = *first;
  if (!p) return NULL;
  byn_assert(p->queued && p->state != BYN_IDLE && p->state != BYN_RUNNING);
  *first = p->next_ready;
  if (!*first) *last = NULL;
  p->queued = false;
  if (p->state == BYN_DEAD) byn_process_free(p);
  return p->state == BYN_READY ? p : NULL;
}

/* A busy process that is to have its turn now, or NULL. `others`: some had a
 * turn in this step, so there may be something to write. */
static byn_process *next_busy(lua_State *L, byn_node *node, bool others) {
  if (!node->busy) return NULL;
  int64_t now = byn_node_now(L, node);
  if (others && now - node->busy_at < BUSY_WAIT_MS) return NULL;
  node->busy_at = now;
  byn_process *p = NULL;
  while (node->busy && !p)
    p = dequeue(&node->busy, &node->busy_last);
  return p;
}

void byn_node_run(lua_State *L, byn_node *node, int slices) {
  byn_world *w = node->world;
  byn_assert(!w->running && !node->reaping && byn_node_lists_sound(node));
  luaL_checkstack(L, 2 * BYN_TURN_STACK, NULL);
  int top = byn_stack_top(L);
  bool others = node->ready != NULL, brief = false;
  byn_watchdog_brief(node->watch, false); /* an error may have left it so */
  while (!brief) {
    byn_process *p;
    if (node->ready && slices-- > 0 && !byn_watchdog_step_late(node->watch)) {
      p = dequeue(&node->ready, &node->ready_last);
      if (!p) continue;
    } else {
      p = next_busy(L, node, others);
      if (!p) break;
      brief = true;
      byn_watchdog_brief(node->watch, true);
    }
    p->state = BYN_RUNNING;
    w->running = p;
    node->clock_read = false;
    take_turn(L, p);
    end_turn(p);
    node->reaping = false; /* an error in the turn may have left it so */
    if (node->exiting) byn_node_reap(L, node);
    byn_assert(!w->running && byn_stack_top(L) == top);
  }
  if (brief) byn_watchdog_brief(node->watch, false);
}

/* --- turns out of order --------------------------------------------------- */

/* Takes the one after `before` out of the run queue; NULL: the first. */
static void leave_run_queue(byn_node *node, byn_process *before) {
  byn_process *p = before ? before->next_ready : node->ready;
  if (before)
    before->next_ready = p->next_ready;
  else
    node->ready = p->next_ready;
  if (node->ready_last == p) node->ready_last = before;
  p->queued = false;
  byn_assert(byn_node_lists_sound(node));
}

byn_process *byn_node_next_ready(byn_node *node, byn_process *before) {
  for (;;) {
    byn_process *p = before ? before->next_ready : node->ready;
    if (!p || p->state == BYN_READY) return p;
    leave_run_queue(node, before);
    if (p->state == BYN_DEAD) byn_process_free(p);
  }
}

void byn_node_take_turn(lua_State *L, byn_node *node, byn_process *p) {
  byn_assert(p->node == node && p->queued && p->state == BYN_READY);
  byn_process *before = NULL;
  for (byn_process *q = node->ready; q != p; q = q->next_ready)
    before = q;
  leave_run_queue(node, before);
  p->queued = true;
  p->next_ready = node->ready;
  node->ready = p;
  if (!node->ready_last) node->ready_last = p;
  byn_node_run(L, node, 1);
}
