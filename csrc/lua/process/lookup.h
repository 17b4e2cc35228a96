/* Finding processes and nodes: the one that runs, by pid, by name.
 */
#ifndef BYN_LOOKUP_H
#define BYN_LOOKUP_H

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/id.h"
#include "../value/world.h"
#include "foreign.h"
#include "node.h"
#include "process.h"

static inline byn_slots *byn_slots_at(const byn_process *p) {
  return &p->node->world->slots;
}

/* The only node there is; raises if there is none or the choice is not
 * clear. */
byn_node *byn_node_only(lua_State *L);
/* The node whose process runs, else the only one there is; may raise. */
static inline byn_node *byn_node_here(lua_State *L) {
  byn_world *w = byn_world_here(L);
  if (!w->running) return byn_node_only(L);
  if (w->running->co != L) byn_foreign_check(L, w);
  return w->running->node;
}

/* The node that is to send something to `id`: that of the process that runs;
 * outside of processes, as in a callback of the host's loop, the one that made
 * the id, else the only one there is. NULL if the node has been closed, or
 * there is none; may raise as above. */
byn_node *byn_node_toward(lua_State *L, const byn_id *id);

/* Raises "... outside a process" naming `what`. */
void byn_process_absent(lua_State *L, const char *what);
/* The process that runs; raises as above if there is none. */
static inline byn_process *byn_process_here(lua_State *L, const char *what) {
  byn_world *w = byn_world_here(L);
  byn_process *p = w->running;
  if (!p || p->state >= BYN_EXITING) byn_process_absent(L, what);
  if (p->co != L) byn_foreign_check(L, w);
  return p;
}

/* The process with that id, be it live or ending, or NULL. */
static inline byn_process *byn_node_at(const byn_node *node, const byn_id *id) {
  if (id->index >= node->table_size) return NULL;
  byn_process *p = node->table[id->index];
  byn_assert(!p || (p->id.index == id->index && p->state != BYN_DEAD));
  return p && p->id.serial == id->serial ? p : NULL;
}

/* The live process with that id, or NULL. */
static inline byn_process *byn_node_find(const byn_node *node,
                                         const byn_id *id) {
  byn_process *p = byn_node_at(node, id);
  return p && p->state < BYN_EXITING ? p : NULL;
}

/* The live process registered under the name at `index`, or NULL. */
byn_process *byn_node_named(lua_State *L, const byn_node *node, int index);

/* Registers p (NULL: it has ended) under the name at `index`. NULL, or the
 * code of an error that is left on the stack as a reason:
 * {"already_registered", pid} or "noproc". */
const char *byn_node_register(lua_State *L, byn_node *node, byn_process *p,
                              int index);
/* Takes the name of p away, if it has one. */
void byn_node_unregister(lua_State *L, byn_process *p);

#endif
