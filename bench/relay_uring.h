/* relay_uring: the relay over io_uring: one ring, multishot recv from a shared ring of provided
 * buffers, one gathered send at a time per socket.
 *
 * Thread: the main one. Memory: the buffers, static for the process. Needs Linux 6.1; uses bundles
 * (6.10) where they are.
 */
#ifndef PGRING_BENCH_RELAY_URING_H
#define PGRING_BENCH_RELAY_URING_H

#include "bench/child.h"

/* Sets the ring up. Returns -1, with a sentence on standard error, where the kernel refuses. */
int relay_uring_start(void);

/* Relays what `listener` accepts to `target` until child_stopping. */
void relay_uring_run(int listener, const struct child_endpoint *target);

#endif
