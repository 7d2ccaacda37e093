/* Configuration: what is accepted, what is said about the rest and where, and what comes out. */
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
#include <sys/stat.h>
#include <unistd.h>

#define SCRAM_HASH \
	"SCRAM-SHA-256$4096:BUAbInYiJaHH7QbjfBxS0g==$UjxmfHHp8tYI7oGoEiVKltBKgAJXhODbPaoSS45gkW0=" \
	":" \
	"mYUwOSYgy8r81OTiR0hpgkk5hm00D/dcL1/vkk3ln9I="
#define MD5_HASH "md5760ef1bba4ad56c969b91196de1bed98"

/* Every key that there is: it must be taken, as PgDog takes it. The test checks that none is missing here. */
static const char full_config[] =
	"# everything\n"
	"[general]\n"
	"host = \"127.0.0.1\"\n"
	"port = 6433\n"
	"unix_socket_dir = \"/run/pgring\"\n"
	"unix_socket_mode = \"0770\"\n"
	"workers = 2\n"
	"shutdown_timeout = 60_000\n"
	"shutdown_termination_timeout = 60_000\n"
	"broadcast_address = \"224.0.0.1\"\n"
	"broadcast_port = 6434\n"
	"client_login_timeout = 30_000\n"
	"client_idle_timeout = 60_000\n"
	"client_idle_in_transaction_timeout = 61_000\n"
	"dns_ttl = 5_000\n"
	"unique_id_min = 1\n"
	"unique_id_function = \"compact\"\n"
	"default_pool_size = 15\n"
	"min_pool_size = 2\n"
	"pooler_mode = \"transaction\"\n"
	"connect_timeout = 5_001\n"
	"connect_attempts = 3\n"
	"connect_attempt_delay = 1_000\n"
	"checkout_timeout = 5_002\n"
	"query_timeout = 60_000\n"
	"idle_timeout = 61_000\n"
	"server_lifetime = 86_400_001\n"
	"server_lifetime_jitter = 1_000\n"
	"rollback_timeout = 5_003\n"
	"healthcheck_interval = 30_001\n"
	"idle_healthcheck_interval = 30_002\n"
	"idle_healthcheck_delay = 5_004\n"
	"healthcheck_timeout = 5_005\n"
	"healthcheck_port = 8080\n"
	"require_healthcheck_on_discovery = true\n"
	"connection_recovery = \"rollback_only\"\n"
	"client_connection_recovery = \"recover\"\n"
	"stats_period = 15_001\n"
	"pub_sub_channel_size = 4096\n"
	"prepared_statements = \"extended_anonymous\"\n"
	"prepared_statements_limit = 1_000\n"
	"prepared_statements_ttl = 60_000\n"
	"prepared_statements_ttl_jitter = 1_000\n"
	"query_parser = \"session_control_and_locks\"\n"
	"query_parser_enabled = false\n"
	"query_parser_engine = \"pg_query_raw\"\n"
	"regex_parser_limit = 1_001\n"
	"query_cache_limit = 1_002\n"
	"query_size_limit = 1_000_000\n"
	"query_size_limit_action = \"block\"\n"
	"log_min_duration_parse = 10\n"
	"log_query_sample_length = 100\n"
	"load_schema = \"off\"\n"
	"reload_schema_on_ddl = false\n"
	"system_catalogs = \"omnisharded\"\n"
	"omnisharded_sticky = true\n"
	"canonicalize_type_information = true\n"
	"expanded_explain = true\n"
	"dry_run = true\n"
	"load_balancing_strategy = \"weighted_round_robin\"\n"
	"read_write_strategy = \"aggressive\"\n"
	"read_write_split = \"include_primary_if_replica_banned\"\n"
	"ban_timeout = 300_001\n"
	"ban_replica_lag = 1_000\n"
	"ban_replica_lag_bytes = 1_000\n"
	"lsn_check_interval = 5_006\n"
	"lsn_check_timeout = 5_007\n"
	"lsn_check_delay = 0\n"
	"cross_shard_disabled = true\n"
	"sharding_lookup_cache_size = 1_000\n"
	"sharding_lookup_timeout = 5_008\n"
	"two_phase_commit = true\n"
	"two_phase_commit_auto = true\n"
	"two_phase_commit_wal_dir = \"/var/lib/pgring\"\n"
	"two_phase_commit_wal_segment_size = 1_000\n"
	"two_phase_commit_wal_fsync_interval = 1\n"
	"two_phase_commit_wal_checkpoint_interval = 2\n"
	"mirror_queue = 129\n"
	"mirror_exposure = 0.5\n"
	"tls_certificate = \"cert.pem\"\n"
	"tls_private_key = \"key.pem\"\n"
	"tls_client_required = true\n"
	"tls_client_ca_certificate = \"ca.pem\"\n"
	"tls_verify = \"verify_full\"\n"
	"tls_server_ca_certificate = \"ca.pem\"\n"
	"tls_server_certificate = \"cert.pem\"\n"
	"tls_server_private_key = \"key.pem\"\n"
	"auth_type = \"scram\"\n"
	"passthrough_auth = \"disabled\"\n"
	"log_format = \"json_flattened\"\n"
	"log_level = \"warn,pgdog=debug\"\n"
	"log_connections = false\n"
	"log_disconnections = false\n"
	"log_dedup_window = 1\n"
	"log_dedup_threshold = 1\n"
	"query_log = \"queries.txt\"\n"
	"query_log_stdout = true\n"
	"openmetrics_host = \"127.0.0.1\"\n"
	"openmetrics_port = 9090\n"
	"openmetrics_namespace = \"pgdog_\"\n"
	"resharding_copy_format = \"text\"\n"
	"resharding_parallel_copies = 2\n"
	"resharding_copy_retry_max_attempts = 6\n"
	"resharding_copy_retry_min_delay = 1_001\n"
	"resharding_replication_retry_max_attempts = 7\n"
	"resharding_replication_retry_min_delay = 1_002\n"
	"cutover_traffic_stop_threshold = 1\n"
	"cutover_replication_lag_threshold = 2\n"
	"cutover_last_transaction_delay = 3\n"
	"cutover_timeout = 4\n"
	"cutover_timeout_action = \"cutover\"\n"
	"cutover_save_config = true\n"
	"\n"
	"[tcp]\n"
	"keepalive = false\n"
	"time = 1_000\n"
	"interval = 1_001\n"
	"retries = 3\n"
	"user_timeout = 1_002\n"
	"congestion_control = \"reno\"\n"
	"\n"
	"[admin]\n"
	"name = \"console\"\n"
	"user = \"root\"\n"
	"password = \"tUrTlE-admin\"\n"
	"\n"
	"[memory]\n"
	"net_buffer = 8192\n"
	"message_buffer = 8192\n"
	"stack_size = 4_194_304\n"
	"\n"
	"[rewrite]\n"
	"enabled = true\n"
	"shard_key = \"rewrite\"\n"
	"split_inserts = \"ignore\"\n"
	"primary_key = \"rewrite_omni\"\n"
	"\n"
	"[multi_tenant]\n"
	"column = \"tenant_id\"\n"
	"\n"
	"[replication]\n"
	"pg_dump_path = \"/usr/bin/pg_dump\"\n"
	"\n"
	"[replica_lag]\n"
	"check_interval = 2_000\n"
	"max_age = 50\n"
	"\n"
	"[otel]\n"
	"endpoint = \"http://127.0.0.1:4318\"\n"
	"namespace = \"ring\"\n"
	"headers = { authorization = \"tUrTlE-header\", \"x-id\" = \"1\" }\n"
	"datadog_api_key = \"tUrTlE-key\"\n"
	"push_interval = 10_001\n"
	"\n"
	"[vault]\n"
	"url = \"https://127.0.0.1:8200\"\n"
	"namespace = \"ns\"\n"
	"auth_method = \"approle\"\n"
	"auth_mount = \"approle\"\n"
	"kubernetes_role = \"r\"\n"
	"kubernetes_jwt_path = \"/jwt\"\n"
	"approle_role_id = \"id\"\n"
	"approle_secret_id_file = \"/secret\"\n"
	"client_token_ttl = 61\n"
	"\n"
	"[[databases]]\n"
	"name = \"prod\"\n"
	"role = \"primary\"\n"
	"host = \"10.0.0.1\"\n"
	"port = 5433\n"
	"shard = 0\n"
	"database_name = \"production\"\n"
	"user = \"pooler\"\n"
	"password = \"tUrTlE-database\"\n"
	"pool_size = 20\n"
	"pool_size_primary = 21\n"
	"pool_size_replica = 22\n"
	"min_pool_size = 3\n"
	"min_pool_size_primary = 4\n"
	"min_pool_size_replica = 5\n"
	"pooler_mode = \"session\"\n"
	"statement_timeout = 30_000\n"
	"lock_timeout = 1_000\n"
	"idle_timeout = 1_000\n"
	"idle_timeout_primary = 1_001\n"
	"idle_timeout_replica = 1_002\n"
	"read_only = true\n"
	"server_lifetime = 1_000_000\n"
	"server_lifetime_jitter = 1_000\n"
	"lb_weight = 100\n"
	"resharding_only = false\n"
	"\n"
	"[[databases]]\n"
	"name = \"prod\"\n"
	"role = \"replica\"\n"
	"host = \"10.0.0.2\"\n"
	"pooler_mode = \"session\"\n"
	"\n"
	"[[databases]]\n"
	"name = \"local\"\n"
	"host = \"/run/postgresql\"\n"
	"\n"
	"[[sharded_tables]]\n"
	"database = \"prod\"\n"
	"name = \"orders\"\n"
	"schema = \"public\"\n"
	"column = \"customer_id\"\n"
	"data_type = \"bigint\"\n"
	"hasher = \"sha1\"\n"
	"primary = true\n"
	"centroids = [[1.0, 2], [3, 4.5]]\n"
	"centroids_path = \"centroids.json\"\n"
	"centroid_probes = 2\n"
	"lookup_query = \"SELECT shard FROM map WHERE id = $1\"\n"
	"lookup_result = \"shard\"\n"
	"mapping = [\n"
	"  { values = [1, \"two\"], shard = 0 },\n"
	"  { start = 1, end = \"100\", shard = 1 },\n"
	"  { shard = 2 },\n"
	"]\n"
	"\n"
	"[[sharded_mappings]]\n"
	"database = \"prod\"\n"
	"column = \"customer_id\"\n"
	"table = \"orders\"\n"
	"schema = \"public\"\n"
	"kind = \"range\"\n"
	"start = 1\n"
	"end = 100\n"
	"values = [1, 2, 3]\n"
	"shard = 0\n"
	"\n"
	"[[sharded_schemas]]\n"
	"database = \"prod\"\n"
	"name = \"tenant_1\"\n"
	"shard = 1\n"
	"all = false\n"
	"\n"
	"[[omnisharded_tables]]\n"
	"database = \"prod\"\n"
	"tables = [\"countries\", \"settings\"]\n"
	"sticky = true\n"
	"\n"
	"[[mirroring]]\n"
	"source_db = \"prod\"\n"
	"destination_db = \"local\"\n"
	"queue_length = 256\n"
	"exposure = 1\n"
	"level = \"dml\"\n"
	"\n"
	"[[plugins]]\n"
	"name = \"router\"\n"
	"config = \"router.toml\"\n"
	"\n"
	"[[query_parsers]]\n"
	"database = \"prod\"\n"
	"level = \"on\"\n"
	"engine = \"pg_query_raw\"\n";

static const char full_users[] = "[[users]]\n"
				 "name = \"alice\"\n"
				 "database = \"prod\"\n"
				 "databases = []\n"
				 "all_databases = false\n"
				 "password = \"tUrTlE-alice\"\n"
				 "passwords = [\"tUrTlE-older\", \"tUrTlE-oldest\"]\n"
				 "password_hash = \"" SCRAM_HASH "\"\n"
				 "identity = \"alice.example.org\"\n"
				 "tls_client_certificate_required = false\n"
				 "server_user = \"alice_server\"\n"
				 "server_password = \"tUrTlE-server\"\n"
				 "server_auth = \"password\"\n"
				 "server_iam_region = \"eu-central-1\"\n"
				 "server_vault_path = \"database/creds/alice\"\n"
				 "vault_refresh_percent = 75\n"
				 "vault_path = \"kv/alice\"\n"
				 "pool_size = 5\n"
				 "pool_size_primary = 6\n"
				 "pool_size_replica = 7\n"
				 "min_pool_size = 1\n"
				 "min_pool_size_primary = 2\n"
				 "min_pool_size_replica = 3\n"
				 "pooler_mode = \"statement\"\n"
				 "statement_timeout = 1_000\n"
				 "lock_timeout = 2_000\n"
				 "idle_timeout = 3_000\n"
				 "idle_timeout_primary = 4_000\n"
				 "idle_timeout_replica = 5_000\n"
				 "read_only = false\n"
				 "server_lifetime = 6_000\n"
				 "server_lifetime_jitter = 100\n"
				 "replication_mode = false\n"
				 "replication_sharding = \"prod\"\n"
				 "schema_admin = true\n"
				 "cross_shard_disabled = true\n"
				 "two_phase_commit = true\n"
				 "two_phase_commit_auto = false\n"
				 "\n"
				 "[[users]]\n"
				 "name = \"bob\"\n"
				 "all_databases = true\n"
				 "password = \"tUrTlE-bob\"\n"
				 "\n"
				 "[admin]\n"
				 "password = \"tUrTlE-users-admin\"\n";

/* Loading from texts, with everything that a test may want to look at afterwards. */
struct loaded {
	struct config *config;
	struct config_report report;
	int result;
};

static struct loaded load_from(
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

static struct loaded load(const char *config, const char *users)
{
	return load_from(config, users, NULL);
}

static void unload(struct loaded *loaded)
{
	config_report_clear(&loaded->report);
	config_free(loaded->config);
	*loaded = (struct loaded){0};
}

/* Fails with the messages if there is a config although there should be none, or the other way round. */
static void assert_result(const struct loaded *loaded, int result)
{
	if (loaded->result != result)
		config_report_print(&loaded->report, stderr);
	assert_int_equal(loaded->result, result);
	assert_true((loaded->config != NULL) == (result == 0));
}

static bool has_message(const struct loaded *loaded, const char *line)
{
	char text[2048];

	for (size_t i = 0; i < loaded->report.count; i++) {
		config_report_format(&loaded->report.messages[i], text, sizeof(text));
		if (strcmp(text, line) == 0)
			return true;
	}
	return false;
}

static void assert_message(const struct loaded *loaded, const char *line)
{
	if (!has_message(loaded, line)) {
		config_report_print(&loaded->report, stderr);
		fail_msg("there is no \"%s\"", line);
	}
}

static const struct config_pool *find(
	const struct loaded *loaded, const char *user, const char *database)
{
	const struct config_pool *pool = config_find_pool(loaded->config, user, database);

	if (pool == NULL)
		config_report_print(&loaded->report, stderr);
	assert_non_null(pool);
	return pool;
}

#define DATABASE(name) "[[databases]]\nname = \"" name "\"\nhost = \"127.0.0.1\"\n"
#define USER(name, database) \
	"[[users]]\nname = \"" name "\"\ndatabase = \"" database "\"\npassword = \"p\"\n"

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
	assert_int_equal(general->shutdown_termination_timeout_ms, CONFIG_UNSET);
	assert_int_equal(general->client_connection_recovery, RECOVERY_DROP);
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
	(void)state;
	for (size_t i = 0; i < option_section_count; i++) {
		const struct option_section *section = option_sections[i];
		const char *text = section->files & OPTION_FILE_CONFIG ? full_config : full_users;
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
	struct loaded loaded = load(full_config, full_users);
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
		"pgring.toml:70:1: warning: general.sharding_lookup_cache_size has no effect");
	assert_message(&loaded,
		"pgring.toml:132:2: warning: [rewrite] is not supported yet and has no effect");
	assert_message(&loaded, "pgring.toml:144:2: warning: [replica_lag] has no effect");
	assert_message(
		&loaded, "users.toml:34:1: warning: users.replication_sharding has no effect");
	unload(&loaded);
}

static void values_of_the_sample_arrive(void **state)
{
	struct loaded loaded = load(full_config, full_users);
	const struct config_general *general;
	const struct config_pool *pool;

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
	assert_null(pool->refused);

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
	struct loaded loaded = load(full_config, full_users);
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
	struct loaded loaded = load(full_config, full_users);
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

/* A line with one fault, and all that is said about it. */
static const struct {
	const char *config;
	const char *users;
	const char *message;
} faults[] = {
	{"[general]\n\n  prot = 1\n", "",
		"pgring.toml:3:3: error: unknown key \"prot\" in [general]; did you mean "
		"\"port\"?"},
	{"[general]\nchekout_timeuot = 1\n", "",
		"pgring.toml:2:1: error: unknown key \"chekout_timeuot\" in [general]; did you "
		"mean "
		"\"checkout_timeout\"?"},
	{"[general]\nstatement_timeout = 1\n", "",
		"pgring.toml:2:1: error: unknown key \"statement_timeout\" in [general]; it "
		"belongs in "
		"[[databases]]"},
	{"[general]\nsomething = 1\n", "",
		"pgring.toml:2:1: error: unknown key \"something\" in [general]"},
	{"[generall]\n", "",
		"pgring.toml:1:2: error: unknown section \"generall\"; did you mean \"general\"?"},
	{"[nothing_like_it]\n", "", "pgring.toml:1:2: error: unknown section \"nothing_like_it\""},
	{"port = 1\n", "",
		"pgring.toml:1:1: error: \"port\" stands outside of a section; it belongs in "
		"[general]"},
	{"[general]\nport = \"6432\"\n", "",
		"pgring.toml:2:8: error: general.port: expected a port from 1 to 65535, found the "
		"string \"6432\""},
	{"[general]\nport = 0\n", "",
		"pgring.toml:2:8: error: general.port: expected a port from 1 to 65535, found 0"},
	{"[general]\nport = 65536\n", "",
		"pgring.toml:2:8: error: general.port: expected a port from 1 to 65535, found "
		"65536"},
	{"[general]\nworkers = 1.5\n", "",
		"pgring.toml:2:11: error: general.workers: expected an integer from 0 to 1024, "
		"found 1.5"},
	{"[general]\ncheckout_timeout = -1\n", "",
		"pgring.toml:2:20: error: general.checkout_timeout: expected a number of "
		"milliseconds, at least 1, "
		"or \"unlimited\", found -1"},
	{"[general]\nlog_connections = 1\n", "",
		"pgring.toml:2:19: error: general.log_connections: expected true or false, found "
		"1"},
	{"[general]\npooler_mode = \"Transaction\"\n", "",
		"pgring.toml:2:15: error: general.pooler_mode: expected one of \"transaction\", "
		"\"session\", "
		"\"statement\", found the string \"Transaction\""},
	{"[general]\nmirror_exposure = 1.5\n", "",
		"pgring.toml:2:19: error: general.mirror_exposure: expected a number from 0 to 1, "
		"found 1.5"},
	{"[general]\nmirror_exposure = nan\n", "",
		"pgring.toml:2:19: error: general.mirror_exposure: expected a number from 0 to 1, "
		"found nan"},
	{"[general]\nunix_socket_mode = 0o770\n", "",
		"pgring.toml:2:20: error: general.unix_socket_mode: expected permissions as octal "
		"digits in quotes, "
		"from \"0\" to \"777\", found 504"},
	{"[general]\nhost = \"127.0.0.1, 1.2.3\"\n", "",
		"pgring.toml:2:8: error: general.host: expected an address or a list of at most "
		"16, found the string "
		"\"127.0.0.1, 1.2.3\""},
	{"[general]\nhost = [\"::1\", \"fe80:::1\"]\n", "",
		"pgring.toml:2:16: error: general.host: expected an address or a list of at most "
		"16, found the string "
		"\"fe80:::1\" in it"},
	{"[general]\nhost = 2024-01-01\n", "",
		"pgring.toml:2:8: error: general.host: expected an address or a list of at most "
		"16, found a date or "
		"time"},
	{"[general]\nlog_level = \"loud\"\n", "",
		"pgring.toml:2:13: error: general.log_level: expected error, warn, info, debug, or "
		"a filter that "
		"begins with one of them, found the string \"loud\""},
	{"[general]\nunix_socket_dir = \"a\\u0000b\"\n", "",
		"pgring.toml:2:19: error: general.unix_socket_dir: expected a string of at most 90 "
		"bytes, found the "
		"string \"a?b\""},
	{"[general]\ndefault_pool_size = 1\nmax_pool_size = 2\n", "",
		"pgring.toml:3:1: error: general.default_pool_size is given twice, "
		"\"max_pool_size\" is another name "
		"for it"},
	{"[general]\nmax_pool_size = 2\ndefault_pool_size = 1\n", "",
		"pgring.toml:3:1: error: general.default_pool_size is given twice, "
		"\"max_pool_size\" is another name "
		"for it"},
	{"[general]\ntls_certificate = \"a\"\n", "",
		"pgring.toml: error: general.tls_certificate needs general.tls_private_key"},
	{"[general]\ntls_server_private_key = \"a\"\n", "",
		"pgring.toml: error: general.tls_server_private_key needs "
		"general.tls_server_certificate"},
	{"[[general]]\n", "",
		"pgring.toml:1:3: error: \"general\" can be there only once: expected [general]"},
	{"[databases]\nname = \"a\"\n", "",
		"pgring.toml:1:2: error: \"databases\" can be there more than once: expected "
		"[[databases]]"},
	{"general = 1\n", "",
		"pgring.toml:1:1: error: \"general\" can be there only once: expected [general]"},
	{"\n[[databases]]\nhost = \"h\"\n", "",
		"pgring.toml:2:1: error: databases.name is missing"},
	{"[[databases]]\nname = \"a\"\n", "", "pgring.toml:1:1: error: databases.host is missing"},
	{"[[databases]]\nname = \"\"\nhost = \"h\"\n", "",
		"pgring.toml:2:8: error: databases.name: expected a string of 1 to 63 bytes, found "
		"the string \"\""},
	{"[[databases]]\nname = \"a\"\nhost = \"h\"\nlb_weight = 256\n", "",
		"pgring.toml:4:13: error: databases.lb_weight: expected an integer from 0 to 255, "
		"found 256"},
	{"[[users]]\nname = \"a\"\n", "",
		"pgring.toml:1:3: error: \"users\" belongs in the users file (users.toml)"},
	{"", "[general]\n",
		"users.toml:1:2: error: \"general\" belongs in the main file (pgring.toml)"},
	{"", "[[users]]\ndatabase = \"a\"\n", "users.toml:1:1: error: users.name is missing"},
	{"", "[[users]]\nname = \"a\"\ndatabases = [\"a\", 1]\n",
		"users.toml:3:19: error: users.databases: expected an array of at most 65536 "
		"strings, found 1 in it"},
	{"", "[[users]]\nname = \"a\"\npasswords = [\"a\", \"SCRAM-SHA-256$x\"]\n",
		"users.toml:3:19: error: users.passwords: expected an array of at most 64 "
		"passwords or valid hashes, "
		"found a string of 15 bytes in it"},
	{"", "[[users]]\nname = \"a\"\npassword_hash = \"x\"\n",
		"users.toml:3:17: error: users.password_hash: expected SCRAM-SHA-256$... or "
		"md5..., as `pgring hash` "
		"prints it, found a string of 1 bytes"},
	{"[[sharded_tables]]\ndatabase = \"a\"\ncolumn = \"b\"\nmapping = [{ shrad = 1 }]\n", "",
		"pgring.toml:4:14: error: unknown key \"shrad\" in [[sharded_tables.mapping]]; did "
		"you mean "
		"\"shard\"?"},
	{"[[sharded_tables]]\ndatabase = \"a\"\ncolumn = \"b\"\ncentroids = [[1], [\"x\"]]\n", "",
		"pgring.toml:4:13: error: sharded_tables.centroids: expected an array of arrays of "
		"numbers, found an "
		"array of 2"},
	{"[general]\ntls_verify = \"disabled\"\n",
		"[[users]]\nname = \"a\"\ndatabase = \"b\"\nserver_auth = \"rds_iam\"\n",
		"users.toml:1: error: user \"a\": server_auth needs general.tls_verify other than "
		"\"disabled\""},
	{"[general]\npassthrough_auth = \"enabled\"\n",
		"[[users]]\nname = \"a\"\ndatabase = \"b\"\nserver_auth = \"vault_static\"\n",
		"users.toml:1: error: user \"a\": server_auth needs general.passthrough_auth = "
		"\"disabled\""},
};

static void faults_are_found_where_they_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(faults); i++) {
		struct loaded loaded = load(faults[i].config, faults[i].users);

		assert_result(&loaded, ERR_INVALID);
		assert_message(&loaded, faults[i].message);
		unload(&loaded);
	}
}

/* The words are those of toml++ and differ between its versions; the places do not. */
static void faults_of_syntax_have_a_place(void **state)
{
	static const struct {
		const char *config;
		uint32_t line, column;
	} cases[] = {
		{"[general]\nport = 6432a\n", 2, 12},
		{"[general]\nport = 1\nport = 2\n", 3, 8},
		{"[general]\nport = \n", 2, 8},
		{"[tcp]\n[general]\n[tcp]\n", 3, 0},
		{"\n[#\n", 2, 0},
		{"[!]\n", 1, 0},
		{"[]\n", 1, 0},
		{"[", 1, 0},
		{"[general]\nhost = \"a\n\"\n", 2, 0},
		{"a.b = 1\na.b.c = 2\n", 2, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct loaded loaded = load(cases[i].config, "");
		const struct config_place *place;

		assert_result(&loaded, ERR_INVALID);
		assert_int_equal(loaded.report.errors, 1);
		place = &loaded.report.messages[0].place;
		assert_string_equal(place->file, "pgring.toml");
		assert_int_equal(place->line, cases[i].line);
		if (cases[i].column > 0)
			assert_int_equal(place->column, cases[i].column);
		unload(&loaded);
	}
}

/* What is strange and still has a meaning. */
static const struct {
	const char *config;
	const char *users;
	const char *message;
} oddities[] = {
	{"[multi_tenant]\ncolumn = \"a\"\ncolour = 1\n", "",
		"pgring.toml:3:1: warning: unknown key \"colour\" in [multi_tenant]"},
	{"[general]\nban_timeout = 30_000\n", "",
		"pgring.toml: warning: general.idle_healthcheck_interval is not below "
		"general.ban_timeout: bans end "
		"before a check"},
	{DATABASE("a") "role = \"replica\"\n" DATABASE("a"), "",
		"pgring.toml:1: warning: database \"a\" has replicas, which get no queries yet; "
		"all go to the "
		"primary"},
	{DATABASE("a") DATABASE("a"), "",
		"pgring.toml:4: warning: database \"a\" has this primary of shard 0 twice"},
	{DATABASE("a") DATABASE("a") "port = 1\n", "",
		"pgring.toml:4: warning: database \"a\" has more than one primary of shard 0; the "
		"first counts"},
	{DATABASE("a") DATABASE("a") "shard = 2\n", "",
		"pgring.toml:4: warning: database \"a\" has no shard 1 before shard 2"},
	{DATABASE("a") "shard = 1\n", "", "pgring.toml:1: warning: database \"a\" has no shard 0"},
	{DATABASE("a") DATABASE("a") "shard = 1\n", "",
		"pgring.toml:1: warning: database \"a\" is sharded, which is not supported yet; "
		"its clients are "
		"refused"},
	{DATABASE("a") "role = \"replica\"\n", "",
		"pgring.toml:1: warning: database \"a\" has no primary; all queries go to its "
		"first replica"},
	{DATABASE("a") "role = \"auto\"\n", "",
		"pgring.toml:1: warning: roles of database \"a\" are not detected yet; all queries "
		"go to its first "
		"\"auto\" entry"},
	{DATABASE("a") "role = \"auto\"\n" DATABASE("a"), "",
		"pgring.toml:1: warning: database \"a\" has entries with and without role "
		"\"auto\""},
	{DATABASE("a") DATABASE("a") "port = 1\nrole = \"replica\"\npooler_mode = \"session\"\n",
		"",
		"pgring.toml:1: warning: the entries of database \"a\" have different "
		"pooler_modes"},
	{DATABASE("a") "resharding_only = true\n", "",
		"pgring.toml:1: warning: database \"a\" has no server that takes queries"},
	{DATABASE("admin"), "",
		"pgring.toml:1: warning: database \"admin\" has the name of the console; user "
		"\"admin\" gets the "
		"console"},
	{"[general]\nread_write_split = \"exclude_primary\"\n" DATABASE("a"), "",
		"pgring.toml:3: warning: database \"a\" has no replicas, and "
		"general.read_write_split is "
		"\"exclude_primary\""},
	{"[general]\nquery_parser = \"off\"\n" DATABASE("a") DATABASE("a") "role = \"replica\"\n",
		"",
		"pgring.toml:3: warning: database \"a\" has more than one server, and "
		"general.query_parser is "
		"\"off\""},
	{DATABASE("a"), USER("u", "b"),
		"users.toml:1: warning: user \"u\": there is no database \"b\""},
	{DATABASE("production"), USER("u", "prodution"),
		"users.toml:1: warning: user \"u\": there is no database \"prodution\"; did you "
		"mean \"production\"?"},
	{DATABASE("a"), "[[users]]\nname = \"u\"\npassword = \"p\"\n",
		"users.toml:1: warning: user \"u\" may connect to no database; set database or "
		"databases"},
	{DATABASE("a"), "[[users]]\nname = \"u\"\ndatabase = \"a\"\n",
		"users.toml:1: warning: user \"u\" has no password and cannot log in"},
	{DATABASE("a"), "[[users]]\nname = \"u\"\ndatabase = \"a\"\nmin_pool_size = 2\n",
		"users.toml:1: warning: user \"u\" has no password with which servers could be "
		"connected to; "
		"min_pool_size is 0"},
	{DATABASE("a"), USER("u", "a") "databases = [\"a\"]\n",
		"users.toml:1: warning: user \"u\" has database and databases; database counts"},
	{DATABASE("a"), USER("u", "a") "all_databases = true\n",
		"users.toml:1: warning: user \"u\" has all_databases and a list; all_databases "
		"counts"},
	{DATABASE("a"), USER("u", "a") USER("u", "a"),
		"users.toml:5: warning: user \"u\" is there twice for database \"a\"; the last "
		"entry counts"},
	{DATABASE("a"), USER("u", "a") "pool_size = 2\nmin_pool_size = 3\n",
		"users.toml:1: warning: min_pool_size 3 of user \"u\" in database \"a\" is above "
		"pool_size 2, which "
		"counts"},
	{DATABASE("a"), USER("u", "a") "server_lifetime = 2\nserver_lifetime_jitter = 3\n",
		"users.toml:1: warning: server_lifetime_jitter of user \"u\" in database \"a\" is "
		"above "
		"server_lifetime, which counts"},
	{DATABASE("a"), "[[users]]\nname = \"u\"\ndatabase = \"a\"\npassword = \"" MD5_HASH "\"\n",
		"users.toml:1: warning: user \"u\" has only md5 secrets, with which auth_type "
		"\"scram\" cannot work"},
	{"[general]\nauth_type = \"md5\"\n" DATABASE("a"),
		"[[users]]\nname = \"u\"\ndatabase = \"a\"\npassword = \"" SCRAM_HASH "\"\n",
		"users.toml:1: warning: user \"u\" has only SCRAM secrets, with which auth_type "
		"\"md5\" cannot work"},
	{DATABASE("a"),
		"[[users]]\nname = \"u\"\ndatabase = \"a\"\npassword_hash = \"" SCRAM_HASH "\"\n",
		"users.toml:1: warning: user \"u\" has only hashed passwords, which servers do not "
		"take; set "
		"server_password"},
};

static void oddities_are_warned_about(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(oddities); i++) {
		struct loaded loaded = load(oddities[i].config, oddities[i].users);

		assert_result(&loaded, 0);
		assert_message(&loaded, oddities[i].message);
		unload(&loaded);
	}
}

static void all_faults_of_a_file_are_reported(void **state)
{
	char text[16384] = "[general]\n";
	struct loaded loaded;

	(void)state;
	for (int i = 0; i < 60; i++)
		sprintf(text + strlen(text), "wrong_key_number_%d = 1\n", i);
	loaded = load(text, "[[users]]\nname = 1\n");
	assert_result(&loaded, ERR_INVALID);
	assert_int_equal(loaded.report.errors, 61);
	assert_int_equal(loaded.report.count, CONFIG_ERRORS_MAX);
	assert_int_equal(loaded.report.messages[0].place.line, 2);
	assert_int_equal(loaded.report.messages[49].place.line, 51);
	unload(&loaded);
}

static void names_from_files_cannot_forge_messages(void **state)
{
	struct loaded loaded = load("[general]\n\"a\\nb\\u001b[31m\" = 1\n", "");

	(void)state;
	assert_message(&loaded, "pgring.toml:2:1: error: unknown key \"a?b?[31m\" in [general]");
	unload(&loaded);
	loaded = load(DATABASE("a\\nb") "role = \"replica\"\n", "");
	assert_message(&loaded,
		"pgring.toml:1: warning: database \"a?b\" has no primary; all queries go to its "
		"first replica");
	unload(&loaded);
}

/* What a truncated file says is open; that reading it is harmless is not. */
static void truncation_is_harmless(void **state)
{
	char *copy = malloc(sizeof(full_config));
	size_t valid = 0;

	(void)state;
	assert_non_null(copy);
	for (size_t len = 0; len < sizeof(full_config); len++) {
		struct config_sources sources = config_sources_default();
		struct config_report report = {0};
		struct config *config = NULL;
		char *exact = malloc(len + 1); /* so that a sanitizer sees a read behind the end */

		assert_non_null(exact);
		memcpy(exact, full_config, len);
		sources.config.text = exact;
		sources.config.len = len;
		sources.users.text = full_users;
		sources.users.len = len < sizeof(full_users) ? len : sizeof(full_users) - 1;
		if (config_load(&sources, &config, &report) == 0)
			valid++;
		else
			assert_true(report.errors > 0);
		config_report_clear(&report);
		config_free(config);
		free(exact);
	}
	assert_true(valid > 0 && valid < sizeof(full_config));
	free(copy);
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
		sprintf(config + strlen(config), "[[databases]]\nname = \"d%d\"\nhost = \"h\"\n",
			i);
	for (int i = 0; i < USERS; i++)
		sprintf(users + strlen(users),
			"[[users]]\nname = \"u%d\"\nall_databases = true\npassword = \"p\"\n", i);
	loaded = load(config, users);
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, DATABASES * USERS);
	for (int i = 0; i < USERS; i++) {
		for (int j = 0; j < DATABASES; j++) {
			const struct config_pool *pool;

			sprintf(user, "u%d", i);
			sprintf(database, "d%d", j);
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

static void the_environment_is_weaker_than_the_file(void **state)
{
	static const char *const environment[] = {"PGDOG_WORKERS=3", "PGRING_WORKERS=4",
		"PGDOG_PORT=7000", "PGDOG_CHECKOUT_TIMEOUT=77", "PGDOG_AUTH_TYPE=MD5",
		"PGRING_HOST=127.0.0.1,::1", "PGDOG_LOG_CONNECTIONS=off",
		"PGDOG_CLIENT_LOG_TIMEOUT=88", "RUST_LOG=debug", "PGRING_QUERY_TIMEOUT=unlimited",
		"PGRING_STATS_PERIOD=", "PGDOG_ADMIN_PASSWORD=secret",
		"PGDOG_LOAD_BALANCING_STRATEGY=Round-Robin", NULL};
	struct loaded loaded =
		load_from("[general]\nport = 7001\n[admin]\nuser = \"root\"\n", "", environment);
	const struct config_general *general;

	(void)state;
	assert_result(&loaded, 0);
	general = &loaded.config->general;
	assert_int_equal(general->workers, 4);
	assert_int_equal(general->port, 7001);
	assert_int_equal(general->checkout_timeout_ms, 77);
	assert_int_equal(general->auth_type, AUTH_MD5);
	assert_int_equal(general->host.count, 2);
	assert_false(general->log_connections);
	assert_int_equal(general->client_login_timeout_ms, 88);
	assert_int_equal(loaded.config->log_level, CONFIG_LOG_DEBUG);
	assert_int_equal(general->stats_period_ms, 15000);
	assert_int_equal(general->load_balancing_strategy, BALANCE_ROUND_ROBIN);
	assert_string_equal(loaded.config->admin.user, "root");
	assert_string_equal(loaded.config->admin.password, "secret");
	assert_int_equal(loaded.report.count, 1);
	assert_message(&loaded,
		"PGDOG_LOAD_BALANCING_STRATEGY: warning: general.load_balancing_strategy is not "
		"supported yet and has no effect");
	unload(&loaded);
}

static void a_wrong_environment_is_an_error(void **state)
{
	static const char *const environment[] = {"PGRING_PORT=tcp://10.0.0.1:6432",
		"RUST_LOG=hyper", "PGDOG_WORKERS=many", "PGRING_HOST=,", NULL};
	struct loaded loaded = load_from("", "", environment);

	(void)state;
	assert_result(&loaded, ERR_INVALID);
	assert_int_equal(loaded.report.errors, 2);
	assert_message(&loaded, "PGRING_PORT: warning: ignored, because it is not a port");
	assert_message(&loaded,
		"PGDOG_WORKERS: error: general.workers: expected an integer from 0 to 1024");
	assert_message(&loaded,
		"PGRING_HOST: error: general.host: expected an address or a list of at most 16");
	unload(&loaded);
}

static struct loaded load_urls(
	const char *const *urls, size_t count, const char *const *environment)
{
	struct config_sources sources = config_sources_default();
	struct loaded loaded = {0};

	sources.config.text = DATABASE("file");
	sources.config.len = strlen(sources.config.text);
	sources.users.text = USER("file", "file");
	sources.users.len = strlen(sources.users.text);
	sources.urls = urls;
	sources.url_count = count;
	sources.environment = environment;
	loaded.result = config_load(&sources, &loaded.config, &loaded.report);
	return loaded;
}

static void urls_replace_databases_and_users(void **state)
{
	static const char *const urls[] = {
		"postgres://bob:s%40x%3A@[::1]:5433/"
		"shop?pool_size=20&pooler_mode=session&read_only=true&unknown=1",
		"postgresql://bob:s%40x%3A@replica/shop?role=replica&database_name=shop+2",
		"postgres://%2Frun%2Fpostgresql",
	};
	static const char *const environment[] = {
		"USER=eve", "PGDOG_DATABASE_URL_1=postgres://x/y", NULL};
	struct loaded loaded = load_urls(urls, array_len(urls), environment);
	const struct config_pool *pool;

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->database_count, 3);
	assert_int_equal(loaded.config->user_count, 2);
	pool = find(&loaded, "bob", "shop");
	assert_string_equal(pool->host, "::1");
	assert_int_equal(pool->port, 5433);
	assert_int_equal(pool->pool_size, 20);
	assert_int_equal(pool->mode, POOL_SESSION);
	assert_true(pool->read_only);
	assert_string_equal(pool->passwords[0], "s@x:");
	assert_int_equal(loaded.config->databases[1].role, ROLE_REPLICA);
	assert_string_equal(loaded.config->databases[1].database_name, "shop 2");
	pool = find(&loaded, "eve", "postgres");
	assert_string_equal(pool->host, "/run/postgresql");
	assert_int_equal(pool->port, 5432);
	assert_string_equal(pool->passwords[0], "postgres");
	assert_message(&loaded, "database URL 1: warning: the parameter \"unknown\" is not known "
				"and has no effect");
	unload(&loaded);
}

static void urls_of_the_environment(void **state)
{
	static const char *const both[] = {"PGDOG_DATABASE_URL_1=postgres://a:b@h/dog",
		"PGRING_DATABASE_URL_1=postgres://a:b@h/ring1",
		"PGRING_DATABASE_URL_2=postgres://a:b@h/ring2",
		"PGRING_DATABASE_URL_4=postgres://a:b@h/ring4", NULL};
	static const char *const dog[] = {"PGDOG_DATABASE_URL_1=postgres://a:b@h/dog", NULL};
	struct loaded loaded = load_urls(NULL, 0, both);

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, 2);
	find(&loaded, "a", "ring1");
	find(&loaded, "a", "ring2");
	unload(&loaded);

	loaded = load_urls(NULL, 0, dog);
	assert_result(&loaded, 0);
	assert_int_equal(loaded.config->pool_count, 1);
	find(&loaded, "a", "dog");
	unload(&loaded);

	loaded = load_urls(NULL, 0, NULL);
	assert_result(&loaded, 0);
	find(&loaded, "file", "file");
	unload(&loaded);
}

static void wrong_urls_are_errors(void **state)
{
	static const struct {
		const char *url;
		const char *message;
	} cases[] = {
		{"mysql://a:tUrTlE@h/d", "expected postgres://user:password@host:port/name"},
		{"postgres://a:tUrTlE@h:port/d", "databases.port: expected a port from 1 to 65535"},
		{"postgres://a:tUrTlE@h:99999/d",
			"databases.port: expected a port from 1 to 65535"},
		{"postgres://a:tUrTlE@[::1/d", "expected postgres://user:password@host:port/name"},
		{"postgres://a:tUrTlE%zz@h/d", "the URL is not encoded as RFC 3986 says"},
		{"postgres://a:tUrTlE%00@h/d", "the URL is not encoded as RFC 3986 says"},
		{"postgres://a:tUrTlE@h/d%4", "the URL is not encoded as RFC 3986 says"},
		{"postgres://a:tUrTlE@h/d?password=tUrTlE%z",
			"a parameter of the URL is not encoded as RFC 3986 says"},
		{"postgres://a:tUrTlE@h/d?pool_size=0",
			"databases.pool_size: expected an integer from 1 to 1000000"},
		{"postgres://a:tUrTlE@h/d?role=boss",
			"databases.role: expected one of \"primary\", \"replica\", \"auto\""},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct loaded loaded = load_urls(&cases[i].url, 1, NULL);
		char line[512];

		assert_result(&loaded, ERR_INVALID);
		snprintf(line, sizeof(line), "database URL 1: error: %s", cases[i].message);
		assert_message(&loaded, line);
		for (size_t j = 0; j < loaded.report.count; j++)
			assert_null(strstr(loaded.report.messages[j].text, "tUrTlE"));
		unload(&loaded);
	}
}

static void the_command_line_beats_the_file(void **state)
{
	struct config_sources sources = config_sources_default();
	struct loaded loaded = {0};

	(void)state;
	sources.config.text = "[general]\ndefault_pool_size = 5\nmin_pool_size = 1\n" DATABASE("a");
	sources.config.len = strlen(sources.config.text);
	sources.users.text = USER("u", "a");
	sources.users.len = strlen(sources.users.text);
	sources.pool_size = 7;
	sources.min_pool_size = 3;
	sources.session_mode = 1;
	loaded.result = config_load(&sources, &loaded.config, &loaded.report);
	assert_result(&loaded, 0);
	assert_int_equal(find(&loaded, "u", "a")->pool_size, 7);
	assert_int_equal(find(&loaded, "u", "a")->min_pool_size, 3);
	assert_int_equal(find(&loaded, "u", "a")->mode, POOL_SESSION);
	unload(&loaded);
}

/* A folder for files, removed at the end. */
static char *make_folder(char *template)
{
	char *folder = mkdtemp(template);

	assert_non_null(folder);
	return folder;
}

static void files_that_cannot_be_read(void **state)
{
	char template[] = "test_config.XXXXXX";
	char *folder = make_folder(template), path[64], line[256];
	struct config_sources sources = config_sources_default();
	struct loaded loaded = {0};
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/main.toml", folder);
	sources.config.path = path;
	sources.users.path = folder;

	/* not there: defaults; a folder: an error */
	loaded.result = config_load(&sources, &loaded.config, &loaded.report);
	assert_result(&loaded, ERR_INVALID);
	snprintf(line, sizeof(line), "%s: warning: the file does not exist; defaults are used",
		path);
	assert_message(&loaded, line);
	snprintf(line, sizeof(line), "%s: error: the file cannot be read", folder);
	assert_message(&loaded, line);
	unload(&loaded);

	/* as large as possible, and one byte more */
	sources.users.path = "/dev/null";
	for (size_t more = 0; more < 2; more++) {
		file = fopen(path, "w");
		assert_non_null(file);
		for (size_t i = 0; i < CONFIG_FILE_BYTES_MAX + more; i++)
			fputc('\n', file);
		assert_int_equal(fclose(file), 0);
		loaded.result = config_load(&sources, &loaded.config, &loaded.report);
		assert_result(&loaded, more == 0 ? 0 : ERR_INVALID);
		snprintf(line, sizeof(line), "%s: error: the file is larger than 1 MiB", path);
		assert_true(has_message(&loaded, line) == (more == 1));
		unload(&loaded);
	}
	unlink(path);
	rmdir(folder);
}

static void configcheck_says_whether_it_is_valid(void **state)
{
	struct config_sources sources = config_sources_default();
	char *out, *err;
	size_t out_len, err_len;
	FILE *out_file, *err_file;

	(void)state;
	for (int valid = 0; valid < 2; valid++) {
		out_file = open_memstream(&out, &out_len);
		err_file = open_memstream(&err, &err_len);
		assert_true(out_file != NULL && err_file != NULL);
		sources.config.text = valid ? "[general]\nport = 1\n" : "[general]\nport = \n";
		sources.config.len = strlen(sources.config.text);
		sources.users.text = "";
		assert_int_equal(config_check(&sources, out_file, err_file), !valid);
		fclose(out_file);
		fclose(err_file);
		assert_string_equal(out, valid ? "config valid\n" : "");
		if (valid)
			assert_string_equal(err, "");
		else
			assert_int_equal(strncmp(err, "pgring.toml:2:8: error: ", 24), 0);
		free(out);
		free(err);
	}
}

/* The whole of a file of this project, which the tests are started in. */
static char *read_project_file(const char *path, size_t *ret_len)
{
	FILE *file = fopen(path, "r");
	char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);

	assert_true(file != NULL && text != NULL);
	*ret_len = fread(text, 1, CONFIG_FILE_BYTES_MAX, file);
	text[*ret_len] = '\0';
	fclose(file);
	return text;
}

/* "#key = value" becomes "key = value"; "# prose" stays. */
static void uncomment(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		bool begins = at == text || at[-1] == '\n';

		if (begins && at[0] == '#' && at[1] != ' ' && at[1] != '\n' && at[1] != '#')
			continue;
		*to++ = *at;
	}
	*to = '\0';
}

static void the_example_files_are_valid(void **state)
{
	size_t len;
	char *config = read_project_file("deploy/pgring.toml", &len);
	char *users = read_project_file("deploy/users.toml", &len);
	struct loaded loaded = load(config, users);

	(void)state;
	assert_result(&loaded, 0);
	assert_int_equal(loaded.report.count, 0);
	assert_true(loaded.config->pool_count > 0);
	unload(&loaded);

	/* What stands there in comments is right too, and shows the defaults of this program. */
	uncomment(config);
	uncomment(users);
	loaded = load(config, users);
	assert_result(&loaded, 0);
	assert_int_equal(loaded.report.errors, 0);
	unload(&loaded);
	free(config);
	free(users);
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
		cmocka_unit_test(secrets_are_never_shown),
		cmocka_unit_test(show_config_has_every_key),
		cmocka_unit_test(faults_are_found_where_they_are),
		cmocka_unit_test(faults_of_syntax_have_a_place),
		cmocka_unit_test(oddities_are_warned_about),
		cmocka_unit_test(all_faults_of_a_file_are_reported),
		cmocka_unit_test(names_from_files_cannot_forge_messages),
		cmocka_unit_test(truncation_is_harmless),
		cmocka_unit_test(user_beats_database_beats_general),
		cmocka_unit_test(credentials_come_from_the_nearest),
		cmocka_unit_test(what_is_not_possible_yet_is_refused),
		cmocka_unit_test(the_last_of_two_pools_counts),
		cmocka_unit_test(every_pair_is_found),
		cmocka_unit_test(listening_addresses),
		cmocka_unit_test(log_filters),
		cmocka_unit_test(distances),
		cmocka_unit_test(the_environment_is_weaker_than_the_file),
		cmocka_unit_test(a_wrong_environment_is_an_error),
		cmocka_unit_test(urls_replace_databases_and_users),
		cmocka_unit_test(urls_of_the_environment),
		cmocka_unit_test(wrong_urls_are_errors),
		cmocka_unit_test(the_command_line_beats_the_file),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(configcheck_says_whether_it_is_valid),
		cmocka_unit_test(the_example_files_are_valid),
		cmocka_unit_test(pools_of_the_same_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
