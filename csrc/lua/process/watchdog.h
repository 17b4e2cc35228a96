/* The watchdog: notices that a turn of a process runs too long, and gets a
 * hook into its code.
 *
 *   the node's thread                        the watchdog's thread
 *   -----------------                        ---------------------
 *   step begins, turn 7, code runs           tick: turn 7, code runs
 *     ...                                    tick: turn 7 still: late
 *   signal handler   <---- pthread_kill ----
 *     lua_sethook on the code that runs
 *   the hook runs at the next instruction
 *
 * While nothing is late a turn costs a few plain stores, and no clock is read
 * but by the watchdog. lua_sethook is made for signal handlers, and the
 * handler runs in the very thread that runs the code; so it is never called
 * for code that another thread is in, or that is gone.
 *
 * There is one watchdog in an OS process, however many Lua states and nodes
 * it has: its thread runs from the first byn_watchdog_open to the last
 * byn_watchdog_close, ticks while a watched node is busy and sleeps otherwise.
 * The thread takes no signals. A forked child has none; the next step there
 * starts one.
 *
 * The signal is SIGURG, which by default is ignored. A handler that was there
 * before is called for signals that are not ours and is put back at the end.
 * Whoever installs another one later has switched the hook off: nothing is
 * sent then, but lateness is still noticed. A thread that steps a watched
 * node has the signal unblocked.
 *
 * A turn may be brief: it is late after BYN_BRIEF_MS. While there are such
 * turns the watchdog ticks that fast.
 *
 * Time is what the watchdog's ticks add up to, each counting for a few slices
 * at most: an OS process that was stopped is not late for that.
 */
#ifndef BYN_WATCHDOG_H
#define BYN_WATCHDOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <pthread.h>

#include "../value/compat.h"

#define BYN_BRIEF_MS 1

/* What is watched: one node. Its memory is used again but never given back,
 * as a signal handler may be looking at it. */
typedef struct byn_watchdog {
  struct byn_watchdog *next;

  /* Written by the node's thread. */
  _Atomic(lua_State *) code; /* what runs, NULL between slices */
  atomic_uint turn, step;    /* how many there were */
  atomic_bool brief;         /* this turn is to be a short one */

  /* Written by the watchdog. */
  atomic_uint late_turn, late_step; /* which one is late */
  atomic_uint held_ms;              /* how long late_turn runs */

  /* Between the two and the signal handler. */
  _Atomic(pthread_t) thread; /* that made the last step */
  atomic_bool wanted;        /* a signal is on its way */

  /* The node's thread and the signal handler in it. */
  lua_Hook hook;
  lua_State *volatile hooked; /* the code that has the hook, or NULL */
  volatile bool alone;        /* no hook of the program runs beside it */
  lua_Hook volatile user_hook;
  volatile int user_mask, user_count; /* what the hook stands in for */

  /* Behind the lock. */
  bool used, stepping;
  bool unblocked; /* the signal, in `thread` */
  unsigned seen_turn, seen_step;
  int brief_ticks; /* that are still short: there was a brief turn */
  int64_t slice_us, held_us, looked;
} byn_watchdog;

/* Begins to watch a node: a turn is late after `slice_ms`, and then its code
 * gets `hook`. NULL, and an errno in *error, if that cannot be. */
byn_watchdog *byn_watchdog_open(int slice_ms, lua_Hook hook, int *error);
/* Not within a step. NULL is nothing. */
void byn_watchdog_close(byn_watchdog *w);

/* Around each step; NULL is nothing. */
void byn_watchdog_step(byn_watchdog *w);
void byn_watchdog_rest(byn_watchdog *w);

/* Takes the hook away and puts back the one that the program had. */
void byn_watchdog_unhook(byn_watchdog *w);

#define BYN_LOAD(at) atomic_load_explicit(&(at), memory_order_relaxed)
#define BYN_STORE(at, v) atomic_store_explicit(&(at), v, memory_order_relaxed)

/* The turn that follows, or has ended, is late after BYN_BRIEF_MS already. */
static inline void byn_watchdog_brief(byn_watchdog *w, bool brief) {
  if (w) BYN_STORE(w->brief, brief);
}

/* Another turn begins. */
static inline void byn_watchdog_turn(byn_watchdog *w) {
  if (w) BYN_STORE(w->turn, BYN_LOAD(w->turn) + 1);
}

/* Has this turn, this step lasted too long? */
static inline bool byn_watchdog_late(const byn_watchdog *w) {
  return w && BYN_LOAD(w->late_turn) == BYN_LOAD(w->turn);
}

static inline bool byn_watchdog_step_late(const byn_watchdog *w) {
  return w && BYN_LOAD(w->late_step) == BYN_LOAD(w->step);
}

/* `code` runs from here on, and none does after byn_watchdog_leave, which
 * takes the hook off again while the code is sure to be there. */
static inline void byn_watchdog_enter(byn_watchdog *w, lua_State *code) {
  if (!w) return;
  BYN_STORE(w->code, code);
  atomic_signal_fence(memory_order_seq_cst);
}

static inline void byn_watchdog_leave(byn_watchdog *w) {
  if (!w) return;
  atomic_signal_fence(memory_order_seq_cst);
  BYN_STORE(w->code, NULL);
  atomic_signal_fence(memory_order_seq_cst);
  if (w->hooked) byn_watchdog_unhook(w);
}

#endif
