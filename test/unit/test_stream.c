/* When a stream is received from, and when not. The ring is a double that counts what it is asked for. */
#include "net/stream.h"

#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

enum { BUFFERS = 16 };

struct ring {
	unsigned free, receives, cancels;
};

static struct ring ring;
static struct net net;
static struct core core;
static struct stream *stream;

/* ---- the double ---- */

void ring_recv(struct ring *r, int fd, uint32_t slot, uint32_t generation)
{
	(void)fd, (void)slot, (void)generation;
	r->receives++;
}

void ring_recv_into(
	struct ring *r, int fd, void *bytes, size_t len, uint32_t slot, uint32_t generation)
{
	(void)bytes, (void)len;
	ring_recv(r, fd, slot, generation);
}

void ring_send(
	struct ring *r, int fd, const void *bytes, size_t len, uint32_t slot, uint32_t generation)
{
	(void)r, (void)fd, (void)bytes, (void)len, (void)slot, (void)generation;
}

void ring_sendv(struct ring *r, int fd, const struct iovec *pieces, unsigned count, uint32_t slot,
	uint32_t generation)
{
	(void)r, (void)fd, (void)pieces, (void)count, (void)slot, (void)generation;
}

void ring_connect(struct ring *r, int fd, const struct sockaddr *address, socklen_t len,
	uint32_t slot, uint32_t generation)
{
	(void)r, (void)fd, (void)address, (void)len, (void)slot, (void)generation;
}

void ring_cancel(struct ring *r, enum ring_op op, uint32_t slot, uint32_t generation)
{
	(void)slot, (void)generation;
	r->cancels += op == RING_RECV;
}

void ring_close_fd(struct ring *r, int fd)
{
	(void)r, (void)fd;
}

bool ring_has_bundles(const struct ring *r)
{
	(void)r;
	return true;
}

unsigned ring_spans(
	struct ring *r, const struct ring_completion *completion, struct span *ret_spans)
{
	(void)r, (void)completion, (void)ret_spans;
	return 0;
}

void ring_buffer_hold(struct ring *r, uint16_t buffer)
{
	(void)r, (void)buffer;
}

void ring_buffer_drop(struct ring *r, uint16_t buffer)
{
	(void)r, (void)buffer;
}

void ring_ration(struct ring *r, unsigned ration)
{
	(void)r, (void)ration;
}

unsigned ring_buffers_free(const struct ring *r)
{
	return r->free;
}

unsigned ring_buffers_all(const struct ring *r)
{
	(void)r;
	return BUFFERS;
}

/* ---- the scene ---- */

static void nothing_closed(struct core *c, struct stream *s)
{
	(void)c, (void)s;
}

static const struct stream_events events = {.closed = nothing_closed};

static int stream_open(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof ring);
	memset(&net, 0, sizeof net);
	memset(&core, 0, sizeof core);
	timer_wheel_init(&core.timers, 0);
	list_init(&core.ready);
	list_init(&net.dirty);
	list_init(&net.starved);
	list_init(&net.holders);
	net.ring = &ring;
	core.net = &net;
	if (slab_init(&net.streams, sizeof(struct stream), 64) != 0)
		return -1;
	stream = stream_adopt(&core, -1, &events, NULL);
	stream_read(&core, stream);
	return stream && ring.receives == 1 ? 0 : -1;
}

static int stream_done(void **state)
{
	(void)state;
	list_remove(&stream->starved);
	slab_free(&net.streams, stream);
	slab_destroy(&net.streams);
	return 0;
}

/* The receive has ended. */
static void receive_over(int result)
{
	struct ring_completion completion = {.op = RING_RECV,
		.slot = slab_index(stream),
		.generation = slab_generation(stream),
		.result = result};

	stream_complete(&core, &completion);
}

static void buffers_return(void)
{
	ring.free = BUFFERS;
	stream_feed_starved(&core);
}

static void who_found_no_buffer_waits_for_one(void **state)
{
	(void)state;
	receive_over(-ENOBUFS);
	stream_feed_starved(&core);
	assert_int_equal(ring.receives, 1);
	buffers_return();
	assert_int_equal(ring.receives, 2);
}

static void who_is_paused_waits_for_none(void **state)
{
	(void)state;
	receive_over(-ENOBUFS);
	stream_pause(&core, stream);
	buffers_return();
	assert_int_equal(ring.receives, 1);
	stream_read(&core, stream);
	assert_int_equal(ring.receives, 2);
}

/* The last buffers brought so much that the stream was paused; that there were no more is heard behind it. */
static void who_found_no_buffer_when_it_was_paused_stays_so(void **state)
{
	(void)state;
	stream_pause(&core, stream);
	assert_int_equal(ring.cancels, 1);
	receive_over(-ENOBUFS);
	buffers_return();
	assert_int_equal(ring.receives, 1);
	stream_read(&core, stream);
	assert_int_equal(ring.receives, 2);
}

static void who_goes_on_before_that_is_received_from(void **state)
{
	(void)state;
	stream_pause(&core, stream);
	stream_read(&core, stream);
	receive_over(-ENOBUFS);
	assert_int_equal(ring.receives, 1);
	buffers_return();
	assert_int_equal(ring.receives, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			who_found_no_buffer_waits_for_one, stream_open, stream_done),
		cmocka_unit_test_setup_teardown(
			who_is_paused_waits_for_none, stream_open, stream_done),
		cmocka_unit_test_setup_teardown(
			who_found_no_buffer_when_it_was_paused_stays_so, stream_open, stream_done),
		cmocka_unit_test_setup_teardown(
			who_goes_on_before_that_is_received_from, stream_open, stream_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
