/* Streams over the ring: one receive that stays armed, one gathered send at a time, and a close that waits for the kernel.
 *
 * Receive: multishot from the core's buffers. Without bundles (Linux before 6.10) a stream that fills two buffers in a row gets
 * private memory and receives into it, one completion at a time, until it comes back with little.
 */
#include "net/stream.h"

#include "net/socket.h"

#include "core/errors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void stream_try_free(struct core *core, struct stream *stream);
static void stream_submit_send(struct core *core, struct stream *stream);
static void stream_linger(struct core *core, struct timer *timer);
static void stream_try_release(struct core *core, struct stream *stream);

static void stream_arm(struct core *core, struct stream *stream)
{
	CHECK(stream->receive == RECEIVE_OFF);
	stream->receive = RECEIVE_ARMED;
	if (unlikely(stream->in_bulk)) {
		if (!stream->bulk)
			stream->bulk = bulk_new();
		ring_recv_into(core->net->ring, stream->fd, stream->bulk->bytes, LIMIT_BULK_BYTES,
			slab_index(stream), slab_generation(stream));
		return;
	}
	ring_recv(core->net->ring, stream->fd, slab_index(stream), slab_generation(stream));
}

static void stream_cancel_receive(struct core *core, struct stream *stream)
{
	if (stream->receive == RECEIVE_STARVED) {
		list_remove(&stream->starved);
		stream->receive = RECEIVE_OFF;
	}
	if (stream->receive != RECEIVE_ARMED)
		return;
	stream->receive = RECEIVE_CANCELLED;
	ring_cancel(core->net->ring, stream->bulk ? RING_RECV_INTO : RING_RECV, slab_index(stream),
		slab_generation(stream));
}

static struct stream *stream_new(struct core *core, int fd, enum stream_state state,
	const struct stream_events *events, void *owner)
{
	struct stream *stream = slab_alloc(&core->net->streams);

	if (!stream)
		return NULL;
	stream->fd = fd;
	stream->state = (uint8_t)state;
	stream->events = events;
	stream->owner = owner;
	list_init(&stream->dirty);
	list_init(&stream->starved);
	list_init(&stream->holder);
	timer_init(&stream->linger, stream_linger);
	return stream;
}

struct stream *stream_adopt(
	struct core *core, int fd, const struct stream_events *events, void *owner)
{
	return stream_new(core, fd, STREAM_OPEN, events, owner);
}

int stream_connect(struct core *core, const struct address *address,
	const struct stream_events *events, void *owner, struct stream **ret_stream)
{
	struct stream *stream;
	int fd = socket_open(address);

	if (fd < 0)
		return fd;
	stream = stream_new(core, fd, STREAM_CONNECTING, events, owner);
	if (!stream) {
		socket_close(fd);
		return ERR_NO_SLOT;
	}
	stream->connecting = true;
	ring_connect(core->net->ring, fd, &address->any, address->len, slab_index(stream),
		slab_generation(stream));
	*ret_stream = stream;
	return 0;
}

void stream_read(struct core *core, struct stream *stream)
{
	stream->reading = true;
	if (stream->state == STREAM_OPEN && stream->receive == RECEIVE_OFF && !stream->is_ended)
		stream_arm(core, stream);
}

void stream_pause(struct core *core, struct stream *stream)
{
	if (!stream->reading)
		return;
	stream->reading = false;
	core_count(core, METRIC_pauses);
	stream_cancel_receive(core, stream);
}

/* ---- sending ---- */

static void stream_submit_send(struct core *core, struct stream *stream)
{
	struct iovec pieces[LIMIT_GATHER];
	unsigned count = chain_pieces(&stream->out, pieces, LIMIT_GATHER);

	CHECK(stream->sending == 0 && count > 0);
	for (unsigned i = 0; i < count; i++)
		stream->sending += (uint32_t)pieces[i].iov_len;
	if (count == 1)
		ring_send(core->net->ring, stream->fd, pieces[0].iov_base, pieces[0].iov_len,
			slab_index(stream), slab_generation(stream));
	else
		ring_sendv(core->net->ring, stream->fd, pieces, count, slab_index(stream),
			slab_generation(stream));
}

void stream_flush_all(struct core *core)
{
	struct list *link;

	while ((link = list_pop_front(&core->net->dirty))) {
		struct stream *stream = container_of(link, struct stream, dirty);

		if ((stream->state == STREAM_OPEN || stream->state == STREAM_FLUSHING ||
			    stream->state == STREAM_RELEASING) &&
			stream->sending == 0 && !chain_empty(&stream->out))
			stream_submit_send(core, stream);
	}
}

static void stream_end(struct core *core, struct stream *stream, int error)
{
	if (stream->is_ended)
		return;
	stream->is_ended = true;
	if (stream->state == STREAM_CONNECTING || stream->state == STREAM_OPEN ||
		stream->state == STREAM_RELEASING)
		stream->events->ended(core, stream, error);
	else
		stream_close(core, stream, STREAM_AT_ONCE);
}

/* Everything has been sent: say goodbye, and wait for the peer's. */
static void stream_flushed(struct core *core, struct stream *stream)
{
	stream->state = STREAM_LINGERING;
	if (stream->is_ended) {
		stream_close(core, stream, STREAM_AT_ONCE);
		return;
	}
	socket_shutdown_send(stream->fd);
	core_timer_set(core, &stream->linger, LIMIT_LINGER_MS);
	if (stream->receive == RECEIVE_OFF)
		stream_arm(core, stream);
}

static void stream_sent(struct core *core, struct stream *stream, int result)
{
	uint32_t asked = stream->sending;
	bool cancelled = stream->send_cancelled;

	stream->sending = 0;
	stream->send_cancelled = false;
	if (result > 0) {
		CHECK((uint32_t)result <= asked);
		stream->sent += (uint32_t)result;
		chain_pop(core, &stream->out, (uint32_t)result);
	}
	if (stream->out.borrowed == 0 && list_linked(&stream->holder))
		list_remove(&stream->holder);
	if (stream->state == STREAM_CLOSING) {
		stream_try_free(core, stream);
		return;
	}
	if (unlikely(result < 0 && !(cancelled && result == -ECANCELED) && result != -EINTR)) {
		stream_end(core, stream, result);
		return;
	}
	if (unlikely(cancelled))
		core_count_by(core, METRIC_buffers_copied, chain_unborrow(core, &stream->out, 0));
	if (stream->was_full && stream->out.bytes < LIMIT_QUEUE_LOW &&
		stream->state == STREAM_OPEN) {
		stream->was_full = false;
		stream->events->drained(core, stream);
	}
	if (!chain_empty(&stream->out)) {
		if (stream->state == STREAM_FLUSHING)
			core_timer_set(core, &stream->linger, LIMIT_LINGER_MS); /* it does read */
		stream_flush(core, stream);
	} else if (stream->state == STREAM_FLUSHING) {
		stream_flushed(core, stream);
	} else if (unlikely(stream->state == STREAM_RELEASING)) {
		stream_try_release(core, stream);
	}
}

/* ---- receiving ---- */

static void stream_receive_over(struct core *core, struct stream *stream, int result)
{
	stream->receive = RECEIVE_OFF;
	if (stream->state == STREAM_CLOSING) {
		stream_try_free(core, stream);
		return;
	}
	if (unlikely(stream->state == STREAM_RELEASING) &&
		(result > 0 || result == -ECANCELED || result == -EINTR || result == -ENOBUFS)) {
		stream_try_release(core, stream);
	} else if (result == -ENOBUFS) {
		core_count(core, METRIC_ring_starved);
		if (!stream->reading && stream->state != STREAM_LINGERING)
			return; /* paused by what the last buffers brought */
		stream->receive = RECEIVE_STARVED;
		list_push_back(&core->net->starved, &stream->starved);
	} else if (result == 0 || (result < 0 && result != -ECANCELED && result != -EINTR)) {
		stream_end(core, stream, result);
	} else if (stream->reading || stream->state == STREAM_LINGERING) {
		stream_arm(core, stream);
	}
}

/* Two full buffers in a row are bulk: without bundles, go on with private memory. */
static void stream_consider_bulk(struct core *core, struct stream *stream, uint32_t len)
{
	if (ring_has_bundles(core->net->ring))
		return;
	stream->full_buffers = len == LIMIT_BUFFER_BYTES ? stream->full_buffers + 1 : 0;
	if (stream->full_buffers < 2 || stream->receive != RECEIVE_ARMED)
		return;
	stream->full_buffers = 0;
	stream_cancel_receive(core, stream);
	stream->in_bulk = true; /* from the next receive on */
}

static void stream_received(
	struct core *core, struct stream *stream, const struct ring_completion *completion)
{
	struct span *spans = core->net->spans;
	unsigned count = ring_spans(core->net->ring, completion, spans);

	if (completion->result > 0) {
		stream->received += (uint32_t)completion->result;
		if (stream->state == STREAM_OPEN || stream->state == STREAM_RELEASING)
			stream->events->data(core, stream, spans, count);
	}
	for (unsigned i = 0; i < count; i++)
		ring_buffer_drop(core->net->ring, spans[i].buffer);
	stream_consider_bulk(core, stream, (uint32_t)completion->result);
}

static void stream_received_bulk(struct core *core, struct stream *stream, int result)
{
	struct bulk *bulk = stream->bulk;

	stream->bulk = NULL;
	if (result > 0) {
		struct span span = {bulk->bytes, (uint32_t)result, 0, bulk};

		stream->received += (uint32_t)result;
		if (stream->state == STREAM_OPEN || stream->state == STREAM_RELEASING)
			stream->events->data(core, stream, &span, 1);
	}
	bulk_drop(bulk); /* what was borrowed of it lives on in queues */
	if (result < LIMIT_BULK_BYTES / 8)
		stream->in_bulk = false;
	stream_receive_over(core, stream, result);
}

void stream_ration(struct core *core, bool is_short)
{
	core->net->wants_ration = is_short;
}

void stream_ration_all(struct core *core)
{
	struct net *net = core->net;
	bool is_short = net->wants_ration || net->heap_bytes > LIMIT_UNREAD_BYTES;

	if (likely(is_short == net->is_rationed))
		return;
	net->is_rationed = is_short;
	ring_ration(net->ring, is_short ? LIMIT_BUFFERS_SHORT : ring_buffers_all(net->ring));
}

void stream_feed_starved(struct core *core)
{
	struct net *net = core->net;
	unsigned enough = ring_buffers_all(net->ring) / 4;

	if (likely(list_empty(&net->starved)))
		return;
	/* Who holds buffers behind a slow peer copies them out, oldest first, until enough are free again. */
	list_each_safe(link, &net->holders) {
		struct stream *stream = container_of(link, struct stream, holder);

		if (ring_buffers_free(net->ring) >= enough)
			break;
		core_count_by(core, METRIC_buffers_copied,
			chain_unborrow(core, &stream->out, stream->sending));
		if (stream->sending > 0 && !stream->send_cancelled && stream->out.borrowed > 0) {
			stream->send_cancelled = true;
			ring_cancel(
				net->ring, RING_SEND, slab_index(stream), slab_generation(stream));
		}
	}
	while (ring_buffers_free(net->ring) >= enough) {
		struct list *link = list_pop_front(&net->starved);
		struct stream *stream;

		if (!link)
			return;
		stream = container_of(link, struct stream, starved);
		stream->receive = RECEIVE_OFF;
		stream_arm(core, stream);
	}
}

/* ---- closing ---- */

static void stream_linger(struct core *core, struct timer *timer)
{
	stream_close(core, container_of(timer, struct stream, linger), STREAM_AT_ONCE);
}

static void stream_try_free(struct core *core, struct stream *stream)
{
	if (stream->sending > 0 || stream->connecting || stream->receive == RECEIVE_ARMED ||
		stream->receive == RECEIVE_CANCELLED)
		return; /* the kernel still has something of ours */
	chain_clear(core, &stream->out);
	list_remove(&stream->dirty);
	list_remove(&stream->starved);
	list_remove(&stream->holder);
	core_timer_stop(core, &stream->linger);
	if (stream->bulk)
		bulk_drop(stream->bulk);
	ring_close_fd(core->net->ring, stream->fd);
	stream->events->closed(core, stream);
	slab_free(&core->net->streams, stream);
}

/* ---- giving the connection away ---- */

static void stream_try_release(struct core *core, struct stream *stream)
{
	if (stream->state != STREAM_RELEASING || stream->is_ended || stream->sending > 0 ||
		!chain_empty(&stream->out) || stream->receive != RECEIVE_OFF)
		return;
	list_remove(&stream->dirty);
	list_remove(&stream->holder);
	core_timer_stop(core, &stream->linger);
	CHECK(!stream->bulk);
	stream->events->released(core, stream, stream->fd);
	slab_free(&core->net->streams, stream);
}

static void stream_release_later(struct core *core, struct timer *timer)
{
	stream_try_release(core, container_of(timer, struct stream, linger));
}

void stream_release(struct core *core, struct stream *stream)
{
	CHECK(stream->state == STREAM_OPEN && !stream->is_ended);
	stream->state = STREAM_RELEASING;
	stream->reading = false;
	stream_cancel_receive(core, stream);
	timer_init(&stream->linger, stream_release_later);
	core_timer_set(core, &stream->linger, 0);
}

/* A cancel that came too late, or was lost: the end of the connection ends what is in flight. */
static void stream_close_hard(struct core *core, struct timer *timer)
{
	(void)core;
	socket_shutdown(container_of(timer, struct stream, linger)->fd);
}

/* The end, from a timer: stream_close may not free the slot under its caller. */
static void stream_close_later(struct core *core, struct timer *timer)
{
	struct stream *stream = container_of(timer, struct stream, linger);

	timer_init(&stream->linger, stream_close_hard);
	core_timer_set(core, &stream->linger, LIMIT_CANCEL_MS);
	stream_try_free(core, stream);
}

void stream_close(struct core *core, struct stream *stream, enum stream_close_how how)
{
	if (stream->state == STREAM_CLOSING)
		return;
	if (how == STREAM_FLUSHED && stream->state == STREAM_OPEN && !stream->is_ended) {
		stream->state = STREAM_FLUSHING;
		core_timer_set(core, &stream->linger, LIMIT_LINGER_MS);
		if (chain_empty(&stream->out))
			stream_flushed(core, stream);
		else
			stream_flush(core, stream);
		return;
	}
	if (how == STREAM_FLUSHED &&
		(stream->state == STREAM_FLUSHING || stream->state == STREAM_LINGERING))
		return;
	stream->state = STREAM_CLOSING;
	if (stream->connecting)
		ring_cancel(
			core->net->ring, RING_CONNECT, slab_index(stream), slab_generation(stream));
	if (stream->sending > 0)
		ring_cancel(
			core->net->ring, RING_SEND, slab_index(stream), slab_generation(stream));
	stream_cancel_receive(core, stream);
	core_timer_stop(core, &stream->linger);
	timer_init(&stream->linger, stream_close_later);
	core_timer_set(core, &stream->linger, 0);
}

/* ---- completions ---- */

static void stream_connected(struct core *core, struct stream *stream, int result)
{
	stream->connecting = false;
	if (stream->state == STREAM_CLOSING) {
		stream_try_free(core, stream);
		return;
	}
	if (result < 0) {
		stream_end(core, stream, result);
		return;
	}
	stream->state = STREAM_OPEN;
	stream->events->connected(core, stream);
	if (stream->state == STREAM_OPEN && stream->reading && stream->receive == RECEIVE_OFF)
		stream_arm(core, stream);
}

/* Buffers that came for a connection that is gone go back. */
static void stream_drop(struct core *core, const struct ring_completion *completion)
{
	core_count(core, METRIC_ring_stale);
	if (!completion->buffered)
		return;
	for (unsigned i = 0, n = ring_spans(core->net->ring, completion, core->net->spans); i < n;
		i++)
		ring_buffer_drop(core->net->ring, core->net->spans[i].buffer);
}

void stream_complete(struct core *core, const struct ring_completion *completion)
{
	struct stream *stream =
		slab_get(&core->net->streams, completion->slot, completion->generation);

	if (unlikely(!stream)) {
		stream_drop(core, completion);
		return;
	}
	switch (completion->op) {
	case RING_RECV:
		if (completion->buffered)
			stream_received(core, stream, completion);
		if (!completion->more)
			stream_receive_over(core, stream, completion->result);
		return;
	case RING_RECV_INTO:
		stream_received_bulk(core, stream, completion->result);
		return;
	case RING_SEND:
		stream_sent(core, stream, completion->result);
		return;
	case RING_CONNECT:
		stream_connected(core, stream, completion->result);
		return;
	default:
		UNREACHABLE();
	}
}
