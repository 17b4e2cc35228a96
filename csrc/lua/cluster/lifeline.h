/* Lifeline: a peer does not outlive its origin.
 *
 * The origin holds the other end of a file descriptor of the peer: of a socket
 * made for that, or of its standard input. The kernel closes it when the origin
 * is gone, however it ended. A thread of the peer waits for that and ends the
 * OS process there and then, whatever its other threads do: it is not asked
 * whether Lua code runs, or a C function that does not return.
 */
#ifndef BYN_LIFELINE_H
#define BYN_LIFELINE_H

#include "../value/compat.h"

/* Into the table on top:
 *
 * lifeline(fd, group) -> true | nil, err: ends this OS process once the other
 *   end of `fd` is closed; its process group, too, if that is `group` or has
 *   this process for its leader: then it has what this one started
 * lifeline_is_there(fd) -> is it an open socket, so one of this kind?
 * lifeline_read(fd) -> the first line that comes, without its end | nil, err;
 *   blocks, and reads no byte more
 * lifeline_own(fd): no child process inherits it
 * lifeline_end_group(): SIGTERM for all others of the group that this process
 *   leads; it ignores that signal from then on
 * empty_stdin(): what reads from standard input finds its end */
void byn_lifeline_functions(lua_State *L);

#endif
