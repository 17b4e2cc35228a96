/* What a trace and a report show of a control: the methods trace, last, actor
 * and processes (control_seam.h).
 */
#ifndef BYN_CONTROL_VIEW_H
#define BYN_CONTROL_VIEW_H

#include "../value/compat.h"

/* The methods: into the table on top. */
void byn_control_view_functions(lua_State *L);

#endif
