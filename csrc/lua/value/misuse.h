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

/* As luaL_argerror: says that argument `index` of the running C function is
 * wrong, with the name that the program knows it by, and the program's line. */
int byn_argument_error(lua_State *L, int index, const char *message);
int byn_type_error(lua_State *L, int index, const char *expected);
static inline void byn_expect(lua_State *L, bool fine, int index,
                              const char *expected) {
  if (!fine) byn_type_error(L, index, expected);
}
static inline void byn_argument(lua_State *L, bool fine, int index,
                                const char *message) {
  if (!fine) byn_argument_error(L, index, message);
}
static inline void byn_expect_type(lua_State *L, int index, int type) {
  if (lua_type(L, index) != type)
    byn_type_error(L, index, lua_typename(L, type));
}

void byn_misuse_functions(lua_State *L);

#endif
