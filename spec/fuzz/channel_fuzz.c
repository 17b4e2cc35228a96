/* Hostile bytes against the control channel of a peer.
 *
 * The first byte of an input picks a scene, the rest is a script:
 *
 *   0  an acceptor reads the script
 *   1  a dialer that said HELLO reads it
 *   2  two ends that are open say what it says; what goes over the line is
 *      spoilt where it says so, cut into pieces, or has noise between
 *
 * What must hold: without the token nobody is open; what is told was said, in
 * order and once each; a frame that nobody spoilt, and that is not within the
 * bytes of one that was, is told. Memory is given back.
 *
 * With libFuzzer:   clang -fsanitize=fuzzer,address,undefined ...
 * Without:          -DBYN_FUZZ_MAIN adds a main that runs seeded inputs,
 *                   channel_fuzz [how many] [first seed]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../csrc/core/wire/channel.h"

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
      abort();                                                                 \
    }                                                                          \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SAID_MAX 256

typedef struct scene {
  const uint8_t *at, *end;
  size_t live; /* bytes allocated */
  byn_alloc alloc;
  byn_channel ends[2];
  bool sound[SAID_MAX]; /* was this one left alone? */
  int said, heard;      /* how many; the last that was told */
} scene;

static uint8_t next_byte(scene *s) {
  return s->at < s->end ? *s->at++ : 0;
}

static void *fuzz_alloc(void *ud, void *block, size_t old_size,
                        size_t new_size) {
  scene *s = ud;
  void *fresh = NULL;
  if (new_size) {
    fresh = realloc(block, new_size);
    CHECK(fresh);
  } else {
    free(block);
  }
  s->live += new_size - old_size;
  return fresh;
}

static void make(scene *s, int which) {
  uint8_t token[BYN_TOKEN_SIZE], nonce[BYN_NONCE_SIZE];
  memset(token, 9, sizeof token);
  memset(nonce, which + 1, sizeof nonce);
  CHECK(byn_channel_init(&s->ends[which], &s->alloc, which == 0, token, nonce,
                         0));
}

/* Takes all that an end tells: frames carry their number. */
static void hear(scene *s, int which) {
  const uint8_t *bytes;
  size_t n;
  byn_channel_event event;
  while ((event = byn_channel_next(&s->ends[which], &bytes, &n)) !=
         BYN_CHANNEL_NONE) {
    if (event != BYN_CHANNEL_GOT_DATA) continue;
    CHECK(n == 40 && bytes[0] < s->said && bytes[0] > s->heard);
    for (int i = s->heard + 1; i < bytes[0]; i++)
      CHECK(!s->sound[i]);
    s->heard = bytes[0];
  }
}

static void carry(scene *s, int from, int to) {
  byn_buf *out = &s->ends[from].out;
  byn_channel_feed(&s->ends[to], out->data, out->len);
  byn_buf_truncate(out, 0);
  hear(s, to);
}

static void open_both(scene *s) {
  for (int i = 0; i < 2; i++) {
    carry(s, 0, 1);
    carry(s, 1, 0);
  }
  CHECK(s->ends[0].open && s->ends[1].open);
}

static void spoil(scene *s, byn_buf *out) {
  s->sound[s->said - 1] = false;
  size_t at = next_byte(s) % out->len;
  if (next_byte(s) % 2)
    out->data[at] ^= 1 + next_byte(s) % 255;
  else
    byn_buf_truncate(out, at);
}

static void say(scene *s) {
  uint8_t body[40] = {0}, noise[20];
  byn_buf *out = &s->ends[0].out;
  body[0] = (uint8_t)s->said;
  CHECK(byn_channel_put(&s->ends[0], body, sizeof body));
  s->sound[s->said++] = true;
  uint8_t what = next_byte(s);
  if (what % 4 == 0) spoil(s, out);
  if (what % 4 == 1) {
    for (size_t i = 0; i < sizeof noise; i++)
      noise[i] = next_byte(s);
    if (what & 8) memcpy(noise, s->ends[1].rx.mark, BYN_CHANNEL_MARK / 2);
    byn_channel_feed(&s->ends[1], noise, sizeof noise);
  }
  size_t first = out->len ? next_byte(s) % (out->len + 1) : 0;
  byn_channel_feed(&s->ends[1], out->data, first);
  if (what & 16) hear(s, 1);
  byn_channel_feed(&s->ends[1], out->data + first, out->len - first);
  byn_buf_truncate(out, 0);
  hear(s, 1);
}

static void read_script(scene *s, int which) {
  while (s->at < s->end) {
    size_t n = 1 + next_byte(s) % 32;
    if (n > (size_t)(s->end - s->at)) n = (size_t)(s->end - s->at);
    byn_channel_feed(&s->ends[which], s->at, n);
    s->at += n;
    hear(s, which);
    CHECK(!s->ends[which].open);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  scene s = {.at = data, .end = data + size, .heard = -1};
  s.alloc = (byn_alloc){fuzz_alloc, &s};
  uint8_t which = next_byte(&s) % 3;
  make(&s, 0);
  make(&s, 1);
  if (which < 2) {
    read_script(&s, which ? 0 : 1);
  } else {
    open_both(&s);
    while (s.at < s.end && s.said < SAID_MAX - 1)
      say(&s);
    byn_channel_finish(&s.ends[1]);
    hear(&s, 1);
    for (int i = s.heard + 1; i < s.said; i++)
      CHECK(!s.sound[i]);
  }
  byn_channel_free(&s.ends[0]);
  byn_channel_free(&s.ends[1]);
  CHECK(s.live == 0);
  return 0;
}

#ifdef BYN_FUZZ_MAIN
#include "../../csrc/core/rng.h"

#define BYN_FUZZ_SIZE 400

static uint8_t random_byte(byn_rng *rng) {
  return (uint8_t)byn_rng_below(rng, 256);
}

#include "seeded.h"

#endif
