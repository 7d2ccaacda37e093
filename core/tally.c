/* The registry of tallies. */
#include "core/tally.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

struct tallies {
	struct table table;
	struct tally *process;
};

struct tallies *tallies_new(void)
{
	struct tallies *tallies = calloc(1, sizeof *tallies);

	if (!tallies)
		return NULL;
	tallies->process = tallies_get(tallies, TALLY_PROCESS, NULL, NULL);
	return tallies;
}

void tallies_free(struct tallies *tallies)
{
	struct table_link *link;

	if (!tallies)
		return;
	while ((link = table_walk(&tallies->table, NULL))) {
		table_remove(&tallies->table, link);
		free(container_of(link, struct tally, link));
	}
	table_free(&tallies->table);
	free(tallies);
}

static uint64_t tally_hash(enum tally_kind kind, const char *database, const char *user)
{
	uint64_t hash = UINT64_C(14695981039346656037) + kind; /* FNV-1a */

	for (; *database; database++)
		hash = (hash ^ (uint8_t)*database) * UINT64_C(1099511628211);
	hash *= UINT64_C(1099511628211);
	for (; *user; user++)
		hash = (hash ^ (uint8_t)*user) * UINT64_C(1099511628211);
	return hash;
}

struct tally *tallies_get(
	struct tallies *tallies, enum tally_kind kind, const char *database, const char *user)
{
	struct tally *tally;
	uint64_t hash;

	database = database ? database : "";
	user = user ? user : "";
	hash = tally_hash(kind, database, user);
	table_each(link, &tallies->table, hash) {
		tally = container_of(link, struct tally, link);
		if (tally->kind == kind && strcmp(tally->database, database) == 0 &&
			strcmp(tally->user, user) == 0)
			return tally;
	}
	tally = memory_lines(sizeof *tally);
	CHECK(tally && strlen(database) < sizeof tally->database &&
		strlen(user) < sizeof tally->user);
	tally->kind = kind;
	memcpy(tally->database, database, strlen(database) + 1);
	memcpy(tally->user, user, strlen(user) + 1);
	table_add(&tallies->table, &tally->link, hash);
	return tally;
}

struct tally *tallies_process(const struct tallies *tallies)
{
	return tallies->process;
}
