/* ring: the seam between pgring and the kernel's io_uring, one ring per core.
 *
 * Owner: the core's net. Thread: that core's, from ring_open to ring_close. Only net/ uses it; the simulator links another
 * implementation (test/sim/ring_sim.c). Nothing is submitted before ring_wait: one system call per turn.
 *
 * Memory that is handed to an operation belongs to the kernel until the operation's last completion. Every operation carries the
 * name of the slot it was started for: (slot, generation) of a slab, and comes back with it; a completion whose generation is
 * gone must be dropped by the receiver. At most one RECV and one SEND may be in flight for a descriptor: two sends on one
 * socket reorder.
 */
#ifndef PGRING_NET_RING_H
#define PGRING_NET_RING_H

#include "core/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct core;
struct ring;

enum ring_op {
	RING_RECV,      /* multishot, into the core's buffer ring */
	RING_RECV_INTO, /* once, into a private buffer */
	RING_SEND,
	RING_CONNECT,
	RING_ACCEPT, /* multishot, or once */
	RING_CANCEL,
	RING_WAKE,   /* another member wants attention */
	RING_SIGNAL, /* bytes of the signal descriptor are in its buffer */
	RING_CLOSE,
	RING_OP_COUNT
};

struct ring_completion {
	enum ring_op op;
	uint32_t slot, generation;
	int32_t result; /* bytes, a descriptor, 0, or a negative errno */
	bool more;      /* the multishot operation goes on */
	bool buffered;  /* RECV: `result` bytes lie in buffers, the first is `buffer` */
	uint16_t buffer;
};

struct ring_options {
	unsigned entries, completions; /* sizes of the queues */
	unsigned buffers;              /* receive buffers of LIMIT_BUFFER_BYTES, a power of two */
	bool without_bundles;          /* behave as Linux 6.1 does */
};

/* Opens the ring and tries it out (a socket pair, a multishot receive, a send). Returns 0, or ERR_DENIED / ERR_UNSUPPORTED /
 * ERR_NO_MEMORY with one sentence in `why` that says what to change. */
must_check int ring_open(struct core *core, const struct ring_options *options,
	struct ring **ret_ring, char *why, size_t why_size);
/* Nothing may be in flight that names memory. */
void ring_close(struct ring *ring);

/* Whether one completion may carry several buffers (Linux 6.10). Without, bulk goes by ring_recv_into. */
bool ring_has_bundles(const struct ring *ring);

void ring_recv(struct ring *ring, int fd, uint32_t slot, uint32_t generation);
void ring_recv_into(
	struct ring *ring, int fd, void *bytes, size_t len, uint32_t slot, uint32_t generation);
/* Sends all bytes unless the connection fails; a cancelled send reports how many went out. */
void ring_send(struct ring *ring, int fd, const void *bytes, size_t len, uint32_t slot,
	uint32_t generation);
/* The same from several pieces; the array is copied. At most LIMIT_GATHER pieces. */
void ring_sendv(struct ring *ring, int fd, const struct iovec *pieces, unsigned count,
	uint32_t slot, uint32_t generation);
/* The address must live until the completion. */
void ring_connect(struct ring *ring, int fd, const struct sockaddr *address, socklen_t len,
	uint32_t slot, uint32_t generation);
/* `once`: one connection, not all there are. */
void ring_accept(struct ring *ring, int fd, bool once, uint32_t slot, uint32_t generation);
/* Asks for the end of an operation, which then completes, mostly with -ECANCELED; the cancel itself reports nothing. */
void ring_cancel(struct ring *ring, enum ring_op op, uint32_t slot, uint32_t generation);
/* Closes the descriptor; reports nothing. */
void ring_close_fd(struct ring *ring, int fd);
/* Reads `len` bytes once from a descriptor that is not a socket; completes as `op` (RING_WAKE or RING_SIGNAL). */
void ring_read(struct ring *ring, enum ring_op op, int fd, void *bytes, size_t len);

/* Wakes a member: one with a ring by a message to it, one without by its eventfd. */
void ring_wake(struct core *core, unsigned member);

/* Submits what is queued and waits for a completion, `timeout_ns` at most; 0 only looks. */
void ring_wait(struct ring *ring, uint64_t timeout_ns);
/* The next completion, if there is one. Its buffers belong to the caller. */
bool ring_next(struct ring *ring, struct ring_completion *ret_completion);

/* The pieces of a buffered completion, in order, with the number of the buffer of each. `ret_*` have room for LIMIT_SPANS.
 * Each buffer has one holder now: the caller. */
struct bulk;
struct span {
	uint8_t *bytes;
	uint32_t len;
	uint16_t buffer;
	struct bulk *bulk; /* not NULL: the bytes lie there (chain.h), and `buffer` means nothing */
};
unsigned ring_spans(
	struct ring *ring, const struct ring_completion *completion, struct span *ret_spans);
/* One more holder of a buffer, one less; the last one gives it back to the kernel. */
void ring_buffer_hold(struct ring *ring, uint16_t buffer);
void ring_buffer_drop(struct ring *ring, uint16_t buffer);
/* Lets the kernel have no more than `ration` buffers between two turns; what else is free stays here. What it has already it
 * keeps. One receive may take all that it has before it can be stopped, so this bounds what comes uninvited. */
void ring_ration(struct ring *ring, unsigned ration);
/* Buffers that nobody holds, of all. */
unsigned ring_buffers_free(const struct ring *ring);
unsigned ring_buffers_all(const struct ring *ring);

#endif
