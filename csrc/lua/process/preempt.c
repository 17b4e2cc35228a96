/* Preemption: the hook that cuts a turn short, and who is reported for it. */
#include "preempt.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "event.h"
#include "label.h"
#include "process.h"

/* A process that has held the node for HELD_REPORT_MS is reported. While it is
 * below HELD_LONG_MS, such events of all processes together come once in that
 * time. */
#define HELD_REPORT_MS 100
#define HELD_LONG_MS 1000
#define REPORTED_ALL 31 /* byn_process.held_log2: no event follows */

/* For how long p has held the node, this turn included. */
static uint32_t held_for(const byn_process *p) {
  const byn_watchdog *watch = p->node->watch;
  uint32_t turn = byn_watchdog_late(watch) ? BYN_LOAD(watch->held_ms) : 0;
  return p->held_ms < UINT32_MAX - turn ? p->held_ms + turn : UINT32_MAX;
}

/* --- reporting ------------------------------------------------------------ */

/* Sets where the code is: `at`, "file.lua:12", and the traceback. */
static void set_place(lua_State *L, lua_State *code) {
  lua_Debug ar = {.currentline = -1};
  for (int i = 0; ar.currentline < 0 && lua_getstack(code, i, &ar); i++)
    lua_getinfo(code, "Sl", &ar);
  if (ar.currentline >= 0) {
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    lua_setfield(L, -2, "at");
  }
  byn_traceback(L, code);
  lua_setfield(L, -2, "traceback");
}

/* `code`: what p runs, or NULL if it has ended. */
static void report_held(lua_State *L, byn_process *p, lua_State *code,
                        bool killed) {
  if (!byn_event(L, p->node, "process_held_node")) return;
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  byn_slot_push(L, p->name);
  lua_setfield(L, -2, "name");
  byn_label_push(L, p);
  lua_setfield(L, -2, "label");
  lua_pushinteger(L, held_for(p));
  lua_setfield(L, -2, "ms");
  lua_pushboolean(L, p->preempted);
  lua_setfield(L, -2, "preempted");
  if (killed) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "killed");
  }
  if (code) set_place(L, code);
  byn_event_done(L, p->node);
}

/* Has p held the node long enough for an event, and is now the time for it? */
static bool is_report_due(lua_State *L, byn_process *p) {
  byn_node *node = p->node;
  uint32_t ms = held_for(p);
  if (ms < HELD_REPORT_MS || ms >> p->held_log2 == 0 ||
      p->held_log2 == REPORTED_ALL)
    return false;
  int64_t now = byn_node_now(L, node);
  if (ms < HELD_LONG_MS && now < node->report_held_at) return false;
  node->report_held_at = now + HELD_LONG_MS;
  while (p->held_log2 < REPORTED_ALL && ms >> p->held_log2)
    p->held_log2++;
  return true;
}

void byn_preempt_account(lua_State *L, byn_process *p) {
  byn_assert(p->state == BYN_RUNNING);
  if (is_report_due(L, p))
    report_held(L, p, p->preempted ? p->co : NULL, false);
  p->held_ms = held_for(p);
  if (!p->preempted) byn_preempt_reset(p);
  p->preempted = false;
}

/* --- the hook ------------------------------------------------------------- */

static bool must_exit(const byn_process *p) {
  int64_t limit = p->node->kill_after_ms;
  return p->exiting || (limit && held_for(p) >= limit);
}

/* Ends p, which runs, for holding the node. Raises when memory is short; the
 * watchdog comes again then. */
static void kill_holder(lua_State *L, byn_process *p) {
  if (p->exiting || p->state >= BYN_EXITING) return;
  report_held(L, p, L, true);
  p->held_log2 = REPORTED_ALL;
  lua_pushinteger(L, held_for(p));
  byn_reason_make(L, "held_node", 1);
  byn_process_end(L, p);
}

/* Leaves the code where it cannot yield. The hook stays, so that whatever
 * catches the error comes no further. No message handler may run, as no hook
 * is called below a hook: Lua takes this very text for its own error, the one
 * that it calls no handler for. What it says does not matter, p has a reason
 * to end for. */
static void raise_out_of_code(lua_State *L, const byn_watchdog *watch) {
  lua_sethook(L, watch->hook, LUA_MASKCOUNT, 1);
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
}

/* The code cannot yield here: the hook waits for a function to return. Where
 * the program has a hook of its own, it waits for the watchdog's next tick. */
static void hook_next_return(lua_State *L, byn_watchdog *watch) {
  if (watch->user_hook)
    byn_watchdog_unhook(watch);
  else
    lua_sethook(L, watch->hook, LUA_MASKRET, 0);
}

/* Takes the hook off code that the watchdog has not put it into: a coroutine
 * inherits the hook of the one that makes it. */
static void drop_inherited_hook(lua_State *L, const byn_watchdog *watch) {
  if (watch && watch->hooked)
    lua_sethook(L, watch->user_hook, watch->user_mask, watch->user_count);
  else
    lua_sethook(L, NULL, 0, 0);
}

/* The hook may yield only in a count event, and only where no other hook runs
 * after it: the signal may have come while Lua was about to call a line hook of
 * the program, which must not run in a coroutine that has yielded. At the next
 * instruction this hook is the only one. */
static void hook_next_instruction(lua_State *L, byn_watchdog *watch) {
  watch->alone = true;
  lua_sethook(L, watch->hook, LUA_MASKCOUNT, 1);
}

static void hook(lua_State *L, lua_Debug *ar) {
  byn_process *p = byn_world_of(L)->running;
  byn_watchdog *watch = p ? p->node->watch : NULL;
  if (!watch || watch->hooked != L) {
    drop_inherited_hook(L, watch);
    return;
  }
  bool free = L == p->co && lua_isyieldable(L);
  if (!byn_watchdog_late(watch)) {
    byn_watchdog_unhook(watch);
  } else if (free && (ar->event != LUA_HOOKCOUNT || !watch->alone)) {
    hook_next_instruction(L, watch);
  } else if (must_exit(p)) {
    kill_holder(L, p);
    if (!free) raise_out_of_code(L, watch);
    byn_watchdog_unhook(watch);
    lua_yield(L, 0);
  } else if (free) {
    byn_watchdog_unhook(watch);
    byn_assert(p->state == BYN_RUNNING);
    p->preempted = true;
    lua_yield(L, 0);
  } else {
    hook_next_return(L, watch);
  }
}

int byn_preempt_open(byn_node *node, int slice_ms, int64_t kill_after_ms) {
  int error;
  byn_watchdog_close(node->watch);
  node->watch = byn_watchdog_open(slice_ms, hook, &error);
  node->kill_after_ms = kill_after_ms;
  return error;
}
