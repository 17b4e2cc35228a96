/* Fields of tables for Lua, of what a machine of core/dist says.
 *
 * Each sets a field of the table on top; what is absent is left out.
 */
#ifndef BYN_LUA_DIST_FIELDS_H
#define BYN_LUA_DIST_FIELDS_H

#include "../../core/dist/dist.h"
#include "../value/compat.h"

void byn_dist_set_string(lua_State *L, const char *field, const char *value);
void byn_dist_set_integer(lua_State *L, const char *field, int64_t value);
void byn_dist_set_boolean(lua_State *L, const char *field, bool value);
void byn_dist_set_value(lua_State *L, const char *field, byn_dist_bytes bytes);
/* A reason, which becomes text if this Lua cannot have it. */
void byn_dist_set_shown(lua_State *L, const char *field, byn_dist_bytes bytes);
void byn_dist_set_bytes(lua_State *L, const char *field, byn_dist_bytes bytes);
/* `id`; of one that this Lua cannot have `key`, its bytes, and `digits`. */
void byn_dist_set_id(lua_State *L, const byn_dist_id *id);
/* The word for it. */
const char *byn_dist_why_name(byn_dist_why why);

#endif
