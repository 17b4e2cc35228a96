/* Two connections joined by two queues of bytes, each with an outbox.
 *
 * rig_pump carries what each end has to say to the other, in chunks of
 * random size that are copied to memory of their own, and collects events.
 * The ends take their memory from `test`; the rig's own comes from malloc,
 * so that a failing allocation only ever hits an end.
 */
#ifndef BYN_SPEC_CONNECTION_RIG_H
#define BYN_SPEC_CONNECTION_RIG_H

#include "support.h"

#include "../../csrc/core/connection.h"
#include "../../csrc/core/rng.h"

#define RIG_MESSAGES 64

typedef struct rig_end {
  byn_connection *link;
  byn_alloc memory;
  byn_outbox out;
  byn_buf inbox; /* bytes on their way to it */
  byn_buf parts; /* of a message whose last part has not come */
  size_t admits, ups, messages, downs;
  uint64_t opening, acknowledged;
  byn_resume resume;   /* as ADMIT told it */
  byn_resumed resumed; /* as OPEN told it */
  bool resumes, final, refused;
  size_t sizes[RIG_MESSAGES];  /* of the messages that came */
  size_t sent;                 /* messages that were committed */
  char name[BYN_NAME_MAX + 1]; /* the peer's, as UP told it */
  uint64_t incarnation;
  uint8_t traits;
  const char *reason; /* of DOWN; valid while the link lives */
  byn_holder holder;  /* of DOWN */
  size_t asked;       /* questions that came; each is answered */
  byn_question question;
  uint64_t answered;
} rig_end;

typedef struct rig {
  byn_test_alloc test;
  byn_alloc plain;
  byn_connection_config dialer_config, acceptor_config;
  rig_end a, b; /* a dials b */
  byn_rng rng;
  int64_t now;
  size_t chunk;        /* the largest */
  const char *refusal; /* b's answer to ADMIT, or NULL to admit */
  byn_resume resume;   /* what a says in PROOF */
  byn_resumed resumed; /* and b in WELCOME */
} rig;

static void *rig_malloc(void *ud, void *block, size_t old_size,
                        size_t new_size) {
  (void)ud, (void)old_size;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, new_size);
}

static const uint8_t rig_secret[] = "the secret of the cluster";

static inline byn_connection_config rig_config(rig *r, const char *name,
                                               uint64_t incarnation) {
  byn_connection_config c = {.alloc = byn_test_allocator(&r->test),
                             .name = name,
                             .incarnation = incarnation,
                             .traits = (uint8_t)(incarnation << 4),
                             .secret = rig_secret,
                             .secret_len = sizeof rig_secret - 1,
                             .heartbeat_ms = 1000,
                             .handshake_ms = 3000};
  return c;
}

static inline void rig_init(rig *r, uint64_t seed) {
  *r = (rig){.chunk = 100000, .now = 1000};
  r->plain = (byn_alloc){rig_malloc, NULL};
  r->dialer_config = rig_config(r, "a@host:1", 11);
  r->acceptor_config = rig_config(r, "b@host:2", 22);
  byn_rng_seed(&r->rng, seed);
  for (int i = 0; i < 2; i++) {
    rig_end *e = i ? &r->b : &r->a;
    e->memory = (i ? r->acceptor_config : r->dialer_config).alloc;
    byn_buf_init(&e->inbox, &r->plain);
    byn_buf_init(&e->parts, &r->plain);
    byn_outbox_init(&e->out, &e->memory);
  }
}

static inline void rig_nonce(rig *r, uint8_t nonce[BYN_NONCE_SIZE]) {
  for (size_t i = 0; i < BYN_NONCE_SIZE; i++)
    nonce[i] = (uint8_t)byn_rng_next(&r->rng);
}

/* Opens both ends; false if one found no memory. */
static inline bool rig_open(rig *r, const char *dialed) {
  uint8_t nonce[BYN_NONCE_SIZE];
  rig_nonce(r, nonce);
  r->a.link =
      byn_connection_dial(&r->dialer_config, dialed, nonce, &r->resume, r->now);
  rig_nonce(r, nonce);
  r->b.link = byn_connection_accept(&r->acceptor_config, nonce, r->now);
  if (!r->a.link || !r->b.link) return false;
  byn_connection_opened(r->a.link, r->now);
  return true;
}

static inline void rig_close(rig *r) {
  byn_connection_free(r->a.link);
  byn_connection_free(r->b.link);
  for (int i = 0; i < 2; i++) {
    rig_end *e = i ? &r->b : &r->a;
    byn_buf_free(&e->inbox);
    byn_buf_free(&e->parts);
    byn_outbox_free(&e->out);
  }
}

static inline uint8_t rig_byte(size_t m, size_t i) {
  return (uint8_t)(m * 31 + i * 7 + (i >> 16) * 13);
}

static inline void rig_part(rig_end *e, const byn_connection_event *event) {
  size_t m = e->messages, start = e->parts.len;
  byn_put_bytes(&e->parts, event->payload, event->length);
  for (size_t i = start; i < e->parts.len; i++)
    if (e->parts.data[i] != rig_byte(m, i))
      fail_msg("byte %zu of message %zu is wrong", i, m);
  if (!event->ends || !event->last) return;
  e->messages++;
  if (m < RIG_MESSAGES) e->sizes[m] = e->parts.len;
  byn_buf_truncate(&e->parts, 0);
}

static inline void rig_up(rig_end *e, const byn_connection_event *event) {
  assert_int_equal(e->ups++, 0);
  e->out.keeps = event->resumes;
  strcpy(e->name, event->name);
  e->incarnation = event->incarnation;
  e->traits = event->traits;
  e->opening = event->opening;
  e->resumes = event->resumes;
  e->resume = event->resume;
  e->resumed = event->resumed;
}

/* Takes all events, and sees that they come in an order that may be. */
static inline void rig_events(rig *r, rig_end *e) {
  byn_connection_event event;
  while (byn_connection_next(e->link, &event)) {
    assert_int_equal(e->downs, 0);
    switch (event.kind) {
    case BYN_CONNECTION_ADMIT:
      assert_int_equal(e->admits++ + e->ups, 0);
      if (r->refusal)
        byn_connection_refuse(e->link, r->refusal);
      else if (byn_connection_admit(e->link, &r->resumed, &e->out, r->now))
        rig_up(e, &event);
      break;
    case BYN_CONNECTION_OPEN:
      byn_connection_attach(e->link, &e->out, r->now);
      rig_up(e, &event);
      break;
    case BYN_CONNECTION_DATA:
      assert_int_equal(e->ups, 1);
      rig_part(e, &event);
      break;
    case BYN_CONNECTION_ACKNOWLEDGED:
      assert_true(event.received >= e->acknowledged);
      e->acknowledged = event.received;
      break;
    case BYN_CONNECTION_ASKED:
      e->asked++;
      e->question = event.question;
      byn_connection_answer(e->link, event.question.number);
      break;
    case BYN_CONNECTION_ANSWERED:
      e->answered = event.number;
      break;
    case BYN_CONNECTION_ENDED:
      e->downs++;
      e->holder = *event.holder;
      e->reason = event.reason;
      e->final = event.final;
      e->refused = event.refused;
      break;
    }
  }
}

static inline void rig_feed(rig *r, rig_end *e, const void *bytes, size_t n) {
  uint8_t *copy = malloc(n ? n : 1);
  if (!copy) return;
  memcpy(copy, bytes, n);
  byn_connection_feed(e->link, copy, n, r->now);
  rig_events(r, e);
  free(copy);
}

/* Everything that waits in `from`, as far as the transport is concerned. */
static inline bool rig_output(rig_end *from, byn_buf *to) {
  const uint8_t *bytes;
  size_t n = byn_connection_output(from->link, &bytes);
  byn_put_bytes(to, bytes, n);
  byn_connection_wrote(from->link, n);
  return n > 0;
}

static inline void rig_deliver(rig *r, rig_end *e) {
  for (size_t at = 0, n; at < e->inbox.len; at += n) {
    n = 1 + (size_t)byn_rng_below(&r->rng, r->chunk);
    if (n > e->inbox.len - at) n = e->inbox.len - at;
    rig_feed(r, e, e->inbox.data + at, n);
  }
  byn_buf_truncate(&e->inbox, 0);
}

/* Until nobody has anything to say. */
static inline void rig_pump(rig *r) {
  bool moved = true;
  while (moved) {
    moved = rig_output(&r->a, &r->b.inbox);
    moved = rig_output(&r->b, &r->a.inbox) || moved;
    rig_deliver(r, &r->a);
    rig_deliver(r, &r->b);
    rig_events(r, &r->a);
    rig_events(r, &r->b);
  }
}

/* Puts the next message of this end; false if memory is short. */
static inline bool rig_send(rig_end *from, size_t n) {
  byn_buf *out = byn_outbox_begin(&from->out, BYN_FRAME_MESSAGE);
  uint8_t *at = byn_put_space(out, n);
  for (size_t i = 0; at && i < n; i++)
    at[i] = rig_byte(from->sent, i);
  if (!byn_outbox_commit(&from->out, (size_t)8 << 20)) return false;
  from->sent++;
  return true;
}

static inline void rig_assert_up(const rig *r) {
  assert_int_equal(r->a.ups, 1);
  assert_int_equal(r->b.ups, 1);
  assert_int_equal(r->a.downs + r->b.downs, 0);
}

static inline void rig_assert_down(const rig_end *e, const char *reason) {
  assert_int_equal(e->downs, 1);
  assert_string_equal(e->reason, reason);
}

#endif
