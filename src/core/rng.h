/* Random numbers as a pure function of (key, counter): no state to save, the same on every machine and thread count. */
#ifndef FNR_CORE_RNG_H
#define FNR_CORE_RNG_H

#include <stdint.h>

#include "src/core/hd.h"

/* SplitMix64's output function (Steele, Lea, Flood 2014): a bijective mix of 64 bits. */
static FNR_HD uint64_t fnr_mix64(uint64_t z)
{
    z += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

#ifndef __CUDACC__ /* kernels compute single draws */

typedef struct {
    uint64_t key, counter;
} fnr_rng;

/* A stream for (seed, a, b), independent of every other (seed, a, b). */
static inline fnr_rng fnr_rng_at(uint64_t seed, uint64_t a, uint64_t b)
{
    return (fnr_rng){.key = fnr_mix64(fnr_mix64(fnr_mix64(seed) ^ a) ^ b), .counter = 0};
}

static inline uint64_t fnr_rng_u64(fnr_rng *r)
{
    return fnr_mix64(r->key ^ fnr_mix64(r->counter++));
}

/* Uniform in [0, 1) with 53 bits. */
static inline double fnr_rng_uniform(fnr_rng *r)
{
    return (double)(fnr_rng_u64(r) >> 11) * 0x1.0p-53;
}

/* Uniform integer in [0, n), n > 0 (multiply-shift; bias below n / 2^64). */
static inline uint64_t fnr_rng_below(fnr_rng *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)fnr_rng_u64(r) * n) >> 64);
}

/* Standard normal (Box-Muller, one of the pair). */
double fnr_rng_normal(fnr_rng *r);

#endif

#endif
