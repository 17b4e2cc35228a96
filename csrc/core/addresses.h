/* Addresses: where else than its name says a node can be dialled, as it or
 * another node has said.
 *
 * An address is a text that only the driver reads: "unix:/run/a.sock",
 * "tcp://10.0.0.5:9101", or both with a blank between. Whose word it is
 * counts:
 *
 *   HEARSAY   a third node's; any other word of that name replaces it
 *   OWN       the node's own, on a link that proved its name; HEARSAY does not
 *             replace it
 *
 * When the link is down the node's own word becomes HEARSAY (_part): its next
 * life may have another, and others may hear of that first. Only its own word
 * is told to third nodes. "" is no address, and the node is forgotten here.
 *
 * At an address may be somebody else, or what swallows all that is sent there.
 * So an attempt that found a listener, or no answer, makes the address DOUBTED
 * for the next one (_doubt), unless it was proven who is there (_proven).
 *
 * At most BYN_ADDRESSES_MAX are kept; a new one takes the place of the oldest
 * HEARSAY. Without memory, or room, the node is dialled as its name says.
 */
#ifndef BYN_ADDRESSES_H
#define BYN_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alloc.h"
#include "roster.h"

#define BYN_ADDRESSES_MAX 1024
#define BYN_ADDRESS_TEXT_MAX 400 /* bytes of one */

typedef enum byn_address_word {
  BYN_ADDRESS_HEARSAY,
  BYN_ADDRESS_OWN
} byn_address_word;

typedef struct byn_addresses {
  byn_alloc alloc;
  byn_roster known;
  uint64_t told; /* how many words were taken: their order */
} byn_addresses;

void byn_addresses_init(byn_addresses *a, const byn_alloc *alloc);
void byn_addresses_free(byn_addresses *a);

/* No more than BYN_ADDRESS_TEXT_MAX bytes, and no control character among
 * them. */
bool byn_address_is_valid(const char *text, size_t n);

/* A word about the node of that name; both are valid, and copied. */
void byn_addresses_tell(byn_addresses *a, const char *name, const char *text,
                        byn_address_word word);
/* The link to it is down. */
void byn_addresses_part(byn_addresses *a, const char *name);

/* The address of a node, or NULL; valid until the next word about it. */
const char *byn_addresses_of(const byn_addresses *a, const char *name);
/* The same, if it is the node's own word. */
const char *byn_addresses_own(const byn_addresses *a, const char *name);
/* The address for the next attempt to dial it; NULL: as its name says.
 * `resumes`: its refusal would prove its end, so hearsay does not count. The
 * attempt after this one doubts nothing, unless _doubt says so again. */
const char *byn_addresses_to_dial(byn_addresses *a, const char *name,
                                  bool resumes, bool *doubted);
/* An attempt at the address of that node was not refused. */
void byn_addresses_doubt(byn_addresses *a, const char *name);
/* A connection with that node is proven. */
void byn_addresses_proven(byn_addresses *a, const char *name);

#endif
