/* Hostile messages from a node that knows the secret.
 *
 * A node with processes that are tied to another node in every way reads
 * what that one says. An input is a script: each step makes a message that
 * has sense, spoils some of them, and hands it over
 *
 *   directly  to byn_remote_receive, which goes on after nonsense
 *   framed    through the link, as bytes; nonsense closes it
 *
 * and now and then memory runs out in the middle. What must hold: nothing
 * crashes, the stack is balanced, no error comes but for memory, the node
 * still steps, memory stays in proportion and is all given back.
 *
 * With libFuzzer:   clang -fsanitize=fuzzer,address,undefined ...
 * Without:          -DBYN_FUZZ_MAIN adds a main that runs seeded inputs,
 *                   remote_fuzz [how many] [first seed]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lualib.h>

#include "../../csrc/core/rng.h"
#include "../../csrc/core/wire/frame.h"
#include "../../csrc/lua/cluster/cluster.h"
#include "../../csrc/lua/process/node.h"
#include "../../csrc/lua/process/reap.h"
#include "../../csrc/lua/cluster/remote.h"

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
      abort();                                                                 \
    }                                                                          \
  } while (0)

/* What a script may cost: tables that its depth lets stand half-made, and so
 * much for each byte of it. */
#define PEAK_BASE ((size_t)8 << 20)
#define PEAK_FACTOR 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int luaopen_banyan_core(lua_State *L);

/* Joins a and b, then b is gone without a word: its part is played here.
 * Answers node a, its link, a turn of it, and a reader of its link. */
static const char SETUP[] =
    "local core = ...\n"
    "local function entropy(n)\n"
    "  local s = ''\n"
    "  for _ = 1, n do s = s .. 'x' end\n"
    "  return s\n"
    "end\n"
    "local function make(name)\n"
    "  return core.node { name = name, incarnation = 1, secret = 's',\n"
    "    entropy = entropy, seed = 1, events = true, max_queue = 100000,\n"
    "    max_message = 50000 }\n"
    "end\n"
    "local a, b = make 'a@h', make 'b@h'\n"
    "local now, la, lb = 0, nil, nil\n"
    "local function drain(node, other, link)\n"
    "  while true do\n"
    "    local what, from, bytes = node:action()\n"
    "    if not what then return end\n"
    "    if what == 'dial' and not other then\n"
    "      node:closed(from, 'econnrefused', now)\n"
    "    elseif what == 'dial' then\n"
    "      la, lb = from, b:accepted(now)\n"
    "      node:connected(la, now)\n"
    "    elseif what == 'write' then\n"
    "      if other then other:received(link(), bytes, now) end\n"
    "      node:written(from, #bytes, now)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "local far\n"
    "b:spawn(function()\n"
    "  core.register 'far'\n"
    "  core.send(core.receive(), core.self())\n"
    "  core.receive()\n"
    "end)\n"
    "local function idle() while true do core.receive() end end\n"
    "a:spawn(function()\n"
    "  core.connect 'b@h'\n"
    "  core.send({ name = 'far', node = 'b@h' }, core.self())\n"
    "  far = core.receive()\n"
    "  core.spawn(function() core.link(far) idle() end)\n"
    "  core.spawn(function()\n"
    "    core.trap_exit(true)\n"
    "    core.monitor_nodes(true)\n"
    "    core.link(far)\n"
    "    core.monitor(far)\n"
    "    core.monitor { name = 'far', node = 'b@h' }\n"
    "    core.request(far, 1)\n"
    "    idle()\n"
    "  end)\n"
    "  core.spawn(function()\n"
    "    while core.call(far, 1, 1000) do end\n"
    "    idle()\n"
    "  end)\n"
    "  core.spawn(function()\n"
    "    core.register 'echo'\n"
    "    for _ = 1, 20 do\n" /* it may be told to tell itself */
    "      local msg, is = core.receive(), false\n"
    "      pcall(function() is = msg.tag == '$call' end)\n"
    "      if is then pcall(core.reply, msg.from, msg.msg) end\n"
    "      pcall(core.send, msg, msg)\n"
    "      pcall(core.link, msg)\n"
    "    end\n"
    "    idle()\n"
    "  end)\n"
    "end)\n"
    "for _ = 1, 20 do\n"
    "  a:step(now) drain(a, b, function() return lb end)\n"
    "  b:step(now) drain(b, a, function() return la end)\n"
    "end\n"
    "assert(far)\n"
    "b:close()\n"
    "return a, la, function(ms)\n"
    "  now = now + ms\n"
    "  a:step(now) drain(a) a:events()\n"
    "end, function(bytes) a:received(la, bytes, now) end\n";

enum { NODE = 1, LINK, TURN, FEED };

typedef struct scene {
  const uint8_t *at, *end;
  size_t live, peak; /* bytes allocated */
  uint64_t calls, fail_from;
  lua_State *L;
  byn_node *node;
  byn_buf message;
  byn_alloc plain; /* of the message */
} scene;

static uint8_t next_byte(scene *s) {
  return s->at < s->end ? *s->at++ : 0;
}

/* --- memory --------------------------------------------------------------- */

static void *count_alloc(void *ud, void *block, size_t old_size,
                         size_t new_size) {
  scene *s = ud;
  if (!block) old_size = 0;
  if (new_size == 0) {
    s->live -= old_size;
    free(block);
    return NULL;
  }
  bool fails = s->fail_from && ++s->calls >= s->fail_from;
  if (fails && new_size > old_size) return NULL;
  void *fresh = realloc(block, new_size);
  CHECK(fresh);
  s->live += new_size - old_size;
  if (s->live > s->peak) s->peak = s->live;
  return fresh;
}

static void *plain_alloc(void *ud, void *block, size_t old_size,
                         size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size) return realloc(block, new_size);
  free(block);
  return NULL;
}

/* --- making messages ------------------------------------------------------ */

/* Mostly a number that something has here; now and then an absurd one. */
static void put_number(scene *s) {
  static const uint64_t absurd[] = {
      0, 127, 128, 0xffff, 1u << 31, INT64_MAX, UINT32_MAX, UINT64_MAX};
  uint8_t byte = next_byte(s);
  byn_put_varint(&s->message, byte & 0xe0 ? byte & 15 : absurd[byte % 8]);
}

static void put_id(scene *s) {
  uint8_t byte = next_byte(s);
  uint8_t which = byte & 0xf0 ? byte & 1 : byte & 3;
  byn_put_u8(&s->message, which);
  if (which >= 2) {
    char name[] = {'c', '@', (char)next_byte(s), 0};
    byn_put_string(&s->message, name, byte & 4 ? 3 : 4);
    byn_put_u64(&s->message, next_byte(s));
  }
  put_number(s);
  put_number(s);
}

static void put_term(scene *s, int depth);

static void put_table(scene *s, int depth) {
  uint8_t byte = next_byte(s);
  unsigned n = byte & 3, m = byte >> 2 & 1;
  bool lies = byte >> 3 == 31;
  byn_put_varint(&s->message, lies ? (uint64_t)next_byte(s) << byte % 40 : n);
  byn_put_varint(&s->message, lies ? next_byte(s) : m);
  for (unsigned i = 0; i < n + 2 * m; i++)
    put_term(s, depth + 1);
}

static void put_term(scene *s, int depth) {
  uint8_t tag = next_byte(s) % 11;
  if (depth > 120) tag = 0;
  byn_put_u8(&s->message, tag);
  if (tag == 3) put_number(s);
  if (tag == 4) byn_put_u64(&s->message, (uint64_t)next_byte(s) << 50);
  if (tag == 5) byn_put_string(&s->message, "echo", next_byte(s) % 5);
  if (tag == 6 || tag == 7) put_table(s, depth);
  if (tag == 8 || tag == 9) put_id(s);
}

static void put_dest(scene *s) {
  uint8_t named = next_byte(s) & 1;
  byn_put_u8(&s->message, named);
  if (named)
    byn_put_string(&s->message, "echo", 4);
  else
    put_id(s);
}

static void put_node_name(scene *s) {
  char name[] = {'n', '@', (char)('a' + next_byte(s) % 26)};
  byn_put_string(&s->message, name, sizeof name);
}

static void put_address(scene *s) {
  static const char text[] = "unix:/run/a.sock tcp://127.0.0.1:9101";
  byn_put_string(&s->message, text, next_byte(s) % sizeof text);
}

static void put_nodes(scene *s) {
  uint8_t count = next_byte(s) & 7;
  byn_put_varint(&s->message, count);
  for (uint8_t i = 0; i < count; i++)
    put_node_name(s);
}

/* The fields of each kind: i id, d dest, n number, t term, c count of terms,
 * w name of a node, a address */
#define KINDS 15
#define NODES 12
static const char *const FIELDS[KINDS] = {"",   "dt",  "nndt", "dt",  "nnc",
                                          "ii", "iin", "iit",  "iit", "ind",
                                          "n",  "nt",  NULL,   "iin", "wa"};

static void put_field(scene *s, char field) {
  unsigned count;
  switch (field) {
  case 'i':
    put_id(s);
    break;
  case 'd':
    put_dest(s);
    break;
  case 'n':
    put_number(s);
    break;
  case 't':
    put_term(s, 0);
    break;
  case 'w':
    put_node_name(s);
    break;
  case 'a':
    put_address(s);
    break;
  default:
    count = next_byte(s) & 3;
    byn_put_varint(&s->message, count);
    while (count--)
      put_term(s, 0);
  }
}

static void spoil(scene *s) {
  byn_buf *b = &s->message;
  uint8_t how = next_byte(s);
  if (how & 0xc0 || b->len == 0) return;
  size_t at = next_byte(s) % b->len;
  if (how & 1)
    b->data[at] ^= (uint8_t)(1 << (how >> 1 & 7));
  else
    b->len = at;
}

static void make_message(scene *s) {
  uint8_t kind = next_byte(s) % (KINDS + 1);
  byn_buf_truncate(&s->message, 0);
  byn_put_u8(&s->message, kind);
  if (kind == NODES)
    put_nodes(s);
  else if (kind < KINDS)
    for (const char *f = FIELDS[kind]; *f; f++)
      put_field(s, *f);
  spoil(s);
}

/* --- handing over --------------------------------------------------------- */

static byn_peer *find_peer(scene *s) {
  byn_peer *peer = s->node->cluster->peers;
  while (peer && (!peer->origin || peer->down))
    peer = peer->next;
  return peer;
}

static int receive_protected(lua_State *L) {
  scene *s = lua_touserdata(L, 1);
  const uint8_t *bytes = lua_touserdata(L, 2);
  byn_peer *peer = find_peer(s);
  if (peer) byn_remote_receive(L, s->node, peer, bytes, s->message.len);
  CHECK(lua_gettop(L) == 2);
  byn_node_reap(L, s->node);
  CHECK(lua_gettop(L) == 2);
  return 0;
}

static int call(scene *s, int arguments) {
  int status = lua_pcall(s->L, arguments, 0, 0);
  if (status == LUA_OK) return status;
  if (!s->fail_from) fprintf(stderr, "%s\n", lua_tostring(s->L, -1));
  CHECK(s->fail_from);
  lua_pop(s->L, 1);
  return status;
}

/* The copy is of its own size, so that a read past its end shows. */
static void hand_over_plain(scene *s) {
  size_t n = s->message.len;
  uint8_t *copy = malloc(n ? n : 1);
  CHECK(copy);
  if (n) memcpy(copy, s->message.data, n);
  lua_pushcfunction(s->L, receive_protected);
  lua_pushlightuserdata(s->L, s);
  lua_pushlightuserdata(s->L, copy);
  call(s, 2);
  free(copy);
}

static void hand_over_framed(scene *s) {
  lua_State *L = s->L;
  uint8_t header[BYN_FRAME_HEADER];
  uint64_t fail_from = s->fail_from;
  s->fail_from = 0;
  byn_frame_header(header, BYN_FRAME_MESSAGE, s->message.len);
  lua_pushvalue(L, FEED);
  lua_pushlstring(L, (const char *)header, sizeof header);
  lua_pushlstring(L, (const char *)s->message.data, s->message.len);
  lua_concat(L, 2);
  s->fail_from = fail_from;
  call(s, 1);
}

/* The node goes on, and nothing is left on the stack. */
static void turn(scene *s, int ms) {
  s->fail_from = 0;
  lua_pushvalue(s->L, TURN);
  lua_pushinteger(s->L, ms);
  call(s, 1);
  CHECK(lua_gettop(s->L) == FEED);
}

static void set_up(scene *s) {
  lua_State *L = s->L = lua_newstate(count_alloc, s);
  CHECK(L);
  luaL_requiref(L, "_G", luaopen_base, 1);
  lua_settop(L, 0);
  CHECK(luaL_loadstring(L, SETUP) == LUA_OK);
  luaL_requiref(L, "banyan.core", luaopen_banyan_core, 0);
  if (lua_pcall(L, 1, 4, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  s->node = *(byn_node **)lua_touserdata(L, NODE);
  CHECK(find_peer(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  scene s = {.at = data, .end = data + size, .plain = {plain_alloc, NULL}};
  byn_buf_init(&s.message, &s.plain);
  set_up(&s);
  size_t before = s.live;
  while (s.at < s.end) {
    uint8_t how = next_byte(&s);
    make_message(&s);
    if (how % 16 == 0) {
      s.calls = 0;
      s.fail_from = 1 + next_byte(&s) % 24;
    }
    if (how & 16)
      hand_over_framed(&s);
    else
      hand_over_plain(&s);
    if (how & 32 || s.fail_from) turn(&s, how & 64 ? 300 : 0);
  }
  turn(&s, 10000);
  CHECK(s.peak < before + PEAK_BASE + PEAK_FACTOR * size);
  lua_close(s.L);
  CHECK(s.live == 0);
  byn_buf_free(&s.message);
  return 0;
}

#ifdef BYN_FUZZ_MAIN

#define BYN_FUZZ_SIZE 1024

static uint8_t random_byte(byn_rng *rng) {
  return (uint8_t)byn_rng_next(rng);
}

#include "seeded.h"

#endif
