/* PasswordMessage, SASLInitialResponse, SASLResponse. */
#include "protocol/password_message.h"

#include "core/errors.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

int password_message_read(const void *body, size_t len, const char **ret_password, size_t *ret_len)
{
	const char *password;
	struct reader r;

	reader_init(&r, body, len);
	password = reader_cstring(&r);
	if (!reader_done(&r) || len > PASSWORD_MESSAGE_CLEARTEXT_MAX)
		return ERR_PROTOCOL;
	if (len == 1)
		return ERR_AUTH;
	*ret_password = password;
	*ret_len = len - 1;
	return 0;
}

int password_message_read_sasl_initial(
	const void *body, size_t len, struct password_message_sasl *ret)
{
	struct password_message_sasl message = {0};
	struct reader r;
	int32_t data_len;

	reader_init(&r, body, len);
	message.mechanism = reader_cstring(&r);
	data_len = reader_i32(&r);
	if (data_len >= 0) {
		message.data = reader_bytes(&r, (size_t)data_len);
		message.data_len = (size_t)data_len;
	}
	if (!reader_done(&r) || data_len < -1 || len > PASSWORD_MESSAGE_SASL_MAX)
		return ERR_PROTOCOL;
	*ret = message;
	return 0;
}

int password_message_read_sasl(
	const void *body, size_t len, const uint8_t **ret_data, size_t *ret_len)
{
	if (len > PASSWORD_MESSAGE_SASL_MAX)
		return ERR_PROTOCOL;
	*ret_data = body;
	*ret_len = len;
	return 0;
}

void password_message_write(struct writer *w, const char *password)
{
	writer_begin(w, 'p');
	writer_string(w, password);
	writer_finish(w);
}

void password_message_write_sasl_initial(
	struct writer *w, const char *mechanism, const void *data, size_t len)
{
	CHECK(len <= INT32_MAX);
	writer_begin(w, 'p');
	writer_string(w, mechanism);
	writer_u32(w, (uint32_t)len);
	writer_bytes(w, data, len);
	writer_finish(w);
}

void password_message_write_sasl(struct writer *w, const void *data, size_t len)
{
	writer_begin(w, 'p');
	writer_bytes(w, data, len);
	writer_finish(w);
}
