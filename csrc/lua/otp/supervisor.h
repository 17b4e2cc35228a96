/* Supervisors: processes that start children, watch them, restart them and
 * stop them, by the decisions of core/restart.
 *
 * A supervisor is a callback process that traps exits. It does one thing at
 * a time: while a start function runs (on a pooled coroutine, so it may
 * wait) or a child is being stopped, all else waits in its mailbox. A child
 * is known by its pid, and in a static supervisor by its id.
 *
 *   supervisor.c          the process: boots, acts, ends
 *   supervisor_request.c  what it is asked
 *   supervisor_child.c    its children and where to find them
 *   supervisor_tell.c     events, and messages to an observer
 *
 * A supervisor whose process is killed takes its children along, and theirs:
 * nothing that it started outlives it.
 */
#ifndef BYN_SUPERVISOR_H
#define BYN_SUPERVISOR_H

#include "../../core/restart.h"
#include "../value/compat.h"
#include "../process/node.h"
#include "../process/process.h"
#include "childspec.h"

/* A child; `core` is first, so that the machine's pointer is ours. */
typedef struct byn_kid {
  byn_child core;
  byn_id pid;            /* the last one; no origin: never started */
  struct byn_kid *chain; /* the next in its chain of byn_supervisor.pids */
  const byn_mail *news;  /* the EXIT of this pid that waits to be read; NULL */
  int spec;              /* slot of {id, start, fn, args...}, or, of a dynamic
                            temporary child, of the packed spec until it runs,
                            then of its id */
  uint32_t arguments : 30;
  uint32_t packed : 1;    /* it is the packed spec */
  uint32_t announced : 1; /* it was told to have started, not to have ended */
} byn_kid;

typedef enum byn_supervisor_kind {
  BYN_STATIC, /* children by id */
  BYN_SIMPLE, /* simple_one_for_one: by pid, made from a template */
  BYN_DYNAMIC /* by pid, each from a spec of its own */
} byn_supervisor_kind;

typedef enum byn_asked {
  BYN_ASKED_NOTHING,
  BYN_ASKED_BOOT,  /* answered when all children have started */
  BYN_ASKED_START, /* when the child has */
  BYN_ASKED_STOP   /* when the child has stopped */
} byn_asked;

typedef struct byn_supervisor {
  byn_restart machine;
  struct byn_kid **pids; /* chains of those that have a pid, by its serial */
  uint32_t chains;       /* how many */
  uint32_t kids;         /* how many stand in them */
  uint64_t newest;       /* the greatest serial that ever stood in them */
  byn_id observer;       /* a process that hears of each child; or serial 0 */
  byn_mail *mail;        /* the request in hand, to be answered; or NULL */
  byn_mail *taken;       /* any other mail that is being read, or NULL */
  byn_kid *starting;     /* whose start function runs, or NULL */
  byn_mail *stray;       /* meanwhile: the first EXIT from no child; or NULL */
  int64_t deadline;      /* of the timer that is set, or BYN_NEVER */
  uint8_t kind;          /* byn_supervisor_kind */
  uint8_t asked;         /* byn_asked */
  bool ready;            /* its machine is set up */
  /* Slots, 0 while they hold nothing. */
  int birth;  /* what it is made from, until it boots */
  int apply;  /* apply(module, fn, ...): calls a function by its names */
  int ids;    /* BYN_STATIC: table id -> child */
  int extra;  /* BYN_DYNAMIC: arguments that come first, or 0;
                 BYN_SIMPLE: the template */
  int reason; /* why it was told to end */
  int recent; /* for what children had to be restarted or did not start: a
                 table of the last BYN_RECENT pairs of id and reason */
  uint32_t troubles; /* how many there were */
} byn_supervisor;

enum { BYN_RECENT = 5 };

/* --- children ------------------------------------------------------------- */

/* Makes a child from the packed spec at `index`, which stays; with the
 * `more` arguments at places 3.. of the table at `extra`. NULL: it is not as
 * childspec.c packs it. Raises when memory is short. */
byn_kid *byn_kid_new(lua_State *L, byn_process *p, int index, int extra,
                     int more);
/* Frees the chains, which are empty. */
void byn_kids_clear(byn_process *p);
/* Takes it out of the tables and frees it. */
void byn_kid_free(lua_State *L, byn_process *p, byn_kid *kid);

/* The child's id is an entry from now on. Raises when memory is short. */
void byn_kid_name(lua_State *L, byn_process *p, byn_kid *kid);
/* It has a new pid, in place of the old one. Raises when memory is short. */
void byn_kid_set_pid(lua_State *L, byn_process *p, byn_kid *kid,
                     const byn_id *pid);
/* Its arguments will not be needed again. */
void byn_kid_strip(lua_State *L, byn_process *p, byn_kid *kid);

/* The child with the id, or the pid, at `index`; NULL. */
byn_kid *byn_kid_named(lua_State *L, byn_process *p, int index);
byn_kid *byn_kid_of(const byn_supervisor *s, const byn_id *pid);

/* Pushes its id, or nil. */
void byn_kid_push_id(lua_State *L, const byn_kid *kid);
/* Pushes what a call of its start function needs, the function first;
 * answers how many arguments. */
int byn_kid_push_start(lua_State *L, byn_process *p, const byn_kid *kid);
/* Pushes its spec as a person would write it, defaults filled in. */
void byn_kid_push_spec(lua_State *L, const byn_kid *kid);
/* The same for a packed spec (a template) at `index`. */
void byn_kid_push_packed(lua_State *L, int index);

/* --- troubles ------------------------------------------------------------- */

/* The child has to be restarted, or did not start, for the reason at `index`.
 * Raises when memory is short. */
void byn_trouble_add(lua_State *L, byn_process *p, const byn_kid *kid,
                     int index);
/* Pushes the reason of the last one, or nil. */
void byn_trouble_push_last(lua_State *L, const byn_process *p);

/* --- telling -------------------------------------------------------------- */

/* An event for the node, and a message for the observer. `reason`: stack
 * index, or 0. */
void byn_tell_started(lua_State *L, byn_process *p, byn_kid *kid,
                      const byn_id *old);
void byn_tell_exited(lua_State *L, byn_process *p, byn_kid *kid, int reason);
void byn_tell_failed(lua_State *L, byn_process *p, byn_kid *kid, int reason);
void byn_tell_gave_up(lua_State *L, byn_process *p, byn_kid *kid);
/* It will not be started again by itself: for the observer, once. */
void byn_tell_ended(lua_State *L, byn_process *p, byn_kid *kid);

/* --- requests ------------------------------------------------------------- */

/* Answers the request in hand with the `count` values on top (popped). */
void byn_supervisor_answer(lua_State *L, byn_process *p, int count);
/* Does what the request in hand asks for, or begins to. */
void byn_supervisor_request(lua_State *L, byn_process *p);
/* Pushes what which_children answers. */
void byn_supervisor_push_rows(lua_State *L, byn_process *p);

/* --- in Lua --------------------------------------------------------------- */

void byn_supervisor_open(lua_State *L);

#endif
