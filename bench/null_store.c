/* What one connection to the null server has prepared and bound. */
#include "bench/null_store.h"

#include "bench/child.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 64 };

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		child_fail("out of memory");
	return memory;
}

/* ---- prepared statements ---- */

static unsigned bucket_of(const char *name)
{
	unsigned hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash % BUCKETS;
}

void null_store_prepare(struct null_store *store, const char *name, const char *text)
{
	size_t name_len = strlen(name) + 1, text_len = strlen(text) + 1;
	struct null_prepared *prepared = allocate(sizeof *prepared + name_len + text_len);
	struct null_prepared **bucket;

	prepared->name = memcpy(prepared + 1, name, name_len);
	prepared->text = memcpy(prepared->name + name_len, text, text_len);
	statement_read(prepared->text, prepared->text + text_len - 1, &prepared->statement);
	if (!*name) {
		free(store->unnamed);
		store->unnamed = prepared;
		return;
	}
	if (!store->named)
		store->named = allocate(BUCKETS * sizeof(struct null_prepared *));
	bucket = &store->named[bucket_of(name)];
	prepared->next = *bucket;
	*bucket = prepared;
}

struct null_prepared *null_store_prepared(struct null_store *store, const char *name)
{
	struct null_prepared *prepared;

	if (!*name)
		return store->unnamed;
	if (!store->named)
		return NULL;
	for (prepared = store->named[bucket_of(name)]; prepared; prepared = prepared->next)
		if (strcmp(prepared->name, name) == 0)
			return prepared;
	return NULL;
}

static bool is_named(const struct null_prepared *prepared, struct statement_text name)
{
	return strlen(prepared->name) == name.len && memcmp(prepared->name, name.at, name.len) == 0;
}

void null_store_forget(struct null_store *store, struct statement_text name)
{
	for (unsigned bucket = 0; store->named && bucket < BUCKETS; bucket++) {
		struct null_prepared **link = &store->named[bucket];

		while (*link) {
			struct null_prepared *prepared = *link;

			if (name.len && !is_named(prepared, name)) {
				link = &prepared->next;
				continue;
			}
			*link = prepared->next;
			free(prepared);
		}
	}
}

void null_store_forget_unnamed(struct null_store *store)
{
	free(store->unnamed);
	store->unnamed = NULL;
}

/* ---- portals ---- */

static struct null_portal *new_portal(struct null_store *store, const char *name)
{
	struct null_portal *portal = &store->portal;

	if (*name) {
		portal = allocate(sizeof *portal);
		portal->name = memcpy(allocate(strlen(name) + 1), name, strlen(name) + 1);
		portal->next = store->portals;
		store->portals = portal;
	}
	portal->bound = true;
	wire_clear(&portal->bytes);
	return portal;
}

void null_store_bind(struct null_store *store, const char *name,
	const struct null_prepared *prepared, const struct statement_text *values, uint16_t count)
{
	struct null_portal *portal = new_portal(store, name);
	size_t room = strlen(prepared->text) + 1;
	const char *text;

	for (unsigned i = 0; i < count; i++)
		room += values[i].len;
	wire_reserve(&portal->bytes, room); /* nothing moves any more */
	text = (const char *)portal->bytes.bytes;
	wire_text(&portal->bytes, prepared->text);
	statement_read(text, text + portal->bytes.len - 1, &portal->statement);
	for (unsigned i = 0; i < count; i++) {
		portal->parameters[i] = values[i];
		if (!values[i].at)
			continue;
		portal->parameters[i].at = text + portal->bytes.len;
		wire_bytes(&portal->bytes, values[i].at, values[i].len);
	}
}

struct null_portal *null_store_portal(struct null_store *store, const char *name)
{
	struct null_portal *portal;

	if (!*name)
		return store->portal.bound ? &store->portal : NULL;
	for (portal = store->portals; portal; portal = portal->next)
		if (strcmp(portal->name, name) == 0)
			return portal;
	return NULL;
}

void null_store_drop_portal(struct null_store *store, const char *name)
{
	struct null_portal **link = &store->portals;

	if (!*name)
		store->portal.bound = false;
	for (; *name && *link; link = &(*link)->next) {
		struct null_portal *portal = *link;

		if (strcmp(portal->name, name) != 0)
			continue;
		*link = portal->next;
		wire_free(&portal->bytes);
		free(portal->name);
		free(portal);
		return;
	}
}

void null_store_drop_portals(struct null_store *store)
{
	store->portal.bound = false;
	while (store->portals)
		null_store_drop_portal(store, store->portals->name);
}

void null_store_free(struct null_store *store)
{
	null_store_drop_portals(store);
	wire_free(&store->portal.bytes);
	null_store_forget(store, (struct statement_text){0});
	null_store_forget_unnamed(store);
	free(store->named);
	store->named = NULL;
}
