/* The choices of one run, in order: all that a run under lockstep depends on
 * besides the code that runs.
 *
 * A choice is an integer in 0..n-1, and 0 is always what would happen without
 * lockstep: a tape of zeros is that run, and so is an empty tape. A choice
 * among one is no choice, and is not on the tape.
 *
 *   recording   the owner chooses; byn_tape_note appends the choice
 *   replaying   byn_tape_answer chooses as a script says: an integer that is
 *               too large becomes n-1, past the end of the script it is 0.
 *               So every script can be replayed, also one that was cut or
 *               lowered in search of a smaller one. What was answered is on
 *               the tape, and a replay of that gives the same run.
 *
 * When memory is short the choices from there on are not kept and `failed`
 * says so; in a replay that can only meet choices past the end of the script.
 */
#ifndef BYN_TAPE_H
#define BYN_TAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "../alloc.h"

typedef struct byn_tape {
  const byn_alloc *alloc; /* must outlive the tape */
  uint32_t *values;       /* what was chosen, to be read at any time */
  uint32_t count, capacity;
  uint32_t *script; /* a copy of what was given to byn_tape_replay */
  uint32_t script_count, script_capacity;
  bool replaying;
  bool failed; /* memory was short: the tape ends too early */
} byn_tape;

/* Empty, and recording. */
void byn_tape_init(byn_tape *t, const byn_alloc *alloc);
void byn_tape_clear(byn_tape *t); /* frees what it holds */

/* Begin at the start, with no choice made yet. The memory is kept, so a tape
 * that is used again takes none. The values are copied, and may be the tape's
 * own; false when memory is short, the tape is then empty and recording. */
void byn_tape_record(byn_tape *t);
bool byn_tape_replay(byn_tape *t, const uint32_t *values, uint32_t count);

/* Recording: `choice` was made among n, 1 <= n. */
void byn_tape_note(byn_tape *t, uint32_t n, uint32_t choice);

/* Replaying: which of n it is, 1 <= n. */
uint32_t byn_tape_answer(byn_tape *t, uint32_t n);

#endif
