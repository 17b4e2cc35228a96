/* Processes: made, put into the run queue, and ended. */
#include "process.h"

#include "../../core/assert.h"
#include "../../core/coverage.h"
#include "../value/compat.h"
#include "mailbox_limit.h"
#include "node.h"

/* --- making --------------------------------------------------------------- */

#define FIRST_TABLE 64

static void grow_process_table(lua_State *L, byn_node *node) {
  uint32_t old = node->table_size, size = old ? old * 2 : FIRST_TABLE;
  byn_process **table = byn_resize(&node->world->alloc, node->table,
                                   old * sizeof *table, size * sizeof *table);
  if (!table) luaL_error(L, "not enough memory");
  for (uint32_t i = old; i < size; i++)
    table[i] = NULL;
  node->table = table;
  node->table_size = size;
}

/* Memory for a process, and with it a place in the table. */
static void reserve_process(lua_State *L, byn_node *node) {
  if (node->free) return;
  if (node->made == node->table_size) grow_process_table(L, node);
  byn_assert(node->made < node->table_size);
  byn_process *p = byn_pool_take(&node->processes);
  if (!p) luaL_error(L, "not enough memory");
  p->id.index = node->made++;
  p->next_ready = NULL;
  node->free = p;
}

static byn_id next_pid(const byn_node *node) {
  return (byn_id){.origin = node->origin,
                  .serial = node->serial + 1,
                  .index = node->free->id.index,
                  .kind = BYN_PID};
}

/* To push the pid may collect garbage, and a finalizer may take what was
 * reserved: then again. */
void byn_process_push_next(lua_State *L, byn_node *node) {
  for (;;) {
    reserve_process(L, node);
    byn_id id = next_pid(node);
    byn_id_push_first(L, &id);
    if (node->free && node->serial + 1 == id.serial) return;
    lua_pop(L, 1);
  }
}

byn_process *byn_process_new(lua_State *L, byn_node *node,
                             const byn_behaviour *behaviour) {
  byn_assert(behaviour->run && behaviour->returned);
  reserve_process(L, node);
  byn_process *p = node->free, *next = p->next_ready;
  *p = (byn_process){.node = node,
                     .id = next_pid(node),
                     .behaviour = behaviour,
                     .mail_watch = BYN_MAILBOX_LONG};
  node->free = next;
  node->serial++;
  const byn_process *running = node->world->running;
  if (running && running->node == node) {
    p->parent = running->id.serial;
    p->parent_index = running->id.index;
  }
  byn_assert(!node->table[p->id.index]);
  node->table[p->id.index] = p;
  node->process_count++;
  return p;
}

void byn_process_free(byn_process *p) {
  byn_node *node = p->node;
  byn_assert(p->state == BYN_DEAD && !p->queued);
  p->next_ready = node->free;
  node->free = p;
}

/* --- the run queues ------------------------------------------------------- */

static inline void enqueue(byn_process **first, byn_process **last,
                           byn_process *p) {
  byn_assert(!*last || (*last)->queued);
  p->queued = true;
  p->next_ready = NULL;
  if (*last)
    (*last)->next_ready = p;
  else
    *first = p;
  *last = p;
}

void byn_process_ready(byn_process *p) {
  byn_node *node = p->node;
  byn_assert(p->state != BYN_DEAD && byn_node_lists_sound(node));
  if (p->state == BYN_RUNNING) p->woken = true;
  if (p->state != BYN_IDLE) return;
  byn_assert(!p->queued);
  p->state = BYN_READY;
  if (p->held_ms)
    enqueue(&node->busy, &node->busy_last, p);
  else
    enqueue(&node->ready, &node->ready_last, p);
}

/* --- ending --------------------------------------------------------------- */

BYN_MACHINE("process: its end", BYN_PHASES, "end");

void byn_process_end(lua_State *L, byn_process *p) {
  BYN_COVER(byn_process_phase(p), "end");
  byn_assert(p->state != BYN_DEAD);
  bool late = p->state >= BYN_EXITING || p->exiting;
  if (late) {
    lua_pop(L, 1);
    return;
  }
  byn_assert(!p->exit_reason);
  p->exit_reason = byn_slot_put(L, &p->node->world->slots);
  /* Not p == world->running: another one's variables may be closing, in the
   * middle of a function that p called. */
  if (p->state == BYN_RUNNING) {
    p->exiting = true;
    return;
  }
  byn_process_reap_later(p);
}

void byn_process_cancel_end(lua_State *L, byn_process *p) {
  byn_assert(p->state == BYN_RUNNING);
  byn_assert(p->exiting || !p->exit_reason);
  byn_slot_free(L, &p->node->world->slots, p->exit_reason);
  p->exit_reason = 0;
  p->exiting = p->exits_itself = false;
}

void byn_process_reap_later(byn_process *p) {
  byn_assert(p->state == BYN_IDLE || p->state == BYN_READY);
  byn_assert(!p->exiting && byn_node_lists_sound(p->node));
  p->state = BYN_EXITING;
  p->next_exiting = NULL;
  if (p->node->exiting_last)
    p->node->exiting_last->next_exiting = p;
  else
    p->node->exiting = p;
  p->node->exiting_last = p;
}
