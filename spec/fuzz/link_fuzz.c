/* Hostile bytes against links and their connections.
 *
 * The first byte of an input picks a scene, the rest is a script:
 *
 *   0  an acceptor reads the script
 *   1  a dialer that said HELLO reads it
 *   2  a link that is UP reads it
 *   3  two links that are UP do what it says: send, tick, lose, flip, close
 *   4  the same, but nothing is changed on its way: connections break, and
 *      others take their place
 *
 * What must hold: without the secret nobody comes UP; DOWN comes once and
 * last; memory is given back, and never grows far beyond what came. In scene 4
 * messages come once and in order.
 *
 * With libFuzzer:   clang -fsanitize=fuzzer,address,undefined ...
 * Without:          -DBYN_FUZZ_MAIN adds a main that runs seeded inputs,
 *                   link_fuzz [how many] [first seed]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/core/link.h"
#include "../../csrc/core/rng.h"

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
      abort();                                                                 \
    }                                                                          \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WIRES 24

typedef struct scene {
  const uint8_t *at, *end;
  size_t live, peak; /* bytes allocated */
  uint64_t calls, fail_at;
  byn_link_config config[2];
  byn_link *links[2];
  byn_connection *ends[WIRES][2];
  size_t wires;
  bool up[2], down[2];
  uint8_t sent[2], heard[2]; /* the first byte of the next message */
  bool in_order;             /* messages are judged */
  uint8_t nonces;
  int64_t now;
} scene;

static uint8_t next_byte(scene *s) {
  return s->at < s->end ? *s->at++ : 0;
}

static void *fuzz_alloc(void *ud, void *block, size_t old_size,
                        size_t new_size) {
  scene *s = ud;
  void *fresh;
  if (new_size == 0) {
    s->live -= old_size;
    free(block);
    return NULL;
  }
  if (++s->calls == s->fail_at) return NULL;
  fresh = realloc(block, new_size);
  CHECK(fresh);
  s->live += new_size - old_size;
  if (s->live > s->peak) s->peak = s->live;
  return fresh;
}

static byn_link_config config_of(scene *s, int who) {
  static const uint8_t secret[] = "secret";
  byn_link_config config = {.connection = {.alloc = {fuzz_alloc, s},
                                           .name = who ? "b@host" : "a@host",
                                           .incarnation = 1,
                                           .secret = secret,
                                           .secret_len = sizeof secret,
                                           .heartbeat_ms = 1000,
                                           .handshake_ms = 2000},
                            .down_after_ms = 4000,
                            .reconnect_ms = 2000,
                            .max_message = 200000,
                            .max_queue = 400000};
  return config;
}

static void fresh_nonce(scene *s, uint8_t nonce[BYN_NONCE_SIZE]) {
  memset(nonce, ++s->nonces, BYN_NONCE_SIZE);
}

/* A link wants a connection: there may be none left. */
static void connect_link(scene *s, int who) {
  uint8_t nonce[BYN_NONCE_SIZE];
  byn_connection **ends = s->ends[s->wires];
  if (s->wires == WIRES) {
    byn_link_connect_failed(s->links[who], "no_wire", s->now);
    return;
  }
  fresh_nonce(s, nonce);
  ends[who] = byn_link_connect(s->links[who], nonce, s->now);
  if (!ends[who]) return;
  fresh_nonce(s, nonce);
  ends[!who] =
      byn_connection_accept(&s->config[!who].connection, nonce, s->now);
  s->wires++;
  byn_connection_opened(ends[who], s->now);
}

static void open_links(scene *s) {
  s->config[0] = config_of(s, 0);
  s->config[1] = config_of(s, 1);
  s->links[0] = byn_link_dial(&s->config[0], "b@host", 1, 0, s->now);
  CHECK(s->links[0]);
}

/* Reads every byte it is given a view of, for the sanitizers. */
static void touch(const uint8_t *bytes, size_t n) {
  volatile uint8_t sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = (uint8_t)(sum + bytes[i]);
}

static void read_message(scene *s, int who, const byn_link_event *e) {
  CHECK(s->up[who] && e->length <= 200000);
  touch(e->message, e->length);
  if (s->in_order) CHECK(e->length && e->message[0] == s->heard[who]++);
}

static void read_events(scene *s, int who) {
  byn_link_event e;
  while (s->links[who] && byn_link_next(s->links[who], &e)) {
    CHECK(!s->down[who]);
    if (e.kind == BYN_LINK_DIAL) connect_link(s, who);
    if (e.kind == BYN_LINK_UP) s->up[who] = true;
    if (e.kind == BYN_LINK_MESSAGE) read_message(s, who, &e);
    if (e.kind == BYN_LINK_ASKED) {
      CHECK(strlen(e.question.address) <= BYN_ADDRESS_MAX);
      byn_link_answer(s->links[who], e.question.number);
    }
    if (e.kind == BYN_LINK_DOWN) {
      s->down[who] = true;
      CHECK(strlen(e.reason) > 0 && strlen(e.reason) <= BYN_REASON_MAX);
    }
  }
}

static void admit(scene *s, int who, byn_connection *c,
                  const byn_connection_event *e) {
  byn_link *link = s->links[who];
  if (!link && !e->resume.session)
    s->links[who] = byn_link_admit(&s->config[who], c, e, s->now);
  else if (link && byn_link_has(link, e))
    byn_link_resume(link, c, e, s->now);
  else
    byn_connection_refuse(c, "session_unknown");
}

static void poll_end(scene *s, size_t wire, int who) {
  byn_connection *c = s->ends[wire][who];
  byn_connection_event e;
  while (!(s->links[who] && byn_link_uses(s->links[who], c)) &&
         byn_connection_next(c, &e))
    if (e.kind == BYN_CONNECTION_ADMIT) admit(s, who, c, &e);
  read_events(s, who);
}

/* A copy of its own size, so that a read past its end shows. */
static void feed(scene *s, size_t wire, int who, const uint8_t *bytes,
                 size_t n) {
  uint8_t *copy = malloc(n ? n : 1);
  CHECK(copy);
  if (n) memcpy(copy, bytes, n);
  if (s->ends[wire][who]) {
    byn_connection_feed(s->ends[wire][who], copy, n, s->now);
    poll_end(s, wire, who);
  }
  free(copy);
}

/* One view from one end to the other; `flip` changes a bit of it. */
static bool carry(scene *s, size_t wire, int from, size_t flip) {
  const uint8_t *bytes;
  byn_connection *c = s->ends[wire][from];
  size_t n = c ? byn_connection_output(c, &bytes) : 0;
  uint8_t *copy;
  if (n == 0) return false;
  copy = malloc(n);
  CHECK(copy);
  memcpy(copy, bytes, n);
  if (flip) copy[flip % n] ^= (uint8_t)(1 << flip % 8);
  byn_connection_wrote(c, n);
  feed(s, wire, !from, copy, n);
  free(copy);
  return true;
}

static void pump(scene *s) {
  bool moved = true;
  while (moved) {
    moved = false;
    for (size_t i = 0; i < s->wires; i++) {
      moved = carry(s, i, 0, 0) || moved;
      moved = carry(s, i, 1, 0) || moved;
    }
  }
}

/* Both ends hear that a wire is gone. */
static void cut(scene *s, size_t wire) {
  for (int who = 0; who < 2; who++)
    if (s->ends[wire][who]) {
      byn_connection_closed(s->ends[wire][who], "closed");
      poll_end(s, wire, who);
    }
}

static void tick(scene *s, int who, int64_t ms) {
  s->now += ms;
  if (s->links[who]) byn_link_tick(s->links[who], s->now);
  read_events(s, who);
}

/* The script as the peer's bytes, in chunks whose lengths it gives too. */
static void read_script(scene *s, int who) {
  while (s->at < s->end) {
    size_t n = next_byte(s), left = (size_t)(s->end - s->at);
    if (n > left) n = left;
    feed(s, 0, who, s->at, n);
    s->at += n;
    if (n % 16 == 15) tick(s, who, 100);
    carry(s, 0, who, 0);
  }
}

static void send(scene *s, int who) {
  size_t n = (size_t)next_byte(s) * next_byte(s) * 4 + 1;
  byn_buf *out = s->links[who] ? byn_link_begin(s->links[who]) : NULL;
  uint8_t *at = out ? byn_put_space(out, n) : NULL;
  if (at) memset(at, s->sent[who], n);
  if (out && byn_link_commit(s->links[who], n % 2)) s->sent[who]++;
}

static void act(scene *s) {
  uint8_t op = next_byte(s);
  int who = op & 1;
  size_t wire = s->wires ? op % s->wires : 0;
  switch (op >> 1 & 7) {
  case 0:
  case 1:
    send(s, who);
    break;
  case 2:
    tick(s, who, next_byte(s) * 10);
    break;
  case 3:
    carry(s, wire, who, s->in_order ? 0 : next_byte(s));
    break;
  case 4:
    pump(s);
    break;
  case 5:
    s->fail_at = s->calls + 1 + next_byte(s) % 8;
    break;
  case 6:
    if (s->links[who] && !s->in_order)
      byn_link_close(s->links[who], "shutdown");
    break;
  default:
    cut(s, wire);
  }
  read_events(s, who);
}

/* What is still on its way comes, or the link is over. */
static void check_order(scene *s) {
  s->fail_at = 0;
  pump(s);
  for (int i = 0; i < 40; i++) {
    tick(s, 0, 50);
    tick(s, 1, 0);
    pump(s);
  }
  for (int who = 0; who < 2; who++)
    CHECK(s->down[0] || s->down[1] || s->heard[who] == s->sent[!who]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  scene s = {.at = data, .end = data + size};
  int kind = next_byte(&s) % 5;
  open_links(&s);
  read_events(&s, 0);
  if (kind == 1) carry(&s, 0, 0, 0);
  if (kind >= 2) {
    pump(&s);
    CHECK(s.up[0] && s.up[1]);
  }
  s.in_order = kind == 4;
  if (kind >= 3)
    while (s.at < s.end)
      act(&s);
  else
    read_script(&s, kind == 0);
  if (kind == 4) check_order(&s);
  if (kind < 2) CHECK(!s.up[kind == 0]);
  if (kind < 3) CHECK(s.peak < 20000 + 4 * size);
  for (size_t i = 0; i < WIRES; i++)
    for (int who = 0; who < 2; who++)
      byn_connection_free(s.ends[i][who]);
  byn_link_free(s.links[0]);
  byn_link_free(s.links[1]);
  CHECK(s.live == 0);
  return 0;
}

#ifdef BYN_FUZZ_MAIN

#define BYN_FUZZ_SIZE 2048

/* Bytes that look right more often than chance would have them. */
static uint8_t random_byte(byn_rng *rng) {
  uint64_t bits = byn_rng_next(rng);
  if ((bits & 0x7000) == 0) return 0;
  return (uint8_t)(bits & 0x300 ? bits & 15 : bits);
}

#include "seeded.h"

#endif
