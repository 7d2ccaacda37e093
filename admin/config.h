/* config: from files, environment and command line to one immutable snapshot (core/config.h).
 *
 * Owner: the control core, and main before the cores run. Thread: one at a time. It reads files, so never on a core that serves
 * clients. Memory: the snapshot's own arena; texts of files and syntax trees are wiped and freed before it returns.
 */
#ifndef PGRING_ADMIN_CONFIG_H
#define PGRING_ADMIN_CONFIG_H

#include "admin/config_report.h"
#include "core/check.h"
#include "core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CONFIG_FILE_BYTES_MAX = 16 * 1024 * 1024, CONFIG_URLS_MAX = 1024 };

#define CONFIG_DEFAULT_PATH "pgring.toml"
#define CONFIG_DEFAULT_USERS_PATH "users.toml"

struct config_source {
	const char *path;
	/* Instead of the file's content; NULL: read the file. A file that does not exist is a warning, ... */
	const char *text;
	size_t len;
	bool is_needed; /* ... or an error, because it has been there */
};

/* Where a configuration comes from. Everything is borrowed for the call. */
struct config_sources {
	struct config_source config;
	struct config_source users;
	const char *const *urls; /* if any, they replace the databases and users of the files */
	size_t url_count;
	const char *const *environment; /* "NAME=value", NULL at the end, as environ; NULL: empty */

	/* Stronger than the files; CONFIG_UNSET: not given. */
	int64_t pool_size;
	int64_t min_pool_size;
	int session_mode;
};

/* The default files, no environment, nothing on the command line. */
struct config_sources config_sources_default(void);

/* The files that are there now must be there whenever they are read again. */
void config_sources_need(struct config_sources *sources);

/* Reads, checks and resolves. What is wrong or remarkable is added to the report, passwords never.
 * Returns 0 and the snapshot, to be freed with config_free(); ERR_INVALID if the report has errors; or ERR_NO_MEMORY. */
must_check int config_load(const struct config_sources *sources, struct config **ret_config,
	struct config_report *report);

/* The command configcheck: prints the messages to `err`, and to `out` that all is well. Returns the exit status, 0 or 1. */
must_check int config_check(const struct config_sources *sources, FILE *out, FILE *err);

/* The command "describe options": the manual's page about the configuration, as Markdown. */
void config_describe(FILE *out);

#endif
