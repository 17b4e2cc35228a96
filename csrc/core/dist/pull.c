/* What this node lacks: walks down the trees of peers. */
#include "pull.h"

#include "../assert.h"
#include "../coverage.h"
#include "cohort.h"
#include "compare.h"
#include "greet.h"
#include "suspicion.h"
#include "want.h"

BYN_MACHINE("dist: a pull", "idle root waiting turn walking",
            "want root equal differs turn walk compared done slow stale "
            "no_memory forget");

enum {
  LEAF = BYN_TREE_LEAF, /* places of a span that are compared */
  JUDGED_MS = 1000,
  HEARD_LEAST = 4,   /* answers and batches in that time, or it is slow */
  WANTED_MOST = 1024 /* specs */
};

static const byn_span root = {0};

/* --- its life ------------------------------------------------------------- */

static void free_walk(byn_dist *d, byn_pull *pull) {
  byn_walk *walk = pull->walk;
  if (!walk) return;
  byn_free(&d->alloc, walk->branches, walk->room * sizeof *walk->branches);
  byn_free(&d->alloc, walk, sizeof *walk);
  pull->walk = NULL;
}

void byn_pull_forget(byn_dist *d, byn_peer *peer) {
  if (peer->pull.state != BYN_PULL_IDLE) BYN_COVER(peer->pull.state, "forget");
  free_walk(d, &peer->pull);
  uint64_t seq = peer->pull.seq;
  peer->pull = (byn_pull){.seq = seq};
}

void byn_pull_want(byn_dist *d, byn_peer *peer, uint64_t mask, uint64_t round) {
  BYN_COVER(peer->pull.state, "want");
  byn_assert(mask);
  peer->pull.due |= mask;
  if (round) peer->pull.due_round = round;
  (void)d;
}

/* All of it is to be done once more. */
static void begin_anew(byn_dist *d, byn_peer *peer) {
  byn_pull *pull = &peer->pull;
  BYN_COVER(pull->state, "no_memory");
  free_walk(d, pull);
  pull->state = BYN_PULL_IDLE;
  pull->due |= pull->wanted;
  if (!pull->due_round) pull->due_round = pull->round;
  peer->regreet = true;
}

static void finish(byn_dist *d, byn_peer *peer) {
  byn_pull *pull = &peer->pull;
  BYN_COVER(pull->state, "done");
  if (pull->walk) d->walks++;
  free_walk(d, pull);
  pull->state = BYN_PULL_IDLE;
  if (pull->round) {
    peer->pulled_round = pull->round;
    byn_suspicion_review_answer(d, peer);
  }
  if (pull->wanted == UINT64_MAX && !peer->got_all) byn_greet_got_all(d, peer);
}

/* --- the root ------------------------------------------------------------- */

static void compare_root(byn_dist *d, byn_peer *peer, byn_pull_state state) {
  byn_buf *b = byn_record_begin(d, BYN_RECORD_COMPARE);
  byn_put_number_field(b, BYN_FIELD_SEQ, ++peer->pull.seq);
  byn_compare_put_node(b, &d->registry.tree, root);
  byn_record_send(d, peer);
  peer->pull.walks = d->walks;
  peer->pull.state = state;
}

static void begin(byn_dist *d, byn_peer *peer) {
  byn_pull *pull = &peer->pull;
  BYN_COVER(pull->state, "root");
  pull->wanted = pull->due;
  pull->round = pull->due_round;
  pull->due = pull->due_round = 0;
  compare_root(d, peer, BYN_PULL_ROOT);
}

/* Specs that a greeting is to bring. */
static bool wants_specs(const byn_dist *d, const byn_peer *peer) {
  return d->lacking && !peer->got_all;
}

/* --- walking -------------------------------------------------------------- */

static bool push_branch(byn_dist *d, byn_walk *walk, byn_span span,
                        uint64_t mask) {
  if (walk->depth == walk->room) {
    uint32_t room = walk->room ? 2 * walk->room : 16;
    byn_branch *branches =
        byn_resize(&d->alloc, walk->branches, walk->room * sizeof *branches,
                   room * sizeof *branches);
    if (!branches) return false;
    walk->branches = branches;
    walk->room = room;
  }
  walk->branches[walk->depth++] = (byn_branch){span, mask};
  return true;
}

static void begin_walk(byn_dist *d, byn_peer *peer) {
  byn_pull *pull = &peer->pull;
  BYN_COVER(pull->state, "walk");
  pull->state = BYN_PULL_WALKING;
  pull->judged_at = d->now;
  pull->heard = 0;
  pull->slow = false;
  pull->walk = byn_new(&d->alloc, sizeof *pull->walk);
  if (pull->walk) *pull->walk = (byn_walk){.answered = true};
  if (!pull->walk || !push_branch(d, pull->walk, root, pull->differ))
    begin_anew(d, peer);
}

/* The next child of a span that differs. false: there is none. */
static bool next_span(byn_walk *walk, byn_span *s) {
  while (walk->depth > 0) {
    byn_branch *top = &walk->branches[walk->depth - 1];
    if (top->left == 0) {
      walk->depth--;
      continue;
    }
    uint32_t child = 0;
    while (!(top->left >> child & 1))
      child++;
    top->left &= top->left - 1;
    *s = byn_span_child(top->span, child);
    return true;
  }
  return false;
}

/* Whatever is lacking of places that differ in nothing else. */
static uint32_t put_wanted(const byn_dist *d, byn_buf *b) {
  uint32_t count = 0;
  const byn_place *p = d->lacking;
  for (; p && count < WANTED_MOST; p = p->next_lacking)
    if (byn_want_lacks(p)) {
      byn_compare_put_wanted(b, p->hash);
      count++;
    }
  return count;
}

static void put_span(const byn_dist *d, byn_walk *walk, byn_buf *b,
                     byn_span s) {
  const byn_tree *tree = &d->registry.tree;
  bool small =
      !byn_span_children(s.bits) || byn_tree_count(tree, s, LEAF + 1) <= LEAF;
  if (small) {
    byn_compare_put_leaf(b, tree, s);
  } else {
    byn_compare_put_node(b, tree, s);
    walk->asked[walk->asked_count++] = s;
  }
}

/* The peer takes no longer packet. */
static bool has_room(const byn_dist *d, const byn_peer *peer,
                     const byn_walk *walk, const byn_buf *b) {
  enum { LARGEST = 16 + LEAF * 16 };
  size_t most = byn_record_most(d, peer);
  if (most > BYN_COMPARE_MOST) most = BYN_COMPARE_MOST;
  return walk->asked_count < BYN_PULL_ASKED && b->len + LARGEST <= most;
}

static void go_on(byn_dist *d, byn_peer *peer) {
  byn_walk *walk = peer->pull.walk;
  byn_buf *b = byn_record_begin(d, BYN_RECORD_COMPARE);
  byn_put_number_field(b, BYN_FIELD_SEQ, ++peer->pull.seq);
  walk->asked_count = 0;
  walk->answered = false;
  uint32_t spans = 0;
  for (byn_span s;
       (spans == 0 || has_room(d, peer, walk, b)) && next_span(walk, &s);
       spans++)
    put_span(d, walk, b, s);
  if (spans == 0 && !walk->wants && wants_specs(d, peer)) {
    walk->wants = true;
    spans = put_wanted(d, b);
  }
  if (spans > 0)
    byn_record_send(d, peer);
  else
    finish(d, peer);
}

/* --- turns ---------------------------------------------------------------- */

static bool has_turn(const byn_peer *peer) {
  return peer->pull.state == BYN_PULL_TURN ||
         peer->pull.state == BYN_PULL_WALKING;
}

static byn_peer *choose_next(const byn_dist *d) {
  byn_peer *next = NULL;
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (has_turn(peer) && !peer->pull.slow) return NULL;
    if (!next && peer->pull.state == BYN_PULL_WAITING) next = peer;
  }
  return next;
}

static void begin_turn(byn_dist *d, byn_peer *peer) {
  byn_pull *pull = &peer->pull;
  BYN_COVER(pull->state, "turn");
  if (pull->walks == d->walks) {
    begin_walk(d, peer);
    return;
  }
  pull->judged_at = d->now;
  pull->heard = 0;
  pull->slow = false;
  compare_root(d, peer, BYN_PULL_TURN);
}

void byn_pull_pump(byn_dist *d) {
  if (!byn_registry_is_settled(&d->registry)) return;
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!byn_peer_sees(peer)) continue;
    byn_pull *pull = &peer->pull;
    if (pull->state == BYN_PULL_IDLE && pull->due)
      begin(d, peer);
    else if (pull->state == BYN_PULL_WALKING && pull->walk->answered)
      go_on(d, peer);
  }
  byn_peer *next = choose_next(d);
  if (!next) return;
  begin_turn(d, next);
  if (next->pull.state == BYN_PULL_WALKING) go_on(d, next);
}

/* --- what is heard -------------------------------------------------------- */

static void heard(byn_dist *d, byn_peer *peer) {
  peer->pull.heard++;
  if (peer->asked_at) peer->asked_at = d->now ? d->now : 1;
}

void byn_pull_tick(byn_dist *d) {
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    byn_pull *pull = &peer->pull;
    /* It is not silent: this node does not ask it. */
    if (pull->state == BYN_PULL_WAITING) heard(d, peer);
    if (d->now - pull->judged_at < JUDGED_MS) continue;
    pull->slow = pull->heard < HEARD_LEAST;
    if (pull->slow && has_turn(peer)) BYN_COVER(pull->state, "slow");
    pull->judged_at = d->now;
    pull->heard = 0;
  }
}

void byn_pull_take_more(byn_dist *d, byn_peer *peer) {
  heard(d, peer);
}

static void take_root(byn_dist *d, byn_peer *peer, byn_reader *masks) {
  byn_pull *pull = &peer->pull;
  bool turn = pull->state == BYN_PULL_TURN;
  pull->differ = byn_get_u64(masks) & pull->wanted;
  bool equal = !pull->differ && !wants_specs(d, peer);
  BYN_COVER(pull->state, equal ? "equal" : "differs");
  if (equal)
    finish(d, peer);
  else if (turn)
    begin_walk(d, peer);
  else
    pull->state = BYN_PULL_WAITING;
}

static void take_masks(byn_dist *d, byn_peer *peer, byn_reader *masks) {
  byn_walk *walk = peer->pull.walk;
  BYN_COVER(peer->pull.state, "compared");
  walk->answered = true;
  for (uint32_t i = 0; i < walk->asked_count; i++) {
    uint64_t mask = (uint64_t)byn_get_u8(masks) << 8;
    mask |= byn_get_u8(masks);
    if (mask && !push_branch(d, walk, walk->asked[i], mask)) {
      begin_anew(d, peer);
      return;
    }
  }
}

void byn_pull_take_compared(byn_dist *d, byn_peer *peer, const byn_record *r) {
  const byn_pull *pull = &peer->pull;
  bool of_root = pull->state == BYN_PULL_ROOT || pull->state == BYN_PULL_TURN;
  bool walks = pull->state == BYN_PULL_WALKING && !pull->walk->answered;
  size_t size = of_root ? 8 : walks ? 2 * pull->walk->asked_count : 0;
  if (r->seq != pull->seq || (!of_root && !walks) || r->masks.n != size) {
    BYN_COVER(pull->state, "stale");
    return;
  }
  heard(d, peer);
  byn_reader masks;
  byn_reader_init(&masks, r->masks.at, r->masks.n);
  if (of_root)
    take_root(d, peer, &masks);
  else
    take_masks(d, peer, &masks);
}
