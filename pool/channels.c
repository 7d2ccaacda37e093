/* A hash table of channels. */
#include "pool/channels.h"

#include "core/core.h"
#include "core/hash.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNELS_BUCKETS_MIN = 16 };

void channels_init(struct channels *channels)
{
	*channels = (struct channels){0};
	list_init(&channels->all);
}

void channels_free(struct channels *channels)
{
	list_each_safe(link, &channels->all)
		channels_remove(channels, container_of(link, struct channel, all));
	free(channels->buckets);
	channels_init(channels);
}

static uint64_t channels_hash(const struct core *core, const char *name, size_t len)
{
	return hash_keyed(core->world->secret, name, len).a;
}

static struct list *channels_bucket(const struct channels *channels, uint64_t hash)
{
	return &channels->buckets[hash & (channels->bucket_count - 1)];
}

struct channel *channels_find(
	const struct core *core, const struct channels *channels, const char *name, size_t len)
{
	uint64_t hash;

	if (channels->count == 0)
		return NULL;
	hash = channels_hash(core, name, len);
	list_each(link, channels_bucket(channels, hash)) {
		struct channel *channel = container_of(link, struct channel, link);

		if (channel->hash == hash && channel->len == len &&
			memcmp(channel->name, name, len) == 0)
			return channel;
	}
	return NULL;
}

static void channels_grow(struct channels *channels)
{
	uint32_t count = channels->bucket_count ? channels->bucket_count * 2 : CHANNELS_BUCKETS_MIN;

	free(channels->buckets);
	channels->buckets = malloc(count * sizeof(struct list));
	CHECK(channels->buckets);
	channels->bucket_count = count;
	for (uint32_t i = 0; i < count; i++)
		list_init(&channels->buckets[i]);
	list_each(link, &channels->all) {
		struct channel *channel = container_of(link, struct channel, all);

		list_init(&channel->link);
		list_push_back(channels_bucket(channels, channel->hash), &channel->link);
	}
}

struct channel *channels_add(
	const struct core *core, struct channels *channels, const char *name, size_t len)
{
	struct channel *channel = calloc(1, sizeof *channel);

	CHECK(channel && len < CHANNEL_BYTES);
	if (channels->count == channels->bucket_count)
		channels_grow(channels);
	memcpy(channel->name, name, len);
	channel->len = len;
	channel->hash = channels_hash(core, name, len);
	list_init(&channel->link);
	list_init(&channel->all);
	list_init(&channel->users);
	list_init(&channel->todo);
	list_push_back(channels_bucket(channels, channel->hash), &channel->link);
	list_push_back(&channels->all, &channel->all);
	channels->count++;
	return channel;
}

void channels_remove(struct channels *channels, struct channel *channel)
{
	CHECK(list_empty(&channel->users) && !list_linked(&channel->todo));
	list_remove(&channel->link);
	list_remove(&channel->all);
	channels->count--;
	free(channel);
}
