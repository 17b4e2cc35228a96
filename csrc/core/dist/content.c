/* Keys, pids and specs of peers, which the owner reads. */
#include "content.h"

#include "../assert.h"

static bool check(const byn_dist *d, byn_dist_content content,
                  byn_dist_bytes bytes) {
  return d->check(d->check_ud, content, bytes, 0);
}

static bool is_key(const byn_dist *d, const byn_dist_id *id) {
  if (byn_registry_find(&d->registry, id)) return true;
  byn_dist_bytes bytes = {id->key, id->n};
  return d->check(d->check_ud, BYN_DIST_CONTENT_KEY, bytes, id->hash);
}

static bool knows_pid(const byn_generation *g, byn_dist_bytes pid) {
  for (const byn_register *r = g ? g->registers : NULL; r; r = r->next)
    if (r->pid.at && byn_bytes_compare(r->pid.at, r->pid.n, pid.at, pid.n) == 0)
      return true;
  return false;
}

static bool is_generation(const byn_dist *d, const byn_place *p,
                          const byn_generation_view *v) {
  const byn_generation *g = p ? byn_place_find(p, v->token) : NULL;
  bool knows_spec = g && g->spec_set;
  if (v->spec.at && !knows_spec && !check(d, BYN_DIST_CONTENT_SPEC, v->spec))
    return false;
  bool knows_end = g && g->ended;
  if (v->end_pid.at && !knows_end &&
      !check(d, BYN_DIST_CONTENT_PID, v->end_pid))
    return false;
  for (uint32_t i = 0; i < v->register_count; i++) {
    byn_dist_bytes pid = v->registers[i].pid;
    if (pid.at && !knows_pid(g, pid) && !check(d, BYN_DIST_CONTENT_PID, pid))
      return false;
  }
  return true;
}

static bool is_entry(byn_dist *d, const byn_record *r,
                     const byn_entry_view *entry) {
  if (!is_key(d, &entry->id)) return false;
  const byn_place *p = byn_registry_find(&d->registry, &entry->id);
  byn_reader reader;
  byn_reader_init(&reader, r->body.at, r->body.n);
  while (byn_entry_next(&reader, &d->view))
    if (!is_generation(d, p, &d->view)) return false;
  return true;
}

bool byn_content_is_sound(byn_dist *d, const byn_record *r,
                          const byn_entry_view *entry) {
  if (!d->check) return true;
  switch (r->kind) {
  case BYN_RECORD_ENTRY:
    return is_entry(d, r, entry);
  case BYN_RECORD_START:
    return is_key(d, &r->id) && check(d, BYN_DIST_CONTENT_SPEC, r->spec);
  case BYN_RECORD_REPLY:
    return !r->pid.at || check(d, BYN_DIST_CONTENT_PID, r->pid);
  default:
    return true;
  }
}
