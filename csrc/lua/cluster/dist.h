/* One node's part of a distributed supervisor (core/dist), for Lua.
 *
 *   core.dist.open(opts) -> dist, fresh    the node keeps it by opts.name: a
 *                                          coordinator that begins again finds
 *                                          the one of before (fresh: false)
 *   core.dist.size(value) -> bytes | nil, err     as it would be sent
 *
 * opts: name, incarnation, seed, hosts, nodes = list | nil, replicas,
 * start_concurrency, max_children (0: none), newest, escalate, max_restarts,
 * max_ms, backoff = {min=, max=, factor=, jitter=}, max_spec, max_checkpoint,
 * handoff_ms, per_second (0: no rebalancing), keep_ended, keep_ended_ms,
 * quorum_needed (0: available, or the majority of quorum_nodes), quorum_nodes =
 * list in byte order | nil, quorum_stop_ms. All but the lists must be there.
 *
 * Its methods are the inputs and questions of core/dist/dist.h and view.h, by
 * the names there, with the node's own time. Ids, pids, reasons and specs are
 * Lua values here; there they are bytes, encoded as terms whose pids and refs
 * name their nodes. A reason that cannot be sent becomes text.
 *
 *   dist:next() -> action | nil      a table of what the action has: kind=,
 *                                    and the fields of byn_dist_action
 *
 * What another node sent is refused as a whole, by receive answering false,
 * where the machine cannot read it, and where a key, pid or spec in it is none
 * (dist_value.h).
 */
#ifndef BYN_LUA_DIST_H
#define BYN_LUA_DIST_H

#include "../../core/dist/dist.h"
#include "../value/compat.h"

/* Pushes the table core.dist. */
void byn_dist_functions(lua_State *L);

/* The machine at index 1, which has been told the time, and before that of a
 * gap in it. */
byn_dist *byn_dist_at(lua_State *L);
/* The same for a question, which changes nothing. */
byn_dist *byn_dist_view_at(lua_State *L);
/* Pushes the id at `index` as bytes. */
byn_dist_id byn_dist_push_key(lua_State *L, int index);

#endif
