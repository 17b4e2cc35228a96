/* The node as a driver sees it in Lua: told the time and the bytes, asked
 * for actions.
 *
 *   core.node(opts) -> node     name, incarnation, secret, entropy, clock,
 *                               seed, events, the limits of link.h, and the
 *                               traits hidden, quiet (wire/handshake.h)
 *   node:step(now) -> next      fires what is due, runs what is ready, and
 *                               answers when it wants to be called again
 *                               (<= now: at once; nil: not before input)
 *   node:action() -> ...        until nil: "dial", link, name [, address,
 *                                                own, doubted]
 *                                          "write", link, bytes
 *                                          "close", link
 *   node:accepted(now [, address]) -> link
 *                               a connection came in; nil, err: close it
 *   node:connected(link, now [, address])
 *                               a dial has reached its peer, where it was not
 *                               dialled as its name says: there
 *   node:received(link, bytes, now)
 *   node:written(link, n, now)  the transport has taken n bytes
 *   node:closed(link, reason, now)
 *   node:events() -> list|nil   what was decided since the last call
 *   node:spawn(fn, ...) -> pid  node:send(dest, msg)   node:name()
 *   node:kept() -> table        what modules keep for its life: process/kept.h
 *   node:nodes() -> list        the names of those that are connected
 *   node:has_lost_name() -> bool
 *                               another node has its name: it is to be stopped
 *   node:process_count()        node:shutdown(): says goodbye to all peers
 *   node:close()                ends every process; the node is gone
 *
 * "close" comes last, once what was to be written is: the driver closes the
 * transport when all of it is out. It does not come for a link that the
 * driver has said is closed.
 *
 * A dial with an `address` (core/addresses.h) is to that before it is to what
 * the name says. With `own` it resumes a session, and a refusal proves the end
 * of the node: it may only be reported of the place over TCP that `own`, the
 * node's own word, names, or of what the name says if it names none ("", say).
 * `doubted`: somebody else may listen at the address.
 *
 * Times are whole milliseconds and never go back. A link number that the
 * node has forgotten is ignored.
 */
#ifndef BYN_SEAM_H
#define BYN_SEAM_H

#include "value/compat.h"

/* `node`: into the table on top. */
void byn_seam_functions(lua_State *L);

#endif
