/* What the files of a control share: its insides.
 *
 *   control.c       points, what could be next, steps
 *   control_seam.c  a control as its driver has it in Lua
 *   control_view.c  what a trace and a report tell of it
 */
#ifndef BYN_CONTROL_PARTS_H
#define BYN_CONTROL_PARTS_H

#include "../../core/lockstep/strategy.h"
#include "../../core/lockstep/tape.h"
#include "../process/process.h"
#include "control.h"

/* Who takes a step, as a number that is the same in each run: a process by
 * its node's number and its serial, a timer by its handle, an offer by what
 * the driver calls it, below 2^SERIAL_BITS. All are exact in a double. */
#define SERIAL_BITS 38
#define SERIAL_MASK (((uint64_t)1 << SERIAL_BITS) - 1)
#define NAME_BIT ((uint64_t)1 << 50)
#define TIMER_BIT ((uint64_t)1 << 51)
/* The list of names; it is not likely that one has this number too. */
#define ALL_NAMES NAME_BIT
#define CLOCK_ACTOR (((uint64_t)1 << 52) - 1)
#define LUA_OBJECT (CLOCK_ACTOR - 1) /* the variables that processes share */
#define OP_SHIFT 56 /* in the map of points, above the object's bits */

typedef struct control_offer {
  uint64_t actor, object;
  lua_Integer number;
} control_offer;

/* What stands behind a pending step. */
typedef struct control_choice {
  byn_node *node;
  byn_process *process;
  byn_timer timer;
  uint32_t offer; /* its index */
} control_choice;

typedef struct control_seat {
  byn_node *node; /* NULL: it has left */
  bool paused;
} control_seat;

typedef struct byn_control {
  byn_world *world;
  byn_strategy *strategy;
  byn_tape tape;
  control_seat *seats;
  uint32_t seat_count, seat_capacity;
  control_offer *offers;
  uint32_t offer_count, offer_capacity;
  lua_Integer offers_made;
  byn_pending *pending; /* what could be next, and what stands behind it */
  control_choice *choices;
  uint32_t count, pending_capacity, choice_capacity;
  byn_map points;             /* actor -> object and op of its next step */
  const byn_process *granted; /* goes on from the point it stands at */
  byn_node *at;               /* the node whose step it is, or NULL */
  byn_pending last;           /* the step that was taken last */
  uint8_t op;
  uint64_t *touched;
  uint32_t touched_count, touched_capacity;
  int on_end;      /* slot */
  int on_mail;     /* slot: who is told what a server is about to handle */
  bool idle_clock; /* time passes only when nothing else can happen */
  bool shared;     /* any code may touch LUA_OBJECT */
  bool clock, single, traced, over;
  lua_Integer steps, limit;
  lua_Integer worked;     /* steps of processes and timers */
  lua_Integer calm_until; /* before that step time does not pass over others */
  uint32_t *seen; /* of each step of the run that was recorded last, a digest */
  uint32_t seen_count, seen_capacity;
  lua_Integer departed; /* the first step of a replay that was another, or 0 */
} byn_control;

/* What run answers. */
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

/* The control at index 1; raises if it is none. */
byn_control *byn_control_check(lua_State *L);
/* The seat of the node whose number is argument 2; raises if it has none. */
control_seat *byn_control_seat(lua_State *L, byn_control *c);

/* The node runs by itself again. */
void byn_control_release(byn_node *node);

void byn_control_no_memory(lua_State *L);
/* Room for one more entry in an array that grows by doubling; raises when
 * memory is short. */
void *byn_control_grow(lua_State *L, byn_control *c, void *array,
                       uint32_t count, uint32_t *capacity, size_t size);

/* Takes steps until it is somebody else's turn. Raises only if no node is to
 * blame. */
control_outcome byn_control_run(lua_State *L, byn_control *c,
                                lua_Integer *number);
/* Takes out the offer with that index, and answers its number. */
lua_Integer byn_control_take_offer(byn_control *c, uint32_t i);

/* Sets the methods that look into the metatable on top. */
void byn_control_view(lua_State *L);

#endif
