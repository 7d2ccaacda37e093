/* The messages of the start-up phase in both directions: startup, greeting, auth_request, password_message. */
#include "protocol/startup.h"

#include "core/errors.h"
#include "protocol/auth_request.h"
#include "protocol/greeting.h"
#include "protocol/password_message.h"
#include "protocol/writer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define SESSION_3_0 "\0\3\0\0"
#define SESSION_3_2 "\0\3\0\2"

/* Parses bytes that stand alone on the heap, so that a sanitizer sees a read past their end. The copy lives until the next. */
static int parse(const void *body, size_t len, struct startup *ret, struct startup_refusal *refusal)
{
	static uint8_t *copy;

	free(copy);
	copy = NULL;
	if (body == NULL)
		return 0;
	copy = malloc(len > 0 ? len : 1);
	memcpy(copy, body, len);
	return startup_parse(copy, len, ret, refusal);
}

static int drop_copy(void **state)
{
	(void)state;
	return parse(NULL, 0, NULL, NULL);
}

static int length_of(uint32_t len)
{
	const uint8_t first[4] = {
		(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

	return startup_length(first);
}

static void length_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(length_of(8), 4);
	assert_int_equal(length_of(10004), 10000);
	assert_int_equal(length_of(0), ERR_PROTOCOL);
	assert_int_equal(length_of(4), ERR_PROTOCOL);
	assert_int_equal(length_of(7), ERR_PROTOCOL);
	assert_int_equal(length_of(10005), ERR_PROTOCOL);
	assert_int_equal(length_of(0x80000000), ERR_PROTOCOL);
	assert_int_equal(length_of(0xFFFFFFFF), ERR_PROTOCOL);
	assert_int_equal(length_of(0x16030100), ERR_PROTOCOL); /* a TLS hello */
	assert_true(startup_is_tls(0x16));
	assert_false(startup_is_tls(0));
}

static void session_is_parsed(void **state)
{
	static const char body[] =
		SESSION_3_0 "user\0alice\0database\0shop\0application_name\0psql\0"
			    "options\0-c geqo=off\0";
	struct startup_refusal refusal;
	struct startup_parameter p;
	struct startup s;
	size_t at = 0;

	(void)state;
	assert_int_equal(parse(body, sizeof body, &s, &refusal), 0);
	assert_int_equal(s.kind, STARTUP_SESSION);
	assert_int_equal(s.minor, 0);
	assert_int_equal(s.minor_agreed, 0);
	assert_int_equal(s.replication, STARTUP_REPLICATION_NONE);
	assert_string_equal(s.user, "alice");
	assert_string_equal(s.database, "shop");
	assert_string_equal(s.options, "-c geqo=off");
	assert_false(greeting_must_negotiate(&s));

	assert_true(startup_parameter_next(&s, &at, &p));
	assert_string_equal(p.name, "user");
	assert_int_equal(startup_parameter_kind(p.name), STARTUP_PARAMETER_USER);
	assert_true(startup_parameter_next(&s, &at, &p));
	assert_int_equal(startup_parameter_kind(p.name), STARTUP_PARAMETER_DATABASE);
	assert_true(startup_parameter_next(&s, &at, &p));
	assert_string_equal(p.name, "application_name");
	assert_string_equal(p.value, "psql");
	assert_int_equal(startup_parameter_kind(p.name), STARTUP_PARAMETER_SETTING);
	assert_true(startup_parameter_next(&s, &at, &p));
	assert_int_equal(startup_parameter_kind(p.name), STARTUP_PARAMETER_OPTIONS);
	assert_false(startup_parameter_next(&s, &at, &p));
	assert_false(startup_parameter_next(&s, &at, &p));
}

static void database_defaults_to_the_user(void **state)
{
	struct startup_refusal refusal;
	struct startup s;

	(void)state;
	assert_int_equal(parse(SESSION_3_0 "user\0bob\0", 14, &s, &refusal), 0);
	assert_string_equal(s.database, "bob");
	assert_int_equal(parse(SESSION_3_0 "user\0bob\0database\0\0", 24, &s, &refusal), 0);
	assert_string_equal(s.database, "bob");
	/* of a repeated parameter the last counts */
	assert_int_equal(parse(SESSION_3_0 "user\0bob\0user\0eve\0", 23, &s, &refusal), 0);
	assert_string_equal(s.user, "eve");
}

static void refused(
	const char *body, size_t len, int err, const char *sqlstate, const char *message)
{
	struct startup s = {.user = "untouched"};
	struct startup_refusal refusal;

	assert_int_equal(parse(body, len, &s, &refusal), err);
	assert_string_equal(refusal.sqlstate, sqlstate);
	assert_string_equal(refusal.message, message);
	assert_string_equal(s.user, "untouched");
}

static void refusals_say_what_postgresql_says(void **state)
{
	static const char layout[] =
		"invalid startup packet layout: expected terminator as last byte";
	static const char nobody[] = "no PostgreSQL user name specified in startup packet";

	(void)state;
	refused(SESSION_3_0, 5, ERR_INVALID, "28000", nobody); /* nothing but the terminator */
	refused(SESSION_3_0 "user\0\0", 11, ERR_INVALID, "28000", nobody);
	refused(SESSION_3_0 "database\0x\0", 16, ERR_INVALID, "28000", nobody);
	refused(SESSION_3_0, 4, ERR_PROTOCOL, "08P01", layout);
	refused(SESSION_3_0 "user\0x", 11, ERR_PROTOCOL, "08P01", layout);      /* no terminator */
	refused(SESSION_3_0 "user\0x\0\0y", 13, ERR_PROTOCOL, "08P01", layout); /* bytes after it */
	refused(SESSION_3_0 "user\0x\0name\0", 16, ERR_PROTOCOL, "08P01", layout); /* no value */
	refused("\0\3\0", 3, ERR_PROTOCOL, "08P01", "invalid length of startup packet");
	refused("\0\2\0\0", 4, ERR_UNSUPPORTED, "0A000",
		"unsupported frontend protocol 2.0: server supports 3.0 to 3.2");
	refused("\0\4\0\1\0", 5, ERR_UNSUPPORTED, "0A000",
		"unsupported frontend protocol 4.1: server supports 3.0 to 3.2");
	refused(SESSION_3_0 "user\0x\0replication\0maybe\0", 30, ERR_INVALID, "22023",
		"invalid value for parameter \"replication\"");
}

static void replication_is_a_boolean_or_database(void **state)
{
	static const struct {
		const char *value;
		int meaning; /* -1: refused */
	} rows[] = {
		{"database", STARTUP_REPLICATION_LOGICAL},
		{"true", STARTUP_REPLICATION_PHYSICAL},
		{"TRUE", STARTUP_REPLICATION_PHYSICAL},
		{"t", STARTUP_REPLICATION_PHYSICAL},
		{"on", STARTUP_REPLICATION_PHYSICAL},
		{"yes", STARTUP_REPLICATION_PHYSICAL},
		{"1", STARTUP_REPLICATION_PHYSICAL},
		{"false", STARTUP_REPLICATION_NONE},
		{"off", STARTUP_REPLICATION_NONE},
		{"of", STARTUP_REPLICATION_NONE},
		{"n", STARTUP_REPLICATION_NONE},
		{"0", STARTUP_REPLICATION_NONE},
		{"o", -1}, /* on or off */
		{"", -1},
		{"truely", -1},
		{"Database", -1},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		uint8_t buf[64];
		struct startup_refusal refusal;
		struct startup s;
		struct writer w;
		int rc;

		writer_init(&w, buf, sizeof buf);
		writer_bytes(&w, SESSION_3_0 "user\0x", 11);
		writer_string(&w, "replication");
		writer_string(&w, rows[i].value);
		writer_u8(&w, 0);
		rc = parse(buf, writer_len(&w), &s, &refusal);
		assert_int_equal(rc, rows[i].meaning < 0 ? ERR_INVALID : 0);
		if (rc == 0)
			assert_int_equal(s.replication, rows[i].meaning);
	}
}

static void requests_are_told_apart(void **state)
{
	struct startup_refusal refusal;
	struct startup s;
	uint8_t buf[4 + 4 + STARTUP_KEY_MAX + 1] = {4, 210, 22, 46, 0x80, 0, 0, 7, 1, 2, 3, 4};

	(void)state;
	assert_int_equal(parse("\4\322\26\57", 4, &s, &refusal), 0);
	assert_int_equal(s.kind, STARTUP_SSL_REQUEST);
	assert_int_equal(parse("\4\322\26\60", 4, &s, &refusal), 0);
	assert_int_equal(s.kind, STARTUP_GSSENC_REQUEST);
	assert_int_equal(parse("\4\322\26\57x", 5, &s, &refusal), ERR_PROTOCOL);

	for (size_t len = 0; len <= sizeof buf; len++) {
		size_t key_len = len < 8 ? 0 : len - 8;
		bool good = key_len >= STARTUP_KEY_MIN && key_len <= STARTUP_KEY_MAX;

		assert_int_equal(parse(buf, len, &s, &refusal), good ? 0 : ERR_PROTOCOL);
		if (!good)
			continue;
		assert_int_equal(s.kind, STARTUP_CANCEL);
		assert_int_equal(s.pid, 0x80000007);
		assert_int_equal(s.key_len, key_len);
		assert_memory_equal(s.key, "\1\2\3\4", 4);
	}
}

static void every_truncation_is_refused(void **state)
{
	static const char body[] =
		SESSION_3_2 "user\0alice\0_pq_.x\0\0database\0shop\0options\0-c a=b\0";
	struct startup_refusal refusal;
	struct startup s;

	(void)state;
	assert_int_equal(parse(body, sizeof body, &s, &refusal), 0);
	for (size_t len = 0; len < sizeof body; len++)
		assert_int_equal(parse(body, len, &s, &refusal), ERR_PROTOCOL);
}

static void version_is_negotiated(void **state)
{
	static const char body[] = "\0\3\x27\x0F" /* 3.9999 */
				   "user\0x\0_pq_.test\0yes\0search_path\0a\0_pq_.other\0\0";
	struct greeting_negotiate n;
	struct startup_refusal refusal;
	struct startup s;
	uint8_t buf[64];
	struct writer w;

	(void)state;
	assert_int_equal(parse(body, sizeof body, &s, &refusal), 0);
	assert_int_equal(s.minor, 9999);
	assert_int_equal(s.minor_agreed, 2);
	assert_int_equal(s.protocol_options, 2);
	assert_true(greeting_must_negotiate(&s));

	writer_init(&w, buf, sizeof buf);
	greeting_write_negotiate(&w, &s);
	assert_int_equal(writer_len(&w), 1 + 4 + 4 + 4 + 10 + 11);
	assert_memory_equal(buf, "v\0\0\0\41\0\3\0\2\0\0\0\2_pq_.test\0_pq_.other", 34);
	assert_int_equal(greeting_read_negotiate(buf + 5, writer_len(&w) - 5, &n), 0);
	assert_int_equal(n.minor, 2);
	assert_int_equal(n.count, 2);
	assert_string_equal(reader_cstring(&n.names), "_pq_.test");
	assert_string_equal(reader_cstring(&n.names), "_pq_.other");
	for (size_t len = 0; len < writer_len(&w) - 5; len++)
		assert_int_equal(greeting_read_negotiate(buf + 5, len, &n), ERR_PROTOCOL);
	assert_int_equal(greeting_read_negotiate("\0\0\0\2\0\0\0\0", 8, &n), 0); /* a bare minor */
	assert_int_equal(n.minor, 2);
	assert_int_equal(greeting_read_negotiate("\0\4\0\0\0\0\0\0", 8, &n), ERR_PROTOCOL);
	assert_int_equal(greeting_read_negotiate("\0\3\0\0\xFF\xFF\xFF\xFF", 8, &n), ERR_PROTOCOL);

	/* 3.1 and 3.2 are spoken; an option that is not known is told even then */
	assert_int_equal(parse("\0\3\0\1user\0x\0", 12, &s, &refusal), 0);
	assert_int_equal(s.minor_agreed, 1);
	assert_false(greeting_must_negotiate(&s));
	assert_int_equal(parse(SESSION_3_2 "user\0x\0_pq_.\0\0", 19, &s, &refusal), 0);
	assert_true(greeting_must_negotiate(&s));
}

/* Walks `options` and prints what comes: "name=value|", "!word|" for what is malformed, "?word|" for what is not supported. */
static void assert_options(const char *options, const char *expected)
{
	size_t cap = strlen(options) + 1;
	char *buf = malloc(cap), *copy = malloc(cap);
	struct startup_options it;
	struct startup_option option;
	uint8_t text[256];
	struct writer w;
	int rc;

	memcpy(copy, options, cap);
	writer_init(&w, text, sizeof text);
	startup_options_init(&it, copy, buf, cap);
	while ((rc = startup_options_next(&it, &option)) != 0) {
		if (rc < 0)
			writer_u8(&w, rc == ERR_INVALID ? '!' : '?');
		writer_bytes(&w, option.name, strlen(option.name));
		if (rc > 0) {
			writer_u8(&w, '=');
			writer_bytes(&w, option.value, strlen(option.value));
		}
		writer_u8(&w, '|');
	}
	assert_int_equal(startup_options_next(&it, &option), 0);
	writer_u8(&w, 0);
	assert_false(w.overflow);
	assert_string_equal((char *)text, expected);
	free(copy);
	free(buf);
}

static void options_are_split_as_postgresql_does(void **state)
{
	(void)state;
	assert_options("", "");
	assert_options(" \t\n\v\f\r", "");
	assert_options("-c geqo=off", "geqo=off|");
	assert_options("-cgeqo=off", "geqo=off|");
	assert_options("--geqo=off", "geqo=off|");
	assert_options("  -c  a=1\t-cb=2\n--c=3 ", "a=1|b=2|c=3|");
	assert_options("--statement-timeout=5s", "statement_timeout=5s|");
	assert_options("-c statement-timeout=-1", "statement_timeout=-1|");
	assert_options("-c search_path=a,\\ b", "search_path=a, b|");
	assert_options("-c a=\\\\b", "a=\\b|");
	assert_options("-c a=b\\", "a=b|");
	assert_options("-c a=b\\\\", "a=b\\|");
	assert_options("-c a=b=c", "a=b=c|");
	assert_options("-c a=", "a=|");
	assert_options("\\-c a=b", "a=b|");
	/* what has no name or no value */
	assert_options("-c", "!-c|");
	assert_options("-c a", "!a|");
	assert_options("-c=", "!=|");
	assert_options("-c =b", "!=b|");
	assert_options("--=b", "!=b|");
	assert_options("--a", "!a|");
	assert_options("-c \\", "!|");
	/* what is not a setting */
	assert_options("-e", "?-e|");
	assert_options("-S 64", "?-S|?64|");
	assert_options("a=b", "?a=b|");
	assert_options("-", "?-|");
	assert_options("-- a=b -c c=d", "?--|?a=b|c=d|");
	assert_options("\\", "?|");
}

static void packets_to_servers_round_trip(void **state)
{
	static const struct startup_parameter parameters[] = {
		{"user", "app"}, {"database", "shop"}, {"client_encoding", "UTF8"}};
	const uint8_t key[STARTUP_KEY_MAX] = {9, 8, 7};
	struct startup_refusal refusal;
	struct startup_parameter p;
	struct startup s;
	uint8_t buf[512];
	struct writer w;
	size_t at = 0;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	startup_write_session(&w, 2, parameters, array_len(parameters));
	assert_int_equal(startup_length(buf), writer_len(&w) - 4);
	assert_int_equal(parse(buf + 4, writer_len(&w) - 4, &s, &refusal), 0);
	assert_int_equal(s.minor, 2);
	for (size_t i = 0; i < array_len(parameters); i++) {
		assert_true(startup_parameter_next(&s, &at, &p));
		assert_string_equal(p.name, parameters[i].name);
		assert_string_equal(p.value, parameters[i].value);
	}
	assert_false(startup_parameter_next(&s, &at, &p));

	writer_init(&w, buf, sizeof buf);
	startup_write_ssl_request(&w);
	assert_int_equal(writer_len(&w), 8);
	assert_memory_equal(buf, "\0\0\0\10\4\322\26\57", 8);

	for (size_t key_len = STARTUP_KEY_MIN; key_len <= STARTUP_KEY_MAX; key_len++) {
		writer_init(&w, buf, sizeof buf);
		startup_write_cancel(&w, 123456, key, key_len);
		assert_int_equal(startup_length(buf), writer_len(&w) - 4);
		assert_int_equal(parse(buf + 4, writer_len(&w) - 4, &s, &refusal), 0);
		assert_int_equal(s.kind, STARTUP_CANCEL);
		assert_int_equal(s.pid, 123456);
		assert_int_equal(s.key_len, key_len);
		assert_memory_equal(s.key, key, key_len);
	}
}

/* The body of the only message in the writer, on the heap; checks its frame. */
static uint8_t *body_of(const struct writer *w, char type, size_t *ret_len)
{
	struct reader r;
	uint8_t *body;

	reader_init(&r, w->start, writer_len(w));
	assert_int_equal(reader_u8(&r), type);
	assert_int_equal(reader_u32(&r), writer_len(w) - 1);
	*ret_len = reader_left(&r);
	body = malloc(*ret_len > 0 ? *ret_len : 1);
	memcpy(body, r.at, *ret_len);
	return body;
}

static void keys_round_trip(void **state)
{
	const uint8_t key[STARTUP_KEY_MAX + 1] = {1, 2, 3, 4, 5};
	struct greeting_key k;
	uint8_t buf[512], *body;
	struct writer w;
	size_t len;

	(void)state;
	for (size_t key_len = STARTUP_KEY_MIN; key_len <= STARTUP_KEY_MAX; key_len++) {
		writer_init(&w, buf, sizeof buf);
		greeting_write_key(&w, 77, key, key_len);
		body = body_of(&w, 'K', &len);
		assert_int_equal(greeting_read_key(body, len, &k), 0);
		assert_int_equal(k.pid, 77);
		assert_int_equal(k.key_len, key_len);
		assert_memory_equal(k.key, key, key_len);
		free(body);
	}
	for (size_t short_len = 0; short_len < 8; short_len++)
		assert_int_equal(greeting_read_key(key, short_len, &k), ERR_PROTOCOL);
	assert_int_equal(greeting_read_key(buf, 4 + STARTUP_KEY_MAX + 1, &k), ERR_PROTOCOL);
}

static void parameters_and_ready_round_trip(void **state)
{
	const char *name, *value;
	uint8_t buf[128], *body;
	struct writer w;
	size_t len;
	char status;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	greeting_write_parameter(&w, "server_version", "18.1");
	body = body_of(&w, 'S', &len);
	assert_int_equal(greeting_read_parameter(body, len, &name, &value), 0);
	assert_string_equal(name, "server_version");
	assert_string_equal(value, "18.1");
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(greeting_read_parameter(body, cut, &name, &value), ERR_PROTOCOL);
	free(body);
	assert_int_equal(greeting_read_parameter("a\0b\0c", 6, &name, &value), ERR_PROTOCOL);

	for (const char *at = "ITE"; *at != '\0'; at++) {
		writer_init(&w, buf, sizeof buf);
		greeting_write_ready(&w, *at);
		body = body_of(&w, 'Z', &len);
		assert_int_equal(greeting_read_ready(body, len, &status), 0);
		assert_int_equal(status, *at);
		free(body);
	}
	assert_int_equal(greeting_read_ready("", 0, &status), ERR_PROTOCOL);
	assert_int_equal(greeting_read_ready("II", 2, &status), ERR_PROTOCOL);
	assert_int_equal(greeting_read_ready("X", 1, &status), ERR_PROTOCOL);
}

static struct auth_request auth_of(const struct writer *w)
{
	struct auth_request request, other;
	size_t len;
	uint8_t *body = body_of(w, 'R', &len);

	assert_int_equal(auth_request_parse(body, len, &request), 0);
	/* data of any length is the mechanism's business; everything else has an end */
	for (size_t cut = 0; cut < len && (request.data == NULL || cut < 4); cut++)
		assert_int_equal(auth_request_parse(body, cut, &other), ERR_PROTOCOL);
	if (request.data != NULL) {
		assert_int_equal(request.data_len, len - 4);
		request.data = w->start + 9; /* outlives the copy */
	}
	free(body);
	return request;
}

static void auth_requests_round_trip(void **state)
{
	static const char *const both[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"};
	static const char *const other[] = {"OAUTHBEARER"};
	struct auth_request request;
	uint8_t buf[128];
	struct writer w;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	auth_request_write_ok(&w);
	assert_memory_equal(buf, "R\0\0\0\10\0\0\0\0", 9);
	assert_int_equal(auth_of(&w).kind, AUTH_REQUEST_OK);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_cleartext(&w);
	assert_int_equal(auth_of(&w).kind, AUTH_REQUEST_CLEARTEXT);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_md5(&w, (const uint8_t *)"\1\2\3\4");
	request = auth_of(&w);
	assert_int_equal(request.kind, AUTH_REQUEST_MD5);
	assert_memory_equal(request.salt, "\1\2\3\4", 4);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_sasl(&w, both, 2);
	request = auth_of(&w);
	assert_int_equal(request.kind, AUTH_REQUEST_SASL);
	assert_true(request.offers_scram);
	assert_true(request.offers_scram_plus);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_sasl(&w, both + 1, 1);
	assert_memory_equal(buf, "R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0", 24);
	request = auth_of(&w);
	assert_true(request.offers_scram);
	assert_false(request.offers_scram_plus);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_sasl(&w, other, 1);
	assert_false(auth_of(&w).offers_scram);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_sasl_continue(&w, "r=x", 3);
	request = auth_of(&w);
	assert_int_equal(request.kind, AUTH_REQUEST_SASL_CONTINUE);
	assert_int_equal(request.data_len, 3);
	assert_memory_equal(request.data, "r=x", 3);

	writer_init(&w, buf, sizeof buf);
	auth_request_write_sasl_final(&w, "", 0);
	assert_int_equal(auth_of(&w).kind, AUTH_REQUEST_SASL_FINAL);
}

static void strange_auth_requests_are_refused(void **state)
{
	struct auth_request request;

	(void)state;
	assert_int_equal(auth_request_parse("\0\0\0\6", 4, &request), ERR_UNSUPPORTED);
	assert_int_equal(auth_request_parse("\xFF\xFF\xFF\xFF", 4, &request), ERR_UNSUPPORTED);
	assert_int_equal(auth_request_parse("\0\0\0\0x", 5, &request), ERR_PROTOCOL);
	assert_int_equal(auth_request_parse("\0\0\0\5salty", 9, &request), ERR_PROTOCOL);
	assert_int_equal(auth_request_parse("\0\0\0\12A\0\0B", 8, &request), ERR_PROTOCOL);
}

static void passwords_round_trip(void **state)
{
	const char *password;
	uint8_t buf[64], *body;
	struct writer w;
	size_t len, password_len;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	password_message_write(&w, "open sesame");
	body = body_of(&w, 'p', &len);
	assert_int_equal(password_message_read(body, len, &password, &password_len), 0);
	assert_string_equal(password, "open sesame");
	assert_int_equal(password_len, 11);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(
			password_message_read(body, cut, &password, &password_len), ERR_PROTOCOL);
	free(body);
	assert_int_equal(password_message_read("", 1, &password, &password_len), ERR_AUTH);
	assert_int_equal(password_message_read("a\0b", 4, &password, &password_len), ERR_PROTOCOL);
}

static void sasl_responses_round_trip(void **state)
{
	static const uint8_t large[PASSWORD_MESSAGE_SASL_MAX + 1];
	struct password_message_sasl message;
	const uint8_t *data;
	uint8_t buf[128], *body;
	struct writer w;
	size_t len, data_len;

	(void)state;
	writer_init(&w, buf, sizeof buf);
	password_message_write_sasl_initial(&w, "SCRAM-SHA-256", "n,,n=,r=abc", 11);
	body = body_of(&w, 'p', &len);
	assert_int_equal(password_message_read_sasl_initial(body, len, &message), 0);
	assert_string_equal(message.mechanism, "SCRAM-SHA-256");
	assert_int_equal(message.data_len, 11);
	assert_memory_equal(message.data, "n,,n=,r=abc", 11);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(
			password_message_read_sasl_initial(body, cut, &message), ERR_PROTOCOL);
	free(body);

	/* no initial response, which is not an empty one */
	assert_int_equal(password_message_read_sasl_initial("X\0\xFF\xFF\xFF\xFF", 6, &message), 0);
	assert_null(message.data);
	assert_int_equal(password_message_read_sasl_initial("X\0\0\0\0\0", 6, &message), 0);
	assert_non_null(message.data);
	assert_int_equal(message.data_len, 0);
	assert_int_equal(password_message_read_sasl_initial("X\0\xFF\xFF\xFF\xFE", 6, &message),
		ERR_PROTOCOL);
	assert_int_equal(password_message_read_sasl_initial("X\0\x7F\xFF\xFF\xFF", 6, &message),
		ERR_PROTOCOL);
	assert_int_equal(
		password_message_read_sasl_initial("X\0\0\0\0\1ab", 8, &message), ERR_PROTOCOL);
	assert_int_equal(
		password_message_read_sasl_initial(large, sizeof large, &message), ERR_PROTOCOL);

	writer_init(&w, buf, sizeof buf);
	password_message_write_sasl(&w, "c=biws", 6);
	body = body_of(&w, 'p', &len);
	assert_int_equal(password_message_read_sasl(body, len, &data, &data_len), 0);
	assert_int_equal(data_len, 6);
	assert_memory_equal(data, "c=biws", 6);
	free(body);
	assert_int_equal(
		password_message_read_sasl(large, sizeof large, &data, &data_len), ERR_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(length_is_bounded),
		cmocka_unit_test(session_is_parsed),
		cmocka_unit_test(database_defaults_to_the_user),
		cmocka_unit_test(refusals_say_what_postgresql_says),
		cmocka_unit_test(replication_is_a_boolean_or_database),
		cmocka_unit_test(requests_are_told_apart),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(version_is_negotiated),
		cmocka_unit_test(options_are_split_as_postgresql_does),
		cmocka_unit_test(packets_to_servers_round_trip),
		cmocka_unit_test(keys_round_trip),
		cmocka_unit_test(parameters_and_ready_round_trip),
		cmocka_unit_test(auth_requests_round_trip),
		cmocka_unit_test(strange_auth_requests_are_refused),
		cmocka_unit_test(passwords_round_trip),
		cmocka_unit_test(sasl_responses_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, drop_copy);
}
