/* Who is in the cluster: which nodes are known, which are up, which to dial.
 *
 * Membership sees links only as numbers. It is told when a link proves a
 * name, comes up or goes down, and answers with actions: dial a node, close
 * a link, a node is up, a node is down. A node has at most one link here:
 *
 *          _tick              _link_up
 *   IDLE ----------> DIALING ----------> UP
 *    |                                   ^
 *    |  _admit                 _link_up  |       _link_down, _remove: IDLE
 *    '-------------> ADMITTED -----------'
 *
 * Which of two links stays:
 *
 *   own dial under way, a link comes in   the one dialled by the node with
 *                                         the smaller name (bytewise); both
 *                                         sides decide so, in any order. But
 *                                         a dial that has not sent its PROOF
 *                                         yields: the other side has not let
 *                                         it in, and it may be lost
 *   ADMITTED or UP, a link of the same    the one that is there
 *   incarnation comes in
 *   ADMITTED or UP, a link of another     a claim (claim.h): the node that has
 *   incarnation comes in                  the name is asked on its link. It
 *                                         stays if it answers; otherwise, and
 *                                         as soon as its link is down, it is
 *                                         DOWN and the claimant is admitted
 *
 * Which incarnation is greater does not matter there: clocks may be set back,
 * and two hosts have two. A node that has restarted is let in as soon as it is
 * known that its last life is over; it never waits for longer than answer_ms.
 * A node that cannot be asked (see _mute) has twice the time: whatever it says
 * then is an answer.
 *
 * This node's own name is KEPT, DOUBTED or LOST. When another node refuses this
 * one as "name_taken", another life has this name there, and answers (see
 * _name_taken). Then
 *
 *   own incarnation greater than the      LOST: it began later
 *   holder's
 *   smaller, but a member is up           KEPT: a life that began later is in
 *                                         another part of the cluster, and will
 *                                         find its own name lost
 *   smaller, and none is up               DOUBTED until the dials that are
 *                                         under way have ended; if none of
 *                                         them is up, LOST: all have let the
 *                                         other in, while this one was stopped
 *                                         or cut off
 *
 * When this node is asked whether it lives (see _claimed), it answers; but if
 * the claimant is older and says that it has members, its own name is LOST.
 *
 * So of two lives that both have members one stops and the other stays, whoever
 * of them meets the members of the other: the later one yields. One that has no
 * members yields to one that has. A name that is LOST stays so; the owner stops
 * the node, and answers no question, so that the other one is let in.
 *
 * A node that is not up is dialled again after a wait that doubles from
 * redial_min_ms to redial_max_ms, give or take a quarter, so that two nodes
 * do not dial in step. Each end of a link or of a dial (a refused one too)
 * starts such a wait; a link that came up puts it back to the minimum. In the
 * first minute after a node was up no wait is longer than a second (or the
 * minimum, if that is longer): it is expected back.
 *
 * A node that was configured and is not up for unreachable_ms is reported as
 * UNREACHABLE, with the reason for which the last dial or link ended; again
 * after waits that double up to BYN_UNREACHABLE_MAX_MS, until it is up or
 * removed.
 *
 * A link of which either node is hidden (see _hide) connects the two, and is
 * of no account to anybody else: such a node is in no list of those that are
 * up, and is dialled only where it was configured.
 *
 * A node that was configured is dialled for ever, and so is one that is listed,
 * until it is not any more (then it is as one that was learned). The two do not
 * touch each other: what `configured` says of a node outlives a list that had
 * it in it, too. Above, "configured" means both. A node that was learned (from
 * another node, or because it came in) is forgotten forget_after_ms after it
 * was last up or added. One that was removed is remembered as such: it is not
 * dialled until it is added again as configured, whatever other nodes say of
 * it. If it dials in it is admitted: the other side wants the link. A node
 * that has removed this one (its goodbye has the reason "disconnected") counts
 * as removed here too, or the two would be connected again at once.
 *
 * The state changes within the call; the actions follow in order. On CLOSE the
 * owner closes the link before it takes the next action: nothing of it may be
 * heard after the DOWN that follows. Link numbers are the owner's, never 0
 * and never used twice.
 *
 * Failure is memory only. A call that cannot have it says so or tries again
 * later. Room for the DOWN and the CLOSE of a link is reserved before the link
 * is dialled, admitted or held, so each UP is followed by its DOWN, and each
 * claim by its ADMIT or REFUSE.
 */
#ifndef BYN_MEMBERSHIP_H
#define BYN_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"

/* A reason in an action is cut to this many bytes. */
#define BYN_MEMBER_REASON_MAX 63
#define BYN_UNREACHABLE_MAX_MS 300000

typedef struct byn_membership byn_membership;

typedef struct byn_membership_config {
  byn_alloc alloc;
  const char *name;     /* this node's, NUL-ended; copied */
  uint64_t incarnation; /* of this node */
  uint64_t seed;        /* for jitter */
  /* At least 1 is taken for the waits; BYN_NEVER never forgets. */
  int64_t redial_min_ms, redial_max_ms, forget_after_ms;
  int64_t answer_ms;      /* at most this long a claim is held */
  int64_t unreachable_ms; /* BYN_NEVER: no UNREACHABLE */
} byn_membership_config;

typedef enum byn_member_action_kind {
  BYN_MEMBER_DIAL,  /* open a link to `name`, report it with _dialing */
  BYN_MEMBER_CLOSE, /* close `link` for `reason`; it may be gone already */
  BYN_MEMBER_UP,    /* `name` is up over `link` */
  BYN_MEMBER_DOWN,  /* `name` is down for `reason` */
  BYN_MEMBER_ASK, /* ask the node on `link` question `number`: see _answered */
  BYN_MEMBER_ADMIT,  /* the claim of `link` is granted: as if _admit had said
                        so; _link_up or _link_down must follow */
  BYN_MEMBER_REFUSE, /* the claim of `link` is refused for `reason`:
                        "name_taken" or "simultaneous" */
  BYN_MEMBER_UNREACHABLE, /* `name` has not been up for long; the last dial
                             failed for `reason`, "timeout": none has ended */
  BYN_MEMBER_NAME_LOST    /* this node's name is LOST; once */
} byn_member_action_kind;

/* Strings are valid until the next call that changes the membership. */
typedef struct byn_member_action {
  byn_member_action_kind kind;
  const char *name;
  uint64_t incarnation; /* UP, DOWN: the node's; ASK: the claimant's; REFUSE:
                           of who has the name */
  uint32_t link;      /* all but DIAL and the last two: the one that is meant */
  uint32_t other;     /* ASK: the claimant's link; REFUSE: the holder's */
  uint64_t number;    /* ASK */
  const char *reason; /* CLOSE, DOWN, REFUSE, UNREACHABLE */
  bool hidden;        /* UP, DOWN: over a link of a hidden node */
} byn_member_action;

typedef enum byn_admission {
  BYN_ADMITTED,
  BYN_HELD, /* a claim: ADMIT or REFUSE follows, or _link_down takes it back */
  BYN_REFUSED
} byn_admission;

/* NULL when memory is short. */
byn_membership *byn_membership_new(const byn_membership_config *config);
void byn_membership_free(byn_membership *m);

/* Makes a node known, due to be dialled at once (by _tick) if it is idle.
 * Its own name is ignored, and a removed node that is not `configured`.
 * Configured nodes are never forgotten. false when memory is short. */
bool byn_membership_add(byn_membership *m, const char *name, bool configured,
                        int64_t now);
/* It is on a list from now on, or not: on one it is dialled as if it was
 * configured, also if it was removed before. Saying so again changes nothing;
 * nor does it close a link. false when memory is short. */
bool byn_membership_list(byn_membership *m, const char *name, bool listed,
                         int64_t now);
/* CLOSE of its link, if there is one, and DOWN, if it was up, follow at once
 * with reason "disconnected"; it is dialled no more. false if there was
 * nothing to remove. */
bool byn_membership_remove(byn_membership *m, const char *name);

/* The owner has a link number for the DIAL it took. This must follow each
 * DIAL, even where the link could not be opened: then _link_down comes right
 * after. If another link came in meanwhile, or the node was removed, CLOSE
 * follows. */
void byn_membership_dialing(byn_membership *m, const char *name, uint32_t link);

/* An incoming link has proved `name`. `crossed`: this node's own dial of that
 * node, if it has one under way, has sent its PROOF. REFUSED: for `reason`, one
 * of "already_connected", "simultaneous" (the other direction stays, or too
 * many claims are held), "own_name", "out_of_memory". What the new link
 * displaces is closed, as "simultaneous" at once or as "restarted" before its
 * ADMIT. */
byn_admission byn_membership_admit(byn_membership *m, const char *name,
                                   uint64_t incarnation, uint32_t link,
                                   bool crossed, int64_t now,
                                   const char **reason);
/* The node on that link has answered the questions up to this number. */
void byn_membership_answered(byn_membership *m, uint32_t link, uint64_t number);
/* The node of a link, dialled or admitted, cannot be asked. To be called before
 * _link_up; it holds until the link is down. */
void byn_membership_mute(byn_membership *m, const char *name, uint32_t link);

/* A dial of this node was refused as "name_taken": the life of that incarnation
 * has the name. To be called before the _link_down of that dial. */
void byn_membership_name_taken(byn_membership *m, uint64_t holder);
/* The peer of a link that is up asks whether this node lives, because that life
 * claims its name; `joined`: others have it up. Is it to be answered? */
bool byn_membership_claimed(byn_membership *m, uint64_t claimant, bool joined);
/* Is its own name LOST? */
bool byn_membership_has_lost_name(const byn_membership *m);

/* A link, dialled or admitted, is one of a hidden node, this one or the other.
 * To be called before _link_up; it holds until the link is down. A link that
 * was closed is ignored. */
void byn_membership_hide(byn_membership *m, const char *name, uint32_t link);
/* A link, dialled or admitted, is up: once for each. One that was closed is
 * ignored. */
void byn_membership_link_up(byn_membership *m, const char *name,
                            uint64_t incarnation, uint32_t link, int64_t now);
/* A link is down, whether it ever was up or not, or a claim that is held is
 * over; one that was closed, refused or never known is ignored. */
void byn_membership_link_down(byn_membership *m, uint32_t link,
                              const char *reason, int64_t now);

/* The last session with a node, or 0: its name for the links (link.h), kept
 * here for as long as the node is known. */
void byn_membership_set_session(byn_membership *m, const char *name,
                                uint64_t session);
uint64_t byn_membership_session(const byn_membership *m, const char *name);

/* Time passed: makes dials due, counts silence, forgets. */
void byn_membership_tick(byn_membership *m, int64_t now);
/* When _tick is due next, or BYN_NEVER (timers.h). O(1). */
int64_t byn_membership_deadline(const byn_membership *m);

/* The next action; false when there is none for now. */
bool byn_membership_next(byn_membership *m, byn_member_action *action);

/* Is it up? And the names of all that are and do not hide, in byte order, by
 * an index below the count (NULL above it). All O(1) but is_up, which is
 * O(log n). */
bool byn_membership_is_up(const byn_membership *m, const char *name);
uint32_t byn_membership_up_count(const byn_membership *m);
const char *byn_membership_up_name(const byn_membership *m, uint32_t index);

#endif
