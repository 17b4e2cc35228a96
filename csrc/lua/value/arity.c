/* Arity: whether a function looks at its n-th argument. */
#include "arity.h"

#include <limits.h>

#include "../../core/assert.h"
#include "world.h"

/* LuaJIT's API does not say. */
#if LUA_VERSION_NUM < 504
static int count_parameters(lua_State *L, int index) {
  (void)L;
  (void)index;
  return INT_MAX;
}
#else
static int count_parameters(lua_State *L, int index) {
  lua_Debug ar;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">u", &ar);
  return ar.isvararg ? INT_MAX : ar.nparams;
}
#endif

static byn_arity *arity_place(byn_world *w, const void *fn) {
  return &w->arities[((uintptr_t)fn >> 4) & (BYN_ARITIES - 1)];
}

static void remember_arity(lua_State *L, byn_world *w, int index,
                           byn_arity *a) {
  int count = count_parameters(L, index);
  const void *fn = lua_topointer(L, index);
  byn_slots_reserve(L, &w->slots, 1);
  byn_slot_free(L, &w->slots, a->slot);
  byn_assert(count >= 0 && fn);
  lua_pushvalue(L, index);
  *a = (byn_arity){fn, byn_slot_put(L, &w->slots), count};
}

bool byn_takes(lua_State *L, byn_world *w, int index, int n) {
  index = lua_absindex(L, index);
  const void *fn = lua_topointer(L, index);
  byn_arity *a = arity_place(w, fn);
  if (a->fn != fn) {
    if (lua_type(L, index) != LUA_TFUNCTION) return true;
    remember_arity(L, w, index, a);
  }
  return n <= a->count;
}
