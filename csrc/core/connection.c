/* Connections: handshake, frames, heartbeats of one transport. */
#include "connection.h"

#include <string.h>

#include "assert.h"
#include "coverage.h"
#include "wire/frame.h"

typedef enum connection_state {
  CONNECTING,        /* dialer: the transport is not open */
  CHALLENGE_AWAITED, /* dialer: HELLO is sent */
  WELCOME_AWAITED,   /* dialer: PROOF is sent */
  HELLO_AWAITED,     /* acceptor */
  PROOF_AWAITED,     /* acceptor: CHALLENGE is sent */
  ADMITTING,         /* acceptor: the owner is asked */
  OPEN,
  ENDED
} connection_state;

/* The first events are the frames, in the order of their types. */
BYN_MACHINE("connection",
            "connecting challenge_awaited welcome_awaited hello_awaited "
            "proof_awaited admitting open ended",
            "hello challenge proof welcome refuse message fragment heartbeat "
            "goodbye ask answer opened closed silence gap beat admit refuse_it "
            "attach ask_it answer_it say_goodbye drop");

/* A frame of its own between those of the outbox: ASK is the longest. */
#define CONTROL_MAX (BYN_FRAME_HEADER + 8 + 8 + 1 + 1 + BYN_ADDRESS_MAX)

struct byn_connection {
  byn_alloc alloc;
  int64_t heartbeat_ms, handshake_ms;
  connection_state state;
  byn_handshake shake;
  byn_frame_reader in;
  byn_buf words;   /* of the handshake, not written yet */
  byn_outbox *out; /* once attached */
  size_t handed;   /* of `words`, handed out */
  size_t unconfirmed;
  int64_t now; /* the latest time told */
  int64_t handshake_by, beat_at, heard_at;
  byn_question question; /* to ask, if `asks` */
  uint64_t answer;       /* to give, if `answers` */
  bool asks, answers;
  uint8_t control[CONTROL_MAX]; /* handed out last of these */
  bool tell_end, final, refused;
  bool closing; /* ENDED once the chunk is read */
  char reason[BYN_REASON_MAX + 1];
};

/* A time that may be "never". */
static int64_t later(int64_t now, int64_t ms) {
  return now > 0 && ms > BYN_NEVER - now ? BYN_NEVER : now + ms;
}

static byn_connection *connection_new(const byn_connection_config *config,
                                      const char *peer,
                                      const uint8_t nonce[BYN_NONCE_SIZE],
                                      int64_t now) {
  byn_connection *c = byn_new(&config->alloc, sizeof *c);
  if (!c) return NULL;
  memset(c, 0, sizeof *c);
  c->alloc = config->alloc;
  c->heartbeat_ms = config->heartbeat_ms;
  c->handshake_ms = config->handshake_ms;
  c->now = c->heard_at = now;
  c->handshake_by = later(now, config->handshake_ms);
  c->beat_at = BYN_NEVER;
  c->state = peer ? CONNECTING : HELLO_AWAITED;
  byn_frame_reader_init(&c->in, &c->alloc, BYN_UNPROVEN_MAX);
  byn_buf_init(&c->words, &c->alloc);
  if (!byn_handshake_init(&c->shake, config->name, config->incarnation, peer,
                          nonce, config->secret, config->secret_len)) {
    byn_connection_free(c);
    return NULL;
  }
  c->shake.traits = config->traits;
  if (config->minor) c->shake.minor = config->minor;
  return c;
}

byn_connection *byn_connection_dial(const byn_connection_config *config,
                                    const char *peer,
                                    const uint8_t nonce[BYN_NONCE_SIZE],
                                    const byn_resume *resume, int64_t now) {
  byn_connection *c = peer ? connection_new(config, peer, nonce, now) : NULL;
  if (c) c->shake.resume = *resume;
  return c;
}

byn_connection *byn_connection_accept(const byn_connection_config *config,
                                      const uint8_t nonce[BYN_NONCE_SIZE],
                                      int64_t now) {
  return connection_new(config, NULL, nonce, now);
}

void byn_connection_free(byn_connection *c) {
  byn_alloc alloc;
  if (!c) return;
  alloc = c->alloc;
  byn_handshake_wipe(&c->shake);
  byn_frame_reader_free(&c->in);
  byn_buf_free(&c->words);
  byn_free(&alloc, c, sizeof *c);
}

/* --- the end -------------------------------------------------------------- */

/* A reason may come from a stranger and end in a log. */
static void set_reason(byn_connection *c, const char *reason, size_t n) {
  if (n == 0) {
    reason = "closed";
    n = strlen(reason);
  }
  byn_copy_printable(c->reason, BYN_REASON_MAX, reason, n);
}

static void set_reason_string(byn_connection *c, const char *reason) {
  set_reason(c, reason, reason ? strlen(reason) : 0);
}

/* The end, for the reason that is set. What waits to be written stays. */
static void end_connection(byn_connection *c, bool final) {
  byn_assert(c->state != ENDED);
  c->state = ENDED;
  c->final = final;
  c->tell_end = true;
  byn_handshake_wipe(&c->shake);
}

/* The end where nobody is there to read what waits. */
static void cut_off(byn_connection *c, const char *reason, bool final) {
  set_reason_string(c, reason);
  byn_buf_free(&c->words);
  c->handed = c->unconfirmed = 0;
  c->out = NULL;
  end_connection(c, final);
}

/* The transport did not do; what the handshake had to say is still said. */
static void give_up(byn_connection *c, const char *reason) {
  set_reason_string(c, reason);
  end_connection(c, false);
}

/* The end that the peer is told of; it is the end without memory too. */
static void say_goodbye(byn_connection *c, const char *reason) {
  set_reason_string(c, reason);
  if (c->out) {
    byn_buf *out = byn_outbox_begin(c->out, BYN_FRAME_GOODBYE);
    byn_put_string(out, c->reason, strlen(c->reason));
    byn_outbox_commit(c->out, BYN_FRAGMENT_SIZE);
  }
  end_connection(c, true);
}

/* --- writing the handshake ------------------------------------------------ */

static byn_buf *begin_word(byn_connection *c, byn_frame_type type) {
  uint8_t *header = byn_put_space(&c->words, BYN_FRAME_HEADER);
  if (header) byn_frame_header(header, type, 0);
  return &c->words;
}

/* Puts the header right of the frame that was begun at `start`. */
static bool commit_word(byn_connection *c, size_t start) {
  uint8_t *header;
  if (c->words.failed) {
    byn_buf_truncate(&c->words, start);
    return false;
  }
  header = c->words.data + start;
  byn_frame_header(header, (byn_frame_type)header[4],
                   c->words.len - start - BYN_FRAME_HEADER);
  return true;
}

static bool send_word(byn_connection *c, size_t start) {
  if (commit_word(c, start)) return true;
  cut_off(c, "out_of_memory", true);
  return false;
}

static void turn_away(byn_connection *c, const char *reason) {
  size_t start = c->words.len;
  byn_buf *out = begin_word(c, BYN_FRAME_REFUSE);
  set_reason_string(c, reason);
  byn_handshake_put_refuse(&c->shake, c->reason, out);
  commit_word(c, start);
  end_connection(c, true);
}

/* The peer broke the protocol. A stranger is not told. */
static void fault(byn_connection *c, const char *reason) {
  if (c->state == OPEN)
    say_goodbye(c, reason);
  else
    give_up(c, reason);
}

static void open_connection(byn_connection *c, byn_outbox *out) {
  byn_assert(out && !c->out);
  c->state = OPEN;
  c->out = out;
  if ((c->shake.traits | c->shake.peer_traits) & BYN_TRAIT_QUIET)
    c->heartbeat_ms = BYN_NEVER;
  c->beat_at = later(c->now, c->heartbeat_ms);
  byn_frame_reader_limit(&c->in, BYN_FRAGMENT_SIZE);
  byn_handshake_wipe(&c->shake);
}

/* --- reading -------------------------------------------------------------- */

static bool set_event(const byn_connection *c, byn_connection_event *event,
                      byn_connection_event_kind kind) {
  event->kind = kind;
  event->name = c->shake.peer;
  event->incarnation = c->shake.peer_incarnation;
  event->opening = c->shake.opening;
  event->traits = c->shake.peer_traits;
  event->resumes = byn_handshake_resumes(&c->shake);
  event->resume = c->shake.resume;
  event->resumed = c->shake.resumed;
  return true;
}

/* Each take_* has one frame to judge and answers whether it made an event. */

static void take_hello(byn_connection *c, const byn_frame *f) {
  byn_verdict verdict =
      byn_handshake_on_hello(&c->shake, f->payload, f->length);
  size_t start = c->words.len;
  if (verdict == BYN_SHAKE_BAD_VERSION)
    turn_away(c, byn_verdict_reason(verdict));
  else if (verdict != BYN_SHAKE_OK)
    give_up(c, byn_verdict_reason(verdict));
  else {
    byn_handshake_put_challenge(&c->shake, begin_word(c, BYN_FRAME_CHALLENGE));
    if (send_word(c, start)) c->state = PROOF_AWAITED;
  }
}

static bool take_proof(byn_connection *c, const byn_frame *f,
                       byn_connection_event *event) {
  byn_verdict verdict =
      byn_handshake_on_proof(&c->shake, f->payload, f->length);
  if (verdict != BYN_SHAKE_OK) {
    turn_away(c, byn_verdict_reason(verdict));
    return false;
  }
  c->state = ADMITTING;
  return set_event(c, event, BYN_CONNECTION_ADMIT);
}

static void take_challenge(byn_connection *c, const byn_frame *f) {
  byn_verdict verdict =
      byn_handshake_on_challenge(&c->shake, f->payload, f->length);
  size_t start = c->words.len;
  if (verdict != BYN_SHAKE_OK) {
    give_up(c, byn_verdict_reason(verdict));
    return;
  }
  byn_handshake_put_proof(&c->shake, begin_word(c, BYN_FRAME_PROOF));
  if (send_word(c, start)) c->state = WELCOME_AWAITED;
}

/* The state stays until the owner has attached its outbox. */
static bool take_welcome(byn_connection *c, const byn_frame *f,
                         byn_connection_event *event) {
  byn_verdict verdict =
      byn_handshake_on_welcome(&c->shake, f->payload, f->length);
  if (verdict != BYN_SHAKE_OK) {
    give_up(c, byn_verdict_reason(verdict));
    return false;
  }
  return set_event(c, event, BYN_CONNECTION_OPEN);
}

/* A refusal without a proof, and one because of another connection, say
 * nothing about the session. */
static bool is_passing(const char *reason) {
  return !strcmp(reason, "refused") || !strcmp(reason, "bad_secret") ||
         !strcmp(reason, "bad_version") || !strcmp(reason, "simultaneous");
}

static void take_refuse(byn_connection *c, const byn_frame *f) {
  size_t n;
  const char *reason =
      byn_handshake_on_refuse(&c->shake, f->payload, f->length, &n);
  if (!reason) {
    give_up(c, "bad_frame");
    return;
  }
  set_reason(c, reason, n);
  end_connection(c, !is_passing(c->reason));
}

static bool take_data(byn_connection *c, const byn_frame *f,
                      byn_connection_event *event) {
  event->kind = BYN_CONNECTION_DATA;
  event->begins = f->begins;
  event->ends = f->ends;
  event->last = f->type == BYN_FRAME_MESSAGE;
  event->payload = f->payload;
  event->length = f->length;
  if (event->last || f->length) return true;
  fault(c, "bad_frame");
  return false;
}

static bool take_heartbeat(byn_connection *c, const byn_frame *f,
                           byn_connection_event *event) {
  byn_reader r;
  size_t length = byn_handshake_resumes(&c->shake) ? 8 : 0;
  byn_reader_init(&r, f->payload, f->length);
  if (f->length != length) {
    fault(c, "bad_frame");
    return false;
  }
  event->kind = BYN_CONNECTION_ACKNOWLEDGED;
  event->received = byn_get_u64(&r);
  return length > 0;
}

static bool take_ask(byn_connection *c, const byn_frame *f,
                     byn_connection_event *event) {
  byn_reader r;
  const char *address;
  size_t n;
  byn_reader_init(&r, f->payload, f->length);
  event->kind = BYN_CONNECTION_ASKED;
  event->question.number = byn_get_u64(&r);
  event->question.incarnation = byn_get_u64(&r);
  event->question.traits = byn_get_u8(&r);
  address = (const char *)byn_get_string(&r, &n);
  if (!address || byn_reader_left(&r) || !byn_handshake_resumes(&c->shake)) {
    fault(c, "bad_frame");
    return false;
  }
  byn_copy_printable(event->question.address, BYN_ADDRESS_MAX, address, n);
  return true;
}

static bool take_answer(byn_connection *c, const byn_frame *f,
                        byn_connection_event *event) {
  byn_reader r;
  byn_reader_init(&r, f->payload, f->length);
  event->kind = BYN_CONNECTION_ANSWERED;
  event->number = byn_get_u64(&r);
  if (!r.failed && !byn_reader_left(&r) && byn_handshake_resumes(&c->shake))
    return true;
  fault(c, "bad_frame");
  return false;
}

static void take_goodbye(byn_connection *c, const byn_frame *f) {
  byn_reader r;
  const char *reason;
  size_t n;
  byn_reader_init(&r, f->payload, f->length);
  reason = (const char *)byn_get_string(&r, &n);
  set_reason(c, reason, n);
  byn_outbox_clear(c->out);
  end_connection(c, true);
}

static bool take_when_open(byn_connection *c, const byn_frame *f,
                           byn_connection_event *event) {
  switch (f->type) {
  case BYN_FRAME_MESSAGE:
  case BYN_FRAME_FRAGMENT:
    return take_data(c, f, event);
  case BYN_FRAME_HEARTBEAT:
    return take_heartbeat(c, f, event);
  case BYN_FRAME_ASK:
    return take_ask(c, f, event);
  case BYN_FRAME_ANSWER:
    return take_answer(c, f, event);
  case BYN_FRAME_GOODBYE:
    take_goodbye(c, f);
    return false;
  default:
    fault(c, "bad_frame");
    return false;
  }
}

static bool is_dialing(const byn_connection *c) {
  return c->state == CHALLENGE_AWAITED || c->state == WELCOME_AWAITED;
}

/* In the handshake each state awaits one frame, or a refusal. */
static bool take_frame(byn_connection *c, const byn_frame *f,
                       byn_connection_event *event) {
  BYN_COVER_NTH(c->state, f->type - 1u);
  if (c->state == OPEN) return take_when_open(c, f, event);
  if (c->state == HELLO_AWAITED && f->type == BYN_FRAME_HELLO)
    take_hello(c, f);
  else if (c->state == PROOF_AWAITED && f->type == BYN_FRAME_PROOF)
    return take_proof(c, f, event);
  else if (c->state == CHALLENGE_AWAITED && f->type == BYN_FRAME_CHALLENGE)
    take_challenge(c, f);
  else if (c->state == WELCOME_AWAITED && f->type == BYN_FRAME_WELCOME)
    return take_welcome(c, f, event);
  else if (is_dialing(c) && f->type == BYN_FRAME_REFUSE)
    take_refuse(c, f);
  else
    fault(c, "bad_frame");
  return false;
}

/* No whole frame is left in the chunk, or no sense. */
static void stop_reading(byn_connection *c, byn_frame_status status) {
  switch (status) {
  case BYN_FRAME_BAD:
    fault(c, "bad_frame");
    break;
  case BYN_FRAME_TOO_LARGE:
    fault(c, "frame_too_large");
    break;
  case BYN_FRAME_NO_MEMORY:
    cut_off(c, "out_of_memory", true);
    break;
  case BYN_FRAME_NONE:
  case BYN_FRAME_READ:
    if (c->closing) end_connection(c, false);
    break;
  }
}

bool byn_connection_next(byn_connection *c, byn_connection_event *event) {
  byn_frame f;
  byn_frame_status status = BYN_FRAME_READ;
  while (c->state != ENDED && status == BYN_FRAME_READ) {
    status = byn_frame_next(&c->in, &f);
    if (status != BYN_FRAME_READ)
      stop_reading(c, status);
    else if (take_frame(c, &f, event))
      return true;
  }
  if (!c->tell_end) return false;
  c->tell_end = false;
  event->kind = BYN_CONNECTION_ENDED;
  event->reason = c->reason;
  event->final = c->final;
  event->refused = c->refused;
  event->holder = &c->shake.holder;
  return true;
}

/* --- what the owner tells ------------------------------------------------- */

void byn_connection_opened(byn_connection *c, int64_t now) {
  BYN_COVER(c->state, "opened");
  if (c->state != CONNECTING) return;
  c->now = now;
  byn_handshake_put_hello(&c->shake, begin_word(c, BYN_FRAME_HELLO));
  if (send_word(c, 0)) c->state = CHALLENGE_AWAITED;
}

void byn_connection_feed(byn_connection *c, const uint8_t *bytes, size_t n,
                         int64_t now) {
  if (c->state == ENDED || n == 0) return;
  c->now = c->heard_at = now;
  if (byn_frame_reader_is_done(&c->in))
    byn_frame_reader_feed(&c->in, bytes, n);
  else
    fault(c, "unread");
}

void byn_connection_closed(byn_connection *c, const char *reason) {
  BYN_COVER(c->state, "closed");
  if (c->state == ENDED) return;
  c->refused =
      c->state == CONNECTING && reason && !strcmp(reason, "econnrefused");
  if (byn_frame_reader_is_done(&c->in))
    cut_off(c, reason, false);
  else {
    set_reason_string(c, reason);
    c->closing = true;
  }
}

void byn_connection_tell_time(byn_connection *c, int64_t now) {
  if (now > c->now) c->now = now;
}

void byn_connection_tick(byn_connection *c, int64_t now) {
  if (c->state == ENDED) return;
  c->now = now;
  if (c->state != OPEN) {
    if (now < c->handshake_by) return;
    BYN_COVER(c->state, "silence");
    cut_off(c, "handshake_timeout", false);
  } else if (now >= c->beat_at) {
    BYN_COVER(c->state, "beat");
    byn_outbox_beat(c->out);
    byn_outbox_rest(c->out);
    c->beat_at = later(now, c->heartbeat_ms);
  }
}

void byn_connection_after_gap(byn_connection *c, int64_t now) {
  if (c->state == ENDED) return;
  BYN_COVER(c->state, "gap");
  byn_assert(now >= c->now);
  c->now = now;
  if (c->state != OPEN) c->handshake_by = later(now, c->handshake_ms);
  byn_assert(c->state == OPEN || c->handshake_by >= now);
}

int64_t byn_connection_deadline(const byn_connection *c) {
  if (c->state == ENDED) return BYN_NEVER;
  return c->state == OPEN ? c->beat_at : c->handshake_by;
}

bool byn_connection_admit(byn_connection *c, const byn_resumed *resumed,
                          byn_outbox *out, int64_t now) {
  size_t start = c->words.len;
  BYN_COVER(c->state, "admit");
  if (c->state != ADMITTING) return false;
  c->now = now;
  c->shake.resumed = *resumed;
  byn_handshake_put_welcome(&c->shake, begin_word(c, BYN_FRAME_WELCOME));
  if (!send_word(c, start)) return false;
  open_connection(c, out);
  return true;
}

void byn_connection_refuse(byn_connection *c, const char *reason) {
  BYN_COVER(c->state, "refuse_it");
  if (c->state != ADMITTING) return;
  turn_away(c, reason);
  c->tell_end = false;
}

void byn_connection_refuse_name(byn_connection *c, const byn_holder *holder) {
  c->shake.holder = *holder;
  byn_connection_refuse(c, "name_taken");
}

void byn_connection_attach(byn_connection *c, byn_outbox *out, int64_t now) {
  BYN_COVER(c->state, "attach");
  byn_assert(c->state == WELCOME_AWAITED);
  c->now = now;
  open_connection(c, out);
}

void byn_connection_ask(byn_connection *c, const byn_question *question) {
  BYN_COVER(c->state, "ask_it");
  if (c->state != OPEN) return;
  byn_assert(byn_handshake_resumes(&c->shake));
  c->question = *question;
  c->asks = true;
}

void byn_connection_answer(byn_connection *c, uint64_t number) {
  BYN_COVER(c->state, "answer_it");
  if (c->state != OPEN) return;
  c->answer = number;
  c->answers = true;
}

void byn_connection_goodbye(byn_connection *c, const char *reason) {
  BYN_COVER(c->state, "say_goodbye");
  if (c->state == OPEN)
    say_goodbye(c, reason);
  else if (c->state != ENDED)
    cut_off(c, reason, true);
  c->tell_end = false;
}

void byn_connection_drop(byn_connection *c) {
  BYN_COVER(c->state, "drop");
  if (c->state != ENDED) cut_off(c, NULL, false);
  byn_buf_free(&c->words);
  c->handed = c->unconfirmed = 0;
  c->out = NULL;
  c->tell_end = false;
}

/* --- output --------------------------------------------------------------- */

static size_t take_words(byn_connection *c, const uint8_t **bytes) {
  size_t n = c->words.len - c->handed;
  if (n)
    *bytes = c->words.data + c->handed;
  else if (c->state == OPEN || c->state == ENDED) {
    byn_buf_free(&c->words);
    c->handed = 0;
  }
  c->handed += n;
  return n;
}

static uint8_t *write_u64(uint8_t *at, uint64_t value) {
  for (int i = 0; i < 8; i++)
    at[i] = (uint8_t)(value >> (56 - 8 * i));
  return at + 8;
}

/* A question or an answer, if one is due. */
static size_t take_control(byn_connection *c, const uint8_t **bytes) {
  uint8_t *at = c->control + BYN_FRAME_HEADER;
  byn_frame_type type = c->answers ? BYN_FRAME_ANSWER : BYN_FRAME_ASK;
  if (c->state != OPEN || !(c->answers || c->asks)) return 0;
  if (c->answers) {
    at = write_u64(at, c->answer);
    c->answers = false;
  } else {
    size_t n = strlen(c->question.address);
    byn_assert(n <= BYN_ADDRESS_MAX);
    at = write_u64(write_u64(at, c->question.number), c->question.incarnation);
    *at++ = c->question.traits;
    *at++ = (uint8_t)n; /* a varint of one byte */
    memcpy(at, c->question.address, n);
    at += n;
    c->asks = false;
  }
  byn_frame_header(c->control, type,
                   (size_t)(at - c->control) - BYN_FRAME_HEADER);
  *bytes = c->control;
  return (size_t)(at - c->control);
}

size_t byn_connection_output(byn_connection *c, const uint8_t **bytes) {
  size_t n;
  *bytes = NULL;
  if (c->unconfirmed) return 0;
  n = take_words(c, bytes);
  if (n == 0) n = take_control(c, bytes);
  if (n == 0 && c->out) n = byn_outbox_take(c->out, bytes);
  if (n && c->state == OPEN) c->beat_at = later(c->now, c->heartbeat_ms);
  return c->unconfirmed = n;
}

void byn_connection_wrote(byn_connection *c, size_t n) {
  c->unconfirmed -= n < c->unconfirmed ? n : c->unconfirmed;
}

size_t byn_connection_queued(const byn_connection *c) {
  return c->words.len - c->handed + c->unconfirmed +
         (c->out ? byn_outbox_waiting(c->out) : 0);
}

bool byn_connection_is_ended(const byn_connection *c) {
  return c->state == ENDED;
}

bool byn_connection_is_proving(const byn_connection *c) {
  return c->state == WELCOME_AWAITED;
}

int64_t byn_connection_heard_at(const byn_connection *c) {
  return c->heard_at;
}
