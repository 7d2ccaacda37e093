/* Shared sets of session parameters, and the query that applies one. */
#include "pool/settings.h"

#include "pool/pool.h"
#include "pool/sqltext.h"

#include <ctype.h>
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

/* A timeout as the server tells it or as a client asked for it, in milliseconds; 0 is none, and what is not understood is short. */
static double settings_timeout_ms(const char *value)
{
	static const struct {
		const char *word;
		double ms;
	} units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000},
		{"d", 24 * 3600 * 1000.0}};
	char *unit;
	double number = value ? strtod(value, &unit) : 0;

	if (number == 0)
		return 0;
	unit += strspn(unit, " \t");
	for (size_t i = 0; i < array_len(units); i++)
		if (strcmp(unit, units[i].word) == 0)
			return number * units[i].ms;
	return 1;
}

/* Such a timeout could strike while pgring puts the settings of the next client in place, or while the server idles. */
static bool settings_are_hasty(const struct params *wanted)
{
	enum { UNHURRIED_MS = 1000 };
	double statement_ms = settings_timeout_ms(params_get(wanted, "statement_timeout"));
	double transaction_ms = settings_timeout_ms(params_get(wanted, "transaction_timeout"));

	return (statement_ms > 0 && statement_ms < UNHURRIED_MS) ||
		(transaction_ms > 0 && transaction_ms < UNHURRIED_MS) ||
		settings_timeout_ms(params_get(wanted, "idle_session_timeout")) > 0;
}

static struct settings *settings_of(struct table_link *link)
{
	return container_of(link, struct settings, link);
}

struct settings *settings_share(struct pool *pool, const struct params *wanted)
{
	uint64_t hash = settings_hash(wanted);
	struct settings *settings;

	table_each(link, &pool->settings, hash) {
		settings = settings_of(link);
		if (settings_equal(&settings->wanted, wanted)) {
			settings->users++;
			return settings;
		}
	}
	settings = calloc(1, sizeof *settings);
	CHECK(settings);
	params_copy(&settings->wanted, wanted);
	settings->pool = pool;
	settings->users = 1;
	settings->is_hasty = settings_are_hasty(wanted);
	table_add(&pool->settings, &settings->link, hash);
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
	table_remove(&settings->pool->settings, &settings->link);
	params_clear(&settings->wanted);
	params_clear(&settings->reported);
	free(settings);
}

void settings_doubt(struct pool *pool)
{
	table_each_of_all(link, &pool->settings)
		settings_of(link)->is_tried = false;
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

/* Of these, the values of others depend: who may set what, and the role on the user. */
static bool settings_is_identity(const char *name)
{
	return strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0;
}

static bool settings_has_identity(const struct settings *settings)
{
	return params_get(&settings->wanted, "role") ||
		params_get(&settings->wanted, "session_authorization");
}

/* set_config takes lists as the startup packet does; SET would take them for one element. */
static void settings_add(
	struct sqltext *text, const char **separator, const char *name, const char *value)
{
	sqltext_add(text, *separator);
	sqltext_add(text, "pg_catalog.set_config(");
	sqltext_add_literal(text, name);
	sqltext_add(text, ",");
	sqltext_add_literal(text, value);
	sqltext_add(text, ",false)");
	*separator = ",";
}

static void settings_add_identity(struct sqltext *text, const char **separator, const char *name,
	const struct settings *wanted)
{
	const char *value = params_get(&wanted->wanted, name);

	if (value)
		settings_add(text, separator, name, value);
}

void settings_compose(struct core *core, struct chain *chain, const struct settings *present,
	const struct settings *wanted)
{
	const char *separator = "SELECT ";
	struct sqltext text;

	sqltext_init(&text);
	if (unlikely(settings_has_identity(present)))
		sqltext_add(&text, "RESET SESSION AUTHORIZATION;RESET ROLE;");
	for (size_t i = 0; i < present->wanted.count; i++) {
		const char *name = present->wanted.items[i].name;

		if (params_get(&wanted->wanted, name) || settings_is_identity(name))
			continue;
		sqltext_add(&text, "RESET ");
		sqltext_add_identifier(&text, name);
		sqltext_add(&text, ";");
	}
	for (size_t i = 0; i < wanted->wanted.count; i++) {
		const struct param *param = &wanted->wanted.items[i];
		const char *has = params_get(&present->wanted, param->name);

		if (settings_is_identity(param->name) || (has && strcmp(has, param->value) == 0))
			continue;
		settings_add(&text, &separator, param->name, param->value);
	}
	settings_add_identity(&text, &separator, "session_authorization", wanted);
	settings_add_identity(&text, &separator, "role", wanted);
	sqltext_send(core, chain, &text);
}
