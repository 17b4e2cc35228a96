/* What the machines have met, for Lua: see core/coverage.h.
 *
 *   core.coverage() -> list of {name=, states=, events=, counts=}
 *
 * states and events are words; counts[state][event] counts from 1. Only in a
 * build with -DBYN_COVERAGE.
 */
#ifndef BYN_LUA_COVERAGE_H
#define BYN_LUA_COVERAGE_H

#include "compat.h"

/* `coverage`, if there is one: into the table on top. */
void byn_coverage_functions(lua_State *L);

#endif
