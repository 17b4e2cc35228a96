/* The hash ring as Lua sees it. */
#include "ring.h"

#include <stdbool.h>
#include <stdint.h>

#include "../../core/assert.h"
#include "../../core/ring.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/id.h"

#define TYPE "banyan.ring"
#define SHOWN_NODES 8 /* names that tostring gives */
#define FEW 32        /* successors that need no memory */

typedef struct ring_box {
  byn_alloc alloc;
  byn_ring *ring; /* NULL before it is made and after __gc */
} ring_box;

static byn_ring *check_ring(lua_State *L) {
  ring_box *box = luaL_checkudata(L, 1, TYPE);
  byn_argument(L, box->ring != NULL, 1, "the ring is gone");
  return box->ring;
}

static int no_memory(lua_State *L) {
  return luaL_error(L, "not enough memory");
}

/* ---- arguments ---- */

static bool is_name(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) > 0;
}

static const char *check_name(lua_State *L, size_t *n) {
  byn_argument(L, is_name(L, 2), 2, "name must be a non-empty string");
  return lua_tolstring(L, 2, n);
}

/* A number with an integer value in [low, high]; strings are none. */
static bool in_range(lua_State *L, int index, lua_Integer low, lua_Integer high,
                     lua_Integer *value) {
  int exact = 0;
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  *value = lua_tointegerx(L, index, &exact);
  return exact && *value >= low && *value <= high;
}

static bool is_weight(lua_State *L, int index, uint32_t *weight) {
  lua_Integer value;
  if (!in_range(L, index, 1, BYN_RING_WEIGHT_MAX, &value)) return false;
  *weight = (uint32_t)value;
  return true;
}

uint64_t byn_ring_key_of_integer(int64_t key) {
  uint64_t value = (uint64_t)key;
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (uint8_t)(value >> 8 * i);
  return byn_ring_hash(bytes, sizeof bytes, BYN_KEY_INTEGER);
}

/* The hash of a key that is a number; false if it has no integer value. */
static bool hash_integer(lua_State *L, int index, uint64_t *hash) {
  int exact = 0;
  *hash = byn_ring_key_of_integer(lua_tointegerx(L, index, &exact));
  return exact;
}

static bool hash_id(lua_State *L, int index, uint64_t *hash) {
  uint8_t bytes[BYN_ID_BYTES];
  size_t n = 0;
  if (!byn_id_key(L, index, bytes, &n)) return false;
  *hash = byn_ring_hash(bytes, n, BYN_KEY_REF);
  return true;
}

static bool hash_string(lua_State *L, int index, uint64_t *hash) {
  size_t n;
  const char *bytes = lua_tolstring(L, index, &n);
  *hash = byn_ring_hash(bytes, n, BYN_KEY_STRING);
  return true;
}

bool byn_ring_key(lua_State *L, int index, uint64_t *hash) {
  switch (lua_type(L, index)) {
  case LUA_TSTRING:
    return hash_string(L, index, hash);
  case LUA_TNUMBER:
    return hash_integer(L, index, hash);
  case LUA_TUSERDATA:
    return hash_id(L, index, hash);
  default:
    return false;
  }
}

static uint64_t check_key(lua_State *L) {
  uint64_t hash = 0;
  if (!byn_ring_key(L, 2, &hash))
    byn_argument_error(L, 2,
                       "key must be a string, an integer, a pid or a ref");
  return hash;
}

/* ---- methods ---- */

/* Each push may collect garbage, and a finalizer may change this ring. */
static void push_name(lua_State *L, const byn_ring *r, uint32_t node) {
  size_t n;
  if (node >= byn_ring_count(r)) luaL_error(L, "the ring changed meanwhile");
  const char *name = byn_ring_name(r, node, &n);
  lua_pushlstring(L, name, n);
}

static int ring_add(lua_State *L) {
  byn_ring *r = check_ring(L);
  size_t n;
  const char *name = check_name(L, &n);
  uint32_t weight = 1;
  if (!lua_isnoneornil(L, 3))
    byn_argument(L, is_weight(L, 3, &weight), 3,
                 "weight must be an integer from 1 to 1000");
  if (!byn_ring_add(r, name, n, weight)) return no_memory(L);
  lua_pushboolean(L, true);
  return 1;
}

static int ring_remove(lua_State *L) {
  byn_ring *r = check_ring(L);
  size_t n;
  const char *name = check_name(L, &n);
  if (byn_ring_remove(r, name, n)) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "not_found");
  return 2;
}

static int ring_nodes(lua_State *L) {
  const byn_ring *r = check_ring(L);
  uint32_t count = byn_ring_count(r);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    push_name(L, r, i);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

static int ring_node_for(lua_State *L) {
  const byn_ring *r = check_ring(L);
  int32_t node = byn_ring_owner(r, check_key(L));
  if (node < 0) {
    lua_pushnil(L);
    lua_pushliteral(L, "no_nodes");
    return 2;
  }
  push_name(L, r, (uint32_t)node);
  return 1;
}

static int ring_nodes_for(lua_State *L) {
  const byn_ring *r = check_ring(L);
  uint64_t hash = check_key(L);
  lua_Integer wanted = 0;
  byn_argument(L, in_range(L, 3, 0, INT32_MAX, &wanted), 3,
               "n must be an integer not below 0");
  uint32_t few[FEW], *out = few, want = (uint32_t)wanted;
  if (want > byn_ring_count(r)) want = byn_ring_count(r);
  byn_assert(want <= byn_ring_count(r));
  if (want > FEW) out = lua_newuserdatauv(L, want * sizeof *out, 0);
  if (byn_ring_successors(r, hash, out, want) < want) return no_memory(L);
  lua_createtable(L, (int)want, 0);
  for (uint32_t i = 0; i < want; i++) {
    push_name(L, r, out[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

static int ring_tostring(lua_State *L) {
  const byn_ring *r = check_ring(L);
  uint32_t count = byn_ring_count(r);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_pushfstring(L, "ring<%d node%s", (int)count, count == 1 ? "" : "s");
  luaL_addvalue(&b);
  for (uint32_t i = 0; i < count && i < SHOWN_NODES; i++) {
    luaL_addstring(&b, i == 0 ? ": " : ", ");
    push_name(L, r, i);
    luaL_addvalue(&b);
    if (byn_ring_weight(r, i) == 1) continue;
    lua_pushfstring(L, " x%d", (int)byn_ring_weight(r, i));
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, count > SHOWN_NODES ? ", ...>" : ">");
  luaL_pushresult(&b);
  return 1;
}

static int ring_gc(lua_State *L) {
  ring_box *box = luaL_checkudata(L, 1, TYPE);
  byn_ring_free(box->ring);
  box->ring = NULL;
  return 0;
}

/* ---- new ---- */

/* Reads one entry of the table of nodes: its key below its value on top of
 * the stack. The bytes of the name stay in the table. NULL or what is
 * wrong. */
static const char *read_member(lua_State *L, bool is_list,
                               byn_ring_member *member) {
  int name = is_list ? -1 : -2;
  lua_Integer position;
  member->weight = 1;
  if (is_list != in_range(L, -2, INT64_MIN, INT64_MAX, &position))
    return "must be a list of names, or a map from name to weight, not both";
  if (!is_name(L, name)) return "has a name that is no non-empty string";
  member->name = lua_tolstring(L, name, &member->size);
  if (!is_list && !is_weight(L, -1, &member->weight))
    return "has a weight that is no integer from 1 to 1000";
  return NULL;
}

/* Reads the table at index 1 into `members`, of which there is room for
 * `room`; only counts if that is NULL. */
static const char *read_nodes(lua_State *L, byn_ring_member *members,
                              uint32_t room, uint32_t *count) {
  int top = lua_gettop(L);
  bool is_list = lua_rawlen(L, 1) > 0;
  *count = 0;
  lua_pushnil(L);
  for (; lua_next(L, 1); lua_pop(L, 1)) {
    byn_ring_member member;
    const char *wrong = read_member(L, is_list, &member);
    if (wrong) return wrong;
    if (members && *count == room) return "changed while it was read";
    if (members) members[*count] = member;
    ++*count;
  }
  byn_assert(!members || *count <= room);
  byn_assert(lua_gettop(L) == top);
  return NULL;
}

/* The members live in a userdata, which ends with the call even where that
 * raises. Nothing may collect garbage between here and their last use: they
 * point into the table. */
static const char *check_nodes(lua_State *L, byn_ring_member **members,
                               uint32_t *count) {
  *members = NULL;
  *count = 0;
  if (lua_isnoneornil(L, 1)) return NULL;
  if (!lua_istable(L, 1)) return "must be a table";
  const char *wrong = read_nodes(L, NULL, 0, count);
  if (wrong || *count == 0) return wrong;
  uint32_t room = *count;
  *members = lua_newuserdatauv(L, room * sizeof **members, 0);
  return read_nodes(L, *members, room, count);
}

static uint32_t check_vnodes(lua_State *L) {
  lua_Integer vnodes = BYN_RING_VNODES;
  if (!lua_isnoneornil(L, 2))
    byn_argument(L, in_range(L, 2, 1, BYN_RING_VNODES_MAX, &vnodes), 2,
                 "vnodes must be an integer from 1 to 10000");
  return (uint32_t)vnodes;
}

static ring_box *push_ring_box(lua_State *L) {
  ring_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->alloc.fn = lua_getallocf(L, &box->alloc.ud);
  box->ring = NULL;
  luaL_setmetatable(L, TYPE);
  return box;
}

static int ring_new(lua_State *L) {
  byn_ring_member *members;
  uint32_t count, vnodes = check_vnodes(L);
  lua_settop(L, 1);
  ring_box *box = push_ring_box(L);
  const char *wrong = check_nodes(L, &members, &count);
  if (wrong) {
    lua_pushnil(L);
    lua_pushstring(L, wrong);
    return 2;
  }
  byn_assert(!box->ring && lua_touserdata(L, 2) == box);
  box->ring = byn_ring_build(&box->alloc, vnodes, members, count);
  if (!box->ring) return no_memory(L);
  lua_pushvalue(L, 2);
  return 1;
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {{"add", ring_add},
                                   {"remove", ring_remove},
                                   {"nodes", ring_nodes},
                                   {"node_for", ring_node_for},
                                   {"nodes_for", ring_nodes_for},
                                   {NULL, NULL}};

static const luaL_Reg metamethods[] = {
    {"__gc", ring_gc}, {"__tostring", ring_tostring}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"new", ring_new}, {NULL, NULL}};

void byn_ring_open(lua_State *L) {
  if (luaL_newmetatable(L, TYPE)) {
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
