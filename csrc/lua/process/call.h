/* Calls: a request with a ref, and the reply that finds its way back.
 *
 * A call is a relation of its caller to the one called, so that the end of
 * the one, or of the connection, answers the other. The caller waits for its
 * ref on its own coroutine and never looks into its mailbox: a call costs
 * the same however many messages wait there, and a late reply finds nobody.
 */
#ifndef BYN_CALL_H
#define BYN_CALL_H

#include "../value/compat.h"
#include "node.h"
#include "relation.h"

/* The one called has ended, or cannot be reached: answers the caller `nil,
 * reason`, with the reason on top (popped), and frees r. */
void byn_call_failed(lua_State *L, byn_node *node, byn_relation *r);

/* A reply has come for `ref`, from the node `from`: `count` values on top
 * (popped). It is dropped if nobody waits for it any more. */
void byn_call_replied(lua_State *L, byn_node *node, const byn_id *ref,
                      byn_origin *from, int count);

/* Sends the `count` values on top of L (popped) as the reply to `ref`,
 * wherever its caller is. Nothing happens if nobody waits for it any more. */
void byn_reply(lua_State *L, byn_node *node, const byn_id *ref, int count);
/* The same, but raises only when memory is short. false: a value cannot be
 * sent; the values stay where they are, the error is on top. */
bool byn_try_reply(lua_State *L, byn_node *node, const byn_id *ref, int count);

/* call, ask, cast, request, abandon, reply: into the table on top. */
void byn_call_functions(lua_State *L);

#endif
