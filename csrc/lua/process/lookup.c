/* Finding processes: the one that runs, by pid, by name; and naming them. */
#include "lookup.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/reason.h"

/* --- here ----------------------------------------------------------------- */

byn_node *byn_node_only(lua_State *L) {
  byn_world *w = byn_world_here(L);
  byn_foreign_check(L, w);
  if (!w->nodes)
    byn_misuse(L, "no node runs here: call this inside banyan.run, or after "
                  "banyan.start");
  if (w->nodes->next)
    byn_misuse(L, "several nodes run here: call this inside a process, or "
                  "use a method of the node");
  return w->nodes;
}

byn_node *byn_node_toward(lua_State *L, const byn_id *id) {
  const byn_world *w = byn_world_here(L);
  if (w->running) return w->running->node;
  if (id->origin->ours || !w->nodes) return id->origin->node;
  return byn_node_only(L);
}

void byn_process_absent(lua_State *L, const char *what) {
  byn_foreign_check(L, byn_world_here(L));
  if (byn_world_here(L)->running)
    byn_misuse(L, "%s in a process that is ending", what);
  byn_misuse(L,
             "%s outside a process: call it inside banyan.run or a "
             "function given to spawn",
             what);
}

/* --- finding -------------------------------------------------------------- */

/* The process that has the name at `index`, be it live or ending, or NULL. */
static byn_process *name_owner(lua_State *L, const byn_node *node, int index) {
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
  byn_process *p = name_owner(L, node, index);
  return p && p->state < BYN_EXITING ? p : NULL;
}

/* Sets names[name at `name`] to the value on top, which it pops. */
static void set_name(lua_State *L, const byn_node *node, int name) {
  int top = byn_stack_top(L) - 1;
  if (node->points) {
    node->points->touch_at(L, node, name);
    node->points->touch_names(node);
  }
  byn_slot_push(L, node->names);
  lua_pushvalue(L, name);
  lua_rotate(L, -3, -1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  byn_assert(byn_stack_top(L) == top);
}

/* What may collect garbage comes first: a finalizer may take the name, or end
 * p. */
const char *byn_node_register(lua_State *L, byn_node *node, byn_process *p,
                              int index) {
  index = lua_absindex(L, index);
  if (p) {
    byn_slots_reserve_kept(L, &node->world->slots);
    byn_process_push(L, p);
  } else {
    lua_pushnil(L);
  }
  byn_process *taken = name_owner(L, node, index);
  if (taken && taken->state >= BYN_EXITING) {
    byn_node_unregister(L, taken);
    taken = NULL;
  }
  if (!p || p->state >= BYN_EXITING) {
    lua_pop(L, 1);
    lua_pushliteral(L, "noproc");
    return "noproc";
  }
  if (taken || p->name) {
    lua_pop(L, 1);
    byn_process_push(L, taken ? taken : p);
    byn_reason_make(L, "already_registered", 1);
    return "already_registered";
  }
  byn_assert(!p->name && lua_touserdata(L, -1));
  set_name(L, node, index);
  lua_pushvalue(L, index);
  p->name = byn_slot_keep(L, &node->world->slots);
  return NULL;
}

/* Does that name lead to p? For an assertion. */
static inline bool has_name(lua_State *L, const byn_process *p, int name) {
  byn_slot_push(L, p->node->names);
  lua_pushvalue(L, name);
  lua_rawget(L, -2);
  const byn_id *id = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return id && byn_id_equal(id, &p->id);
}

void byn_node_unregister(lua_State *L, byn_process *p) {
  byn_slots *slots = &p->node->world->slots;
  if (!p->name) return;
  byn_slot_push(L, p->name);
  int name = lua_gettop(L);
  byn_assert(has_name(L, p, name));
  lua_pushnil(L);
  set_name(L, p->node, name);
  lua_pop(L, 1);
  byn_slot_free(L, slots, p->name);
  p->name = 0;
}
