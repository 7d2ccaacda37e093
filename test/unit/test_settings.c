/* Session parameters: shared while they are the same, and a query that PostgreSQL reads as what was meant, whatever the values. */
#include "pool/settings.h"

#include "core/rand.h"
#include "pool/pool.h"
#include "protocol/frame.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUERY_MAX = 1 << 20 };

static struct core core;
static struct net net;
static struct pool pool;

static int pool_open(void **state)
{
	(void)state;
	memset(&core, 0, sizeof core);
	memset(&net, 0, sizeof net);
	memset(&pool, 0, sizeof pool);
	core.net = &net;
	return 0;
}

static int pool_close(void **state)
{
	(void)state;
	table_free(&pool.settings);
	chain_free_lists(&core);
	return 0;
}

/* ---- sharing ---- */

/* A set of "name=value" words; NULL ends them. */
static struct settings *share(const char *const *words)
{
	struct params params = {0};
	struct settings *settings;

	for (; *words; words++) {
		char name[64] = "";
		const char *value = strchr(*words, '=') + 1;

		memcpy(name, *words, (size_t)(value - *words - 1));
		params_set(&params, name, value);
	}
	settings = settings_share(&pool, &params);
	params_clear(&params); /* it was copied */
	return settings;
}

#define SHARE(...) share((const char *const[]){__VA_ARGS__, NULL})

static size_t sets_of_the_pool(void)
{
	return pool.settings.count;
}

static void equal_sets_are_one(void **state)
{
	struct settings *a = SHARE("DateStyle=ISO", "TimeZone=UTC");

	(void)state;
	assert_ptr_equal(SHARE("DateStyle=ISO", "TimeZone=UTC"), a);
	assert_ptr_equal(SHARE("TimeZone=UTC", "DateStyle=ISO"), a); /* in another order */
	assert_ptr_equal(SHARE("timezone=UTC", "datestyle=ISO"), a);
	assert_int_equal(a->users, 4);
	assert_int_equal(sets_of_the_pool(), 1);
	assert_false(a->is_tried);
	for (unsigned i = 0; i < 4; i++)
		settings_drop(a);
	assert_int_equal(sets_of_the_pool(), 0);
}

static void many_are_found_again(void **state)
{
	enum { MANY = 1000 };
	struct settings *sets[MANY];
	char word[32];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(word, sizeof word, "app.tenant=%u", i);
		sets[i] = SHARE(word);
	}
	assert_int_equal(sets_of_the_pool(), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(word, sizeof word, "app.tenant=%u", i);
		assert_ptr_equal(SHARE(word), sets[i]);
		sets[i]->is_tried = true;
	}
	settings_doubt(&pool);
	for (unsigned i = 0; i < MANY; i++) {
		assert_false(sets[i]->is_tried);
		settings_drop(sets[i]);
		settings_drop(sets[i]);
	}
	assert_int_equal(sets_of_the_pool(), 0);
}

static void short_timeouts_are_hasty(void **state)
{
	static const struct {
		const char *word;
		bool is_hasty;
	} rows[] = {{"statement_timeout=0", false}, {"statement_timeout=1", true},
		{"statement_timeout=999", true}, {"statement_timeout=1000", false},
		{"statement_timeout=30s", false}, {"statement_timeout=0.5 s", true},
		{"statement_timeout=5min", false}, {"statement_timeout=900000us", true},
		{"Transaction_Timeout=20", true}, {"lock_timeout=1", false},
		{"idle_session_timeout=1h", true}, {"idle_session_timeout=0", false}};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct settings *set = SHARE(rows[i].word);

		if (set->is_hasty != rows[i].is_hasty)
			fail_msg("%s", rows[i].word);
		settings_drop(set);
	}
}

static void others_are_others(void **state)
{
	struct settings *sets[] = {
		SHARE("a=1"),
		SHARE("a=2"),
		SHARE("b=1"),
		SHARE("a=1", "b=1"),
		SHARE("a=1", "b=2"),
		SHARE("a="),
		share((const char *const[]){NULL}),
		SHARE("A=1 "),
	};

	(void)state;
	for (size_t i = 0; i < array_len(sets); i++)
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(sets[i], sets[j]);
	assert_int_equal(sets_of_the_pool(), array_len(sets));
	for (size_t i = 0; i < array_len(sets); i++)
		settings_drop(sets[i]);
	assert_int_equal(sets_of_the_pool(), 0);
}

static void the_last_user_frees_it(void **state)
{
	struct settings *a = SHARE("a=1"), *b;

	(void)state;
	settings_hold(a);
	assert_int_equal(a->users, 2);
	params_set(&a->reported, "server_version", "17"); /* freed with it */
	settings_drop(a);
	assert_int_equal(sets_of_the_pool(), 1);
	assert_ptr_equal(SHARE("a=1"), a);
	settings_drop(a);
	settings_drop(a);
	assert_int_equal(sets_of_the_pool(), 0);
	settings_drop(NULL);
	b = SHARE("a=1");
	assert_int_equal(b->users, 1);
	assert_null(params_get(&b->reported, "server_version"));
	settings_drop(b);
}

/* ---- the query, read as PostgreSQL reads it (scan.l) ---- */

/* How a client encoding joins bytes: the length of the character at `at`, of at most `left` bytes (mbutils, wchar.c). */
typedef size_t character_len(const uint8_t *at, size_t left);

static size_t one_byte(const uint8_t *at, size_t left)
{
	(void)at;
	(void)left;
	return 1;
}

/* SJIS, as pg_sjis_mblen has it: the second byte of a character may be an ASCII letter or a backslash. */
static size_t sjis(const uint8_t *at, size_t left)
{
	return at[0] >= 0x80 && !(at[0] >= 0xA1 && at[0] <= 0xDF) && left >= 2 ? 2 : 1;
}

/* GBK and BIG5 likewise. */
static size_t gbk(const uint8_t *at, size_t left)
{
	return at[0] >= 0x80 && left >= 2 ? 2 : 1;
}

struct lexer {
	const uint8_t *at, *end;
	character_len *character;
};

static void past(struct lexer *lexer, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(lexer->end - lexer->at) < len || memcmp(lexer->at, word, len) != 0)
		fail_msg("\"%.40s\" where \"%s\" should be", (const char *)lexer->at, word);
	lexer->at += len;
}

static bool is_at(const struct lexer *lexer, char c)
{
	return lexer->at < lexer->end && *lexer->at == (uint8_t)c;
}

/* A text between two `quote`s, which stands twice for itself; in a literal, a backslash stands before what it escapes. */
static void read_quoted(struct lexer *lexer, char quote, char *ret)
{
	bool is_literal = quote == '\'';

	assert_true(is_at(lexer, quote));
	lexer->at++;
	for (;;) {
		size_t len;

		assert_true(lexer->at < lexer->end);
		len = lexer->character(lexer->at, (size_t)(lexer->end - lexer->at));
		if (len == 1 && is_at(lexer, quote)) {
			lexer->at++;
			if (!is_at(lexer, quote))
				break;
		} else if (len == 1 && is_literal && is_at(lexer, '\\')) {
			lexer->at++;
			if (lexer->at < lexer->end && *lexer->at >= '0' && *lexer->at <= '7') {
				unsigned code = 0;

				for (unsigned i = 0;
					i < 3 && *lexer->at >= '0' && *lexer->at <= '7'; i++)
					code = code << 3 | (unsigned)(*lexer->at++ - '0');
				*ret++ = (char)code;
				continue;
			}
			assert_true(is_at(lexer, '\\') ||
				is_at(lexer, '\'')); /* no other escape is ours */
		}
		memcpy(ret, lexer->at, len);
		ret += len;
		lexer->at += len;
	}
	*ret = '\0';
}

static void read_literal(struct lexer *lexer, char *ret)
{
	past(lexer, "E"); /* or standard_conforming_strings decides what a backslash is */
	read_quoted(lexer, '\'', ret);
}

struct effect {
	struct params changes; /* in order */
	char reset[64][128];
	unsigned reset_count;
};

static void read_set_configs(struct lexer *lexer, struct effect *effect)
{
	static char name[QUERY_MAX], value[QUERY_MAX];

	past(lexer, "SELECT ");
	for (;;) {
		past(lexer, "pg_catalog.set_config(");
		read_literal(lexer, name);
		past(lexer, ",");
		read_literal(lexer, value);
		past(lexer, ",false)");
		assert_null(params_get(&effect->changes, name));
		params_set(&effect->changes, name, value);
		if (!is_at(lexer, ','))
			return;
		past(lexer, ",");
	}
}

static void read_query(
	const uint8_t *bytes, size_t len, character_len *character, struct effect *effect)
{
	struct lexer lexer = {bytes, bytes + len, character};
	static char name[QUERY_MAX];

	memset(effect, 0, sizeof *effect);
	while (is_at(&lexer, 'R')) {
		past(&lexer, "RESET ");
		read_quoted(&lexer, '"', name);
		past(&lexer, ";");
		assert_true(strlen(name) < sizeof effect->reset[0]);
		memcpy(effect->reset[effect->reset_count++], name, strlen(name) + 1);
	}
	if (lexer.at < lexer.end)
		read_set_configs(&lexer, effect);
	assert_ptr_equal(lexer.at, lexer.end);
}

/* Composes the query and gives its text; checks that it is one whole Query message. */
static const uint8_t *compose(
	const struct settings *present, const struct settings *wanted, size_t *ret_len)
{
	static uint8_t bytes[QUERY_MAX];
	struct chain chain = {0};
	struct frame frame;
	size_t len;

	settings_compose(&core, &chain, present, wanted);
	assert_true(chain.bytes < sizeof bytes);
	len = chain_peek(&chain, bytes, sizeof bytes);
	assert_int_equal(len, chain.bytes);
	chain_clear(&core, &chain);
	assert_int_equal(frame_read(frame_from_client, bytes, len, &frame), FRAME_DONE);
	assert_int_equal(frame.type, 'Q');
	assert_int_equal(frame.bytes, len);
	*ret_len = len - FRAME_HEAD - 1;
	assert_int_equal(
		strlen((char *)bytes + FRAME_HEAD), *ret_len); /* the only NUL is the last byte */
	return bytes + FRAME_HEAD;
}

static bool is_reset(const struct effect *effect, const char *name)
{
	for (unsigned i = 0; i < effect->reset_count; i++)
		if (strcmp(effect->reset[i], name) == 0)
			return true;
	return false;
}

/* The query changes `present` to `wanted`, and nothing else. */
static void assert_turns(
	const struct settings *present, const struct settings *wanted, character_len *character)
{
	struct effect effect;
	unsigned resets = 0, changes = 0;
	size_t len;
	const uint8_t *text = compose(present, wanted, &len);

	read_query(text, len, character, &effect);
	for (size_t i = 0; i < present->wanted.count; i++) {
		const char *name = present->wanted.items[i].name;
		bool stays = params_get(&wanted->wanted, name) != NULL;

		assert_int_equal(is_reset(&effect, name), !stays);
		resets += !stays;
	}
	assert_int_equal(effect.reset_count, resets);
	for (size_t i = 0; i < wanted->wanted.count; i++) {
		const struct param *param = &wanted->wanted.items[i];
		const char *before = params_get(&present->wanted, param->name);
		const char *after = params_get(&effect.changes, param->name);

		if (before && strcmp(before, param->value) == 0) {
			assert_null(after);
			continue;
		}
		changes++;
		assert_non_null(after);
		assert_string_equal(after, param->value);
	}
	assert_int_equal(effect.changes.count, changes);
	params_clear(&effect.changes);
}

static void the_query_says_what_is_to_change(void **state)
{
	struct settings *nothing = share((const char *const[]){NULL});
	struct settings *a = SHARE("TimeZone=UTC", "DateStyle=ISO, MDY", "extra_float_digits=2");
	struct settings *b = SHARE("extra_float_digits=3", "datestyle=ISO, MDY", "my.var=x");
	size_t len;

	(void)state;
	assert_string_equal((const char *)compose(nothing, a, &len),
		"SELECT pg_catalog.set_config(E'TimeZone',E'UTC',false),"
		"pg_catalog.set_config(E'DateStyle',E'ISO, MDY',false),"
		"pg_catalog.set_config(E'extra_float_digits',E'2',false)");
	assert_string_equal((const char *)compose(a, b, &len),
		"RESET \"TimeZone\";"
		"SELECT pg_catalog.set_config(E'extra_float_digits',E'3',false),"
		"pg_catalog.set_config(E'my.var',E'x',false)");
	assert_string_equal((const char *)compose(b, nothing, &len),
		"RESET \"extra_float_digits\";RESET \"datestyle\";RESET \"my.var\";");
	assert_string_equal((const char *)compose(a, a, &len), "");
	assert_string_equal((const char *)compose(nothing, nothing, &len), "");
	settings_drop(nothing);
	settings_drop(a);
	settings_drop(b);
}

static void quotes_and_backslashes_stay_inside(void **state)
{
	static const char *const texts[] = {"", "'", "''", "\\", "\\\\", "\\'", "'\\", "\\''",
		"x'); DROP TABLE t; --", "\\'); --", "E'x'", "\"", "\"\"", "$$", "$1", ";", "\n",
		"--", "/*", "\\n", "\\0", "\\x41", "\\u0041", "a\\", "%s%n"};
	struct settings *nothing = share((const char *const[]){NULL});

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		for (size_t j = 0; j < array_len(texts); j++) {
			struct params params = {0};
			struct settings *settings;

			params_set(&params, texts[i], texts[j]);
			params_set(&params, "behind", texts[i]);
			settings = settings_share(&pool, &params);
			assert_turns(nothing, settings, one_byte);
			assert_turns(settings, nothing, one_byte);
			settings_drop(settings);
			params_clear(&params);
		}
	}
	settings_drop(nothing);
	assert_int_equal(sets_of_the_pool(), 0);
}

static void random_text(struct rand *rand, char *text, size_t len, bool is_ascii)
{
	static const char favourites[] = "'\"\\;,()E";

	for (size_t i = 0; i < len; i++) {
		do
			text[i] = rand_below(rand, 3)
				? (char)rand_next(rand)
				: favourites[rand_below(rand, sizeof favourites - 1)];
		while (text[i] == '\0' || (is_ascii && (text[i] & 0x80)));
	}
	text[len] = '\0';
}

static struct settings *random_settings(struct rand *rand)
{
	static const char *const names[] = {"a", "b", "c", "d.e", "\"", "'", "\\", "\xC3\xA4"};
	struct params params = {0};
	struct settings *settings;

	for (uint64_t n = rand_below(rand, 6); n > 0; n--) {
		const char *name = names[rand_below(rand, array_len(names))];
		char value[3000];

		if (rand_below(rand, 3) == 0)
			random_text(rand, value, 0, false); /* often the same */
		else
			random_text(rand, value,
				rand_below(rand, rand_below(rand, 30) ? 8 : sizeof value), false);
		params_set(&params, name, value);
	}
	settings = settings_share(&pool, &params);
	params_clear(&params);
	return settings;
}

static void any_bytes_stay_inside(void **state)
{
	struct rand rand = {{91, 92, 93, 94}};

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct settings *present = random_settings(&rand), *wanted = random_settings(&rand);

		assert_turns(present, wanted, one_byte);
		settings_drop(present);
		settings_drop(wanted);
	}
	assert_int_equal(sets_of_the_pool(), 0);
}

/* A client encoding may be among the settings that a server has already. In those that PostgreSQL knows for clients only (SJIS,
 * BIG5, GBK, UHC, GB18030, JOHAB) the second byte of a character may be a backslash: doubled, the second one escapes what
 * follows, and the quote behind it ends the literal (CVE-2006-2314). */
static void any_bytes_stay_inside_in_every_client_encoding(void **state)
{
	static character_len *const encodings[] = {sjis, gbk};
	static const char *const values[] = {
		"\x83\x5C", "\x83\x5C'", "\x83\\');SELECT 'here', ('", "\x95\x5C\x95\x5C"};
	struct settings *nothing = share((const char *const[]){NULL});

	(void)state;
	for (size_t e = 0; e < array_len(encodings); e++) {
		for (size_t i = 0; i < array_len(values); i++) {
			struct params params = {0};
			struct settings *settings;

			params_set(&params, "application_name", values[i]);
			settings = settings_share(&pool, &params);
			assert_turns(nothing, settings, encodings[e]);
			settings_drop(settings);
			params_clear(&params);
		}
	}
	settings_drop(nothing);
	assert_int_equal(sets_of_the_pool(), 0);
}

#define WITH_A_POOL(test) cmocka_unit_test_setup_teardown(test, pool_open, pool_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_POOL(equal_sets_are_one),
		WITH_A_POOL(many_are_found_again),
		WITH_A_POOL(short_timeouts_are_hasty),
		WITH_A_POOL(others_are_others),
		WITH_A_POOL(the_last_user_frees_it),
		WITH_A_POOL(the_query_says_what_is_to_change),
		WITH_A_POOL(quotes_and_backslashes_stay_inside),
		WITH_A_POOL(any_bytes_stay_inside),
		WITH_A_POOL(any_bytes_stay_inside_in_every_client_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
