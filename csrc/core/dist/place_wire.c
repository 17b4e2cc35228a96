/* Places written as bytes, and read as from a stranger. */
#include "place_wire.h"

#include "../assert.h"
#include "../wire/handshake.h"

enum { KEY = 1, HASH, FLOOR, GENERATION };

enum {
  TOKEN = 1,
  STAMP,
  ENDED,
  RAN,
  SPEC_SET,
  FLAGS,
  PINNED,
  SPEC,
  BACKOFF,
  FAILURES_VERSION,
  FAILURES_COUNT,
  FAILURES_WHY,
  FAILURES_REASON,
  END_STAMP,
  END_WHY,
  END_REASON,
  END_PID,
  END_NODE,
  REGISTER,
  WITHHELD,
  KEPT,
  PREFERENCE,
  IDLE
};

enum { MOVED_STAMP = 1, MOVED_NODE, MOVED_EPOCH, MOVED_VERSION, MOVED_STAYS };

enum {
  NODE = 1,
  INCARNATION,
  VERSION,
  STATE,
  WHY,
  RUN,
  BEGUN,
  PID,
  REASON,
  HISTORY, /* where it is not BEGUN */
  AWOKE,
  MOVING
};

/* --- writing -------------------------------------------------------------- */

static void put_blob(byn_buf *b, uint8_t tag, const byn_blob *blob) {
  byn_put_bytes_field(b, tag, blob->at, blob->n);
}

static void put_register(byn_buf *b, const byn_register *r) {
  size_t mark = byn_field_open(b, REGISTER);
  byn_put_bytes_field(b, NODE, r->host->name, strlen(r->host->name));
  byn_put_number_field(b, INCARNATION, r->host->incarnation);
  byn_put_number_field(b, VERSION, r->version);
  byn_put_number_field(b, STATE, r->state);
  byn_put_number_field(b, WHY, r->why);
  byn_put_number_field(b, RUN, r->run);
  byn_put_number_field(b, BEGUN, r->begun);
  put_blob(b, PID, &r->pid);
  put_blob(b, REASON, &r->reason);
  if (r->history != r->begun) byn_put_number_field(b, HISTORY, r->history);
  byn_put_number_field(b, AWOKE, r->awoke);
  byn_put_number_field(b, MOVING, r->moving);
  byn_field_close(b, mark);
}

static void put_spec(byn_buf *b, const byn_generation *g) {
  byn_put_number_field(b, SPEC_SET, 1);
  byn_put_number_field(b, FLAGS, g->flags);
  put_blob(b, PINNED, &g->node);
  put_blob(b, SPEC, &g->spec);
  if (!g->own_backoff) return;
  size_t mark = byn_field_open(b, BACKOFF);
  byn_put_varint(b, (uint64_t)g->backoff_min);
  byn_put_varint(b, (uint64_t)g->backoff_max);
  byn_put_double(b, g->backoff_factor);
  byn_put_double(b, g->backoff_jitter);
  byn_field_close(b, mark);
}

static void put_preference(byn_buf *b, const byn_preference *p) {
  if (!p->stamp) return;
  size_t mark = byn_field_open(b, PREFERENCE);
  byn_put_number_field(b, MOVED_STAMP, p->stamp);
  put_blob(b, MOVED_NODE, &p->node);
  byn_put_number_field(b, MOVED_EPOCH, p->epoch);
  byn_put_number_field(b, MOVED_VERSION, p->version);
  byn_put_number_field(b, MOVED_STAYS, p->stays);
  byn_field_close(b, mark);
}

static void put_generation(byn_buf *b, const byn_generation *g,
                           byn_entry_extent extent) {
  size_t mark = byn_field_open(b, GENERATION);
  byn_put_number_field(b, TOKEN, g->token);
  byn_put_number_field(b, STAMP, g->stamp);
  if (g->ended) {
    byn_put_number_field(b, ENDED, 1);
    byn_put_number_field(b, END_STAMP, g->end.stamp);
    byn_put_number_field(b, END_WHY, g->end.why);
    put_blob(b, END_REASON, &g->end.reason);
    put_blob(b, END_PID, &g->end.pid);
    put_blob(b, END_NODE, &g->end.node);
  } else {
    byn_put_number_field(b, RAN, g->ran);
    byn_put_number_field(b, KEPT, g->kept);
    byn_put_number_field(b, IDLE, g->idle);
    if (g->spec_set && extent == BYN_ENTRY_WHOLE) put_spec(b, g);
    if (g->spec_set && extent == BYN_ENTRY_WITHHELD)
      byn_put_number_field(b, WITHHELD, 1);
    byn_put_number_field(b, FAILURES_VERSION, g->failures.version);
    byn_put_number_field(b, FAILURES_COUNT, g->failures.count);
    byn_put_number_field(b, FAILURES_WHY, g->failures.why);
    put_blob(b, FAILURES_REASON, &g->failures.reason);
    put_preference(b, &g->preference);
    for (const byn_register *r = g->registers; r; r = r->next)
      if (r->version) put_register(b, r);
  }
  byn_field_close(b, mark);
}

void byn_place_put(byn_buf *b, const byn_place *p, byn_entry_extent extent) {
  byn_put_bytes_field(b, KEY, p->key, p->key_size);
  size_t mark = byn_field_open(b, HASH);
  byn_put_u64(b, p->hash);
  byn_field_close(b, mark);
  byn_put_number_field(b, FLOOR, p->floor);
  for (const byn_generation *g = p->generations; g; g = g->next)
    put_generation(b, g, extent);
}

/* --- reading -------------------------------------------------------------- */

static bool number(const byn_field *f, uint64_t most, uint64_t *v) {
  return byn_field_number(f, most, v);
}

static bool truth(const byn_field *f, bool *v) {
  uint64_t n;
  if (!byn_field_number(f, 1, &n)) return false;
  *v = n != 0;
  return true;
}

static bool small(const byn_field *f, uint64_t most, uint8_t *v) {
  uint64_t n;
  if (!byn_field_number(f, most, &n)) return false;
  *v = (uint8_t)n;
  return true;
}

static bool bytes_of(const byn_field *f, byn_dist_bytes *v) {
  *v = (byn_dist_bytes){f->at, f->n};
  return f->n <= UINT32_MAX / 2;
}

static bool node_name(const byn_field *f, byn_dist_bytes *v) {
  *v = (byn_dist_bytes){f->at, f->n};
  return byn_name_is_valid((const char *)f->at, f->n);
}

static bool read_register_field(const byn_field *f, byn_register_view *v) {
  switch (f->tag) {
  case NODE:
    return node_name(f, &v->node);
  case INCARNATION:
    return number(f, UINT64_MAX, &v->incarnation);
  case VERSION:
    return number(f, BYN_STAMP_MAX, &v->version);
  case STATE:
    return small(f, BYN_REGISTER_REFUSED, &v->state);
  case WHY:
    return small(f, BYN_DIST_WHY_LAST, &v->why);
  case RUN:
    return number(f, UINT64_MAX, &v->run);
  case BEGUN:
    return number(f, BYN_STAMP_MAX, &v->begun);
  case PID:
    return bytes_of(f, &v->pid);
  case REASON:
    return bytes_of(f, &v->reason);
  case HISTORY:
    return number(f, BYN_STAMP_MAX, &v->history);
  case AWOKE:
    return number(f, BYN_STAMP_MAX, &v->awoke);
  case MOVING:
    return truth(f, &v->moving);
  default:
    return true;
  }
}

static bool read_register(const byn_field *field, byn_generation_view *g) {
  if (g->register_count >= BYN_PLACE_REGISTERS) return false;
  byn_register_view *v = &g->registers[g->register_count++];
  *v = (byn_register_view){0};
  byn_reader r;
  byn_reader_init(&r, field->at, field->n);
  for (byn_field f; byn_get_field(&r, &f);)
    if (!read_register_field(&f, v)) return false;
  if (r.failed || !v->node.at || v->version == 0) return false;
  if (v->moving && v->state != BYN_REGISTER_RUNNING) return false;
  return v->state != BYN_REGISTER_RUNNING || (v->pid.at && v->run);
}

static bool read_backoff(const byn_field *f, byn_generation_view *g) {
  byn_reader r;
  byn_reader_init(&r, f->at, f->n);
  uint64_t min = byn_get_varint(&r), max = byn_get_varint(&r);
  double factor = byn_get_double(&r), jitter = byn_get_double(&r);
  if (r.failed || byn_reader_left(&r) > 0) return false;
  if (min < 1 || min > max || max > BYN_STAMP_MAX) return false;
  /* Written so that what is not a number fails. */
  if (!(factor >= 1 && factor <= 1e6) || !(jitter >= 0 && jitter <= 1))
    return false;
  g->own_backoff = true;
  g->backoff_min = (int64_t)min;
  g->backoff_max = (int64_t)max;
  g->backoff_factor = factor;
  g->backoff_jitter = jitter;
  return true;
}

static bool read_preference_field(const byn_field *f, byn_generation_view *v) {
  switch (f->tag) {
  case MOVED_STAMP:
    return number(f, BYN_STAMP_MAX, &v->moved_stamp);
  case MOVED_NODE:
    return node_name(f, &v->moved_node);
  case MOVED_EPOCH:
    return number(f, BYN_STAMP_MAX - 1, &v->moved_epoch);
  case MOVED_VERSION:
    return number(f, BYN_STAMP_MAX / 2, &v->moved_version);
  case MOVED_STAYS:
    return truth(f, &v->moved_stays);
  default:
    return true;
  }
}

static bool read_preference(const byn_field *field, byn_generation_view *v) {
  byn_reader r;
  byn_reader_init(&r, field->at, field->n);
  for (byn_field f; byn_get_field(&r, &f);)
    if (!read_preference_field(&f, v)) return false;
  return !r.failed && v->moved_stamp && v->moved_node.at;
}

static bool read_generation_field(const byn_field *f, byn_generation_view *v) {
  switch (f->tag) {
  case TOKEN:
    return number(f, UINT64_MAX, &v->token);
  case STAMP:
    return number(f, BYN_STAMP_MAX, &v->stamp);
  case ENDED:
    return truth(f, &v->ended);
  case RAN:
    return truth(f, &v->ran);
  case KEPT:
    return truth(f, &v->kept);
  case IDLE:
    return number(f, 2 * BYN_STAMP_MAX + 1, &v->idle);
  case SPEC_SET:
    return truth(f, &v->spec_set);
  case FLAGS:
    return number(f, UINT64_MAX, &v->flags) && !(v->flags & ~BYN_PLACE_FLAGS);
  case PINNED:
    return node_name(f, &v->node);
  case SPEC:
    return bytes_of(f, &v->spec);
  case BACKOFF:
    return read_backoff(f, v);
  case FAILURES_VERSION:
    return number(f, BYN_STAMP_MAX, &v->failures_version);
  case FAILURES_COUNT:
    return number(f, UINT32_MAX, &v->failures_count);
  case FAILURES_WHY:
    return small(f, BYN_DIST_WHY_LAST, &v->failures_why);
  case FAILURES_REASON:
    return bytes_of(f, &v->failures_reason);
  case END_STAMP:
    return number(f, BYN_STAMP_MAX, &v->end_stamp);
  case END_WHY:
    return small(f, BYN_DIST_WHY_LAST, &v->end_why);
  case END_REASON:
    return bytes_of(f, &v->end_reason);
  case END_PID:
    return bytes_of(f, &v->end_pid);
  case END_NODE:
    return node_name(f, &v->end_node);
  case REGISTER:
    return read_register(f, v);
  case WITHHELD:
    return truth(f, &v->withheld);
  case PREFERENCE:
    return read_preference(f, v);
  default:
    return true;
  }
}

static bool read_generation(const byn_field *field, byn_generation_view *v) {
  memset(v, 0, offsetof(byn_generation_view, registers));
  byn_reader r;
  byn_reader_init(&r, field->at, field->n);
  for (byn_field f; byn_get_field(&r, &f);)
    if (!read_generation_field(&f, v)) return false;
  if (r.failed || v->token == 0 || v->stamp == 0) return false;
  if (v->spec_set && !v->spec.at) return false;
  return v->ended == (v->end_stamp != 0);
}

bool byn_entry_check(const uint8_t *bytes, size_t n, size_t max_spec,
                     byn_entry_view *view, byn_generation_view *scratch) {
  *view = (byn_entry_view){0};
  bool hashed = false;
  byn_reader r;
  byn_reader_init(&r, bytes, n);
  for (byn_field f; byn_get_field(&r, &f);) {
    if (f.tag == KEY) {
      if (f.n > BYN_DIST_KEY_MAX) return false;
      view->id.key = f.at;
      view->id.n = f.n;
    } else if (f.tag == HASH) {
      if (f.n != 8) return false;
      byn_reader hash;
      byn_reader_init(&hash, f.at, f.n);
      view->id.hash = byn_get_u64(&hash);
      hashed = true;
    } else if (f.tag == FLOOR) {
      if (!number(&f, BYN_STAMP_MAX, &view->floor)) return false;
    } else if (f.tag == GENERATION) {
      if (++view->generations > BYN_PLACE_GENERATIONS) return false;
      if (!read_generation(&f, scratch)) return false;
      if (scratch->spec.n > max_spec) return false;
    }
  }
  return !r.failed && view->id.key && hashed;
}

bool byn_entry_next(byn_reader *r, byn_generation_view *view) {
  for (byn_field f; byn_get_field(r, &f);) {
    if (f.tag != GENERATION) continue;
    bool sound = read_generation(&f, view);
    byn_assert(sound);
    return sound;
  }
  return false;
}
