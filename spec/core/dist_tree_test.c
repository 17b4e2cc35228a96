/* The tree of digests against sums that are made anew, and what strangers say
 * when trees are compared.
 */
#include "../../csrc/core/dist/compare.h"
#include "../../csrc/core/dist/parts.h"
#include "../../csrc/core/dist/record.h"
#include "dist_rig.h"

enum { PLACES = 3000 };

static byn_test_alloc memory;
static byn_alloc alloc;
static byn_tree tree;
static byn_place *places[PLACES];
static int count;

static void begin(void) {
  memset(&memory, 0, sizeof memory);
  alloc = byn_test_allocator(&memory);
  byn_tree_init(&tree, &alloc);
  count = 0;
}

static void add(uint64_t hash, uint64_t digest) {
  byn_place *p = calloc(1, sizeof *p);
  p->hash = hash;
  byn_tree_add(&tree, p);
  byn_tree_set_digest(&tree, p, digest);
  places[count++] = p;
}

static void drop(int i) {
  byn_tree_set_digest(&tree, places[i], 0);
  byn_tree_remove(&tree, places[i]);
  free(places[i]);
  places[i] = places[--count];
}

static void end(void) {
  while (count > 0)
    drop(count - 1);
  byn_tree_clear(&tree);
  byn_test_assert_clean(&memory);
}

/* --- what it says --------------------------------------------------------- */

static void check_span(byn_span s) {
  uint64_t sum = 0;
  uint32_t inside = 0;
  for (int i = 0; i < count; i++) {
    uint64_t hash = places[i]->hash;
    if (hash < s.first || hash > byn_span_last(s)) continue;
    sum += places[i]->digest;
    inside++;
  }
  assert_int_equal(byn_tree_digest(&tree, s), sum);
  assert_int_equal(byn_tree_count(&tree, s, PLACES), inside);
  uint32_t most = inside / 2;
  assert_int_equal(byn_tree_count(&tree, s, most), most);
}

static void check_path(uint64_t hash) {
  byn_span s = {0};
  check_span(s);
  while (byn_span_children(s.bits) > 0) {
    uint32_t i = 0;
    while (byn_span_last(byn_span_child(s, i)) < hash)
      i++;
    s = byn_span_child(s, i);
    assert_true(byn_span_is_sound(s) && s.first <= hash);
    check_span(s);
  }
  assert_int_equal(s.bits, 62);
  check_span((byn_span){hash, 64});
}

static void check_order(void) {
  int seen = 0;
  uint64_t last = 0;
  for (const byn_place *p = byn_tree_first(&tree); p;
       p = byn_tree_next(&tree, p), seen++) {
    assert_true(p->hash >= last);
    last = p->hash;
    const byn_place *from = byn_tree_from(&tree, p->hash);
    assert_true(from && from->hash == p->hash);
  }
  assert_int_equal(seen, count);
  assert_int_equal(tree.count, count);
}

/* Few bits, so that hashes are equal now and then. */
static uint64_t some_hash(byn_rng *rng) {
  uint64_t hash = byn_rng_next(rng);
  return byn_rng_below(rng, 4) ? hash : hash & 0xf00000000000000fu;
}

static void sums(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 3; seed++) {
    byn_rng rng;
    byn_rng_seed(&rng, seed);
    begin();
    /* Seed 3: there is never memory for more leaves. */
    if (seed == 3) byn_test_fail_from(&memory, 1);
    for (int round = 0; round < 20000; round++) {
      if (count < PLACES && byn_rng_below(&rng, 5) < 3)
        add(some_hash(&rng), byn_rng_next(&rng));
      else if (count > 0 && byn_rng_below(&rng, 2))
        drop((int)byn_rng_below(&rng, (uint64_t)count));
      else if (count > 0)
        byn_tree_set_digest(&tree, places[byn_rng_below(&rng, (uint64_t)count)],
                            byn_rng_next(&rng));
      if (round % 400 == 0) check_path(some_hash(&rng));
      if (round % 4000 == 0) check_order();
    }
    assert_true(count > 1500);
    assert_int_equal(tree.levels, seed == 3 ? 1 : 2);
    end();
  }
}

/* Each that is there throughout is visited once, whatever comes and goes, and
 * once more where it is begun again on the way. */
static void sweeps(void **state) {
  (void)state;
  byn_rng rng;
  byn_rng_seed(&rng, 9);
  begin();
  for (int i = 0; i < 500; i++)
    add(i == 0 ? 0 : i == 1 ? UINT64_MAX : byn_rng_next(&rng), 1);
  byn_sweep sweep = {0};
  assert_null(byn_sweep_next(&sweep, &tree));
  for (int round = 0; round < 20; round++) {
    static int visits[PLACES];
    memset(visits, 0, sizeof visits);
    int again = round % 2 ? (int)byn_rng_below(&rng, 500) : -1, steps = 0;
    byn_sweep_begin(&sweep);
    for (const byn_place *p; (p = byn_sweep_next(&sweep, &tree)); steps++) {
      for (int i = 0; i < 500; i++)
        visits[i] += places[i] == p;
      if (steps == again) {
        memset(visits, 0, sizeof visits);
        byn_sweep_begin(&sweep);
      }
      if (count < 600 && steps % 7 == 0) add(byn_rng_next(&rng), 1);
      if (count > 500 && steps % 11 == 0) drop(count - 1);
    }
    for (int i = 0; i < 500; i++)
      assert_int_equal(visits[i], 1);
    /* It may stop anywhere, for the next to go on from there. */
    byn_sweep_begin(&sweep);
    for (int i = (int)byn_rng_below(&rng, 400); i > 0; i--)
      byn_sweep_next(&sweep, &tree);
  }
  end();
}

/* --- strangers ------------------------------------------------------------ */

static rig the_rig;

/* A packet of node 1 to node 0 of two. */
static bool say(rig *r, const byn_buf *record) {
  byn_buf b;
  byn_buf_init(&b, &r->alloc);
  byn_put_u8(&b, BYN_PACKET_VERSION);
  byn_put_string(&b, rig_names[1], strlen(rig_names[1]));
  byn_put_u64(&b, r->nodes[0].d->peers->host->incarnation);
  byn_put_u8(&b, record->data[0]);
  byn_put_string(&b, record->data + 1, record->len - 1);
  r->now++;
  rig_time(r, 0);
  bool taken = byn_dist_receive(r->nodes[0].d, rig_names[1], b.data, b.len);
  byn_buf_free(&b);
  return taken;
}

static void put_span(byn_buf *b, uint8_t tag, uint8_t bits, uint64_t first) {
  size_t mark = byn_field_open(b, tag);
  byn_put_u8(b, bits);
  byn_put_u64(b, first);
  byn_field_close(b, mark);
}

static byn_buf compare(rig *r, uint64_t seq) {
  byn_buf b;
  byn_buf_init(&b, &r->alloc);
  byn_put_u8(&b, BYN_RECORD_COMPARE);
  byn_put_number_field(&b, BYN_FIELD_SEQ, seq);
  return b;
}

static bool say_span(rig *r, uint8_t tag, uint8_t bits, uint64_t first) {
  byn_buf b = compare(r, 1);
  put_span(&b, tag, bits, first);
  bool taken = say(r, &b);
  byn_buf_free(&b);
  rig_drain(r, 0);
  return taken;
}

static void unsound_spans(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 40);
  r->lenient = true;
  const uint8_t node = BYN_FIELD_NODE_SPAN, leaf = BYN_FIELD_LEAF_SPAN;
  assert_true(say_span(r, node, 0, 0));
  assert_true(say_span(r, leaf, 0, 0));
  assert_true(say_span(r, leaf, 64, 77));
  assert_true(say_span(r, node, 10, (uint64_t)1023 << 54));
  assert_false(say_span(r, node, 1, 0));  /* no such level */
  assert_false(say_span(r, node, 62, 0)); /* it has no children */
  assert_false(say_span(r, node, 64, 0));
  assert_false(say_span(r, leaf, 66, 0));
  assert_false(say_span(r, leaf, 255, 0));
  assert_false(say_span(r, node, 6, 1)); /* bits behind its own */
  byn_buf b = compare(r, 1);
  size_t mark = byn_field_open(&b, leaf); /* not in order */
  byn_put_u8(&b, 0);
  for (uint64_t at = 0; at < 5; at++)
    byn_put_u64(&b, 9 - at);
  byn_field_close(&b, mark);
  assert_false(say(r, &b));
  byn_buf_free(&b);
  rig_free(r);
}

/* Whoever asks again and again is answered one at a time, and is not sent more
 * than it confirms. */
static void greedy(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  r->config.max_spec = 1 << 20;
  static uint8_t spec[20000];
  byn_dist_start_spec what = {.spec = spec, .spec_len = sizeof spec};
  for (int id = 0; id < 200; id++)
    rig_ask(r, 0, id, false, &what, 30000);
  rig_run(r, 3000);
  uint64_t before = r->nodes[0].bytes;
  for (int i = 0; i < 1000; i++)
    say_span(r, BYN_FIELD_LEAF_SPAN, 0, 0);
  /* 16 batches ahead of what is confirmed, and each a child longer, at most. */
  assert_true(r->nodes[0].bytes - before < 17 * (65536 + 40000));
  rig_free(r);
}

/* Answers that nobody asked for, or of a wrong size, and masks of whatever is
 * not so: a walk comes to its end all the same. */
static void lying_masks(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  rig_start_all(r, 1000);
  r->lenient = true;
  byn_rng rng;
  byn_rng_seed(&rng, 5);
  byn_dist *d = r->nodes[0].d;
  byn_pull *pull = &d->peers->pull;
  for (int round = 0; round < 20; round++) {
    byn_buf differ;
    byn_buf_init(&differ, &r->alloc);
    byn_put_u8(&differ, BYN_RECORD_DIFFER);
    size_t mark = byn_field_open(&differ, BYN_FIELD_MASK);
    byn_put_u64(&differ, UINT64_MAX);
    byn_field_close(&differ, mark);
    assert_true(say(r, &differ));
    byn_buf_free(&differ);
    rig_drain(r, 0);
    rig_lose_messages(r, 0, 1);
    int answers = 0;
    while (pull->state != BYN_PULL_IDLE) {
      assert_true(++answers < 2000);
      bool right = byn_rng_below(&rng, 3) > 0;
      size_t size = pull->walk ? 2 * pull->walk->asked_count : 8;
      if (!right) size = (size_t)byn_rng_below(&rng, 600);
      byn_buf b;
      byn_buf_init(&b, &r->alloc);
      byn_put_u8(&b, BYN_RECORD_COMPARED);
      byn_put_number_field(&b, BYN_FIELD_SEQ,
                           pull->seq + (byn_rng_below(&rng, 4) == 0));
      mark = byn_field_open(&b, BYN_FIELD_MASKS);
      while (size-- > 0)
        byn_put_u8(&b, round % 2 ? 0xff : (uint8_t)byn_rng_next(&rng));
      byn_field_close(&b, mark);
      assert_true(say(r, &b));
      byn_buf_free(&b);
      rig_drain(r, 0);
      rig_lose_messages(r, 0, 1);
    }
    assert_null(pull->walk);
  }
  rig_run(r, 3000);
  rig_assert_all_run(r, 1000);
  rig_free(r);
}

/* --- a newcomer ----------------------------------------------------------- */

static int next_owned(rig *r, int node, int id) {
  while (strcmp(rig_explain(r, 0, id).owner, rig_names[node]) != 0)
    id++;
  return id;
}

/* Two nodes each know a child that the other has not heard of: who joins knows
 * both, whichever of the two it took the registry from, before it is ready. */
static void each_is_compared(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 2);
  r->start_ms = r->delay_ms = 0;
  rig_start_all(r, 40);
  int ids[2];
  for (int i = 0; i < 2; i++) {
    ids[i] = next_owned(r, i, 100);
    rig_start(r, i, ids[i], 0);
    rig_run(r, 0);
    rig_lose_messages(r, 0, 1);
    assert_int_equal(rig_explain(r, i, ids[i]).state, BYN_DIST_RUNNING);
    assert_int_equal(rig_explain(r, 1 - i, ids[i]).state, BYN_DIST_UNKNOWN);
  }
  r->count = 3;
  rig_boot(r, 2);
  for (int ms = 0; !byn_dist_is_ready(r->nodes[2].d); ms++) {
    assert_true(ms < 500);
    rig_run(r, 1);
  }
  for (int i = 0; i < 2; i++)
    assert_int_equal(rig_explain(r, 2, ids[i]).state, BYN_DIST_RUNNING);
  rig_free(r);
}

static uint64_t digest_of(const rig *r, int i) {
  return byn_tree_digest(&r->nodes[i].d->registry.tree, (byn_span){0});
}

/* One that was away hears that another is dead for sure, and forgets what that
 * one wrote, as the rest did: there is nothing to be compared for ever. */
static void death_while_away(void **state) {
  (void)state;
  rig *r = rig_all(&the_rig, 3);
  rig_start_all(r, 60);
  rig_cut(r, 2, 0);
  rig_cut(r, 2, 1);
  rig_run(r, 2000);
  rig_kill(r, 1);
  rig_run(r, 2000);
  rig_mend(r, 2, 0);
  rig_run(r, 5000);
  rig_assert_all_run(r, 60);
  assert_true(digest_of(r, 0) == digest_of(r, 2));
  const byn_host *dead = NULL;
  for (const byn_peer *p = r->nodes[2].d->peers; p; p = p->next)
    if (strcmp(p->name, rig_names[1]) == 0) dead = p->host;
  assert_true(dead && dead->dropped && dead->registers == 0);
  rig_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums),
      cmocka_unit_test(sweeps),
      cmocka_unit_test(unsound_spans),
      cmocka_unit_test(greedy),
      cmocka_unit_test(lying_masks),
      cmocka_unit_test(each_is_compared),
      cmocka_unit_test(death_while_away),
  };
  return cmocka_run_group_tests_name("dist tree", tests, NULL, NULL);
}
