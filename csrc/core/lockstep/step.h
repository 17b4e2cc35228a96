/* A step that could be next. */
#ifndef BYN_LOCKSTEP_STEP_H
#define BYN_LOCKSTEP_STEP_H

#include <stdint.h>

typedef enum byn_step_kind {
  BYN_STEP_PROCESS,
  BYN_STEP_TIMER,
  BYN_STEP_NETWORK,
  BYN_STEP_CLOCK
} byn_step_kind;

typedef struct byn_pending {
  uint64_t actor;  /* who takes it; never 0 */
  uint64_t object; /* what it is known to touch besides its actor; 0: nothing */
  uint8_t kind;    /* a byn_step_kind */
} byn_pending;

#endif
