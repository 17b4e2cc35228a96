/* One connection to one peer, from the first byte to the last.
 *
 * The link is a machine without a socket. Its owner tells it what happened
 * (the transport opened, bytes came, time passed, bytes were written) and
 * asks what follows: bytes to write, events, the next deadline.
 *
 *   dialer    CONNECTING -> HELLO sent -> PROVING -> UP -> DOWN
 *   acceptor  HELLO awaited -> PROOF awaited -> ADMITTING -> UP -> DOWN
 *
 * Both ends prove that they know the cluster secret before any other byte
 * is read; the dialer proves first, so an acceptor gives nothing to a
 * stranger (wire/handshake.h). After UP: messages in order, each whole; one
 * that is longer than a fragment goes in fragments; a heartbeat passes
 * between fragments. A heartbeat goes out when nothing else did for
 * heartbeat_ms; any byte that comes is a sign of life, and a link that hears
 * nothing for down_after_ms is DOWN; between two of which one is quiet
 * (BYN_TRAIT_QUIET) there is neither. DOWN is final: what was not delivered
 * is lost, so a broken link loses a suffix and never a middle.
 *
 * Reading: byn_link_feed lends the link a chunk, byn_link_next walks it, and
 * a message that lies in one chunk is given as a view of it. So the fed
 * bytes must stay until byn_link_next has answered false, and only then may
 * more be fed.
 *
 * Writing: byn_link_output hands out bytes, the owner gives all of them to
 * the transport, in order, and confirms with byn_link_wrote; until then
 * byn_link_output answers 0. After DOWN a last word may still be there, a
 * refusal or a goodbye behind what was queued: the owner writes on until
 * byn_link_queued is 0, for as long as it cares, and closes the transport.
 *
 * Ownership: what the config and the arguments point to is copied. The bytes
 * of a MESSAGE stay valid until the next call on the link; names and reasons
 * until it is freed.
 * Failure: nothing here raises. What goes wrong becomes the DOWN event with
 * a reason: "closed", "timeout", "handshake_timeout", "bad_secret",
 * "bad_version", "bad_frame", "frame_too_large", "message_too_large",
 * "wrong_name", "overflow", "out_of_memory", the reason of the peer's
 * goodbye ("shutdown"; or "bad_frame" and its like, where the peer could not
 * read on), the reason of a refusal ("refused" where it came unproven),
 * "unread" (misuse: see byn_link_feed), or the reason the owner gave. A reason
 * has at most BYN_REASON_MAX bytes, more are cut off; a byte that is not a
 * printable ASCII character becomes "?".
 */
#ifndef BYN_LINK_H
#define BYN_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "timers.h"
#include "wire/buffer.h"
#include "wire/limits.h"

typedef struct byn_link byn_link;

typedef struct byn_link_config {
  byn_alloc alloc;
  const char *name;     /* this node's, NUL-ended, at most BYN_NAME_MAX */
  uint64_t incarnation; /* of this node */
  uint8_t traits;       /* of this node: see wire/handshake.h */
  const uint8_t *secret;
  size_t secret_len;     /* not 0 */
  int64_t heartbeat_ms;  /* a sign of life at least this often */
  int64_t down_after_ms; /* silence that ends the link */
  int64_t handshake_ms;  /* from dial or accept to UP, at most */
  size_t max_message;    /* bytes of one whole message, either way */
  size_t max_queue;      /* bytes waiting to be written; more is "overflow" */
} byn_link_config;

typedef enum byn_link_event_kind {
  BYN_LINK_ADMIT,   /* acceptor only: the peer proved itself; answer with
                       byn_link_admit or byn_link_refuse */
  BYN_LINK_UP,      /* messages may flow */
  BYN_LINK_MESSAGE, /* one whole message came */
  BYN_LINK_DOWN     /* the end; told once */
} byn_link_event_kind;

typedef struct byn_link_event {
  byn_link_event_kind kind;
  const char *name;       /* ADMIT, UP: the peer's proven name */
  uint64_t incarnation;   /* ADMIT, UP: the peer's */
  uint8_t traits;         /* ADMIT, UP: the peer's */
  const uint8_t *message; /* MESSAGE */
  size_t length;          /* MESSAGE */
  const char *reason;     /* DOWN */
} byn_link_event;

/* A link that dials `peer`; it waits for byn_link_connected. `nonce` must be
 * fresh from a cryptographic source. NULL when memory is short, the secret
 * is empty or a name is not valid (byn_name_is_valid in wire/handshake.h).
 */
byn_link *byn_link_dial(const byn_link_config *config, const char *peer,
                        const uint8_t nonce[BYN_NONCE_SIZE], int64_t now);
/* A link for a connection that came in. */
byn_link *byn_link_accept(const byn_link_config *config,
                          const uint8_t nonce[BYN_NONCE_SIZE], int64_t now);
void byn_link_free(byn_link *link);

/* The dialer's transport is open. */
void byn_link_connected(byn_link *link, int64_t now);
/* Bytes came; they are lent, see above. Feeding a chunk while one is unread
 * would lose bytes, so it ends the link with "unread". */
void byn_link_feed(byn_link *link, const uint8_t *bytes, size_t n, int64_t now);
/* The transport is gone: DOWN with `reason` unless DOWN already, after the
 * events of the bytes that were fed before. */
void byn_link_closed(byn_link *link, const char *reason);
/* Time passed: sends heartbeats, notices silence. An owner that was held up
 * feeds what came in the meantime first, or it sees silence where none was.
 */
void byn_link_tick(byn_link *link, int64_t now);
/* When byn_link_tick is due next, or BYN_NEVER. */
int64_t byn_link_deadline(const byn_link *link);

/* The next event; false when there is none for now. */
bool byn_link_next(byn_link *link, byn_link_event *event);

/* Answers ADMIT: UP follows. */
void byn_link_admit(byn_link *link, int64_t now);
/* Answers ADMIT: tells the peer `reason`, DOWN with it follows. */
void byn_link_refuse(byn_link *link, const char *reason);

/* Says goodbye (if UP) with `reason` and ends the link: DOWN here at once,
 * the goodbye is still in the output. What was fed and is unread is lost. */
void byn_link_close(byn_link *link, const char *reason);

/* One message, written in place: begin answers the buffer to append to (or
 * NULL if the link is not UP), then exactly one of commit or abort follows,
 * with no other call on the link between. commit is false when the message
 * is refused (too large, memory), nothing is then sent; a full queue ends
 * the link with "overflow", which is false too. */
byn_buf *byn_link_begin(byn_link *link);
bool byn_link_commit(byn_link *link);
void byn_link_abort(byn_link *link);

/* The bytes to write now: a view valid until the next call, all that waits
 * or about 256 KiB of it (BYN_VIEW_MAX in wire/outbox.h), so that a
 * heartbeat has only these before it. 0 until byn_link_wrote has confirmed
 * every byte of the last view, in one call or in several. */
size_t byn_link_output(byn_link *link, const uint8_t **bytes);
void byn_link_wrote(byn_link *link, size_t n);

/* Bytes accepted for sending that byn_link_wrote has not confirmed. */
size_t byn_link_queued(const byn_link *link);
bool byn_link_is_up(const byn_link *link);

#endif
