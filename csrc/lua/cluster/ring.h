/* The hash ring as Lua sees it: the inside of banyan.ring. */
#ifndef BYN_LUA_RING_H
#define BYN_LUA_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"

/* Leaves a table on the stack:
 *
 *   new(nodes, vnodes) -> ring | nil, what is wrong with the nodes
 *
 * nodes: nil, a list of names, or a map from name to weight. The ring is a
 * userdata with the methods that lua/banyan/ring.lua documents. */
void byn_ring_open(lua_State *L);

/* The hash of the key at `index`, the same on every node; false if it is
 * neither a string nor a number with an integer value, nor a pid or ref. */
bool byn_ring_key(lua_State *L, int index, uint64_t *hash);
/* That of an integer. */
uint64_t byn_ring_key_of_integer(int64_t key);

#endif
