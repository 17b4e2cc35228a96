/* What a machine has met: which event in which state, how often.
 *
 * Only a build with -DBYN_COVERAGE counts, for `make soak`, in tables that
 * last as long as the program; in any other build nothing is left of this. A
 * file has one machine:
 *
 *   BYN_MACHINE("door", "open shut", "push pull");
 *   void push(door *d) {
 *     BYN_COVER(d->state, "push");
 *
 * The names of states stand in the order of their numbers. BYN_COVER must name
 * one of the events; BYN_COVER_NTH counts an event by its place, from 0.
 */
#ifndef BYN_COVERAGE_H
#define BYN_COVERAGE_H

#include <stdint.h>

#define BYN_COVER_STATES 16
#define BYN_COVER_EVENTS 24

typedef struct byn_machine {
  const char *name, *states, *events; /* words with a space between them */
  struct byn_machine *next;
  uint64_t counts[BYN_COVER_STATES][BYN_COVER_EVENTS];
} byn_machine;

#ifdef BYN_COVERAGE

/* All machines, by `next`. */
byn_machine *byn_machines(void);
void byn_machine_add(byn_machine *machine);
void byn_cover(byn_machine *machine, unsigned state, const char *event);
void byn_cover_nth(byn_machine *machine, unsigned state, unsigned event);

#define BYN_MACHINE(name, states, events)                                      \
  static byn_machine the_machine = {name, states, events, 0, {{0}}};           \
  __attribute__((constructor)) static void add_the_machine(void) {             \
    byn_machine_add(&the_machine);                                             \
  }                                                                            \
  _Static_assert(1, "")
#define BYN_COVER(state, event) byn_cover(&the_machine, (state), (event))
#define BYN_COVER_NTH(state, event)                                            \
  byn_cover_nth(&the_machine, (state), (event))

#else

#define BYN_MACHINE(name, states, events) _Static_assert(1, "")
#define BYN_COVER(state, event) ((void)0)
#define BYN_COVER_NTH(state, event) ((void)0)

#endif

#endif
