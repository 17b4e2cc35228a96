/* Two links and the connections between them, for tests of the link.
 *
 * A wire is one connection: an end on each side, and bytes on their way to
 * each. rig_pump carries them in chunks of random size, copied to memory of
 * their own; makes the connections that links ask for; and lets in those that
 * arrive, as a cluster does. Wires can be cut, and refuse to open.
 *
 * Messages are numbered; each end checks that the next one comes, whole.
 */
#ifndef BYN_SPEC_LINK_RIG_H
#define BYN_SPEC_LINK_RIG_H

#include <stdlib.h>

#include "support.h"

#include "../../csrc/core/link.h"
#include "../../csrc/core/rng.h"

#define RIG_WIRES 64

typedef struct rig_side {
  byn_link *link;
  bool dials, frees; /* is it its own; is it to be let go of */
  size_t ups, downs, broken, resumed, messages, sent;
  size_t largest;
  char reason[BYN_REASON_MAX + 1]; /* of the last BROKEN or DOWN */
  const char *refused;             /* why an offer was, last */
  int64_t down_at;
  bool mum;           /* it answers no question */
  byn_question asked; /* the last one that came */
  size_t answers;
  uint64_t answered;
  byn_holder holder; /* of DOWN */
} rig_side;

typedef struct rig_wire {
  byn_connection *ends[2]; /* NULL once the transport is closed for it */
  byn_buf inbox[2];        /* bytes on their way to each end */
  bool cut[2];             /* that end hears of the end when all is read */
  bool refused;            /* nobody listens: the dial fails */
  bool dark;               /* nothing gets through for now */
  int dialer;
} rig_wire;

typedef struct rig {
  byn_test_alloc test;
  byn_alloc plain;
  byn_link_config config[2];
  rig_side sides[2];
  rig_wire wires[RIG_WIRES];
  size_t wire_count;
  byn_rng rng;
  int64_t now;
  size_t chunk;     /* the largest */
  bool deaf[2];     /* that side takes no new connections: "econnrefused" */
  bool unreachable; /* dials go nowhere and say nothing */
  bool any_length;  /* messages are not checked byte by byte */
} rig;

static const uint8_t rig_secret[] = "the secret of the cluster";

static void *rig_malloc(void *ud, void *block, size_t old_size,
                        size_t new_size) {
  (void)ud, (void)old_size;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, new_size);
}

static inline byn_link_config
rig_config(const byn_alloc *alloc, const char *name, uint64_t incarnation) {
  byn_link_config c = {.connection = {.alloc = *alloc,
                                      .name = name,
                                      .incarnation = incarnation,
                                      .traits = BYN_TRAIT_LISTENS,
                                      .secret = rig_secret,
                                      .secret_len = sizeof rig_secret - 1,
                                      .heartbeat_ms = 1000,
                                      .handshake_ms = 3000},
                       .down_after_ms = 5000,
                       .reconnect_ms = 2000,
                       .max_message = (size_t)8 << 20,
                       .max_queue = (size_t)32 << 20};
  return c;
}

static inline void rig_init(rig *r, uint64_t seed) {
  byn_alloc alloc;
  *r = (rig){.chunk = 100000, .now = 1000};
  alloc = byn_test_allocator(&r->test);
  r->plain = (byn_alloc){rig_malloc, NULL};
  r->config[0] = rig_config(&alloc, "a@host:1", 11);
  r->config[1] = rig_config(&alloc, "b@host:2", 22);
  byn_rng_seed(&r->rng, seed);
}

static inline void rig_close(rig *r) {
  for (size_t i = 0; i < r->wire_count; i++)
    for (int s = 0; s < 2; s++) {
      byn_connection_free(r->wires[i].ends[s]);
      byn_buf_free(&r->wires[i].inbox[s]);
    }
  byn_link_free(r->sides[0].link);
  byn_link_free(r->sides[1].link);
}

static inline void rig_nonce(rig *r, uint8_t nonce[BYN_NONCE_SIZE]) {
  for (size_t i = 0; i < BYN_NONCE_SIZE; i++)
    nonce[i] = (uint8_t)byn_rng_next(&r->rng);
}

static inline uint8_t rig_byte(size_t m, size_t i) {
  return (uint8_t)(m * 31 + i * 7 + (i >> 16) * 13);
}

/* --- wires ---------------------------------------------------------------- */

static inline void rig_connect(rig *r, int side) {
  rig_wire *w = &r->wires[r->wire_count];
  uint8_t nonce[BYN_NONCE_SIZE];
  assert_true(r->wire_count < RIG_WIRES);
  rig_nonce(r, nonce);
  *w = (rig_wire){.dialer = side, .refused = r->deaf[!side]};
  w->ends[side] = byn_link_connect(r->sides[side].link, nonce, r->now);
  if (!w->ends[side]) return;
  byn_buf_init(&w->inbox[0], &r->plain);
  byn_buf_init(&w->inbox[1], &r->plain);
  r->wire_count++;
  if (w->refused || r->unreachable) return;
  rig_nonce(r, nonce);
  w->ends[!side] =
      byn_connection_accept(&r->config[!side].connection, nonce, r->now);
  byn_connection_opened(w->ends[side], r->now);
}

static inline void rig_message(rig *r, rig_side *s, const byn_link_event *e) {
  size_t m = s->messages++;
  if (e->length > s->largest) s->largest = e->length;
  for (size_t i = 0; !r->any_length && i < e->length; i++)
    if (e->message[i] != rig_byte(m, i))
      fail_msg("byte %zu of message %zu is wrong", i, m);
}

static inline void rig_note(rig_side *s, const char *reason) {
  assert_true(reason[0] && strlen(reason) <= BYN_REASON_MAX);
  strcpy(s->reason, reason);
}

/* Takes all events of a link, and sees that they come as they may. */
static inline void rig_events(rig *r, int side) {
  rig_side *s = &r->sides[side];
  byn_link_event e;
  while (s->link && byn_link_next(s->link, &e)) {
    assert_int_equal(s->downs, 0);
    switch (e.kind) {
    case BYN_LINK_DIAL:
      rig_connect(r, side);
      break;
    case BYN_LINK_UP:
      assert_int_equal(s->ups++, 0);
      assert_string_equal(e.name, r->config[!side].connection.name);
      assert_int_equal(e.incarnation, r->config[!side].connection.incarnation);
      assert_true(byn_link_is_up(s->link));
      break;
    case BYN_LINK_MESSAGE:
      assert_int_equal(s->ups, 1);
      rig_message(r, s, &e);
      break;
    case BYN_LINK_BROKEN:
      s->broken++;
      rig_note(s, e.reason);
      break;
    case BYN_LINK_RESUMED:
      s->resumed++;
      break;
    case BYN_LINK_ASKED:
      s->asked = e.question;
      if (!s->mum) byn_link_answer(s->link, e.question.number);
      break;
    case BYN_LINK_ANSWERED:
      s->answered = e.number;
      s->answers++;
      break;
    case BYN_LINK_DOWN:
      s->downs++;
      s->holder = *e.holder;
      s->down_at = r->now;
      rig_note(s, e.reason);
      break;
    }
  }
}

/* Lets a connection in, or not. */
static inline void rig_admit(rig *r, int side, byn_connection *c,
                             const byn_connection_event *e) {
  rig_side *s = &r->sides[side];
  if (e->resume.session) {
    s->refused = "session_unknown";
    if (s->link && byn_link_has(s->link, e))
      s->refused = byn_link_resume(s->link, c, e, r->now);
    else
      byn_connection_refuse(c, s->refused);
  } else if (s->link && !s->downs) {
    s->refused =
        byn_link_is_lost(s->link, e) ? "session_lost" : "already_connected";
    byn_connection_refuse(c, s->refused);
  } else if (!s->link) {
    s->link = byn_link_admit(&r->config[side], c, e, r->now);
  }
}

/* What follows from what a connection was told. */
static inline void rig_poll(rig *r, rig_wire *w, int side) {
  byn_connection *c = w->ends[side];
  rig_side *s = &r->sides[side];
  byn_connection_event e;
  while (c && !(s->link && byn_link_uses(s->link, c)) &&
         byn_connection_next(c, &e))
    if (e.kind == BYN_CONNECTION_ADMIT) rig_admit(r, side, c, &e);
  rig_events(r, side);
}

static inline void rig_feed(rig *r, rig_wire *w, int side, const void *bytes,
                            size_t n) {
  uint8_t *copy = malloc(n ? n : 1);
  if (!copy) return;
  memcpy(copy, bytes, n);
  byn_connection_feed(w->ends[side], copy, n, r->now);
  rig_poll(r, w, side);
  free(copy);
}

static inline bool rig_output(rig *r, rig_wire *w, int side) {
  const uint8_t *bytes;
  size_t n;
  if (!w->ends[side]) return false;
  n = byn_connection_output(w->ends[side], &bytes);
  if (n == 0) return false;
  if (w->ends[!side] && !w->cut[!side])
    byn_put_bytes(&w->inbox[!side], bytes, n);
  assert_false(w->inbox[!side].failed);
  byn_connection_wrote(w->ends[side], n);
  (void)r;
  return true;
}

/* The transport is closed for one side: the other reads what is on its way,
 * and then hears of it. */
static inline void rig_hang_up(rig *r, rig_wire *w, int side,
                               const char *reason) {
  byn_connection *c = w->ends[side];
  rig_side *s = &r->sides[side];
  if (!c) return;
  if (reason) {
    byn_connection_closed(c, reason);
    rig_poll(r, w, side);
  }
  if (byn_connection_is_ended(c) && !(s->link && byn_link_uses(s->link, c))) {
    byn_connection_free(c);
    w->ends[side] = NULL;
    byn_buf_truncate(&w->inbox[side], 0);
    w->cut[!side] = true;
  }
}

/* Carries at most so many bytes to an end. */
static inline bool rig_deliver(rig *r, rig_wire *w, int side, size_t most) {
  byn_buf *inbox = &w->inbox[side];
  size_t n = 1 + (size_t)byn_rng_below(&r->rng, r->chunk);
  if (!w->ends[side]) return false;
  if (n > inbox->len) n = inbox->len;
  if (n > most) n = most;
  if (n == 0) {
    if (!w->cut[side] || inbox->len) return false;
    rig_hang_up(r, w, side, "closed");
    return true;
  }
  rig_feed(r, w, side, inbox->data, n);
  if (inbox->len) byn_buf_drop(inbox, n);
  return true;
}

/* One turn of a wire: true if anything moved. */
static inline bool rig_turn(rig *r, rig_wire *w) {
  bool moved = false;
  if (w->dark) return false;
  if (w->refused && w->ends[w->dialer]) {
    rig_hang_up(r, w, w->dialer, "econnrefused");
    moved = true;
  }
  for (int side = 0; side < 2; side++) {
    moved = rig_output(r, w, side) || moved;
    moved = rig_deliver(r, w, side, SIZE_MAX) || moved;
    if (w->ends[side] && byn_connection_is_ended(w->ends[side]) &&
        !byn_connection_queued(w->ends[side])) {
      rig_hang_up(r, w, side, NULL);
      moved = true;
    }
  }
  return moved;
}

/* Until nobody has anything to say. */
static inline void rig_pump(rig *r) {
  bool moved = true;
  while (moved) {
    moved = false;
    rig_events(r, 0);
    rig_events(r, 1);
    for (size_t i = 0; i < r->wire_count; i++)
      moved = rig_turn(r, &r->wires[i]) || moved;
  }
}

/* What is on its way in a wire is lost from a random point on, and both ends
 * hear of it. */
static inline void rig_cut(rig *r, rig_wire *w) {
  for (int side = 0; side < 2; side++) {
    size_t kept = (size_t)byn_rng_below(&r->rng, w->inbox[side].len + 1);
    if (!w->ends[side]) continue;
    byn_buf_truncate(&w->inbox[side], kept);
    w->cut[side] = true;
  }
}

static inline void rig_cut_all(rig *r) {
  for (size_t i = 0; i < r->wire_count; i++)
    rig_cut(r, &r->wires[i]);
}

/* Wires that are over make room for others. */
static inline void rig_compact(rig *r) {
  size_t kept = 0;
  for (size_t i = 0; i < r->wire_count; i++) {
    rig_wire *w = &r->wires[i];
    if (w->ends[0] || w->ends[1]) {
      r->wires[kept++] = *w;
    } else {
      byn_buf_free(&w->inbox[0]);
      byn_buf_free(&w->inbox[1]);
    }
  }
  r->wire_count = kept;
}

static inline void rig_dial(rig *r) {
  r->sides[0].link =
      byn_link_dial(&r->config[0], r->config[1].connection.name, 1, 0, r->now);
}

static inline void rig_open(rig *r) {
  rig_dial(r);
  rig_pump(r);
  assert_int_equal(r->sides[0].ups, 1);
  assert_int_equal(r->sides[1].ups, 1);
}

/* Sends the next message of this side; false if it was refused. */
static inline bool rig_send(rig *r, int side, size_t n) {
  rig_side *s = &r->sides[side];
  byn_buf *out = byn_link_begin(s->link);
  uint8_t *at = out ? byn_put_space(out, n) : NULL;
  for (size_t i = 0; at && i < n; i++)
    at[i] = rig_byte(s->sent, i);
  if (!out || !byn_link_commit(s->link, false)) return false;
  s->sent++;
  return true;
}

static inline int64_t rig_deadline(const rig *r) {
  int64_t next = BYN_NEVER;
  for (int side = 0; side < 2; side++) {
    const byn_link *l = r->sides[side].link;
    int64_t at = l ? byn_link_deadline(l) : BYN_NEVER;
    if (at < next) next = at;
  }
  return next;
}

static inline void rig_tick(rig *r) {
  for (int side = 0; side < 2; side++)
    if (r->sides[side].link) byn_link_tick(r->sides[side].link, r->now);
  rig_events(r, 0);
  rig_events(r, 1);
}

/* Time goes from deadline to deadline until `end`. */
static inline void rig_run(rig *r, int64_t end) {
  rig_pump(r);
  rig_compact(r);
  for (size_t turns = 0; turns < 100000; turns++) {
    int64_t next = rig_deadline(r);
    if (next > end) break;
    if (next > r->now) r->now = next;
    rig_tick(r);
    rig_pump(r);
    rig_compact(r);
  }
  r->now = end;
}

static inline void rig_assert_up(const rig *r) {
  for (int side = 0; side < 2; side++) {
    assert_int_equal(r->sides[side].ups, 1);
    assert_int_equal(r->sides[side].downs, 0);
  }
}

static inline void rig_assert_down(const rig *r, int side, const char *reason) {
  assert_int_equal(r->sides[side].downs, 1);
  assert_string_equal(r->sides[side].reason, reason);
}

#endif
