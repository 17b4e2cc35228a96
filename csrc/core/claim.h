/* Claims: connections that have proved a name which another life has here.
 *
 * Two lives of one name are a node that has restarted, or two programs under
 * one name. So the holder of the name is asked on its link whether it lives,
 * and the claimant is held meanwhile:
 *
 *              _hold         _next: the question
 *   (no claim) -----> ASKING --------------------> ASKED
 *                        |                           |
 *                        |   _answered    ANSWERED   |
 *                        +---> _grant     GRANTED <--+
 *                              _pass      PASSED
 *
 *   ANSWERED  the holder lives: the claimant is refused
 *   GRANTED   the holder is gone, or silent: the oldest claim takes its place
 *   PASSED    the others then, and the older connection of a life that has
 *             come with another one: they may try again
 *
 * One of the last three ends with the _next that tells it. _withdraw ends a
 * claim in any state: its connection is gone.
 *
 * Each claim has a question of its own, so that the answer shows that both
 * lived at once: what the holder said before the claimant came says nothing.
 * Only the older question stays where a life replaces its own connection.
 *
 * Silence is counted in quarters of the term, and a call of _silent ends one
 * quarter at most. A node that was held up for longer thus does not take its
 * own absence for the silence of the holder, whose answer may be waiting.
 *
 * Nothing is allocated: BYN_CLAIMS_MAX claims are held at once, of all names.
 */
#ifndef BYN_CLAIM_H
#define BYN_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#define BYN_CLAIMS_MAX 32

typedef enum byn_claim_state {
  BYN_CLAIM_ASKING,
  BYN_CLAIM_ASKED,
  BYN_CLAIM_ANSWERED,
  BYN_CLAIM_GRANTED,
  BYN_CLAIM_PASSED
} byn_claim_state;

typedef struct byn_claim {
  byn_claim_state state;
  void *holder;         /* who has the name; the owner's */
  uint64_t incarnation; /* the claimant's */
  uint32_t link;        /* the claimant's; never 0 */
  uint64_t number;      /* of the question; from 1 on */
  unsigned quarters;    /* of the term that are left */
  int64_t due;          /* when the current one is over */
} byn_claim;

/* Oldest first. */
typedef struct byn_claims {
  byn_claim at[BYN_CLAIMS_MAX];
  uint32_t count;
  uint64_t questions;
  int64_t quarter_ms;
} byn_claims;

/* A holder that does not answer for `answer_ms` is silent. */
void byn_claims_init(byn_claims *c, int64_t answer_ms);

/* Holds a claim; the holder has so many terms to answer. false: there are too
 * many. */
bool byn_claims_hold(byn_claims *c, void *holder, uint64_t incarnation,
                     uint32_t link, unsigned terms, int64_t now);
/* The holder has answered the questions up to that number. */
void byn_claims_answered(byn_claims *c, const void *holder, uint64_t number);
/* The holder is gone. false: there is no claim that is undecided; otherwise
 * `granted` is the one that takes its place. */
bool byn_claims_grant(byn_claims *c, const void *holder, byn_claim *granted);
/* The holder's place is free, or is not to be had: all but those that are
 * ANSWERED may try again. */
void byn_claims_pass(byn_claims *c, const void *holder);
/* false: there is no claim with that link. */
bool byn_claims_withdraw(byn_claims *c, uint32_t link, byn_claim *withdrawn);

/* Time passed: a holder that has been silent for its term, or NULL. For it
 * _grant or _pass must follow. */
void *byn_claims_silent(byn_claims *c, int64_t now);
/* When _silent is due next, or BYN_NEVER. */
int64_t byn_claims_deadline(const byn_claims *c);

/* What is to be told next: a question (ASKING, then the claim is ASKED), or
 * what was decided of a claim, which ends with that. false: nothing. */
bool byn_claims_next(byn_claims *c, byn_claim *claim);

/* How many are undecided; is there one with that link? */
uint32_t byn_claims_undecided(const byn_claims *c);
bool byn_claims_has(const byn_claims *c, uint32_t link);

#endif
