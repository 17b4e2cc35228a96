/* What a process calls: self, link, monitor, exit, names.
 */
#ifndef BYN_API_H
#define BYN_API_H

#include "../value/compat.h"

/* Into the table on top, which has those of send.h and look.h; also gives pids
 * their methods. */
void byn_api_functions(lua_State *L);

#endif
