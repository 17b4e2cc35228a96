/* The main of a fuzz target where no fuzzer drives it: COUNT inputs, one a
 * seed from SEED on. To be included last, by a target that has defined
 *
 *   BYN_FUZZ_SIZE           the most bytes of one input
 *   random_byte(byn_rng *)  a byte of it
 */
#ifndef BYN_FUZZ_SEEDED_H
#define BYN_FUZZ_SEEDED_H

#include <stdio.h>
#include <stdlib.h>

#include "../../csrc/core/rng.h"

int main(int argc, char **argv) {
  long count = argc > 1 ? atol(argv[1]) : 10000;
  long first = argc > 2 ? atol(argv[2]) : 1;
  uint8_t bytes[BYN_FUZZ_SIZE];
  byn_rng rng;
  for (long i = 0; i < count; i++) {
    byn_rng_seed(&rng, (uint64_t)(first + i));
    size_t n = 1 + (size_t)byn_rng_below(&rng, BYN_FUZZ_SIZE - 1);
    for (size_t k = 0; k < n; k++)
      bytes[k] = random_byte(&rng);
    LLVMFuzzerTestOneInput(bytes, n);
  }
  printf("%ld inputs from seed %ld: nothing broke\n", count, first);
  return 0;
}

#endif
