/* The children of a supervisor: what each keeps, and where to find it.
 *
 * A child is made from a packed spec (see childspec.h). It stays until the
 * machine forgets it or delete_child takes it out. From its first start on it
 * is found by its last pid, also when that has ended; a child of a static
 * supervisor is found by its id all the time.
 */
#ifndef BYN_SUPERVISOR_CHILD_H
#define BYN_SUPERVISOR_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/restart.h"
#include "../value/compat.h"
#include "../process/process.h"
#include "supervisor.h"

/* `core` is first: a pointer to one is a pointer to the other. `spec` is the
 * slot of {id, start, fn, args...}. A temporary child of a dynamic supervisor,
 * which is started only once, has the packed spec there instead, and once it
 * has started only the id. */
typedef struct byn_supervised {
  byn_child core;
  byn_id pid;                   /* the last one; no origin: never started */
  struct byn_supervised *chain; /* the next in its chain */
  const byn_mail *unread_exit; /* an EXIT of this pid in the mailbox, or NULL */
  int spec;
  uint32_t arguments : 30;
  uint32_t packed : 1;    /* the slot has the packed spec */
  uint32_t announced : 1; /* told as started and not yet as ended */
} byn_supervised;

/* Makes a child from the packed spec at `index`, which stays; with the
 * `more` arguments at places 3.. of the table at `extra`. NULL: it is not as
 * childspec.c packs it. Raises when memory is short. */
byn_supervised *byn_supervised_new(lua_State *L, byn_process *p, int index,
                                   int extra, int more);
/* Takes it out of the tables and frees it. */
void byn_supervised_free(lua_State *L, byn_process *p, byn_supervised *child);
/* Frees the chains, which are empty. */
void byn_supervised_clear(byn_process *p);

/* Of a static supervisor: enters the child under its id. Raises when memory
 * is short. */
void byn_supervised_add_id(lua_State *L, byn_process *p, byn_supervised *child);
/* It has a new pid, in place of the old one. Raises when memory is short. */
void byn_supervised_set_pid(lua_State *L, byn_process *p, byn_supervised *child,
                            const byn_id *pid);
/* Its arguments will not be needed again. */
void byn_supervised_drop_arguments(lua_State *L, byn_process *p,
                                   byn_supervised *child);

/* The child with the id at `index`, or with the pid; NULL. */
byn_supervised *byn_supervised_by_id(lua_State *L, byn_process *p, int index);
byn_supervised *byn_supervised_by_pid(const byn_supervisor *s,
                                      const byn_id *pid);

/* Pushes its id, or nil. */
void byn_supervised_push_id(lua_State *L, const byn_supervised *child);
/* Pushes what a call of its start function needs, the function first;
 * answers how many arguments. */
int byn_supervised_push_start(lua_State *L, byn_process *p,
                              const byn_supervised *child);
/* Pushes its spec as a person would write it, defaults filled in. */
void byn_supervised_push_spec(lua_State *L, const byn_supervised *child);
/* The same for a packed spec (a template) at `index`. */
void byn_supervised_push_packed(lua_State *L, int index);

#endif
