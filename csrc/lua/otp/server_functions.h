/* The functions that a server's module has, for a person to read.
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

#endif
