/* watch: what another process uses between two moments: CPU time (all its threads, kernel time on
 * its behalf included), context switches, and on request its system calls.
 *
 * Thread: one. Memory: static tables; at most WATCH_THREADS threads are told apart, all are in the
 * sums. Counting system calls (the tracepoint raw_syscalls:sys_enter) slows every process of the
 * machine down: use it in a run of its own.
 */
#ifndef PGRING_BENCH_WATCH_H
#define PGRING_BENCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

enum { WATCH_THREADS = 64 };

struct watch_thread {
	pid_t tid;
	char name[16];
	uint64_t cpu_ns, switches;
	int counter; /* of system calls; -1: none */
};

struct watch {
	pid_t pid;
	clockid_t clock;
	bool count_syscalls;
	uint64_t cpu_ns, started_ns;
	uint64_t voluntary, involuntary; /* context switches */
	int64_t syscalls;                /* -1: not counted */
	uint64_t elapsed_ns;
	struct watch_thread threads[WATCH_THREADS];
	unsigned thread_count;
};

/* Ends the program if there is no such process. */
void watch_init(struct watch *watch, pid_t pid, bool count_syscalls);
void watch_start(struct watch *watch);
/* From here the fields hold what was used since watch_start(). */
void watch_stop(struct watch *watch);
/* As one JSON object. */
void watch_print(const struct watch *watch, FILE *file);

#endif
