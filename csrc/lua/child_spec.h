/* Child specs as a person writes them: read, checked, and packed into the
 * array that a supervisor takes.
 *
 * lua/banyan/child_spec.lua has what is beside that: shorthands, and the
 * options of a back-off.
 */
#ifndef BYN_CHILD_SPEC_H
#define BYN_CHILD_SPEC_H

#include "compat.h"

/* The places in a packed spec. */
enum {
  BYN_SPEC_OP = 1, /* free for the request it travels in */
  BYN_SPEC_ID,     /* or false */
  BYN_SPEC_RESTART,
  BYN_SPEC_SHUTDOWN,
  BYN_SPEC_SUPERVISOR,
  BYN_SPEC_SIGNIFICANT,
  BYN_SPEC_BACKOFF, /* {min, max, factor, jitter, reset_after} or false */
  BYN_SPEC_START,   /* a function, or the name of a module */
  BYN_SPEC_FN,      /* the name of the function in the module, or false */
  BYN_SPEC_COUNT,   /* of arguments, which follow */
  BYN_SPEC_FIRST
};

enum { BYN_ARGUMENTS_MOST = 1000 }; /* of a start function */

/* Pushes pack(spec, optional) -> packed | nil, what is wrong: a spec that is
 * a table, no shorthand; `optional`: may it lack an id? What is at
 * BYN_SPEC_BACKOFF is as it was written. */
void byn_child_spec_open(lua_State *L);

#endif
