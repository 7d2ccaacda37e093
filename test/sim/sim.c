/* Chance, time, trace and verdict of the simulation that runs. */
#include "test/sim/sim.h"

#include "core/clock.h"
#include "core/rand.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACE_LINES = 200, TRACE_COLUMNS = 176 };

static struct {
	uint64_t seed;
	struct rand rand;
	uint64_t now_ns, still_ns;
	uint16_t rates[FAULT_COUNT];
	bool is_calm, is_peaceful, is_live, is_failing;
	struct sim_coverage *coverage;
	char lines[TRACE_LINES][TRACE_COLUMNS];
	uint64_t line_count;
} sim;

void (*sim_wake)(unsigned member);

static const struct {
	const char *name;
	uint16_t most;
} sim_faults[] = {
#define FAULT(name, most, text) [FAULT_##name] = {#name, most},
#include "test/sim/faults.def"
};

static bool sim_excluded[FAULT_COUNT];

bool sim_exclude(const char *name)
{
	for (int i = 0; i < FAULT_COUNT; i++) {
		if (strcmp(sim_faults[i].name, name) != 0)
			continue;
		sim_excluded[i] = true;
		return true;
	}
	return false;
}

/* splitmix64 (Steele, Lea, Flood 2014): neighbouring seeds give unrelated states. */
static void sim_seed(struct rand *rand, uint64_t seed)
{
	for (size_t i = 0; i < array_len(rand->state); i++) {
		uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		rand->state[i] = z ^ (z >> 31);
	}
}

/* Faults that no client needs to notice. */
static bool sim_is_harmless(enum sim_fault_kind kind)
{
	return kind <= FAULT_ACCEPT_STOPS || kind == FAULT_SERVER_DRIBBLES ||
		kind == FAULT_SERVER_NOTICES || kind == FAULT_SERVER_SLOW_READER ||
		kind == FAULT_CLIENT_DRIBBLES;
}

void sim_begin(uint64_t seed, struct sim_coverage *coverage, bool live)
{
	memset(&sim, 0, sizeof sim);
	sim.seed = seed;
	sim.coverage = coverage;
	sim.is_live = live;
	sim.now_ns = 1000 * NS_PER_S;
	sim_seed(&sim.rand, seed);
	sim.is_peaceful = sim_percent(15);
	for (int i = 0; i < FAULT_COUNT; i++) {
		bool on = sim_percent(45);
		uint64_t rate = sim_between(1, sim_faults[i].most);

		if (on && !sim_excluded[i] &&
			(!sim.is_peaceful || sim_is_harmless((enum sim_fault_kind)i)))
			sim.rates[i] = (uint16_t)rate;
		if (sim.rates[i])
			sim_trace("plan: %s %u", sim_faults[i].name, sim.rates[i]);
	}
	coverage->seeds++;
}

uint64_t sim_below(uint64_t bound)
{
	return rand_below(&sim.rand, bound);
}

uint64_t sim_between(uint64_t from, uint64_t to)
{
	return from + sim_below(to - from + 1);
}

bool sim_percent(unsigned percent)
{
	return sim_below(100) < percent;
}

size_t sim_portion(size_t available, enum sim_fault_kind shortens)
{
	if (available > 1 && sim_fault(shortens))
		return (size_t)sim_between(1, available < 24 ? available : 24);
	if (sim_percent(70))
		return available;
	return (size_t)sim_between(1, available);
}

bool sim_fault(enum sim_fault_kind kind)
{
	if (sim.rates[kind] == 0 || sim.is_calm || sim_below(10000) >= sim.rates[kind])
		return false;
	sim.coverage->faults[kind]++;
	return true;
}

void sim_calm(void)
{
	sim.is_calm = true;
	sim_trace("calm");
}

bool sim_is_peaceful(void)
{
	return sim.is_peaceful || sim.is_calm;
}

void sim_reached(enum sim_reach what)
{
	sim.coverage->reaches[what]++;
}

uint64_t sim_now_ns(void)
{
	return sim.now_ns;
}

uint64_t sim_elapsed_ns(void)
{
	return sim.now_ns - sim.still_ns;
}

void sim_advance_ns(uint64_t ns)
{
	sim.now_ns += ns;
}

void sim_stand_still_ns(uint64_t ns)
{
	sim.now_ns += ns;
	sim.still_ns += ns;
}

/* ---- the trace ---- */

void sim_trace(const char *format, ...)
{
	char *line = sim.lines[sim.line_count++ % TRACE_LINES];
	int len = snprintf(
		line, TRACE_COLUMNS, "%10.6f ", (double)(sim.now_ns - 1000 * NS_PER_S) / 1e9);
	va_list args;

	va_start(args, format);
	vsnprintf(line + len, (size_t)(TRACE_COLUMNS - len), format, args);
	va_end(args);
	if (sim.is_live)
		fprintf(stderr, "%s\n", line);
}

void sim_print_trace(void)
{
	uint64_t from = sim.line_count > TRACE_LINES ? sim.line_count - TRACE_LINES : 0;

	if (sim.is_failing)
		return;
	sim.is_failing = true;
	fprintf(stderr, "the last %d events:\n", TRACE_LINES);
	for (uint64_t i = from; i < sim.line_count && !sim.is_live; i++)
		fprintf(stderr, "%s\n", sim.lines[i % TRACE_LINES]);
	fprintf(stderr, "seed %llu failed; replay: sim --seed %llu --trace\n",
		(unsigned long long)sim.seed, (unsigned long long)sim.seed);
}

void sim_fail(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	sim_print_trace();
	fprintf(stderr, "sim: %s\n", text);
	abort();
}
