/* The login to a server: startup packet, password in whatever form it asks for, its parameters, ReadyForQuery.
 *
 * Source: PostgreSQL manual, "Message Flow", section "Start-up". Keys of SCRAM are derived on a job thread and kept by the pool
 * for the next login.
 */
#include "pool/server.h"

#include "core/errors.h"
#include "core/memory.h"
#include "pool/pool.h"
#include "protocol/auth_request.h"
#include "protocol/frame.h"
#include "protocol/greeting.h"
#include "protocol/password_message.h"
#include "protocol/scram.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGIN_MESSAGE_MAX = 32 * 1024 };

struct server_login {
	struct chain in; /* received, not yet read */
	struct core *core;
	struct scram_client scram;
	bool is_sasl;  /* the exchange of `scram` has begun */
	bool is_ok;    /* AuthenticationOk has come */
	bool is_ready; /* ReadyForQuery, too; what came behind it is still to be read */
	bool is_deriving;
};

/* Names its server by slot and generation: that may be gone when the job is done. */
struct login_job {
	struct job job;
	uint32_t slot, generation;
	size_t password;
	char *text;
	uint8_t salt[SECRET_SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
	struct scram_keys keys;
	int error;
};

static void login_read(struct core *core, struct server *server);

static void login_fail(
	struct core *core, struct server *server, const char *sqlstate, const char *text)
{
	struct fault fault = {"FATAL", sqlstate, text, NULL, NULL};

	server_login_failed(core, server, &fault);
}

static size_t login_options(const struct config_pool *config, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	if (config->statement_timeout_ms > 0 && config->statement_timeout_ms != CONFIG_UNLIMITED)
		len += (size_t)snprintf(text + len, size - len, "-c statement_timeout=%lld ",
			(long long)config->statement_timeout_ms);
	if (config->lock_timeout_ms > 0 && config->lock_timeout_ms != CONFIG_UNLIMITED)
		len += (size_t)snprintf(text + len, size - len, "-c lock_timeout=%lld ",
			(long long)config->lock_timeout_ms);
	if (config->read_only)
		len += (size_t)snprintf(
			text + len, size - len, "-c default_transaction_read_only=on ");
	return len;
}

void server_login_start(struct core *core, struct server *server)
{
	const struct config_pool *config = server->pool->config;
	char options[256];
	struct startup_parameter parameters[3] = {
		{"user", config->server_user},
		{"database", config->server_database},
		{"options", options},
	};
	uint8_t packet[1024];
	struct writer writer;

	server->login = calloc(1, sizeof *server->login);
	CHECK(server->login);
	server->login->core = core;
	writer_init(&writer, packet, sizeof packet);
	startup_write_session(
		&writer, 0, parameters, login_options(config, options, sizeof options) > 0 ? 3 : 2);
	if (writer_len(&writer) == 0) {
		login_fail(core, server, SQLSTATE_CONFIG_FILE_ERROR,
			"the server's user or database name is too long");
		return;
	}
	stream_send(core, server->stream, packet, writer_len(&writer));
}

void server_login_end(struct server *server)
{
	if (!server->login)
		return;
	chain_clear(server->login->core, &server->login->in);
	memory_wipe(server->login, sizeof *server->login);
	free(server->login);
	server->login = NULL;
}

static void login_send(struct core *core, struct server *server, const struct writer *writer)
{
	CHECK(writer_len(writer) > 0);
	stream_send(core, server->stream, writer->start, writer_len(writer));
}

/* The password to log in with, or NULL after having failed. */
static const char *login_password(struct core *core, struct server *server)
{
	const struct config_pool *config = server->pool->config;
	char text[200];

	if (server->password < config->server_password_count)
		return config->server_passwords[server->password];
	snprintf(text, sizeof text,
		"server %s:%u wants a password for user \"%.64s\", and the configuration has none "
		"in plain text",
		config->host, config->port, config->server_user);
	login_fail(core, server, SQLSTATE_INVALID_PASSWORD, text);
	return NULL;
}

static void login_answer_plain(
	struct core *core, struct server *server, const struct auth_request *request)
{
	const char *password = login_password(core, server);
	size_t size = password ? strlen(password) + 16 + SECRET_MD5_LEN : 0;
	uint8_t *packet = password ? malloc(size) : NULL;
	struct writer writer;

	if (!packet)
		return;
	writer_init(&writer, packet, size);
	if (request->kind == AUTH_REQUEST_MD5) {
		struct secret secret;
		char response[SECRET_MD5_LEN + 1];

		if (secret_parse(password, strlen(password), &secret) != 0 ||
			secret_md5_response(&secret, server->pool->config->server_user,
				request->salt, response) != 0) {
			free(packet);
			login_fail(core, server, SQLSTATE_INVALID_PASSWORD,
				"the server wants an MD5 password, and the configured secret "
				"cannot give one");
			return;
		}
		password_message_write(&writer, response);
	} else {
		password_message_write(&writer, password);
	}
	login_send(core, server, &writer);
	memory_wipe(packet, size);
	free(packet);
}

static void login_answer_sasl(
	struct core *core, struct server *server, const struct auth_request *request)
{
	uint8_t raw[SCRAM_NONCE_RAW_BYTES], packet[SCRAM_MESSAGE_MAX + 64];
	char nonce[SCRAM_NONCE_LEN + 1];
	struct scram_message message;
	struct writer writer;

	if (!request->offers_scram) {
		login_fail(core, server, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"the server offers no authentication method that pgring knows");
		return;
	}
	if (!login_password(core, server))
		return;
	rand_secure(raw, sizeof raw);
	scram_nonce_format(raw, nonce);
	scram_client_first(&server->login->scram, nonce, &message);
	server->login->is_sasl = true;
	writer_init(&writer, packet, sizeof packet);
	password_message_write_sasl_initial(&writer, "SCRAM-SHA-256", message.text, message.len);
	login_send(core, server, &writer);
}

/* ---- key derivation ---- */

static void login_derive(struct job *job)
{
	struct login_job *login = container_of(job, struct login_job, job);

	login->error = secret_derive_scram(login->text, strlen(login->text), login->salt,
		login->salt_len, login->iterations, &login->keys);
}

static void login_prove(struct core *core, struct server *server, const struct scram_keys *keys)
{
	uint8_t packet[SCRAM_MESSAGE_MAX + 64];
	struct scram_message message;
	struct writer writer;

	if (scram_client_final(&server->login->scram, keys, &message) != 0) {
		login_fail(core, server, SQLSTATE_INTERNAL_ERROR,
			"the SCRAM keys do not fit the challenge");
		return;
	}
	writer_init(&writer, packet, sizeof packet);
	password_message_write_sasl(&writer, message.text, message.len);
	login_send(core, server, &writer);
}

static void login_derived(struct core *core, struct job *job)
{
	struct login_job *login = container_of(job, struct login_job, job);
	struct server *server = slab_get(&core->pools->servers, login->slot, login->generation);

	if (server && server->state == SERVER_LOGIN) {
		server->login->is_deriving = false;
		if (login->error) {
			login_fail(
				core, server, SQLSTATE_INVALID_PASSWORD, error_text(login->error));
		} else {
			if (!server->retires) { /* else the password may be another one by now */
				server->pool->scram_keys = login->keys;
				server->pool->scram_password = login->password;
			}
			login_prove(core, server, &login->keys);
			if (server->state == SERVER_LOGIN)
				login_read(core, server);
		}
	}
	memory_wipe(login->text, strlen(login->text));
	free(login->text);
	memory_wipe(login, sizeof *login);
	free(login);
}

static void login_start_derivation(struct core *core, struct server *server, const char *password)
{
	struct scram_client *scram = &server->login->scram;
	struct login_job *login = calloc(1, sizeof *login);

	CHECK(login);
	login->job = (struct job){.run = login_derive, .done = login_derived};
	login->slot = slab_index(server);
	login->generation = slab_generation(server);
	login->password = server->password;
	login->text = memory_copy_text(password, strlen(password));
	CHECK(login->text);
	memcpy(login->salt, scram->salt, scram->salt_len);
	login->salt_len = scram->salt_len;
	login->iterations = scram->iterations;
	server->login->is_deriving = true;
	if (jobs_submit(core, &login->job) != 0) {
		free(login->text);
		free(login);
		login_fail(
			core, server, SQLSTATE_INSUFFICIENT_RESOURCES, "too many logins at once");
	}
}

static void login_challenged(
	struct core *core, struct server *server, const struct auth_request *request)
{
	struct scram_client *scram = &server->login->scram;
	const struct scram_keys *known = &server->pool->scram_keys;
	const char *password;

	if (scram_client_continue(scram, request->data, request->data_len) != 0) {
		login_fail(core, server, scram->fault.sqlstate, scram->fault.message);
		return;
	}
	password = login_password(core, server);
	if (!password)
		return;
	if (known->has_client_key && server->pool->scram_password == server->password &&
		known->iterations == scram->iterations && known->salt_len == scram->salt_len &&
		memcmp(known->salt, scram->salt, scram->salt_len) == 0)
		login_prove(core, server, known);
	else
		login_start_derivation(core, server, password);
}

/* ---- messages ---- */

/* Whether the server may ask for this now. Who has begun a SASL exchange ends it, so that it has proved itself, too. */
static bool login_is_in_order(const struct server_login *login, enum auth_request_kind kind)
{
	if (login->is_ok)
		return false;
	switch (kind) {
	case AUTH_REQUEST_SASL_CONTINUE:
		return login->is_sasl && login->scram.state == SCRAM_START;
	case AUTH_REQUEST_SASL_FINAL:
		return login->is_sasl && login->scram.state == SCRAM_PROVEN;
	case AUTH_REQUEST_OK:
		return !login->is_sasl || login->scram.state == SCRAM_DONE;
	case AUTH_REQUEST_KERBEROS:
	case AUTH_REQUEST_CLEARTEXT:
	case AUTH_REQUEST_MD5:
	case AUTH_REQUEST_GSS:
	case AUTH_REQUEST_GSS_CONTINUE:
	case AUTH_REQUEST_SSPI:
	case AUTH_REQUEST_SASL:
		break;
	}
	return !login->is_sasl;
}

static void login_authenticate(
	struct core *core, struct server *server, const uint8_t *body, size_t len)
{
	struct auth_request request;

	if (auth_request_parse(body, len, &request) != 0) {
		login_fail(core, server, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"the server asks for an authentication method that pgring does not know");
		return;
	}
	if (!login_is_in_order(server->login, request.kind)) {
		login_fail(core, server, SQLSTATE_CONNECTION_FAILURE,
			"the server sent an authentication request out of order");
		return;
	}
	switch (request.kind) {
	case AUTH_REQUEST_OK:
		server->login->is_ok = true;
		return;
	case AUTH_REQUEST_CLEARTEXT:
	case AUTH_REQUEST_MD5:
		login_answer_plain(core, server, &request);
		return;
	case AUTH_REQUEST_SASL:
		login_answer_sasl(core, server, &request);
		return;
	case AUTH_REQUEST_SASL_CONTINUE:
		login_challenged(core, server, &request);
		return;
	case AUTH_REQUEST_SASL_FINAL:
		if (scram_client_verify(&server->login->scram, request.data, request.data_len) != 0)
			login_fail(core, server, SQLSTATE_INVALID_PASSWORD,
				server->login->scram.fault.message);
		return;
	case AUTH_REQUEST_KERBEROS:
	case AUTH_REQUEST_GSS:
	case AUTH_REQUEST_GSS_CONTINUE:
	case AUTH_REQUEST_SSPI:
		break;
	}
	login_fail(core, server, SQLSTATE_FEATURE_NOT_SUPPORTED,
		"the server asks for Kerberos, GSSAPI or SSPI, which pgring does not do");
}

static void login_error(struct core *core, struct server *server, const uint8_t *body, size_t len)
{
	struct fault_fields fields;
	char text[320];
	struct fault fault = {"FATAL", SQLSTATE_CONNECTION_FAILURE, text, NULL, NULL};

	if (fault_read(body, len, &fields) != 0) {
		login_fail(core, server, SQLSTATE_CONNECTION_FAILURE,
			"the server sent a malformed error");
		return;
	}
	snprintf(text, sizeof text, "server login failed: %s", fields.message);
	fault.sqlstate = fields.sqlstate;
	fault.detail = fields.detail;
	fault.hint = fields.hint;
	server_login_failed(core, server, &fault);
}

static void login_message(
	struct core *core, struct server *server, uint8_t type, const uint8_t *body, size_t len)
{
	const char *name, *value;
	struct greeting_key key;

	switch (type) {
	case SERVER_AUTHENTICATION:
		login_authenticate(core, server, body, len);
		return;
	case SERVER_ERROR:
		login_error(core, server, body, len);
		return;
	case SERVER_PARAMETER_STATUS:
		if (greeting_read_parameter(body, len, &name, &value) == 0) {
			params_set(&server->params, name, value);
			return;
		}
		break;
	case SERVER_BACKEND_KEY_DATA:
		if (greeting_read_key(body, len, &key) == 0) {
			server->pid = key.pid;
			server->key_len = (uint16_t)key.key_len;
			memcpy(server->key, key.key, key.key_len);
			return;
		}
		break;
	case SERVER_NOTICE:
	case SERVER_NEGOTIATE_PROTOCOL_VERSION:
		return;
	case SERVER_READY_FOR_QUERY:
		if (server->login->is_ok && !server->login->is_ready) {
			server->login->is_ready = true;
			return;
		}
		break;
	}
	login_fail(core, server, SQLSTATE_CONNECTION_FAILURE,
		"the server does not speak PostgreSQL's protocol");
}

static void login_read(struct core *core, struct server *server)
{
	uint8_t head[FRAME_HEAD];

	while (server->state == SERVER_LOGIN && !server->login->is_deriving) {
		struct chain *in = &server->login->in;
		struct frame frame;
		uint8_t *message;

		if (in->bytes == 0 && server->login->is_ready) {
			server_login_done(core, server);
			return;
		}
		if (chain_peek(in, head, sizeof head) < sizeof head)
			return;
		if (frame_read(frame_from_server, head, sizeof head, &frame) != FRAME_DONE ||
			frame.bytes > LOGIN_MESSAGE_MAX) {
			login_fail(core, server, SQLSTATE_CONNECTION_FAILURE,
				"the server does not speak PostgreSQL's protocol");
			return;
		}
		if (in->bytes < frame.bytes)
			return;
		message = malloc(frame.bytes);
		CHECK(message);
		chain_peek(in, message, frame.bytes);
		chain_pop(core, in, frame.bytes);
		login_message(
			core, server, frame.type, message + FRAME_HEAD, frame.bytes - FRAME_HEAD);
		free(message);
	}
}

void server_login_data(
	struct core *core, struct server *server, const struct span *spans, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		chain_copy(core, &server->login->in, spans[i].bytes, spans[i].len);
	login_read(core, server);
}
