/* The lives of simulated clients, and their bytes. */
#include "test/sim/sim_client_private.h"

#include "core/clock.h"
#include "protocol/frame.h"
#include "test/sim/sim.h"
#include "test/sim/sim_notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENTS_MAX = 4096, CLIENT_OUT_ENOUGH = 64 * 1024, CLIENT_PATIENCE_S = 120 };

static struct sim_client *clients[CLIENTS_MAX];
static unsigned client_count, alive_count;
static const struct sim_pool *pools;
static int listener;
static bool expects_shutdown, names_follow;
static unsigned chatter;

void sim_client_begin(const struct sim_pool *all, unsigned count, int fd)
{
	(void)count;
	CHECK(client_count == 0);
	pools = all;
	listener = fd;
	expects_shutdown = names_follow = false;
	chatter = 0;
}

void sim_client_end(void)
{
	CHECK(alive_count == 0);
	for (unsigned i = 0; i < client_count; i++) {
		free(clients[i]->steps);
		free(clients[i]);
	}
	client_count = 0;
}

static struct sim_client *client_new(unsigned pool, uint64_t start_ns)
{
	struct sim_client *client = calloc(1, sizeof *client);

	CHECK(client && client_count < CLIENTS_MAX);
	clients[client_count++] = client;
	alive_count++;
	client->id = client_count; /* from 1: 0 is nobody */
	client->pool = &pools[pool];
	client->start_ns = start_ns;
	client->follows = names_follow;
	client->status = client->predicted = 'I';
	client->moved_ns = sim_elapsed_ns();
	client->next_seq = 1;
	return client;
}

void sim_client_new(unsigned pool, unsigned units, bool is_strict, uint64_t start_ns)
{
	struct sim_client *client = client_new(pool, start_ns);

	client->units_left = units;
	client->depth = sim_percent(50) ? 1 : (unsigned)sim_between(2, 8);
	client->is_strict = is_strict;
	if (sim_percent(40)) /* some share one */
		snprintf(client->name, sizeof client->name, "app%u", (unsigned)sim_below(4));
	client->knows_wrong_password = !is_strict && sim_percent(2);
	client->listens = chatter > 0 && sim_percent(60);
	client->chatter = client->listens ? chatter : chatter / 4;
	sim_trace("C%u: %s/%s, %u units, depth %u, name \"%s\"", client->id, client->pool->database,
		client->pool->user, units, client->depth, client->name);
}

static void client_cancel(unsigned pool, unsigned pid, const uint8_t *key, size_t key_len)
{
	struct sim_client *client = client_new(pool, sim_now_ns());

	client->is_canceller = true;
	sim_script_cancel(client, pid, key, key_len);
}

void sim_client_expect_shutdown(void)
{
	expects_shutdown = true;
}

void sim_client_no_listener(void)
{
	listener = -1;
}

void sim_client_names_follow(void)
{
	names_follow = true;
}

void sim_client_chatter(unsigned percent)
{
	chatter = percent;
}

bool sim_client_expects_shutdown(void)
{
	return expects_shutdown;
}

unsigned sim_client_count(void)
{
	return client_count;
}

struct sim_client *sim_client_at(unsigned i)
{
	return clients[i];
}

unsigned sim_client_alive(void)
{
	return alive_count;
}

/* ---- for the judge ---- */

const struct sim_client *sim_client_get(unsigned id)
{
	SIM_CHECK(id > 0 && id <= client_count, "there is no client C%u", id);
	return clients[id - 1];
}

const char *sim_client_name(unsigned id)
{
	const struct sim_client *client = sim_client_get(id);

	return client->name[0] ? client->name : NULL;
}

unsigned sim_client_port(unsigned id)
{
	return sim_client_get(id)->pool->port;
}

bool sim_client_has_cancelled(unsigned id)
{
	return sim_client_get(id)->cancels > 0;
}

void sim_client_executes(unsigned id, unsigned seq, bool again)
{
	struct sim_client *client = clients[sim_client_get(id)->id - 1];

	SIM_CHECK(seq > client->last_executed || (again && seq == client->last_executed),
		"C%u.%u runs after C%u.%u", id, seq, id, client->last_executed);
	SIM_CHECK(seq < client->next_seq, "C%u.%u was never sent", id, seq);
	client->last_executed = seq;
}

void sim_client_synced(unsigned id)
{
	struct sim_client *client = clients[sim_client_get(id)->id - 1];

	client->last_synced = client->last_executed;
}

void sim_client_bereft(unsigned id)
{
	if (id > 0)
		clients[sim_client_get(id)->id - 1]->is_bereft = true;
}

/* ---- life ---- */

bool sim_client_is_gone(const struct sim_client *client)
{
	return client->phase == PHASE_GONE;
}

static void client_gone(struct sim_client *client, bool by_reset, const char *why)
{
	sim_trace("C%u: gone%s: %s", client->id, by_reset ? " by reset" : "", why);
	if (client->conn && by_reset)
		sim_conn_reset(client->conn);
	else if (client->conn)
		sim_conn_close(client->conn);
	client->conn = NULL;
	sim_bytes_free(&client->in);
	sim_bytes_free(&client->out);
	client->phase = PHASE_GONE;
	alive_count--;
}

static void client_moved(struct sim_client *client)
{
	client->moved_ns = sim_elapsed_ns();
}

static void client_dial(struct sim_client *client)
{
	static const uint8_t ssl_request[] = {0, 0, 0, 8, 4, 210, 22, 47};

	if (listener < 0) {
		client_gone(client, false, "refused");
		return;
	}
	client->conn = sim_net_dial(listener);
	client->still_ns = sim_now_ns() - sim_elapsed_ns();
	client_moved(client);
	if (!client->conn) {
		client->start_ns = sim_now_ns() + 10 * NS_PER_MS;
		return;
	}
	if (client->is_canceller) {
		client->phase = PHASE_CANCEL;
	} else if (sim_percent(15)) {
		sim_bytes_add(&client->out, ssl_request, sizeof ssl_request);
		client->phase = PHASE_SSL;
	} else {
		sim_script_startup(client);
		client->phase = PHASE_LOGIN;
	}
}

/* ---- bytes ---- */

static bool client_wants_unit(const struct sim_client *client)
{
	return client->phase == PHASE_READY && client->units_left > 0 &&
		client->units_open < client->depth && !client->holds && !client->babbles &&
		client->out.len < CLIENT_OUT_ENOUGH && client->think_ns <= sim_now_ns();
}

/* A client that listens stays until it has heard what was notified so far. */
static bool client_is_through(const struct sim_client *client)
{
	return client->phase == PHASE_READY && client->units_left == 0 && client->units_open == 0 &&
		client->out.len == 0 && !client->babbles &&
		(client->status != 'I' || !sim_notify_owes(client->id));
}

static void client_write(struct sim_client *client)
{
	size_t len = sim_conn_writable(client->conn);

	if (len > client->out.len)
		len = client->out.len;
	if (len == 0)
		return;
	len = sim_portion(len, FAULT_CLIENT_DRIBBLES);
	sim_conn_write(client->conn, sim_bytes_at(&client->out), len);
	sim_bytes_take(&client->out, len);
	client_moved(client);
}

static void client_read(struct sim_client *client)
{
	uint8_t bytes[16 * 1024];
	size_t len = sim_conn_readable(client->conn), all = len;

	if (len == 0)
		return;
	len = sim_portion(len < sizeof bytes ? len : sizeof bytes, FAULT_CLIENT_SLOW_READER);
	if (len < 100 && len < all)
		client->is_slow = true;
	sim_conn_read(client->conn, bytes, len);
	sim_bytes_add(&client->in, bytes, len);
	client_moved(client);
}

static void client_messages(struct sim_client *client)
{
	while (client->phase == PHASE_SSL && client->in.len > 0) {
		client->phase = PHASE_LOGIN;
		if (sim_bytes_at(&client->in)[0] == 'E') /* an error is a valid answer, too */
			break;
		SIM_CHECK(sim_bytes_at(&client->in)[0] == 'N', "C%u: no N to its SSLRequest",
			client->id);
		sim_bytes_take(&client->in, 1);
		sim_script_startup(client);
	}
	while (client->in.len >= FRAME_HEAD) {
		const uint8_t *at = sim_bytes_at(&client->in);
		size_t len = (size_t)frame_u32(at + 1) + 1;

		SIM_CHECK(len >= FRAME_HEAD && len < 64 * 1024 * 1024,
			"C%u: a message of %zu bytes", client->id, len);
		if (client->in.len < len)
			return;
		if (client->phase != PHASE_LEAVING)
			sim_verdict_message(client, (char)at[0], at + FRAME_HEAD, len - FRAME_HEAD);
		sim_bytes_take(&client->in, len);
	}
}

/* Cancels come from elsewhere, at any moment. */
static void client_asks_cancel(struct sim_client *client)
{
	uint8_t key[32];

	if (client->units_open > 0 && client->pid && sim_fault(FAULT_CLIENT_CANCELS)) {
		client->cancels++;
		sim_trace("C%u: asks to cancel", client->id);
		client_cancel((unsigned)(client->pool - pools), client->pid, client->key,
			client->key_len);
	}
	if (client->pid && sim_fault(FAULT_CLIENT_GUESSES)) {
		for (size_t i = 0; i < sizeof key; i++)
			key[i] = (uint8_t)sim_below(256);
		client_cancel((unsigned)(client->pool - pools),
			client->pid + (unsigned)sim_below(3), key, sim_percent(50) ? 4 : 32);
	}
}

/* A disaster; returns whether the client is gone. */
static bool client_suffers(struct sim_client *client)
{
	if (sim_fault(FAULT_CLIENT_RESETS)) {
		client_gone(client, true, "a reset");
		return true;
	}
	if (sim_fault(FAULT_CLIENT_ENDS)) {
		client_gone(client, false, "an end");
		return true;
	}
	if (client->out.len > 0 && sim_fault(FAULT_CLIENT_TEARS)) {
		client_write(client);
		client_gone(client, sim_percent(50), "in the middle of a message");
		return true;
	}
	if (client->phase == PHASE_READY && sim_fault(FAULT_CLIENT_LEAVES)) {
		sim_bytes_message(&client->out, 'X');
		client->phase = PHASE_LEAVING;
		client->units_left = 0;
	}
	if (sim_fault(FAULT_CLIENT_STALLS)) {
		client->stall_ns = sim_now_ns() + sim_between(100, 8000) * NS_PER_MS;
		client->is_slow = true;
	}
	if (client->phase == PHASE_READY && !client->babbles && sim_fault(FAULT_CLIENT_BABBLES))
		sim_script_babble(client);
	client_asks_cancel(client);
	return false;
}

bool sim_client_is_ready(const struct sim_client *client)
{
	if (client->phase == PHASE_GONE || client->stall_ns > sim_now_ns())
		return false;
	if (client->phase == PHASE_BEFORE)
		return client->start_ns <= sim_now_ns();
	return sim_conn_readable(client->conn) > 0 || sim_conn_is_ended(client->conn) ||
		(client->out.len > 0 && sim_conn_writable(client->conn) > 0) ||
		client_wants_unit(client) || client_is_through(client) ||
		(client->phase == PHASE_LEAVING && client->out.len == 0);
}

uint64_t sim_client_due_ns(const struct sim_client *client)
{
	uint64_t now_ns = sim_now_ns();

	if (client->phase == PHASE_GONE)
		return UINT64_MAX;
	if (client->phase == PHASE_BEFORE)
		return client->start_ns;
	if (client->stall_ns > now_ns)
		return client->stall_ns;
	return client->think_ns > now_ns ? client->think_ns : UINT64_MAX;
}

static void client_leave(struct sim_client *client)
{
	if (client->phase == PHASE_READY && sim_percent(80)) {
		sim_bytes_message(&client->out, 'X');
		client->phase = PHASE_LEAVING;
	} else {
		client_gone(client, false, "it is through");
	}
}

void sim_client_step(struct sim_client *client)
{
	if (client->phase == PHASE_BEFORE) {
		client_dial(client);
		return;
	}
	if (client_suffers(client) || client->stall_ns > sim_now_ns())
		return;
	if (client_wants_unit(client) && sim_percent(60)) {
		client->units_left--;
		sim_script_unit(client);
		if (!client->is_strict && sim_percent(client->listens ? 50 : 20))
			client->think_ns = sim_now_ns() +
				sim_between(1, sim_percent(90) ? 20 : 3000) * NS_PER_MS;
	}
	client_write(client);
	client_read(client);
	client_messages(client);
	if (sim_conn_is_ended(client->conn)) {
		sim_verdict_ended(client);
		client_gone(client, false, "pgring has closed");
	} else if (client_is_through(client) ||
		(client->phase == PHASE_LEAVING && client->out.len == 0)) {
		client_leave(client);
	}
}

void sim_client_check_waiting(void)
{
	for (unsigned i = 0; i < client_count; i++) {
		const struct sim_client *client = clients[i];

		if (client->phase == PHASE_GONE || client->phase == PHASE_BEFORE)
			continue;
		if (client->stall_ns > sim_now_ns() || client->think_ns > sim_now_ns())
			clients[i]->moved_ns = sim_elapsed_ns();
		if (sim_elapsed_ns() - client->moved_ns > CLIENT_PATIENCE_S * NS_PER_S)
			sim_fail("C%u waits without end, in phase %d, with %u units open, step %d "
				 "of C%u.%u, %zu bytes to send, "
				 "%zu to read",
				client->id, client->phase, client->units_open,
				client->step_count > 0 ? (int)client->steps[client->step_begin].kind
						       : -1,
				client->id,
				client->step_count > 0
					? client->steps[client->step_begin].statement.seq
					: 0,
				client->out.len, sim_conn_readable(client->conn));
	}
}
