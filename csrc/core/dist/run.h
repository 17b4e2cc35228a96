/* This node's own runs: the records, and what they write into places. */
#ifndef BYN_DIST_RUN_H
#define BYN_DIST_RUN_H

#include "parts.h"

/* A run of that generation, QUEUED; NULL when memory is short. The place has
 * none. */
byn_run *byn_run_new(byn_dist *d, byn_place *p, const byn_generation *g);
/* Its process is gone, or there never was one. */
void byn_run_free(byn_dist *d, byn_run *run);
/* START was taken; its outcome is known. */
void byn_run_begin_start(byn_run *run, byn_run_list *from);
void byn_run_end_start(byn_run *run);
byn_run *byn_run_find(const byn_dist *d, uint32_t child);
/* A fresh number, by which it is found; false when memory is short. */
bool byn_run_number(byn_dist *d, byn_run *run);

/* A run is in one list at most. */
void byn_run_enlist(byn_run_list *list, byn_run *run);
void byn_run_delist(byn_run *run);

/* Writes this host's register of a generation that goes on, and publishes it.
 * false when memory is short. */
typedef struct byn_written {
  byn_register_state state;
  uint8_t why;
  uint64_t run, begun, history;
  byn_dist_bytes pid, reason;
} byn_written;
bool byn_run_write(byn_dist *d, byn_place *p, byn_generation *g,
                   const byn_written *w);
/* This node went on after it stood still for long: says so of what it runs that
 * others may have taken over with a checkpoint. */
void byn_run_write_awoke(byn_dist *d);
/* Ends a generation, and publishes it. `g` may be freed. */
void byn_run_end(byn_dist *d, byn_place *p, byn_generation *g,
                 const byn_end_reason *reason);
/* Its failures in a row, and the last reason, counted across nodes. */
void byn_run_write_failures(byn_dist *d, byn_place *p, byn_generation *g,
                            uint32_t count, uint8_t why, byn_dist_bytes reason);
/* The timer of a run, instead of the one that it has. */
void byn_run_set_timer(byn_dist *d, byn_run *run, int64_t at);

#endif
