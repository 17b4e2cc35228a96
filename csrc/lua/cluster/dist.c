/* One node's part of a distributed supervisor, for Lua. */
#include "dist.h"

#include <string.h>

#include "../../core/dist/dist.h"
#include "../../core/dist/view.h"
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
#include "dist_value.h"
#include "ring.h"

#define TYPE "banyan.dist"
#define LIVES_BITS 12     /* incarnations are so far apart in machines' lives */
#define MESSAGE_ROOM 1024 /* of max_message, for what a packet travels in */
#define NODES_MAX 10000   /* names in the option `nodes` */

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
static byn_dist *check_dist(lua_State *L) {
  dist_box *box = luaL_checkudata(L, 1, TYPE);
  byn_node *node = box->d ? box->origin->node : NULL;
  luaL_argcheck(L, node != NULL, 1, "its node is closed");
  byn_node_now(L, node);
  tell_gaps(box, node);
  byn_dist_time(box->d, node->now, wall_time(node));
  return box->d;
}

/* The same for a question, which changes nothing. */
static byn_dist *check_view(lua_State *L) {
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
static byn_dist_id push_key(lua_State *L, int index) {
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

/* The names in the list at `index`, in memory of a userdata that is pushed;
 * the strings stay in the list. NULL for nil. */
static const char **push_names(lua_State *L, int index, uint32_t *count) {
  *count = 0;
  if (lua_isnoneornil(L, index)) {
    lua_pushnil(L);
    return NULL;
  }
  luaL_checktype(L, index, LUA_TTABLE);
  size_t n = lua_rawlen(L, index);
  luaL_argcheck(L, n <= NODES_MAX, index, "too many names");
  const char **names = lua_newuserdatauv(L, (n + 1) * sizeof *names, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_argerror(L, index, "a list of names expected");
    names[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  *count = (uint32_t)n;
  return names;
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
  c.nodes = push_names(L, lua_gettop(L), &c.node_count);
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
  c.keep_ended = (uint32_t)integer_field(L, "keep_ended");
  c.keep_ended_ms = integer_field(L, "keep_ended_ms");
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
    if (kept->d) byn_dist_configure(kept->d, &c);
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
  lua_settop(L, 2);
  push_machines(L, byn_node_here(L));
  lua_pushvalue(L, 2);
  lua_rawget(L, 3);
  if (!lua_rawequal(L, 1, 4)) return 0;
  lua_pushvalue(L, 2);
  lua_pushnil(L);
  lua_rawset(L, 3);
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

/* size(value) -> bytes | nil, err */
static int l_size(lua_State *L) {
  luaL_checkany(L, 1);
  if (byn_dist_push_encoded(L, 1)) {
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* encode(value) -> bytes | nil, err: as a checkpoint has it */
static int l_encode(lua_State *L) {
  luaL_checkany(L, 1);
  if (byn_dist_push_encoded(L, 1)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
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
  byn_dist *d = check_dist(L);
  byn_dist_attach(d, byn_node_here(L)->now);
  return 0;
}

static int l_detach(lua_State *L) {
  byn_dist_detach(check_dist(L));
  return 0;
}

/* tick() -> ms until it is due again | nil */
static int l_tick(lua_State *L) {
  byn_dist *d = check_dist(L);
  int64_t now = byn_node_here(L)->now, at = byn_dist_deadline(d);
  if (at == BYN_NEVER) return 0;
  lua_pushinteger(L, at > now ? at - now : 0);
  return 1;
}

static int l_expect(lua_State *L) {
  byn_dist_expect(check_dist(L), luaL_checkstring(L, 2));
  return 0;
}

static int l_node_up(lua_State *L) {
  byn_dist_node_up(check_dist(L), luaL_checkstring(L, 2));
  return 0;
}

static int l_given_up(lua_State *L) {
  byn_dist_given_up(check_dist(L), luaL_checkstring(L, 2));
  return 0;
}

/* node_down(node, proven) */
static int l_node_down(lua_State *L) {
  byn_dist_node_down(check_dist(L), luaL_checkstring(L, 2),
                     lua_toboolean(L, 3));
  return 0;
}

static int l_peer_away(lua_State *L) {
  byn_dist_peer_away(check_dist(L), luaL_checkstring(L, 2));
  return 0;
}

/* receive(from, bytes) -> true | false: it is refused */
static int l_receive(lua_State *L) {
  byn_dist *d = check_dist(L);
  const char *from = luaL_checkstring(L, 2);
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  ((dist_box *)lua_touserdata(L, 1))->L = L;
  return push_truth(L, byn_dist_receive(d, from, (const uint8_t *)bytes, n));
}

static int l_set_hosts(lua_State *L) {
  byn_dist_set_hosts(check_dist(L), lua_toboolean(L, 2));
  return 0;
}

static int l_set_nodes(lua_State *L) {
  byn_dist *d = check_dist(L);
  uint32_t count;
  const char **names = push_names(L, 2, &count);
  byn_dist_set_nodes(d, names, count);
  return 0;
}

static int l_leave(lua_State *L) {
  byn_dist *d = check_dist(L);
  byn_dist_bytes reason = byn_dist_push_reason(L, 2);
  byn_dist_leave(d, reason.at, reason.n);
  return 0;
}

static int l_has_left(lua_State *L) {
  return push_truth(L, byn_dist_has_left(check_view(L)));
}

static int l_is_last(lua_State *L) {
  return push_truth(L, byn_dist_is_last(check_view(L)));
}

static int l_is_ready(lua_State *L) {
  return push_truth(L, byn_dist_is_ready(check_view(L)));
}

static int64_t check_limit(lua_State *L, int index) {
  return lua_isnoneornil(L, index) ? BYN_NEVER : luaL_checkinteger(L, index);
}

/* start(request, id, spec, flags, backoff | nil, node | nil, limit | nil) */
static int l_start(lua_State *L) {
  byn_dist *d = check_dist(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  byn_dist_start_spec what = {.flags = (uint32_t)luaL_checkinteger(L, 5)};
  byn_backoff backoff;
  if (!lua_isnoneornil(L, 6)) {
    backoff = backoff_at(L, 6);
    what.backoff = &backoff;
  }
  what.node = luaL_optstring(L, 7, NULL);
  int64_t limit = check_limit(L, 8);
  byn_dist_id id = push_key(L, 3);
  byn_dist_bytes spec = byn_dist_push_bytes(L, 4);
  what.spec = spec.at;
  what.spec_len = spec.n;
  byn_dist_start(d, request, &id, &what, limit);
  return 0;
}

/* terminate(request, key, limit | nil) -> true | false: that is no key. It is
 * bytes, as encode(id) and the field `key` of an action have them. */
static int l_terminate(lua_State *L) {
  byn_dist *d = check_dist(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  byn_dist_bytes key;
  key.at = (const uint8_t *)luaL_checklstring(L, 3, &key.n);
  int64_t limit = check_limit(L, 4);
  byn_dist_id id;
  bool sound = byn_dist_key(L, key, &id);
  if (sound) byn_dist_terminate(d, request, &id, limit);
  return push_truth(L, sound);
}

static uint32_t check_child(lua_State *L) {
  return (uint32_t)luaL_checkinteger(L, 2);
}

/* started(child, pid) -> is it wanted? */
static int l_started(lua_State *L) {
  byn_dist *d = check_dist(L);
  uint32_t child = check_child(L);
  luaL_argexpected(L, byn_pid_at(L, 3), 3, "pid");
  byn_dist_bytes pid = byn_dist_push_bytes(L, 3);
  return push_truth(L, byn_dist_started(d, child, pid.at, pid.n));
}

/* start_failed(child, "error" | "refused" | "timeout" | "ignore", reason) */
static int l_start_failed(lua_State *L) {
  static const char *const kinds[] = {"error", "refused", "timeout", "ignore",
                                      NULL};
  byn_dist *d = check_dist(L);
  uint32_t child = check_child(L);
  int kind = luaL_checkoption(L, 3, NULL, kinds);
  lua_settop(L, 4);
  byn_dist_bytes reason = byn_dist_push_reason(L, 4);
  byn_dist_start_failed(d, child, (byn_dist_failure)kind, reason.at, reason.n);
  return 0;
}

/* exited(child, reason) */
static int l_exited(lua_State *L) {
  byn_dist *d = check_dist(L);
  uint32_t child = check_child(L);
  lua_settop(L, 3);
  bool normal = byn_reason_is_normal(L, 3);
  byn_dist_bytes reason = byn_dist_push_reason(L, 3);
  byn_dist_exited(d, child, normal, reason.at, reason.n);
  return 0;
}

/* checkpoint(request, child, bytes, async, handed, limit) */
static int l_checkpoint(lua_State *L) {
  byn_dist *d = check_dist(L);
  uint64_t request = (uint64_t)luaL_checkinteger(L, 2);
  uint32_t child = (uint32_t)luaL_checkinteger(L, 3);
  byn_dist_written what = {.async = lua_toboolean(L, 5),
                           .handed = lua_toboolean(L, 6)};
  what.bytes = (const uint8_t *)luaL_checklstring(L, 4, &what.n);
  byn_dist_checkpoint(d, request, child, &what, check_limit(L, 7));
  return 0;
}

static int l_refusals_gone(lua_State *L) {
  byn_dist_refusals_gone(check_dist(L));
  return 0;
}

/* --- actions -------------------------------------------------------------- */

static const char *const kinds[] = {
    "send",    "connect", "start",     "stop",           "answer",
    "show",    "node_up", "node_down", "node_terminate", "forget",
    "resolve", "event",   "escalate"};
static const char *const codes[] = {
    "ok",        "already_started", "already_present", "error",
    "refused",   "no_room",         "not_found",       "not_a_member",
    "no_nodes",  "noconnection",    "timeout",         "ignore",
    "too_large", "terminated",      "out_of_memory"};
static const char *const whys[] = {
    "",        "exited",  "terminated",   "conflict",
    "ended",   "left",    "noconnection", "start_error",
    "refused", "no_room", "timeout",      "ignore"};
static const char *const events[] = {"child_failing",    "placement_conflict",
                                     "placement_moved",  "nodes_differ",
                                     "placement_member", "spec_withheld"};

static void set_string(lua_State *L, const char *field, const char *value) {
  if (!value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

static void set_integer(lua_State *L, const char *field, int64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

static void set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

static void set_value(lua_State *L, const char *field, byn_dist_bytes bytes) {
  if (!bytes.at) return;
  byn_dist_push_decoded(L, bytes);
  lua_setfield(L, -2, field);
}

static void set_shown(lua_State *L, const char *field, byn_dist_bytes bytes) {
  if (!bytes.at) return;
  byn_dist_push_shown(L, bytes);
  lua_setfield(L, -2, field);
}

static void set_bytes(lua_State *L, const char *field, byn_dist_bytes bytes) {
  if (!bytes.at) return;
  lua_pushlstring(L, (const char *)bytes.at, bytes.n);
  lua_setfield(L, -2, field);
}

/* `id`; of one that this Lua cannot have, `key`, its bytes, and `digits`. */
static void set_id(lua_State *L, const byn_dist_id *id) {
  byn_dist_bytes key = {.at = id->key, .n = id->n};
  if (!key.at) return;
  if (byn_dist_push_lacking_key(L, key)) {
    lua_setfield(L, -2, "digits");
    set_bytes(L, "key", key);
    return;
  }
  byn_dist_push_decoded(L, key);
  lua_setfield(L, -2, "id");
}

/* `lacking`: the first integer, as text, for which the child cannot be started
 * under this Lua: in its id, in its spec, or in its state. */
static void set_lacking(lua_State *L, const byn_dist_action *a) {
  byn_dist_bytes key = {.at = a->id.key, .n = a->id.n};
  if (byn_dist_push_lacking_key(L, key) || byn_dist_push_lacking(L, a->spec) ||
      byn_dist_push_lacking(L, a->state))
    lua_setfield(L, -2, "lacking");
}

static void set_names(lua_State *L, const byn_dist_action *a) {
  if (!a->names) return;
  lua_createtable(L, (int)a->count, 0);
  for (uint32_t i = 0; i < a->count; i++) {
    lua_pushstring(L, a->names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "names");
}

/* next() -> action | nil. The time is not told: what follows from one input is
 * bounded, and what is left over waits for the next. */
static int l_next(lua_State *L) {
  byn_dist *d = check_view(L);
  byn_dist_action a;
  if (!byn_dist_next(d, &a)) return 0;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 8);
  set_string(L, "kind", kinds[a.kind]);
  set_string(L, "node", a.node);
  set_string(L, "from", a.from);
  set_bytes(L, "bytes", a.bytes);
  set_bytes(L, "state", a.state);
  if (a.child) set_integer(L, "child", a.child);
  if (a.kind == BYN_DIST_ANSWER) {
    set_integer(L, "request", (int64_t)a.request);
    set_string(L, "code", codes[a.code]);
  }
  if (a.kind == BYN_DIST_EVENT) set_string(L, "event", events[a.event]);
  set_id(L, &a.id);
  if (a.kind == BYN_DIST_START) set_lacking(L, &a);
  set_value(L, "spec", a.spec);
  set_value(L, "pid", a.pid);
  set_value(L, "old_pid", a.old_pid);
  set_value(L, "other_pid", a.other_pid);
  set_shown(L, "reason", a.reason);
  if (a.why) set_string(L, "why", whys[a.why]);
  set_boolean(L, "final", a.final);
  set_boolean(L, "here", a.here);
  set_boolean(L, "again", a.again);
  set_boolean(L, "handed", a.handed);
  set_boolean(L, "joined", a.joined);
  set_integer(L, "flags", a.flags);
  set_integer(L, "count", a.count);
  set_integer(L, "wait_ms", a.wait_ms);
  set_names(L, &a);
  return 1;
}

/* --- questions ------------------------------------------------------------ */

static const char *const states[] = {"unknown", "starting", "running", "lost",
                                     "failing", "waiting",  "ended"};

static void push_child(lua_State *L, const byn_dist_child *c) {
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 12);
  set_id(L, &c->id);
  set_string(L, "state", states[c->state]);
  set_string(L, "node", c->node);
  set_string(L, "owner", c->owner);
  set_string(L, "pinned", c->pinned);
  set_value(L, "pid", c->pid);
  set_integer(L, "begun", (int64_t)c->begun);
  set_integer(L, "epoch", (int64_t)(c->stamp & (BYN_EXACT - 1)));
  set_integer(L, "seq", (int64_t)(c->version & (BYN_EXACT - 1)));
  set_integer(L, "failures", c->failures);
  if (c->why) set_string(L, "why", whys[c->why]);
  set_shown(L, "reason", c->reason);
  if (c->wait_ms) set_integer(L, "wait_ms", c->wait_ms);
  set_boolean(L, "here", c->here);
  set_boolean(L, "refused_by_owner", c->refused_by_owner);
  set_shown(L, "refusal", c->refusal);
}

static int l_explain(lua_State *L) {
  byn_dist *d = check_view(L);
  byn_dist_child c;
  byn_dist_id id = push_key(L, 2);
  byn_dist_explain(d, &id, &c);
  if (c.state == BYN_DIST_UNKNOWN) return 0;
  push_child(L, &c);
  return 1;
}

/* state(id) -> state */
static int l_state(lua_State *L) {
  byn_dist *d = check_view(L);
  byn_dist_child c;
  byn_dist_id id = push_key(L, 2);
  byn_dist_explain(d, &id, &c);
  lua_pushstring(L, states[c.state]);
  return 1;
}

static int l_members(lua_State *L) {
  byn_dist *d = check_view(L);
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
  byn_dist *d = check_view(L);
  byn_dist_node node;
  lua_Integer n = 0;
  lua_newtable(L);
  for (uint32_t cursor = 0; byn_dist_each_node(d, &cursor, &node);) {
    lua_createtable(L, 0, 5);
    set_string(L, "node", node.node);
    set_string(L, "state", node.state);
    set_boolean(L, "member", node.member);
    set_boolean(L, "hosts", node.hosts);
    set_boolean(L, "self", node.self);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static int l_owner(lua_State *L) {
  byn_dist *d = check_view(L);
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
  set_integer(L, field, sum);
}

/* status([table, bucket, most]) -> table, next: adds to it the children of the
 * buckets from that one on, until `most` ids have been looked at, and answers
 * which bucket comes next, if there are more. */
static int l_status(lua_State *L) {
  const byn_dist *d = check_view(L);
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
  set_integer(L, "here", s.here);
  set_integer(L, "everywhere", s.everywhere);
  add_integer(L, "starting", s.starting);
  add_integer(L, "lost", s.lost);
  add_integer(L, "failing", s.failing);
  add_integer(L, "waiting", s.waiting);
  set_boolean(L, "ready", s.ready);
  set_boolean(L, "held", s.held);
  set_boolean(L, "hosts", s.hosts);
  if (bucket == BYN_DIST_BUCKETS) return 1;
  lua_pushinteger(L, bucket);
  return 2;
}

/* count() -> here, everywhere */
static int l_count(lua_State *L) {
  uint32_t here, everywhere;
  byn_dist_count(check_view(L), &here, &everywhere);
  lua_pushinteger(L, here);
  lua_pushinteger(L, everywhere);
  return 2;
}

/* --- in Lua --------------------------------------------------------------- */

static const luaL_Reg methods[] = {{"attach", l_attach},
                                   {"detach", l_detach},
                                   {"tick", l_tick},
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
                                   {"refusals_gone", l_refusals_gone},
                                   {"next", l_next},
                                   {"explain", l_explain},
                                   {"state", l_state},
                                   {"members", l_members},
                                   {"nodes", l_nodes},
                                   {"owner", l_owner},
                                   {"status", l_status},
                                   {"count", l_count},
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
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
}
