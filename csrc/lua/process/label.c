/* Labels: what a person calls a process. */
#include "label.h"

#include "../../core/assert.h"
#include "../value/compat.h"
#include "../value/misuse.h"
#include "coroutine.h"
#include "foreign.h"
#include "lookup.h"
#include "node.h"

/* --- where a function was defined ----------------------------------------- */

/* One of the library's own says nothing. */
static void push_place(lua_State *L, const lua_Debug *ar) {
  if (byn_in_library(L, ar->source))
    lua_pushnil(L);
  else if (ar->linedefined > 0)
    lua_pushfstring(L, "%s:%d", ar->short_src, ar->linedefined);
  else if (ar->linedefined == 0)
    lua_pushstring(L, ar->short_src); /* a chunk */
  else
    lua_pushnil(L);
}

void byn_label_push_definition(lua_State *L, int index) {
  lua_Debug ar;
  lua_pushvalue(L, index);
  lua_getinfo(L, ">S", &ar);
  push_place(L, &ar);
}

/* Levels of calls. A stack that overflowed is a million deep, and to find its
 * outermost function would take as long as to fill it. */
#define DEEP 10000

/* The level of the outermost function of co, which has begun, or -1 if that is
 * too deep. To get at one level costs as much as there are above it, so levels
 * are not tried one by one. */
static int outermost_level(lua_State *co) {
  lua_Debug ar;
  if (lua_getstack(co, DEEP, &ar)) return -1;
  int there = 0, beyond = 1;
  while (lua_getstack(co, beyond, &ar)) {
    there = beyond;
    beyond *= 2;
  }
  while (there + 1 < beyond) {
    int middle = there + (beyond - there) / 2;
    if (lua_getstack(co, middle, &ar))
      there = middle;
    else
      beyond = middle;
  }
  return there;
}

/* Pushes where the function that co runs, or is to run, was defined. */
static void push_definition_of_code(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (lua_getstack(co, 0, &ar)) {
    int level = outermost_level(co);
    if (level < 0 || !lua_getstack(co, level, &ar)) {
      lua_pushnil(L);
      return;
    }
    lua_getinfo(co, "S", &ar);
    push_place(L, &ar);
    return;
  }
  int function = BYN_COROUTINE_BASE + 1;
  bool begins = lua_status(co) == LUA_OK && lua_gettop(co) >= function &&
                byn_has_room(co, 1);
  if (!begins || !lua_isfunction(co, function)) {
    lua_pushnil(L);
    return;
  }
  lua_pushvalue(co, function);
  lua_getinfo(co, ">S", &ar);
  push_place(L, &ar);
}

/* --- labels --------------------------------------------------------------- */

void byn_label_push(lua_State *L, const byn_process *p) {
  int top = byn_stack_top(L);
  if (p->label || p->self || !p->co)
    byn_slot_push(L, p->label);
  else
    push_definition_of_code(L, p->co);
  byn_assert(byn_stack_top(L) == top + 1);
}

/* Pops a string, or nil, as the label of p. */
static void set_label(lua_State *L, byn_process *p) {
  byn_slots *slots = &p->node->world->slots;
  int label = lua_isnil(L, -1) ? 0 : byn_slot_keep(L, slots);
  if (!label) lua_pop(L, 1);
  byn_slot_free(L, slots, p->label);
  p->label = label;
}

void byn_label_keep(lua_State *L, byn_process *p) {
  byn_assert(p->co);
  if (p->label || p->self || !p->node->events) return;
  if (p->node->memory_short) return; /* the reason needs what there is */
  luaL_checkstack(L, 4, NULL);
  byn_label_push(L, p);
  set_label(L, p);
}

static int l_set_label(lua_State *L) {
  byn_process *p = byn_process_here(L, "set_label");
  luaL_checktype(L, 1, LUA_TSTRING);
  luaL_argcheck(L, lua_rawlen(L, 1) <= BYN_LABEL_MAX, 1,
                "a label has at most 255 bytes");
  lua_settop(L, 1);
  set_label(L, p);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_label_by(lua_State *L) {
  byn_process *p = byn_process_here(L, "set_label");
  luaL_checktype(L, 1, LUA_TFUNCTION);
  byn_label_push_definition(L, 1);
  set_label(L, p);
  return 0;
}

void byn_label_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"set_label", l_set_label}, {"label_by", l_label_by}, {NULL, NULL}};
  byn_set_functions(L, functions);
}
