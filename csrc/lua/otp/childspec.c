/* Child specs: read, checked and packed. */
#include "childspec.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "../../core/assert.h"
#include "../../core/restart.h"

/* --- the policy ----------------------------------------------------------- */

enum { ARGUMENTS_AT = 4, SHUTDOWN_AT = 14 }; /* bits */

lua_Integer byn_policy_pack(const byn_policy *p) {
  byn_assert(p->restart >= 0 && p->restart <= BYN_TEMPORARY);
  byn_assert(p->arguments >= 0 && p->arguments <= BYN_ARGUMENTS_MOST);
  byn_assert(p->shutdown >= BYN_SHUTDOWN_KILL && p->shutdown <= INT32_MAX);
  return (lua_Integer)(p->shutdown - BYN_SHUTDOWN_KILL) << SHUTDOWN_AT |
         p->arguments << ARGUMENTS_AT | p->significant << 3 |
         p->supervisor << 2 | p->restart;
}

bool byn_policy_read(lua_State *L, int index, byn_policy *p) {
  int whole;
  lua_rawgeti(L, index, BYN_SPEC_POLICY);
  lua_Integer n = lua_tointegerx(L, -1, &whole);
  lua_pop(L, 1);
  p->restart = n & 3;
  p->supervisor = n >> 2 & 1;
  p->significant = n >> 3 & 1;
  p->arguments = n >> ARGUMENTS_AT & 0x3ff;
  p->shutdown = (n >> SHUTDOWN_AT) + BYN_SHUTDOWN_KILL;
  return whole && p->restart <= BYN_TEMPORARY &&
         p->arguments <= BYN_ARGUMENTS_MOST &&
         p->shutdown >= BYN_SHUTDOWN_KILL && p->shutdown <= INT32_MAX;
}

/* --- reading -------------------------------------------------------------- */

/* The arguments of pack, and above them what the spec has, in this order. */
enum {
  SPEC = 1,
  OPTIONAL,
  ID,
  START,
  RESTART,
  SHUTDOWN,
  TYPE,
  SIGNIFICANT,
  BACKOFF,
  TOP = BACKOFF
};

static const char *const options[] = {
    [ID] = "id",           [START] = "start",
    [RESTART] = "restart", [SHUTDOWN] = "shutdown",
    [TYPE] = "type",       [SIGNIFICANT] = "significant",
    [BACKOFF] = "backoff",
};

/* Pushes what is wrong. */
static bool spec_error(lua_State *L, const char *text, ...) {
  va_list values;
  va_start(values, text);
  lua_pushvfstring(L, text, values);
  va_end(values);
  return false;
}

/* Pushes the value at `index` as a person would write it. */
static const char *push_shown(lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TSTRING)
    return lua_pushfstring(L, "\"%s\"", lua_tostring(L, index));
  return luaL_tolstring(L, index, NULL);
}

/* A number without a fraction, such as 5000 or 5000.0. */
static bool is_whole(lua_State *L, int index, lua_Integer *n) {
  int exact = 0;
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  *n = lua_tointegerx(L, index, &exact);
  return exact;
}

static bool is_word(lua_State *L, int index, const char *word) {
  return lua_type(L, index) == LUA_TSTRING &&
         strcmp(lua_tostring(L, index), word) == 0;
}

/* Puts each option at its place; upvalue 1 knows the places. */
static bool read_options(lua_State *L) {
  lua_pushnil(L);
  while (lua_next(L, SPEC)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, lua_upvalueindex(1));
    int place = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (!place)
      return spec_error(L, "a child spec has no option %s",
                        push_shown(L, TOP + 1));
    lua_replace(L, place);
  }
  return true;
}

static bool read_id(lua_State *L) {
  lua_Integer n;
  if (lua_isnil(L, ID) && lua_toboolean(L, OPTIONAL)) {
    lua_pushboolean(L, 0);
    lua_replace(L, ID);
  } else if (is_whole(L, ID, &n)) {
    lua_pushinteger(L, n);
    lua_replace(L, ID);
  } else if (lua_type(L, ID) != LUA_TSTRING &&
             lua_type(L, ID) != LUA_TUSERDATA) {
    return spec_error(
        L,
        "a child spec's id must be a string, an integer, a ref or a "
        "pid, got %s",
        push_shown(L, ID));
  }
  return true;
}

static bool read_restart(lua_State *L, byn_policy *p) {
  p->restart = BYN_PERMANENT;
  if (lua_isnil(L, RESTART) || is_word(L, RESTART, "permanent")) return true;
  p->restart = is_word(L, RESTART, "transient") ? BYN_TRANSIENT : BYN_TEMPORARY;
  if (p->restart == BYN_TRANSIENT || is_word(L, RESTART, "temporary"))
    return true;
  return spec_error(L,
                    "a child spec's restart must be one of \"permanent\", "
                    "\"temporary\", \"transient\", got %s",
                    push_shown(L, RESTART));
}

static bool read_type(lua_State *L, byn_policy *p) {
  p->supervisor = is_word(L, TYPE, "supervisor");
  if (p->supervisor || lua_isnil(L, TYPE) || is_word(L, TYPE, "worker"))
    return true;
  return spec_error(L,
                    "a child spec's type must be one of \"supervisor\", "
                    "\"worker\", got %s",
                    push_shown(L, TYPE));
}

static bool read_significant(lua_State *L, byn_policy *p) {
  p->significant = lua_toboolean(L, SIGNIFICANT);
  if (!lua_isnil(L, SIGNIFICANT) && !lua_isboolean(L, SIGNIFICANT))
    return spec_error(L, "a child spec's significant must be a boolean, got %s",
                      push_shown(L, SIGNIFICANT));
  if (p->significant && p->restart == BYN_PERMANENT)
    return spec_error(L,
                      "a permanent child cannot be significant: it never ends "
                      "for good");
  return true;
}

static bool read_shutdown(lua_State *L, byn_policy *p) {
  lua_Integer ms;
  bool forever = lua_type(L, SHUTDOWN) == LUA_TNUMBER &&
                 lua_tonumber(L, SHUTDOWN) == HUGE_VAL;
  if (lua_isnil(L, SHUTDOWN)) {
    p->shutdown = p->supervisor ? BYN_SHUTDOWN_INFINITY : BYN_SHUTDOWN_DEFAULT;
  } else if (forever || is_word(L, SHUTDOWN, "infinity")) {
    p->shutdown = BYN_SHUTDOWN_INFINITY;
  } else if (is_word(L, SHUTDOWN, "brutal_kill")) {
    p->shutdown = BYN_SHUTDOWN_KILL;
  } else if (is_whole(L, SHUTDOWN, &ms) && ms >= 0 && ms <= INT32_MAX) {
    p->shutdown = ms;
  } else {
    return spec_error(L,
                      "a child spec's shutdown must be milliseconds from 0 to "
                      "2^31 - 1, \"infinity\" or \"brutal_kill\", got %s",
                      push_shown(L, SHUTDOWN));
  }
  return true;
}

/* --- the start function --------------------------------------------------- */

/* Is the table on top empty? */
static bool is_empty(lua_State *L) {
  lua_pushnil(L);
  if (!lua_next(L, -2)) return true;
  lua_pop(L, 2);
  return false;
}

/* Counts the arguments, which stand in the table on top: its `n`, or its
 * length. */
static bool count_arguments(lua_State *L, int *count) {
  int args = lua_gettop(L);
  lua_Integer n = 0;
  if (lua_isnil(L, args)) return true;
  if (!lua_istable(L, args))
    return spec_error(
        L, "the arguments in a child spec's start must be a list, got %s",
        push_shown(L, args));
  lua_pushliteral(L, "n");
  lua_rawget(L, args);
  if (lua_isnil(L, -1))
    n = (lua_Integer)lua_rawlen(L, args);
  else if (!is_whole(L, -1, &n) || n < 0)
    return spec_error(
        L,
        "the number n of the arguments in a child spec's start must "
        "be an integer from 0, got %s",
        push_shown(L, args + 1));
  bool counted = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (n == 0 && !counted && !is_empty(L))
    return spec_error(
        L, "the arguments in a child spec's start must be a list, got "
           "a table without places from 1 on");
  if (n > BYN_ARGUMENTS_MOST)
    return spec_error(L, "a start function takes at most %d arguments, got %d",
                      BYN_ARGUMENTS_MOST, (int)(n < INT32_MAX ? n : INT32_MAX));
  *count = (int)n;
  return true;
}

/* Pushes the function and false; or the names of module and function, and the
 * arguments, `count` of them, or nil. */
static bool read_start(lua_State *L, int *count) {
  *count = 0;
  if (lua_isfunction(L, START)) {
    lua_pushvalue(L, START);
    lua_pushboolean(L, 0);
    return true;
  }
  if (!lua_istable(L, START))
    return spec_error(
        L,
        "a child spec's start must be {\"module\", \"fn\", {args}} or "
        "a function, got %s",
        push_shown(L, START));
  lua_rawgeti(L, START, 1);
  lua_rawgeti(L, START, 2);
  if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
    if (lua_rawlen(L, START) > 3)
      return spec_error(L, "a child spec's start must be {\"module\", \"fn\", "
                           "{args}}, but it has more");
    lua_rawgeti(L, START, 3);
    return count_arguments(L, count);
  }
  const char *module = push_shown(L, TOP + 1), *fn = push_shown(L, TOP + 2);
  return spec_error(
      L,
      "a child spec's start must be {\"module\", \"fn\", {args}}, got "
      "{%s, %s}",
      module, fn);
}

/* --- packing -------------------------------------------------------------- */

static bool read_spec(lua_State *L, byn_policy *p) {
  if (!read_options(L) || !read_restart(L, p) || !read_type(L, p) ||
      !read_significant(L, p) || !read_id(L) || !read_shutdown(L, p))
    return false;
  if (!lua_isnil(L, BACKOFF) && !lua_istable(L, BACKOFF))
    return spec_error(L, "a child spec's backoff must be a table, got %s",
                      push_shown(L, BACKOFF));
  return read_start(L, &p->arguments);
}

/* What read_start pushed stands from TOP + 1 on. */
static void push_packed(lua_State *L, const byn_policy *p) {
  lua_createtable(L, BYN_SPEC_FIRST - 1 + p->arguments, 0);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, BYN_SPEC_OP);
  lua_pushinteger(L, byn_policy_pack(p));
  lua_rawseti(L, -2, BYN_SPEC_POLICY);
  if (lua_isnil(L, BACKOFF))
    lua_pushboolean(L, 0);
  else
    lua_pushvalue(L, BACKOFF);
  lua_rawseti(L, -2, BYN_SPEC_BACKOFF);
  lua_pushvalue(L, ID);
  lua_rawseti(L, -2, BYN_SPEC_ID);
  lua_pushvalue(L, TOP + 1);
  lua_rawseti(L, -2, BYN_SPEC_START);
  lua_pushvalue(L, TOP + 2);
  lua_rawseti(L, -2, BYN_SPEC_FN);
  for (int i = 0; i < p->arguments; i++) {
    lua_rawgeti(L, TOP + 3, i + 1);
    lua_rawseti(L, -2, BYN_SPEC_FIRST + i);
  }
}

static int l_pack(lua_State *L) {
  byn_policy p = {0};
  luaL_checktype(L, SPEC, LUA_TTABLE);
  lua_settop(L, OPTIONAL);
  lua_settop(L, TOP);
  if (read_spec(L, &p)) {
    push_packed(L, &p);
    return 1;
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

void byn_childspec_open(lua_State *L) {
  lua_createtable(L, 0, TOP);
  for (int i = ID; i <= TOP; i++) {
    lua_pushinteger(L, i);
    lua_setfield(L, -2, options[i]);
  }
  lua_pushcclosure(L, l_pack, 1);
}
