/* The watchdog: a thread that notices late turns, and a signal for them. */
#define _XOPEN_SOURCE 700
#include "watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../core/assert.h"

#define SIGNAL SIGURG
#define IDLE_TICKS 4 /* without a step, then it sleeps */
#define TICK_LIMIT 4 /* slices that one tick may count for */
#define MAX_TICK_MS 50
#define BRIEF_TICKS 50 /* that stay short after a brief turn */

/* Darwin's condition variables know no other clock. */
#ifdef __APPLE__
#define CLOCK CLOCK_REALTIME
#else
#define CLOCK CLOCK_MONOTONIC
#endif

/* Signals are the OS process's, so is what follows. `life` is held while the
 * thread and the handler come and go, `lock` while a watch is looked at. Only
 * the signal handler reads the list without the lock. */
static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake;
static _Atomic(byn_watchdog *) watches;
static struct sigaction former;
static pthread_t thread;
static bool prepared, running, asleep, quit;
static int used;

/* --- the signal ----------------------------------------------------------- */

static void put_hook(byn_watchdog *w, lua_State *code) {
  if (w->hooked != code) {
    w->user_hook = lua_gethook(code);
    w->user_mask = lua_gethookmask(code);
    w->user_count = lua_gethookcount(code);
    w->hooked = code;
  } else if (lua_gethook(code) == w->hook &&
             lua_gethookmask(code) == LUA_MASKCOUNT) {
    return; /* it waits for Lua code already; to set it costs a walk of the
             * stack, which would leave a C function no time */
  }
  w->alone = false;
  lua_sethook(code, w->hook, LUA_MASKCOUNT, 1);
}

/* A program that calls debug.sethook at this very moment may have set half of
 * its own: what is not ours is the program's. */
void byn_watchdog_unhook(byn_watchdog *w) {
  lua_State *code = w->hooked;
  if (!code) return;
  w->hooked = NULL;
  if (lua_gethook(code) != w->hook) return;
  int mask = lua_gethookmask(code);
  if (mask == LUA_MASKCOUNT || mask == LUA_MASKRET)
    lua_sethook(code, w->user_hook, w->user_mask, w->user_count);
  else
    lua_sethook(code, w->user_hook, mask, lua_gethookcount(code));
}

static void call_former(int number, siginfo_t *info, void *context) {
  if (former.sa_flags & SA_SIGINFO)
    former.sa_sigaction(number, info, context);
  else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN)
    former.sa_handler(number);
}

static void on_signal(int number, siginfo_t *info, void *context) {
  int error = errno;
  pthread_t here = pthread_self();
  bool ours = false;
  for (byn_watchdog *w = atomic_load(&watches); w; w = w->next) {
    if (!pthread_equal(BYN_LOAD(w->thread), here)) continue;
    if (!atomic_exchange(&w->wanted, false)) continue;
    lua_State *code = BYN_LOAD(w->code);
    if (code) put_hook(w, code);
    ours = true;
  }
  if (!ours) call_former(number, info, context);
  errno = error;
}

static bool handler_is_ours(void) {
  struct sigaction now;
  return sigaction(SIGNAL, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
         now.sa_sigaction == on_signal;
}

static int install_handler(void) {
  struct sigaction ours;
  if (sigaction(SIGNAL, NULL, &former)) return errno;
  memset(&ours, 0, sizeof ours);
  ours.sa_sigaction = on_signal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  return sigaction(SIGNAL, &ours, NULL) ? errno : 0;
}

static void uninstall_handler(void) {
  if (handler_is_ours()) sigaction(SIGNAL, &former, NULL);
}

/* --- the thread ----------------------------------------------------------- */

static int64_t clock_us(void) {
  struct timespec t;
  clock_gettime(CLOCK, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Signals the thread whose turn is late: the handler puts the hook into the
 * code. That thread is in a step, and stays in it while the lock is held. */
static void signal_late_turn(byn_watchdog *w) {
  if (!BYN_LOAD(w->code) || !handler_is_ours()) return;
  atomic_store(&w->wanted, true);
  pthread_kill(BYN_LOAD(w->thread), SIGNAL);
}

/* After so long the turn under way is late. */
static int64_t slice_of(const byn_watchdog *w) {
  bool brief = BYN_LOAD(w->brief) && w->slice_us > BYN_BRIEF_MS * 1000;
  return brief ? BYN_BRIEF_MS * 1000 : w->slice_us;
}

/* A turn had begun before the tick that first saw it: half a tick earlier, on
 * average. */
static unsigned whole_ms(const byn_watchdog *w) {
  return (unsigned)((w->held_us + slice_of(w) / 2) / 1000);
}

/* How long the next tick is for its sake. */
static int64_t tick_of(byn_watchdog *w) {
  if (BYN_LOAD(w->brief))
    w->brief_ticks = BRIEF_TICKS;
  else if (w->brief_ticks > 0)
    w->brief_ticks--;
  bool brief = w->brief_ticks > 0 && w->slice_us > BYN_BRIEF_MS * 1000;
  return brief ? BYN_BRIEF_MS * 1000 : w->slice_us;
}

static void check_watch(byn_watchdog *w, int64_t now) {
  unsigned turn = BYN_LOAD(w->turn), step = BYN_LOAD(w->step);
  if (step == w->seen_step) BYN_STORE(w->late_step, step);
  int64_t passed = now - w->looked;
  int64_t most = TICK_LIMIT * w->slice_us;
  w->held_us += passed < most ? passed : most;
  if (turn != w->seen_turn || step != w->seen_step) w->held_us = 0;
  w->seen_turn = turn;
  w->seen_step = step;
  w->looked = now;
  if (w->held_us < slice_of(w)) return;
  BYN_STORE(w->held_ms, whole_ms(w));
  BYN_STORE(w->late_turn, turn);
  signal_late_turn(w);
}

/* Checks all watches: answers whether a node was busy, and how long the next
 * tick is. */
static bool check_all(int64_t *tick_us) {
  bool busy = false;
  int64_t now = clock_us();
  *tick_us = MAX_TICK_MS * 1000;
  for (byn_watchdog *w = atomic_load(&watches); w; w = w->next) {
    if (!w->used) continue;
    int64_t tick = tick_of(w);
    if (tick < *tick_us) *tick_us = tick;
    if (BYN_LOAD(w->step) != w->seen_step || w->stepping) busy = true;
    if (w->stepping)
      check_watch(w, now);
    else
      w->seen_step = BYN_LOAD(w->step);
  }
  return busy;
}

static void wait_until(int64_t at) {
  struct timespec t = {.tv_sec = (time_t)(at / 1000000),
                       .tv_nsec = (long)(at % 1000000) * 1000};
  while (!quit && pthread_cond_timedwait(&wake, &lock, &t) != ETIMEDOUT)
    ;
}

static void *watch_all(void *nothing) {
  int idle = 0;
  int64_t tick_us;
  pthread_mutex_lock(&lock);
  while (!quit) {
    idle = check_all(&tick_us) ? 0 : idle + 1;
    asleep = idle > IDLE_TICKS;
    if (asleep) idle = 0;
    while (asleep && !quit)
      pthread_cond_wait(&wake, &lock);
    wait_until(clock_us() + tick_us);
  }
  pthread_mutex_unlock(&lock);
  return nothing;
}

/* With the lock held, from here on. The thread takes no signals. */
static int start_thread(void) {
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  quit = asleep = false;
  int error = pthread_create(&thread, NULL, watch_all, NULL);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  running = error == 0;
  return error;
}

static void stop_thread(void) {
  if (!running) return;
  quit = true;
  pthread_cond_signal(&wake);
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
  pthread_mutex_lock(&lock);
  running = false;
}

/* --- fork ----------------------------------------------------------------- */

static void make_condition(void) {
  pthread_condattr_t how;
  pthread_condattr_init(&how);
#ifndef __APPLE__
  pthread_condattr_setclock(&how, CLOCK);
#endif
  pthread_cond_init(&wake, &how);
  pthread_condattr_destroy(&how);
}

static void before_fork(void) {
  pthread_mutex_lock(&life);
  pthread_mutex_lock(&lock);
}

static void after_fork(void) {
  pthread_mutex_unlock(&lock);
  pthread_mutex_unlock(&life);
}

/* The child has the one thread that forked. */
static void in_child(void) {
  running = false;
  for (byn_watchdog *w = atomic_load(&watches); w; w = w->next)
    w->stepping = false;
  make_condition();
  after_fork();
}

static int prepare_once(void) {
  if (prepared) return 0;
  make_condition();
  int error = pthread_atfork(before_fork, after_fork, in_child);
  prepared = error == 0;
  return error;
}

/* --- watches -------------------------------------------------------------- */

static byn_watchdog *find_unused(void) {
  byn_watchdog *w = atomic_load(&watches);
  while (w && w->used)
    w = w->next;
  if (w) return w;
  w = calloc(1, sizeof *w);
  if (!w) return NULL;
  w->next = atomic_load(&watches);
  atomic_store(&watches, w);
  return w;
}

/* The counts go on from where they were: nothing is late in a fresh watch. */
static byn_watchdog *take_unused(int slice_ms, lua_Hook hook) {
  byn_watchdog *w = find_unused();
  if (!w) return NULL;
  w->hook = hook;
  w->unblocked = false;
  w->slice_us = (int64_t)slice_ms * 1000;
  BYN_STORE(w->turn, BYN_LOAD(w->turn) + 1);
  BYN_STORE(w->step, BYN_LOAD(w->step) + 1);
  return w;
}

static int start_watching(void) {
  int error = prepare_once();
  if (!error && !used) error = install_handler();
  if (!error && !running) {
    error = start_thread();
    if (error && !used) uninstall_handler();
  }
  return error;
}

byn_watchdog *byn_watchdog_open(int slice_ms, lua_Hook hook, int *error) {
  pthread_mutex_lock(&life);
  pthread_mutex_lock(&lock);
  byn_watchdog *w = take_unused(slice_ms, hook);
  *error = w ? start_watching() : ENOMEM;
  if (*error) w = NULL;
  if (w) w->used = true, used++;
  after_fork();
  return w;
}

void byn_watchdog_close(byn_watchdog *w) {
  if (!w) return;
  pthread_mutex_lock(&life);
  pthread_mutex_lock(&lock);
  byn_assert(w->used && !w->stepping && used > 0);
  w->used = w->stepping = false;
  if (--used == 0) {
    stop_thread();
    uninstall_handler();
  }
  after_fork();
}

static void unblock_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGNAL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Without a thread to watch it, after a fork that left no memory for one, the
 * step is made all the same. */
void byn_watchdog_step(byn_watchdog *w) {
  if (!w) return;
  pthread_t here = pthread_self();
  pthread_mutex_lock(&lock);
  byn_assert(w->used && !w->stepping);
  BYN_STORE(w->step, BYN_LOAD(w->step) + 1);
  if (!w->unblocked || !pthread_equal(BYN_LOAD(w->thread), here))
    unblock_signal();
  w->unblocked = true;
  BYN_STORE(w->thread, here);
  w->stepping = true;
  if (!running) start_thread();
  if (asleep) {
    asleep = false;
    pthread_cond_signal(&wake);
  }
  pthread_mutex_unlock(&lock);
}

void byn_watchdog_rest(byn_watchdog *w) {
  if (!w) return;
  pthread_mutex_lock(&lock);
  w->stepping = false;
  pthread_mutex_unlock(&lock);
}
