/* Pids and refs: names for processes and events that never repeat.
 *
 * An id is a userdata {origin, serial, index, kind}. The origin is the node
 * that made it, one life of it: (name, incarnation). The serial is unique
 * within an origin; the index is where that node keeps the process, so a
 * lookup is one array access and a comparison.
 *
 * Ids are interned in a weak table per origin: equal ids are the same
 * userdata and may be table keys. Origins are shared by all nodes of a Lua
 * state, so the rule holds across the nodes that a test runs side by side.
 */
#ifndef BYN_ID_H
#define BYN_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "compat.h"

struct byn_world;
struct byn_node;

typedef enum byn_id_kind { BYN_PID = 1, BYN_REF = 2 } byn_id_kind;
enum { BYN_ID_KINDS = BYN_REF };

/* An incarnation is the millisecond in which the node began, and below that so
 * many random bits, for two lives of one name that begin at once. */
#define BYN_INCARNATION_BITS 10

/* One life of one node. It goes when no id of it is left in Lua and nothing
 * in C uses it (mails, relations and peers do). */
typedef struct byn_origin {
  struct byn_origin *next;
  struct byn_node *node; /* the node itself where it lives in this state */
  const uint64_t *last_serial; /* of what that node made; NULL without it */
  char *name;                  /* "nonode" for a node without a name */
  uint64_t incarnation;        /* see BYN_INCARNATION_BITS */
  uint32_t uses;               /* by mails, relations and peers */
  int ids;      /* registry key of the weak table of userdata, by serial, and
                   of their metatables */
  bool has_ids; /* as byn_origins_prune has just found */
  bool doubles; /* a node that was up and has no integers: LuaJIT */
  bool ours;    /* a node of this Lua state, also once that has closed */
  bool retired; /* its name and incarnation were given to another node */
} byn_origin;

typedef struct byn_id {
  byn_origin *origin;
  uint64_t serial;
  uint32_t index; /* of a pid: the process; of a call's ref: the caller */
  uint32_t kind : 8;
  uint32_t mark : 24; /* of a userdata: see byn_id_at */
} byn_id;

/* Lives of nodes that are known at a time, at most: messages may name any. */
#define BYN_ORIGINS_MAX 4096

/* Serials are keys of tables, also where those are doubles. */
#define BYN_SERIAL_MAX (BYN_EXACT - BYN_ID_KINDS)

/* Room for the canonical bytes of any id. */
#define BYN_ID_BYTES 512

/* Makes the metatables; leaves the stack as it was. */
void byn_id_open(lua_State *L);
/* Pushes the table of methods of pids. */
void byn_pid_methods(lua_State *L);

/* The origin of that name and incarnation, made if need be. Raises when
 * memory is short. */
byn_origin *byn_origin_get(lua_State *L, struct byn_world *w, const char *name,
                           uint64_t incarnation);
/* The same for one that bytes speak of: NULL if it would be one too many. */
byn_origin *byn_origin_heard(lua_State *L, struct byn_world *w,
                             const char *name, uint64_t incarnation);
/* The origin of a node that begins here. Its serials start anew, so if there
 * was a node of that name and incarnation in this state, the ids of that one
 * are not its own. NULL if that one still runs. Raises when memory is
 * short. */
byn_origin *byn_origin_begin(lua_State *L, struct byn_world *w,
                             const char *name, uint64_t incarnation);
/* Frees those that nothing refers to. Pointers in plain C variables do not
 * count, so it is called where there are none: when a peer comes up, and
 * before a message is read once there are many. */
void byn_origins_prune(lua_State *L, struct byn_world *w);
void byn_origins_close(lua_State *L, struct byn_world *w);

/* Pushes the one userdata that stands for `id`. */
void byn_id_push(lua_State *L, const byn_id *id);
/* The same, faster if there is none yet: for an id that is new. */
void byn_id_push_first(lua_State *L, const byn_id *id);
/* The userdata of an id differs from that of other libraries by its size, its
 * kind, and a mark that is worked out from its address: to check these costs a
 * third of a check of the metatable. The size is odd, which no struct's is:
 * else a userdata that another library makes where an id was, and does not fill
 * in, would be taken for that id. */
#define BYN_ID_SIZE (sizeof(byn_id) + 1)
static inline uint32_t byn_id_mark(const byn_id *id) {
  return (uint32_t)(((uint64_t)(uintptr_t)id * 0x9e3779b97f4a7c15u) >> 40);
}
/* The id at a stack index, or NULL if it is something else. */
static inline const byn_id *byn_id_at(lua_State *L, int index) {
  const byn_id *id = lua_touserdata(L, index);
  if (!id || lua_rawlen(L, index) != BYN_ID_SIZE) return NULL;
  bool ours = id->mark == byn_id_mark(id) &&
              (id->kind == BYN_PID || id->kind == BYN_REF);
  return ours ? id : NULL;
}
/* The same, of one kind. */
const byn_id *byn_pid_at(lua_State *L, int index);
const byn_id *byn_ref_at(lua_State *L, int index);

static inline bool byn_id_equal(const byn_id *a, const byn_id *b) {
  return a->serial == b->serial && a->origin == b->origin;
}

/* The canonical bytes of the pid or ref at `index`, the same on every node:
 * kind, name, incarnation, serial. false if it is something else. `out` has
 * room for BYN_ID_BYTES. */
bool byn_id_key(lua_State *L, int index, uint8_t *out, size_t *n);

#endif
