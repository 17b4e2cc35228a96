/* Membership: the state of each known node, and the queue of actions. */
#include "membership.h"

#include <string.h>

#include "assert.h"
#include "claim.h"
#include "coverage.h"
#include "rng.h"
#include "roster.h"
#include "timers.h"

#define EXPECTED_MS 60000 /* so long a node that was up is expected back */
#define EXPECTED_WAIT_MS 1000

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
  bool configured, listed, removed, asked;
  bool hidden;   /* its link is, or the last one was, of a hidden node */
  bool mute;     /* on its link it cannot be asked */
  bool awaited;  /* its dial may show that our name is ours */
  uint32_t link; /* in DIALING (0 while asked), ADMITTED and UP; else 0 */
  uint32_t held; /* entries of the queue, `taken` and claims that point here */
  uint64_t incarnation;
  uint64_t session;      /* the last one, for the links */
  int64_t wait;          /* after the next failure, without jitter */
  int64_t due;           /* the time of the next dial; only used in IDLE */
  int64_t forget_at;     /* only used in IDLE, of one that was learned */
  int64_t expected_till; /* it was up lately */
  int64_t report_at, report_wait;          /* UNREACHABLE; not used in UP */
  char failure[BYN_MEMBER_REASON_MAX + 1]; /* of the last dial or link */
  size_t size;                             /* of this block */
  char name[];
} member;

BYN_MACHINE("membership: a member", "idle queued dialing admitted up",
            "add list remove dialing admit claim hide mute link_up link_down "
            "dial_due taken overtaken answered displaced unreachable");

typedef struct entry {
  byn_member_action_kind kind;
  uint32_t link;
  uint64_t incarnation;
  member *member;
  bool hidden;
  uint32_t other;  /* of claims alone */
  uint64_t number; /* of claims alone */
  char reason[BYN_MEMBER_REASON_MAX + 1];
} entry;

typedef enum own_name { KEPT, DOUBTED, LOST } own_name;

/* The queue is a ring of `capacity` entries. `owed` is how many more may have
 * to be queued without asking for memory: length + owed <= capacity holds
 * between calls. */
struct byn_membership {
  byn_alloc alloc;
  byn_rng rng;
  int64_t redial_min, redial_max, forget_after, unreachable_after;
  int64_t deadline;
  uint64_t incarnation;
  own_name own_name;
  bool tell_lost;
  byn_claims claims;
  byn_roster known, up; /* `up` has at least the room that `known` needs */
  entry *queue;
  size_t head, length, capacity, owed;
  entry taken; /* the action handed out last; its member is NULL if none */
  size_t name_size;
  char *name;
};

static member *member_at(const byn_membership *m, uint32_t i) {
  return m->known.at[i].thing;
}

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

/* -- the queue of actions ----------------------------------------------- */

/* How many actions may follow from a state before its member is idle again:
 * UP, DOWN and CLOSE. One more while the number of its link is not reported:
 * the CLOSE of that link, which has the DIAL's place in the queue. */
static size_t owed_by(const member *p) {
  static const size_t owed[] = {
      [IDLE] = 0, [QUEUED] = 3, [DIALING] = 3, [ADMITTED] = 3, [UP] = 2};
  return owed[p->state] + (p->asked ? 1 : 0);
}

/* So many are owed by a claim that may be granted. */
enum { OWED_BY_CLAIM = 3 };

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

static void copy_reason(char to[BYN_MEMBER_REASON_MAX + 1],
                        const char *reason) {
  size_t n = strlen(reason);
  if (n > BYN_MEMBER_REASON_MAX) n = BYN_MEMBER_REASON_MAX;
  memmove(to, reason, n);
  to[n] = '\0';
}

/* The room is owed, or was reserved. */
static void queue_action(byn_membership *m, byn_member_action_kind kind,
                         member *p, uint32_t link, const char *reason) {
  bool linked = kind != BYN_MEMBER_DIAL && kind != BYN_MEMBER_UNREACHABLE;
  byn_assert(m->length < m->capacity);
  byn_assert(linked == (link != 0));
  entry *e = &m->queue[(m->head + m->length++) % m->capacity];
  e->kind = kind;
  e->member = p;
  e->link = link;
  e->incarnation = p->incarnation;
  e->hidden = p->hidden;
  copy_reason(e->reason, reason);
  p->held++;
}

/* -- deadlines ---------------------------------------------------------- */

static bool is_kept(const member *p) {
  return p->configured || p->listed;
}

static bool is_forgettable(const member *p) {
  return p->state == IDLE && !p->asked && !is_kept(p) && !p->removed &&
         p->held == 0;
}

static int64_t due_of(const byn_membership *m, const member *p) {
  bool wanted = !p->removed && (is_kept(p) || !p->hidden);
  bool idle = p->state == IDLE && !p->asked && m->own_name != LOST;
  return idle && wanted ? p->due : BYN_NEVER;
}

static int64_t report_of(const member *p) {
  return is_kept(p) && p->state != UP ? p->report_at : BYN_NEVER;
}

static int64_t earlier_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t wake_of(const byn_membership *m, const member *p) {
  int64_t wake = earlier_of(due_of(m, p), report_of(p));
  return is_forgettable(p) ? earlier_of(wake, p->forget_at) : wake;
}

static void update_deadline(byn_membership *m) {
  m->deadline = byn_claims_deadline(&m->claims);
  for (uint32_t i = 0; i < m->known.count; i++)
    m->deadline = earlier_of(m->deadline, wake_of(m, member_at(m, i)));
}

/* The wait, give or take a quarter. */
static int64_t jittered(byn_membership *m, int64_t wait) {
  int64_t quarter = wait / 4;
  uint64_t span = (uint64_t)quarter * 2 + 1;
  return wait - quarter + (int64_t)byn_rng_below(&m->rng, span);
}

static void redial_after_wait(byn_membership *m, member *p, int64_t now) {
  int64_t most = m->redial_max;
  if (now < p->expected_till && most > EXPECTED_WAIT_MS)
    most = EXPECTED_WAIT_MS > m->redial_min ? EXPECTED_WAIT_MS : m->redial_min;
  if (p->wait > most) p->wait = most;
  p->due = time_after(now, jittered(m, p->wait));
  p->wait = p->wait > most / 2 ? most : p->wait * 2;
}

/* From now on the time counts after which it is UNREACHABLE. */
static void expect_member(const byn_membership *m, member *p, int64_t now) {
  p->report_wait = m->unreachable_after;
  p->report_at = time_after(now, p->report_wait);
}

/* -- what holds between calls -------------------------------------------- */

static bool is_member_sound(const byn_membership *m, const member *p) {
  bool linked = p->state >= DIALING && !(p->state == DIALING && p->asked);
  if ((p->link != 0) != linked) return false;
  if (is_kept(p) && p->removed) return false;
  if (p->state == QUEUED && p->asked) return false;
  const member *listed = byn_roster_get(&m->up, p->name);
  return listed == (p->state == UP && !p->hidden ? p : NULL);
}

/* More members are not looked through at each call. */
enum { LOOKED_THROUGH = 64 };

static bool is_sound(const byn_membership *m) {
  size_t owed = OWED_BY_CLAIM * (size_t)byn_claims_undecided(&m->claims);
  size_t held = (m->taken.member ? 1 : 0) + m->claims.count;
  if (m->length + m->owed > m->capacity) return false;
  if (m->up.count > m->known.count || m->up.capacity < m->known.count)
    return false;
  if (m->known.count > LOOKED_THROUGH) return true;
  for (uint32_t i = 0; i < m->known.count; i++) {
    const member *p = member_at(m, i);
    if (!is_member_sound(m, p) || !byn_roster_is_sorted(&m->known, i))
      return false;
    owed += owed_by(p);
    held -= p->held;
  }
  return owed == m->owed && held + m->length == 0;
}

/* -- members ------------------------------------------------------------ */

static member *member_named(const byn_membership *m, const char *name) {
  return byn_roster_get(&m->known, name);
}

static member *member_on(const byn_membership *m, uint32_t link) {
  if (link == 0) return NULL;
  for (uint32_t i = 0; i < m->known.count; i++)
    if (member_at(m, i)->link == link) return member_at(m, i);
  return NULL;
}

/* Is it the number of a link that no member and no claim has? */
static bool is_new_link(const byn_membership *m, uint32_t link) {
  return link != 0 && !member_on(m, link) && !byn_claims_has(&m->claims, link);
}

/* A new member, due now, or NULL. */
static member *member_new(byn_membership *m, const char *name, int64_t now) {
  uint32_t count = m->known.count + 1;
  byn_assert(!member_named(m, name));
  if (!byn_roster_reserve(&m->alloc, &m->known, count)) return NULL;
  if (!byn_roster_reserve(&m->alloc, &m->up, count)) return NULL;
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
  p->expected_till = INT64_MIN;
  p->report_at = BYN_NEVER;
  copy_reason(p->failure, "timeout");
  byn_roster_insert(&m->known, p->name, p);
  return p;
}

static void forget_member(byn_membership *m, member *p) {
  byn_assert(is_forgettable(p));
  byn_assert(p->link == 0);
  byn_roster_remove(&m->known, p->name);
  byn_free(&m->alloc, p, p->size);
}

/* The member has no link any more: DOWN follows if it was up. */
static void member_idle(byn_membership *m, member *p, const char *reason) {
  if (p->state == UP) {
    queue_action(m, BYN_MEMBER_DOWN, p, p->link, reason);
    byn_roster_remove(&m->up, p->name);
  }
  set_state(m, p, IDLE, p->asked);
  p->link = 0;
  p->mute = p->awaited = false;
}

/* Ends what the member has: a queued dial, a dial, a link. */
static void member_disconnect(byn_membership *m, member *p,
                              const char *reason) {
  if (p->link) queue_action(m, BYN_MEMBER_CLOSE, p, p->link, reason);
  member_idle(m, p, reason);
}

/* -- claims ------------------------------------------------------------- */

/* Holds the link of another life while that of `p` is asked. */
static byn_admission hold_claim(byn_membership *m, member *p,
                                uint64_t incarnation, uint32_t link,
                                int64_t now, const char **reason) {
  uint32_t before = byn_claims_undecided(&m->claims);
  BYN_COVER(p->state, "claim");
  *reason = "out_of_memory";
  if (!queue_reserve(m, OWED_BY_CLAIM)) return BYN_REFUSED;
  *reason = "simultaneous";
  if (!byn_claims_hold(&m->claims, p, incarnation, link, p->mute ? 2 : 1, now))
    return BYN_REFUSED;
  p->held++;
  m->owed += OWED_BY_CLAIM * (byn_claims_undecided(&m->claims) - before);
  update_deadline(m);
  byn_assert(is_sound(m));
  return BYN_HELD;
}

/* The claims that were decided since owe nothing any more. */
static void settle_owed(byn_membership *m, uint32_t undecided_before) {
  uint32_t now = byn_claims_undecided(&m->claims);
  byn_assert(now <= undecided_before);
  m->owed -= OWED_BY_CLAIM * (size_t)(undecided_before - now);
}

/* The member has no link any more: if its name is claimed, the claimant takes
 * its place. */
static bool grant_claim(byn_membership *m, member *p) {
  uint32_t before = byn_claims_undecided(&m->claims);
  byn_claim granted;
  byn_assert(p->state == IDLE);
  if (!byn_claims_grant(&m->claims, p, &granted)) return false;
  settle_owed(m, before);
  p->link = granted.link;
  p->incarnation = granted.incarnation;
  p->hidden = false;
  set_state(m, p, ADMITTED, p->asked);
  return true;
}

/* Takes back the claim with that link, if there is one. */
static void withdraw_claim(byn_membership *m, uint32_t link) {
  uint32_t before = byn_claims_undecided(&m->claims);
  byn_claim withdrawn;
  if (!byn_claims_withdraw(&m->claims, link, &withdrawn)) return;
  settle_owed(m, before);
  ((member *)withdrawn.holder)->held--;
}

static void displace_silent(byn_membership *m, int64_t now) {
  member *p;
  while ((p = byn_claims_silent(&m->claims, now))) {
    BYN_COVER(p->state, "displaced");
    byn_assert(p->state == ADMITTED || p->state == UP);
    member_disconnect(m, p, "restarted");
    expect_member(m, p, now);
    grant_claim(m, p);
  }
}

/* Takes what is to be told of a claim. */
static bool take_claim(byn_membership *m) {
  static const byn_member_action_kind kinds[] = {
      [BYN_CLAIM_ASKING] = BYN_MEMBER_ASK,
      [BYN_CLAIM_ANSWERED] = BYN_MEMBER_REFUSE,
      [BYN_CLAIM_GRANTED] = BYN_MEMBER_ADMIT,
      [BYN_CLAIM_PASSED] = BYN_MEMBER_REFUSE};
  byn_claim claim;
  if (!byn_claims_next(&m->claims, &claim)) return false;
  member *p = claim.holder;
  bool asks = claim.state == BYN_CLAIM_ASKING;
  m->taken = (entry){.kind = kinds[claim.state],
                     .member = p,
                     .link = asks ? p->link : claim.link,
                     .other = asks ? claim.link : p->link,
                     .number = claim.number,
                     .incarnation = asks ? claim.incarnation : p->incarnation};
  if (m->taken.kind == BYN_MEMBER_REFUSE)
    copy_reason(m->taken.reason, claim.state == BYN_CLAIM_ANSWERED
                                     ? "name_taken"
                                     : "simultaneous");
  if (asks) p->held++;
  return true;
}

/* -- this node's own name ----------------------------------------------- */

static void lose_name(byn_membership *m) {
  m->own_name = LOST;
  m->tell_lost = true;
}

/* Something may have shown whether anybody has this node for a member. */
static void judge_own_name(byn_membership *m) {
  bool awaits = false;
  if (m->own_name != DOUBTED) return;
  for (uint32_t i = 0; i < m->known.count; i++) {
    const member *p = member_at(m, i);
    awaits = awaits || p->awaited || p->state == ADMITTED;
  }
  if (m->up.count > 0)
    m->own_name = KEPT;
  else if (!awaits)
    lose_name(m);
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
  m->unreachable_after = at_least_one(config->unreachable_ms);
  m->incarnation = config->incarnation;
  byn_claims_init(&m->claims, config->answer_ms);
  m->deadline = BYN_NEVER;
  byn_assert(is_sound(m));
  return m;
}

void byn_membership_free(byn_membership *m) {
  if (!m) return;
  byn_alloc alloc = m->alloc;
  for (uint32_t i = 0; i < m->known.count; i++)
    byn_free(&alloc, member_at(m, i), member_at(m, i)->size);
  byn_roster_free(&alloc, &m->known);
  byn_roster_free(&alloc, &m->up);
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
  if (configured && !is_kept(p)) expect_member(m, p, now);
  p->configured = p->configured || configured;
  p->removed = p->removed && !configured;
  if (now < p->due) p->due = now;
  p->forget_at = time_after(now, m->forget_after);
  update_deadline(m);
  byn_assert(m->deadline <= wake_of(m, p));
  byn_assert(is_sound(m));
  return true;
}

bool byn_membership_list(byn_membership *m, const char *name, bool listed,
                         int64_t now) {
  if (strcmp(name, m->name) == 0) return true;
  member *p = member_named(m, name);
  if (!p && (!listed || !(p = member_new(m, name, now)))) return !listed;
  if (p->listed == listed) return true;
  BYN_COVER(p->state, "list");
  if (listed && !is_kept(p)) {
    expect_member(m, p, now);
    p->wait = m->redial_min;
    if (now < p->due) p->due = now;
  }
  p->removed = p->removed && !listed;
  if (!listed) p->forget_at = time_after(now, m->forget_after);
  p->listed = listed;
  update_deadline(m);
  byn_assert(is_sound(m));
  return true;
}

bool byn_membership_remove(byn_membership *m, const char *name) {
  member *p = member_named(m, name);
  if (!p || (p->removed && p->state == IDLE)) return false;
  uint32_t undecided = byn_claims_undecided(&m->claims);
  BYN_COVER(p->state, "remove");
  member_disconnect(m, p, "disconnected");
  byn_claims_pass(&m->claims, p);
  settle_owed(m, undecided);
  p->configured = p->listed = false;
  p->removed = true;
  judge_own_name(m);
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

byn_admission byn_membership_admit(byn_membership *m, const char *name,
                                   uint64_t incarnation, uint32_t link,
                                   bool crossed, int64_t now,
                                   const char **reason) {
  byn_assert(is_new_link(m, link));
  *reason = "own_name";
  if (strcmp(name, m->name) == 0) return BYN_REFUSED;
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "admit");
  if (p && p->state >= ADMITTED) {
    *reason = "already_connected";
    if (incarnation == p->incarnation) return BYN_REFUSED;
    return hold_claim(m, p, incarnation, link, now, reason);
  }
  *reason = "simultaneous";
  if (p && p->state == DIALING && crossed && strcmp(m->name, p->name) < 0)
    return BYN_REFUSED;
  *reason = "out_of_memory";
  if (!queue_reserve(m, 3)) return BYN_REFUSED;
  if (!p && !(p = member_new(m, name, now))) return BYN_REFUSED;
  member_disconnect(m, p, "simultaneous");
  p->link = link;
  p->incarnation = incarnation;
  p->hidden = false;
  set_state(m, p, ADMITTED, p->asked);
  update_deadline(m);
  byn_assert(is_sound(m));
  return BYN_ADMITTED;
}

void byn_membership_answered(byn_membership *m, uint32_t link,
                             uint64_t number) {
  member *p = member_on(m, link);
  BYN_COVER(p ? p->state : IDLE, "answered");
  if (!p) return;
  uint32_t undecided = byn_claims_undecided(&m->claims);
  byn_claims_answered(&m->claims, p, number);
  settle_owed(m, undecided);
  update_deadline(m);
  byn_assert(is_sound(m));
}

void byn_membership_mute(byn_membership *m, const char *name, uint32_t link) {
  byn_assert(link != 0);
  member *p = member_named(m, name);
  BYN_COVER(p ? p->state : IDLE, "mute");
  if (p && p->link == link) p->mute = true;
}

void byn_membership_name_taken(byn_membership *m, uint64_t holder) {
  if (m->own_name == LOST) return;
  if (m->incarnation > holder) {
    lose_name(m);
    update_deadline(m);
    return;
  }
  m->own_name = DOUBTED;
  for (uint32_t i = 0; i < m->known.count; i++) {
    member *p = member_at(m, i);
    p->awaited = p->state != IDLE && p->state != UP;
  }
  judge_own_name(m);
}

bool byn_membership_claimed(byn_membership *m, uint64_t claimant, bool joined) {
  if (m->own_name != LOST && joined && claimant < m->incarnation) {
    lose_name(m);
    update_deadline(m);
  }
  return m->own_name != LOST;
}

bool byn_membership_has_lost_name(const byn_membership *m) {
  return m->own_name == LOST;
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
  p->awaited = false;
  set_state(m, p, UP, p->asked);
  if (!p->hidden) byn_roster_insert(&m->up, p->name, p);
  queue_action(m, BYN_MEMBER_UP, p, link, "");
  judge_own_name(m);
  update_deadline(m);
  byn_assert(is_sound(m));
}

static void member_was_up(byn_membership *m, member *p, const char *reason,
                          int64_t now) {
  p->forget_at = time_after(now, m->forget_after);
  p->expected_till = time_after(now, EXPECTED_MS);
  expect_member(m, p, now);
  if (strcmp(reason, "disconnected") != 0) return;
  p->configured = p->listed = false;
  p->removed = true;
}

void byn_membership_link_down(byn_membership *m, uint32_t link,
                              const char *reason, int64_t now) {
  member *p = member_on(m, link);
  if (!reason) reason = "closed";
  withdraw_claim(m, link);
  BYN_COVER(p ? p->state : IDLE, "link_down");
  if (p) {
    if (p->state == UP) member_was_up(m, p, reason, now);
    copy_reason(p->failure, reason);
    member_idle(m, p, reason);
    if (!grant_claim(m, p)) redial_after_wait(m, p, now);
    judge_own_name(m);
  }
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

/* With no memory for it, another try when the next one would be due. */
static void report_unreachable(byn_membership *m, member *p, int64_t now) {
  BYN_COVER(p->state, "unreachable");
  if (queue_reserve(m, 1))
    queue_action(m, BYN_MEMBER_UNREACHABLE, p, 0, p->failure);
  p->report_wait = p->report_wait > BYN_UNREACHABLE_MAX_MS / 2
                       ? BYN_UNREACHABLE_MAX_MS
                       : p->report_wait * 2;
  p->report_at = time_after(now, p->report_wait);
}

void byn_membership_tick(byn_membership *m, int64_t now) {
  if (now < m->deadline) return;
  uint32_t i = 0;
  displace_silent(m, now);
  while (i < m->known.count) {
    member *p = member_at(m, i);
    if (is_forgettable(p) && p->forget_at <= now) {
      forget_member(m, p);
      continue;
    }
    if (report_of(p) <= now) report_unreachable(m, p, now);
    if (due_of(m, p) <= now) queue_dial(m, p, now);
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
 * needs none any more, or UNREACHABLE of one that was reached. */
static bool take_next(byn_membership *m) {
  byn_assert(!m->taken.member);
  m->taken = m->queue[m->head];
  m->head = (m->head + 1) % m->capacity;
  m->length--;
  member *p = m->taken.member;
  if (m->taken.kind == BYN_MEMBER_UNREACHABLE)
    return is_kept(p) && p->state != UP;
  if (m->taken.kind != BYN_MEMBER_DIAL) return true;
  BYN_COVER(p->state, p->state == QUEUED ? "taken" : "overtaken");
  if (p->state != QUEUED) return false;
  p->hidden = false;
  set_state(m, p, DIALING, true);
  return true;
}

static bool give_taken(const byn_membership *m, byn_member_action *action) {
  const entry *e = &m->taken;
  byn_assert(is_sound(m));
  *action = (byn_member_action){.kind = e->kind,
                                .name = e->member->name,
                                .incarnation = e->incarnation,
                                .link = e->link,
                                .other = e->other,
                                .number = e->number,
                                .reason = e->reason,
                                .hidden = e->hidden};
  return true;
}

/* Claims come last: of an ADMIT the DOWN has been told. */
bool byn_membership_next(byn_membership *m, byn_member_action *action) {
  release_taken(m);
  while (m->length > 0) {
    if (take_next(m)) return give_taken(m, action);
    release_taken(m);
  }
  if (take_claim(m)) return give_taken(m, action);
  byn_assert(is_sound(m));
  if (!m->tell_lost) return false;
  m->tell_lost = false;
  *action = (byn_member_action){.kind = BYN_MEMBER_NAME_LOST, .name = m->name};
  return true;
}

bool byn_membership_is_up(const byn_membership *m, const char *name) {
  const member *p = member_named(m, name);
  return p && p->state == UP;
}

uint32_t byn_membership_up_count(const byn_membership *m) {
  return m->up.count;
}

const char *byn_membership_up_name(const byn_membership *m, uint32_t index) {
  return index < m->up.count ? m->up.at[index].name : NULL;
}
