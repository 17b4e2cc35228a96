/* A list that grows at its end: what strategies remember. */
#include "strategy_stack.h"

#include "../assert.h"

#define CAPACITY_MIN 16
#define CAPACITY_MAX                                                           \
  (1u << 24) /* so that its bytes fit a size_t of 32 bits                      \
              */

void *byn_strategy_stack_push(byn_strategy *s, byn_strategy_stack *stack,
                              size_t size) {
  byn_assert(size > 0);
  byn_assert(stack->count <= stack->capacity);
  if (stack->count == stack->capacity) {
    uint32_t capacity = stack->capacity ? stack->capacity * 2 : CAPACITY_MIN;
    void *more = capacity > CAPACITY_MAX
                     ? NULL
                     : byn_resize(s->alloc, stack->items,
                                  stack->capacity * size, capacity * size);
    if (!more) {
      s->failed = true;
      return NULL;
    }
    stack->items = more;
    stack->capacity = capacity;
  }
  byn_assert(stack->count < stack->capacity);
  return (char *)stack->items + stack->count++ * size;
}

void byn_strategy_stack_free(byn_strategy *s, byn_strategy_stack *stack,
                             size_t size) {
  byn_assert((stack->items == NULL) == (stack->capacity == 0));
  byn_free(s->alloc, stack->items, stack->capacity * size);
  *stack = (byn_strategy_stack){0};
}
