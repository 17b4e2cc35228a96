/* What all nodes of one Lua state share: the slots, the pool of coroutines,
 * the interned ids, and which process is running now. There is one world per
 * Lua state, in its registry; C has no globals.
 */
#ifndef BYN_WORLD_H
#define BYN_WORLD_H

#include "../core/alloc.h"
#include "compat.h"
#include "id.h"
#include "slots.h"

#define BYN_POOL_SIZE 4096   /* coroutines kept for re-use */
#define BYN_SPARE_MAILS 8192 /* mails kept for re-use */
#define BYN_SPARE_RELATIONS 8192

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
  struct byn_relation *spare_relations;
  int spare_relation_count;
  int resolver; /* slot of the function that resolves named children */
} byn_world;

/* The world of this Lua state, made at the first call. */
byn_world *byn_world_open(lua_State *L);
/* The same once it exists; NULL before. */
byn_world *byn_world_of(lua_State *L);

/* Afterwards the next coroutine can be taken, and given `values` values,
 * without fail. Raises when memory is short. */
void byn_thread_reserve(lua_State *L, byn_world *w, int values);
/* A coroutine with an empty stack, and the slot that keeps it alive. */
lua_State *byn_thread_take(lua_State *L, byn_world *w, int *slot);
/* Gives one back. A coroutine that ended in an error or was suspended is
 * closed (its to-be-closed variables run) and dropped. */
void byn_thread_give(lua_State *L, byn_world *w, lua_State *co, int slot,
                     int status);

#endif
