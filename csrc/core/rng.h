/* A generator of random numbers, the only randomness in the core.
 *
 * xoshiro256** 1.0 by D. Blackman and S. Vigna (2018), seeded through
 * splitmix64 (S. Vigna, after Steele, Lea and Flood, OOPSLA 2014). It must be
 * seeded before it is used; equal seeds give equal numbers. Not for secrets:
 * nonces come from the driver.
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

/* The i-th number of the sequence that splitmix64 makes from `key`. Whoever
 * has an id has its own random number by it, without a generator. */
static inline uint64_t byn_rng_at(uint64_t key, uint64_t i) {
  uint64_t z = key + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

#endif
