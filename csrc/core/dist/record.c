/* Records and packets: what two coordinators say to each other, as bytes. */
#include "record.h"

#include "../assert.h"
#include "../wire/handshake.h"
#include "compare.h"
#include "quorum.h"

/* Of a checkpoint: whatever a peer sends, this node has a stamp that is not
 * smaller, and counts on. */
#define EPOCH_MOST (BYN_STAMP_MAX - 1)
/* Of the times in PING: what is added to it is still a time. */
#define BOUND_MOST ((uint64_t)1 << 48)

/* --- writing -------------------------------------------------------------- */

/* The length is put before the body when the record is sent. */
byn_buf *byn_record_begin(byn_dist *d, byn_record_kind kind) {
  byn_buf_truncate(&d->scratch, 0);
  byn_put_u8(&d->scratch, (uint8_t)kind);
  return &d->scratch;
}

static byn_packet *add_packet(byn_dist *d, byn_peer *peer) {
  byn_packet *packet = byn_new(&d->alloc, sizeof *packet);
  if (!packet) return NULL;
  packet->next = NULL;
  byn_buf *b = &packet->bytes;
  byn_buf_init(b, &d->alloc);
  byn_put_u8(b, BYN_PACKET_VERSION);
  byn_put_string(b, d->self->name, strlen(d->self->name));
  byn_put_u64(b, d->self->incarnation);
  if (b->failed) {
    byn_packet_free(d, packet);
    return NULL;
  }
  if (peer->last_packet)
    peer->last_packet->next = packet;
  else
    peer->packets = packet;
  peer->last_packet = packet;
  return packet;
}

static size_t packet_limit(const byn_dist *d, const byn_peer *peer) {
  uint64_t limit = peer->limit ? peer->limit : BYN_PACKET_LIMIT;
  return limit < d->max_packet ? (size_t)limit : d->max_packet;
}

/* The head of a packet, and the length of a record. */
static size_t head_size(const byn_dist *d) {
  return 1 + 2 + strlen(d->self->name) + 8 + 10;
}

bool byn_record_fits(const byn_dist *d, const byn_peer *peer) {
  return d->scratch.len + head_size(d) <= packet_limit(d, peer);
}

size_t byn_record_most(const byn_dist *d, const byn_peer *peer) {
  size_t limit = packet_limit(d, peer), head = head_size(d) + 1;
  return limit > head ? limit - head : 0;
}

bool byn_record_would_fit(const byn_dist *d, const byn_peer *peer, size_t n) {
  return n + BYN_RECORD_ROOM <= packet_limit(d, peer);
}

void byn_record_send(byn_dist *d, byn_peer *peer) {
  const byn_buf *record = &d->scratch;
  if (!peer->connected || !d->attached || !byn_record_fits(d, peer)) return;
  if (byn_quorum_misses(d, peer)) return;
  byn_packet *packet = peer->last_packet;
  size_t most = packet_limit(d, peer);
  if (most > BYN_PACKET_MOST) most = BYN_PACKET_MOST;
  if (!packet || packet->bytes.len + record->len + 10 > most)
    packet = add_packet(d, peer);
  if (!packet || record->failed) {
    peer->regreet = true;
    return;
  }
  byn_buf *b = &packet->bytes;
  size_t before = b->len;
  byn_assert(record->len > 0);
  byn_put_u8(b, record->data[0]);
  byn_put_string(b, record->data + 1, record->len - 1);
  if (!b->failed) return;
  byn_buf_truncate(b, before);
  peer->regreet = true;
}

void byn_record_put_id(byn_buf *b, const byn_place *p) {
  byn_put_bytes_field(b, BYN_FIELD_KEY, p->key, p->key_size);
  size_t mark = byn_field_open(b, BYN_FIELD_HASH);
  byn_put_u64(b, p->hash);
  byn_field_close(b, mark);
}

void byn_record_put_node(byn_buf *b, uint8_t tag, const byn_host *host,
                         uint64_t flags) {
  size_t mark = byn_field_open(b, tag);
  byn_put_bytes_field(b, BYN_FIELD_NODE, host->name, strlen(host->name));
  byn_put_number_field(b, BYN_FIELD_INCARNATION, host->incarnation);
  byn_put_number_field(b, BYN_FIELD_FLAGS, flags);
  byn_field_close(b, mark);
}

void byn_record_put_digests(byn_buf *b, const byn_registry *r) {
  size_t mark = byn_field_open(b, BYN_FIELD_DIGESTS);
  for (uint32_t i = 0; i < BYN_BUCKETS; i++)
    byn_put_u64(b, r->tree.top_sums[i]);
  byn_field_close(b, mark);
}

void byn_record_put_backoff(byn_buf *b, const byn_backoff *backoff) {
  size_t mark = byn_field_open(b, BYN_FIELD_BACKOFF);
  byn_put_varint(b, (uint64_t)backoff->min);
  byn_put_varint(b, (uint64_t)backoff->max);
  byn_put_double(b, backoff->factor);
  byn_put_double(b, backoff->jitter);
  byn_field_close(b, mark);
}

byn_packet *byn_packet_take(byn_peer *peer) {
  byn_packet *packet = peer->packets;
  if (!packet) return NULL;
  peer->packets = packet->next;
  if (!peer->packets) peer->last_packet = NULL;
  return packet;
}

void byn_packet_free(byn_dist *d, byn_packet *packet) {
  if (!packet) return;
  byn_buf_free(&packet->bytes);
  byn_free(&d->alloc, packet, sizeof *packet);
}

void byn_packet_drop_all(byn_dist *d, byn_peer *peer) {
  for (byn_packet *packet; (packet = byn_packet_take(peer));)
    byn_packet_free(d, packet);
}

/* --- reading -------------------------------------------------------------- */

static bool is_name(const uint8_t *at, size_t n) {
  return at && byn_name_is_valid((const char *)at, n);
}

bool byn_packet_open(byn_packet_head *head, const uint8_t *bytes, size_t n) {
  byn_reader *r = &head->records;
  byn_reader_init(r, bytes, n);
  if (byn_get_u8(r) != BYN_PACKET_VERSION) return false;
  head->node.at = byn_get_string(r, &head->node.n);
  head->incarnation = byn_get_u64(r);
  return !r->failed && is_name(head->node.at, head->node.n);
}

const char *byn_record_next_name(byn_reader *names, size_t *n) {
  if (byn_reader_left(names) == 0) return NULL;
  return (const char *)byn_get_string(names, n);
}

static bool are_names(const byn_field *f) {
  byn_reader r;
  byn_reader_init(&r, f->at, f->n);
  size_t n;
  /* As they were given to that node: they are shown, and never used. */
  for (const char *name; (name = byn_record_next_name(&r, &n));)
    if (n == 0 || n > BYN_NAME_MAX || memchr(name, 0, n)) return false;
  return !r.failed;
}

static bool read_node(const byn_field *field, byn_packet_head *node,
                      uint64_t *flags) {
  byn_reader r;
  byn_reader_init(&r, field->at, field->n);
  *flags = 0;
  *node = (byn_packet_head){0};
  for (byn_field f; byn_get_field(&r, &f);) {
    if (f.tag == BYN_FIELD_NODE)
      node->node = (byn_dist_bytes){f.at, f.n};
    else if (f.tag == BYN_FIELD_INCARNATION &&
             !byn_field_number(&f, UINT64_MAX, &node->incarnation))
      return false;
    else if (f.tag == BYN_FIELD_FLAGS && !byn_field_number(&f, 255, flags))
      return false;
  }
  return !r.failed && is_name(node->node.at, node->node.n);
}

bool byn_record_next_node(byn_reader *fields, uint8_t tag,
                          byn_packet_head *node, uint64_t *flags) {
  for (byn_field f; byn_get_field(fields, &f);)
    if (f.tag == tag) return read_node(&f, node, flags);
  return false;
}

uint64_t byn_record_digest(byn_dist_bytes digests, uint32_t child) {
  byn_assert(digests.n == BYN_BUCKETS * 8 && child < BYN_BUCKETS);
  byn_reader r;
  byn_reader_init(&r, digests.at + (size_t)child * 8, 8);
  return byn_get_u64(&r);
}

static bool truth(const byn_field *f, bool *v) {
  uint64_t n;
  if (!byn_field_number(f, 1, &n)) return false;
  *v = n != 0;
  return true;
}

static bool eight(const byn_field *f, uint64_t *v) {
  byn_reader r;
  byn_reader_init(&r, f->at, f->n);
  *v = byn_get_u64(&r);
  return f->n == 8;
}

static bool bytes_of(const byn_field *f, size_t most, byn_dist_bytes *v) {
  *v = (byn_dist_bytes){f->at, f->n};
  return f->n <= most;
}

static bool read_backoff(const byn_field *f, byn_record *record) {
  byn_reader r;
  byn_reader_init(&r, f->at, f->n);
  uint64_t min = byn_get_varint(&r), max = byn_get_varint(&r);
  double factor = byn_get_double(&r), jitter = byn_get_double(&r);
  if (r.failed || byn_reader_left(&r) > 0) return false;
  record->own_backoff = true;
  record->backoff_min = (int64_t)min;
  record->backoff_max = (int64_t)max;
  record->backoff_factor = factor;
  record->backoff_jitter = jitter;
  /* Written so that what is not a number fails. */
  return min >= 1 && min <= max && max <= BYN_STAMP_MAX && factor >= 1 &&
         factor <= 1e6 && jitter >= 0 && jitter <= 1;
}

/* The fields of what nodes say of themselves and of each other. */
static bool read_node_field(const byn_field *f, byn_record *v) {
  switch (f->tag) {
  case BYN_FIELD_SESSION:
    return byn_field_number(f, UINT64_MAX, &v->session);
  case BYN_FIELD_ANSWERS:
    return byn_field_number(f, UINT64_MAX, &v->answers);
  case BYN_FIELD_HOSTS:
    return truth(f, &v->hosts);
  case BYN_FIELD_LEAVING:
    return truth(f, &v->leaving);
  case BYN_FIELD_NODES:
    return are_names(f) && bytes_of(f, BYN_PACKET_MOST, &v->nodes);
  case BYN_FIELD_DIGESTS:
    return bytes_of(f, BYN_BUCKETS * 8, &v->digests) && f->n == BYN_BUCKETS * 8;
  case BYN_FIELD_KNOWN:
  case BYN_FIELD_ANSWERED:
  case BYN_FIELD_SUSPECT: {
    byn_packet_head node;
    uint64_t flags;
    return read_node(f, &node, &flags);
  }
  case BYN_FIELD_ROUND:
    return byn_field_number(f, UINT64_MAX, &v->round);
  case BYN_FIELD_REASON:
    return bytes_of(f, UINT32_MAX / 2, &v->reason);
  case BYN_FIELD_NODE:
    return bytes_of(f, BYN_NAME_MAX, &v->node) && is_name(f->at, f->n);
  case BYN_FIELD_INCARNATION:
    return byn_field_number(f, UINT64_MAX, &v->incarnation);
  case BYN_FIELD_MASK:
    return eight(f, &v->mask);
  case BYN_FIELD_MASKS:
    return bytes_of(f, BYN_PACKET_MOST, &v->masks);
  case BYN_FIELD_NODE_SPAN:
  case BYN_FIELD_LEAF_SPAN: {
    byn_span_view span;
    return byn_compare_read(f, &span);
  }
  case BYN_FIELD_SEQ:
    return byn_field_number(f, UINT64_MAX, &v->seq);
  case BYN_FIELD_LIMIT:
    return byn_field_number(f, UINT64_MAX, &v->limit);
  case BYN_FIELD_RECORD:
    return bytes_of(f, UINT32_MAX / 2, &v->record);
  case BYN_FIELD_BEHIND:
    return truth(f, &v->behind);
  case BYN_FIELD_BOUND:
    return byn_field_number(f, BOUND_MOST, &v->bound);
  case BYN_FIELD_VOTES:
    return byn_field_number(f, 255, &v->votes);
  case BYN_FIELD_QUORUM:
    return bytes_of(f, BYN_PACKET_MOST, &v->quorum);
  default:
    return true;
  }
}

/* One child of COLLECT. Its fields are fewer than those of a record, so that a
 * record holds none of itself. */
static bool read_sought(const byn_field *field, byn_record *v) {
  *v = (byn_record){0};
  byn_reader r;
  byn_reader_init(&r, field->at, field->n);
  for (byn_field f; byn_get_field(&r, &f);) {
    bool sound = true;
    if (f.tag == BYN_FIELD_KEY) {
      v->id.key = f.at;
      v->id.n = f.n;
      sound = f.n <= BYN_DIST_KEY_MAX;
    } else if (f.tag == BYN_FIELD_HASH)
      sound = v->hashed = eight(&f, &v->id.hash);
    else if (f.tag == BYN_FIELD_TOKEN)
      sound = byn_field_number(&f, UINT64_MAX, &v->token);
    else if (f.tag == BYN_FIELD_EPOCH)
      sound = byn_field_number(&f, EPOCH_MOST, &v->epoch);
    else if (f.tag == BYN_FIELD_VERSION)
      sound = byn_field_number(&f, BYN_RECORD_VERSION_MOST, &v->version);
    else if (f.tag == BYN_FIELD_SEQ)
      sound = byn_field_number(&f, UINT64_MAX, &v->seq);
    if (!sound) return false;
  }
  return !r.failed && v->id.key && v->hashed && v->token && v->seq;
}

bool byn_record_next_sought(byn_reader *fields, byn_record *sought) {
  for (byn_field f; byn_get_field(fields, &f);)
    if (f.tag == BYN_FIELD_SOUGHT) return read_sought(&f, sought);
  return false;
}

/* The fields of what is said of a child. */
static bool read_child_field(const byn_field *f, byn_record *v) {
  switch (f->tag) {
  case BYN_FIELD_KEY:
    v->id.key = f->at;
    v->id.n = f->n;
    return f->n <= BYN_DIST_KEY_MAX;
  case BYN_FIELD_HASH:
    return v->hashed = eight(f, &v->id.hash);
  case BYN_FIELD_TOKEN:
    return byn_field_number(f, UINT64_MAX, &v->token);
  case BYN_FIELD_STAMP:
    return byn_field_number(f, BYN_STAMP_MAX, &v->stamp);
  case BYN_FIELD_FLAGS:
    return byn_field_number(f, BYN_PLACE_FLAGS | BYN_DIST_ENSURE, &v->flags);
  case BYN_FIELD_SPEC:
    return bytes_of(f, BYN_SPEC_MOST, &v->spec);
  case BYN_FIELD_BACKOFF:
    return read_backoff(f, v);
  case BYN_FIELD_CODE:
    return byn_field_number(f, BYN_DIST_HANDOFF_FAILED, &v->code);
  case BYN_FIELD_RETRY:
    return truth(f, &v->retry);
  case BYN_FIELD_PID:
    return bytes_of(f, UINT32_MAX / 2, &v->pid);
  case BYN_FIELD_RUN:
    return byn_field_number(f, UINT64_MAX, &v->run);
  case BYN_FIELD_RUNS:
    return truth(f, &v->runs);
  case BYN_FIELD_EPOCH:
    return byn_field_number(f, EPOCH_MOST, &v->epoch);
  case BYN_FIELD_VERSION:
    return byn_field_number(f, BYN_RECORD_VERSION_MOST, &v->version);
  case BYN_FIELD_HISTORY:
    return byn_field_number(f, EPOCH_MOST, &v->history);
  case BYN_FIELD_HANDED:
    return truth(f, &v->handed);
  case BYN_FIELD_STATE:
    return bytes_of(f, BYN_SPEC_MOST, &v->state);
  case BYN_FIELD_SOUGHT: {
    byn_record sought;
    return read_sought(f, &sought);
  }
  default:
    return true;
  }
}

static bool has_id(const byn_record *r) {
  return r->id.key && r->hashed;
}

/* What a record of that kind cannot do without. */
static bool is_complete(const byn_record *r) {
  switch (r->kind) {
  case BYN_RECORD_HELLO:
    return r->session;
  case BYN_RECORD_IN_STEP:
    return r->session && r->answers;
  case BYN_RECORD_READY:
  case BYN_RECORD_READY_OK:
    return r->session && r->answers && r->round;
  case BYN_RECORD_ASK:
  case BYN_RECORD_SEEN:
    return r->round;
  case BYN_RECORD_DEAD:
    return r->node.at;
  case BYN_RECORD_DIGEST:
    return r->digests.at;
  case BYN_RECORD_DIFFER:
    return r->mask;
  case BYN_RECORD_START:
    return has_id(r) && r->token && r->stamp && r->spec.at;
  case BYN_RECORD_TERMINATE:
  case BYN_RECORD_HELD:
    return has_id(r) && r->token;
  case BYN_RECORD_REPLY:
    return has_id(r) && r->token &&
           (r->retry || r->pid.at ||
            (r->code != BYN_DIST_OK && r->code != BYN_DIST_ALREADY_STARTED));
  case BYN_RECORD_MOVE:
    return has_id(r) && r->token && r->stamp;
  case BYN_RECORD_OFFER:
    return has_id(r) && r->token && r->run;
  case BYN_RECORD_WANT:
    return has_id(r);
  case BYN_RECORD_RELAY:
  case BYN_RECORD_RELAYED:
    return r->node.at && r->record.at;
  case BYN_RECORD_CONFIRM:
  case BYN_RECORD_CONFIRMED:
  case BYN_RECORD_ACCEPT:
    return has_id(r) && r->run;
  case BYN_RECORD_RESOLVE:
    return has_id(r) && r->run && r->state.at;
  case BYN_RECORD_SYNC:
  case BYN_RECORD_ACK:
  case BYN_RECORD_COLLECTED:
  case BYN_RECORD_PING:
  case BYN_RECORD_PONG:
  case BYN_RECORD_COMPARED:
    return r->seq;
  case BYN_RECORD_COMPARE:
    return r->seq && r->body.n <= BYN_COMPARE_MOST;
  case BYN_RECORD_CHECKPOINT:
  case BYN_RECORD_FOUND:
    return has_id(r) && r->token && r->epoch && r->version && r->state.at;
  case BYN_RECORD_SPARE:
  case BYN_RECORD_DROP:
    return has_id(r) && r->token && r->epoch && r->version;
  default:
    return true;
  }
}

bool byn_record_next(byn_reader *r, byn_record *record) {
  if (byn_reader_left(r) == 0) return false;
  byn_field whole;
  if (!byn_get_field(r, &whole)) return false;
  *record = (byn_record){.kind = whole.tag, .body = {whole.at, whole.n}};
  if (whole.tag == BYN_RECORD_ENTRY || whole.tag >= BYN_RECORD_KINDS)
    return true;
  byn_reader fields;
  byn_reader_init(&fields, whole.at, whole.n);
  for (byn_field f; byn_get_field(&fields, &f);)
    if (!read_node_field(&f, record) || !read_child_field(&f, record))
      fields.failed = true;
  if (!fields.failed && is_complete(record)) return true;
  r->failed = true;
  return false;
}
