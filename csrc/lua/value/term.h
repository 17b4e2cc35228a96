/* Messages as values: copied between processes, encoded between nodes.
 *
 * A message is nil, a boolean, a number, a string, a pid, a ref, or a table
 * of those without cycles and without a metatable (exit reasons, which are
 * arrays with a metatable of ours, are the one exception). Functions,
 * userdata and coroutines pass by reference inside a node and are refused on
 * the wire.
 *
 * On the wire, a term is a tag byte and what follows it:
 *
 *   0 nil   1 false   2 true
 *   3 integer    signed varint
 *   4 float      8 bytes, IEEE 754, big-endian
 *   5 string     varint length, bytes
 *   6 table      varint n, varint m, n terms (1..n), m pairs of terms
 *   7 reason     the same, with the metatable of reasons
 *   8 pid        id         9 ref       id
 *
 * A number of LuaJIT, a double, is an integer here where it counts as one
 * (compat.h). An integer that no double equals is refused at the sender if
 * the receiver has only doubles, and is nonsense where it came to such a one.
 * What is kept as bytes for any node that may want it (cluster/dist_value.h)
 * has such integers; a node with doubles does not decode it.
 *
 *   id           origin, varint serial, varint index
 *   origin       0 the sender, 1 the receiver, 2 varint length, name,
 *                u64 incarnation
 */
#ifndef BYN_TERM_H
#define BYN_TERM_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/wire/buffer.h"
#include "compat.h"
#include "id.h"
#include "reason.h"

#define BYN_TERM_DEPTH 100        /* tables within tables */
#define BYN_TERM_ELEMENTS 1000000 /* values in one message */

/* Pushes a copy of the value at `index`: tables deep, all else as it is.
 * Raises an error that names what cannot be sent. Does not yield. */
void byn_term_copy(lua_State *L, int index);
/* The same, but raises only when memory is short: false with the error, a
 * text, in place of the copy. Errors name the place, as in "msg.list[3]":
 * `what` is the name of the whole value there. */
bool byn_term_try_copy(lua_State *L, int index, const char *what);

/* Appends the value at `index` to `b`. Without `from` and `to` (NULL) the
 * origin of each id is spelled out, so that anybody can read it. Raises what
 * byn_term_copy raises, and for functions, userdata and coroutines "cannot send
 * a function to another node", without the line of the program in front; the
 * caller then truncates `b`. */
void byn_term_encode(lua_State *L, int index, byn_buf *b,
                     const byn_origin *from, const byn_origin *to,
                     const char *what);

/* Pushes the next term of `r`. false, with nothing pushed, if the bytes are
 * malformed or beyond a limit. Raises only when memory is short. */
bool byn_term_decode(lua_State *L, byn_reader *r, byn_origin *from,
                     byn_origin *to);

/* The same of a term that another cluster has sent, with spelled out ids: the
 * name of each pid's node has BYN_TERM_FOREIGN behind it, which no node has, so
 * that it reaches nobody, whatever it was. Refs, which reach nobody anyway,
 * stay as they are. */
#define BYN_TERM_FOREIGN " (elsewhere)"
bool byn_term_decode_foreign(lua_State *L, byn_reader *r);

/* What a term has that this Lua has no value for. */
typedef struct byn_lacking {
  bool any;
  int64_t integer; /* the first one that no double equals */
} byn_lacking;

/* The same, but the text of its digits stands for an integer that this Lua has
 * no number for, and `lacking` says so: to see whether the bytes are sound, or
 * to show them to a person. */
bool byn_term_decode_shown(lua_State *L, byn_reader *r, byn_lacking *lacking);

/* Pushes the digits of an integer, whatever numbers this Lua has. */
void byn_push_digits(lua_State *L, int64_t integer);

/* Are the bytes that of one integer, as byn_term_encode writes it? */
bool byn_term_is_integer(const uint8_t *bytes, size_t n, int64_t *integer);

/* An id on its own, as inside a term. decode: false if malformed. */
void byn_id_encode(byn_buf *b, const byn_id *id, const byn_origin *from,
                   const byn_origin *to);
bool byn_id_decode(lua_State *L, byn_reader *r, byn_id *id, byn_origin *from,
                   byn_origin *to);

#endif
