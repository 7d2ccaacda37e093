/* Slots in chunks, with a free list threaded through them. */
#include "core/slab.h"

#include "core/errors.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static struct slab_slot *slab_slot_at(const struct slab *slab, uint32_t index)
{
	return (struct slab_slot *)(void *)(slab->chunks[index / SLAB_CHUNK_SLOTS].slots +
		(size_t)(index % SLAB_CHUNK_SLOTS) * slab->slot_bytes);
}

int slab_init(struct slab *slab, size_t object_bytes, uint32_t limit)
{
	memset(slab, 0, sizeof *slab);
	slab->slot_bytes = sizeof(struct slab_slot) + ((object_bytes + 15) & ~(size_t)15);
	slab->limit = limit;
	slab->chunk_limit = (limit + SLAB_CHUNK_SLOTS - 1) / SLAB_CHUNK_SLOTS;
	slab->chunks = calloc(slab->chunk_limit, sizeof *slab->chunks);
	return slab->chunks ? 0 : ERR_NO_MEMORY;
}

void slab_destroy(struct slab *slab)
{
	CHECK(slab->live == 0);
	for (uint32_t i = 0; i < slab->chunk_count; i++)
		free(slab->chunks[i].slots);
	free(slab->chunks);
	slab->chunks = NULL;
}

/* Makes a chunk's slots. */
static bool slab_grow(struct slab *slab, uint32_t at)
{
	struct slab_chunk *chunk = &slab->chunks[at];
	uint32_t first = at * SLAB_CHUNK_SLOTS;

	chunk->slots = memory_lines(SLAB_CHUNK_SLOTS * slab->slot_bytes);
	if (!chunk->slots)
		return false;
	memset(chunk->slots, 0, SLAB_CHUNK_SLOTS * slab->slot_bytes);
	if (at == slab->chunk_count)
		slab->chunk_count++;
	slab->chunks_there++;
	slab->chunks_empty++;
	chunk->first_free = SLAB_NONE;
	for (uint32_t i = SLAB_CHUNK_SLOTS; i-- > 0;) {
		struct slab_slot *slot = slab_slot_at(slab, first + i);

		slot->index = first + i;
		slot->generation = chunk->generation + 1;
		slot->next_free = chunk->first_free;
		chunk->first_free = slot->index;
	}
	return true;
}

/* The lowest chunk with a free slot, or NULL. */
static struct slab_chunk *slab_open_chunk(struct slab *slab)
{
	uint32_t at = slab->first_open;

	while (at < slab->chunk_count && slab->chunks[at].slots &&
		slab->chunks[at].first_free == SLAB_NONE)
		at++;
	slab->first_open = at;
	if (at == slab->chunk_limit)
		return NULL;
	if (!slab->chunks[at].slots && !slab_grow(slab, at))
		return NULL;
	return &slab->chunks[at];
}

void *slab_alloc(struct slab *slab)
{
	struct slab_chunk *chunk = slab->live < slab->limit ? slab_open_chunk(slab) : NULL;
	struct slab_slot *slot;

	if (!chunk)
		return NULL;
	slot = slab_slot_at(slab, chunk->first_free);
	CHECK(!slot->live);
	chunk->first_free = slot->next_free;
	if (chunk->live++ == 0)
		slab->chunks_empty--;
	slot->live = true;
	slab->live++;
	memset(slot + 1, 0, slab->slot_bytes - sizeof *slot);
	return slot + 1;
}

void slab_free(struct slab *slab, void *object)
{
	struct slab_slot *slot = slab_slot_of(object);
	uint32_t at = slot->index / SLAB_CHUNK_SLOTS;
	struct slab_chunk *chunk = &slab->chunks[at];

	CHECK(slot->live && slab->live > 0 && chunk->live > 0);
	slot->live = false;
	slot->generation++;
	slot->next_free = chunk->first_free;
	chunk->first_free = slot->index;
	if (--chunk->live == 0)
		slab->chunks_empty++;
	if (at < slab->first_open)
		slab->first_open = at;
	slab->live--;
}

static void slab_give_back(struct slab *slab, uint32_t at)
{
	struct slab_chunk *chunk = &slab->chunks[at];

	for (uint32_t i = 0; i < SLAB_CHUNK_SLOTS; i++) {
		const struct slab_slot *slot = slab_slot_at(slab, at * SLAB_CHUNK_SLOTS + i);

		if (slot->generation > chunk->generation)
			chunk->generation = slot->generation;
	}
	free(chunk->slots);
	chunk->slots = NULL;
	slab->chunks_there--;
	slab->chunks_empty--;
}

void slab_trim(struct slab *slab)
{
	for (uint32_t at = slab->chunk_count; at-- > 0 && slab->chunks_empty > 1;)
		if (slab->chunks[at].slots && slab->chunks[at].live == 0)
			slab_give_back(slab, at);
}

void *slab_next(const struct slab *slab, uint32_t *at)
{
	while (*at < slab->chunk_count * SLAB_CHUNK_SLOTS) {
		const struct slab_chunk *chunk = &slab->chunks[*at / SLAB_CHUNK_SLOTS];
		struct slab_slot *slot;

		if (!chunk->slots || chunk->live == 0) {
			*at = (*at / SLAB_CHUNK_SLOTS + 1) * SLAB_CHUNK_SLOTS;
			continue;
		}
		slot = slab_slot_at(slab, (*at)++);
		if (slot->live)
			return slot + 1;
	}
	return NULL;
}
