/* channels: the names that LISTEN takes, found by name.
 *
 * Owner: whoever it stands in. Thread: the core's. Memory: malloc; a channel is freed by channels_remove.
 */
#ifndef PGRING_POOL_CHANNELS_H
#define PGRING_POOL_CHANNELS_H

#include "core/list.h"
#include "core/table.h"

#include <stddef.h>
#include <stdint.h>

struct core;

enum { CHANNEL_BYTES = 64 }; /* PostgreSQL's NAMEDATALEN */

struct channel {
	struct table_link link; /* by a hash of its name */
	struct list all;        /* in channels->all, in the order in which they came */
	struct list users; /* a core's: subscriptions; a herald's: the tidings that asked for it */
	struct list todo;  /* a herald's: it has to be listened to, or no longer */
	uint32_t serial;   /* a core's: of the tiding that asked for it */
	bool is_there;     /* the herald listens to it */
	size_t len;        /* of the name */
	char name[CHANNEL_BYTES]; /* as PostgreSQL has it, in the database's encoding */
};

struct channels {
	struct list all;
	struct table table;
};

void channels_init(struct channels *channels);
/* No channel may have users, nor stand in another list. */
void channels_free(struct channels *channels);

/* NULL if there is none of that name. */
struct channel *channels_find(
	const struct core *core, const struct channels *channels, const char *name, size_t len);
/* There must be none of that name yet, which has fewer than CHANNEL_BYTES bytes. */
struct channel *channels_add(
	const struct core *core, struct channels *channels, const char *name, size_t len);
void channels_remove(struct channels *channels, struct channel *channel);

#endif
