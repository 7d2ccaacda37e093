/* The command line, by tables. */
#include "admin/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/errors.h"
#include "core/options.h"

/* A flag: how it is written, what it takes, where it belongs (NULL: everywhere). */
struct flag {
	char letter; /* 0: none */
	const char *name;
	const char *takes; /* NULL: nothing */
	int (*set)(struct cli *cli, const char *value);
	bool run_only;
	const char *doc;
};

static int fail(struct cli *cli, const char *format, ...) printf_like(2, 3);

static int fail(struct cli *cli, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(cli->error, sizeof(cli->error), format, arguments);
	va_end(arguments);
	return ERR_INVALID;
}

static int set_config(struct cli *cli, const char *value)
{
	cli->config_path = value;
	return 0;
}

static int set_users(struct cli *cli, const char *value)
{
	cli->users_path = value;
	return 0;
}

static int add_url(struct cli *cli, const char *value)
{
	if (cli->url_count == CLI_URLS_MAX)
		return fail(cli, "more than %d database URLs", CLI_URLS_MAX);
	cli->urls[cli->url_count++] = value;
	return 0;
}

/* The same bounds as in the file. */
static int set_general(struct cli *cli, const char *key, const char *value, int64_t *ret_number)
{
	const struct option *option = option_find(&option_section_general, key);
	struct option_value parsed;
	char expected[256];

	if (option_from_text(option, value, &parsed) != 0) {
		option_expected(option, expected, sizeof(expected));
		return fail(cli, "%s: expected %s", key, expected);
	}
	*ret_number = parsed.number;
	return 0;
}

static int set_pool_size(struct cli *cli, const char *value)
{
	return set_general(cli, "default_pool_size", value, &cli->pool_size);
}

static int set_min_pool_size(struct cli *cli, const char *value)
{
	return set_general(cli, "min_pool_size", value, &cli->min_pool_size);
}

static int set_session_mode(struct cli *cli, const char *value)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return fail(cli, "--session-mode: expected true or false");
	cli->session_mode = strcmp(value, "true") == 0;
	return 0;
}

static int set_version(struct cli *cli, const char *value)
{
	(void)value;
	cli->command = CLI_VERSION;
	return 0;
}

static int set_help(struct cli *cli, const char *value)
{
	(void)value;
	cli->command = CLI_HELP;
	return 0;
}

static const struct flag flags[] = {
	{'c', "config", "PATH", set_config, false, "Main file (default: " CONFIG_DEFAULT_PATH ")"},
	{'u', "users", "PATH", set_users, false,
		"Users file (default: " CONFIG_DEFAULT_USERS_PATH ")"},
	{'d', "database-url", "URL", add_url, false,
		"A database and its user, instead of those in the files; may be repeated"},
	{'p', "pool-size", "N", set_pool_size, true, "run: instead of general.default_pool_size"},
	{'m', "min-pool-size", "N", set_min_pool_size, true,
		"run: instead of general.min_pool_size"},
	{'s', "session-mode", "BOOL", set_session_mode, true,
		"run: true is general.pooler_mode = \"session\""},
	{'V', "version", NULL, set_version, false, "Print the version"},
	{'h', "help", NULL, set_help, false, "Print this help"},
};

static const struct {
	const char *name;
	enum cli_command command;
	const char *takes; /* one word more; NULL: nothing */
	const char *doc;
} commands[] = {
	{"run", CLI_RUN, NULL, "Run the proxy (the default)"},
	{"configcheck", CLI_CONFIGCHECK, NULL,
		"Check the files; the exit status is 0 if they are valid"},
	{"hash", CLI_HASH, "PASSWORD", "Print the secret to store for a password"},
	{"describe", CLI_DESCRIBE_OPTIONS, "options",
		"Print the manual's page about all options (Markdown)"},
};

/* Commands of PgDog that a script may try. */
static const char *const later_commands[] = {
	"route", "schema-sync", "data-sync", "replicate-and-cutover", "setup"};

static const struct flag *find_long(const char *name, size_t len)
{
	for (size_t i = 0; i < array_len(flags); i++) {
		if (strlen(flags[i].name) == len && memcmp(flags[i].name, name, len) == 0)
			return &flags[i];
	}
	return NULL;
}

static const struct flag *find_short(char letter)
{
	for (size_t i = 0; i < array_len(flags); i++) {
		if (flags[i].letter == letter)
			return &flags[i];
	}
	return NULL;
}

/* What is left of the command line. */
struct words {
	char **at;
	char **end;
	bool run_flag; /* one that only `run` takes was there */
	bool final;    /* --version or --help was there: nothing else matters */
};

static int take_flag(
	struct cli *cli, struct words *words, const struct flag *flag, const char *value)
{
	enum cli_command before = cli->command;
	int err;

	if (flag->takes != NULL && value == NULL) {
		if (words->at == words->end)
			return fail(cli, "--%s needs %s behind it", flag->name, flag->takes);
		value = *words->at++;
	}
	if (flag->takes == NULL && value != NULL)
		return fail(cli, "--%s takes no value", flag->name);
	words->run_flag = words->run_flag || flag->run_only;
	err = flag->set(cli, value);
	words->final = cli->command != before;
	return err;
}

static int take_long(struct cli *cli, struct words *words, const char *name)
{
	const char *equals = strchr(name, '=');
	size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct flag *flag = find_long(name, len);

	if (flag == NULL)
		return fail(cli, "unknown flag --%.*s", len > 64 ? 64 : (int)len, name);
	return take_flag(cli, words, flag, equals != NULL ? equals + 1 : NULL);
}

/* -c PATH, -cPATH, -c=PATH */
static int take_short(struct cli *cli, struct words *words, const char *text)
{
	const struct flag *flag = find_short(text[0]);
	const char *value = text[1] != '\0' ? text + 1 : NULL;

	if (flag == NULL)
		return fail(cli, "unknown flag -%c", text[0]);
	if (value != NULL && *value == '=')
		value++;
	return take_flag(cli, words, flag, value);
}

static int take_command(struct cli *cli, struct words *words, const char *name)
{
	for (size_t i = 0; i < array_len(commands); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		cli->command = commands[i].command;
		if (commands[i].takes == NULL)
			return 0;
		if (words->at == words->end)
			return fail(cli, "%s needs %s behind it", name, commands[i].takes);

		const char *word = *words->at++;

		if (cli->command == CLI_HASH)
			cli->password = word;
		else if (strcmp(word, commands[i].takes) != 0)
			return fail(cli, "expected: %s %s", name, commands[i].takes);
		return 0;
	}
	for (size_t i = 0; i < array_len(later_commands); i++) {
		if (strcmp(later_commands[i], name) == 0)
			return fail(cli, "the command %s is not supported yet", name);
	}
	return fail(cli, "unknown command \"%.64s\"", name);
}

int cli_parse(int argc, char **argv, struct cli *ret)
{
	struct words words = {.at = argv + (argc > 0), .end = argv + argc};
	bool command = false;
	int err = 0;

	*ret = (struct cli){.command = CLI_RUN,
		.config_path = CONFIG_DEFAULT_PATH,
		.users_path = CONFIG_DEFAULT_USERS_PATH,
		.pool_size = CONFIG_UNSET,
		.min_pool_size = CONFIG_UNSET,
		.session_mode = CONFIG_UNSET};
	while (words.at < words.end && err == 0 && !words.final) {
		const char *word = *words.at++;

		if (word[0] == '-' && word[1] == '-' && word[2] != '\0') {
			err = take_long(ret, &words, word + 2);
		} else if (word[0] == '-' && word[1] != '-' && word[1] != '\0') {
			err = take_short(ret, &words, word + 1);
		} else if (command) {
			err = fail(ret, "unexpected word \"%.64s\"", word);
		} else {
			err = take_command(ret, &words, word);
			command = true;
		}
	}
	if (err == 0 && words.run_flag && ret->command != CLI_RUN && !words.final)
		err = fail(ret,
			"--pool-size, --min-pool-size and --session-mode are for the command run");
	return err;
}

struct config_sources cli_sources(const struct cli *cli, char **environment)
{
	struct config_sources sources = config_sources_default();

	sources.config.path = cli->config_path;
	sources.users.path = cli->users_path;
	sources.urls = cli->urls;
	sources.url_count = cli->url_count;
	sources.environment = (const char *const *)environment;
	sources.pool_size = cli->pool_size;
	sources.min_pool_size = cli->min_pool_size;
	sources.session_mode = cli->session_mode;
	return sources;
}

void cli_print_help(FILE *out)
{
	char left[64];

	fprintf(out,
		"Usage: pgring [flags] [command]\n\nA connection pooler for "
		"PostgreSQL.\n\nCommands:\n");
	for (size_t i = 0; i < array_len(commands); i++) {
		snprintf(left, sizeof(left), "%s %s", commands[i].name,
			commands[i].takes != NULL ? commands[i].takes : "");
		fprintf(out, "  %-28s %s\n", left, commands[i].doc);
	}
	fprintf(out, "\nFlags:\n");
	for (size_t i = 0; i < array_len(flags); i++) {
		snprintf(left, sizeof(left), "-%c, --%s %s", flags[i].letter, flags[i].name,
			flags[i].takes != NULL ? flags[i].takes : "");
		fprintf(out, "  %-28s %s\n", left, flags[i].doc);
	}
}

void cli_print_version(FILE *out)
{
	fprintf(out, "pgring v%s\n", PGRING_VERSION);
}
