/* Configuration: environment, URLs, command line and files, and which of them is stronger. */
#include "test/unit/config_loaded.h"

#include <sys/stat.h>
#include <unistd.h>

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
		"postgres://bob:s%40x%3A@[::1]:5433/shop?pool_size=20&read_only=true&x=1",
		"postgresql://bob:s%40x%3A@r/shop?role=replica&database_name=a+b&pool_size=4",
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
	assert_true(pool->read_only);
	assert_string_equal(pool->passwords[0], "s@x:");
	assert_int_equal(loaded.config->databases[1].role, ROLE_REPLICA);
	assert_string_equal(loaded.config->databases[1].database_name, "a b");
	assert_int_equal(loaded.config->databases[1].pool_size, 4);
	pool = find(&loaded, "eve", "postgres");
	assert_string_equal(pool->host, "/run/postgresql");
	assert_int_equal(pool->port, 5432);
	assert_string_equal(pool->passwords[0], "postgres");
	assert_message(&loaded,
		"database URL 1: warning: the parameter \"x\" is not known "
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
		snprintf(line, sizeof(line), "%s: error: the file is larger than 16 MiB", path);
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
	char *config = read_project_file("deploy/pgring.toml");
	char *users = read_project_file("deploy/users.toml");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_environment_is_weaker_than_the_file),
		cmocka_unit_test(a_wrong_environment_is_an_error),
		cmocka_unit_test(urls_replace_databases_and_users),
		cmocka_unit_test(urls_of_the_environment),
		cmocka_unit_test(wrong_urls_are_errors),
		cmocka_unit_test(the_command_line_beats_the_file),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(configcheck_says_whether_it_is_valid),
		cmocka_unit_test(the_example_files_are_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
