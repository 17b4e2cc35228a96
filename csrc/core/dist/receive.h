/* A peer's packet: checked as a whole, then taken record by record. */
#ifndef BYN_DIST_RECEIVE_H
#define BYN_DIST_RECEIVE_H

#include "parts.h"

/* As byn_dist_receive. */
bool byn_receive(byn_dist *d, const char *from, const uint8_t *bytes, size_t n);

#endif
