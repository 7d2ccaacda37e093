/* hash: a keyed hash of 128 bits, whose values nobody can steer who does not know the key.
 *
 * Pure. Source: SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
 */
#ifndef PGRING_CORE_HASH_H
#define PGRING_CORE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash {
	uint64_t a, b;
};

enum { HASH_KEY_BYTES = 16 };

struct hash hash_keyed(const uint8_t key[HASH_KEY_BYTES], const void *bytes, size_t len);

static inline bool hash_equal(struct hash x, struct hash y)
{
	return x.a == y.a && x.b == y.b;
}

#endif
