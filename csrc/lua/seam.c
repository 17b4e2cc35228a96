/* The node as its driver sees it in Lua. */
#include "seam.h"

#include <string.h>

#include "../core/assert.h"
#include "value/clock.h"
#include "value/compat.h"
#include "value/reason.h"
#include "process/dest.h"
#include "process/kept.h"
#include "process/node.h"
#include "process/node_handle.h"
#include "process/preempt.h"
#include "process/process.h"
#include "process/reap.h"
#include "process/relation.h"
#include "process/send.h"
#include "process/spawn.h"
#include "process/step.h"
#include "cluster/admission.h"
#include "cluster/cluster.h"
#include "cluster/defaults.h"
#include "cluster/nodes.h"
#include "cluster/transport.h"

#define ATTEMPTS 100 /* recoveries from errors in one close */

static byn_node *check_node(lua_State *L) {
  return byn_node_check(L, 1);
}

static void set_now(lua_State *L, byn_node *node, int index) {
  lua_Integer now = luaL_checkinteger(L, index);
  byn_node_tell_time(node, now);
  node->clock_read = false;
}

/* --- making --------------------------------------------------------------- */

static int optional_slot(lua_State *L, byn_node *node, const char *option,
                         int type) {
  int found = lua_getfield(L, 1, option);
  if (found != LUA_TNIL && found != type)
    luaL_error(L, "option %s must be a %s", option, lua_typename(L, type));
  return byn_slot_put(L, &node->world->slots);
}

static lua_Integer optional_integer(lua_State *L, const char *option) {
  int whole;
  if (lua_getfield(L, 1, option) == LUA_TNIL) {
    lua_pop(L, 1);
    return 0;
  }
  lua_Integer v = lua_tointegerx(L, -1, &whole);
  if (!whole) luaL_error(L, "option %s must be a whole number", option);
  lua_pop(L, 1);
  return v;
}

static void name_node(lua_State *L, byn_node *node) {
  byn_world *w = node->world;
  uint64_t incarnation = (uint64_t)optional_integer(L, "incarnation");
  const char *name = NULL;
  if (lua_getfield(L, 1, "name") != LUA_TNIL) {
    name = luaL_checkstring(L, -1);
    if (!incarnation) luaL_error(L, "option incarnation is missing");
  }
  /* Two nodes without a name may hear of each other's processes, over the
   * control channel of a peer: the driver's number tells them apart. */
  if (!incarnation) incarnation = (uint64_t)++w->made;
  byn_origin *origin =
      byn_origin_begin(L, w, name ? name : "nonode", incarnation);
  lua_pop(L, 1);
  if (!origin)
    luaL_error(L, "a node of this name and incarnation runs here already");
  node->origin = origin;
  origin->node = node;
  origin->last_serial = &node->serial;
  if (name) node->name = origin->name;
}

static void fill_node(lua_State *L, byn_node *node) {
  byn_slots *slots = &node->world->slots;
  byn_gap_init(&node->gap, BYN_HEARTBEAT_MS);
  byn_rng_seed(&node->rng, (uint64_t)optional_integer(L, "seed"));
  byn_map_init(&node->monitors, &node->world->alloc);
  byn_map_init(&node->sends, &node->world->alloc);
  byn_map_init(&node->sends_of, &node->world->alloc);
  byn_map_init(&node->mailbox_limits, &node->world->alloc);
  node->timers = byn_timers_new(&node->world->alloc);
  if (!node->timers) luaL_error(L, "not enough memory");
  lua_newtable(L);
  node->names = byn_slot_put(L, slots);
  node->clock = optional_slot(L, node, "clock", LUA_TFUNCTION);
  node->driver = optional_slot(L, node, "driver", LUA_TSTRING);
  byn_slot_push(L, node->clock);
  node->system_clock = lua_tocfunction(L, -1) == byn_clock_function;
  lua_pop(L, 1);
  lua_getfield(L, 1, "events");
  bool events = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (events) {
    lua_newtable(L);
    node->events = byn_slot_put(L, slots);
  }
  name_node(L, node);
  if (node->name) byn_cluster_open(L, node, 1);
}

/* --- closing -------------------------------------------------------------- */

/* Ends every process, also those that are started on the way. */
static int end_all_protected(lua_State *L) {
  byn_node *node = lua_touserdata(L, 1);
  luaL_checkstack(L, 40, NULL);
  node->reaping = false;
  while (node->process_count) {
    for (uint32_t i = 0; i < node->table_size; i++) {
      if (!node->table[i]) continue;
      lua_pushliteral(L, "killed");
      byn_process_end(L, node->table[i]);
    }
    byn_node_reap(L, node);
  }
  return 0;
}

/* Raises when memory is too short even for that. */
static void end_all_processes(lua_State *L, byn_node *node) {
  for (int i = 0; i < ATTEMPTS; i++) {
    lua_pushcfunction(L, end_all_protected);
    lua_pushlightuserdata(L, node);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
    if (i < ATTEMPTS - 1) lua_pop(L, 1);
  }
  lua_error(L);
}

static void free_processes(byn_node *node) {
  byn_pool_clear(&node->processes);
  byn_free(&node->world->alloc, node->table,
           node->table_size * sizeof *node->table);
}

static void leave_world(byn_node *node) {
  byn_node **at = &node->world->nodes;
  while (*at != node)
    at = &(*at)->next;
  *at = node->next;
}

/* No process is left. */
static void close_node(lua_State *L, byn_node *node) {
  byn_world *w = node->world;
  byn_assert(!node->process_count && !node->exiting && !node->stepping);
  byn_watchdog_close(node->watch);
  if (node->points) node->points->forget(node);
  byn_sends_close(L, node);
  byn_relation_walks_close(node);
  byn_cluster_close(L, node);
  free_processes(node);
  byn_map_clear(&node->monitors);
  byn_map_clear(&node->mailbox_limits);
  if (node->timers) byn_timers_free(node->timers);
  byn_slot_free(L, &w->slots, node->kept);
  byn_slot_free(L, &w->slots, node->names);
  byn_slot_free(L, &w->slots, node->clock);
  byn_slot_free(L, &w->slots, node->driver);
  byn_slot_free(L, &w->slots, node->events);
  if (node->origin) {
    node->origin->node = NULL;
    node->origin->last_serial = NULL;
  }
  leave_world(node);
  byn_free(&w->alloc, node, sizeof *node);
}

static int fill_node_protected(lua_State *L) {
  byn_node *node = lua_touserdata(L, 2);
  lua_settop(L, 1);
  fill_node(L, node);
  return 0;
}

/* core.node(opts) */
static int l_node(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  byn_world *w = byn_world_of(L);
  byn_node **at = lua_newuserdatauv(L, sizeof(byn_node *), 0);
  *at = NULL;
  luaL_setmetatable(L, BYN_NODE_HANDLE);
  byn_node *node = byn_new(&w->alloc, sizeof *node);
  if (!node) return luaL_error(L, "not enough memory");
  *node = (byn_node){.world = w, .next = w->nodes};
  byn_pool_init(&node->processes, &w->alloc, sizeof(byn_process));
  w->nodes = node;
  lua_pushcfunction(L, fill_node_protected);
  lua_pushvalue(L, 1);
  lua_pushlightuserdata(L, node);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    close_node(L, node);
    return lua_error(L);
  }
  *at = node;
  return 1;
}

/* Pushes the list of events that were not fetched; false if there are none. */
static bool push_events(lua_State *L, const byn_node *node) {
  if (!node->event_count) return false;
  byn_slot_push(L, node->events);
  return true;
}

/* close() -> the last events, or nothing */
static int l_close(lua_State *L) {
  byn_node **at = byn_node_handle_check(L, 1);
  byn_node *node = *at;
  if (!node) return 0;
  if (node->world->running && node->world->running->node == node)
    return luaL_error(L, "a node cannot be closed by one of its processes");
  if (node->stepping)
    return luaL_error(L, "a node cannot be closed within a step of its own");
  luaL_checkstack(L, 20, NULL);
  end_all_processes(L, node);
  bool events = push_events(L, node);
  *at = NULL;
  close_node(L, node);
  return events;
}

/* __gc: nobody has closed the node, and the Lua state is about to be closed. */
static int l_collect(lua_State *L) {
  byn_node **at = byn_node_handle_check(L, 1);
  if (*at) (*at)->collected = true;
  return l_close(L);
}

/* --- stepping ------------------------------------------------------------- */

static int l_step(lua_State *L) {
  byn_node *node = check_node(L);
  set_now(L, node, 2);
  if (node->world->running)
    return luaL_error(L, "a node cannot be stepped by a process");
  if (node->stepping)
    return luaL_error(L, "a node cannot be stepped within a step of its own");
  if (node->points)
    return luaL_error(L, "the node is under control: its steps are not yours");
  lua_settop(L, 2);
  node->stepping = true;
  byn_watchdog_step(node->watch);
  bool done = byn_node_step(L, node);
  byn_assert(node->stepping && lua_gettop(L) == (done ? 3 : 2));
  byn_watchdog_rest(node->watch);
  node->stepping = false;
  if (done) return 1;
  return luaL_error(L, "the node cannot go on: see its scheduler_error events");
}

/* preempt(slice_ms [, kill_after_ms]) -> true | nil, err: see preempt.h */
static int l_preempt(lua_State *L) {
  byn_node *node = check_node(L);
  lua_Integer slice = luaL_checkinteger(L, 2), limit = luaL_optinteger(L, 3, 0);
  luaL_argcheck(L, slice > 0 && slice <= 60000, 2, "1 to 60000 ms expected");
  luaL_argcheck(L, limit >= 0, 3, "a time expected");
  if (node->stepping)
    return luaL_error(L, "a node cannot be given a watchdog within a step");
  int error = byn_preempt_open(node, (int)slice, limit);
  if (error) {
    lua_pushnil(L);
    lua_pushfstring(L, "no watchdog for preemption: %s", strerror(error));
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* --- connections
 * ---------------------------------------------------------------- */

static byn_cluster *check_cluster(lua_State *L, byn_node *node) {
  if (!node->cluster) luaL_error(L, "the node has no name, so no links");
  return node->cluster;
}

static int l_action(lua_State *L) {
  byn_node *node = check_node(L);
  return node->cluster ? byn_cluster_action(L, node->cluster) : 0;
}

/* accepted(now [, address]) -> connection | nil, err */
static int l_accepted(lua_State *L) {
  byn_node *node = check_node(L);
  byn_cluster *c = check_cluster(L, node);
  const char *why, *address = luaL_optstring(L, 3, "");
  set_now(L, node, 2);
  byn_transport *t = byn_admission_accept(L, c, address, &why);
  if (t) {
    lua_pushinteger(L, t->number);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* The connection whose number is argument 2, or NULL. */
static byn_transport *transport_argument(lua_State *L, byn_node *node,
                                         int now) {
  byn_cluster *c = check_cluster(L, node);
  set_now(L, node, now);
  return byn_transport_number(c, (uint32_t)luaL_checkinteger(L, 2));
}

/* Polls a connection that its driver has told something, and acts on the
 * result. */
static int react_to_input_protected(lua_State *L) {
  byn_node *node = lua_touserdata(L, 1);
  byn_transport *t = lua_touserdata(L, 2);
  luaL_checkstack(L, 40, NULL);
  byn_cluster_poll(L, node->cluster, t);
  byn_cluster_act(L, node->cluster);
  byn_node_reap(L, node);
  return 0;
}

/* No process is to blame for an error here: memory has run out. It ends the
 * link, whose input is gone when this returns; the next step signals that. */
static int react_to_input(lua_State *L, byn_node *node, byn_transport *t) {
  byn_process *running = node->world->running;
  lua_pushcfunction(L, react_to_input_protected);
  lua_pushlightuserdata(L, node);
  lua_pushlightuserdata(L, t);
  int status = lua_pcall(L, 2, 0, 0);
  if (status == LUA_OK) return 0;
  byn_cluster_give_up(node->cluster, t,
                      status == LUA_ERRMEM ? "out_of_memory" : "error");
  node->world->running = NULL;
  byn_node_recover(L, node);
  node->world->running = running;
  return 0;
}

static int l_connected(lua_State *L) {
  byn_node *node = check_node(L);
  const char *address = luaL_optstring(L, 4, "");
  byn_transport *t = transport_argument(L, node, 3);
  if (!t) return 0;
  byn_transport_dialled(node->cluster, t, address);
  byn_connection_opened(t->connection, node->now);
  return react_to_input(L, node, t);
}

static int l_received(lua_State *L) {
  byn_node *node = check_node(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 3, &n);
  byn_transport *t = transport_argument(L, node, 4);
  if (!t || byn_connection_is_ended(t->connection)) return 0;
  byn_connection_feed(t->connection, (const uint8_t *)bytes, n, node->now);
  return react_to_input(L, node, t);
}

static int l_written(lua_State *L) {
  byn_node *node = check_node(L);
  lua_Integer n = luaL_checkinteger(L, 3);
  byn_transport *t = transport_argument(L, node, 4);
  if (!t || n <= 0) return 0;
  byn_transport_wrote(node->cluster, t, (size_t)n);
  if (t->peer) byn_peer_calm(node->cluster, t->peer);
  return 0;
}

static int l_closed(lua_State *L) {
  byn_node *node = check_node(L);
  const char *reason = luaL_optstring(L, 3, "closed");
  byn_transport *t = transport_argument(L, node, 4);
  if (!t) return 0;
  t->gone = true;
  byn_connection_closed(t->connection, reason);
  return react_to_input(L, node, t);
}

static int l_shutdown(lua_State *L) {
  byn_node *node = check_node(L);
  if (node->cluster) byn_cluster_shutdown(L, node->cluster);
  byn_node_reap(L, node);
  return 0;
}

/* --- the rest ------------------------------------------------------------- */

static int l_events(lua_State *L) {
  byn_node *node = check_node(L);
  if (!node->event_count) return 0;
  byn_slots *slots = &node->world->slots;
  lua_newtable(L);
  int fresh = byn_slot_put(L, slots);
  byn_slot_take(L, slots, node->events);
  node->events = fresh;
  node->event_count = 0;
  return 1;
}

static int l_spawn(lua_State *L) {
  byn_spawn(L, check_node(L), 2);
  return 1;
}

static int l_send(lua_State *L) {
  byn_node *node = check_node(L);
  byn_dest dest;
  lua_settop(L, 3);
  byn_dest_unresolved_at(L, node, 2, "send", &dest);
  return byn_send_value(L, node, &dest, 3);
}

static int l_kept(lua_State *L) {
  byn_kept_push(L, check_node(L));
  return 1;
}

static int l_name(lua_State *L) {
  lua_pushstring(L, check_node(L)->name);
  return 1;
}

static int l_nodes(lua_State *L) {
  byn_nodes_push(L, check_node(L)->cluster);
  return 1;
}

/* Does its name belong to another life? Then the node is to be stopped. */
static int l_has_lost_name(lua_State *L) {
  const byn_cluster *c = check_node(L)->cluster;
  lua_pushboolean(L, c && byn_membership_has_lost_name(c->membership));
  return 1;
}

static int l_process_count(lua_State *L) {
  lua_pushinteger(L, check_node(L)->process_count);
  return 1;
}

static int l_tostring(lua_State *L) {
  byn_node **at = byn_node_handle_check(L, 1);
  const char *name = *at && (*at)->name ? (*at)->name : "without a name";
  lua_pushfstring(L, "node<%s>", *at ? name : "closed");
  return 1;
}

void byn_seam_functions(lua_State *L) {
  static const luaL_Reg methods[] = {{"step", l_step},
                                     {"preempt", l_preempt},
                                     {"action", l_action},
                                     {"accepted", l_accepted},
                                     {"connected", l_connected},
                                     {"received", l_received},
                                     {"written", l_written},
                                     {"closed", l_closed},
                                     {"shutdown", l_shutdown},
                                     {"events", l_events},
                                     {"spawn", l_spawn},
                                     {"send", l_send},
                                     {"kept", l_kept},
                                     {"name", l_name},
                                     {"nodes", l_nodes},
                                     {"has_lost_name", l_has_lost_name},
                                     {"close", l_close},
                                     {"process_count", l_process_count},
                                     {NULL, NULL}};
  luaL_newmetatable(L, BYN_NODE_HANDLE);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, l_collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
  lua_pushcfunction(L, l_node);
  lua_setfield(L, -2, "node");
}
