/* rand: the only door to chance. Simulation links another one. */
#ifndef PGRING_CORE_RAND_H
#define PGRING_CORE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* Fast numbers of one thread, for jitter and spreading; not for secrets (xoshiro256**, Blackman and Vigna 2018). */
struct rand {
	uint64_t state[4];
};

/* Seeds from the kernel. */
void rand_init(struct rand *rand);
uint64_t rand_next(struct rand *rand);
/* Uniform in 0..bound-1; bound > 0. */
uint64_t rand_below(struct rand *rand, uint64_t bound);

/* Unpredictable bytes for nonces, salts and cancel keys. Any thread; never fails (the process ends if the kernel refuses). */
void rand_secure(void *bytes, size_t len);

/* The same, drawn ahead: a system call for many logins. Of one thread; what was given is wiped. */
struct rand_store {
	uint8_t bytes[512];
	size_t left;
};
void rand_draw(struct rand_store *store, void *bytes, size_t len);

#endif
