/* The command line, and what it asks for. */
#include "admin/cli.h"
#include "admin/config.h"
#include "admin/service.h"
#include "core/rand.h"
#include "protocol/secret.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Prints the stored form of a password. */
static int main_hash(const char *password)
{
	struct scram_keys keys;
	uint8_t salt[SECRET_SALT_BYTES];
	char text[SECRET_SCRAM_SIZE];

	rand_secure(salt, sizeof salt);
	if (secret_derive_scram(password, strlen(password), salt, sizeof salt,
		    SECRET_ITERATIONS_DEFAULT, &keys) != 0) {
		fprintf(stderr, "pgring: the password is too long\n");
		return 1;
	}
	secret_scram_format(&keys, text);
	puts(text);
	crypto_wipe(&keys, sizeof keys);
	return 0;
}

static int main_run(const struct config_sources *sources)
{
	struct config_report report = {0};
	struct config *config;
	int error = config_load(sources, &config, &report);

	config_report_print(&report, stderr);
	config_report_clear(&report);
	if (error) {
		fprintf(stderr, "pgring: the configuration is not valid\n");
		return 1;
	}
	return service_run(sources, config);
}

int main(int argc, char **argv)
{
	struct cli cli;
	struct config_sources sources;

	if (cli_parse(argc, argv, &cli) != 0) {
		fprintf(stderr, "pgring: %s\n", cli.error);
		return 2;
	}
	sources = cli_sources(&cli, environ);
	switch (cli.command) {
	case CLI_RUN:
		return main_run(&sources);
	case CLI_CONFIGCHECK:
		return config_check(&sources, stdout, stderr);
	case CLI_HASH:
		return main_hash(cli.password);
	case CLI_DESCRIBE_OPTIONS:
		config_describe(stdout);
		return 0;
	case CLI_VERSION:
		cli_print_version(stdout);
		return 0;
	case CLI_HELP:
		cli_print_help(stdout);
		return 0;
	}
	return 2;
}
