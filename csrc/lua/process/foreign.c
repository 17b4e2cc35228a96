/* Foreign code that resumes or closes the coroutine of a process. */
#include "foreign.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/reason.h"
#include "coroutine.h"
#include "node.h"
#include "process.h"

#define ADVICE                                                                 \
  "only Banyan continues a process. To wait for a callback use "               \
  "banyan.await, or send the process a message"

/* Their addresses are registry keys: of the set of coroutines, whose keys are
 * weak, and of the value at the bottom of each. */
static const char LENT = 0, BOTTOM = 0;

/* --- whose coroutine it is ------------------------------------------------ */

/* The process whose coroutine that is, or NULL. */
static byn_process *find_owner(const byn_world *w, const lua_State *co) {
  for (const byn_node *node = w->nodes; node; node = node->next) {
    for (uint32_t i = 0; i < node->table_size; i++) {
      byn_process *p = node->table[i];
      if (p && p->co == co) return p;
    }
  }
  return NULL;
}

static bool is_lent(lua_State *L) {
  luaL_checkstack(L, 3, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &LENT) != LUA_TTABLE) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushthread(L);
  bool lent = lua_rawget(L, -2) == LUA_TBOOLEAN;
  lua_pop(L, 2);
  return lent;
}

bool byn_coroutine_is_running(lua_State *co) {
  lua_Debug ar;
  return lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar);
}

/* --- reasons -------------------------------------------------------------- */

static void push_pid_text(lua_State *L, const byn_process *p) {
  byn_process_push(L, p);
  luaL_tolstring(L, -1, NULL);
  lua_remove(L, -2);
}

/* Pushes " (file:12)" for the code that resumed p, or "" where that is not
 * known. */
static void push_resumer(lua_State *L, const byn_process *p) {
  const byn_process *running = p->node->world->running;
  lua_State *by = running ? running->co : NULL;
#if LUA_VERSION_NUM >= 504
  if (!running) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    by = lua_tothread(L, -1);
    lua_pop(L, 1);
  }
#endif
  lua_Debug ar = {.currentline = -1};
  if (by && by != L)
    for (int i = 0; ar.currentline < 0 && lua_getstack(by, i, &ar); i++)
      lua_getinfo(by, "Sl", &ar);
  if (ar.currentline >= 0)
    lua_pushfstring(L, " (%s:%d)", ar.short_src, ar.currentline);
  else
    lua_pushliteral(L, "");
}

/* The code of p runs on L without its scheduler. Leaves the text of the error
 * on top, and makes it the reason of p. */
static void break_off(lua_State *L, byn_process *p) {
  byn_node *node = p->node;
  luaL_checkstack(L, 10, NULL);
  push_pid_text(L, p);
  push_resumer(L, p);
  lua_pushfstring(L, "the coroutine of %s was resumed by other code%s: " ADVICE,
                  lua_tostring(L, -2), lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
  bool decided = p->state >= BYN_EXITING || p->exiting;
  if (decided || p->wait == BYN_WAIT_BROKEN) return;
  lua_pushvalue(L, -1);
  byn_traceback(L, L);
  byn_reason_make(L, "error", 2);
  int slot = byn_slot_put(L, &node->world->slots);
  p->wait = BYN_WAIT_BROKEN;
  p->arguments = slot;
  if (node->points) node->points->touch(p);
  byn_process_ready(p);
}

void byn_foreign_push_reason(lua_State *L, byn_process *p) {
  if (p->wait == BYN_WAIT_BROKEN && p->arguments > 0) {
    byn_slot_push(L, p->arguments);
    byn_foreign_forget(L, p);
    return;
  }
  push_pid_text(L, p);
  lua_pushfstring(L,
                  "the coroutine of %s was closed by other code, or run to "
                  "its end: " ADVICE,
                  lua_tostring(L, -1));
  lua_remove(L, -2);
  byn_traceback(L, p->co);
  byn_reason_make(L, "error", 2);
}

void byn_foreign_forget(lua_State *L, byn_process *p) {
  if (p->wait != BYN_WAIT_BROKEN) return;
  byn_slot_free(L, &p->node->world->slots, p->arguments);
  p->arguments = 0;
}

void byn_yielded_push_reason(lua_State *L, byn_process *p) {
  lua_Debug ar = {.currentline = -1};
  for (int i = 0; ar.currentline < 0 && lua_getstack(p->co, i, &ar); i++)
    lua_getinfo(p->co, "Sl", &ar);
  if (ar.currentline >= 0)
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  else
    lua_pushliteral(L, "");
  lua_pushliteral(L, "coroutine.yield with values in a process, where nobody "
                     "takes them. To wait for a callback use banyan.await; "
                     "without values it gives way to other processes");
  lua_concat(L, 2);
  byn_traceback(L, p->co);
  byn_reason_make(L, "error", 2);
}

/* --- leaving -------------------------------------------------------------- */

#if BYN_WAITS_GUARDED
static int yield_again(lua_State *L, int status, lua_KContext nothing) {
  (void)status;
  (void)nothing;
  return byn_yield_for_good(L);
}

int byn_yield_for_good(lua_State *L) {
  return lua_yieldk(L, 0, 0, yield_again);
}
#else
int byn_yield_for_good(lua_State *L) {
  return lua_yield(L, 0);
}
#endif

int byn_foreign_resumed(lua_State *L, byn_world *w) {
  byn_process *p = find_owner(w, L);
  if (p) break_off(L, p);
  return byn_yield_for_good(L);
}

/* Where the code cannot be left by a yield, it gets an error, at this call and
 * at each that follows. */
void byn_foreign_check(lua_State *L, byn_world *w) {
  const byn_process *running = w->running;
  if ((running && running->co == L) || w->closing == L || !is_lent(L)) return;
  byn_process *p = find_owner(w, L);
  if (p)
    break_off(L, p);
  else
    lua_pushliteral(L, "the process of this coroutine has ended: " ADVICE);
  if (BYN_WAITS_GUARDED && lua_isyieldable(L)) byn_yield_for_good(L);
  lua_error(L);
}

/* --- watching ------------------------------------------------------------- */

/* The value at the bottom is closed: by Banyan, or the process must hear. */
static int l_bottom_closed(lua_State *L) {
  byn_world *w = byn_world_here(L);
  if (w->closing == L) return 0;
  byn_process *p = find_owner(w, L);
  if (!p) byn_coroutine_forget(L, w, L);
  if (!p || p->state >= BYN_EXITING || p->wait == BYN_WAIT_BROKEN) return 0;
  p->wait = BYN_WAIT_BROKEN;
  p->arguments = 0;
  if (p->node->points) p->node->points->touch(p);
  byn_process_ready(p);
  return 0;
}

/* Somebody resumes a coroutine that no process uses: the value at the bottom is
 * called. */
static int l_bottom_called(lua_State *L) {
  byn_coroutine_forget(L, byn_world_here(L), L);
  return luaL_error(L, "%s",
                    "the process of this coroutine has ended: " ADVICE);
}

static void make_watch(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_newuserdatauv(L, 1, 0);
  lua_createtable(L, 0, 2);
  byn_push_function(L, l_bottom_closed);
  lua_setfield(L, -2, "__close");
  byn_push_function(L, l_bottom_called);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &BOTTOM);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &LENT);
}

void byn_foreign_watch(lua_State *L, lua_State *co) {
  int top = byn_stack_top(L);
  luaL_checkstack(L, 6, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &LENT) != LUA_TTABLE) {
    lua_pop(L, 1);
    make_watch(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &LENT);
  }
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  lua_pop(L, 1);
#if LUA_VERSION_NUM >= 504
  lua_rawgetp(L, LUA_REGISTRYINDEX, &BOTTOM);
  lua_xmove(L, co, 1);
  lua_toclose(co, 1);
#endif
  byn_assert(byn_stack_top(L) == top);
  byn_assert(lua_gettop(co) == BYN_COROUTINE_BASE);
}

/* --- in Lua --------------------------------------------------------------- */

/* resumed(...) -> ...: what a wait has answered, if its process goes on by the
 * scheduler; else it is broken off */
#if !BYN_WAITS_GUARDED
static int l_resumed(lua_State *L) {
  byn_foreign_check(L, byn_world_here(L));
  return lua_gettop(L);
}
#endif

void byn_foreign_functions(lua_State *L) {
#if !BYN_WAITS_GUARDED
  byn_push_function(L, l_resumed);
  lua_setfield(L, -2, "resumed");
#else
  (void)L;
#endif
}
