/* Events on their way to the owner. */
#include "told.h"

byn_told *byn_told_add(byn_dist *d, byn_dist_event event, const byn_place *p,
                       const char *node) {
  byn_told *t = byn_new(&d->alloc, sizeof *t);
  if (!t) return NULL;
  *t = (byn_told){.event = event};
  if ((p && !byn_blob_set(&t->key, &d->alloc, p->key, p->key_size)) ||
      (node && !byn_blob_set(&t->node, &d->alloc, node, strlen(node)))) {
    byn_told_free(d, t);
    return NULL;
  }
  if (p) t->hash = p->hash;
  if (d->last_told)
    d->last_told->next = t;
  else
    d->told = t;
  d->last_told = t;
  return t;
}

void byn_told_free(byn_dist *d, byn_told *t) {
  byn_blob_clear(&t->key, &d->alloc);
  byn_blob_clear(&t->node, &d->alloc);
  byn_blob_clear(&t->from, &d->alloc);
  byn_blob_clear(&t->pid, &d->alloc);
  byn_blob_clear(&t->other_pid, &d->alloc);
  byn_blob_clear(&t->reason, &d->alloc);
  byn_blob_clear(&t->state, &d->alloc);
  byn_free(&d->alloc, t->names, t->name_count * sizeof *t->names);
  byn_free(&d->alloc, t, sizeof *t);
}

bool byn_told_next(byn_dist *d, byn_dist_action *a) {
  byn_told *t = d->told;
  if (!t) return false;
  d->told = t->next;
  if (!d->told) d->last_told = NULL;
  d->taken_told = t;
  a->kind = t->escalates  ? BYN_DIST_ESCALATE
            : t->resolves ? BYN_DIST_RESOLVE
                          : BYN_DIST_EVENT;
  a->event = t->event;
  a->why = t->why;
  a->count = t->names ? t->name_count : t->count;
  a->names = t->names;
  a->child = t->child;
  a->wait_ms = t->wait_ms;
  a->joined = t->joined;
  a->node = (const char *)t->node.at;
  a->from = (const char *)t->from.at;
  a->id = (byn_dist_id){t->key.at, t->key.n, t->hash};
  a->pid = (byn_dist_bytes){t->pid.at, t->pid.n};
  a->other_pid = (byn_dist_bytes){t->other_pid.at, t->other_pid.n};
  a->reason = (byn_dist_bytes){t->reason.at, t->reason.n};
  a->state = (byn_dist_bytes){t->state.at, t->state.n};
  return true;
}
