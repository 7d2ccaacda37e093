/* A log-linear histogram of durations. */
#include "bench/latency.h"

/* Below 64 each value has its own slot; above, the leading bit chooses the group and the next
 * six bits the step. */
static unsigned slot_of(uint64_t ns)
{
	unsigned group;

	if (ns < 1u << LATENCY_STEP_BITS)
		return (unsigned)ns;
	group = 63u - (unsigned)__builtin_clzll(ns) - LATENCY_STEP_BITS;
	return ((group + 1) << LATENCY_STEP_BITS) + (unsigned)(ns >> group) -
		(1u << LATENCY_STEP_BITS);
}

static uint64_t slot_end_ns(unsigned slot)
{
	unsigned group = slot >> LATENCY_STEP_BITS;
	uint64_t step = slot & ((1u << LATENCY_STEP_BITS) - 1);

	if (group == 0)
		return step;
	return (((1u << LATENCY_STEP_BITS) + step + 1) << (group - 1)) - 1;
}

void latency_add(struct latency *latency, uint64_t ns)
{
	latency->slots[slot_of(ns)]++;
	latency->count++;
	if (ns > latency->max_ns)
		latency->max_ns = ns;
}

uint64_t latency_quantile_ns(const struct latency *latency, double share)
{
	uint64_t rank = (uint64_t)(share * (double)latency->count), seen = 0;

	for (unsigned slot = 0; slot < LATENCY_SLOTS; slot++) {
		seen += latency->slots[slot];
		if (seen > rank)
			return slot_end_ns(slot) < latency->max_ns ? slot_end_ns(slot)
								   : latency->max_ns;
	}
	return latency->max_ns;
}
