/* SPDX-License-Identifier: MIT */
/*
 * rng.h - a small seeded random number generator: the same seed gives the same order of trials.
 *
 * splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
 * For shuffles and resampling, not for secrets.
 */
#ifndef RNG_H
#define RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state; /* any value is a valid seed */
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* A number between 0 and 1, both excluded, so that its logarithm is finite. */
static inline double rng_uniform(struct rng *rng)
{
	return ((double)(rng_next(rng) >> 11) + 0.5) / 0x1p53;
}

/* A number in [0, n), n > 0.  The bias of the remainder, n / 2^64, is of no account here. */
static inline size_t rng_below(struct rng *rng, size_t n)
{
	return (size_t)(rng_next(rng) % n);
}

/* Puts them in random order (Fisher and Yates). */
static inline void rng_shuffle(struct rng *rng, size_t *order, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t other = rng_below(rng, i);
		size_t swap = order[i - 1];

		order[i - 1] = order[other];
		order[other] = swap;
	}
}

#endif
