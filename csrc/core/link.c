/* Links: sessions that outlive their connections. */
#include "link.h"

#include <string.h>

#include "assert.h"
#include "coverage.h"
#include "silence.h"

#define WINDOW_MAX ((size_t)1 << 18)
/* The buffer of large messages is kept from one to the next, up to a size, and
 * given back when none has come for a while. */
#define PARTS_KEPT ((size_t)2 << 20)
#define PARTS_IDLE_MS 1000
/* A killed host closes its connections before the socket on which it listens:
 * a first attempt may fall between the two, and then the next shows the end. */
#define REDIAL_MIN_MS 4
#define REDIAL_MAX_MS 1000
#define ATTEMPT_MIN_MS 50

typedef enum link_state { NEW, UP, SILENT, BROKEN, DOWN } link_state;

BYN_MACHINE("link", "new up silent broken down",
            "connect connect_failed welcomed resume resume_refused data again "
            "acknowledged lost final dial_failed dial_refused quiet heard "
            "redial reconnect_over silence patient gap close send ask asked "
            "answered");

struct byn_link {
  byn_link_config config;
  char peer[BYN_NAME_MAX + 1];
  link_state state;
  bool dialled;   /* the session was begun by us */
  bool resumable; /* both ends speak a version that resumes */
  bool listens;   /* that life was dialled before, or says that it listens */
  uint64_t session, previous, dial;
  uint64_t incarnation; /* the peer's */
  uint8_t traits;       /* the peer's */
  uint64_t attempt;     /* of the current connection, or the last one */
  uint64_t dialling;    /* the greatest attempt that we dialled */
  byn_connection *current, *proving;
  byn_outbox out;
  byn_buf parts;         /* of a message whose last part has not come */
  size_t parts_whole;    /* of them, from frames that are here to their end */
  int64_t parts_at;      /* when they were used last */
  uint64_t number;       /* of the last data frame on the current connection */
  size_t unacknowledged; /* bytes of data frames since we acknowledged */
  size_t window;         /* the peer wants to hear after a quarter of it */
  int64_t now;           /* the latest time told */
  int64_t heard_at, broken_at, redial_at;
  int64_t redial_wait;   /* before the next attempt, once this one has failed */
  int64_t attempt_ms;    /* that the next attempt may take */
  bool patient;          /* this silence ends it reconnect_ms later */
  byn_question question; /* the last that was asked; number 0: none */
  int64_t asked_at;
  bool asks;         /* it is not answered */
  byn_holder holder; /* of this node's name, if the peer said so */
  bool parts_given;  /* the parts were given out as a message */
  bool tell_dial, tell_up, tell_broken, tell_resumed, tell_answered;
  bool tell_down;
  char reason[BYN_REASON_MAX + 1];
};

static int64_t later(int64_t now, int64_t ms) {
  return now > 0 && ms > BYN_NEVER - now ? BYN_NEVER : now + ms;
}

static int64_t earlier_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* What must hold between two calls. */
static inline bool link_is_consistent(const byn_link *l) {
  bool has = l->current != NULL;
  return has == (l->state == UP || l->state == SILENT) &&
         (l->state != DOWN || !l->proving) &&
         (!l->current || l->current != l->proving) &&
         (l->state == NEW || l->state == DOWN || l->session != 0) &&
         (l->state != NEW || l->attempt == 0);
}

/* --- making --------------------------------------------------------------- */

static bool copy_name(char to[BYN_NAME_MAX + 1], const char *name) {
  size_t n = 0;
  while (n <= BYN_NAME_MAX && name[n])
    n++;
  if (!byn_name_is_valid(name, n)) return false;
  memcpy(to, name, n + 1);
  return true;
}

static byn_link *link_new(const byn_link_config *config, const char *peer,
                          int64_t now) {
  byn_link *l = byn_new(&config->connection.alloc, sizeof *l);
  if (!l) return NULL;
  memset(l, 0, sizeof *l);
  l->config = *config;
  l->now = l->heard_at = now;
  byn_outbox_init(&l->out, &l->config.connection.alloc);
  byn_buf_init(&l->parts, &l->config.connection.alloc);
  if (copy_name(l->peer, peer)) return l;
  byn_link_free(l);
  return NULL;
}

byn_link *byn_link_dial(const byn_link_config *config, const char *peer,
                        uint64_t dial, uint64_t previous, int64_t now) {
  byn_link *l = link_new(config, peer, now);
  if (!l) return NULL;
  l->state = NEW;
  l->dialled = true;
  l->dial = dial;
  l->previous = previous;
  l->tell_dial = true;
  byn_assert(link_is_consistent(l));
  return l;
}

void byn_link_free(byn_link *link) {
  byn_alloc alloc;
  if (!link) return;
  alloc = link->config.connection.alloc;
  byn_outbox_free(&link->out);
  byn_buf_free(&link->parts);
  byn_free(&alloc, link, sizeof *link);
}

/* So much may be on its way before the peer has to acknowledge: a small part
 * of the queue, or senders would wait for acknowledgements. */
static uint32_t own_window(const byn_link *l) {
  size_t window = l->config.max_queue / 64;
  return (uint32_t)(window < WINDOW_MAX ? window : WINDOW_MAX);
}

/* --- down, broken, up ----------------------------------------------------- */

static void let_go(byn_connection **at) {
  if (*at) byn_connection_drop(*at);
  *at = NULL;
}

static void set_link_reason(byn_link *l, const char *reason) {
  size_t n = strlen(reason);
  if (n > BYN_REASON_MAX) n = BYN_REASON_MAX;
  memcpy(l->reason, reason, n);
  l->reason[n] = '\0';
}

/* The end. The current connection has said what it has to say. */
static void go_down(byn_link *l, const char *reason) {
  byn_assert(l->state != DOWN);
  if (reason != l->reason) set_link_reason(l, reason);
  l->state = DOWN;
  l->tell_dial = l->tell_up = l->tell_broken = l->tell_resumed = false;
  l->asks = l->tell_answered = false;
  l->tell_down = true;
  l->current = NULL;
  let_go(&l->proving);
  byn_outbox_abort(&l->out);
  byn_outbox_forget(&l->out);
  byn_assert(link_is_consistent(l));
}

/* The end where nobody is there to read what waits. */
static void link_cut_off(byn_link *l, const char *reason) {
  let_go(&l->current);
  byn_outbox_clear(&l->out);
  go_down(l, reason);
}

/* The end that the peer is told of. */
static void part_with(byn_link *l, const char *reason) {
  if (l->current)
    byn_connection_goodbye(l->current, reason);
  else
    byn_outbox_clear(&l->out);
  go_down(l, reason);
}

/* The first attempt is made at once, and may take a quarter of the time that
 * there is: it may get lost itself. One that follows such an attempt may take
 * longer, as the way may be long. */
static void begin_dialling(byn_link *l) {
  l->redial_at = l->now;
  l->redial_wait = REDIAL_MIN_MS;
  l->attempt_ms = l->config.reconnect_ms / 4;
  if (l->attempt_ms < ATTEMPT_MIN_MS) l->attempt_ms = ATTEMPT_MIN_MS;
}

/* The current connection is lost. */
static void go_broken(byn_link *l, const char *reason) {
  byn_assert(l->resumable && l->current);
  set_link_reason(l, reason);
  let_go(&l->current);
  if (l->state != SILENT) begin_dialling(l);
  l->state = BROKEN;
  l->broken_at = l->now;
  l->tell_broken = true;
  byn_assert(link_is_consistent(l));
}

/* This connection is the current one from now on; its first data frame is the
 * one after `number`. */
static void go_on_with(byn_link *l, byn_connection *c, uint64_t number,
                       uint32_t window) {
  byn_assert(number <= l->out.received);
  l->state = UP;
  l->current = c;
  l->number = number;
  byn_buf_truncate(&l->parts, l->parts_whole);
  l->window = window;
  l->unacknowledged = 0;
  l->heard_at = l->now;
  l->patient = false;
  l->tell_dial = l->tell_broken = false;
  if (l->asks) byn_connection_ask(c, &l->question);
  byn_assert(link_is_consistent(l));
}

static void begin_session(byn_link *l, const byn_connection_event *e) {
  l->session = e->opening;
  l->incarnation = e->incarnation;
  l->traits = e->traits;
  l->resumable = e->resumes;
  l->listens = l->dialled || (e->traits & BYN_TRAIT_LISTENS);
  l->out.keeps = e->resumes;
  if ((l->config.connection.traits | e->traits) & BYN_TRAIT_QUIET)
    l->config.down_after_ms = BYN_NEVER;
  l->tell_up = true;
}

byn_link *byn_link_admit(const byn_link_config *config, byn_connection *c,
                         const byn_connection_event *admit, int64_t now) {
  byn_link *l = link_new(config, admit->name, now);
  byn_resumed resumed = {0};
  if (!l) {
    byn_connection_refuse(c, "out_of_memory");
    return NULL;
  }
  l->dial = admit->resume.attempt;
  l->state = BROKEN; /* until it has its connection */
  begin_session(l, admit);
  resumed.window = own_window(l);
  if (!byn_connection_admit(c, &resumed, &l->out, now)) {
    byn_link_free(l);
    return NULL;
  }
  go_on_with(l, c, 0, admit->resume.window);
  return l;
}

/* --- dialling ------------------------------------------------------------- */

/* The peer has a dial of its own under way, which it will keep. Another of
 * ours would only overtake that, as the later attempt, and be refused for the
 * next. */
static void wait_for_dial_of_peer(byn_link *l) {
  l->redial_at = later(l->now, l->attempt_ms);
}

static void redial_later(byn_link *l) {
  l->redial_at = later(l->now, l->redial_wait);
  l->redial_wait = earlier_of(2 * l->redial_wait, REDIAL_MAX_MS);
}

byn_connection *byn_link_connect(byn_link *link,
                                 const uint8_t nonce[BYN_NONCE_SIZE],
                                 int64_t now) {
  byn_resume resume = {.window = own_window(link)};
  byn_connection_config config = link->config.connection;
  BYN_COVER(link->state, "connect");
  byn_assert(link->state != DOWN && !link->proving);
  link->now = now;
  if (link->state == NEW) {
    resume.attempt = link->dial;
    resume.previous = link->previous;
  } else {
    if (link->dialling < link->attempt) link->dialling = link->attempt;
    resume.session = link->session;
    resume.attempt = ++link->dialling;
    resume.received = link->out.received;
    config.handshake_ms = earlier_of(config.handshake_ms, link->attempt_ms);
  }
  link->proving = byn_connection_dial(&config, link->peer, nonce, &resume, now);
  if (!link->proving) byn_link_connect_failed(link, "out_of_memory", now);
  return link->proving;
}

void byn_link_connect_failed(byn_link *link, const char *reason, int64_t now) {
  BYN_COVER(link->state, "connect_failed");
  if (link->state == DOWN) return;
  link->now = now;
  if (link->state == NEW)
    go_down(link, reason);
  else
    redial_later(link);
}

/* Our dial was welcomed: with the life that the session is with? */
static void on_welcome(byn_link *l, const byn_connection_event *e) {
  byn_connection *c = l->proving;
  BYN_COVER(l->state, "welcomed");
  l->proving = NULL;
  if (l->state == NEW) {
    begin_session(l, e);
  } else if (e->incarnation != l->incarnation) {
    byn_connection_drop(c);
    link_cut_off(l, "restarted");
    return;
  } else {
    l->attempt = l->dialling;
    l->tell_resumed = true;
  }
  if (e->resumed.after > l->out.received ||
      !byn_outbox_acknowledge(&l->out, e->resumed.received)) {
    byn_connection_drop(c);
    link_cut_off(l, "bad_frame");
    return;
  }
  let_go(&l->current);
  if (l->out.keeps) byn_outbox_rewind(&l->out);
  byn_connection_attach(c, &l->out, l->now);
  l->listens = true;
  go_on_with(l, c, e->resumed.after, e->resumed.window);
}

static void on_dial_ended(byn_link *l, const byn_connection_event *e) {
  byn_connection *c = l->proving;
  BYN_COVER(l->state, e->refused ? "dial_refused" : "dial_failed");
  l->proving = NULL;
  l->holder = *e->holder;
  if (l->state == NEW || e->final || (e->refused && l->listens)) {
    let_go(&l->current);
    byn_outbox_clear(&l->out);
    go_down(l, e->reason);
  } else if (l->state != UP) {
    if (!strcmp(e->reason, "handshake_timeout"))
      l->attempt_ms = earlier_of(2 * l->attempt_ms, l->config.reconnect_ms);
    if (!strcmp(e->reason, "simultaneous"))
      wait_for_dial_of_peer(l);
    else
      redial_later(l);
  }
  byn_connection_drop(c);
}

/* --- connections that come in --------------------------------------------- */

bool byn_link_has(const byn_link *link, const byn_connection_event *admit) {
  return link->state != DOWN && link->resumable &&
         link->session == admit->resume.session &&
         link->incarnation == admit->incarnation &&
         strcmp(link->peer, admit->name) == 0;
}

bool byn_link_is_lost(const byn_link *link, const byn_connection_event *admit) {
  if (admit->resume.session || !admit->resumes) return false;
  if (!byn_link_is_up(link) || link->incarnation != admit->incarnation ||
      strcmp(link->peer, admit->name) != 0)
    return false;
  return admit->resume.previous == link->session ||
         (!link->dialled && admit->resume.attempt > link->dial);
}

bool byn_link_is_proving(const byn_link *link) {
  return link->proving && byn_connection_is_proving(link->proving);
}

/* Is it one that both ends keep, of those that the link knows of? A dial of
 * ours that has not sent its PROOF can be kept by nobody, and may be lost. */
static bool is_preferred(const byn_link *l, uint64_t attempt) {
  if (attempt <= l->attempt) return false;
  if (!byn_link_is_proving(l)) return true;
  if (attempt > l->dialling) return true;
  return attempt == l->dialling &&
         strcmp(l->config.connection.name, l->peer) > 0;
}

const char *byn_link_resume(byn_link *link, byn_connection *c,
                            const byn_connection_event *admit, int64_t now) {
  byn_resumed resumed = {.window = own_window(link)};
  byn_assert(byn_link_has(link, admit));
  link->now = now;
  if (!is_preferred(link, admit->resume.attempt)) {
    BYN_COVER(link->state, "resume_refused");
    byn_connection_refuse(c, "simultaneous");
    return "simultaneous";
  }
  BYN_COVER(link->state, "resume");
  if (!byn_outbox_acknowledge(&link->out, admit->resume.received)) {
    byn_connection_refuse(c, "bad_frame");
    part_with(link, "bad_frame");
    return "bad_frame";
  }
  resumed.received = link->out.received;
  resumed.after = link->out.acknowledged;
  let_go(&link->proving);
  let_go(&link->current);
  byn_outbox_rewind(&link->out);
  if (!byn_connection_admit(c, &resumed, &link->out, now)) {
    byn_connection_drop(c);
    link_cut_off(link, "out_of_memory");
    return "out_of_memory";
  }
  link->attempt = admit->resume.attempt;
  link->tell_resumed = true;
  go_on_with(link, c, resumed.received, admit->resume.window);
  return NULL;
}

bool byn_link_uses(const byn_link *link, const byn_connection *c) {
  return link->current == c || link->proving == c;
}

uint64_t byn_link_session(const byn_link *link) {
  return link->session;
}

/* --- reading -------------------------------------------------------------- */

static bool give_message(byn_link_event *event, const uint8_t *bytes,
                         size_t n) {
  event->kind = BYN_LINK_MESSAGE;
  event->message = bytes;
  event->length = n;
  return true;
}

/* Keeps one part, or a piece of one. Those before it are never longer than
 * max_message, so the subtraction holds. */
static bool keep_part(byn_link *l, const byn_connection_event *e) {
  byn_assert(l->parts.len <= l->config.max_message);
  if (e->length > l->config.max_message - l->parts.len) {
    part_with(l, "message_too_large");
    return false;
  }
  byn_put_bytes(&l->parts, e->payload, e->length);
  if (e->ends) l->parts_whole = l->parts.len;
  if (!l->parts.failed) return true;
  link_cut_off(l, "out_of_memory");
  return false;
}

static void give_back_parts(byn_link *l) {
  l->parts_given = false;
  l->parts_whole = 0;
  l->parts_at = l->now;
  if (l->parts.cap > PARTS_KEPT)
    byn_buf_free(&l->parts);
  else
    byn_buf_truncate(&l->parts, 0);
}

static void release_parts_if_idle(byn_link *l) {
  if (l->parts.len || l->now < later(l->parts_at, PARTS_IDLE_MS)) return;
  byn_buf_free(&l->parts);
}

/* A frame is here to its end. */
static void acknowledge_in_time(byn_link *l) {
  byn_outbox_receive(&l->out, l->number);
  if (!l->out.keeps) return;
  l->unacknowledged += BYN_FRAME_HEADER;
  if (l->unacknowledged < l->window / 4) return;
  l->unacknowledged = 0;
  byn_outbox_beat(&l->out);
}

/* A frame that is here already was sent again, as this end had not told that
 * it has it. */
static bool on_data(byn_link *l, const byn_connection_event *e,
                    byn_link_event *event) {
  if (e->begins) l->number++;
  if (l->number <= l->out.received) {
    BYN_COVER(l->state, "again");
    return false;
  }
  BYN_COVER(l->state, "data");
  byn_assert(l->number == l->out.received + 1);
  l->unacknowledged += e->length;
  if (e->ends) acknowledge_in_time(l);
  if (e->begins && e->ends && e->last && l->parts.len == 0 &&
      e->length <= l->config.max_message)
    return give_message(event, e->payload, e->length);
  if (!keep_part(l, e)) return false;
  if (!e->ends || !e->last) return false;
  l->parts_given = true;
  return give_message(event, l->parts.data, l->parts.len);
}

static void on_connection_ended(byn_link *l, const byn_connection_event *e) {
  BYN_COVER(l->state, e->final ? "final" : "lost");
  if (!e->final && l->resumable) {
    go_broken(l, e->reason);
  } else {
    if (!e->final) {
      let_go(&l->current);
      byn_outbox_clear(&l->out);
    }
    go_down(l, e->reason);
  }
}

/* A link that was SILENT needs no other connection now. */
static void end_silence(byn_link *l) {
  byn_assert(l->state == SILENT && l->current);
  l->state = UP;
  l->tell_dial = false;
  if (!byn_link_is_proving(l)) let_go(&l->proving);
}

/* What a peer says that knows no questions may be an answer. */
static void notice_answer(byn_link *l) {
  int64_t wait = l->config.connection.heartbeat_ms / 4;
  if (!l->asks || l->resumable) return;
  if (l->heard_at < later(l->asked_at, wait)) return;
  l->asks = false;
  l->tell_answered = true;
}

/* Any byte on the current connection shows that it lives. */
static void notice_life(byn_link *l) {
  int64_t heard_at = byn_connection_heard_at(l->current);
  if (heard_at <= l->heard_at) return;
  l->heard_at = heard_at;
  l->patient = false;
  if (heard_at > l->now) l->now = heard_at;
  notice_answer(l);
  if (l->state != SILENT) return;
  BYN_COVER(l->state, "heard");
  end_silence(l);
}

static bool give_answered(byn_link *l, uint64_t number, byn_link_event *event) {
  BYN_COVER(l->state, "answered");
  if (number > l->question.number) number = l->question.number;
  if (number == l->question.number) l->asks = false;
  event->kind = BYN_LINK_ANSWERED;
  event->number = number;
  return true;
}

/* Reads the current connection until it has made an event. */
static bool read_current(byn_link *l, byn_link_event *event) {
  byn_connection_event e;
  if (l->current) notice_life(l);
  while (l->current && byn_connection_next(l->current, &e)) {
    if (e.kind == BYN_CONNECTION_DATA) {
      if (on_data(l, &e, event)) return true;
    } else if (e.kind == BYN_CONNECTION_ACKNOWLEDGED) {
      BYN_COVER(l->state, "acknowledged");
      if (!byn_outbox_acknowledge(&l->out, e.received))
        part_with(l, "bad_frame");
    } else if (e.kind == BYN_CONNECTION_ASKED) {
      BYN_COVER(l->state, "asked");
      event->kind = BYN_LINK_ASKED;
      event->question = e.question;
      return true;
    } else if (e.kind == BYN_CONNECTION_ANSWERED) {
      return give_answered(l, e.number, event);
    } else if (e.kind == BYN_CONNECTION_ENDED) {
      on_connection_ended(l, &e);
    }
  }
  return false;
}

static void read_proving(byn_link *l) {
  byn_connection_event e;
  while (l->proving && byn_connection_next(l->proving, &e)) {
    if (byn_connection_heard_at(l->proving) > l->now)
      l->now = byn_connection_heard_at(l->proving);
    if (e.kind == BYN_CONNECTION_OPEN)
      on_welcome(l, &e);
    else if (e.kind == BYN_CONNECTION_ENDED)
      on_dial_ended(l, &e);
  }
}

static bool take_flag(bool *flag) {
  bool was = *flag;
  *flag = false;
  return was;
}

static bool give_up_event(byn_link *l, byn_link_event *event) {
  event->kind = BYN_LINK_UP;
  event->name = l->peer;
  event->incarnation = l->incarnation;
  event->traits = l->traits;
  return true;
}

/* What has changed, in the order in which it matters. */
static bool next_change(byn_link *l, byn_link_event *event) {
  event->reason = l->reason;
  if (take_flag(&l->tell_up)) return give_up_event(l, event);
  if (take_flag(&l->tell_answered))
    return give_answered(l, l->question.number, event);
  if (take_flag(&l->tell_broken))
    event->kind = BYN_LINK_BROKEN;
  else if (take_flag(&l->tell_resumed))
    event->kind = BYN_LINK_RESUMED;
  else if (take_flag(&l->tell_dial))
    event->kind = BYN_LINK_DIAL;
  else
    return false;
  return true;
}

static void dial_if_due(byn_link *l) {
  if (l->state != SILENT && l->state != BROKEN) return;
  if (l->proving || l->tell_dial || l->now < l->redial_at) return;
  BYN_COVER(l->state, "redial");
  l->redial_at = BYN_NEVER; /* until this one has failed */
  l->tell_dial = true;
}

bool byn_link_next(byn_link *link, byn_link_event *event) {
  if (link->parts_given) give_back_parts(link);
  if (link->tell_up) return next_change(link, event);
  if (read_current(link, event)) return true;
  if (link->proving) {
    read_proving(link);
    if (!link->tell_up && read_current(link, event)) return true;
  }
  dial_if_due(link);
  byn_assert(link_is_consistent(link));
  if (next_change(link, event)) return true;
  if (!take_flag(&link->tell_down)) return false;
  event->kind = BYN_LINK_DOWN;
  event->reason = link->reason;
  event->holder = &link->holder;
  return true;
}

/* --- time ----------------------------------------------------------------- */

static int64_t silent_at(const byn_link *l) {
  return later(l->heard_at,
               byn_silence_noticed_ms(l->config.connection.heartbeat_ms,
                                      l->config.down_after_ms));
}

static int64_t silence_over_at(const byn_link *l) {
  int64_t at = later(l->heard_at, l->config.down_after_ms);
  return l->patient ? later(at, l->config.reconnect_ms) : at;
}

static int64_t down_at(const byn_link *l) {
  int64_t silence = silence_over_at(l);
  if (l->state != BROKEN) return silence;
  return earlier_of(silence, later(l->broken_at, l->config.reconnect_ms));
}

static void tick_session(byn_link *l, int64_t now) {
  if (now >= down_at(l)) {
    bool waited = l->state == BROKEN && now < silence_over_at(l);
    BYN_COVER(l->state, waited ? "reconnect_over" : "silence");
    link_cut_off(l, waited ? l->reason : "timeout");
  } else if (l->state == UP && l->resumable && now >= silent_at(l)) {
    BYN_COVER(l->state, "quiet");
    l->state = SILENT;
    begin_dialling(l);
  }
}

void byn_link_tell_time(byn_link *link, int64_t now) {
  if (now > link->now) link->now = now;
}

void byn_link_tick(byn_link *link, int64_t now) {
  if (link->state == DOWN) return;
  link->now = now;
  if (link->proving) byn_connection_tick(link->proving, now);
  if (link->current) {
    notice_life(link);
    byn_connection_tick(link->current, now);
  }
  if (link->state != NEW) tick_session(link, now);
  release_parts_if_idle(link);
  byn_assert(link_is_consistent(link));
}

/* A connection that is being proven and one that is lost had no time either:
 * each begins its own again. */
void byn_link_after_gap(byn_link *link, int64_t now) {
  if (link->state == DOWN) return;
  BYN_COVER(link->state, "gap");
  byn_assert(now >= link->now && link_is_consistent(link));
  link->now = link->heard_at = now;
  link->patient = false;
  if (link->proving) byn_connection_after_gap(link->proving, now);
  if (link->current) byn_connection_after_gap(link->current, now);
  if (link->state == SILENT) end_silence(link);
  if (link->state == BROKEN) {
    link->broken_at = now;
    if (!link->proving && !link->tell_dial) begin_dialling(link);
  }
  byn_assert(link_is_consistent(link) && link->state != SILENT);
}

bool byn_link_silence(const byn_link *link, int64_t *since) {
  uint8_t traits = link->config.connection.traits | link->traits;
  if (!byn_link_is_up(link)) return false;
  if (traits & (BYN_TRAIT_QUIET | BYN_TRAIT_HIDDEN)) return false;
  *since = link->heard_at;
  return true;
}

void byn_link_be_patient(byn_link *link) {
  BYN_COVER(link->state, "patient");
  link->patient = true;
}

int64_t byn_link_deadline(const byn_link *link) {
  int64_t at = BYN_NEVER;
  if (link->state == DOWN) return at;
  if (link->tell_dial) return link->now;
  if (link->proving) at = byn_connection_deadline(link->proving);
  if (link->current)
    at = earlier_of(at, byn_connection_deadline(link->current));
  if (link->state == NEW) return at;
  at = earlier_of(at, down_at(link));
  if (link->state == UP)
    return link->resumable ? earlier_of(at, silent_at(link)) : at;
  return link->proving ? at : earlier_of(at, link->redial_at);
}

/* --- questions ------------------------------------------------------------ */

void byn_link_ask(byn_link *link, const byn_question *question, int64_t now) {
  BYN_COVER(link->state, "ask");
  if (!byn_link_is_up(link)) return;
  byn_assert(question->number > link->question.number);
  link->question = *question;
  link->asked_at = now;
  link->asks = true;
  if (link->current && link->resumable)
    byn_connection_ask(link->current, question);
}

void byn_link_answer(byn_link *link, uint64_t number) {
  if (link->current) byn_connection_answer(link->current, number);
}

bool byn_link_can_be_asked(const byn_link *link) {
  return link->resumable;
}

/* --- writing -------------------------------------------------------------- */

void byn_link_close(byn_link *link, const char *reason) {
  BYN_COVER(link->state, "close");
  if (link->state != DOWN) part_with(link, reason);
}

byn_buf *byn_link_begin(byn_link *link) {
  BYN_COVER(link->state, "send");
  if (!byn_link_is_up(link)) return NULL;
  return byn_outbox_begin(&link->out, BYN_FRAME_MESSAGE);
}

bool byn_link_commit(byn_link *link, bool urgent) {
  size_t max = link->config.max_queue, reserve = urgent ? max : 0;
  if (!byn_outbox_commit(&link->out, link->config.max_message)) return false;
  if (byn_link_queued(link) <= max || byn_link_queued(link) - max <= reserve)
    return true;
  link_cut_off(link, "overflow");
  return false;
}

void byn_link_abort(byn_link *link) {
  byn_outbox_abort(&link->out);
}

size_t byn_link_queued(const byn_link *link) {
  return byn_outbox_queued(&link->out);
}

bool byn_link_is_up(const byn_link *link) {
  return link->state == UP || link->state == SILENT || link->state == BROKEN;
}
