/* Statements of pgring's own, piece by piece. */
#include "pool/sqltext.h"

#include "core/check.h"
#include "protocol/frame.h"

#include <stdlib.h>
#include <string.h>

void sqltext_init(struct sqltext *text)
{
	text->bytes = text->few;
	text->len = 0;
	text->size = sizeof text->few;
}

static void sqltext_add_bytes(struct sqltext *text, const char *bytes, size_t len)
{
	if (text->len + len > text->size) {
		char *old = text->bytes;

		text->size = 2 * (text->len + len);
		text->bytes = realloc(old == text->few ? NULL : old, text->size);
		CHECK(text->bytes);
		if (old == text->few)
			memcpy(text->bytes, old, text->len);
	}
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
}

void sqltext_add(struct sqltext *text, const char *string)
{
	sqltext_add_bytes(text, string, strlen(string));
}

/* E'...' means the same with and without standard_conforming_strings; and what is not ASCII is written as such, because in some
 * client encodings a quote or a backslash may be the second byte of a character. */
void sqltext_add_literal(struct sqltext *text, const char *value)
{
	sqltext_add(text, "E'");
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		char escaped[4] = {'\\', (char)('0' + (c >> 6)), (char)('0' + (c >> 3 & 7)),
			(char)('0' + (c & 7))};

		if (c >= 0x80) {
			sqltext_add_bytes(text, escaped, sizeof escaped);
			continue;
		}
		if (c == '\'' || c == '\\')
			sqltext_add_bytes(text, value, 1);
		sqltext_add_bytes(text, value, 1);
	}
	sqltext_add(text, "'");
}

void sqltext_add_identifier(struct sqltext *text, const char *name)
{
	sqltext_add(text, "\"");
	for (; *name; name++) {
		if (*name == '"')
			sqltext_add_bytes(text, name, 1);
		sqltext_add_bytes(text, name, 1);
	}
	sqltext_add(text, "\"");
}

void sqltext_add_quoted(struct sqltext *text, struct sqltext *other)
{
	sqltext_add_bytes(other, "", 1);
	sqltext_add_literal(text, other->bytes);
	sqltext_forget(other);
}

void sqltext_forget(struct sqltext *text)
{
	if (text->bytes != text->few)
		free(text->bytes);
}

void sqltext_send(struct core *core, struct chain *chain, struct sqltext *text)
{
	uint8_t head[FRAME_HEAD];

	sqltext_add_bytes(text, "", 1);
	frame_write(head, CLIENT_QUERY, (uint32_t)text->len);
	chain_copy(core, chain, head, sizeof head);
	chain_copy(core, chain, (const uint8_t *)text->bytes, text->len);
	sqltext_forget(text);
}
