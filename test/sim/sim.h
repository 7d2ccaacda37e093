/* sim: what all parts of the simulator share: chance, virtual time, faults, the trace, coverage, and the verdict.
 *
 * One thread runs everything; a seed decides everything. Nothing in here may depend on an address, a real clock or real chance.
 * The state below is the simulation that runs, begun by sim_begin; there is one at a time.
 */
#ifndef PGRING_TEST_SIM_SIM_H
#define PGRING_TEST_SIM_SIM_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_fault_kind {
#define FAULT(name, most, text) FAULT_##name,
#include "test/sim/faults.def"
	FAULT_COUNT
};

enum sim_reach {
#define REACH(name, text) REACH_##name,
#include "test/sim/reaches.def"
	REACH_COUNT
};

enum { SIM_STATES = 16, SIM_CLOSES = 32, SIM_METRICS = 64 };

/* What was seen, over all seeds of a run; in memory that the parent process shares with its children. */
struct sim_coverage {
	uint64_t faults[FAULT_COUNT], reaches[REACH_COUNT];
	uint64_t server_states[SIM_STATES], client_states[SIM_STATES];
	uint64_t server_closes[SIM_CLOSES], metrics[SIM_METRICS];
	uint64_t requests, steps, seeds, virtual_ms;
};

/* No simulation from now on has that fault. False if there is none of that name. */
bool sim_exclude(const char *name);

/* Begins a simulation; `coverage` is added to. `live`: the trace is printed as it happens. */
void sim_begin(uint64_t seed, struct sim_coverage *coverage, bool live);

/* Uniform in 0..bound-1; in from..to. */
uint64_t sim_below(uint64_t bound);
uint64_t sim_between(uint64_t from, uint64_t to);
bool sim_percent(unsigned percent);
/* 1..available: rather all of them; if the fault strikes, a few. */
size_t sim_portion(size_t available, enum sim_fault_kind shortens);

/* Whether the fault strikes now. It is counted then. */
bool sim_fault(enum sim_fault_kind kind);
/* No fault strikes from now on. */
void sim_calm(void);
/* Whether this seed has none of the faults that make requests fail. */
bool sim_is_peaceful(void);

void sim_reached(enum sim_reach what);

/* Virtual time. `elapsed` leaves out the time during which the machine stood still. */
uint64_t sim_now_ns(void);
uint64_t sim_elapsed_ns(void);
void sim_advance_ns(uint64_t ns);
void sim_stand_still_ns(uint64_t ns);

/* One line of the trace. */
void sim_trace(const char *format, ...) printf_like(1, 2);
/* Prints the seed and the last lines of the trace to standard error. */
void sim_print_trace(void);
/* pgring has failed: says how, and ends the process. */
_Noreturn void sim_fail(const char *format, ...) printf_like(1, 2);
#define SIM_CHECK(x, ...) \
	do { \
		if (unlikely(!(x))) \
			sim_fail(__VA_ARGS__); \
	} while (0)

/* Set by the ring: makes the member's event descriptor readable. */
extern void (*sim_wake)(unsigned member);

/* Whether pgring has a server connection with that process number which it has not given up. sim_main.c. */
bool sim_pooler_uses(unsigned pid);

#endif
