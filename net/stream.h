/* stream: one connection as a stream of bytes in both directions.
 *
 *   CONNECTING -> OPEN -> FLUSHING -> LINGERING -> CLOSING -> (freed)
 *                   \-> RELEASING -> (freed; the descriptor lives on)
 *
 * Owner: whoever opened it; it hears of it through its events. Thread: the core's. Memory: a slot of the core's stream slab; an
 * idle stream has no buffer. At most one send is in flight; what is queued meanwhile is gathered into the next. After
 * stream_close the owner hears exactly one more event, closed(), when the kernel has let go of everything; the slot is gone
 * after it. No event runs from inside a call of this header.
 */
#ifndef PGRING_NET_STREAM_H
#define PGRING_NET_STREAM_H

#include "net/address.h"
#include "net/chain.h"

struct stream;

struct stream_events {
	/* The connection stands. Only after stream_connect. */
	void (*connected)(struct core *core, struct stream *stream);
	/* Received bytes, borrowed for the call: what is needed longer is copied, or borrowed by a chain. */
	void (*data)(
		struct core *core, struct stream *stream, const struct span *spans, unsigned count);
	/* The queue fell below LIMIT_QUEUE_LOW after stream_is_full had said yes. */
	void (*drained)(struct core *core, struct stream *stream);
	/* The peer has ended the stream (0) or it failed (negative errno). Once; the owner closes it then. */
	void (*ended)(struct core *core, struct stream *stream, int error);
	/* The last event: forget the stream. */
	void (*closed)(struct core *core, struct stream *stream);
	/* Instead of closed(), after stream_release: the descriptor is the owner's now. */
	void (*released)(struct core *core, struct stream *stream, int fd);
};

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_FLUSHING, /* closing, once what is queued has been sent */
	STREAM_LINGERING, /* said goodbye; waits for the peer to do so, to not cut off what it still has to read */
	STREAM_RELEASING, /* to be given away with its connection; waits likewise */
	STREAM_CLOSING,   /* waits for the kernel's last completions */
};

enum stream_receive { RECEIVE_OFF, RECEIVE_ARMED, RECEIVE_CANCELLED, RECEIVE_STARVED };

struct stream {
	const struct stream_events *events;
	void *owner;
	struct chain out;
	struct list dirty, starved, holder;
	struct timer linger;
	struct bulk *bulk; /* private memory of the receive in flight, on kernels without bundles */
	int fd;
	uint32_t sending;        /* bytes of the send in flight */
	uint8_t state;           /* enum stream_state */
	uint8_t receive;         /* enum stream_receive */
	uint8_t full_buffers;    /* in a row */
	bool reading;            /* the owner wants data */
	bool in_bulk;            /* receives into private memory */
	bool is_ended;           /* ended() was told */
	bool was_full;           /* drained() is owed */
	bool connecting;         /* a connect is in flight */
	bool send_cancelled;     /* to take the receive buffers out of it */
	uint64_t received, sent; /* bytes */
};

/* Takes over a connected descriptor. NULL if there is no slot; the descriptor is the caller's then. Reading is off. */
struct stream *stream_adopt(
	struct core *core, int fd, const struct stream_events *events, void *owner);

/* Starts to connect; connected() or ended() follow. `address` must live until then. Returns 0, ERR_NO_SLOT, ERR_NO_DESCRIPTOR
 * or ERR_SYSTEM. */
must_check int stream_connect(struct core *core, const struct address *address,
	const struct stream_events *events, void *owner, struct stream **ret_stream);

/* Starts and stops receiving. Bytes that are on their way when it stops still arrive. */
void stream_read(struct core *core, struct stream *stream);
void stream_pause(struct core *core, struct stream *stream);

/* Marks bytes for sending at the end of this turn; append them to stream->out (chain.h) first. */
static inline void stream_flush(struct core *core, struct stream *stream)
{
	if (stream->sending == 0 && !list_linked(&stream->dirty))
		list_push_back(&core->net->dirty, &stream->dirty);
	if (stream->out.borrowed > 0 && !list_linked(&stream->holder))
		list_push_back(&core->net->holders, &stream->holder);
}

static inline void stream_send(
	struct core *core, struct stream *stream, const void *bytes, size_t len)
{
	chain_copy(core, &stream->out, bytes, len);
	stream_flush(core, stream);
}

/* Whether the source of what is queued here should pause; drained() tells when to go on. */
static inline bool stream_is_full(struct stream *stream)
{
	if (likely(stream->out.bytes < LIMIT_QUEUE_HIGH))
		return false;
	stream->was_full = true;
	return true;
}

enum stream_close_how {
	STREAM_AT_ONCE, /* what is queued is dropped */
	STREAM_FLUSHED, /* what is queued is sent first, if the peer reads it within LIMIT_LINGER_MS of silence */
};

/* Ends the stream. Twice is once, but the second may be more urgent than the first. */
void stream_close(struct core *core, struct stream *stream, enum stream_close_how how);

/* Gives up the stream but not its connection: released() follows, on a later turn, once all that is queued has been sent and the
 * kernel has let go. Until then data() and ended() may still come; who closes the stream meanwhile hears closed() as ever. */
void stream_release(struct core *core, struct stream *stream);

/* Memory is short, or no longer: bytes that cannot be refused shall be few. */
void stream_ration(struct core *core, bool is_short);

/* For the loop. */
void stream_complete(struct core *core, const struct ring_completion *completion);
void stream_flush_all(struct core *core);
void stream_feed_starved(struct core *core);
void stream_ration_all(struct core *core);

#endif
