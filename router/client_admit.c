/* The limits on clients: who is counted where, and who is refused. Their texts are PgBouncer's. */
#include "core/tally.h"
#include "protocol/sqlstate.h"
#include "router/client.h"

#include <stdio.h>
#include <string.h>

/* One more client of the process, of its database or of its user. Returns false after having refused it. */
static bool admit_count(struct core *core, struct client *client, enum client_count what,
	atomic_uint *count, int64_t limit)
{
	static const char *const texts[] = {
		[CLIENT_COUNT_PROCESS] = "no more connections allowed (max_client_conn)",
		[CLIENT_COUNT_DATABASE] = "client connections exceeded (max_db_client_connections)",
		[CLIENT_COUNT_USER] = "client connections exceeded (max_user_client_connections)",
	};

	if (tally_take(count, limit)) {
		client->counted |= (uint8_t)what;
		return true;
	}
	core_count(core, METRIC_clients_refused);
	client_fatal_text(core, client, SQLSTATE_TOO_MANY_CONNECTIONS, texts[what]);
	return false;
}

bool client_admit_connection(struct core *core, struct client *client)
{
	return admit_count(core, client, CLIENT_COUNT_PROCESS, &core->router->everybody->clients,
		core->router->config->general.max_client_conn);
}

bool client_admit(struct core *core, struct client *client)
{
	struct pool *pool = client->pool;
	char text[128];

	if (atomic_load(&pool->database_tally->is_disabled)) {
		snprintf(text, sizeof text, "database \"%.63s\" is disabled",
			pool->config->database);
		client_fatal_text(core, client, SQLSTATE_CANNOT_CONNECT_NOW, text);
		return false;
	}
	return admit_count(core, client, CLIENT_COUNT_DATABASE, &pool->database_tally->clients,
		       pool->config->max_db_client_connections) &&
		admit_count(core, client, CLIENT_COUNT_USER, &pool->user_tally->clients,
			pool->config->max_user_client_connections);
}

void client_admit_end(struct core *core, struct client *client)
{
	if (client->counted & CLIENT_COUNT_PROCESS)
		tally_give(&core->router->everybody->clients);
	if (client->counted & CLIENT_COUNT_DATABASE)
		tally_give(&client->pool->database_tally->clients);
	if (client->counted & CLIENT_COUNT_USER)
		tally_give(&client->pool->user_tally->clients);
	client->counted = 0;
}

void client_refuse_database(
	struct core *core, struct client *client, const char *user, const char *database)
{
	char text[200];
	struct fault fault = {"FATAL", SQLSTATE_INSUFFICIENT_PRIVILEGE, text, NULL,
		"The console is open to admin.user and admin.stats_user."};

	if (strcmp(database, core->router->config->admin.name) == 0) {
		snprintf(text, sizeof text, "user \"%.63s\" may not use the console \"%.63s\"",
			user, database);
		client_fatal(core, client, &fault);
	} else {
		snprintf(text, sizeof text, "database \"%.63s\" does not exist", database);
		client_fatal_text(core, client, SQLSTATE_INVALID_CATALOG_NAME, text);
	}
}
