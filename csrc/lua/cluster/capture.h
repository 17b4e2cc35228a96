/* Capture: the standard output of this OS process, framed.
 *
 * Where a peer has nothing but its standard output to speak to its origin, both
 * go the same way. Then file descriptor 1 is made the end of a pipe, and a
 * thread reads that and writes what comes as OUTPUT frames of the control
 * channel to where the output went before. What prints and what it prints does
 * not matter: Lua, C or a child process; nothing else gets there.
 *
 *   print, write(1) -> pipe -> the thread -> OUTPUT ->  the former output
 *   byn_capture_put ------------> DATA ------------->
 *
 * The thread is there because a process that prints much without waiting would
 * wait for the node that it holds up. It reads the pipe only when all else is
 * written, so DATA never waits for more than one piece of output, and a program
 * that prints faster than the origin reads waits, as with any pipe.
 *
 * There is one in an OS process. As that exits, what was printed is still
 * written, for a limited time.
 */
#ifndef BYN_CAPTURE_H
#define BYN_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "../../core/wire/channel.h"

/* Begins, with what makes the frames: nobody else may use that any more.
 * Answers 0 or an errno. */
int byn_capture_begin(const byn_seal *seal);
bool byn_capture_is_on(void);
/* Writes a DATA frame. false: memory is short. Does not wait. */
bool byn_capture_put(const void *body, size_t n);

#endif
