/* What the tests of the configuration have in common: loading from texts, and looking at what came out. */
#ifndef PGRING_TEST_UNIT_CONFIG_LOADED_H
#define PGRING_TEST_UNIT_CONFIG_LOADED_H

#include "admin/config.h"
#include "core/errors.h"
#include "core/options.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRAM_HASH \
	"SCRAM-SHA-256$4096:BUAbInYiJaHH7QbjfBxS0g==$UjxmfHHp8tYI7oGoEiVKltBKgAJXhODbPaoSS45gkW0=" \
	":" \
	"mYUwOSYgy8r81OTiR0hpgkk5hm00D/dcL1/vkk3ln9I="
#define MD5_HASH "md5760ef1bba4ad56c969b91196de1bed98"

#define DATABASE(name) "[[databases]]\nname = \"" name "\"\nhost = \"127.0.0.1\"\n"
#define USER(name, database) \
	"[[users]]\nname = \"" name "\"\ndatabase = \"" database "\"\npassword = \"p\"\n"

/* A loaded configuration, with everything that a test may want to look at afterwards. */
struct loaded {
	struct config *config;
	struct config_report report;
	int result;
};

/* snprintf behind what is in the buffer. */
static inline void append(char *buf, size_t size, const char *format, int number)
{
	size_t len = strlen(buf);

	snprintf(buf + len, size - len, format, number);
}

static inline struct loaded load_from(
	const char *config, const char *users, const char *const *environment)
{
	struct config_sources sources = config_sources_default();
	struct loaded loaded = {0};

	sources.config.text = config;
	sources.config.len = strlen(config);
	sources.users.text = users;
	sources.users.len = strlen(users);
	sources.environment = environment;
	loaded.result = config_load(&sources, &loaded.config, &loaded.report);
	return loaded;
}

static inline struct loaded load(const char *config, const char *users)
{
	return load_from(config, users, NULL);
}

static inline void unload(struct loaded *loaded)
{
	config_report_clear(&loaded->report);
	config_free(loaded->config);
	*loaded = (struct loaded){0};
}

/* Fails with the messages if there is a config although there should be none, or the other way round. */
static inline void assert_result(const struct loaded *loaded, int result)
{
	if (loaded->result != result)
		config_report_print(&loaded->report, stderr);
	assert_int_equal(loaded->result, result);
	assert_true((loaded->config != NULL) == (result == 0));
}

static inline bool has_message(const struct loaded *loaded, const char *line)
{
	char text[2048];

	for (size_t i = 0; i < loaded->report.count; i++) {
		config_report_format(&loaded->report.messages[i], text, sizeof(text));
		if (strcmp(text, line) == 0)
			return true;
	}
	return false;
}

static inline void assert_message(const struct loaded *loaded, const char *line)
{
	if (!has_message(loaded, line)) {
		config_report_print(&loaded->report, stderr);
		fail_msg("there is no \"%s\"", line);
	}
}

static inline const struct config_pool *find(
	const struct loaded *loaded, const char *user, const char *database)
{
	const struct config_pool *pool = config_find_pool(loaded->config, user, database);

	if (pool == NULL)
		config_report_print(&loaded->report, stderr);
	assert_non_null(pool);
	return pool;
}

/* The whole of a file of this project, which the tests are started in. */
static inline char *read_project_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	size_t len;

	assert_true(file != NULL && text != NULL);
	len = fread(text, 1, CONFIG_FILE_BYTES_MAX, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

#endif
