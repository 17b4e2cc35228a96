/* Whether a function looks at its n-th argument: an argument that nobody
 * looks at need not be made.
 *
 * lua_getinfo knows, but takes its time, so what it said is kept for some
 * functions, by their address. A slot keeps each of them alive, so that no
 * other can come to have that address.
 */
#ifndef BYN_ARITY_H
#define BYN_ARITY_H

#include <stdbool.h>

#include "compat.h"

struct byn_world;

#define BYN_ARITIES 64 /* functions remembered; a power of two */

typedef struct byn_arity {
  const void *fn; /* NULL: none yet */
  int slot;
  int count; /* the parameters; INT_MAX: any number */
} byn_arity;

/* Does the function at `index` look at an n-th argument? true for what may:
 * C functions, and objects that can be called. Raises when memory is short. */
bool byn_takes(lua_State *L, struct byn_world *w, int index, int n);

#endif
