/* The placement of a distributed supervisor's children as Lua sees it. */
#include "placement.h"

#include <string.h>

#include "../../core/placement.h"
#include "../../core/ring.h"
#include "../value/compat.h"
#include "../value/id.h"
#include "../process/event.h"
#include "../process/lookup.h"
#include "ring.h"

#define TYPE "banyan.placement"

/* The user value is a table of three: id -> number, number -> id, and
 * number -> pid of a host. Numbers are one more than the core's. */
enum { NUMBERS = 1, IDS, HOSTS };

typedef struct placement_box {
  byn_placement *p; /* NULL before it is made and after __gc */
} placement_box;

static byn_placement *check_placement(lua_State *L) {
  placement_box *box = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, box->p != NULL, 1, "the placement is gone");
  return box->p;
}

static int no_memory(lua_State *L) {
  return luaL_error(L, "not enough memory");
}

static int push_truth(lua_State *L, bool truth) {
  lua_pushboolean(L, truth);
  return 1;
}

/* Pushes one of the three tables. */
static void push_table(lua_State *L, int which) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, which);
  lua_remove(L, -2);
}

/* Pushes what stands for a number of the core. */
static void push_entry(lua_State *L, int which, uint32_t number) {
  push_table(L, which);
  lua_rawgeti(L, -1, (lua_Integer)number + 1);
  lua_remove(L, -2);
}

/* ---- ids ---- */

static uint64_t check_hash(lua_State *L, int index) {
  uint64_t hash = 0;
  if (!byn_ring_key(L, index, &hash))
    luaL_argerror(L, index, "id must be a string, an integer or a ref");
  return hash;
}

/* The number of the id at index 2, or BYN_NO_CHILD. */
static uint32_t find_child(lua_State *L) {
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "id expected");
  push_table(L, NUMBERS);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  lua_Integer number = lua_tointeger(L, -1);
  lua_pop(L, 2);
  return number ? (uint32_t)(number - 1) : BYN_NO_CHILD;
}

/* Stores the number in both tables; `index` is that of the id. */
static void name_child(lua_State *L, int index, uint32_t child) {
  push_table(L, IDS);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, (lua_Integer)child + 1);
  push_table(L, NUMBERS);
  lua_pushvalue(L, index);
  lua_pushinteger(L, (lua_Integer)child + 1);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

/* The same, made if need be. */
static uint32_t need_child(lua_State *L, byn_placement *p) {
  uint32_t child = find_child(L);
  if (child != BYN_NO_CHILD) return child;
  child = byn_placement_add(p, check_hash(L, 2));
  if (child == BYN_NO_CHILD) no_memory(L);
  name_child(L, 2, child);
  return child;
}

/* The same, raising if it is not known. */
static uint32_t check_child(lua_State *L) {
  uint32_t child = find_child(L);
  luaL_argcheck(L, child != BYN_NO_CHILD, 2, "no such child");
  return child;
}

/* Pushes the id and takes it out of both tables. */
static void forget_child(lua_State *L, uint32_t child) {
  push_table(L, IDS);
  lua_rawgeti(L, -1, (lua_Integer)child + 1);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, (lua_Integer)child + 1);
  push_table(L, NUMBERS);
  lua_pushvalue(L, -2);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  lua_remove(L, -2);
}

/* ---- hosts ---- */

static const char *const HOST_STATES[] = {"unknown", "up", "down", "dead",
                                          NULL};

static uint64_t check_host_hash(lua_State *L, int index) {
  uint8_t bytes[BYN_ID_BYTES];
  size_t n = 0;
  luaL_argexpected(L, byn_pid_at(L, index), index, "pid");
  byn_id_key(L, index, bytes, &n);
  return byn_ring_hash(bytes, n, BYN_KEY_REF);
}

/* The number of the host whose pid is at `index`. */
static uint32_t check_host(lua_State *L, byn_placement *p, int index) {
  uint32_t number = byn_placement_host(p, check_host_hash(L, index));
  if (number == BYN_NO_HOST) no_memory(L);
  push_table(L, HOSTS);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, (lua_Integer)number + 1);
  lua_pop(L, 1);
  return number;
}

static int l_set_host(lua_State *L) {
  byn_placement *p = check_placement(L);
  int state = luaL_checkoption(L, 3, NULL, HOST_STATES);
  byn_placement_set_host(p, check_host(L, p, 2), (byn_host_state)state);
  return 0;
}

static int l_host_state(lua_State *L) {
  byn_placement *p = check_placement(L);
  uint32_t number = check_host(L, p, 2);
  lua_pushstring(L, HOST_STATES[byn_placement_host_state(p, number)]);
  return 1;
}

static int l_drop_host(lua_State *L) {
  byn_placement *p = check_placement(L);
  return push_truth(L, byn_placement_drop_host(p, check_host(L, p, 2)));
}

static int l_digest(lua_State *L) {
  byn_placement *p = check_placement(L);
  uint64_t digest = byn_placement_digest(p, check_host(L, p, 2));
  char bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (char)(uint8_t)(digest >> 8 * i);
  lua_pushlstring(L, bytes, sizeof bytes);
  return 1;
}

/* ---- members ---- */

static int l_join(lua_State *L) {
  byn_placement *p = check_placement(L);
  size_t n;
  const char *node = luaL_checklstring(L, 2, &n);
  if (!byn_placement_join(p, node, n)) no_memory(L);
  return 0;
}

static int l_leave(lua_State *L) {
  byn_placement *p = check_placement(L);
  size_t n;
  const char *node = luaL_checklstring(L, 2, &n);
  return push_truth(L, byn_placement_leave(p, node, n));
}

static int l_members(lua_State *L) {
  byn_placement *p = check_placement(L);
  lua_newtable(L);
  for (uint32_t i = 0; i < byn_placement_members(p); i++) {
    size_t n;
    const char *node = byn_placement_member(p, i, &n);
    lua_pushlstring(L, node, n);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int l_owner(lua_State *L) {
  byn_placement *p = check_placement(L);
  size_t n = 0;
  const char *node = byn_placement_owner(p, check_hash(L, 2), &n);
  if (!node) return 0;
  lua_pushlstring(L, node, n);
  return 1;
}

/* ---- places ---- */

static uint32_t check_u32(lua_State *L, int index) {
  lua_Integer value = luaL_checkinteger(L, index);
  luaL_argcheck(L, value >= 0 && value <= UINT32_MAX, index, "out of range");
  return (uint32_t)value;
}

static int l_get(lua_State *L) {
  byn_placement *p = check_placement(L);
  uint32_t child = find_child(L);
  if (child == BYN_NO_CHILD) return 0;
  byn_place place = byn_placement_get(p, child);
  if (place.state == BYN_PLACE_NONE) return 0;
  lua_pushinteger(L, place.epoch);
  lua_pushinteger(L, place.seq);
  lua_pushinteger(L, place.state);
  push_entry(L, HOSTS, place.host);
  lua_pushinteger(L, place.flags);
  return 5;
}

static int l_merge(lua_State *L) {
  byn_placement *p = check_placement(L);
  byn_place place = {.epoch = check_u32(L, 3), .seq = check_u32(L, 4)};
  uint32_t state = check_u32(L, 5);
  luaL_argcheck(L, state == BYN_PLACE_ENDED || state == BYN_PLACE_RUNNING, 5,
                "no such state");
  place.state = (uint8_t)state;
  place.host = check_host(L, p, 6);
  place.flags = (uint8_t)(check_u32(L, 7) & 3);
  lua_Integer now = luaL_checkinteger(L, 8);
  uint32_t child = need_child(L, p);
  return push_truth(L, byn_placement_merge(p, child, &place, now));
}

/* ---- runs ---- */

static int l_run(lua_State *L) {
  static const char *const names[] = {"none", "starting", "running",
                                      "stopping"};
  byn_placement *p = check_placement(L);
  uint32_t child = find_child(L);
  bool known = child != BYN_NO_CHILD;
  lua_pushstring(L, names[known ? byn_placement_run(p, child) : 0]);
  return 1;
}

static int l_starting(lua_State *L) {
  byn_placement *p = check_placement(L);
  byn_placement_starting(p, need_child(L, p));
  return 0;
}

static int l_started(lua_State *L) {
  byn_placement *p = check_placement(L);
  uint8_t flags = (uint8_t)(check_u32(L, 3) & 3);
  return push_truth(L, byn_placement_started(p, need_child(L, p), flags));
}

static int l_failed(lua_State *L) {
  byn_placement *p = check_placement(L);
  byn_placement_failed(p, check_child(L));
  return 0;
}

static int l_restarted(lua_State *L) {
  byn_placement *p = check_placement(L);
  return push_truth(L, byn_placement_restarted(p, check_child(L)));
}

static int l_stopping(lua_State *L) {
  byn_placement *p = check_placement(L);
  byn_placement_stopping(p, check_child(L));
  return 0;
}

static int l_ended(lua_State *L) {
  byn_placement *p = check_placement(L);
  lua_Integer now = luaL_checkinteger(L, 3);
  return push_truth(L, byn_placement_ended(p, check_child(L), now));
}

static int l_end_run(lua_State *L) {
  byn_placement *p = check_placement(L);
  byn_placement_end_run(p, check_child(L));
  return 0;
}

static int l_abandon(lua_State *L) {
  byn_placement *p = check_placement(L);
  lua_Integer now = luaL_checkinteger(L, 3);
  byn_placement_abandon(p, check_child(L), now);
  return 0;
}

/* ---- deciding ---- */

static int l_review(lua_State *L) {
  byn_placement_review(check_placement(L));
  return 0;
}

static int l_next(lua_State *L) {
  static const char *const names[] = {"start", "stop", "announce", "end",
                                      "forget"};
  byn_placement *p = check_placement(L);
  byn_placement_action action;
  if (!byn_placement_next(p, luaL_checkinteger(L, 2), &action)) return 0;
  lua_pushstring(L, names[action.kind]);
  if (action.kind == BYN_PLACEMENT_FORGET)
    forget_child(L, action.child);
  else
    push_entry(L, IDS, action.child);
  return 2;
}

static int l_list(lua_State *L) {
  byn_placement *p = check_placement(L);
  uint32_t host = lua_isnoneornil(L, 2) ? BYN_NO_HOST : check_host(L, p, 2);
  lua_settop(L, 1);
  push_table(L, IDS);
  lua_newtable(L);
  uint32_t cursor = 0, child;
  for (int i = 1; byn_placement_each(p, host, &cursor, &child); i++) {
    lua_rawgeti(L, 2, (lua_Integer)child + 1);
    lua_rawseti(L, 3, i);
  }
  return 1;
}

static int l_counts(lua_State *L) {
  byn_placement *p = check_placement(L);
  lua_pushinteger(L, byn_placement_running(p));
  lua_pushinteger(L, byn_placement_ends(p));
  return 2;
}

/* ---- made and freed ---- */

static int l_gc(lua_State *L) {
  placement_box *box = luaL_checkudata(L, 1, TYPE);
  byn_placement_free(box->p);
  box->p = NULL;
  return 0;
}

static placement_box *push_box(lua_State *L) {
  placement_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  box->p = NULL;
  luaL_setmetatable(L, TYPE);
  lua_createtable(L, HOSTS, 0);
  for (int which = NUMBERS; which <= HOSTS; which++) {
    lua_newtable(L);
    lua_rawseti(L, -2, which);
  }
  lua_setiuservalue(L, -2, 1);
  return box;
}

static int l_new(lua_State *L) {
  byn_placement_config config = {.host = check_host_hash(L, 1)};
  config.node = luaL_checklstring(L, 2, &config.node_len);
  config.keep_ended_ms = luaL_checkinteger(L, 3);
  config.keep_ended = check_u32(L, 4);
  config.alloc.fn = lua_getallocf(L, &config.alloc.ud);
  placement_box *box = push_box(L);
  box->p = byn_placement_new(&config);
  if (!box->p) return no_memory(L);
  lua_insert(L, 1); /* as if it were called as a method */
  check_host(L, box->p, 2);
  lua_settop(L, 1);
  return 1;
}

/* ---- more ---- */

static int l_event(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  byn_node *node = byn_node_here(L);
  if (!byn_event(L, node, name)) return 0;
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 3);
  }
  byn_event_done(L, node);
  return 0;
}

static int l_is_id(lua_State *L) {
  return push_truth(L, byn_id_at(L, 1) != NULL);
}

/* is_before(a, b): an order of pids and refs, the same on every node and in
 * every run. */
static int l_is_before(lua_State *L) {
  uint8_t a[BYN_ID_BYTES], b[BYN_ID_BYTES];
  size_t m = 0, n = 0;
  bool known = byn_id_key(L, 1, a, &m) && byn_id_key(L, 2, b, &n);
  luaL_argcheck(L, known, 1, "pids or refs expected");
  int order = memcmp(a, b, m < n ? m : n);
  return push_truth(L, order < 0 || (order == 0 && m < n));
}

static const luaL_Reg methods[] = {{"set_host", l_set_host},
                                   {"host_state", l_host_state},
                                   {"drop_host", l_drop_host},
                                   {"digest", l_digest},
                                   {"join", l_join},
                                   {"leave", l_leave},
                                   {"members", l_members},
                                   {"owner", l_owner},
                                   {"get", l_get},
                                   {"merge", l_merge},
                                   {"run", l_run},
                                   {"starting", l_starting},
                                   {"started", l_started},
                                   {"failed", l_failed},
                                   {"restarted", l_restarted},
                                   {"stopping", l_stopping},
                                   {"ended", l_ended},
                                   {"end_run", l_end_run},
                                   {"abandon", l_abandon},
                                   {"review", l_review},
                                   {"next", l_next},
                                   {"list", l_list},
                                   {"counts", l_counts},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"new", l_new},
                                     {"event", l_event},
                                     {"is_id", l_is_id},
                                     {"is_before", l_is_before},
                                     {NULL, NULL}};

void byn_placement_open(lua_State *L) {
  if (luaL_newmetatable(L, TYPE)) {
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
