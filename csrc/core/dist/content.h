/* What a peer says of children, as far as the owner alone can read it: keys,
 * pids and specs. Shown to byn_dist_check are those that would count: what is
 * known here byte by byte was written here, or checked before.
 */
#ifndef BYN_DIST_CONTENT_H
#define BYN_DIST_CONTENT_H

#include "parts.h"
#include "place_wire.h"
#include "record.h"

/* `entry`: of a record ENTRY, which was checked for its shape. */
bool byn_content_is_sound(byn_dist *d, const byn_record *r,
                          const byn_entry_view *entry);

#endif
