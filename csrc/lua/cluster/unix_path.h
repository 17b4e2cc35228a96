/* The path of a Unix socket: does anybody listen there?
 */
#ifndef BYN_UNIX_PATH_H
#define BYN_UNIX_PATH_H

#include "../value/compat.h"

/* Into the table on top:
 *
 * path_listens(path) -> true, also where many wait to be accepted; false: the
 *   connection is refused, so the socket was left over | nil, err: there is no
 *   socket, or it cannot be known. Does not wait. */
void byn_unix_path_functions(lua_State *L);

#endif
