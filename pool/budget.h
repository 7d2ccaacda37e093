/* budget: how many server connections of a pool each core may have, and how that moves between the cores.
 *
 * A pool's size is a promise over all cores. It is dealt out as permits: a core has at most as many servers as it holds permits,
 * so the sum never exceeds the size. A core whose clients wait asks the one that publishes the most spare; that gives an idle
 * server, which moves with its permit, or a permit that it does not use. When nobody has any to spare, a server that becomes
 * free goes to the core whose client has waited longest.
 *
 * A core whose client has waited for reserve_pool_timeout makes itself a permit, as long as there are no more than
 * reserve_pool_size of these in all. They are permits like the others; a core that has one to spare while nobody waits unmakes it.
 *
 *   core with waiters --ASK--> core with spare --PARCEL (permits, and how many servers are coming)--> back
 *                              idle server MOVING --PARCEL (server and its permit)--> core with waiters
 *
 * Owner: control makes budgets with the configuration; each core writes its own line only. Thread: each function says whose.
 * Memory: shared by all cores; freed with the last snapshot that names it. Lost wake-ups are excluded as in Dekker's algorithm:
 * who begins to wait publishes that and then looks for spare, who begins to have spare publishes that and then looks for waiters,
 * with a full fence between the two.
 */
#ifndef PGRING_POOL_BUDGET_H
#define PGRING_POOL_BUDGET_H

#include "core/check.h"
#include "core/list.h"
#include "core/mailbox.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct core;
struct pool;
struct world;
struct server;
struct server_parcel;

/* What one core lets the others see of one pool. */
struct budget_line {
	_Alignas(64) _Atomic uint64_t
		oldest_ns;      /* since when its oldest client waits, or BUDGET_* */
	_Atomic uint32_t spare; /* servers and permits that it could give */
	_Atomic uint32_t idle;  /* servers among them */
};

/* Instead of a time. A number below BUDGET_DEBT_MAX: it owes that many permits, because pool_size was lowered. */
#define BUDGET_NOBODY UINT64_MAX
enum { BUDGET_DEBT_MAX = 1 << 20 };

struct budget {
	uint32_t id; /* the pool's, in every snapshot that has it */
	unsigned core_count;
	unsigned snapshots;        /* that name it; control's */
	_Atomic int32_t in_flight; /* permits in letters */
	atomic_uint reserve;       /* permits beyond the size, from reserve_pool_size */
	struct budget_line lines[];
};

/* What LETTER_PARCEL carries. */
struct budget_parcel {
	struct list link; /* in the outbox, while the mailbox is full */
	unsigned to;
	uint32_t pool_id;
	uint16_t permits;
	uint16_t least;               /* of the permits, how many stand for min_pool_size */
	uint16_t coming;              /* servers that follow */
	bool is_answer;               /* to an ASK */
	bool is_promised;             /* one of those that follow */
	struct server_parcel *server; /* moves with a permit; NULL: permits only */
};

/* Gives every pool of a configuration its identity: the one it had in `previous` (NULL: none), or a new one. Returns 0 or
 * ERR_NO_MEMORY. Thread: control, before the cores see the configuration. */
must_check int budget_assign(
	const struct world *world, struct config *config, const struct config *previous);
/* The configuration is about to be freed. Thread: control. */
void budget_forget(struct config *config);

/* One that no other core knows. NULL: no memory. Freed by free(). */
struct budget *budget_single(unsigned core_count);

/* Before the core's pools are made. */
void budget_open(struct core *core);

/* A core's part of a number that holds for all cores. */
int budget_share(unsigned core, unsigned core_count, int64_t whole);

/* Lets the others see how the pool stands now, and gives away what they wait for. Whenever the number of waiters, idle servers or
 * permits has changed. Thread: the pool's core, as all below. */
void budget_publish(struct core *core, struct pool *pool);

/* Asks for `wanted` more servers, if anybody has some to spare and no other request is under way; or only for such as are
 * connected, because this core could not connect one. */
void budget_ask(struct core *core, struct pool *pool, unsigned wanted, bool connected_only);

/* Whether another core lets us see that it has a server to give. */
bool budget_has_idle(const struct core *core, const struct pool *pool);

/* The core that should get a server which has become free here although clients of this core wait: one of its clients waits much
 * longer. -1: none. */
int budget_more_urgent(struct core *core, struct pool *pool);

/* Makes as many permits as the clients need who have waited for reserve_pool_timeout, as far as the reserve goes. `on_the_way`:
 * servers that others of them will get. */
void budget_use_reserve(struct core *core, struct pool *pool, unsigned on_the_way);
/* Unmakes permits that nobody needs, and any beyond reserve_pool_size. */
void budget_restore_reserve(struct core *core, struct pool *pool);

/* A server that was to move has left this core, packed, or was lost on the way (NULL): its permit goes with it. */
void budget_send_server(struct core *core, struct pool *pool, unsigned to, bool is_promised,
	struct server_parcel *server);

/* The handlers of LETTER_ASK and LETTER_PARCEL. */
void budget_asked(struct core *core, const struct letter *letter);
void budget_arrived(struct core *core, const struct letter *letter);

#endif
