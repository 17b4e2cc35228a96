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
 * stranger. After UP: messages in order, each whole; one that is longer than
 * a fragment goes in fragments; a heartbeat passes between fragments. A link
 * that hears nothing for down_after_ms is DOWN. DOWN is final: what was not
 * delivered is lost, so a broken link loses a suffix and never a middle.
 *
 * Ownership: the config's pointers are copied; event bytes stay valid until
 * the next call on the link.
 * Failure: nothing here raises. What goes wrong becomes the DOWN event with
 * a reason: "closed", "timeout", "handshake_timeout", "bad_secret",
 * "bad_version", "bad_frame", "frame_too_large", "message_too_large",
 * "wrong_name", "overflow", "out_of_memory", "shutdown" (the peer's
 * goodbye), or the reason of a refusal.
 */
#ifndef BYN_LINK_H
#define BYN_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "wire/buffer.h"

#define BYN_NONCE_SIZE 32
#define BYN_FRAGMENT_SIZE 65536
#define BYN_NAME_MAX 255

typedef struct byn_link byn_link;

typedef struct byn_link_config {
  byn_alloc alloc;
  const char *name;     /* this node's, NUL-ended, at most BYN_NAME_MAX */
  uint64_t incarnation; /* of this node */
  const uint8_t *secret;
  size_t secret_len;
  int64_t heartbeat_ms;  /* a sign of life at least this often */
  int64_t down_after_ms; /* silence that ends the link */
  int64_t handshake_ms;  /* from open to UP, at most */
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
  const uint8_t *message; /* MESSAGE */
  size_t length;          /* MESSAGE */
  const char *reason;     /* DOWN */
} byn_link_event;

/* A link that dials `peer`; it waits for byn_link_connected. `nonce` must be
 * fresh from a cryptographic source. NULL when memory is short. */
byn_link *byn_link_dial(const byn_link_config *config, const char *peer,
                        const uint8_t nonce[BYN_NONCE_SIZE], int64_t now);
/* A link for a connection that came in. */
byn_link *byn_link_accept(const byn_link_config *config,
                          const uint8_t nonce[BYN_NONCE_SIZE], int64_t now);
void byn_link_free(byn_link *link);

/* The dialer's transport is open. */
void byn_link_connected(byn_link *link, int64_t now);
/* Bytes came. */
void byn_link_feed(byn_link *link, const uint8_t *bytes, size_t n,
                   int64_t now);
/* The transport is gone: DOWN with `reason` unless DOWN already. */
void byn_link_closed(byn_link *link, const char *reason);
/* Time passed: sends heartbeats, notices silence. */
void byn_link_tick(byn_link *link, int64_t now);
/* When byn_link_tick is due next, or BYN_NEVER. */
int64_t byn_link_deadline(const byn_link *link);

/* The next event; false when there is none for now. */
bool byn_link_next(byn_link *link, byn_link_event *event);

/* Answers ADMIT. A refusal tells the peer `reason` and ends the link. */
void byn_link_admit(byn_link *link, int64_t now);
void byn_link_refuse(byn_link *link, const char *reason);

/* Says goodbye (if UP) with `reason` and ends the link: DOWN here at once,
 * the goodbye is still in the output. */
void byn_link_close(byn_link *link, const char *reason);

/* One message, written in place: begin answers the buffer to append to (or
 * NULL if the link is not UP), then exactly one of commit or abort follows.
 * commit is false when the message is refused (too large, memory), nothing
 * is then sent; a full queue ends the link with "overflow". */
byn_buf *byn_link_begin(byn_link *link);
bool byn_link_commit(byn_link *link);
void byn_link_abort(byn_link *link);

/* The bytes to write now: a view valid until the next call, of at most a
 * few fragments, so that a heartbeat has only these before it. The owner
 * hands them to the transport, says so with byn_link_wrote, and asks again
 * when the transport has taken them. */
size_t byn_link_output(byn_link *link, const uint8_t **bytes);
void byn_link_wrote(byn_link *link, size_t n);

/* Bytes accepted for sending that byn_link_wrote has not confirmed. */
size_t byn_link_queued(const byn_link *link);
bool byn_link_is_up(const byn_link *link);

#endif
