/* Exit reasons: copied, made, printed, told apart. */
#include "reason.h"

#include <string.h>

#include "../../core/assert.h"
#include "compat.h"
#include "term.h"

/* The addresses of these are registry keys. */
static const char META = 0, TOKEN_META = 0;

void byn_reason_metatable(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &META);
}

const char *byn_reason_tostring(lua_State *L, int index) {
  return luaL_tolstring(L, index, NULL);
}

/* --- printing ------------------------------------------------------------- */

static int reason_tostring(lua_State *L);

/* Pushes {a=1, b=x} for a table that is no array: some of its fields. */
static void push_fields(lua_State *L, int index) {
  int left = 8;
  luaL_checkstack(L, 8, NULL);
  lua_pushliteral(L, "{");
  int text = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, index) && left; left--) {
    lua_pushvalue(L, text);
    lua_pushstring(L, left < 8 ? ", " : "");
    luaL_tolstring(L, text + 1, NULL);
    lua_pushliteral(L, "=");
    if (lua_istable(L, text + 2))
      lua_pushliteral(L, "{...}");
    else
      luaL_tolstring(L, text + 2, NULL);
    lua_concat(L, 5);
    lua_replace(L, text);
    lua_settop(L, text + 1);
  }
  lua_settop(L, text);
  lua_pushliteral(L, "}");
  lua_concat(L, 2);
}

/* Adds one element; an array prints as its elements do. */
static void add_part(lua_State *L, luaL_Buffer *b, int index) {
  if (lua_istable(L, index) && luaL_len(L, index) == 0) {
    push_fields(L, index);
  } else if (lua_istable(L, index)) {
    lua_pushcfunction(L, reason_tostring);
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
  } else {
    luaL_tolstring(L, index, NULL);
  }
  lua_replace(L, index);
  lua_pushvalue(L, index);
  luaL_addvalue(b);
}

/* {"error", message, traceback}: the message and the traceback, as lua does.
 * {code, a, b}: "code: a, b". */
static int reason_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkstack(L, 8, "reason nested too deep");
  lua_settop(L, 1);
  int n = (int)luaL_len(L, 1);
  lua_rawgeti(L, 1, 1);
  const char *code = lua_tostring(L, 2);
  bool error = code && n == 3 && !strcmp(code, "error");
  lua_pushnil(L); /* 3: the part being added */
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = error ? 2 : 1; i <= n && i <= 32; i++) {
    lua_rawgeti(L, 1, i);
    lua_replace(L, 3);
    if (i > (error ? 2 : 1))
      luaL_addstring(&b, error ? "\n" : i == 2 ? ": " : ", ");
    add_part(L, &b, 3);
  }
  luaL_pushresult(&b);
  return 1;
}

/* What works where an err is a string works where it is an array. */
static int reason_concat(lua_State *L) {
  for (int i = 1; i <= 2; i++) {
    if (!lua_isstring(L, i) && !lua_istable(L, i))
      luaL_error(L, "attempt to concatenate a %s value", luaL_typename(L, i));
    luaL_tolstring(L, i, NULL);
  }
  lua_concat(L, 2);
  return 1;
}

void byn_reason_open(lua_State *L) {
  lua_createtable(L, 0, 3);
  lua_pushliteral(L, "reason");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, reason_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, reason_concat);
  lua_setfield(L, -2, "__concat");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &META);
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "exit token");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &TOKEN_META);
}

/* --- making --------------------------------------------------------------- */

/* Gives the table on top the metatable of reasons, if its [1] is a code. */
static void set_metatable(lua_State *L) {
  if (lua_rawgeti(L, -1, 1) == LUA_TSTRING) {
    byn_reason_metatable(L);
    lua_setmetatable(L, -3);
  }
  lua_pop(L, 1);
}

static int copy_protected(lua_State *L) {
  lua_settop(L, 1);
  byn_term_copy(L, 1);
  return 1;
}

static int tostring_protected(lua_State *L) {
  byn_reason_tostring(L, 1);
  return 1;
}

/* Pushes the value at `index` as text, even where its __tostring fails. */
static void push_text(lua_State *L, int index) {
  lua_pushcfunction(L, tostring_protected);
  lua_pushvalue(L, index);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "(a %s that has no text)", luaL_typename(L, index));
}

void byn_reason_copy(lua_State *L, int index) {
  luaL_checkstack(L, 6, NULL);
  if (lua_type(L, index) != LUA_TTABLE) {
    lua_pushvalue(L, index);
    return;
  }
  index = lua_absindex(L, index);
  int top = byn_stack_top(L);
  lua_pushcfunction(L, copy_protected);
  lua_pushvalue(L, index);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L); /* a text would be another reason */
  if (status != LUA_OK) {
    lua_pop(L, 1);
    push_text(L, index);
  } else if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
  } else {
    set_metatable(L);
  }
  byn_assert(byn_stack_top(L) == top + 1);
}

void byn_reason_make(lua_State *L, const char *code, int n) {
  byn_assert(n >= 0 && lua_gettop(L) >= n);
  lua_createtable(L, n + 1, 0);
  lua_insert(L, -n - 1);
  for (int i = n; i > 0; i--)
    lua_rawseti(L, -1 - i, i + 1);
  lua_pushstring(L, code);
  lua_rawseti(L, -2, 1);
  byn_reason_metatable(L);
  lua_setmetatable(L, -2);
}

/* --- tracebacks ----------------------------------------------------------- */

/* Of so deep a stack luaL_traceback would take too long: it goes through all of
 * it some thirty times, and a stack overflow is a million deep. */
#define DEEP 10000
#define INNERMOST 20

/* Adds a line about one function to the text on top. */
static void add_function(lua_State *L, lua_State *co, lua_Debug *ar) {
  lua_getinfo(co, "Sln", ar);
  lua_pushfstring(L, "\n\t%s:", ar->short_src);
  if (ar->currentline > 0)
    lua_pushfstring(L, "%d: in ", ar->currentline);
  else
    lua_pushliteral(L, " in ");
  if (*ar->namewhat)
    lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
  else if (*ar->what == 'm')
    lua_pushliteral(L, "main chunk");
  else if (*ar->what == 'C')
    lua_pushliteral(L, "?");
  else
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  lua_concat(L, 4);
}

void byn_traceback(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (!lua_getstack(co, DEEP, &ar)) {
    luaL_traceback(L, co, NULL, 0);
    return;
  }
  luaL_checkstack(L, 8, NULL);
  lua_pushliteral(L, "stack traceback:");
  for (int i = 0; i < INNERMOST && lua_getstack(co, i, &ar); i++)
    add_function(L, co, &ar);
  lua_pushfstring(L, "\n\t...\t(more than %d levels)", DEEP);
  lua_concat(L, 2);
}

/* --- errors --------------------------------------------------------------- */

static bool is_token(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &TOKEN_META);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

int byn_reason_raise(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &TOKEN_META);
  lua_setmetatable(L, -2);
  return lua_error(L);
}

bool byn_reason_of_error(lua_State *L, lua_State *co) {
  luaL_checkstack(L, 6, NULL);
  if (co == L) {
    lua_pushvalue(L, -1);
  } else if (lua_checkstack(co, 1)) { /* an error on co itself is fatal */
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
  } else {
    lua_pushliteral(L, "stack overflow");
  }
  int object = lua_gettop(L);
  if (is_token(L, object)) {
    lua_rawgeti(L, object, 1);
    lua_replace(L, object);
    return true;
  }
  if (lua_isstring(L, object))
    lua_pushvalue(L, object);
  else if (lua_isnil(L, object))
    lua_pushliteral(L, "(error object is a nil value)");
  else if (lua_istable(L, object))
    byn_reason_copy(L, object);
  else
    push_text(L, object);
  byn_traceback(L, co);
  byn_reason_make(L, "error", 2);
  lua_replace(L, object);
  return false;
}

/* --- asking --------------------------------------------------------------- */

bool byn_reason_is(lua_State *L, int index, const char *code) {
  return lua_type(L, index) == LUA_TSTRING &&
         !strcmp(lua_tostring(L, index), code);
}

bool byn_reason_is_shortage(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING &&
         strstr(lua_tostring(L, index), "not enough memory");
}

static bool has_code(lua_State *L, int index, const char *code) {
  if (lua_type(L, index) != LUA_TTABLE) return false;
  lua_rawgeti(L, index, 1);
  bool same = byn_reason_is(L, -1, code);
  lua_pop(L, 1);
  return same;
}

bool byn_reason_is_error(lua_State *L, int index) {
  return has_code(L, index, "error");
}

bool byn_reason_is_normal(lua_State *L, int index) {
  if (byn_reason_is(L, index, "normal") || byn_reason_is(L, index, "shutdown"))
    return true;
  return has_code(L, index, "shutdown");
}
