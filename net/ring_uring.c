/* The ring over liburing: the only file that knows it.
 *
 * Buffers: one provided-buffer ring. With bundles a completion names its first buffer only, and the following ones are the
 * next in ring order: `order` remembers which buffer stands at which place, `place` where each buffer stands.
 */
#include "net/ring.h"

#include "net/compat_uring.h"
#include "net/net.h"

#include "core/clock.h"
#include "core/core.h"
#include "core/errors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RING_GROUP = 1, RING_TRIAL_SLOT = (1 << 24) - 1 };

/* user_data: op in the lowest byte, slot in the next three, generation in the upper half */
#define RING_IGNORED UINT64_MAX

struct ring {
	struct io_uring uring;
	struct core *core;
	bool bundles;

	struct io_uring_buf_ring *buffer_ring;
	size_t buffer_ring_bytes;
	uint8_t *buffer_memory;
	uint16_t *order, *place, *holders;
	unsigned buffer_count, buffer_mask;
	unsigned given;       /* buffers put behind the tail and not yet published */
	unsigned ration;      /* how many may be */
	unsigned buffer_tail; /* where the next one goes */
	unsigned buffers_free;

	struct msghdr messages[LIMIT_RING_ENTRIES];
	struct iovec pieces[LIMIT_RING_ENTRIES];
	unsigned message_count,
		piece_count; /* used since the last submission, which makes the kernel copy them */

	struct io_uring_cqe *batch[64];
	unsigned batch_at, batch_len;
};

/* Which member has which ring, for MSG_RING. Written once per core when its ring opens, before it can be asleep. */
static _Atomic int ring_fd_of_member[LIMIT_MEMBERS];

static uint64_t ring_name(enum ring_op op, uint32_t slot, uint32_t generation)
{
	return (uint64_t)generation << 32 | (uint64_t)slot << 8 | (uint64_t)op;
}

/* ---- submissions ---- */

static void ring_submit(struct ring *ring)
{
	int submitted;

	do
		submitted = io_uring_submit(&ring->uring);
	while (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
	CHECK(submitted >= 0);
	ring->message_count = ring->piece_count = 0;
	core_count(ring->core, METRIC_ring_enters);
}

static struct io_uring_sqe *ring_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (unlikely(!sqe)) {
		core_count(ring->core, METRIC_ring_queue_full);
		ring_submit(ring);
		sqe = io_uring_get_sqe(&ring->uring);
		CHECK(sqe);
	}
	return sqe;
}

void ring_recv(struct ring *ring, int fd, uint32_t slot, uint32_t generation)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = RING_GROUP;
	if (ring->bundles)
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
	io_uring_sqe_set_data64(sqe, ring_name(RING_RECV, slot, generation));
}

void ring_recv_into(
	struct ring *ring, int fd, void *bytes, size_t len, uint32_t slot, uint32_t generation)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	io_uring_prep_recv(sqe, fd, bytes, len, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	io_uring_sqe_set_data64(sqe, ring_name(RING_RECV_INTO, slot, generation));
}

void ring_send(struct ring *ring, int fd, const void *bytes, size_t len, uint32_t slot,
	uint32_t generation)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	io_uring_prep_send(sqe, fd, bytes, len, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, ring_name(RING_SEND, slot, generation));
}

void ring_sendv(struct ring *ring, int fd, const struct iovec *pieces, unsigned count,
	uint32_t slot, uint32_t generation)
{
	struct io_uring_sqe *sqe;
	struct msghdr *message;

	CHECK(count > 0 && count <= LIMIT_GATHER);
	if (ring->message_count == array_len(ring->messages) ||
		ring->piece_count + count > array_len(ring->pieces))
		ring_submit(ring);
	sqe = ring_sqe(ring); /* may submit, too: take the arrays after it */
	message = &ring->messages[ring->message_count++];
	memcpy(&ring->pieces[ring->piece_count], pieces, count * sizeof *pieces);
	*message =
		(struct msghdr){.msg_iov = &ring->pieces[ring->piece_count], .msg_iovlen = count};
	ring->piece_count += count;
	io_uring_prep_sendmsg(sqe, fd, message, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, ring_name(RING_SEND, slot, generation));
}

void ring_connect(struct ring *ring, int fd, const struct sockaddr *address, socklen_t len,
	uint32_t slot, uint32_t generation)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	io_uring_prep_connect(sqe, fd, address, len);
	io_uring_sqe_set_data64(sqe, ring_name(RING_CONNECT, slot, generation));
}

void ring_accept(struct ring *ring, int fd, bool once, uint32_t slot, uint32_t generation)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	if (once)
		io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	else
		io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, ring_name(RING_ACCEPT, slot, generation));
}

void ring_cancel(struct ring *ring, enum ring_op op, uint32_t slot, uint32_t generation)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	io_uring_prep_cancel64(sqe, ring_name(op, slot, generation), 0);
	io_uring_sqe_set_data64(sqe, RING_IGNORED);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void ring_close_fd(struct ring *ring, int fd)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	io_uring_prep_close(sqe, fd);
	io_uring_sqe_set_data64(sqe, RING_IGNORED);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void ring_read(struct ring *ring, enum ring_op op, int fd, void *bytes, size_t len)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	CHECK(op == RING_WAKE || op == RING_SIGNAL);
	io_uring_prep_read(sqe, fd, bytes, (unsigned)len, 0);
	io_uring_sqe_set_data64(sqe, ring_name(op, 0, 0));
}

void ring_wake(struct core *core, unsigned member)
{
	int fd = atomic_load_explicit(&ring_fd_of_member[member], memory_order_acquire) - 1;
	uint64_t one = 1;

	if (fd >= 0) {
		struct ring *ring = core->net->ring;
		struct io_uring_sqe *sqe = ring_sqe(ring);

		io_uring_prep_msg_ring(sqe, fd, 0, ring_name(RING_WAKE, 1, 0), 0);
		io_uring_sqe_set_data64(sqe, RING_IGNORED);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	} else {
		while (write(core->world->boxes.members[member].wake_fd, &one, sizeof one) < 0 &&
			errno == EINTR)
			;
	}
}

/* ---- completions ---- */

static void ring_publish(struct ring *ring)
{
	unsigned kernels = ring->buffers_free - ring->given, count = ring->given;

	if (unlikely(kernels + count > ring->ration))
		count = kernels < ring->ration ? ring->ration - kernels : 0;
	if (count == 0)
		return;
	io_uring_buf_ring_advance(ring->buffer_ring, (int)count);
	ring->given -= count;
}

void ring_wait(struct ring *ring, uint64_t timeout_ns)
{
	struct __kernel_timespec timeout = {.tv_sec = (int64_t)(timeout_ns / NS_PER_S),
		.tv_nsec = (long long)(timeout_ns % NS_PER_S)};
	struct io_uring_cqe *cqe = NULL;
	int result;

	if (ring->given)
		ring_publish(ring);
	if (timeout_ns == 0)
		result = io_uring_submit_and_get_events(&ring->uring);
	else
		result = io_uring_submit_and_wait_timeout(
			&ring->uring, &cqe, 1, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
	/* A full completion queue (EBUSY), a signal, the timeout: the next turn deals with what is there. */
	CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
		result == -EBUSY);
	if (io_uring_sq_ready(&ring->uring) == 0)
		ring->message_count = ring->piece_count = 0;
	core_count(ring->core, METRIC_ring_enters);
}

static bool ring_fill_batch(struct ring *ring)
{
	if (ring->batch_len > 0)
		io_uring_cq_advance(&ring->uring, ring->batch_len);
	ring->batch_at = 0;
	ring->batch_len =
		io_uring_peek_batch_cqe(&ring->uring, ring->batch, array_len(ring->batch));
	return ring->batch_len > 0;
}

bool ring_next(struct ring *ring, struct ring_completion *ret_completion)
{
	for (;;) {
		const struct io_uring_cqe *cqe;

		if (ring->batch_at == ring->batch_len && !ring_fill_batch(ring))
			return false;
		cqe = ring->batch[ring->batch_at++];
		if (cqe->user_data == RING_IGNORED)
			continue;
		ret_completion->op = (enum ring_op)(cqe->user_data & 0xff);
		ret_completion->slot = (uint32_t)(cqe->user_data >> 8) & 0xffffff;
		ret_completion->generation = (uint32_t)(cqe->user_data >> 32);
		ret_completion->result = cqe->res;
		ret_completion->more = cqe->flags & IORING_CQE_F_MORE;
		ret_completion->buffered = cqe->flags & IORING_CQE_F_BUFFER;
		ret_completion->buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
		return true;
	}
}

/* ---- buffers ---- */

static uint8_t *ring_buffer_bytes(const struct ring *ring, uint16_t buffer)
{
	return ring->buffer_memory + (size_t)buffer * LIMIT_BUFFER_BYTES;
}

static void ring_buffer_give(struct ring *ring, uint16_t buffer)
{
	unsigned at = ring->buffer_tail++ & ring->buffer_mask;

	ring->order[at] = buffer;
	ring->place[buffer] = (uint16_t)at;
	io_uring_buf_ring_add(ring->buffer_ring, ring_buffer_bytes(ring, buffer),
		LIMIT_BUFFER_BYTES, buffer, (int)ring->buffer_mask, (int)ring->given);
	ring->given++;
	ring->buffers_free++;
}

unsigned ring_spans(
	struct ring *ring, const struct ring_completion *completion, struct span *ret_spans)
{
	uint32_t left = completion->result > 0 ? (uint32_t)completion->result : 0;
	unsigned at, count = 0;

	CHECK(completion->buffered && completion->buffer < ring->buffer_count);
	at = ring->place[completion->buffer];
	do {
		uint16_t buffer = ring->order[at++ & ring->buffer_mask];
		uint32_t len = left < LIMIT_BUFFER_BYTES ? left : LIMIT_BUFFER_BYTES;

		CHECK(count < LIMIT_SPANS && ring->holders[buffer] == 0 && ring->buffers_free > 0);
		ring->holders[buffer] = 1;
		ring->buffers_free--;
		ret_spans[count++] =
			(struct span){ring_buffer_bytes(ring, buffer), len, buffer, NULL};
		left -= len;
	} while (left > 0);
	return count;
}

void ring_buffer_hold(struct ring *ring, uint16_t buffer)
{
	CHECK(ring->holders[buffer] > 0 && ring->holders[buffer] < UINT16_MAX);
	ring->holders[buffer]++;
}

void ring_buffer_drop(struct ring *ring, uint16_t buffer)
{
	CHECK(ring->holders[buffer] > 0);
	if (--ring->holders[buffer] == 0)
		ring_buffer_give(ring, buffer);
}

void ring_ration(struct ring *ring, unsigned ration)
{
	ring->ration = ration;
}

unsigned ring_buffers_free(const struct ring *ring)
{
	return ring->buffers_free;
}

unsigned ring_buffers_all(const struct ring *ring)
{
	return ring->buffer_count;
}

bool ring_has_bundles(const struct ring *ring)
{
	return ring->bundles;
}

static int ring_open_buffers(struct ring *ring, unsigned count)
{
	struct io_uring_buf_reg registration = {.ring_entries = count, .bgid = RING_GROUP};

	ring->buffer_count = ring->ration = count;
	ring->buffer_mask = count - 1;
	ring->buffer_ring_bytes = count * sizeof(struct io_uring_buf);
	ring->buffer_ring = mmap(NULL, ring->buffer_ring_bytes, PROT_READ | PROT_WRITE,
		MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	if (ring->buffer_ring == MAP_FAILED) {
		ring->buffer_ring = NULL;
		return ERR_NO_MEMORY;
	}
	/* receives go round all of them, so all are soon used: rather page faults now than then */
	ring->buffer_memory = mmap(NULL, (size_t)count * LIMIT_BUFFER_BYTES, PROT_READ | PROT_WRITE,
		MAP_ANONYMOUS | MAP_PRIVATE | MAP_POPULATE, -1, 0);
	ring->order = calloc(count, sizeof *ring->order);
	ring->place = calloc(count, sizeof *ring->place);
	ring->holders = calloc(count, sizeof *ring->holders);
	if (ring->buffer_memory == MAP_FAILED || !ring->order || !ring->place || !ring->holders) {
		if (ring->buffer_memory == MAP_FAILED)
			ring->buffer_memory = NULL;
		return ERR_NO_MEMORY;
	}
	registration.ring_addr = (uintptr_t)ring->buffer_ring;
	if (io_uring_register_buf_ring(&ring->uring, &registration, 0) < 0)
		return ERR_UNSUPPORTED;
	io_uring_buf_ring_init(ring->buffer_ring);
	for (unsigned i = 0; i < count; i++)
		ring_buffer_give(ring, (uint16_t)i);
	io_uring_buf_ring_advance(ring->buffer_ring, (int)ring->given);
	ring->given = 0;
	return 0;
}

/* ---- opening ---- */

static const char *ring_refusal(int error)
{
	switch (error) {
	case -ENOSYS:
		return "this kernel has no io_uring: Linux 6.1 or newer is needed";
	case -EPERM:
	case -EACCES:
		return "io_uring is forbidden here: set the sysctl kernel.io_uring_disabled to 0, "
		       "or "
		       "allow io_uring_setup in the seccomp profile of the container";
	case -EINVAL:
		return "this kernel's io_uring lacks DEFER_TASKRUN: Linux 6.1 or newer is needed";
	case -ENOMEM:
		return "not enough memory for io_uring: raise RLIMIT_MEMLOCK or the memory limit "
		       "of "
		       "the service";
	}
	return "io_uring could not be set up";
}

static int ring_open_queues(
	struct ring *ring, const struct ring_options *options, char *why, size_t why_size)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
		.cq_entries = options->completions,
	};
	int result = io_uring_queue_init_params(options->entries, &ring->uring, &params);

	if (result < 0) {
		snprintf(why, why_size, "%s (%s)", ring_refusal(result), strerror(-result));
		if (result == -EPERM || result == -EACCES)
			return ERR_DENIED;
		return result == -ENOMEM ? ERR_NO_MEMORY : ERR_UNSUPPORTED;
	}
	CHECK(params.features & IORING_FEAT_SUBMIT_STABLE);
	ring->bundles =
		(params.features & IORING_FEAT_RECVSEND_BUNDLE) && !options->without_bundles;
	(void)io_uring_register_ring_fd(&ring->uring); /* only saves 30 ns a call */
	return 0;
}

/* Receives bytes from `pair[1]` through the buffer ring; true if all of them arrive as they were sent. */
static bool ring_trial(struct ring *ring, const int pair[2])
{
	enum { TRIAL_BYTES = LIMIT_BUFFER_BYTES + 100 };
	static const uint8_t sent[TRIAL_BYTES] = {'p', 'g', 'r', 'i', 'n', 'g'};
	struct span spans[LIMIT_SPANS];
	struct ring_completion completion;
	uint32_t got = 0;
	bool ended = false, same = true;

	ring_recv(ring, pair[0], RING_TRIAL_SLOT, 1);
	ring_send(ring, pair[1], sent, sizeof sent, RING_TRIAL_SLOT, 1);
	for (int turn = 0; turn < 10 && !ended; turn++) {
		ring_wait(ring, 100 * NS_PER_MS);
		while (ring_next(ring, &completion)) {
			if (completion.op != RING_RECV)
				continue;
			ended = !completion.more;
			if (!completion.buffered)
				continue;
			for (unsigned i = 0, n = ring_spans(ring, &completion, spans); i < n; i++) {
				same = same && got + spans[i].len <= sizeof sent &&
					memcmp(spans[i].bytes, sent + got, spans[i].len) == 0;
				got += spans[i].len;
				ring_buffer_drop(ring, spans[i].buffer);
			}
		}
		if (got == sizeof sent)
			shutdown(pair[1],
				SHUT_WR); /* ends the receive, so that nothing is left in flight */
	}
	return ended && same && got == sizeof sent;
}

static int ring_try_out(struct ring *ring, char *why, size_t why_size)
{
	int pair[2];
	bool works;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(why, why_size, "no descriptor left for the ring's self test");
		return ERR_NO_DESCRIPTOR;
	}
	works = ring_trial(ring, pair);
	if (!works && ring->bundles) {
		close(pair[0]);
		close(pair[1]);
		ring->bundles = false;
		return ring_try_out(ring, why, why_size);
	}
	close(pair[0]);
	close(pair[1]);
	if (works)
		return 0;
	snprintf(why, why_size,
		"io_uring failed its self test: multishot receive does not work on this "
		"kernel; Linux 6.1 or newer is needed");
	return ERR_UNSUPPORTED;
}

int ring_open(struct core *core, const struct ring_options *options, struct ring **ret_ring,
	char *why, size_t why_size)
{
	struct ring *ring = calloc(1, sizeof *ring);
	int error;

	if (!ring) {
		snprintf(why, why_size, "out of memory");
		return ERR_NO_MEMORY;
	}
	ring->core = core;
	error = ring_open_queues(ring, options, why, why_size);
	if (error) {
		free(ring);
		return error;
	}
	error = ring_open_buffers(ring, options->buffers);
	if (error)
		snprintf(why, why_size, "io_uring refused the buffer ring: %s", error_text(error));
	else
		error = ring_try_out(ring, why, why_size);
	if (error) {
		ring_close(ring);
		return error;
	}
	atomic_store_explicit(
		&ring_fd_of_member[core->index], ring->uring.ring_fd + 1, memory_order_release);
	*ret_ring = ring;
	return 0;
}

void ring_close(struct ring *ring)
{
	atomic_store_explicit(&ring_fd_of_member[ring->core->index], 0, memory_order_release);
	io_uring_queue_exit(&ring->uring);
	if (ring->buffer_ring)
		munmap(ring->buffer_ring, ring->buffer_ring_bytes);
	if (ring->buffer_memory)
		munmap(ring->buffer_memory, (size_t)ring->buffer_count * LIMIT_BUFFER_BYTES);
	free(ring->order);
	free(ring->place);
	free(ring->holders);
	free(ring);
}
