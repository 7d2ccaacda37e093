/* The simulator's ring, at least as nasty as the kernel's. Stands in for net/ring_uring.c.
 *
 * An operation is queued until the turn's end, then in flight. In ring_wait, in an order that the seed decides, operations make
 * progress: a send reads some of its memory, a receive fills buffers. What completes is handed out by ring_next. The simulator
 * fails the run when pgring breaks the contract: two receives or two sends of one socket, memory changed while a send has it,
 * a descriptor closed under an operation, a buffer given back twice.
 */
#include "test/sim/ring_sim.h"

#include "core/clock.h"
#include "core/core.h"
#include "core/errors.h"
#include "core/limits.h"
#include "net/net.h"
#include "test/sim/sim.h"
#include "test/sim/sim_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define BUFFER_HIDE(at, len) __asan_poison_memory_region(at, len)
#define BUFFER_SHOW(at, len) __asan_unpoison_memory_region(at, len)
#else
#define BUFFER_HIDE(at, len) ((void)(at), (void)(len))
#define BUFFER_SHOW(at, len) ((void)(at), (void)(len))
#endif

enum { RING_NO_BUFFER = UINT16_MAX };

/* Where a buffer is. */
enum buffer_place { BUFFER_GIVEN, BUFFER_KERNEL, BUFFER_FILLED, BUFFER_HELD };

struct operation {
	struct list link;
	enum ring_op op;
	struct sim_socket *socket;
	int fd;
	uint32_t slot, generation;
	uint8_t *bytes; /* RECV_INTO, WAKE, SIGNAL */
	size_t len, sent;
	struct iovec pieces[LIMIT_GATHER];
	unsigned piece_count;
	uint8_t *copy; /* SEND: what the memory held when it was handed over */
	const struct sockaddr *address;
	uint64_t due_ns;     /* CONNECT: not before */
	enum ring_op target; /* CANCEL */
	unsigned member;     /* the message to another ring */
	bool is_message, is_cancelled, hangs, once;
};

struct done {
	struct list link;
	struct ring_completion completion;
};

struct buffer {
	uint8_t place;
	uint16_t holders, next; /* `next` of the same completion */
	uint32_t len;
};

struct ring {
	struct core *core;
	struct list queued, in_flight, done;
	unsigned delivered, done_count;
	uint64_t deadline_ns;
	uint64_t wakes; /* what stands in the event descriptor */
	bool bundles;

	uint8_t *memory;
	struct buffer *buffers;
	uint16_t *order; /* of the kernel's buffers, a queue */
	unsigned buffer_count, order_begin, kernel_count, given_count, free_count, ration;
};

static struct ring *rings[LIMIT_MEMBERS];

static const char *const op_names[] = {[RING_RECV] = "recv",
	[RING_RECV_INTO] = "recv-into",
	[RING_SEND] = "send",
	[RING_CONNECT] = "connect",
	[RING_ACCEPT] = "accept",
	[RING_CANCEL] = "cancel",
	[RING_WAKE] = "wake",
	[RING_SIGNAL] = "signal",
	[RING_CLOSE] = "close"};

/* ---- completing ---- */

static struct ring_completion *ring_complete(
	struct ring *ring, enum ring_op op, uint32_t slot, uint32_t generation, int32_t result)
{
	struct done *done = calloc(1, sizeof *done);

	CHECK(done);
	list_init(&done->link);
	done->completion = (struct ring_completion){
		.op = op, .slot = slot, .generation = generation, .result = result};
	list_push_back(&ring->done, &done->link);
	ring->done_count++;
	return &done->completion;
}

static struct ring_completion *operation_complete(
	struct ring *ring, const struct operation *op, int32_t result, bool more)
{
	struct ring_completion *completion =
		ring_complete(ring, op->op, op->slot, op->generation, result);

	completion->more = more;
	sim_trace("core %u: %s fd %d slot %u -> %d%s%s", ring->core->index, op_names[op->op],
		op->fd, op->slot, result, more ? " more" : "",
		op->is_cancelled ? " (cancelled)" : "");
	return completion;
}

/* ---- buffers ---- */

static uint8_t *buffer_bytes(const struct ring *ring, uint16_t buffer)
{
	return ring->memory + (size_t)buffer * LIMIT_BUFFER_BYTES;
}

static void buffers_publish(struct ring *ring)
{
	while (ring->given_count > 0 && ring->kernel_count < ring->ration) {
		uint16_t buffer =
			ring->order[(ring->order_begin + ring->kernel_count) % ring->buffer_count];

		CHECK(ring->buffers[buffer].place == BUFFER_GIVEN);
		ring->buffers[buffer].place = BUFFER_KERNEL;
		ring->kernel_count++;
		ring->given_count--;
	}
}

static void buffer_give(struct ring *ring, uint16_t buffer)
{
	memset(buffer_bytes(ring, buffer), 0xdd, LIMIT_BUFFER_BYTES); /* it is the kernel's now */
	BUFFER_HIDE(buffer_bytes(ring, buffer), LIMIT_BUFFER_BYTES);
	ring->buffers[buffer].place = BUFFER_GIVEN;
	ring->order[(ring->order_begin + ring->kernel_count + ring->given_count) %
		ring->buffer_count] = buffer;
	ring->given_count++;
	ring->free_count++;
}

static uint16_t buffer_take(struct ring *ring)
{
	uint16_t buffer = ring->order[ring->order_begin];

	CHECK(ring->kernel_count > 0 && ring->buffers[buffer].place == BUFFER_KERNEL);
	ring->order_begin = (ring->order_begin + 1) % ring->buffer_count;
	ring->kernel_count--;
	ring->buffers[buffer] = (struct buffer){.place = BUFFER_FILLED, .next = RING_NO_BUFFER};
	BUFFER_SHOW(buffer_bytes(ring, buffer), LIMIT_BUFFER_BYTES);
	return buffer;
}

/* Moves `len` received bytes into buffers. Returns the first. */
static uint16_t buffers_fill(struct ring *ring, struct sim_socket *socket, size_t len)
{
	uint16_t first = RING_NO_BUFFER, last = RING_NO_BUFFER;

	do {
		uint16_t buffer = buffer_take(ring);
		size_t n = len < LIMIT_BUFFER_BYTES ? len : LIMIT_BUFFER_BYTES;

		if (n > 0)
			sim_net_receive(socket, buffer_bytes(ring, buffer), n);
		ring->buffers[buffer].len = (uint32_t)n;
		if (last == RING_NO_BUFFER)
			first = buffer;
		else
			ring->buffers[last].next = buffer;
		last = buffer;
		len -= n;
	} while (len > 0);
	return first;
}

unsigned ring_spans(
	struct ring *ring, const struct ring_completion *completion, struct span *ret_spans)
{
	uint16_t buffer = completion->buffer;
	unsigned count = 0;

	CHECK(completion->buffered);
	while (buffer != RING_NO_BUFFER) {
		struct buffer *at = &ring->buffers[buffer];

		SIM_CHECK(at->place == BUFFER_FILLED, "the spans of a completion were taken twice");
		CHECK(count < LIMIT_SPANS);
		at->place = BUFFER_HELD;
		at->holders = 1;
		ring->free_count--;
		ret_spans[count++] =
			(struct span){buffer_bytes(ring, buffer), at->len, buffer, NULL};
		buffer = at->next;
	}
	return count;
}

void ring_buffer_hold(struct ring *ring, uint16_t buffer)
{
	SIM_CHECK(ring->buffers[buffer].place == BUFFER_HELD,
		"a buffer that is the kernel's is held");
	ring->buffers[buffer].holders++;
}

void ring_buffer_drop(struct ring *ring, uint16_t buffer)
{
	SIM_CHECK(ring->buffers[buffer].place == BUFFER_HELD && ring->buffers[buffer].holders > 0,
		"a buffer is given back twice");
	if (--ring->buffers[buffer].holders == 0)
		buffer_give(ring, buffer);
}

void ring_ration(struct ring *ring, unsigned ration)
{
	ring->ration = ration;
}

unsigned ring_buffers_free(const struct ring *ring)
{
	return ring->free_count;
}

unsigned ring_buffers_all(const struct ring *ring)
{
	return ring->buffer_count;
}

bool ring_has_bundles(const struct ring *ring)
{
	return ring->bundles;
}

/* ---- progress: each returns whether the operation is over ---- */

static bool progress_over(struct ring *ring, struct operation *op, int error)
{
	struct ring_completion *completion = operation_complete(ring, op, error, false);

	if (op->op == RING_RECV && error == 0 && ring->kernel_count > 0 &&
		sim_fault(FAULT_EOF_WITH_BUFFER)) {
		completion->buffered = true;
		completion->buffer = buffers_fill(ring, op->socket, 0);
	}
	return true;
}

static bool progress_cancelled(const struct operation *op)
{
	return op->is_cancelled && !sim_fault(FAULT_CANCEL_LOSES);
}

static bool progress_recv(struct ring *ring, struct operation *op)
{
	size_t readable = sim_net_readable(op->socket), most = LIMIT_BUFFER_BYTES;
	struct ring_completion *completion;
	int error;

	if (progress_cancelled(op)) {
		sim_reached(REACH_RECV_CANCELLED);
		return progress_over(ring, op, -ECANCELED);
	}
	if (readable == 0)
		return sim_net_is_over(op->socket, &error) && progress_over(ring, op, error);
	if (ring->kernel_count == 0)
		sim_reached(REACH_BUFFERS_GONE);
	if (ring->kernel_count == 0 || sim_fault(FAULT_NO_BUFFERS))
		return progress_over(ring, op, -ENOBUFS);
	if (ring->bundles)
		most *= ring->kernel_count < LIMIT_SPANS ? ring->kernel_count : LIMIT_SPANS;
	readable = sim_portion(readable < most ? readable : most, FAULT_SHORT_READ);
	if (readable > LIMIT_BUFFER_BYTES)
		sim_reached(REACH_BUNDLE);
	completion = operation_complete(ring, op, (int32_t)readable, !sim_fault(FAULT_RECV_STOPS));
	completion->buffered = true;
	completion->buffer = buffers_fill(ring, op->socket, readable);
	return !completion->more;
}

static bool progress_recv_into(struct ring *ring, struct operation *op)
{
	size_t readable = sim_net_readable(op->socket);
	int error;

	if (progress_cancelled(op)) {
		sim_reached(REACH_RECV_CANCELLED);
		return progress_over(ring, op, -ECANCELED);
	}
	if (readable == 0)
		return sim_net_is_over(op->socket, &error) && progress_over(ring, op, error);
	readable = sim_portion(readable < op->len ? readable : op->len, FAULT_SHORT_READ);
	sim_net_receive(op->socket, op->bytes, readable);
	sim_reached(REACH_BULK);
	return progress_over(ring, op, (int32_t)readable);
}

/* Copies what comes next out of the sender's memory, as late as possible. */
static void send_some(struct ring *ring, struct operation *op, size_t len)
{
	size_t skip = op->sent;

	for (unsigned i = 0; i < op->piece_count && len > 0; i++) {
		const struct iovec *piece = &op->pieces[i];
		size_t n;

		if (skip >= piece->iov_len) {
			skip -= piece->iov_len;
			continue;
		}
		n = piece->iov_len - skip < len ? piece->iov_len - skip : len;
		SIM_CHECK(memcmp((uint8_t *)piece->iov_base + skip, op->copy + op->sent, n) == 0,
			"core %u: the memory of a send in flight was changed, fd %d",
			ring->core->index, op->fd);
		sim_net_send(op->socket, (uint8_t *)piece->iov_base + skip, n);
		op->sent += n;
		len -= n;
		skip = 0;
	}
}

static bool progress_send(struct ring *ring, struct operation *op)
{
	size_t room;
	int error;

	if (progress_cancelled(op)) {
		sim_reached(REACH_SEND_CANCELLED);
		return progress_over(ring, op, op->sent > 0 ? (int)op->sent : -ECANCELED);
	}
	if (sim_net_is_broken(op->socket, &error))
		return progress_over(ring, op, op->sent > 0 ? (int)op->sent : error);
	room = sim_net_writable(op->socket);
	if (room == 0)
		return false;
	room = room < op->len - op->sent ? room : op->len - op->sent;
	send_some(ring, op, sim_portion(room, FAULT_SHORT_SEND));
	if (op->sent == op->len)
		return progress_over(ring, op, (int)op->len);
	if (sim_net_writable(op->socket) == 0)
		sim_reached(REACH_SEND_BLOCKED);
	return false;
}

static bool progress_connect(struct ring *ring, struct operation *op)
{
	struct address address = {.len = 0};
	struct sim_conn *conn;

	if (progress_cancelled(op)) {
		sim_reached(REACH_CONNECT_CANCELLED);
		return progress_over(ring, op, -ECANCELED);
	}
	if (op->hangs || op->due_ns > sim_now_ns())
		return false;
	memcpy(&address.any, op->address, op->len);
	address.len = (socklen_t)op->len;
	if (sim_fault(FAULT_CONNECT_REFUSED))
		return progress_over(ring, op, -ECONNREFUSED);
	conn = sim_net_connect(op->socket);
	if (!sim_net_connected(&address, conn)) {
		sim_conn_close(conn);
		return progress_over(ring, op, -ECONNREFUSED);
	}
	return progress_over(ring, op, 0);
}

static bool progress_accept(struct ring *ring, struct operation *op)
{
	struct ring_completion *completion;
	struct sim_socket *socket;

	if (progress_cancelled(op))
		return progress_over(ring, op, -ECANCELED);
	if (list_empty(&op->socket->backlog))
		return false;
	if (sim_fault(FAULT_ACCEPT_FAILS))
		return progress_over(ring, op, sim_percent(50) ? -EMFILE : -ECONNABORTED);
	socket = sim_net_accept(op->socket);
	completion = operation_complete(
		ring, op, socket->fd, !op->once && !sim_fault(FAULT_ACCEPT_STOPS));
	return !completion->more;
}

static bool progress_read(struct ring *ring, struct operation *op)
{
	if (op->op != RING_WAKE || ring->wakes == 0)
		return false;
	CHECK(op->len == sizeof ring->wakes);
	memcpy(op->bytes, &ring->wakes, sizeof ring->wakes);
	ring->wakes = 0;
	return progress_over(ring, op, (int)op->len);
}

static bool operation_progress(struct ring *ring, struct operation *op)
{
	switch (op->op) {
	case RING_RECV:
		return progress_recv(ring, op);
	case RING_RECV_INTO:
		return progress_recv_into(ring, op);
	case RING_SEND:
		return progress_send(ring, op);
	case RING_CONNECT:
		return progress_connect(ring, op);
	case RING_ACCEPT:
		return progress_accept(ring, op);
	case RING_WAKE:
	case RING_SIGNAL:
		return progress_read(ring, op);
	case RING_CANCEL:
	case RING_CLOSE:
	case RING_OP_COUNT:
		break;
	}
	UNREACHABLE();
}

static bool operation_is_ready(const struct ring *ring, const struct operation *op)
{
	int error;

	if (op->is_cancelled)
		return true;
	switch (op->op) {
	case RING_RECV:
	case RING_RECV_INTO:
		return sim_net_readable(op->socket) > 0 || sim_net_is_over(op->socket, &error);
	case RING_SEND:
		return sim_net_writable(op->socket) > 0 || sim_net_is_broken(op->socket, &error);
	case RING_CONNECT:
		return !op->hangs && op->due_ns <= sim_now_ns();
	case RING_ACCEPT:
		return !list_empty(&op->socket->backlog);
	case RING_WAKE:
		return ring->wakes > 0;
	default:
		return false;
	}
}

static void operation_free(struct operation *op)
{
	list_remove(&op->link);
	if (op->socket) {
		op->socket->operations--;
		if (op->op == RING_RECV || op->op == RING_RECV_INTO)
			op->socket->is_receiving = false;
		if (op->op == RING_SEND)
			op->socket->is_sending = false;
	}
	free(op->copy);
	free(op);
}

/* ---- submitting ---- */

static void submit_cancel(struct ring *ring, const struct operation *cancel)
{
	list_each(link, &ring->in_flight) {
		struct operation *op = container_of(link, struct operation, link);

		if (op->op == cancel->target && op->slot == cancel->slot &&
			op->generation == cancel->generation)
			op->is_cancelled = true;
	}
}

static void submit_send(struct operation *op)
{
	size_t at = 0;

	op->copy = malloc(op->len);
	CHECK(op->copy);
	for (unsigned i = 0; i < op->piece_count; i++) {
		memcpy(op->copy + at, op->pieces[i].iov_base, op->pieces[i].iov_len);
		at += op->pieces[i].iov_len;
	}
	if (op->piece_count > 1)
		sim_reached(REACH_GATHERED_SEND);
}

/* The kernel takes an operation. Returns whether it stays in flight. */
static bool submit_one(struct ring *ring, struct operation *op)
{
	if (op->op == RING_CANCEL) {
		submit_cancel(ring, op);
		return false;
	}
	if (op->op == RING_CLOSE) {
		sim_trace("core %u: close fd %d", ring->core->index, op->fd);
		sim_net_close_fd(op->fd);
		return false;
	}
	if (op->is_message) {
		SIM_CHECK(rings[op->member], "a message to a ring that is closed");
		ring_complete(rings[op->member], RING_WAKE, 1, 0, 0);
		sim_reached(REACH_WAKE);
		return false;
	}
	if (op->op == RING_WAKE || op->op == RING_SIGNAL)
		return true;
	op->socket = sim_net_socket(op->fd);
	op->socket->operations++;
	if (op->op == RING_RECV || op->op == RING_RECV_INTO) {
		SIM_CHECK(!op->socket->is_receiving, "fd %d has two receives in flight", op->fd);
		op->socket->is_receiving = true;
	} else if (op->op == RING_SEND) {
		SIM_CHECK(!op->socket->is_sending, "fd %d has two sends in flight", op->fd);
		op->socket->is_sending = true;
		submit_send(op);
	}
	return true;
}

static void ring_submit(struct ring *ring)
{
	struct list *link;

	while ((link = list_pop_front(&ring->queued))) {
		struct operation *op = container_of(link, struct operation, link);

		if (submit_one(ring, op))
			list_push_back(&ring->in_flight, &op->link);
		else
			operation_free(op);
	}
}

static struct operation *operation_new(
	struct ring *ring, enum ring_op kind, int fd, uint32_t slot, uint32_t generation)
{
	struct operation *op = calloc(1, sizeof *op);

	CHECK(op);
	if (sim_fault(FAULT_EARLY_SUBMIT))
		ring_submit(ring);
	list_init(&op->link);
	op->op = kind;
	op->fd = fd;
	op->slot = slot;
	op->generation = generation;
	list_push_back(&ring->queued, &op->link);
	return op;
}

void ring_recv(struct ring *ring, int fd, uint32_t slot, uint32_t generation)
{
	(void)operation_new(ring, RING_RECV, fd, slot, generation);
}

void ring_recv_into(
	struct ring *ring, int fd, void *bytes, size_t len, uint32_t slot, uint32_t generation)
{
	struct operation *op = operation_new(ring, RING_RECV_INTO, fd, slot, generation);

	op->bytes = bytes;
	op->len = len;
}

void ring_send(struct ring *ring, int fd, const void *bytes, size_t len, uint32_t slot,
	uint32_t generation)
{
	struct iovec piece = {(void *)(uintptr_t)bytes, len};

	ring_sendv(ring, fd, &piece, 1, slot, generation);
}

void ring_sendv(struct ring *ring, int fd, const struct iovec *pieces, unsigned count,
	uint32_t slot, uint32_t generation)
{
	struct operation *op = operation_new(ring, RING_SEND, fd, slot, generation);

	SIM_CHECK(count > 0 && count <= LIMIT_GATHER, "a send of %u pieces", count);
	memcpy(op->pieces, pieces, count * sizeof *pieces);
	op->piece_count = count;
	for (unsigned i = 0; i < count; i++)
		op->len += pieces[i].iov_len;
	SIM_CHECK(op->len > 0, "an empty send");
}

void ring_connect(struct ring *ring, int fd, const struct sockaddr *address, socklen_t len,
	uint32_t slot, uint32_t generation)
{
	struct operation *op = operation_new(ring, RING_CONNECT, fd, slot, generation);

	op->address = address;
	op->len = len;
	op->due_ns = sim_now_ns() + sim_below(NS_PER_MS);
	op->hangs = sim_fault(FAULT_CONNECT_HANGS);
	if (sim_fault(FAULT_CONNECT_SLOW))
		op->due_ns += sim_between(1, 4000) * NS_PER_MS;
}

void ring_accept(struct ring *ring, int fd, bool once, uint32_t slot, uint32_t generation)
{
	operation_new(ring, RING_ACCEPT, fd, slot, generation)->once = once;
}

void ring_cancel(struct ring *ring, enum ring_op target, uint32_t slot, uint32_t generation)
{
	operation_new(ring, RING_CANCEL, -1, slot, generation)->target = target;
}

void ring_close_fd(struct ring *ring, int fd)
{
	(void)operation_new(ring, RING_CLOSE, fd, 0, 0);
}

void ring_read(struct ring *ring, enum ring_op kind, int fd, void *bytes, size_t len)
{
	struct operation *op = operation_new(ring, kind, fd, 0, 0);

	op->bytes = bytes;
	op->len = len;
}

void ring_wake(struct core *core, unsigned member)
{
	if (rings[member]) {
		struct operation *op = operation_new(core->net->ring, RING_WAKE, -1, 0, 0);

		op->is_message = true;
		op->member = member;
	}
}

/* ---- waiting ---- */

static void ring_progress(struct ring *ring)
{
	struct operation *ready[1024];
	unsigned count = 0;

	list_each(link, &ring->in_flight) {
		struct operation *op = container_of(link, struct operation, link);

		if (count < array_len(ready) && operation_is_ready(ring, op))
			ready[count++] = op;
	}
	while (count > 0) {
		unsigned i = (unsigned)sim_below(count);
		struct operation *op = ready[i];

		ready[i] = ready[--count];
		if (sim_fault(FAULT_LATE))
			continue;
		do {
			if (operation_progress(ring, op)) {
				operation_free(op);
				break;
			}
		} while (op->op == RING_RECV && operation_is_ready(ring, op) && sim_percent(50));
	}
}

void ring_wait(struct ring *ring, uint64_t timeout_ns)
{
	uint64_t now_ns = sim_now_ns();

	buffers_publish(ring);
	ring_submit(ring);
	ring->deadline_ns = timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
	ring->delivered = 0;
	ring_progress(ring);
	core_count(ring->core, METRIC_ring_enters);
}

bool ring_next(struct ring *ring, struct ring_completion *ret_completion)
{
	struct list *link = list_pop_front(&ring->done);
	struct done *done;

	if (!link)
		return false;
	done = container_of(link, struct done, link);
	*ret_completion = done->completion;
	free(done);
	ring->done_count--;
	ring->delivered++;
	return true;
}

/* ---- the driver's questions ---- */

bool ring_sim_is_ready(const struct ring *ring)
{
	if (ring->done_count > 0)
		return true;
	list_each(link, &ring->in_flight)
		if (operation_is_ready(ring, container_of(link, struct operation, link)))
			return true;
	return false;
}

uint64_t ring_sim_deadline_ns(const struct ring *ring)
{
	uint64_t deadline_ns = ring->deadline_ns;

	list_each(link, &ring->in_flight) {
		struct operation *op = container_of(link, struct operation, link);

		if (op->op == RING_CONNECT && !op->hangs && op->due_ns < deadline_ns)
			deadline_ns = op->due_ns;
	}
	return deadline_ns;
}

unsigned ring_sim_delivered(const struct ring *ring)
{
	return ring->delivered;
}

unsigned ring_sim_in_flight(const struct ring *ring)
{
	unsigned count = 0;

	list_each(link, &ring->in_flight)
		if (container_of(link, struct operation, link)->op != RING_WAKE)
			count++;
	return count;
}

/* ---- opening ---- */

static void ring_sim_wake(unsigned member)
{
	if (rings[member])
		rings[member]->wakes++;
}

int ring_open(struct core *core, const struct ring_options *options, struct ring **ret_ring,
	char *why, size_t why_size)
{
	struct ring *ring = calloc(1, sizeof *ring);

	CHECK(ring && options->buffers > 0);
	snprintf(why, why_size, "%s", "");
	ring->core = core;
	list_init(&ring->queued);
	list_init(&ring->in_flight);
	list_init(&ring->done);
	ring->bundles = !options->without_bundles;
	ring->buffer_count = ring->ration = options->buffers;
	ring->memory = malloc((size_t)options->buffers * LIMIT_BUFFER_BYTES);
	ring->buffers = calloc(options->buffers, sizeof *ring->buffers);
	ring->order = calloc(options->buffers, sizeof *ring->order);
	CHECK(ring->memory && ring->buffers && ring->order);
	for (unsigned i = 0; i < options->buffers; i++)
		buffer_give(ring, (uint16_t)i);
	buffers_publish(ring);
	if (!ring->bundles)
		sim_reached(REACH_NO_BUNDLES);
	rings[core->index] = ring;
	sim_wake = ring_sim_wake;
	*ret_ring = ring;
	return 0;
}

void ring_close(struct ring *ring)
{
	struct list *link;

	ring_submit(ring);
	while ((link = list_first(&ring->in_flight))) {
		struct operation *op = container_of(link, struct operation, link);

		SIM_CHECK(op->op == RING_WAKE, "core %u: a %s of fd %d is in flight at the end",
			ring->core->index, op_names[op->op], op->fd);
		operation_free(op);
	}
	while ((link = list_pop_front(&ring->done))) {
		struct done *done = container_of(link, struct done, link);

		SIM_CHECK(done->completion.op == RING_WAKE,
			"core %u: a completion is left at the end", ring->core->index);
		free(done);
	}
	SIM_CHECK(ring->free_count == ring->buffer_count, "core %u: %u receive buffers are lost",
		ring->core->index, ring->buffer_count - ring->free_count);
	rings[ring->core->index] = NULL;
	BUFFER_SHOW(ring->memory, (size_t)ring->buffer_count * LIMIT_BUFFER_BYTES);
	free(ring->memory);
	free(ring->buffers);
	free(ring->order);
	free(ring);
}
