/* Two links joined by two queues of bytes, for tests of the link.
 *
 * rig_pump carries what each end has to say to the other, in chunks of
 * random size that are copied to memory of their own, and collects events.
 * The links take their memory from `test`; the rig's own comes from malloc,
 * so that a failing allocation only ever hits a link.
 */
#ifndef BYN_SPEC_LINK_RIG_H
#define BYN_SPEC_LINK_RIG_H

#include "support.h"

#include "../../csrc/core/link.h"
#include "../../csrc/core/rng.h"

#define RIG_MESSAGES 64

typedef struct rig_end {
  byn_link *link;
  byn_buf inbox; /* bytes on their way to it */
  size_t admits, ups, messages, downs;
  size_t sizes[RIG_MESSAGES];  /* of the messages that came */
  size_t sent;                 /* messages that were committed */
  char name[BYN_NAME_MAX + 1]; /* the peer's, as UP told it */
  uint64_t incarnation;
  uint8_t traits;
  const char *reason; /* of DOWN; valid while the link lives */
} rig_end;

typedef struct rig {
  byn_test_alloc test;
  byn_alloc plain;
  byn_link_config dialer_config, acceptor_config;
  rig_end a, b; /* a dials b */
  byn_rng rng;
  int64_t now;
  size_t chunk;        /* the largest */
  const char *refusal; /* b's answer to ADMIT, or NULL to admit */
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

static inline byn_link_config rig_config(rig *r, const char *name,
                                         uint64_t incarnation) {
  byn_link_config c = {.alloc = byn_test_allocator(&r->test),
                       .name = name,
                       .incarnation = incarnation,
                       .traits = (uint8_t)(incarnation << 3),
                       .secret = rig_secret,
                       .secret_len = sizeof rig_secret - 1,
                       .heartbeat_ms = 1000,
                       .down_after_ms = 5000,
                       .handshake_ms = 3000,
                       .max_message = (size_t)8 << 20,
                       .max_queue = (size_t)32 << 20};
  return c;
}

static inline void rig_init(rig *r, uint64_t seed) {
  *r = (rig){.chunk = 100000, .now = 1000};
  r->plain = (byn_alloc){rig_malloc, NULL};
  r->dialer_config = rig_config(r, "a@host:1", 11);
  r->acceptor_config = rig_config(r, "b@host:2", 22);
  byn_rng_seed(&r->rng, seed);
  byn_buf_init(&r->a.inbox, &r->plain);
  byn_buf_init(&r->b.inbox, &r->plain);
}

static inline void rig_nonce(rig *r, uint8_t nonce[BYN_NONCE_SIZE]) {
  for (size_t i = 0; i < BYN_NONCE_SIZE; i++)
    nonce[i] = (uint8_t)byn_rng_next(&r->rng);
}

/* Opens both ends; false if one found no memory. */
static inline bool rig_open(rig *r, const char *dialed) {
  uint8_t nonce[BYN_NONCE_SIZE];
  rig_nonce(r, nonce);
  r->a.link = byn_link_dial(&r->dialer_config, dialed, nonce, r->now);
  rig_nonce(r, nonce);
  r->b.link = byn_link_accept(&r->acceptor_config, nonce, r->now);
  if (!r->a.link || !r->b.link) return false;
  byn_link_connected(r->a.link, r->now);
  return true;
}

static inline void rig_close(rig *r) {
  byn_link_free(r->a.link);
  byn_link_free(r->b.link);
  byn_buf_free(&r->a.inbox);
  byn_buf_free(&r->b.inbox);
}

static inline uint8_t rig_byte(size_t m, size_t i) {
  return (uint8_t)(m * 31 + i * 7 + (i >> 16) * 13);
}

static inline void rig_message(rig_end *e, const byn_link_event *event) {
  size_t m = e->messages++;
  if (m < RIG_MESSAGES) e->sizes[m] = event->length;
  for (size_t i = 0; i < event->length; i++)
    if (event->message[i] != rig_byte(m, i))
      fail_msg("byte %zu of message %zu is wrong", i, m);
}

/* Takes all events, and sees that they come in an order that may be. */
static inline void rig_events(rig *r, rig_end *e) {
  byn_link_event event;
  while (byn_link_next(e->link, &event)) {
    assert_int_equal(e->downs, 0);
    switch (event.kind) {
    case BYN_LINK_ADMIT:
      assert_int_equal(e->admits++ + e->ups, 0);
      if (r->refusal)
        byn_link_refuse(e->link, r->refusal);
      else
        byn_link_admit(e->link, r->now);
      break;
    case BYN_LINK_UP:
      assert_int_equal(e->ups++, 0);
      assert_true(byn_link_is_up(e->link));
      strcpy(e->name, event.name);
      e->incarnation = event.incarnation;
      e->traits = event.traits;
      break;
    case BYN_LINK_MESSAGE:
      assert_int_equal(e->ups, 1);
      rig_message(e, &event);
      break;
    case BYN_LINK_DOWN:
      e->downs++;
      e->reason = event.reason;
      break;
    }
  }
}

static inline void rig_feed(rig *r, rig_end *e, const void *bytes, size_t n) {
  uint8_t *copy = malloc(n ? n : 1);
  if (!copy) return;
  memcpy(copy, bytes, n);
  byn_link_feed(e->link, copy, n, r->now);
  rig_events(r, e);
  free(copy);
}

/* Everything that waits in `from`, as far as the transport is concerned. */
static inline bool rig_output(rig_end *from, byn_buf *to) {
  const uint8_t *bytes;
  size_t n = byn_link_output(from->link, &bytes);
  byn_put_bytes(to, bytes, n);
  byn_link_wrote(from->link, n);
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

/* Sends the next message of this end; false if it was refused. */
static inline bool rig_send(rig_end *from, size_t n) {
  byn_buf *out = byn_link_begin(from->link);
  uint8_t *at = out ? byn_put_space(out, n) : NULL;
  for (size_t i = 0; at && i < n; i++)
    at[i] = rig_byte(from->sent, i);
  if (!out || !byn_link_commit(from->link)) return false;
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
