/* SASLprep, in PostgreSQL's order of steps, with libidn's tables. */
#include "protocol/saslprep.h"

#include "core/errors.h"
#include "protocol/crypto.h"

#include <stringprep.h>

#include <stdbool.h>
#include <stdint.h>

enum { STEPS_MAX = 32 };

static bool is_ascii(const char *text, size_t len);
static int decode(const char *text, size_t len, uint32_t *ret_chars, size_t *ret_count);
static int prepare(uint32_t *chars, size_t *count);
static int encode(
	const uint32_t *chars, size_t count, struct saslprep_buffer *buffer, size_t *ret_len);

int saslprep(const char *password, size_t len, struct saslprep_buffer *buffer,
	const char **ret_text, size_t *ret_len)
{
	uint32_t chars[SASLPREP_CHARACTERS_MAX];
	size_t count, prepared_len;
	int rc;

	*ret_text = password;
	*ret_len = len;
	if (is_ascii(password, len))
		return 0;

	rc = decode(password, len, chars, &count);
	if (rc == 0)
		rc = prepare(chars, &count);
	if (rc == 0)
		rc = encode(chars, count, buffer, &prepared_len);
	crypto_wipe(chars, sizeof chars);

	if (rc == ERR_INVALID)
		return 0; /* prohibited: used as it is */
	if (rc < 0)
		return rc;
	*ret_text = buffer->text;
	*ret_len = prepared_len;
	return 0;
}

static bool is_ascii(const char *text, size_t len)
{
	unsigned char all = 0;

	for (size_t i = 0; i < len; i++)
		all |= (unsigned char)text[i];
	return all < 0x80;
}

/* Decodes the character at `at`, of which `left` bytes are there; returns its length in bytes, 0 if it is not valid UTF-8
 * (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF). */
static size_t decode_one(const unsigned char *at, size_t left, uint32_t *ret)
{
	static const uint32_t least[5] = {0, 1, 0x80, 0x800, 0x10000};
	size_t len = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
	uint32_t c = len == 1 ? at[0] : at[0] & (0x7Fu >> len);

	if (len > left || (at[0] >= 0x80 && at[0] < 0xC2) || at[0] > 0xF4)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (at[i] & 0x3F);
	}
	if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*ret = c;
	return len;
}

static int decode(const char *text, size_t len, uint32_t *ret_chars, size_t *ret_count)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t count = 0;

	for (size_t left = len; left > 0; count++) {
		uint32_t c;
		size_t used = decode_one(at, left, &c);

		if (used == 0)
			return ERR_INVALID;
		if (count < SASLPREP_CHARACTERS_MAX)
			ret_chars[count] = c;
		at += used;
		left -= used;
	}
	*ret_count = count;
	/* libidn wants room for one more; said only now, because invalid text has no limit */
	return count < SASLPREP_CHARACTERS_MAX ? 0 : ERR_TOO_LONG;
}

/* libidn normalises by Unicode 3.2, as RFC 3454 wants it; PostgreSQL by a current Unicode. Between them the compatibility
 * mappings of these five characters were corrected (Unicode Corrigendum 4). */
static void correct(uint32_t *chars, size_t count)
{
	static const uint32_t corrections[][2] = {{0x2F868, 0x36FC}, {0x2F874, 0x5F53},
		{0x2F91F, 0x243AB}, {0x2F95F, 0x7AEE}, {0x2F9BF, 0x45D7}};

	for (size_t i = 0; i < count; i++) {
		for (size_t c = 0; c < array_len(corrections); c++) {
			if (chars[i] == corrections[c][0])
				chars[i] = corrections[c][1];
		}
	}
}

/* libidn's profile maps, normalises, and then looks for what is prohibited. PostgreSQL looks before it normalises: take the
 * same steps and move the normalisation to the end. */
static int prepare(uint32_t *chars, size_t *count)
{
	Stringprep_profile steps[STEPS_MAX] = {0};
	const Stringprep_profile normalise = {.operation = STRINGPREP_NFKC};
	size_t n = 0;
	int rc;

	for (const Stringprep_profile *step = stringprep_saslprep; step->operation != 0; step++) {
		if (step->operation == STRINGPREP_NFKC)
			continue;
		CHECK(n < STEPS_MAX - 2);
		steps[n++] = *step;
	}
	steps[n] = normalise;

	correct(chars, *count);
	rc = stringprep_4i(chars, count, SASLPREP_CHARACTERS_MAX, STRINGPREP_NO_UNASSIGNED, steps);
	switch (rc) {
	case STRINGPREP_OK:
		return *count > 0 ? 0 : ERR_INVALID;
	case STRINGPREP_TOO_SMALL_BUFFER:
		return ERR_TOO_LONG;
	case STRINGPREP_NFKC_FAILED:
	case STRINGPREP_MALLOC_ERROR:
		return ERR_NO_MEMORY;
	default:
		return ERR_INVALID;
	}
}

static int encode(
	const uint32_t *chars, size_t count, struct saslprep_buffer *buffer, size_t *ret_len)
{
	size_t len = 0;

	CHECK(count <= SASLPREP_CHARACTERS_MAX); /* so it fits: at most four bytes each */
	for (size_t i = 0; i < count; i++) {
		uint32_t c = chars[i];

		if (c < 0x80) {
			buffer->text[len++] = (char)c;
			continue;
		}
		if (c < 0x800) {
			buffer->text[len++] = (char)(0xC0 | c >> 6);
		} else {
			if (c < 0x10000) {
				buffer->text[len++] = (char)(0xE0 | c >> 12);
			} else {
				buffer->text[len++] = (char)(0xF0 | c >> 18);
				buffer->text[len++] = (char)(0x80 | (c >> 12 & 0x3F));
			}
			buffer->text[len++] = (char)(0x80 | (c >> 6 & 0x3F));
		}
		buffer->text[len++] = (char)(0x80 | (c & 0x3F));
	}
	*ret_len = len;
	return 0;
}
