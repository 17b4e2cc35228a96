/* What follows of a machine of core/dist, as tables of Lua. */
#ifndef BYN_LUA_DIST_ACTION_H
#define BYN_LUA_DIST_ACTION_H

#include "../value/compat.h"

/* next(action) -> action | nil, of the machine at index 1. */
int byn_dist_l_next(lua_State *L);

#endif
