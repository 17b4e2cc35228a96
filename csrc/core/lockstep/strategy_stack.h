/* A list that grows at its end: what strategies remember. */
#ifndef BYN_STRATEGY_STACK_H
#define BYN_STRATEGY_STACK_H

#include "strategy_parts.h"

/* Items of one size; only the first `count` are in use. */
typedef struct byn_strategy_stack {
  void *items;
  uint32_t count, capacity;
} byn_strategy_stack;

/* Where the next item goes, not cleared. NULL when memory is short: the
 * strategy has failed. */
void *byn_strategy_stack_push(byn_strategy *s, byn_strategy_stack *stack,
                              size_t size);
/* Frees the items. */
void byn_strategy_stack_free(byn_strategy *s, byn_strategy_stack *stack,
                             size_t size);

#endif
