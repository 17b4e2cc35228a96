/* Coroutines: kept for re-use, and lent to processes.
 *
 * A coroutine that ended well keeps its slot and waits in the world for the
 * next code. One that ended in an error, or that is suspended, is closed and
 * dropped.
 */
#ifndef BYN_COROUTINE_H
#define BYN_COROUTINE_H

#include <stdbool.h>

#include "../value/compat.h"
#include "../value/world.h"
#include "process.h"

/* Room for `values` more on a coroutine that is new, or that has yielded: it
 * has LUA_MINSTACK places in any case. false: memory is short. */
static inline bool byn_has_room(lua_State *co, int values) {
  return values < LUA_MINSTACK / 2 || lua_checkstack(co, values);
}

/* Afterwards the next coroutine can be taken, and given `values` values,
 * without fail. Raises when memory is short. */
void byn_coroutine_reserve(lua_State *L, byn_world *w, int values);
/* A coroutine with an empty stack and room for `values` values, and the slot
 * that keeps it alive. Raises when memory is short. */
lua_State *byn_coroutine_take(lua_State *L, byn_world *w, int *slot,
                              int values);
/* Gives one back. A coroutine that ended in an error or was suspended is
 * closed (its to-be-closed variables run) and dropped. */
void byn_coroutine_give(lua_State *L, byn_world *w, lua_State *co, int slot,
                        int status);

/* Takes one that is kept for re-use out of the pool: whoever has it from a
 * process that ended has closed or resumed it. */
void byn_coroutine_forget(lua_State *L, byn_world *w, const lua_State *co);

/* Pops a function and `arguments` from L onto a coroutine, to be run next
 * thing when the current callback returns; `returned` hears how it went.
 * The process must have no coroutine in use. */
void byn_process_call(lua_State *L, byn_process *p, int arguments);

/* The same, with the function on top and its arguments below, the first on
 * top of the others: what is found last need not be put below the rest. */
void byn_process_callback(lua_State *L, byn_process *p, int arguments);

#endif
