/* Servers: their start, by init and resume. */
#include "server_start.h"

#include "../../core/assert.h"
#include "../../core/wire/buffer.h"
#include "../value/reason.h"
#include "../value/term.h"
#include "../process/lookup.h"
#include "../process/node.h"
#include "../process/relation.h"
#include "../process/signal.h"
#include "../process/wait.h"
#include "directive.h"
#include "server.h"

void byn_server_unlink_starter(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_id parent = byn_parent_of(p);
  if (s->linked) byn_unlink_from(L, p, &parent);
}

/* Pops the reason that init failed for and ends the server, which answers the
 * starter (see server_ended). */
static void start_failed(lua_State *L, byn_process *p) {
  byn_assert(((byn_server *)p->self)->doing == BYN_STARTING);
  byn_server_unlink_starter(L, p);
  byn_reason_copy(L, -1);
  lua_remove(L, -2);
  byn_process_end(L, p);
}

void byn_server_cancel_start(lua_State *L, byn_process *p, const char *answer,
                             const char *reason) {
  lua_pushstring(L, reason);
  lua_pushstring(L, answer);
  byn_slots_reserve(L, byn_slots_at(p), 1);
  byn_server_reply_error(L, p);
  byn_server_free_mail(L, p);
  start_failed(L, p);
}

/* It has started: the starter gets the pid. */
static void answer_starter(lua_State *L, byn_process *p) {
  byn_process_untimer(p);
  byn_id_push_first(L, &p->id);
  byn_server_reply(L, p, 1);
  byn_server_free_mail(L, p);
}

/* Pops the continue(arg) of init, or nil: it has started. */
static void start_done(lua_State *L, byn_process *p) {
  answer_starter(L, p);
  if (byn_directive_at(L, -1) == BYN_CONTINUE) {
    byn_server_continue(L, p);
    return;
  }
  lua_pop(L, 1);
  byn_server_idle(L, p);
}

/* Runs resume with the state that it was started with; what is on top (popped)
 * waits for its end. The value of s->resume is {bytes, how, what waits}. */
static void run_resume(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  int top = lua_gettop(L);
  byn_slot_push(L, s->resume);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 3);
  bool found = byn_server_push_callback(L, p, "resume");
  byn_assert(found);
  (void)found;
  lua_rawgeti(L, top, 1);
  size_t n;
  const char *bytes = lua_tolstring(L, -1, &n);
  byn_reader r;
  byn_reader_init(&r, bytes, n);
  if (!byn_term_decode(L, &r, NULL, NULL)) {
    lua_settop(L, top - 1);
    lua_pushliteral(L, "bad_checkpoint");
    start_failed(L, p);
    return;
  }
  lua_replace(L, -2);
  lua_rawgeti(L, top, 2);
  lua_remove(L, top);
  s->resumes = true;
  byn_server_run_callback(L, p, BYN_STARTING, 3);
}

/* resume has returned `count` values (popped). */
static void resume_returned(lua_State *L, byn_process *p, int count) {
  byn_server *s = p->self;
  s->resumes = false;
  lua_pop(L, count);
  byn_slot_take(L, byn_slots_at(p), s->resume);
  s->resume = 0;
  lua_rawgeti(L, -1, 3);
  lua_remove(L, -2);
  start_done(L, p);
}

/* init has returned `count` values (popped). */
static void init_returned(lua_State *L, byn_process *p, int count) {
  int first = lua_gettop(L) - count + 1;
  byn_directive_kind kind =
      count ? byn_directive_at(L, first) : BYN_NO_DIRECTIVE;
  if (count >= 2 && !lua_toboolean(L, first) && !lua_isnil(L, first + 1)) {
    lua_settop(L, first + 1); /* nil, reason */
    start_failed(L, p);
  } else if (kind == BYN_STOP) {
    byn_directive_value(L, first);
    start_failed(L, p);
  } else if (kind == BYN_IGNORE) {
    byn_server_cancel_start(L, p, "ignore", "normal");
  } else {
    lua_settop(L, first);
    if (((byn_server *)p->self)->resume)
      run_resume(L, p);
    else
      start_done(L, p);
  }
  lua_settop(L, first - 1);
}

void byn_server_run_init(lua_State *L, byn_process *p) {
  byn_server *s = p->self;
  byn_assert(s->mail && s->state);
  if (!byn_server_push_callback(L, p, "init")) {
    init_returned(L, p, 0);
    return;
  }
  byn_value_take(L, p->node->world, &s->mail->value);
  byn_server_run_callback(L, p, BYN_STARTING, 2);
}

void byn_server_start_returned(lua_State *L, byn_process *p, int status,
                               int count) {
  const byn_server *s = p->self;
  byn_assert(s->doing == BYN_STARTING);
  if (status != LUA_OK)
    start_failed(L, p);
  else if (s->resumes)
    resume_returned(L, p, count);
  else
    init_returned(L, p, count);
}
