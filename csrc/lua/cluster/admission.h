/* Connections that came in: who they are of, and whether they are let in.
 *
 * A connection that came in is a stranger's until it has proved a name. Then
 * it resumes a session that is known here, begins one, or is refused. Where its
 * name belongs to another life it is a claimant (core/membership.h): it is held
 * in ADMITTING, with a peer that is not listed yet, until the membership says
 * ADMIT or REFUSE, or its connection ends.
 */
#ifndef BYN_ADMISSION_H
#define BYN_ADMISSION_H

#include "../../core/membership.h"
#include "../value/compat.h"
#include "cluster.h"
#include "transport.h"

/* A connection came in, from that address ("" if it is not known). NULL and
 * why not: "shutdown", "no_entropy", "out_of_memory", "too_many_handshakes". */
byn_transport *byn_admission_accept(lua_State *L, byn_cluster *c,
                                    const char *address, const char **why);
/* Takes what a stranger's connection has to tell. May raise when memory is
 * short. */
void byn_admission_poll(lua_State *L, byn_cluster *c, byn_transport *t);

/* Carry out the membership's actions of claims: ASK, ADMIT, REFUSE. */
void byn_admission_ask(byn_cluster *c, const byn_member_action *a);
void byn_admission_admit(lua_State *L, byn_cluster *c,
                         const byn_member_action *a);
void byn_admission_refuse(lua_State *L, byn_cluster *c,
                          const byn_member_action *a);

/* The claim of that connection, if it has one, is taken back. */
void byn_admission_withdraw(byn_cluster *c, byn_transport *t,
                            const char *reason);
/* Refuses all claimants: this node stops. */
void byn_admission_shutdown(byn_cluster *c);

#endif
