/* xoshiro256**, seeded through splitmix64. */
#include "rng.h"

#include <stdbool.h>

#include "assert.h"

/* The one state that the generator never leaves, and no seed gives. */
static bool is_unseeded(const byn_rng *rng) {
  return (rng->s[0] | rng->s[1] | rng->s[2] | rng->s[3]) == 0;
}

static uint64_t rotate_left(uint64_t x, int k) {
  return (x << k) | (x >> (64 - k));
}

void byn_rng_seed(byn_rng *rng, uint64_t seed) {
  for (uint64_t i = 0; i < 4; i++)
    rng->s[i] = byn_rng_at(seed, i);
  byn_assert(!is_unseeded(rng));
}

uint64_t byn_rng_next(byn_rng *rng) {
  byn_assert(!is_unseeded(rng));
  uint64_t *s = rng->s;
  uint64_t result = rotate_left(s[1] * 5, 7) * 9;
  uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  byn_assert(!is_unseeded(rng));
  return result;
}

uint64_t byn_rng_below(byn_rng *rng, uint64_t bound) {
  if (bound == 0) return 0;
  /* 2^64 mod bound: without that many of the least values, each remainder has
   * equally many of the rest. */
  uint64_t cut = (0 - bound) % bound;
  uint64_t x;
  do
    x = byn_rng_next(rng);
  while (x < cut);
  return x % bound;
}
