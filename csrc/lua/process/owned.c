/* What belongs to a process and ends with it, such as sockets. */
#include "owned.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "event.h"
#include "lookup.h"

/* The release function is part of the library, and fails for want of memory
 * alone; anything else is told, and must not keep p from its end. */
static void report_failed_release(lua_State *L, byn_process *p) {
  const char *text = byn_reason_tostring(L, lua_gettop(L));
  if (!byn_event(L, p->node, "driver_error")) return;
  lua_pushliteral(L, "release");
  lua_setfield(L, -2, "where");
  lua_pushstring(L, text);
  lua_setfield(L, -2, "reason");
  byn_process_push(L, p);
  lua_setfield(L, -2, "pid");
  byn_event_done(L, p->node);
}

void byn_owned_release(lua_State *L, byn_process *p) {
  byn_world *w = p->node->world;
  if (p->node->collected) p->owns = false;
  if (!p->owns) return;
  byn_assert(p->state == BYN_EXITING && w->release);
  int top = lua_gettop(L);
  byn_process *running = w->running;
  byn_slot_push(L, w->release);
  byn_process_push(L, p);
  w->running = NULL;
  int status = lua_pcall(L, 1, 0, 0);
  w->running = running;
  bool short_of_memory = status == LUA_ERRMEM ||
                         (status != LUA_OK && byn_reason_is_shortage(L, -1));
  if (short_of_memory) lua_error(L);
  if (status != LUA_OK) report_failed_release(L, p);
  p->owns = false;
  lua_settop(L, top);
}

static int l_set_release(lua_State *L) {
  byn_expect_type(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  byn_world *w = byn_world_of(L);
  byn_slot_free(L, &w->slots, w->release);
  w->release = byn_slot_put(L, &w->slots);
  return 0;
}

static int l_owns(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 1);
  byn_expect(L, id, 1, "pid");
  byn_assert(byn_world_here(L)->release);
  byn_node *node = id->origin->node;
  byn_process *p = node ? byn_node_find(node, id) : NULL;
  if (p) p->owns = lua_toboolean(L, 2);
  lua_pushboolean(L, p != NULL);
  return 1;
}

void byn_owned_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"set_release", l_set_release}, {"owns", l_owns}, {NULL, NULL}};
  byn_set_functions(L, functions);
}
