/* table: a hash table of things that carry their own link. It grows by itself, and knows nothing of what hashes stand for: whoever
 * looks something up walks those of one hash and compares.
 *
 * Owner and thread: those of the things in it. Memory: an array of chains, about as many as there are things; nothing before the
 * first.
 */
#ifndef PGRING_CORE_TABLE_H
#define PGRING_CORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next; /* in its chain */
	uint64_t hash;
};

/* Zeroed before the first. */
struct table {
	struct table_link **chains; /* a power of two of them */
	uint32_t chain_count, count;
};

/* Adds a thing; another of the same hash may be there. */
void table_add(struct table *table, struct table_link *link, uint64_t hash);
void table_remove(struct table *table, struct table_link *link);
/* It must be empty, and is zeroed. */
void table_free(struct table *table);

/* The first of that hash, and the next of the same hash; NULL: there is none. */
struct table_link *table_find(const struct table *table, uint64_t hash);
struct table_link *table_find_next(const struct table_link *link);
/* Some order of all: the first behind NULL, and NULL behind the last. */
struct table_link *table_walk(const struct table *table, const struct table_link *link);

/* Bytes of memory it holds, without the things. */
static inline size_t table_bytes(const struct table *table)
{
	return table->chain_count * sizeof *table->chains;
}

#define table_each(it, table, hash) \
	for (struct table_link *it = table_find(table, hash); it; it = table_find_next(it))
#define table_each_of_all(it, table) \
	for (struct table_link *it = table_walk(table, NULL); it; it = table_walk(table, it))

#endif
