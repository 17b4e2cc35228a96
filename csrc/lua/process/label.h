/* Labels: what a person calls a process, in process_info, in events and in the
 * reports of lockstep.
 *
 * One that has none of its own is called by what it runs: a server by its
 * module (see otp/server_label), a plain process by where its function was
 * defined. The latter is found when somebody asks, so that it costs a spawn
 * nothing.
 */
#ifndef BYN_LABEL_H
#define BYN_LABEL_H

#include "../value/compat.h"
#include "process.h"

#define BYN_LABEL_MAX 255 /* bytes */

/* Pushes the label of p, else where its function was defined, else nil. */
void byn_label_push(lua_State *L, const byn_process *p);

/* Before the code of p is closed because it failed: what byn_label_push finds
 * in it becomes the label. */
void byn_label_keep(lua_State *L, byn_process *p);

/* Pushes "file:line" for the function at `index`, or nil if it has none. */
void byn_label_push_definition(lua_State *L, int index);

/* set_label(text): of the caller
 * label_by(fn): the caller is called by where fn was defined
 * Into the table on top. */
void byn_label_functions(lua_State *L);

#endif
