/* clock: the only door to time. Simulation links another one.
 *
 * Code of a core reads core->now_ns, the time at which its turn began; only the loop and the log call these.
 */
#ifndef PGRING_CORE_CLOCK_H
#define PGRING_CORE_CLOCK_H

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* Nanoseconds that never go back; the origin means nothing. Any thread. */
uint64_t clock_monotonic_ns(void);

/* Nanoseconds since 1970, UTC; may jump. For what people read. Any thread. */
uint64_t clock_wall_ns(void);

/* Nanoseconds that the calling thread has run on a CPU. For figures that are asked for now and then. */
uint64_t clock_thread_ns(void);

#endif
