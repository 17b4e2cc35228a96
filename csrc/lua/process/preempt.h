/* Preemption: a process that runs for too long is made to give way.
 *
 * The watchdog puts a hook into the code of a turn that is late. The hook
 * yields, which pcall does not notice; to the scheduler that looks as if the
 * process had called coroutine.yield, and it goes to the end of the run queue
 * with nothing else changed. So it works in any code of any process: plain
 * ones, handlers, init, start functions, match functions.
 *
 * Where the code cannot yield (below a C function such as table.sort), the
 * hook waits for functions to return until it can. It does not come to code
 * that runs in a coroutine of the process's own, in a finalizer or in a hook,
 * nor to a C function that does not return.
 *
 * The time of those turns of a process that were each cut short adds up: that
 * is how long it has held the node without once waiting or taking a message.
 * Over node->kill_after_ms the process ends of {"held_node", ms}, as if it had
 * been killed: nothing in it can catch that, and no terminate runs. Below a C
 * function it is left by errors, one at each instruction until the code can
 * yield or has ended.
 *
 * The event process_held_node reports the time held: once it is long enough
 * for a person to care, and then whenever it has doubled.
 */
#ifndef BYN_PREEMPT_H
#define BYN_PREEMPT_H

#include "../value/compat.h"
#include "node.h"
#include "process.h"
#include "watchdog.h"

/* Has the node's processes preempted after `slice_ms`, and killed after
 * `kill_after_ms`, 0 for never. Answers an errno, or 0. */
int byn_preempt_open(byn_node *node, int slice_ms, int64_t kill_after_ms);

/* After a turn of p that was late, or of one that had held the node before:
 * adds up the time, and reports it where that is due. */
void byn_preempt_account(lua_State *L, byn_process *p);

/* p takes a message, or waits: it holds the node no more. */
static inline void byn_preempt_reset(byn_process *p) {
  p->held_ms = 0;
  p->held_log2 = 0;
}

#endif
