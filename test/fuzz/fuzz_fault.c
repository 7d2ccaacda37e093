/* ErrorResponse: what a server may send is read without harm, and what is read can be said again in a buffer of any size. */
#include "protocol/fault.h"

#include "protocol/sqlstate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether `text` is a beginning of `whole`. */
static bool begins(const char *text, const char *whole)
{
	return strncmp(text, whole, strlen(text)) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault_fields fields, again;
	struct fault fault;
	size_t cap, len;
	uint8_t *buf;

	if (size == 0 || fault_read(data + 1, size - 1, &fields) < 0)
		return 0;
	CHECK(sqlstate_is_valid(fields.sqlstate));

	fault = (struct fault){
		fields.severity, fields.sqlstate, fields.message, fields.detail, fields.hint};
	cap = FAULT_BYTES_MIN + data[0] * 4u;
	buf = malloc(cap);
	len = fault_write(buf, cap, 'E', &fault);
	CHECK(len <= cap);
	CHECK(fault_read(buf + 5, len - 5, &again) == 0);
	CHECK(strcmp(again.sqlstate, fields.sqlstate) == 0);
	CHECK(begins(again.severity, fields.severity) && begins(again.message, fields.message));
	CHECK(again.detail == NULL || begins(again.detail, fields.detail));
	CHECK(again.hint == NULL || begins(again.hint, fields.hint));
	free(buf);
	return 0;
}
