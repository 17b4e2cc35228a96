/* References: values that stand for a table, and may be sent within a node.
 *
 * A message copies tables and refuses those with metatables; userdata goes by
 * reference, and to another node not at all. So what one process of the
 * library hands to another as itself, such as a socket, is a userdata that has
 * a metatable of Lua's making and refers to the table with its state.
 */
#ifndef BYN_REFERENCE_H
#define BYN_REFERENCE_H

#include "compat.h"

/* reference(table, metatable) -> userdata
 * referent(value, metatable) -> its table; nil if it is no such userdata */
void byn_reference_functions(lua_State *L);

#endif
