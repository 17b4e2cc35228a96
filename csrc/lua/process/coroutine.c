/* Coroutines kept for re-use, so that starting code costs no new one. */
#include "coroutine.h"

#include "../value/compat.h"
#include "node.h"
#include "process.h"
#include "watchdog.h"

void byn_coroutine_reserve(lua_State *L, byn_world *w, int values) {
  if (!w->coroutine_count) {
    lua_State *co = lua_newthread(L);
    byn_coroutine_give(L, w, co, byn_slot_put(L, &w->slots), LUA_OK);
  }
  if (!byn_has_room(w->coroutines[w->coroutine_count - 1].co, values))
    luaL_error(L, "not enough memory");
}

lua_State *byn_coroutine_take(lua_State *L, byn_world *w, int *slot,
                              int values) {
  byn_coroutine_reserve(L, w, values);
  struct byn_spare_coroutine *t = &w->coroutines[--w->coroutine_count];
  *slot = t->slot;
  return t->co;
}

/* What its to-be-closed variables do is watched like other code. It may be
 * other code that closes it. */
static void close_thread(byn_world *w, lua_State *co) {
  byn_watchdog *watch = w->running ? w->running->node->watch : NULL;
  lua_State *outer = watch ? BYN_LOAD(watch->code) : NULL;
  byn_watchdog_leave(watch);
  byn_watchdog_enter(watch, co);
  lua_resetthread(co);
  byn_watchdog_leave(watch);
  byn_watchdog_enter(watch, outer);
}

void byn_coroutine_give(lua_State *L, byn_world *w, lua_State *co, int slot,
                        int status) {
  if (status == LUA_OK && w->coroutine_count < BYN_COROUTINES) {
    w->coroutines[w->coroutine_count++] =
        (struct byn_spare_coroutine){co, slot};
    return;
  }
  if (status != LUA_OK) close_thread(w, co);
  byn_slot_free(L, &w->slots, slot);
}
