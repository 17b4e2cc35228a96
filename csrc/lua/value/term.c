/* Terms: messages copied between processes, encoded between nodes. */
#include "term.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../core/assert.h"
#include "compat.h"
#include "misuse.h"
#include "world.h"

enum {
  TAG_NIL,
  TAG_FALSE,
  TAG_TRUE,
  TAG_INTEGER,
  TAG_FLOAT,
  TAG_STRING,
  TAG_TABLE,
  TAG_REASON,
  TAG_PID,
  TAG_REF
};

/* The most that is reserved for a table before its elements are seen, so
 * that a promise costs its reader nothing. */
#define PRESIZE 1024

#define TOO_DEEP                                                               \
  "cannot send a table nested more than %d deep (or one that contains "        \
  "itself)"
#define TOO_MANY "cannot send a message of more than %d values"
#define HAS_METATABLE "cannot send a table that has a metatable"
#define BAD_KEY "cannot send a table with a %s as a key"

typedef enum metatable_kind {
  NO_METATABLE,
  REASON_METATABLE,
  OTHER_METATABLE
} metatable_kind;

/* Which metatable the table at `index` has. */
static metatable_kind metatable_of(lua_State *L, int index) {
  if (!lua_getmetatable(L, index)) return NO_METATABLE;
  byn_reason_metatable(L);
  bool reason = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return reason ? REASON_METATABLE : OTHER_METATABLE;
}

static bool is_sendable_key(lua_State *L, int index) {
  switch (lua_type(L, index)) {
  case LUA_TBOOLEAN:
  case LUA_TNUMBER:
  case LUA_TSTRING:
    return true;
  default:
    return byn_id_at(L, index) != NULL;
  }
}

/* --- where the fault is --------------------------------------------------- */

/* Pushes the step into a table that the key at `key` is, and pops what is above
 * the key: the way on from there. */
static void prepend_step(lua_State *L, int key) {
  if (lua_type(L, key) == LUA_TSTRING) {
    const char *name = lua_tostring(L, key);
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    bool plain = n && !name[n] && !strchr("0123456789", name[0]);
    lua_pushfstring(L, plain ? ".%s" : "[\"%s\"]", name);
  } else {
    lua_pushfstring(L, "[%s]", luaL_tolstring(L, key, NULL));
    lua_remove(L, -2);
  }
  lua_insert(L, -2);
  lua_concat(L, 2);
  lua_replace(L, key);
  lua_settop(L, key);
}

/* Pushes the way from the value at `index` to the one that is `fault`; false,
 * and nothing, where there is none. */
static bool push_way(lua_State *L, int index, const void *fault, int depth) {
  if (lua_topointer(L, index) == fault) {
    lua_pushliteral(L, "");
    return true;
  }
  if (lua_type(L, index) != LUA_TTABLE || depth > BYN_TERM_DEPTH) return false;
  if (!lua_checkstack(L, 8)) return false;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    int key = lua_gettop(L) - 1;
    if (push_way(L, key + 1, fault, depth + 1)) {
      prepend_step(L, key);
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

/* Appends to the error on top where in the value at `root`, which is called
 * `what`, the fault is. */
static void add_place(lua_State *L, int root, const char *what,
                      const void *fault) {
  if (!fault || lua_topointer(L, root) == fault) return;
  if (!push_way(L, root, fault, 0)) return;
  lua_pushfstring(L, " (%s%s)", what, lua_tostring(L, -1));
  lua_remove(L, -2);
  lua_concat(L, 2);
}

/* --- copying -------------------------------------------------------------- */

typedef struct copier {
  int depth;
  int elements;
  const void *fault; /* the table that cannot be copied */
} copier;

static bool copy_table(lua_State *L, int index, copier *c);

/* All of these answer false with the error on top of what else they left. */

static bool copy_value(lua_State *L, int index, copier *c) {
  if (lua_type(L, index) == LUA_TTABLE) return copy_table(L, index, c);
  lua_pushvalue(L, index);
  return true;
}

static bool refuse_term(lua_State *L, const char *format, int most) {
  lua_pushfstring(L, format, most);
  return false;
}

/* Copies the pair on top, of the table `source`, into the table below it. */
static bool copy_pair(lua_State *L, int copy, copier *c, const void *source) {
  if (++c->elements > BYN_TERM_ELEMENTS)
    return refuse_term(L, TOO_MANY, BYN_TERM_ELEMENTS);
  if (!is_sendable_key(L, copy + 1)) {
    lua_pushfstring(L, BAD_KEY, luaL_typename(L, copy + 1));
    c->fault = source;
    return false;
  }
  lua_pushvalue(L, copy + 1);
  if (!copy_value(L, copy + 2, c)) return false;
  lua_rawset(L, copy);
  lua_settop(L, copy + 1);
  return true;
}

static bool copy_table(lua_State *L, int index, copier *c) {
  if (++c->depth > BYN_TERM_DEPTH)
    return refuse_term(L, TOO_DEEP, BYN_TERM_DEPTH);
  luaL_checkstack(L, 8, "message nested too deep");
  metatable_kind metatable = metatable_of(L, index);
  const void *source = lua_topointer(L, index);
  if (metatable == OTHER_METATABLE) {
    c->fault = source;
    return refuse_term(L, HAS_METATABLE, 0);
  }
  int length = (int)lua_rawlen(L, index);
  lua_createtable(L, length, length ? 0 : 4);
  int copy = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, index))
    if (!copy_pair(L, copy, c, source)) return false;
  if (metatable == REASON_METATABLE) {
    byn_reason_metatable(L);
    lua_setmetatable(L, copy);
  }
  c->depth--;
  return true;
}

bool byn_term_try_copy(lua_State *L, int index, const char *what) {
  copier c = {0, 0, NULL};
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  if (copy_value(L, index, &c)) {
    byn_assert(lua_gettop(L) == top + 1 && c.depth == 0);
    return true;
  }
  lua_insert(L, top + 1);
  lua_settop(L, top + 1);
  add_place(L, index, what, c.fault);
  return false;
}

void byn_term_copy(lua_State *L, int index) {
  if (byn_term_try_copy(L, index, "msg")) return;
  byn_misuse_where(L);
  lua_insert(L, -2);
  lua_concat(L, 2);
  lua_error(L);
}

/* --- encoding ------------------------------------------------------------- */

typedef struct encoder {
  byn_buf *b;
  const byn_origin *from, *to;
  int depth, elements;
  int root; /* stack index of the whole value */
  const char *what;
} encoder;

/* Raises what is wrong, and where: the table or the value `fault`, or NULL. */
static void encode_refuse(lua_State *L, const encoder *e, const void *fault,
                          const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  add_place(L, e->root, e->what, fault);
  lua_error(L);
}

static void encode_value(lua_State *L, int index, encoder *e);

/* An entry that stands in the array part of the encoding. */
static bool in_array(lua_State *L, int key, lua_Integer length) {
  if (!lua_isinteger(L, key)) return false;
  lua_Integer i = lua_tointeger(L, key);
  return i >= 1 && i <= length;
}

static lua_Integer count_pairs(lua_State *L, int index, lua_Integer length) {
  lua_Integer pairs = 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (!in_array(L, -1, length)) pairs++;
  }
  return pairs;
}

static void encode_pairs(lua_State *L, int index, lua_Integer length,
                         encoder *e) {
  lua_pushnil(L);
  while (lua_next(L, index)) {
    int key = lua_gettop(L) - 1;
    if (!in_array(L, key, length)) {
      if (!is_sendable_key(L, key))
        encode_refuse(L, e, lua_topointer(L, index), BAD_KEY,
                      luaL_typename(L, key));
      encode_value(L, key, e);
      encode_value(L, key + 1, e);
    }
    lua_pop(L, 1);
  }
}

static void encode_table(lua_State *L, int index, encoder *e) {
  if (++e->depth > BYN_TERM_DEPTH)
    encode_refuse(L, e, NULL, TOO_DEEP, BYN_TERM_DEPTH);
  luaL_checkstack(L, 6, "message nested too deep");
  metatable_kind metatable = metatable_of(L, index);
  if (metatable == OTHER_METATABLE)
    encode_refuse(L, e, lua_topointer(L, index), HAS_METATABLE);
  lua_Integer length = (lua_Integer)lua_rawlen(L, index);
  lua_Integer pairs = count_pairs(L, index, length);
  byn_put_u8(e->b, metatable == REASON_METATABLE ? TAG_REASON : TAG_TABLE);
  byn_put_varint(e->b, (uint64_t)length);
  byn_put_varint(e->b, (uint64_t)pairs);
  for (lua_Integer i = 1; i <= length; i++) {
    lua_rawgeti(L, index, i);
    encode_value(L, lua_gettop(L), e);
    lua_pop(L, 1);
  }
  if (pairs) encode_pairs(L, index, length, e);
  e->depth--;
}

static void encode_other(lua_State *L, int index, encoder *e) {
  const byn_id *id = byn_id_at(L, index);
  if (!id)
    encode_refuse(L, e, lua_topointer(L, index),
                  "cannot send a %s to another node", luaL_typename(L, index));
  byn_put_u8(e->b, id->kind == BYN_PID ? TAG_PID : TAG_REF);
  byn_id_encode(e->b, id, e->from, e->to);
}

/* Is there a double of exactly that value? 2^63 is none of an integer. */
static bool is_double(int64_t v) {
  double d = (double)v;
  return d < 0x1p63 && (int64_t)d == v;
}

static void encode_integer(lua_State *L, int index, encoder *e) {
  int64_t v = lua_tointeger(L, index);
  if (e->to && e->to->doubles && !is_double(v))
    encode_refuse(L, e, NULL,
                  "cannot send the integer %s to a node under LuaJIT: its "
                  "numbers are doubles",
                  luaL_tolstring(L, index, NULL));
  byn_put_u8(e->b, TAG_INTEGER);
  byn_put_signed(e->b, v);
}

static void encode_number(lua_State *L, int index, encoder *e) {
  if (lua_isinteger(L, index)) {
    encode_integer(L, index, e);
    return;
  }
  byn_put_u8(e->b, TAG_FLOAT);
  byn_put_double(e->b, lua_tonumber(L, index));
}

static void encode_value(lua_State *L, int index, encoder *e) {
  if (++e->elements > BYN_TERM_ELEMENTS)
    encode_refuse(L, e, NULL, TOO_MANY, BYN_TERM_ELEMENTS);
  size_t n;
  const char *bytes;
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    byn_put_u8(e->b, TAG_NIL);
    break;
  case LUA_TBOOLEAN:
    byn_put_u8(e->b, lua_toboolean(L, index) ? TAG_TRUE : TAG_FALSE);
    break;
  case LUA_TNUMBER:
    encode_number(L, index, e);
    break;
  case LUA_TSTRING:
    bytes = lua_tolstring(L, index, &n);
    byn_put_u8(e->b, TAG_STRING);
    byn_put_string(e->b, bytes, n);
    break;
  case LUA_TTABLE:
    encode_table(L, index, e);
    break;
  default:
    encode_other(L, index, e);
  }
}

void byn_term_encode(lua_State *L, int index, byn_buf *b,
                     const byn_origin *from, const byn_origin *to,
                     const char *what) {
  index = lua_absindex(L, index);
  encoder e = {b, from, to, 0, 0, index, what};
  int top = byn_stack_top(L);
  encode_value(L, index, &e);
  byn_assert(byn_stack_top(L) == top && e.depth == 0);
  if (b->failed) luaL_error(L, "not enough memory");
}

/* --- decoding ------------------------------------------------------------- */

typedef struct decoder {
  byn_reader *r;
  byn_origin *from, *to;
  byn_lacking *lacking; /* NULL: nothing may */
  bool foreign;         /* see byn_term_decode_foreign */
  int depth, elements;
} decoder;

static bool decode_value(lua_State *L, decoder *d);

/* Is the value on top fit to be a key? */
static bool is_key(lua_State *L) {
  switch (lua_type(L, -1)) {
  case LUA_TBOOLEAN:
  case LUA_TSTRING:
    return true;
  case LUA_TNUMBER:
    return !isnan(lua_tonumber(L, -1));
  default:
    return byn_id_at(L, -1) != NULL;
  }
}

static bool decode_array(lua_State *L, decoder *d, uint64_t n) {
  for (uint64_t i = 1; i <= n; i++) {
    if (!decode_value(L, d)) return false;
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  return true;
}

static bool decode_pairs(lua_State *L, decoder *d, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    if (!decode_value(L, d)) return false;
    if (!is_key(L) || !decode_value(L, d)) {
      lua_pop(L, 1);
      return false;
    }
    lua_rawset(L, -3);
  }
  return true;
}

static bool decode_table(lua_State *L, decoder *d, bool reason) {
  uint64_t n = byn_get_varint(d->r), m = byn_get_varint(d->r);
  size_t left = byn_reader_left(d->r);
  if (d->r->failed || n > left || m > left / 2) return false;
  if (++d->depth > BYN_TERM_DEPTH || !lua_checkstack(L, 8)) return false;
  lua_createtable(L, (int)(n < PRESIZE ? n : PRESIZE),
                  (int)(m < PRESIZE ? m : PRESIZE));
  if (!decode_array(L, d, n) || !decode_pairs(L, d, m)) {
    lua_pop(L, 1);
    return false;
  }
  if (reason) {
    byn_reason_metatable(L);
    lua_setmetatable(L, -2);
  }
  d->depth--;
  return true;
}

static bool decode_string(lua_State *L, decoder *d) {
  size_t n;
  const uint8_t *bytes = byn_get_string(d->r, &n);
  if (d->r->failed) return false;
  lua_pushlstring(L, (const char *)bytes, n);
  return true;
}

static bool decode_some_id(lua_State *L, byn_reader *r, byn_id *id,
                           byn_origin *from, byn_origin *to, bool foreign);

static bool decode_id(lua_State *L, decoder *d, uint8_t kind) {
  byn_id id;
  bool foreign = d->foreign && kind == BYN_PID;
  if (!decode_some_id(L, d->r, &id, d->from, d->to, foreign)) return false;
  id.kind = kind;
  byn_id_push(L, &id);
  const byn_id *interned = lua_touserdata(L, -1);
  if (interned->kind == kind) return true;
  lua_pop(L, 1);
  return false;
}

void byn_push_digits(lua_State *L, int64_t integer) {
  char digits[24];
  snprintf(digits, sizeof digits, "%" PRId64, integer);
  lua_pushstring(L, digits);
}

static bool decode_integer(lua_State *L, decoder *d) {
  int64_t v = byn_get_signed(d->r);
  if (d->r->failed) return false;
  if (!BYN_DOUBLES || is_double(v)) {
    lua_pushinteger(L, v);
    return true;
  }
  if (!d->lacking) return false;
  if (!d->lacking->any) *d->lacking = (byn_lacking){.any = true, .integer = v};
  byn_push_digits(L, v);
  return true;
}

static bool decode_float(lua_State *L, decoder *d) {
  double v = byn_get_double(d->r);
  if (d->r->failed) return false;
  lua_pushnumber(L, v);
  return true;
}

static bool decode_value(lua_State *L, decoder *d) {
  if (++d->elements > BYN_TERM_ELEMENTS) return false;
  uint8_t tag = byn_get_u8(d->r);
  if (d->r->failed) return false;
  switch (tag) {
  case TAG_NIL:
    lua_pushnil(L);
    return true;
  case TAG_FALSE:
  case TAG_TRUE:
    lua_pushboolean(L, tag == TAG_TRUE);
    return true;
  case TAG_INTEGER:
    return decode_integer(L, d);
  case TAG_FLOAT:
    return decode_float(L, d);
  case TAG_STRING:
    return decode_string(L, d);
  case TAG_TABLE:
  case TAG_REASON:
    return decode_table(L, d, tag == TAG_REASON);
  case TAG_PID:
    return decode_id(L, d, BYN_PID);
  case TAG_REF:
    return decode_id(L, d, BYN_REF);
  default:
    return false;
  }
}

static bool decode(lua_State *L, decoder *d) {
  luaL_checkstack(L, 8, NULL);
  int top = byn_stack_top(L);
  bool done = decode_value(L, d);
  byn_assert(byn_stack_top(L) == (done ? top + 1 : top));
  (void)top;
  return done;
}

bool byn_term_decode(lua_State *L, byn_reader *r, byn_origin *from,
                     byn_origin *to) {
  decoder d = {.r = r, .from = from, .to = to};
  return decode(L, &d);
}

bool byn_term_decode_foreign(lua_State *L, byn_reader *r) {
  decoder d = {.r = r, .foreign = true};
  return decode(L, &d);
}

bool byn_term_decode_shown(lua_State *L, byn_reader *r, byn_lacking *lacking) {
  decoder d = {.r = r, .lacking = lacking};
  *lacking = (byn_lacking){0};
  return decode(L, &d);
}

bool byn_term_is_integer(const uint8_t *bytes, size_t n, int64_t *integer) {
  byn_reader r;
  byn_reader_init(&r, bytes, n);
  if (byn_get_u8(&r) != TAG_INTEGER) return false;
  *integer = byn_get_signed(&r);
  if (r.failed || byn_reader_left(&r) > 0) return false;
  return n == 2 || bytes[n - 1] != 0; /* it has no more bytes than it needs */
}

/* --- ids ------------------------------------------------------------------ */

enum { ORIGIN_SENDER, ORIGIN_RECEIVER, ORIGIN_OTHER };
#define NAME_MOST ((size_t)255)

void byn_id_encode(byn_buf *b, const byn_id *id, const byn_origin *from,
                   const byn_origin *to) {
  byn_assert(id->origin);
  if (id->origin == from) {
    byn_put_u8(b, ORIGIN_SENDER);
  } else if (id->origin == to) {
    byn_put_u8(b, ORIGIN_RECEIVER);
  } else {
    byn_put_u8(b, ORIGIN_OTHER);
    byn_put_string(b, id->origin->name, strlen(id->origin->name));
    byn_put_u64(b, id->origin->incarnation);
  }
  byn_put_varint(b, id->serial);
  byn_put_varint(b, id->index);
}

/* Puts BYN_TERM_FOREIGN behind a name of n bytes, unless it is there. */
static void make_foreign(char *name, size_t n) {
  size_t size = sizeof BYN_TERM_FOREIGN - 1;
  if (n >= size && !memcmp(name + n - size, BYN_TERM_FOREIGN, size)) return;
  if (n > NAME_MOST - size) n = NAME_MOST - size;
  memcpy(name + n, BYN_TERM_FOREIGN, size + 1);
}

static byn_origin *decode_origin(lua_State *L, byn_reader *r, byn_origin *from,
                                 byn_origin *to, bool foreign) {
  uint8_t which = byn_get_u8(r);
  if (which == ORIGIN_SENDER) return from;
  if (which == ORIGIN_RECEIVER) return to;
  size_t n;
  const uint8_t *name = byn_get_string(r, &n);
  uint64_t incarnation = byn_get_u64(r);
  if (r->failed || which != ORIGIN_OTHER || n == 0 || n > NAME_MOST ||
      memchr(name, 0, n))
    return NULL;
  char copy[NAME_MOST + 1];
  memcpy(copy, name, n);
  copy[n] = 0;
  if (foreign) make_foreign(copy, n);
  return byn_origin_heard(L, byn_world_of(L), copy, incarnation);
}

static bool decode_some_id(lua_State *L, byn_reader *r, byn_id *id,
                           byn_origin *from, byn_origin *to, bool foreign) {
  byn_origin *origin = decode_origin(L, r, from, to, foreign);
  uint64_t serial = byn_get_varint(r), index = byn_get_varint(r);
  if (r->failed || !origin || serial == 0 || serial > BYN_SERIAL_MAX ||
      index > UINT32_MAX)
    return false;
  /* An id that its node has not made yet would come to mean another process. */
  if (origin->last_serial && serial > *origin->last_serial) return false;
  *id = (byn_id){.origin = origin, .serial = serial, .index = (uint32_t)index};
  return true;
}

bool byn_id_decode(lua_State *L, byn_reader *r, byn_id *id, byn_origin *from,
                   byn_origin *to) {
  return decode_some_id(L, r, id, from, to, false);
}
