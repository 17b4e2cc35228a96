/* What a process needs of other nodes.
 *
 * A node with a name has these functions from cluster/, which carries them
 * out over its links. A node without a name has none: node->remote is NULL,
 * and nobody is connected. `origin` is never the node's own.
 *
 * Those that send one signal answer false if the node is not connected, or no
 * more: a signal that finds no memory or a full queue ends the link. `index`
 * is the stack index of a term. Those that carry a message raise what
 * byn_term_encode raises, and for one that is too large; reasons that cannot
 * travel become text.
 */
#ifndef BYN_REMOTE_OPS_H
#define BYN_REMOTE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/map.h"
#include "../value/compat.h"
#include "../value/id.h"

struct byn_dest;
struct byn_node;
struct byn_process;
struct byn_relation_list;

typedef struct byn_remote_ops {
  /* Is that life of a node connected? */
  bool (*connected)(const struct byn_node *node, const byn_origin *origin);
  /* Why a process of an origin that is not is out of reach: "noproc" if that
   * node lives on in another life, "noconnection" otherwise. */
  const char *(*absence)(const struct byn_node *node, const byn_origin *origin);
  /* The life of the connected node of that name, or NULL. */
  byn_origin *(*named)(const struct byn_node *node, const char *name);
  /* Where relations to processes of that origin hang, and what finds those
   * that it made by their serials; NULL if it is not connected. */
  struct byn_relation_list *(*relations)(const struct byn_node *node,
                                         const byn_origin *origin);
  byn_map *(*monitors)(const struct byn_node *node, const byn_origin *origin);

  bool (*send)(lua_State *L, struct byn_node *node, const struct byn_dest *to,
               int index);
  bool (*cast)(lua_State *L, struct byn_node *node, const struct byn_dest *to,
               int index);
  bool (*call)(lua_State *L, struct byn_node *node, const byn_id *ref,
               const struct byn_dest *to, int index);
  /* Pops nothing; the `count` terms are on top. */
  bool (*reply)(lua_State *L, struct byn_node *node, const byn_id *ref,
                int count);
  bool (*link)(lua_State *L, struct byn_node *node, const byn_id *from,
               const byn_id *to);
  bool (*unlink)(lua_State *L, struct byn_node *node, const byn_id *from,
                 const byn_id *to, uint64_t number);
  bool (*exit)(lua_State *L, struct byn_node *node, const byn_id *from,
               const byn_id *to, int index, bool linked);
  bool (*monitor)(lua_State *L, struct byn_node *node, const byn_id *watcher,
                  uint64_t serial, const struct byn_dest *to);
  bool (*demonitor)(lua_State *L, struct byn_node *node, byn_origin *to,
                    uint64_t serial);
  bool (*down)(lua_State *L, struct byn_node *node, byn_origin *to,
               uint64_t serial, int index);

  /* Has p, in BYN_WAIT_SLEEP without a timer, woken once that node's queue has
   * drained or its link is down. false: its senders need not wait, or memory
   * is short. */
  bool (*block)(struct byn_node *node, const byn_origin *origin,
                struct byn_process *p);

  /* The node stood still until now: what its links wait for has all its time
   * again. Precedes the next tick. */
  void (*after_gap)(struct byn_node *node);
  /* Does what is due; _deadline: when that is again, or BYN_NEVER. */
  void (*tick)(lua_State *L, struct byn_node *node);
  int64_t (*deadline)(const struct byn_node *node);
} byn_remote_ops;

#endif
