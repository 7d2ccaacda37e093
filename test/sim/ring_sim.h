/* ring_sim: what the driver of the simulation asks the simulated rings. ring.h is the contract with pgring. */
#ifndef PGRING_TEST_SIM_RING_SIM_H
#define PGRING_TEST_SIM_RING_SIM_H

#include "net/ring.h"

/* Whether a core that waits in this ring would wake up: something has completed, or could now. */
bool ring_sim_is_ready(const struct ring *ring);
/* When it would wake up by itself at the latest, or something in flight has its time. UINT64_MAX: never. */
uint64_t ring_sim_deadline_ns(const struct ring *ring);
/* How many completions the last turn has seen. */
unsigned ring_sim_delivered(const struct ring *ring);
/* Operations in flight that are not waiting for a letter. */
unsigned ring_sim_in_flight(const struct ring *ring);

#endif
