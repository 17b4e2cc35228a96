/* The functions that a server's module has, for a person to read, and what of
 * it should be one and is none.
 *
 * Where a callback is missing, the list shows what is misspelt. It has at most
 * 20 names, in the order of their bytes, the same in each run.
 */
#ifndef BYN_SERVER_FUNCTIONS_H
#define BYN_SERVER_FUNCTIONS_H

#include "../process/process.h"
#include "../value/compat.h"

/* Pushes a text such as "the module has handle_cast, init"; p is a server. */
void byn_server_push_functions(lua_State *L, byn_process *p);

/* The name of a callback that the module at index `module` has itself and that
 * cannot be called: its value is pushed. NULL, and nothing, if there is none.
 */
const char *byn_server_bad_callback(lua_State *L, int module);

#endif
