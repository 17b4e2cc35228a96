/* Which events the machines have met in which states, in builds that count. */
#include "coverage.h"

#ifdef BYN_COVERAGE

#include <string.h>

#include "assert.h"

static byn_machine *first;

byn_machine *byn_machines(void) {
  return first;
}

static unsigned count_words(const char *words) {
  unsigned count = *words != 0;
  for (; *words; words++)
    count += *words == ' ';
  return count;
}

void byn_machine_add(byn_machine *machine) {
  byn_assert(count_words(machine->states) <= BYN_COVER_STATES);
  byn_assert(count_words(machine->events) <= BYN_COVER_EVENTS);
  machine->next = first;
  first = machine;
}

/* The place of a word among words, or -1. */
static int place_of(const char *words, const char *word) {
  size_t n = strlen(word);
  for (int i = 0; *words; i++) {
    size_t length = strcspn(words, " ");
    if (length == n && memcmp(words, word, n) == 0) return i;
    words += length;
    words += *words == ' ';
  }
  return -1;
}

void byn_cover_nth(byn_machine *machine, unsigned state, unsigned event) {
  byn_assert(state < count_words(machine->states));
  byn_assert(event < count_words(machine->events));
  machine->counts[state][event]++;
}

void byn_cover(byn_machine *machine, unsigned state, const char *event) {
  byn_cover_nth(machine, state, (unsigned)place_of(machine->events, event));
}

#endif
