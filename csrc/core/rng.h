/* The only randomness in the core: a small generator with its state in the
 * open. xoshiro256** 1.0 by D. Blackman and S. Vigna (2018), seeded through
 * splitmix64. Not for secrets: nonces come from the driver.
 */
#ifndef BYN_RNG_H
#define BYN_RNG_H

#include <stdint.h>

typedef struct byn_rng {
  uint64_t s[4];
} byn_rng;

void byn_rng_seed(byn_rng *rng, uint64_t seed);
uint64_t byn_rng_next(byn_rng *rng);

/* Uniform in [0, bound) without modulo bias; 0 when bound is 0. */
uint64_t byn_rng_below(byn_rng *rng, uint64_t bound);

#endif
