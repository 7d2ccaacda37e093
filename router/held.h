/* held: bytes of clients that wait in client->in for the end of their message, or for a server; bounded for the process.
 *
 * Owner: the core's router. Thread: that core's; the sum over all cores is the only thing that they share (core.h), and each
 * core adds to it in batches. Memory: none of its own.
 *
 * Above client_buffer_limit, whoever sends a large message that is not whole is no longer read from (halted), while small ones
 * go on into a reserve, and who waits for a server keeps little more than its first request. A few of the halted at a time go on
 * all the same (preferred), so that somebody finishes; one that then brings less than HELD_STEP in LIMIT_STALL_MS ends with
 * 53200. So do small messages, once the reserve is half full, that take longer than LIMIT_UNFINISHED_MS. Bytes that the kernel
 * had received already can bring the sum to twice the limit; there, those that are halted end, oldest first.
 */
#ifndef PGRING_ROUTER_HELD_H
#define PGRING_ROUTER_HELD_H

#include "core/core.h"

struct client;

enum held_place {
	HELD_NOWHERE, /* nothing of it is unfinished */
	HELD_SMALL,   /* no more than LIMIT_SMALL_BYTES are */
	HELD_LARGE,   /* more are */
	HELD_HALTED,  /* the same, and it is not read from */
	HELD_COUNT
};

/* In each client. */
struct held {
	struct list link;
	uint64_t since_ns; /* when it came to its place, or brought its last HELD_STEP */
	uint32_t bytes;    /* of client->in, as counted */
	uint32_t mark;     /* the same at since_ns */
	uint8_t place;     /* enum held_place */
	bool is_preferred; /* goes on above the limit */
};

/* In each router. */
struct held_core {
	struct list places[HELD_COUNT]; /* clients, in the order in which they came there */
	struct timer timer;
	struct task task;    /* sees to the halted as soon as there may be room */
	unsigned preferred;  /* how many clients are */
	int64_t bytes, told; /* of this core, and how many of them the sum contains */
};

void held_open(struct held_core *held);
/* The core ends, and its clients are gone. */
void held_close(struct core *core);
void held_init(struct held *held);

/* Counts client->in after it has changed. `is_unfinished`: its first message is not whole, and not because of pgring. Returns
 * whether the client may be read from. Never ends a session. */
must_check bool held_update(struct core *core, struct client *client, bool is_unfinished);

/* The client is about to be freed; its bytes are gone. */
void held_forget(struct core *core, struct client *client);

/* Bytes of this core, for the console. */
int64_t held_bytes(const struct core *core);

#endif
