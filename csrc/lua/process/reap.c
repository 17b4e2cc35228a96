/* Reaping: what is EXITING is taken out of its node, and becomes DEAD. */
#include "reap.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "coroutine.h"
#include "event.h"
#include "foreign.h"
#include "label.h"
#include "lookup.h"
#include "mailbox_limit.h"
#include "node.h"
#include "owned.h"
#include "send.h"
#include "signal.h"
#include "wait.h"

/* --- reaping -------------------------------------------------------------- */

/* The event of a crash: once, and not for a process that the exit signal of
 * another ended. */
static void report_crash(lua_State *L, byn_process *p, int reason) {
  if (p->crash_told || !byn_reason_is_error(L, reason)) return;
  if (!byn_event(L, p->node, "process_crashed")) return;
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  lua_pushvalue(L, reason);
  lua_setfield(L, -2, "reason");
  byn_slot_push(L, p->name);
  lua_setfield(L, -2, "name");
  byn_label_push(L, p);
  lua_setfield(L, -2, "label");
  int top = byn_stack_top(L);
  if (p->self && p->behaviour->tell) p->behaviour->tell(L, p);
  byn_assert(byn_stack_top(L) == top);
  byn_event_done(L, p->node);
  p->crash_told = true;
}

/* Closes the coroutine; its to-be-closed variables run as p. */
static void close_coroutine(lua_State *L, byn_process *p) {
  if (!p->co) return;
  byn_world *w = p->node->world;
  byn_process *running = w->running;
  w->running = p;
  int status = lua_status(p->co);
  bool fresh = status == LUA_OK && !byn_coroutine_is_running(p->co);
  if (fresh) lua_settop(p->co, BYN_COROUTINE_BASE); /* it never ran */
  if (status == LUA_OK && !fresh) status = LUA_YIELD;
  byn_coroutine_give(L, w, p->co, p->thread, status);
  w->running = running;
  p->co = NULL;
}

static void cancel_process_timers(lua_State *L, byn_process *p) {
  if (p->timer) byn_timers_cancel(p->node->timers, p->timer, NULL);
  p->timer = 0;
  byn_process_untimer(p);
  byn_sends_cancel(L, p);
}

static void free_process_slots(lua_State *L, byn_process *p) {
  byn_slots *slots = &p->node->world->slots;
  byn_slot_free(L, slots, p->label);
  byn_foreign_forget(L, p);
  byn_slot_free(L, slots, p->exit_reason);
}

/* A finalizer may add mail here, and take none. */
static void refuse_calls(lua_State *L, byn_process *p) {
  for (const byn_mail *mail = p->mail.head; mail; mail = mail->next)
    if (mail->kind == BYN_MAIL_CALL) byn_call_refuse(L, p, &mail->id);
}

static void break_relations(lua_State *L, byn_process *p, int reason) {
  while (p->relations.first)
    byn_relation_break_first(L, p->node, &p->relations, reason);
}

/* Where memory was too short to say why it ends, that is the reason. */
static void push_exit_reason(lua_State *L, const byn_process *p) {
  if (p->exit_reason)
    byn_slot_push(L, p->exit_reason);
  else
    lua_pushliteral(L, "out_of_memory");
}

static inline void behaviour_ended(lua_State *L, byn_process *p, int reason) {
  int top = byn_stack_top(L);
  p->behaviour->ended(L, p, reason);
  byn_assert(byn_stack_top(L) == top);
}

/* Closes the code of p, releases what it owns, reports a crash, frees its name
 * and timers, and signals its end to its links and monitors. Memory may run out
 * in the middle; p is still the first that is EXITING then, and all of this is
 * done again, so each line must be right a second time. */
static void exit_process(lua_State *L, byn_process *p) {
  byn_node *node = p->node;
  byn_assert(p->state == BYN_EXITING && p != node->world->running);
  push_exit_reason(L, p);
  int reason = lua_gettop(L);
  close_coroutine(L, p);
  byn_owned_release(L, p);
  report_crash(L, p, reason);
  byn_mailbox_unlimit(L, p);
  byn_node_unregister(L, p);
  cancel_process_timers(L, p);
  if (node->points) node->points->exited(L, p, reason);
  if (p->self) behaviour_ended(L, p, reason);
  p->self = NULL;
  if (p->handed_over) refuse_calls(L, p);
  break_relations(L, p, reason);
  byn_mailbox_clear(L, node->world, &p->mail);
  lua_settop(L, reason - 1);
}

/* No relation is left: takes p out of the node. */
static void remove_process(lua_State *L, byn_process *p) {
  byn_node *node = p->node;
  byn_assert(node->table[p->id.index] == p && node->process_count);
  byn_assert(!p->co && !p->self && !p->name && !p->timer && !p->own_timer);
  byn_assert(!p->owns);
  byn_assert(!p->relations.first && !p->mail.head);
  node->table[p->id.index] = NULL;
  node->process_count--;
  free_process_slots(L, p);
  p->state = BYN_DEAD;
  if (!p->queued) byn_process_free(p);
}

/* What took all memory has ended. LuaJIT does not collect when an allocation
 * fails, so the next process to run would fail too. */
static void collect_garbage(lua_State *L, byn_node *node) {
  node->memory_short = false;
  lua_gc(L, LUA_GCCOLLECT, 0);
}

void byn_node_reap(lua_State *L, byn_node *node) {
  if (node->reaping) return;
  node->reaping = true;
  luaL_checkstack(L, 20, NULL);
  int top = byn_stack_top(L);
  while (node->exiting) {
    byn_process *p = node->exiting;
    exit_process(L, p);
    byn_assert(node->exiting == p && byn_stack_top(L) == top);
    node->exiting = p->next_exiting;
    if (!node->exiting) node->exiting_last = NULL;
    byn_assert(byn_node_lists_sound(node));
    remove_process(L, p);
  }
  byn_assert(node->reaping);
  node->reaping = false;
  if (node->memory_short) collect_garbage(L, node);
}

/* --- leaving the code of a process ---------------------------------------- */

/* Leaves the code of p for good, by a yield that is never resumed; where a
 * yield is not possible, by an error that the scheduler understands. */
static int leave_code(lua_State *L, byn_process *p) {
  byn_assert(p->exiting && p->state == BYN_RUNNING);
  if (L == p->co && lua_isyieldable(L)) return byn_yield_for_good(L);
  byn_slot_push(L, p->exit_reason);
  return byn_reason_raise(L, -1);
}

int byn_process_exit(lua_State *L, byn_process *p) {
  bool first = !p->exiting;
  byn_process_end(L, p);
  if (first) p->exits_itself = true;
  return leave_code(L, p);
}

int byn_process_leave(lua_State *L, byn_process *p, int results) {
  byn_node *node = p ? p->node : byn_node_here(L);
  if (node->exiting && !byn_in_finalizer(L)) byn_node_reap(L, node);
  return p && p->exiting ? leave_code(L, p) : results;
}
