/* What a supervisor decides: whom to start, stop, restart, forget, and when
 * to give up. OTP's supervisor and Elixir's DynamicSupervisor, as a machine
 * that does nothing itself.
 *
 * The owner reports the time and what happened, then asks for actions, one
 * after the other, and does them:
 *
 *   byn_restart_time(r, now);
 *   byn_restart_exited(r, child, normal);
 *   while (byn_restart_next(r, &action)) ...do it...
 *
 * What takes several steps is a plan: first children are stopped, the last
 * started first, then children are started in order. One step of it is under
 * way at a time: `next` answers false until the owner has reported how it went
 * (started, ignored, failed, stopped). A plan is never interrupted: while
 * byn_restart_busy, the owner lets requests and exits wait. With `dynamic`,
 * children are independent of each other and all stop at once.
 *
 * A child whose restart fails is tried again: RETRY asks the owner to call
 * byn_restart_retry once it has handled what else is waiting. With a back-off
 * RETRY comes when that is over. Each try counts as a restart (intensity.h);
 * a child that is restarted because of its sibling does not.
 *
 *              start            started                exited
 *   STOPPED ---------> STARTING --------> RUNNING ---------------> STOPPED
 *      ^                  |  ^               |  stop    stopped       |
 *      |       ignored,   |  |               +-----> STOPPING --------+
 *      +------------------+  |  retry                                 |
 *      |   failed (asked)    +---------- RESTARTING <-----------------+
 *      |                     failed (restart) ^    waits to be restarted
 *      +----------------------------------------+  terminate
 *
 * Children are the owner's: they stand in its own structs, which stay in
 * place until FORGET (or byn_restart_delete) gives them back. The machine's
 * own memory is the window of restarts and the timers of back-offs, both
 * made when first needed. Short of it, a back-off is cut short, and a restart
 * counts for longer than it should; no child is lost. Each event and each
 * action costs O(1), plus the children that a plan touches; nothing recurses.
 */
#ifndef BYN_RESTART_H
#define BYN_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "backoff.h"
#include "intensity.h"
#include "rng.h"
#include "timers.h"

typedef enum byn_strategy {
  BYN_ONE_FOR_ONE,
  BYN_ONE_FOR_ALL,
  BYN_REST_FOR_ONE
} byn_strategy;

typedef enum byn_auto_shutdown {
  BYN_AUTO_NEVER,
  BYN_AUTO_ANY,
  BYN_AUTO_ALL
} byn_auto_shutdown;

typedef enum byn_restart_type {
  BYN_PERMANENT,
  BYN_TRANSIENT,
  BYN_TEMPORARY
} byn_restart_type;

typedef enum byn_child_state {
  BYN_CHILD_STOPPED,
  BYN_CHILD_STARTING,
  BYN_CHILD_RUNNING,
  BYN_CHILD_STOPPING,
  BYN_CHILD_RESTARTING /* not running, will be tried again */
} byn_child_state;

/* The time that a child is given to stop: ms, or one of these. */
#define BYN_SHUTDOWN_DEFAULT 5000 /* of a worker; a supervisor's: infinity */
#define BYN_SHUTDOWN_INFINITY (-1)
#define BYN_SHUTDOWN_KILL (-2)

typedef struct byn_child {
  /* The owner's to fill in before it hands the child over; the rest is 0. */
  byn_backoff *backoff; /* NULL: restarts are immediate */
  int32_t shutdown;
  uint8_t restart;     /* byn_restart_type */
  bool supervisor : 1; /* a supervisor, not a worker: only counted */
  bool significant : 1;
  /* The machine's. */
  bool counted : 1; /* its next try has been counted as a restart */
  bool killed : 1;  /* KILL has gone out for it */
  bool ran : 1;     /* its last start went well */
  uint8_t state;    /* byn_child_state */
  struct byn_child *next, *previous; /* in start order */
  uint64_t number; /* greater than those of all before it; from 1 */
  struct byn_child *queue_next, *queue_previous;
} byn_child;

typedef struct byn_child_queue {
  byn_child *first, *last;
} byn_child_queue;

/* Where a list that is taken in slices goes on. */
typedef struct byn_child_mark {
  uint64_t after;  /* the number of the last child listed; 0: not in use */
  byn_child *next; /* the first one with a greater number */
} byn_child_mark;

enum { BYN_CHILD_MARKS = 8 };

typedef struct byn_restart_flags {
  uint8_t strategy;      /* byn_strategy; dynamic: BYN_ONE_FOR_ONE */
  uint8_t auto_shutdown; /* byn_auto_shutdown */
  bool dynamic;          /* whatever stops is forgotten */
  uint32_t max_restarts; /* BYN_UNLIMITED: no limit */
  int64_t period;        /* ms */
  uint32_t max_children; /* UINT32_MAX: no limit */
  uint64_t seed;         /* of the jitter */
} byn_restart_flags;

typedef struct byn_restart_action {
  enum {
    BYN_DO_START,   /* run its start function; then report started, ignored or
                       failed */
    BYN_DO_STOP,    /* ask it to stop, with "kill" if its shutdown says so;
                       then report stopped when it has */
    BYN_DO_KILL,    /* its time is over: kill it; then report stopped */
    BYN_DO_RETRY,   /* call byn_restart_retry after what else is waiting */
    BYN_DO_FORGET,  /* the child is the owner's again */
    BYN_DO_DONE,    /* the request (boot, start, child, terminate) is done */
    BYN_DO_GIVE_UP, /* too many restarts, the last one wanted by `child`; all
                       will be stopped */
    BYN_DO_END      /* all is stopped: the supervisor ends, for `cause` */
  } what;
  byn_child *child; /* START, STOP, KILL, FORGET, GIVE_UP; END after a failed
                       boot: who failed; DONE: who it is about, unless
                       forgotten */
  enum {
    BYN_END_ASKED,   /* byn_restart_stop */
    BYN_END_GAVE_UP, /* "shutdown" */
    BYN_END_AUTO,    /* "shutdown": the significant children are done */
    BYN_END_BOOT     /* {"failed_to_start_child", ...} */
  } cause;
} byn_restart_action;

typedef struct byn_restart {
  byn_restart_flags flags;
  byn_intensity window;
  byn_timers *timers; /* of children that back off, or NULL */
  byn_rng rng;
  int64_t now;
  byn_child_queue children; /* in start order (by next, previous) */
  byn_child_queue retries;  /* RESTARTING and due */
  byn_child_queue stopping; /* STOPPING, the first to be killed first */
  byn_child_queue gone;     /* to be forgotten */
  uint32_t unasked;         /* how many RETRYs have still to go out */
  uint32_t count, active, supervisors, significant_alive;
  uint64_t numbered;     /* the number of the last child that was added */
  byn_child_mark *marks; /* BYN_CHILD_MARKS, or NULL: none was set yet */
  uint32_t marked;       /* how often one was set */
  struct byn_plan {
    uint8_t kind, phase, cause;
    bool all;          /* starts all from `cursor` on, else only that */
    bool delays;       /* a restart that only stops, and then backs off */
    bool waits;        /* for the owner's report of a start */
    bool sorted;       /* `stopping` is in the order of deadlines */
    byn_child *about;  /* the child it began with, unless forgotten */
    byn_child *cursor; /* the next to be stopped or started */
    byn_child *edge;   /* stops end before this one; NULL: at the first */
    int64_t began;     /* when the last of the stopping was told to stop */
  } plan;
} byn_restart;

void byn_restart_init(byn_restart *r, const byn_alloc *alloc,
                      const byn_restart_flags *flags);
/* Frees the machine's own memory; the children are the owner's. */
void byn_restart_clear(byn_restart *r);

/* --- the time ------------------------------------------------------------ */

/* The time is `now`, in ms; it never goes back. */
void byn_restart_time(byn_restart *r, int64_t now);
/* When to report the time again at the latest, or BYN_NEVER. */
int64_t byn_restart_deadline(const byn_restart *r);

/* --- requests: only while not busy ---------------------------------------- */

/* Those that may be refused answer OTP's code for it, or NULL: then a plan
 * has begun, and DONE will come. */

/* Adds a child at the end, to be started by byn_restart_boot. */
void byn_restart_add(byn_restart *r, byn_child *c);
/* Starts all children in order; if one fails, stops them and ends. */
void byn_restart_boot(byn_restart *r);
/* Adds a child and starts it: "max_children". If it fails it is forgotten. */
const char *byn_restart_start(byn_restart *r, byn_child *c);
/* Starts a stopped child again (OTP's restart_child): "running",
 * "restarting". */
const char *byn_restart_child(byn_restart *r, byn_child *c);
/* Stops a child, or the tries to restart it. Never refused. */
void byn_restart_terminate(byn_restart *r, byn_child *c);
/* Takes a stopped child out at once, without FORGET or DONE: "running",
 * "restarting". */
const char *byn_restart_delete(byn_restart *r, byn_child *c);
/* Stops all children and ends. */
void byn_restart_stop(byn_restart *r);

/* --- lists ---------------------------------------------------------------- */

/* A list may be taken in slices while children come and go: it has the first
 * ones after number 0, then the first ones after the last of those, and so on
 * up to the number that was the last one at the beginning. Each child that is
 * there throughout is in it once. The machine knows nothing of such a list but
 * where it goes on, so one that is given up costs nothing. */

/* The first child with a greater number, or NULL. O(1) after a mark that is
 * set there; else O(children). */
byn_child *byn_restart_after(const byn_restart *r, uint64_t number);
/* The list goes on after c, which is in its place. Of more marks than
 * BYN_CHILD_MARKS, or without memory, the oldest are forgotten. */
void byn_restart_mark(byn_restart *r, const byn_child *c);

/* --- events --------------------------------------------------------------- */

/* Would a running child be restarted if it ended so? */
bool byn_restart_wants(const byn_child *c, bool normal);
/* A running child has ended. Only while not busy. */
void byn_restart_exited(byn_restart *r, byn_child *c, bool normal);
/* The owner's answer to one RETRY. Only while not busy. */
void byn_restart_retry(byn_restart *r);

/* How a START went; `ignored`: the child wants not to run. */
void byn_restart_started(byn_restart *r, byn_child *c);
void byn_restart_ignored(byn_restart *r, byn_child *c);
void byn_restart_failed(byn_restart *r, byn_child *c);
/* A child that a STOP went out for has ended. */
void byn_restart_stopped(byn_restart *r, byn_child *c);

/* --- answers -------------------------------------------------------------- */

/* The next thing to do, or false: nothing until something happens. */
bool byn_restart_next(byn_restart *r, byn_restart_action *action);
/* Is a plan under way? After END: for ever. */
bool byn_restart_busy(const byn_restart *r);

#endif
