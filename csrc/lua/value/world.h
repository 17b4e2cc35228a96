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

#define BYN_COROUTINES 4096 /* kept for re-use */
typedef struct byn_world {
  byn_alloc alloc; /* Lua's own allocator */
  byn_slots slots;
  byn_origin *origins;
  uint32_t origin_count;
  uint32_t origins_many;       /* so many: time to prune them */
  struct byn_node *nodes;      /* all that have not been closed */
  int made;                    /* how many nodes there ever were */
  struct byn_process *running; /* or NULL outside any process */
  lua_State *closing;          /* the coroutine that Banyan closes now */
  struct byn_spare_coroutine {
    lua_State *co;
    int slot;
  } coroutines[BYN_COROUTINES]; /* that ended well: see coroutine.h */
  int coroutine_count;
  struct byn_mail *spare_mails; /* see mailbox.h */
  int spare_mail_count;
  /* A record for each that there is. The room that has the type opens the
   * pool. */
  byn_pool relations, far_relations, servers, children;
  void (*on_close)(struct byn_world *w); /* process/: frees spare mails */
  byn_arity arities[BYN_ARITIES];
  struct byn_followed_hook {
    lua_Hook fn; /* or NULL */
    int mask, count;
    int values; /* slot: {function, mask, count} as set in Lua, or 0 */
  } hook;       /* the program's: see hooks.h */
  /* Slots of functions that find the children of distributed supervisors, by
   * what distributed_supervisor.via made; 0 until that module is loaded. */
  struct {
    int resolve; /* (dest) -> pid | nil */
    int keep;    /* (dest, "send" | "cast", msg) -> pid | true | nil, err */
    int call;    /* (dest, msg, timeout) -> ...; it may wait */
  } distributed;
  int release; /* slot of the function of process/owned.h */
  int route;   /* slot of the function of process/send.h, or 0 */
} byn_world;

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

#endif
