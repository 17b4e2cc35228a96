/* Child specs as a person writes them: read, checked, and packed into the
 * array that a supervisor takes.
 *
 * lua/banyan/childspec.lua has what is beside that: shorthands, and the
 * options of a back-off.
 */
#ifndef BYN_CHILDSPEC_H
#define BYN_CHILDSPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "../value/compat.h"

/* The places in a packed spec. A supervisor keeps those from the id on. */
enum {
  BYN_SPEC_OP = 1,  /* free for the request it travels in */
  BYN_SPEC_POLICY,  /* a whole number: see byn_policy */
  BYN_SPEC_BACKOFF, /* {min, max, factor, jitter, reset_after} or false */
  BYN_SPEC_ID,      /* or false */
  BYN_SPEC_START,   /* a function, or the name of a module */
  BYN_SPEC_FN,      /* the name of the function in the module, or false */
  BYN_SPEC_FIRST    /* its arguments */
};

enum { BYN_ARGUMENTS_MOST = 1000 }; /* of a start function */

/* What is small in a spec. One number holds all of it, one that a double can
 * be: to read a place in a table costs more than to take a number apart.
 *
 *    | shutdown + 2 | arguments | significant | supervisor | restart |
 *          33            10            1            1           2  bits
 */
typedef struct byn_policy {
  int64_t shutdown; /* ms, BYN_SHUTDOWN_... */
  int restart;      /* byn_restart_type */
  int arguments;    /* how many */
  bool supervisor, significant;
} byn_policy;

lua_Integer byn_policy_pack(const byn_policy *p);
/* Reads the number in the packed spec at `index`; false: it makes no sense. */
bool byn_policy_read(lua_State *L, int index, byn_policy *p);

/* Pushes pack(spec, optional) -> packed | nil, what is wrong: a spec that is
 * a table, no shorthand; `optional`: may it lack an id? What is at
 * BYN_SPEC_BACKOFF is as it was written. */
void byn_childspec_open(lua_State *L);

#endif
