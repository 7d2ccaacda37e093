/* SipHash-2-4, 128 bits. */
#include "core/hash.h"

#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t sip_rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static inline void sip_rounds(struct sip *sip, unsigned rounds)
{
	while (rounds-- > 0) {
		sip->v0 += sip->v1;
		sip->v1 = sip_rotate(sip->v1, 13) ^ sip->v0;
		sip->v0 = sip_rotate(sip->v0, 32);
		sip->v2 += sip->v3;
		sip->v3 = sip_rotate(sip->v3, 16) ^ sip->v2;
		sip->v0 += sip->v3;
		sip->v3 = sip_rotate(sip->v3, 21) ^ sip->v0;
		sip->v2 += sip->v1;
		sip->v1 = sip_rotate(sip->v1, 17) ^ sip->v2;
		sip->v2 = sip_rotate(sip->v2, 32);
	}
}

static inline uint64_t sip_word(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static inline void sip_take(struct sip *sip, uint64_t word)
{
	sip->v3 ^= word;
	sip_rounds(sip, 2);
	sip->v0 ^= word;
}

struct hash hash_keyed(const uint8_t key[HASH_KEY_BYTES], const void *bytes, size_t len)
{
	const uint8_t *at = bytes, *end = at + (len & ~(size_t)7);
	uint64_t k0 = sip_word(key), k1 = sip_word(key + 8), last = (uint64_t)len << 56;
	struct sip sip = {k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee, k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573)};
	struct hash hash;

	for (; at < end; at += 8)
		sip_take(&sip, sip_word(at));
	for (size_t i = 0; i < (len & 7); i++)
		last |= (uint64_t)at[i] << (8 * i);
	sip_take(&sip, last);
	sip.v2 ^= 0xee;
	sip_rounds(&sip, 4);
	hash.a = sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
	sip.v1 ^= 0xdd;
	sip_rounds(&sip, 4);
	hash.b = sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
	return hash;
}
