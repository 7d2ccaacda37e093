/* Clusters out of databases, pools out of clusters and users. */
#include "admin/config_resolve.h"

#include <stdlib.h>
#include <string.h>

#include "core/errors.h"
#include "core/options.h"
#include "protocol/crypto.h"
#include "protocol/secret.h"

/* The entries of one name. */
struct cluster {
	const char *name;
	const struct config_database **entries; /* by shard, then in the order of the file */
	size_t count;
	const struct config_database *target; /* where everything goes for now; NULL: nowhere */
	const char *refused;
};

struct resolve {
	struct config *config;
	struct config_report *report;
	const char *config_file;
	const char *users_file;
	struct cluster *clusters; /* by name */
	size_t cluster_count;
	struct config_pool *pools;
	size_t pool_count;
	size_t pool_capacity;
};

static struct config_place database_place(
	const struct resolve *resolve, const struct config_database *database)
{
	return (struct config_place){
		database->line > 0 ? resolve->config_file : NULL, database->line, 0};
}

static struct config_place user_place(const struct resolve *resolve, const struct config_user *user)
{
	return (struct config_place){user->line > 0 ? resolve->users_file : NULL, user->line, 0};
}

#define warn_database(resolve, database, ...) \
	config_report_add( \
		(resolve)->report, CONFIG_WARNING, database_place(resolve, database), __VA_ARGS__)
#define warn_user(resolve, user, ...) \
	config_report_add((resolve)->report, CONFIG_WARNING, user_place(resolve, user), __VA_ARGS__)

/* Searches that compare everything with everything end after so many. */
enum { COMPARED_MAX = 256 };

/* Clusters */

static int by_name_and_shard(const void *left, const void *right)
{
	const struct config_database *a = *(const struct config_database *const *)left;
	const struct config_database *b = *(const struct config_database *const *)right;
	int names = strcmp(a->name, b->name);

	if (names != 0)
		return names;
	if (a->shard != b->shard)
		return a->shard < b->shard ? -1 : 1;
	return a < b ? -1 : 1; /* both are in the array of the snapshot */
}

static int by_first_entry(const void *left, const void *right)
{
	const struct config_database *a = *(const struct config_database *const *)left;
	const struct config_database *b = *(const struct config_database *const *)right;

	return a < b ? -1 : 1;
}

/* The distinct names, in the order of the file. */
static int make_names(struct resolve *resolve)
{
	struct config *config = resolve->config;
	size_t count = resolve->cluster_count;
	const struct config_database **first = config_alloc(config, count * sizeof(*first));
	const char **names = config_alloc(config, count * sizeof(*names));

	if (first == NULL || names == NULL)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++) {
		const struct cluster *cluster = &resolve->clusters[i];

		first[i] = cluster->entries[0];
		for (size_t j = 1; j < cluster->count; j++) {
			if (cluster->entries[j] < first[i])
				first[i] = cluster->entries[j];
		}
	}
	if (count > 0)
		qsort(first, count, sizeof(*first), by_first_entry);
	for (size_t i = 0; i < count; i++)
		names[i] = first[i]->name;
	config->database_names = names;
	config->database_name_count = count;
	return 0;
}

static int make_clusters(struct resolve *resolve)
{
	struct config *config = resolve->config;
	size_t count = config->database_count;
	const struct config_database **entries = config_alloc(config, count * sizeof(*entries));

	resolve->clusters = config_alloc(config, count * sizeof(*resolve->clusters));
	if (entries == NULL || resolve->clusters == NULL)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < count; i++)
		entries[i] = &config->databases[i];
	if (count > 0)
		qsort(entries, count, sizeof(*entries), by_name_and_shard);
	for (size_t i = 0; i < count; i++) {
		struct cluster *cluster = &resolve->clusters[resolve->cluster_count];

		if (i == 0 || strcmp(entries[i]->name, entries[i - 1]->name) != 0) {
			*cluster =
				(struct cluster){.name = entries[i]->name, .entries = &entries[i]};
			resolve->cluster_count++;
		} else {
			cluster--;
		}
		cluster->count++;
	}
	return make_names(resolve);
}

static int cluster_by_name(const void *name, const void *cluster)
{
	return strcmp(name, ((const struct cluster *)cluster)->name);
}

static struct cluster *find_cluster(const struct resolve *resolve, const char *name)
{
	if (resolve->cluster_count == 0)
		return NULL;
	return bsearch(name, resolve->clusters, resolve->cluster_count, sizeof(*resolve->clusters),
		cluster_by_name);
}

static const char *role_name(enum database_role role)
{
	return role == ROLE_PRIMARY ? "primary" : role == ROLE_REPLICA ? "replica" : "auto";
}

/* Whether an earlier entry of the same shard is the same server in the same role. */
static bool is_duplicate(const struct cluster *cluster, size_t at)
{
	const struct config_database *entry = cluster->entries[at];

	for (size_t i = at; i-- > 0 && cluster->entries[i]->shard == entry->shard;) {
		const struct config_database *other = cluster->entries[i];

		if (other->role == entry->role && other->port == entry->port &&
			strcmp(other->host, entry->host) == 0)
			return true;
	}
	return false;
}

/* What looks like a slip in the entries of one cluster. */
static void check_entries(struct resolve *resolve, const struct cluster *cluster)
{
	const struct config_database *first = cluster->entries[0];
	const struct config_database *primary = NULL;
	bool autos = false, others = false, modes = false;

	if (first->shard != 0)
		warn_database(resolve, first, "database \"%s\" has no shard 0", cluster->name);
	for (size_t i = 0; i < cluster->count; i++) {
		const struct config_database *entry = cluster->entries[i];

		if (i > 0 && entry->shard > cluster->entries[i - 1]->shard + 1)
			warn_database(resolve, entry,
				"database \"%s\" has no shard %lld before shard %lld",
				cluster->name, (long long)cluster->entries[i - 1]->shard + 1,
				(long long)entry->shard);
		if (i == 0 || entry->shard != cluster->entries[i - 1]->shard)
			primary = NULL;
		if (i < COMPARED_MAX && is_duplicate(cluster, i)) {
			warn_database(resolve, entry,
				"database \"%s\" has this %s of shard %lld twice", cluster->name,
				role_name(entry->role), (long long)entry->shard);
		} else if (entry->role == ROLE_PRIMARY) {
			if (primary != NULL)
				warn_database(resolve, entry,
					"database \"%s\" has more than one primary of shard %lld; "
					"the first counts",
					cluster->name, (long long)entry->shard);
			primary = primary != NULL ? primary : entry;
		}
		autos = autos || entry->role == ROLE_AUTO;
		others = others || entry->role != ROLE_AUTO;
		modes = modes || entry->pooler_mode != first->pooler_mode;
	}
	if (autos && others)
		warn_database(resolve, first,
			"database \"%s\" has entries with and without role \"auto\"",
			cluster->name);
	if (modes)
		warn_database(resolve, first,
			"the entries of database \"%s\" have different pooler_modes",
			cluster->name);
}

/* Where the queries of a cluster go, and what that means. */
static void choose_target(struct resolve *resolve, struct cluster *cluster)
{
	const struct config_database *first = cluster->entries[0];
	const struct config_database *targets[DATABASE_ROLE_COUNT] = {NULL};
	size_t replicas = 0;

	for (size_t i = 0; i < cluster->count && cluster->entries[i]->shard == first->shard; i++) {
		const struct config_database *entry = cluster->entries[i];

		if (entry->resharding_only)
			continue;
		if (targets[entry->role] == NULL)
			targets[entry->role] = entry;
		replicas += entry->role == ROLE_REPLICA;
	}
	if (replicas == 0 && resolve->config->general.read_write_split == SPLIT_EXCLUDE_PRIMARY)
		warn_database(resolve, first,
			"database \"%s\" has no replicas, and general.read_write_split is "
			"\"exclude_primary\"",
			cluster->name);
	if (targets[ROLE_PRIMARY] != NULL) {
		cluster->target = targets[ROLE_PRIMARY];
		if (replicas > 0)
			warn_database(resolve, first,
				"database \"%s\" has replicas, which get no queries yet; all go to "
				"the primary",
				cluster->name);
	} else if (targets[ROLE_AUTO] != NULL) {
		cluster->target = targets[ROLE_AUTO];
		warn_database(resolve, first,
			"roles of database \"%s\" are not detected yet; all queries go to its "
			"first \"auto\" entry",
			cluster->name);
	} else if (targets[ROLE_REPLICA] != NULL) {
		cluster->target = targets[ROLE_REPLICA];
		warn_database(resolve, first,
			"database \"%s\" has no primary; all queries go to its first replica",
			cluster->name);
	} else {
		warn_database(resolve, first, "database \"%s\" has no server that takes queries",
			cluster->name);
	}
}

static const char *refusal(struct resolve *resolve, const struct cluster *cluster)
{
	char text[256];
	long long shards = (long long)cluster->entries[cluster->count - 1]->shard + 1;

	if (shards > 1)
		snprintf(text, sizeof(text),
			"database \"%s\" has %lld shards, and sharded databases are not supported "
			"yet",
			cluster->name, shards);
	else
		snprintf(text, sizeof(text), "database \"%s\" has no server that takes queries",
			cluster->name);
	return config_copy(resolve->config, text, strlen(text));
}

static int check_cluster(struct resolve *resolve, struct cluster *cluster)
{
	const struct config *config = resolve->config;
	const struct config_database *first = cluster->entries[0];
	bool sharded = cluster->entries[cluster->count - 1]->shard > 0;

	check_entries(resolve, cluster);
	choose_target(resolve, cluster);
	if (sharded)
		warn_database(resolve, first,
			"database \"%s\" is sharded, which is not supported yet; its clients are "
			"refused",
			cluster->name);
	if (strcmp(cluster->name, config->admin.name) == 0)
		warn_database(resolve, first,
			"database \"%s\" has the name of the console; user \"%s\" gets the console",
			cluster->name, config->admin.user);
	if (config->general.query_parser == PARSER_OFF && (sharded || cluster->count > 1))
		warn_database(resolve, first,
			"database \"%s\" has more than one server, and general.query_parser is "
			"\"off\"",
			cluster->name);
	if (sharded || cluster->target == NULL) {
		cluster->refused = refusal(resolve, cluster);
		if (cluster->refused == NULL)
			return ERR_NO_MEMORY;
		if (cluster->target == NULL)
			cluster->target = first;
	}
	return 0;
}

/* Users */

static size_t secrets_of(const struct config_user *user, const char **secrets)
{
	size_t count = 0;

	for (size_t i = 0; i < user->passwords.count; i++) {
		if (user->passwords.items[i][0] != '\0')
			secrets[count++] = user->passwords.items[i];
	}
	if (user->password != NULL && user->password[0] != '\0')
		secrets[count++] = user->password;
	if (user->password_hash != NULL && user->password_hash[0] != '\0')
		secrets[count++] = user->password_hash;
	return count;
}

/* All texts were checked when they were read. */
static enum secret_kind kind_of(const char *text)
{
	struct secret secret;
	enum secret_kind kind;

	CHECK(secret_parse(text, strlen(text), &secret) == 0);
	kind = secret.kind;
	crypto_wipe(&secret, sizeof(secret));
	return kind;
}

/* The secrets of a user, for clients and for servers. They are the same for all pools of the user. */
struct secrets {
	const char **all;
	size_t count;
	const char **server; /* plain */
	size_t server_count;
};

static int collect_secrets(
	struct resolve *resolve, const struct config_user *user, struct secrets *ret)
{
	size_t most = user->passwords.count + 2;

	*ret = (struct secrets){0};
	ret->all = config_alloc(resolve->config, most * sizeof(*ret->all));
	ret->server = config_alloc(resolve->config, most * sizeof(*ret->server));
	if (ret->all == NULL || ret->server == NULL)
		return ERR_NO_MEMORY;
	ret->count = secrets_of(user, ret->all);
	if (user->server_password != NULL) {
		ret->server[ret->server_count++] = user->server_password;
		return 0;
	}
	for (size_t i = 0; i < ret->count; i++) {
		if (kind_of(ret->all[i]) == SECRET_PLAIN)
			ret->server[ret->server_count++] = ret->all[i];
	}
	return 0;
}

/* Whether the way clients log in can do anything with any of the secrets. */
static bool secrets_fit(const struct secrets *secrets, enum auth_type type)
{
	for (size_t i = 0; i < secrets->count; i++) {
		enum secret_kind kind = kind_of(secrets->all[i]);

		if (type == AUTH_SCRAM && kind == SECRET_MD5)
			continue;
		if (type == AUTH_MD5 && kind == SECRET_SCRAM)
			continue;
		return true;
	}
	return false;
}

static void check_secrets(
	struct resolve *resolve, const struct config_user *user, const struct secrets *secrets)
{
	const struct config_general *general = &resolve->config->general;

	if (general->auth_type == AUTH_TRUST)
		return;
	if (secrets->count == 0) {
		if (general->passthrough_auth == PASSTHROUGH_DISABLED && user->identity == NULL)
			warn_user(resolve, user, "user \"%s\" has no password and cannot log in",
				user->name);
		return;
	}
	if (!secrets_fit(secrets, general->auth_type))
		warn_user(resolve, user,
			"user \"%s\" has only %s secrets, with which auth_type \"%s\" cannot work",
			user->name, general->auth_type == AUTH_SCRAM ? "md5" : "SCRAM",
			general->auth_type == AUTH_SCRAM ? "scram" : "md5");
	if (secrets->server_count == 0 && user->server_auth == SERVER_AUTH_PASSWORD)
		warn_user(resolve, user,
			"user \"%s\" has only hashed passwords, which servers do not take; set "
			"server_password",
			user->name);
}

/* Users whose server credentials come from elsewhere need a server that is who it says. */
static void check_identity(struct resolve *resolve, const struct config_user *user)
{
	const struct config_general *general = &resolve->config->general;

	if (user->server_auth == SERVER_AUTH_PASSWORD)
		return;
	if (general->passthrough_auth != PASSTHROUGH_DISABLED)
		config_report_add(resolve->report, CONFIG_ERROR, user_place(resolve, user),
			"user \"%s\": server_auth needs general.passthrough_auth = \"disabled\"",
			user->name);
	if (general->tls_verify == TLS_VERIFY_DISABLED)
		config_report_add(resolve->report, CONFIG_ERROR, user_place(resolve, user),
			"user \"%s\": server_auth needs general.tls_verify other than \"disabled\"",
			user->name);
}

/* What a user may not do yet, said to its clients; NULL: nothing. */
static const char *user_refusal(const struct config *config, const struct config_user *user)
{
	enum tls_verify verify = config->general.tls_verify;

	if (verify == TLS_VERIFY_CA || verify == TLS_VERIFY_FULL)
		return "tls_verify asks for TLS to the server, which is not supported yet";
	if (user->server_auth != SERVER_AUTH_PASSWORD)
		return "this user's server_auth is not supported yet";
	if (user->replication_mode)
		return "replication_mode is not supported yet";
	return NULL;
}

/* Pools */

static int64_t first_set(const int64_t *values, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++) {
		if (values[i] != CONFIG_UNSET)
			return values[i];
	}
	return values[count - 1];
}

/* The first that is set: for the role from user and database, then without role from user, database and [general]. */
#define BY_ROLE(user, database, key, suffix, standard) \
	first_set((const int64_t[]){database->role == ROLE_PRIMARY ? user->key##_primary##suffix \
								   : user->key##_replica##suffix, \
			  database->role == ROLE_PRIMARY ? database->key##_primary##suffix \
							 : database->key##_replica##suffix, \
			  user->key##suffix, database->key##suffix, standard}, \
		5)
#define FIRST_OF(user, database, key, standard) \
	first_set((const int64_t[]){user->key, database->key, standard}, 3)
#define FIRST_SET(entry, key, general) \
	((entry)->key == CONFIG_UNSET ? (general)->key : (entry)->key)

static void fill_sizes(struct config_pool *pool, const struct config_general *general,
	const struct config_user *user, const struct config_database *database)
{
	pool->pool_size = BY_ROLE(user, database, pool_size, , general->default_pool_size);
	pool->min_pool_size = BY_ROLE(user, database, min_pool_size, , general->min_pool_size);
	pool->idle_timeout_ms =
		BY_ROLE(user, database, idle_timeout, _ms, general->idle_timeout_ms);
	pool->reserve_pool_size =
		FIRST_OF(user, database, reserve_pool_size, general->reserve_pool_size);
	pool->max_db_connections = FIRST_SET(database, max_db_connections, general);
	pool->max_db_client_connections = FIRST_SET(database, max_db_client_connections, general);
	pool->max_user_connections = FIRST_SET(user, max_user_connections, general);
	pool->max_user_client_connections = FIRST_SET(user, max_user_client_connections, general);
	pool->mode = (enum pool_mode)FIRST_OF(
		user, database, pooler_mode, (int64_t)general->pooler_mode);
	pool->server_lifetime_ms =
		FIRST_OF(user, database, server_lifetime_ms, general->server_lifetime_ms);
	pool->server_lifetime_jitter_ms = FIRST_OF(
		user, database, server_lifetime_jitter_ms, general->server_lifetime_jitter_ms);
	pool->statement_timeout_ms = FIRST_OF(user, database, statement_timeout_ms, 0);
	pool->lock_timeout_ms = FIRST_OF(user, database, lock_timeout_ms, 0);
	pool->read_only = FIRST_OF(user, database, read_only, 0) != 0;
}

/* Sizes that do not go together. */
static void fix_sizes(struct resolve *resolve, struct config_pool *pool)
{
	const struct config_user *user = pool->user_entry;

	if (pool->password_count == 0 && pool->server_password_count == 0) {
		if (user->min_pool_size > 0)
			warn_user(resolve, user,
				"user \"%s\" has no password with which servers could be connected "
				"to; "
				"min_pool_size is 0",
				user->name);
		pool->min_pool_size = 0;
	}
	if (pool->min_pool_size > pool->pool_size) {
		warn_user(resolve, user,
			"min_pool_size %lld of user \"%s\" in database \"%s\" is above pool_size "
			"%lld, which counts",
			(long long)pool->min_pool_size, pool->user, pool->database,
			(long long)pool->pool_size);
		pool->min_pool_size = pool->pool_size;
	}
	if (pool->server_lifetime_jitter_ms > pool->server_lifetime_ms) {
		warn_user(resolve, user,
			"server_lifetime_jitter of user \"%s\" in database \"%s\" is above "
			"server_lifetime, which counts",
			pool->user, pool->database);
		pool->server_lifetime_jitter_ms = pool->server_lifetime_ms;
	}
}

static struct config_pool *next_pool(struct resolve *resolve)
{
	if (resolve->pool_count == resolve->pool_capacity) {
		size_t capacity = resolve->pool_capacity == 0 ? 64 : resolve->pool_capacity * 2;
		struct config_pool *larger = realloc(resolve->pools, capacity * sizeof(*larger));

		if (larger == NULL)
			return NULL;
		resolve->pools = larger;
		resolve->pool_capacity = capacity;
	}
	return &resolve->pools[resolve->pool_count++];
}

static int add_pool(struct resolve *resolve, const struct config_user *user,
	const struct secrets *secrets, const struct cluster *cluster)
{
	const struct config_database *target = cluster->target;
	struct config_pool *pool;

	if (resolve->pool_count == CONFIG_POOLS_MAX) {
		config_report_add(resolve->report, CONFIG_ERROR, user_place(resolve, user),
			"there are more than %d pairs of database and user", CONFIG_POOLS_MAX);
		return ERR_FULL;
	}
	pool = next_pool(resolve);
	if (pool == NULL)
		return ERR_NO_MEMORY;
	*pool = (struct config_pool){
		.database = cluster->name,
		.user = user->name,
		.passwords = secrets->all,
		.password_count = secrets->count,
		.refused = cluster->refused != NULL ? cluster->refused
						    : user_refusal(resolve->config, user),
		.host = target->host,
		.port = target->port,
		.server_database =
			target->database_name != NULL ? target->database_name : target->name,
		.server_user = target->user != NULL ? target->user
			: user->server_user != NULL ? user->server_user
						    : user->name,
		.server_passwords = target->password != NULL ? &target->password : secrets->server,
		.server_password_count = target->password != NULL ? 1 : secrets->server_count,
		.role = target->role,
		.database_entry = target,
		.user_entry = user,
	};
	fill_sizes(pool, &resolve->config->general, user, target);
	fix_sizes(resolve, pool);
	return 0;
}

static int add_pool_by_name(struct resolve *resolve, const struct config_user *user,
	const struct secrets *secrets, const char *name)
{
	const struct cluster *cluster = find_cluster(resolve, name);
	const char *nearest = NULL;
	unsigned slips = option_slips(name);

	if (cluster != NULL)
		return add_pool(resolve, user, secrets, cluster);
	for (size_t i = 0; i < resolve->cluster_count && i < COMPARED_MAX &&
		config_report_has_room(resolve->report, CONFIG_WARNING);
		i++) {
		if (option_distance(name, resolve->clusters[i].name, slips) <= slips)
			nearest = resolve->clusters[i].name;
	}
	if (nearest != NULL)
		warn_user(resolve, user,
			"user \"%s\": there is no database \"%s\"; did you mean \"%s\"?",
			user->name, name, nearest);
	else
		warn_user(resolve, user, "user \"%s\": there is no database \"%s\"", user->name,
			name);
	return 0;
}

static int add_user(struct resolve *resolve, const struct config_user *user)
{
	bool one = user->database != NULL && user->database[0] != '\0';
	struct secrets secrets;
	int err = collect_secrets(resolve, user, &secrets);

	if (err != 0)
		return err;
	check_secrets(resolve, user, &secrets);
	check_identity(resolve, user);
	if (user->all_databases) {
		if (one || user->databases.count > 0)
			warn_user(resolve, user,
				"user \"%s\" has all_databases and a list; all_databases counts",
				user->name);
		for (size_t i = 0; i < resolve->config->database_name_count && err == 0; i++)
			err = add_pool_by_name(
				resolve, user, &secrets, resolve->config->database_names[i]);
		return err;
	}
	if (one) {
		if (user->databases.count > 0)
			warn_user(resolve, user,
				"user \"%s\" has database and databases; database counts",
				user->name);
		return add_pool_by_name(resolve, user, &secrets, user->database);
	}
	if (user->databases.count == 0)
		warn_user(resolve, user,
			"user \"%s\" may connect to no database; set database or databases",
			user->name);
	for (size_t i = 0; i < user->databases.count && err == 0; i++)
		err = add_pool_by_name(resolve, user, &secrets, user->databases.items[i]);
	return err;
}

static int by_pair(const void *left, const void *right)
{
	const struct config_pool *a = *(const struct config_pool *const *)left;
	const struct config_pool *b = *(const struct config_pool *const *)right;
	int order = strcmp(a->user, b->user);

	if (order == 0)
		order = strcmp(a->database, b->database);
	if (order == 0)
		order = a < b ? -1 : 1;
	return order;
}

/* Of several pools for the same pair the last stays, as with PgDog. `sorted` has room for all. */
static void drop_duplicates(struct resolve *resolve, struct config_pool **sorted)
{
	size_t count = resolve->pool_count, kept = 0;

	for (size_t i = 0; i < count; i++)
		sorted[i] = &resolve->pools[i];
	if (count > 0)
		qsort(sorted, count, sizeof(*sorted), by_pair);
	for (size_t i = 1; i < count; i++) {
		struct config_pool *earlier = sorted[i - 1];
		const struct config_pool *later = sorted[i];

		if (strcmp(earlier->user, later->user) != 0 ||
			strcmp(earlier->database, later->database) != 0)
			continue;
		warn_user(resolve, later->user_entry,
			"user \"%s\" is there twice for database \"%s\"; the last entry counts",
			later->user, later->database);
		earlier->user_entry = NULL;
	}
	for (size_t i = 0; i < count; i++) {
		if (resolve->pools[i].user_entry != NULL)
			resolve->pools[kept++] = resolve->pools[i];
	}
	resolve->pool_count = kept;
}

static int make_pools(struct resolve *resolve)
{
	struct config *config = resolve->config;
	struct config_pool *pools, **sorted;

	for (size_t i = 0; i < config->user_count; i++) {
		int err = add_user(resolve, &config->users[i]);

		if (err == ERR_FULL)
			return 0; /* it is in the report */
		if (err != 0)
			return err;
	}
	sorted = malloc((resolve->pool_count + 1) * sizeof(struct config_pool *));
	if (sorted == NULL)
		return ERR_NO_MEMORY;
	drop_duplicates(resolve, sorted);
	free(sorted);
	pools = config_alloc(config, resolve->pool_count * sizeof(*pools));
	if (pools == NULL)
		return ERR_NO_MEMORY;
	if (resolve->pool_count > 0)
		memcpy(pools, resolve->pools, resolve->pool_count * sizeof(*pools));
	return config_set_pools(config, pools, resolve->pool_count);
}

/* [general] */

static void check_both(struct resolve *resolve, const char *a_name, const char *a,
	const char *b_name, const char *b)
{
	if ((a == NULL) != (b == NULL))
		config_report_add(resolve->report, CONFIG_ERROR,
			(struct config_place){.file = resolve->config_file},
			"general.%s needs general.%s", a != NULL ? a_name : b_name,
			a != NULL ? b_name : a_name);
}

static void check_general(struct resolve *resolve)
{
	const struct config_general *general = &resolve->config->general;
	struct config_place place = {.file = resolve->config_file};

	check_both(resolve, "tls_certificate", general->tls_certificate, "tls_private_key",
		general->tls_private_key);
	check_both(resolve, "tls_server_certificate", general->tls_server_certificate,
		"tls_server_private_key", general->tls_server_private_key);
	if (resolve->config->admin.stats_user && !resolve->config->admin.stats_password)
		config_report_add(resolve->report, CONFIG_ERROR, place,
			"admin.stats_user needs admin.stats_password");
	if (general->ban_timeout_ms > 0 &&
		general->idle_healthcheck_interval_ms >= general->ban_timeout_ms)
		config_report_add(resolve->report, CONFIG_WARNING, place,
			"general.idle_healthcheck_interval is not below general.ban_timeout: "
			"bans end before a check");
}

int config_resolve(struct config *config, const char *config_file, const char *users_file,
	struct config_report *report)
{
	struct resolve resolve = {.config = config,
		.report = report,
		.config_file = config_file,
		.users_file = users_file};
	int err = make_clusters(&resolve);

	config->log_level = (enum config_log_level)option_log_level(config->general.log_level);
	check_general(&resolve);
	for (size_t i = 0; i < resolve.cluster_count && err == 0; i++)
		err = check_cluster(&resolve, &resolve.clusters[i]);
	if (err == 0)
		err = make_pools(&resolve);
	free(resolve.pools);
	return err;
}
