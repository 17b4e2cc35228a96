/* Checkpoints: what this node holds, and who else holds what it runs. */
#include "checkpoint.h"

#include "../assert.h"
#include "../coverage.h"
#include "candidate.h"
#include "cohort.h"
#include "entity.h"
#include "move.h"
#include "sync.h"

BYN_MACHINE("dist: a copy of a checkpoint", "idle queued sent",
            "queue send held refused newer lost free");

enum {
  AHEAD = 1 << 20, /* bytes that a peer has not confirmed */
  SPARES = 4096    /* that are told of at once */
};

/* --- the order ------------------------------------------------------------ */

static bool is_before(uint64_t epoch, uint64_t version, uint64_t other_epoch,
                      uint64_t other_version) {
  return epoch < other_epoch ||
         (epoch == other_epoch && version < other_version);
}

bool byn_checkpoint_is_newer(const byn_generation *g, uint64_t epoch,
                             uint64_t version) {
  const byn_checkpoint *c = g->checkpoint;
  return !c || is_before(c->epoch, c->version, epoch, version);
}

/* The generation of a run; NULL where that is over. */
static byn_generation *generation_of(const byn_run *run) {
  byn_generation *g = byn_place_find(run->place, run->token);
  return g && !g->ended ? g : NULL;
}

/* Its process may write, or has just written. */
static bool is_writer(const byn_run *run) {
  return run->state == BYN_RUN_STARTING || run->state == BYN_RUN_RUNNING ||
         run->state == BYN_RUN_STOPPING;
}

/* Another copy of the child stays, as far as is known. */
static bool loses(const byn_dist *d, const byn_run *run) {
  const byn_register *winner = byn_place_running(run->place, d->newest, NULL);
  return winner && winner->host != d->self;
}

bool byn_checkpoint_is_anothers(const byn_run *run, const byn_generation *g) {
  return is_writer(run) && g->checkpoint && g->checkpoint->epoch > run->epoch;
}

/* --- lists of copies ------------------------------------------------------ */

static byn_copy_list *list_of(byn_copy *copy) {
  byn_peer *peer = copy->peer;
  if (copy->state == BYN_COPY_IDLE) return NULL;
  return copy->state == BYN_COPY_QUEUED ? &peer->copies_queued
                                        : &peer->copies_sent;
}

static void move_copy(byn_copy *copy, byn_copy_state state) {
  byn_copy_list *list = list_of(copy);
  if (list) {
    if (copy->before)
      copy->before->after = copy->after;
    else
      list->first = copy->after;
    if (copy->after)
      copy->after->before = copy->before;
    else
      list->last = copy->before;
  }
  byn_assert(copy->peer->copies_size >= copy->size);
  copy->peer->copies_size -= copy->size;
  copy->size = 0;
  copy->before = copy->after = NULL;
  copy->state = state;
  list = list_of(copy);
  if (!list) return;
  copy->before = list->last;
  if (list->last)
    list->last->after = copy;
  else
    list->first = copy;
  list->last = copy;
}

static void queue_copy(byn_dist *d, byn_copy *copy) {
  BYN_COVER(copy->state, "queue");
  move_copy(copy, BYN_COPY_QUEUED);
  d->copies_due = true;
}

static void free_copy(byn_copy *copy) {
  if (!copy->peer) return;
  BYN_COVER(copy->state, "free");
  move_copy(copy, BYN_COPY_IDLE);
  *copy = (byn_copy){.run = copy->run};
}

static byn_copy *copy_at(const byn_run *run, const byn_peer *peer) {
  for (uint32_t i = 0; run->copies && i < BYN_COPIES; i++)
    if (run->copies[i].peer == peer) return &run->copies[i];
  return NULL;
}

/* --- who is to hold it ---------------------------------------------------- */

/* This node goes, or runs no children: it is none of those that hold it. */
static uint32_t count_others(const byn_dist *d) {
  uint32_t others = d->leaving || !d->hosts ? d->replicas : d->replicas - 1;
  return others < BYN_COPIES ? others : BYN_COPIES;
}

static bool can_hold(const byn_dist *d, const byn_peer *peer, size_t size) {
  return peer && byn_peer_sees(peer) && peer->got_all &&
         byn_record_would_fit(d, peer, size);
}

/* Where the ring has nobody when this node goes: nodes that run no children,
 * for the one that starts it next. Others may know that one already. */
static uint32_t choose_keepers(const byn_dist *d, size_t size, uint32_t want,
                               byn_peer **holders) {
  uint32_t count = 0;
  for (byn_peer *peer = d->peers; peer && count < want; peer = peer->next)
    if (!peer->leaving && can_hold(d, peer, size)) holders[count++] = peer;
  return count;
}

/* The node that it moves to, and the next of the ring that can, in its order.
 */
static uint32_t choose_holders(byn_dist *d, const byn_run *run, size_t size,
                               byn_peer **holders) {
  const byn_place *p = run->place;
  byn_peer *target = byn_move_target(d, run);
  uint32_t want = count_others(d), count = 0, n = 0;
  if (!can_hold(d, target, size)) target = NULL;
  if (target && want == 0) want = 1;
  uint32_t most = want + 2; /* this node, and one that is out of sight */
  if (want == 0) return 0;
  if (d->ring_count == 0)
    return d->leaving ? choose_keepers(d, size, want, holders) : 0;
  do {
    n = most < d->ring_count ? most : d->ring_count;
    n = byn_ring_successors(d->ring, p->hash, d->successors, n);
    count = 0;
    if (target) holders[count++] = target;
    for (uint32_t i = 0; i < n && count < want; i++) {
      byn_peer *peer = d->ring_peers[d->successors[i]];
      if (peer != target && can_hold(d, peer, size)) holders[count++] = peer;
    }
    most *= 2;
  } while (count < want && n > 0 && n < d->ring_count);
  return count;
}

static bool is_one_of(const byn_peer *peer, byn_peer *const *list,
                      uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (list[i] == peer) return true;
  return false;
}

static bool make_copies(byn_dist *d, byn_run *run) {
  if (run->copies) return true;
  run->copies = byn_new(&d->alloc, BYN_COPIES * sizeof *run->copies);
  if (!run->copies) return false;
  d->copied_runs++;
  for (uint32_t i = 0; i < BYN_COPIES; i++)
    run->copies[i] = (byn_copy){.run = run};
  return true;
}

static void assign_copies(byn_run *run, byn_peer *const *holders,
                          uint32_t count) {
  byn_assert(count <= BYN_COPIES);
  for (uint32_t i = 0; i < BYN_COPIES; i++)
    if (run->copies[i].peer && !is_one_of(run->copies[i].peer, holders, count))
      free_copy(&run->copies[i]);
  for (uint32_t i = 0; i < count; i++) {
    if (copy_at(run, holders[i])) continue;
    byn_copy *copy = copy_at(run, NULL);
    byn_assert(copy);
    copy->peer = holders[i];
  }
}

/* One that waits for its first start here, or has resumed nothing yet, leaves
 * what it found where that is. */
static bool is_to_be_copied(const byn_run *run, const byn_generation *g) {
  if (!g || !g->checkpoint || !run->collected) return false;
  bool waits = run->state == BYN_RUN_STARTING || run->state == BYN_RUN_QUEUED;
  if (run->state == BYN_RUN_IDLE) return byn_generation_is_idle(g);
  return !waits || g->checkpoint->epoch == run->epoch;
}

static void write_anew(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_checkpoint *c = g->checkpoint;
  if (!c) return;
  byn_assert(c->epoch <= run->epoch);
  c->epoch = run->epoch;
  c->history = run->history;
  c->version++;
  byn_registry_touch(&d->registry, run->place);
}

void byn_checkpoint_renew(byn_dist *d, byn_run *run, byn_generation *g) {
  run->epoch = byn_registry_stamp(&d->registry);
  write_anew(d, run, g);
}

/* No epoch is greater than the last, whatever peers claim. */
static bool can_renew(const byn_run *run) {
  return run->epoch < BYN_STAMP_MAX - 1;
}

/* While it was to be stopped, others said that they hold more than this node
 * has; now it stays. */
static bool is_behind(const byn_run *run, const byn_checkpoint *c) {
  for (uint32_t i = 0; i < BYN_COPIES; i++) {
    const byn_copy *copy = &run->copies[i];
    if (copy->peer && copy->life == copy->peer->host->incarnation &&
        is_before(c->epoch, c->version, copy->epoch, copy->version))
      return true;
  }
  return false;
}

void byn_checkpoint_review(byn_dist *d, byn_run *run) {
  byn_generation *g = generation_of(run);
  if (!is_to_be_copied(run, g) || !make_copies(d, run)) return;
  byn_peer *holders[BYN_COPIES];
  const byn_checkpoint *c = g->checkpoint;
  uint32_t count =
      choose_holders(d, run, c->bytes.n + run->place->key_size, holders);
  assign_copies(run, holders, count);
  if (loses(d, run)) return;
  if (run->state == BYN_RUN_IDLE && is_behind(run, c)) {
    byn_entity_collect(d, run);
    return;
  }
  if (is_writer(run) && can_renew(run) && is_behind(run, c))
    byn_checkpoint_renew(d, run, g);
  for (uint32_t i = 0; i < BYN_COPIES; i++) {
    byn_copy *copy = &run->copies[i];
    if (!copy->peer) continue;
    uint64_t life = copy->peer->host->incarnation;
    if (copy->life != life) copy->epoch = copy->version = 0;
    copy->life = life;
    bool behind = is_before(copy->epoch, copy->version, c->epoch, c->version);
    if (behind && copy->state == BYN_COPY_IDLE && !copy->refused)
      queue_copy(d, copy);
  }
}

/* Is there a node that takes part soon? Others may know of it already, and
 * start the child there when this node is gone. */
static bool somebody_comes(const byn_dist *d) {
  for (const byn_peer *peer = d->peers; peer; peer = peer->next) {
    bool greets =
        peer->state == BYN_PEER_GREETING || peer->state == BYN_PEER_IN_STEP;
    if (peer->connected && greets && !peer->leaving && !peer->let_in)
      return true;
  }
  return false;
}

bool byn_checkpoint_is_held(byn_dist *d, byn_run *run, uint64_t epoch,
                            uint64_t version) {
  if ((!d->open && !d->leaving) || loses(d, run)) return false;
  byn_checkpoint_review(d, run);
  if (!run->copies) return false;
  bool by_nobody = true;
  for (uint32_t i = 0; i < BYN_COPIES; i++) {
    const byn_copy *copy = &run->copies[i];
    if (!copy->peer) continue;
    by_nobody = false;
    if (is_before(copy->epoch, copy->version, epoch, version)) return false;
  }
  return !(by_nobody && d->leaving && somebody_comes(d));
}

bool byn_checkpoint_is_safe(byn_dist *d, byn_run *run) {
  const byn_generation *g = generation_of(run);
  const byn_checkpoint *c = g ? g->checkpoint : NULL;
  return !c || loses(d, run) ||
         byn_checkpoint_is_held(d, run, c->epoch, c->version);
}

bool byn_checkpoint_outlives(byn_dist *d, byn_run *run, uint64_t token,
                             uint64_t epoch) {
  byn_generation *g = generation_of(run);
  if (!g || loses(d, run)) return false;
  byn_registry_saw(&d->registry, epoch);
  if (token == g->token && epoch >= run->epoch && can_renew(run))
    byn_checkpoint_renew(d, run, g);
  bool safe = byn_checkpoint_is_safe(d, run);
  run->drops |= safe && !g->checkpoint && token == g->token;
  return safe;
}

/* --- what this node writes ------------------------------------------------ */

static void mark_kept(byn_dist *d, byn_place *p, byn_generation *g) {
  if (g->kept) return;
  g->kept = true;
  byn_registry_changed(&d->registry, p);
  byn_registry_publish(&d->registry, p, false);
}

bool byn_checkpoint_write(byn_dist *d, byn_run *run, byn_generation *g,
                          bool handed, byn_dist_bytes bytes) {
  byn_assert(is_writer(run) && run->token == g->token && run->epoch);
  const byn_checkpoint *c = g->checkpoint;
  if (byn_checkpoint_is_anothers(run, g)) {
    if (loses(d, run)) return true;
    run->epoch = byn_registry_stamp(&d->registry);
  }
  byn_assert(!c || c->epoch <= run->epoch);
  uint64_t version = c ? c->version + 1 : 1;
  mark_kept(d, run->place, g);
  byn_registry_touch(&d->registry, run->place);
  if (!byn_generation_hold(g, &d->alloc, run->epoch, version, handed, bytes))
    return false;
  g->checkpoint->history = run->history;
  return true;
}

void byn_checkpoint_begin(byn_dist *d, byn_run *run) {
  const byn_generation *g = generation_of(run);
  const byn_checkpoint *given = g ? g->checkpoint : NULL;
  run->epoch = byn_registry_stamp(&d->registry);
  run->history = given ? given->history : 0;
  run->collected = true;
}

void byn_checkpoint_resumed(byn_dist *d, byn_run *run, byn_generation *g) {
  byn_checkpoint *c = g->checkpoint;
  if (!c || byn_checkpoint_is_anothers(run, g)) return;
  if (c->epoch == run->epoch && c->history == run->history) return;
  if (c->epoch != run->epoch) c->handed = false;
  write_anew(d, run, g);
}

void byn_checkpoint_forget_held(byn_run *run) {
  for (uint32_t i = 0; run->copies && i < BYN_COPIES; i++)
    run->copies[i].epoch = run->copies[i].version = 0;
}

void byn_checkpoint_forget_run(byn_dist *d, byn_run *run) {
  if (!run->copies) return;
  for (uint32_t i = 0; i < BYN_COPIES; i++)
    free_copy(&run->copies[i]);
  byn_free(&d->alloc, run->copies, BYN_COPIES * sizeof *run->copies);
  run->copies = NULL;
  byn_assert(d->copied_runs > 0);
  d->copied_runs--;
}

/* --- sending -------------------------------------------------------------- */

static void put_version(byn_buf *b, const byn_generation *g) {
  const byn_checkpoint *c = g ? g->checkpoint : NULL;
  byn_put_number_field(b, BYN_FIELD_EPOCH, c ? c->epoch : 0);
  byn_put_number_field(b, BYN_FIELD_VERSION, c ? c->version : 0);
}

static void put_id(byn_buf *b, const byn_dist_id *id, uint64_t token) {
  byn_put_bytes_field(b, BYN_FIELD_KEY, id->key, id->n);
  size_t mark = byn_field_open(b, BYN_FIELD_HASH);
  byn_put_u64(b, id->hash);
  byn_field_close(b, mark);
  byn_put_number_field(b, BYN_FIELD_TOKEN, token);
}

void byn_checkpoint_put(byn_buf *b, const byn_dist_id *id, uint64_t token,
                        const byn_generation *g) {
  put_id(b, id, token);
  put_version(b, g);
}

void byn_checkpoint_put_whole(byn_dist *d, byn_record_kind kind,
                              const byn_place *p, const byn_generation *g) {
  byn_assert(g->checkpoint);
  byn_buf *b = byn_record_begin(d, kind);
  byn_dist_id id = byn_place_id(p);
  byn_checkpoint_put(b, &id, g->token, g);
  const byn_checkpoint *c = g->checkpoint;
  byn_put_number_field(b, BYN_FIELD_HANDED, c->handed);
  byn_put_number_field(b, BYN_FIELD_HISTORY, c->history);
  byn_put_bytes_field(b, BYN_FIELD_STATE, c->bytes.at, c->bytes.n);
}

/* The copies that were stopped wrote checkpoints; the one that stays has none,
 * and theirs are not for its next process. */
static void drop_others(byn_dist *d, byn_run *run, const byn_generation *g) {
  run->drops = false;
  if (g->checkpoint) return;
  byn_dist_id id = byn_place_id(run->place);
  byn_buf *b = byn_record_begin(d, BYN_RECORD_DROP);
  put_id(b, &id, run->token);
  byn_put_number_field(b, BYN_FIELD_EPOCH, run->epoch - 1);
  byn_put_number_field(b, BYN_FIELD_VERSION, BYN_RECORD_VERSION_MOST);
  for (byn_peer *peer = d->peers; peer; peer = peer->next)
    if (byn_peer_sees(peer)) byn_record_send(d, peer);
}

void byn_checkpoint_review_rivals(byn_dist *d, byn_run *run,
                                  byn_generation *g) {
  uint64_t rivals = 0;
  for (const byn_register *r = g->registers; r; r = r->next)
    if (r->host != d->self && r->state == BYN_REGISTER_RUNNING &&
        !r->host->gone)
      rivals ^= r->run;
  /* Others may hold what the copy wrote that was to stay, and is gone. */
  bool fresh = rivals != run->rivals && rivals;
  bool renews = fresh || run->loses;
  run->rivals = rivals;
  run->loses = false;
  if (renews) byn_checkpoint_renew(d, run, g);
  if (run->drops && !rivals) drop_others(d, run, g);
}

static void send_copy(byn_dist *d, byn_copy *copy) {
  const byn_run *run = copy->run;
  const byn_generation *g = generation_of(run);
  if (!g || !g->checkpoint) {
    move_copy(copy, BYN_COPY_IDLE);
    return;
  }
  BYN_COVER(copy->state, "send");
  move_copy(copy, BYN_COPY_SENT);
  copy->sent_epoch = g->checkpoint->epoch;
  copy->sent_version = g->checkpoint->version;
  copy->size = g->checkpoint->bytes.n + BYN_RECORD_ROOM;
  copy->peer->copies_size += copy->size;
  byn_checkpoint_put_whole(d, BYN_RECORD_CHECKPOINT, run->place, g);
  byn_record_send(d, copy->peer);
}

void byn_checkpoint_pump(byn_dist *d) {
  if (!d->copies_due) return;
  d->copies_due = false;
  for (byn_peer *peer = d->peers; peer; peer = peer->next) {
    if (!byn_peer_sees(peer) || !peer->got_all) continue;
    while (peer->copies_queued.first && peer->copies_size < AHEAD)
      send_copy(d, peer->copies_queued.first);
  }
}

void byn_checkpoint_forget_session(byn_dist *d, byn_peer *peer) {
  for (byn_copy *copy; (copy = peer->copies_sent.first);) {
    BYN_COVER(copy->state, "lost");
    queue_copy(d, copy);
  }
  byn_assert(peer->copies_size == 0);
  peer->collect_asked = 0;
  peer->collect_owed = 0;
}

void byn_checkpoint_forget_peer(byn_dist *d, byn_peer *peer) {
  if (d->copied_runs == 0) return;
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&d->children, &cursor, &entry);) {
    byn_copy *copy = copy_at(entry.value, peer);
    if (copy) free_copy(copy);
  }
}

/* --- what this node holds for others -------------------------------------- */

/* Does the ring name this node among those that hold what that one runs? */
static bool is_holder(byn_dist *d, const byn_place *p, const byn_peer *runner) {
  uint32_t n = d->replicas < d->ring_count ? d->replicas : d->ring_count;
  if (n > 0) n = byn_ring_successors(d->ring, p->hash, d->successors, n);
  uint32_t others = 0;
  for (uint32_t i = 0; i < n && others + 1 < d->replicas; i++) {
    const byn_peer *peer = d->ring_peers[d->successors[i]];
    if (!peer) return true;
    others += peer != runner;
  }
  return false;
}

/* The node that runs a generation, or keeps it while it is idle; NULL: this
 * one, or nobody. */
static byn_peer *runner_of(const byn_dist *d, const byn_place *p,
                           const byn_generation *g) {
  byn_generation *of = NULL;
  byn_peer *owner = NULL;
  if (byn_generation_is_idle(g)) byn_candidate_owner(d, p->hash, &owner);
  if (owner) return owner;
  const byn_register *r = byn_place_running(p, d->newest, &of);
  for (byn_peer *peer = d->peers; r && of == g && peer; peer = peer->next)
    if (peer->host == r->host) return peer;
  return NULL;
}

/* Rings differ for a while, and who runs it changes: what this node holds may
 * be what it is not to hold. */
static bool is_spare(byn_dist *d, const byn_place *p, const byn_generation *g) {
  if (!g->checkpoint || (p->run && p->run->token == g->token)) return false;
  const byn_peer *runner = runner_of(d, p, g);
  return !runner || !is_holder(d, p, runner);
}

void byn_checkpoint_review_spares(byn_dist *d, const byn_place *p) {
  for (const byn_generation *g = p->generations; g && !d->spares_due;
       g = g->next)
    d->spares_due = is_spare(d, p, g);
}

bool byn_checkpoint_take(byn_dist *d, byn_place *p, byn_generation *g,
                         const byn_record *r) {
  byn_registry_saw(&d->registry, r->epoch);
  byn_registry_saw(&d->registry, r->history);
  bool own = p->run && p->run->token == g->token && is_writer(p->run) &&
             !loses(d, p->run);
  if (own || !byn_checkpoint_is_newer(g, r->epoch, r->version)) return true;
  mark_kept(d, p, g);
  if (!byn_generation_hold(g, &d->alloc, r->epoch, r->version, r->handed,
                           r->state))
    return false;
  g->checkpoint->history = r->history;
  return true;
}

static byn_generation *named_generation(const byn_dist *d, const byn_record *r,
                                        byn_place **p) {
  *p = byn_registry_find(&d->registry, &r->id);
  return *p ? byn_place_find(*p, r->token) : NULL;
}

void byn_checkpoint_take_sent(byn_dist *d, byn_peer *peer,
                              const byn_record *r) {
  byn_place *p;
  byn_generation *g = named_generation(d, r, &p);
  if (g && !g->ended)
    byn_checkpoint_take(d, p, g, r);
  else if (g)
    byn_sync_send_place(d, peer, p); /* he has not heard of its end */
  bool holds = g && !g->ended;
  if (holds) byn_checkpoint_review_spares(d, p);
  byn_checkpoint_put(byn_record_begin(d, BYN_RECORD_HELD), &r->id, r->token,
                     holds ? g : NULL);
  byn_record_send(d, peer);
}

void byn_checkpoint_take_drop(byn_dist *d, const byn_record *r) {
  byn_place *p;
  byn_generation *g = named_generation(d, r, &p);
  if (!g || g->ended || !g->checkpoint) return;
  if (p->run && p->run->token == g->token) return;
  const byn_checkpoint *c = g->checkpoint;
  if (is_before(r->epoch, r->version, c->epoch, c->version)) return;
  byn_generation_drop_checkpoint(g, &d->alloc);
  if (d->idle_held > 0 && byn_generation_is_idle(g)) d->idle_held--;
}

/* --- what the others say -------------------------------------------------- */

/* The run of this node that a record is about. */
static byn_run *named_run(const byn_dist *d, const byn_record *r,
                          byn_generation **g) {
  byn_place *p;
  *g = named_generation(d, r, &p);
  bool here = *g && !(*g)->ended && p->run && p->run->token == r->token;
  return here ? p->run : NULL;
}

/* Somebody holds more than this node has: that of a copy that was stopped, or
 * is to be. */
static void renew_if_behind(byn_dist *d, byn_run *run, byn_generation *g,
                            const byn_record *r) {
  byn_registry_saw(&d->registry, r->epoch);
  if (!is_writer(run) || !byn_checkpoint_is_newer(g, r->epoch, r->version))
    return;
  if (loses(d, run)) return;
  byn_checkpoint_renew(d, run, g);
}

void byn_checkpoint_take_held(byn_dist *d, byn_peer *peer,
                              const byn_record *r) {
  byn_generation *g;
  byn_run *run = named_run(d, r, &g);
  byn_copy *copy = run ? copy_at(run, peer) : NULL;
  if (!copy) return;
  bool taken =
      copy->state != BYN_COPY_SENT ||
      !is_before(r->epoch, r->version, copy->sent_epoch, copy->sent_version);
  BYN_COVER(copy->state, taken ? "held" : "refused");
  if (copy->state == BYN_COPY_SENT) move_copy(copy, BYN_COPY_IDLE);
  copy->epoch = r->epoch;
  copy->version = r->version;
  copy->refused = !taken;
  d->copies_refused |= !taken;
  d->copies_due = true;
  if (!taken) byn_sync_send_place(d, peer, run->place); /* it may not know it */
  if (g->checkpoint) renew_if_behind(d, run, g, r);
  byn_registry_touch(&d->registry, run->place);
}

static void send_drop(byn_dist *d, byn_peer *peer, const byn_record *r,
                      const byn_generation *g) {
  byn_checkpoint_put(byn_record_begin(d, BYN_RECORD_DROP), &r->id, r->token, g);
  byn_record_send(d, peer);
}

static void take_spare_of_idle(byn_dist *d, byn_run *run,
                               const byn_generation *g, byn_peer *peer,
                               const byn_record *r) {
  byn_registry_saw(&d->registry, r->epoch);
  if (!run->collected) return;
  if (byn_checkpoint_is_newer(g, r->epoch, r->version)) {
    byn_entity_collect(d, run);
    return;
  }
  if (g->checkpoint && byn_checkpoint_is_safe(d, run) && !copy_at(run, peer))
    send_drop(d, peer, r, g);
}

void byn_checkpoint_take_spare(byn_dist *d, byn_peer *peer,
                               const byn_record *r) {
  byn_generation *g;
  byn_run *run = named_run(d, r, &g);
  if (run && run->state == BYN_RUN_IDLE) {
    take_spare_of_idle(d, run, g, peer, r);
    return;
  }
  if (!run || run->state != BYN_RUN_RUNNING || !g->checkpoint) return;
  renew_if_behind(d, run, g, r);
  if (loses(d, run) || copy_at(run, peer) || !byn_checkpoint_is_safe(d, run))
    return;
  if (!copy_at(run, peer)) send_drop(d, peer, r, g);
}

/* --- each second ---------------------------------------------------------- */

static void send_refused_again(byn_dist *d) {
  if (!d->copies_refused) return;
  d->copies_refused = false;
  byn_map_entry entry;
  for (uint32_t cursor = 0; byn_map_next(&d->children, &cursor, &entry);) {
    byn_run *run = entry.value;
    for (uint32_t i = 0; run->copies && i < BYN_COPIES; i++) {
      if (!run->copies[i].refused) continue;
      run->copies[i].refused = false;
      byn_registry_touch(&d->registry, run->place);
    }
  }
}

/* true: something is held that nobody is known to need. */
static bool offer_spares(byn_dist *d, const byn_place *p, uint32_t *sent) {
  bool left = false;
  for (const byn_generation *g = p->generations; g; g = g->next) {
    if (!is_spare(d, p, g)) continue;
    left = true;
    byn_peer *runner = runner_of(d, p, g);
    if (!runner || !byn_peer_sees(runner) || *sent >= SPARES) continue;
    (*sent)++;
    byn_dist_id id = byn_place_id(p);
    byn_checkpoint_put(byn_record_begin(d, BYN_RECORD_SPARE), &id, g->token, g);
    byn_record_send(d, runner);
  }
  return left;
}

void byn_checkpoint_count_idle(byn_dist *d) {
  const byn_tree *tree = &d->registry.tree;
  d->idle_held = 0;
  for (const byn_place *p = byn_tree_first(tree); p; p = byn_tree_next(tree, p))
    for (const byn_generation *g = p->generations; g; g = g->next)
      d->idle_held += g->checkpoint && byn_generation_is_idle(g);
}

void byn_checkpoint_look_for_spares(byn_dist *d) {
  while (d->spares.under_way && byn_looks_left(d)) {
    const byn_place *p = byn_sweep_next(&d->spares, &d->registry.tree);
    if (!p) return;
    byn_looks_count(d, 1);
    for (uint64_t hash = p->hash; p && p->hash == hash; p = p->after)
      d->spares_due |= offer_spares(d, p, &d->spares_told);
  }
}

void byn_checkpoint_tick(byn_dist *d) {
  if (d->leaving) byn_checkpoint_count_idle(d);
  send_refused_again(d);
  if (!d->spares_due || !d->attached || d->ring_due) return;
  if (d->spares.under_way) return;
  d->spares_due = false;
  d->spares_told = 0;
  byn_sweep_begin(&d->spares);
}
