/* Configuration: every key is taken, and what comes out. */
#include "test/unit/config_loaded.h"

/* Every key that there is: it must be taken, as PgDog takes it. A test checks that none is missing here. */
#define FULL_CONFIG "test/unit/config/full.toml"
#define FULL_USERS "test/unit/config/full_users.toml"

static struct loaded load_full(void)
{
	char *config = read_project_file(FULL_CONFIG), *users = read_project_file(FULL_USERS);
	struct loaded loaded = load(config, users);

	free(config);
	free(users);
	return loaded;
}

static void every_default_is_possible(void **state)
{
	(void)state;
	for (size_t i = 0; i < option_section_count; i++) {
		for (size_t j = 0; j < option_sections[i]->count; j++) {
			const struct option *option = &option_sections[i]->options[j];
			struct option_value standard, value;

			option_default(option, &standard);
			if (standard.text == NULL || option->type == OPTION_ADDRESS_LIST)
				continue;
			assert_int_equal(option_from_string(option, standard.text,
						 strlen(standard.text), &value),
				0);
		}
	}
}

/* Numbers have bounds, and both they and what is outside must be known to the parser. */
static void bounds_are_inclusive(void **state)
{
	size_t numbers = 0;

	(void)state;
	for (size_t i = 0; i < option_section_count; i++) {
		for (size_t j = 0; j < option_sections[i]->count; j++) {
			const struct option *option = &option_sections[i]->options[j];
			struct option_value value;

			if (option->type != OPTION_INT && option->type != OPTION_SIZE &&
				option->type != OPTION_DURATION_MS && option->type != OPTION_PORT)
				continue;
			numbers++;
			assert_int_equal(option_from_number(option, option->from, &value), 0);
			assert_int_equal(value.number, option->from);
			assert_int_equal(option_from_number(option, option->to, &value), 0);
			assert_int_equal(value.number, option->to);
			assert_int_equal(
				option_from_number(option, option->from - 1, &value), ERR_INVALID);
			assert_int_equal(
				option_from_number(option, CONFIG_UNSET, &value), ERR_INVALID);
			if (option->to != CONFIG_UNLIMITED)
				assert_int_equal(option_from_number(option, option->to + 1, &value),
					ERR_INVALID);
		}
	}
	assert_true(numbers > 50);
}

static void defaults_are_those_of_the_reference(void **state)
{
	struct loaded loaded = load("", "");
	const struct config_general *general;

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.report.count, 0);
	general = &loaded.config->general;
	assert_int_equal(general->host.count, 1);
	assert_string_equal(general->host.items[0], "0.0.0.0");
	assert_int_equal(general->port, 6432);
	assert_int_equal(general->workers, 0);
	assert_int_equal(general->default_pool_size, 10);
	assert_int_equal(general->min_pool_size, 1);
	assert_int_equal(general->pooler_mode, POOL_TRANSACTION);
	assert_int_equal(general->checkout_timeout_ms, 5000);
	assert_true(general->query_timeout_ms == CONFIG_UNLIMITED);
	assert_true(general->transaction_timeout_ms == CONFIG_UNLIMITED);
	assert_int_equal(general->shutdown_termination_timeout_ms, CONFIG_UNSET);
	assert_int_equal(general->client_connection_recovery, RECOVERY_RECOVER);
	assert_int_equal(general->connection_recovery, RECOVERY_RECOVER);
	assert_int_equal(general->auth_type, AUTH_SCRAM);
	assert_int_equal(general->unix_socket_mode, 0777);
	assert_null(general->unix_socket_dir);
	assert_int_equal(general->openmetrics_port, 0);
	assert_true(general->mirror_exposure == 1.0);
	assert_true(loaded.config->tcp.keepalive);
	assert_int_equal(loaded.config->tcp.user_timeout_ms, CONFIG_UNSET);
	assert_string_equal(loaded.config->admin.name, "admin");
	assert_string_equal(loaded.config->admin.user, "admin");
	assert_null(loaded.config->admin.password);
	assert_int_equal(loaded.config->log_level, CONFIG_LOG_INFO);
	assert_int_equal(loaded.config->pool_count, 0);
	assert_null(config_find_pool(loaded.config, "a", "b"));
	assert_false(config_has_database(loaded.config, "b"));
	unload(&loaded);
}

/* Whether the text has `key` at the start of a line in the section, or in an inline table of it. */
static bool sample_has(const char *text, const char *header, const char *key)
{
	const char *start = strstr(text, header);
	char line[128], in_line[128];

	if (start == NULL)
		return false;
	start += strlen(header);
	const char *end = strstr(start, "\n[");

	snprintf(line, sizeof(line), "\n%s = ", key);
	snprintf(in_line, sizeof(in_line), " %s = ", key);
	const char *at = strstr(start, line);

	if (at != NULL && (end == NULL || at < end))
		return true;
	at = strstr(start, in_line);
	return at != NULL && (end == NULL || at < end);
}

static void the_sample_has_every_key(void **state)
{
	char *config = read_project_file(FULL_CONFIG), *users = read_project_file(FULL_USERS);

	(void)state;
	for (size_t i = 0; i < option_section_count; i++) {
		const struct option_section *section = option_sections[i];
		const char *text = section->files & OPTION_FILE_CONFIG ? config : users;
		char header[64];

		snprintf(header, sizeof(header), section->many ? "[[%s]]" : "[%s]", section->name);
		for (size_t j = 0; j < section->count; j++) {
			const struct option *option = &section->options[j];

			if (!sample_has(text, header, option->name))
				fail_msg("%s has no %s", header, option->name);
			for (size_t k = 0; option->rows != NULL && k < option->rows->count; k++) {
				if (!sample_has(text, header, option->rows->options[k].name))
					fail_msg("%s has no %s", header,
						option->rows->options[k].name);
			}
		}
	}
	free(config);
	free(users);
}

static size_t without_effect(void)
{
	size_t count = 0;

	for (size_t i = 0; i < option_section_count; i++) {
		const struct option_section *section = option_sections[i];

		if (option_section_honoured(section) != OPTION_YES) {
			count++;
			continue;
		}
		for (size_t j = 0; j < section->count; j++)
			count += section->options[j].honoured != OPTION_YES;
	}
	return count;
}

static void every_key_is_accepted(void **state)
{
	struct loaded loaded = load_full();
	size_t without = 0;

	(void)state;
	assert_result(&loaded, 0);
	for (size_t i = 0; i < loaded.report.count; i++) {
		const struct config_message *message = &loaded.report.messages[i];

		assert_int_equal(message->severity, CONFIG_WARNING);
		without += strstr(message->text, "no effect") != NULL;
		/* Those about single keys say exactly where. */
		if (strstr(message->text, "no effect") != NULL)
			assert_true(message->place.line > 0 && message->place.column > 0);
	}
	assert_int_equal(without, without_effect()); /* each once */
	assert_message(&loaded,
		"pgring.toml:10:1: warning: general.broadcast_address is not supported "
		"yet and has no effect");
	assert_message(&loaded,
		"pgring.toml:78:1: warning: general.sharding_lookup_cache_size has no effect");
	assert_message(&loaded,
		"pgring.toml:143:2: warning: [rewrite] is not supported yet and has no effect");
	assert_message(&loaded, "pgring.toml:155:2: warning: [replica_lag] has no effect");
	assert_message(
		&loaded, "users.toml:37:1: warning: users.replication_sharding has no effect");
	unload(&loaded);
}

static void values_of_the_sample_arrive(void **state)
{
	struct loaded loaded = load_full();
	const struct config_general *general;

	(void)state;
	assert_result(&loaded, 0);
	general = &loaded.config->general;
	assert_int_equal(general->port, 6433);
	assert_string_equal(general->unix_socket_dir, "/run/pgring");
	assert_int_equal(general->unix_socket_mode, 0770);
	assert_int_equal(general->client_idle_in_transaction_timeout_ms, 61000);
	assert_int_equal(general->connection_recovery, RECOVERY_ROLLBACK_ONLY);
	assert_int_equal(general->tls_verify, TLS_VERIFY_FULL);
	assert_int_equal(general->two_phase_commit_auto, 1);
	assert_int_equal(general->log_format, LOG_FORMAT_JSON_FLATTENED);
	assert_int_equal(loaded.config->log_level, CONFIG_LOG_WARN);
	assert_true(general->mirror_exposure == 0.5);
	assert_false(loaded.config->tcp.keepalive);
	assert_string_equal(loaded.config->tcp.congestion_control, "reno");
	assert_int_equal(loaded.config->otel.headers.count, 2);
	assert_string_equal(loaded.config->otel.headers.items[0], "authorization=tUrTlE-header");
	assert_int_equal(loaded.config->vault.auth_method, VAULT_AUTH_APPROLE);

	/* users.toml replaces [admin] as a whole */
	assert_string_equal(loaded.config->admin.name, "admin");
	assert_string_equal(loaded.config->admin.password, "tUrTlE-users-admin");
	assert_string_equal(loaded.config->admin.stats_password, "tUrTlE-users-stats");
	unload(&loaded);
}

static void pools_of_the_sample_arrive(void **state)
{
	struct loaded loaded = load_full();
	const struct config_pool *pool;

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, 3);
	assert_int_equal(loaded.config->database_count, 3);
	assert_int_equal(loaded.config->user_count, 2);
	assert_int_equal(loaded.config->database_name_count, 2);
	assert_string_equal(loaded.config->database_names[0], "prod");
	assert_string_equal(loaded.config->database_names[1], "local");

	pool = find(&loaded, "alice", "prod");
	assert_int_equal(pool->index, 0);
	assert_ptr_equal(pool, &loaded.config->pools[0]);
	assert_string_equal(pool->host, "10.0.0.1");
	assert_int_equal(pool->port, 5433);
	assert_string_equal(pool->server_database, "production");
	assert_string_equal(pool->server_user, "pooler");
	assert_int_equal(pool->server_password_count, 1);
	assert_string_equal(pool->server_passwords[0], "tUrTlE-database");
	assert_int_equal(pool->password_count, 4);
	assert_int_equal(pool->pool_size, 6);
	assert_int_equal(pool->min_pool_size, 2);
	assert_int_equal(pool->mode, POOL_STATEMENT);
	assert_int_equal(pool->statement_timeout_ms, 1000);
	assert_int_equal(pool->lock_timeout_ms, 2000);
	assert_int_equal(pool->idle_timeout_ms, 4000);
	assert_int_equal(pool->server_lifetime_ms, 6000);
	assert_int_equal(pool->server_lifetime_jitter_ms, 100);
	assert_false(pool->read_only);
	assert_non_null(pool->refused); /* its tls_verify cannot be kept yet */

	pool = find(&loaded, "bob", "prod");
	assert_int_equal(pool->pool_size, 21);
	assert_int_equal(pool->min_pool_size, 4);
	assert_int_equal(pool->mode, POOL_SESSION);
	assert_int_equal(pool->idle_timeout_ms, 1001);
	assert_true(pool->read_only);
	assert_string_equal(pool->server_user, "pooler");

	pool = find(&loaded, "bob", "local");
	assert_string_equal(pool->host, "/run/postgresql");
	assert_int_equal(pool->port, 5432);
	assert_string_equal(pool->server_database, "local");
	assert_string_equal(pool->server_user, "bob");
	assert_string_equal(pool->server_passwords[0], "tUrTlE-bob");
	assert_int_equal(pool->pool_size, 15);
	assert_int_equal(pool->min_pool_size, 2);
	assert_int_equal(pool->mode, POOL_TRANSACTION);
	assert_int_equal(pool->statement_timeout_ms, 0);
	assert_null(config_find_pool(loaded.config, "alice", "local"));
	assert_null(config_find_pool(loaded.config, "alic", "eprod"));
	unload(&loaded);
}

static void secrets_are_never_shown(void **state)
{
	/* Wrong in every way that makes a message about a value. */
	static const char wrong_users[] = "[[users]]\n"
					  "name = \"a\"\n"
					  "password = \"SCRAM-SHA-256$tUrTlE\"\n"
					  "passwords = \"tUrTlE\"\n"
					  "password_hash = \"tUrTlE\"\n"
					  "server_password = [\"tUrTlE\"]\n"
					  "[admin]\n"
					  "password = { tUrTlE = \"tUrTlE\" }\n";
	struct loaded loaded = load_full();
	struct config_row row;

	(void)state;
	for (size_t i = 0; config_row_at(loaded.config, i, &row); i++) {
		assert_null(strstr(row.value, "tUrTlE"));
		if (strstr(row.name, "password") != NULL || strstr(row.name, "api_key") != NULL)
			assert_string_equal(row.value, "***");
	}
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < loaded.report.count; i++)
			assert_null(strstr(loaded.report.messages[i].text, "tUrTlE"));
		unload(&loaded);
		if (round == 0) {
			loaded = load("[otel]\ndatadog_api_key = 5\nheaders = [\"tUrTlE\"]\n",
				wrong_users);
			assert_int_equal(loaded.report.errors, 7);
		}
	}
}

static void show_config_has_every_key(void **state)
{
	static const char *const expected[][3] = {
		{"port", "6433", "6432"},
		{"host", "127.0.0.1", "0.0.0.0"},
		{"query_timeout", "60000", "unlimited"},
		{"shutdown_termination_timeout", "60000", ""},
		{"pooler_mode", "transaction", "transaction"},
		{"unix_socket_mode", "0770", "0777"},
		{"mirror_exposure", "0.5", "1"},
		{"tcp_keepalive", "false", "true"},
		{"tcp_time", "1000", ""},
		{"admin_password", "***", ""},
		{"memory_net_buffer", "8192", "4096"},
		{"vault_auth_method", "approle", ""},
	};
	struct loaded loaded = load_full();
	struct config_row row;
	size_t hits = 0, rows = 0;

	(void)state;
	assert_result(&loaded, 0);
	for (; config_row_at(loaded.config, rows, &row); rows++) {
		for (size_t i = 0; i < array_len(expected); i++) {
			if (strcmp(row.name, expected[i][0]) != 0)
				continue;
			hits++;
			assert_string_equal(row.value, expected[i][1]);
			assert_string_equal(row.default_value, expected[i][2]);
		}
		if (strcmp(row.name, "port") == 0)
			assert_false(row.changeable);
		if (strcmp(row.name, "checkout_timeout") == 0)
			assert_true(row.changeable && row.honoured);
		if (strcmp(row.name, "mirror_queue") == 0)
			assert_false(row.honoured);
	}
	assert_int_equal(hits, array_len(expected));
	assert_true(rows > 130);
	unload(&loaded);
}

/* What a truncated file says is open; that reading it is harmless is not. */
static void truncation_is_harmless(void **state)
{
	char *text = read_project_file(FULL_CONFIG), *users = read_project_file(FULL_USERS);
	size_t whole = strlen(text), valid = 0;

	(void)state;
	for (size_t len = 0; len <= whole; len++) {
		struct config_sources sources = config_sources_default();
		struct config_report report = {0};
		struct config *config = NULL;
		char *exact = malloc(len + 1); /* so that a sanitizer sees a read behind the end */

		assert_non_null(exact);
		memcpy(exact, text, len);
		sources.config.text = exact;
		sources.config.len = len;
		sources.users.text = users;
		sources.users.len = len < strlen(users) ? len : strlen(users);
		if (config_load(&sources, &config, &report) == 0)
			valid++;
		else
			assert_true(report.errors > 0);
		config_report_clear(&report);
		config_free(config);
		free(exact);
	}
	assert_true(valid > 0 && valid < whole);
	free(text);
	free(users);
}

static void user_beats_database_beats_general(void **state)
{
	struct loaded loaded = load(
		"[general]\ndefault_pool_size = 30\nmin_pool_size = 0\nidle_timeout = 7\n"
		"pooler_mode = \"statement\"\nserver_lifetime = 1000\n" DATABASE("a")
			DATABASE("b") "pool_size = 20\nmin_pool_size = 5\nidle_timeout = 8\n"
				      "pooler_mode = \"session\"\nread_only = true\n"
				      "statement_timeout = 9\n" DATABASE(
					      "c") "pool_size = 20\npool_size_primary = 25\n"
						   "role = \"primary\"\n" DATABASE(
							   "d") "pool_size = 20\n"
								"pool_size_replica = 26\n"
								"role = \"replica\"\n",
		"[[users]]\nname = \"u\"\nall_databases = true\npassword = \"p\"\n"
		"[[users]]\nname = \"v\"\nall_databases = true\npassword = \"p\"\npool_size = 10\n"
		"pooler_mode = \"transaction\"\nread_only = false\nstatement_timeout = 0\n"
		"[[users]]\nname = \"w\"\nall_databases = true\npassword = "
		"\"p\"\npool_size_primary = 11\n");
	const struct config_pool *pool;

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, 12);

	pool = find(&loaded, "u", "a");
	assert_int_equal(pool->pool_size, 30);
	assert_int_equal(pool->min_pool_size, 0);
	assert_int_equal(pool->idle_timeout_ms, 7);
	assert_int_equal(pool->mode, POOL_STATEMENT);
	assert_int_equal(pool->server_lifetime_ms, 1000);
	pool = find(&loaded, "u", "b");
	assert_int_equal(pool->pool_size, 20);
	assert_int_equal(pool->min_pool_size, 5);
	assert_int_equal(pool->idle_timeout_ms, 8);
	assert_int_equal(pool->mode, POOL_SESSION);
	assert_int_equal(pool->statement_timeout_ms, 9);
	assert_true(pool->read_only);
	assert_int_equal(find(&loaded, "u", "c")->pool_size, 25);
	assert_int_equal(find(&loaded, "u", "d")->pool_size, 26);

	pool = find(&loaded, "v", "b");
	assert_int_equal(pool->pool_size, 10);
	assert_int_equal(pool->mode, POOL_TRANSACTION);
	assert_int_equal(pool->statement_timeout_ms, 0);
	assert_false(pool->read_only);
	assert_int_equal(
		find(&loaded, "v", "c")->pool_size, 25); /* the role's own value is stronger */
	assert_int_equal(find(&loaded, "w", "c")->pool_size, 11);
	assert_int_equal(find(&loaded, "w", "d")->pool_size, 26);
	unload(&loaded);
}

static void credentials_come_from_the_nearest(void **state)
{
	struct loaded loaded = load(DATABASE("a")
					    DATABASE("b") "user = \"db\"\npassword = \"dbp\"\n",
		"[[users]]\nname = \"plain\"\nall_databases = true\npasswords = [\"one\", \"\", "
		"\"" MD5_HASH "\"]\npassword = \"two\"\npassword_hash = \"" SCRAM_HASH "\"\n"
		"[[users]]\nname = \"server\"\nall_databases = true\npassword = "
		"\"one\"\nserver_user = \"su\"\n"
		"server_password = \"sp\"\n"
		"[[users]]\nname = \"none\"\nall_databases = true\n");
	const struct config_pool *pool;

	(void)state;
	assert_result(&loaded, 0);
	pool = find(&loaded, "plain", "a");
	assert_string_equal(pool->server_user, "plain");
	assert_int_equal(pool->password_count, 4);
	assert_string_equal(pool->passwords[0], "one");
	assert_string_equal(pool->passwords[1], MD5_HASH);
	assert_string_equal(pool->passwords[2], "two");
	assert_string_equal(pool->passwords[3], SCRAM_HASH);
	assert_int_equal(pool->server_password_count, 2);
	assert_string_equal(pool->server_passwords[0], "one");
	assert_string_equal(pool->server_passwords[1], "two");

	pool = find(&loaded, "plain", "b");
	assert_string_equal(pool->server_user, "db");
	assert_int_equal(pool->password_count, 4);
	assert_int_equal(pool->server_password_count, 1);
	assert_string_equal(pool->server_passwords[0], "dbp");

	pool = find(&loaded, "server", "a");
	assert_string_equal(pool->server_user, "su");
	assert_int_equal(pool->server_password_count, 1);
	assert_string_equal(pool->server_passwords[0], "sp");
	assert_string_equal(find(&loaded, "server", "b")->server_user, "db");

	pool = find(&loaded, "none", "a");
	assert_int_equal(pool->password_count, 0);
	assert_int_equal(pool->min_pool_size, 0);
	assert_int_equal(
		find(&loaded, "none", "b")->min_pool_size, 1); /* the database has a password */
	unload(&loaded);
}

static void what_is_not_possible_yet_is_refused(void **state)
{
	struct loaded loaded = load(
		DATABASE("a") DATABASE("s")
			DATABASE("s") "shard = 1\n" DATABASE("r") "resharding_only = true\n",
		USER("u", "a") USER("u", "s") USER("u", "r")
			USER("w", "a") "replication_mode = true\n" USER(
				"x", "a") "server_auth = \"rds_iam\"\n");

	(void)state;
	assert_result(&loaded, 0);
	assert_null(find(&loaded, "u", "a")->refused);
	assert_string_equal(find(&loaded, "u", "s")->refused,
		"database \"s\" has 2 shards, and sharded databases are not supported yet");
	assert_string_equal(find(&loaded, "u", "r")->refused,
		"database \"r\" has no server that takes queries");
	assert_string_equal(
		find(&loaded, "w", "a")->refused, "replication_mode is not supported yet");
	assert_string_equal(
		find(&loaded, "x", "a")->refused, "this user's server_auth is not supported yet");
	unload(&loaded);
}

static void the_last_of_two_pools_counts(void **state)
{
	struct loaded loaded = load(DATABASE("a") DATABASE("b"),
		USER("u", "a") "pool_size = 1\n" USER("u", "b") USER("v", "a")
			USER("u", "a") "pool_size = 2\n");

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, 3);
	assert_int_equal(find(&loaded, "u", "a")->pool_size, 2);
	for (uint32_t i = 0; i < 3; i++) {
		const struct config_pool *pool = &loaded.config->pools[i];

		assert_int_equal(pool->index, i);
		assert_ptr_equal(find(&loaded, pool->user, pool->database), pool);
	}
	unload(&loaded);
}

static void every_pair_is_found(void **state)
{
	enum { DATABASES = 100, USERS = 100 };
	char *config = calloc(DATABASES, 64), *users = calloc(USERS, 96);
	char user[32], database[32];
	struct loaded loaded;

	(void)state;
	assert_true(config != NULL && users != NULL);
	for (int i = 0; i < DATABASES; i++)
		append(config, DATABASES * 64, "[[databases]]\nname = \"d%d\"\nhost = \"h\"\n", i);
	for (int i = 0; i < USERS; i++)
		append(users, USERS * 96,
			"[[users]]\nname = \"u%d\"\nall_databases = true\npassword = \"p\"\n", i);
	loaded = load(config, users);
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, DATABASES * USERS);
	for (int i = 0; i < USERS; i++) {
		for (int j = 0; j < DATABASES; j++) {
			const struct config_pool *pool;

			snprintf(user, sizeof(user), "u%d", i);
			snprintf(database, sizeof(database), "d%d", j);
			pool = find(&loaded, user, database);
			assert_int_equal(pool->index, i * DATABASES + j);
			assert_string_equal(pool->user, user);
			assert_string_equal(pool->database, database);
		}
		assert_null(config_find_pool(loaded.config, user, "d100"));
		assert_null(config_find_pool(loaded.config, "", user));
	}
	unload(&loaded);
	free(config);
	free(users);
}

static void listening_addresses(void **state)
{
	static const struct {
		const char *text;
		const char *items[4];
	} cases[] = {
		{"\"0.0.0.0\"", {"0.0.0.0"}},
		{"\"127.0.0.1, [::1] ,localhost\"", {"127.0.0.1", "::1", "localhost"}},
		{"[\"127.0.0.1\", \"::\"]", {"127.0.0.1", "::"}},
		{"\"[::]\"", {"::"}},
		{"\"\"", {NULL}},
		{"[]", {NULL}},
		{"\"127.0.0.1,\"", {NULL}},
		{"\"256.0.0.1\"", {NULL}},
		{"\"a b\"", {NULL}},
		{"[\"a\", \"\"]", {NULL}},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		char text[256];
		struct loaded loaded;

		snprintf(text, sizeof(text), "[general]\nhost = %s\n", cases[i].text);
		loaded = load(text, "");
		assert_result(&loaded, cases[i].items[0] != NULL ? 0 : ERR_INVALID);
		for (size_t j = 0; loaded.config != NULL && j < array_len(cases[i].items); j++) {
			if (cases[i].items[j] == NULL) {
				assert_int_equal(loaded.config->general.host.count, j);
				break;
			}
			assert_string_equal(
				loaded.config->general.host.items[j], cases[i].items[j]);
		}
		unload(&loaded);
	}
}

static void log_filters(void **state)
{
	(void)state;
	assert_int_equal(option_log_level("info"), CONFIG_LOG_INFO);
	assert_int_equal(option_log_level("ERROR"), CONFIG_LOG_ERROR);
	assert_int_equal(option_log_level("off"), CONFIG_LOG_ERROR);
	assert_int_equal(option_log_level("trace"), CONFIG_LOG_DEBUG);
	assert_int_equal(option_log_level(" warn , pgdog=debug"), CONFIG_LOG_WARN);
	assert_int_equal(option_log_level("pgdog=debug,info"), CONFIG_LOG_DEBUG);
	assert_int_equal(option_log_level("pgdog"), -1);
	assert_int_equal(option_log_level("inf"), -1);
	assert_int_equal(option_log_level(""), -1);
	assert_int_equal(option_log_level("="), -1);
}

static void distances(void **state)
{
	(void)state;
	assert_int_equal(option_distance("port", "port", 2), 0);
	assert_int_equal(option_distance("prot", "port", 2), 1);
	assert_int_equal(option_distance("por", "port", 2), 1);
	assert_int_equal(option_distance("portt", "port", 2), 1);
	assert_int_equal(option_distance("pond", "port", 2), 2);
	assert_int_equal(option_distance("host", "port", 2), 2);
	assert_int_equal(option_distance("workers", "port", 2), 3);
	assert_int_equal(option_distance("", "", 2), 0);
	assert_int_equal(option_distance("", "ab", 2), 2);
	assert_int_equal(
		option_distance("ca", "abc", 3), 3); /* a swapped pair is not edited again */
	assert_null(option_nearest(&option_section_general, "xyz"));
	assert_string_equal(option_nearest(&option_section_general, "hots"), "host");
}

static void pools_of_the_same_server(void **state)
{
	struct loaded a =
		load(DATABASE("a") DATABASE("b") "port = 1\n", USER("u", "a") USER("u", "b"));
	struct loaded b = load(DATABASE("b") "port = 1\n" DATABASE("a") "statement_timeout = 5\n",
		"[[users]]\nname = \"u\"\npassword = \"new\"\nall_databases = true\npool_size = "
		"3\n");

	(void)state;
	assert_result(&a, 0);
	assert_result(&b, 0);
	assert_true(config_pool_same_server(find(&a, "u", "b"), find(&b, "u", "b")));
	assert_false(config_pool_same_server(find(&a, "u", "a"), find(&b, "u", "a")));
	assert_false(config_pool_same_server(find(&a, "u", "a"), find(&a, "u", "b")));
	unload(&a);
	unload(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_default_is_possible),
		cmocka_unit_test(bounds_are_inclusive),
		cmocka_unit_test(defaults_are_those_of_the_reference),
		cmocka_unit_test(the_sample_has_every_key),
		cmocka_unit_test(every_key_is_accepted),
		cmocka_unit_test(values_of_the_sample_arrive),
		cmocka_unit_test(pools_of_the_sample_arrive),
		cmocka_unit_test(secrets_are_never_shown),
		cmocka_unit_test(show_config_has_every_key),
		cmocka_unit_test(truncation_is_harmless),
		cmocka_unit_test(user_beats_database_beats_general),
		cmocka_unit_test(credentials_come_from_the_nearest),
		cmocka_unit_test(what_is_not_possible_yet_is_refused),
		cmocka_unit_test(the_last_of_two_pools_counts),
		cmocka_unit_test(every_pair_is_found),
		cmocka_unit_test(listening_addresses),
		cmocka_unit_test(log_filters),
		cmocka_unit_test(distances),
		cmocka_unit_test(pools_of_the_same_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
