/* What a supervisor is asked: start_child and its kin, and stop. They are
 * calls, arrays that begin with a word: see child_request. */
#ifndef BYN_SUPERVISOR_REQUEST_H
#define BYN_SUPERVISOR_REQUEST_H

#include "../value/compat.h"
#include "../process/process.h"

/* Does what the request in hand asks for, or begins to: s->asked says what
 * the answer then waits for. */
void byn_supervisor_request(lua_State *L, byn_process *p);

/* Answers the request in hand with the `count` values on top (popped). */
void byn_supervisor_answer(lua_State *L, byn_process *p, int count);

/* Pushes what which_children answers. */
void byn_supervisor_push_children(lua_State *L, byn_process *p);

#endif
