/* The scheduler: turns, waits and wakes. */
#include <math.h>

#include "scheduler.h"
#include "../../core/coverage.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "call.h"
#include "coroutine.h"
#include "node.h"
#include "preempt.h"
#include "process.h"

/* Messages that a process may receive, or replies, before others have their
 * turn: one that always has mail must not keep timers and peers waiting. */
#define SHARE 32

void byn_process_ready(byn_process *p) {
  byn_node *node = p->node;
  if (p->state == BYN_RUNNING) p->woken = true;
  if (p->state != BYN_IDLE) return;
  p->state = BYN_READY;
  p->queued = true;
  p->next_ready = NULL;
  if (node->ready_last)
    node->ready_last->next_ready = p;
  else
    node->ready = p;
  node->ready_last = p;
}

/* --- waking --------------------------------------------------------------- */

BYN_MACHINE("process", BYN_PHASES, "mail hand answer expire");

/* Somebody's step changes what p will do. */
static inline void touch(const byn_process *p) {
  if (p->node->points) p->node->points->touch(p);
}

void byn_process_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  BYN_COVER(byn_process_phase(p), "mail");
  if (p->state >= BYN_EXITING) {
    byn_mail_free(L, p->node->world, mail);
    return;
  }
  touch(p);
  if (p->behaviour->received && p->behaviour->received(L, p, mail)) return;
  byn_mailbox_append(&p->mail, mail);
  bool waits = p->co ? p->wait == BYN_WAIT_MESSAGE || p->wait == BYN_WAIT_MAIL
                     : !p->held;
  if (waits) byn_process_ready(p);
}

bool byn_process_hand(lua_State *L, byn_process *p) {
  bool waits = p->state == BYN_IDLE && p->co && p->wait == BYN_WAIT_MESSAGE;
  if (!waits) return false;
  BYN_COVER(byn_process_phase(p), "hand");
  touch(p);
  lua_xmove(L, p->co, 1); /* a C function that yielded has room */
  p->arguments = 1;
  p->wait = BYN_WAIT_NOTHING;
  byn_process_ready(p);
  return true;
}

void byn_process_drop_mail(lua_State *L, byn_process *p, byn_mail *mail) {
  if (p->behaviour->dropped) p->behaviour->dropped(p, mail);
  byn_mail_free(L, p->node->world, mail);
}

bool byn_process_take_mail(lua_State *L, byn_process *p) {
  byn_mailbox_rewind(&p->mail);
  if (!byn_mailbox_show(L, &p->mail)) return false;
  byn_process_drop_mail(L, p, byn_mailbox_pop(&p->mail));
  return true;
}

void byn_process_answer(lua_State *L, byn_process *p, int count) {
  if (!byn_has_room(p->co, count)) luaL_error(L, "too many results");
  BYN_COVER(byn_process_phase(p), "answer");
  touch(p);
  lua_xmove(L, p->co, count);
  p->arguments = count;
  p->reply = 0;
  byn_process_ready(p);
}

void byn_process_expire(byn_process *p) {
  BYN_COVER(byn_process_phase(p), "expire");
  p->timer = 0;
  p->expired = true;
  byn_process_ready(p);
}

/* --- waiting -------------------------------------------------------------- */

void byn_process_check_wait(lua_State *L, const byn_process *p) {
  if (L != p->co)
    byn_misuse(L, "cannot wait inside a coroutine of the process's own: "
                  "wait in the process itself");
  if (!lua_isyieldable(L))
    byn_misuse(L, "cannot wait here: a C function (such as a metamethod or "
                  "the comparison of table.sort) is in between");
}

int byn_process_wait(lua_State *L, byn_process *p, byn_wait what, int64_t ms) {
  byn_process_check_wait(L, p);
  if (ms >= 0) p->timer = byn_node_timer(L, p->node, ms, BYN_TIMER_WAIT, p);
  p->wait = (uint8_t)what;
  if (what != BYN_WAIT_REPLY) p->arguments = 0;
  return lua_yield(L, 0);
}

int byn_process_wait_reply(lua_State *L, byn_process *p, byn_relation *call,
                           const byn_id *ref, int64_t ms) {
  byn_node *node = p->node;
  if (ms >= 0) p->timer = byn_node_try_timer(node, ms, BYN_TIMER_WAIT, p);
  if (ms >= 0 && !p->timer) {
    byn_call_forget(L, node, call);
    return luaL_error(L, "not enough memory");
  }
  p->wait = BYN_WAIT_REPLY;
  p->call = call;
  p->reply = ref->serial;
  p->arguments = -1;
  return lua_yield(L, 0);
}

bool byn_process_gives_way(lua_State *L, byn_process *p) {
  byn_preempt_relent(p);
  bool spent = p->node->share-- <= 0 || byn_watchdog_late(p->node->watch);
  return spent && L == p->co && lua_isyieldable(L);
}

void byn_process_expect(byn_process *p, byn_id *ref) {
  byn_node_ref(p->node, ref);
  ref->index = p->id.index;
  p->reply = ref->serial;
  p->arguments = -1;
}

void byn_process_timer(lua_State *L, byn_process *p, int64_t ms) {
  byn_process_untimer(p);
  p->own_timer = byn_node_timer(L, p->node, ms, BYN_TIMER_OWN, p);
}

void byn_process_untimer(byn_process *p) {
  if (p->own_timer) byn_timers_cancel(p->node->timers, p->own_timer, NULL);
  p->own_timer = 0;
}

/* --- turns ---------------------------------------------------------------- */

/* A coroutine for p, to be resumed with `arguments` values. */
static lua_State *lend(lua_State *L, byn_process *p, int arguments) {
  p->co = byn_coroutine_take(L, p->node->world, &p->thread, arguments + 1);
  p->arguments = arguments;
  p->wait = BYN_WAIT_NOTHING;
  return p->co;
}

void byn_process_call(lua_State *L, byn_process *p, int arguments) {
  lua_xmove(L, lend(L, p, arguments), arguments + 1);
}

void byn_process_callback(lua_State *L, byn_process *p, int arguments) {
  lua_State *co = lend(L, p, arguments);
  for (int i = 0; i <= arguments; i++)
    lua_xmove(L, co, 1);
}

static int push_timeout(lua_State *L, byn_process *p) {
  lua_pushnil(L);
  lua_pushliteral(L, "timeout");
  lua_xmove(L, p->co, 2);
  return 2;
}

/* No reply came in time: one that comes now finds nobody. */
static int give_up_call(lua_State *L, byn_process *p) {
  byn_relation *call = p->call;
  p->call = NULL;
  p->reply = 0;
  if (call) byn_call_forget(L, p->node, call);
  return push_timeout(L, p);
}

/* Its message, or that the time is over; -1 if a finalizer took the message
 * away while it was made. */
static int push_message(lua_State *L, byn_process *p) {
  if (!byn_process_take_mail(L, p)) return p->expired ? push_timeout(L, p) : -1;
  lua_xmove(L, p->co, 1);
  return 1;
}

/* Puts onto the coroutine what its wait yields; answers how many values, or
 * -1 if it has to wait on. */
static int push_results(lua_State *L, byn_process *p) {
  switch (p->wait) {
  case BYN_WAIT_MESSAGE:
    return push_message(L, p);
  case BYN_WAIT_MAIL:
    lua_pushboolean(p->co, byn_mailbox_peek(&p->mail) != NULL);
    return 1;
  case BYN_WAIT_SLEEP:
    lua_pushboolean(p->co, 1);
    return 1;
  case BYN_WAIT_REPLY:
    if (p->arguments < 0) return give_up_call(L, p);
    return p->arguments;
  default:
    return p->arguments;
  }
}

/* Takes the coroutine of p away from it, and back to the pool; a receive that
 * was under way is over. */
static void release(lua_State *L, byn_process *p, int status) {
  lua_State *co = p->co;
  p->co = NULL;
  p->matching = false;
  byn_mailbox_rewind(&p->mail);
  byn_coroutine_give(L, p->node->world, co, p->thread, status);
}

/* The code has ended for the reason on top. What its to-be-closed variables
 * still do must not change that. */
static void broken_off(lua_State *L, byn_process *p, int status) {
  byn_process_cancel_end(L, p);
  release(L, p, LUA_YIELD);
  byn_process_cancel_end(L, p);
  p->behaviour->returned(L, p, status, 1);
}

/* The code called banyan.exit, even if something caught that. */
static void exited(lua_State *L, byn_process *p) {
  byn_slot_push(L, p->exit_reason);
  broken_off(L, p, BYN_EXITED);
}

static void failed(lua_State *L, byn_process *p, int status) {
  bool token = byn_reason_of_error(L, p->co);
  broken_off(L, p, token ? BYN_EXITED : status);
}

static void returned(lua_State *L, byn_process *p, int count) {
  if (count > 1) luaL_checkstack(L, count + BYN_TURN_STACK, NULL);
  lua_xmove(p->co, L, count);
  release(L, p, LUA_OK);
  p->behaviour->returned(L, p, LUA_OK, count);
}

/* Runs the coroutine until it waits or ends. */
static void resume(lua_State *L, byn_process *p) {
  int count = push_results(L, p);
  if (count < 0) return;
  if (p->timer) byn_timers_cancel(p->node->timers, p->timer, NULL);
  p->timer = 0;
  p->expired = false;
  p->wait = BYN_WAIT_PAUSE;
  byn_watchdog *watch = p->node->watch;
  byn_watchdog_enter(watch, p->co);
  int status = lua_resume(p->co, L, count, &count);
  byn_watchdog_leave(watch);
  if (p->exits_itself) {
    exited(L, p);
  } else if (p->exiting) {
    return; /* its end closes the coroutine */
  } else if (status == LUA_YIELD) {
    if (count) lua_pop(p->co, count);
    if (p->wait == BYN_WAIT_PAUSE) p->arguments = 0;
  } else if (status == LUA_OK) {
    returned(L, p, count);
  } else {
    failed(L, p, status);
  }
}

/* Has what the coroutine waits for come? */
static bool can_resume(const byn_process *p) {
  switch (p->wait) {
  case BYN_WAIT_MESSAGE:
    return p->mail.head || p->expired;
  case BYN_WAIT_MAIL:
    return byn_mailbox_peek(&p->mail) || p->expired;
  case BYN_WAIT_SLEEP:
    return p->expired;
  case BYN_WAIT_REPLY:
    return p->arguments >= 0 || p->expired;
  default:
    return true;
  }
}

/* One turn of one process: until it waits, has handled one mail, or has had
 * its share. */
static void turn(lua_State *L, byn_process *p) {
  byn_watchdog *watch = p->node->watch;
  p->node->share = p->node->points ? 1 : SHARE;
  byn_watchdog_turn(watch);
  if (!p->co) p->behaviour->run(L, p);
  while (p->co && !p->exiting && can_resume(p)) {
    bool spent = p->node->share-- <= 0 || byn_watchdog_late(watch);
    if (!spent) resume(L, p);
    if (!spent && (!p->co || p->wait != BYN_WAIT_PAUSE)) continue;
    p->woken = true; /* gives way to the others */
    break;
  }
  if (watch && (p->held_ms || byn_watchdog_late(watch)))
    byn_preempt_account(L, p);
}

/* What a process does next, once its turn is over. */
static void settle(byn_process *p) {
  byn_world *w = p->node->world;
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

void byn_node_run(lua_State *L, byn_node *node, int slices) {
  byn_world *w = node->world;
  luaL_checkstack(L, 2 * BYN_TURN_STACK, NULL);
  while (node->ready && slices-- > 0 && !byn_watchdog_step_late(node->watch)) {
    byn_process *p = node->ready;
    node->ready = p->next_ready;
    if (!node->ready) node->ready_last = NULL;
    p->queued = false;
    if (p->state == BYN_DEAD) byn_process_free(p);
    if (p->state != BYN_READY) continue;
    p->state = BYN_RUNNING;
    w->running = p;
    node->clock_read = false;
    turn(L, p);
    settle(p);
    if (node->exiting) byn_node_reap(L, node);
  }
}

/* --- turns out of order --------------------------------------------------- */

/* Takes the one after `before` out of the run queue; NULL: the first. */
static void unqueue(byn_node *node, byn_process *before) {
  byn_process *p = before ? before->next_ready : node->ready;
  if (before)
    before->next_ready = p->next_ready;
  else
    node->ready = p->next_ready;
  if (node->ready_last == p) node->ready_last = before;
  p->queued = false;
}

byn_process *byn_node_next_ready(byn_node *node, byn_process *before) {
  for (;;) {
    byn_process *p = before ? before->next_ready : node->ready;
    if (!p || p->state == BYN_READY) return p;
    unqueue(node, before);
    if (p->state == BYN_DEAD) byn_process_free(p);
  }
}

void byn_node_take_turn(lua_State *L, byn_node *node, byn_process *p) {
  byn_process *before = NULL;
  for (byn_process *q = node->ready; q != p; q = q->next_ready)
    before = q;
  unqueue(node, before);
  p->queued = true;
  p->next_ready = node->ready;
  node->ready = p;
  if (!node->ready_last) node->ready_last = p;
  byn_node_run(L, node, 1);
}
