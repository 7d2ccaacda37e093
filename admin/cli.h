/* cli: the command line.
 *
 * Thread: main, once. Memory: everything borrows from argv. Nothing is read, printed or started here.
 */
#ifndef PGRING_ADMIN_CLI_H
#define PGRING_ADMIN_CLI_H

#include "admin/config.h"
#include "core/check.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cli_command {
	CLI_RUN,
	CLI_CONFIGCHECK,
	CLI_HASH,             /* of `password` */
	CLI_DESCRIBE_OPTIONS, /* config_describe() */
	CLI_VERSION,
	CLI_HELP, /* cli_print_help() */
};

enum { CLI_URLS_MAX = 64 };

struct cli {
	enum cli_command command;
	const char *config_path; /* never NULL */
	const char *users_path;  /* never NULL */
	const char *urls[CLI_URLS_MAX];
	size_t url_count;
	int64_t pool_size;     /* CONFIG_UNSET if not given */
	int64_t min_pool_size; /* CONFIG_UNSET if not given */
	int session_mode;      /* CONFIG_UNSET if not given, 0, 1 */
	const char *password;  /* of CLI_HASH */
	char error[256];       /* why it failed, without the program's name */
};

/* Returns 0, or ERR_INVALID with ret->error. */
must_check int cli_parse(int argc, char **argv, struct cli *ret);

/* What config_load() needs of it. `environment` as environ; both are borrowed. */
struct config_sources cli_sources(const struct cli *cli, char **environment);

void cli_print_help(FILE *out);

/* "pgring v0.1.0" */
void cli_print_version(FILE *out);

#endif
