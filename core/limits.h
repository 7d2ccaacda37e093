/* limits: how much of everything there may be. Relations between limits are asserted at compile time, below. */
#ifndef PGRING_CORE_LIMITS_H
#define PGRING_CORE_LIMITS_H

enum {
	LIMIT_CORES = 256,     /* threads with a ring, control included */
	LIMIT_JOB_THREADS = 3, /* the last one sends errands off */
	LIMIT_ERRANDS = 64,    /* threads that wait for somebody outside, at once */
	LIMIT_MEMBERS = LIMIT_CORES + LIMIT_JOB_THREADS, /* whoever has a mailbox */
	LIMIT_MAILBOX = 256,                             /* letters between one pair of members */
	LIMIT_SLOTS = 1 << 20,      /* of one kind of one core: clients, servers, streams */
	LIMIT_LOG_RING = 64 * 1024, /* bytes of log lines of one member that wait to be written */
	LIMIT_LOG_LINE = 1024,      /* bytes; longer lines are cut */

	LIMIT_RING_ENTRIES =
		1024, /* submissions between two turns; more only costs a second system call */
	LIMIT_RING_COMPLETIONS = 8192,
	LIMIT_BUFFERS = 512, /* receive buffers of one core */
	LIMIT_BUFFERS_SHORT =
		32, /* of them that the kernel gets for a turn while memory is short */
	LIMIT_BUFFER_BYTES = 4096,
	LIMIT_SPANS =
		LIMIT_BUFFERS, /* buffers of one completion: a bundle may take all there are */
	LIMIT_GATHER = 64,     /* pieces of one send */
	LIMIT_BULK_BYTES = 256 * 1024, /* private receive buffer where the kernel has no bundles */

	LIMIT_COPY_BYTES = 512,        /* pieces up to this are copied, larger ones borrowed */
	LIMIT_BLOCK_BYTES = 1024,      /* one block of a queue, its head included */
	LIMIT_QUEUE_HIGH = 256 * 1024, /* bytes queued to a peer at which the source is paused */
	LIMIT_UNREAD_BYTES = 16 * 1024 *
		1024, /* copied out for slow peers of a core, before it is short of memory */
	LIMIT_QUEUE_LOW = LIMIT_QUEUE_HIGH / 2,
	LIMIT_HELD_BYTES =
		64 * 1024, /* of one client that waits for a server, before it is paused */
	LIMIT_WHOLE_BYTES =
		2 * 1024 * 1024,      /* larger requests take a server before they are whole */
	LIMIT_SMALL_BYTES = 8 * 1024, /* of one client, which may use the reserve (held.h) */
	LIMIT_STALL_MS = 500, /* how long a large request may bring little, once memory is short */
	LIMIT_UNFINISHED_MS = 2000, /* how long these may take once memory is short */

	LIMIT_STATEMENT_BYTES = 32 << 20,         /* of one prepared statement */
	LIMIT_CLIENT_STATEMENTS_BYTES = 64 << 20, /* of all of one client's, each counted in full */
	LIMIT_STATEMENTS_BYTES = 256 << 20,       /* of all of one core's, each counted once */
	LIMIT_UNHEARD_BYTES = 4 << 20,            /* notifications that wait for one client */
	LIMIT_NEWS_BYTES = 4 << 20,   /* ... for other cores, before no more are received */
	LIMIT_PENDING = 1024,         /* answers that one server owes */
	LIMIT_STARTUP_BYTES = 10000,  /* PostgreSQL's MAX_STARTUP_PACKET_LENGTH */
	LIMIT_PASSWORD_BYTES = 65535, /* PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH */
	LIMIT_NAME_BYTES = 64,        /* PostgreSQL's NAMEDATALEN */
	LIMIT_LISTENERS = 16,
	LIMIT_CANCELS = 8, /* connections for cancel requests at once, of one pool of one core */
	LIMIT_CANCEL_MS =
		50, /* until a connection is shut down because a cancel did not end what is in flight */
	LIMIT_LINGER_MS = 1000, /* how long a closing peer may take to read its last message */
};

_Static_assert((LIMIT_BUFFERS & (LIMIT_BUFFERS - 1)) == 0, "the buffer ring is a power of two");
_Static_assert((LIMIT_MAILBOX & (LIMIT_MAILBOX - 1)) == 0, "a mailbox is a power of two");
_Static_assert((LIMIT_PENDING & (LIMIT_PENDING - 1)) == 0, "the pending queue is a power of two");
_Static_assert(LIMIT_SMALL_BYTES < LIMIT_HELD_BYTES && LIMIT_HELD_BYTES < LIMIT_WHOLE_BYTES,
	"the more a client holds, the sooner it is paused");
_Static_assert(LIMIT_COPY_BYTES < LIMIT_BLOCK_BYTES, "a copied piece fits in a block");
_Static_assert(LIMIT_SLOTS <= 1 << 24, "a slot's index has 24 bits in user_data");
_Static_assert(
	LIMIT_RING_COMPLETIONS >= 4 * LIMIT_RING_ENTRIES, "a burst fits in the completion queue");

#endif
