/* The watchdog beside a host's own signals, threads and forks. */
#define _XOPEN_SOURCE 700
#include "../core/support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lualib.h>

#include "../../csrc/lua/process/watchdog.h"

#define LIMIT 2000000000 /* instructions of a loop that nobody ends */
#define THREADS 4
#define ROUNDS 20

static void end_loop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  luaL_error(L, "hooked");
}

static byn_watchdog *open_watch(void) {
  int error;
  byn_watchdog *w = byn_watchdog_open(1, end_loop, &error);
  assert_int_equal(error, 0);
  assert_non_null(w);
  return w;
}

/* A coroutine that loops, on the stack of the state. */
static lua_State *loop(lua_State *L) {
  lua_State *co = lua_newthread(L);
  if (luaL_loadstring(co, "for i = 1, ... do end") != LUA_OK) return NULL;
  lua_pushinteger(co, LIMIT);
  return co;
}

/* Runs it for one turn; true if the hook ended it. */
static bool run(byn_watchdog *w, lua_State *L, lua_State *co) {
  int count = 1;
  byn_watchdog_step(w);
  byn_watchdog_turn(w);
  byn_watchdog_enter(w, co);
  int status = lua_resume(co, L, count, &count);
  byn_watchdog_leave(w);
  byn_watchdog_rest(w);
  return status == LUA_ERRRUN && strstr(lua_tostring(co, -1), "hooked");
}

static bool is_hooked(byn_watchdog *w) {
  lua_State *L = luaL_newstate();
  bool hooked = run(w, L, loop(L));
  lua_close(L);
  return hooked;
}

/* --- the signal ----------------------------------------------------------- */

static volatile sig_atomic_t urgent;

static void on_urgent(int number) {
  (void)number;
  urgent++;
}

static void (*handler_now(void))(int) {
  struct sigaction now;
  sigaction(SIGURG, NULL, &now);
  return now.sa_handler;
}

static void code_that_loops_gets_the_hook(void **state) {
  (void)state;
  byn_watchdog *w = open_watch();
  assert_true(is_hooked(w));
  assert_true(is_hooked(w));
  byn_watchdog_close(w);
  assert_true(handler_now() == SIG_DFL);
}

static void a_handler_that_was_there_goes_on(void **state) {
  (void)state;
  signal(SIGURG, on_urgent);
  urgent = 0;
  byn_watchdog *w = open_watch();
  assert_true(is_hooked(w));
  assert_int_equal(urgent, 0);
  raise(SIGURG);
  assert_int_equal(urgent, 1);
  byn_watchdog_close(w);
  assert_true(handler_now() == on_urgent);
  signal(SIGURG, SIG_DFL);
}

/* What the host installs later stays, and is not called for us. */
static void a_handler_that_comes_later_is_left_alone(void **state) {
  (void)state;
  byn_watchdog *w = open_watch();
  signal(SIGURG, on_urgent);
  urgent = 0;
  byn_watchdog_step(w);
  byn_watchdog_turn(w);
  lua_State *L = luaL_newstate();
  byn_watchdog_enter(w, L);
  while (!byn_watchdog_late(w) || !byn_watchdog_step_late(w))
    ;
  byn_watchdog_leave(w);
  byn_watchdog_rest(w);
  lua_close(L);
  byn_watchdog_close(w);
  assert_int_equal(urgent, 0);
  assert_true(handler_now() == on_urgent);
  signal(SIGURG, SIG_DFL);
}

static void a_blocked_signal_is_unblocked(void **state) {
  (void)state;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  byn_watchdog *w = open_watch();
  assert_true(is_hooked(w));
  byn_watchdog_close(w);
  sigemptyset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}

/* A signal that comes when no code runs does nothing. */
static void a_signal_that_comes_too_late_does_nothing(void **state) {
  (void)state;
  byn_watchdog *w = open_watch();
  byn_watchdog_step(w);
  byn_watchdog_turn(w);
  atomic_store(&w->wanted, true);
  raise(SIGURG);
  assert_false(atomic_load(&w->wanted));
  assert_null(w->hooked);
  byn_watchdog_rest(w);
  byn_watchdog_close(w);
}

/* --- hooks ---------------------------------------------------------------- */

static void count_hook(lua_State *L, lua_Debug *ar) {
  (void)L;
  (void)ar;
}

/* The hook that the program has is back when the turn is over, also if ours
 * was never reached. */
static void the_hook_of_the_program_is_put_back(void **state) {
  (void)state;
  byn_watchdog *w = open_watch();
  lua_State *L = luaL_newstate();
  lua_State *co = loop(L);
  lua_sethook(co, count_hook, LUA_MASKLINE | LUA_MASKCOUNT, 1000);
  byn_watchdog_step(w);
  byn_watchdog_turn(w);
  byn_watchdog_enter(w, co);
  atomic_store(&w->wanted, true);
  raise(SIGURG);
  assert_true(lua_gethook(co) == end_loop);
  atomic_store(&w->wanted, true);
  raise(SIGURG);
  byn_watchdog_leave(w);
  byn_watchdog_rest(w);
  assert_true(lua_gethook(co) == count_hook);
  assert_int_equal(lua_gethookmask(co), LUA_MASKLINE | LUA_MASKCOUNT);
  assert_int_equal(lua_gethookcount(co), 1000);
  lua_close(L);
  byn_watchdog_close(w);
}

/* --- threads and forks ---------------------------------------------------- */

/* Answers how many rounds went wrong. */
static void *live(void *bad) {
  for (int i = 0; i < ROUNDS; i++) {
    int error;
    byn_watchdog *w = byn_watchdog_open(1, end_loop, &error);
    if (!w || !is_hooked(w)) ++*(int *)bad;
    byn_watchdog_close(w);
  }
  return NULL;
}

static void nodes_of_several_threads_come_and_go(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  int bad[THREADS] = {0};
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, live, &bad[i]), 0);
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(bad[i], 0);
  }
  assert_true(handler_now() == SIG_DFL);
}

static void a_forked_child_has_a_watchdog_too(void **state) {
  (void)state;
  byn_watchdog *w = open_watch();
  assert_true(is_hooked(w));
  pid_t child = fork();
  if (!child) {
    bool fine = is_hooked(w);
    byn_watchdog_close(w);
    w = open_watch();
    fine = fine && is_hooked(w);
    byn_watchdog_close(w);
    _exit(fine ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_true(is_hooked(w));
  byn_watchdog_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(code_that_loops_gets_the_hook),
      cmocka_unit_test(a_handler_that_was_there_goes_on),
      cmocka_unit_test(a_handler_that_comes_later_is_left_alone),
      cmocka_unit_test(a_blocked_signal_is_unblocked),
      cmocka_unit_test(a_signal_that_comes_too_late_does_nothing),
      cmocka_unit_test(the_hook_of_the_program_is_put_back),
      cmocka_unit_test(nodes_of_several_threads_come_and_go),
      cmocka_unit_test(a_forked_child_has_a_watchdog_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
