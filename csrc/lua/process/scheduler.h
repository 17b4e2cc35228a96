/* The scheduler: who runs when.
 *
 * A node has a queue of the processes that are READY. A turn takes the first
 * of them and runs it until it waits, has handled one mail, or has had its
 * share of messages; one that could go on stands at the end of the queue
 * again. Turns are taken inside step only, one at a time.
 *
 * A process that was preempted, and has neither waited nor taken a message
 * since, is busy: it stands in a queue of its own. That has one turn, a short
 * one, in a step in which nobody else is READY; then come sockets and timers,
 * in the next step. So whoever waits for input waits for one short turn,
 * however many loops there are, and what he answers is written first. Where
 * others are READY all the time, the busy have a turn every BUSY_WAIT_MS all
 * the same.
 */
#ifndef BYN_SCHEDULER_H
#define BYN_SCHEDULER_H

#include "../value/compat.h"
#include "process.h"

struct byn_node;

/* Runs ready processes, at most `slices` of them. */
void byn_node_run(lua_State *L, struct byn_node *node, int slices);

/* The one that is ready after `before`, or the first of all; or NULL. */
byn_process *byn_node_next_ready(struct byn_node *node, byn_process *before);
/* Runs one that is ready, whatever its place. */
void byn_node_take_turn(lua_State *L, struct byn_node *node, byn_process *p);

#endif
