/* Places as bytes.
 *
 *   entry       KEY HASH FLOOR GENERATION*
 *   generation  TOKEN STAMP ENDED RAN KEPT SPEC_SET FLAGS NODE SPEC BACKOFF
 *               WITHHELD FAILURES PREFERENCE END REGISTER*
 *   register    NODE INCARNATION VERSION STATE WHY RUN BEGUN PID REASON
 *               HISTORY AWOKE MOVING
 *
 * in fields (fields.h). A light entry leaves out what SPEC_SET covers: whoever
 * has the generation knows it, and others ask for it (want.h). Where the spec
 * is withheld from a peer that cannot take it, WITHHELD stands instead.
 *
 * What is read comes from a stranger. A view is made only of what is well
 * formed and within the limits.
 */
#ifndef BYN_DIST_PLACE_WIRE_H
#define BYN_DIST_PLACE_WIRE_H

#include "fields.h"
#include "place.h"

typedef enum byn_entry_extent {
  BYN_ENTRY_WHOLE,
  BYN_ENTRY_LIGHT,
  BYN_ENTRY_WITHHELD
} byn_entry_extent;

void byn_place_put(byn_buf *b, const byn_place *p, byn_entry_extent extent);

typedef struct byn_entry_view {
  byn_dist_id id;
  uint64_t floor;
  uint32_t generations;
} byn_entry_view;

/* The whole entry but its generations, each of which is looked at, too. false
 * if anything is malformed. `scratch`: room for one generation. */
bool byn_entry_check(const uint8_t *bytes, size_t n, size_t max_spec,
                     byn_entry_view *view, byn_generation_view *scratch);
/* One generation of an entry that was checked, after another: `r` begins at
 * the entry's bytes. false: there is none more. */
bool byn_entry_next(byn_reader *r, byn_generation_view *view);

#endif
