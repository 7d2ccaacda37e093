/* The packets that open a connection. */
#include "protocol/startup.h"

#include "core/errors.h"
#include "protocol/reader.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* "Major version" 1234 marks what is not a session. */
#define CODE(major, minor) ((uint32_t)(major) << 16 | (minor))
#define CODE_CANCEL CODE(1234, 5678)
#define CODE_SSL CODE(1234, 5679)
#define CODE_GSSENC CODE(1234, 5680)

#define PROTOCOL_OPTION_PREFIX "_pq_."
#define TLS_HANDSHAKE_RECORD 0x16

static int parse_cancel(struct reader *r, struct startup *ret, struct startup_refusal *refusal);
static int parse_session(
	struct reader *r, uint32_t code, struct startup *ret, struct startup_refusal *refusal);
static int take_parameter(
	struct startup *s, const struct startup_parameter *p, struct startup_refusal *refusal);
static bool parse_replication(const char *text, enum startup_replication *ret);
static int refuse(
	struct startup_refusal *refusal, int err, const char *sqlstate, const char *message);
static bool next_word(struct startup_options *it, char **ret_word);
static bool split_setting(char *setting, struct startup_option *ret);

bool startup_is_tls(uint8_t first_byte)
{
	return first_byte == TLS_HANDSHAKE_RECORD;
}

int startup_length(const uint8_t first[STARTUP_LENGTH_BYTES])
{
	struct reader r;
	uint32_t len;

	reader_init(&r, first, STARTUP_LENGTH_BYTES);
	len = reader_u32(&r);
	if (len < STARTUP_LENGTH_BYTES + 4 || len > STARTUP_LENGTH_BYTES + STARTUP_BODY_MAX)
		return ERR_PROTOCOL;
	return (int)len - STARTUP_LENGTH_BYTES;
}

int startup_parse(
	const uint8_t *body, size_t len, struct startup *ret, struct startup_refusal *ret_refusal)
{
	struct startup s = {0};
	struct reader r;
	uint32_t code;
	int rc = 0;

	if (len < 4 || len > STARTUP_BODY_MAX)
		return refuse(ret_refusal, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"invalid length of startup packet");

	reader_init(&r, body, len);
	code = reader_u32(&r);
	switch (code) {
	case CODE_SSL:
	case CODE_GSSENC:
		s.kind = code == CODE_SSL ? STARTUP_SSL_REQUEST : STARTUP_GSSENC_REQUEST;
		if (!reader_done(&r))
			rc = refuse(ret_refusal, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
				"invalid length of encryption request packet");
		break;
	case CODE_CANCEL:
		rc = parse_cancel(&r, &s, ret_refusal);
		break;
	default:
		rc = parse_session(&r, code, &s, ret_refusal);
	}
	if (rc == 0)
		*ret = s;
	return rc;
}

static int parse_cancel(struct reader *r, struct startup *ret, struct startup_refusal *refusal)
{
	ret->kind = STARTUP_CANCEL;
	ret->pid = reader_u32(r);
	ret->key_len = reader_left(r);
	if (ret->key_len < STARTUP_KEY_MIN || ret->key_len > STARTUP_KEY_MAX)
		return refuse(refusal, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"invalid length of cancel key in cancel request packet");
	ret->key = reader_bytes(r, ret->key_len);
	return 0;
}

static int parse_session(
	struct reader *r, uint32_t code, struct startup *ret, struct startup_refusal *refusal)
{
	struct startup_parameter p;
	int rc;

	if (code >> 16 != STARTUP_MAJOR) {
		refusal->sqlstate = SQLSTATE_FEATURE_NOT_SUPPORTED;
		snprintf(refusal->message, sizeof refusal->message,
			"unsupported frontend protocol %u.%u: server supports %u.0 to %u.%u",
			code >> 16, code & 0xFFFF, STARTUP_MAJOR, STARTUP_MAJOR,
			STARTUP_MINOR_NEWEST);
		return ERR_UNSUPPORTED;
	}
	ret->kind = STARTUP_SESSION;
	ret->minor = (uint16_t)code;
	ret->minor_agreed = ret->minor < STARTUP_MINOR_NEWEST ? ret->minor : STARTUP_MINOR_NEWEST;
	ret->parameters = r->at;

	for (;;) {
		p.name = reader_cstring(r);
		if (p.name == NULL || p.name[0] == '\0')
			break;
		p.value = reader_cstring(r);
		if (p.value == NULL)
			break;
		rc = take_parameter(ret, &p, refusal);
		if (rc < 0)
			return rc;
	}
	if (!reader_done(r))
		return refuse(refusal, ERR_PROTOCOL, SQLSTATE_PROTOCOL_VIOLATION,
			"invalid startup packet layout: expected terminator as last byte");
	ret->parameters_len = (size_t)(r->end - ret->parameters) - 1;

	if (ret->user == NULL || ret->user[0] == '\0')
		return refuse(refusal, ERR_INVALID, SQLSTATE_INVALID_AUTHORIZATION_SPECIFICATION,
			"no PostgreSQL user name specified in startup packet");
	if (ret->database == NULL || ret->database[0] == '\0')
		ret->database = ret->user;
	return 0;
}

static int take_parameter(
	struct startup *s, const struct startup_parameter *p, struct startup_refusal *refusal)
{
	switch (startup_parameter_kind(p->name)) {
	case STARTUP_PARAMETER_USER:
		s->user = p->value;
		break;
	case STARTUP_PARAMETER_DATABASE:
		s->database = p->value;
		break;
	case STARTUP_PARAMETER_OPTIONS:
		s->options = p->value;
		break;
	case STARTUP_PARAMETER_REPLICATION:
		if (!parse_replication(p->value, &s->replication))
			return refuse(refusal, ERR_INVALID, SQLSTATE_INVALID_PARAMETER_VALUE,
				"invalid value for parameter \"replication\"");
		break;
	case STARTUP_PARAMETER_PROTOCOL:
		s->protocol_options++;
		break;
	case STARTUP_PARAMETER_SETTING:
		break;
	}
	return 0;
}

/* A boolean as PostgreSQL reads it (any unambiguous beginning of a word), or "database". */
static bool parse_replication(const char *text, enum startup_replication *ret)
{
	static const struct {
		const char *word;
		size_t len_min;
		enum startup_replication meaning;
	} words[] = {
		{"true", 1, STARTUP_REPLICATION_PHYSICAL},
		{"yes", 1, STARTUP_REPLICATION_PHYSICAL},
		{"on", 2, STARTUP_REPLICATION_PHYSICAL},
		{"1", 1, STARTUP_REPLICATION_PHYSICAL},
		{"false", 1, STARTUP_REPLICATION_NONE},
		{"no", 1, STARTUP_REPLICATION_NONE},
		{"off", 2, STARTUP_REPLICATION_NONE},
		{"0", 1, STARTUP_REPLICATION_NONE},
	};
	size_t len = strlen(text);

	if (strcmp(text, "database") == 0) {
		*ret = STARTUP_REPLICATION_LOGICAL;
		return true;
	}
	for (size_t i = 0; i < array_len(words); i++) {
		if (len >= words[i].len_min && strncasecmp(words[i].word, text, len) == 0) {
			*ret = words[i].meaning;
			return true;
		}
	}
	return false;
}

static int refuse(
	struct startup_refusal *refusal, int err, const char *sqlstate, const char *message)
{
	refusal->sqlstate = sqlstate;
	snprintf(refusal->message, sizeof refusal->message, "%s", message);
	return err;
}

bool startup_parameter_next(const struct startup *s, size_t *at, struct startup_parameter *ret)
{
	const char *name = (const char *)s->parameters + *at;
	const char *value;

	CHECK(s->kind == STARTUP_SESSION && *at <= s->parameters_len);
	if (*at == s->parameters_len)
		return false;
	value = name + strlen(name) + 1;
	ret->name = name;
	ret->value = value;
	*at += (size_t)(value - name) + strlen(value) + 1;
	return true;
}

enum startup_parameter_kind startup_parameter_kind(const char *name)
{
	if (strcmp(name, "user") == 0)
		return STARTUP_PARAMETER_USER;
	if (strcmp(name, "database") == 0)
		return STARTUP_PARAMETER_DATABASE;
	if (strcmp(name, "options") == 0)
		return STARTUP_PARAMETER_OPTIONS;
	if (strcmp(name, "replication") == 0)
		return STARTUP_PARAMETER_REPLICATION;
	if (strncmp(name, PROTOCOL_OPTION_PREFIX, sizeof PROTOCOL_OPTION_PREFIX - 1) == 0)
		return STARTUP_PARAMETER_PROTOCOL;
	return STARTUP_PARAMETER_SETTING;
}

void startup_options_init(struct startup_options *it, const char *options, char *buf, size_t cap)
{
	CHECK(cap > strlen(options));
	it->at = options;
	it->word = buf;
	it->end = buf + cap;
}

int startup_options_next(struct startup_options *it, struct startup_option *ret)
{
	char *word, *setting;

	if (!next_word(it, &word))
		return 0;

	ret->name = word;
	ret->value = NULL;
	if (strncmp(word, "--", 2) == 0 && word[2] != '\0') {
		setting = word + 2;
	} else if (strncmp(word, "-c", 2) == 0) {
		setting = word + 2;
		if (*setting == '\0' && !next_word(it, &setting))
			return ERR_INVALID;
	} else {
		return ERR_UNSUPPORTED;
	}
	ret->name = setting;
	return split_setting(setting, ret) ? 1 : ERR_INVALID;
}

/* The white space of the C locale: what a peer sends must not depend on ours. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Unescapes the next word into the buffer. A word, its NUL included, takes no more bytes there than it and what ends it take in
 * the parameter, so the buffer suffices. */
static bool next_word(struct startup_options *it, char **ret_word)
{
	const char *at = it->at;
	char *out = it->word;

	while (is_space(*at))
		at++;
	if (*at == '\0') {
		it->at = at;
		return false;
	}
	*ret_word = out;
	for (; *at != '\0' && !is_space(*at); at++) {
		if (*at == '\\') {
			at++;
			if (*at == '\0')
				break; /* a backslash at the very end stands for nothing */
		}
		CHECK(out < it->end);
		*out++ = *at;
	}
	CHECK(out < it->end);
	*out++ = '\0';
	it->word = out;
	it->at = at;
	return true;
}

/* Splits `name=value` in place. */
static bool split_setting(char *setting, struct startup_option *ret)
{
	char *equals = strchr(setting, '=');

	if (equals == NULL || equals == setting)
		return false;
	*equals = '\0';
	for (char *at = setting; *at != '\0'; at++) {
		if (*at == '-')
			*at = '_';
	}
	ret->name = setting;
	ret->value = equals + 1;
	return true;
}

void startup_write_session(
	struct writer *w, uint16_t minor, const struct startup_parameter *parameters, size_t count)
{
	writer_begin(w, 0);
	writer_u32(w, CODE(STARTUP_MAJOR, minor));
	for (size_t i = 0; i < count; i++) {
		writer_string(w, parameters[i].name);
		writer_string(w, parameters[i].value);
	}
	writer_u8(w, 0);
	writer_finish(w);
}

void startup_write_ssl_request(struct writer *w)
{
	writer_begin(w, 0);
	writer_u32(w, CODE_SSL);
	writer_finish(w);
}

void startup_write_cancel(struct writer *w, uint32_t pid, const uint8_t *key, size_t key_len)
{
	CHECK(key_len >= STARTUP_KEY_MIN && key_len <= STARTUP_KEY_MAX);
	writer_begin(w, 0);
	writer_u32(w, CODE_CANCEL);
	writer_u32(w, pid);
	writer_bytes(w, key, key_len);
	writer_finish(w);
}
