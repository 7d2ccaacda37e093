/* config: one immutable snapshot of the configuration, everything resolved and validated.
 *
 * Owner: the control core makes it (admin/config.h) and frees it when every core has let go. Thread: all read it, nobody writes.
 * Memory: one arena; every pointer in here points into it and lives as long as the snapshot. Passwords are in there too, so
 * config_free() wipes it. Strings are NUL-terminated; NULL is "not set" where a comment or the default says so.
 *
 * The section structs come from the option tables (core/options_*.def): one field for each key of the file, with the key's name.
 * Durations end in `_ms`. The manual's page docs/configuration.md, generated from the same rows, says what each key means.
 */
#ifndef PGRING_CORE_CONFIG_H
#define PGRING_CORE_CONFIG_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An unlimited duration or number: the largest value that the files can hold. */
#define CONFIG_UNLIMITED INT64_MAX

/* "Not set" for numbers, enums and three-valued flags that have no default. No file can give it. */
#define CONFIG_UNSET (-1)

/* "Not set, and that is an error": only as a default in the tables, of numbers and of texts. */
#define CONFIG_REQUIRED (-2)
extern const char config_required[];

#define ENUM_WORD(symbol, word) symbol,
#define ENUM_TABLE(tag, count, words) enum tag { words count };
#include "core/options_enums.def"

struct config_list {
	const char *const *items;
	size_t count;
};

/* What an option of each type is in its struct. */
#define CONFIG_FIELD_BOOL(name, tag) bool name;
#define CONFIG_FIELD_TRISTATE(name, tag) int8_t name; /* CONFIG_UNSET, 0, 1 */
#define CONFIG_FIELD_INT(name, tag) int64_t name;
#define CONFIG_FIELD_SIZE(name, tag) int64_t name;
#define CONFIG_FIELD_REAL(name, tag) double name;
#define CONFIG_FIELD_DURATION_MS(name, tag) int64_t name##_ms;
#define CONFIG_FIELD_PORT(name, tag) uint16_t name; /* 0 = not set */
#define CONFIG_FIELD_FILE_MODE(name, tag) uint32_t name;
#define CONFIG_FIELD_STRING(name, tag) const char *name;
#define CONFIG_FIELD_LOG_FILTER(name, tag) const char *name;
#define CONFIG_FIELD_SECRET(name, tag) const char *name;
#define CONFIG_FIELD_PASSWORD(name, tag) const char *name;
#define CONFIG_FIELD_STORED_SECRET(name, tag) const char *name;
#define CONFIG_FIELD_ENUM(name, tag) enum tag name;
#define CONFIG_FIELD_MAYBE_ENUM(name, tag) int name; /* CONFIG_UNSET, or an enum tag */
#define CONFIG_FIELD_STRING_LIST(name, tag) struct config_list name;
#define CONFIG_FIELD_ADDRESS_LIST(name, tag) struct config_list name;
#define CONFIG_FIELD_PASSWORD_LIST(name, tag) struct config_list name;
#define CONFIG_FIELD_SECRET_MAP(name, tag) struct config_list name; /* items are "key=value" */

#define CONFIG_FIELD(name, type, default_value, from, to, change, honoured, aliases, doc) \
	CONFIG_FIELD_##type(name, from)

struct config_general {
#define OPTION CONFIG_FIELD
#include "core/options_general.def"
};

struct config_tcp {
#define OPTION CONFIG_FIELD
#include "core/options_tcp.def"
};

/* `password` is NULL if no file and no environment gave one: the program then makes a random one. */
struct config_admin {
#define OPTION CONFIG_FIELD
#include "core/options_admin.def"
};

struct config_memory {
#define OPTION CONFIG_FIELD
#include "core/options_memory.def"
};

struct config_rewrite {
#define OPTION CONFIG_FIELD
#include "core/options_rewrite.def"
};

struct config_multi_tenant {
#define OPTION CONFIG_FIELD
#include "core/options_multi_tenant.def"
};

struct config_replication {
#define OPTION CONFIG_FIELD
#include "core/options_replication.def"
};

struct config_otel {
#define OPTION CONFIG_FIELD
#include "core/options_otel.def"
};

struct config_vault {
#define OPTION CONFIG_FIELD
#include "core/options_vault.def"
};

/* One [[databases]] entry: one server, as the file says it. Entries with the same name are one cluster. */
struct config_database {
#define OPTION CONFIG_FIELD
#include "core/options_databases.def"
	uint32_t line; /* where it stands in its file; 0 if it came from a URL */
};

/* One [[users]] entry, as the file says it. */
struct config_user {
#define OPTION CONFIG_FIELD
#include "core/options_users.def"
	uint32_t line;
};

/* What a client may connect to: one for each pair of database and user, with everything resolved (what the user's entry says
 * beats the database's entry, which beats [general]; but keys for a role, of user or database, beat all keys without role).
 * A client that asks for a pair without a pool gets 28000. */
struct config_pool {
	uint32_t index; /* its place in config->pools */

	/* What the client says, and proves. */
	const char *database;
	const char *user;
	/* In any form that protocol/secret.h knows, each valid; any of them will do. */
	const char *const *passwords;
	size_t password_count;
	/* NULL, or the sentence with which clients are refused after login (SQLSTATE 0A000). */
	const char *refused;

	/* The server. */
	const char *host; /* a name, an address, or the directory of a unix socket (leading /) */
	uint16_t port;
	const char *server_database;
	const char *server_user;
	const char *const *server_passwords; /* plain; tried in order */
	size_t server_password_count;
	enum database_role role;

	/* The pool. */
	enum pool_mode mode;
	int64_t pool_size; /* server connections of all cores together */
	int64_t min_pool_size;
	int64_t reserve_pool_size;         /* beyond pool_size, while somebody waits long */
	int64_t max_db_connections;        /* of the database's pools together; 0 = no limit */
	int64_t max_user_connections;      /* of the user's pools together */
	int64_t max_db_client_connections; /* clients, the same way */
	int64_t max_user_client_connections;
	int64_t idle_timeout_ms;           /* CONFIG_UNLIMITED = never */
	int64_t server_lifetime_ms;        /* CONFIG_UNLIMITED = for ever */
	int64_t server_lifetime_jitter_ms; /* each lives server_lifetime_ms plus or minus up to this */
	int64_t statement_timeout_ms;      /* 0 = leave the server's own */
	int64_t lock_timeout_ms;           /* 0 = leave the server's own */
	bool read_only;                    /* servers get default_transaction_read_only=on */

	const struct config_database *database_entry; /* where it came from */
	const struct config_user *user_entry;
};

/* What a pool is beyond one snapshot. Assigned by pool/budget.h. */
struct budget;
struct tally;
struct config_identity {
	struct budget *budget;
	/* What all cores have of its database, its user, itself, and its herald's connections (pool/herald.h). */
	struct tally *database_tally, *user_tally, *own_tally, *herald_tally;
	uint32_t server_epoch; /* changes when the server, or how to log in to it, does */
};

struct config_arena; /* private */

struct config {
	struct config_general general;
	struct config_tcp tcp;
	struct config_admin admin;
	struct config_memory memory;
	struct config_rewrite rewrite;
	struct config_multi_tenant multi_tenant;
	struct config_replication replication;
	struct config_otel otel;
	struct config_vault vault;

	enum config_log_level log_level; /* what general.log_level, a filter expression, comes to */

	const struct config_database *databases; /* in the order of the file */
	size_t database_count;
	const struct config_user *users; /* in the order of the file */
	size_t user_count;

	const struct config_pool *pools; /* by user in the order of the file, then by database */
	size_t pool_count;
	const char *const *database_names; /* the distinct names, in the order of the file */
	size_t database_name_count;

	struct config_identity
		*identities; /* by config_pool.index; NULL before the cores may see it */
	uint32_t next_id;    /* for the next new pool */

	/* private to config.c */
	const uint32_t *pool_slots; /* open addressing: index into pools + 1, 0 is free */
	uint32_t pool_slot_mask;
	struct config_arena *arena;
};

/* The pool of a pair, or NULL if there is none. O(1), no allocation; both names are borrowed for the call. */
const struct config_pool *config_find_pool(
	const struct config *config, const char *user, const char *database);

/* Whether any [[databases]] entry has that name. */
bool config_has_database(const struct config *config, const char *database);

/* Whether connections of one pool can serve the other: same server address, database, server user and startup settings.
 * Reload moves connections between pools for which this holds. */
bool config_pool_same_server(const struct config_pool *a, const struct config_pool *b);

/* One row of SHOW CONFIG. */
struct config_row {
	/* The key; behind the section and a _ if that is not [general]: "tcp_keepalive". */
	char name[64];
	/* As the file would say it, cut if longer; "unlimited"; a secret as "***"; "" if not set. */
	char value[512];
	char default_value[512]; /* the same for the default */
	bool changeable;         /* by reload, without a restart */
	bool honoured;           /* false: accepted, but without effect yet */
};

/* The row at `at` (0, 1, ...). Returns false behind the last. */
bool config_row_at(const struct config *config, size_t at, struct config_row *ret_row);

/* Wipes and frees the snapshot. NULL is allowed. Nobody may hold a pointer into it any more. */
void config_free(struct config *config);

/* For the maker of snapshots (admin/config.c) and for tests that need a snapshot without files. */

/* An empty snapshot with every default and no pool, or NULL if out of memory. */
struct config *config_new(void);

/* Zeroed memory of the snapshot's arena, aligned for any type; NULL if out of memory. */
must_check void *config_alloc(struct config *config, size_t size);

/* A copy of `len` bytes with a NUL behind; NULL if out of memory. */
must_check char *config_copy(struct config *config, const char *text, size_t len);

/* Gives every option of an entry of the section its default. Returns 0 or ERR_NO_MEMORY. */
struct option_section;
must_check int config_set_defaults(
	struct config *config, const struct option_section *section, void *entry);

/* Gives the snapshot its pools (in its arena, `index` is set here) and builds the index for config_find_pool().
 * Of two pools for the same pair the first is found. Returns 0, or ERR_NO_MEMORY or ERR_FULL with nothing changed. */
must_check int config_set_pools(struct config *config, struct config_pool *pools, size_t count);

#endif
