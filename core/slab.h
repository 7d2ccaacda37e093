/* slab: numbered slots of one size that grow in chunks and are reused.
 *
 * Owner: one core. Thread: that core's. Memory: a slot never moves; chunks that have become empty are given back by slab_trim.
 * Each slot has a generation that changes when it is freed and survives its chunk, so that (index, generation) names an object
 * and never its successor. The lowest chunk with a free slot is filled first, so that the upper ones become empty after a crowd.
 */
#ifndef PGRING_CORE_SLAB_H
#define PGRING_CORE_SLAB_H

#include "core/check.h"

#include <stdbool.h>
#include <stdint.h>

struct slab_slot {
	uint32_t index, generation;
	uint32_t next_free;
	bool live;
} __attribute__((aligned(16)));

struct slab_chunk {
	char *slots;         /* NULL: there is none at present */
	uint32_t first_free; /* index of a slot */
	uint32_t live;
	uint32_t generation; /* no slot had a later one when the chunk was given back */
};

struct slab {
	struct slab_chunk *chunks;
	size_t slot_bytes; /* head included */
	uint32_t limit;
	uint32_t chunk_count, chunk_limit; /* the highest that was ever there, and could be */
	uint32_t chunks_there, chunks_empty;
	uint32_t first_open; /* no chunk below has a free slot */
	uint32_t live;
};

enum { SLAB_CHUNK_SLOTS = 64 };
#define SLAB_NONE UINT32_MAX

/* `object_bytes` per object, at most `limit` objects. Returns 0 or ERR_NO_MEMORY. */
must_check int slab_init(struct slab *slab, size_t object_bytes, uint32_t limit);
/* No object may be live. */
void slab_destroy(struct slab *slab);

/* A zeroed object, or NULL when the limit or the memory is exhausted. */
void *slab_alloc(struct slab *slab);
void slab_free(struct slab *slab, void *object);

/* Gives back the chunks without a live slot, but for one. For when nobody still looks at what has been freed. */
void slab_trim(struct slab *slab);
static inline bool slab_wants_trim(const struct slab *slab)
{
	return unlikely(slab->chunks_empty > 1);
}
/* Slots that are there and free. */
static inline uint32_t slab_spare(const struct slab *slab)
{
	return slab->chunks_there * SLAB_CHUNK_SLOTS - slab->live;
}

static inline struct slab_slot *slab_slot_of(const void *object)
{
	return (struct slab_slot *)(uintptr_t)object - 1;
}

static inline uint32_t slab_index(const void *object)
{
	return slab_slot_of(object)->index;
}

static inline uint32_t slab_generation(const void *object)
{
	return slab_slot_of(object)->generation;
}

/* The live object with that index and generation, or NULL. Any numbers may be asked for. */
static inline void *slab_get(const struct slab *slab, uint32_t index, uint32_t generation)
{
	uint32_t chunk = index / SLAB_CHUNK_SLOTS;
	struct slab_slot *slot;

	if (unlikely(chunk >= slab->chunk_count || !slab->chunks[chunk].slots))
		return NULL;
	slot = (struct slab_slot *)(void *)(slab->chunks[chunk].slots +
		(size_t)(index % SLAB_CHUNK_SLOTS) * slab->slot_bytes);
	if (unlikely(slot->generation != generation || !slot->live))
		return NULL;
	return slot + 1;
}

/* Walks the live objects: start with *at = 0, ends with NULL. Objects may be freed meanwhile. */
void *slab_next(const struct slab *slab, uint32_t *at);

#endif
