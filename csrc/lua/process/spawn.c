/* Plain processes: spawn, spawn_link, spawn_monitor. */
#include "spawn.h"

#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "coroutine.h"
#include "lookup.h"
#include "relation.h"

/* --- the behaviour of a plain function ------------------------------------ */

static void plain_run(lua_State *L, byn_process *p) {
  (void)L;
  (void)p; /* it has its coroutine from the first turn to the last */
}

static void plain_returned(lua_State *L, byn_process *p, int status,
                           int count) {
  if (status == LUA_OK) {
    lua_pop(L, count);
    lua_pushliteral(L, "normal");
  }
  byn_process_end(L, p);
}

static const byn_behaviour plain = {
    .name = "process", .run = plain_run, .returned = plain_returned};

/* --- starting ------------------------------------------------------------- */

byn_process *byn_spawn(lua_State *L, byn_node *node, int first) {
  int top = lua_gettop(L);
  byn_expect_type(L, first, LUA_TFUNCTION);
  luaL_checkstack(L, top - first + 8, "too many arguments");
  lua_pushvalue(L, first);
  for (int i = first + 1; i <= top; i++)
    byn_term_copy(L, i);
  byn_coroutine_reserve(L, node->world, top - first + 4);
  byn_process_push_next(L, node);
  lua_insert(L, top + 1);
  byn_process *p = byn_process_new(L, node, &plain);
  byn_process_call(L, p, top - first);
  byn_process_ready(p);
  return p;
}

static int l_spawn(lua_State *L) {
  BYN_POINT(L, byn_world_here(L)->running, l_spawn, BYN_OP_SPAWN, 0);
  byn_spawn(L, byn_node_here(L), 1);
  return 1;
}

static int l_spawn_link(lua_State *L) {
  byn_process *self = byn_process_here(L, "spawn_link");
  BYN_POINT(L, self, l_spawn_link, BYN_OP_SPAWN, 0);
  byn_relation_reserve(L, self->node, false);
  byn_process *p = byn_spawn(L, self->node, 1);
  byn_relate_local(L, BYN_LINK, self, p, 0, false);
  return 1;
}

static int l_spawn_monitor(lua_State *L) {
  byn_process *self = byn_process_here(L, "spawn_monitor");
  BYN_POINT(L, self, l_spawn_monitor, BYN_OP_SPAWN, 0);
  byn_expect_type(L, 1, LUA_TFUNCTION);
  byn_id ref;
  byn_node_ref(self->node, &ref);
  byn_id_push_first(L, &ref);
  lua_insert(L, 1);
  byn_relation_reserve(L, self->node, true);
  byn_process *p = byn_spawn(L, self->node, 2);
  byn_relate_local(L, BYN_MONITOR, self, p, ref.serial, true);
  lua_pushvalue(L, 1);
  return 2;
}

void byn_spawn_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", l_spawn},
                                       {"spawn_link", l_spawn_link},
                                       {"spawn_monitor", l_spawn_monitor},
                                       {NULL, NULL}};
  byn_set_functions(L, functions);
}
