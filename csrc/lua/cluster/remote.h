/* Signals between processes of two nodes: what one link message says.
 *
 *   byte 0    then
 *   1 SEND        dest, term
 *   2 CALL        caller's index, serial, dest, term
 *   3 CAST        dest, term
 *   4 REPLY       caller's index, serial, varint count, terms
 *   5 LINK        id of the sender's process, id of the receiver's
 *   6 UNLINK      the same, then a varint: its number
 *   7 UNLINKED    the same, then the reason: a link broke
 *   8 EXIT        the same: pid:exit
 *   9 MONITOR     id of the watcher, serial of the ref, dest
 *  10 DEMONITOR   serial: the watcher or caller waits for it no longer
 *  11 DOWN        serial, the reason: what it watched or called has ended
 *  12 NODES       varint count, names: the nodes the sender is connected to
 *  13 CONFIRM     the same as UNLINK, which it answers
 *  14 ADDRESS     name, address: where that node can be dialled (addresses.h);
 *                 only to one that has the trait BYN_TRAIT_ADDRESSES
 *
 *   dest      0, id of a process   or   1, name
 *   id, term  as in term.h; numbers are varints, names strings
 *
 * Signals travel in order. None is ever answered with an error in the sender's
 * program: a signal to a process that is gone has no answer, DOWN "noproc" or
 * UNLINKED "noproc", as on one node.
 */
#ifndef BYN_REMOTE_H
#define BYN_REMOTE_H

#include <stdbool.h>

#include "../value/compat.h"
#include "../process/dest.h"
#include "../process/node.h"

/* Each sends one signal to a connected node. false: it is not connected, or
 * no more: a signal that finds no memory or a full queue ends the link.
 * `index` is the stack index of a term. Those with a message raise what
 * byn_term_encode raises, and for one that is too large; reasons that cannot
 * travel become text. All leave the stack as it was. */
bool byn_remote_send(lua_State *L, byn_node *node, const byn_dest *to,
                     int index);
bool byn_remote_cast(lua_State *L, byn_node *node, const byn_dest *to,
                     int index);
bool byn_remote_call(lua_State *L, byn_node *node, const byn_id *ref,
                     const byn_dest *to, int index);
/* The `count` terms are on top, and stay there. */
bool byn_remote_reply(lua_State *L, byn_node *node, const byn_id *ref,
                      int count);
bool byn_remote_link(lua_State *L, byn_node *node, const byn_id *from,
                     const byn_id *to);
bool byn_remote_unlink(lua_State *L, byn_node *node, const byn_id *from,
                       const byn_id *to, uint64_t number);
bool byn_remote_exit(lua_State *L, byn_node *node, const byn_id *from,
                     const byn_id *to, int index, bool linked);
bool byn_remote_monitor(lua_State *L, byn_node *node, const byn_id *watcher,
                        uint64_t serial, const byn_dest *to);
bool byn_remote_demonitor(lua_State *L, byn_node *node, byn_origin *to,
                          uint64_t serial);
bool byn_remote_down(lua_State *L, byn_node *node, byn_origin *to,
                     uint64_t serial, int index);

struct byn_peer;

/* Sends a peer that has come up this node's address, and the names and
 * addresses of the other nodes that are up. */
void byn_remote_nodes(lua_State *L, byn_node *node, struct byn_peer *peer);

/* One message came from a peer that is up: does what it says. false: it makes
 * no sense, the link is to be closed. The stack is left as it was. */
bool byn_remote_receive(lua_State *L, byn_node *node, struct byn_peer *peer,
                        const uint8_t *bytes, size_t n);

#endif
