/* Chance from the kernel, and a fast generator seeded by it. */
#include "core/rand.h"

#include "core/check.h"
#include "core/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

void rand_secure(void *bytes, size_t len)
{
	uint8_t *at = bytes;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		CHECK(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

void rand_draw(struct rand_store *store, void *bytes, size_t len)
{
	CHECK(len <= sizeof store->bytes);
	if (store->left < len) {
		rand_secure(store->bytes, sizeof store->bytes);
		store->left = sizeof store->bytes;
	}
	store->left -= len;
	memcpy(bytes, store->bytes + store->left, len);
	memory_wipe(store->bytes + store->left, len);
}

void rand_init(struct rand *rand)
{
	rand_secure(rand->state, sizeof rand->state);
	rand->state[0] |= 1; /* the all-zero state is the one that never moves */
}

static uint64_t rand_rotate(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

uint64_t rand_next(struct rand *rand)
{
	uint64_t *s = rand->state;
	uint64_t result = rand_rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rand_rotate(s[3], 45);
	return result;
}

uint64_t rand_below(struct rand *rand, uint64_t bound)
{
	CHECK(bound > 0);
	return (uint64_t)(((unsigned __int128)rand_next(rand) * bound) >> 64);
}
