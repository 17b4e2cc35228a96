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

#include <stdbool.h>
#include <stdint.h>

#include "../../core/restart.h"
#include "../value/compat.h"
#include "../process/process.h"

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
  struct byn_supervised **pids; /* chains of the children that have a pid, by
                                   its serial */
  uint32_t chains;              /* how many */
  uint32_t chained;             /* how many children stand in them */
  uint64_t greatest_serial;     /* that ever stood in them */
  byn_id observer;   /* a process that hears of each child; or serial 0 */
  byn_mail *mail;    /* the request in hand, to be answered; or NULL */
  byn_mail *reading; /* any other mail in hand, or NULL */
  struct byn_supervised *starting; /* whose start function runs, or NULL */
  byn_mail *early_exits;  /* while one is starting: the first EXIT in the
                             mailbox that came from no child; or NULL */
  int64_t deadline;       /* of the timer that is set, or BYN_NEVER */
  int64_t stopping_since; /* the last time that a child was told to stop */
  int64_t slow_at;        /* when it is told that children take long to stop, or
                             BYN_NEVER */
  uint8_t kind;           /* byn_supervisor_kind */
  uint8_t asked;          /* byn_asked: what s->mail waits for */
  bool ready;             /* its machine is set up */
  /* Slots, 0 while they hold nothing. */
  int init;     /* until its first turn: a configuration, or a list {function,
                   module, argument} that makes one */
  int apply;    /* apply(module, fn, ...): calls a function by its names */
  int ids;      /* BYN_STATIC: table id -> child */
  int extra;    /* BYN_DYNAMIC: arguments that come first, or 0;
                   BYN_SIMPLE: the template */
  int reason;   /* why it was told to end */
  int failures; /* why children had to be restarted or did not start: a table
                   of the last BYN_RECENT_FAILURES pairs of id and reason */
  uint32_t failure_count;
} byn_supervisor;

enum { BYN_RECENT_FAILURES = 5 };

/* "static", "simple" or "dynamic". */
const char *byn_supervisor_kind_name(const byn_supervisor *s);

/* Pushes the table of what supervisor.lua and childspec.lua build on:
 *
 *   start(init, apply, name, label)
 *       -> pid | nil, err | nil, "ignore"              [yields]
 *   kind(dest)   rows(pid)   pack(spec, optional), see childspec.h
 */
void byn_supervisor_open(lua_State *L);

#endif
