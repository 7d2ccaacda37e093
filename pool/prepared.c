/* A table of keys in the order of their use, and a ring of records. */
#include "pool/prepared.h"

#include "core/check.h"

#include <stdlib.h>
#include <string.h>

enum { PREPARED_SIZE = 16, PREPARED_LOG_SIZE = 8 }; /* at first */

static uint32_t *prepared_place(const struct prepared *prepared, struct hash key)
{
	return &prepared->places[key.a & (prepared->size - 1)];
}

struct prepared_entry *prepared_find(const struct prepared *prepared, struct hash key)
{
	if (prepared->size == 0)
		return NULL;
	for (uint32_t i = *prepared_place(prepared, key); i; i = prepared->entries[i].next)
		if (hash_equal(prepared->entries[i].key, key))
			return &prepared->entries[i];
	return NULL;
}

/* ---- the order of use ---- */

static void prepared_unlink(struct prepared *prepared, const struct prepared_entry *entry)
{
	if (entry->newer)
		prepared->entries[entry->newer].older = entry->older;
	else
		prepared->newest = entry->older;
	if (entry->older)
		prepared->entries[entry->older].newer = entry->newer;
	else
		prepared->oldest = entry->newer;
}

static void prepared_link_newest(struct prepared *prepared, struct prepared_entry *entry)
{
	uint32_t i = (uint32_t)(entry - prepared->entries);

	entry->newer = 0;
	entry->older = prepared->newest;
	if (prepared->newest)
		prepared->entries[prepared->newest].newer = i;
	else
		prepared->oldest = i;
	prepared->newest = i;
}

void prepared_touch(struct prepared *prepared, struct prepared_entry *entry)
{
	if (likely(entry->state == PREPARED_LISTED)) {
		if (entry->newer == 0)
			return;
		prepared_unlink(prepared, entry);
	} else {
		entry->state = PREPARED_LISTED;
		prepared->count++;
	}
	prepared_link_newest(prepared, entry);
}

static void prepared_unlist(struct prepared *prepared, struct prepared_entry *entry)
{
	if (entry->state != PREPARED_LISTED)
		return;
	prepared_unlink(prepared, entry);
	prepared->count--;
}

void prepared_evict(struct prepared *prepared, struct prepared_entry *entry)
{
	prepared_unlist(prepared, entry);
	entry->state = PREPARED_EVICTED;
	entry->parsed_ns = 0;
}

struct prepared_entry *prepared_oldest(const struct prepared *prepared)
{
	CHECK(prepared->oldest != 0);
	return &prepared->entries[prepared->oldest];
}

/* ---- coming and going ---- */

static void prepared_grow(struct prepared *prepared)
{
	uint32_t old = prepared->size, size = old ? 2 * old : PREPARED_SIZE;

	prepared->entries = realloc(prepared->entries, size * sizeof *prepared->entries);
	free(prepared->places);
	prepared->places = calloc(size, sizeof *prepared->places);
	CHECK(prepared->entries && prepared->places);
	prepared->size = size;
	for (uint32_t i = 1; i < old; i++) { /* none of them is free */
		uint32_t *place = prepared_place(prepared, prepared->entries[i].key);

		prepared->entries[i].next = *place;
		*place = i;
	}
	for (uint32_t i = size - 1; i >= (old ? old : 1); i--) {
		prepared->entries[i].state = PREPARED_FREE;
		prepared->entries[i].next = prepared->free;
		prepared->free = i;
	}
}

struct prepared_entry *prepared_add(struct prepared *prepared, struct hash key)
{
	struct prepared_entry *entry;
	uint32_t *place;

	if (prepared->free == 0)
		prepared_grow(prepared);
	entry = &prepared->entries[prepared->free];
	prepared->free = entry->next;
	*entry = (struct prepared_entry){
		.key = key, .expires_ns = UINT64_MAX, .state = PREPARED_EVICTED};
	place = prepared_place(prepared, key);
	entry->next = *place;
	*place = (uint32_t)(entry - prepared->entries);
	prepared_touch(prepared, entry);
	return entry;
}

void prepared_remove(struct prepared *prepared, struct prepared_entry *entry)
{
	uint32_t i = (uint32_t)(entry - prepared->entries);
	uint32_t *at = prepared_place(prepared, entry->key);

	while (*at != i)
		at = &prepared->entries[*at].next;
	*at = entry->next;
	prepared_unlist(prepared, entry);
	prepared->altered -= entry->is_altered;
	entry->is_altered = false;
	entry->state = PREPARED_FREE;
	entry->next = prepared->free;
	prepared->free = i;
}

void prepared_doubt_altered(struct prepared *prepared)
{
	for (uint32_t i = 1; i < prepared->size && prepared->altered > 0; i++) {
		struct prepared_entry *entry = &prepared->entries[i];

		if (entry->state == PREPARED_FREE || !entry->is_altered)
			continue;
		entry->is_altered = false;
		entry->parsed_ns = 0;
		prepared->altered--;
	}
}

void prepared_forget(struct prepared *prepared)
{
	for (uint32_t i = 1; i < prepared->size; i++)
		if (prepared->entries[i].state != PREPARED_FREE)
			prepared_remove(prepared, &prepared->entries[i]);
}

/* ---- the log ---- */

void prepared_log(struct prepared *prepared, const struct prepared_record *record)
{
	uint32_t old = prepared->log_size;

	if (prepared->log_count == old) {
		uint32_t size = old ? 2 * old : PREPARED_LOG_SIZE;
		struct prepared_record *log = malloc(size * sizeof *log);

		CHECK(log);
		for (uint32_t i = 0; i < prepared->log_count; i++)
			log[i] = prepared->log[(prepared->log_first + i) & (old - 1)];
		free(prepared->log);
		prepared->log = log;
		prepared->log_size = size;
		prepared->log_first = 0;
	}
	prepared->log[(prepared->log_first + prepared->log_count++) & (prepared->log_size - 1)] =
		*record;
}

const struct prepared_record *prepared_log_at(const struct prepared *prepared, uint32_t i)
{
	CHECK(i < prepared->log_count);
	return &prepared->log[(prepared->log_first + i) & (prepared->log_size - 1)];
}

const struct prepared_record *prepared_log_head(const struct prepared *prepared)
{
	return prepared_log_at(prepared, 0);
}

const struct prepared_record *prepared_log_last(const struct prepared *prepared)
{
	return prepared_log_at(prepared, prepared->log_count - 1);
}

void prepared_log_drop(struct prepared *prepared, uint32_t count)
{
	CHECK(count <= prepared->log_count);
	prepared->log_count -= count;
	prepared->log_first += count;
}

struct prepared_record prepared_log_pop(struct prepared *prepared)
{
	CHECK(prepared->log_count > 0);
	prepared->log_count--;
	return prepared->log[prepared->log_first++ & (prepared->log_size - 1)];
}

void prepared_free(struct prepared *prepared, struct statements *statements)
{
	while (prepared->log_count > 0)
		statement_drop(statements, prepared_log_pop(prepared).statement);
	free(prepared->entries);
	free(prepared->places);
	free(prepared->log);
	memset(prepared, 0, sizeof *prepared);
}

size_t prepared_bytes(const struct prepared *prepared)
{
	return prepared->size * (sizeof *prepared->entries + sizeof *prepared->places) +
		prepared->log_size * sizeof *prepared->log;
}
