/* Moving a child from this node to another, with its state.
 *
 *   WAITING --> ASKING --> HOLDING --> STOPPING      of a run that is RUNNING
 *        its turn     accepted    all have heard     until then
 *
 *   runner   OFFER -->    target    would it start that? (room, its modules)
 *   runner   <-- ACCEPT   target    it would
 *   runner   register MOVING -->    all: they hold what is for the child by id
 *   runner   <-- ACK      all       nobody sends to the old process by id now
 *   process: it handles what it has, hands its state over, and ends
 *   runner   CHECKPOINT -->         the target, and those that are to hold it
 *   runner   register NONE, preference -->   all: the target may start it
 *   target   register STARTING, RUNNING -->  all: what was held follows
 *
 * So messages for the child by id are handled by one process or the other, in
 * the order in which each sender sent them, and no two processes of it run.
 *
 * Where something fails before the process has handed its state over, it goes
 * on: the target refuses or is lost, somebody does not acknowledge within
 * handoff_ms, the handoff raises or is late. Of a node that leaves or is
 * drained the process is stopped all the same when its handoff fails, and when
 * nobody else runs children. After it the state is a checkpoint like any other:
 * if the target is lost, or fails to start the child, the next node gets it.
 *
 * An entity that rests (entity.h) is stopped in the same way: all are to hold
 * what is for it until it is woken. It has no target, and takes no turn.
 *
 * Two moves of one child are one after the other; of two that were asked for
 * the one with the greater stamp counts. A move is not part of what is merged,
 * but its traces are: `moving` of the register, the preference.
 */
#ifndef BYN_DIST_MOVE_H
#define BYN_DIST_MOVE_H

#include "parts.h"
#include "record.h"

typedef enum byn_move_state {
  BYN_MOVE_WAITING, /* in d->moves */
  BYN_MOVE_ASKING,
  BYN_MOVE_HOLDING, /* in d->holding; its register is MOVING */
  BYN_MOVE_STOPPING /* the run is STOPPING for WHY_MOVED, or WHY_IDLE */
} byn_move_state;

typedef struct byn_move {
  byn_move_state state;
  byn_dist_handoff why;
  bool named;     /* the target was named: it is to stay there */
  bool asked;     /* OFFER was sent */
  byn_blob to;    /* the target; absent: not chosen yet */
  uint64_t stamp; /* of the preference */
  uint64_t seq;   /* HOLDING: of the publication */
  int64_t since, deadline;
  byn_timer timer;
  byn_blob asker; /* who asked for it by MOVE; absent: this node, or nobody */
  uint64_t asker_token; /* of the request; 0: nobody asked */
} byn_move;

/* The run is to move: it waits for its turn, if it is not in a move already.
 * false: there is no other node for it. */
bool byn_move_want(byn_dist *d, byn_run *run, byn_dist_handoff why);
/* It is to stop as no message came for it, and goes nowhere: HOLDING at once.
 * false: it is moving, or its handoff failed lately, or memory is short. */
bool byn_move_rest(byn_dist *d, byn_run *run);
/* MOVE: of a peer, or of this node (NULL). */
void byn_move_take(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_move_take_offer(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_move_take_accept(byn_dist *d, byn_peer *peer, const byn_record *r);
void byn_move_probed(byn_dist *d, uint64_t probe, byn_dist_bytes reason);

/* Its place is looked at: a target that is gone is not waited for. */
void byn_move_review(byn_dist *d, byn_run *run);
/* Its timer is due. */
void byn_move_due(byn_dist *d, byn_run *run);
/* The peer says that all that was here is there: it acknowledges that, as it
 * has shown it, before a process that is HOLDING is stopped. */
void byn_move_told_all(byn_dist *d, byn_peer *peer);
/* Stops those of which all have heard, and begins those whose turn it is. */
void byn_move_pump(byn_dist *d);
/* Each second: what the ring wants elsewhere, if this node rebalances. */
void byn_move_tick(byn_dist *d);
/* The same at once, as byn_dist_rebalance. */
bool byn_move_rebalance(byn_dist *d, uint32_t *count);

/* Its process handed over, or is to be stopped all the same, and has ended: the
 * preference is written. */
void byn_move_finish(byn_dist *d, byn_run *run, byn_generation *g);
/* Its handoff failed, and it goes on. */
void byn_move_failed(byn_dist *d, byn_run *run, byn_dist_bytes reason);
/* It is not to be moved any more: whoever asked is answered `code`; OK: he is
 * to ask again. A run that is HOLDING is not MOVING any more. */
void byn_move_drop(byn_dist *d, byn_run *run, byn_dist_code code,
                   byn_dist_bytes reason);
/* The run is freed: the move with it. */
void byn_move_forget(byn_dist *d, byn_run *run);
/* They stay after all. */
void byn_move_drop_drains(byn_dist *d);
/* Detached: what is not STOPPING is dropped, and no probe is answered. */
void byn_move_drop_all(byn_dist *d);
/* What others asked is not answered. */
void byn_move_forget_probes(byn_dist *d);
/* The node that a run is to move to, or NULL: its checkpoint is to be there. */
byn_peer *byn_move_target(const byn_dist *d, const byn_run *run);

/* The next PROBE. */
bool byn_move_next(byn_dist *d, byn_dist_action *a);

#endif
