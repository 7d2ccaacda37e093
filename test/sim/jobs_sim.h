/* jobs_sim: job threads without threads: a job that was submitted is run when the driver says so. */
#ifndef PGRING_TEST_SIM_JOBS_SIM_H
#define PGRING_TEST_SIM_JOBS_SIM_H

#include <stdbool.h>
#include <stdint.h>

/* When the next job can run; UINT64_MAX if there is none. */
uint64_t jobs_sim_due_ns(void);
/* Runs one job that is due; its core gets the letter. */
void jobs_sim_step(void);

#endif
