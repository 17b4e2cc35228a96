/* Links, monitors and calls under way: what ties one process to another.
 *
 * A relation has two ends. Each end that is a local process stands in that
 * process's list; an end that is remote stands in the list of its peer, so
 * that the end of a process and the end of a connection are the same walk.
 *
 *   LINK      both ends alike; the end of one is an exit signal to the other.
 *             Between nodes also the memory of one, see core/tie.h
 *   MONITOR   a watches b; the end of b is a DOWN to a
 *   WATCH     the same, told to a's behaviour instead
 *   CALL      a waits for b's reply; the end of b answers `nil, reason`
 *
 * MONITOR and CALL have a serial, unique at a's node: the ref.
 */
#ifndef BYN_RELATION_H
#define BYN_RELATION_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/tie.h"
#include "../value/compat.h"
#include "../value/id.h"
#include "process.h"

struct byn_node;
struct byn_world;

typedef enum byn_relation_kind {
  BYN_LINK,
  BYN_MONITOR,
  BYN_CALL,
  BYN_WATCH
} byn_relation_kind;

/* Which end of a relation is on another node: never both. */
typedef enum byn_abroad { BYN_NEITHER, BYN_A_ABROAD, BYN_B_ABROAD } byn_abroad;

/* The process at an end that is here is the one whose list it hangs in; what
 * is abroad is named in memory that only such relations have. */
typedef struct byn_relation {
  struct byn_relation_end {
    struct byn_relation *next, *previous;
    byn_relation_list *list;
  } a, b;
  union {
    uint64_t serial;
    byn_tie tie; /* of a LINK; of one on this node always 0 */
  };
  int what; /* slot: what a DOWN calls the monitored one, or 0: its pid */
  uint8_t kind;
  uint8_t abroad; /* byn_abroad */
  bool mapped;    /* byn_find_monitor knows it */
  byn_id far[];   /* the process abroad, if there is one */
} byn_relation;

/* A walk of the relations in a list that goes on while some of them end, and
 * while new ones are made, which it does not visit. Its node knows it until it
 * ends; a walk whose node is closed is at its end. */
typedef struct byn_relation_walk {
  byn_relation *at; /* the next one, or NULL */
  const byn_relation_list *list;
  struct byn_relation_walk *next, **link; /* NULL: the node knows it no more */
} byn_relation_walk;

void byn_relation_walk_begin(byn_relation_walk *walk, struct byn_node *node,
                             const byn_relation_list *list);
/* Also one that has ended. */
void byn_relation_walk_end(byn_relation_walk *walk);
/* Ends all walks of a node. */
void byn_relation_walks_close(struct byn_node *node);
/* The one after r in a list, or NULL. */
static inline byn_relation *byn_relation_after(const byn_relation *r,
                                               const byn_relation_list *list) {
  return r->a.list == list ? r->a.next : r->b.next;
}

/* Opens the world's pools of relations. */
void byn_relation_open(struct byn_world *w);

/* Afterwards one relation between processes of this node can be made without
 * fail. Raises when memory is short. */
void byn_relation_reserve(lua_State *L, struct byn_node *node, bool mapped);

/* Makes a relation and hangs it into the lists of both ends. An end whose
 * node is not connected is not possible: the caller has looked. `serial` is
 * 0 for a LINK. With `mapped`, byn_find_monitor will find it. Raises when
 * memory is short, with nothing made. */
byn_relation *byn_relate(lua_State *L, struct byn_node *node,
                         byn_relation_kind kind, const byn_id *a,
                         const byn_id *b, uint64_t serial, bool mapped);
/* The same for two processes of one node. */
byn_relation *byn_relate_local(lua_State *L, byn_relation_kind kind,
                               byn_process *a, byn_process *b, uint64_t serial,
                               bool mapped);
/* Unhangs and frees it. */
void byn_unrelate(lua_State *L, struct byn_node *node, byn_relation *r);
/* The same for a MONITOR, WATCH or CALL that its a gives up: a node where its
 * b is hears of that. */
void byn_relation_give_up(lua_State *L, struct byn_node *node, byn_relation *r);
/* The node that the b of a relation is on, if that is another, or NULL. */
static inline byn_origin *byn_called_abroad(const byn_relation *r) {
  return r->abroad == BYN_B_ABROAD ? r->far[0].origin : NULL;
}

/* The process at one of its ends. */
const byn_id *byn_end_id(const byn_relation *r,
                         const struct byn_relation_end *end);
/* The other end of a relation that stands in `list`. */
static inline const byn_id *byn_far_id(const byn_relation *r,
                                       const byn_relation_list *list) {
  return byn_end_id(r, r->a.list == list ? &r->b : &r->a);
}

/* The link between a local process and another, or its memory; or NULL. */
byn_relation *byn_find_link(const byn_process *p, const byn_id *other);
/* The monitor or call with that serial made by a process of `origin`. */
byn_relation *byn_find_monitor(struct byn_node *node, const byn_origin *origin,
                               uint64_t serial);

#endif
