/* Directives: what a handler of a server answers besides plain replies.
 *
 *   noreply            the reply comes later, by server.reply
 *   ignore             from init: start no server, and that is no failure
 *   stop_with(r, ...)  end for the reason r; what follows is the reply
 *   continue(arg)      call handle_continue(arg) before any mail is read
 *
 * A directive is a userdata of ours, so that no reply can be taken for one.
 */
#ifndef BYN_DIRECTIVE_H
#define BYN_DIRECTIVE_H

#include "../value/compat.h"

typedef enum byn_directive_kind {
  BYN_NO_DIRECTIVE, /* any other value */
  BYN_NOREPLY,
  BYN_IGNORE,
  BYN_STOP,
  BYN_CONTINUE
} byn_directive_kind;

/* Makes the metatable; leaves the stack as it was. */
void byn_directive_open(lua_State *L);

/* Pushes a directive that holds the `count` values it pops. */
void byn_directive_make(lua_State *L, byn_directive_kind kind, int count);

/* The kind of the value at `index`. */
byn_directive_kind byn_directive_at(lua_State *L, int index);

/* Of the directive at `index`. Pushes its value: the reason or the argument,
 * nil if it has none. */
void byn_directive_value(lua_State *L, int index);
/* How many replies it carries, and pushes them all. */
int byn_directive_reply_count(lua_State *L, int index);
void byn_directive_replies(lua_State *L, int index);

#endif
