/* The snapshot: its arena, its lookup and its rows for the console. What is in it comes from admin/config.c. */
#include "core/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/errors.h"
#include "core/memory.h"
#include "core/options.h"

/* Memory that lives and dies with the snapshot: blocks, filled from the front. */
struct config_block {
	struct config_block *next;
	size_t size; /* of `bytes` */
	size_t used;
	_Alignas(max_align_t) unsigned char bytes[];
};

struct config_arena {
	struct config_block *blocks; /* the one being filled is the first */
};

enum { BLOCK_BYTES = 16 * 1024 };

/* A block with `size` zeroed bytes, or NULL. */
static struct config_block *block_new(size_t size)
{
	struct config_block *block;

	if (size > SIZE_MAX - sizeof(*block))
		return NULL;
	block = calloc(1, sizeof(*block) + size);
	if (block != NULL)
		block->size = size;
	return block;
}

void *config_alloc(struct config *config, size_t size)
{
	const size_t align = _Alignof(max_align_t);
	struct config_block *block = config->arena->blocks;

	if (size > SIZE_MAX - align)
		return NULL;
	size = size == 0 ? align : (size + align - 1) / align * align;
	if (block == NULL || block->size - block->used < size) {
		block = block_new(size > BLOCK_BYTES ? size : BLOCK_BYTES);
		if (block == NULL)
			return NULL;
		block->next = config->arena->blocks;
		config->arena->blocks = block;
	}

	void *memory = block->bytes + block->used;

	block->used += size;
	return memory;
}

char *config_copy(struct config *config, const char *text, size_t len)
{
	char *copy = len < SIZE_MAX ? config_alloc(config, len + 1) : NULL;

	if (copy != NULL && len > 0)
		memcpy(copy, text, len);
	return copy;
}

/* The default of an option that is a list: the items between the commas. */
static int list_default(struct config *config, struct option_value *value)
{
	const char **items = config_alloc(config, sizeof(*items));

	if (items == NULL)
		return ERR_NO_MEMORY;
	CHECK(strchr(value->text, ',') == NULL); /* no default has more than one */
	items[0] = value->text;
	value->list = (struct config_list){.items = items, .count = 1};
	return 0;
}

int config_set_defaults(struct config *config, const struct option_section *section, void *entry)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct option *option = &section->options[i];
		struct option_value value;

		option_default(option, &value);
		if (option->type == OPTION_ADDRESS_LIST && value.text != NULL) {
			int err = list_default(config, &value);

			if (err != 0)
				return err;
		}
		option_store(option, entry, &value);
	}
	return 0;
}

struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (config == NULL)
		return NULL;
	config->arena = calloc(1, sizeof(*config->arena));
	if (config->arena == NULL)
		goto fail;
	for (size_t i = 0; i < option_section_count; i++) {
		const struct option_section *section = option_sections[i];

		if (section->place == OPTION_NOWHERE)
			continue;
		if (config_set_defaults(config, section, (char *)config + section->place) != 0)
			goto fail;
	}
	config->log_level = CONFIG_LOG_INFO;
	if (config_set_pools(config, NULL, 0) != 0)
		goto fail;
	return config;

fail:
	config_free(config);
	return NULL;
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	if (config->arena != NULL) {
		for (struct config_block *block = config->arena->blocks; block != NULL;) {
			struct config_block *next = block->next;

			memory_wipe(block->bytes, block->used);
			free(block);
			block = next;
		}
	}
	free(config->arena);
	free(config);
}

/* FNV-1a over both names with their ends; the finish spreads the high bits (MurmurHash3's). The names in the table come from
 * the files, so no client can make it slow. */
static uint32_t pair_hash(const char *user, const char *database)
{
	uint64_t hash = 0xcbf29ce484222325u;
	const char *names[] = {user, database};

	for (size_t i = 0; i < array_len(names); i++) {
		const char *at = names[i];

		do {
			hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
		} while (*at++ != '\0');
	}
	hash ^= hash >> 33;
	hash *= 0xff51afd7ed558ccdu;
	hash ^= hash >> 33;
	return (uint32_t)hash;
}

static bool pool_is(const struct config_pool *pool, const char *user, const char *database)
{
	return strcmp(pool->user, user) == 0 && strcmp(pool->database, database) == 0;
}

int config_set_pools(struct config *config, struct config_pool *pools, size_t count)
{
	size_t slots = 8;

	if (count >= UINT32_MAX / 4)
		return ERR_FULL;
	while (slots < count * 2)
		slots *= 2;

	uint32_t *table = config_alloc(config, slots * sizeof(*table));
	uint32_t mask = (uint32_t)slots - 1;

	if (table == NULL)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++) {
		uint32_t at = pair_hash(pools[i].user, pools[i].database) & mask;

		while (table[at] != 0 &&
			!pool_is(&pools[table[at] - 1], pools[i].user, pools[i].database))
			at = (at + 1) & mask;
		if (table[at] == 0)
			table[at] = (uint32_t)i + 1;
		pools[i].index = (uint32_t)i;
	}
	config->pools = pools;
	config->pool_count = count;
	config->pool_slots = table;
	config->pool_slot_mask = mask;
	return 0;
}

const struct config_pool *config_find_pool(
	const struct config *config, const char *user, const char *database)
{
	uint32_t at = pair_hash(user, database) & config->pool_slot_mask;

	for (; config->pool_slots[at] != 0; at = (at + 1) & config->pool_slot_mask) {
		const struct config_pool *pool = &config->pools[config->pool_slots[at] - 1];

		if (pool_is(pool, user, database))
			return pool;
	}
	return NULL;
}

bool config_has_database(const struct config *config, const char *database)
{
	for (size_t i = 0; i < config->database_name_count; i++) {
		if (strcmp(config->database_names[i], database) == 0)
			return true;
	}
	return false;
}

bool config_pool_same_server(const struct config_pool *a, const struct config_pool *b)
{
	return strcmp(a->host, b->host) == 0 && a->port == b->port &&
		strcmp(a->server_database, b->server_database) == 0 &&
		strcmp(a->server_user, b->server_user) == 0 &&
		a->statement_timeout_ms == b->statement_timeout_ms &&
		a->lock_timeout_ms == b->lock_timeout_ms && a->read_only == b->read_only;
}

static void row_fill(const struct config *config, const struct option_section *section,
	const struct option *option, struct config_row *ret_row)
{
	bool general = section == &option_section_general;
	struct option_value value, standard;

	snprintf(ret_row->name, sizeof(ret_row->name), "%s%s%s", general ? "" : section->name,
		general ? "" : "_", option->name);
	option_load(option, (const char *)config + section->place, &value);
	option_format(option, &value, ret_row->value, sizeof(ret_row->value));
	option_default(option, &standard);
	option_format(option, &standard, ret_row->default_value, sizeof(ret_row->default_value));
	ret_row->changeable = option->change == OPTION_RELOAD;
	ret_row->honoured = option->honoured == OPTION_YES;
}

bool config_row_at(const struct config *config, size_t at, struct config_row *ret_row)
{
	for (size_t i = 0; i < option_section_count; i++) {
		const struct option_section *section = option_sections[i];

		if (section->place == OPTION_NOWHERE)
			continue;
		if (at < section->count) {
			row_fill(config, section, &section->options[at], ret_row);
			return true;
		}
		at -= section->count;
	}
	return false;
}
