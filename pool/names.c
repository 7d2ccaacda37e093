/* A client's names: a chained table that grows. */
#include "pool/names.h"

#include "core/check.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_PLACES = 4 }; /* at first */

const struct names names_none;

void names_own(struct names **names)
{
	if (likely(*names != &names_none))
		return;
	*names = calloc(1, sizeof **names);
	CHECK(*names);
}

void names_disown(struct names **names, struct statements *statements)
{
	if (!*names || *names == &names_none)
		return;
	names_clear(*names, statements);
	free(*names);
	*names = (struct names *)(uintptr_t)&names_none;
}

/* FNV-1a: who steers it slows down only the own session. */
static uint32_t names_hash(const char *text, size_t len)
{
	uint32_t hash = 0x811c9dc5;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x01000193;
	return hash;
}

static size_t names_cut(size_t len)
{
	return len < NAME_BYTES ? len : NAME_BYTES;
}

struct name *names_find(const struct names *names, const char *text, size_t len)
{
	uint32_t hash;
	struct name *name;

	if (names->count == 0)
		return NULL;
	len = names_cut(len);
	hash = names_hash(text, len);
	for (name = names->places[hash & (names->place_count - 1)]; name; name = name->next)
		if (name->hash == hash && name->len == len && !name->is_closing &&
			memcmp(name->text, text, len) == 0)
			return name;
	return NULL;
}

static void names_grow(struct names *names)
{
	uint32_t old_count = names->place_count;
	struct name **old = names->places;

	names->place_count = old_count ? 2 * old_count : NAMES_PLACES;
	names->places = calloc(names->place_count, sizeof(struct name *));
	CHECK(names->places);
	for (uint32_t i = 0; i < old_count; i++) {
		while (old[i]) {
			struct name *name = old[i], **place;

			old[i] = name->next;
			place = &names->places[name->hash & (names->place_count - 1)];
			name->next = *place;
			*place = name;
		}
	}
	free(old);
}

struct name *names_add(
	struct names *names, const char *text, size_t len, struct statement *statement)
{
	struct name *name, **place;

	len = names_cut(len);
	if (names->count >= names->place_count)
		names_grow(names);
	name = malloc(sizeof *name + len);
	CHECK(name);
	name->statement = statement;
	name->shape = NULL;
	name->parsed_ns = 0;
	name->hash = names_hash(text, len);
	name->serial = ++names->serial;
	name->batch = 0;
	name->is_closing = false;
	name->len = (uint8_t)len;
	memcpy(name->text, text, len);
	place = &names->places[name->hash & (names->place_count - 1)];
	name->next = *place;
	*place = name;
	names->count++;
	names->bytes += statement->len + sizeof *name + len;
	return name;
}

struct name *names_find_serial(const struct names *names, uint32_t hash, uint32_t serial)
{
	struct name *name;

	if (names->count == 0)
		return NULL;
	for (name = names->places[hash & (names->place_count - 1)]; name; name = name->next)
		if (name->serial == serial)
			return name;
	return NULL;
}

bool names_is_uncertain(const struct names *names, const char *text, size_t len, uint32_t batch)
{
	uint32_t hash;

	if (names->count == 0)
		return false;
	len = names_cut(len);
	hash = names_hash(text, len);
	for (const struct name *name = names->places[hash & (names->place_count - 1)]; name;
		name = name->next)
		if (name->hash == hash && name->len == len && memcmp(name->text, text, len) == 0 &&
			name->batch != 0 && name->batch != batch)
			return true;
	return false;
}

struct name *names_find_key(const struct names *names, struct hash key)
{
	for (uint32_t i = 0; i < names->place_count; i++)
		for (struct name *name = names->places[i]; name; name = name->next)
			if (hash_equal(name->statement->key, key))
				return name;
	for (struct name *name = names->removed; name; name = name->next)
		if (hash_equal(name->statement->key, key))
			return name;
	return NULL;
}

void names_remove(struct names *names, struct name *name)
{
	struct name **at = &names->places[name->hash & (names->place_count - 1)];

	while (*at != name)
		at = &(*at)->next;
	*at = name->next;
	names->count--;
	names->bytes -= name->statement->len + sizeof *name + name->len;
	name->next = names->removed;
	names->removed = name;
}

void names_bury(struct names *names, struct statements *statements)
{
	struct name *name;

	while ((name = names->removed)) {
		names->removed = name->next;
		statement_drop(statements, name->statement);
		shape_drop(&statements->shapes, name->shape);
		free(name);
	}
}

void names_replace(struct names *names, struct statements *statements, struct name *name,
	struct statement *statement)
{
	names->bytes += statement->len;
	names->bytes -= name->statement->len;
	statement_drop(statements, name->statement);
	name->statement = statement;
}

struct statement *names_change_unnamed(
	struct names *names, struct statements *statements, struct statement *statement)
{
	struct statement *before = names->unnamed;

	shape_drop(&statements->shapes, names->unnamed_shape);
	names->unnamed_shape = NULL;
	names->unnamed = statement;
	names->unnamed_serial++;
	return before;
}

void names_restore_unnamed(
	struct names *names, struct statements *statements, struct statement *statement)
{
	statement_drop(statements, names_change_unnamed(names, statements, statement));
	names->unnamed_serial -= 2; /* as it was before that change, which may be undone as well */
	names->unnamed_batch = 0;
}

void names_set_unnamed(
	struct names *names, struct statements *statements, struct statement *statement)
{
	if (!statement && !names->unnamed)
		return;
	statement_drop(statements, names_change_unnamed(names, statements, statement));
}

void names_clear_before(struct names *names, uint32_t serial)
{
	for (uint32_t i = 0; i < names->place_count; i++) {
		struct name *name = names->places[i], *next;

		for (; name; name = next) {
			next = name->next;
			if (name->serial < serial)
				names_remove(names, name);
		}
	}
}

void names_clear(struct names *names, struct statements *statements)
{
	uint32_t serial = names->serial;

	for (uint32_t i = 0; i < names->place_count; i++)
		while (names->places[i])
			names_remove(names, names->places[i]);
	names_bury(names, statements);
	names_set_unnamed(names, statements, NULL);
	free(names->places);
	*names = (struct names){.serial = serial};
}
