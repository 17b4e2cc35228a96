/* A step of a node: due timers, links, then ready processes. */
#include "step.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "event.h"
#include "hooks.h"
#include "process.h"
#include "reap.h"
#include "scheduler.h"
#include "send.h"
#include "wait.h"

#define SLICES 2000  /* turns of processes in one step */
#define RETRY_MS 10  /* until what an error broke off is tried again */
#define ATTEMPTS 100 /* recoveries from errors in one step */

/* --- timers --------------------------------------------------------------- */

void byn_node_run_timer(lua_State *L, byn_node *node) {
  byn_process *p = node->due.owner;
  byn_assert(p && !node->world->running);
  int top = byn_stack_top(L);
  switch (node->due.kind) {
  case BYN_TIMER_WAIT:
    byn_process_expire(p);
    break;
  case BYN_TIMER_OWN:
    byn_assert(p->own_timer == node->due.timer);
    p->own_timer = 0;
    if (p->behaviour->timed_out) p->behaviour->timed_out(L, p);
    break;
  default:
    byn_send_due(L, node, node->due.owner);
  }
  byn_assert(byn_stack_top(L) == top);
  node->due.owner = NULL;
}

/* An error broke off what the timer that was due is for: it is due again a
 * little later, if that makes sense. Its own place is free, so that needs no
 * memory. */
static void retry_timer(byn_node *node) {
  byn_process *p = node->due.owner;
  if (!p) return;
  node->due.owner = NULL;
  if (node->due.kind == BYN_TIMER_SEND)
    byn_send_again(node, (struct byn_send *)p, RETRY_MS);
  else if (node->due.kind == BYN_TIMER_OWN && !p->own_timer)
    p->own_timer = byn_node_try_timer(node, RETRY_MS, BYN_TIMER_OWN, p);
}

/* --- errors --------------------------------------------------------------- */

/* (node, process or NULL, error): reports the error, and makes it the reason
 * that the process ends for. */
static int report_error_protected(lua_State *L) {
  byn_node *node = lua_touserdata(L, 1);
  byn_process *p = lua_touserdata(L, 2);
  const char *text = byn_reason_tostring(L, 3);
  if (byn_event(L, node, "scheduler_error")) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, "reason");
    byn_event_done(L, node);
  }
  if (!p) return 0;
  lua_pushstring(L, text);
  lua_pushliteral(L, "stack traceback:\n\t(in the scheduler)");
  byn_reason_make(L, "error", 2);
  p->exit_reason = byn_slot_put(L, &node->world->slots);
  return 0;
}

void byn_node_recover(lua_State *L, byn_node *node) {
  byn_process *p = node->world->running;
  int top = byn_stack_top(L) - 1;
  retry_timer(node);
  node->world->running = NULL;
  if (p && p->state != BYN_RUNNING) p = NULL;
  node->memory_short = byn_reason_is_shortage(L, -1);
  if (p) {
    byn_assert(!p->queued);
    byn_process_cancel_end(L, p);
    p->state = BYN_IDLE;
  }
  lua_pushcfunction(L, report_error_protected);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, node);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, p);
  lua_insert(L, -2);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
  if (p) byn_process_reap_later(p);
  byn_assert(byn_stack_top(L) == top && byn_node_lists_sound(node));
}

/* --- gaps ----------------------------------------------------------------- */

/* A gap of that length, if it is not 0, is over: it is nobody else's fault. */
static void node_after_gap(byn_node *node, int64_t ms) {
  byn_assert(ms >= 0 && node->gap.state != BYN_GAP_LATE);
  if (!ms) return;
  node->untold_gap_ms = ms;
  if (node->remote) node->remote->after_gap(node);
}

/* The step has ended. One that an error broke off at its very end, and that
 * was tried again, has ended before. */
static void rest_node(byn_node *node) {
  if (node->gap.state == BYN_GAP_WAITING) return;
  node_after_gap(node, byn_gap_rest(&node->gap, node->now));
}

/* May raise when memory is short: it is told of in the next try. */
static void report_gap(lua_State *L, byn_node *node) {
  if (!node->untold_gap_ms) return;
  if (byn_event(L, node, "clock_gap")) {
    lua_pushinteger(L, node->untold_gap_ms);
    lua_setfield(L, -2, "ms");
    byn_event_done(L, node);
  }
  node->untold_gap_ms = 0;
}

/* --- steps ---------------------------------------------------------------- */

/* Of timers and links. */
static int64_t next_due(const byn_node *node) {
  int64_t next = byn_timers_next(node->timers);
  int64_t links = node->remote ? node->remote->deadline(node) : BYN_NEVER;
  return links < next ? links : next;
}

static int step_protected(lua_State *L) {
  byn_node *node = lua_touserdata(L, 1);
  luaL_checkstack(L, 40, NULL);
  report_gap(L, node);
  byn_hooks_follow(L, node->world);
  node->reaping = false; /* an error may have left it so */
  byn_node_reap(L, node);
  while (byn_timers_pop(node->timers, node->now, &node->due))
    byn_node_run_timer(L, node);
  byn_node_reap(L, node);
  if (node->remote) node->remote->tick(L, node);
  byn_node_reap(L, node);
  byn_node_run(L, node, SLICES);
  node->clock_read = false;
  byn_node_now(L, node); /* how long it took */
  rest_node(node);
  report_gap(L, node);
  bool ready = node->ready || node->busy;
  int64_t next = ready ? node->now : next_due(node);
  byn_gap_ask(&node->gap, node->now, next);
  if (next == BYN_NEVER) return 0;
  lua_pushinteger(L, next);
  return 1;
}

bool byn_node_step(lua_State *L, byn_node *node) {
  node_after_gap(node, byn_gap_step(&node->gap, node->now));
  for (int i = 0; i < ATTEMPTS; i++) {
    lua_pushcfunction(L, step_protected);
    lua_pushlightuserdata(L, node);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
      byn_assert(!node->reaping && !node->due.owner && !node->world->running);
      return true;
    }
    byn_node_recover(L, node);
  }
  rest_node(node);
  return false;
}

void byn_node_jump(lua_State *L, byn_node *node, int64_t now) {
  byn_gap *gap = &node->gap;
  if (now <= node->now && gap->state != BYN_GAP_LATE) return;
  if (gap->state == BYN_GAP_STEPPING) byn_gap_rest(gap, node->now);
  if (gap->state == BYN_GAP_WAITING)
    byn_gap_ask(gap, node->now, next_due(node));
  if (now > node->now) node->now = now;
  node_after_gap(node, byn_gap_step(gap, node->now));
  report_gap(L, node);
}
