/* Sockets on luv's loop while memory runs out.
 *
 * luv itself does not bear a failure: it loses what it has made, or ends the
 * program. So allocations fail only while Banyan's code or that of a process
 * runs: from where luv calls a callback until that returns, but for the calls
 * of luv within it. All of luv's functions and methods are wrapped for that;
 * see spec/alloc/io.lua.
 *
 * What luv needs to call a callback at all is not Banyan's: so there is room
 * on the stack when one begins.
 */
#include "scarcity.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define SCENARIO "spec/alloc/io.lua"
#define HANG_S 120 /* that one exchange may take */

enum { EXCHANGE = 1 };

static int told; /* callbacks that failed and became an event */

typedef struct rig {
  scarcity s;       /* the first: it is the allocator's */
  bool window;      /* the exchange goes on */
  char raised[512]; /* the first error that came to luv, or "" */
} rig;

static int count_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 1024; fd++)
    if (fcntl(fd, F_GETFD) >= 0) count++;
  return count;
}

/* --- what is wrapped ------------------------------------------------------ */

/* So deep, a call needs nothing any more. */
static int l_heat(lua_State *L) {
  lua_Integer depth = lua_tointeger(L, 1);
  luaL_checkstack(L, 100, NULL);
  if (depth <= 0) return 0;
  lua_pushcfunction(L, l_heat);
  lua_pushinteger(L, depth - 1);
  lua_call(L, 1, 0);
  return 0;
}

/* A callback: luv must hear of no error. */
static int l_callback(lua_State *L) {
  rig *r = lua_touserdata(L, lua_upvalueindex(1));
  lua_pushcfunction(L, l_heat);
  lua_pushinteger(L, 20);
  lua_call(L, 1, 0);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  r->s.armed = r->window;
  int status = lua_pcall(L, lua_gettop(L) - 1, 0, 0);
  r->s.armed = false;
  if (status != LUA_OK && !*r->raised)
    snprintf(r->raised, sizeof r->raised, "%s", lua_tostring(L, -1));
  return 0;
}

/* A function of luv: in it, there is memory. */
static int l_luv(lua_State *L) {
  rig *r = lua_touserdata(L, lua_upvalueindex(1));
  bool armed = r->s.armed;
  r->s.armed = false;
  luaL_checkstack(L, 10, NULL);
  for (int i = 1; i <= lua_gettop(L); i++) {
    if (!lua_isfunction(L, i)) continue;
    lua_pushlightuserdata(L, r);
    lua_pushvalue(L, i);
    lua_pushcclosure(L, l_callback, 2);
    lua_replace(L, i);
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  r->s.armed = armed;
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/* luv(fn) -> fn wrapped */
static int l_wrap(lua_State *L) {
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushcclosure(L, l_luv, 2);
  return 1;
}

/* window(bool): whether callbacks are in need from now on */
static int l_window(lua_State *L) {
  rig *r = lua_touserdata(L, lua_upvalueindex(1));
  r->window = lua_toboolean(L, 1);
  return 0;
}

/* plenty(fn) -> what fn() returns: calls it with all memory that it wants */
static int l_plenty(lua_State *L) {
  rig *r = lua_touserdata(L, lua_upvalueindex(1));
  bool armed = r->s.armed;
  r->s.armed = false;
  int status = lua_pcall(L, 0, LUA_MULTRET, 0);
  r->s.armed = armed;
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static int l_told(lua_State *L) {
  (void)L;
  told++;
  return 0;
}

static int l_descriptors(lua_State *L) {
  lua_pushinteger(L, count_descriptors());
  return 1;
}

static void set_need(lua_State *L, rig *r) {
  static const luaL_Reg functions[] = {
      {"luv", l_wrap},      {"window", l_window},
      {"plenty", l_plenty}, {"descriptors", l_descriptors},
      {"told", l_told},     {NULL, NULL}};
  lua_newtable(L);
  for (const luaL_Reg *f = functions; f->name; f++) {
    lua_pushlightuserdata(L, r);
    lua_pushcclosure(L, f->func, 1);
    lua_setfield(L, -2, f->name);
  }
  lua_setglobal(L, "need");
}

/* --- the test ------------------------------------------------------------- */

static void call(lua_State *L, int function, uint64_t n) {
  lua_pushvalue(L, function);
  if (lua_pcall(L, 0, 1, 0))
    fail_msg("allocation %d: %s", (int)n, lua_tostring(L, -1));
}

/* With the n-th allocation failing; answers how many there were, or 0 if one
 * has failed. */
static uint64_t exchange(uint64_t n) {
  rig r = {.s = {.fail_at = n}};
  int before = count_descriptors();
  alarm(HANG_S);
  lua_State *L = open_state(&r.s);
  set_need(L, &r);
  load_scenario(L, SCENARIO);
  call(L, EXCHANGE, n);
  const char *fault = lua_tostring(L, -1);
  if (*r.raised)
    fail_msg("allocation %d: raised into luv: %s", (int)n, r.raised);
  if (fault) fail_msg("allocation %d: %s", (int)n, fault);
  lua_close(L);
  byn_test_assert_clean(&r.s.alloc);
  if (count_descriptors() != before)
    fail_msg("allocation %d: %d descriptors, %d before", (int)n,
             count_descriptors(), before);
  alarm(0);
  return r.s.failed ? 0 : r.s.calls;
}

static void sockets_survive_each_failing_allocation(void **state) {
  (void)state;
  exchange(0); /* what a program does once, such as luv's pipe of signals */
  assert_true(exchange(0) > (VM_SURVIVES ? 500 : 0));
  for (uint64_t n = 1; !exchange(n); n += scarcity_step())
    continue;
  assert_true(told || scarcity_step() > 1 || !VM_SURVIVES);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sockets_survive_each_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
