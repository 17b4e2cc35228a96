/* What a server is called that was given no name: by its module.
 *
 * In this order: the string that the module was started by; the module's own
 * `name` or `__name`; the name under which it stands in package.loaded; where
 * its init or one of its handlers was defined. What was found is kept in the
 * metatable of the instances, as `__name`, so that only the first one costs a
 * search.
 */
#ifndef BYN_SERVER_LABEL_H
#define BYN_SERVER_LABEL_H

#include "../value/compat.h"

/* Pushes what servers of the module at index `module` are called, or nil.
 * `metatable` is the index of the metatable of their instances. Raises when
 * memory is short. */
void byn_server_push_label(lua_State *L, int module, int metatable);

#endif
