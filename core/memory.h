/* memory: the allocator's settings and figures. The only file that knows jemalloc; without it the figures are those of libc. */
#ifndef PGRING_CORE_MEMORY_H
#define PGRING_CORE_MEMORY_H

#include "core/check.h"

#include <stddef.h>
#include <stdint.h>

struct memory_figures {
	uint64_t allocated; /* bytes that the program asked for and holds */
	uint64_t resident;  /* bytes of physical memory that the allocator holds */
};

/* "jemalloc" or "libc". Static memory. */
const char *memory_allocator(void);

/* Takes some 100 us: for the console and metrics only. Any thread. */
void memory_read(struct memory_figures *ret_figures);

/* Gives back what the allocator keeps for this thread. For who has freed much, and may allocate nothing for long. */
void memory_trim(void);

/* Zeroed memory that shares no cache line with anything else, or NULL; ended by free(). */
void *memory_lines(size_t bytes);

/* Overwrites bytes that were secret; the compiler may not remove it. */
void memory_wipe(void *bytes, size_t len);

/* A NUL-terminated copy of `len` bytes, or NULL. */
char *memory_copy_text(const char *text, size_t len);

#endif
