/* load: how much each core has to do, so that new clients go where there is least of it.
 *
 * A cache line for each core in the world. The number of clients is counted up by whoever hands a client over, before it is
 * sent, so that a crowd is spread by what is on its way, too; and down by the core whose client it was. How busy a core is
 * it says itself, now and then.
 */
#ifndef PGRING_CORE_LOAD_H
#define PGRING_CORE_LOAD_H

#include "core/limits.h"

#include <stdatomic.h>
#include <stdint.h>

struct core;
struct world;

struct load {
	_Alignas(64) _Atomic uint32_t clients;
	_Atomic uint32_t busy; /* thousandths of the time that its thread runs */
};

/* Starts to say how busy the core is. Thread: the core's. */
void load_open(struct core *core);
void load_close(struct core *core);

/* How many more clients may be accepted without taking descriptors that servers need. */
unsigned load_room(const struct world *world);

/* The core with the least to do, counted up by one client; `core` itself if that is nearly so. Any core. */
unsigned load_choose(struct core *core);
/* One client more, one less, of a core. Any core. */
void load_add(struct world *world, unsigned core);
void load_remove(struct world *world, unsigned core);

#endif
