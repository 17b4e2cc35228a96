/* Questions to a machine of core/dist, for Lua. */
#ifndef BYN_LUA_DIST_VIEW_H
#define BYN_LUA_DIST_VIEW_H

#include "../value/compat.h"

/* Methods of a machine, by the names of core/dist/view.h. */
extern const luaL_Reg byn_dist_questions[];

#endif
