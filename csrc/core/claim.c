/* Claims: who waits for a name, and what is asked of its holder. */
#include "claim.h"

#include <string.h>

#include "assert.h"
#include "coverage.h"
#include "timers.h"

enum { QUARTERS = 4 };

BYN_MACHINE("claim", "asking asked answered granted passed",
            "next answered gone passed_over withdrawn quarter_over silent");

static bool is_undecided(const byn_claim *claim) {
  return claim->state <= BYN_CLAIM_ASKED;
}

static int64_t time_after(int64_t now, int64_t ms) {
  return now > 0 && ms > BYN_NEVER - 1 - now ? BYN_NEVER - 1 : now + ms;
}

/* Do the claims stand in order, each with a link of its own, and is at most
 * one of each holder granted? */
static inline bool claims_are_sound(const byn_claims *c) {
  if (c->count > BYN_CLAIMS_MAX) return false;
  for (uint32_t i = 0; i < c->count; i++) {
    const byn_claim *a = &c->at[i];
    if (!a->holder || !a->link || !a->number) return false;
    if (a->number > c->questions || a->quarters == 0) return false;
    for (uint32_t k = i + 1; k < c->count; k++) {
      const byn_claim *b = &c->at[k];
      if (a->link == b->link) return false;
      if (a->holder == b->holder && a->state == BYN_CLAIM_GRANTED &&
          b->state == BYN_CLAIM_GRANTED)
        return false;
    }
  }
  return true;
}

void byn_claims_init(byn_claims *c, int64_t answer_ms) {
  *c = (byn_claims){.quarter_ms = answer_ms / QUARTERS};
  if (c->quarter_ms < 1) c->quarter_ms = 1;
}

/* The undecided claim of that life, or NULL. */
static byn_claim *claim_of_life(byn_claims *c, const void *holder,
                                uint64_t incarnation) {
  for (uint32_t i = 0; i < c->count; i++) {
    byn_claim *claim = &c->at[i];
    if (claim->holder == holder && claim->incarnation == incarnation &&
        is_undecided(claim))
      return claim;
  }
  return NULL;
}

bool byn_claims_hold(byn_claims *c, void *holder, uint64_t incarnation,
                     uint32_t link, unsigned terms, int64_t now) {
  byn_assert(holder && link && terms && !byn_claims_has(c, link));
  if (c->count == BYN_CLAIMS_MAX) return false;
  byn_claim *older = claim_of_life(c, holder, incarnation);
  byn_claim *claim = &c->at[c->count++];
  if (older) {
    *claim = *older;
    older->state = BYN_CLAIM_PASSED;
  } else {
    *claim = (byn_claim){.state = BYN_CLAIM_ASKING,
                         .holder = holder,
                         .incarnation = incarnation,
                         .number = ++c->questions,
                         .quarters = terms * QUARTERS,
                         .due = time_after(now, c->quarter_ms)};
  }
  claim->link = link;
  byn_assert(is_undecided(claim) && claims_are_sound(c));
  return true;
}

void byn_claims_answered(byn_claims *c, const void *holder, uint64_t number) {
  for (uint32_t i = 0; i < c->count; i++) {
    byn_claim *claim = &c->at[i];
    if (claim->holder != holder || claim->number > number) continue;
    BYN_COVER(claim->state, "answered");
    if (is_undecided(claim)) claim->state = BYN_CLAIM_ANSWERED;
  }
  byn_assert(claims_are_sound(c));
}

/* The oldest question is granted first: of one life, its last connection. */
bool byn_claims_grant(byn_claims *c, const void *holder, byn_claim *granted) {
  byn_claim *first = NULL;
  for (uint32_t i = 0; i < c->count; i++) {
    byn_claim *claim = &c->at[i];
    if (claim->holder != holder || !is_undecided(claim)) continue;
    if (!first || claim->number < first->number) first = claim;
  }
  if (!first) return false;
  BYN_COVER(first->state, "gone");
  byn_claims_pass(c, holder);
  first->state = BYN_CLAIM_GRANTED;
  *granted = *first;
  byn_assert(claims_are_sound(c));
  return true;
}

/* Those that are decided against stay so. */
void byn_claims_pass(byn_claims *c, const void *holder) {
  for (uint32_t i = 0; i < c->count; i++) {
    byn_claim *claim = &c->at[i];
    if (claim->holder != holder || claim->state == BYN_CLAIM_ANSWERED) continue;
    BYN_COVER(claim->state, "passed_over");
    claim->state = BYN_CLAIM_PASSED;
  }
  byn_assert(claims_are_sound(c));
}

static void remove_claim(byn_claims *c, uint32_t index) {
  byn_assert(index < c->count);
  c->count--;
  memmove(c->at + index, c->at + index + 1, (c->count - index) * sizeof *c->at);
  byn_assert(claims_are_sound(c));
}

bool byn_claims_withdraw(byn_claims *c, uint32_t link, byn_claim *withdrawn) {
  for (uint32_t i = 0; i < c->count; i++) {
    if (c->at[i].link != link) continue;
    BYN_COVER(c->at[i].state, "withdrawn");
    *withdrawn = c->at[i];
    remove_claim(c, i);
    return true;
  }
  return false;
}

void *byn_claims_silent(byn_claims *c, int64_t now) {
  for (uint32_t i = 0; i < c->count; i++) {
    byn_claim *claim = &c->at[i];
    if (!is_undecided(claim) || now < claim->due) continue;
    BYN_COVER(claim->state, claim->quarters > 1 ? "quarter_over" : "silent");
    if (claim->quarters == 1) return claim->holder;
    claim->quarters--;
    claim->due = time_after(now, c->quarter_ms);
  }
  return NULL;
}

int64_t byn_claims_deadline(const byn_claims *c) {
  int64_t next = BYN_NEVER;
  for (uint32_t i = 0; i < c->count; i++)
    if (is_undecided(&c->at[i]) && c->at[i].due < next) next = c->at[i].due;
  return next;
}

bool byn_claims_next(byn_claims *c, byn_claim *claim) {
  for (uint32_t i = 0; i < c->count; i++) {
    if (c->at[i].state == BYN_CLAIM_ASKED) continue;
    BYN_COVER(c->at[i].state, "next");
    *claim = c->at[i];
    if (claim->state == BYN_CLAIM_ASKING)
      c->at[i].state = BYN_CLAIM_ASKED;
    else
      remove_claim(c, i);
    return true;
  }
  return false;
}

uint32_t byn_claims_undecided(const byn_claims *c) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < c->count; i++)
    count += is_undecided(&c->at[i]);
  return count;
}

bool byn_claims_has(const byn_claims *c, uint32_t link) {
  for (uint32_t i = 0; i < c->count; i++)
    if (c->at[i].link == link) return true;
  return false;
}
