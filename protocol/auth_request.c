/* The Authentication messages. */
#include "protocol/auth_request.h"

#include "core/errors.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

#include <string.h>

/* The list ends with an empty name. */
static void read_mechanisms(struct reader *r, struct auth_request *ret)
{
	const char *name;

	while ((name = reader_cstring(r)) != NULL && name[0] != '\0') {
		if (strcmp(name, AUTH_REQUEST_SCRAM_SHA_256) == 0)
			ret->offers_scram = true;
		else if (strcmp(name, AUTH_REQUEST_SCRAM_SHA_256_PLUS) == 0)
			ret->offers_scram_plus = true;
	}
}

int auth_request_parse(const void *body, size_t len, struct auth_request *ret)
{
	struct auth_request request = {0};
	const uint8_t *salt;
	struct reader r;

	reader_init(&r, body, len);
	request.kind = (enum auth_request_kind)reader_u32(&r);
	if (r.bad)
		return ERR_PROTOCOL;

	switch (request.kind) {
	case AUTH_REQUEST_OK:
	case AUTH_REQUEST_KERBEROS:
	case AUTH_REQUEST_CLEARTEXT:
	case AUTH_REQUEST_GSS:
	case AUTH_REQUEST_SSPI:
		break;
	case AUTH_REQUEST_MD5:
		salt = reader_bytes(&r, sizeof request.salt);
		if (salt != NULL)
			memcpy(request.salt, salt, sizeof request.salt);
		break;
	case AUTH_REQUEST_SASL:
		read_mechanisms(&r, &request);
		break;
	case AUTH_REQUEST_SASL_CONTINUE:
	case AUTH_REQUEST_SASL_FINAL:
	case AUTH_REQUEST_GSS_CONTINUE:
		request.data_len = reader_left(&r);
		request.data = reader_bytes(&r, request.data_len);
		break;
	default:
		return ERR_UNSUPPORTED;
	}
	if (!reader_done(&r))
		return ERR_PROTOCOL;
	*ret = request;
	return 0;
}

static void begin(struct writer *w, enum auth_request_kind kind)
{
	writer_begin(w, 'R');
	writer_u32(w, (uint32_t)kind);
}

void auth_request_write_ok(struct writer *w)
{
	begin(w, AUTH_REQUEST_OK);
	writer_finish(w);
}

void auth_request_write_cleartext(struct writer *w)
{
	begin(w, AUTH_REQUEST_CLEARTEXT);
	writer_finish(w);
}

void auth_request_write_md5(struct writer *w, const uint8_t salt[AUTH_REQUEST_SALT_BYTES])
{
	begin(w, AUTH_REQUEST_MD5);
	writer_bytes(w, salt, AUTH_REQUEST_SALT_BYTES);
	writer_finish(w);
}

void auth_request_write_sasl(struct writer *w, const char *const *mechanisms, size_t count)
{
	begin(w, AUTH_REQUEST_SASL);
	for (size_t i = 0; i < count; i++)
		writer_string(w, mechanisms[i]);
	writer_u8(w, 0);
	writer_finish(w);
}

void auth_request_write_sasl_continue(struct writer *w, const void *data, size_t len)
{
	begin(w, AUTH_REQUEST_SASL_CONTINUE);
	writer_bytes(w, data, len);
	writer_finish(w);
}

void auth_request_write_sasl_final(struct writer *w, const void *data, size_t len)
{
	begin(w, AUTH_REQUEST_SASL_FINAL);
	writer_bytes(w, data, len);
	writer_finish(w);
}
