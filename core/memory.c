/* Figures from jemalloc where it is linked, else from libc. */
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

#ifdef PGRING_JEMALLOC
#include <jemalloc/jemalloc.h>

/* Read by jemalloc at start. Few arenas, as a core allocates little; unused pages go back after a second. */
extern const char *malloc_conf;
__attribute__((visibility("default"))) const char *malloc_conf =
	"narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true";

const char *memory_allocator(void)
{
	return "jemalloc";
}

void memory_read(struct memory_figures *ret_figures)
{
	uint64_t epoch = 1;
	size_t len = sizeof epoch, value = 0, value_len = sizeof value;

	mallctl("epoch", &epoch, &len, &epoch, sizeof epoch);
	ret_figures->allocated =
		mallctl("stats.allocated", &value, &value_len, NULL, 0) == 0 ? value : 0;
	ret_figures->resident =
		mallctl("stats.resident", &value, &value_len, NULL, 0) == 0 ? value : 0;
}

void memory_trim(void)
{
	mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}
#else
#include <malloc.h>

const char *memory_allocator(void)
{
	return "libc";
}

void memory_read(struct memory_figures *ret_figures)
{
	struct mallinfo2 info = mallinfo2();

	ret_figures->allocated = info.uordblks + info.hblkhd;
	ret_figures->resident = info.arena + info.hblkhd;
}

void memory_trim(void)
{
}
#endif

void *memory_lines(size_t bytes)
{
	size_t whole = (bytes + 63) & ~(size_t)63;
	void *lines = aligned_alloc(64, whole);

	if (lines)
		memset(lines, 0, whole);
	return lines;
}

void memory_wipe(void *bytes, size_t len)
{
	explicit_bzero(bytes, len);
}

char *memory_copy_text(const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}
