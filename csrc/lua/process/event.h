/* Events: what a node tells its program of, each one table.
 *
 * They stand in a list until the driver fetches them; a node whose program
 * wants none keeps none.
 */
#ifndef BYN_EVENT_H
#define BYN_EVENT_H

#include <stdbool.h>

#include "../value/compat.h"

struct byn_node;

/* Begins an event: pushes a table {event=, node=, time=} and answers true, or
 * pushes nothing and answers false when nobody wants events. Fields are set
 * with lua_setfield, then byn_event_done pops it into the node's list. */
bool byn_event(lua_State *L, struct byn_node *node, const char *event);
void byn_event_done(lua_State *L, struct byn_node *node);

#endif
