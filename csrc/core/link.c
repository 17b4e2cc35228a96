#include "link.h"

#include <string.h>

#include "coverage.h"
#include "wire/frame.h"
#include "wire/handshake.h"
#include "wire/outbox.h"

typedef enum link_state {
  CONNECTING,        /* dialer: the transport is not open */
  CHALLENGE_AWAITED, /* dialer: HELLO is sent */
  WELCOME_AWAITED,   /* dialer: PROOF is sent */
  HELLO_AWAITED,     /* acceptor */
  PROOF_AWAITED,     /* acceptor: CHALLENGE is sent */
  ADMITTING,         /* acceptor: the owner is asked */
  UP,
  DOWN
} link_state;

/* The first events are the frames, in the order of their types. */
BYN_MACHINE("link",
            "connecting challenge_awaited welcome_awaited hello_awaited "
            "proof_awaited admitting up down",
            "hello challenge proof welcome refuse message fragment heartbeat "
            "goodbye connected closed silence beat admit refuse_it close send");

struct byn_link {
  byn_link_config config; /* its pointers are not used after the start */
  link_state state;
  byn_handshake shake;
  byn_frame_reader in;
  byn_outbox out;
  byn_buf parts; /* of a message whose last part has not come */
  int64_t now;   /* the latest time told */
  int64_t handshake_by, beat_at, silent_at;
  bool parts_told; /* the parts were given out as a message */
  bool tell_up, tell_down;
  bool closing; /* DOWN once the chunk is read */
  char reason[BYN_REASON_MAX + 1];
};

/* A time that may be "never". */
static int64_t later(int64_t now, int64_t ms) {
  return now > 0 && ms > BYN_NEVER - now ? BYN_NEVER : now + ms;
}

static byn_link *link_new(const byn_link_config *config, const char *peer,
                          const uint8_t nonce[BYN_NONCE_SIZE], int64_t now) {
  byn_link *l = byn_new(&config->alloc, sizeof *l);
  if (!l) return NULL;
  memset(l, 0, sizeof *l);
  l->config = *config;
  l->config.name = NULL;
  l->config.secret = NULL;
  l->now = now;
  l->handshake_by = later(now, config->handshake_ms);
  l->state = peer ? CONNECTING : HELLO_AWAITED;
  byn_frame_reader_init(&l->in, &l->config.alloc, BYN_UNPROVEN_MAX);
  byn_outbox_init(&l->out, &l->config.alloc);
  byn_buf_init(&l->parts, &l->config.alloc);
  if (!byn_handshake_init(&l->shake, config->name, config->incarnation, peer,
                          nonce, config->secret, config->secret_len)) {
    byn_link_free(l);
    return NULL;
  }
  l->shake.traits = config->traits;
  return l;
}

byn_link *byn_link_dial(const byn_link_config *config, const char *peer,
                        const uint8_t nonce[BYN_NONCE_SIZE], int64_t now) {
  return peer ? link_new(config, peer, nonce, now) : NULL;
}

byn_link *byn_link_accept(const byn_link_config *config,
                          const uint8_t nonce[BYN_NONCE_SIZE], int64_t now) {
  return link_new(config, NULL, nonce, now);
}

void byn_link_free(byn_link *link) {
  byn_alloc alloc;
  if (!link) return;
  alloc = link->config.alloc;
  byn_handshake_wipe(&link->shake);
  byn_frame_reader_free(&link->in);
  byn_outbox_free(&link->out);
  byn_buf_free(&link->parts);
  byn_free(&alloc, link, sizeof *link);
}

/* A reason may come from a stranger and end in a log. */
static void set_reason(byn_link *l, const char *reason, size_t n) {
  if (n == 0) {
    reason = "closed";
    n = strlen(reason);
  }
  if (n > BYN_REASON_MAX) n = BYN_REASON_MAX;
  for (size_t i = 0; i < n; i++)
    l->reason[i] = reason[i] >= ' ' && reason[i] < 0x7f ? reason[i] : '?';
  l->reason[n] = '\0';
}

static void set_reason_string(byn_link *l, const char *reason) {
  set_reason(l, reason, reason ? strlen(reason) : 0);
}

/* The end, for the reason that is set. What waits to be written stays. */
static void go_down(byn_link *l) {
  l->state = DOWN;
  l->tell_up = false;
  l->tell_down = true;
  byn_outbox_abort(&l->out);
  byn_handshake_wipe(&l->shake);
}

static void end(byn_link *l, const char *reason) {
  set_reason_string(l, reason);
  go_down(l);
}

/* The end where nobody is there to read what waits. */
static void cut_off(byn_link *l, const char *reason) {
  byn_outbox_clear(&l->out);
  end(l, reason);
}

static bool send_frame(byn_link *l) {
  if (byn_outbox_commit(&l->out, BYN_FRAGMENT_SIZE)) return true;
  cut_off(l, "out_of_memory");
  return false;
}

/* The end that the peer is told of; it is the end without memory too. */
static void say_goodbye(byn_link *l, const char *reason) {
  byn_buf *out = byn_outbox_begin(&l->out, BYN_FRAME_GOODBYE);
  set_reason_string(l, reason);
  byn_put_string(out, l->reason, strlen(l->reason));
  byn_outbox_commit(&l->out, BYN_FRAGMENT_SIZE);
  go_down(l);
}

static void turn_away(byn_link *l, const char *reason) {
  byn_buf *out = byn_outbox_begin(&l->out, BYN_FRAME_REFUSE);
  set_reason_string(l, reason);
  byn_handshake_put_refuse(&l->shake, l->reason, out);
  byn_outbox_commit(&l->out, BYN_FRAGMENT_SIZE);
  go_down(l);
}

/* The peer broke the protocol. A stranger is not told. */
static void fault(byn_link *l, const char *reason) {
  if (l->state == UP)
    say_goodbye(l, reason);
  else
    end(l, reason);
}

static void go_up(byn_link *l) {
  l->state = UP;
  if ((l->config.traits | l->shake.peer_traits) & BYN_TRAIT_QUIET)
    l->config.heartbeat_ms = l->config.down_after_ms = BYN_NEVER;
  l->beat_at = later(l->now, l->config.heartbeat_ms);
  l->silent_at = later(l->now, l->config.down_after_ms);
  byn_frame_reader_limit(&l->in, BYN_FRAGMENT_SIZE);
  byn_handshake_wipe(&l->shake);
}

static bool set_event(const byn_link *l, byn_link_event *event,
                      byn_link_event_kind kind) {
  event->kind = kind;
  event->name = l->shake.peer;
  event->incarnation = l->shake.peer_incarnation;
  event->traits = l->shake.peer_traits;
  return true;
}

/* Each take_* has one frame to judge and answers whether it made an event. */

static void take_hello(byn_link *l, const byn_frame *f) {
  byn_verdict verdict =
      byn_handshake_on_hello(&l->shake, f->payload, f->length);
  if (verdict == BYN_SHAKE_BAD_VERSION)
    turn_away(l, byn_verdict_reason(verdict));
  else if (verdict != BYN_SHAKE_OK)
    end(l, byn_verdict_reason(verdict));
  else {
    byn_handshake_put_challenge(&l->shake,
                                byn_outbox_begin(&l->out, BYN_FRAME_CHALLENGE));
    if (send_frame(l)) l->state = PROOF_AWAITED;
  }
}

static bool take_proof(byn_link *l, const byn_frame *f, byn_link_event *event) {
  byn_verdict verdict =
      byn_handshake_on_proof(&l->shake, f->payload, f->length);
  if (verdict != BYN_SHAKE_OK) {
    turn_away(l, byn_verdict_reason(verdict));
    return false;
  }
  l->state = ADMITTING;
  return set_event(l, event, BYN_LINK_ADMIT);
}

static void take_challenge(byn_link *l, const byn_frame *f) {
  byn_verdict verdict =
      byn_handshake_on_challenge(&l->shake, f->payload, f->length);
  if (verdict != BYN_SHAKE_OK) {
    end(l, byn_verdict_reason(verdict));
    return;
  }
  byn_handshake_put_proof(&l->shake,
                          byn_outbox_begin(&l->out, BYN_FRAME_PROOF));
  if (send_frame(l)) l->state = WELCOME_AWAITED;
}

static bool take_welcome(byn_link *l, const byn_frame *f,
                         byn_link_event *event) {
  byn_verdict verdict =
      byn_handshake_on_welcome(&l->shake, f->payload, f->length);
  if (verdict != BYN_SHAKE_OK) {
    end(l, byn_verdict_reason(verdict));
    return false;
  }
  go_up(l);
  return set_event(l, event, BYN_LINK_UP);
}

static void take_refuse(byn_link *l, const byn_frame *f) {
  size_t n;
  const char *reason =
      byn_handshake_on_refuse(&l->shake, f->payload, f->length, &n);
  if (!reason) {
    end(l, "bad_frame");
    return;
  }
  set_reason(l, reason, n);
  go_down(l);
}

static bool tell_message(byn_link_event *event, const uint8_t *bytes,
                         size_t n) {
  event->kind = BYN_LINK_MESSAGE;
  event->message = bytes;
  event->length = n;
  return true;
}

/* Keeps one part. The parts before it are never longer than max_message, so
 * the subtraction holds. */
static bool keep_part(byn_link *l, const byn_frame *f) {
  if (f->length > l->config.max_message - l->parts.len)
    fault(l, "message_too_large");
  else {
    byn_put_bytes(&l->parts, f->payload, f->length);
    if (l->parts.failed) cut_off(l, "out_of_memory");
  }
  return l->state == UP;
}

static bool take_message(byn_link *l, const byn_frame *f,
                         byn_link_event *event) {
  if (l->parts.len == 0 && f->length <= l->config.max_message)
    return tell_message(event, f->payload, f->length);
  if (!keep_part(l, f)) return false;
  l->parts_told = true;
  return tell_message(event, l->parts.data, l->parts.len);
}

static void take_goodbye(byn_link *l, const byn_frame *f) {
  byn_reader r;
  const char *reason;
  size_t n;
  byn_reader_init(&r, f->payload, f->length);
  reason = (const char *)byn_get_string(&r, &n);
  byn_outbox_clear(&l->out);
  set_reason(l, reason, n);
  go_down(l);
}

static bool take_when_up(byn_link *l, const byn_frame *f,
                         byn_link_event *event) {
  switch (f->type) {
  case BYN_FRAME_MESSAGE:
    return take_message(l, f, event);
  case BYN_FRAME_FRAGMENT:
    if (f->length == 0)
      fault(l, "bad_frame");
    else
      keep_part(l, f);
    return false;
  case BYN_FRAME_HEARTBEAT:
    if (f->length) fault(l, "bad_frame");
    return false;
  case BYN_FRAME_GOODBYE:
    take_goodbye(l, f);
    return false;
  default:
    fault(l, "bad_frame");
    return false;
  }
}

static bool is_dialing(const byn_link *l) {
  return l->state == CHALLENGE_AWAITED || l->state == WELCOME_AWAITED;
}

/* In the handshake each state awaits one frame, or a refusal. */
static bool take(byn_link *l, const byn_frame *f, byn_link_event *event) {
  BYN_COVER_NTH(l->state, f->type - 1u);
  if (l->state == UP) return take_when_up(l, f, event);
  if (l->state == HELLO_AWAITED && f->type == BYN_FRAME_HELLO)
    take_hello(l, f);
  else if (l->state == PROOF_AWAITED && f->type == BYN_FRAME_PROOF)
    return take_proof(l, f, event);
  else if (l->state == CHALLENGE_AWAITED && f->type == BYN_FRAME_CHALLENGE)
    take_challenge(l, f);
  else if (l->state == WELCOME_AWAITED && f->type == BYN_FRAME_WELCOME)
    return take_welcome(l, f, event);
  else if (is_dialing(l) && f->type == BYN_FRAME_REFUSE)
    take_refuse(l, f);
  else
    fault(l, "bad_frame");
  return false;
}

/* No whole frame is left in the chunk, or no sense. */
static void stop_reading(byn_link *l, byn_frame_status status) {
  switch (status) {
  case BYN_FRAME_BAD:
    fault(l, "bad_frame");
    break;
  case BYN_FRAME_TOO_LARGE:
    fault(l, "frame_too_large");
    break;
  case BYN_FRAME_NO_MEMORY:
    cut_off(l, "out_of_memory");
    break;
  case BYN_FRAME_NONE:
  case BYN_FRAME_READ:
    if (l->closing) go_down(l);
    break;
  }
}

static bool read_event(byn_link *l, byn_link_event *event) {
  byn_frame f;
  byn_frame_status status = BYN_FRAME_READ;
  while (l->state != DOWN && status == BYN_FRAME_READ) {
    status = byn_frame_next(&l->in, &f);
    if (status != BYN_FRAME_READ)
      stop_reading(l, status);
    else if (take(l, &f, event))
      return true;
  }
  return false;
}

bool byn_link_next(byn_link *link, byn_link_event *event) {
  *event = (byn_link_event){.kind = BYN_LINK_DOWN};
  if (link->parts_told) {
    link->parts_told = false;
    byn_buf_free(&link->parts);
  }
  if (link->tell_up) {
    link->tell_up = false;
    return set_event(link, event, BYN_LINK_UP);
  }
  if (read_event(link, event)) return true;
  if (!link->tell_down) return false;
  link->tell_down = false;
  event->reason = link->reason;
  return true;
}

void byn_link_connected(byn_link *link, int64_t now) {
  BYN_COVER(link->state, "connected");
  if (link->state != CONNECTING) return;
  link->now = now;
  byn_handshake_put_hello(&link->shake,
                          byn_outbox_begin(&link->out, BYN_FRAME_HELLO));
  if (send_frame(link)) link->state = CHALLENGE_AWAITED;
}

void byn_link_feed(byn_link *link, const uint8_t *bytes, size_t n,
                   int64_t now) {
  if (link->state == DOWN || n == 0) return;
  link->now = now;
  link->silent_at = later(now, link->config.down_after_ms);
  if (byn_frame_reader_is_done(&link->in))
    byn_frame_reader_feed(&link->in, bytes, n);
  else
    fault(link, "unread");
}

void byn_link_closed(byn_link *link, const char *reason) {
  BYN_COVER(link->state, "closed");
  if (link->state == DOWN) return;
  if (byn_frame_reader_is_done(&link->in))
    cut_off(link, reason);
  else {
    set_reason_string(link, reason);
    link->closing = true;
  }
}

void byn_link_tick(byn_link *link, int64_t now) {
  if (link->state == DOWN) return;
  link->now = now;
  if (link->state != UP) {
    if (now < link->handshake_by) return;
    BYN_COVER(link->state, "silence");
    cut_off(link, "handshake_timeout");
  } else if (now >= link->silent_at) {
    BYN_COVER(link->state, "silence");
    cut_off(link, "timeout");
  } else if (now >= link->beat_at) {
    BYN_COVER(link->state, "beat");
    byn_outbox_beat(&link->out);
    link->beat_at = later(now, link->config.heartbeat_ms);
  }
}

int64_t byn_link_deadline(const byn_link *link) {
  if (link->state == DOWN) return BYN_NEVER;
  if (link->state != UP) return link->handshake_by;
  return link->beat_at < link->silent_at ? link->beat_at : link->silent_at;
}

void byn_link_admit(byn_link *link, int64_t now) {
  BYN_COVER(link->state, "admit");
  if (link->state != ADMITTING) return;
  link->now = now;
  byn_handshake_put_welcome(&link->shake,
                            byn_outbox_begin(&link->out, BYN_FRAME_WELCOME));
  if (!send_frame(link)) return;
  go_up(link);
  link->tell_up = true;
}

void byn_link_refuse(byn_link *link, const char *reason) {
  BYN_COVER(link->state, "refuse_it");
  if (link->state == ADMITTING) turn_away(link, reason);
}

void byn_link_close(byn_link *link, const char *reason) {
  BYN_COVER(link->state, "close");
  if (link->state == UP)
    say_goodbye(link, reason);
  else if (link->state != DOWN)
    cut_off(link, reason);
}

byn_buf *byn_link_begin(byn_link *link) {
  BYN_COVER(link->state, "send");
  if (link->state != UP) return NULL;
  return byn_outbox_begin(&link->out, BYN_FRAME_MESSAGE);
}

bool byn_link_commit(byn_link *link) {
  if (!byn_outbox_commit(&link->out, link->config.max_message)) return false;
  if (byn_link_queued(link) <= link->config.max_queue) return true;
  cut_off(link, "overflow");
  return false;
}

void byn_link_abort(byn_link *link) {
  byn_outbox_abort(&link->out);
}

size_t byn_link_output(byn_link *link, const uint8_t **bytes) {
  size_t n = byn_outbox_take(&link->out, bytes);
  if (n) link->beat_at = later(link->now, link->config.heartbeat_ms);
  return n;
}

void byn_link_wrote(byn_link *link, size_t n) {
  byn_outbox_wrote(&link->out, n);
}

size_t byn_link_queued(const byn_link *link) {
  return byn_outbox_queued(&link->out);
}

bool byn_link_is_up(const byn_link *link) {
  return link->state == UP;
}
