/* What lockstep is told of what a node does, and where it may stop a process.
 *
 * A node that runs by itself has no control: node->points is NULL, and each
 * of these places costs one comparison. A node that lockstep has adopted has
 * the functions of lockstep/ there.
 *
 * A point is a C function that leaves and is called again when its turn has
 * come: each that is about to do what other processes can notice begins with
 * BYN_POINT.
 */
#ifndef BYN_CONTROL_POINTS_H
#define BYN_CONTROL_POINTS_H

#include <stdbool.h>

#include "../value/compat.h"

struct byn_node;
struct byn_process;

/* What a process is about to do at a point, or did to go on. */
typedef enum byn_op {
  BYN_OP_RUN,     /* it starts, or goes on with what it was handed */
  BYN_OP_HANDLE,  /* a server or supervisor: the next mail */
  BYN_OP_RECEIVE, /* after a wait: for a message, */
  BYN_OP_WAKE,    /* for some time, */
  BYN_OP_ANSWER,  /* for the reply to a call, */
  BYN_OP_AWAITED, /* for its `done` */
  BYN_OP_TIMER,
  BYN_OP_SEND,
  BYN_OP_CAST,
  BYN_OP_CALL,
  BYN_OP_REPLY,
  BYN_OP_DONE,
  BYN_OP_SEND_AFTER,
  BYN_OP_CANCEL,
  BYN_OP_LINK,
  BYN_OP_UNLINK,
  BYN_OP_MONITOR,
  BYN_OP_DEMONITOR,
  BYN_OP_EXIT,
  BYN_OP_REGISTER,
  BYN_OP_UNREGISTER,
  BYN_OP_WHEREIS,
  BYN_OP_SPAWN
} byn_op;

typedef struct byn_control_points {
  /* Has the code of p, which is about to do `op`, to stop here? Then the C
   * function returns what `stop` returns, given itself, and is called again
   * when its turn has come. `index`: of the pid, name or dest that it
   * touches, or 0. */
  bool (*stops)(lua_State *L, struct byn_process *p, byn_op op, int index);
  int (*stop)(lua_State *L, lua_CFunction fn);

  /* The step that is being taken changes what p will do. */
  void (*touch)(const struct byn_process *p);
  /* It looks at or changes whom the pid or name at `index` stands for. */
  void (*touch_at)(lua_State *L, const struct byn_node *node, int index);
  /* It looks at or changes which names there are. */
  void (*touch_names)(const struct byn_node *node);
  /* p has ended for the reason at `index`. */
  void (*exited)(lua_State *L, const struct byn_process *p, int index);
  /* Something is done to the node from outside of its steps. */
  void (*stir)(struct byn_node *node);
  /* The node is being closed: no control knows it any more. */
  void (*forget)(struct byn_node *node);
} byn_control_points;

/* At the start of the C function `fn`, which p, if not NULL, has called. */
#define BYN_POINT(L, p, fn, op, index)                                         \
  do {                                                                         \
    if ((p) && (p)->node->points && (p)->node->points->stops(L, p, op, index)) \
      return (p)->node->points->stop(L, fn);                                   \
  } while (0)

#endif
