/* Places merge to one result: in any order, with any repetitions, through the
 * entry point by which messages of other nodes come in. The entries are true:
 * a simulated cluster said them, in the course of starts, crashes, ends,
 * splits and take-overs.
 */
#include "../../csrc/core/dist/place_wire.h"
#include "../../csrc/core/dist/record.h"
#include "dist_rig.h"

enum { ENTRIES = 4096, IDS = 12 };

typedef struct said {
  int id;
  size_t n;
  uint8_t *bytes;
} said;

static rig the_rig;
static said all[ENTRIES];
static int all_count;

/* --- a true history ------------------------------------------------------- */

/* Registers of processes that carry on what another left, of those whose host
 * slept, and of those about to stop as they move; generations that were moved.
 */
static int carried, slept, moving, moved;

static void count_histories(const byn_generation_view *view) {
  for (uint32_t i = 0; i < view->register_count; i++) {
    carried += view->registers[i].history != 0;
    slept += view->registers[i].awoke != 0;
    moving += view->registers[i].moving;
  }
  moved += view->moved_stamp != 0;
}

static void note_entry(const byn_record *r) {
  byn_entry_view entry;
  static byn_generation_view view;
  assert_true(byn_entry_check(r->body.at, r->body.n, 1 << 20, &entry, &view));
  count_histories(&view);
  for (int i = 0; i < all_count; i++)
    if (all[i].n == r->body.n && !memcmp(all[i].bytes, r->body.at, r->body.n))
      return;
  if (all_count == ENTRIES) return;
  said *s = &all[all_count++];
  *s = (said){rig_id(&entry.id), r->body.n, malloc(r->body.n)};
  memcpy(s->bytes, r->body.at, r->body.n);
}

static void note_packet(const uint8_t *bytes, size_t n) {
  byn_packet_head head;
  assert_true(byn_packet_open(&head, bytes, n));
  byn_record r;
  while (byn_record_next(&head.records, &r))
    if (r.kind == BYN_RECORD_ENTRY) note_entry(&r);
  assert_false(head.records.failed);
}

static void note_messages(rig *r) {
  for (const rig_message *m = r->messages; m; m = m->next)
    note_packet(m->bytes, m->n);
}

static bool has_failed_starts(uint64_t seed) {
  return seed % 2 == 0;
}

static void disturb(rig *r) {
  int i = (int)rig_draw(r, (uint32_t)r->count);
  int id = (int)rig_draw(r, IDS);
  if (!r->nodes[i].d) {
    rig_boot(r, i);
    return;
  }
  switch (rig_draw(r, 19)) {
  case 0:
    rig_cut(r, i, (i + 1) % r->count);
    break;
  case 1:
  case 2:
    rig_mend(r, i, (i + 1) % r->count);
    break;
  case 3:
  case 4:
    rig_terminate(r, i, id);
    break;
  case 5:
    if (rig_draw(r, 3) == 0) rig_kill(r, i);
    break;
  case 6:
    if (r->process_count > 0) {
      uint32_t p = rig_draw(r, (uint32_t)r->process_count);
      if (r->processes[p].state == RIG_RUNNING)
        rig_end(r, &r->processes[p], rig_draw(r, 2), "crash");
    }
    break;
  case 7:
    rig_start(r, i, id, BYN_DIST_TEMPORARY);
    break;
  case 8:
    r->failing_id = has_failed_starts(r->seed) && rig_draw(r, 2) ? id : -1;
    break;
  case 13:
    rig_gap(r, i, 1 + rig_draw(r, 8000));
    break;
  case 16:
    rig_move(r, i, id, (int)rig_draw(r, (uint32_t)r->count + 1) - 1);
    break;
  case 17:
    rig_drain_node(r, i, true);
    break;
  case 18:
    rig_undrain(r, i);
    break;
  case 14:
  case 15:
    for (int p = r->process_count - 1; p >= 0 && p > r->process_count - 9; p--)
      if (r->processes[p].state == RIG_RUNNING)
        rig_write(r, &r->processes[p], "state", true, false);
    break;
  default:
    rig_start(r, i, id, rig_draw(r, 2) * BYN_DIST_TRANSIENT);
    break;
  }
}

static void live(uint64_t seed) {
  rig *r = &the_rig;
  rig_init(r, seed, 4);
  for (int i = 0; i < 4; i++)
    rig_boot(r, i);
  while (r->now < 4000) {
    disturb(r);
    for (int ms = (int)rig_draw(r, 60); ms > 0; ms -= 2) {
      note_messages(r);
      rig_run(r, 2);
    }
  }
  rig_free(r);
}

static void forget(void) {
  while (all_count > 0)
    free(all[--all_count].bytes);
}

/* --- a node that hears it ------------------------------------------------- */

static byn_alloc the_alloc;

/* What the node last sent to the speaker. */
static uint64_t session_of(byn_dist *d) {
  byn_dist_action a;
  uint64_t session = 0;
  while (byn_dist_next(d, &a)) {
    if (a.kind != BYN_DIST_SEND) continue;
    byn_packet_head head;
    byn_record r;
    assert_true(byn_packet_open(&head, a.bytes.at, a.bytes.n));
    while (byn_record_next(&head.records, &r))
      if (r.kind == BYN_RECORD_HELLO) session = r.session;
  }
  return session;
}

static void begin_packet_of(byn_buf *b, const char *node, uint64_t life) {
  byn_buf_init(b, &the_alloc);
  byn_put_u8(b, BYN_PACKET_VERSION);
  byn_put_string(b, node, strlen(node));
  byn_put_u64(b, life);
}

static void begin_packet(byn_buf *b) {
  begin_packet_of(b, "s@h", 1);
}

static bool say(byn_dist *d, byn_buf *b) {
  byn_dist_time(d, 5000, 1700000005000);
  bool taken = byn_dist_receive(d, "s@h", b->data, b->len);
  byn_buf_free(b);
  return taken;
}

/* A node that has been greeted by a speaker, and is still to be told all. */
static byn_dist *listener(byn_test_alloc *memory) {
  byn_alloc alloc = byn_test_allocator(memory);
  byn_dist_config c = the_rig.config;
  c.alloc = alloc;
  c.node = "z@h";
  c.incarnation = 1;
  byn_dist *d = byn_dist_new(&c, 5000, 1700000005000);
  byn_dist_attach(d, 5000);
  byn_dist_time(d, 5000, 1700000005000);
  byn_dist_node_up(d, "s@h");
  uint64_t session = session_of(d);
  byn_buf b;
  begin_packet(&b);
  size_t mark = byn_field_open(&b, BYN_RECORD_HELLO);
  byn_put_number_field(&b, BYN_FIELD_SESSION, 1);
  byn_put_number_field(&b, BYN_FIELD_ANSWERS, session);

  byn_field_close(&b, mark);
  assert_true(say(d, &b));
  return d;
}

static bool tell(byn_dist *d, const said *s) {
  byn_buf b;
  begin_packet(&b);
  byn_put_u8(&b, BYN_RECORD_ENTRY);
  byn_put_string(&b, s->bytes, s->n);
  bool taken = say(d, &b);
  session_of(d);
  return taken;
}

/* All that a node knows, as bytes: of each child in the order of the ids, and
 * which process stays. */
static void know(byn_dist *d, byn_buf *b) {
  byn_buf_init(b, &the_alloc);
  for (int id = 0; id < IDS; id++) {
    char key[16];
    byn_dist_id name;
    rig_key(id, key, &name);
    const byn_place *p = byn_registry_find(&d->registry, &name);
    if (!p) continue;
    byn_place_put(b, p, BYN_ENTRY_WHOLE);
    for (int newest = 0; newest < 2; newest++) {
      const byn_register *r = byn_place_running(p, newest, NULL);
      byn_put_u64(b, r ? r->run : 0);
    }
    if (byn_registry_is_settled(&d->registry))
      assert_int_equal(p->digest, byn_place_digest(p));
  }
}

static void assert_equal(byn_dist *d, const byn_buf *expected, uint64_t seed) {
  byn_buf b;
  know(d, &b);
  if (b.len != expected->len ||
      (b.len && memcmp(b.data, expected->data, b.len) != 0))
    fail_msg("seed %" PRIu64 ": two orders, two results", seed);
  byn_buf_free(&b);
}

/* --- the properties ------------------------------------------------------- */

static void permute(int *order, int n, int k) {
  for (int i = n; i > 1; i--) {
    int j = k % i, swapped = order[i - 1];
    k /= i;
    order[i - 1] = order[j];
    order[j] = swapped;
  }
}

/* Four entries of one child, in all 24 orders, each once more at the end. */
static void four(uint64_t seed, byn_rng *rng) {
  int id = (int)byn_rng_below(rng, IDS), picked[4], count = 0;
  for (int tries = 0; tries < 400 && count < 4; tries++) {
    int i = (int)byn_rng_below(rng, (uint64_t)all_count);
    bool fresh = all[i].id == id;
    for (int j = 0; j < count; j++)
      fresh &= picked[j] != i;
    if (fresh) picked[count++] = i;
  }
  byn_buf expected = {0};
  for (int k = 0; k < 24; k++) {
    int order[4] = {0, 1, 2, 3};
    permute(order, count, k);
    byn_test_alloc memory = {0};
    byn_dist *d = listener(&memory);
    for (int i = 0; i < count; i++)
      assert_true(tell(d, &all[picked[order[i]]]));
    for (int i = 0; i < count; i++)
      assert_true(tell(d, &all[picked[order[count - 1 - i]]]));
    if (k == 0)
      know(d, &expected);
    else
      assert_equal(d, &expected, seed);
    byn_dist_free(d);
    byn_test_assert_clean(&memory);
  }
  byn_buf_free(&expected);
}

/* The whole history, in random orders with repetitions. What the end of a
 * failed start hid counts when it is told again. */
static void whole(uint64_t seed, byn_rng *rng) {
  byn_buf expected = {0};
  static int order[ENTRIES];
  for (int k = 0; k < 3; k++) {
    for (int i = 0; i < all_count; i++)
      order[i] = i;
    for (int i = all_count; i > 1; i--) {
      int j = (int)byn_rng_below(rng, (uint64_t)i), swapped = order[i - 1];
      order[i - 1] = order[j];
      order[j] = swapped;
    }
    byn_test_alloc memory = {0};
    byn_dist *d = listener(&memory);
    for (int i = 0; i < all_count; i++) {
      assert_true(tell(d, &all[order[i]]));
      if (byn_rng_below(rng, 4) == 0)
        assert_true(tell(d, &all[order[byn_rng_below(rng, (uint64_t)i + 1)]]));
    }
    for (int i = all_count; i > 0 && has_failed_starts(seed); i--)
      assert_true(tell(d, &all[order[i - 1]]));
    if (k == 0)
      know(d, &expected);
    else
      assert_equal(d, &expected, seed);
    byn_dist_free(d);
    byn_test_assert_clean(&memory);
  }
  byn_buf_free(&expected);
}

static void any_order(void **state) {
  (void)state;
  byn_test_alloc memory = {0};
  the_alloc = byn_test_allocator(&memory);
  int entries = 0, seeds = (int)byn_test_plays(30);
  for (uint64_t seed = 1; seed <= (uint64_t)seeds; seed++) {
    byn_rng rng;
    byn_rng_seed(&rng, seed);
    live(seed);
    assert_true(all_count > 20);
    entries += all_count;
    for (int i = 0; i < 8; i++)
      four(seed, &rng);
    whole(seed, &rng);
    forget();
  }
  assert_true(entries > 34 * seeds);
  assert_true(carried > 4 * seeds);
  assert_true(slept > 4 * seeds);
  assert_true(moving > 4 * seeds);
  assert_true(moved > 4 * seeds);
  byn_test_assert_clean(&memory);
}

/* --- which process stays ---------------------------------------------------
 */

enum { RIVALS = 6 };

typedef struct rival {
  uint64_t history, begun, awoke, run;
} rival;

/* Few numbers, so that many are equal. A host sleeps after the begin. */
static void draw_rivals(byn_rng *rng, rival *rivals, int n) {
  for (int i = 0; i < n; i++) {
    rival *v = &rivals[i];
    v->begun = 10 + byn_rng_below(rng, 8);
    v->history = byn_rng_below(rng, 2) ? 10 + byn_rng_below(rng, 3) : v->begun;
    if (v->history > v->begun) v->history = v->begun;
    v->awoke = 0;
    if (byn_rng_below(rng, 3) == 0) v->awoke = v->begun + byn_rng_below(rng, 8);
    v->run = (uint64_t)i + 1;
  }
}

/* As the words say it, of two of which one at most slept after the other had
 * begun; 0: the words do not say. */
static int stays_of_two(const rival *a, const rival *b, bool newest) {
  if (a->begun == b->begun) return 0;
  const rival *older = a->begun < b->begun ? a : b;
  const rival *younger = older == a ? b : a;
  if (newest) return (int)younger->run;
  if (a->history != b->history)
    return (int)(a->history < b->history ? a : b)->run;
  if (younger->awoke) return 0;
  return (int)(older->awoke > younger->begun ? younger : older)->run;
}

/* The rivals on hosts of their own, in two generations, merged in that order.
 * Which one stays? */
static int winner_of(byn_host *const *hosts, const rival *rivals,
                     const int *order, int n, int but, bool newest) {
  byn_place p = {0};
  static byn_generation_view view;
  for (int i = 0; i < n; i++) {
    int k = order[i];
    const rival *v = &rivals[k];
    if (k == but) continue;
    memset(&view, 0, sizeof view);
    view.token = 1 + (uint64_t)k % 2;
    view.stamp = 1;
    view.register_count = 1;
    view.registers[0] = (byn_register_view){.version = 1,
                                            .run = v->run,
                                            .begun = v->begun,
                                            .history = v->history,
                                            .awoke = v->awoke,
                                            .state = BYN_REGISTER_RUNNING,
                                            .pid = {(const uint8_t *)"pid", 3},
                                            .host = hosts[(k + order[0]) % n]};
    for (int twice = 0; twice < 2; twice++)
      byn_place_merge(&p, &the_alloc, &view);
  }
  const byn_register *r = byn_place_running(&p, newest, NULL);
  int won = r ? (int)r->run : 0;
  byn_place_clear(&p, &the_alloc);
  return won;
}

static void shuffle(byn_rng *rng, int *order, int n) {
  for (int i = n; i > 1; i--) {
    int j = (int)byn_rng_below(rng, (uint64_t)i), swapped = order[i - 1];
    order[i - 1] = order[j];
    order[j] = swapped;
  }
}

/* One of a set stays, whoever merged it in whatever order and whatever the
 * hosts are called, and also when any that does not stay is not known. */
static void one_stays(void **state) {
  (void)state;
  byn_test_alloc memory = {0};
  the_alloc = byn_test_allocator(&memory);
  byn_host *hosts[RIVALS];
  for (int i = 0; i < RIVALS; i++) {
    hosts[i] = calloc(1, sizeof *hosts[i] + 2);
    hosts[i]->name[0] = (char)('a' + i);
  }
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  int decided = 0;
  uint64_t rounds = byn_test_plays(20000);
  for (uint64_t round = 0; round < rounds; round++) {
    int n = 2 + (int)byn_rng_below(&rng, RIVALS - 1);
    bool newest = byn_rng_below(&rng, 4) == 0;
    rival rivals[RIVALS];
    int order[RIVALS] = {0, 1, 2, 3, 4, 5};
    draw_rivals(&rng, rivals, n);
    int won = winner_of(hosts, rivals, order, n, -1, newest);
    assert_true(won > 0);
    for (int again = 0; again < 4; again++) {
      shuffle(&rng, order, n);
      assert_int_equal(winner_of(hosts, rivals, order, n, -1, newest), won);
    }
    for (int but = 0; but < n; but++)
      if (but != won - 1)
        assert_int_equal(winner_of(hosts, rivals, order, n, but, newest), won);
    if (n > 2) continue;
    int stays = stays_of_two(&rivals[0], &rivals[1], newest);
    decided += stays > 0;
    if (stays) assert_int_equal(won, stays);
  }
  assert_true(decided > (int)rounds / 20);
  for (int i = 0; i < RIVALS; i++)
    free(hosts[i]);
  byn_test_assert_clean(&memory);
}

/* Whatever is done to bytes of a peer: they are taken or refused, and refused
 * they change nothing. */
static void strange_bytes(void **state) {
  (void)state;
  byn_test_alloc memory = {0}, ours = {0};
  the_alloc = byn_test_allocator(&ours);
  byn_rng rng;
  byn_rng_seed(&rng, 1);
  live(1);
  byn_dist *d = listener(&memory);
  int refused = 0;
  uint64_t rounds = byn_test_plays(20000);
  for (uint64_t round = 0; round < rounds; round++) {
    const said *s = &all[byn_rng_below(&rng, (uint64_t)all_count)];
    byn_buf b, before, after;
    begin_packet(&b);
    size_t head = b.len;
    byn_put_u8(&b, byn_rng_below(&rng, 3)
                       ? BYN_RECORD_ENTRY
                       : (uint8_t)byn_rng_below(&rng, BYN_RECORD_KINDS));
    byn_put_string(&b, s->bytes, s->n);
    for (uint64_t n = byn_rng_below(&rng, 4); n > 0; n--)
      b.data[head + byn_rng_below(&rng, b.len - head)] =
          (uint8_t)byn_rng_next(&rng);
    if (byn_rng_below(&rng, 8) == 0)
      b.len = head + byn_rng_below(&rng, b.len - head);
    know(d, &before);
    bool taken = say(d, &b);
    know(d, &after);
    refused += !taken;
    if (!taken) {
      assert_int_equal(before.len, after.len);
      if (after.len) assert_memory_equal(before.data, after.data, after.len);
    }
    byn_buf_free(&before);
    byn_buf_free(&after);
    session_of(d);
  }
  assert_true(refused > (int)rounds / 20);
  byn_dist_free(d);
  byn_test_assert_clean(&memory);
  forget();
  byn_test_assert_clean(&ours);
}

/* What another life of the speaker said counts no more; what somebody says in
 * its name is refused. */
static void another_life(void **state) {
  (void)state;
  byn_test_alloc memory = {0}, ours = {0};
  the_alloc = byn_test_allocator(&ours);
  live(3);
  byn_dist *d = listener(&memory);
  byn_buf b, none;
  begin_packet_of(&b, "s@h", 2);
  byn_put_u8(&b, BYN_RECORD_ENTRY);
  byn_put_string(&b, all[0].bytes, all[0].n);
  assert_true(say(d, &b));
  begin_packet_of(&b, "t@h", 1);
  byn_put_u8(&b, BYN_RECORD_ENTRY);
  byn_put_string(&b, all[0].bytes, all[0].n);
  assert_false(say(d, &b));
  know(d, &none);
  assert_int_equal(none.len, 0);
  byn_buf_free(&none);
  assert_true(tell(d, &all[0]));
  know(d, &none);
  assert_int_not_equal(none.len, 0);
  byn_buf_free(&none);
  byn_dist_free(d);
  byn_test_assert_clean(&memory);
  forget();
}

/* An entry that finds no memory is taken whole the next time. */
static void short_memory(void **state) {
  (void)state;
  byn_test_alloc memory = {0}, ours = {0};
  the_alloc = byn_test_allocator(&ours);
  live(2);
  byn_dist *whole_one = listener(&memory);
  for (int i = 0; i < all_count; i++)
    tell(whole_one, &all[i]);
  byn_buf expected;
  know(whole_one, &expected);
  for (uint64_t nth = 1; nth < 40; nth++) {
    byn_test_alloc scarce = {0};
    byn_dist *d = listener(&scarce);
    for (int i = 0; i < all_count; i++) {
      byn_test_fail_nth(&scarce, nth);
      tell(d, &all[i]);
      byn_test_fail_nth(&scarce, 0);
      tell(d, &all[i]);
    }
    assert_equal(d, &expected, nth);
    byn_dist_free(d);
    byn_test_assert_clean(&scarce);
  }
  byn_buf_free(&expected);
  byn_dist_free(whole_one);
  byn_test_assert_clean(&memory);
  forget();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_order),     cmocka_unit_test(one_stays),
      cmocka_unit_test(strange_bytes), cmocka_unit_test(another_life),
      cmocka_unit_test(short_memory),
  };
  return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
