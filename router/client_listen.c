/* Notifications on their last step, to their client. */
#include "router/client_listen.h"

#include "protocol/sqlstate.h"

/* Whether PostgreSQL would send one now. */
static bool client_listen_may(const struct client *client)
{
	const struct lease *lease = &client->lease;

	if (client->state != CLIENT_READY || client->is_leaving || client->status != 'I')
		return false;
	if (lease->state != LEASE_HELD)
		return true;
	return pending_readies(&lease->server->pending) == 0 && !lease->server->pending.is_open &&
		!lease_is_mid_message(lease);
}

static void client_listen_deliver(struct core *core, struct client *client)
{
	struct subscriber *subscriber = client->lease.subscriber;

	while (!chain_empty(&subscriber->ready) && !stream_is_full(client->stream)) {
		subscriber_take(core, subscriber, &client->stream->out);
		stream_flush(core, client->stream);
	}
	if (unlikely(subscriber->is_overrun))
		core_defer(core, &client->resume); /* which ends it */
}

void client_listen_news(struct core *core, struct lease *lease)
{
	struct client *client = container_of(lease, struct client, lease);

	if (client_listen_may(client))
		client_listen_deliver(core, client);
	else if (unlikely(lease->subscriber->is_overrun))
		core_defer(core, &client->resume);
}

void client_listen_answered(struct core *core, struct client *client)
{
	if (client->state == CLIENT_READY && client->status == 'I' && client->lease.subscriber)
		client_listen_deliver(core, client);
}

void client_listen_drained(struct core *core, struct client *client)
{
	if (client->lease.subscriber)
		client_listen_news(core, &client->lease);
}

bool client_listen_ends(struct core *core, struct client *client)
{
	struct fault fault = {"FATAL", SQLSTATE_PROGRAM_LIMIT_EXCEEDED,
		"too many notifications wait for this session", NULL,
		"Read what comes, end transactions soon, or raise pub_sub_channel_size."};

	if (likely(!client->lease.subscriber) || !client->lease.subscriber->is_overrun)
		return false;
	client_fatal(core, client, &fault);
	return true;
}
