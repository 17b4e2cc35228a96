/* Gaps in a node's time: was it stepped when it had asked for it?
 *
 * The process of the OS may stand still: it is stopped, its machine is
 * suspended, C code that it called blocks, its host does not step the node.
 * When it goes on its clock has gone on too, and what others did not do
 * meanwhile says nothing about them.
 *
 *   WAITING    between two steps: the next one is due at `since`
 *   STEPPING   in a step, which began at `since`
 *   LATE       a time was told that is more than limit_ms after `since`: a
 *              gap, which grows until the step begins, or ends
 *
 *   WAITING ---_step--> STEPPING ---_rest--> WAITING
 *      '--- _told ---> LATE <--- _told ---'
 *                    _step: STEPPING   _rest: WAITING; both tell its length
 *
 * A gap is told once, with all of its length, when it is over. Who acts on
 * times before that looks at `count` and `ms`, which have the gap from the
 * first time that shows it.
 */
#ifndef BYN_GAP_H
#define BYN_GAP_H

#include <stdint.h>

typedef enum byn_gap_state {
  BYN_GAP_WAITING,
  BYN_GAP_STEPPING,
  BYN_GAP_LATE
} byn_gap_state;

/* All to be read; only the functions below write it. */
typedef struct byn_gap {
  byn_gap_state state;
  int64_t limit_ms; /* so much later is no gap */
  int64_t since;    /* BYN_NEVER: it waits for input alone */
  uint64_t count;   /* of the gaps so far, with one that grows still */
  int64_t ms;       /* the length of the last of them */
  int64_t total_ms; /* of all */
} byn_gap;

/* WAITING for input alone. */
void byn_gap_init(byn_gap *gap, int64_t limit_ms);
/* A time was told to the node. */
void byn_gap_told(byn_gap *gap, int64_t now);
/* A step begins. Answers how long the gap was that is over now, or 0. */
int64_t byn_gap_step(byn_gap *gap, int64_t now);
/* The step has ended; the same answer. */
int64_t byn_gap_rest(byn_gap *gap, int64_t now);
/* The node, which is WAITING, asks for a step at `due`, or BYN_NEVER. */
void byn_gap_ask(byn_gap *gap, int64_t now, int64_t due);

#endif
