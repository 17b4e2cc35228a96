/* Links between nodes: one end of one. */
#include "tie.h"

#include "assert.h"
#include "coverage.h"

/* The facts. All but APART belong to an unlink that is not confirmed. */
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

/* Is there an unlink that is not confirmed? */
static bool is_unconfirmed(const byn_tie *t) {
  return t->word >> FACTS;
}

/* The facts about an unlink are gone once it is confirmed; and the other end's
 * LINK counts only after its UNLINK. */
static bool is_sound(const byn_tie *t) {
  if (!is_unconfirmed(t)) return !has(t, MINE | THEIRS | HEARD);
  return has(t, HEARD) || !has(t, THEIRS);
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
      (unsigned)(has(t, APART) + (is_unconfirmed(t) ? 2 : 0) +                 \
                 (is_unconfirmed(t) ? 2 * has(t, MINE) + 4 * has(t, THEIRS)    \
                                    : 0)),                                     \
      event)

bool byn_tie_is_linked(const byn_tie *t) {
  byn_assert(is_sound(t));
  return !has(t, APART);
}

bool byn_tie_is_over(const byn_tie *t) {
  byn_assert(is_sound(t));
  return has(t, APART) && !is_unconfirmed(t);
}

bool byn_tie_link(byn_tie *t) {
  byn_assert(!byn_tie_is_over(t));
  COVER(t, "link");
  if (!has(t, APART)) return false;
  t->word = (t->word | MINE) & ~(uint64_t)APART;
  byn_assert(byn_tie_is_linked(t));
  return true;
}

bool byn_tie_unlink(byn_tie *t, uint64_t number) {
  byn_assert(!byn_tie_is_over(t));
  byn_assert(number > t->word >> FACTS);
  byn_assert(number <= UINT64_MAX >> FACTS);
  COVER(t, "unlink");
  if (has(t, APART)) return false;
  t->word = number << FACTS | APART;
  byn_assert(!byn_tie_is_linked(t));
  byn_assert(is_unconfirmed(t));
  return true;
}

void byn_tie_on_link(byn_tie *t) {
  byn_assert(!byn_tie_is_over(t));
  COVER(t, "on_link");
  if (is_unconfirmed(t) && !has(t, HEARD)) return; /* the old link's */
  if (is_unconfirmed(t)) t->word |= THEIRS;
  t->word &= ~(uint64_t)APART;
  byn_assert(byn_tie_is_linked(t));
}

/* If this end has linked again since its own unlink, the other end gets that
 * LINK after both unlinks: they stay linked. */
void byn_tie_on_unlink(byn_tie *t) {
  byn_assert(!byn_tie_is_over(t));
  COVER(t, "on_unlink");
  if (is_unconfirmed(t)) t->word |= HEARD;
  if (!is_unconfirmed(t) || !has(t, MINE)) t->word |= APART;
  byn_assert(is_sound(t));
}

void byn_tie_on_confirm(byn_tie *t, uint64_t number) {
  byn_assert(!byn_tie_is_over(t));
  COVER(t, "on_confirm");
  if (t->word >> FACTS == number) t->word &= APART;
  byn_assert(is_sound(t));
}

bool byn_tie_on_exit(byn_tie *t) {
  byn_assert(!byn_tie_is_over(t));
  COVER(t, "on_exit");
  bool counts = !has(t, APART) && (!is_unconfirmed(t) || has(t, THEIRS));
  if (counts) t->word |= APART;
  byn_assert(is_sound(t));
  return counts;
}
