/* A control as its driver has it in Lua: the object that core.control makes.
 *
 *   core.control(opts) -> control   strategy, depth, preemptions, fair_after,
 *                                   length: see core/strategy.h; idle_clock:
 *                                   time passes when nothing else can happen;
 *                                   shared: processes share Lua variables
 *   control:begin(seed) -> bool     a new run; false: every schedule was seen
 *   control:replay(tape)            a run that takes its choices from a list
 *   control:finish() -> tape, step  the run is over: its choices, and the
 *                                   first step of a replay that was not as in
 *                                   the run that was recorded last, or nil
 *   control:complete() -> bool      dfs: every schedule was seen
 *   control:diverged() -> bool      dfs: the body did not do what it did
 *                                   before after the same choices
 *   control:length() -> integer     pct: the expected length of the next run
 *   control:adopt(node) -> number   only the control runs it from now on
 *   control:pause(number, bool)     its processes and timers stand still
 *   control:offer(actor, object) -> number    a step that is not a node's
 *   control:withdraw(number)
 *   control:clock(bool)             whether something besides the nodes waits
 *                                   for time
 *   control:hold_clock(steps)       for so many steps time passes only if
 *                                   nothing else can happen
 *   control:on_end(fn)              fn(pid, reason) is called for each process
 *                                   that ends; if it answers true, run comes
 *                                   back after the step ("over"). on_end(nil)
 *                                   takes it back
 *   control:run(limit) -> what, number
 *   control:single_step(bool)       whether run comes back after each step
 *   control:draw(n) -> 0..n-1       a choice of data
 *   control:deadline(number) -> ms | nil, bool     the node's next deadline,
 *                                   on its own clock; whether one of its
 *                                   processes waits for time
 *   control:set_now(number, now)    the time, on that node's clock
 *   control:steps() -> integer      how many there were in this run
 *   control:worked() -> integer     how many of them processes and timers
 *                                   took
 *   control:trace(fn)               from now on, note what steps touch, and
 *                                   call fn(kind, value) with the mail that a
 *                                   server is about to handle
 *   control:last() -> kind, op, actor, object, touched     of the last step
 *   control:actor(pid or name) -> integer   its number in what last answers
 *   control:processes(number) -> list of {actor=, pid=, name=, label=,
 *                                   described=, behaviour=, waits=, on=} of a
 *                                   node; described: its label, or where the
 *                                   function was defined that it runs
 *
 * run takes steps until it has taken `limit` of them in this run ("limit"),
 * or nothing is pending ("idle"), or the step is the caller's to take: an
 * offer ("offer", its number) or the passing of time ("clock", over how many
 * other steps). It also comes back after a step of a node with links or events
 * ("node", its number), after links of a node have done something because of
 * the time ("node"; that is no step), and in single step after any step
 * ("step"). Under dfs it may find that this run will be as an earlier one
 * ("redundant").
 */
#ifndef BYN_CONTROL_SEAM_H
#define BYN_CONTROL_SEAM_H

#include "../value/compat.h"

struct byn_control;
struct control_node_entry;

/* `control`: into the table on top. */
void byn_control_functions(lua_State *L);

/* The control at index 1; raises if it is none. */
struct byn_control *byn_control_check(lua_State *L);

/* The entry of the node whose number is argument 2; raises if there is no such
 * node. */
struct control_node_entry *byn_control_check_node(lua_State *L,
                                                  struct byn_control *c);

#endif
