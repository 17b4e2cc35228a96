/* Lists of node names that Lua gives: the options `nodes` and `quorum` of a
 * distributed supervisor.
 */
#ifndef BYN_LUA_NAMES_H
#define BYN_LUA_NAMES_H

#include <stdint.h>

#include "../value/compat.h"

/* The names in the list at `index`, in memory of a userdata that is pushed;
 * the strings stay in the list. NULL for nil, which is pushed then. An error
 * for anything else. */
const char **byn_names_push(lua_State *L, int index, uint32_t *count);

#endif
