/* This node's own name, where another life has it or claims it. What follows is
 * decided in core/membership.h; here it is asked, answered and told of by the
 * event `name_taken`.
 */
#ifndef BYN_OWN_NAME_H
#define BYN_OWN_NAME_H

#include "../value/compat.h"
#include "cluster.h"

/* Another life claims this node's name, says a peer: the node answers while it
 * has that. */
void byn_own_name_asked(lua_State *L, byn_cluster *c, byn_peer *peer,
                        const byn_question *question);
/* The peer has refused this node, for the sake of another life. */
void byn_own_name_refused(lua_State *L, byn_cluster *c, const byn_peer *peer,
                          const byn_holder *holder);

#endif
