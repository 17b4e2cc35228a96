/* The control channel of a peer node: sealed frames on a stream that may carry
 * other bytes, too.
 *
 * The stream is a socket of the two ends alone, or the standard output of a
 * program that somebody started for us, through a shell, ssh or a container. So
 * before, between and behind the frames there may be what others print; it is
 * noise, and is handed over as such. Both ends have a token of one use, and all
 * that a frame looks like comes from it: no output can be taken for a frame.
 *
 *    0        8      9               17             21        25
 *   +--------+------+---------------+--------------+---------+------+--------+
 *   | mark   | type | number u64    | length u32   | check   | body | tag 16 |
 *   +--------+------+---------------+--------------+---------+------+--------+
 *
 * Mark and check come from the token and the direction. SHAKE frames carry the
 * frames of the handshake (handshake.h), whose secret is the token, and have a
 * hash by the token as their tag; only the proofs in them prove anything. DATA
 * and OUTPUT frames are sealed (ChaCha20-Poly1305, the head is authenticated)
 * with a key for each direction that both nonces went into; the nonce of the
 * cipher is the number, which counts the frames of a direction.
 *
 *   dialer    HELLO sent -> PROOF sent -> OPEN
 *   acceptor  HELLO awaited -> PROOF awaited -> OPEN        any -> ENDED
 *
 * A frame that is damaged is skipped, and the next mark is looked for. What
 * lies between two frames is noise if their numbers follow one another;
 * otherwise it may be the rest of a damaged frame, and is dropped. So it waits
 * for the next frame, for BYN_CHANNEL_HELD bytes or for the end. Before the
 * first frame noise waits for nothing.
 *
 * A channel allocates; where memory is short it ends with "out_of_memory".
 * Ownership: the bytes of an event are valid until the next call.
 */
#ifndef BYN_WIRE_CHANNEL_H
#define BYN_WIRE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer.h"
#include "handshake.h"
#include "limits.h"

#define BYN_TOKEN_SIZE 32
#define BYN_CHANNEL_KEY 32
#define BYN_CHANNEL_MARK 8
#define BYN_CHANNEL_TAG 16
#define BYN_CHANNEL_HEAD (BYN_CHANNEL_MARK + 17)
/* The body of one frame, at most. */
#define BYN_CHANNEL_MAX ((size_t)64 << 20)
#define BYN_CHANNEL_HELD ((size_t)64 << 10)

typedef enum byn_channel_type {
  BYN_CHANNEL_SHAKE = 1,
  BYN_CHANNEL_DATA,
  BYN_CHANNEL_OUTPUT
} byn_channel_type;

/* One direction: what makes frames of it, or knows them. A plain value: whoever
 * goes on with a copy is the only one to use it. */
typedef struct byn_seal {
  uint8_t mark[BYN_CHANNEL_MARK];
  uint8_t outer[BYN_CHANNEL_KEY]; /* checks heads, and tags SHAKE frames */
  uint8_t inner[BYN_CHANNEL_KEY]; /* seals the others; 0 before OPEN */
  uint64_t number;                /* of the last frame */
} byn_seal;

/* Appends a frame. Memory that is short shows in `out`; no number is taken. */
void byn_seal_put(byn_seal *s, byn_channel_type type, const void *body,
                  size_t n, byn_buf *out);

typedef struct byn_channel {
  byn_handshake shake;
  byn_seal tx, rx;
  uint8_t token[BYN_TOKEN_SIZE];
  byn_buf in;         /* what came and was not walked yet, from `at` on */
  byn_buf held;       /* noise that waits for the next frame */
  byn_buf out;        /* what is to be written: the owner takes it */
  byn_buf transcript; /* HELLO and CHALLENGE */
  size_t at;
  uint8_t expected; /* which frame of the handshake is next; 0: none */
  bool dialer, open, ended, finished, began;
  bool is_opened;     /* the frame at `at` is sound, and its seal is open */
  const char *reason; /* ENDED: static text */
} byn_channel;

typedef enum byn_channel_event {
  BYN_CHANNEL_NONE, /* all that was fed is walked */
  BYN_CHANNEL_NOISE,
  BYN_CHANNEL_IS_OPEN, /* told once; the other end has proved itself */
  BYN_CHANNEL_GOT_DATA,
  BYN_CHANNEL_GOT_OUTPUT,
  BYN_CHANNEL_ENDED /* told once, with c->reason */
} byn_channel_event;

/* What the first frame of a dialer with that token begins with. */
void byn_channel_mark(const uint8_t token[BYN_TOKEN_SIZE],
                      uint8_t mark[BYN_CHANNEL_MARK]);

/* The dialer has its HELLO in `out` at once. false: memory is short. */
bool byn_channel_init(byn_channel *c, const byn_alloc *alloc, bool dialer,
                      const uint8_t token[BYN_TOKEN_SIZE],
                      const uint8_t nonce[BYN_NONCE_SIZE], uint8_t traits);
void byn_channel_free(byn_channel *c);

void byn_channel_feed(byn_channel *c, const void *bytes, size_t n);
/* Nothing more comes: what is held is told. */
void byn_channel_finish(byn_channel *c);
/* NOISE, GOT_DATA, GOT_OUTPUT have bytes. */
byn_channel_event byn_channel_next(byn_channel *c, const uint8_t **bytes,
                                   size_t *n);

/* Appends a DATA frame to `out`; false if the channel is not open, the body is
 * longer than BYN_CHANNEL_MAX or memory is short: nothing is appended then. */
bool byn_channel_put(byn_channel *c, const void *body, size_t n);

#endif
