/* stats: counters of the databases, their averages over the last stats_period, and how they are shown.
 *
 * Owner: the console. Thread: control. Every stats_period all cores are asked for their counters; the difference of the last two
 * samples gives the averages.
 */
#ifndef PGRING_ADMIN_STATS_H
#define PGRING_ADMIN_STATS_H

#include "admin/gather.h"
#include "admin/rows.h"

struct stats;

/* After the console has been hung on its core. Returns 0 or ERR_NO_MEMORY. */
must_check int stats_open(struct core *core);
void stats_close(struct core *core);

/* The answers to SHOW STATS and its relatives. `gather` is NULL when only the columns are asked for. */
void stats_show(struct core *core, const struct gather *gather, struct rows *rows);
void stats_show_totals(struct core *core, const struct gather *gather, struct rows *rows);
void stats_show_averages(struct core *core, const struct gather *gather, struct rows *rows);
void stats_show_sums(struct core *core, const struct gather *gather, struct rows *rows);

/* How busy a core was during the last period, in thousandths. */
unsigned stats_busy(struct core *core, unsigned index);

#endif
