/* Hostile bytes against the link.
 *
 * The first byte of an input picks a scene, the rest is a script:
 *
 *   0  an acceptor reads the script
 *   1  a dialer that said HELLO reads it
 *   2  a link that is UP reads it
 *   3  two links that are UP do what it says: send, tick, lose, flip, close
 *
 * What must hold: without the secret nobody comes UP; DOWN comes once and
 * last; memory is given back, and never grows far beyond what came.
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

typedef struct scene {
  const uint8_t *at, *end;
  size_t live, peak; /* bytes allocated */
  uint64_t calls, fail_at;
  byn_link *links[2];
  bool up[2], down[2];
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

static void open_links(scene *s) {
  static const uint8_t secret[] = "secret", nonces[2][BYN_NONCE_SIZE];
  byn_link_config config = {.alloc = {fuzz_alloc, s},
                            .name = "a@host",
                            .incarnation = 1,
                            .secret = secret,
                            .secret_len = sizeof secret,
                            .heartbeat_ms = 1000,
                            .down_after_ms = 4000,
                            .handshake_ms = 2000,
                            .max_message = 200000,
                            .max_queue = 400000};
  s->links[0] = byn_link_dial(&config, "b@host", nonces[0], s->now);
  config.name = "b@host";
  s->links[1] = byn_link_accept(&config, nonces[1], s->now);
  CHECK(s->links[0] && s->links[1]);
  byn_link_connected(s->links[0], s->now);
}

/* Reads every byte it is given a view of, for the sanitizers. */
static void touch(const uint8_t *bytes, size_t n) {
  volatile uint8_t sum = 0;
  for (size_t i = 0; i < n; i++)
    sum = (uint8_t)(sum + bytes[i]);
}

static void read_events(scene *s, int who) {
  byn_link_event e;
  while (byn_link_next(s->links[who], &e)) {
    CHECK(!s->down[who]);
    if (e.kind == BYN_LINK_ADMIT) byn_link_admit(s->links[who], s->now);
    if (e.kind == BYN_LINK_UP) s->up[who] = true;
    if (e.kind == BYN_LINK_DOWN) {
      s->down[who] = true;
      CHECK(strlen(e.reason) > 0 && strlen(e.reason) <= BYN_REASON_MAX);
    }
    if (e.kind == BYN_LINK_MESSAGE) {
      CHECK(s->up[who] && e.length <= 200000);
      touch(e.message, e.length);
    }
  }
}

/* A copy of its own size, so that a read past its end shows. */
static void feed(scene *s, int who, const uint8_t *bytes, size_t n) {
  uint8_t *copy = malloc(n ? n : 1);
  CHECK(copy);
  if (n) memcpy(copy, bytes, n);
  byn_link_feed(s->links[who], copy, n, s->now);
  read_events(s, who);
  free(copy);
}

/* One view from one end to the other; `flip` changes a bit of it. */
static bool carry(scene *s, int from, size_t flip) {
  const uint8_t *bytes;
  size_t n = byn_link_output(s->links[from], &bytes);
  uint8_t *copy;
  if (n == 0) return false;
  copy = malloc(n);
  CHECK(copy);
  memcpy(copy, bytes, n);
  if (flip) copy[flip % n] ^= (uint8_t)(1 << flip % 8);
  byn_link_wrote(s->links[from], n);
  feed(s, !from, copy, n);
  free(copy);
  return true;
}

static void pump(scene *s) {
  bool moved = true;
  while (moved) {
    moved = carry(s, 0, 0);
    moved = carry(s, 1, 0) || moved;
  }
}

/* The script as the peer's bytes, in chunks whose lengths it gives too. */
static void read_script(scene *s, int who) {
  while (s->at < s->end) {
    size_t n = next_byte(s), left = (size_t)(s->end - s->at);
    if (n > left) n = left;
    feed(s, who, s->at, n);
    s->at += n;
    if (n % 16 == 15) byn_link_tick(s->links[who], s->now += 100);
    read_events(s, who);
    carry(s, who, 0);
  }
}

static void send(scene *s, int who) {
  size_t n = (size_t)next_byte(s) * next_byte(s) * 4;
  byn_buf *out = byn_link_begin(s->links[who]);
  uint8_t *at = out ? byn_put_space(out, n) : NULL;
  if (at) memset(at, 'm', n);
  byn_link_commit(s->links[who]);
}

static void act(scene *s) {
  uint8_t op = next_byte(s);
  int who = op & 1;
  switch (op >> 1 & 7) {
  case 0:
  case 1:
    send(s, who);
    break;
  case 2:
    byn_link_tick(s->links[who], s->now += next_byte(s) * 10);
    break;
  case 3:
    carry(s, who, next_byte(s));
    break;
  case 4:
    pump(s);
    break;
  case 5:
    s->fail_at = s->calls + 1 + next_byte(s) % 8;
    break;
  case 6:
    byn_link_close(s->links[who], "shutdown");
    break;
  default:
    byn_link_closed(s->links[who], "closed");
  }
  read_events(s, who);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  scene s = {.at = data, .end = data + size};
  int kind = next_byte(&s) % 4;
  open_links(&s);
  if (kind == 1) carry(&s, 0, 0);
  if (kind >= 2) {
    pump(&s);
    CHECK(s.up[0] && s.up[1]);
  }
  if (kind == 3)
    while (s.at < s.end)
      act(&s);
  else
    read_script(&s, kind == 0);
  if (kind < 2) CHECK(!s.up[kind == 0]);
  if (kind < 3) CHECK(s.peak < 20000 + 4 * size);
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
