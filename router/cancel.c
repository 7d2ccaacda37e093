/* Finding the client of a cancel request, having its query cancelled, and telling who asked. */
#include "router/cancel.h"

#include "pool/server_cancel.h"
#include "protocol/crypto.h"
#include "protocol/frame.h"
#include "protocol/sqlstate.h"
#include "router/client.h"

#include <stdlib.h>
#include <string.h>

enum { CANCEL_RETRY_MS = 5 };

/* What both letters carry. */
struct cancel_request {
	struct server_cancel_wait wait; /* on the core of the client that is meant */
	struct timer retry;
	unsigned asker_core;
	uint32_t asker_slot, asker_generation;
	uint32_t pid;
	uint8_t key[STARTUP_KEY_MAX];
	size_t key_len;
};

/* ---- on the core of who asks ---- */

static void cancel_let_go(struct core *core, struct client *asker)
{
	client_drop(core, asker, "a cancel request");
}

void cancel_request(
	struct core *core, struct client *asker, uint32_t pid, const uint8_t *key, size_t key_len)
{
	struct cancel_request *request;
	struct letter letter = {.kind = LETTER_CANCEL};
	uint32_t target, slot;

	if (!client_pid_parse(pid, &target, &slot) || target >= core->world->worker_count ||
		key_len > STARTUP_KEY_MAX) {
		core_count(core, METRIC_cancels_ignored);
		cancel_let_go(core, asker);
		return;
	}
	request = calloc(1, sizeof *request);
	CHECK(request);
	request->asker_core = core->index;
	request->asker_slot = slab_index(asker);
	request->asker_generation = slab_generation(asker);
	request->pid = pid;
	request->key_len = key_len;
	memcpy(request->key, key, key_len);
	letter.a = request;
	if (mailbox_send(core, target, &letter) != 0) {
		core_count(core, METRIC_cancels_ignored);
		free(request);
		cancel_let_go(core, asker);
	}
}

void cancel_returned(struct core *core, const struct letter *letter)
{
	struct cancel_request *request = letter->a;
	struct client *asker =
		slab_get(&core->router->clients, request->asker_slot, request->asker_generation);

	if (asker && asker->state == CLIENT_CANCELLING)
		cancel_let_go(core, asker);
	free(request);
}

/* ---- on the core of who is meant ---- */

static void cancel_give_back(struct core *core, struct cancel_request *request)
{
	struct letter letter = {.kind = LETTER_CANCELLED, .a = request};

	if (mailbox_send(core, request->asker_core, &letter) == 0)
		return;
	core_count(core, METRIC_letters_delayed);
	core_timer_set(core, &request->retry, CANCEL_RETRY_MS);
}

static void cancel_retry(struct core *core, struct timer *timer)
{
	cancel_give_back(core, container_of(timer, struct cancel_request, retry));
}

static void cancel_over(struct core *core, struct server_cancel_wait *wait)
{
	cancel_give_back(core, container_of(wait, struct cancel_request, wait));
}

/* Whether the first message that waits is a request, of which nothing has been sent. */
static bool cancel_awaits_its_turn(struct client *client)
{
	uint8_t type = 0;

	return client->is_waiting && client->left == 0 && chain_peek(&client->in, &type, 1) == 1 &&
		memchr("QPBDECF", type, 7);
}

/* Returns whether the server has been asked, and has the request now. */
static bool cancel_client(struct core *core, struct client *client, struct cancel_request *request)
{
	static const struct fault fault = {"ERROR", SQLSTATE_QUERY_CANCELED,
		"canceling statement due to user request", NULL, NULL};

	if (client->state == CLIENT_CONSOLE && client->command) {
		client_console_cancel(core, client);
		return false;
	}
	if (client->state == CLIENT_READY && client->lease.state == LEASE_HELD) {
		if (server_cancel_ask(core, client->lease.server, &request->wait))
			return true;
		if (cancel_awaits_its_turn(client)) {
			client->is_cancelled = true;
			return false;
		}
	} else if (client->state == CLIENT_READY && cancel_awaits_its_turn(client)) {
		if (client->lease.state == LEASE_WAITING)
			lease_cancel_wait(core, &client->lease);
		client_relay_fail(core, client, &fault);
		return false;
	}
	core_count(core, METRIC_cancels_ignored); /* its query is over already */
	return false;
}

void cancel_arrived(struct core *core, const struct letter *letter)
{
	struct cancel_request *request = letter->a;
	uint32_t index, slot, at = 0;
	struct client *client = NULL;

	CHECK(client_pid_parse(request->pid, &index, &slot) && index == core->index);
	timer_init(&request->retry, cancel_retry);
	request->wait.over = cancel_over;
	at = slot;
	client = slab_next(&core->router->clients, &at);
	if (client && slab_index(client) == slot && client->key_len > 0 &&
		client->key_len == request->key_len &&
		crypto_equal(client->key, request->key, request->key_len)) {
		if (cancel_client(core, client, request))
			return;
	} else {
		core_count(core, METRIC_cancels_ignored);
	}
	cancel_give_back(core, request);
}
