/* Exit reasons: a string, or an array whose [1] is the code.
 *
 *   "normal"   "noproc"   {"shutdown", detail}   {"error", message, traceback}
 *
 * An array gets a metatable whose __tostring makes it readable for a person,
 * so that assert and error print it well. It is the only metatable that a
 * message may carry.
 */
#ifndef BYN_REASON_H
#define BYN_REASON_H

#include <stdbool.h>

#include "compat.h"

/* Makes the metatables; leaves the stack as it was. */
void byn_reason_open(lua_State *L);
/* Copies the value at `index` as a reason: a table gets the metatable that
 * makes it print well. Values that cannot be sent become their tostring. */
void byn_reason_copy(lua_State *L, int index);
/* Pushes {code, n values popped from the top} as a reason. */
void byn_reason_make(lua_State *L, const char *code, int n);
/* Pushes {"error", message, traceback} for the error object on top of `co`,
 * which stays, and answers false. If it is an exit token (banyan.exit in a
 * place that cannot yield), pushes its reason and answers true. */
bool byn_reason_of_error(lua_State *L, lua_State *co);
/* "normal", "shutdown" or {"shutdown", x}: no cause for a restart of a
 * transient child. */
bool byn_reason_is_normal(lua_State *L, int index);
/* {"error", message, traceback}, or what looks like it. */
bool byn_reason_is_error(lua_State *L, int index);
/* Is it an error that says that memory is short? */
bool byn_reason_is_shortage(lua_State *L, int index);
/* Is it exactly that string? */
bool byn_reason_is(lua_State *L, int index, const char *code);

/* Pushes where the code of co is, as luaL_traceback does; of a very deep stack
 * only the innermost functions. */
void byn_traceback(lua_State *L, lua_State *co);

/* Pushes the metatable of reasons. */
void byn_reason_metatable(lua_State *L);
/* Raises the exit token for the reason at `index`: what byn_reason_of_error
 * takes apart again. */
int byn_reason_raise(lua_State *L, int index);
/* lua.c's way of saying what an error object is. Pushes a string. */
const char *byn_reason_tostring(lua_State *L, int index);

#endif
