/* Links between two nodes, against all orders of what the ends do and of what
 * the network delivers.
 */
#include "support.h"

#include "../../csrc/core/rng.h"
#include "../../csrc/core/tie.h"

enum { LINK, UNLINK, CONFIRM, EXIT };

typedef struct signal {
  int kind;
  uint64_t number;
} signal;

#define LENGTH 64

/* One process, its node's view of the link, and what is on its way to it. */
typedef struct end {
  bool dead;
  bool known; /* the node has a tie */
  byn_tie tie;
  signal queue[LENGTH];
  int first, count;
  int exits;        /* that came, of a link that counts */
  uint64_t numbers; /* of its unlinks */
} end;

typedef struct world {
  end at[2];
} world;

static void send(world *w, int to, int kind, uint64_t number) {
  end *e = &w->at[to];
  assert_true(e->count < LENGTH);
  e->queue[(e->first + e->count++) % LENGTH] = (signal){kind, number};
}

static void drop_if_over(end *e) {
  if (e->known && byn_tie_is_over(&e->tie)) e->known = false;
}

static bool is_linked(const end *e) {
  return !e->dead && e->known && byn_tie_is_linked(&e->tie);
}

/* --- what a program does -------------------------------------------------- */

static void do_link(world *w, int i) {
  end *e = &w->at[i];
  if (e->dead) return;
  if (!e->known) {
    e->known = true;
    e->tie = (byn_tie){0};
    send(w, !i, LINK, 0);
  } else if (byn_tie_link(&e->tie)) {
    send(w, !i, LINK, 0);
  }
}

static void do_unlink(world *w, int i) {
  end *e = &w->at[i];
  if (e->dead) return;
  if (e->known && byn_tie_unlink(&e->tie, ++e->numbers))
    send(w, !i, UNLINK, e->numbers);
}

static void do_exit(world *w, int i) {
  end *e = &w->at[i];
  if (is_linked(e)) send(w, !i, EXIT, 0);
  e->dead = true;
  e->known = false;
}

/* --- what a node does ----------------------------------------------------- */

static void on_link(world *w, int i) {
  end *e = &w->at[i];
  if (e->dead) {
    send(w, !i, EXIT, 0);
  } else if (e->known) {
    byn_tie_on_link(&e->tie);
  } else {
    e->known = true;
    e->tie = (byn_tie){0};
  }
}

static void on_exit_signal(end *e) {
  if (!e->known || !byn_tie_on_exit(&e->tie)) return;
  e->exits++;
}

static void deliver(world *w, int i) {
  end *e = &w->at[i];
  if (!e->count) return;
  signal s = e->queue[e->first];
  e->first = (e->first + 1) % LENGTH;
  e->count--;
  if (s.kind == LINK) on_link(w, i);
  if (s.kind == UNLINK) {
    if (e->known) byn_tie_on_unlink(&e->tie);
    send(w, !i, CONFIRM, s.number);
  }
  if (s.kind == CONFIRM && e->known) byn_tie_on_confirm(&e->tie, s.number);
  if (s.kind == EXIT) on_exit_signal(e);
  drop_if_over(e);
}

static void deliver_all(world *w) {
  while (w->at[0].count || w->at[1].count) {
    deliver(w, 0);
    deliver(w, 1);
  }
}

/* Both nodes see the same, and remember nothing beside it. Nobody has an
 * EXIT of one that is alive. */
static void assert_agreed(world *w, uint64_t script) {
  const end *a = &w->at[0], *b = &w->at[1];
  bool wrong = is_linked(a) != is_linked(b) || a->known != is_linked(a) ||
               b->known != is_linked(b);
  for (int i = 0; i < 2; i++) {
    const end *e = &w->at[i];
    if (e->exits && !w->at[!i].dead) wrong = true;
  }
  if (wrong)
    fail_msg("script %llx: a %s %s, b %s %s", (unsigned long long)script,
             a->dead ? "dead" : "alive", is_linked(a) ? "linked" : "apart",
             b->dead ? "dead" : "alive", is_linked(b) ? "linked" : "apart");
}

/* --- scripts -------------------------------------------------------------- */

static void act(world *w, int what) {
  int i = what & 1;
  switch (what >> 1) {
  case 0:
    do_link(w, i);
    break;
  case 1:
    do_unlink(w, i);
    break;
  default:
    deliver(w, i);
  }
}

/* All scripts of nine steps: each end links, unlinks, or gets a signal. */
static void ends_agree_after_every_short_script(void **state) {
  (void)state;
  uint64_t count = 10077696; /* 6 to the 9th */
  uint64_t stride = count / byn_test_plays(count);
  for (uint64_t n = 0; n < count; n += stride) {
    world w = {0};
    for (uint64_t rest = n, k = 0; k < 9; k++, rest /= 6)
      act(&w, (int)(rest % 6));
    deliver_all(&w);
    assert_agreed(&w, n);
  }
}

static void ends_agree_after_long_scripts_and_exits(void **state) {
  (void)state;
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  for (uint64_t n = 0; n < byn_test_plays(300000); n++) {
    world w = {0};
    uint64_t length = 1 + byn_rng_below(&rng, 40);
    bool mortal = byn_rng_below(&rng, 2);
    for (uint64_t k = 0; k < length; k++) {
      act(&w, (int)byn_rng_below(&rng, 6));
      if (mortal && byn_rng_below(&rng, 20) == 0)
        do_exit(&w, (int)byn_rng_below(&rng, 2));
    }
    deliver_all(&w);
    assert_agreed(&w, n);
  }
}

/* --- single cases --------------------------------------------------------- */

static void
an_exit_from_before_an_unlink_does_not_break_the_next_link(void **state) {
  (void)state;
  world w = {0};
  do_link(&w, 0);
  deliver_all(&w);
  do_exit(&w, 1);
  do_unlink(&w, 0);
  do_link(&w, 0);
  deliver(&w, 0); /* the EXIT of the old link */
  assert_int_equal(w.at[0].exits, 0);
  assert_true(is_linked(&w.at[0]));
  deliver_all(&w); /* the new one is to a process that is dead */
  assert_int_equal(w.at[0].exits, 1);
}

static void
an_unlink_from_before_does_not_take_the_next_link_away(void **state) {
  (void)state;
  world w = {0};
  do_link(&w, 0);
  deliver_all(&w);
  do_unlink(&w, 1);
  do_unlink(&w, 0);
  do_link(&w, 0);
  deliver_all(&w);
  assert_true(is_linked(&w.at[0]) && is_linked(&w.at[1]));
}

static void an_end_that_has_unlinked_gets_no_exit(void **state) {
  (void)state;
  world w = {0};
  do_link(&w, 0);
  do_link(&w, 1);
  deliver_all(&w);
  do_exit(&w, 1);
  do_unlink(&w, 0);
  deliver_all(&w);
  assert_int_equal(w.at[0].exits, 0);
}

static void a_plain_link_is_zero(void **state) {
  (void)state;
  byn_tie t = {0};
  assert_true(byn_tie_is_linked(&t));
  assert_false(byn_tie_link(&t));
  assert_true(byn_tie_on_exit(&t));
  assert_true(byn_tie_is_over(&t));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plain_link_is_zero),
      cmocka_unit_test(an_end_that_has_unlinked_gets_no_exit),
      cmocka_unit_test(
          an_exit_from_before_an_unlink_does_not_break_the_next_link),
      cmocka_unit_test(an_unlink_from_before_does_not_take_the_next_link_away),
      cmocka_unit_test(ends_agree_after_every_short_script),
      cmocka_unit_test(ends_agree_after_long_scripts_and_exits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
