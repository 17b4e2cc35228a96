/* Membership: the state of each known node, and the queue of actions. */
#include "membership.h"

#include <string.h>

#include "assert.h"
#include "coverage.h"
#include "rng.h"
#include "timers.h"

typedef enum state {
  IDLE,
  QUEUED, /* its DIAL is in the queue; a link that comes in takes its place */
  DIALING,
  ADMITTED,
  UP
} state;

/* `asked`: its DIAL was taken, and the owner has not reported the number of
 * the link. Its state may change meanwhile, when another link comes in, or it
 * is removed. */
typedef struct member {
  state state;
  bool configured, removed, asked;
  bool hidden;   /* its link is, or the last one was, of a hidden node */
  uint32_t link; /* in DIALING (0 while asked), ADMITTED and UP; else 0 */
  uint32_t held; /* entries of the queue, and `taken`, that point here */
  uint64_t incarnation;
  uint64_t session;  /* the last one, for the links */
  int64_t wait;      /* after the next failure, without jitter */
  int64_t due;       /* the time of the next dial; only used in IDLE */
  int64_t forget_at; /* only used in IDLE, of one that was learned */
  size_t size;       /* of this block */
  char name[];
} member;

BYN_MACHINE("membership: a member", "idle queued dialing admitted up",
            "add remove dialing admit hide link_up link_down dial_due taken "
            "overtaken");

/* Sorted by name. */
typedef struct roster {
  member **at;
  uint32_t count, capacity;
} roster;

typedef struct entry {
  byn_member_action_kind kind;
  uint32_t link;
  uint64_t incarnation;
  member *member;
  bool hidden;
  char reason[BYN_MEMBER_REASON_MAX + 1];
} entry;

/* The queue is a ring of `capacity` entries. `owed` is how many more may have
 * to be queued without asking for memory: length + owed <= capacity holds
 * between calls. */
struct byn_membership {
  byn_alloc alloc;
  byn_rng rng;
  int64_t redial_min, redial_max, forget_after;
  int64_t deadline;
  roster known, up; /* `up` has at least the capacity that `known` needs */
  entry *queue;
  size_t head, length, capacity, owed;
  entry taken; /* the action handed out last; its member is NULL if none */
  size_t name_size;
  char *name;
};

static int64_t at_least_one(int64_t ms) {
  return ms < 1 ? 1 : ms;
}

/* A wait that may be doubled and jittered without overflow. */
static int64_t bounded_wait(int64_t ms) {
  return ms > BYN_NEVER / 4 ? BYN_NEVER / 4 : at_least_one(ms);
}

/* Times stay below BYN_NEVER unless the wait is BYN_NEVER itself. */
static int64_t time_after(int64_t now, int64_t ms) {
  if (ms == BYN_NEVER) return BYN_NEVER;
  if (now > 0 && ms > BYN_NEVER - 1 - now) return BYN_NEVER - 1;
  return now + ms;
}

/* -- rosters ------------------------------------------------------------ */

/* Where `name` is, or where it would go. */
static bool roster_find(const roster *r, const char *name, uint32_t *index) {
  uint32_t low = 0, high = r->count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    int order = strcmp(r->at[middle]->name, name);
    if (order == 0) {
      *index = middle;
      return true;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *index = low;
  return false;
}

static bool roster_reserve(const byn_alloc *alloc, roster *r, uint32_t count) {
  if (count <= r->capacity) return true;
  uint32_t capacity = r->capacity ? r->capacity * 2 : 8;
  member **at =
      byn_resize(alloc, r->at, r->capacity * sizeof *at, capacity * sizeof *at);
  if (!at) return false;
  r->at = at;
  r->capacity = capacity;
  return true;
}

/* Is the roster in order around `index`? */
static bool roster_is_sorted(const roster *r, uint32_t index) {
  uint32_t first = index > 0 ? index - 1 : 0;
  for (uint32_t i = first; i < index + 1 && i + 1 < r->count; i++)
    if (strcmp(r->at[i]->name, r->at[i + 1]->name) >= 0) return false;
  return r->count <= r->capacity;
}

/* The room was reserved. */
static void roster_insert(roster *r, member *p) {
  uint32_t index;
  if (roster_find(r, p->name, &index)) return;
  byn_assert(r->count < r->capacity);
  memmove(r->at + index + 1, r->at + index, (r->count - index) * sizeof *r->at);
  r->at[index] = p;
  r->count++;
  byn_assert(roster_is_sorted(r, index));
}

static void roster_remove(roster *r, const member *p) {
  uint32_t index;
  if (!roster_find(r, p->name, &index)) return;
  byn_assert(r->at[index] == p);
  r->count--;
  memmove(r->at + index, r->at + index + 1, (r->count - index) * sizeof *r->at);
  byn_assert(roster_is_sorted(r, index));
}

/* -- the queue of actions ----------------------------------------------- */

/* How many actions may follow from a state before its member is idle again:
 * UP, DOWN and CLOSE. One more while the number of its link is not reported:
 * the CLOSE of that link, which has the DIAL's place in the queue. */
static size_t owed_by(const member *p) {
  static const size_t owed[] = {
      [IDLE] = 0, [QUEUED] = 3, [DIALING] = 3, [ADMITTED] = 3, [UP] = 2};
  return owed[p->state] + (p->asked ? 1 : 0);
}

static void set_state(byn_membership *m, member *p, state next, bool asked) {
  byn_assert(m->owed >= owed_by(p));
  m->owed -= owed_by(p);
  p->state = next;
  p->asked = asked;
  m->owed += owed_by(p);
}

/* Room for `n` more actions than what is queued and owed. */
static bool queue_reserve(byn_membership *m, size_t n) {
  size_t need = m->length + m->owed + n;
  if (need <= m->capacity) return true;
  size_t capacity = m->capacity ? m->capacity * 2 : 16;
  if (capacity < need) capacity = need;
  entry *queue = byn_new(&m->alloc, capacity * sizeof *queue);
  if (!queue) return false;
  for (size_t i = 0; i < m->length; i++)
    queue[i] = m->queue[(m->head + i) % m->capacity];
  byn_free(&m->alloc, m->queue, m->capacity * sizeof *queue);
  m->queue = queue;
  m->head = 0;
  m->capacity = capacity;
  byn_assert(m->length + m->owed + n <= m->capacity);
  return true;
}

/* The room is owed, or was reserved. */
static void queue_action(byn_membership *m, byn_member_action_kind kind,
                         member *p, uint32_t link, const char *reason) {
  byn_assert(m->length < m->capacity);
  byn_assert(kind == BYN_MEMBER_DIAL ? link == 0 : link != 0);
  entry *e = &m->queue[(m->head + m->length++) % m->capacity];
  e->kind = kind;
  e->member = p;
  e->link = link;
  e->incarnation = p->incarnation;
  e->hidden = p->hidden;
  size_t n = strlen(reason);
  if (n > BYN_MEMBER_REASON_MAX) n = BYN_MEMBER_REASON_MAX;
  memcpy(e->reason, reason, n);
  e->reason[n] = '\0';
  p->held++;
}

/* -- deadlines ---------------------------------------------------------- */

static bool is_forgettable(const member *p) {
  return p->state == IDLE && !p->asked && !p->configured && !p->removed &&
         p->held == 0;
}

static int64_t due_of(const member *p) {
  bool wanted = !p->removed && (p->configured || !p->hidden);
  return p->state == IDLE && !p->asked && wanted ? p->due : BYN_NEVER;
}

static int64_t wake_of(const member *p) {
  int64_t due = due_of(p);
  return is_forgettable(p) && p->forget_at < due ? p->forget_at : due;
}

static void update_deadline(byn_membership *m) {
  m->deadline = BYN_NEVER;
  for (uint32_t i = 0; i < m->known.count; i++) {
    int64_t wake = wake_of(m->known.at[i]);
    if (wake < m->deadline) m->deadline = wake;
  }
}

/* The wait, give or take a quarter. */
static int64_t jittered(byn_membership *m, int64_t wait) {
  int64_t quarter = wait / 4;
  uint64_t span = (uint64_t)quarter * 2 + 1;
  return wait - quarter + (int64_t)byn_rng_below(&m->rng, span);
}

static void redial_after_wait(byn_membership *m, member *p, int64_t now) {
  p->due = time_after(now, jittered(m, p->wait));
  p->wait = p->wait > m->redial_max / 2 ? m->redial_max : p->wait * 2;
}

/* -- what holds between calls -------------------------------------------- */

static bool is_member_sound(const byn_membership *m, const member *p) {
  bool linked = p->state >= DIALING && !(p->state == DIALING && p->asked);
  uint32_t index;
  if ((p->link != 0) != linked) return false;
  if (p->configured && p->removed) return false;
  if (p->state == QUEUED && p->asked) return false;
  if (p->state != UP || p->hidden) return !roster_find(&m->up, p->name, &index);
  return roster_find(&m->up, p->name, &index) && m->up.at[index] == p;
}

/* More members are not looked through at each call. */
enum { LOOKED_THROUGH = 64 };

static bool is_sound(const byn_membership *m) {
  size_t owed = 0, held = m->taken.member ? 1 : 0;
  if (m->length + m->owed > m->capacity) return false;
  if (m->up.count > m->known.count || m->up.capacity < m->known.count)
    return false;
  if (m->known.count > LOOKED_THROUGH) return true;
  for (uint32_t i = 0; i < m->known.count; i++) {
    const member *p = m->known.at[i];
    if (!is_member_sound(m, p) || !roster_is_sorted(&m->known, i)) return false;
    owed += owed_by(p);
    held -= p->held;
  }
  return owed == m->owed && held + m->length == 0;
}

/* -- members ------------------------------------------------------------ */

static member *member_named(const byn_membership *m, const char *name) {
  uint32_t index;
  return roster_find(&m->known, name, &index) ? m->known.at[index] : NULL;
}

static member *member_on(const byn_membership *m, uint32_t link) {
  if (link == 0) return NULL;
  for (uint32_t i = 0; i < m->known.count; i++)
    if (m->known.at[i]->link == link) return m->known.at[i];
  return NULL;
}

/* Is it the number of a link that no member has? */
static bool is_new_link(const byn_membership *m, uint32_t link) {
  return link != 0 && !member_on(m, link);
}

/* A new member, due now, or NULL. */
static member *member_new(byn_membership *m, const char *name, int64_t now) {
  uint32_t count = m->known.count + 1;
  byn_assert(!member_named(m, name));
  if (!roster_reserve(&m->alloc, &m->known, count)) return NULL;
  if (!roster_reserve(&m->alloc, &m->up, count)) return NULL;
  size_t length = strlen(name) + 1;
  size_t size = sizeof(member) + length;
  member *p = byn_new(&m->alloc, size);
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  p->size = size;
  memcpy(p->name, name, length);
  p->wait = m->redial_min;
  p->due = now;
  p->forget_at = time_after(now, m->forget_after);
  roster_insert(&m->known, p);
  return p;
}

static void forget_member(byn_membership *m, member *p) {
  byn_assert(is_forgettable(p));
  byn_assert(p->link == 0);
  roster_remove(&m->known, p);
  byn_free(&m->alloc, p, p->size);
}

/* The member has no link any more: DOWN follows if it was up. */
static void member_idle(byn_membership *m, member *p, const char *reason) {
  if (p->state == UP) {
    queue_action(m, BYN_MEMBER_DOWN, p, p->link, reason);
    roster_remove(&m->up, p);
  }
  set_state(m, p, IDLE, p->asked);
  p->link = 0;
}

/* Ends what the member has: a queued dial, a dial, a link. */
static void member_disconnect(byn_membership *m, member *p,
                              const char *reason) {
  if (p->link) queue_action(m, BYN_MEMBER_CLOSE, p, p->link, reason);
  member_idle(m, p, reason);
}

/* -- the calls ---------------------------------------------------------- */

byn_membership *byn_membership_new(const byn_membership_config *config) {
  byn_membership *m = byn_new(&config->alloc, sizeof *m);
  if (!m) return NULL;
  memset(m, 0, sizeof *m);
  m->alloc = config->alloc;
  m->name_size = strlen(config->name) + 1;
  m->name = byn_new(&m->alloc, m->name_size);
  if (!m->name) {
    byn_free(&m->alloc, m, sizeof *m);
    return NULL;
  }
  memcpy(m->name, config->name, m->name_size);
  byn_rng_seed(&m->rng, config->seed);
  m->redial_min = bounded_wait(config->redial_min_ms);
  m->redial_max = bounded_wait(config->redial_max_ms);
  if (m->redial_max < m->redial_min) m->redial_max = m->redial_min;
  m->forget_after = at_least_one(config->forget_after_ms);
  m->deadline = BYN_NEVER;
  byn_assert(is_sound(m));
  return m;
}

void byn_membership_free(byn_membership *m) {
  if (!m) return;
  byn_alloc alloc = m->alloc;
  for (uint32_t i = 0; i < m->known.count; i++)
    byn_free(&alloc, m->known.at[i], m->known.at[i]->size);
  byn_free(&alloc, m->known.at, m->known.capacity * sizeof *m->known.at);
  byn_free(&alloc, m->up.at, m->up.capacity * sizeof *m->up.at);
  byn_free(&alloc, m->queue, m->capacity * sizeof *m->queue);
  byn_free(&alloc, m->name, m->name_size);
  byn_free(&alloc, m, sizeof *m);
}

bool byn_membership_add(byn_membership *m, const char *name, bool configured,
                        int64_t now) {
  if (strcmp(name, m->name) == 0) return true;
  member *p = member_named(m, name);
  if (!p && !(p = member_new(m, name, now))) return false;
  BYN_COVER(p->state, "add");
  if (configured && p->removed) p->wait = m->redial_min;
  if (configured) {
    p->configured = true;
    p->removed = false;
  }
  if (now < p->due) p->due = now;
  p->forget_at = time_after(now, m->forget_after);
  update_deadline(m);
  byn_assert(m->deadline <= wake_of(p));
  byn_assert(is_sound(m));
  return true;
}

bool byn_membership_remove(byn_membership *m, const char *name) {
  member *p = member_named(m, name);
  if (!p || (p->removed && p->state == IDLE)) return false;
  BYN_COVER(p->state, "remove");
  member_disconnect(m, p, "disconnected");
  p->configured = false;
  p->removed = true;
  update_deadline(m);
  byn_assert(p->state == IDLE);
  byn_assert(is_sound(m));
  return true;
}

void byn_membership_dialing(byn_membership *m, const char *name,
                            uint32_t link) {
  member *p = member_named(m, name);
  byn_assert(is_new_link(m, link));
  byn_assert(p && p->asked);
  BYN_COVER(p->state, "dialing");
  if (p->state == DIALING) {
    p->link = link;
  } else {
    bool unwanted = p->state == IDLE && p->removed;
    queue_action(m, BYN_MEMBER_CLOSE, p, link,
                 unwanted ? "disconnected" : "simultaneous");
  }
  set_state(m, p, p->state, false);
  update_deadline(m);
  byn_assert(is_sound(m));
}

/* Why a link that comes in must not take the place of what is there. */
static const char *reason_to_refuse(const byn_membership *m, const member *p,
                                    uint64_t incarnation) {
  switch (p->state) {
  case IDLE:
  case QUEUED:
    return NULL;
  case DIALING:
    return strcmp(m->name, p->name) < 0 ? "simultaneous" : NULL;
  case ADMITTED:
  case UP:
    if (incarnation > p->incarnation) return NULL;
    return incarnation == p->incarnation ? "already_connected"
                                         : "stale_incarnation";
  }
  return NULL;
}

const char *byn_membership_admit(byn_membership *m, const char *name,
                                 uint64_t incarnation, uint32_t link,
                                 int64_t now) {
  byn_assert(is_new_link(m, link));
  if (strcmp(name, m->name) == 0) return "own_name";
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "admit");
  const char *refusal = p ? reason_to_refuse(m, p, incarnation) : NULL;
  if (refusal) return refusal;
  if (!queue_reserve(m, 3)) return "out_of_memory";
  if (!p && !(p = member_new(m, name, now))) return "out_of_memory";
  member_disconnect(m, p, p->state == DIALING ? "simultaneous" : "restarted");
  p->link = link;
  p->incarnation = incarnation;
  p->hidden = false;
  set_state(m, p, ADMITTED, p->asked);
  update_deadline(m);
  byn_assert(is_sound(m));
  return NULL;
}

void byn_membership_hide(byn_membership *m, const char *name, uint32_t link) {
  byn_assert(link != 0);
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "hide");
  if (!p || p->link != link) return;
  byn_assert(p->state == DIALING || p->state == ADMITTED);
  p->hidden = true;
}

void byn_membership_link_up(byn_membership *m, const char *name,
                            uint64_t incarnation, uint32_t link, int64_t now) {
  (void)now;
  byn_assert(link != 0);
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "link_up");
  if (!p || p->link != link) return;
  byn_assert(p->state == DIALING || p->state == ADMITTED);
  p->incarnation = incarnation;
  p->wait = m->redial_min;
  set_state(m, p, UP, p->asked);
  if (!p->hidden) roster_insert(&m->up, p);
  queue_action(m, BYN_MEMBER_UP, p, link, "");
  byn_assert(is_sound(m));
}

void byn_membership_link_down(byn_membership *m, uint32_t link,
                              const char *reason, int64_t now) {
  member *p = member_on(m, link);
  BYN_COVER(p ? p->state : IDLE, "link_down");
  if (!p) return;
  if (p->state == UP) {
    p->forget_at = time_after(now, m->forget_after);
    if (reason && !strcmp(reason, "disconnected")) {
      p->configured = false;
      p->removed = true;
    }
  }
  member_idle(m, p, reason ? reason : "closed");
  redial_after_wait(m, p, now);
  update_deadline(m);
  byn_assert(is_sound(m));
}

void byn_membership_set_session(byn_membership *m, const char *name,
                                uint64_t session) {
  member *p = member_named(m, name);
  if (p) p->session = session;
}

uint64_t byn_membership_session(const byn_membership *m, const char *name) {
  const member *p = member_named(m, name);
  return p ? p->session : 0;
}

/* With no memory for the DIAL, another try after the shortest wait. */
static void queue_dial(byn_membership *m, member *p, int64_t now) {
  BYN_COVER(p->state, "dial_due");
  byn_assert(p->state == IDLE && !p->asked);
  if (!queue_reserve(m, 4)) {
    p->due = time_after(now, m->redial_min);
    return;
  }
  queue_action(m, BYN_MEMBER_DIAL, p, 0, "");
  set_state(m, p, QUEUED, p->asked);
}

void byn_membership_tick(byn_membership *m, int64_t now) {
  if (now < m->deadline) return;
  uint32_t i = 0;
  while (i < m->known.count) {
    member *p = m->known.at[i];
    if (is_forgettable(p) && p->forget_at <= now) {
      forget_member(m, p);
      continue;
    }
    if (due_of(p) <= now) queue_dial(m, p, now);
    i++;
  }
  update_deadline(m);
  byn_assert(m->deadline > now || now >= BYN_NEVER - 1);
  byn_assert(is_sound(m));
}

int64_t byn_membership_deadline(const byn_membership *m) {
  return m->deadline;
}

/* The owner is done with the action that it took last: nothing of it keeps its
 * member from being forgotten. */
static void release_taken(byn_membership *m) {
  member *p = m->taken.member;
  if (!p) return;
  byn_assert(p->held > 0);
  m->taken.member = NULL;
  p->held--;
  if (is_forgettable(p)) update_deadline(m);
}

/* Takes the next action out of the queue. false: it is a DIAL of a member that
 * needs none any more. */
static bool take_next(byn_membership *m) {
  byn_assert(!m->taken.member);
  m->taken = m->queue[m->head];
  m->head = (m->head + 1) % m->capacity;
  m->length--;
  member *p = m->taken.member;
  if (m->taken.kind != BYN_MEMBER_DIAL) return true;
  BYN_COVER(p->state, p->state == QUEUED ? "taken" : "overtaken");
  if (p->state != QUEUED) return false;
  p->hidden = false;
  set_state(m, p, DIALING, true);
  return true;
}

bool byn_membership_next(byn_membership *m, byn_member_action *action) {
  release_taken(m);
  while (m->length > 0) {
    if (take_next(m)) {
      byn_assert(is_sound(m));
      const entry *e = &m->taken;
      *action = (byn_member_action){e->kind, e->member->name, e->incarnation,
                                    e->link, e->reason,       e->hidden};
      return true;
    }
    release_taken(m);
  }
  byn_assert(is_sound(m));
  return false;
}

bool byn_membership_is_up(const byn_membership *m, const char *name) {
  const member *p = member_named(m, name);
  return p && p->state == UP;
}

uint32_t byn_membership_up_count(const byn_membership *m) {
  return m->up.count;
}

const char *byn_membership_up_name(const byn_membership *m, uint32_t index) {
  return index < m->up.count ? m->up.at[index]->name : NULL;
}
