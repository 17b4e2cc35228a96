/* Fields of tables for Lua, of what a machine of core/dist says. */
#include "dist_fields.h"

#include "dist_value.h"

static const char *const whys[] = {
    "",        "exited",       "terminated",  "conflict", "ended",
    "left",    "noconnection", "start_error", "refused",  "no_room",
    "timeout", "ignore",       "moved",       "idle"};

const char *byn_dist_why_name(byn_dist_why why) {
  return whys[why];
}

void byn_dist_set_string(lua_State *L, const char *field, const char *value) {
  if (!value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

void byn_dist_set_integer(lua_State *L, const char *field, int64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, field);
}

void byn_dist_set_boolean(lua_State *L, const char *field, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, field);
}

void byn_dist_set_value(lua_State *L, const char *field, byn_dist_bytes bytes) {
  if (!bytes.at) return;
  byn_dist_push_decoded(L, bytes);
  lua_setfield(L, -2, field);
}

void byn_dist_set_shown(lua_State *L, const char *field, byn_dist_bytes bytes) {
  if (!bytes.at) return;
  byn_dist_push_shown(L, bytes);
  lua_setfield(L, -2, field);
}

void byn_dist_set_bytes(lua_State *L, const char *field, byn_dist_bytes bytes) {
  if (!bytes.at) return;
  lua_pushlstring(L, (const char *)bytes.at, bytes.n);
  lua_setfield(L, -2, field);
}

/* `id`; of one that this Lua cannot have, `key`, its bytes, and `digits`. */
void byn_dist_set_id(lua_State *L, const byn_dist_id *id) {
  byn_dist_bytes key = {.at = id->key, .n = id->n};
  if (!key.at) return;
  if (byn_dist_push_lacking_key(L, key)) {
    lua_setfield(L, -2, "digits");
    byn_dist_set_bytes(L, "key", key);
    return;
  }
  byn_dist_push_decoded(L, key);
  lua_setfield(L, -2, "id");
}
