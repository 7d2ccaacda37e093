/* sim_report: what was reached: watched while it happens, and printed at the end. */
#ifndef PGRING_TEST_SIM_SIM_REPORT_H
#define PGRING_TEST_SIM_SIM_REPORT_H

#include "core/core.h"
#include "test/sim/sim.h"

/* Notes the states of a core's servers and clients after a turn. */
void sim_report_watch(struct sim_coverage *coverage, const struct core *core);
/* Adds the core's metrics. */
void sim_report_metrics(struct sim_coverage *coverage, const struct core *core);
/* Prints everything. Returns how many of the things that a run must reach were not reached. */
unsigned sim_report_print(const struct sim_coverage *coverage);
/* Has a sanitizer print the trace when it finds something. */
void sim_report_catch_sanitizer(void);

#endif
