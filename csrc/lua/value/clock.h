/* A clock for drivers: the system's own, which only goes forward, also while
 * the machine is suspended.
 *
 * A node never looks at it by itself. It asks the clock that its driver gave
 * it; where that is core.clock, it need not go through Lua to do so.
 */
#ifndef BYN_CLOCK_H
#define BYN_CLOCK_H

#include <stdint.h>

#include "compat.h"

/* Milliseconds since some fixed moment. */
int64_t byn_clock(void);

/* core.clock() -> integer: the same for Lua. */
int byn_clock_function(lua_State *L);

#endif
