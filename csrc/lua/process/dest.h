/* Destinations: whom a pid, a name or {name=, node=} stands for.
 */
#ifndef BYN_DEST_H
#define BYN_DEST_H

#include <stdbool.h>

#include "../value/compat.h"
#include "../value/id.h"

struct byn_node;
struct byn_process;

typedef struct byn_dest {
  enum {
    BYN_DEST_LOCAL,  /* process */
    BYN_DEST_REMOTE, /* id (a pid), or origin and name */
    BYN_DEST_DEAD,   /* a pid here that has ended; id */
    BYN_DEST_UNKNOWN /* a name nobody has, or a node not connected */
  } kind;
  struct byn_process *process;
  byn_id id;          /* LOCAL, DEAD, REMOTE by pid (serial not 0) */
  byn_origin *origin; /* REMOTE */
  int name;           /* stack index of the name, REMOTE by name */
  int value;          /* stack index of the destination, if `child` */
  const char *error;  /* UNKNOWN: "noproc" or "noconnection" */
  bool child;         /* what distributed_supervisor.via made */
} byn_dest;

/* A message to `dest`, a child, resolved or not: it is sent to the pid that
 * `dest` becomes, or it is kept for the child's next process, or there is no
 * such child. `kind`: "send" or "cast"; the message is at `index`. Answers the
 * number of results that are pushed, what the sender is answered; 0: it is to
 * be sent. */
int byn_dest_keep(lua_State *L, struct byn_node *node, byn_dest *dest,
                  const char *kind, int index);

/* Works out the destination at `index`: a pid, a registered name,
 * {name=, node=}, or what distributed_supervisor.via made. May push
 * values (the name among them), which must stay while `dest` is in use. Raises
 * on anything else, naming `what`. */
void byn_dest_at(lua_State *L, struct byn_node *node, int index,
                 const char *what, byn_dest *dest);
/* The same, but a child stays UNKNOWN: for those who go on with byn_dest_keep,
 * or call it in their own way. */
void byn_dest_unresolved_at(lua_State *L, struct byn_node *node, int index,
                            const char *what, byn_dest *dest);
/* Finds the process of a child that was left so. */
void byn_dest_resolve(lua_State *L, struct byn_node *node, byn_dest *dest);

#endif
