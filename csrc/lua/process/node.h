/* A node: its processes, run queue, timers, names, and its links to peers.
 *
 * The node does no I/O. A driver tells it the time and the bytes, and asks
 * for actions: see seam.c for the methods it has in Lua.
 */
#ifndef BYN_NODE_H
#define BYN_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/map.h"
#include "../../core/pool.h"
#include "../../core/rng.h"
#include "../../core/timers.h"
#include "../value/compat.h"
#include "../value/world.h"
#include "process.h"
#include "watchdog.h"

struct byn_cluster;

typedef struct byn_node {
  byn_world *world;
  struct byn_node *next; /* in the world's list */
  byn_origin *origin;
  const char *name;    /* NULL: not distributed */
  byn_process **table; /* by index; NULL where free */
  uint32_t table_size, made, process_count;
  byn_pool processes; /* their memory; each keeps its index for good */
  byn_process *free;  /* those of them that are buried */
  byn_process *ready, *ready_last;
  byn_process *ending, *ending_last;
  byn_timers *timers;
  byn_due firing;   /* the timer that is being obeyed; owner NULL: none */
  byn_map monitors; /* serial -> relation whose a is here */
  byn_map sends;    /* serial -> struct byn_send, see timer.c */
  uint64_t serial;  /* of the last pid or ref made */
  int64_t now;
  byn_rng rng;
  int names;         /* slot: table name -> pid */
  int clock;         /* slot: function that answers the time, or 0 */
  bool system_clock; /* the clock is core.clock */
  int events; /* slot: list of events not yet fetched, or 0 if unwanted */
  int event_count;
  struct byn_cluster *cluster; /* links and membership; NULL without name */
  byn_watchdog *watch;         /* for preemption, or NULL */
  int64_t kill_after_ms;       /* 0: never */
  int64_t tell_held_at;        /* no process_held_node before, see preempt.c */
  int share;                   /* what is left of this turn, see turn() */
  struct byn_control *control; /* who takes its steps; NULL: node:step */
  uint32_t number;             /* the control's */
  bool clock_read;             /* `now` is fresh for this slice */
  bool burying;
  bool stepping;
} byn_node;

static inline byn_slots *byn_slots_at(const byn_process *p) {
  return &p->node->world->slots;
}

/* The only node there is; raises if there is none or the choice is not
 * clear. */
byn_node *byn_node_only(lua_State *L);
/* The node whose process runs, else the only one there is; may raise. */
static inline byn_node *byn_node_here(lua_State *L) {
  const byn_world *w = byn_world_here(L);
  return w->running ? w->running->node : byn_node_only(L);
}

/* Raises "... outside a process" naming `what`. */
void byn_process_absent(lua_State *L, const char *what);
/* The process that runs; raises as above if there is none. */
static inline byn_process *byn_process_here(lua_State *L, const char *what) {
  byn_process *p = byn_world_here(L)->running;
  if (!p || p->state >= BYN_ENDING) byn_process_absent(L, what);
  return p;
}

/* The process with that id, be it live or ending, or NULL. */
static inline byn_process *byn_node_at(const byn_node *node, const byn_id *id) {
  if (id->index >= node->table_size) return NULL;
  byn_process *p = node->table[id->index];
  return p && p->id.serial == id->serial ? p : NULL;
}

/* The live process with that id, or NULL. */
static inline byn_process *byn_node_find(const byn_node *node,
                                         const byn_id *id) {
  byn_process *p = byn_node_at(node, id);
  return p && p->state < BYN_ENDING ? p : NULL;
}

/* The live process registered under the name at `index`, or NULL. */
byn_process *byn_node_named(lua_State *L, const byn_node *node, int index);

/* Registers p (NULL: it has ended) under the name at `index`. NULL, or the
 * code of an error that is left on the stack as a reason:
 * {"already_registered", pid} or "noproc". */
const char *byn_node_register(lua_State *L, byn_node *node, byn_process *p,
                              int index);
/* Takes the name of p away, if it has one. */
void byn_node_unregister(lua_State *L, byn_process *p);

/* The time: from the clock if there is one, at most once a slice. */
int64_t byn_node_now(lua_State *L, byn_node *node);

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

/* Ends the processes whose end was decided, and those that die of it. Called
 * between turns and at the end of each primitive that may end processes, from
 * the outermost only. Nobody further up may hold a process, which this would
 * free: a finalizer, which runs in the middle of anything, leaves it to whoever
 * it interrupts. */
void byn_node_bury(lua_State *L, byn_node *node);

/* Runs ready processes, at most `slices` of them. */
void byn_node_run(lua_State *L, byn_node *node, int slices);

/* The one that is ready after `before`, or the first of all; or NULL. */
byn_process *byn_node_next_ready(byn_node *node, byn_process *before);
/* Runs one that is ready, whatever its place. */
void byn_node_take_turn(lua_State *L, byn_node *node, byn_process *p);

/* --- events ------------------------------------------------------------- */

/* Begins an event: pushes a table {event=, node=, time=} and answers true, or
 * pushes nothing and answers false when nobody wants events. Fields are set
 * with lua_setfield, then byn_event_done pops it into the node's list. */
bool byn_event(lua_State *L, byn_node *node, const char *event);
void byn_event_done(lua_State *L, byn_node *node);

/* --- destinations --------------------------------------------------------- */

typedef struct byn_dest {
  enum {
    BYN_DEST_LOCAL,  /* process */
    BYN_DEST_REMOTE, /* id (a pid), or origin and name */
    BYN_DEST_DEAD,   /* a pid here that has ended; id */
    BYN_DEST_UNKNOWN /* a name nobody has, or a node not connected */
  } kind;
  byn_process *process;
  byn_id id;          /* LOCAL, DEAD, REMOTE by pid (serial not 0) */
  byn_origin *origin; /* REMOTE */
  int name;           /* stack index of the name, REMOTE by name */
  const char *error;  /* UNKNOWN: "noproc" or "noconnection" */
} byn_dest;

/* Works out the destination at `index`: a pid, a registered name,
 * {name=, node=}, or what distributed_supervisor.via made. May push one
 * value (the name), which must stay while `dest` is in use. Raises on
 * anything else, naming `what`. */
void byn_dest_at(lua_State *L, byn_node *node, int index, const char *what,
                 byn_dest *dest);

/* Monitors a destination, known as `ref` from then on; `index` is the value
 * it was worked out from, which a DOWN repeats. */
void byn_monitor_dest(lua_State *L, byn_process *p, const byn_dest *to,
                      int index, const byn_id *ref);

#endif
