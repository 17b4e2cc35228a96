/* Coroutines: kept for re-use, and lent to processes. */
#include "coroutine.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "foreign.h"
#include "hooks.h"
#include "node.h"
#include "process.h"
#include "watchdog.h"

static inline bool is_spare_sound(lua_State *co) {
  return lua_status(co) == LUA_OK && lua_gettop(co) == BYN_COROUTINE_BASE;
}

void byn_coroutine_forget(lua_State *L, byn_world *w, const lua_State *co) {
  for (int i = 0; i < w->coroutine_count; i++) {
    if (w->coroutines[i].co != co) continue;
    byn_slot_free(L, &w->slots, w->coroutines[i].slot);
    w->coroutines[i] = w->coroutines[--w->coroutine_count];
    return;
  }
}

void byn_coroutine_reserve(lua_State *L, byn_world *w, int values) {
  if (!w->coroutine_count) {
    lua_State *co = lua_newthread(L);
    byn_foreign_watch(L, co);
    byn_hooks_set(L, w, co);
    byn_coroutine_give(L, w, co, byn_slot_put(L, &w->slots), LUA_OK);
  }
  if (!byn_has_room(w->coroutines[w->coroutine_count - 1].co, values))
    luaL_error(L, "not enough memory");
}

lua_State *byn_coroutine_take(lua_State *L, byn_world *w, int *slot,
                              int values) {
  byn_coroutine_reserve(L, w, values);
  struct byn_spare_coroutine *t = &w->coroutines[--w->coroutine_count];
  byn_assert(is_spare_sound(t->co));
  *slot = t->slot;
  return t->co;
}

/* The watchdog watches what the to-be-closed variables do, and afterwards again
 * the code that was running, if that closes this one. */
static void close_coroutine(byn_world *w, lua_State *co) {
  byn_watchdog *watch = w->running ? w->running->node->watch : NULL;
  lua_State *outer = watch ? BYN_LOAD(watch->code) : NULL;
  lua_State *closing = w->closing;
  w->closing = co;
  byn_watchdog_leave(watch);
  byn_watchdog_enter(watch, co);
  lua_resetthread(co);
  byn_watchdog_leave(watch);
  byn_watchdog_enter(watch, outer);
  w->closing = closing;
}

void byn_coroutine_give(lua_State *L, byn_world *w, lua_State *co, int slot,
                        int status) {
  byn_assert(slot && w->coroutine_count >= 0);
  byn_assert(status != LUA_OK || is_spare_sound(co));
  if (status == LUA_OK && w->coroutine_count < BYN_COROUTINES) {
    w->coroutines[w->coroutine_count++] =
        (struct byn_spare_coroutine){co, slot};
    return;
  }
  if (status != LUA_OK && !byn_coroutine_is_running(co)) close_coroutine(w, co);
  byn_slot_free(L, &w->slots, slot);
}

/* A coroutine for p, to be resumed with `arguments` values. */
static lua_State *give_coroutine(lua_State *L, byn_process *p, int arguments) {
  byn_assert(!p->co && p->state < BYN_EXITING);
  p->co = byn_coroutine_take(L, p->node->world, &p->thread, arguments + 1);
  p->arguments = arguments;
  p->wait = BYN_WAIT_NOTHING;
  return p->co;
}

void byn_process_call(lua_State *L, byn_process *p, int arguments) {
  lua_xmove(L, give_coroutine(L, p, arguments), arguments + 1);
}

void byn_process_callback(lua_State *L, byn_process *p, int arguments) {
  lua_State *co = give_coroutine(L, p, arguments);
  for (int i = 0; i <= arguments; i++)
    lua_xmove(L, co, 1);
}
