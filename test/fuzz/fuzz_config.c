/* Files, a URL and a variable, separated by NULs: whatever they hold, loading either says why not, or gives a snapshot in which
 * everything can be found again. */
#include "admin/config.h"

#include "core/errors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next part, NUL-terminated in memory of its own so that a sanitizer sees its end. */
static char *next_part(const uint8_t **at, size_t *left, size_t *ret_len)
{
	const uint8_t *end = *left > 0 ? memchr(*at, '\0', *left) : NULL;
	size_t len = end != NULL ? (size_t)(end - *at) : *left;
	char *part = malloc(len + 1);

	CHECK(part != NULL);
	if (len > 0)
		memcpy(part, *at, len);
	part[len] = '\0';
	*ret_len = len;
	len += end != NULL;
	if (len > 0)
		*at += len;
	*left -= len;
	return part;
}

static void check_report(const struct config_report *report)
{
	char line[8192];

	for (size_t i = 0; i < report->count; i++) {
		int len = config_report_format(&report->messages[i], line, sizeof(line));

		CHECK(len > 0 && (size_t)len < sizeof(line));
		for (const char *at = report->messages[i].text; *at != '\0'; at++)
			CHECK((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
}

static void check_pool(const struct config *config, size_t at)
{
	const struct config_pool *pool = &config->pools[at];

	CHECK(pool->index == at);
	CHECK(config_find_pool(config, pool->user, pool->database) == pool);
	CHECK(config_has_database(config, pool->database));
	CHECK(config_pool_same_server(pool, pool));
	CHECK(pool->host[0] != '\0' && pool->port > 0);
	CHECK(pool->server_user[0] != '\0' && pool->server_database[0] != '\0');
	CHECK(pool->pool_size > 0 && pool->min_pool_size >= 0);
	CHECK(pool->min_pool_size <= pool->pool_size);
	CHECK(pool->server_lifetime_jitter_ms <= pool->server_lifetime_ms);
	CHECK(pool->statement_timeout_ms >= 0 && pool->lock_timeout_ms >= 0);
	CHECK(pool->mode < POOL_MODE_COUNT && pool->role < DATABASE_ROLE_COUNT);
	for (size_t i = 0; i < pool->password_count; i++)
		CHECK(pool->passwords[i][0] != '\0');
	for (size_t i = 0; i < pool->server_password_count; i++)
		CHECK(pool->server_passwords[i][0] != '\0');
}

static void check_config(const struct config *config)
{
	struct config_row row;

	for (size_t i = 0; config_row_at(config, i, &row); i++)
		CHECK(row.name[0] != '\0');
	for (size_t i = 0; i < config->pool_count; i++)
		check_pool(config, i);
	CHECK(config->general.host.count > 0);
	CHECK(config->log_level < CONFIG_LOG_COUNT);
	CHECK(config_find_pool(config, "", "") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_sources sources = config_sources_default();
	struct config_report report = {0};
	struct config *config = NULL;
	size_t config_len, users_len, url_len, variable_len;
	char *config_text = next_part(&data, &size, &config_len);
	char *users_text = next_part(&data, &size, &users_len);
	char *url = next_part(&data, &size, &url_len);
	char *variable = next_part(&data, &size, &variable_len);
	const char *const urls[] = {url};
	const char *const environment[] = {variable, NULL};
	int result;

	sources.config.text = config_text;
	sources.config.len = config_len;
	sources.users.text = users_text;
	sources.users.len = users_len;
	sources.urls = urls;
	sources.url_count = url_len > 0;
	sources.environment = environment;
	result = config_load(&sources, &config, &report);
	CHECK(result == 0 || result == ERR_INVALID);
	CHECK((result == 0) == (config != NULL));
	CHECK((result == 0) == (report.errors == 0));
	check_report(&report);
	if (config != NULL)
		check_config(config);
	config_report_clear(&report);
	config_free(config);
	free(config_text);
	free(users_text);
	free(url);
	free(variable);
	return 0;
}
