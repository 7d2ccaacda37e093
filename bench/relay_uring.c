/* The relay over io_uring.
 *
 * A buffer belongs to the kernel until a recv delivers it, to the side it goes to until its send
 * completes, then it goes back into the ring. When the ring runs empty the recvs end with ENOBUFS;
 * they are armed again as buffers come back.
 */
#include "bench/relay_uring.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	ENTRIES = 4096,
	BUFFERS = 512, /* a power of two */
	BUFFER_BYTES = 4096,
	GATHER = 32,
	GROUP = 0,
	QUEUE = BUFFERS, /* a side cannot hold more than all of them */
};

/* Newer than liburing 2.3: linux/io_uring.h of 6.10. */
#define RECVSEND_BUNDLE (1U << 4)
#define FEAT_RECVSEND_BUNDLE (1U << 14)

enum operation { ACCEPT, RECV, SEND, CANCEL };

struct piece {
	uint16_t buffer;
	uint16_t from, to; /* bytes within the buffer */
};

struct side {
	int fd;
	bool armed, sending, starved; /* starved: its recv waits for buffers */
	struct pair *pair;
	struct side *peer;
	struct side *next_starved;
	uint16_t first, count; /* of the queue of pieces to be sent to this side */
	struct piece queue[QUEUE];
	struct msghdr message;
	struct iovec pieces[GATHER];
};

struct pair {
	struct side client, server;
	bool ending; /* one side has ended; closes when what it sent is out */
	bool closing;
};

static struct {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory;
	bool bundles;
	uint16_t head; /* of the buffer ring: which one is delivered next, for bundles */
	uint16_t free;
	uint16_t order[BUFFERS]; /* the buffers in the order in which they were given back */
	uint16_t tail;
	struct side *starved;
	const struct child_endpoint *target;
} relay;

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&relay.ring);

	if (!sqe) {
		io_uring_submit(&relay.ring);
		sqe = io_uring_get_sqe(&relay.ring);
	}
	if (!sqe)
		child_fail("the submission queue stays full");
	return sqe;
}

/* After the io_uring_prep function, which clears it. */
static void set_owner(struct io_uring_sqe *sqe, void *object, enum operation operation)
{
	sqe->user_data = (uint64_t)(uintptr_t)object | operation;
}

/* ---- buffers ---- */

static void give_back(uint16_t buffer)
{
	io_uring_buf_ring_add(relay.buffers, relay.memory + (size_t)buffer * BUFFER_BYTES,
		BUFFER_BYTES, buffer, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(relay.buffers, 1);
	relay.order[relay.tail++ % BUFFERS] = buffer;
	relay.free++;
}

/* The kernel took buffers from the front of the ring. */
static uint16_t take_buffer(void)
{
	relay.free--;
	return relay.order[relay.head++ % BUFFERS];
}

static void arm_recv(struct side *side)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_recv_multishot(sqe, side->fd, NULL, 0, 0);
	if (relay.bundles)
		sqe->ioprio |= RECVSEND_BUNDLE;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	set_owner(sqe, side, RECV);
	side->armed = true;
}

static void starve(struct side *side)
{
	side->starved = true;
	side->next_starved = relay.starved;
	relay.starved = side;
}

static void unstarve(struct side *side)
{
	struct side **link = &relay.starved;

	if (!side->starved)
		return;
	while (*link != side)
		link = &(*link)->next_starved;
	*link = side->next_starved;
	side->starved = false;
}

static void feed_starved(void)
{
	while (relay.starved && relay.free >= BUFFERS / 4) {
		struct side *side = relay.starved;

		unstarve(side);
		arm_recv(side);
	}
}

/* ---- sending ---- */

static void send_queued(struct side *side)
{
	struct io_uring_sqe *sqe;
	unsigned count = side->count < GATHER ? side->count : GATHER;

	if (side->sending || count == 0 || side->pair->closing)
		return;
	for (unsigned i = 0; i < count; i++) {
		struct piece *piece = &side->queue[(side->first + i) % QUEUE];

		side->pieces[i].iov_base =
			relay.memory + (size_t)piece->buffer * BUFFER_BYTES + piece->from;
		side->pieces[i].iov_len = (size_t)(piece->to - piece->from);
	}
	side->message = (struct msghdr){.msg_iov = side->pieces, .msg_iovlen = count};
	sqe = get_sqe();
	if (count == 1)
		io_uring_prep_send(sqe, side->fd, side->pieces[0].iov_base, side->pieces[0].iov_len,
			MSG_WAITALL | MSG_NOSIGNAL);
	else
		io_uring_prep_sendmsg(sqe, side->fd, &side->message, MSG_WAITALL | MSG_NOSIGNAL);
	set_owner(sqe, side, SEND);
	side->sending = true;
}

static void drop_queue(struct side *side)
{
	for (; side->count > 0; side->count--, side->first = (side->first + 1) % QUEUE)
		give_back(side->queue[side->first].buffer);
}

/* ---- the end of a pair: nothing is freed while the kernel may still name it ---- */

static void close_pair(struct pair *pair)
{
	struct side *sides[] = {&pair->client, &pair->server};

	if (pair->closing)
		return;
	pair->closing = true;
	for (int i = 0; i < 2; i++) {
		struct io_uring_sqe *sqe;

		unstarve(sides[i]);
		shutdown(sides[i]->fd, SHUT_RDWR);
		if (!sides[i]->armed && !sides[i]->sending)
			continue;
		sqe = get_sqe();
		io_uring_prep_cancel_fd(sqe, sides[i]->fd, IORING_ASYNC_CANCEL_ALL);
		set_owner(sqe, NULL, CANCEL);
	}
}

static void free_if_quiet(struct pair *pair)
{
	struct side *client = &pair->client, *server = &pair->server;

	if (!pair->closing || client->armed || client->sending || server->armed || server->sending)
		return;
	drop_queue(client);
	drop_queue(server);
	close(client->fd);
	close(server->fd);
	free(pair);
}

/* ---- completions ---- */

static void on_received(struct side *side, const struct io_uring_cqe *cqe)
{
	struct side *to = side->peer;
	int left = cqe->res;

	while (left > 0) {
		struct piece piece = {.buffer = take_buffer()};

		/* Without bundles there is one buffer, and the kernel says which. */
		piece.to = (uint16_t)(left < BUFFER_BYTES ? left : BUFFER_BYTES);
		if (left == cqe->res && piece.buffer != cqe->flags >> IORING_CQE_BUFFER_SHIFT)
			child_fail("the kernel took another buffer than the first of the ring");
		to->queue[(to->first + to->count++) % QUEUE] = piece;
		left -= piece.to;
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		side->armed = false;
	if (cqe->res == -ENOBUFS && !side->pair->closing)
		starve(side);
	else if (cqe->res == 0 && to->count > 0)
		side->pair->ending = true;
	else if (cqe->res <= 0)
		close_pair(side->pair);
	else if (!side->armed && !side->pair->closing)
		arm_recv(side);
	send_queued(to);
	free_if_quiet(side->pair);
}

static void on_sent(struct side *side, int res)
{
	side->sending = false;
	if (res <= 0) {
		close_pair(side->pair);
		res = 0;
	}
	while (res > 0) {
		struct piece *piece = &side->queue[side->first];
		int len = piece->to - piece->from;

		if (res < len) {
			piece->from = (uint16_t)(piece->from + res);
			break;
		}
		res -= len;
		give_back(piece->buffer);
		side->first = (side->first + 1) % QUEUE;
		side->count--;
	}
	send_queued(side);
	if (side->pair->ending && side->count == 0)
		close_pair(side->pair);
	free_if_quiet(side->pair);
}

static void arm_accept(int listener)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	set_owner(sqe, NULL, ACCEPT);
}

static void add_side(struct side *side, struct side *peer, struct pair *pair, int fd)
{
	side->fd = fd;
	side->pair = pair;
	side->peer = peer;
	child_tune(fd);
	arm_recv(side);
}

static void on_accepted(int listener, const struct io_uring_cqe *cqe)
{
	struct pair *pair;
	int server;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		arm_accept(listener);
	if (cqe->res < 0)
		return;
	server = child_connect(relay.target);
	if (server < 0) {
		close(cqe->res);
		return;
	}
	pair = calloc(1, sizeof *pair);
	if (!pair)
		child_fail("out of memory");
	add_side(&pair->client, &pair->server, pair, cqe->res);
	add_side(&pair->server, &pair->client, pair, server);
}

static void on_completion(int listener, const struct io_uring_cqe *cqe)
{
	struct side *side = (struct side *)(uintptr_t)(cqe->user_data & ~7ull);

	switch ((enum operation)(cqe->user_data & 7)) {
	case ACCEPT:
		on_accepted(listener, cqe);
		break;
	case RECV:
		on_received(side, cqe);
		break;
	case SEND:
		on_sent(side, cqe->res);
		break;
	case CANCEL:
		break;
	}
}

int relay_uring_start(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
		.cq_entries = 4 * ENTRIES,
	};
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
	int err = io_uring_queue_init_params(ENTRIES, &relay.ring, &params);
	void *memory;

	if (err < 0) {
		fprintf(stderr, "relay: no io_uring: %s\n", strerror(-err));
		return -1;
	}
	io_uring_register_ring_fd(&relay.ring); /* only saves a lookup */
	relay.bundles = params.features & FEAT_RECVSEND_BUNDLE;
	if (posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0 ||
		posix_memalign((void **)&relay.memory, 4096, (size_t)BUFFERS * BUFFER_BYTES) != 0)
		child_fail("out of memory");
	relay.buffers = memory;
	reg.ring_addr = (uint64_t)(uintptr_t)memory;
	io_uring_buf_ring_init(relay.buffers);
	err = io_uring_register_buf_ring(&relay.ring, &reg, 0);
	if (err < 0) {
		fprintf(stderr, "relay: no provided buffers: %s\n", strerror(-err));
		return -1;
	}
	for (uint16_t buffer = 0; buffer < BUFFERS; buffer++)
		give_back(buffer);
	return 0;
}

void relay_uring_run(int listener, const struct child_endpoint *target)
{
	relay.target = target;
	arm_accept(listener);
	while (!child_stopping) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;

		io_uring_submit_and_wait(&relay.ring, 1);
		io_uring_for_each_cqe(&relay.ring, head, cqe)
		{
			on_completion(listener, cqe);
			seen++;
		}
		io_uring_cq_advance(&relay.ring, seen);
		feed_starved();
	}
}
