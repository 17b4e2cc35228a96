#include "node.h"

#include <string.h>

#include "../value/clock.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"

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
  if (node->points) node->points->touch_at(L, node, index);
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
  return p && p->state < BYN_EXITING ? p : NULL;
}

/* Sets names[name at `name`] to the value on top, which it pops. */
static void set_name(lua_State *L, const byn_node *node, int name) {
  if (node->points) {
    node->points->touch_at(L, node, name);
    node->points->touch_names(node);
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
  if (taken && taken->state >= BYN_EXITING) {
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
