/* The link to another node: a session between one life of this node and one
 * life of the other, which outlives its connections.
 *
 * A connection (connection.h) may break or fall silent at any time. The link
 * keeps what the peer has not acknowledged and counts what came, so that
 * another connection goes on where the last one ended: every message comes
 * once and in order, or the link is DOWN. Like a connection it has no socket:
 * its owner makes connections when the link asks, tells them what happened,
 * and takes what follows with byn_link_next.
 *
 *   NEW      we dial; the session begins when the peer welcomes us
 *   UP       a proven connection, on which the peer was heard lately
 *   SILENT   the same, not heard for half of down_after_ms: dialled again,
 *            and kept until another one is proven or a byte comes
 *   BROKEN   no connection: dialled again by both ends, at once and then
 *            after waits that double from 4 ms
 *   DOWN     the end, told once; what was not sent is lost
 *
 * A link has at most one connection that is proven, its current one, and one
 * of its own that is being proven. What comes in for its session is offered
 * with byn_link_resume.
 *
 * Names. A session is named by the first 8 bytes of the nonce of its first
 * HELLO, and by the names and incarnations of its two ends. Every further
 * connection of it has an attempt number, one above all that its dialer knows
 * of. Of two that are proven at once the one with the greater number stays; of
 * equal ones that which the node with the smaller name dialled. One that is
 * not above the current one is stale. So both ends keep the same, in whatever
 * order they see them. Who is not kept is refused as "simultaneous", and dials
 * again only when the other dial has had its time. A dial that has not sent its
 * PROOF may be lost, and yields to any that is proven.
 *
 * Numbers. Data frames are numbered per direction from 1 (wire/outbox.h).
 * PROOF and WELCOME say how many each end has; both send on from there. The
 * acceptor changes over when it admits, the dialer when it is welcomed, and
 * nothing more is read from the connection before. The dialer may have read
 * on from that since it dialled: a frame that it has already is dropped.
 *
 * Down. Kept out of the session for good, and told of by a goodbye where a
 * connection is there, is what one end refuses: "bad_frame", "overflow",
 * "message_too_large", "frame_too_large", "out_of_memory", the reason of
 * byn_link_close, of a goodbye, or of a proven refusal ("session_unknown": the
 * peer has given the session up). A life that has listened before and whose
 * host refuses a dial is over: "econnrefused". Otherwise a broken link is down
 * reconnect_ms after the break, for its reason, and any link "timeout" when
 * nothing was heard for down_after_ms; between two of which one is quiet
 * (BYN_TRAIT_QUIET) silence means nothing. With a peer that cannot resume
 * (wire minor 1) a link ends with its connection. Time in which this node
 * stood still ends no link (byn_link_after_gap); where all peers fell silent
 * at once, silence does so only reconnect_ms later (byn_link_be_patient).
 *
 * Questions. The owner may ask the peer whether it lives, because another life
 * claims its name (byn_link_ask). Only an answer to that is ANSWERED: not what
 * was under way, nor the proof of another connection, on which the question is
 * asked again. A peer that cannot resume knows no questions
 * (byn_link_can_be_asked): of it any byte is an answer that comes a quarter of
 * heartbeat_ms after the question or later.
 *
 * Ownership: what the config points to must stay while the link does. The
 * owner frees connections, each before the link, and before that only those
 * that the link does not use (byn_link_uses) and that are at their end. The
 * bytes of a MESSAGE stay valid until the next call on the link, names and
 * reasons until it is freed.
 */
#ifndef BYN_LINK_H
#define BYN_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "connection.h"
#include "timers.h"
#include "wire/buffer.h"
#include "wire/limits.h"

typedef struct byn_link byn_link;

typedef struct byn_link_config {
  byn_connection_config connection;
  int64_t down_after_ms; /* silence that ends the link */
  int64_t reconnect_ms;  /* so long a broken link waits for its other end */
  size_t max_message;    /* bytes of one whole message, either way */
  size_t max_queue;      /* bytes not acknowledged or not written; more is
                            "overflow" */
} byn_link_config;

typedef enum byn_link_event_kind {
  BYN_LINK_DIAL,     /* wants a connection: answer with byn_link_connect or
                        byn_link_connect_failed */
  BYN_LINK_UP,       /* messages may flow; told once */
  BYN_LINK_MESSAGE,  /* one whole message came */
  BYN_LINK_BROKEN,   /* its connection is lost, see `reason` */
  BYN_LINK_RESUMED,  /* it goes on with another connection */
  BYN_LINK_ASKED,    /* the peer asks `question`: see byn_link_answer */
  BYN_LINK_ANSWERED, /* the peer has answered the questions up to `number` */
  BYN_LINK_DOWN      /* the end; told once */
} byn_link_event_kind;

/* Only what its kind says is set. */
typedef struct byn_link_event {
  byn_link_event_kind kind;
  const char *name;         /* UP: the peer's proven name */
  uint64_t incarnation;     /* UP: the peer's */
  uint8_t traits;           /* UP: the peer's */
  const uint8_t *message;   /* MESSAGE */
  size_t length;            /* MESSAGE */
  const char *reason;       /* BROKEN, DOWN */
  const byn_holder *holder; /* DOWN, "name_taken": who has this node's name */
  byn_question question;    /* ASKED */
  uint64_t number;          /* ANSWERED */
} byn_link_event;

/* A link that dials `peer`: a DIAL is its first event. `dial` is a number that
 * grows with each link that this node dials, `previous` the last session that
 * it had with that node, or 0. NULL when memory is short or a name is not
 * valid. */
byn_link *byn_link_dial(const byn_link_config *config, const char *peer,
                        uint64_t dial, uint64_t previous, int64_t now);
/* Answers the ADMIT of a connection that begins a session: it is welcomed, and
 * the link is UP. NULL when memory is short: the connection is refused. */
byn_link *byn_link_admit(const byn_link_config *config, byn_connection *c,
                         const byn_connection_event *admit, int64_t now);
/* Its connections have been freed. */
void byn_link_free(byn_link *link);

/* Answers DIAL: a new connection, for the owner to dial and to free. NULL when
 * memory is short: as _failed. `nonce` as for byn_connection_dial. */
byn_connection *byn_link_connect(byn_link *link,
                                 const uint8_t nonce[BYN_NONCE_SIZE],
                                 int64_t now);
void byn_link_connect_failed(byn_link *link, const char *reason, int64_t now);

/* Answers the ADMIT of a connection that resumes a session of the peer's life,
 * which byn_link_has names. NULL: it is the current one now. Otherwise the
 * reason for which it was refused. */
const char *byn_link_resume(byn_link *link, byn_connection *c,
                            const byn_connection_event *admit, int64_t now);
/* Has a dial of it sent its PROOF? Then the peer may have let it in. */
bool byn_link_is_proving(const byn_link *link);
/* Is it the session that this connection wants to resume? */
bool byn_link_has(const byn_link *link, const byn_connection_event *admit);
/* Does a peer that begins a session here show by it that it has lost this one?
 * It dialled this one, and has dialled again since; or it names it. */
bool byn_link_is_lost(const byn_link *link, const byn_connection_event *admit);
/* Is it the link's current connection, or the one that is being proven? */
bool byn_link_uses(const byn_link *link, const byn_connection *c);
/* The session's name, or 0 before it began. */
uint64_t byn_link_session(const byn_link *link);

/* What follows happens at `now`, not before it. Judges nothing. */
void byn_link_tell_time(byn_link *link, int64_t now);
/* Time passed: notices silence, dials again. Ticks its connections too. */
void byn_link_tick(byn_link *link, int64_t now);
/* This node stood still until `now`, and did not hear what came: the peer has
 * all its time again. Silence, reconnect_ms of a BROKEN link and the time of a
 * handshake count from now, so the link is not down before the lesser of
 * down_after_ms and reconnect_ms has passed again, unless the peer or its host
 * ends it. A link that was SILENT is UP; a BROKEN one is dialled at once. It
 * must precede byn_link_tick, and what has come is read after it as well as
 * before it. */
void byn_link_after_gap(byn_link *link, int64_t now);
/* Since when the peer was not heard. false: that means nothing, as the link is
 * not up, or one of its ends is quiet or hidden. */
bool byn_link_silence(const byn_link *link, int64_t *since);
/* All peers of this node fell silent at once (silence.h): this silence ends the
 * link only reconnect_ms after down_after_ms. The next one, after the peer was
 * heard again, does not wait. */
void byn_link_be_patient(byn_link *link);
/* When byn_link_tick is due next, or BYN_NEVER. */
int64_t byn_link_deadline(const byn_link *link);

/* The next event; false when there is none for now. Reads its connections:
 * after each of them was told anything, it must be called until false. */
bool byn_link_next(byn_link *link, byn_link_event *event);

/* Asks the peer, as soon as there is a connection; the question replaces one
 * that was not asked yet. */
void byn_link_ask(byn_link *link, const byn_question *question, int64_t now);
/* Answers ASKED. */
void byn_link_answer(byn_link *link, uint64_t number);
/* Does the peer know questions? Known once the link is up. */
bool byn_link_can_be_asked(const byn_link *link);

/* Says goodbye with `reason`, if there is a connection, and ends the link:
 * DOWN here at once, the goodbye is still in the connection's output. What was
 * fed and is unread is lost. */
void byn_link_close(byn_link *link, const char *reason);

/* One message, written in place: begin answers the buffer to append to (or
 * NULL if the link is not up), then exactly one of commit or abort follows,
 * with no other call on the link between. commit is false when the message
 * is refused (too large, memory), nothing is then sent; a full queue ends
 * the link with "overflow", which is false too. Above max_queue there is as
 * much again for what is `urgent`: signals of the runtime, which cannot
 * wait. */
byn_buf *byn_link_begin(byn_link *link);
bool byn_link_commit(byn_link *link, bool urgent);
void byn_link_abort(byn_link *link);

/* Bytes accepted for sending that the peer has not acknowledged (or, where it
 * cannot, that were not handed out). */
size_t byn_link_queued(const byn_link *link);
/* Was UP told, and no DOWN? It may be without a connection for a while. */
bool byn_link_is_up(const byn_link *link);

#endif
