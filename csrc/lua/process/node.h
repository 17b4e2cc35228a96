/* A node: its processes, run queue, timers, names, and its links to peers.
 *
 * The node does no I/O. A driver tells it the time and the bytes, and asks
 * for actions: see seam.c for the methods it has in Lua.
 */
#ifndef BYN_NODE_H
#define BYN_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/gap.h"
#include "../../core/map.h"
#include "../../core/pool.h"
#include "../../core/rng.h"
#include "../../core/timers.h"
#include "../value/compat.h"
#include "../value/world.h"
#include "control_points.h"
#include "remote_ops.h"
#include "watchdog.h"

struct byn_process;
struct byn_relation_walk;

typedef struct byn_node {
  byn_world *world;
  struct byn_node *next; /* in the world's list */
  byn_origin *origin;
  const char *name;           /* NULL: not distributed */
  struct byn_process **table; /* by index; NULL where free */
  uint32_t table_size, made, process_count;
  byn_pool processes;       /* their memory; each keeps its index for good */
  struct byn_process *free; /* those of them that are dead */
  struct byn_process *ready, *ready_last; /* the run queue */
  struct byn_process *busy, *busy_last;   /* and the one behind it */
  int64_t busy_at; /* when the last turn of that one was */
  struct byn_process *exiting, *exiting_last;
  byn_timers *timers;
  byn_due due;      /* the timer that is run now; owner NULL: none */
  byn_map monitors; /* serial -> relation whose a is here */
  struct byn_relation_walk *walks; /* that are under way */
  byn_map sends;                   /* serial -> struct byn_send, see send.c */
  byn_map sends_of; /* serial of a process -> the first that ends with it */
  byn_map mailbox_limits; /* serial of a process -> see mailbox_limit.c */
  uint64_t serial;        /* of the last pid or ref made */
  uint64_t main;          /* serial of the process of banyan.run, or 0 */
  byn_id main_ended_by;   /* whose exit signal ended it; serial 0: none */
  bool main_gave_up;      /* that was a supervisor that gave up */
  int64_t now;
  int64_t began_at; /* the first `now` it was told */
  byn_gap gap;
  int64_t untold_gap_ms; /* that the event is still to tell of, or 0 */
  byn_rng rng;
  int names;          /* slot: table name -> pid */
  uint32_t kept_made; /* how many machines of core/dist there ever were */
  int kept;           /* slot: the table of kept.h, or 0 */
  int clock;          /* slot: function that answers the time, or 0 */
  int driver;         /* slot: the name of its driver, or 0 */
  bool system_clock;  /* the clock is core.clock */
  int events; /* slot: list of events not yet fetched, or 0 if unwanted */
  int event_count;
  const byn_remote_ops *remote; /* NULL without a name */
  struct byn_cluster *cluster;  /* of `remote` */
  byn_watchdog *watch;          /* for preemption, or NULL */
  int64_t kill_after_ms;        /* 0: never */
  int64_t report_held_at;       /* no process_held_node before: see preempt.c */
  int share;                    /* what is left of this turn: see scheduler.c */
  const byn_control_points *points; /* NULL: node:step takes its steps */
  struct byn_control *control;      /* of `points` */
  uint32_t number;                  /* the control's */
  bool time_told;                   /* began_at is known */
  bool clock_read;                  /* `now` is fresh for this slice */
  bool memory_short; /* an error said so: collect once it has been reaped */
  bool reaping;
  bool stepping;
  bool collected; /* closed by the collector, and not by its program */
} byn_node;

/* Both ends of a list, or none: of the run queues, and of what is EXITING. */
static inline bool byn_node_lists_sound(const byn_node *node) {
  return !node->ready == !node->ready_last && !node->busy == !node->busy_last &&
         !node->exiting == !node->exiting_last;
}

/* Is that life of another node connected? */
static inline bool byn_node_reaches(const byn_node *node,
                                    const byn_origin *origin) {
  return node->remote && node->remote->connected(node, origin);
}
/* Why its processes are out of reach where it is not. */
static inline const char *byn_node_absence(const byn_node *node,
                                           const byn_origin *origin) {
  return node->remote ? node->remote->absence(node, origin) : "noconnection";
}

/* The time: from the clock if there is one, at most once a slice. */
int64_t byn_node_now(lua_State *L, byn_node *node);

/* It is told the time; time that went back is ignored. */
void byn_node_tell_time(byn_node *node, int64_t now);

/* An id made here. */
void byn_node_ref(byn_node *node, byn_id *ref);

/* What timers are for: the kinds of byn_timers. */
typedef enum byn_timer_kind {
  BYN_TIMER_WAIT, /* owner: the process */
  BYN_TIMER_OWN,  /* owner: the process */
  BYN_TIMER_SEND  /* owner: struct byn_send */
} byn_timer_kind;

/* Adds a timer `ms` from the time that was read last; 0 when memory is
 * short. */
byn_timer byn_node_try_timer(byn_node *node, int64_t ms, byn_timer_kind kind,
                             void *owner);
/* Adds a timer `ms` from now. Raises when memory is short. */
byn_timer byn_node_timer(lua_State *L, byn_node *node, int64_t ms,
                         byn_timer_kind kind, void *owner);

#endif
