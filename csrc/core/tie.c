#include "tie.h"

#include "coverage.h"

/* The facts. All but APART matter only while an unlink is not confirmed. */
enum {
  APART = 1,  /* not linked */
  MINE = 2,   /* this end has linked again since */
  THEIRS = 4, /* the other end has linked again since */
  HEARD = 8,  /* the other end has unlinked since: what follows is newer */
  FACTS = 4   /* bits */
};

static bool has(const byn_tie *t, uint64_t fact) {
  return t->word & fact;
}

static void set(byn_tie *t, uint64_t facts) {
  t->word |= facts;
}

static void join(byn_tie *t) {
  t->word &= ~(uint64_t)APART;
}

static bool waits(const byn_tie *t) {
  return t->word >> FACTS;
}

/* Whether an unlink is not confirmed, with what is known since; and whether
 * it is apart. */
BYN_MACHINE("tie",
            "linked apart unconfirmed+linked unconfirmed+apart "
            "unconfirmed+mine unconfirmed+mine+apart "
            "unconfirmed+theirs unconfirmed+theirs+apart "
            "unconfirmed+both unconfirmed+both+apart",
            "link unlink on_link on_unlink on_confirm on_exit");

#define COVER(t, event)                                                        \
  BYN_COVER(                                                                   \
      (unsigned)(has(t, APART) + (waits(t) ? 2 : 0) +                          \
                 (waits(t) ? 2 * has(t, MINE) + 4 * has(t, THEIRS) : 0)),      \
      event)

bool byn_tie_is_linked(const byn_tie *t) {
  return !has(t, APART);
}

bool byn_tie_is_over(const byn_tie *t) {
  return has(t, APART) && !waits(t);
}

bool byn_tie_link(byn_tie *t) {
  COVER(t, "link");
  if (!has(t, APART)) return false;
  join(t);
  set(t, MINE);
  return true;
}

bool byn_tie_unlink(byn_tie *t, uint64_t number) {
  COVER(t, "unlink");
  if (has(t, APART)) return false;
  t->word = number << FACTS | APART;
  return true;
}

void byn_tie_on_link(byn_tie *t) {
  COVER(t, "on_link");
  if (!waits(t)) {
    join(t);
  } else if (has(t, HEARD)) {
    join(t);
    set(t, THEIRS);
  }
}

/* If this end has linked again since its own unlink, the other will hear of
 * that after both unlinks. */
void byn_tie_on_unlink(byn_tie *t) {
  COVER(t, "on_unlink");
  if (waits(t)) set(t, HEARD);
  if (!waits(t) || !has(t, MINE)) set(t, APART);
}

void byn_tie_on_confirm(byn_tie *t, uint64_t number) {
  COVER(t, "on_confirm");
  if (t->word >> FACTS == number) t->word &= APART;
}

bool byn_tie_on_exit(byn_tie *t) {
  COVER(t, "on_exit");
  bool counts = !has(t, APART) && (!waits(t) || has(t, THEIRS));
  if (counts) set(t, APART);
  return counts;
}
