/* The simulator's clocks: virtual time. Stands in for core/clock.c. */
#include "core/clock.h"

#include "test/sim/sim.h"

uint64_t clock_monotonic_ns(void)
{
	return sim_now_ns();
}

uint64_t clock_thread_ns(void)
{
	return 0;
}

uint64_t clock_wall_ns(void)
{
	return UINT64_C(1700000000) * NS_PER_S + sim_now_ns();
}
