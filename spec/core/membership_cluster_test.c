/* Membership in a simulated cluster: several memberships, joined by links that
 * are nothing but two ends and a queue of messages each way. One event happens
 * at a time, drawn from all that could: a message arrives, an end notices that
 * it is up or that the line is dead, a node takes one action or ticks. Faults
 * are thrown in for a while; then they stop, and all must come to rest with
 * every pair joined by exactly one link that both name alike. No life is ever
 * refused for the sake of another one: of two of one name the older is dead,
 * whatever it said before.
 */
#include <inttypes.h>
#include <stdio.h>

#include "../../csrc/core/membership.h"
#include "../../csrc/core/rng.h"
#include "../../csrc/core/timers.h"
#include "support.h"

#define MIN 100

enum { NODES = 5, LINES = 256, INBOX = 8 };

typedef enum message {
  HELLO,
  CHALLENGE,
  PROOF,
  WELCOME,
  GOODBYE,
  END,
  ASK,
  ANSWER
} message;

typedef struct end {
  int node;
  bool open;      /* the transport, seen from here */
  bool up_waits;  /* came up, not reported yet */
  bool end_waits; /* closed by an action, not reported yet */
  uint32_t number;
  message inbox[INBOX];
  uint64_t asked[INBOX]; /* of ASK and ANSWER: the number of the question */
  int inbox_count;
} end;

/* ends[0] dialled; `proving`: and has sent its PROOF. `cut`: nothing passes any
 * more, and no end has noticed. */
typedef struct line {
  end ends[2];
  uint64_t incarnation[2];
  bool used, proving, cut;
} line;

typedef struct view {
  bool up;
  uint64_t incarnation;
  uint32_t number;
} view;

typedef struct node {
  byn_membership *m; /* NULL while it is dead */
  uint64_t incarnation;
  view views[NODES]; /* as the actions have it */
  int dialled;       /* a DIAL was taken, its number not reported; or -1 */
  int side;          /* of a split */
  bool silent;       /* had no action, and nothing has happened since */
} node;

typedef struct world {
  byn_test_alloc memory;
  byn_alloc alloc;
  byn_rng rng;
  uint64_t seed;
  int64_t now;
  uint32_t numbers;
  bool short_of_memory;
  node nodes[NODES];
  line lines[LINES];
} world;

static const char *const node_names[NODES] = {"n", "na", "b", "\xfe", "z"};

#define HOLDS(w, what)                                                         \
  do {                                                                         \
    if (!(what)) fail_msg("seed %" PRIu64 ": %s", (w)->seed, #what);           \
  } while (0)

static uint32_t draw(world *w, uint32_t bound) {
  return (uint32_t)byn_rng_below(&w->rng, bound);
}

static int node_named(const char *name) {
  int i = 0;
  while (strcmp(node_names[i], name) != 0)
    i++;
  return i;
}

static void boot(world *w, int i) {
  node *n = &w->nodes[i];
  byn_test_fail_nth(&w->memory, 0);
  n->incarnation++;
  n->dialled = -1;
  n->silent = false;
  memset(n->views, 0, sizeof n->views);
  byn_membership_config config = {.alloc = w->alloc,
                                  .name = node_names[i],
                                  .incarnation = n->incarnation,
                                  .seed = byn_rng_next(&w->rng),
                                  .redial_min_ms = MIN,
                                  .redial_max_ms = 16 * MIN,
                                  .forget_after_ms = 50 * MIN,
                                  .answer_ms = 10 * MIN,
                                  .unreachable_ms = 30 * MIN};
  n->m = byn_membership_new(&config);
  HOLDS(w, n->m);
}

/* Of each pair one at least has the other configured. */
static void configure(world *w, int i) {
  for (int j = 0; j < NODES; j++) {
    bool always = (w->seed >> ((i + j) % 8)) & 1;
    if ((always || (w->seed & 1 ? i < j : i > j)) && w->nodes[i].m)
      byn_membership_add(w->nodes[i].m, node_names[j], true, w->now);
  }
}

static void put_question(line *l, int to, message what, uint64_t number) {
  end *e = &l->ends[to];
  if (!e->open || e->inbox_count == INBOX) return;
  e->asked[e->inbox_count] = number;
  e->inbox[e->inbox_count++] = what;
}

static void put(line *l, int to, message what) {
  put_question(l, to, what, 0);
}

static void open_line(world *w, int from, int to, uint32_t number) {
  line *l = w->lines;
  while (l->used)
    l++;
  HOLDS(w, l < w->lines + LINES - 1);
  memset(l, 0, sizeof *l);
  l->used = true;
  l->ends[0].node = from;
  l->ends[0].number = number;
  l->ends[1].node = to;
  l->incarnation[0] = w->nodes[from].incarnation;
  l->incarnation[1] = w->nodes[to].incarnation;
  l->ends[0].open = true;
  l->ends[1].open = w->nodes[to].m != NULL;
  l->cut = !l->ends[1].open;
  put(l, 1, HELLO);
}

static void report_up(world *w, line *l, int at) {
  end *e = &l->ends[at];
  e->up_waits = false;
  byn_membership_link_up(w->nodes[e->node].m, node_names[l->ends[!at].node],
                         l->incarnation[!at], e->number, w->now);
}

static void report_down(world *w, line *l, int at, const char *reason) {
  end *e = &l->ends[at];
  if (e->up_waits) report_up(w, l, at);
  e->open = e->end_waits = false;
  if (e->number)
    byn_membership_link_down(w->nodes[e->node].m, e->number, reason, w->now);
}

static bool is_proving(const world *w, int from, int to) {
  for (int i = 0; i < LINES; i++) {
    const line *l = &w->lines[i];
    if (l->used && l->proving && l->ends[0].open && l->ends[0].node == from &&
        l->ends[1].node == to)
      return true;
  }
  return false;
}

static void prove(world *w, line *l) {
  end *e = &l->ends[1];
  int dialer = l->ends[0].node;
  const char *reason;
  e->number = ++w->numbers;
  switch (byn_membership_admit(
      w->nodes[e->node].m, node_names[dialer], l->incarnation[0], e->number,
      is_proving(w, e->node, dialer), w->now, &reason)) {
  case BYN_ADMITTED:
    e->up_waits = true;
    put(l, 0, WELCOME);
    break;
  case BYN_REFUSED:
    put(l, 0, GOODBYE);
    report_down(w, l, 1, "refused");
    break;
  case BYN_HELD:
    break;
  }
}

/* A line that has that number at an end of that node, which is open. */
static line *line_of(world *w, int owner, uint32_t number, int *at) {
  for (int i = 0; i < LINES; i++)
    for (*at = 0; *at < 2; (*at)++) {
      end *e = &w->lines[i].ends[*at];
      if (w->lines[i].used && e->open && e->node == owner &&
          e->number == number)
        return &w->lines[i];
    }
  return NULL;
}

static void ask(world *w, int i, const byn_member_action *a) {
  int at;
  line *l = line_of(w, i, a->link, &at);
  if (l) put_question(l, !at, ASK, a->number);
}

static void decide_claim(world *w, int i, const byn_member_action *a) {
  int at;
  line *l = line_of(w, i, a->link, &at);
  HOLDS(w, l && at == 1);
  if (a->kind == BYN_MEMBER_ADMIT) {
    l->ends[1].up_waits = true;
    put(l, 0, WELCOME);
    return;
  }
  HOLDS(w, strcmp(a->reason, "name_taken") != 0);
  put(l, 0, GOODBYE);
  report_down(w, l, 1, "refused");
}

static void receive(world *w, line *l, int at) {
  end *e = &l->ends[at];
  message what = e->inbox[0];
  uint64_t number = e->asked[0];
  if (w->nodes[e->node].side != w->nodes[l->ends[!at].node].side) {
    l->cut = true;
    return;
  }
  memmove(e->inbox, e->inbox + 1, (INBOX - 1) * sizeof *e->inbox);
  memmove(e->asked, e->asked + 1, (INBOX - 1) * sizeof *e->asked);
  e->inbox_count--;
  if (what == HELLO) put(l, 0, CHALLENGE);
  if (what == CHALLENGE) {
    l->proving = true;
    put(l, 1, PROOF);
  }
  if (what == PROOF) prove(w, l);
  if (what == WELCOME) e->up_waits = true;
  if (what == ASK) put_question(l, !at, ANSWER, number);
  if (what == ANSWER)
    byn_membership_answered(w->nodes[e->node].m, e->number, number);
  if (what == GOODBYE || what == END) report_down(w, l, at, "peer");
}

static bool dials(const world *w, int from, int to) {
  for (int i = 0; i < LINES; i++) {
    const line *l = &w->lines[i];
    if (l->used && l->ends[0].open && l->ends[0].node == from &&
        l->ends[1].node == to)
      return true;
  }
  return false;
}

static void close_line(world *w, int at_node, uint32_t number) {
  for (int i = 0; i < LINES; i++)
    for (int at = 0; at < 2; at++) {
      line *l = &w->lines[i];
      end *e = &l->ends[at];
      if (!l->used || !e->open || e->number != number) continue;
      HOLDS(w, e->node == at_node);
      e->open = false;
      e->end_waits = true;
      put(l, !at, GOODBYE);
    }
}

static void act(world *w, int i) {
  node *n = &w->nodes[i];
  byn_member_action a;
  n->silent = !byn_membership_next(n->m, &a);
  if (n->silent) return;
  int peer = node_named(a.name);
  view *v = &n->views[peer];
  switch (a.kind) {
  case BYN_MEMBER_DIAL:
    HOLDS(w, !v->up && !dials(w, i, peer) && n->dialled < 0);
    n->dialled = peer;
    break;
  case BYN_MEMBER_CLOSE:
    close_line(w, i, a.link);
    break;
  case BYN_MEMBER_UP:
    HOLDS(w, !v->up && a.incarnation > 0 && a.link != 0);
    *v = (view){true, a.incarnation, a.link};
    break;
  case BYN_MEMBER_DOWN:
    HOLDS(w, v->up && v->incarnation == a.incarnation && v->number == a.link);
    v->up = false;
    break;
  case BYN_MEMBER_ASK:
    ask(w, i, &a);
    break;
  case BYN_MEMBER_ADMIT:
  case BYN_MEMBER_REFUSE:
    decide_claim(w, i, &a);
    break;
  case BYN_MEMBER_UNREACHABLE:
    HOLDS(w, !byn_membership_is_up(n->m, a.name));
    break;
  case BYN_MEMBER_NAME_LOST:
    HOLDS(w, !"a name is lost");
    break;
  }
}

static void report_number(world *w, int i) {
  node *n = &w->nodes[i];
  uint32_t number = ++w->numbers;
  open_line(w, i, n->dialled, number);
  byn_membership_dialing(n->m, node_names[n->dialled], number);
  n->dialled = -1;
}

/* -- what may happen next ----------------------------------------------- */

/* One of the events that are enabled is kept, each as likely as the others:
 * reservoir sampling. */
typedef struct choice {
  enum {
    NOTHING,
    RECEIVE,
    REPORT_UP,
    REPORT_DOWN,
    NOTICE,
    ACT,
    NUMBER,
    TICK
  } kind;
  uint32_t seen;
  int index, at;
} choice;

static void offer(world *w, choice *c, int kind, int index, int at) {
  if (draw(w, ++c->seen) > 0) return;
  c->kind = kind;
  c->index = index;
  c->at = at;
}

static void offer_line(world *w, choice *c, int index) {
  line *l = &w->lines[index];
  bool busy = false;
  for (int at = 0; at < 2; at++) {
    end *e = &l->ends[at];
    busy = busy || e->open || e->up_waits || e->end_waits;
    if (e->up_waits) offer(w, c, REPORT_UP, index, at);
    if (e->end_waits && !e->up_waits) offer(w, c, REPORT_DOWN, index, at);
    if (!e->open) continue;
    if (l->cut) offer(w, c, NOTICE, index, at);
    if (!l->cut && e->inbox_count > 0 && !(e->up_waits && at == 0))
      offer(w, c, RECEIVE, index, at);
  }
  l->used = busy;
}

static void step(world *w) {
  choice c = {NOTHING, 0, 0, 0};
  for (int i = 0; i < LINES; i++)
    if (w->lines[i].used) offer_line(w, &c, i);
  for (int i = 0; i < NODES; i++) {
    node *n = &w->nodes[i];
    if (!n->m) continue;
    if (n->dialled >= 0) offer(w, &c, NUMBER, i, 0);
    if (n->dialled < 0 && !n->silent) offer(w, &c, ACT, i, 0);
    if (byn_membership_deadline(n->m) <= w->now) offer(w, &c, TICK, i, 0);
  }
  if (c.kind == NOTHING) return;
  line *l = &w->lines[c.index];
  bool at_node = c.kind == ACT || c.kind == NUMBER || c.kind == TICK;
  w->nodes[at_node ? c.index : l->ends[c.at].node].silent = false;
  bool starve = w->short_of_memory && draw(w, 4) == 0;
  byn_test_fail_nth(&w->memory, starve ? 1 : 0);
  if (c.kind == RECEIVE) receive(w, l, c.at);
  if (c.kind == REPORT_UP) report_up(w, l, c.at);
  if (c.kind == REPORT_DOWN) report_down(w, l, c.at, "closed");
  if (c.kind == NOTICE) report_down(w, l, c.at, "timeout");
  if (c.kind == ACT) act(w, c.index);
  if (c.kind == NUMBER) report_number(w, c.index);
  if (c.kind == TICK) byn_membership_tick(w->nodes[c.index].m, w->now);
  byn_test_fail_nth(&w->memory, 0);
}

/* -- faults ------------------------------------------------------------- */

static void crash(world *w, int i) {
  for (int k = 0; k < LINES; k++)
    for (int at = 0; at < 2; at++) {
      line *l = &w->lines[k];
      end *e = &l->ends[at];
      if (!l->used || e->node != i) continue;
      if (e->open) put(l, !at, END);
      e->open = e->up_waits = e->end_waits = false;
    }
  byn_membership_free(w->nodes[i].m);
  w->nodes[i].m = NULL;
}

static void split(world *w, uint32_t sides) {
  for (int i = 0; i < NODES; i++)
    w->nodes[i].side = (int)(sides >> i) & 1;
  for (int k = 0; k < LINES; k++) {
    line *l = &w->lines[k];
    if (w->nodes[l->ends[0].node].side != w->nodes[l->ends[1].node].side)
      l->cut = true;
  }
}

static void fault(world *w) {
  int i = (int)draw(w, NODES), j = (int)draw(w, NODES);
  byn_membership *m = w->nodes[i].m;
  w->nodes[i].silent = false;
  switch (draw(w, 7)) {
  case 0:
    if (m) crash(w, i);
    break;
  case 1:
    if (m) break;
    boot(w, i);
    configure(w, i);
    break;
  case 2:
    split(w, draw(w, 2) ? 0 : draw(w, 1u << NODES));
    break;
  case 3:
    w->lines[draw(w, 12)].cut = true;
    break;
  case 4:
    if (m) byn_membership_remove(m, node_names[j]);
    break;
  case 5:
    if (m) byn_membership_add(m, node_names[j], draw(w, 2), w->now);
    break;
  case 6:
    if (m) byn_membership_list(m, node_names[j], draw(w, 2), w->now);
    break;
  }
}

static void run_with_faults(world *w) {
  uint32_t gap = 20 + draw(w, 200);
  for (int i = 0; i < 4000; i++) {
    step(w);
    if (draw(w, 8) == 0) w->now += draw(w, MIN);
    if (draw(w, gap) == 0) fault(w);
  }
}

/* Nothing is on its way, and no node has anything to do or to wait for. */
static bool at_rest(world *w) {
  for (int i = 0; i < NODES; i++) {
    const node *n = &w->nodes[i];
    if (!n->silent || byn_membership_deadline(n->m) != BYN_NEVER) return false;
    for (int j = 0; j < NODES; j++)
      HOLDS(w, n->views[j].up == byn_membership_is_up(n->m, node_names[j]));
  }
  for (int k = 0; k < LINES; k++) {
    const line *l = &w->lines[k];
    for (int at = 0; l->used && at < 2; at++)
      if (l->cut || l->ends[at].inbox_count || l->ends[at].up_waits ||
          l->ends[at].end_waits || l->ends[0].open != l->ends[1].open)
        return false;
  }
  return true;
}

static void come_to_rest(world *w) {
  for (int i = 0; i < 200000; i++) {
    step(w);
    if (draw(w, 8) == 0) w->now += draw(w, MIN);
    if (i % 50 == 0 && at_rest(w)) return;
  }
  fail_msg("seed %" PRIu64 ": no rest", w->seed);
}

/* -- what must hold at rest --------------------------------------------- */

static void check_lines(world *w) {
  int count = 0;
  for (int k = 0; k < LINES; k++) {
    const end *ends = w->lines[k].ends;
    if (!w->lines[k].used || !ends[0].open) continue;
    const view *a = &w->nodes[ends[0].node].views[ends[1].node];
    const view *b = &w->nodes[ends[1].node].views[ends[0].node];
    HOLDS(w, a->up && a->number == ends[0].number);
    HOLDS(w, b->up && b->number == ends[1].number);
    HOLDS(w, a->incarnation == w->nodes[ends[1].node].incarnation);
    HOLDS(w, b->incarnation == w->nodes[ends[0].node].incarnation);
    count++;
  }
  HOLDS(w, count == NODES * (NODES - 1) / 2);
}

static void check_nodes(world *w) {
  for (int i = 0; i < NODES; i++) {
    const byn_membership *m = w->nodes[i].m;
    HOLDS(w, byn_membership_up_count(m) == NODES - 1);
    for (uint32_t k = 1; k < NODES - 1; k++)
      HOLDS(w, strcmp(byn_membership_up_name(m, k - 1),
                      byn_membership_up_name(m, k)) < 0);
  }
}

static void heal(world *w) {
  split(w, 0);
  w->short_of_memory = false;
  for (int i = 0; i < NODES; i++) {
    w->nodes[i].silent = false;
    if (!w->nodes[i].m) boot(w, i);
    configure(w, i);
  }
}

static void run_world(uint64_t seed, bool faults, bool short_of_memory) {
  world *w = calloc(1, sizeof *w);
  w->alloc = byn_test_allocator(&w->memory);
  w->seed = seed;
  w->short_of_memory = short_of_memory;
  byn_rng_seed(&w->rng, seed);
  for (int i = 0; i < NODES; i++)
    boot(w, i);
  for (int i = 0; i < NODES; i++)
    configure(w, i);
  if (faults) run_with_faults(w);
  heal(w);
  come_to_rest(w);
  check_lines(w);
  check_nodes(w);
  for (int i = 0; i < NODES; i++)
    byn_membership_free(w->nodes[i].m);
  byn_test_assert_clean(&w->memory);
  free(w);
}

/* BYN_SEED sets the first world of each test, BYN_SCRIPTS how many it runs. */
static void run_worlds(bool faults, bool short_of_memory) {
  const char *first = getenv("BYN_SEED");
  uint64_t count = byn_test_plays(100);
  uint64_t from = first ? strtoull(first, NULL, 10) : 1;
  for (uint64_t i = 0; i < count; i++)
    run_world(from + i, faults, short_of_memory);
}

static void nodes_that_dial_each_other_end_with_one_link_a_pair(void **s) {
  (void)s;
  run_worlds(false, false);
}

static void crashes_and_splits_heal_to_one_link_a_pair(void **state) {
  (void)state;
  run_worlds(true, false);
}

static void a_cluster_short_of_memory_recovers(void **state) {
  (void)state;
  run_worlds(true, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_that_dial_each_other_end_with_one_link_a_pair),
      cmocka_unit_test(crashes_and_splits_heal_to_one_link_a_pair),
      cmocka_unit_test(a_cluster_short_of_memory_recovers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
