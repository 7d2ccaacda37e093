/* Connections of simulated servers: login, bytes in and out, cancel requests, and how servers die. */
#include "test/sim/sim_server.h"

#include "core/clock.h"
#include "core/rand.h"
#include "protocol/auth_request.h"
#include "protocol/frame.h"
#include "protocol/password_message.h"
#include "protocol/startup.h"
#include "protocol/writer.h"
#include "test/sim/sim.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_session.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static struct list sessions = {&sessions, &sessions};
static unsigned session_count, next_pid;

/* How a server lets one in. */
enum server_auth_kind { SERVER_TRUST, SERVER_CLEARTEXT, SERVER_SCRAM };

enum { SERVER_ITERATIONS = 16 };

static struct server_gate {
	enum server_auth_kind auth;
	struct scram_keys keys;
} gates[SIM_SERVERS];

void sim_server_begin(void)
{
	next_pid = 1;
	sim_notify_begin();
	for (int i = 0; i < SIM_SERVERS; i++) {
		uint8_t salt[SECRET_SALT_BYTES];

		gates[i].auth = sim_percent(50) ? SERVER_TRUST
			: sim_percent(50)       ? SERVER_CLEARTEXT
						: SERVER_SCRAM;
		rand_secure(salt, sizeof salt);
		CHECK(secret_derive_scram(SIM_SERVER_PASSWORD, strlen(SIM_SERVER_PASSWORD), salt,
			      sizeof salt, SERVER_ITERATIONS, &gates[i].keys) == 0);
	}
}

void sim_server_end(void)
{
	SIM_CHECK(session_count == 0, "%u connections to servers are left", session_count);
	sim_notify_end();
}

static unsigned server_port(const struct address *address)
{
	unsigned port;

	if (address_is_unix(address)) {
		const char *dot = strrchr(address->local.sun_path, '.');

		CHECK(dot);
		port = (unsigned)strtoul(dot + 1, NULL, 10);
	} else {
		port = address_port(address);
	}
	return port;
}

bool sim_server_connected(const struct address *address, struct sim_conn *conn)
{
	struct sim_session *session;
	unsigned port = server_port(address);

	SIM_CHECK(port >= SIM_FIRST_PORT && port < SIM_FIRST_PORT + SIM_SERVERS,
		"a connect to port %u", port);
	session = calloc(1, sizeof *session);
	CHECK(session);
	list_init(&session->link);
	list_push_back(&sessions, &session->link);
	session_count++;
	session->conn = conn;
	session->port = port;
	session->pid = next_pid++;
	session->key = (unsigned)sim_below(UINT32_MAX);
	session->status = 'I';
	sim_trace("session %u: fd %d to server %u", session->pid, conn->socket->fd, port);
	return true;
}

unsigned sim_server_sessions(void)
{
	return session_count;
}

struct sim_session *sim_server_session(unsigned i)
{
	list_each(link, &sessions)
		if (i-- == 0)
			return container_of(link, struct sim_session, link);
	UNREACHABLE();
}

enum server_ending { SERVER_BY_ITSELF, SERVER_BY_RESET, SERVER_BY_POOLER };

static void server_end(struct sim_session *session, enum server_ending how, const char *why)
{
	bool by_reset = how == SERVER_BY_RESET;

	sim_trace("session %u: ends%s: %s", session->pid, by_reset ? " by reset" : "", why);
	sim_client_bereft(session->batch_owner);
	if (by_reset)
		sim_conn_reset(session->conn);
	else
		sim_conn_close(session->conn);
	sim_bytes_free(&session->in);
	sim_bytes_free(&session->out);
	sim_bytes_free(&session->query);
	free(session->block);
	sim_notify_ended(session, how != SERVER_BY_POOLER || session->is_closing);
	list_remove(&session->link);
	session_count--;
	free(session);
}

/* ---- login ---- */

static void server_greet(struct sim_session *session)
{
	struct sim_bytes *out = &session->out;

	sim_bytes_begin(out, 'R');
	sim_bytes_add_u32(out, 0);
	sim_bytes_end(out);
	sim_session_parameter(session, "server_version", "17.0");
	sim_session_parameter(session, "client_encoding", "UTF8");
	sim_session_parameter(session, "server_encoding", "UTF8");
	sim_session_parameter(session, "application_name", "");
	sim_bytes_begin(out, 'K');
	sim_bytes_add_u32(out, session->pid);
	sim_bytes_add_u32(out, session->key);
	sim_bytes_end(out);
	sim_bytes_begin(out, 'Z');
	sim_bytes_add(out, "I", 1);
	sim_bytes_end(out);
	session->state = SESSION_READY;
}

static const struct server_gate *server_gate(const struct sim_session *session)
{
	return &gates[session->port - SIM_FIRST_PORT];
}

static void server_send(struct sim_session *session, const struct writer *writer)
{
	CHECK(writer_len(writer) > 0);
	sim_bytes_add(&session->out, writer->start, writer_len(writer));
}

static void server_ask(struct sim_session *session)
{
	static const char *const mechanisms[] = {"SCRAM-SHA-256"};
	uint8_t message[64];
	struct writer writer;

	writer_init(&writer, message, sizeof message);
	switch (server_gate(session)->auth) {
	case SERVER_TRUST:
		server_greet(session);
		return;
	case SERVER_CLEARTEXT:
		auth_request_write_cleartext(&writer);
		session->state = SESSION_PASSWORD;
		break;
	case SERVER_SCRAM:
		auth_request_write_sasl(&writer, mechanisms, 1);
		scram_server_init(&session->scram);
		session->state = SESSION_SASL_FIRST;
		break;
	}
	server_send(session, &writer);
}

static void server_startup(struct sim_session *session, const uint8_t *body, size_t len)
{
	struct startup startup;
	struct startup_refusal refusal;

	SIM_CHECK(startup_parse(body, len, &startup, &refusal) == 0,
		"a malformed startup packet to a server");
	if (startup.kind == STARTUP_CANCEL) {
		list_each(link, &sessions) {
			struct sim_session *other = container_of(link, struct sim_session, link);

			if (other->pid == startup.pid && startup.key_len == 4 &&
				frame_u32(startup.key) == other->key)
				sim_session_cancel(other);
		}
		session->is_closing = true;
		return;
	}
	SIM_CHECK(startup.kind == STARTUP_SESSION, "a server is asked for encryption");
	if (sim_fault(FAULT_SERVER_REFUSES)) {
		sim_session_error(session, "FATAL", "53300", "sorry, too many clients already");
		session->is_closing = true;
		return;
	}
	server_ask(session);
}

static void server_password(struct sim_session *session, const uint8_t *body, size_t len)
{
	SIM_CHECK(len == sizeof SIM_SERVER_PASSWORD && memcmp(body, SIM_SERVER_PASSWORD, len) == 0,
		"a wrong password at the server");
	server_greet(session);
}

static void server_sasl_first(struct sim_session *session, const uint8_t *body, size_t len)
{
	struct password_message_sasl initial;
	uint8_t raw[SCRAM_NONCE_RAW_BYTES], message[SCRAM_MESSAGE_MAX + 16];
	char nonce[SCRAM_NONCE_LEN + 1];
	struct scram_message reply;
	struct writer writer;

	rand_secure(raw, sizeof raw);
	scram_nonce_format(raw, nonce);
	SIM_CHECK(password_message_read_sasl_initial(body, len, &initial) == 0 && initial.data &&
			scram_server_first(&session->scram, initial.data, initial.data_len,
				&server_gate(session)->keys, nonce, &reply) == 0,
		"session %u: a bad beginning of SCRAM", session->pid);
	writer_init(&writer, message, sizeof message);
	auth_request_write_sasl_continue(&writer, reply.text, reply.len);
	server_send(session, &writer);
	session->state = SESSION_SASL_FINAL;
}

static void server_sasl_final(struct sim_session *session, const uint8_t *body, size_t len)
{
	uint8_t message[SCRAM_MESSAGE_MAX + 16];
	struct scram_message reply;
	struct writer writer;
	const uint8_t *data;
	size_t data_len;

	SIM_CHECK(password_message_read_sasl(body, len, &data, &data_len) == 0 &&
			scram_server_final(&session->scram, data, data_len,
				&server_gate(session)->keys, 1, &reply) == 0,
		"session %u: a bad proof of SCRAM", session->pid);
	writer_init(&writer, message, sizeof message);
	auth_request_write_sasl_final(&writer, reply.text, reply.len);
	server_send(session, &writer);
	sim_reached(REACH_SCRAM);
	server_greet(session);
}

/* ---- messages ---- */

/* Deals with the next message, if it is whole. Returns false if not. */
static bool server_message(struct sim_session *session)
{
	const uint8_t *at = sim_bytes_at(&session->in);
	size_t head = session->state == SESSION_STARTUP ? 4 : 5, len;

	if (session->in.len < head)
		return false;
	len = frame_u32(at + head - 4) + head - 4;
	SIM_CHECK(len >= head && len < 64 * 1024 * 1024, "session %u: a message of %zu bytes",
		session->pid, len);
	if (session->in.len < len)
		return false;
	SIM_CHECK(session->state == SESSION_STARTUP || session->state == SESSION_READY ||
			at[0] == 'p',
		"session %u: %c instead of a password", session->pid, at[0]);
	switch (session->state) {
	case SESSION_STARTUP:
		server_startup(session, at + 4, len - 4);
		break;
	case SESSION_PASSWORD:
		server_password(session, at + 5, len - 5);
		break;
	case SESSION_SASL_FIRST:
		server_sasl_first(session, at + 5, len - 5);
		break;
	case SESSION_SASL_FINAL:
		server_sasl_final(session, at + 5, len - 5);
		break;
	case SESSION_READY:
		sim_session_message(session, (char)at[0], at + 5, len - 5);
		break;
	}
	sim_bytes_take(&session->in, len);
	return true;
}

static bool server_has_message(const struct sim_session *session)
{
	const uint8_t *at = sim_bytes_at(&session->in);
	size_t head = session->state == SESSION_STARTUP ? 4 : 5;

	return session->in.len >= head && session->in.len >= frame_u32(at + head - 4) + head - 4;
}

/* ---- bytes ---- */

enum { SERVER_IN_ENOUGH = 16 * 1024, SERVER_OUT_ENOUGH = 32 * 1024 };

static bool server_may_read(const struct sim_session *session)
{
	return !sim_session_is_busy(session) && session->out.len < SERVER_OUT_ENOUGH &&
		!session->is_closing && !server_has_message(session);
}

static void server_read(struct sim_session *session)
{
	uint8_t bytes[SERVER_IN_ENOUGH];
	size_t len = sim_conn_readable(session->conn);

	if (len == 0 || !server_may_read(session))
		return;
	len = sim_portion(len < sizeof bytes ? len : sizeof bytes, FAULT_SERVER_SLOW_READER);
	sim_conn_read(session->conn, bytes, len);
	sim_bytes_add(&session->in, bytes, len);
}

static void server_write(struct sim_session *session)
{
	size_t len = sim_conn_writable(session->conn);

	if (len > session->out.len)
		len = session->out.len;
	if (len == 0)
		return;
	len = sim_portion(len, FAULT_SERVER_DRIBBLES);
	sim_conn_write(session->conn, sim_bytes_at(&session->out), len);
	sim_bytes_take(&session->out, len);
}

bool sim_server_is_ready(const struct sim_session *session)
{
	if (session->conn->actor_is_reset)
		return true;
	if (session->due_ns > sim_now_ns() || session->busy_until_ns > sim_now_ns())
		return false;
	if (session->out.len > 0 && sim_conn_writable(session->conn) > 0)
		return true;
	if (session->is_closing)
		return session->out.len == 0;
	if (session->out.len >= SERVER_OUT_ENOUGH)
		return false;
	return sim_session_is_busy(session) || server_has_message(session) ||
		sim_session_has_news(session) || sim_conn_readable(session->conn) > 0 ||
		sim_conn_is_ended(session->conn);
}

uint64_t sim_server_due_ns(const struct sim_session *session)
{
	uint64_t due_ns =
		session->due_ns > session->busy_until_ns ? session->due_ns : session->busy_until_ns;

	return due_ns > sim_now_ns() ? due_ns : UINT64_MAX;
}

/* A disaster; returns whether the session is gone. */
static bool server_suffers(struct sim_session *session)
{
	static const char *const nonsense[] = {"y\0\0\0\4", "D\0\0\0\1", "Z\0\0\0\11"};

	if (sim_fault(FAULT_SERVER_RESETS)) {
		server_end(session, SERVER_BY_RESET, "a reset");
		return true;
	}
	if (sim_fault(FAULT_SERVER_ENDS) ||
		(session->listening.is_herald && sim_fault(FAULT_HERALD_ENDS))) {
		server_end(session, SERVER_BY_ITSELF, "an end");
		return true;
	}
	if (sim_fault(FAULT_SERVER_STALLS))
		session->busy_until_ns = sim_now_ns() + sim_between(100, 6000) * NS_PER_MS;
	if (session->state == SESSION_READY && !session->is_closing &&
		sim_fault(FAULT_SERVER_FATAL)) {
		sim_session_error(session, "FATAL", "57P01",
			"terminating connection due to administrator command");
		sim_client_bereft(session->batch_owner);
		session->is_closing = true;
		session->busy_until_ns = 0;
	}
	if (!session->is_closing && sim_fault(FAULT_SERVER_BABBLES)) {
		sim_trace("session %u: babbles", session->pid);
		sim_bytes_add(&session->out, nonsense[sim_below(array_len(nonsense))], 5);
		sim_client_bereft(session->batch_owner);
		session->is_closing = true;
		session->busy_until_ns = 0;
	}
	return false;
}

void sim_server_step(struct sim_session *session)
{
	if (session->conn->actor_is_reset) {
		server_end(session, SERVER_BY_POOLER, "the pooler has reset it");
		return;
	}
	if (server_suffers(session) || session->busy_until_ns > sim_now_ns())
		return;
	if (sim_session_has_news(session) && !session->is_closing)
		sim_notify_tell(session);
	server_write(session);
	if (session->is_closing) {
		if (session->out.len == 0)
			server_end(session, SERVER_BY_ITSELF, "all said");
		return;
	}
	if (session->state == SESSION_STARTUP && session->due_ns == 0 &&
		sim_fault(FAULT_CANCEL_DELAYED)) {
		session->due_ns = sim_now_ns() + sim_between(1, 800) * NS_PER_MS;
		return;
	}
	server_read(session);
	if (sim_session_is_busy(session))
		sim_session_go_on(session);
	else if (session->out.len < SERVER_OUT_ENOUGH && !server_message(session) &&
		sim_conn_is_ended(session->conn))
		server_end(session, SERVER_BY_POOLER, "the pooler has closed it");
}

void sim_server_check_idle(void)
{
	list_each(link, &sessions) {
		struct sim_session *session = container_of(link, struct sim_session, link);

		if (!sim_pooler_uses(session->pid))
			continue; /* it is being connected, or has just been closed */
		SIM_CHECK(session->state == SESSION_READY && !sim_session_is_busy(session) &&
				session->in.len == 0 && session->out.len == 0,
			"session %u is busy although all clients are gone", session->pid);
		SIM_CHECK(session->status == 'I' && session->owner == 0,
			"session %u is left in a transaction of C%u", session->pid, session->owner);
		SIM_CHECK(session->batch_owner == 0 && !session->is_skipping &&
				!session->is_copying_in,
			"session %u is left out of step", session->pid);
		SIM_CHECK(session->dirty_owner == 0, "session %u is left with what C%u left",
			session->pid, session->dirty_owner);
		SIM_CHECK(session->listening.now == 0 && !session->listening.is_herald,
			"session %u is left listening", session->pid);
	}
}
