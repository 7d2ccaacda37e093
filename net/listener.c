/* Accepting: multishot as long as a whole backlog may come, else one by one; again after a pause when no more may, or when
 * descriptors have run out. Who is not accepted waits in the backlog. */
#include "net/listener.h"

#include "core/errors.h"
#include "core/load.h"
#include "net/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENER_RETRY_MS = 100, LISTENER_GENERATION = 1 };

static void listener_arm(struct core *core, struct listener *listener)
{
	unsigned room = load_room(core->world);

	if (unlikely(room == 0)) {
		if (!listener->is_full)
			log_warn(core,
				"%u clients are all that the limit on file descriptors allows: "
				"others wait; raise LimitNOFILE (systemd) or ulimit -n",
				core->world->client_descriptors);
		listener->is_full = true;
		core_timer_set(core, &listener->retry, LISTENER_RETRY_MS);
		return;
	}
	if (room > core->world->client_descriptors / 8)
		listener->is_full = false;
	listener->armed = true;
	ring_accept(core->net->ring, listener->fd, room < SOCKET_BACKLOG, listener->slot,
		LISTENER_GENERATION);
}

static void listener_retry(struct core *core, struct timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, retry);

	if (!listener->stopping)
		listener_arm(core, listener);
}

int listener_start(
	struct core *core, int fd, void (*accepted)(struct core *, struct listener *, int))
{
	struct net *net = core->net;
	struct listener *listener;

	if (net->listener_count == LIMIT_LISTENERS)
		return ERR_FULL;
	listener = calloc(1, sizeof *listener);
	if (!listener)
		return ERR_NO_MEMORY;
	listener->fd = fd;
	listener->slot = net->listener_count;
	listener->accepted = accepted;
	timer_init(&listener->retry, listener_retry);
	net->listeners[net->listener_count++] = listener;
	listener_arm(core, listener);
	return 0;
}

void listener_stop_all(struct core *core)
{
	for (unsigned i = 0; i < core->net->listener_count; i++) {
		struct listener *listener = core->net->listeners[i];

		if (listener->stopping)
			continue;
		listener->stopping = true;
		core_timer_stop(core, &listener->retry);
		if (listener->armed)
			ring_cancel(
				core->net->ring, RING_ACCEPT, listener->slot, LISTENER_GENERATION);
	}
}

bool listener_all_stopped(const struct core *core)
{
	for (unsigned i = 0; i < core->net->listener_count; i++)
		if (core->net->listeners[i]->armed)
			return false;
	return true;
}

void listener_free_all(struct core *core)
{
	for (unsigned i = 0; i < core->net->listener_count; i++)
		free(core->net->listeners[i]);
	core->net->listener_count = 0;
}

void listener_complete(struct core *core, const struct ring_completion *completion)
{
	struct listener *listener;
	int result = completion->result;

	CHECK(completion->slot < core->net->listener_count);
	listener = core->net->listeners[completion->slot];
	if (result >= 0) {
		core_count(core, METRIC_accepts);
		listener->accepted(core, listener, result);
	} else if (result != -ECANCELED) {
		core_count(core, METRIC_accept_errors);
	}
	if (completion->more) {
		/* a backlog at once might be too much from now on */
		if (unlikely(!listener->narrows && load_room(core->world) < SOCKET_BACKLOG)) {
			listener->narrows = true;
			ring_cancel(
				core->net->ring, RING_ACCEPT, listener->slot, LISTENER_GENERATION);
		}
		return;
	}
	listener->armed = listener->narrows = false;
	if (listener->stopping)
		return;
	if (result >= 0 || result == -ECONNABORTED || result == -EINTR || result == -ECANCELED) {
		listener_arm(core, listener);
		return;
	}
	if (!listener->is_full)
		log_warn(core, "cannot accept a connection: %s; trying again every %d ms",
			strerror(-result), LISTENER_RETRY_MS);
	listener->is_full = true;
	core_timer_set(core, &listener->retry, LISTENER_RETRY_MS);
}
