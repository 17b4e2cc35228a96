/* Process groups on some nodes whose links break, whose processes begin again
 * and whose memory is short: in the end each node knows what all have joined,
 * and was told of each change. */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>

#include "../../csrc/core/dist/groups.h"
#include "../../csrc/core/ring.h"
#include "../../csrc/core/rng.h"

enum { NODES = 4, PIDS = 5, GROUPS = 4, QUEUE = 4096, STEPS = 400 };

typedef struct message {
  size_t n;
  uint8_t *bytes;
} message;

/* From one node to another: messages in order. */
typedef struct line {
  message queue[QUEUE];
  int first, count;
  bool up;    /* as the receiver was told */
  bool unmet; /* it had no memory for that */
} line;

typedef struct node {
  byn_groups *g;
  uint32_t joined[PIDS][GROUPS]; /* what it was asked for */
  int told[NODES][PIDS][GROUPS]; /* what its actions add up to */
} node;

typedef struct rig {
  byn_test_alloc memory;
  byn_rng rng;
  uint64_t seed;
  int64_t now;
  node nodes[NODES];
  line lines[NODES][NODES];
  bool connected[NODES][NODES];
  uint64_t sent;
} rig;

static const char *const names[NODES] = {"a@h", "b@h", "c@h", "d@h"};
static rig the_rig;

static uint32_t draw(rig *r, uint32_t bound) {
  return (uint32_t)byn_rng_below(&r->rng, bound);
}

static int index_of(const char *name) {
  for (int i = 0; i < NODES; i++)
    if (strcmp(names[i], name) == 0) return i;
  fail_msg("no such node: %s", name);
  return -1;
}

static byn_dist_id key_of(int group, char key[16]) {
  int n = snprintf(key, 16, "group %d", group);
  return (byn_dist_id){(uint8_t *)key, (size_t)n,
                       byn_ring_hash(key, (size_t)n, BYN_KEY_STRING)};
}

static byn_dist_bytes pid_of(int owner, int pid, char text[16]) {
  int n = snprintf(text, 16, "%s %d", names[owner], pid);
  return (byn_dist_bytes){(uint8_t *)text, (size_t)n};
}

static bool check_key(void *ud, byn_dist_bytes key, uint64_t *hash) {
  (void)ud;
  *hash = byn_ring_hash(key.at, key.n, BYN_KEY_STRING);
  return key.n > 6 && memcmp(key.at, "group ", 6) == 0;
}

static bool check_pid(void *ud, byn_dist_bytes pid, const char *owner) {
  (void)ud;
  size_t n = strlen(owner);
  return pid.n > n && memcmp(pid.at, owner, n) == 0;
}

static byn_groups_config config_of(rig *r, int i) {
  return (byn_groups_config){.alloc = byn_test_allocator(&r->memory),
                             .node = names[i],
                             .max_packet = 128,
                             .check_key = check_key,
                             .check_pid = check_pid};
}

/* --- what follows --------------------------------------------------------- */

static void enqueue(rig *r, int from, int to, byn_dist_bytes bytes) {
  line *l = &r->lines[from][to];
  r->sent++;
  if (!r->connected[from][to]) return;
  if (l->count == QUEUE) fail_msg("seed %d: too many messages", (int)r->seed);
  message *m = &l->queue[(l->first + l->count++) % QUEUE];
  m->n = bytes.n;
  m->bytes = malloc(bytes.n);
  assert_non_null(m->bytes);
  memcpy(m->bytes, bytes.at, bytes.n);
}

static void note(rig *r, int i, const byn_groups_action *a) {
  byn_reader pids;
  int group = a->key.at[6] - '0';
  byn_reader_init(&pids, a->pids.at, a->pids.n);
  while (byn_reader_left(&pids) > 0) {
    size_t n;
    const uint8_t *pid = byn_get_string(&pids, &n);
    assert_true(n == 5);
    int owner = pid[0] - 'a';
    int *told = &r->nodes[i].told[owner][pid[4] - '0'][group];
    *told += a->kind == BYN_GROUPS_JOIN ? 1 : -1;
    if (*told < 0) fail_msg("seed %d: left, and not joined", (int)r->seed);
  }
}

static void drain(rig *r, int i) {
  byn_groups_action a;
  while (byn_groups_next(r->nodes[i].g, &a)) {
    if (a.kind == BYN_GROUPS_SEND)
      enqueue(r, i, index_of(a.node), a.bytes);
    else
      note(r, i, &a);
  }
}

static void deliver(rig *r, int from, int to) {
  line *l = &r->lines[from][to];
  if (l->count == 0 || !l->up) return;
  message m = l->queue[l->first];
  l->first = (l->first + 1) % QUEUE;
  l->count--;
  assert_true(byn_groups_receive(r->nodes[to].g, names[from], m.bytes, m.n));
  free(m.bytes);
  drain(r, to);
}

static void empty(line *l) {
  for (; l->count > 0; l->count--, l->first = (l->first + 1) % QUEUE)
    free(l->queue[l->first].bytes);
}

/* --- faults --------------------------------------------------------------- */

/* What is under way is lost; each hears of it at a time of its own. */
static void cut(rig *r, int a, int b) {
  r->connected[a][b] = r->connected[b][a] = false;
  empty(&r->lines[a][b]);
  empty(&r->lines[b][a]);
}

/* Node `to` hears how its link with `from` is. */
static void hear(rig *r, int from, int to) {
  line *l = &r->lines[from][to];
  if (l->up == r->connected[from][to] && !(l->up && l->unmet)) return;
  l->up = r->connected[from][to];
  if (l->up)
    l->unmet = !byn_groups_node_up(r->nodes[to].g, names[from]);
  else
    byn_groups_node_down(r->nodes[to].g, names[from]);
  drain(r, to);
}

/* A link that broke is told of before it is there again. */
static void mend(rig *r, int a, int b) {
  hear(r, a, b);
  hear(r, b, a);
  r->connected[a][b] = r->connected[b][a] = true;
}

/* The process of a node crashes and begins again. */
static void begin_again(rig *r, int i) {
  byn_groups_attach(r->nodes[i].g);
  for (int j = 0; j < NODES; j++) {
    if (j == i) continue;
    for (line *l = &r->lines[j][i]; l->count > 0;) {
      free(l->queue[l->first].bytes); /* its mailbox */
      l->first = (l->first + 1) % QUEUE;
      l->count--;
    }
    if (r->lines[i][j].up && r->connected[i][j]) {
      byn_groups_peer_away(r->nodes[j].g, names[i]);
      empty(&r->lines[i][j]);
      drain(r, j);
    }
    if (r->lines[j][i].up)
      r->lines[j][i].unmet = !byn_groups_node_up(r->nodes[i].g, names[j]);
  }
  drain(r, i);
}

static void change(rig *r, int i) {
  char key[16], text[16];
  int pid = (int)draw(r, PIDS), group = (int)draw(r, GROUPS);
  byn_dist_id id = key_of(group, key);
  byn_dist_bytes bytes = pid_of(i, pid, text);
  node *n = &r->nodes[i];
  uint32_t *joined = &n->joined[pid][group];
  switch (draw(r, 5)) {
  case 0:
    byn_groups_exited(n->g, bytes);
    memset(n->joined[pid], 0, sizeof n->joined[pid]);
    break;
  case 1:
    assert_true(byn_groups_leave(n->g, &id, bytes) == (*joined > 0));
    if (*joined > 0) --*joined;
    break;
  default:
    if (byn_groups_join(n->g, &id, bytes)) ++*joined;
  }
  drain(r, i);
}

static void step(rig *r) {
  int a = (int)draw(r, NODES), b = (a + 1 + (int)draw(r, NODES - 1)) % NODES;
  uint32_t what = draw(r, 100);
  if (what < 25) {
    change(r, a);
  } else if (what < 28) {
    cut(r, a, b);
  } else if (what < 34) {
    mend(r, a, b);
  } else if (what < 40) {
    hear(r, a, b);
  } else if (what < 41) {
    begin_again(r, a);
  } else if (what < 44) {
    byn_test_fail_nth(&r->memory, 1 + draw(r, 20));
  } else if (what < 46) {
    r->now += draw(r, 2000);
    byn_groups_time(r->nodes[a].g, r->now);
    drain(r, a);
  } else {
    deliver(r, a, b);
  }
}

/* --- the end -------------------------------------------------------------- */

static void calm(rig *r) {
  byn_test_fail_nth(&r->memory, 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < NODES; i++)
      for (int j = 0; j < NODES; j++)
        if (i != j) {
          mend(r, i, j);
          hear(r, i, j);
        }
    for (uint64_t sent = r->sent + 1; sent != r->sent;) {
      sent = r->sent;
      for (int i = 0; i < NODES * NODES; i++)
        while (r->lines[i / NODES][i % NODES].count > 0 &&
               r->lines[i / NODES][i % NODES].up)
          deliver(r, i / NODES, i % NODES);
    }
    r->now += 5000;
    for (int i = 0; i < NODES; i++) {
      byn_groups_time(r->nodes[i].g, r->now);
      drain(r, i);
    }
  }
}

static void assert_right(rig *r, int i, int owner, int pid, int group) {
  char key[16], text[16];
  byn_dist_id id = key_of(group, key);
  const byn_joined *j = byn_groups_joined(r->nodes[i].g);
  uint32_t is = byn_joined_times(j, &id, pid_of(owner, pid, text));
  uint32_t right = r->nodes[owner].joined[pid][group];
  int told = r->nodes[i].told[owner][pid][group];
  if (is != right || (uint32_t)told != right)
    fail_msg("seed %" PRIu64 ": %s has %d of %s in group %d, was told %d, "
             "and %d are right",
             r->seed, names[i], (int)is, text, group, told, (int)right);
}

static void assert_all_right(rig *r) {
  for (int i = 0; i < NODES; i++) {
    for (int owner = 0; owner < NODES; owner++)
      for (int k = 0; k < PIDS * GROUPS; k++)
        assert_right(r, i, owner, k / GROUPS, k % GROUPS);
    for (int j = 0; j < NODES; j++)
      if (i != j) assert_true(byn_groups_is_told(r->nodes[i].g, names[j]));
    assert_int_equal(byn_groups_deadline(r->nodes[i].g), BYN_NEVER);
  }
}

static void play(uint64_t seed) {
  rig *r = &the_rig;
  memset(r, 0, sizeof *r);
  r->seed = seed;
  r->now = 1;
  byn_rng_seed(&r->rng, seed);
  for (int i = 0; i < NODES; i++) {
    byn_groups_config c = config_of(r, i);
    r->nodes[i].g = byn_groups_new(&c);
    byn_groups_watch(r->nodes[i].g, true);
  }
  for (int i = 0; i < STEPS; i++)
    step(r);
  calm(r);
  assert_all_right(r);
  for (int i = 0; i < NODES; i++)
    byn_groups_free(r->nodes[i].g);
  byn_test_assert_clean(&r->memory);
}

static void all_know_of_all(void **state) {
  (void)state;
  const char *one = getenv("BYN_SEED");
  uint64_t first = one ? strtoull(one, NULL, 10) : 0;
  uint64_t last = one ? first + 1 : byn_test_plays(300);
  for (uint64_t seed = first; seed < last; seed++)
    play(seed);
}

/* --- one at a time -------------------------------------------------------- */

static byn_groups *alone(rig *r) {
  memset(r, 0, sizeof *r);
  byn_groups_config c = config_of(r, 0);
  byn_groups *g = byn_groups_new(&c);
  assert_non_null(g);
  return g;
}

/* Whatever the bytes: nothing breaks, and what is refused changes nothing. */
static void any_bytes_are_taken_or_refused(void **state) {
  (void)state;
  byn_groups_action a;
  uint8_t bytes[64];
  byn_groups *g = alone(&the_rig);
  byn_rng_seed(&the_rig.rng, 5);
  byn_groups_node_up(g, names[1]);
  for (int i = 0; i < 200000; i++) {
    size_t n = draw(&the_rig, sizeof bytes);
    for (size_t k = 0; k < n; k++)
      bytes[k] = (uint8_t)draw(&the_rig, k < 6 ? 4 : 256);
    if (n > 0) bytes[0] = 1;
    byn_groups_receive(g, names[1], bytes, n);
    while (byn_groups_next(g, &a)) {}
  }
  byn_groups_free(g);
  byn_test_assert_clean(&the_rig.memory);
}

static void tell(byn_groups *g, const char *from, uint8_t kind, const char *key,
                 const char *pid, bool taken) {
  byn_buf b;
  byn_test_alloc t = {0};
  byn_alloc alloc = byn_test_allocator(&t);
  byn_buf_init(&b, &alloc);
  const uint8_t head[] = {1, 2, 9, 1}; /* CHANGES of session 9 for 1 */
  byn_put_bytes(&b, head, sizeof head);
  byn_put_u8(&b, kind);
  byn_put_string(&b, key, strlen(key));
  byn_put_varint(&b, 1);
  byn_put_string(&b, pid, strlen(pid));
  byn_put_varint(&b, 1);
  assert_true(byn_groups_receive(g, from, b.data, b.len) == taken);
  byn_buf_free(&b);
}

/* A node says of its own processes alone. */
static void others_are_not_spoken_for(void **state) {
  (void)state;
  byn_groups_action a;
  char text[16], key[16];
  const uint8_t hello[] = {1, 1, 9, 1};
  byn_groups *g = alone(&the_rig);
  byn_dist_id id = key_of(1, key);
  assert_true(byn_groups_join(g, &id, pid_of(0, 1, text)));
  byn_groups_node_up(g, names[1]);
  assert_true(byn_groups_receive(g, names[1], hello, sizeof hello));
  tell(g, names[1], 1, "group 1", "b@h 1", true);
  tell(g, names[1], 1, "group 1", "a@h 2", false);
  tell(g, names[1], 2, "group 1", "a@h 1", false);
  tell(g, names[1], 1, "no group", "b@h 1", false);
  tell(g, names[1], 3, "group 1", "b@h 1", false);
  const byn_group *group = byn_joined_find(byn_groups_joined(g), &id);
  assert_int_equal(group->count, 2);
  assert_int_equal(group->here, 1);
  while (byn_groups_next(g, &a)) {}
  byn_groups_free(g);
  byn_test_assert_clean(&the_rig.memory);
}

/* A process that joined as often as it may stays so. */
static void joins_are_counted(void **state) {
  (void)state;
  char text[16], key[16];
  byn_groups_action a;
  byn_groups *g = alone(&the_rig);
  byn_dist_id id = key_of(1, key);
  byn_dist_bytes pid = pid_of(0, 1, text);
  for (int i = 0; i < 70000; i++)
    assert_true(byn_groups_join(g, &id, pid));
  const byn_joined *j = byn_groups_joined(g);
  assert_int_equal(byn_joined_times(j, &id, pid), BYN_JOINED_MOST);
  assert_int_equal(j->count, 1);
  for (int i = 0; i < BYN_JOINED_MOST; i++)
    assert_true(byn_groups_leave(g, &id, pid));
  assert_false(byn_groups_leave(g, &id, pid));
  assert_int_equal(j->count, 0);
  assert_false(byn_groups_next(g, &a));
  assert_null(byn_joined_find(j, &id));
  byn_groups_free(g);
  byn_test_assert_clean(&the_rig.memory);
}

/* Many members of one group, and many groups, in time that grows with them. */
static void a_large_group_and_many_groups(void **state) {
  (void)state;
  enum { MANY = 30000 };
  char text[16], key[24];
  byn_groups_action a;
  byn_groups *g = alone(&the_rig);
  byn_dist_id one = key_of(1, text);
  for (int i = 0; i < MANY; i++) {
    int n = snprintf(key, sizeof key, "a@h %d", i);
    byn_dist_bytes pid = {(uint8_t *)key, (size_t)n};
    assert_true(byn_groups_join(g, &one, pid));
    n = snprintf(key + 8, sizeof key - 8, "group %d", i);
    byn_dist_id id = {(uint8_t *)key + 8, (size_t)n,
                      byn_ring_hash(key + 8, (size_t)n, BYN_KEY_STRING)};
    assert_true(byn_groups_join(g, &id, pid_of(0, 0, text)));
    one = key_of(1, text);
  }
  for (int i = MANY; i-- > 0;) {
    int n = snprintf(key, sizeof key, "a@h %d", i);
    byn_groups_exited(g, (byn_dist_bytes){(uint8_t *)key, (size_t)n});
  }
  assert_false(byn_groups_next(g, &a));
  assert_int_equal(byn_groups_joined(g)->count, 0);
  byn_groups_free(g);
  byn_test_assert_clean(&the_rig.memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_know_of_all),
      cmocka_unit_test(any_bytes_are_taken_or_refused),
      cmocka_unit_test(others_are_not_spoken_for),
      cmocka_unit_test(joins_are_counted),
      cmocka_unit_test(a_large_group_and_many_groups),
  };
  return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
