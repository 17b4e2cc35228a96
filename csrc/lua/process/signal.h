/* Signals: exits, links and monitors, by Erlang's rules (Erlang reference
 * manual, "Processes"). Both ends may be on this node or on another.
 *
 * A signal takes effect at once, which keeps the order of any two between one
 * pair of processes.
 */
#ifndef BYN_SIGNAL_H
#define BYN_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"
#include "../value/id.h"
#include "dest.h"
#include "process.h"
#include "relation.h"

struct byn_node;

/* An exit signal from `from`, with the reason at `index`. `linked`: because
 * a link broke, rather than by pid:exit. Erlang's rules. */
void byn_signal_exit(lua_State *L, byn_process *p, const byn_id *from,
                     int index, bool linked);

/* Sends the exit signal with the reason at `index` to any pid, local or
 * remote, as pid:exit does. */
void byn_exit_to(lua_State *L, struct byn_node *node, const byn_id *from,
                 const byn_id *to, int index);

/* Links a local process to any pid; what is dead answers with "noproc", what
 * cannot be reached with "noconnection". And the reverse. */
void byn_link_to(lua_State *L, byn_process *p, const byn_id *to);
void byn_unlink_from(lua_State *L, byn_process *p, const byn_id *to);

/* Watches any pid: p->behaviour->lost hears of its end, at once if it is not
 * there. */
void byn_watch(lua_State *L, byn_process *p, const byn_id *to);
/* Ends a monitor; quiet about a serial that is gone. */
void byn_demonitor(lua_State *L, byn_process *p, uint64_t serial);

/* The call `ref` of a process that ends, which did not take it, is answered
 * "noproc". */
void byn_call_refuse(lua_State *L, byn_process *p, const byn_id *ref);
/* The first of the relations that the dead end has breaks, for the reason at
 * `index`: tells the other end and frees it. */
void byn_relation_break_first(lua_State *L, struct byn_node *node,
                              byn_relation_list *list, int index);
/* The same for the monitor or call with that serial, if there is one and what
 * it is after was at `lost`. */
void byn_monitor_break(lua_State *L, struct byn_node *node, uint64_t serial,
                       const byn_origin *lost, int index);

/* Monitors a destination, known as `ref` from then on; `index` is the value
 * it was worked out from, which a DOWN repeats. */
void byn_monitor_dest(lua_State *L, byn_process *p, const byn_dest *to,
                      int index, const byn_id *ref);

#endif
