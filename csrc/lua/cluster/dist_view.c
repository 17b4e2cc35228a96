/* Questions to a machine of core/dist, for Lua. */
#include "dist_view.h"

#include "../../core/dist/dist.h"
#include "../../core/dist/view.h"
#include "../value/compat.h"
#include "dist.h"
#include "dist_fields.h"
#include "dist_value.h"
#include "ring.h"

static const char *const states[] = {"unknown", "starting", "running",
                                     "lost",    "failing",  "waiting",
                                     "moving",  "idle",     "ended"};

static void push_child(lua_State *L, const byn_dist_child *c) {
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 12);
  byn_dist_set_id(L, &c->id);
  byn_dist_set_string(L, "state", states[c->state]);
  byn_dist_set_string(L, "node", c->node);
  byn_dist_set_string(L, "owner", c->owner);
  byn_dist_set_string(L, "pinned", c->pinned);
  byn_dist_set_string(L, "moved_to", c->moved_to);
  if (c->stays) byn_dist_set_boolean(L, "stays", true);
  byn_dist_set_value(L, "pid", c->pid);
  byn_dist_set_integer(L, "begun", (int64_t)c->begun);
  byn_dist_set_integer(L, "epoch", (int64_t)(c->stamp & (BYN_EXACT - 1)));
  byn_dist_set_integer(L, "seq", (int64_t)(c->version & (BYN_EXACT - 1)));
  byn_dist_set_integer(L, "failures", c->failures);
  if (c->why) byn_dist_set_string(L, "why", byn_dist_why_name(c->why));
  byn_dist_set_shown(L, "reason", c->reason);
  if (c->wait_ms) byn_dist_set_integer(L, "wait_ms", c->wait_ms);
  byn_dist_set_boolean(L, "here", c->here);
  byn_dist_set_boolean(L, "refused_by_owner", c->refused_by_owner);
  byn_dist_set_shown(L, "refusal", c->refusal);
}

static int l_explain(lua_State *L) {
  byn_dist *d = byn_dist_view_at(L);
  byn_dist_child c;
  byn_dist_id id = byn_dist_push_key(L, 2);
  byn_dist_explain(d, &id, &c);
  if (c.state == BYN_DIST_UNKNOWN) return 0;
  push_child(L, &c);
  return 1;
}

/* state(id) -> state */
static int l_state(lua_State *L) {
  byn_dist *d = byn_dist_view_at(L);
  byn_dist_child c;
  byn_dist_id id = byn_dist_push_key(L, 2);
  byn_dist_explain(d, &id, &c);
  lua_pushstring(L, states[c.state]);
  return 1;
}

static int l_members(lua_State *L) {
  byn_dist *d = byn_dist_view_at(L);
  uint32_t n = byn_dist_member_count(d);
  lua_createtable(L, (int)n, 0);
  for (uint32_t i = 0; i < n; i++) {
    lua_pushstring(L, byn_dist_member(d, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* nodes() -> list of {node=, state=, member=, hosts=, self=} */
static int l_nodes(lua_State *L) {
  byn_dist *d = byn_dist_view_at(L);
  byn_dist_node node;
  lua_Integer n = 0;
  lua_newtable(L);
  for (uint32_t cursor = 0; byn_dist_each_node(d, &cursor, &node);) {
    lua_createtable(L, 0, 5);
    byn_dist_set_string(L, "node", node.node);
    byn_dist_set_string(L, "state", node.state);
    byn_dist_set_boolean(L, "member", node.member);
    byn_dist_set_boolean(L, "hosts", node.hosts);
    byn_dist_set_boolean(L, "self", node.self);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static int l_owner(lua_State *L) {
  byn_dist *d = byn_dist_view_at(L);
  uint64_t hash = 0;
  if (!byn_ring_key(L, 2, &hash))
    luaL_argerror(L, 2, "id must be a string, an integer or a ref");
  lua_pushstring(L, byn_dist_owner(d, hash));
  return 1;
}

/* Adds to a field of the table on top. */
static void add_integer(lua_State *L, const char *field, uint32_t value) {
  lua_getfield(L, -1, field);
  lua_Integer sum = lua_tointeger(L, -1) + (lua_Integer)value;
  lua_pop(L, 1);
  byn_dist_set_integer(L, field, sum);
}

/* status([table, bucket, most]) -> table, next: adds to it the children of the
 * buckets from that one on, until `most` ids have been looked at, and answers
 * which bucket comes next, if there are more. */
static int l_status(lua_State *L) {
  const byn_dist *d = byn_dist_view_at(L);
  lua_Integer bucket = luaL_optinteger(L, 3, 0);
  lua_Integer most = luaL_optinteger(L, 4, INT32_MAX);
  luaL_argcheck(L, bucket >= 0, 3, "out of range");
  byn_dist_status s;
  byn_dist_status_begin(d, &s);
  for (; bucket < BYN_DIST_BUCKETS && most > 0; bucket++)
    most -= byn_dist_status_add(d, (uint32_t)bucket, &s);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) lua_createtable(L, 0, 12);
  luaL_checktype(L, -1, LUA_TTABLE);
  byn_dist_set_integer(L, "here", s.here);
  byn_dist_set_integer(L, "everywhere", s.everywhere);
  add_integer(L, "starting", s.starting);
  add_integer(L, "lost", s.lost);
  add_integer(L, "failing", s.failing);
  add_integer(L, "waiting", s.waiting);
  add_integer(L, "moving", s.moving);
  add_integer(L, "idle", s.idle);
  byn_dist_set_boolean(L, "ready", s.ready);
  byn_dist_set_boolean(L, "held", s.held);
  byn_dist_set_boolean(L, "hosts", s.hosts);
  if (bucket == BYN_DIST_BUCKETS) return 1;
  lua_pushinteger(L, bucket);
  return 2;
}

/* quorum() -> nil | denied, seen, nodes, needed, runs, state; denied: what does
 * not run is not to be waited for */
static int l_quorum(lua_State *L) {
  const byn_dist *d = byn_dist_view_at(L);
  byn_dist_quorum q;
  byn_dist_quorum_of(d, &q);
  if (!q.on) return 0;
  lua_pushboolean(L, byn_dist_lacks_quorum(d));
  lua_pushboolean(L, q.seen);
  lua_pushinteger(L, q.nodes);
  lua_pushinteger(L, q.needed);
  lua_pushboolean(L, q.runs);
  lua_pushstring(L, q.state);
  return 6;
}

/* count() -> here, everywhere */
static int l_count(lua_State *L) {
  uint32_t here, everywhere;
  byn_dist_count(byn_dist_view_at(L), &here, &everywhere);
  lua_pushinteger(L, here);
  lua_pushinteger(L, everywhere);
  return 2;
}

const luaL_Reg byn_dist_questions[] = {
    {"explain", l_explain}, {"state", l_state},   {"members", l_members},
    {"nodes", l_nodes},     {"owner", l_owner},   {"status", l_status},
    {"count", l_count},     {"quorum", l_quorum}, {NULL, NULL}};
