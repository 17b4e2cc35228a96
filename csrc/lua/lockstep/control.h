/* Control of nodes step by step, for lockstep: what would run next by itself
 * is put before a strategy, one step at a time.
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
 *   control:length() -> integer     pct: how long it takes the next run to be
 *   control:adopt(node) -> number   only the control runs it from now on
 *   control:pause(number, bool)     its processes and timers stand still
 *   control:offer(actor, object) -> number    a step that is not a node's
 *   control:withdraw(number)
 *   control:clock(bool)             somebody but the nodes waits for time
 *   control:calm(steps)             for so many steps time passes only if
 *                                   nothing else can happen
 *   control:on_end(fn)              fn(pid, reason) is called for each process
 *                                   that ends; if it answers true, run comes
 *                                   back after the step ("over"). on_end(nil)
 *                                   takes it back
 *   control:run(limit) -> what, number
 *   control:single(bool)            run comes back after each step
 *   control:draw(n) -> 0..n-1       a choice of data
 *   control:deadline(number) -> ms | nil, bool     when the node waits to be
 *                                   told the time, on its own clock; does a
 *                                   process of it wait for time at all?
 *   control:tell(number, now)       the time, on that node's clock
 *   control:steps() -> integer      how many there were in this run
 *   control:worked() -> integer     of these, how many processes and timers
 *                                   took
 *   control:trace(fn)               from now on, note what steps touch; calls
 *                                   fn(kind, value) with the mail that a server
 *                                   is about to handle
 *   control:last() -> kind, op, actor, object, touched     of the last step
 *   control:actor(pid or name) -> integer   the number that it has in there
 *   control:processes(number) -> list of {actor=, pid=, name=, label=,
 *                                   behaviour=, waits=, on=} of a node
 *
 * run takes steps until it has taken `limit` of them in this run ("limit"),
 * or nothing is pending ("idle"), or the step is the caller's to take: an
 * offer ("offer", its number) or the passing of time ("clock", over how many
 * other steps). After a step of a node with links or events it comes back as
 * well ("node", its number), also when its links did something because of the
 * time, which is no step; and after any step if single ("step"). Under dfs it
 * may find that this run will be as an earlier one ("redundant").
 *
 * A step of a process goes from one point to the next: a point is where it
 * waits, and each place where it is about to do what others can notice (send,
 * link, register, ...). On LuaJIT, whose C functions cannot be left and
 * entered again, only waiting is a point.
 */
#ifndef BYN_CONTROL_H
#define BYN_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "../process/control_points.h"
#include "../process/node.h"

/* A node that a control has adopted tells it of its steps by these. */
extern const byn_control_points byn_control_points_taken;

/* `control`: into the table on top. */
void byn_control_functions(lua_State *L);

#endif
