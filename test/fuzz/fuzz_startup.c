/* Everything that is read before a session runs: start-up packets and their options, greetings, requests for authentication and the
 * answers to them. The first byte chooses. What a client sent and was accepted must survive being written again. */
#include "core/check.h"
#include "protocol/auth_request.h"
#include "protocol/greeting.h"
#include "protocol/password_message.h"
#include "protocol/startup.h"
#include "protocol/writer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_options(const char *options)
{
	size_t cap = strlen(options) + 1, words = 0;
	char *buf = malloc(cap);
	struct startup_options it;
	struct startup_option option;
	int rc;

	startup_options_init(&it, options, buf, cap);
	while ((rc = startup_options_next(&it, &option)) != 0) {
		CHECK(++words <= cap); /* it ends */
		CHECK(strlen(option.name) < cap);
		CHECK(rc < 0 || (strlen(option.name) > 0 && strlen(option.value) < cap));
		CHECK(rc < 0 || strchr(option.name, '-') == NULL);
	}
	free(buf);
}

/* Writes the session packet again and compares what is read from it. */
static void rewrite(const struct startup *s)
{
	static uint8_t buf[STARTUP_LENGTH_BYTES + STARTUP_BODY_MAX];
	static struct startup_parameter list[STARTUP_BODY_MAX / 3 + 1];
	struct startup_refusal refusal;
	struct startup again;
	struct writer w;
	size_t at = 0, count = 0;

	while (startup_parameter_next(s, &at, &list[count]))
		CHECK(++count < array_len(list));
	writer_init(&w, buf, sizeof buf);
	startup_write_session(&w, s->minor, list, count);
	CHECK(startup_length(buf) == (int)(writer_len(&w) - STARTUP_LENGTH_BYTES));
	CHECK(startup_parse(buf + STARTUP_LENGTH_BYTES, writer_len(&w) - STARTUP_LENGTH_BYTES,
		      &again, &refusal) == 0);
	CHECK(again.minor == s->minor && again.replication == s->replication);
	CHECK(strcmp(again.user, s->user) == 0 && strcmp(again.database, s->database) == 0);
	CHECK(again.parameters_len == s->parameters_len);
	CHECK(memcmp(again.parameters, s->parameters, s->parameters_len) == 0);
}

static void negotiate(const struct startup *s)
{
	static uint8_t buf[STARTUP_BODY_MAX + 64];
	struct greeting_negotiate n;
	struct writer w;

	writer_init(&w, buf, sizeof buf);
	greeting_write_negotiate(&w, s);
	CHECK(greeting_read_negotiate(buf + 5, writer_len(&w) - 5, &n) == 0);
	CHECK(n.count == s->protocol_options && n.minor == s->minor_agreed);
}

static void read_startup(const uint8_t *data, size_t size)
{
	struct startup_refusal refusal;
	struct startup s;

	if (startup_parse(data, size, &s, &refusal) < 0) {
		CHECK(strlen(refusal.sqlstate) == 5 && refusal.message[0] != '\0');
		return;
	}
	if (s.kind == STARTUP_CANCEL)
		CHECK(s.key_len >= STARTUP_KEY_MIN && s.key_len <= STARTUP_KEY_MAX);
	if (s.kind != STARTUP_SESSION)
		return;
	CHECK(s.user[0] != '\0' && s.database[0] != '\0');
	rewrite(&s);
	negotiate(&s);
	if (s.options != NULL)
		walk_options(s.options);
}

static void read_text_options(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	walk_options(text);
	free(text);
}

static void read_greeting(const uint8_t *data, size_t size)
{
	struct greeting_negotiate n;
	struct greeting_key key;
	const char *name, *value;
	char status;

	if (greeting_read_negotiate(data, size, &n) == 0) {
		for (uint32_t i = 0; i < n.count; i++)
			CHECK(reader_cstring(&n.names) != NULL);
		CHECK(reader_done(&n.names));
	}
	if (greeting_read_key(data, size, &key) == 0)
		CHECK(key.key_len + 4 == size);
	if (greeting_read_parameter(data, size, &name, &value) == 0)
		CHECK(strlen(name) + strlen(value) + 2 == size);
	if (greeting_read_ready(data, size, &status) == 0)
		CHECK(size == 1);
}

static void read_authentication(const uint8_t *data, size_t size)
{
	struct password_message_sasl sasl;
	struct auth_request request;
	const char *password;
	const uint8_t *response;
	size_t len;

	if (auth_request_parse(data, size, &request) == 0 && request.data != NULL)
		CHECK(request.data_len + 4 == size);
	if (password_message_read(data, size, &password, &len) == 0)
		CHECK(len > 0 && strlen(password) == len && len + 1 == size);
	if (password_message_read_sasl_initial(data, size, &sasl) == 0)
		CHECK(strlen(sasl.mechanism) + 1 + 4 + sasl.data_len == size);
	if (password_message_read_sasl(data, size, &response, &len) == 0)
		CHECK(len == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] & 3) {
	case 0:
		read_startup(data + 1, size - 1);
		break;
	case 1:
		read_text_options(data + 1, size - 1);
		break;
	case 2:
		read_greeting(data + 1, size - 1);
		break;
	default:
		read_authentication(data + 1, size - 1);
	}
	return 0;
}
