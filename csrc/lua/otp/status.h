/* What a server shows of itself: to get_status, and in the event of its crash.
 *
 * A status is a table {state=, message=, reason=}. A module may have
 * format_status(self, status): it puts something else in place of what nobody
 * is to see, and returns the table. The state in it is a table of its own;
 * what lies in that is the server's.
 */
#ifndef BYN_STATUS_H
#define BYN_STATUS_H

#include "../value/compat.h"

/* Pushes the instance at `index` as a plain table, without its module. */
void byn_status_push_state(lua_State *L, int index);

/* format_status got the status at `index` and has ended with `status` and
 * `count` values on top (popped): pushes the status to be shown. If it failed,
 * that says so in place of the state. */
void byn_status_formatted(lua_State *L, int index, int status, int count);

/* Sets those fields of the event on top that the status at `index` has. */
void byn_status_tell(lua_State *L, int index);

#endif
