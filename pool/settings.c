/* Shared sets of session parameters, and the query that applies one. */
#include "pool/settings.h"

#include "pool/pool.h"
#include "protocol/frame.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool settings_equal(const struct params *a, const struct params *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const char *value = params_get(b, a->items[i].name);

		if (!value || strcmp(value, a->items[i].value) != 0)
			return false;
	}
	return true;
}

/* FNV-1a over names and values, the same for every order of the parameters. */
static uint64_t settings_hash(const struct params *params)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < params->count; i++) {
		uint64_t hash = UINT64_C(0xcbf29ce484222325);

		for (const char *at = params->items[i].name; *at; at++)
			hash = (hash ^ (uint64_t)tolower((unsigned char)*at)) *
				UINT64_C(0x100000001b3);
		for (const char *at = params->items[i].value; *at; at++)
			hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
		sum += hash;
	}
	return sum;
}

struct settings *settings_share(struct pool *pool, const struct params *wanted)
{
	struct settings *settings;
	uint64_t hash = settings_hash(wanted);

	list_each(link, &pool->settings) {
		settings = container_of(link, struct settings, link);
		if (settings->hash == hash && settings_equal(&settings->wanted, wanted)) {
			settings->users++;
			return settings;
		}
	}
	settings = calloc(1, sizeof *settings);
	CHECK(settings);
	params_copy(&settings->wanted, wanted);
	settings->hash = hash;
	settings->users = 1;
	list_init(&settings->link);
	list_push_front(&pool->settings, &settings->link);
	return settings;
}

void settings_hold(struct settings *settings)
{
	CHECK(settings->users > 0);
	settings->users++;
}

void settings_drop(struct settings *settings)
{
	if (!settings)
		return;
	CHECK(settings->users > 0);
	if (--settings->users > 0)
		return;
	list_remove(&settings->link);
	params_clear(&settings->wanted);
	params_clear(&settings->reported);
	free(settings);
}

/* Settings that no parser and no planner asks. All others may decide how a literal is read, or what a name means. */
static bool settings_is_harmless(const char *name)
{
	static const char *const names[] = {"application_name", "statement_timeout", "lock_timeout",
		"idle_in_transaction_session_timeout", "idle_session_timeout",
		"transaction_timeout", "client_min_messages"};

	for (size_t i = 0; i < array_len(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

uint64_t settings_context(struct settings *settings, const uint8_t key[HASH_KEY_BYTES])
{
	uint64_t sum = 1;

	if (likely(settings->context != 0))
		return settings->context;
	for (size_t i = 0; i < settings->wanted.count; i++) {
		const struct param *param = &settings->wanted.items[i];
		struct hash name, value;
		char lower[64];
		size_t len = 0;

		if (settings_is_harmless(param->name))
			continue;
		for (; param->name[len] && len < sizeof lower; len++)
			lower[len] = (char)tolower((unsigned char)param->name[len]);
		name = hash_keyed(key, lower, len);
		value = hash_keyed(key, param->value, strlen(param->value));
		/* the same for every order of the parameters */
		sum += (name.a ^ value.b) * (name.b | 1) + value.a;
	}
	settings->context = sum ? sum : 1;
	return settings->context;
}

struct text {
	char *bytes;
	size_t len, size;
};

static void text_add(struct text *text, const char *bytes, size_t len)
{
	if (text->len + len > text->size) {
		text->size = 2 * (text->len + len) + 64;
		text->bytes = realloc(text->bytes, text->size);
		CHECK(text->bytes);
	}
	memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
}

static void text_add_string(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

/* E'...' means the same with and without standard_conforming_strings; and what is not ASCII is written as such, because in some
 * client encodings a quote or a backslash may be the second byte of a character. */
static void text_add_literal(struct text *text, const char *value)
{
	text_add_string(text, "E'");
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;
		char escaped[5];

		if (c >= 0x80) {
			snprintf(escaped, sizeof escaped, "\\%03o", c);
			text_add(text, escaped, 4);
			continue;
		}
		if (c == '\'' || c == '\\')
			text_add(text, value, 1);
		text_add(text, value, 1);
	}
	text_add_string(text, "'");
}

static void text_add_identifier(struct text *text, const char *name)
{
	text_add_string(text, "\"");
	for (; *name; name++) {
		if (*name == '"')
			text_add(text, name, 1);
		text_add(text, name, 1);
	}
	text_add_string(text, "\"");
}

void settings_compose(struct core *core, struct chain *chain, const struct settings *present,
	const struct settings *wanted)
{
	struct text text = {0};
	const char *separator = "SELECT ";
	uint8_t head[FRAME_HEAD];

	for (size_t i = 0; i < present->wanted.count; i++) {
		if (params_get(&wanted->wanted, present->wanted.items[i].name))
			continue;
		text_add_string(&text, "RESET ");
		text_add_identifier(&text, present->wanted.items[i].name);
		text_add_string(&text, ";");
	}
	for (size_t i = 0; i < wanted->wanted.count; i++) {
		const struct param *param = &wanted->wanted.items[i];
		const char *has = params_get(&present->wanted, param->name);

		if (has && strcmp(has, param->value) == 0)
			continue;
		/* set_config takes lists as the startup packet does; SET would take them for one element */
		text_add_string(&text, separator);
		text_add_string(&text, "pg_catalog.set_config(");
		text_add_literal(&text, param->name);
		text_add_string(&text, ",");
		text_add_literal(&text, param->value);
		text_add_string(&text, ",false)");
		separator = ",";
	}
	text_add(&text, "", 1);
	frame_write(head, CLIENT_QUERY, (uint32_t)text.len);
	chain_copy(core, chain, head, sizeof head);
	chain_copy(core, chain, text.bytes, text.len);
	free(text.bytes);
}
