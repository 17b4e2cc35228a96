/* Errors about misuse, which point at the program.
 *
 * luaL_error points at the function that called C. Where that is one of the
 * library's own, in Lua, the place that helps is its caller's. So the files
 * of the library say which they are (core.skip_in_errors()), and their frames
 * are passed over.
 */
#ifndef BYN_MISUSE_H
#define BYN_MISUSE_H

#include <stdbool.h>

#include "compat.h"

/* Is that the `source` (of lua_Debug) of a file of the library? */
bool byn_in_library(lua_State *L, const char *source);

/* Pushes "file:line: " of the nearest caller outside of the library, or ""
 * where that is not Lua code. */
void byn_misuse_where(lua_State *L);
/* Raises an error with that in front of it. Does not return. */
int byn_misuse(lua_State *L, const char *format, ...);

void byn_misuse_functions(lua_State *L);

#endif
