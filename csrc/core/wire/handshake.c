/* The handshake: payloads written and judged. */
#include "handshake.h"

#include <string.h>

#include <sodium/utils.h>

#define DIALER "banyan dialer"
#define ACCEPTOR "banyan acceptor"
#define REFUSAL "banyan refusal:"

#define RESUMES 2       /* the minor version that brought it */
#define RESUME_SIZE 36  /* bytes of a byn_resume */
#define RESUMED_SIZE 20 /* bytes of a byn_resumed */

bool byn_name_is_valid(const char *name, size_t n) {
  if (n == 0 || n > BYN_NAME_MAX) return false;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f) return false;
  return true;
}

const char *byn_verdict_reason(byn_verdict verdict) {
  switch (verdict) {
  case BYN_SHAKE_BAD_VERSION:
    return "bad_version";
  case BYN_SHAKE_BAD_SECRET:
    return "bad_secret";
  case BYN_SHAKE_WRONG_NAME:
    return "wrong_name";
  case BYN_SHAKE_OK:
  case BYN_SHAKE_BAD_FRAME:
    break;
  }
  return "bad_frame";
}

/* Looks no further than a valid name can reach. */
static bool set_name(char *to, const char *name) {
  size_t n = 0;
  while (n <= BYN_NAME_MAX && name[n])
    n++;
  if (!byn_name_is_valid(name, n)) return false;
  memcpy(to, name, n);
  to[n] = '\0';
  return true;
}

bool byn_handshake_init(byn_handshake *h, const char *name,
                        uint64_t incarnation, const char *peer,
                        const uint8_t nonce[BYN_NONCE_SIZE],
                        const uint8_t *secret, size_t secret_len) {
  memset(h, 0, sizeof *h);
  if (secret_len == 0 || !set_name(h->name, name)) return false;
  if (peer && !set_name(h->peer, peer)) return false;
  memcpy(h->nonce, nonce, BYN_NONCE_SIZE);
  h->incarnation = incarnation;
  h->minor = BYN_WIRE_MINOR;
  crypto_auth_hmacsha256_init(&h->transcript, secret, secret_len);
  return true;
}

void byn_handshake_wipe(byn_handshake *h) {
  sodium_memzero(&h->transcript, sizeof h->transcript);
  h->complete = h->proven = false;
}

bool byn_handshake_resumes(const byn_handshake *h) {
  return h->minor >= RESUMES;
}

/* Adds a whole payload to the transcript. */
static void absorb(byn_handshake *h, const uint8_t *payload, size_t n) {
  const uint8_t length[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16),
                             (uint8_t)(n >> 8), (uint8_t)n};
  crypto_auth_hmacsha256_update(&h->transcript, length, sizeof length);
  crypto_auth_hmacsha256_update(&h->transcript, payload, n);
}

static void prove(const byn_handshake *h, const char *label, const void *more,
                  size_t n, uint8_t proof[BYN_PROOF_SIZE]) {
  crypto_auth_hmacsha256_state state = h->transcript;
  crypto_auth_hmacsha256_update(&state, (const uint8_t *)label, strlen(label));
  crypto_auth_hmacsha256_update(&state, more, n);
  crypto_auth_hmacsha256_final(&state, proof);
  sodium_memzero(&state, sizeof state);
}

/* In constant time, and never without both ends' nonces. */
static bool is_proved(const byn_handshake *h, const char *label,
                      const void *more, size_t n, const uint8_t *proof,
                      size_t length) {
  uint8_t expected[BYN_PROOF_SIZE];
  bool same;
  if (!h->complete || length != BYN_PROOF_SIZE) return false;
  prove(h, label, more, n, expected);
  same = sodium_memcmp(expected, proof, BYN_PROOF_SIZE) == 0;
  sodium_memzero(expected, sizeof expected);
  return same;
}

static void put_proof(const byn_handshake *h, const char *label,
                      const void *more, size_t n, byn_buf *out) {
  uint8_t proof[BYN_PROOF_SIZE];
  prove(h, label, more, n, proof);
  byn_put_bytes(out, proof, sizeof proof);
}

/* The name of a session: what the first connection's HELLO begins with. */
static uint64_t opening_of(const uint8_t nonce[BYN_NONCE_SIZE]) {
  byn_reader r;
  uint64_t opening;
  byn_reader_init(&r, nonce, BYN_NONCE_SIZE);
  opening = byn_get_u64(&r);
  return opening ? opening : 1;
}

/* The payload of a PROOF or a WELCOME: `n` bytes that are in `out` from
 * `start` on, and the proof that covers them. */
static void put_proven(const byn_handshake *h, const char *label, size_t start,
                       byn_buf *out) {
  size_t n = out->len - start;
  if (!out->failed) put_proof(h, label, n ? out->data + start : NULL, n, out);
}

static void put_identity(const byn_handshake *h, byn_buf *out) {
  byn_put_u8(out, BYN_WIRE_MAJOR);
  byn_put_u8(out, h->minor);
  byn_put_bytes(out, h->nonce, BYN_NONCE_SIZE);
  byn_put_u64(out, h->incarnation);
  byn_put_string(out, h->name, strlen(h->name));
}

void byn_handshake_put_hello(byn_handshake *h, byn_buf *out) {
  size_t start = out->len;
  byn_put_u32(out, BYN_WIRE_MAGIC);
  put_identity(h, out);
  byn_put_string(out, h->peer, strlen(h->peer));
  byn_put_u8(out, h->traits);
  h->opening = opening_of(h->nonce);
  if (!out->failed) absorb(h, out->data + start, out->len - start);
}

void byn_handshake_put_challenge(byn_handshake *h, byn_buf *out) {
  size_t start = out->len;
  put_identity(h, out);
  byn_put_u8(out, h->traits);
  if (out->failed) return;
  absorb(h, out->data + start, out->len - start);
  h->complete = true;
}

void byn_handshake_put_proof(const byn_handshake *h, byn_buf *out) {
  size_t start = out->len;
  if (byn_handshake_resumes(h)) {
    byn_put_u64(out, h->resume.session);
    byn_put_u64(out, h->resume.attempt);
    byn_put_u64(out, h->resume.received);
    byn_put_u64(out, h->resume.previous);
    byn_put_u32(out, h->resume.window);
  }
  put_proven(h, DIALER, start, out);
}

void byn_handshake_put_welcome(const byn_handshake *h, byn_buf *out) {
  size_t start = out->len;
  if (byn_handshake_resumes(h)) {
    byn_put_u64(out, h->resumed.received);
    byn_put_u64(out, h->resumed.after);
    byn_put_u32(out, h->resumed.window);
  }
  put_proven(h, ACCEPTOR, start, out);
}

void byn_handshake_put_refuse(const byn_handshake *h, const char *reason,
                              byn_buf *out) {
  size_t n = strlen(reason), start = out->len;
  byn_put_string(out, reason, n);
  if (!h->proven) return;
  if (!byn_handshake_resumes(h)) {
    put_proof(h, REFUSAL, reason, n, out);
    return;
  }
  byn_put_u64(out, h->holder.incarnation);
  byn_put_string(out, h->holder.address, strlen(h->holder.address));
  put_proven(h, REFUSAL, start, out);
}

static uint8_t smaller(uint8_t a, uint8_t b) {
  return a < b ? a : b;
}

/* Fields that a later minor version adds are left unread. */
static byn_verdict get_version(byn_handshake *h, byn_reader *r) {
  uint8_t major = byn_get_u8(r), minor = byn_get_u8(r);
  if (r->failed) return BYN_SHAKE_BAD_FRAME;
  if (major != BYN_WIRE_MAJOR) return BYN_SHAKE_BAD_VERSION;
  h->minor = smaller(minor, h->minor);
  return BYN_SHAKE_OK;
}

/* At the end of HELLO and CHALLENGE, as of minor version 1. */
static bool get_traits(byn_handshake *h, byn_reader *r) {
  h->peer_traits = h->minor < 1 ? 0 : byn_get_u8(r);
  return !r->failed;
}

static const char *get_name(byn_reader *r, size_t *n) {
  const char *name = (const char *)byn_get_string(r, n);
  return name && byn_name_is_valid(name, *n) ? name : NULL;
}

static bool is_name(const char *mine, const char *name, size_t n) {
  return strlen(mine) == n && memcmp(mine, name, n) == 0;
}

byn_verdict byn_handshake_on_hello(byn_handshake *h, const uint8_t *payload,
                                   size_t n) {
  byn_reader r;
  byn_verdict verdict;
  const char *name, *dialed;
  const uint8_t *nonce;
  size_t name_len, dialed_len;
  byn_reader_init(&r, payload, n);
  if (byn_get_u32(&r) != BYN_WIRE_MAGIC) return BYN_SHAKE_BAD_FRAME;
  verdict = get_version(h, &r);
  if (verdict != BYN_SHAKE_OK) return verdict;
  nonce = byn_get_bytes(&r, BYN_NONCE_SIZE);
  h->peer_incarnation = byn_get_u64(&r);
  name = get_name(&r, &name_len);
  dialed = get_name(&r, &dialed_len);
  if (!name || !dialed || !get_traits(h, &r)) return BYN_SHAKE_BAD_FRAME;
  memcpy(h->peer, name, name_len);
  h->peer[name_len] = '\0';
  h->opening = opening_of(nonce);
  h->misdialed = !is_name(h->name, dialed, dialed_len);
  absorb(h, payload, n);
  return BYN_SHAKE_OK;
}

byn_verdict byn_handshake_on_challenge(byn_handshake *h, const uint8_t *payload,
                                       size_t n) {
  byn_reader r;
  byn_verdict verdict;
  const char *name;
  size_t name_len;
  byn_reader_init(&r, payload, n);
  verdict = get_version(h, &r);
  if (verdict != BYN_SHAKE_OK) return verdict;
  byn_get_bytes(&r, BYN_NONCE_SIZE);
  h->peer_incarnation = byn_get_u64(&r);
  name = get_name(&r, &name_len);
  if (!name || !get_traits(h, &r)) return BYN_SHAKE_BAD_FRAME;
  if (!is_name(h->peer, name, name_len)) return BYN_SHAKE_WRONG_NAME;
  absorb(h, payload, n);
  h->complete = true;
  return BYN_SHAKE_OK;
}

byn_verdict byn_handshake_on_proof(byn_handshake *h, const uint8_t *payload,
                                   size_t n) {
  byn_reader r;
  size_t size = byn_handshake_resumes(h) ? RESUME_SIZE : 0;
  if (n < size) return BYN_SHAKE_BAD_SECRET;
  if (!is_proved(h, DIALER, payload, size, payload + size, n - size))
    return BYN_SHAKE_BAD_SECRET;
  h->proven = true;
  byn_reader_init(&r, payload, size);
  h->resume.session = byn_get_u64(&r);
  h->resume.attempt = byn_get_u64(&r);
  h->resume.received = byn_get_u64(&r);
  h->resume.previous = byn_get_u64(&r);
  h->resume.window = byn_get_u32(&r);
  return h->misdialed ? BYN_SHAKE_WRONG_NAME : BYN_SHAKE_OK;
}

byn_verdict byn_handshake_on_welcome(byn_handshake *h, const uint8_t *payload,
                                     size_t n) {
  byn_reader r;
  size_t size = byn_handshake_resumes(h) ? RESUMED_SIZE : 0;
  if (n < size) return BYN_SHAKE_BAD_SECRET;
  if (!is_proved(h, ACCEPTOR, payload, size, payload + size, n - size))
    return BYN_SHAKE_BAD_SECRET;
  byn_reader_init(&r, payload, size);
  h->resumed.received = byn_get_u64(&r);
  h->resumed.after = byn_get_u64(&r);
  h->resumed.window = byn_get_u32(&r);
  return BYN_SHAKE_OK;
}

/* What a stranger may say. */
static bool is_open_reason(const char *reason, size_t n) {
  return is_name("bad_version", reason, n) || is_name("bad_secret", reason, n);
}

void byn_copy_printable(char *to, size_t max, const char *from, size_t n) {
  if (n > max) n = max;
  for (size_t i = 0; i < n; i++)
    to[i] = from[i] >= ' ' && from[i] < 0x7f ? from[i] : '?';
  to[n] = '\0';
}

/* What follows the reason. */
static bool take_holder(byn_handshake *h, const uint8_t *payload,
                        byn_reader *r) {
  uint64_t incarnation = byn_get_u64(r);
  size_t n;
  const char *address = (const char *)byn_get_string(r, &n);
  if (!address || !is_proved(h, REFUSAL, payload, (size_t)(r->at - payload),
                             r->at, byn_reader_left(r)))
    return false;
  h->holder.incarnation = incarnation;
  byn_copy_printable(h->holder.address, BYN_ADDRESS_MAX, address, n);
  return true;
}

const char *byn_handshake_on_refuse(byn_handshake *h, const uint8_t *payload,
                                    size_t n, size_t *length) {
  byn_reader r;
  const char *reason;
  bool proved;
  byn_reader_init(&r, payload, n);
  reason = (const char *)byn_get_string(&r, length);
  if (!reason) return NULL;
  if (is_open_reason(reason, *length)) return reason;
  proved = byn_handshake_resumes(h) ? take_holder(h, payload, &r)
                                    : is_proved(h, REFUSAL, reason, *length,
                                                r.at, byn_reader_left(&r));
  if (proved) return reason;
  *length = strlen("refused");
  return "refused";
}
