#include "membership.h"

#include <string.h>

#include "coverage.h"
#include "rng.h"
#include "timers.h"

typedef enum state {
  IDLE,
  QUEUED, /* its DIAL waits in the queue; any link that comes in wins */
  DIALING,
  ADMITTED,
  UP
} state;

/* `asked`: a DIAL was taken and its link number is still to be told. It
 * outlives DIALING if the dial is overtaken in between. */
typedef struct member {
  state state;
  bool configured, removed, asked;
  bool hidden;   /* so was its last link */
  uint32_t link; /* in DIALING (0 while asked), ADMITTED and UP */
  uint32_t held; /* actions that point here */
  uint64_t incarnation;
  int64_t wait;      /* to follow the next failure, without jitter */
  int64_t due;       /* the next dial; counts in IDLE */
  int64_t forget_at; /* counts in IDLE, for one that was learned */
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

/* The queue is a ring of `capacity` entries. `owed` is how many may still
 * have to be pushed without asking for memory: length + owed <= capacity
 * holds between calls. */
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
static int64_t sane_wait(int64_t ms) {
  return ms > BYN_NEVER / 4 ? BYN_NEVER / 4 : at_least_one(ms);
}

/* Times stay below BYN_NEVER unless the wait is BYN_NEVER itself. */
static int64_t later(int64_t now, int64_t ms) {
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

/* The room was reserved. */
static void roster_insert(roster *r, member *p) {
  uint32_t index;
  if (roster_find(r, p->name, &index)) return;
  memmove(r->at + index + 1, r->at + index, (r->count - index) * sizeof *r->at);
  r->at[index] = p;
  r->count++;
}

static void roster_remove(roster *r, const member *p) {
  uint32_t index;
  if (!roster_find(r, p->name, &index)) return;
  r->count--;
  memmove(r->at + index, r->at + index + 1, (r->count - index) * sizeof *r->at);
}

/* -- the queue of actions ----------------------------------------------- */

/* What may follow from a state before its member is idle again: UP, DOWN
 * and CLOSE; and a CLOSE for a link whose number is still to come, for which
 * the DIAL leaves its place when it is taken. */
static size_t owed_by(const member *p) {
  static const size_t owed[] = {
      [IDLE] = 0, [QUEUED] = 3, [DIALING] = 3, [ADMITTED] = 3, [UP] = 2};
  return owed[p->state] + (p->asked ? 1 : 0);
}

static void set_state(byn_membership *m, member *p, state next, bool asked) {
  m->owed -= owed_by(p);
  p->state = next;
  p->asked = asked;
  m->owed += owed_by(p);
}

/* Room for `n` more than what is there and owed. */
static bool reserve(byn_membership *m, size_t n) {
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
  return true;
}

static void push(byn_membership *m, byn_member_action_kind kind, member *p,
                 const char *reason) {
  entry *e = &m->queue[(m->head + m->length++) % m->capacity];
  e->kind = kind;
  e->member = p;
  e->link = p->link;
  e->incarnation = p->incarnation;
  e->hidden = p->hidden;
  size_t n = strlen(reason);
  if (n > BYN_MEMBER_REASON_MAX) n = BYN_MEMBER_REASON_MAX;
  memcpy(e->reason, reason, n);
  e->reason[n] = '\0';
  p->held++;
}

static void pop(byn_membership *m) {
  m->taken = m->queue[m->head];
  m->head = (m->head + 1) % m->capacity;
  m->length--;
}

/* -- deadlines ---------------------------------------------------------- */

static bool forgettable(const member *p) {
  return p->state == IDLE && !p->asked && !p->configured && !p->removed &&
         p->held == 0;
}

static int64_t due_of(const member *p) {
  bool wanted = !p->removed && (p->configured || !p->hidden);
  return p->state == IDLE && !p->asked && wanted ? p->due : BYN_NEVER;
}

static int64_t wake_of(const member *p) {
  int64_t due = due_of(p);
  return forgettable(p) && p->forget_at < due ? p->forget_at : due;
}

static void refresh(byn_membership *m) {
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

static void dial_later(byn_membership *m, member *p, int64_t now) {
  p->due = later(now, jittered(m, p->wait));
  p->wait = p->wait > m->redial_max / 2 ? m->redial_max : p->wait * 2;
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

/* A new member, due now, or NULL. */
static member *learn(byn_membership *m, const char *name, int64_t now) {
  uint32_t count = m->known.count + 1;
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
  p->forget_at = later(now, m->forget_after);
  roster_insert(&m->known, p);
  return p;
}

static void forget(byn_membership *m, member *p) {
  roster_remove(&m->known, p);
  byn_free(&m->alloc, p, p->size);
}

/* The member has no link any more. */
static void settle(byn_membership *m, member *p) {
  set_state(m, p, IDLE, p->asked);
  p->link = 0;
}

static void tell_down(byn_membership *m, member *p, const char *reason) {
  push(m, BYN_MEMBER_DOWN, p, reason);
  roster_remove(&m->up, p);
}

/* Ends what the member has: a queued dial, a dial, a link. */
static void drop(byn_membership *m, member *p, const char *reason) {
  if (p->link) push(m, BYN_MEMBER_CLOSE, p, reason);
  if (p->state == UP) tell_down(m, p, reason);
  settle(m, p);
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
  m->redial_min = sane_wait(config->redial_min_ms);
  m->redial_max = sane_wait(config->redial_max_ms);
  if (m->redial_max < m->redial_min) m->redial_max = m->redial_min;
  m->forget_after = at_least_one(config->forget_after_ms);
  m->deadline = BYN_NEVER;
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
  if (!p && !(p = learn(m, name, now))) return false;
  BYN_COVER(p->state, "add");
  if (configured && p->removed) p->wait = m->redial_min;
  if (configured) {
    p->configured = true;
    p->removed = false;
  }
  if (now < p->due) p->due = now;
  p->forget_at = later(now, m->forget_after);
  refresh(m);
  return true;
}

bool byn_membership_remove(byn_membership *m, const char *name) {
  member *p = member_named(m, name);
  if (!p || (p->removed && p->state == IDLE)) return false;
  BYN_COVER(p->state, "remove");
  drop(m, p, "disconnected");
  p->configured = false;
  p->removed = true;
  refresh(m);
  return true;
}

void byn_membership_dialing(byn_membership *m, const char *name,
                            uint32_t link) {
  member *p = member_named(m, name);
  if (!p || !p->asked) return;
  BYN_COVER(p->state, "dialing");
  if (p->state == DIALING) {
    p->link = link;
  } else {
    bool unwanted = p->state == IDLE && p->removed;
    uint32_t kept = p->link;
    p->link = link;
    push(m, BYN_MEMBER_CLOSE, p, unwanted ? "disconnected" : "simultaneous");
    p->link = kept;
  }
  set_state(m, p, p->state, false);
  refresh(m);
}

/* Why a link that comes in must not take the place of what is there. */
static const char *objection(const byn_membership *m, const member *p,
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
  if (strcmp(name, m->name) == 0) return "own_name";
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "admit");
  const char *refusal = p ? objection(m, p, incarnation) : NULL;
  if (refusal) return refusal;
  if (!reserve(m, 3)) return "out_of_memory";
  if (!p && !(p = learn(m, name, now))) return "out_of_memory";
  drop(m, p, p->state == DIALING ? "simultaneous" : "restarted");
  p->link = link;
  p->incarnation = incarnation;
  p->hidden = false;
  set_state(m, p, ADMITTED, p->asked);
  refresh(m);
  return NULL;
}

void byn_membership_hide(byn_membership *m, const char *name) {
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "hide");
  if (p) p->hidden = true;
}

void byn_membership_link_up(byn_membership *m, const char *name,
                            uint64_t incarnation, uint32_t link, int64_t now) {
  (void)now;
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "link_up");
  if (!p || link == 0 || p->link != link || p->state == UP) return;
  p->incarnation = incarnation;
  p->wait = m->redial_min;
  set_state(m, p, UP, p->asked);
  if (!p->hidden) roster_insert(&m->up, p);
  push(m, BYN_MEMBER_UP, p, "");
}

void byn_membership_link_down(byn_membership *m, uint32_t link,
                              const char *reason, int64_t now) {
  member *p = member_on(m, link);
  BYN_COVER(p ? p->state : IDLE, "link_down");
  if (!p) return;
  if (p->state == UP) {
    tell_down(m, p, reason ? reason : "closed");
    p->forget_at = later(now, m->forget_after);
    if (reason && !strcmp(reason, "disconnected")) {
      p->configured = false;
      p->removed = true;
    }
  }
  settle(m, p);
  dial_later(m, p, now);
  refresh(m);
}

/* With no memory for the DIAL, another try after the shortest wait. */
static void queue_dial(byn_membership *m, member *p, int64_t now) {
  BYN_COVER(p->state, "dial_due");
  if (!reserve(m, 4)) {
    p->due = later(now, m->redial_min);
    return;
  }
  push(m, BYN_MEMBER_DIAL, p, "");
  set_state(m, p, QUEUED, p->asked);
}

void byn_membership_tick(byn_membership *m, int64_t now) {
  if (now < m->deadline) return;
  uint32_t i = 0;
  while (i < m->known.count) {
    member *p = m->known.at[i];
    if (forgettable(p) && p->forget_at <= now) {
      forget(m, p);
      continue;
    }
    if (due_of(p) <= now) queue_dial(m, p, now);
    i++;
  }
  refresh(m);
}

int64_t byn_membership_deadline(const byn_membership *m) {
  return m->deadline;
}

/* The action handed out last is done with; its member may be forgotten. */
static void release(byn_membership *m) {
  member *p = m->taken.member;
  if (!p) return;
  m->taken.member = NULL;
  p->held--;
  if (forgettable(p)) refresh(m);
}

/* A DIAL that was overtaken in the queue is none. */
static bool take(byn_membership *m) {
  pop(m);
  member *p = m->taken.member;
  if (m->taken.kind != BYN_MEMBER_DIAL) return true;
  BYN_COVER(p->state, p->state == QUEUED ? "taken" : "overtaken");
  if (p->state != QUEUED) return false;
  p->hidden = false;
  set_state(m, p, DIALING, true);
  return true;
}

bool byn_membership_next(byn_membership *m, byn_member_action *action) {
  release(m);
  while (m->length > 0) {
    if (take(m)) {
      const entry *e = &m->taken;
      *action = (byn_member_action){e->kind, e->member->name, e->incarnation,
                                    e->link, e->reason,       e->hidden};
      return true;
    }
    release(m);
  }
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
