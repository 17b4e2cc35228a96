/* The control channel of a peer node: frames found, opened and made. */
#include "channel.h"

#include <string.h>

#include <sodium/crypto_aead_chacha20poly1305.h>
#include <sodium/crypto_generichash.h>
#include <sodium/utils.h>

#include "../assert.h"

#define CHECK_SIZE 4
#define KEPT ((size_t)1 << 20) /* of a buffer that is empty, at most */
#define CHECK_AT (BYN_CHANNEL_HEAD - CHECK_SIZE)
#define TYPE_AT BYN_CHANNEL_MARK
#define NUMBER_AT (TYPE_AT + 1)
#define LENGTH_AT (NUMBER_AT + 8)
/* The two ends name each other in the handshake. */
#define DIALER_NAME "peer"
#define ACCEPTOR_NAME "origin"
#define DIALER_LABEL "banyan channel of the dialer"
#define ACCEPTOR_LABEL "banyan channel of the acceptor"

/* --- keys ----------------------------------------------------------------- */

static void derive(uint8_t *out, size_t n, const uint8_t *key, const void *text,
                   size_t length) {
  crypto_generichash(out, n, text, length, key, BYN_TOKEN_SIZE);
}

static void seal_init(byn_seal *s, const uint8_t *token, const char *label) {
  uint8_t both[BYN_CHANNEL_MARK + BYN_CHANNEL_KEY];
  memset(s, 0, sizeof *s);
  derive(both, sizeof both, token, label, strlen(label));
  memcpy(s->mark, both, BYN_CHANNEL_MARK);
  memcpy(s->outer, both + BYN_CHANNEL_MARK, BYN_CHANNEL_KEY);
  sodium_memzero(both, sizeof both);
}

void byn_channel_mark(const uint8_t token[BYN_TOKEN_SIZE],
                      uint8_t mark[BYN_CHANNEL_MARK]) {
  byn_seal s;
  seal_init(&s, token, DIALER_LABEL);
  memcpy(mark, s.mark, BYN_CHANNEL_MARK);
  sodium_memzero(&s, sizeof s);
}

/* Both ends have HELLO and CHALLENGE: the keys of the session. */
static void make_keys(byn_channel *c) {
  uint8_t both[2 * BYN_CHANNEL_KEY];
  uint8_t *tx = c->dialer ? both : both + BYN_CHANNEL_KEY;
  uint8_t *rx = c->dialer ? both + BYN_CHANNEL_KEY : both;
  derive(both, sizeof both, c->token, c->transcript.data, c->transcript.len);
  memcpy(c->tx.inner, tx, BYN_CHANNEL_KEY);
  memcpy(c->rx.inner, rx, BYN_CHANNEL_KEY);
  sodium_memzero(both, sizeof both);
}

/* --- one frame ------------------------------------------------------------ */

static void check_of(const byn_seal *s, const uint8_t *head, uint8_t *out) {
  uint8_t hash[crypto_generichash_BYTES_MIN];
  crypto_generichash(hash, sizeof hash, head, CHECK_AT, s->outer,
                     sizeof s->outer);
  memcpy(out, hash, CHECK_SIZE);
}

static void
nonce_of(const uint8_t *head,
         uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES]) {
  memset(nonce, 0, crypto_aead_chacha20poly1305_ietf_NPUBBYTES);
  memcpy(nonce + 4, head + NUMBER_AT, 8);
}

static void put_number(uint8_t *at, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    at[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

static uint64_t get_number(const uint8_t *at, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; i++)
    v = v << 8 | at[i];
  return v;
}

/* The tag of a SHAKE frame: of its head and body, which lie side by side. */
static void shake_tag(const byn_seal *s, const uint8_t *frame, size_t n,
                      uint8_t tag[BYN_CHANNEL_TAG]) {
  crypto_generichash(tag, BYN_CHANNEL_TAG, frame, BYN_CHANNEL_HEAD + n,
                     s->outer, sizeof s->outer);
}

void byn_seal_put(byn_seal *s, byn_channel_type type, const void *body,
                  size_t n, byn_buf *out) {
  uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
  byn_assert(n <= BYN_CHANNEL_MAX);
  uint8_t *at = byn_put_space(out, BYN_CHANNEL_HEAD + n + BYN_CHANNEL_TAG);
  if (!at) return;
  memcpy(at, s->mark, BYN_CHANNEL_MARK);
  at[TYPE_AT] = (uint8_t)type;
  put_number(at + NUMBER_AT, ++s->number, 8);
  put_number(at + LENGTH_AT, n, 4);
  check_of(s, at, at + CHECK_AT);
  if (type == BYN_CHANNEL_SHAKE) {
    memcpy(at + BYN_CHANNEL_HEAD, body, n);
    shake_tag(s, at, n, at + BYN_CHANNEL_HEAD + n);
    return;
  }
  nonce_of(at, nonce);
  crypto_aead_chacha20poly1305_ietf_encrypt(at + BYN_CHANNEL_HEAD, NULL, body,
                                            n, at, BYN_CHANNEL_HEAD, NULL,
                                            nonce, s->inner);
}

/* Opens the frame at `frame` in place. false: it is damaged, and is as it was:
 * what was taken for its body may have frames in it. The cipher would wipe it,
 * so it is first asked for the tag alone. */
static bool open_frame(const byn_seal *s, uint8_t *frame, size_t n) {
  uint8_t tag[BYN_CHANNEL_TAG];
  uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
  uint8_t *body = frame + BYN_CHANNEL_HEAD;
  if (frame[TYPE_AT] == BYN_CHANNEL_SHAKE) {
    shake_tag(s, frame, n, tag);
    return sodium_memcmp(tag, body + n, BYN_CHANNEL_TAG) == 0;
  }
  nonce_of(frame, nonce);
  if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(
          NULL, NULL, body, n, body + n, frame, BYN_CHANNEL_HEAD, nonce,
          s->inner))
    return false;
  return crypto_aead_chacha20poly1305_ietf_decrypt_detached(
             body, NULL, body, n, body + n, frame, BYN_CHANNEL_HEAD, nonce,
             s->inner) == 0;
}

/* --- a channel ------------------------------------------------------------ */

static void put_shake(byn_channel *c, byn_frame_type type,
                      const byn_buf *body) {
  byn_buf whole;
  byn_buf_init(&whole, c->out.alloc);
  byn_put_u8(&whole, (uint8_t)type);
  byn_put_bytes(&whole, body->data, body->len);
  if (whole.failed || body->failed)
    c->out.failed = true;
  else
    byn_seal_put(&c->tx, BYN_CHANNEL_SHAKE, whole.data, whole.len, &c->out);
  byn_buf_free(&whole);
}

/* Says what `put` writes; HELLO and CHALLENGE are noted for the keys. */
static void say(byn_channel *c, byn_frame_type type) {
  byn_buf body;
  byn_buf_init(&body, c->out.alloc);
  switch (type) {
  case BYN_FRAME_HELLO:
    byn_handshake_put_hello(&c->shake, &body);
    break;
  case BYN_FRAME_CHALLENGE:
    byn_handshake_put_challenge(&c->shake, &body);
    break;
  case BYN_FRAME_PROOF:
    byn_handshake_put_proof(&c->shake, &body);
    break;
  default:
    byn_handshake_put_welcome(&c->shake, &body);
    break;
  }
  if (type == BYN_FRAME_HELLO || type == BYN_FRAME_CHALLENGE)
    byn_put_bytes(&c->transcript, body.data, body.len);
  put_shake(c, type, &body);
  byn_buf_free(&body);
}

bool byn_channel_init(byn_channel *c, const byn_alloc *alloc, bool dialer,
                      const uint8_t token[BYN_TOKEN_SIZE],
                      const uint8_t nonce[BYN_NONCE_SIZE], uint8_t traits) {
  memset(c, 0, sizeof *c);
  byn_buf_init(&c->in, alloc);
  byn_buf_init(&c->held, alloc);
  byn_buf_init(&c->out, alloc);
  byn_buf_init(&c->transcript, alloc);
  c->dialer = dialer;
  memcpy(c->token, token, BYN_TOKEN_SIZE);
  seal_init(dialer ? &c->tx : &c->rx, token, DIALER_LABEL);
  seal_init(dialer ? &c->rx : &c->tx, token, ACCEPTOR_LABEL);
  bool made = byn_handshake_init(
      &c->shake, dialer ? DIALER_NAME : ACCEPTOR_NAME, 1,
      dialer ? ACCEPTOR_NAME : NULL, nonce, token, BYN_TOKEN_SIZE);
  byn_assert(made);
  (void)made;
  c->shake.traits = traits;
  c->expected = dialer ? BYN_FRAME_CHALLENGE : BYN_FRAME_HELLO;
  if (dialer) say(c, BYN_FRAME_HELLO);
  if (!c->out.failed && !c->transcript.failed) return true;
  byn_channel_free(c);
  return false;
}

void byn_channel_free(byn_channel *c) {
  byn_buf_free(&c->in);
  byn_buf_free(&c->held);
  byn_buf_free(&c->out);
  byn_buf_free(&c->transcript);
  byn_handshake_wipe(&c->shake);
  sodium_memzero(&c->tx, sizeof c->tx);
  sodium_memzero(&c->rx, sizeof c->rx);
  sodium_memzero(c->token, sizeof c->token);
}

static void end(byn_channel *c, const char *reason) {
  if (!c->reason) c->reason = reason;
}

static void become_open(byn_channel *c) {
  byn_buf_free(&c->transcript);
  sodium_memzero(c->token, sizeof c->token);
  c->expected = 0;
  c->open = true;
}

/* The reason of a refusal by the handshake, or NULL. */
static const char *judge(byn_channel *c, const uint8_t *payload, size_t n) {
  byn_verdict verdict;
  switch (c->expected) {
  case BYN_FRAME_HELLO:
    verdict = byn_handshake_on_hello(&c->shake, payload, n);
    break;
  case BYN_FRAME_CHALLENGE:
    verdict = byn_handshake_on_challenge(&c->shake, payload, n);
    break;
  case BYN_FRAME_PROOF:
    verdict = byn_handshake_on_proof(&c->shake, payload, n);
    break;
  default:
    verdict = byn_handshake_on_welcome(&c->shake, payload, n);
    break;
  }
  return verdict == BYN_SHAKE_OK ? NULL : byn_verdict_reason(verdict);
}

/* One frame of the handshake. One that is not expected, as what was played
 * back, means nothing. */
static void on_shake(byn_channel *c, const uint8_t *body, size_t n) {
  if (n < 1 || body[0] != c->expected) return;
  const char *reason = judge(c, body + 1, n - 1);
  if (reason) {
    end(c, reason);
    return;
  }
  switch (c->expected) {
  case BYN_FRAME_HELLO:
    byn_put_bytes(&c->transcript, body + 1, n - 1);
    say(c, BYN_FRAME_CHALLENGE);
    c->expected = BYN_FRAME_PROOF;
    break;
  case BYN_FRAME_CHALLENGE:
    byn_put_bytes(&c->transcript, body + 1, n - 1);
    say(c, BYN_FRAME_PROOF);
    make_keys(c);
    c->expected = BYN_FRAME_WELCOME;
    break;
  case BYN_FRAME_PROOF:
    say(c, BYN_FRAME_WELCOME);
    make_keys(c);
    become_open(c);
    break;
  default:
    become_open(c);
    break;
  }
  if (c->out.failed || c->transcript.failed) end(c, "out_of_memory");
}

/* --- walking what came ---------------------------------------------------- */

void byn_channel_feed(byn_channel *c, const void *bytes, size_t n) {
  if (c->ended || c->reason || n == 0) return;
  byn_buf_drop(&c->in, c->at);
  c->at = 0;
  if (c->in.len == 0 && c->in.cap > KEPT) byn_buf_free(&c->in);
  byn_put_bytes(&c->in, bytes, n);
  if (c->in.failed) end(c, "out_of_memory");
}

void byn_channel_finish(byn_channel *c) {
  c->finished = true;
}

/* Where the next mark begins, or what may become one; or the end. */
static size_t find_mark(const byn_channel *c, size_t from) {
  const uint8_t *data = c->in.data;
  size_t end_at = c->in.len;
  while (from < end_at) {
    const uint8_t *found = memchr(data + from, c->rx.mark[0], end_at - from);
    if (!found) return end_at;
    from = (size_t)(found - data);
    size_t left = end_at - from;
    if (left > BYN_CHANNEL_MARK) left = BYN_CHANNEL_MARK;
    if (memcmp(found, c->rx.mark, left) == 0) return from;
    from++;
  }
  return end_at;
}

typedef enum { SOUND, DAMAGED, INCOMPLETE } condition;

/* Looks at the frame that may begin at c->at. */
static condition look_at_frame(const byn_channel *c) {
  uint8_t check[CHECK_SIZE];
  uint8_t *frame = c->in.data + c->at;
  size_t left = c->in.len - c->at;
  if (left < BYN_CHANNEL_HEAD) return INCOMPLETE;
  check_of(&c->rx, frame, check);
  uint8_t type = frame[TYPE_AT];
  size_t n = (size_t)get_number(frame + LENGTH_AT, 4);
  if (memcmp(check, frame + CHECK_AT, CHECK_SIZE) || n > BYN_CHANNEL_MAX ||
      type < BYN_CHANNEL_SHAKE || type > BYN_CHANNEL_OUTPUT)
    return DAMAGED;
  /* A number that was there already, or a seal without its key, is none of
   * this session. */
  if (get_number(frame + NUMBER_AT, 8) <= c->rx.number ||
      (type != BYN_CHANNEL_SHAKE && !c->open))
    return DAMAGED;
  if (left < BYN_CHANNEL_HEAD + n + BYN_CHANNEL_TAG) return INCOMPLETE;
  return open_frame(&c->rx, frame, n) ? SOUND : DAMAGED;
}

/* Noise from c->at up to `to`: told, or held for the next frame. */
static bool pass_noise(byn_channel *c, size_t to, const uint8_t **bytes,
                       size_t *n) {
  size_t from = c->at;
  c->at = to;
  if (!c->began) {
    *bytes = c->in.data + from;
    *n = to - from;
    return to > from;
  }
  byn_put_bytes(&c->held, c->in.data + from, to - from);
  if (c->held.failed) end(c, "out_of_memory");
  return false;
}

/* Tells what is held; it stays in its buffer until the next call. */
static bool tell_held(byn_channel *c, const uint8_t **bytes, size_t *n) {
  if (c->held.len == 0) return false;
  *bytes = c->held.data;
  *n = c->held.len;
  c->held.len = 0;
  return true;
}

/* The frame at c->at is sound, and its seal is open. */
static byn_channel_event take_frame(byn_channel *c, const uint8_t **bytes,
                                    size_t *n) {
  uint8_t *frame = c->in.data + c->at;
  size_t length = (size_t)get_number(frame + LENGTH_AT, 4);
  c->rx.number = get_number(frame + NUMBER_AT, 8);
  c->began = true;
  c->at += BYN_CHANNEL_HEAD + length + BYN_CHANNEL_TAG;
  *bytes = frame + BYN_CHANNEL_HEAD;
  *n = length;
  bool was_open = c->open;
  c->is_opened = false;
  switch (frame[TYPE_AT]) {
  case BYN_CHANNEL_DATA:
    return BYN_CHANNEL_GOT_DATA;
  case BYN_CHANNEL_OUTPUT:
    return BYN_CHANNEL_GOT_OUTPUT;
  default:
    on_shake(c, *bytes, *n);
    return c->open && !was_open ? BYN_CHANNEL_IS_OPEN : BYN_CHANNEL_NONE;
  }
}

/* Is there noise in front of the frame at c->at to be told before it? What is
 * held and does not precede the very next frame is dropped. */
static bool settle_held(byn_channel *c, const uint8_t **bytes, size_t *n) {
  uint64_t number = get_number(c->in.data + c->at + NUMBER_AT, 8);
  if (number == c->rx.number + 1) return tell_held(c, bytes, n);
  c->held.len = 0;
  return false;
}

/* The end came within what is at c->at: what has a mark is no noise. But what
 * was cut short may have whole frames behind it. */
static byn_channel_event drop_cut_frame(byn_channel *c) {
  c->at = find_mark(c, c->at + 1);
  return BYN_CHANNEL_NONE;
}

/* One step through what came. NONE with *more: go on. */
static byn_channel_event walk(byn_channel *c, bool *more, const uint8_t **bytes,
                              size_t *n) {
  size_t mark = find_mark(c, c->at);
  *more = true;
  if (mark > c->at)
    return pass_noise(c, mark, bytes, n) ? BYN_CHANNEL_NOISE : BYN_CHANNEL_NONE;
  if (c->held.len > BYN_CHANNEL_HELD && tell_held(c, bytes, n))
    return BYN_CHANNEL_NOISE;
  *more = c->at < c->in.len;
  if (!*more) return BYN_CHANNEL_NONE;
  if (c->is_opened) return take_frame(c, bytes, n);
  condition is = look_at_frame(c);
  if (is == SOUND) {
    c->is_opened = true;
    return settle_held(c, bytes, n) ? BYN_CHANNEL_NOISE : BYN_CHANNEL_NONE;
  }
  if (is == INCOMPLETE && !c->finished) {
    *more = false;
    return BYN_CHANNEL_NONE;
  }
  size_t to = is == INCOMPLETE ? c->in.len : c->at + 1;
  if (is == INCOMPLETE && to - c->at >= BYN_CHANNEL_MARK)
    return drop_cut_frame(c);
  return pass_noise(c, to, bytes, n) ? BYN_CHANNEL_NOISE : BYN_CHANNEL_NONE;
}

byn_channel_event byn_channel_next(byn_channel *c, const uint8_t **bytes,
                                   size_t *n) {
  bool more = !c->ended;
  *n = 0;
  while (more && !c->reason) {
    byn_channel_event event = walk(c, &more, bytes, n);
    if (event != BYN_CHANNEL_NONE) return event;
  }
  if (c->reason && !c->ended) {
    c->ended = true;
    c->open = false;
    return BYN_CHANNEL_ENDED;
  }
  if (c->finished && tell_held(c, bytes, n)) return BYN_CHANNEL_NOISE;
  return BYN_CHANNEL_NONE;
}

bool byn_channel_put(byn_channel *c, const void *body, size_t n) {
  if (!c->open || n > BYN_CHANNEL_MAX) return false;
  size_t before = c->out.len;
  byn_seal_put(&c->tx, BYN_CHANNEL_DATA, body, n, &c->out);
  if (!c->out.failed) return true;
  byn_buf_truncate(&c->out, before);
  return false;
}
