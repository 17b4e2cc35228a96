#include "coverage.h"

#ifdef BYN_COVERAGE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static byn_machine *first;

byn_machine *byn_machines(void) {
  return first;
}

void byn_machine_add(byn_machine *machine) {
  machine->next = first;
  first = machine;
}

/* The place of a word among words, or -1. */
static int place(const char *words, const char *word) {
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
  if (state >= BYN_COVER_STATES || event >= BYN_COVER_EVENTS) {
    fprintf(stderr, "%s: no state %u, or no event %u\n", machine->name, state,
            event);
    abort();
  }
  machine->counts[state][event]++;
}

void byn_cover(byn_machine *machine, unsigned state, const char *event) {
  byn_cover_nth(machine, state, (unsigned)place(machine->events, event));
}

#endif
