/* What core/dist keeps as bytes: values, encoded, decoded, and checked. */
#include "dist_value.h"

#include <string.h>

#include "../../core/assert.h"
#include "../../core/wire/buffer.h"
#include "../otp/childspec.h"
#include "../process/lookup.h"
#include "../value/id.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../value/world.h"
#include "ring.h"

#define REASON_MAX 30000 /* bytes of one reason */

static int encode_protected(lua_State *L) {
  byn_buf *b = lua_touserdata(L, 2);
  byn_term_encode(L, 1, b, NULL, NULL, "msg");
  lua_pushlstring(L, (const char *)b->data, b->len);
  return 1;
}

bool byn_dist_push_encoded(lua_State *L, int index) {
  const byn_world *w = byn_world_of(L);
  byn_buf b;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 6, NULL);
  byn_buf_init(&b, &w->alloc);
  lua_pushcfunction(L, encode_protected);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, &b);
  bool ok = lua_pcall(L, 2, 1, 0) == LUA_OK;
  byn_buf_free(&b);
  return ok;
}

static byn_dist_bytes bytes_at(lua_State *L, int index) {
  size_t n;
  const char *at = lua_tolstring(L, index, &n);
  return (byn_dist_bytes){.at = (const uint8_t *)at, .n = n};
}

byn_dist_bytes byn_dist_push_bytes(lua_State *L, int index) {
  if (!byn_dist_push_encoded(L, index)) lua_error(L);
  return bytes_at(L, -1);
}

byn_dist_bytes byn_dist_push_reason(lua_State *L, int index) {
  if (!byn_dist_push_encoded(L, index)) {
    byn_reason_tostring(L, index);
    lua_replace(L, -2);
    byn_dist_push_encoded(L, -1);
    lua_replace(L, -2);
  }
  if (lua_rawlen(L, -1) > REASON_MAX) {
    lua_pushliteral(L, "reason_too_large");
    lua_replace(L, -2);
    byn_dist_push_encoded(L, -1);
    lua_replace(L, -2);
  }
  return bytes_at(L, -1);
}

/* Pushes what the bytes stand for; nothing, and false, if that is nothing. With
 * `lacking`, text stands for what this Lua cannot have. */
static bool decode(lua_State *L, byn_dist_bytes bytes, byn_lacking *lacking) {
  byn_reader r;
  if (!bytes.at) return false;
  byn_reader_init(&r, bytes.at, bytes.n);
  bool done = lacking ? byn_term_decode_shown(L, &r, lacking)
                      : byn_term_decode(L, &r, NULL, NULL);
  if (!done || byn_reader_left(&r) == 0) return done;
  lua_pop(L, 1);
  return false;
}

bool byn_dist_push_decoded(lua_State *L, byn_dist_bytes bytes) {
  bool done = decode(L, bytes, NULL);
  if (!done) lua_pushnil(L);
  return done;
}

bool byn_dist_push_shown(lua_State *L, byn_dist_bytes bytes) {
  byn_lacking lacking;
  if (!decode(L, bytes, &lacking)) {
    lua_pushnil(L);
    return false;
  }
  if (!lacking.any) return true;
  byn_reason_copy(L, -1);
  byn_reason_tostring(L, -1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}

bool byn_dist_push_lacking(lua_State *L, byn_dist_bytes bytes) {
  byn_lacking lacking;
  if (!BYN_DOUBLES || !decode(L, bytes, &lacking)) return false;
  lua_pop(L, 1);
  if (lacking.any) byn_push_digits(L, lacking.integer);
  return lacking.any;
}

/* --- keys ----------------------------------------------------------------- */

bool byn_dist_push_lacking_key(lua_State *L, byn_dist_bytes bytes) {
  int64_t v;
  if (!BYN_DOUBLES || !bytes.at ||
      !byn_term_is_integer(bytes.at, bytes.n, &v) ||
      (v >= -BYN_EXACT && v <= BYN_EXACT))
    return false;
  byn_push_digits(L, v);
  return true;
}

/* Equal keys must be equal bytes, so only the bytes that this binding writes
 * for the key on top are taken. */
static bool is_key(lua_State *L, byn_dist_bytes bytes, uint64_t *hash) {
  if (lua_type(L, -1) == LUA_TNUMBER || !byn_ring_key(L, -1, hash))
    return false;
  bool encoded = byn_dist_push_encoded(L, -1);
  byn_dist_bytes same = bytes_at(L, -1);
  bool equal =
      encoded && same.n == bytes.n && memcmp(same.at, bytes.at, same.n) == 0;
  lua_pop(L, 1);
  return equal;
}

bool byn_dist_key(lua_State *L, byn_dist_bytes bytes, byn_dist_id *id) {
  int64_t integer;
  *id = (byn_dist_id){.key = bytes.at, .n = bytes.n};
  if (bytes.n > BYN_DIST_KEY_MAX) return false;
  if (byn_term_is_integer(bytes.at, bytes.n, &integer)) {
    id->hash = byn_ring_key_of_integer(integer);
    return true;
  }
  if (!decode(L, bytes, NULL)) return false;
  bool sound = is_key(L, bytes, &id->hash);
  lua_pop(L, 1);
  return sound;
}

/* --- what another node wrote ---------------------------------------------- */

static int type_of_place(lua_State *L, int place) {
  lua_rawgeti(L, -1, place);
  int type = lua_type(L, -1);
  lua_pop(L, 1);
  return type;
}

static bool is_spec(lua_State *L) {
  byn_policy policy;
  return lua_istable(L, -1) && byn_policy_read(L, -1, &policy) &&
         type_of_place(L, BYN_SPEC_START) == LUA_TSTRING &&
         type_of_place(L, BYN_SPEC_FN) == LUA_TSTRING;
}

/* What this Lua lacks in its arguments makes a spec no less sound. */
static bool is_spec_in(lua_State *L, byn_dist_bytes bytes) {
  byn_lacking lacking;
  if (!decode(L, bytes, &lacking)) return false;
  bool sound = is_spec(L);
  lua_pop(L, 1);
  return sound;
}

static bool is_pid_in(lua_State *L, byn_dist_bytes bytes) {
  if (!decode(L, bytes, NULL)) return false;
  bool sound = byn_pid_at(L, -1) != NULL;
  lua_pop(L, 1);
  return sound;
}

bool byn_dist_value_is(lua_State *L, byn_dist_content content,
                       byn_dist_bytes bytes, uint64_t hash) {
  byn_dist_id id;
  bool sound = false;
  luaL_checkstack(L, 8, NULL);
  int top = byn_stack_top(L);
  switch (content) {
  case BYN_DIST_CONTENT_KEY:
    sound = byn_dist_key(L, bytes, &id) && id.hash == hash;
    break;
  case BYN_DIST_CONTENT_PID:
    sound = is_pid_in(L, bytes);
    break;
  case BYN_DIST_CONTENT_SPEC:
    sound = is_spec_in(L, bytes);
  }
  byn_assert(byn_stack_top(L) == top);
  (void)top;
  return sound;
}
