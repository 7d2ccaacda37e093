/* The simulator's chance: all of it comes from the seed. Stands in for core/rand.c. */
#include "core/rand.h"

#include "core/check.h"
#include "test/sim/sim.h"

void rand_secure(void *bytes, size_t len)
{
	uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)sim_below(256);
}

void rand_draw(struct rand_store *store, void *bytes, size_t len)
{
	(void)store;
	rand_secure(bytes, len);
}

void rand_init(struct rand *rand)
{
	rand_secure(rand->state, sizeof rand->state);
	rand->state[0] |= 1;
}

/* xoshiro256** (Blackman and Vigna 2018), the same as in core/rand.c. */
uint64_t rand_next(struct rand *rand)
{
	uint64_t *s = rand->state;
	uint64_t x = s[1] * 5, result = ((x << 7) | (x >> 57)) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return result;
}

uint64_t rand_below(struct rand *rand, uint64_t bound)
{
	CHECK(bound > 0);
	return (uint64_t)(((unsigned __int128)rand_next(rand) * bound) >> 64);
}
