/* What processes there are, and what is known of one.
 *
 * A list that may be long is taken in slices: each call looks at so many places
 * and says where the next one goes on. What is there throughout is in the list
 * once. Between two slices Lua calls give_way, so that a list of very many
 * holds nobody up.
 */
#ifndef BYN_LOOK_H
#define BYN_LOOK_H

#include "../value/compat.h"

/* Into the table on top. */
void byn_look_functions(lua_State *L);

#endif
