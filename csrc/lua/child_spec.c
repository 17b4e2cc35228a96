#include "child_spec.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "../core/restart.h"

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
static bool fail(lua_State *L, const char *text, ...) {
  va_list values;
  va_start(values, text);
  lua_pushvfstring(L, text, values);
  va_end(values);
  return false;
}

/* Pushes the value at `index` as a person would write it. */
static const char *show(lua_State *L, int index) {
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

static bool is(lua_State *L, int index, const char *word) {
  return lua_type(L, index) == LUA_TSTRING &&
         strcmp(lua_tostring(L, index), word) == 0;
}

/* --- reading -------------------------------------------------------------- */

/* Puts each option at its place; upvalue 1 knows the places. */
static bool read_options(lua_State *L) {
  lua_pushnil(L);
  while (lua_next(L, SPEC)) {
    lua_pushvalue(L, -2);
    lua_rawget(L, lua_upvalueindex(1));
    int place = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (!place)
      return fail(L, "a child spec has no option %s", show(L, TOP + 1));
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
    return fail(L,
                "a child spec's id must be a string, an integer, a ref or a "
                "pid, got %s",
                show(L, ID));
  }
  return true;
}

static bool read_restart(lua_State *L, int *restart) {
  *restart = BYN_PERMANENT;
  if (lua_isnil(L, RESTART) || is(L, RESTART, "permanent")) return true;
  *restart = is(L, RESTART, "transient") ? BYN_TRANSIENT : BYN_TEMPORARY;
  if (*restart == BYN_TRANSIENT || is(L, RESTART, "temporary")) return true;
  return fail(L,
              "a child spec's restart must be one of \"permanent\", "
              "\"temporary\", \"transient\", got %s",
              show(L, RESTART));
}

static bool read_type(lua_State *L, bool *supervisor) {
  *supervisor = is(L, TYPE, "supervisor");
  if (*supervisor || lua_isnil(L, TYPE) || is(L, TYPE, "worker")) return true;
  return fail(L,
              "a child spec's type must be one of \"supervisor\", "
              "\"worker\", got %s",
              show(L, TYPE));
}

static bool read_significant(lua_State *L, int restart) {
  if (!lua_isnil(L, SIGNIFICANT) && !lua_isboolean(L, SIGNIFICANT))
    return fail(L, "a child spec's significant must be a boolean, got %s",
                show(L, SIGNIFICANT));
  if (lua_toboolean(L, SIGNIFICANT) && restart == BYN_PERMANENT)
    return fail(L, "a permanent child cannot be significant: it never ends "
                   "for good");
  return true;
}

static bool read_shutdown(lua_State *L, bool supervisor,
                          lua_Integer *shutdown) {
  bool forever = lua_type(L, SHUTDOWN) == LUA_TNUMBER &&
                 lua_tonumber(L, SHUTDOWN) == HUGE_VAL;
  if (lua_isnil(L, SHUTDOWN)) {
    *shutdown = supervisor ? BYN_SHUTDOWN_INFINITY : 5000;
  } else if (forever || is(L, SHUTDOWN, "infinity")) {
    *shutdown = BYN_SHUTDOWN_INFINITY;
  } else if (is(L, SHUTDOWN, "brutal_kill")) {
    *shutdown = BYN_SHUTDOWN_KILL;
  } else if (!is_whole(L, SHUTDOWN, shutdown) || *shutdown < 0 ||
             *shutdown > INT32_MAX) {
    return fail(L,
                "a child spec's shutdown must be milliseconds from 0 to "
                "2^31 - 1, \"infinity\" or \"brutal_kill\", got %s",
                show(L, SHUTDOWN));
  }
  return true;
}

/* --- the start function --------------------------------------------------- */

/* Counts the arguments, which stand in the table on top: its `n`, or its
 * length. */
static bool count_arguments(lua_State *L, int *count) {
  int args = lua_gettop(L);
  lua_Integer n = 0;
  if (lua_isnil(L, args)) return true;
  if (!lua_istable(L, args))
    return fail(L,
                "the arguments in a child spec's start must be a list, got %s",
                show(L, args));
  lua_pushliteral(L, "n");
  lua_rawget(L, args);
  if (lua_isnil(L, -1))
    n = (lua_Integer)lua_rawlen(L, args);
  else if (!is_whole(L, -1, &n) || n < 0)
    return fail(L,
                "the number n of the arguments in a child spec's start must "
                "be an integer from 0, got %s",
                show(L, args + 1));
  lua_pop(L, 1);
  if (n > BYN_ARGUMENTS_MOST)
    return fail(L, "a start function takes at most %d arguments, got %d",
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
    return fail(L,
                "a child spec's start must be {\"module\", \"fn\", {args}} or "
                "a function, got %s",
                show(L, START));
  lua_rawgeti(L, START, 1);
  lua_rawgeti(L, START, 2);
  if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
    lua_rawgeti(L, START, 3);
    return count_arguments(L, count);
  }
  const char *module = show(L, TOP + 1), *fn = show(L, TOP + 2);
  return fail(L,
              "a child spec's start must be {\"module\", \"fn\", {args}}, got "
              "{%s, %s}",
              module, fn);
}

/* --- packing -------------------------------------------------------------- */

typedef struct policy {
  lua_Integer shutdown;
  int restart, count;
  bool supervisor;
} policy;

static bool read_spec(lua_State *L, policy *p) {
  if (!read_options(L) || !read_restart(L, &p->restart) ||
      !read_type(L, &p->supervisor) || !read_significant(L, p->restart) ||
      !read_id(L) || !read_shutdown(L, p->supervisor, &p->shutdown))
    return false;
  if (!lua_isnil(L, BACKOFF) && !lua_istable(L, BACKOFF))
    return fail(L, "a child spec's backoff must be a table, got %s",
                show(L, BACKOFF));
  return read_start(L, &p->count);
}

/* Pops a value into a place of the table below it. */
static void put(lua_State *L, int place) {
  lua_rawseti(L, -2, place);
}

static void put_flag(lua_State *L, int place, bool yes) {
  lua_pushboolean(L, yes);
  put(L, place);
}

static void put_integer(lua_State *L, int place, lua_Integer n) {
  lua_pushinteger(L, n);
  put(L, place);
}

/* What read_start pushed stands from TOP + 1 on. */
static void push_packed(lua_State *L, const policy *p) {
  lua_createtable(L, BYN_SPEC_COUNT + p->count, 0);
  put_flag(L, BYN_SPEC_OP, false);
  lua_pushvalue(L, ID);
  put(L, BYN_SPEC_ID);
  put_integer(L, BYN_SPEC_RESTART, p->restart);
  put_integer(L, BYN_SPEC_SHUTDOWN, p->shutdown);
  put_flag(L, BYN_SPEC_SUPERVISOR, p->supervisor);
  put_flag(L, BYN_SPEC_SIGNIFICANT, lua_toboolean(L, SIGNIFICANT));
  if (lua_isnil(L, BACKOFF))
    lua_pushboolean(L, 0);
  else
    lua_pushvalue(L, BACKOFF);
  put(L, BYN_SPEC_BACKOFF);
  lua_pushvalue(L, TOP + 1);
  put(L, BYN_SPEC_START);
  lua_pushvalue(L, TOP + 2);
  put(L, BYN_SPEC_FN);
  put_integer(L, BYN_SPEC_COUNT, p->count);
  for (int i = 1; i <= p->count; i++) {
    lua_rawgeti(L, TOP + 3, i);
    put(L, BYN_SPEC_COUNT + i);
  }
}

static int l_pack(lua_State *L) {
  policy p = {0};
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

void byn_child_spec_open(lua_State *L) {
  lua_createtable(L, 0, TOP);
  for (int i = ID; i <= TOP; i++) {
    lua_pushinteger(L, i);
    lua_setfield(L, -2, options[i]);
  }
  lua_pushcclosure(L, l_pack, 1);
}
