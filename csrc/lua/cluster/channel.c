/* The control channel of a peer node, for Lua. */
#include "channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium/core.h>
#include <sodium/crypto_generichash.h>
#include <sodium/utils.h>

#include "../../core/assert.h"
#include "../../core/wire/channel.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "../value/term.h"
#include "../value/world.h"
#include "capture.h"

#define TYPE "banyan.channel"
#define KEPT ((size_t)1 << 20) /* of a buffer that is empty, at most */
#define VALUES_MAX 200         /* in one frame */
#define REALM_LABEL "banyan realm of peer connections"

typedef struct channel_box {
  byn_alloc alloc;
  byn_channel channel;
  byn_buf body;     /* of the frame that is being made */
  byn_origin other; /* says whether the other end has doubles, and no more */
  bool captured, made;
} channel_box;

static channel_box *check_box(lua_State *L) {
  return luaL_checkudata(L, 1, TYPE);
}

static int fail_with(lua_State *L, const char *error) {
  lua_pushnil(L);
  lua_pushstring(L, error);
  return 2;
}

static const uint8_t *check_bytes(lua_State *L, int index, size_t wanted) {
  size_t n;
  const char *bytes = luaL_checklstring(L, index, &n);
  luaL_argcheck(L, n == wanted, index, "of another length");
  return (const uint8_t *)bytes;
}

/* --- making --------------------------------------------------------------- */

static int l_channel(lua_State *L) {
  const uint8_t *token = check_bytes(L, 2, BYN_TOKEN_SIZE);
  const uint8_t *nonce = check_bytes(L, 3, BYN_NONCE_SIZE);
  channel_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  memset(box, 0, sizeof *box);
  box->alloc.fn = lua_getallocf(L, &box->alloc.ud);
  byn_buf_init(&box->body, &box->alloc);
  luaL_setmetatable(L, TYPE);
  box->made =
      byn_channel_init(&box->channel, &box->alloc, lua_toboolean(L, 1), token,
                       nonce, BYN_DOUBLES ? BYN_TRAIT_DOUBLES : 0);
  if (!box->made) return luaL_error(L, "not enough memory");
  return 1;
}

static int l_gc(lua_State *L) {
  channel_box *box = check_box(L);
  byn_buf_free(&box->body);
  if (box->made) byn_channel_free(&box->channel);
  box->made = false;
  return 0;
}

/* --- what came ------------------------------------------------------------ */

static int l_feed(lua_State *L) {
  channel_box *box = check_box(L);
  size_t n;
  const char *bytes = luaL_checklstring(L, 2, &n);
  byn_channel_feed(&box->channel, bytes, n);
  return 0;
}

static int l_finish(lua_State *L) {
  byn_channel_finish(&check_box(L)->channel);
  return 0;
}

/* Each peer is a life of a node. What is called from Lua alone holds none in C,
 * so those that are gone can be forgotten here. */
static void forget_lives(lua_State *L) {
  byn_world *w = byn_world_of(L);
  if (w->origin_count >= w->origins_many) byn_origins_prune(L, w);
}

/* A kind, and terms up to the end. */
static int push_data(lua_State *L, const uint8_t *bytes, size_t n) {
  byn_reader r;
  int top = lua_gettop(L), count = 2;
  forget_lives(L);
  lua_pushliteral(L, "data");
  byn_reader_init(&r, bytes, n);
  lua_pushinteger(L, byn_get_u8(&r));
  bool fine = !r.failed;
  while (fine && byn_reader_left(&r) > 0) {
    luaL_checkstack(L, 4, NULL);
    fine = count < VALUES_MAX && byn_term_decode(L, &r, NULL, NULL);
    count++;
  }
  if (fine) return count;
  lua_settop(L, top);
  lua_pushliteral(L, "bad");
  return 1;
}

static int push_text(lua_State *L, const char *what, const uint8_t *bytes,
                     size_t n) {
  lua_pushstring(L, what);
  lua_pushlstring(L, (const char *)bytes, n);
  return 2;
}

static int l_next(lua_State *L) {
  channel_box *box = check_box(L);
  const uint8_t *bytes = NULL;
  size_t n = 0;
  switch (byn_channel_next(&box->channel, &bytes, &n)) {
  case BYN_CHANNEL_NOISE:
    return push_text(L, "noise", bytes, n);
  case BYN_CHANNEL_GOT_OUTPUT:
    return push_text(L, "output", bytes, n);
  case BYN_CHANNEL_GOT_DATA:
    return push_data(L, bytes, n);
  case BYN_CHANNEL_IS_OPEN:
    box->other.doubles = box->channel.shake.peer_traits & BYN_TRAIT_DOUBLES;
    lua_pushliteral(L, "open");
    return 1;
  case BYN_CHANNEL_ENDED:
    lua_pushliteral(L, "ended");
    lua_pushstring(L, box->channel.reason);
    return 2;
  case BYN_CHANNEL_NONE:
    break;
  }
  return 0;
}

/* --- what goes out -------------------------------------------------------- */

static int l_take(lua_State *L) {
  channel_box *box = check_box(L);
  byn_buf *out = &box->channel.out;
  if (out->len == 0) return 0;
  lua_pushlstring(L, (const char *)out->data, out->len);
  byn_buf_truncate(out, 0);
  if (out->cap > KEPT) byn_buf_free(out);
  return 1;
}

static bool put_body(channel_box *box) {
  if (box->captured) return byn_capture_put(box->body.data, box->body.len);
  return byn_channel_put(&box->channel, box->body.data, box->body.len);
}

static int l_put(lua_State *L) {
  channel_box *box = check_box(L);
  byn_buf *body = &box->body;
  int last = lua_gettop(L);
  lua_Integer kind = luaL_checkinteger(L, 2);
  if (!box->channel.open) return fail_with(L, "closed");
  if (last - 2 >= VALUES_MAX - 2) return fail_with(L, "too_large");
  byn_buf_truncate(body, 0);
  byn_put_u8(body, (uint8_t)kind);
  for (int i = 3; i <= last; i++)
    byn_term_encode(L, i, body, NULL, &box->other, "msg");
  if (body->len > BYN_CHANNEL_MAX) {
    byn_buf_free(body);
    return fail_with(L, "too_large");
  }
  bool done = !body->failed && put_body(box);
  if (body->cap > KEPT) byn_buf_free(body);
  if (!done) return fail_with(L, "out_of_memory");
  lua_pushboolean(L, 1);
  return 1;
}

static int l_capture(lua_State *L) {
  channel_box *box = check_box(L);
  if (!box->channel.open || box->captured || byn_capture_is_on())
    return fail_with(L, "the output is captured already, or nothing is open");
  int error = byn_capture_begin(&box->channel.tx);
  if (error) return fail_with(L, strerror(error));
  box->captured = true;
  lua_pushboolean(L, 1);
  return 1;
}

static int l_has_doubles(lua_State *L) {
  lua_pushboolean(L, check_box(L)->other.doubles);
  return 1;
}

/* --- realms --------------------------------------------------------------- */

/* A token of many uses: who has it knows the secret. The key is as long as the
 * hash takes, whatever the length of the secret. */
static int l_realm_token(lua_State *L) {
  uint8_t key[crypto_generichash_KEYBYTES], token[BYN_TOKEN_SIZE];
  size_t n, size;
  const char *realm = luaL_checklstring(L, 1, &n);
  const char *secret = luaL_checklstring(L, 2, &size);
  crypto_generichash(key, sizeof key, (const uint8_t *)secret, size,
                     (const uint8_t *)REALM_LABEL, sizeof REALM_LABEL - 1);
  crypto_generichash(token, sizeof token, (const uint8_t *)realm, n, key,
                     sizeof key);
  lua_pushlstring(L, (const char *)token, sizeof token);
  sodium_memzero(key, sizeof key);
  sodium_memzero(token, sizeof token);
  return 1;
}

static int l_dialer_mark(lua_State *L) {
  uint8_t mark[BYN_CHANNEL_MARK];
  byn_channel_mark(check_bytes(L, 1, BYN_TOKEN_SIZE), mark);
  lua_pushlstring(L, (const char *)mark, sizeof mark);
  return 1;
}

/* --- values --------------------------------------------------------------- */

/* Pushes something with a buffer that is freed with it. */
static channel_box *push_box(lua_State *L) {
  channel_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  memset(box, 0, sizeof *box);
  box->alloc.fn = lua_getallocf(L, &box->alloc.ud);
  byn_buf_init(&box->body, &box->alloc);
  luaL_setmetatable(L, TYPE);
  return box;
}

static int l_pack(lua_State *L) {
  int last = lua_gettop(L);
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  luaL_argcheck(L, last <= VALUES_MAX, last, "too many values");
  channel_box *box = push_box(L);
  box->other.doubles = lua_toboolean(L, 1);
  for (int i = 2; i <= last; i++)
    byn_term_encode(L, i, &box->body, NULL, &box->other, "msg");
  if (box->body.failed) return luaL_error(L, "not enough memory");
  lua_pushlstring(L, (const char *)box->body.data, box->body.len);
  byn_buf_free(&box->body);
  return 1;
}

static int l_unpack_foreign(lua_State *L) {
  byn_reader r;
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  int count = 1;
  byn_reader_init(&r, bytes, n);
  lua_pushboolean(L, 1);
  for (; byn_reader_left(&r) > 0; count++) {
    luaL_checkstack(L, 4, NULL);
    if (count >= VALUES_MAX || !byn_term_decode_foreign(L, &r)) {
      lua_pushboolean(L, 0);
      return 1;
    }
  }
  return count;
}

static int l_to_bytes(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  channel_box *box = push_box(L);
  byn_term_encode(L, 1, &box->body, NULL, NULL, "value");
  if (box->body.failed) return luaL_error(L, "not enough memory");
  lua_pushlstring(L, (const char *)box->body.data, box->body.len);
  byn_buf_free(&box->body);
  return 1;
}

static int l_from_bytes(lua_State *L) {
  byn_reader r;
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  forget_lives(L);
  byn_reader_init(&r, bytes, n);
  lua_pushboolean(L, 1);
  if (byn_term_decode(L, &r, NULL, NULL) && byn_reader_left(&r) == 0) return 2;
  lua_pushboolean(L, 0);
  return 1;
}

static int l_life(lua_State *L) {
  const byn_id *id = byn_pid_at(L, 1);
  char text[40];
  byn_expect(L, id, 1, "pid");
  snprintf(text, sizeof text, " %" PRIu64, id->origin->incarnation);
  lua_pushstring(L, id->origin->name);
  lua_pushstring(L, text);
  lua_concat(L, 2);
  return 1;
}

void byn_control_channel_functions(lua_State *L) {
  static const luaL_Reg methods[] = {{"feed", l_feed},
                                     {"finish", l_finish},
                                     {"next", l_next},
                                     {"take", l_take},
                                     {"put", l_put},
                                     {"capture", l_capture},
                                     {"has_doubles", l_has_doubles},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"channel", l_channel},
                                       {"to_bytes", l_to_bytes},
                                       {"from_bytes", l_from_bytes},
                                       {"life", l_life},
                                       {"pack", l_pack},
                                       {"unpack_foreign", l_unpack_foreign},
                                       {"realm_token", l_realm_token},
                                       {"dialer_mark", l_dialer_mark},
                                       {NULL, NULL}};
  /* Has it take the ciphers that this processor is fast at. */
  if (sodium_init() < 0) luaL_error(L, "libsodium cannot be used");
  if (luaL_newmetatable(L, TYPE)) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
