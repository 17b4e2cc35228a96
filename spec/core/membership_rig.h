/* One membership, and the actions that it answers with, for its tests.
 *
 * The node under test is "m": "b" is smaller, "x" is greater. `expect` takes
 * all actions, each as a text.
 */
#ifndef BYN_SPEC_MEMBERSHIP_RIG_H
#define BYN_SPEC_MEMBERSHIP_RIG_H

#include <inttypes.h>
#include <stdio.h>

#include "../../csrc/core/membership.h"
#include "../../csrc/core/rng.h"
#include "../../csrc/core/timers.h"
#include "support.h"

#define MIN 100
#define MAX 1600
#define FORGET 5000
#define ANSWER 400
#define OWN 100 /* this node's incarnation */

typedef struct fixture {
  byn_test_alloc memory;
  byn_alloc alloc;
  byn_membership *m;
} fixture;

static inline byn_membership *new_membership(const byn_alloc *alloc,
                                             const char *name,
                                             uint64_t incarnation,
                                             uint64_t seed) {
  byn_membership_config config = {.alloc = *alloc,
                                  .name = name,
                                  .incarnation = incarnation,
                                  .seed = seed,
                                  .redial_min_ms = MIN,
                                  .redial_max_ms = MAX,
                                  .forget_after_ms = FORGET,
                                  .answer_ms = ANSWER,
                                  .unreachable_ms = BYN_NEVER};
  return byn_membership_new(&config);
}

static inline int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->alloc = byn_test_allocator(&f->memory);
  f->m = new_membership(&f->alloc, "m", OWN, 42);
  *state = f;
  return f->m ? 0 : -1;
}

static inline int tear_down(void **state) {
  fixture *f = *state;
  byn_membership_free(f->m);
  byn_test_assert_clean(&f->memory);
  free(f);
  return 0;
}

static inline byn_membership *of(void **state) {
  return ((fixture *)*state)->m;
}

/* Why a link that comes in is not admitted: a reason, or "held"; or NULL. */
static inline const char *admit_crossing(byn_membership *m, const char *name,
                                         uint64_t incarnation, uint32_t link,
                                         bool crossed, int64_t now) {
  const char *reason;
  switch (
      byn_membership_admit(m, name, incarnation, link, crossed, now, &reason)) {
  case BYN_ADMITTED:
    return NULL;
  case BYN_HELD:
    return "held";
  case BYN_REFUSED:
    break;
  }
  return reason;
}

/* If this node has a dial under way, that has sent its PROOF. */
static inline const char *admit(byn_membership *m, const char *name,
                                uint64_t incarnation, uint32_t link,
                                int64_t now) {
  return admit_crossing(m, name, incarnation, link, true, now);
}

static inline void print_action(char *out, size_t n,
                                const byn_member_action *a) {
  switch (a->kind) {
  case BYN_MEMBER_DIAL:
    snprintf(out, n, "dial %s", a->name);
    break;
  case BYN_MEMBER_CLOSE:
    snprintf(out, n, "close %s/%" PRIu32 " %s", a->name, a->link, a->reason);
    break;
  case BYN_MEMBER_UP:
    snprintf(out, n, "up %s/%" PRIu32 " #%" PRIu64, a->name, a->link,
             a->incarnation);
    break;
  case BYN_MEMBER_DOWN:
    snprintf(out, n, "down %s/%" PRIu32 " #%" PRIu64 " %s", a->name, a->link,
             a->incarnation, a->reason);
    break;
  case BYN_MEMBER_ASK:
    snprintf(out, n, "ask %s/%" PRIu32 " %" PRIu64 " for %" PRIu32 " #%" PRIu64,
             a->name, a->link, a->number, a->other, a->incarnation);
    break;
  case BYN_MEMBER_ADMIT:
    snprintf(out, n, "admit %s/%" PRIu32, a->name, a->link);
    break;
  case BYN_MEMBER_REFUSE:
    snprintf(out, n, "refuse %s/%" PRIu32 " %s #%" PRIu64, a->name, a->link,
             a->reason, a->incarnation);
    break;
  case BYN_MEMBER_UNREACHABLE:
    snprintf(out, n, "unreachable %s %s", a->name, a->reason);
    break;
  case BYN_MEMBER_NAME_LOST:
    snprintf(out, n, "lost %s", a->name);
    break;
  }
}

/* Takes all actions; they must be these, joined by ", ". */
static inline void expect(byn_membership *m, const char *wanted) {
  char all[1024] = "", one[512];
  byn_member_action a;
  while (byn_membership_next(m, &a)) {
    print_action(one, sizeof one, &a);
    if (all[0]) strncat(all, ", ", sizeof all - strlen(all) - 1);
    strncat(all, one, sizeof all - strlen(all) - 1);
  }
  assert_string_equal(all, wanted);
}

static inline void add(byn_membership *m, const char *name, int64_t now) {
  assert_true(byn_membership_add(m, name, true, now));
}

/* Adds a node and dials it as link `link`. */
static inline void dial(byn_membership *m, const char *name, uint32_t link,
                        int64_t now) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "dial %s", name);
  add(m, name, now);
  byn_membership_tick(m, now);
  expect(m, wanted);
  byn_membership_dialing(m, name, link);
}

static inline void bring_up(byn_membership *m, const char *name,
                            uint64_t incarnation, uint32_t link, int64_t now) {
  assert_null(admit(m, name, incarnation, link, now));
  byn_membership_link_up(m, name, incarnation, link, now);
  byn_member_action a;
  assert_true(byn_membership_next(m, &a));
  assert_int_equal(a.kind, BYN_MEMBER_UP);
  assert_false(byn_membership_next(m, &a));
}

static inline void assert_within(int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    fail_msg("%" PRId64 " is not in %" PRId64 "..%" PRId64, value, low, high);
}

#endif
