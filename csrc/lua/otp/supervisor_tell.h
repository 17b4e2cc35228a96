/* What a supervisor tells of its children: events for the node, messages for
 * an observer, and the last failures.
 *
 * An observer is a process of the same node (distributed_supervisor has one).
 * It gets {tag="child", event="started"|"restarted"|"exited"|"ended", id=,
 * pid=, old=, reason=}; "ended" comes once, when a child that had started will
 * not be started again by itself.
 */
#ifndef BYN_SUPERVISOR_TELL_H
#define BYN_SUPERVISOR_TELL_H

#include "../value/compat.h"
#include "../process/process.h"
#include "supervisor_child.h"

/* --- failures ------------------------------------------------------------- */

/* The child has to be restarted, or did not start, for the reason at `index`.
 * Raises when memory is short. */
void byn_failure_add(lua_State *L, byn_process *p, const byn_supervised *child,
                     int index);
/* Pushes the reason of the last one, or nil. */
void byn_failure_push_last(lua_State *L, const byn_process *p);

/* --- telling -------------------------------------------------------------- */

/* `old`: the pid that the new one replaces, or NULL. `reason`: stack index. */
void byn_tell_started(lua_State *L, byn_process *p, byn_supervised *child,
                      const byn_id *old);
void byn_tell_exited(lua_State *L, byn_process *p, byn_supervised *child,
                     int reason);
void byn_tell_failed(lua_State *L, byn_process *p, byn_supervised *child,
                     int reason);
void byn_tell_gave_up(lua_State *L, byn_process *p, byn_supervised *child);
/* A child is told to stop: if that takes long, byn_tell_slow_stop is due at
 * s->slow_at. Not under lockstep: nothing but an event follows from it. */
void byn_watch_slow_stop(lua_State *L, byn_process *p);
/* Tells of the children that have not stopped yet, of the first few if they are
 * many; again when twice the time has passed. */
void byn_tell_slow_stop(lua_State *L, byn_process *p);
/* Nothing is told of a child that is not announced. */
void byn_tell_ended(lua_State *L, byn_process *p, byn_supervised *child);

#endif
