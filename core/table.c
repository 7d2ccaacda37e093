/* Chains behind an array that doubles. */
#include "core/table.h"

#include "core/check.h"

#include <stdlib.h>

enum { TABLE_CHAINS = 4 }; /* at first */

/* The upper half counts as well: not every hash is good in its lower bits. */
static uint32_t table_place(const struct table *table, uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32) & (table->chain_count - 1);
}

static void table_chain(struct table *table, struct table_link *link)
{
	struct table_link **chain = &table->chains[table_place(table, link->hash)];

	link->next = *chain;
	*chain = link;
}

static void table_grow(struct table *table)
{
	uint32_t old_count = table->chain_count;
	struct table_link **old = table->chains;

	table->chain_count = old_count ? 2 * old_count : TABLE_CHAINS;
	table->chains = calloc(table->chain_count, sizeof *table->chains);
	CHECK(table->chains);
	for (uint32_t i = 0; i < old_count; i++) {
		while (old[i]) {
			struct table_link *link = old[i];

			old[i] = link->next;
			table_chain(table, link);
		}
	}
	free(old);
}

void table_add(struct table *table, struct table_link *link, uint64_t hash)
{
	if (table->count >= table->chain_count)
		table_grow(table);
	link->hash = hash;
	table_chain(table, link);
	table->count++;
}

void table_remove(struct table *table, struct table_link *link)
{
	struct table_link **at = &table->chains[table_place(table, link->hash)];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	table->count--;
}

void table_free(struct table *table)
{
	CHECK(table->count == 0);
	free(table->chains);
	*table = (struct table){0};
}

static struct table_link *table_of_hash(struct table_link *link, uint64_t hash)
{
	while (link && link->hash != hash)
		link = link->next;
	return link;
}

struct table_link *table_find(const struct table *table, uint64_t hash)
{
	if (table->count == 0)
		return NULL;
	return table_of_hash(table->chains[table_place(table, hash)], hash);
}

struct table_link *table_find_next(const struct table_link *link)
{
	return table_of_hash(link->next, link->hash);
}

struct table_link *table_walk(const struct table *table, const struct table_link *link)
{
	uint32_t place = 0;

	if (link && link->next)
		return link->next;
	if (link)
		place = table_place(table, link->hash) + 1;
	for (; place < table->chain_count; place++)
		if (table->chains[place])
			return table->chains[place];
	return NULL;
}
