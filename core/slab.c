/* Slots in chunks, with a free list threaded through them. */
#include "core/slab.h"

#include "core/errors.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

static struct slab_slot *slab_slot_at(const struct slab *slab, uint32_t index)
{
	return (struct slab_slot *)(void *)(slab->chunks[index / SLAB_CHUNK_SLOTS] +
		(size_t)(index % SLAB_CHUNK_SLOTS) * slab->slot_bytes);
}

int slab_init(struct slab *slab, size_t object_bytes, uint32_t limit)
{
	memset(slab, 0, sizeof *slab);
	slab->slot_bytes = sizeof(struct slab_slot) + ((object_bytes + 15) & ~(size_t)15);
	slab->limit = limit;
	slab->chunk_limit = (limit + SLAB_CHUNK_SLOTS - 1) / SLAB_CHUNK_SLOTS;
	slab->first_free = SLAB_NONE;
	slab->chunks = calloc(slab->chunk_limit, sizeof *slab->chunks);
	return slab->chunks ? 0 : ERR_NO_MEMORY;
}

void slab_destroy(struct slab *slab)
{
	CHECK(slab->live == 0);
	for (uint32_t i = 0; i < slab->chunk_count; i++)
		free(slab->chunks[i]);
	free(slab->chunks);
	slab->chunks = NULL;
}

static bool slab_grow(struct slab *slab)
{
	char *chunk;
	uint32_t first = slab->chunk_count * SLAB_CHUNK_SLOTS;

	if (slab->chunk_count == slab->chunk_limit)
		return false;
	chunk = memory_lines(SLAB_CHUNK_SLOTS * slab->slot_bytes);
	if (!chunk)
		return false;
	slab->chunks[slab->chunk_count++] = chunk;
	for (uint32_t i = SLAB_CHUNK_SLOTS; i-- > 0;) {
		struct slab_slot *slot = slab_slot_at(slab, first + i);

		slot->index = first + i;
		slot->generation = 1;
		slot->next_free = slab->first_free;
		slab->first_free = slot->index;
	}
	return true;
}

void *slab_alloc(struct slab *slab)
{
	struct slab_slot *slot;

	if (slab->live == slab->limit || (slab->first_free == SLAB_NONE && !slab_grow(slab)))
		return NULL;
	slot = slab_slot_at(slab, slab->first_free);
	CHECK(!slot->live);
	slab->first_free = slot->next_free;
	slot->live = true;
	slab->live++;
	memset(slot + 1, 0, slab->slot_bytes - sizeof *slot);
	return slot + 1;
}

void slab_free(struct slab *slab, void *object)
{
	struct slab_slot *slot = slab_slot_of(object);

	CHECK(slot->live && slab->live > 0);
	slot->live = false;
	slot->generation++;
	slot->next_free = slab->first_free;
	slab->first_free = slot->index;
	slab->live--;
}

void *slab_next(const struct slab *slab, uint32_t *at)
{
	while (*at < slab->chunk_count * SLAB_CHUNK_SLOTS) {
		struct slab_slot *slot = slab_slot_at(slab, (*at)++);

		if (slot->live)
			return slot + 1;
	}
	return NULL;
}
