/* The command line. */
#include "admin/cli.h"

#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 80 };

/* Parses words separated by single spaces. The words live until the next call. */
static int parse(const char *line, struct cli *ret)
{
	static char copy[4096];
	char program[] = "pgring";
	char *argv[WORDS_MAX] = {program};
	char *rest;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word != NULL;
		word = strtok_r(NULL, " ", &rest)) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = word;
	}
	return cli_parse(argc, argv, ret);
}

static struct cli parsed(const char *line)
{
	struct cli cli;

	if (parse(line, &cli) != 0)
		fail_msg("\"%s\": %s", line, cli.error);
	return cli;
}

static void nothing_is_run(void **state)
{
	struct cli cli = parsed("");

	(void)state;
	assert_int_equal(cli.command, CLI_RUN);
	assert_string_equal(cli.config_path, "pgring.toml");
	assert_string_equal(cli.users_path, "users.toml");
	assert_int_equal(cli.url_count, 0);
	assert_int_equal(cli.pool_size, CONFIG_UNSET);
	assert_int_equal(cli.min_pool_size, CONFIG_UNSET);
	assert_int_equal(cli.session_mode, CONFIG_UNSET);
	assert_int_equal(cli_parse(0, NULL, &cli), 0);
	assert_int_equal(cli.command, CLI_RUN);
}

static void flags_in_every_form(void **state)
{
	static const char *const lines[] = {
		"-c a -u b -d x -d y run -p 5 -m 2 -s true",
		"--config a --users b --database-url x --database-url y run --pool-size 5 "
		"--min-pool-size 2 "
		"--session-mode true",
		"--config=a --users=b --database-url=x --database-url=y run --pool-size=5 "
		"--min-pool-size=2 "
		"--session-mode=true",
		"-ca -ub -dx -dy run -p5 -m2 -strue",
		"-c=a -u=b -d=x -d=y run -p=5 -m=2 -s=true",
		"run -p 5 -m 2 -s true -c a -u b -d x -d y",
		"-p 5 -m 2 -s true -c a -u b -d x -d y",
	};

	(void)state;
	for (size_t i = 0; i < array_len(lines); i++) {
		struct cli cli = parsed(lines[i]);

		assert_int_equal(cli.command, CLI_RUN);
		assert_string_equal(cli.config_path, "a");
		assert_string_equal(cli.users_path, "b");
		assert_int_equal(cli.url_count, 2);
		assert_string_equal(cli.urls[0], "x");
		assert_string_equal(cli.urls[1], "y");
		assert_int_equal(cli.pool_size, 5);
		assert_int_equal(cli.min_pool_size, 2);
		assert_int_equal(cli.session_mode, 1);
	}
	assert_int_equal(parsed("run -s false").session_mode, 0);
}

static void commands(void **state)
{
	(void)state;
	assert_int_equal(parsed("run").command, CLI_RUN);
	assert_int_equal(parsed("configcheck -c x").command, CLI_CONFIGCHECK);
	assert_int_equal(parsed("describe options").command, CLI_DESCRIBE_OPTIONS);
	assert_int_equal(parsed("--version").command, CLI_VERSION);
	assert_int_equal(parsed("-V").command, CLI_VERSION);
	assert_int_equal(parsed("--help").command, CLI_HELP);
	assert_int_equal(parsed("run --help").command, CLI_HELP);
	assert_int_equal(parsed("configcheck -h --nonsense").command, CLI_HELP);

	struct cli cli = parsed("hash -secret-");

	assert_int_equal(cli.command, CLI_HASH);
	assert_string_equal(cli.password, "-secret-");
}

static void faults(void **state)
{
	static const struct {
		const char *line;
		const char *error;
	} cases[] = {
		{"--nonsense", "unknown flag --nonsense"},
		{"--nonsense=secret", "unknown flag --nonsense"},
		{"-x", "unknown flag -x"},
		{"-", "unknown command \"-\""},
		{"--", "unknown command \"--\""},
		{"walk", "unknown command \"walk\""},
		{"run fast", "unexpected word \"fast\""},
		{"run configcheck", "unexpected word \"configcheck\""},
		{"hash", "hash needs PASSWORD behind it"},
		{"describe", "describe needs options behind it"},
		{"describe colours", "expected: describe options"},
		{"data-sync", "the command data-sync is not supported yet"},
		{"-c", "--config needs PATH behind it"},
		{"--version=1", "--version takes no value"},
		{"-Vx", "--version takes no value"},
		{"-p 0", "default_pool_size: expected an integer from 1 to 1000000"},
		{"-p many", "default_pool_size: expected an integer from 1 to 1000000"},
		{"-m -1", "min_pool_size: expected an integer from 0 to 1000000"},
		{"-s maybe", "--session-mode: expected true or false"},
		{"configcheck -p 5",
			"--pool-size, --min-pool-size and --session-mode are for the command run"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct cli cli;

		assert_int_equal(parse(cases[i].line, &cli), ERR_INVALID);
		assert_string_equal(cli.error, cases[i].error);
	}
}

static void urls_have_a_limit(void **state)
{
	char program[] = "pgring", url[] = "-dpostgres://h/d";
	char *argv[1 + CLI_URLS_MAX + 1];
	struct cli cli;

	(void)state;
	argv[0] = program;
	for (int i = 1; i <= CLI_URLS_MAX + 1; i++)
		argv[i] = url;
	assert_int_equal(cli_parse(1 + CLI_URLS_MAX, argv, &cli), 0);
	assert_int_equal(cli.url_count, CLI_URLS_MAX);
	assert_int_equal(cli_parse(2 + CLI_URLS_MAX, argv, &cli), ERR_INVALID);
}

static void sources_say_the_same(void **state)
{
	char variable[] = "A=b";
	char *environment[] = {variable, NULL};
	struct cli cli = parsed("-c a -u b -d x run -p 5 -m 2 -s true");
	struct config_sources sources = cli_sources(&cli, environment);

	(void)state;
	assert_string_equal(sources.config.path, "a");
	assert_null(sources.config.text);
	assert_string_equal(sources.users.path, "b");
	assert_int_equal(sources.url_count, 1);
	assert_string_equal(sources.urls[0], "x");
	assert_string_equal(sources.environment[0], "A=b");
	assert_int_equal(sources.pool_size, 5);
	assert_int_equal(sources.min_pool_size, 2);
	assert_int_equal(sources.session_mode, 1);
}

static void help_names_everything(void **state)
{
	static const char *const expected[] = {"run", "configcheck", "hash PASSWORD",
		"describe options", "-c, --config PATH", "-d, --database-url URL",
		"-s, --session-mode BOOL", "-h, --help"};
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	cli_print_help(out);
	cli_print_version(out);
	fclose(out);
	for (size_t i = 0; i < array_len(expected); i++)
		assert_non_null(strstr(text, expected[i]));
	assert_non_null(strstr(text, "pgring v" PGRING_VERSION "\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_run),
		cmocka_unit_test(flags_in_every_form),
		cmocka_unit_test(commands),
		cmocka_unit_test(faults),
		cmocka_unit_test(urls_have_a_limit),
		cmocka_unit_test(sources_say_the_same),
		cmocka_unit_test(help_names_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
