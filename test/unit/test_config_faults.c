/* Configuration: what is said about what is wrong or strange, and where. */
#include "test/unit/config_loaded.h"

struct said {
	const char *config;
	const char *users;
	const char *message;
};

/* A file with one fault, and what is said about it. */
static const struct said faults[] = {
#define FAULT(config, users, message) {config, users, message},
#include "test/unit/config/faults.def"
};

static void faults_are_found_where_they_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(faults); i++) {
		struct loaded loaded = load(faults[i].config, faults[i].users);

		assert_result(&loaded, ERR_INVALID);
		assert_message(&loaded, faults[i].message);
		unload(&loaded);
	}
}

/* The words are those of toml++ and differ between its versions; the places do not. */
static void faults_of_syntax_have_a_place(void **state)
{
	static const struct {
		const char *config;
		uint32_t line, column;
	} cases[] = {
		{"[general]\nport = 6432a\n", 2, 12},
		{"[general]\nport = 1\nport = 2\n", 3, 8},
		{"[general]\nport = \n", 2, 8},
		{"[tcp]\n[general]\n[tcp]\n", 3, 0},
		{"\n[#\n", 2, 0},
		{"[!]\n", 1, 0},
		{"[]\n", 1, 0},
		{"[", 1, 0},
		{"[general]\nhost = \"a\n\"\n", 2, 0},
		{"a.b = 1\na.b.c = 2\n", 2, 0},
		{"[general]\nh\u00e4st = 1\n", 2, 0},
		{"[general]\n\u00e9 = 1\n", 2, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct loaded loaded = load(cases[i].config, "");
		const struct config_place *place;

		assert_result(&loaded, ERR_INVALID);
		assert_int_equal(loaded.report.errors, 1);
		place = &loaded.report.messages[0].place;
		assert_string_equal(place->file, "pgring.toml");
		assert_int_equal(place->line, cases[i].line);
		if (cases[i].column > 0)
			assert_int_equal(place->column, cases[i].column);
		unload(&loaded);
	}
}

/* What is strange and still has a meaning, and what is said about it. */
static const struct said oddities[] = {
#define ODDITY(config, users, message) {config, users, message},
#include "test/unit/config/oddities.def"
};

static void oddities_are_warned_about(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(oddities); i++) {
		struct loaded loaded = load(oddities[i].config, oddities[i].users);

		assert_result(&loaded, 0);
		assert_message(&loaded, oddities[i].message);
		unload(&loaded);
	}
}

static void all_faults_of_a_file_are_reported(void **state)
{
	char text[16384] = "[general]\n";
	struct loaded loaded;

	(void)state;
	for (int i = 0; i < 60; i++)
		append(text, sizeof(text), "wrong_key_number_%d = 1\n", i);
	loaded = load(text, "[[users]]\nname = 1\n");
	assert_result(&loaded, ERR_INVALID);
	assert_int_equal(loaded.report.errors, 61);
	assert_int_equal(loaded.report.count, CONFIG_ERRORS_MAX);
	assert_int_equal(loaded.report.messages[0].place.line, 2);
	assert_int_equal(loaded.report.messages[49].place.line, 51);
	unload(&loaded);
}

static void names_from_files_cannot_forge_messages(void **state)
{
	struct loaded loaded = load("[general]\n\"a\\nb\\u001b[31m\" = 1\n", "");

	(void)state;
	assert_message(&loaded, "pgring.toml:2:1: error: unknown key \"a?b?[31m\" in [general]");
	unload(&loaded);
	loaded = load(DATABASE("a\\nb") "role = \"replica\"\n", "");
	assert_message(&loaded,
		"pgring.toml:1: warning: database \"a?b\" has no primary; all queries go to its "
		"first replica");
	unload(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_are_found_where_they_are),
		cmocka_unit_test(faults_of_syntax_have_a_place),
		cmocka_unit_test(oddities_are_warned_about),
		cmocka_unit_test(all_faults_of_a_file_are_reported),
		cmocka_unit_test(names_from_files_cannot_forge_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
