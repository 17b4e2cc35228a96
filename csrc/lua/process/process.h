/* A process: its mailbox, its relations, what it waits for, and either a
 * coroutine of its own (spawn) or a behaviour that borrows one (servers,
 * supervisors).
 *
 *   IDLE  -> READY      mail, a reply, a time-out, a wake
 *   READY -> RUNNING    the scheduler's turn
 *   RUNNING -> IDLE     it waits, or has nothing to do
 *   any   -> EXITING    its end is decided; it has not been told yet
 *   EXITING -> DEAD     byn_node_reap has told its links and monitors
 *
 * A process has at most one coroutine in use. While that waits (call,
 * receive, sleep) the process waits with it, and mail only queues up.
 *
 * Everything runs on one thread, inside step; signals take effect at once,
 * which keeps the order of any two between one pair. Only the process that
 * runs cannot end at once: it is marked as exiting, and its state becomes
 * EXITING when its slice is over.
 */
#ifndef BYN_PROCESS_H
#define BYN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/timers.h"
#include "../value/compat.h"
#include "../value/id.h"
#include "mailbox.h"

struct byn_node;
struct byn_relation;
typedef struct byn_process byn_process;

/* Where the relations of a process, or of a peer, hang: see relation.h. */
typedef struct byn_relation_list {
  struct byn_relation *first;
  uint32_t count;
} byn_relation_list;

/* What the `returned` callback is told besides LUA_OK and the Lua error
 * codes: the code called banyan.exit, its reason is on top. */
#define BYN_EXITED 100

/* Free places that `run` and `returned` find on the scheduler's stack. */
#define BYN_TURN_STACK 40

/* The life of a process that is not a plain function. All callbacks run on
 * the scheduler's stack L, are given balanced stacks and leave them so. They
 * may raise nothing but memory errors, which end the process. */
typedef struct byn_behaviour {
  const char *name; /* "server", "supervisor": shown by process_info */

  /* A turn: the process has mail or was woken, and no coroutine in use.
   * Handles one mail, or starts code with byn_process_call, or waits. It is
   * run again while mail waits, unless p->held. */
  void (*run)(lua_State *L, byn_process *p);

  /* Code begun with byn_process_call has ended. LUA_OK: its `count` results
   * are on top of L. BYN_EXITED: the reason is on top. An error code: the
   * reason {"error", message, traceback} is on top. Pops them. */
  void (*returned)(lua_State *L, byn_process *p, int status, int count);

  /* Optional: sees each mail as it comes; true takes it (and owns it). */
  bool (*received)(lua_State *L, byn_process *p, byn_mail *mail);

  /* Optional: is it meant for the behaviour alone? Code of the process never
   * receives such mail: it stays in its place until `run` takes it. The answer
   * for one mail must not change while code of the process runs. */
  bool (*owns)(const byn_process *p, const byn_mail *mail);

  /* Optional: is the request at `index` one that it takes though its mailbox is
   * full? */
  bool (*always_takes)(lua_State *L, int index);

  /* Optional: code of the process has received a mail that `received` saw,
   * which is freed. */
  void (*dropped)(byn_process *p, const byn_mail *mail);

  /* Optional: a process that it watches (byn_watch) has ended, or is not
   * there, for the reason at index `reason`. */
  void (*lost)(lua_State *L, byn_process *p, const byn_id *pid, int reason);

  /* Optional: the timer set with byn_process_timer is due. */
  void (*timed_out)(lua_State *L, byn_process *p);

  /* Optional: adds to the event of its crash, on top, what else people want
   * to know. Called if p->self is set. */
  void (*tell)(lua_State *L, byn_process *p);

  /* The process has ended for the reason at index `reason`, before its links
   * and monitors hear of it: frees p->self. Called if p->self is set. */
  void (*ended)(lua_State *L, byn_process *p, int reason);
} byn_behaviour;

typedef enum byn_process_state {
  BYN_IDLE,
  BYN_READY,
  BYN_RUNNING,
  BYN_EXITING,
  BYN_DEAD /* its memory is free once it has left the run queue */
} byn_process_state;

typedef enum byn_wait {
  BYN_WAIT_NOTHING, /* resumed with the values on its coroutine */
  BYN_WAIT_MESSAGE, /* receive: resumed with the first message */
  BYN_WAIT_MAIL,    /* receive with a match: resumed when more came */
  BYN_WAIT_SLEEP,
  BYN_WAIT_REPLY, /* resumed with what byn_reply left on the coroutine */
  BYN_WAIT_PAUSE, /* it yielded by hand: resumed at its next turn */
  BYN_WAIT_POINT, /* about to do what others can notice: see control.h */
  BYN_WAIT_AWAIT, /* resumed with what its `done` left on the coroutine */
  BYN_WAIT_BROKEN /* somebody else resumed or closed it: see foreign.h */
} byn_wait;

/* Idle ones are many: what is added here is paid for each of them. */
struct byn_process {
  struct byn_node *node;
  byn_process *next_ready, *next_exiting;
  byn_id id;
  const byn_behaviour *behaviour;
  void *self; /* the behaviour's */
  lua_State *co;
  uint64_t parent; /* serial of the one that made it, on this node; 0: none */
  uint32_t parent_index;
  int thread;       /* slot of co */
  int arguments;    /* values on co to resume with; -1: none yet;
                       BYN_WAIT_BROKEN: slot of the reason, or 0 */
  int name;         /* slot of the registered name, or 0 */
  int exit_reason;  /* slot of the reason it ends for */
  int label;        /* slot: a name for people, or 0 (process_info.label) */
  uint32_t held_ms; /* in earlier turns that were cut short */
  uint8_t state, wait;
  bool traps : 1;         /* trap_exit */
  bool watches_nodes : 1; /* monitor_nodes */
  bool exiting : 1;       /* it becomes EXITING when its slice is over */
  bool exits_itself : 1;  /* because its own code called banyan.exit */
  bool crash_told : 1;    /* no process_crashed event: there was one, or an
                             exit signal ends it */
  bool gave_up : 1;       /* a supervisor whose child crashed too often */
  bool ends_in_order : 1; /* auto_shutdown, its own or of one linked to it */
  bool queued : 1;        /* stands in the run queue */
  bool expired : 1;       /* the wait's time is over */
  bool woken : 1;         /* to be READY again after this slice */
  bool held : 1;          /* a behaviour that mail must not run for now */
  bool matching : 1;      /* a match function runs: receive is refused */
  bool preempted : 1;     /* this turn was cut short: see preempt.h */
  bool owns : 1;          /* resources are released when it ends: owned.h */
  bool awaits_sends : 1;  /* there may be some in node->sends_of */
  bool limited : 1;       /* its mailbox has a limit: mailbox_limit.h */
  bool untaken : 1;       /* nobody took its last call (call_untaken) */
  bool handed_over : 1;   /* its state goes on elsewhere: calls that it has not
                             taken are answered as if it were not there */
  unsigned held_log2 : 5; /* process_held_node again at 2^this held_ms */
  unsigned long_log2 : 5; /* mailbox_long again at 10,000 * 2^this messages */
  uint32_t mail_watch;    /* as long as this, byn_mailbox_grew looks at it */
  byn_mailbox mail;
  byn_relation_list relations;
  struct byn_relation *call; /* BYN_WAIT_REPLY: the call, or NULL */
  uint64_t reply;            /* BYN_WAIT_REPLY, _AWAIT: the serial that wakes
                                it */
  byn_timer timer;           /* of the wait */
  byn_timer own_timer;       /* of the behaviour */
};

/* What it is doing, as one number: its state, and if it is idle with code that
 * waits, for what. For core/coverage.h. */
#define BYN_PHASES                                                             \
  "idle ready running exiting dead waits:nothing waits:message waits:mail "    \
  "waits:sleep waits:reply waits:pause waits:point waits:await waits:broken"
static inline unsigned byn_process_phase(const byn_process *p) {
  bool waits = p->state == BYN_IDLE && p->co;
  return waits ? BYN_DEAD + 1u + p->wait : p->state;
}

/* The pid of the one that made it; its serial is 0 if there is none. */
static inline byn_id byn_parent_of(const byn_process *p) {
  return (byn_id){.origin = p->id.origin,
                  .serial = p->parent,
                  .index = p->parent_index,
                  .kind = BYN_PID};
}

/* --- making and ending -------------------------------------------------- */

/* A process that is IDLE and runs `behaviour`; `parent` is whoever runs now.
 * Raises when memory is short. */
byn_process *byn_process_new(lua_State *L, struct byn_node *node,
                             const byn_behaviour *behaviour);

/* Reserves what byn_process_new takes, and pushes the pid of the process that
 * it will make next: neither it nor pushing that pid can fail then. */
void byn_process_push_next(lua_State *L, struct byn_node *node);

/* Pushes the pid of p: made anew if nobody in Lua holds it. */
static inline void byn_process_push(lua_State *L, const byn_process *p) {
  byn_id_push(L, &p->id);
}

/* Puts p into the run queue if it is IDLE. One that runs is put there when its
 * turn is over. */
void byn_process_ready(byn_process *p);

/* Pops a reason and ends the process for it: at once, or, if it is running,
 * at the end of its slice. Of several reasons the first counts. Never calls
 * back into p before it returns to the scheduler, except p's to-be-closed
 * variables and `ended`. Raises when memory is short, the reason then still
 * on the stack. */
void byn_process_end(lua_State *L, byn_process *p);

/* The same where the reason is in p->exit_reason already; cannot fail. p must
 * neither run nor be EXITING. */
void byn_process_reap_later(byn_process *p);

/* Takes back what byn_process_end decided while p ran: its slice is over, and
 * it has another reason to end, or none. */
void byn_process_cancel_end(lua_State *L, byn_process *p);

/* Takes the memory of a process that is DEAD and in no queue any more. */
void byn_process_free(byn_process *p);

#endif
