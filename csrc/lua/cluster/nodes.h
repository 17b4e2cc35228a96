/* What processes see of other nodes: who is up, and connect, disconnect and
 * monitor_nodes.
 *
 * A caller of connect waits as for a reply: its ref is in the list of that
 * node's name until the node is up or an attempt has failed. The answer to one
 * that has stopped waiting meanwhile goes nowhere.
 */
#ifndef BYN_NODES_H
#define BYN_NODES_H

#include "../value/compat.h"
#include "cluster.h"

/* _open makes c->waiting, _close frees it. */
void byn_nodes_open(lua_State *L, byn_cluster *c);
void byn_nodes_close(lua_State *L, byn_cluster *c);

/* Mails {tag=, node=, info={reason=}} to the processes that monitor nodes. The
 * stack is left as it was. */
void byn_nodes_tell(lua_State *L, byn_cluster *c, const char *tag,
                    const char *name, const char *reason);

/* Answers the callers of connect(name): true, or nil and the reason. The stack
 * is left as it was. */
void byn_nodes_answer(lua_State *L, byn_cluster *c, const char *name,
                      const char *reason);

/* Pushes a new list of the names of the nodes that are up; c may be NULL. */
void byn_nodes_push(lua_State *L, const byn_cluster *c);

/* node_name, nodes, connect, disconnect, monitor_nodes: into the table on
 * top. */
void byn_nodes_functions(lua_State *L);

#endif
