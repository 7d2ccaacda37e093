/* How far apart two CPUs are. */
#include "bench/crosscore.h"

#include "bench/child.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RUNS = 5, TURNS = 50000 };

struct line {
	_Alignas(64) _Atomic uint32_t turn; /* even: ours, odd: the peer's */
	_Alignas(64) int peer_cpu;
};

static void *answer(void *arg)
{
	struct line *line = arg;

	child_pin(line->peer_cpu);
	for (uint32_t turn = 1; turn < 2 * TURNS; turn += 2) {
		while (atomic_load_explicit(&line->turn, memory_order_acquire) != turn)
			;
		atomic_store_explicit(&line->turn, turn + 1, memory_order_release);
	}
	return NULL;
}

static uint64_t run(int peer_cpu)
{
	struct line line = {.peer_cpu = peer_cpu};
	uint64_t started = 0;
	pthread_t thread;

	if (pthread_create(&thread, NULL, answer, &line) != 0)
		child_fail("cannot start a thread");
	for (uint32_t turn = 0; turn < 2 * TURNS; turn += 2) {
		if (turn == 2) /* the peer is there */
			started = child_now_ns();
		atomic_store_explicit(&line.turn, turn + 1, memory_order_release);
		while (atomic_load_explicit(&line.turn, memory_order_acquire) != turn + 2)
			;
	}
	started = child_now_ns() - started;
	pthread_join(thread, NULL);
	return started / (TURNS - 1);
}

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

uint64_t crosscore_rtt_ns(int cpu, int peer_cpu)
{
	uint64_t rtt[RUNS];

	child_pin(cpu);
	for (int i = 0; i < RUNS; i++)
		rtt[i] = run(peer_cpu);
	qsort(rtt, RUNS, sizeof rtt[0], by_value);
	return rtt[RUNS / 2];
}
