/* The turn of a core. */
#include "net/loop.h"

#include "core/clock.h"
#include "core/errors.h"
#include "core/memory.h"
#include "net/listener.h"
#include "net/stream.h"

#include <stdlib.h>

enum { LOOP_TRIM_MS = 1000 };

/* The eventfd of this core, for members without a ring. */
static void loop_arm_wake(struct core *core)
{
	ring_read(core->net->ring, RING_WAKE, core->world->boxes.members[core->index].wake_fd,
		&core->net->wake_count, sizeof core->net->wake_count);
}

static void loop_trim(struct core *core, struct timer *timer)
{
	(void)timer;
	chain_trim(core);
	memory_trim();
}

int loop_open(struct core *core, const struct ring_options *options, char *why, size_t why_size)
{
	struct net *net = calloc(1, sizeof *net);
	int error = ERR_NO_MEMORY;

	if (!net)
		return ERR_NO_MEMORY;
	core->net = net;
	list_init(&net->dirty);
	list_init(&net->starved);
	list_init(&net->holders);
	timer_init(&net->trim_timer, loop_trim);
	error = slab_init(&net->streams, sizeof(struct stream), LIMIT_SLOTS);
	if (error)
		goto fail;
	error = ring_open(core, options, &net->ring, why, why_size);
	if (error)
		goto fail;
	core->wake = ring_wake;
	loop_arm_wake(core);
	return 0;
fail:
	free(net);
	core->net = NULL;
	return error;
}

static void loop_dispatch(struct core *core, const struct ring_completion *completion)
{
	switch (completion->op) {
	case RING_RECV:
	case RING_RECV_INTO:
	case RING_SEND:
	case RING_CONNECT:
		stream_complete(core, completion);
		return;
	case RING_ACCEPT:
		listener_complete(core, completion);
		return;
	case RING_WAKE:
		if (completion->slot ==
			0) /* the eventfd was read; a message of another ring needs no answer */
			loop_arm_wake(core);
		return;
	case RING_SIGNAL:
		if (core->signalled)
			core->signalled(core, completion->result);
		return;
	case RING_CANCEL:
	case RING_CLOSE:
	case RING_OP_COUNT:
		break;
	}
	UNREACHABLE();
}

void loop_turn(struct core *core, uint64_t timeout_ns)
{
	struct ring_completion completion;
	uint64_t wait_ns;

	core_count(core, METRIC_loop_turns);
	mailbox_receive(core);
	timer_run(&core->timers, core, core->now_ns);
	core_run_ready(core);
	if (core->each_turn)
		core->each_turn(core);
	if (slab_wants_trim(&core->net->streams))
		slab_trim(&core->net->streams);
	if (chain_wants_trim(core->net) && !timer_is_set(&core->net->trim_timer))
		core_timer_set(core, &core->net->trim_timer, LOOP_TRIM_MS);
	stream_feed_starved(core);
	stream_ration_all(core);
	stream_flush_all(core);

	wait_ns = timer_wait_ns(&core->timers, core->now_ns);
	if (wait_ns > timeout_ns)
		wait_ns = timeout_ns;
	if (core->stopping || !mailbox_sleep(core) || (core->must_stay && core->must_stay(core)))
		wait_ns = 0;
	ring_wait(core->net->ring, wait_ns);
	mailbox_awake(core);

	core->now_ns = clock_monotonic_ns();
	while (ring_next(core->net->ring, &completion)) {
		loop_dispatch(core, &completion);
		core_run_ready(core);
	}
}

void loop_run(struct core *core)
{
	while (!core->stopping)
		loop_turn(core, UINT64_MAX);
}

void loop_close(struct core *core)
{
	struct net *net = core->net;

	core_timer_stop(core, &net->trim_timer);
	listener_free_all(core);
	ring_close(net->ring);
	slab_destroy(&net->streams);
	chain_free_lists(core);
	free(net);
	core->net = NULL;
}
