/* snapshot: which configuration a core uses, and which older ones something of it still points into.
 *
 * Control sends a new configuration (LETTER_CONFIG); the core switches to it at once. The one before lives on until nothing of
 * this core uses it any more; then control hears of it (LETTER_CONFIG_DROPPED) and, once all cores have let go, frees it.
 * Owner: the core. Thread: that core's.
 */
#ifndef PGRING_CORE_SNAPSHOT_H
#define PGRING_CORE_SNAPSHOT_H

struct config;
struct core;

struct snapshot {
	const struct config *config;
	unsigned
		users; /* things of this core that point into it; being the present one counts, too */
};

/* Makes it the present one. */
void snapshot_switch(struct core *core, const struct config *config);

/* The present one, with one more user. */
struct snapshot *snapshot_take(struct core *core);
/* One user less. NULL is allowed. */
void snapshot_drop(struct core *core, struct snapshot *snapshot);

/* The core ends: the present one is dropped, without a letter. */
void snapshot_close(struct core *core);

#endif
