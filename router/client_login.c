/* Letting a client in: its first packet, its password, a try of its settings, the greeting.
 *
 * Nothing is allocated by what a client says about lengths: the first packet has PostgreSQL's bound of 10 000 bytes, passwords
 * theirs, and bytes are only taken when they have come. A user that does not exist meets the same exchange as one whose password
 * is wrong. Source: PostgreSQL manual, "Message Flow", section "Start-up".
 */
#include "router/client.h"

#include "core/clock.h"
#include "core/errors.h"
#include "core/jobs.h"
#include "core/memory.h"
#include "core/snapshot.h"
#include "protocol/auth_request.h"
#include "protocol/frame.h"
#include "protocol/greeting.h"
#include "protocol/password_message.h"
#include "protocol/scram.h"
#include "protocol/sqlstate.h"
#include "protocol/startup.h"
#include "protocol/writer.h"
#include "router/cancel.h"
#include "router/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum login_step { LOGIN_PLAIN, LOGIN_MD5, LOGIN_SASL_FIRST, LOGIN_SASL_FINAL };

struct client_login {
	uint8_t *packet; /* the body of the start-up packet; `startup` points into it */
	struct startup startup;
	struct scram_server *scram; /* once the client has begun to prove itself: it is large */
	struct scram_keys mock;     /* of a user who does not exist */
	const struct scram_keys *keys;
	size_t key_count;
	struct keys_wait wait;
	struct client *client;
	struct core *core;
	const char *const *secrets; /* any of them will do */
	size_t secret_count;
	size_t user_index;         /* for the keys */
	struct snapshot *snapshot; /* what `secrets` point into */
	struct keys *key_table;
	uint8_t salt[SECRET_MD5_SALT_BYTES];
	uint8_t step;  /* enum login_step */
	bool is_known; /* the user exists */
	bool is_console;
	bool only_looks;              /* at the console */
	bool has_asked_encryption[2]; /* SSL, GSSAPI: once each */
	bool has_packet;
	bool is_wrong; /* the password */
};

/* A password in plain text against a SCRAM hash is slow. */
struct login_check {
	struct job job;
	uint32_t slot, generation;
	char *password, *user;
	char **secrets;
	size_t secret_count;
	bool is_good;
};

static void login_next(struct core *core, struct client *client);
static void login_throttle(struct core *core, struct client *client);

static struct client_login *login_of(struct core *core, struct client *client)
{
	if (!client->login) {
		client->login = calloc(1, sizeof *client->login);
		CHECK(client->login);
		client->login->client = client;
		client->login->core = core;
		list_init(&client->login->wait.link);
	}
	return client->login;
}

void client_login_end(struct core *core, struct client *client)
{
	struct client_login *login = client->login;

	if (!login)
		return;
	list_remove(&login->wait.link);
	keys_drop(login->key_table);
	snapshot_drop(core, login->snapshot);
	free(login->packet);
	if (login->scram)
		memory_wipe(login->scram, sizeof *login->scram);
	free(login->scram);
	memory_wipe(login, sizeof *login);
	free(login);
	client->login = NULL;
}

static void login_send(struct core *core, struct client *client, struct writer *writer)
{
	CHECK(writer_len(writer) > 0);
	stream_send(core, client->stream, writer->start, writer_len(writer));
}

void client_login_timeout(struct core *core, struct client *client)
{
	struct fault fault = {
		"FATAL", SQLSTATE_IDLE_SESSION_TIMEOUT, "client login timeout", NULL, NULL};
	char detail[96];

	if (client->state == CLIENT_SETTLING && client->lease.state == LEASE_WAITING) {
		/* it has done all that is its part: PAUSE and checkout_timeout say how long it waits */
		core_timer_set(core, &client->timer,
			core->router->config->general.client_login_timeout_ms);
		return;
	}
	core_count(core, METRIC_login_failures);
	snprintf(detail, sizeof detail, "client_login_timeout of %lldms expired",
		(long long)core->router->config->general.client_login_timeout_ms);
	fault.detail = detail;
	if (client->login && client->login->has_packet)
		client_fatal(core, client, &fault);
	else
		client_drop(
			core, client, fault.message); /* it has not even said that it is a client */
}

void client_login_refused(struct core *core, struct client *client, const char *reason)
{
	const struct client_login *login = client->login;
	char peer[ADDRESS_TEXT];

	if (login->is_wrong)
		log_info(core, "client [%s]: %s, database \"%.63s\"",
			address_text(client_peer(client), peer), reason, login->startup.database);
	else if (login->has_packet && core->router->config->general.log_connections)
		log_info(core, "client [%s]: %s, user \"%.63s\", database \"%.63s\"",
			address_text(client_peer(client), peer), reason, login->startup.user,
			login->startup.database);
}

/* The one answer to a wrong password and to an unknown user. */
static void login_refuse(struct core *core, struct client *client)
{
	char text[128];

	core_count(core, METRIC_login_failures);
	snprintf(text, sizeof text, "password authentication failed for user \"%.63s\"",
		client->login->startup.user);
	client->login->is_wrong = true;
	client_fatal_text(core, client, SQLSTATE_INVALID_PASSWORD, text);
}

/* ---- the first packet ---- */

static void login_answer_encryption(struct core *core, struct client *client, unsigned which)
{
	if (client->login->has_asked_encryption[which]) {
		client_violation(core, client, "encryption was asked for twice");
		return;
	}
	client->login->has_asked_encryption[which] = true;
	stream_send(core, client->stream, "N", 1);
}

/* Secrets of the user, from the pool it asks for or, to tell it only after its password that there is no such database, from
 * another one. */
static void login_find_user(struct core *core, struct client *client)
{
	const struct config *config = core->router->config;
	struct client_login *login = client->login;
	const char *user = login->startup.user, *database = login->startup.database;
	const struct config_pool *pool = config_find_pool(config, user, database);

	login->snapshot = snapshot_take(core);
	login->key_table = keys_hold(core->router->keys);
	if (strcmp(database, config->admin.name) == 0 && strcmp(user, config->admin.user) == 0) {
		login->is_console = login->is_known = true;
		login->secrets = &core->router->admin_password;
		login->secret_count = 1;
		login->user_index = config->user_count;
		return;
	}
	if (strcmp(database, config->admin.name) == 0 && config->admin.stats_password &&
		config->admin.stats_user && strcmp(user, config->admin.stats_user) == 0) {
		login->is_console = login->is_known = login->only_looks = true;
		login->secrets = &config->admin.stats_password;
		login->secret_count = 1;
		login->user_index = config->user_count + 1;
		return;
	}
	for (size_t i = 0; !pool && i < config->pool_count; i++)
		if (strcmp(config->pools[i].user, user) == 0)
			pool = &config->pools[i];
	if (!pool)
		return;
	login->is_known = true;
	login->secrets = pool->passwords;
	login->secret_count = pool->password_count;
	login->user_index = (size_t)(pool->user_entry - config->users);
	if (strcmp(pool->database, database) != 0)
		return;
	client->pool = core->pools->items[pool->index];
	client->pool->client_count++;
	lease_init(&client->lease, client->pool, client->stream, &client_lease_events);
}

static bool login_has_scram_secret(const struct client_login *login)
{
	for (size_t i = 0; i < login->secret_count; i++)
		if (strncmp(login->secrets[i], "SCRAM-SHA-256$", 14) == 0)
			return true;
	return false;
}

static void login_derived(struct core *core, struct keys_wait *wait)
{
	struct client_login *login = container_of(wait, struct client_login, wait);

	client_login_derived(core, login->client);
}

/* Asks for proof by SCRAM once the keys are known. */
static void login_ask_scram(struct core *core, struct client *client)
{
	static const char *const mechanisms[] = {"SCRAM-SHA-256"};
	struct client_login *login = client->login;
	const struct keys_of_user *keys = NULL;
	uint8_t message[64];
	struct writer writer;

	if (login->is_known) {
		login->wait.derived = login_derived;
		keys = keys_get(core, login->key_table, login->user_index, login->startup.user,
			login->secrets, login->secret_count, &login->wait);
		if (!keys) {
			if (client->state != CLIENT_DERIVING)
				client_enter(core, client, CLIENT_DERIVING);
			return;
		}
	}
	if (keys && keys->count > 0) {
		login->keys = keys->items;
		login->key_count = keys->count;
	} else {
		scram_mock_keys(core->world->secret, login->startup.user, SECRET_ITERATIONS_DEFAULT,
			&login->mock);
		login->keys = &login->mock;
		login->key_count = 1;
	}
	login->step = LOGIN_SASL_FIRST;
	writer_init(&writer, message, sizeof message);
	auth_request_write_sasl(&writer, mechanisms, 1);
	login_send(core, client, &writer);
	client_enter(core, client, CLIENT_AUTH);
}

void client_login_derived(struct core *core, struct client *client)
{
	login_ask_scram(core, client);
	login_next(core, client);
	login_throttle(core, client);
}

/* ---- a trial of the settings, and the greeting ---- */

/* Whether a parameter is a hint to a proxy, never for a server. */
static bool login_is_hint(const char *name)
{
	return strncmp(name, "pgdog.", 6) == 0 || strncmp(name, "pgring.", 7) == 0;
}

/* Whether it can be the name of a parameter at all. */
static bool login_is_name(const char *name)
{
	for (const char *at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("_.$", *at))
			return false;
	return *name != '\0';
}

/* Notes one setting. Returns false after having refused it. */
static bool login_want(struct core *core, struct client *client, struct params *wanted,
	const char *name, const char *value)
{
	char text[128];

	if (login_is_hint(name))
		return true;
	if (!login_is_name(name)) {
		snprintf(text, sizeof text, "unrecognized configuration parameter \"%.64s\"", name);
		client_fatal_text(core, client, SQLSTATE_UNDEFINED_OBJECT, text);
		return false;
	}
	params_set(wanted, name, value);
	return true;
}

/* Collects what the client wants set. Returns false after having refused it. */
static bool login_collect(struct core *core, struct client *client, struct params *ret_wanted)
{
	const struct startup *startup = &client->login->startup;
	struct startup_parameter parameter;
	struct startup_options options;
	struct startup_option option;
	size_t at = 0;
	char *words, text[160];
	int found;

	if (startup->options) {
		size_t size = strlen(startup->options) + 1;

		words = malloc(size);
		CHECK(words);
		startup_options_init(&options, startup->options, words, size);
		while ((found = startup_options_next(&options, &option)) > 0)
			if (!login_want(core, client, ret_wanted, option.name, option.value)) {
				free(words);
				return false;
			}
		if (found < 0) {
			snprintf(text, sizeof text,
				"unsupported startup parameter in options: %.80s", option.name);
			free(words);
			client_fatal_text(core, client, SQLSTATE_FEATURE_NOT_SUPPORTED, text);
			return false;
		}
		free(words);
	}
	while (startup_parameter_next(startup, &at, &parameter))
		if (startup_parameter_kind(parameter.name) == STARTUP_PARAMETER_SETTING &&
			!login_want(core, client, ret_wanted, parameter.name, parameter.value))
			return false;
	return true;
}

/* The password was right. */
static void login_settle(struct core *core, struct client *client)
{
	struct client_login *login = client->login;
	struct params wanted = {0};
	uint8_t message[16];
	struct writer writer;

	writer_init(&writer, message, sizeof message);
	auth_request_write_ok(&writer);
	login_send(core, client, &writer);
	if (login->is_console) {
		client_enter(core, client, CLIENT_CONSOLE);
		client_console_start(core, client, login->startup.user, login->only_looks);
		return;
	}
	if (!client->pool || client->pool->is_removed) {
		client_refuse_database(core, client, login->startup.user, login->startup.database);
		return;
	}
	if (client->pool->config->refused) {
		client_fatal_text(core, client, SQLSTATE_FEATURE_NOT_SUPPORTED,
			client->pool->config->refused);
		return;
	}
	if (!client_admit(core, client))
		return;
	client_enter(core, client, CLIENT_SETTLING);
	if (!login_collect(core, client, &wanted)) {
		params_clear(&wanted);
		return;
	}
	client->settings = settings_share(client->pool, &wanted);
	params_clear(&wanted);
	client->lease.settings = client->lease.base = client->settings;
	client->lease.user = client->id;
	settings_hold(client->settings);
	if (client->settings->is_tried) {
		client_login_settled(core, client);
		return;
	}
	client->lease.is_trial = true;
	if (lease_take(core, &client->lease) == LEASE_HELD)
		client_lease_events.granted(core, &client->lease);
}

static void login_greet(struct core *core, struct client *client)
{
	const struct params *reported = &client->settings->reported;
	uint8_t *message = malloc(64 * 1024);
	struct writer writer;

	CHECK(message);
	for (size_t i = 0; i < reported->count; i++) {
		writer_init(&writer, message, 64 * 1024);
		greeting_write_parameter(
			&writer, reported->items[i].name, reported->items[i].value);
		if (writer_len(&writer) > 0)
			login_send(core, client, &writer);
	}
	client->key_len =
		client->login->startup.minor_agreed >= 2 ? CLIENT_KEY_BYTES : CLIENT_KEY_BYTES_OLD;
	rand_draw(&core->secrets, client->key, client->key_len);
	writer_init(&writer, message, 64 * 1024);
	greeting_write_key(&writer, client_pid(core, client), client->key, client->key_len);
	login_send(core, client, &writer);
	free(message);
	client_say_ready(core, client, 'I');
}

/* The settings hold; a lease that was taken to try them is given back. */
void client_login_settled(struct core *core, struct client *client)
{
	char peer[ADDRESS_TEXT];

	if (unlikely(client->pool->is_removed)) {
		router_dismiss_removed(core, client);
		return;
	}
	if (client->lease.state == LEASE_HELD) {
		if (!client->settings->is_tried) {
			params_copy(&client->settings->reported, &client->lease.server->params);
			pool_settings_tried(core, client->pool, client->settings);
		}
		lease_release(core, &client->lease);
	}
	client->lease.is_trial = false;
	client_set_mode(client);
	login_greet(core, client);
	core_count(core, METRIC_logins);
	client->pool->stats.logins++;
	client_enter(core, client, CLIENT_READY);
	core_timer_stop(core, &client->timer);
	client->heard_ns = core->now_ns;
	if (core->router->config->general.log_connections)
		log_info(core, "client %llu \"%s\" connected to database \"%s\" [%s]",
			(unsigned long long)client->id, client->pool->config->user,
			client->pool->config->database, address_text(client_peer(client), peer));
	client_login_end(core, client);
	client_watch(core, client);
	client_relay_resume(core, client);
}

/* ---- authentication ---- */

static void login_ask(struct core *core, struct client *client)
{
	const enum auth_type type = core->router->config->general.auth_type;
	struct client_login *login = client->login;
	uint8_t message[32];
	struct writer writer;

	writer_init(&writer, message, sizeof message);
	if (type == AUTH_TRUST && !login->is_console) {
		if (login->is_known)
			login_settle(core, client);
		else
			login_refuse(core, client);
		return;
	}
	if (type == AUTH_PLAIN) {
		login->step = LOGIN_PLAIN;
		auth_request_write_cleartext(&writer);
	} else if (type == AUTH_MD5 && !login_has_scram_secret(login)) {
		login->step = LOGIN_MD5;
		rand_draw(&core->secrets, login->salt, sizeof login->salt);
		auth_request_write_md5(&writer, login->salt);
	} else {
		login_ask_scram(core, client);
		return;
	}
	login_send(core, client, &writer);
	client_enter(core, client, CLIENT_AUTH);
}

static void login_session(struct core *core, struct client *client)
{
	struct startup *startup = &client->login->startup;

	if (greeting_must_negotiate(startup)) {
		uint8_t *message = malloc(STARTUP_BODY_MAX + 64);
		struct writer writer;

		CHECK(message);
		writer_init(&writer, message, STARTUP_BODY_MAX + 64);
		greeting_write_negotiate(&writer, startup);
		login_send(core, client, &writer);
		free(message);
	}
	if (core->router->config->general.tls_client_required) {
		client_fatal_text(core, client,
			SQLSTATE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
			"only TLS connections are allowed, and pgring does not speak TLS yet: "
			"unset tls_client_required");
		return;
	}
	if (startup->replication != STARTUP_REPLICATION_NONE) {
		client_fatal_text(core, client, SQLSTATE_FEATURE_NOT_SUPPORTED,
			"replication connections do not go through pgring yet: connect to the "
			"server itself");
		return;
	}
	login_find_user(core, client);
	if (core->router->is_draining &&
		(!client->login->is_console || core->router->drain >= DRAIN_GENTLE)) {
		client_fatal_text(core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
		return;
	}
	if (client->login->is_console || client_admit_connection(core, client))
		login_ask(core, client);
}

/* Reads the first packet. Returns false if more must come first, or all is over. */
static bool login_first_packet(struct core *core, struct client *client)
{
	struct client_login *login;
	uint8_t head[STARTUP_LENGTH_BYTES];
	struct startup_refusal refusal;
	int len, error;

	if (chain_peek(&client->in, head, sizeof head) < sizeof head)
		return false;
	len = startup_length(head);
	if (len < 0) {
		/* also what speaks HTTP or TLS to us: it could not read an answer */
		client_violation(core, client, "invalid length of startup packet");
		return false;
	}
	if (client->in.bytes < sizeof head + (size_t)len)
		return false;
	login = login_of(core, client);
	free(login->packet);
	login->packet = malloc((size_t)len + 1);
	CHECK(login->packet);
	chain_pop(core, &client->in, sizeof head);
	chain_peek(&client->in, login->packet, (size_t)len);
	chain_pop(core, &client->in, (size_t)len);
	error = startup_parse(login->packet, (size_t)len, &login->startup, &refusal);
	if (error) {
		core_count(core, METRIC_protocol_errors);
		client_fatal_text(core, client, refusal.sqlstate, refusal.message);
		return false;
	}
	switch (login->startup.kind) {
	case STARTUP_SSL_REQUEST:
		login_answer_encryption(core, client, 0);
		return client->state == CLIENT_STARTUP;
	case STARTUP_GSSENC_REQUEST:
		login_answer_encryption(core, client, 1);
		return client->state == CLIENT_STARTUP;
	case STARTUP_CANCEL:
		client_enter(core, client, CLIENT_CANCELLING);
		cancel_request(core, client, login->startup.pid, login->startup.key,
			login->startup.key_len);
		return false;
	case STARTUP_SESSION:
		login->has_packet = true;
		login_session(core, client);
		return client->state != CLIENT_CLOSING;
	}
	UNREACHABLE();
}

/* ---- the client's answers ---- */

static void login_check_run(struct job *job)
{
	struct login_check *check = container_of(job, struct login_check, job);

	for (size_t i = 0; i < check->secret_count; i++) {
		struct secret secret;

		if (secret_parse(check->secrets[i], strlen(check->secrets[i]), &secret) == 0 &&
			secret_password_check(&secret, check->user, check->password,
				strlen(check->password)) == 0)
			check->is_good = true;
	}
}

static void login_check_free(struct login_check *check)
{
	for (size_t i = 0; i < check->secret_count; i++)
		free(check->secrets[i]);
	memory_wipe(check->password, strlen(check->password));
	free(check->password);
	free(check->user);
	free(check->secrets);
	free(check);
}

static void login_checked(struct core *core, struct job *job)
{
	struct login_check *check = container_of(job, struct login_check, job);
	struct client *client = slab_get(&core->router->clients, check->slot, check->generation);

	if (client && client->state == CLIENT_DERIVING) {
		if (check->is_good)
			login_settle(core, client);
		else
			login_refuse(core, client);
	}
	login_check_free(check);
}

static void login_check_plain(struct core *core, struct client *client, const char *password)
{
	struct client_login *login = client->login;
	struct login_check *check = calloc(1, sizeof *check);

	CHECK(check);
	check->job = (struct job){.run = login_check_run, .done = login_checked};
	check->slot = slab_index(client);
	check->generation = slab_generation(client);
	check->password = memory_copy_text(password, strlen(password));
	check->user = memory_copy_text(login->startup.user, strlen(login->startup.user));
	check->secrets = calloc(login->secret_count + 1, sizeof *check->secrets);
	CHECK(check->password && check->user && check->secrets);
	for (size_t i = 0; i < login->secret_count; i++) {
		check->secrets[i] = memory_copy_text(login->secrets[i], strlen(login->secrets[i]));
		CHECK(check->secrets[i]);
	}
	check->secret_count = login->secret_count;
	client_enter(core, client, CLIENT_DERIVING);
	if (jobs_submit(core, &check->job) != 0) {
		login_check_free(check);
		client_fatal_text(
			core, client, SQLSTATE_INSUFFICIENT_RESOURCES, "too many logins at once");
	}
}

static void login_password(
	struct core *core, struct client *client, const uint8_t *body, size_t len)
{
	struct client_login *login = client->login;
	const char *password = ""; /* stays so if the message holds an empty one */
	size_t password_len = 0;
	bool is_good = false;

	if (password_message_read(body, len, &password, &password_len) == ERR_PROTOCOL) {
		client_violation(core, client, "invalid password packet size");
		return;
	}
	if (login->step == LOGIN_PLAIN) {
		login_check_plain(core, client, password);
		return;
	}
	for (size_t i = 0; i < login->secret_count; i++) {
		struct secret secret;

		if (secret_parse(login->secrets[i], strlen(login->secrets[i]), &secret) == 0 &&
			secret_md5_check(&secret, login->startup.user, login->salt, password) == 0)
			is_good = true;
	}
	if (is_good)
		login_settle(core, client);
	else
		login_refuse(core, client);
}

static void login_sasl_failed(struct core *core, struct client *client, int error)
{
	if (error == ERR_AUTH) {
		login_refuse(core, client);
		return;
	}
	core_count(core, METRIC_login_failures);
	client_fatal(core, client, &client->login->scram->fault);
}

static void login_sasl_first(
	struct core *core, struct client *client, const uint8_t *body, size_t len)
{
	struct client_login *login = client->login;
	struct password_message_sasl initial;
	uint8_t raw[SCRAM_NONCE_RAW_BYTES], message[SCRAM_MESSAGE_MAX + 16];
	char nonce[SCRAM_NONCE_LEN + 1];
	struct scram_message reply;
	struct writer writer;
	int error;

	if (password_message_read_sasl_initial(body, len, &initial) != 0 || !initial.data) {
		client_violation(core, client, "malformed SASL response");
		return;
	}
	if (strcmp(initial.mechanism, "SCRAM-SHA-256") != 0) {
		client_violation(
			core, client, "client selected an invalid SASL authentication mechanism");
		return;
	}
	rand_draw(&core->secrets, raw, sizeof raw);
	scram_nonce_format(raw, nonce);
	login->scram = calloc(1, sizeof *login->scram);
	CHECK(login->scram);
	scram_server_init(login->scram);
	error = scram_server_first(
		login->scram, initial.data, initial.data_len, login->keys, nonce, &reply);
	if (error) {
		login_sasl_failed(core, client, error);
		return;
	}
	writer_init(&writer, message, sizeof message);
	auth_request_write_sasl_continue(&writer, reply.text, reply.len);
	login_send(core, client, &writer);
	login->step = LOGIN_SASL_FINAL;
}

static void login_sasl_final(
	struct core *core, struct client *client, const uint8_t *body, size_t len)
{
	struct client_login *login = client->login;
	const uint8_t *data;
	size_t data_len;
	uint8_t message[SCRAM_MESSAGE_MAX + 16];
	struct scram_message reply;
	struct writer writer;
	int error;

	if (password_message_read_sasl(body, len, &data, &data_len) != 0) {
		client_violation(core, client, "malformed SASL response");
		return;
	}
	error = scram_server_final(
		login->scram, data, data_len, login->keys, login->key_count, &reply);
	if (error) {
		login_sasl_failed(core, client, error);
		return;
	}
	writer_init(&writer, message, sizeof message);
	auth_request_write_sasl_final(&writer, reply.text, reply.len);
	login_send(core, client, &writer);
	login_settle(core, client);
}

/* Reads one answer. Returns false if more must come first, or all is over. */
static bool login_answer(struct core *core, struct client *client)
{
	uint8_t head[FRAME_HEAD];
	struct frame frame;
	uint8_t *message;
	uint32_t most = client->login->step <= LOGIN_MD5 ? PASSWORD_MESSAGE_CLEARTEXT_MAX
							 : PASSWORD_MESSAGE_SASL_MAX;

	if (chain_peek(&client->in, head, sizeof head) < sizeof head)
		return false;
	if (frame_read(frame_from_client, head, sizeof head, &frame) != FRAME_DONE ||
		frame.type != CLIENT_PASSWORD || frame.bytes > most + FRAME_HEAD) {
		char text[64];

		snprintf(text, sizeof text, "expected %s response, got message type %d",
			client->login->step <= LOGIN_MD5 ? "password" : "SASL", head[0]);
		client_violation(core, client,
			head[0] == CLIENT_PASSWORD ? "invalid password packet size" : text);
		return false;
	}
	if (client->in.bytes < frame.bytes)
		return false;
	message = malloc(frame.bytes);
	CHECK(message);
	chain_peek(&client->in, message, frame.bytes);
	chain_pop(core, &client->in, frame.bytes);
	switch ((enum login_step)client->login->step) {
	case LOGIN_PLAIN:
	case LOGIN_MD5:
		login_password(core, client, message + FRAME_HEAD, frame.bytes - FRAME_HEAD);
		break;
	case LOGIN_SASL_FIRST:
		login_sasl_first(core, client, message + FRAME_HEAD, frame.bytes - FRAME_HEAD);
		break;
	case LOGIN_SASL_FINAL:
		login_sasl_final(core, client, message + FRAME_HEAD, frame.bytes - FRAME_HEAD);
		break;
	}
	memory_wipe(message, frame.bytes);
	free(message);
	return true;
}

static void login_next(struct core *core, struct client *client)
{
	bool goes_on = true;

	while (goes_on) {
		if (client->state == CLIENT_STARTUP)
			goes_on = login_first_packet(core, client);
		else if (client->state == CLIENT_AUTH)
			goes_on = login_answer(core, client);
		else
			goes_on = false; /* what has come waits until the session begins */
	}
}

/* Reads on, unless too much is held. What has come while keys are derived or settings are tried is not the client's to finish. */
static void login_throttle(struct core *core, struct client *client)
{
	bool is_unfinished = client->state == CLIENT_STARTUP || client->state == CLIENT_AUTH;

	if (client->state == CLIENT_READY || client->state == CLIENT_CONSOLE ||
		client->state == CLIENT_CANCELLING || client->state == CLIENT_CLOSING)
		return;
	if (!held_update(core, client, is_unfinished))
		stream_pause(core, client->stream);
	else if (unlikely(!client->stream->reading))
		stream_read(core, client->stream);
}

void client_login_data(
	struct core *core, struct client *client, const struct span *spans, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		chain_copy(core, &client->in, spans[i].bytes, spans[i].len);
	login_next(core, client);
	login_throttle(core, client);
	/* Nobody needs more than this to log in. Who has done so, and waits for its settings to be tried, is paused. */
	if (client->state != CLIENT_READY && client->state != CLIENT_CONSOLE &&
		client->state != CLIENT_SETTLING && client->state != CLIENT_CLOSING &&
		client->in.bytes > LIMIT_HELD_BYTES + LIMIT_PASSWORD_BYTES)
		client_violation(core, client, "too much data before the end of the login");
}
