/* latency: a log-linear histogram of durations: 64 steps per power of two, so that a quantile is
 * right within 1.6 %.
 *
 * Thread: one. Memory: none of its own.
 */
#ifndef PGRING_BENCH_LATENCY_H
#define PGRING_BENCH_LATENCY_H

#include <stdint.h>

enum {
	LATENCY_STEP_BITS = 6,
	LATENCY_SLOTS = (64 - LATENCY_STEP_BITS + 1) << LATENCY_STEP_BITS,
};

struct latency {
	uint64_t count, max_ns;
	uint64_t slots[LATENCY_SLOTS];
};

void latency_add(struct latency *latency, uint64_t ns);

/* The duration that `share` (0..1) of all did not exceed, rounded up to its slot's end; 0 if
 * there are none. */
uint64_t latency_quantile_ns(const struct latency *latency, double share);

#endif
