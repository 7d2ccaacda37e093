/* NegotiateProtocolVersion, BackendKeyData, ParameterStatus, ReadyForQuery. */
#include "protocol/greeting.h"

#include "core/errors.h"
#include "protocol/startup.h"
#include "protocol/writer.h"

bool greeting_must_negotiate(const struct startup *s)
{
	return s->minor > s->minor_agreed || s->protocol_options > 0;
}

void greeting_write_negotiate(struct writer *w, const struct startup *s)
{
	struct startup_parameter p;
	size_t at = 0;

	writer_begin(w, 'v');
	writer_u32(w, (uint32_t)STARTUP_MAJOR << 16 | s->minor_agreed);
	writer_u32(w, s->protocol_options);
	while (startup_parameter_next(s, &at, &p)) {
		if (startup_parameter_kind(p.name) == STARTUP_PARAMETER_PROTOCOL)
			writer_string(w, p.name);
	}
	writer_finish(w);
}

void greeting_write_key(struct writer *w, uint32_t pid, const uint8_t *key, size_t key_len)
{
	CHECK(key_len >= STARTUP_KEY_MIN && key_len <= STARTUP_KEY_MAX);
	writer_begin(w, 'K');
	writer_u32(w, pid);
	writer_bytes(w, key, key_len);
	writer_finish(w);
}

void greeting_write_parameter(struct writer *w, const char *name, const char *value)
{
	writer_begin(w, 'S');
	writer_string(w, name);
	writer_string(w, value);
	writer_finish(w);
}

static bool is_status(char status)
{
	return status == 'I' || status == 'T' || status == 'E';
}

void greeting_write_ready(struct writer *w, char status)
{
	CHECK(is_status(status));
	writer_begin(w, 'Z');
	writer_u8(w, (uint8_t)status);
	writer_finish(w);
}

int greeting_read_negotiate(const void *body, size_t len, struct greeting_negotiate *ret)
{
	struct greeting_negotiate n;
	struct reader r;
	uint32_t version;

	reader_init(&r, body, len);
	version = reader_u32(&r);
	n.minor = (uint16_t)version;
	n.count = reader_u32(&r);
	n.names = r;
	/* every name has at least its NUL, so a count that lies ends the loop soon */
	for (uint32_t i = 0; i < n.count && !r.bad; i++)
		reader_cstring(&r);
	if (!reader_done(&r) || (version >> 16 != STARTUP_MAJOR && version >> 16 != 0))
		return ERR_PROTOCOL;
	*ret = n;
	return 0;
}

int greeting_read_key(const void *body, size_t len, struct greeting_key *ret)
{
	struct greeting_key k;
	struct reader r;

	reader_init(&r, body, len);
	k.pid = reader_u32(&r);
	k.key_len = reader_left(&r);
	if (k.key_len < STARTUP_KEY_MIN || k.key_len > STARTUP_KEY_MAX)
		return ERR_PROTOCOL;
	k.key = reader_bytes(&r, k.key_len);
	*ret = k;
	return 0;
}

int greeting_read_parameter(
	const void *body, size_t len, const char **ret_name, const char **ret_value)
{
	const char *name, *value;
	struct reader r;

	reader_init(&r, body, len);
	name = reader_cstring(&r);
	value = reader_cstring(&r);
	if (!reader_done(&r))
		return ERR_PROTOCOL;
	*ret_name = name;
	*ret_value = value;
	return 0;
}

int greeting_read_ready(const void *body, size_t len, char *ret_status)
{
	struct reader r;
	char status;

	reader_init(&r, body, len);
	status = (char)reader_u8(&r);
	if (!reader_done(&r) || !is_status(status))
		return ERR_PROTOCOL;
	*ret_status = status;
	return 0;
}
