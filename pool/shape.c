/* The table of shapes, and how descriptions become one. */
#include "pool/shape.h"

#include "core/check.h"
#include "protocol/reader.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading descriptions ---- */

void shape_draft_clear(struct shape_draft *draft)
{
	free(draft->types);
	*draft = (struct shape_draft){0};
}

void shape_draft_types(struct shape_draft *draft, const uint8_t *body, size_t len)
{
	struct reader reader;
	uint16_t count;

	shape_draft_clear(draft);
	reader_init(&reader, body, len);
	count = reader_u16(&reader);
	if (reader.bad || reader_left(&reader) != 4u * count)
		return;
	draft->has_types = true;
	if (count == 0)
		return;
	draft->types = malloc(4u * count);
	CHECK(draft->types);
	memcpy(draft->types, reader_bytes(&reader, 4u * count), 4u * count);
	draft->type_count = count;
}

/* Writes what counts of a column: its name, type and modifier; not its table, its number there, and its format. */
static size_t shape_write_column(struct reader *reader, uint8_t *target)
{
	const char *name = reader_cstring(reader);
	const uint8_t *fixed = reader_bytes(reader, 18);
	size_t len;

	if (!name || !fixed)
		return 0;
	len = strlen(name) + 1;
	memcpy(target, name, len);
	memcpy(target + len, fixed + 6, 4);
	memcpy(target + len + 4, fixed + 12, 4);
	return len + 8;
}

uint64_t shape_draft_hash(const struct shape_draft *draft, const uint8_t key[HASH_KEY_BYTES],
	const uint8_t *body, size_t len)
{
	size_t types = 4u * draft->type_count, at = 3 + types;
	uint8_t *bytes;
	struct reader reader;
	struct hash hash;

	if (!draft->has_types)
		return 0;
	bytes = malloc(at + len);
	CHECK(bytes);
	bytes[0] = (uint8_t)(draft->type_count >> 8);
	bytes[1] = (uint8_t)draft->type_count;
	bytes[2] = body != NULL;
	if (types > 0)
		memcpy(bytes + 3, draft->types, types);
	reader_init(&reader, body, len);
	if (body)
		for (unsigned n = reader_u16(&reader); n > 0 && !reader.bad; n--)
			at += shape_write_column(&reader, bytes + at);
	hash = hash_keyed(key, bytes, at);
	free(bytes);
	if (!reader_done(&reader))
		return 0;
	return hash.a ? hash.a : 1;
}

/* ---- the table ---- */

static size_t shape_size(const struct shape *shape)
{
	return sizeof *shape + 4u * shape->type_count;
}

struct shape *shape_hold(struct shape *shape)
{
	shape->users++;
	return shape;
}

struct shape *shape_share(
	struct shapes *shapes, uint64_t hash, bool has_rows, const struct shape_draft *draft)
{
	struct table_link *link = table_find(&shapes->table, hash);
	struct shape *shape;

	if (link)
		return shape_hold(container_of(link, struct shape, link));
	shape = malloc(sizeof *shape + 4u * draft->type_count);
	CHECK(shape);
	shape->users = 1;
	shape->type_count = draft->type_count;
	shape->has_rows = has_rows;
	if (draft->type_count > 0)
		memcpy(shape->types, draft->types, 4u * draft->type_count);
	table_add(&shapes->table, &shape->link, hash);
	shapes->bytes += shape_size(shape);
	return shape;
}

void shape_drop(struct shapes *shapes, struct shape *shape)
{
	if (!shape)
		return;
	CHECK(shape->users > 0);
	if (--shape->users > 0)
		return;
	table_remove(&shapes->table, &shape->link);
	shapes->bytes -= shape_size(shape);
	free(shape);
}

void shapes_free(struct shapes *shapes)
{
	table_free(&shapes->table);
	CHECK(shapes->bytes == 0);
}

uint64_t shapes_bytes(const struct shapes *shapes)
{
	return shapes->bytes + table_bytes(&shapes->table);
}
