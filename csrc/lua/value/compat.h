/* Lua, as the binding speaks to it: the C API of Lua 5.4.
 *
 * On Lua 5.4 this is lua.h and lauxlib.h and nothing more. On LuaJIT 2.1,
 * whose API is that of Lua 5.1, the names of 5.4 that the binding uses are
 * made here, with the meaning that 5.4's manual gives them. All files of the
 * binding include this in place of Lua's own headers.
 *
 * Numbers: LuaJIT has one kind, doubles. One with an integral value within
 * +-BYN_EXACT counts as an integer (lua_isinteger), as 5.4 would have made
 * it one; -0.0 does not, for it would lose its sign.
 *
 * What LuaJIT lacks and nothing here can give: to-be-closed variables, weak
 * tables that are ephemerons, __gc of tables, integers beyond a double,
 * continuations of C functions.
 *
 * As in C for Lua 5.1, lua_yield returns there: what yields must be returned
 * at once.
 */
#ifndef BYN_COMPAT_H
#define BYN_COMPAT_H

#include <stdbool.h>
#include <stdint.h>

#include <lauxlib.h>
#include <lua.h>

/* Whole numbers up to this are exact in a double. */
#define BYN_EXACT ((int64_t)1 << 53)

/* Are all numbers doubles, integers too? */
#define BYN_DOUBLES (LUA_VERSION_NUM < 503)

#if LUA_VERSION_NUM < 504

#if LUA_VERSION_NUM != 501 || !__has_include(<luajit.h>)
#error "Banyan runs on Lua 5.4 and on LuaJIT 2.1"
#endif

/* It only looks: a caller that drops its answer need not call it. */
LUA_API int(lua_type)(lua_State *L, int index) __attribute__((pure));

int byn_compat_absindex(lua_State *L, int index);
void byn_compat_rotate(lua_State *L, int index, int n);
int byn_compat_isinteger(lua_State *L, int index);
lua_Integer byn_compat_tointegerx(lua_State *L, int index, int *exact);
lua_Integer byn_compat_checkinteger(lua_State *L, int index);
int byn_compat_rawgeti(lua_State *L, int index, lua_Integer n);
void byn_compat_rawseti(lua_State *L, int index, lua_Integer n);
int byn_compat_rawgetp(lua_State *L, int index, const void *key);
void byn_compat_rawsetp(lua_State *L, int index, const void *key);
void byn_compat_pushcfunction(lua_State *L, lua_CFunction fn);
void *byn_compat_newuserdatauv(lua_State *L, size_t size, int values);
int byn_compat_getiuservalue(lua_State *L, int index, int n);
int byn_compat_setiuservalue(lua_State *L, int index, int n);
const char *byn_compat_tolstring(lua_State *L, int index, size_t *n);
int byn_compat_typeerror(lua_State *L, int index, const char *expected);
void byn_compat_requiref(lua_State *L, const char *name, lua_CFunction open,
                         int global);

static inline int byn_compat_getfield(lua_State *L, int index,
                                      const char *name) {
  lua_getfield(L, index, name);
  return lua_type(L, -1);
}

static inline int byn_compat_rawget(lua_State *L, int index) {
  lua_rawget(L, index);
  return lua_type(L, -1);
}

static inline int byn_compat_resume(lua_State *co, int arguments,
                                    int *results) {
  int status = lua_resume(co, arguments);
  *results = lua_gettop(co);
  return status;
}

#define lua_absindex(L, index) byn_compat_absindex(L, index)
#define lua_rotate(L, index, n) byn_compat_rotate(L, index, n)
#define lua_rawlen(L, index) lua_objlen(L, index)
#define luaL_len(L, index) ((lua_Integer)lua_objlen(L, index))
#define lua_isinteger(L, index) byn_compat_isinteger(L, index)
#define lua_tointegerx(L, index, exact) byn_compat_tointegerx(L, index, exact)
#define lua_tointeger(L, index) byn_compat_tointegerx(L, index, NULL)
#define luaL_checkinteger(L, index) byn_compat_checkinteger(L, index)
#define lua_getfield(L, index, name) byn_compat_getfield(L, index, name)
#define lua_rawget(L, index) byn_compat_rawget(L, index)
#define lua_rawgeti(L, index, n) byn_compat_rawgeti(L, index, n)
#define lua_rawseti(L, index, n) byn_compat_rawseti(L, index, n)
#define lua_rawgetp(L, index, key) byn_compat_rawgetp(L, index, key)
#define lua_rawsetp(L, index, key) byn_compat_rawsetp(L, index, key)
#undef lua_pushcfunction
#define lua_pushcfunction(L, fn) byn_compat_pushcfunction(L, fn)
#define lua_newuserdatauv(L, size, values)                                     \
  byn_compat_newuserdatauv(L, size, values)
#define lua_getiuservalue(L, index, n) byn_compat_getiuservalue(L, index, n)
#define lua_setiuservalue(L, index, n) byn_compat_setiuservalue(L, index, n)
#define luaL_tolstring(L, index, n) byn_compat_tolstring(L, index, n)
#define luaL_argexpected(L, fine, index, expected)                             \
  ((void)((fine) || byn_compat_typeerror(L, index, expected)))
#define luaL_requiref(L, name, open, global)                                   \
  byn_compat_requiref(L, name, open, global)
#define lua_resume(co, from, arguments, results)                               \
  ((void)(from), byn_compat_resume(co, arguments, results))
/* Nothing is left to be closed: what ended in an error, or never goes on, is
 * only dropped. */
#define lua_resetthread(co) ((void)(co))

#endif
/* The height of the stack, for assertions: 0 in a build without them. */
static inline int byn_stack_top(lua_State *L) {
#ifdef BYN_ASSERT
  return lua_gettop(L);
#else
  (void)L;
  return 0;
#endif
}

/* Does a finalizer run? false also where this Lua does not say. */
static inline bool byn_surely_in_finalizer(lua_State *L) {
#if LUA_VERSION_NUM >= 504 && LUA_VERSION_RELEASE_NUM >= 50404
  return lua_gc(L, LUA_GCISRUNNING, 0) < 0;
#else
  (void)L;
  return false;
#endif
}

/* Does a finalizer run? The collector is not running then. Before Lua 5.4.4,
 * and on LuaJIT, that may as well be because the program stopped it. */
static inline bool byn_in_finalizer(lua_State *L) {
  int running = lua_gc(L, LUA_GCISRUNNING, 0);
#if LUA_VERSION_NUM >= 504 && LUA_VERSION_RELEASE_NUM >= 50404
  return running < 0;
#else
  return running == 0;
#endif
}

#endif
