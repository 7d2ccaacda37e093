/* gather: figures of all cores, collected by a round.
 *
 * Made by control; each core adds its part, so that nothing is shared and the parts add up.
 */
#ifndef PGRING_ADMIN_GATHER_H
#define PGRING_ADMIN_GATHER_H

#include "admin/rows.h"
#include "core/core.h"
#include "core/round.h"
#include "pool/pool.h"

enum gather_what {
	GATHER_FIGURES, /* sums per pool, and figures per core */
	GATHER_CLIENTS, /* rows */
	GATHER_SERVERS, /* rows */
};

/* One pool over all cores. */
struct gather_pool {
	uint32_t id; /* the pool's in every configuration */
	struct pool_stats stats;
	uint64_t clients_active, clients_waiting;
	uint64_t servers_active, servers_idle, servers_used, servers_tested, servers_login;
	uint64_t servers_in_transaction, servers_cancelled, servers_retiring, servers_total;
	uint64_t servers_closing;
	uint64_t cancels; /* connections for them */
	uint64_t cancels_waiting, cancels_active;
	uint64_t wait_us_max; /* age of the oldest waiter */
	bool is_failing;      /* on some core */
};

enum memory_kind {
#define MEMORY(symbol, name, bytes, text) MEMORY_##symbol,
#include "admin/memories.def"
	MEMORY_KIND_COUNT
};

/* In pieces. */
struct gather_memory {
	uint64_t used, spare;
};

struct gather_core {
	uint64_t clients, consoles, logging_in, servers, waiting, lookups;
	uint64_t busy_ns; /* on a CPU, since the start */
	uint64_t at_ns;   /* when that was */
	uint64_t metrics[METRIC_COUNT];
	struct gather_memory memory[MEMORY_KIND_COUNT];
};

struct gather {
	struct round round;
	enum gather_what what;
	struct gather_pool
		*pools; /* FIGURES: by config_pool.index of control's configuration at the start */
	size_t pool_count;
	struct gather_core *cores;                /* FIGURES: the workers */
	uint64_t memory_bytes[MEMORY_KIND_COUNT]; /* FIGURES: of one piece */
	struct rows rows;
	/* Runs on control, when every core has added its part; owns the gather from there on. */
	void (*gathered)(struct core *core, struct gather *gather);
	void *owner;
};

/* Sends one off. `formats` are those of the rows, borrowed until gathered(). Thread: control. Returns 0 or ERR_FULL /
 * ERR_NO_MEMORY. */
must_check int gather_start(struct core *core, enum gather_what what,
	const struct rows_formats *formats,
	void (*gathered)(struct core *core, struct gather *gather), void *owner);
void gather_free(struct gather *gather);

/* Columns of the rows that the cores make. */
extern const struct rows_column gather_client_columns[], gather_server_columns[];
extern const size_t gather_client_column_count, gather_server_column_count;

#endif
