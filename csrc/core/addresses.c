/* Addresses: what was said of each node, and whose word it was. */
#include "addresses.h"

#include <string.h>

#include "assert.h"

typedef struct place {
  byn_address_word word;
  bool doubted;  /* somebody listens there, who has not proved to be it */
  uint64_t told; /* when, in the order of words */
  size_t size;   /* of this block */
  char *text;    /* in it, after the name */
  char name[];
} place;

static place *place_of(const byn_addresses *a, const char *name) {
  return byn_roster_get(&a->known, name);
}

static void forget_place(byn_addresses *a, place *p) {
  byn_roster_remove(&a->known, p->name);
  byn_free(&a->alloc, p, p->size);
}

void byn_addresses_init(byn_addresses *a, const byn_alloc *alloc) {
  *a = (byn_addresses){.alloc = *alloc};
}

void byn_addresses_free(byn_addresses *a) {
  for (uint32_t i = 0; i < a->known.count; i++) {
    place *p = a->known.at[i].thing;
    byn_free(&a->alloc, p, p->size);
  }
  byn_roster_free(&a->alloc, &a->known);
}

bool byn_address_is_valid(const char *text, size_t n) {
  if (n > BYN_ADDRESS_TEXT_MAX) return false;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) return false;
  return true;
}

/* Makes room for one more; false: there is none. */
static bool make_room(byn_addresses *a) {
  place *oldest = NULL;
  if (a->known.count < BYN_ADDRESSES_MAX)
    return byn_roster_reserve(&a->alloc, &a->known, a->known.count + 1);
  for (uint32_t i = 0; i < a->known.count; i++) {
    place *p = a->known.at[i].thing;
    if (p->word == BYN_ADDRESS_HEARSAY && (!oldest || p->told < oldest->told))
      oldest = p;
  }
  if (oldest) forget_place(a, oldest);
  return oldest != NULL;
}

static place *new_place(byn_addresses *a, const char *name, const char *text) {
  size_t name_size = strlen(name) + 1, text_size = strlen(text) + 1;
  size_t size = sizeof(place) + name_size + text_size;
  place *p = byn_new(&a->alloc, size);
  if (!p) return NULL;
  *p = (place){.size = size, .told = ++a->told, .text = p->name + name_size};
  memcpy(p->name, name, name_size);
  memcpy(p->text, text, text_size);
  return p;
}

void byn_addresses_tell(byn_addresses *a, const char *name, const char *text,
                        byn_address_word word) {
  place *before = place_of(a, name);
  byn_assert(byn_address_is_valid(text, strlen(text)));
  if (before && before->word > word) return;
  if (before && !strcmp(before->text, text)) {
    before->word = word;
    return;
  }
  if (before) forget_place(a, before);
  if (!*text || !make_room(a)) return;
  place *p = new_place(a, name, text);
  if (!p) return;
  p->word = word;
  byn_roster_insert(&a->known, p->name, p);
}

void byn_addresses_part(byn_addresses *a, const char *name) {
  place *p = place_of(a, name);
  if (p && p->word == BYN_ADDRESS_OWN) p->word = BYN_ADDRESS_HEARSAY;
}

const char *byn_addresses_of(const byn_addresses *a, const char *name) {
  const place *p = place_of(a, name);
  return p ? p->text : NULL;
}

const char *byn_addresses_own(const byn_addresses *a, const char *name) {
  const place *p = place_of(a, name);
  return p && p->word == BYN_ADDRESS_OWN ? p->text : NULL;
}

const char *byn_addresses_to_dial(byn_addresses *a, const char *name,
                                  bool resumes, bool *doubted) {
  place *p = place_of(a, name);
  *doubted = p && p->doubted;
  if (!p || (resumes && p->word == BYN_ADDRESS_HEARSAY)) return NULL;
  p->doubted = false;
  return p->text;
}

void byn_addresses_doubt(byn_addresses *a, const char *name) {
  place *p = place_of(a, name);
  if (p) p->doubted = true;
}

void byn_addresses_proven(byn_addresses *a, const char *name) {
  place *p = place_of(a, name);
  if (p) p->doubted = false;
}
