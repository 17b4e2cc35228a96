/* Control of nodes step by step, for lockstep: what would run next by itself
 * is put before a strategy, one step at a time.
 *
 * A control adopts nodes. From then on they take no step by themselves: the
 * control collects the steps that could be next (the pending ones), has the
 * strategy pick one, or the tape in a replay, and takes it. A pending step is
 * the next turn of a process that is ready, a timer that is due, an offer (a
 * step that is not a node's, such as the arrival of bytes), or the passing of
 * time.
 *
 * A step of a process goes from one point to the next: a point is where it
 * waits, and each place where it is about to do what others can notice (send,
 * link, register, ...). On LuaJIT, whose C functions cannot be left and
 * entered again, only waiting is a point.
 *
 *   at a point    the process is ready, in BYN_WAIT_POINT; `points` has what it
 *                 is about to do
 *   granted       its step was picked: it passes that point, and goes on to the
 *                 next one
 *
 * Between two steps no process is granted, and `at` is NULL.
 *
 * What a node has pending changes by its own steps, as its time passes, or as
 * its driver does something to it. Each of these stirs it, and only those that
 * were stirred are looked at before the next step.
 *
 *   control.c       points, pending steps, taking them
 *   control_seam.c  a control as its driver has it in Lua
 *   control_view.c  what a trace and a report show of it
 */
#ifndef BYN_CONTROL_H
#define BYN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/lockstep/strategy.h"
#include "../../core/lockstep/tape.h"
#include "../value/compat.h"
#include "../process/control_points.h"
#include "../process/node.h"
#include "../process/process.h"

/* A node that a control has adopted reports its steps by these. */
extern const byn_control_points byn_control_points_taken;

/* Who takes a step, as a number that is the same in each run: a process by
 * its node's number and its serial, a timer by its handle, an offer by what
 * the driver calls it, below 2^SERIAL_BITS. All are exact in a double. */
#define SERIAL_BITS 38
#define SERIAL_MASK (((uint64_t)1 << SERIAL_BITS) - 1)
#define NAME_BIT ((uint64_t)1 << 50)
#define TIMER_BIT ((uint64_t)1 << 51)
/* The table of names; that the hash of a name is the same is unlikely. */
#define ALL_NAMES NAME_BIT
#define CLOCK_ACTOR (((uint64_t)1 << 52) - 1)
#define LUA_OBJECT (CLOCK_ACTOR - 1) /* the variables that processes share */
#define OP_SHIFT 56 /* in the map of points, above the object's bits */

/* What a pending step of a node is. */
typedef struct control_choice {
  byn_process *process; /* NULL: of the timer */
  byn_timer timer;
} control_choice;

/* A node that was adopted; its number is the index + 1. */
typedef struct control_node_entry {
  byn_node *node; /* NULL: it was closed */
  bool paused;
  bool stirred;            /* it is to be looked at before the next step */
  bool due, waits;         /* has a timer that is due; waits for time */
  control_choice *choices; /* what its pending steps are, in their order */
  uint32_t capacity;
} control_node_entry;

typedef struct byn_control {
  byn_world *world;
  byn_strategy *strategy;
  byn_tape tape;
  control_node_entry *nodes;
  uint32_t node_count, node_capacity;
  uint32_t *stirred; /* the indices of these; as large as `nodes` */
  uint32_t stirred_count, stirred_capacity;
  uint32_t due_count, waiting_count; /* of nodes */
  lua_Integer offers_made;
  byn_pending_set set;      /* the steps that could be next */
  byn_pending *steps_there; /* those of one node, while they are collected */
  uint32_t step_capacity;
  byn_map points;             /* actor -> object and op of its next step */
  const byn_process *granted; /* goes on from the point it stands at */
  byn_node *at;               /* the node whose step it is, or NULL */
  byn_pending last;           /* the step that was taken last, */
  uint32_t last_count;        /* out of so many */
  uint8_t op;
  uint64_t *touched;
  uint32_t touched_count, touched_capacity;
  int on_end;      /* slot */
  int on_mail;     /* slot: called with what a server is about to handle */
  bool idle_clock; /* time passes only when nothing else can happen */
  bool shared;     /* any code may touch LUA_OBJECT */
  bool clock;      /* something besides the nodes waits for time */
  bool single_step;
  bool traced;
  bool over; /* on_end has answered true */
  lua_Integer steps, limit;
  lua_Integer worked; /* steps of processes and timers */
  /* The clock is held until then: so many steps from held_from on, or, if that
   * is more, hold_each for each that is pending meanwhile. */
  lua_Integer clock_held_until, held_from, hold_each;
  uint32_t *digests; /* of the steps of the run that was recorded last */
  uint32_t digest_count, digest_capacity;
  lua_Integer diverged_at; /* the first step of a replay that differed, or 0 */
} byn_control;

/* What run answers; its name in Lua is in control_seam.c. */
typedef enum control_outcome {
  CONTROL_ON, /* nothing yet */
  CONTROL_IDLE,
  CONTROL_OFFER,
  CONTROL_CLOCK,
  CONTROL_NODE,
  CONTROL_STEP,
  CONTROL_LIMIT,
  CONTROL_OVER,
  CONTROL_REDUNDANT
} control_outcome;

/* A process as an actor. */
static inline uint64_t byn_actor_of(const byn_id *id) {
  const byn_node *node = id->origin->node;
  uint64_t number = node ? node->number : 0;
  return number << SERIAL_BITS | (id->serial & SERIAL_MASK);
}

/* What the value at `index`, a pid or a dest of another kind, stands for as an
 * object; 0 if it is none. */
uint64_t byn_control_object_at(lua_State *L, int index);

/* The node, which was adopted, takes its steps by itself again. */
void byn_control_release(byn_node *node);

void byn_control_no_memory(lua_State *L);
/* Room for one more entry in an array that grows by doubling; raises when
 * memory is short. */
void *byn_control_reserve(lua_State *L, byn_control *c, void *array,
                          uint32_t count, uint32_t *capacity, size_t size);

/* Takes steps until there is something for the caller to do. An error in a step
 * of a node is that node's; others are raised. The stack is left as it was. */
control_outcome byn_control_run(lua_State *L, byn_control *c,
                                lua_Integer *number);
/* The node with that index is to be looked at before the next step: what could
 * be next of it, and when it is due, may have changed. */
void byn_control_stir(byn_control *c, uint32_t index);

#endif
