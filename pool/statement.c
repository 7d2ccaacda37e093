/* The table of texts, and a list of those that have no users at present. */
#include "pool/statement.h"

#include "core/check.h"
#include "core/limits.h"

#include <stdlib.h>
#include <string.h>

enum {
	STATEMENTS_UNUSED = 1024,           /* kept, in case that somebody prepares them again */
	STATEMENTS_UNUSED_BYTES = 1 << 20,  /* and how much of them */
	STATEMENTS_SCRATCH_KEPT = 64 * 1024 /* a larger one is given back when the next is wanted */
};

const char statement_name_prefix[STATEMENT_NAME_PREFIX + 1] = "pgring_";

void statements_init(struct statements *statements, const uint8_t key[HASH_KEY_BYTES])
{
	memset(statements, 0, sizeof *statements);
	memcpy(statements->key, key, HASH_KEY_BYTES);
	list_init(&statements->unused);
}

static void statement_free(struct statements *statements, struct statement *statement)
{
	table_remove(&statements->table, &statement->link);
	list_remove(&statement->unused);
	statements->unused_count--;
	statements->unused_bytes -= statement->len;
	statements->bytes -= statement->len;
	free(statement);
}

void statements_free(struct statements *statements)
{
	struct list *first;

	while ((first = list_first(&statements->unused)))
		statement_free(statements, container_of(first, struct statement, unused));
	table_free(&statements->table);
	shapes_free(&statements->shapes);
	free(statements->scratch);
	memset(statements, 0, sizeof *statements);
}

/* The context is part of the key: it is mixed into the key of the hash. */
static struct hash statement_key(
	const struct statements *statements, uint64_t context, const void *body, size_t len)
{
	uint8_t key[HASH_KEY_BYTES];

	memcpy(key, statements->key, sizeof key);
	for (unsigned i = 0; i < 8; i++)
		key[i] ^= (uint8_t)(context >> (8 * i));
	return hash_keyed(key, body, len);
}

void statement_hold(struct statements *statements, struct statement *statement)
{
	if (statement->users++ > 0)
		return;
	list_remove(&statement->unused);
	statements->unused_count--;
	statements->unused_bytes -= statement->len;
}

struct statement *statement_share(
	struct statements *statements, uint64_t context, const void *body, size_t len)
{
	struct hash key = statement_key(statements, context, body, len);
	struct statement *statement;

	table_each(link, &statements->table, key.a) {
		statement = container_of(link, struct statement, link);
		if (!hash_equal(statement->key, key))
			continue;
		if (statement->context != context || statement->len != len ||
			memcmp(statement->body, body, len) != 0)
			return NULL; /* two of one key cannot be told apart by the server */
		statement_hold(statements, statement);
		return statement;
	}
	if (statements->bytes + len > LIMIT_STATEMENTS_BYTES)
		return NULL;
	statement = malloc(sizeof *statement + len);
	CHECK(statement);
	statement->key = key;
	statement->context = context;
	statement->users = 1;
	statement->len = (uint32_t)len;
	statement->traces = 0;
	statement->is_scanned = statement->executes = false;
	memcpy(statement->body, body, len);
	list_init(&statement->unused);
	table_add(&statements->table, &statement->link, key.a);
	statements->bytes += len;
	return statement;
}

struct statement *statement_share_pieces(struct statements *statements, uint64_t context,
	const struct statement_piece *pieces, size_t count)
{
	struct statement *statement;
	size_t len = 0, at = 0;
	uint8_t *body;

	for (size_t i = 0; i < count; i++)
		len += pieces[i].len;
	body = malloc(len);
	CHECK(body);
	for (size_t i = 0; i < count; at += pieces[i++].len)
		memcpy(body + at, pieces[i].bytes, pieces[i].len);
	statement = statement_share(statements, context, body, len);
	free(body);
	return statement;
}

void statement_drop(struct statements *statements, struct statement *statement)
{
	if (!statement)
		return;
	CHECK(statement->users > 0);
	if (--statement->users > 0)
		return;
	list_push_back(&statements->unused, &statement->unused);
	statements->unused_count++;
	statements->unused_bytes += statement->len;
	while (statements->unused_count > STATEMENTS_UNUSED ||
		statements->unused_bytes > STATEMENTS_UNUSED_BYTES)
		statement_free(statements,
			container_of(list_first(&statements->unused), struct statement, unused));
}

static void statement_digits(uint64_t value, char *ret)
{
	for (int i = 15; i >= 0; i--, value >>= 4)
		ret[i] = "0123456789abcdef"[value & 15];
}

void statement_name(struct hash key, char ret_name[STATEMENT_NAME_BYTES])
{
	memcpy(ret_name, statement_name_prefix, STATEMENT_NAME_PREFIX);
	statement_digits(key.a, ret_name + STATEMENT_NAME_PREFIX);
	statement_digits(key.b, ret_name + STATEMENT_NAME_PREFIX + 16);
	ret_name[STATEMENT_NAME_BYTES - 1] = '\0';
}

static bool statement_read_digits(const char *at, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (at[i] >= '0' && at[i] <= '9')
			value = value << 4 | (uint64_t)(at[i] - '0');
		else if (at[i] >= 'a' && at[i] <= 'f')
			value = value << 4 | (uint64_t)(at[i] - 'a' + 10);
		else
			return false;
	}
	*ret = value;
	return true;
}

bool statement_name_find(const char *text, struct hash *ret_key)
{
	const char *at = text;
	struct hash key;

	while ((at = strstr(at, statement_name_prefix))) {
		at += STATEMENT_NAME_PREFIX;
		if (statement_read_digits(at, &key.a) && statement_read_digits(at + 16, &key.b)) {
			*ret_key = key;
			return true;
		}
	}
	return false;
}

uint64_t statements_bytes(const struct statements *statements)
{
	return statements->bytes + statements->table.count * sizeof(struct statement) +
		table_bytes(&statements->table) + statements->scratch_size +
		shapes_bytes(&statements->shapes);
}

uint8_t *statements_scratch(struct statements *statements, size_t len)
{
	if (statements->scratch_size >= len &&
		(statements->scratch_size <= STATEMENTS_SCRATCH_KEPT ||
			len > STATEMENTS_SCRATCH_KEPT))
		return statements->scratch;
	free(statements->scratch);
	statements->scratch_size = len < 4096 ? 4096 : len;
	statements->scratch = malloc(statements->scratch_size);
	CHECK(statements->scratch);
	return statements->scratch;
}
