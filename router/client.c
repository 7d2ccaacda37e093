/* A client's session as a whole: its states, its stream, its end. client_login.c lets it in, client_relay.c serves it,
 * client_console.c is for the console. */
#include "router/client.h"

#include "core/clock.h"
#include "core/memory.h"
#include "net/socket.h"
#include "protocol/greeting.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"
#include "router/client_listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TO(name) (1U << CLIENT_##name)

static const struct {
	const char *word;
	unsigned next;
} client_states[] = {
#define CLIENT_STATE(name, allowed, text) [CLIENT_##name] = {text, allowed},
#include "router/client_states.def"
};

static void client_timer(struct core *core, struct timer *timer);
static void client_resume(struct core *core, struct task *task);

enum { CLIENT_PID_SLOT_BITS = 20 };
_Static_assert(LIMIT_SLOTS <= 1 << CLIENT_PID_SLOT_BITS, "a slot fits into a cancel key's number");
_Static_assert(LIMIT_CORES < 1 << (31 - CLIENT_PID_SLOT_BITS),
	"so does a core, and the number stays positive");

uint32_t client_pid(const struct core *core, const struct client *client)
{
	return (core->index + 1) << CLIENT_PID_SLOT_BITS | slab_index(client);
}

bool client_pid_parse(uint32_t pid, uint32_t *ret_core, uint32_t *ret_slot)
{
	if (pid >> CLIENT_PID_SLOT_BITS == 0)
		return false;
	*ret_core = (pid >> CLIENT_PID_SLOT_BITS) - 1;
	*ret_slot = pid & ((1U << CLIENT_PID_SLOT_BITS) - 1);
	return true;
}

void client_enter(struct core *core, struct client *client, enum client_state next)
{
	(void)core;
	CHECK(client_states[client->state].next & (1U << next));
	client->state = (uint8_t)next;
}

const char *client_state_name(const struct client *client)
{
	if (client->state != CLIENT_READY)
		return client_states[client->state].word;
	switch ((enum lease_state)client->lease.state) {
	case LEASE_NONE:
		return "idle";
	case LEASE_WAITING:
		return "waiting";
	case LEASE_HELD:
		return "active";
	}
	UNREACHABLE();
}

void client_set_mode(struct client *client)
{
	CHECK(client->lease.state != LEASE_HELD);
	client->mode = (uint8_t)client->pool->config->mode;
	client->lease.keeps = client->mode == POOL_SESSION;
}

void client_follow_mode(struct client *client)
{
	const struct names *names = client->lease.names;
	enum pool_mode now = client->pool->config->mode;

	if (client->mode == now || client->lease.state != LEASE_NONE || client->has_begun)
		return;
	if (now == POOL_SESSION && (names->count > 0 || names->unnamed))
		return;
	client_set_mode(client);
}

/* ---- the stream's events ---- */

static void client_data(
	struct core *core, struct stream *stream, const struct span *spans, unsigned count)
{
	struct client *client = client_of(stream);

	switch ((enum client_state)client->state) {
	case CLIENT_READY:
		client_relay_data(core, client, spans, count);
		return;
	case CLIENT_STARTUP:
	case CLIENT_DERIVING:
	case CLIENT_AUTH:
	case CLIENT_SETTLING:
		client_login_data(core, client, spans, count);
		return;
	case CLIENT_CONSOLE:
		client_console_data(core, client, spans, count);
		return;
	case CLIENT_CANCELLING:
	case CLIENT_CLOSING:
	case CLIENT_STATE_COUNT:
		return;
	}
}

static void client_drained(struct core *core, struct stream *stream)
{
	struct client *client = client_of(stream);

	if (client->lease.state == LEASE_HELD)
		stream_read(core, client->lease.server->stream);
	else if (client->state == CLIENT_CONSOLE)
		client_console_drained(core, client);
	else if (!client->is_waiting && !client->stream->reading)
		core_defer(core, &client->resume); /* what is answered here waited for room */
	client_listen_drained(core, client);
}

static void client_ended(struct core *core, struct stream *stream, int error)
{
	client_drop(core, client_of(stream),
		error ? strerror(-error) : "the client closed the connection");
}

static void client_closed(struct core *core, struct stream *stream)
{
	struct client *client = client_of(stream);

	CHECK(client->state == CLIENT_CLOSING);
	held_forget(core, client);
	chain_clear(core, &client->in);
	load_remove(core->world, core->index);
	slab_free(&core->router->clients, client);
	if (slab_wants_trim(&core->router->clients))
		core_defer(core, &core->router->trim);
}

static const struct stream_events client_events = {
	.data = client_data,
	.drained = client_drained,
	.ended = client_ended,
	.closed = client_closed,
};

static void client_resume(struct core *core, struct task *task)
{
	struct client *client = container_of(task, struct client, resume);

	if (client->state == CLIENT_READY && !client_listen_ends(core, client))
		client_relay_resume(core, client);
}

const struct address *client_peer(struct client *client)
{
	if (client->peer.len == 0)
		socket_peer(client->stream->fd, &client->peer);
	return &client->peer;
}

/* ---- beginning and end ---- */

void client_open(struct core *core, int fd)
{
	struct router *router = core->router;
	const struct config_general *general = &router->config->general;
	struct client *client = slab_alloc(&router->clients);

	if (!client) {
		load_remove(core->world, core->index);
		socket_close(fd);
		return;
	}
	client->stream = stream_adopt(core, fd, &client_events, client);
	if (!client->stream) {
		slab_free(&router->clients, client);
		load_remove(core->world, core->index);
		socket_close(fd);
		return;
	}
	client->state = CLIENT_STARTUP;
	client->status = 'I';
	client->id = core->index + 1 +
		router->next_id++ * core->world->worker_count; /* no other core's */
	client->connected_ns = client->request_ns = core->now_ns;
	timer_init(&client->timer, client_timer);
	task_init(&client->resume, client_resume);
	held_init(&client->held);
	socket_accepted(fd, general->log_connections || general->log_disconnections, &client->peer);
	if (router->config->general.client_login_timeout_ms != CONFIG_UNLIMITED)
		core_timer_set(
			core, &client->timer, router->config->general.client_login_timeout_ms);
	stream_read(core, client->stream);
}

static void client_give_back(struct core *core, struct client *client)
{
	client_admit_end(core, client);
	if (client->pool) {
		if (client->lease.state == LEASE_WAITING)
			lease_cancel_wait(core, &client->lease);
		else if (client->lease.state == LEASE_HELD)
			lease_abandon(core, &client->lease);
		lease_forget(&client->lease);
		subscriber_free(core, &client->lease);
		client->pool->client_count--;
	}
	if (client->pool)
		names_disown(&client->lease.names, &core->pools->statements);
	settings_drop(client->lease.settings);
	settings_drop(client->settings);
	client->settings = client->lease.settings = client->lease.base = NULL;
	client_login_end(core, client);
	client_console_end(core, client);
	if (client->pool && client->pool->is_removed)
		pool_wake(core, client->pool); /* its last client lets it go */
}

static void client_end(
	struct core *core, struct client *client, const char *reason, enum stream_close_how how)
{
	char peer[ADDRESS_TEXT];

	if (client->state == CLIENT_CLOSING)
		return;
	if (client->state == CLIENT_READY && core->router->config->general.log_disconnections)
		log_info(core, "client %llu \"%s\" disconnected from database \"%s\" [%s]: %s",
			(unsigned long long)client->id, client->pool->config->user,
			client->pool->config->database, address_text(client_peer(client), peer),
			reason);
	core_timer_stop(core, &client->timer);
	list_remove(&client->resume.link);
	client_give_back(core, client);
	client_enter(core, client, CLIENT_CLOSING);
	stream_close(core, client->stream, how);
}

void client_close(struct core *core, struct client *client, const char *reason)
{
	client_end(core, client, reason, STREAM_FLUSHED);
}

void client_drop(struct core *core, struct client *client, const char *reason)
{
	client_end(core, client, reason, STREAM_AT_ONCE);
}

/* ---- what it is told ---- */

void client_say(struct core *core, struct client *client, const struct fault *fault)
{
	uint8_t message[2048];

	stream_send(
		core, client->stream, message, fault_write(message, sizeof message, 'E', fault));
}

void client_say_ready(struct core *core, struct client *client, char status)
{
	uint8_t message[8];
	struct writer writer;

	writer_init(&writer, message, sizeof message);
	greeting_write_ready(&writer, status);
	stream_send(core, client->stream, message, writer_len(&writer));
	client->status = status;
}

void client_fatal(struct core *core, struct client *client, const struct fault *fault)
{
	struct fault fatal = *fault;

	if (client->state == CLIENT_CLOSING)
		return;
	fatal.severity = "FATAL";
	if (client->login)
		client_login_refused(core, client, fault->message);
	/* in the middle of a server's message, it would be taken for the rest of that */
	if (!client->pool || !lease_is_mid_message(&client->lease))
		client_say(core, client, &fatal);
	client_close(core, client, fault->message);
}

void client_fatal_text(
	struct core *core, struct client *client, const char *sqlstate, const char *text)
{
	struct fault fault = {"FATAL", sqlstate, text, NULL, NULL};

	client_fatal(core, client, &fault);
}

void client_violation(struct core *core, struct client *client, const char *text)
{
	char peer[ADDRESS_TEXT];

	core_count(core, METRIC_protocol_errors);
	log_debug(core, "client %llu [%s] broke the protocol: %s", (unsigned long long)client->id,
		address_text(client_peer(client), peer), text);
	client_fatal_text(core, client, SQLSTATE_PROTOCOL_VIOLATION, text);
}

/* ---- timeouts ---- */

static void client_timer(struct core *core, struct timer *timer)
{
	struct client *client = container_of(timer, struct client, timer);

	if (client->state == CLIENT_READY)
		client_watch_over(core, client);
	else
		client_login_timeout(core, client);
}
