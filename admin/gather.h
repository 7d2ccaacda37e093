/* gather: figures of all cores, collected by one letter that goes from core to core and comes back to control.
 *
 * Made by control; each core adds its part and sends it on, so that nothing is shared and the parts add up.
 */
#ifndef PGRING_ADMIN_GATHER_H
#define PGRING_ADMIN_GATHER_H

#include "admin/rows.h"
#include "core/core.h"
#include "pool/pool.h"

struct command;

enum gather_what {
	GATHER_FIGURES, /* sums per pool */
	GATHER_CLIENTS, /* rows */
	GATHER_SERVERS, /* rows */
};

/* One pool over all cores. */
struct gather_pool {
	struct pool_stats stats;
	uint64_t clients_active, clients_waiting;
	uint64_t servers_active, servers_idle, servers_tested, servers_login, servers_total;
	uint64_t wait_us_max; /* age of the oldest waiter */
};

struct gather {
	enum gather_what what;
	unsigned next;             /* the core that comes next */
	struct gather_pool *pools; /* FIGURES: by config_pool.index */
	size_t pool_count;
	uint64_t clients, logging_in;
	uint64_t metrics[METRIC_COUNT];
	struct rows rows;
	/* Runs on control, when every core has added its part; owns the gather from there on. */
	void (*gathered)(struct core *core, struct gather *gather);
	void *owner;
};

/* Sends one off. Thread: control. Returns 0 or ERR_FULL / ERR_NO_MEMORY. */
must_check int gather_start(struct core *core, enum gather_what what,
	void (*gathered)(struct core *core, struct gather *gather), void *owner);
void gather_free(struct gather *gather);

/* The handlers of LETTER_GATHER, of the cores, and of LETTER_GATHERED, of control. */
void gather_arrived(struct core *core, const struct letter *letter);
void gather_returned(struct core *core, const struct letter *letter);

/* Columns of the rows that the cores make. */
extern const struct rows_column gather_socket_columns[];
extern const size_t gather_socket_column_count;

#endif
