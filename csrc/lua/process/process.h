/* A process: its mailbox, its relations, what it waits for, and either a
 * coroutine of its own (spawn) or a behaviour that borrows one (servers,
 * supervisors).
 *
 *   IDLE  -> READY      mail, a reply, a time-out, a wake
 *   READY -> RUNNING    the scheduler's turn
 *   RUNNING -> IDLE     it waits, or has nothing to do
 *   any   -> ENDING     its end is decided; the scheduler buries it
 *
 * A process has at most one coroutine in use. While that waits (call,
 * receive, sleep) the process waits with it, and mail only queues up.
 *
 * Everything runs on one thread, inside step; signals take effect at once,
 * which keeps the order of any two between one pair. Only the process that
 * is running can not end at once: it is doomed, and ends when its slice does.
 */
#ifndef BYN_PROCESS_H
#define BYN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/timers.h"
#include "../value/compat.h"
#include "../value/id.h"
#include "../value/world.h"
#include "mailbox.h"
#include "relation.h"

struct byn_node;
typedef struct byn_process byn_process;

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
  BYN_ENDING,
  BYN_BURIED /* gone, but the run queue still has its memory */
} byn_process_state;

typedef enum byn_wait {
  BYN_WAIT_NOTHING, /* resumed with the values on its coroutine */
  BYN_WAIT_MESSAGE, /* receive: resumed with the first message */
  BYN_WAIT_MAIL,    /* receive with a match: resumed when more came */
  BYN_WAIT_SLEEP,
  BYN_WAIT_REPLY, /* resumed with what byn_reply left on the coroutine */
  BYN_WAIT_PAUSE, /* it yielded by hand: resumed at its next turn */
  BYN_WAIT_POINT  /* about to do what others can notice: see control.h */
} byn_wait;

/* Idle ones are many: what is added here is paid for each of them. */
struct byn_process {
  struct byn_node *node;
  byn_process *next_ready, *next_ending;
  byn_id id;
  const byn_behaviour *behaviour;
  void *self; /* the behaviour's */
  lua_State *co;
  uint64_t parent; /* serial of the one that made it, on this node; 0: none */
  uint32_t parent_index;
  int thread;       /* slot of co */
  int arguments;    /* values on co to resume with; -1: no reply yet */
  int name;         /* slot of the registered name, or 0 */
  int doom;         /* slot of the reason it must end for */
  int label;        /* slot: a name for people, or 0 (process_info.label) */
  uint32_t held_ms; /* in earlier turns that were cut short */
  uint8_t state, wait;
  bool traps : 1;         /* trap_exit */
  bool watches_nodes : 1; /* monitor_nodes */
  bool doomed : 1;        /* ends when its slice does */
  bool exited : 1;        /* doomed by its own banyan.exit */
  bool felled : 1;        /* its end is no news: a signal's, or told already */
  bool queued : 1;        /* stands in the run queue */
  bool expired : 1;       /* the wait's time is over */
  bool woken : 1;         /* to be READY again after this slice */
  bool held : 1;          /* a behaviour that mail must not run for now */
  bool matching : 1;      /* a match function runs: receive is refused */
  bool preempted : 1;     /* this turn was cut short: see preempt.h */
  unsigned told : 5;      /* log2 of the held_ms to be told next */
  byn_mailbox mail;
  byn_relation_list relations;
  byn_relation *call;  /* BYN_WAIT_REPLY: the call, or NULL */
  uint64_t reply;      /* BYN_WAIT_REPLY: the serial that wakes it */
  byn_timer timer;     /* of the wait */
  byn_timer own_timer; /* of the behaviour */
};

/* What it is doing, as one number: its state, and if it is idle with code that
 * waits, for what. For core/coverage.h. */
#define BYN_PHASES                                                             \
  "idle ready running ending buried waits:nothing waits:message waits:mail "   \
  "waits:sleep waits:reply waits:pause waits:point"
static inline unsigned byn_process_phase(const byn_process *p) {
  bool waits = p->state == BYN_IDLE && p->co;
  return waits ? BYN_BURIED + 1u + p->wait : p->state;
}

/* The pid of the one that made it; its serial is 0 if there is none. */
static inline byn_id byn_parent_of(const byn_process *p) {
  return (byn_id){.origin = p->id.origin,
                  .serial = p->parent,
                  .index = p->parent_index,
                  .kind = BYN_PID};
}

/* --- making and ending ------------------------------------------------ */

/* A process that is IDLE and runs `behaviour`; `parent` is whoever runs now.
 * Raises when memory is short. */
byn_process *byn_process_new(lua_State *L, struct byn_node *node,
                             const byn_behaviour *behaviour);

/* Reserves what byn_process_new takes, and pushes the pid of the process that
 * it will make next: neither it nor pushing that pid can fail then. */
void byn_process_push_next(lua_State *L, struct byn_node *node);

/* In a C function called from the code of a process: ends it for the reason
 * on top, as banyan.exit. The caller returns what this returns. */
int byn_process_exit(lua_State *L, byn_process *p);

/* At the end of a C function that may have ended processes, called by p or,
 * if that is NULL, by the host: buries them, and leaves for good if p is among
 * them. The caller returns what this returns; `results` values are on top. */
int byn_process_leave(lua_State *L, byn_process *p, int results);

/* Pops a reason and ends the process for it: at once, or, if it is running,
 * at the end of its slice. Never calls back into p before it returns to the
 * scheduler, except p's to-be-closed variables and `ended`. */
void byn_process_end(lua_State *L, byn_process *p);

/* The same where the reason is in p->doom already; cannot fail. p does not
 * run. */
void byn_process_bury_later(byn_process *p);

/* Takes back what byn_process_end decided while p ran. */
void byn_process_pardon(lua_State *L, byn_process *p);

/* Pushes the pid of p: made anew if nobody in Lua holds it. */
void byn_process_push(lua_State *L, const byn_process *p);

/* --- the scheduler's side ---------------------------------------------- */

/* Puts it into the run queue if it is IDLE. */
void byn_process_ready(byn_process *p);

/* Pops a function and `arguments` from L onto a coroutine, to be run next
 * thing when the current callback returns; `returned` hears how it went.
 * The process must have no coroutine in use. */
void byn_process_call(lua_State *L, byn_process *p, int arguments);

/* The same, with the function on top and its arguments below, the first on
 * top of the others: what is found last need not be put below the rest. */
void byn_process_callback(lua_State *L, byn_process *p, int arguments);

/* Appends a mail (taken over) and wakes the process if it waits for one. */
void byn_process_mail(lua_State *L, byn_process *p, byn_mail *mail);

/* Pops a message and hands it to p right away if p waits in a receive for
 * whatever comes: none is before it then. false: nothing is done. */
bool byn_process_hand(lua_State *L, byn_process *p);

/* Sets the behaviour's timer, `ms` from now; replaces one that is set.
 * byn_process_untimer takes it away. */
void byn_process_timer(lua_State *L, byn_process *p, int64_t ms);
void byn_process_untimer(byn_process *p);

/* In a C function called from the code of process p: waits. The caller does
 * `return byn_process_wait(L, p, what, ms)`; what the wait yields is what
 * the function returns to Lua. ms < 0: no limit. After `ms` the results are
 * `nil, "timeout"` (BYN_WAIT_SLEEP: true; BYN_WAIT_MAIL: false).
 * Raises if this place in the code cannot wait (outside a process, inside a
 * C function that cannot be left). */
int byn_process_wait(lua_State *L, byn_process *p, byn_wait what, int64_t ms);

/* At the end of a C function that took a message for p: has p had its share
 * of this turn, and can it wait here? */
bool byn_process_gives_way(lua_State *L, byn_process *p);

/* Raises if the code of p cannot wait here, before anything is done. */
void byn_process_check_wait(lua_State *L, const byn_process *p);

/* A new ref that a reply may be sent to, which p will wait for with
 * BYN_WAIT_REPLY. */
void byn_process_expect(byn_process *p, byn_id *ref);

/* Waits for the reply to `call`, known by `ref`; p can wait here. If this
 * raises, for want of memory, the call is no more. */
int byn_process_wait_reply(lua_State *L, byn_process *p, byn_relation *call,
                           const byn_id *ref, int64_t ms);

/* Takes the first mail out and pushes what the program sees of it; false if
 * there is none. */
bool byn_process_take_mail(lua_State *L, byn_process *p);
/* Frees a mail that code of the process took out. */
void byn_process_drop_mail(lua_State *L, byn_process *p, byn_mail *mail);

/* The wait's timer is due. */
void byn_process_expire(byn_process *p);

/* Pops `count` values as what BYN_WAIT_REPLY answers, and wakes p. */
void byn_process_answer(lua_State *L, byn_process *p, int count);

/* Takes the memory of a process that is in no queue any more. */
void byn_process_free(byn_process *p);

/* --- signals ------------------------------------------------------------ */

/* An exit signal from `from`, with the reason at `index`. `linked`: because
 * a link broke, rather than by pid:exit. Erlang's rules. */
void byn_signal_exit(lua_State *L, byn_process *p, const byn_id *from,
                     int index, bool linked);

/* Sends the `count` values on top of L (popped) as the reply to `ref`,
 * wherever its caller is. Nothing happens if nobody waits for it any more. */
void byn_reply(lua_State *L, struct byn_node *node, const byn_id *ref,
               int count);
/* The same, but raises only when memory is short. false: a value cannot be
 * sent; the values stay where they are, the error is on top. */
bool byn_try_reply(lua_State *L, struct byn_node *node, const byn_id *ref,
                   int count);

/* Sends the exit signal with the reason at `index` to any pid, local or
 * remote, as pid:exit does. */
void byn_exit_to(lua_State *L, struct byn_node *node, const byn_id *from,
                 const byn_id *to, int index);

/* Links a local process to any pid; what is dead answers with "noproc", what
 * cannot be reached with "noconnection". And the reverse. */
void byn_link_to(lua_State *L, byn_process *p, const byn_id *to);
void byn_unlink_from(lua_State *L, byn_process *p, const byn_id *to);

/* Watches any pid: p->behaviour->lost hears of its end, at once if it is not
 * there. */
void byn_watch(lua_State *L, byn_process *p, const byn_id *to);
/* Ends a monitor; quiet about a serial that is gone. */
void byn_demonitor(lua_State *L, byn_process *p, uint64_t serial);

/* The first of the relations that the dead end has breaks, for the reason at
 * `index`: tells the other end and frees it. */
void byn_relation_break_first(lua_State *L, struct byn_node *node,
                              byn_relation_list *list, int index);
/* The same for the monitor or call with that serial, if there is one and what
 * it is after was at `lost`. */
void byn_monitor_break(lua_State *L, struct byn_node *node, uint64_t serial,
                       const byn_origin *lost, int index);

#endif
