/* What all nodes of one Lua state share: the slots, the pool of coroutines,
 * the interned ids, and which process is running now. There is one world per
 * Lua state, in its registry; C has no globals.
 */
#ifndef BYN_WORLD_H
#define BYN_WORLD_H

#include <stdbool.h>

#include "../../core/alloc.h"
#include "../../core/pool.h"
#include "arity.h"
#include "compat.h"
#include "id.h"
#include "slots.h"

#define BYN_POOL_SIZE 4096   /* coroutines kept for re-use */
#define BYN_SPARE_MAILS 8192 /* mails kept for re-use */

typedef struct byn_world {
  byn_alloc alloc; /* Lua's own allocator */
  byn_slots slots;
  byn_origin *origins;
  uint32_t origin_count;
  uint32_t origins_many;       /* so many: time to prune them */
  struct byn_node *nodes;      /* all that have not been closed */
  int made;                    /* how many nodes there ever were */
  struct byn_process *running; /* or NULL outside any process */
  struct byn_thread {
    lua_State *co;
    int slot;
  } pool[BYN_POOL_SIZE]; /* coroutines that ended well, ready for re-use */
  int pooled;
  struct byn_mail *spare_mails;
  int spare_mail_count;
  byn_pool relations, far_relations; /* a record for each that there is */
  byn_pool servers, kids;
  byn_arity arities[BYN_ARITIES];
  int resolver; /* slot of the function that resolves named children */
} byn_world;

/* Room for `values` more on a coroutine that is new, or that has yielded: it
 * has LUA_MINSTACK places in any case. false: memory is short. */
static inline bool byn_has_room(lua_State *co, int values) {
  return values < LUA_MINSTACK / 2 || lua_checkstack(co, values);
}

/* The world of this Lua state, made at the first call. */
byn_world *byn_world_open(lua_State *L);
/* The same once it exists; NULL before. */
byn_world *byn_world_of(lua_State *L);

/* Our functions carry the world as their first upvalue, a light userdata:
 * that is found in a fraction of the time. */
void byn_push_function(lua_State *L, lua_CFunction fn);
/* Sets such functions in the table on top. */
void byn_set_functions(lua_State *L, const luaL_Reg *functions);
/* The world, in any C function. */
static inline byn_world *byn_world_here(lua_State *L) {
  byn_world *w = lua_touserdata(L, lua_upvalueindex(1));
  return w ? w : byn_world_of(L);
}

/* Afterwards the next coroutine can be taken, and given `values` values,
 * without fail. Raises when memory is short. */
void byn_thread_reserve(lua_State *L, byn_world *w, int values);
/* A coroutine with an empty stack and room for `values` values, and the slot
 * that keeps it alive. Raises when memory is short. */
lua_State *byn_thread_take(lua_State *L, byn_world *w, int *slot, int values);
/* Gives one back. A coroutine that ended in an error or was suspended is
 * closed (its to-be-closed variables run) and dropped. */
void byn_thread_give(lua_State *L, byn_world *w, lua_State *co, int slot,
                     int status);

#endif
