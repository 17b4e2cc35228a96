/* The height of Lua's stack, for assertions.
 *
 *   int top = byn_stack_top(L);
 *   ...
 *   byn_assert(lua_gettop(L) == top);
 *
 * Only builds with assertions ask Lua for it; in others it is 0 and unused.
 */
#ifndef BYN_BALANCE_H
#define BYN_BALANCE_H

#include "../../core/assert.h"
#include "../value/compat.h"

static inline int byn_stack_top(lua_State *L) {
#ifdef BYN_ASSERT
  return lua_gettop(L);
#else
  (void)L;
  return 0;
#endif
}

#endif
