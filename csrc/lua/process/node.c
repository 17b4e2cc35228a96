#include "node.h"

#include <string.h>

#include "../value/clock.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"
#include "../cluster/cluster.h"
#include "../lockstep/control.h"

/* --- here ----------------------------------------------------------------- */

byn_node *byn_node_only(lua_State *L) {
  byn_world *w = byn_world_here(L);
  if (!w->nodes)
    byn_misuse(L, "no node runs here: call this inside banyan.run, or after "
                  "banyan.start");
  if (w->nodes->next)
    byn_misuse(L, "several nodes run here: call this inside a process, or "
                  "use a method of the node");
  return w->nodes;
}

void byn_process_absent(lua_State *L, const char *what) {
  if (byn_world_here(L)->running)
    byn_misuse(L, "%s in a process that is ending", what);
  byn_misuse(L,
             "%s outside a process: call it inside banyan.run or a "
             "function given to spawn",
             what);
}

/* --- finding -------------------------------------------------------------- */

/* The process that has the name at `index`, be it live or ending, or NULL. */
static byn_process *owner_of(lua_State *L, const byn_node *node, int index) {
  index = lua_absindex(L, index);
  if (node->control) byn_control_touch_at(L, node->control, index);
  byn_slot_push(L, node->names);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  const byn_id *id = lua_touserdata(L, -1);
  byn_process *p = id ? byn_node_at(node, id) : NULL;
  lua_pop(L, 2);
  return p;
}

byn_process *byn_node_named(lua_State *L, const byn_node *node, int index) {
  byn_process *p = owner_of(L, node, index);
  return p && p->state < BYN_ENDING ? p : NULL;
}

/* Sets names[name at `name`] to the value on top, which it pops. */
static void set_name(lua_State *L, const byn_node *node, int name) {
  if (node->control) {
    byn_control_touch_at(L, node->control, name);
    byn_control_touch_names(node->control);
  }
  byn_slot_push(L, node->names);
  lua_pushvalue(L, name);
  lua_rotate(L, -3, -1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

const char *byn_node_register(lua_State *L, byn_node *node, byn_process *p,
                              int index) {
  index = lua_absindex(L, index);
  byn_process *taken = owner_of(L, node, index);
  if (taken && taken->state >= BYN_ENDING) {
    byn_node_unregister(L, taken);
    taken = NULL;
  }
  if (!p) {
    lua_pushliteral(L, "noproc");
    return "noproc";
  }
  if (taken || p->name) {
    byn_process_push(L, taken ? taken : p);
    byn_reason_make(L, "already_registered", 1);
    return "already_registered";
  }
  byn_slots_reserve_kept(L, &node->world->slots);
  byn_process_push(L, p);
  set_name(L, node, index);
  lua_pushvalue(L, index);
  p->name = byn_slot_keep(L, &node->world->slots);
  return NULL;
}

void byn_node_unregister(lua_State *L, byn_process *p) {
  byn_slots *slots = &p->node->world->slots;
  if (!p->name) return;
  byn_slot_push(L, p->name);
  int name = lua_gettop(L);
  lua_pushnil(L);
  set_name(L, p->node, name);
  lua_pop(L, 1);
  byn_slot_free(L, slots, p->name);
  p->name = 0;
}

/* --- time and ids --------------------------------------------------------- */

static int64_t read_clock(lua_State *L, const byn_node *node) {
  if (node->system_clock) return byn_clock();
  luaL_checkstack(L, 4, NULL);
  byn_slot_push(L, node->clock);
  lua_call(L, 0, 1);
  lua_Integer now = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return now;
}

int64_t byn_node_now(lua_State *L, byn_node *node) {
  if (node->clock_read || !node->clock) return node->now;
  int64_t now = read_clock(L, node);
  if (now > node->now) node->now = now;
  node->clock_read = true;
  return node->now;
}

void byn_node_ref(byn_node *node, byn_id *ref) {
  *ref = (byn_id){
      .origin = node->origin, .serial = ++node->serial, .kind = BYN_REF};
}

byn_timer byn_node_try_timer(byn_node *node, int64_t ms, byn_timer_kind kind,
                             void *owner) {
  int64_t now = node->now;
  int64_t at = ms < BYN_NEVER - now ? now + ms : BYN_NEVER - 1;
  return byn_timers_add(node->timers, at, kind, owner);
}

byn_timer byn_node_timer(lua_State *L, byn_node *node, int64_t ms,
                         byn_timer_kind kind, void *owner) {
  byn_node_now(L, node);
  byn_timer timer = byn_node_try_timer(node, ms, kind, owner);
  if (!timer) luaL_error(L, "not enough memory");
  return timer;
}

/* --- events --------------------------------------------------------------- */

bool byn_event(lua_State *L, byn_node *node, const char *event) {
  if (!node->events) return false;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, event);
  lua_setfield(L, -2, "event");
  lua_pushstring(L, node->name);
  lua_setfield(L, -2, "node");
  lua_pushinteger(L, byn_node_now(L, node));
  lua_setfield(L, -2, "time");
  return true;
}

void byn_event_done(lua_State *L, byn_node *node) {
  byn_slot_push(L, node->events);
  lua_insert(L, -2);
  lua_rawseti(L, -2, node->event_count + 1);
  node->event_count++;
  lua_pop(L, 1);
}

/* --- destinations --------------------------------------------------------- */

#define REMOTE_NAME_MAX 255 /* bytes: any signal to a name fits a message */

static void unknown(byn_dest *dest, const char *error) {
  dest->kind = BYN_DEST_UNKNOWN;
  dest->error = error;
}

static void dest_pid(byn_node *node, const byn_id *id, byn_dest *dest) {
  dest->id = *id;
  dest->origin = id->origin;
  if (id->origin != node->origin) {
    dest->kind = BYN_DEST_REMOTE;
    if (!byn_peer_of(node, id->origin))
      unknown(dest, byn_peer_absence(node, id->origin));
    return;
  }
  dest->process = byn_node_find(node, id);
  dest->kind = dest->process ? BYN_DEST_LOCAL : BYN_DEST_DEAD;
}

static void dest_name(lua_State *L, byn_node *node, int index, byn_dest *dest) {
  dest->process = byn_node_named(L, node, index);
  dest->kind = BYN_DEST_LOCAL;
  if (dest->process)
    dest->id = dest->process->id;
  else
    unknown(dest, "noproc");
}

/* {name=, node=}: the name is on top, the node's name below it. */
static void dest_far(lua_State *L, byn_node *node, byn_dest *dest) {
  const char *where = lua_tostring(L, -2);
  if (node->name && !strcmp(where, node->name)) {
    dest_name(L, node, lua_gettop(L), dest);
    return;
  }
  byn_peer *peer = byn_peer_named(node, where);
  if (!peer) {
    unknown(dest, "noconnection");
    return;
  }
  if (lua_rawlen(L, -1) > REMOTE_NAME_MAX)
    luaL_error(L, "a name on another node has at most %d bytes",
               REMOTE_NAME_MAX);
  dest->kind = BYN_DEST_REMOTE;
  dest->origin = peer->origin;
  dest->id = (byn_id){.origin = peer->origin, .kind = BYN_PID};
  dest->name = lua_gettop(L);
}

/* {supervisor=, id=}: a child of a distributed supervisor. */
static void dest_child(lua_State *L, byn_node *node, int index,
                       byn_dest *dest) {
  byn_world *w = node->world;
  byn_slot_push(L, w->resolver);
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  const byn_id *id = byn_pid_at(L, -1);
  if (id)
    dest_pid(node, id, dest);
  else
    unknown(dest, "noproc");
}

static void dest_table(lua_State *L, byn_node *node, int index,
                       const char *what, byn_dest *dest) {
  lua_getfield(L, index, "node");
  lua_getfield(L, index, "name");
  if (lua_type(L, -1) == LUA_TSTRING && lua_type(L, -2) == LUA_TSTRING) {
    dest_far(L, node, dest);
    return;
  }
  lua_pop(L, 2);
  if (!node->world->resolver ||
      lua_getfield(L, index, "supervisor") == LUA_TNIL)
    byn_misuse(L,
               "%s: the destination is a table without name= and node=", what);
  lua_pop(L, 1);
  dest_child(L, node, index, dest);
}

void byn_dest_at(lua_State *L, byn_node *node, int index, const char *what,
                 byn_dest *dest) {
  index = lua_absindex(L, index);
  *dest = (byn_dest){.kind = BYN_DEST_UNKNOWN, .error = "noproc"};
  const byn_id *id = byn_pid_at(L, index);
  if (id)
    dest_pid(node, id, dest);
  else if (lua_type(L, index) == LUA_TSTRING)
    dest_name(L, node, index, dest);
  else if (lua_type(L, index) == LUA_TTABLE)
    dest_table(L, node, index, what, dest);
  else
    byn_misuse(L,
               "%s: the destination must be a pid, a name or "
               "{name=, node=}, not %s",
               what, luaL_typename(L, index));
}
