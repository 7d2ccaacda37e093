/* A table, and a list that keeps the order. */
#include "pool/channels.h"

#include "core/core.h"
#include "core/hash.h"

#include <stdlib.h>
#include <string.h>

void channels_init(struct channels *channels)
{
	*channels = (struct channels){0};
	list_init(&channels->all);
}

void channels_free(struct channels *channels)
{
	list_each_safe(link, &channels->all)
		channels_remove(channels, container_of(link, struct channel, all));
	table_free(&channels->table);
}

static uint64_t channels_hash(const struct core *core, const char *name, size_t len)
{
	return hash_keyed(core->world->secret, name, len).a;
}

struct channel *channels_find(
	const struct core *core, const struct channels *channels, const char *name, size_t len)
{
	if (list_empty(&channels->all))
		return NULL;
	table_each(link, &channels->table, channels_hash(core, name, len)) {
		struct channel *channel = container_of(link, struct channel, link);

		if (channel->len == len && memcmp(channel->name, name, len) == 0)
			return channel;
	}
	return NULL;
}

struct channel *channels_add(
	const struct core *core, struct channels *channels, const char *name, size_t len)
{
	struct channel *channel = calloc(1, sizeof *channel);

	CHECK(channel && len < CHANNEL_BYTES);
	memcpy(channel->name, name, len);
	channel->len = len;
	list_init(&channel->all);
	list_init(&channel->users);
	list_init(&channel->todo);
	table_add(&channels->table, &channel->link, channels_hash(core, name, len));
	list_push_back(&channels->all, &channel->all);
	return channel;
}

void channels_remove(struct channels *channels, struct channel *channel)
{
	CHECK(list_empty(&channel->users) && !list_linked(&channel->todo));
	table_remove(&channels->table, &channel->link);
	list_remove(&channel->all);
	free(channel);
}
