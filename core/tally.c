/* The registry of tallies: a table of chains behind a lock. */
#include "core/tally.h"

#include "core/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct tallies {
	pthread_mutex_t lock;
	struct tally **chains;
	size_t chain_count, count;
};

enum { TALLIES_CHAINS_MIN = 64 };

struct tallies *tallies_new(void)
{
	struct tallies *tallies = calloc(1, sizeof *tallies);

	if (!tallies)
		return NULL;
	tallies->chain_count = TALLIES_CHAINS_MIN;
	tallies->chains = calloc(tallies->chain_count, sizeof(struct tally *));
	if (!tallies->chains) {
		free(tallies);
		return NULL;
	}
	pthread_mutex_init(&tallies->lock, NULL);
	return tallies;
}

void tallies_free(struct tallies *tallies)
{
	if (!tallies)
		return;
	for (size_t i = 0; i < tallies->chain_count; i++) {
		struct tally *tally = tallies->chains[i], *next;

		for (; tally; tally = next) {
			next = tally->next;
			free(tally);
		}
	}
	pthread_mutex_destroy(&tallies->lock);
	free(tallies->chains);
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
	return hash ^ hash >> 32;
}

static void tallies_grow(struct tallies *tallies)
{
	size_t count = tallies->chain_count * 2;
	struct tally **chains = calloc(count, sizeof(struct tally *));

	if (!chains)
		return; /* the chains are longer then */
	for (size_t i = 0; i < tallies->chain_count; i++) {
		struct tally *tally = tallies->chains[i], *next;

		for (; tally; tally = next) {
			next = tally->next;
			tally->next = chains[tally->hash % count];
			chains[tally->hash % count] = tally;
		}
	}
	free(tallies->chains);
	tallies->chains = chains;
	tallies->chain_count = count;
}

static struct tally *tallies_add(struct tallies *tallies, enum tally_kind kind, uint64_t hash,
	const char *database, const char *user)
{
	struct tally *tally = memory_lines(sizeof *tally);

	CHECK(tally && strlen(database) < sizeof tally->database &&
		strlen(user) < sizeof tally->user);
	tally->kind = kind;
	tally->hash = hash;
	memcpy(tally->database, database, strlen(database) + 1);
	memcpy(tally->user, user, strlen(user) + 1);
	if (tallies->count >= tallies->chain_count)
		tallies_grow(tallies);
	tally->next = tallies->chains[hash % tallies->chain_count];
	tallies->chains[hash % tallies->chain_count] = tally;
	tallies->count++;
	return tally;
}

struct tally *tallies_get(
	struct tallies *tallies, enum tally_kind kind, const char *database, const char *user)
{
	uint64_t hash;
	struct tally *tally;

	database = database ? database : "";
	user = user ? user : "";
	hash = tally_hash(kind, database, user);
	pthread_mutex_lock(&tallies->lock);
	tally = tallies->chains[hash % tallies->chain_count];
	while (tally &&
		(tally->hash != hash || tally->kind != kind ||
			strcmp(tally->database, database) != 0 || strcmp(tally->user, user) != 0))
		tally = tally->next;
	if (!tally)
		tally = tallies_add(tallies, kind, hash, database, user);
	pthread_mutex_unlock(&tallies->lock);
	return tally;
}
