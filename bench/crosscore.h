/* crosscore: how far apart two CPUs are. On a virtual machine that distance changes when the host
 * moves them, and with it every figure of a bench that has the pooler on one CPU and its peers on
 * the other.
 *
 * Thread: any; starts one of its own and joins it.
 */
#ifndef PGRING_BENCH_CROSSCORE_H
#define PGRING_BENCH_CROSSCORE_H

#include <stdint.h>

/* The time of one there-and-back of a cache line between two threads that spin, median of 5 runs
 * of about 10 ms. */
uint64_t crosscore_rtt_ns(int cpu, int peer_cpu);

#endif
