#include "world.h"

#include "compat.h"
#include "reason.h"
#include "../process/node.h"
#include "../process/process.h"
#include "../otp/server_parts.h"
#include "../otp/supervisor.h"

static const char KEY = 0; /* its address is the world's registry key */

static int close_world(lua_State *L) {
  byn_world *w = lua_touserdata(L, 1);
  while (w->spare_mails) {
    byn_mail *mail = w->spare_mails;
    w->spare_mails = mail->next;
    byn_free(&w->alloc, mail, sizeof *mail);
  }
  byn_pool_clear(&w->relations);
  byn_pool_clear(&w->far_relations);
  byn_pool_clear(&w->servers);
  byn_pool_clear(&w->kids);
  byn_origins_close(L, w);
  byn_slots_close(L, &w->slots);
  return 0;
}

byn_world *byn_world_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &KEY);
  byn_world *w = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return w;
}

void byn_push_function(lua_State *L, lua_CFunction fn) {
  lua_pushlightuserdata(L, byn_world_of(L));
  lua_pushcclosure(L, fn, 1);
}

void byn_set_functions(lua_State *L, const luaL_Reg *functions) {
  lua_pushlightuserdata(L, byn_world_of(L));
  luaL_setfuncs(L, functions, 1);
}

byn_world *byn_world_open(lua_State *L) {
  byn_world *w = byn_world_of(L);
  if (w) return w;
  w = lua_newuserdatauv(L, sizeof *w, 0);
  *w = (byn_world){.pooled = 0};
  w->alloc.fn = lua_getallocf(L, &w->alloc.ud);
  byn_slots_open(&w->slots);
  byn_pool_init(&w->relations, &w->alloc, sizeof(byn_relation));
  byn_pool_init(&w->far_relations, &w->alloc,
                sizeof(byn_relation) + sizeof(byn_id));
  byn_pool_init(&w->servers, &w->alloc, sizeof(byn_server));
  byn_pool_init(&w->kids, &w->alloc, sizeof(byn_kid));
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_world);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &KEY);
  byn_reason_open(L);
  byn_id_open(L);
  return w;
}

void byn_thread_reserve(lua_State *L, byn_world *w, int values) {
  if (!w->pooled) {
    lua_State *co = lua_newthread(L);
    byn_thread_give(L, w, co, byn_slot_put(L, &w->slots), LUA_OK);
  }
  if (!byn_has_room(w->pool[w->pooled - 1].co, values))
    luaL_error(L, "not enough memory");
}

lua_State *byn_thread_take(lua_State *L, byn_world *w, int *slot, int values) {
  byn_thread_reserve(L, w, values);
  struct byn_thread *t = &w->pool[--w->pooled];
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

void byn_thread_give(lua_State *L, byn_world *w, lua_State *co, int slot,
                     int status) {
  if (status == LUA_OK && w->pooled < BYN_POOL_SIZE) {
    w->pool[w->pooled++] = (struct byn_thread){co, slot};
    return;
  }
  if (status != LUA_OK) close_thread(w, co);
  byn_slot_free(L, &w->slots, slot);
}
