/* One node's part of a distributed supervisor, for Lua. */
#include "dist.h"

#include <string.h>

#include "../../core/dist/dist.h"
#include "../../core/restart.h"
#include "../../core/wire/buffer.h"
#include "../value/compat.h"
#include "../value/id.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../value/world.h"
#include "../process/kept.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "cluster.h"
#include "defaults.h"
#include "dist_action.h"
#include "dist_value.h"
#include "dist_view.h"
#include "names.h"
#include "ring.h"

#define TYPE "banyan.dist"
#define LIVES_BITS 12     /* incarnations are so far apart in machines' lives */
#define MESSAGE_ROOM 1024 /* of max_message, for what a packet travels in */

/* The node keeps it, by the supervisor's name: process/kept.h. */
typedef struct dist_box {
  byn_dist *d;          /* NULL before it is made and after __gc */
  byn_origin *origin;   /* its node's */
  lua_State *L;         /* in receive: of the caller */
  uint64_t gap_count;   /* of the node's gaps, what the machine */
  int64_t gap_total_ms; /* was told of */
} dist_box;

static int no_memory(lua_State *L) {
  return luaL_error(L, "not enough memory");
}

/* Wall-clock time that never jumps: the incarnation of a node says when it
 * began. */
static int64_t wall_time(const byn_node *node) {
  uint64_t began = node->origin->incarnation >> BYN_INCARNATION_BITS;
  return (int64_t)began + (node->now - node->began_at);
}

static void note_gaps(dist_box *box, const byn_gap *gap) {
  box->gap_count = gap->count;
  box->gap_total_ms = gap->total_ms;
}

/* Tells the machine of the node's gaps since it was told last, in all; of one
 * that has grown since, its whole length. */
static void tell_gaps(dist_box *box, const byn_node *node) {
  const byn_gap *gap = &node->gap;
  if (box->gap_total_ms == gap->total_ms) return;
  bool grown = box->gap_count == gap->count;
  int64_t ms = grown ? gap->ms : gap->total_ms - box->gap_total_ms;
  note_gaps(box, gap);
  byn_dist_gap(box->d, ms, node->now);
}

/* The machine at index 1, which has been told the time, and before that of a
 * gap in it. */
byn_dist *byn_dist_at(lua_State *L) {
  dist_box *box = luaL_checkudata(L, 1, TYPE);
  byn_node *node = box->d ? box->origin->node : NULL;
  luaL_argcheck(L, node != NULL, 1, "its node is closed");
  byn_node_now(L, node);
  tell_gaps(box, node);
  byn_dist_time(box->d, node->now, wall_time(node));
  return box->d;
}

/* The same for a question, which changes nothing. */
byn_dist *byn_dist_view_at(lua_State *L) {
  dist_box *box = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, box->d != NULL, 1, "its node is closed");
  return box->d;
}

static int push_truth(lua_State *L, bool truth) {
  lua_pushboolean(L, truth);
  return 1;
}

static bool check_content(void *ud, byn_dist_content content,
                          byn_dist_bytes bytes, uint64_t hash) {
  const dist_box *box = ud;
  return byn_dist_value_is(box->L, content, bytes, hash);
}

/* --- ids -------------------------------------------------------------------
 */

/* Pushes the id at `index` as bytes. */
byn_dist_id byn_dist_push_key(lua_State *L, int index) {
  byn_dist_id id = {0};
  if (!byn_ring_key(L, index, &id.hash))
    luaL_argerror(L, index, "id must be a string, an integer or a ref");
  byn_dist_bytes bytes = byn_dist_push_bytes(L, index);
  luaL_argcheck(L, bytes.n <= BYN_DIST_KEY_MAX, index, "the id is too long");
  id.key = bytes.at;
  id.n = bytes.n;
  return id;
}

/* --- options -------------------------------------------------------------- */

static lua_Integer integer_field(lua_State *L, const char *name) {
  int whole;
  lua_getfield(L, 1, name);
  lua_Integer v = lua_tointegerx(L, -1, &whole);
  if (!whole) luaL_error(L, "option %s must be an integer", name);
  lua_pop(L, 1);
  return v;
}

static bool boolean_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool v = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return v;
}

static lua_Number number_at(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  if (!lua_isnumber(L, -1)) luaL_error(L, "back-off %s must be a number", name);
  lua_Number v = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return v;
}

static byn_backoff backoff_at(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  byn_backoff b = {.min = (int64_t)number_at(L, index, "min"),
                   .max = (int64_t)number_at(L, index, "max"),
                   .factor = number_at(L, index, "factor"),
                   .jitter = number_at(L, index, "jitter")};
  return b;
}

/* Greater than that of any machine before, in this life of the node or in an
 * earlier one: a node that lasts for a millisecond may make millions. */
static uint64_t next_life(byn_node *node) {
  return (node->origin->incarnation << LIVES_BITS) + ++node->kept_made;
}

/* What the options at index 1 say; its strings stay there, and what is pushed
 * holds the rest. */
static byn_dist_config read_config(lua_State *L, const byn_node *node) {
  byn_dist_config c = {.alloc = node->world->alloc, .check = check_content};
  lua_getfield(L, 1, "name");
  c.name = lua_tolstring(L, -1, &c.name_len);
  lua_getfield(L, 1, "node");
  c.node = luaL_checkstring(L, -1);
  lua_getfield(L, 1, "nodes");
  c.nodes = byn_names_push(L, lua_gettop(L), &c.node_count);
  c.hosts = boolean_field(L, "hosts");
  c.replicas = (uint32_t)integer_field(L, "replicas");
  c.start_concurrency = (uint32_t)integer_field(L, "start_concurrency");
  c.max_children = (uint32_t)integer_field(L, "max_children");
  c.newest = boolean_field(L, "newest");
  c.escalate = boolean_field(L, "escalate");
  c.max_restarts = (uint32_t)integer_field(L, "max_restarts");
  c.max_ms = integer_field(L, "max_ms");
  lua_getfield(L, 1, "backoff");
  c.backoff = backoff_at(L, lua_gettop(L));
  c.max_spec = (size_t)integer_field(L, "max_spec");
  c.max_checkpoint = (size_t)integer_field(L, "max_checkpoint");
  c.handoff_ms = integer_field(L, "handoff_ms");
  c.rebalance_per_second = (uint32_t)integer_field(L, "per_second");
  c.keep_ended = (uint32_t)integer_field(L, "keep_ended");
  c.keep_ended_ms = integer_field(L, "keep_ended_ms");
  c.quorum_needed = (uint32_t)integer_field(L, "quorum_needed");
  lua_getfield(L, 1, "quorum_nodes");
  c.quorum_nodes = byn_names_push(L, lua_gettop(L), &c.quorum_count);
  c.quorum_stop_ms = integer_field(L, "quorum_stop_ms");
  c.heartbeat_ms = BYN_HEARTBEAT_MS;
  c.down_after_ms = BYN_DOWN_AFTER_MS;
  if (node->cluster) {
    c.heartbeat_ms = node->cluster->config.connection.heartbeat_ms;
    c.down_after_ms = node->cluster->config.down_after_ms;
    size_t message = node->cluster->config.max_message;
    c.max_packet = message > MESSAGE_ROOM ? message - MESSAGE_ROOM : 1;
  }
  return c;
}

static byn_dist *make_dist(lua_State *L, byn_node *node, dist_box *box) {
  byn_dist_config c = read_config(L, node);
  c.check_ud = box;
  c.incarnation = next_life(node);
  c.seed = byn_rng_next(&node->rng);
  return byn_dist_new(&c, node->now, wall_time(node));
}

/* Pushes the table name -> machine of the node, made if need be. */
static void push_machines(lua_State *L, byn_node *node) {
  byn_kept_push_field(L, node, "dist");
}

static int l_open(lua_State *L) {
  byn_node *node = byn_node_here(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  byn_node_now(L, node);
  push_machines(L, node);
  if (lua_getfield(L, 1, "name") != LUA_TSTRING)
    return luaL_error(L, "option name must be a string");
  lua_pushvalue(L, -1);
  if (lua_rawget(L, 2) != LUA_TNIL) {
    const dist_box *kept = luaL_checkudata(L, 4, TYPE);
    byn_dist_config c = read_config(L, node);
    if (kept->d && !byn_dist_configure(kept->d, &c)) return no_memory(L);
    lua_settop(L, 4);
    lua_pushboolean(L, false);
    return 2;
  }
  lua_pop(L, 1);
  dist_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (dist_box){.origin = node->origin};
  note_gaps(box, &node->gap);
  luaL_setmetatable(L, TYPE);
  lua_insert(L, 4);
  box->d = make_dist(L, node, box);
  if (!box->d) return no_memory(L);
  node->origin->uses++;
  lua_settop(L, 4);
  lua_pushvalue(L, 3);
  lua_pushvalue(L, 4);
  lua_rawset(L, 2);
  lua_pushboolean(L, true);
  return 2;
}

/* close(name): the node forgets it; who opens that name again begins anew. */
static int l_close(lua_State *L) {
  luaL_checkudata(L, 1, TYPE);
  luaL_checkstring(L, 2);
  byn_kept_forget(L, byn_node_here(L), "dist");
  return 0;
}

static int l_gc(lua_State *L) {
  dist_box *box = luaL_checkudata(L, 1, TYPE);
  if (!box->d) return 0;
  byn_dist_free(box->d);
  box->d = NULL;
  box->origin->uses--;
  return 0;
}

/* encode(value) -> bytes | nil, err: as a checkpoint has it */
static int l_encode(lua_State *L) {
  luaL_checkany(L, 1);
  if (byn_dist_push_encoded(L, 1)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* size(value) -> bytes | nil, err */
static int l_size(lua_State *L) {
  int results = l_encode(L);
  if (results == 1) lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
  return results;
}

/* decode(bytes) -> value; nil if they stand for nothing */
static int l_decode(lua_State *L) {
  byn_dist_bytes bytes;
  bytes.at = (const uint8_t *)luaL_checklstring(L, 1, &bytes.n);
  byn_dist_push_decoded(L, bytes);
  return 1;
}

/* --- inputs --------------------------------------------------------------- */

static int l_attach(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  byn_dist_attach(d, byn_node_here(L)->now);
  return 0;
}

static int l_detach(lua_State *L) {
  byn_dist_detach(byn_dist_at(L));
  return 0;
}

/* tick(): tells it the time. */
static int l_tick(lua_State *L) {
  byn_dist_at(L);
  return 0;
}

/* wait() -> ms | nil: so long from now on, and it wants to be told the time.
 * What that brings about is among the actions that follow, so it is not told
 * here. */
static int l_wait(lua_State *L) {
  const byn_dist *d = byn_dist_view_at(L);
  int64_t now = byn_node_now(L, byn_node_here(L)), at = byn_dist_deadline(d);
  if (at == BYN_NEVER) return 0;
  lua_pushinteger(L, at > now ? at - now : 0);
  return 1;
}

static int l_expect(lua_State *L) {
  byn_dist_expect(byn_dist_at(L), luaL_checkstring(L, 2));
  return 0;
}

static int l_node_up(lua_State *L) {
  byn_dist_node_up(byn_dist_at(L), luaL_checkstring(L, 2));
  return 0;
}

static int l_given_up(lua_State *L) {
  byn_dist_given_up(byn_dist_at(L), luaL_checkstring(L, 2));
  return 0;
}

/* node_down(node, proven) */
static int l_node_down(lua_State *L) {
  byn_dist_node_down(byn_dist_at(L), luaL_checkstring(L, 2),
                     lua_toboolean(L, 3));
  return 0;
}

static int l_peer_away(lua_State *L) {
  byn_dist_peer_away(byn_dist_at(L), luaL_checkstring(L, 2));
  return 0;
}

/* receive(from, bytes) -> true | false: it is refused */
static int l_receive(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  const char *from = luaL_checkstring(L, 2);
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  ((dist_box *)lua_touserdata(L, 1))->L = L;
  return push_truth(L, byn_dist_receive(d, from, (const uint8_t *)bytes, n));
}

static int l_set_hosts(lua_State *L) {
  byn_dist_set_hosts(byn_dist_at(L), lua_toboolean(L, 2));
  return 0;
}

static int l_set_nodes(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint32_t count;
  const char **names = byn_names_push(L, 2, &count);
  byn_dist_set_nodes(d, names, count);
  return 0;
}

static int l_leave(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  byn_dist_bytes reason = byn_dist_push_reason(L, 2);
  byn_dist_leave(d, reason.at, reason.n);
  return 0;
}

static int l_has_left(lua_State *L) {
  return push_truth(L, byn_dist_has_left(byn_dist_view_at(L)));
}

static int l_is_last(lua_State *L) {
  return push_truth(L, byn_dist_is_last(byn_dist_view_at(L)));
}

static int l_is_ready(lua_State *L) {
  return push_truth(L, byn_dist_is_ready(byn_dist_view_at(L)));
}

static int64_t check_limit(lua_State *L, int index) {
  return lua_isnoneornil(L, index) ? BYN_NEVER : luaL_checkinteger(L, index);
}

/* start(request, id, spec, flags, backoff | nil, node | nil, limit | nil) */
static int l_start(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  byn_dist_start_spec what = {.flags = (uint32_t)luaL_checkinteger(L, 5)};
  byn_backoff backoff;
  if (!lua_isnoneornil(L, 6)) {
    backoff = backoff_at(L, 6);
    what.backoff = &backoff;
  }
  what.node = luaL_optstring(L, 7, NULL);
  int64_t limit = check_limit(L, 8);
  byn_dist_id id = byn_dist_push_key(L, 3);
  byn_dist_bytes spec = byn_dist_push_bytes(L, 4);
  what.spec = spec.at;
  what.spec_len = spec.n;
  byn_dist_start(d, request, &id, &what, limit);
  return 0;
}

/* terminate(request, key, limit | nil) -> true | false: that is no key. It is
 * bytes, as encode(id) and the field `key` of an action have them. */
static int l_terminate(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  byn_dist_bytes key;
  key.at = (const uint8_t *)luaL_checklstring(L, 3, &key.n);
  int64_t limit = check_limit(L, 4);
  byn_dist_id id;
  bool sound = byn_dist_key(L, key, &id);
  if (sound) byn_dist_terminate(d, request, &id, limit);
  return push_truth(L, sound);
}

/* move(request, id, node | nil, limit | nil) */
static int l_move(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  const char *node = luaL_optstring(L, 4, NULL);
  int64_t limit = check_limit(L, 5);
  byn_dist_id id = byn_dist_push_key(L, 3);
  byn_dist_move(d, request, &id, node, limit);
  return 0;
}

/* drain(moves): it takes no more; with `moves`, those here move to others */
static int l_drain(lua_State *L) {
  byn_dist_drain(byn_dist_at(L), lua_toboolean(L, 2));
  return 0;
}

static int l_undrain(lua_State *L) {
  byn_dist_undrain(byn_dist_at(L));
  return 0;
}

/* rebalance() -> how many are to move | nil: some node is in doubt */
static int l_rebalance(lua_State *L) {
  uint32_t count;
  if (!byn_dist_rebalance(byn_dist_at(L), &count)) return 0;
  lua_pushinteger(L, count);
  return 1;
}

/* moves() -> pending, made */
static int l_moves(lua_State *L) {
  const byn_dist *d = byn_dist_view_at(L);
  lua_pushinteger(L, byn_dist_moves_pending(d));
  lua_pushinteger(L, (lua_Integer)byn_dist_moves_made(d));
  return 2;
}

/* probed(probe, reason | nil) */
static int l_probed(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint64_t probe = (uint64_t)luaL_checkinteger(L, 2);
  byn_dist_bytes reason = {0};
  if (!lua_isnoneornil(L, 3)) reason = byn_dist_push_reason(L, 3);
  byn_dist_probed(d, probe, reason.at, reason.n);
  return 0;
}

static uint32_t check_child(lua_State *L) {
  return (uint32_t)luaL_checkinteger(L, 2);
}

/* started(child, pid) -> is it wanted? */
static int l_started(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint32_t child = check_child(L);
  luaL_argexpected(L, byn_pid_at(L, 3), 3, "pid");
  byn_dist_bytes pid = byn_dist_push_bytes(L, 3);
  return push_truth(L, byn_dist_started(d, child, pid.at, pid.n));
}

/* start_failed(child, "error" | "refused" | "timeout" | "ignore", reason) */
static int l_start_failed(lua_State *L) {
  static const char *const kinds[] = {"error", "refused", "timeout", "ignore",
                                      NULL};
  byn_dist *d = byn_dist_at(L);
  uint32_t child = check_child(L);
  int kind = luaL_checkoption(L, 3, NULL, kinds);
  lua_settop(L, 4);
  byn_dist_bytes reason = byn_dist_push_reason(L, 4);
  byn_dist_start_failed(d, child, (byn_dist_failure)kind, reason.at, reason.n);
  return 0;
}

/* exited(child, reason) */
static int l_exited(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint32_t child = check_child(L);
  lua_settop(L, 3);
  bool normal = byn_reason_is_normal(L, 3);
  byn_dist_bytes reason = byn_dist_push_reason(L, 3);
  byn_dist_exited(d, child, normal, reason.at, reason.n);
  return 0;
}

/* checkpoint(request, child, bytes, async, handed, limit) */
static int l_checkpoint(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  uint32_t child = (uint32_t)luaL_checkinteger(L, 3);
  byn_dist_written what = {.async = lua_toboolean(L, 5),
                           .handed = lua_toboolean(L, 6)};
  what.bytes = (const uint8_t *)luaL_checklstring(L, 4, &what.n);
  byn_dist_checkpoint(d, request, child, &what, check_limit(L, 7));
  return 0;
}

/* rest(child) -> is it stopped? */
static int l_rest(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  return push_truth(L, byn_dist_rest(d, check_child(L)));
}

/* handoff_failed(child, reason): it goes on */
static int l_handoff_failed(lua_State *L) {
  byn_dist *d = byn_dist_at(L);
  uint32_t child = check_child(L);
  lua_settop(L, 3);
  byn_dist_bytes reason = byn_dist_push_reason(L, 3);
  byn_dist_handoff_failed(d, child, reason.at, reason.n);
  return 0;
}

static int l_refusals_gone(lua_State *L) {
  byn_dist_refusals_gone(byn_dist_at(L));
  return 0;
}

/* --- in Lua --------------------------------------------------------------- */

static const luaL_Reg methods[] = {{"attach", l_attach},
                                   {"detach", l_detach},
                                   {"tick", l_tick},
                                   {"wait", l_wait},
                                   {"expect", l_expect},
                                   {"node_up", l_node_up},
                                   {"node_down", l_node_down},
                                   {"given_up", l_given_up},
                                   {"peer_away", l_peer_away},
                                   {"receive", l_receive},
                                   {"set_hosts", l_set_hosts},
                                   {"set_nodes", l_set_nodes},
                                   {"leave", l_leave},
                                   {"close", l_close},
                                   {"has_left", l_has_left},
                                   {"is_last", l_is_last},
                                   {"is_ready", l_is_ready},
                                   {"start", l_start},
                                   {"terminate", l_terminate},
                                   {"started", l_started},
                                   {"start_failed", l_start_failed},
                                   {"exited", l_exited},
                                   {"checkpoint", l_checkpoint},
                                   {"rest", l_rest},
                                   {"refusals_gone", l_refusals_gone},
                                   {"move", l_move},
                                   {"drain", l_drain},
                                   {"undrain", l_undrain},
                                   {"rebalance", l_rebalance},
                                   {"moves", l_moves},
                                   {"probed", l_probed},
                                   {"handoff_failed", l_handoff_failed},
                                   {"next", byn_dist_l_next},
                                   {NULL, NULL}};

static const luaL_Reg functions[] = {{"open", l_open},
                                     {"size", l_size},
                                     {"encode", l_encode},
                                     {"decode", l_decode},
                                     {NULL, NULL}};

void byn_dist_functions(lua_State *L) {
  if (luaL_newmetatable(L, TYPE)) {
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    luaL_setfuncs(L, byn_dist_questions, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
