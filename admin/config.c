/* Loading: files and environment, then the checks, then the snapshot. */
#include "admin/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/config_environment.h"
#include "admin/config_parse.h"
#include "admin/config_resolve.h"
#include "admin/config_toml.h"
#include "admin/config_url.h"
#include "core/errors.h"
#include "core/memory.h"
#include "core/options.h"

struct config_sources config_sources_default(void)
{
	return (struct config_sources){
		.config = {.path = CONFIG_DEFAULT_PATH},
		.users = {.path = CONFIG_DEFAULT_USERS_PATH},
		.pool_size = CONFIG_UNSET,
		.min_pool_size = CONFIG_UNSET,
		.session_mode = CONFIG_UNSET,
	};
}

/* Reads at most `size` bytes. Returns the number; one byte more than fits is ERR_TOO_LONG. */
static long read_bytes(FILE *file, char *buf, size_t size)
{
	size_t len = fread(buf, 1, size, file);

	if (ferror(file))
		return ERR_SYSTEM;
	if (len == size && fgetc(file) != EOF)
		return ERR_TOO_LONG;
	return (long)len;
}

static void complain(struct config_report *report, enum config_severity severity, const char *path,
	const char *what)
{
	config_report_add(report, severity, (struct config_place){.file = path}, "%s", what);
}

static void need_source(struct config_source *source)
{
	struct stat status;

	if (source->text == NULL && stat(source->path, &status) == 0)
		source->is_needed = true;
}

void config_sources_need(struct config_sources *sources)
{
	need_source(&sources->config);
	need_source(&sources->users);
}

/* The whole file, malloc'ed with room for CONFIG_FILE_BYTES_MAX. Returns its length; ERR_NOT_FOUND, after a warning, if there is
 * none and need not be; ERR_INVALID after an error; ERR_NO_MEMORY. */
static long read_file(
	const struct config_source *source, struct config_report *report, char **ret_text)
{
	const char *path = source->path;
	FILE *file = fopen(path, "re");
	char *text;
	long len;

	if (file == NULL && errno == ENOENT && !source->is_needed) {
		complain(
			report, CONFIG_WARNING, path, "the file does not exist; defaults are used");
		return ERR_NOT_FOUND;
	}
	if (file == NULL) {
		config_report_add(report, CONFIG_ERROR, (struct config_place){.file = path},
			"the file cannot be opened: %s", strerror(errno));
		return ERR_INVALID;
	}
	setvbuf(file, NULL, _IONBF, 0); /* no second copy of the passwords */
	text = malloc(CONFIG_FILE_BYTES_MAX);
	if (text == NULL) {
		fclose(file);
		return ERR_NO_MEMORY;
	}
	len = read_bytes(file, text, CONFIG_FILE_BYTES_MAX);
	if (len < 0) {
		complain(report, CONFIG_ERROR, path,
			len == ERR_TOO_LONG ? "the file is larger than 16 MiB"
					    : "the file cannot be read");
		memory_wipe(text, CONFIG_FILE_BYTES_MAX);
		free(text);
		len = ERR_INVALID;
	} else {
		*ret_text = text;
	}
	fclose(file);
	return len;
}

static void parse_text(struct config_parse *parse, enum option_file which, const char *path,
	const char *text, size_t len)
{
	struct config_toml *root;
	struct config_toml_error error;

	if (len > CONFIG_FILE_BYTES_MAX) {
		complain(parse->report, CONFIG_ERROR, path, "the file is larger than 16 MiB");
		return;
	}
	if (config_toml_parse(text, len, &root, &error) != 0) {
		config_report_add(parse->report, CONFIG_ERROR,
			(struct config_place){path, error.line, error.column}, "%s", error.text);
		return;
	}
	config_parse_file(parse, root, which, path);
	config_toml_free(root);
}

static void load_source(
	struct config_parse *parse, enum option_file which, const struct config_source *source)
{
	char *text = NULL;
	long len;

	if (source->text != NULL) {
		parse_text(parse, which, source->path, source->text, source->len);
		return;
	}
	len = read_file(source, parse->report, &text);
	if (len == ERR_NO_MEMORY)
		parse->out_of_memory = true;
	if (len < 0)
		return;
	parse_text(parse, which, source->path, text, (size_t)len);
	memory_wipe(text, (size_t)len);
	free(text);
}

static const char *default_user(const char *const *environment)
{
	const char *user = config_environment_value(environment, "USER");

	return user != NULL ? user : "postgres";
}

/* PGRING_DATABASE_URL_1 and so on, or if there is none PGDOG_DATABASE_URL_1 and so on. */
static void load_environment_urls(struct config_parse *parse, const char *const *environment)
{
	static const char *const prefixes[] = {"PGRING", "PGDOG"};
	char name[64];

	for (size_t i = 0; i < array_len(prefixes); i++) {
		for (int number = 1; number <= CONFIG_URLS_MAX; number++) {
			const char *url;

			snprintf(name, sizeof(name), "%s_DATABASE_URL_%d", prefixes[i], number);
			url = config_environment_value(environment, name);
			if (url == NULL) {
				if (number > 1)
					return;
				break;
			}
			if (number == 1)
				config_parse_drop_entries(parse);
			config_url_parse(parse, url, default_user(environment),
				(struct config_place){.file = name});
		}
	}
}

static void load_urls(struct config_parse *parse, const struct config_sources *sources)
{
	char name[64];

	if (sources->url_count == 0) {
		load_environment_urls(parse, sources->environment);
		return;
	}
	config_parse_drop_entries(parse);
	for (size_t i = 0; i < sources->url_count; i++) {
		snprintf(name, sizeof(name), "database URL %zu", i + 1);
		config_url_parse(parse, sources->urls[i], default_user(sources->environment),
			(struct config_place){.file = name});
	}
}

/* What the command line says beats the file. */
static void load_command_line(struct config_parse *parse, const struct config_sources *sources)
{
	struct config_general *general = &parse->config->general;

	if (sources->pool_size != CONFIG_UNSET)
		general->default_pool_size = sources->pool_size;
	if (sources->min_pool_size != CONFIG_UNSET)
		general->min_pool_size = sources->min_pool_size;
	if (sources->session_mode == 1)
		general->pooler_mode = POOL_SESSION;
}

int config_load(const struct config_sources *sources, struct config **ret_config,
	struct config_report *report)
{
	struct config *config = config_new();
	struct config_parse parse;
	size_t errors = report->errors;
	int err;

	if (config == NULL)
		return ERR_NO_MEMORY;
	config_parse_begin(&parse, config, report);
	config_environment_general(&parse, sources->environment);
	load_source(&parse, OPTION_FILE_CONFIG, &sources->config);
	load_source(&parse, OPTION_FILE_USERS, &sources->users);
	config_environment_admin(&parse, sources->environment);
	load_urls(&parse, sources);
	load_command_line(&parse, sources);
	err = config_parse_finish(&parse);
	if (err == 0 && report->errors == errors)
		err = config_resolve(config, sources->config.path, sources->users.path, report);
	if (err == 0 && report->errors != errors)
		err = ERR_INVALID;
	if (err != 0) {
		config_free(config);
		return err;
	}
	*ret_config = config;
	return 0;
}

int config_check(const struct config_sources *sources, FILE *out, FILE *err)
{
	struct config_report report = {0};
	struct config *config = NULL;
	int result = config_load(sources, &config, &report);

	config_report_print(&report, err);
	if (result == 0)
		fprintf(out, "config valid\n");
	else if (result != ERR_INVALID)
		fprintf(err, "error: %s\n", error_text(result));
	config_report_clear(&report);
	config_free(config);
	return result == 0 ? 0 : 1;
}
