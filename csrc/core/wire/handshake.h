/* The handshake: both ends prove that they know the cluster secret, the
 * dialer first.
 *
 *   dialer                                                    acceptor
 *     | HELLO{versions, nonce, incarnation, name, whom I dial,    |
 *     |       traits} ->                                          |
 *     | <- CHALLENGE{versions, nonce, incarnation, name, traits}  |
 *     | PROOF{what it resumes, dialer's proof} ->                 |
 *     |               (the acceptor judges; its owner may refuse) |
 *     | <- WELCOME{where it goes on, acceptor's proof}            |
 *     |                 or  REFUSE{reason, who has the name, proof} |
 *
 *   proof = HMAC-SHA256(secret,
 *             u32 length of HELLO's payload     | HELLO's payload |
 *             u32 length of CHALLENGE's payload | CHALLENGE's payload |
 *             "banyan dialer" and what it resumes, or
 *             "banyan acceptor" and where it goes on, or
 *             "banyan refusal:", the reason and who has the name)
 *
 * What is resumed and where it goes on (see link.h), and which life has the
 * name of a dialer that is refused as "name_taken" (see ../membership.h), are
 * told from minor version 2 on; between two of which one is older they are not
 * there, and byn_handshake_resumes answers false.
 *
 * So a proof covers both nonces, names, incarnations, versions and traits,
 * and whom the dialer meant. A recorded proof is worthless under another nonce;
 * one end's proof is not the other's, and an end whose own HELLO is played back
 * to it meets a CHALLENGE in its own name, which is not whom it dialled.
 *
 * What goes out before the peer has proved itself: the acceptor's CHALLENGE,
 * and REFUSE without a proof for "bad_version" and "bad_secret". A dialer
 * believes no other reason unless it comes with a proof; it says "refused"
 * instead. A REFUSE of either kind ends the link and means nothing more.
 *
 * The handshake tells who is at the other end when the link opens. It hides
 * nothing, and does not guard the bytes that follow against one who can
 * change them on their way: networks where that is to be feared want TLS or
 * a tunnel underneath.
 *
 * This machine writes and judges payloads; the link knows whose turn it is.
 * Nonces come in, nothing is allocated.
 */
#ifndef BYN_WIRE_HANDSHAKE_H
#define BYN_WIRE_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <sodium/crypto_auth_hmacsha256.h>

#include "buffer.h"
#include "frame.h"
#include "limits.h"

typedef enum byn_verdict {
  BYN_SHAKE_OK,
  BYN_SHAKE_BAD_FRAME,
  BYN_SHAKE_BAD_VERSION,
  BYN_SHAKE_BAD_SECRET,
  BYN_SHAKE_WRONG_NAME
} byn_verdict;

/* Traits: what the other end must know of a node to be understood by it.
 * Bits that a reader does not know mean nothing to it. */
#define BYN_TRAIT_DOUBLES 1 /* its numbers are doubles, without integers */
#define BYN_TRAIT_HIDDEN 2  /* it looks on: its links make nobody a member */
#define BYN_TRAIT_QUIET 4   /* no heartbeats, and silence means nothing */
#define BYN_TRAIT_LISTENS                                                      \
  8 /* it can be dialled: who is refused knows it dead */
#define BYN_TRAIT_MEMBER 16    /* of a dialer: other nodes have it up */
#define BYN_TRAIT_ADDRESSES 32 /* it can be told addresses (addresses.h) */

/* What the dialer has: in PROOF. */
typedef struct byn_resume {
  uint64_t session;  /* that goes on here; 0: a fresh one begins */
  uint64_t attempt;  /* of this session; of the node's dials if it is fresh */
  uint64_t received; /* data frames of the session that the dialer has */
  uint64_t previous; /* fresh: the last session of the two nodes, or 0 */
  uint32_t window;   /* acknowledge after a quarter of so many bytes */
} byn_resume;

/* What the acceptor has: in WELCOME. */
typedef struct byn_resumed {
  uint64_t received; /* data frames of the session that the acceptor has */
  uint64_t after;    /* its first data frame here is the one after this */
  uint32_t window;
} byn_resumed;

/* In REFUSE: who has the dialer's name. All zero but for "name_taken". */
typedef struct byn_holder {
  uint64_t incarnation;
  char address[BYN_ADDRESS_MAX + 1]; /* as the acceptor knows it; may be "" */
} byn_holder;

typedef struct byn_handshake {
  crypto_auth_hmacsha256_state transcript; /* keyed with the secret */
  uint8_t nonce[BYN_NONCE_SIZE];
  char name[BYN_NAME_MAX + 1];
  uint64_t incarnation;
  char peer[BYN_NAME_MAX + 1]; /* dialer: whom it dials; acceptor: HELLO's */
  uint64_t peer_incarnation;
  uint8_t traits; /* 0 unless set after init */
  uint8_t peer_traits;
  uint8_t minor;     /* of the versions' the smaller one; set before HELLO: the
                        newest to speak */
  bool misdialed;    /* acceptor: the dialer meant another name */
  bool complete;     /* HELLO and CHALLENGE are both in the transcript */
  bool proven;       /* acceptor: the dialer proved itself */
  uint64_t opening;  /* the first 8 bytes of the dialer's nonce, never 0 */
  byn_resume resume; /* dialer: set before PROOF; acceptor: after it */
  byn_resumed resumed; /* acceptor: set before WELCOME; dialer: after it */
  byn_holder holder;   /* acceptor: set before REFUSE; dialer: after it */
} byn_handshake;

/* 1 to BYN_NAME_MAX bytes without blanks and control characters. */
bool byn_name_is_valid(const char *name, size_t n);
/* "bad_frame" and so on. */
const char *byn_verdict_reason(byn_verdict verdict);

/* `peer` is whom to dial, or NULL in an acceptor. false if a name is not
 * valid or the secret is empty. */
bool byn_handshake_init(byn_handshake *h, const char *name,
                        uint64_t incarnation, const char *peer,
                        const uint8_t nonce[BYN_NONCE_SIZE],
                        const uint8_t *secret, size_t secret_len);
/* Forgets all that came from the secret; the names stay. */
void byn_handshake_wipe(byn_handshake *h);

/* Do both ends speak a version that resumes sessions? Known to the acceptor
 * after HELLO, to the dialer after CHALLENGE. */
bool byn_handshake_resumes(const byn_handshake *h);

/* Each writes a payload; memory that is short shows in `out`. */
void byn_handshake_put_hello(byn_handshake *h, byn_buf *out);
void byn_handshake_put_challenge(byn_handshake *h, byn_buf *out);
void byn_handshake_put_proof(const byn_handshake *h, byn_buf *out);
void byn_handshake_put_welcome(const byn_handshake *h, byn_buf *out);
/* With a proof if the dialer has proved itself. */
void byn_handshake_put_refuse(const byn_handshake *h, const char *reason,
                              byn_buf *out);

/* Each judges a payload that came. */
byn_verdict byn_handshake_on_hello(byn_handshake *h, const uint8_t *payload,
                                   size_t n);
byn_verdict byn_handshake_on_challenge(byn_handshake *h, const uint8_t *payload,
                                       size_t n);
byn_verdict byn_handshake_on_proof(byn_handshake *h, const uint8_t *payload,
                                   size_t n);
byn_verdict byn_handshake_on_welcome(byn_handshake *h, const uint8_t *payload,
                                     size_t n);
/* The reason to believe: `length` bytes, in the payload or static. NULL if
 * the payload makes no sense. */
const char *byn_handshake_on_refuse(byn_handshake *h, const uint8_t *payload,
                                    size_t n, size_t *length);

/* Copies at most `max` bytes of what a stranger may have written, for a log:
 * those that are no printable ASCII characters become "?". NUL-ended. */
void byn_copy_printable(char *to, size_t max, const char *from, size_t n);

#endif
