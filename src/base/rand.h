/*
 * base/rand.h - a small, fast, seeded generator (xoshiro256**, Blackman and Vigna 2018).
 *
 * For jitter, MX shuffling, hash seeds and simulation; never for keys or tokens. The engine gets
 * its generator handed in, so one seed reproduces one history. One thread at a time.
 */
#pragma once

#include <stdint.h>

struct rand { /* fields are private */
    uint64_t s[4];
};

void rand_init(struct rand *r, uint64_t seed); /* any seed, 0 included */
uint64_t rand_u64(struct rand *r);
/* Uniform in [0, bound), bound > 0, without modulo bias. */
uint64_t rand_below(struct rand *r, uint64_t bound);
/* Uniform in [-1, 1). */
double rand_symmetric(struct rand *r);
