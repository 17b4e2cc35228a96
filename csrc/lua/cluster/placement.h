/* The placement of a distributed supervisor's children as Lua sees it: the
 * inside of banyan.distributed_supervisor.
 *
 * A thin coat over core/placement: children are named by their ids, hosts by
 * the pid of their coordinator; both are turned into the numbers of the core
 * and back.
 */
#ifndef BYN_LUA_PLACEMENT_H
#define BYN_LUA_PLACEMENT_H

#include "../value/compat.h"

/* Pushes the table of what distributed_supervisor builds on:
 *
 *   new(host, node, keep_ended_ms, keep_ended) -> placement
 *   event(name, fields)   an event of this node, with these fields
 *   is_id(value) -> bool  is it a pid or a ref?
 *
 * A placement has the methods of core/placement.h. Places are the values
 * epoch, seq, state (2 RUNNING, 1 ENDED), host, flags (1 TEMPORARY + 2
 * PINNED); a digest is a string of 8 bytes.
 *
 *   set_host(host, state)      host_state(host) -> state
 *                              "unknown", "up", "down", "dead"
 *   drop_host(host) -> bool    digest(host) -> string
 *   join(node)  leave(node)    members() -> list of names
 *   owner(id) -> name | nil
 *   get(id) -> epoch, seq, state, host, flags | nil
 *   run(id) -> "none", "starting", "running", "stopping"
 *   merge(id, epoch, seq, state, host, flags, now) -> bool
 *   starting(id)  started(id, flags) -> bool  failed(id)
 *   restarted(id) -> bool  stopping(id)  ended(id, now) -> bool
 *   end_run(id)  abandon(id, now)
 *   review()  next(now) -> action, id | nil
 *             "start", "stop", "announce", "end", "forget"
 *   list([host]) -> ids that have a place, on that host
 *   counts() -> how many run, how many ended
 */
void byn_placement_open(lua_State *L);

#endif
