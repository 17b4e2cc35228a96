/* One connection to a node: one transport, from its first byte to its last.
 *
 * A machine without a socket. Its owner tells it what happened (the transport
 * opened, bytes came, time passed, bytes were written) and asks what follows:
 * bytes to write, events, the next deadline.
 *
 *   dialer    CONNECTING -> HELLO sent -> PROVING -> OPEN -> ENDED
 *   acceptor  HELLO awaited -> PROOF awaited -> ADMITTING -> OPEN -> ENDED
 *
 * Both ends prove that they know the cluster secret before any other byte
 * is read; the dialer proves first, so an acceptor gives nothing to a
 * stranger (wire/handshake.h). What a connection is good for is its link's to
 * say (link.h): the link attaches its outbox to the connection that it goes
 * on with, and takes the data frames and acknowledgements that come on it. A
 * heartbeat goes out when nothing else did for heartbeat_ms, and passes
 * between the frames of the outbox; any byte that comes is a sign of life.
 *
 * Reading: byn_connection_feed lends a chunk, byn_connection_next walks it. So
 * the fed bytes must stay until byn_connection_next has answered false, and
 * only then may more be fed.
 *
 * Writing: byn_connection_output hands out bytes, the owner gives all of them
 * to the transport, in order, and confirms with byn_connection_wrote; until
 * then byn_connection_output answers 0. After the end a last word may still be
 * there, a refusal or a goodbye behind what waited in the outbox: the owner
 * writes on until byn_connection_queued is 0, for as long as it cares, and
 * closes the transport.
 *
 * Ownership: what the config and the arguments point to is copied; an outbox
 * must stay while the connection does. The bytes of a frame stay valid until
 * the next call on the connection, names and reasons until it is freed.
 *
 * Failure: nothing here raises. What goes wrong becomes the ENDED event with
 * a reason. `final` says that one side refuses what the other sent, or left:
 * "bad_frame", "frame_too_large", "out_of_memory", "unread" (misuse: see
 * byn_connection_feed), the reason of the peer's goodbye or refusal. Without
 * it the transport failed, and another one may do better: "closed" and what
 * else the owner gave, "handshake_timeout", "bad_secret", "bad_version",
 * "wrong_name", "simultaneous", "refused" (an unproven refusal). A reason has
 * at most BYN_REASON_MAX bytes, more are cut off; a byte that is not a
 * printable ASCII character becomes "?".
 *
 * Questions. One end may ask the other whether it lives, because another life
 * claims its name (byn_connection_ask), and gets its answer as an event. Both
 * pass between the frames of the outbox, and take no memory: an end has the
 * last question that it asked, and the last that it answered, on their way.
 */
#ifndef BYN_CONNECTION_H
#define BYN_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "timers.h"
#include "wire/handshake.h"
#include "wire/limits.h"
#include "wire/outbox.h"

typedef struct byn_connection byn_connection;

typedef struct byn_connection_config {
  byn_alloc alloc;
  const char *name;     /* this node's, NUL-ended, at most BYN_NAME_MAX */
  uint64_t incarnation; /* of this node */
  uint8_t traits;       /* of this node: see wire/handshake.h */
  uint8_t minor;        /* the newest wire version to speak; 0: the newest */
  const uint8_t *secret;
  size_t secret_len;    /* not 0 */
  int64_t heartbeat_ms; /* a sign of life at least this often */
  int64_t handshake_ms; /* from dial or accept to OPEN, at most */
} byn_connection_config;

typedef enum byn_connection_event_kind {
  BYN_CONNECTION_ADMIT, /* acceptor only: the peer proved itself; answer with
                           byn_connection_admit or byn_connection_refuse */
  BYN_CONNECTION_OPEN,  /* dialer only: it is admitted; answer with
                           byn_connection_attach, or drop it */
  BYN_CONNECTION_DATA,  /* a data frame came, or a piece of one */
  BYN_CONNECTION_ACKNOWLEDGED, /* the peer has what `received` says */
  BYN_CONNECTION_ASKED,        /* the peer asks `question` */
  BYN_CONNECTION_ANSWERED,     /* and has answered those up to `number` */
  BYN_CONNECTION_ENDED         /* the end; told once */
} byn_connection_event_kind;

/* Does the peer live? Another life claims its name. */
typedef struct byn_question {
  uint64_t number;                   /* greater than that of the last one */
  uint64_t incarnation;              /* of the claimant */
  uint8_t traits;                    /* of the claimant */
  char address[BYN_ADDRESS_MAX + 1]; /* of the claimant; may be "" */
} byn_question;

/* Only what its kind says is set. */
typedef struct byn_connection_event {
  byn_connection_event_kind kind;
  const char *name;         /* ADMIT, OPEN: the peer's proven name */
  uint64_t incarnation;     /* ADMIT, OPEN: the peer's */
  uint64_t opening;         /* ADMIT, OPEN: names a session that begins here */
  uint8_t traits;           /* ADMIT, OPEN: the peer's */
  bool resumes;             /* ADMIT, OPEN: both ends can resume sessions */
  byn_resume resume;        /* ADMIT */
  byn_resumed resumed;      /* OPEN */
  bool begins, ends;        /* DATA: see wire/frame.h */
  bool last;                /* DATA: the last part of a message */
  const uint8_t *payload;   /* DATA */
  size_t length;            /* DATA */
  uint64_t received;        /* ACKNOWLEDGED */
  byn_question question;    /* ASKED */
  uint64_t number;          /* ANSWERED */
  const byn_holder *holder; /* ENDED, "name_taken": who has this node's name */
  const char *reason;       /* ENDED */
  bool final;               /* ENDED: no other connection takes its place */
  bool refused;             /* ENDED: the dial was refused by the peer's host */
} byn_connection_event;

/* A connection that dials `peer`; it waits for byn_connection_opened. `nonce`
 * must be fresh from a cryptographic source. NULL when memory is short, the
 * secret is empty or a name is not valid (byn_name_is_valid).
 */
byn_connection *byn_connection_dial(const byn_connection_config *config,
                                    const char *peer,
                                    const uint8_t nonce[BYN_NONCE_SIZE],
                                    const byn_resume *resume, int64_t now);
/* A connection that came in. */
byn_connection *byn_connection_accept(const byn_connection_config *config,
                                      const uint8_t nonce[BYN_NONCE_SIZE],
                                      int64_t now);
void byn_connection_free(byn_connection *c);

/* The dialer's transport is open. */
void byn_connection_opened(byn_connection *c, int64_t now);
/* Bytes came; they are lent, see above. Feeding a chunk while one is unread
 * would lose bytes, so it ends the connection with "unread". */
void byn_connection_feed(byn_connection *c, const uint8_t *bytes, size_t n,
                         int64_t now);
/* The transport is gone: ENDED with `reason` unless it is at its end already,
 * after the events of the bytes that were fed before. */
void byn_connection_closed(byn_connection *c, const char *reason);
/* What follows happens at `now`, not before it. Judges nothing. */
void byn_connection_tell_time(byn_connection *c, int64_t now);
/* Time passed: sends heartbeats, gives up handshakes. */
void byn_connection_tick(byn_connection *c, int64_t now);
/* This node stood still until now: a handshake has all its time again. To be
 * called before byn_connection_tick, which would take that time for the
 * peer's. */
void byn_connection_after_gap(byn_connection *c, int64_t now);
/* When byn_connection_tick is due next, or BYN_NEVER. */
int64_t byn_connection_deadline(const byn_connection *c);

/* The next event; false when there is none for now. */
bool byn_connection_next(byn_connection *c, byn_connection_event *event);

/* Answers ADMIT: it is OPEN, and hands out what `out` has behind WELCOME.
 * false: no memory for that, ENDED follows. */
bool byn_connection_admit(byn_connection *c, const byn_resumed *resumed,
                          byn_outbox *out, int64_t now);
/* Answers ADMIT: tells the peer `reason`; no event follows. */
void byn_connection_refuse(byn_connection *c, const char *reason);
/* The same, as "name_taken" by that life. */
void byn_connection_refuse_name(byn_connection *c, const byn_holder *holder);
/* Answers OPEN: hands out what `out` has. */
void byn_connection_attach(byn_connection *c, byn_outbox *out, int64_t now);

/* Asks the peer, answers it. Nothing follows if it is not OPEN; both ends must
 * be able to resume sessions, or the question means nothing to the peer. */
void byn_connection_ask(byn_connection *c, const byn_question *question);
void byn_connection_answer(byn_connection *c, uint64_t number);

/* Says goodbye, if it is OPEN and attached, behind what waits; reads no more.
 * No event follows. */
void byn_connection_goodbye(byn_connection *c, const char *reason);
/* Ends it at once, with nothing more to read or write. No event follows. */
void byn_connection_drop(byn_connection *c);

/* The bytes to write now: a view valid until the next call on the connection
 * or its outbox, all that waits or at most BYN_VIEW_MAX of it. 0 until
 * byn_connection_wrote has confirmed every byte of the last view, in one call
 * or in several. */
size_t byn_connection_output(byn_connection *c, const uint8_t **bytes);
void byn_connection_wrote(byn_connection *c, size_t n);

/* Bytes to write that byn_connection_wrote has not confirmed. */
size_t byn_connection_queued(const byn_connection *c);
bool byn_connection_is_ended(const byn_connection *c);
/* Has the dialer said all that it has to say in the handshake? */
bool byn_connection_is_proving(const byn_connection *c);
/* When the last byte came, or when it was made. */
int64_t byn_connection_heard_at(const byn_connection *c);

#endif
