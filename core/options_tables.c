/* The option tables: every row of core/options_*.def, as data. */
#include "core/options.h"

const char config_required[] = "";

/* The words of the enums. */

#define ENUM_WORD(symbol, word) [symbol] = word,
#define ENUM_TABLE(tag, count, words) static const char *const words_of_##tag[count] = {words};
#include "core/options_enums.def"

#define ENUM_WORD(symbol, word)
#define ENUM_TABLE(tag, count, words) \
	static const struct option_words option_words_##tag = {words_of_##tag, count};
#include "core/options_enums.def"

/* The names of the word counts, for the bounds of the defaults. */
#define ENUM_WORD(symbol, word)
#define ENUM_TABLE(tag, count, words) enum { option_words_count_##tag = count };
#include "core/options_enums.def"

/* The defaults are within their bounds. */

#define BOUNDS(name, type, default_value, from, to, ...) \
	BOUNDS_##type(name, default_value, from, to)
#define BOUNDS_NUMBER(name, value, from, to) \
	_Static_assert((from) <= (to), "the bounds of " #name); \
	_Static_assert(((value) >= (from) && (value) <= (to)) || (value) == CONFIG_UNSET || \
			(value) == CONFIG_REQUIRED, \
		"the default of " #name);
#define BOUNDS_WORD(name, value, tag) \
	_Static_assert((int)(value) >= 0 && (int)(value) < (int)option_words_count_##tag, \
		"the default of " #name);
#define BOUNDS_COUNT(name, from, to) \
	_Static_assert((from) >= 0 && (from) <= (to), "the bounds of " #name);

#define BOUNDS_BOOL(name, value, from, to) BOUNDS_NUMBER(name, (int)(value), from, to)
#define BOUNDS_TRISTATE(name, value, from, to) BOUNDS_NUMBER(name, value, from, to)
#define BOUNDS_INT(name, value, from, to) BOUNDS_NUMBER(name, value, from, to)
#define BOUNDS_SIZE(name, value, from, to) BOUNDS_NUMBER(name, value, from, to)
#define BOUNDS_REAL(name, value, from, to) BOUNDS_NUMBER(name, (int)(value), from, to)
#define BOUNDS_DURATION_MS(name, value, from, to) BOUNDS_NUMBER(name, value, from, to)
#define BOUNDS_PORT(name, value, from, to) \
	_Static_assert((from) == 1 && (to) == 65535 && (value) >= 0 && (value) <= 65535, \
		"the default of " #name);
#define BOUNDS_FILE_MODE(name, value, from, to) BOUNDS_NUMBER(name, value, from, to)
#define BOUNDS_STRING(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_LOG_FILTER(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_SECRET(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_PASSWORD(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_STORED_SECRET(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_ENUM(name, value, tag, to) BOUNDS_WORD(name, value, tag)
#define BOUNDS_MAYBE_ENUM(name, value, tag, to) \
	_Static_assert( \
		(value) == CONFIG_UNSET || (value) == CONFIG_REQUIRED, "the default of " #name);
#define BOUNDS_STRING_LIST(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_ADDRESS_LIST(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_PASSWORD_LIST(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_SECRET_MAP(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_VALUE(name, value, from, to)
#define BOUNDS_VALUE_LIST(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_VECTOR_LIST(name, value, from, to) BOUNDS_COUNT(name, from, to)
#define BOUNDS_TABLE_LIST(name, value, rows, to)

#define OPTION BOUNDS
#include "core/options_general.def"
#define OPTION BOUNDS
#include "core/options_tcp.def"
#define OPTION BOUNDS
#include "core/options_memory.def"
#define OPTION BOUNDS
#include "core/options_admin.def"
#define OPTION BOUNDS
#include "core/options_rewrite.def"
#define OPTION BOUNDS
#include "core/options_multi_tenant.def"
#define OPTION BOUNDS
#include "core/options_replication.def"
#define OPTION BOUNDS
#include "core/options_replica_lag.def"
#define OPTION BOUNDS
#include "core/options_otel.def"
#define OPTION BOUNDS
#include "core/options_vault.def"
#define OPTION BOUNDS
#include "core/options_databases.def"
#define OPTION BOUNDS
#include "core/options_users.def"
#define OPTION BOUNDS
#define SECTION_SHARDED_TABLES
#define SECTION_SHARDED_MAPPING_ROWS
#define SECTION_SHARDED_MAPPINGS
#define SECTION_SHARDED_SCHEMAS
#define SECTION_OMNISHARDED_TABLES
#define SECTION_MIRRORING
#define SECTION_PLUGINS
#define SECTION_QUERY_PARSERS
#include "core/options_sharding.def"

/* A row of a table. `FIELD` makes the offset of a key's field, or says that there is none. */

#define ROW(FIELD, key, TYPE, value, low, high, when, effect, others, text) \
	{.name = #key, \
		.aliases = (others), \
		.doc = (text), \
		.type = OPTION_##TYPE, \
		.change = OPTION_##when, \
		.honoured = OPTION_##effect, \
		.offset = FIELD_OFFSET_##TYPE(FIELD, key), \
		ROW_##TYPE(value, low, high)},

#define ROW_NUMBER(value, low, high) .default_number = (value), .from = (low), .to = (high)
#define ROW_TEXT(value, low, high) .default_text = (value), .from = (low), .to = (high)
#define ROW_WORD(value, tag) \
	.default_number = (value), .from = 0, .to = option_words_count_##tag - 1, \
	.words = &option_words_##tag

#define ROW_BOOL(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_TRISTATE(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_INT(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_SIZE(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_REAL(value, low, high) .default_real = (value), .from = (low), .to = (high)
#define ROW_DURATION_MS(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_PORT(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_FILE_MODE(value, low, high) ROW_NUMBER(value, low, high)
#define ROW_STRING(value, low, high) ROW_TEXT(value, low, high)
#define ROW_LOG_FILTER(value, low, high) ROW_TEXT(value, low, high)
#define ROW_SECRET(value, low, high) ROW_TEXT(value, low, high)
#define ROW_PASSWORD(value, low, high) ROW_TEXT(value, low, high)
#define ROW_STORED_SECRET(value, low, high) ROW_TEXT(value, low, high)
#define ROW_ENUM(value, tag, none) ROW_WORD(value, tag)
#define ROW_MAYBE_ENUM(value, tag, none) ROW_WORD(value, tag)
#define ROW_STRING_LIST(value, low, high) ROW_TEXT(value, low, high)
#define ROW_ADDRESS_LIST(value, low, high) ROW_TEXT(value, low, high)
#define ROW_PASSWORD_LIST(value, low, high) ROW_TEXT(value, low, high)
#define ROW_SECRET_MAP(value, low, high) ROW_TEXT(value, low, high)
#define ROW_VALUE(value, low, high) ROW_TEXT(value, low, high)
#define ROW_VALUE_LIST(value, low, high) ROW_TEXT(value, low, high)
#define ROW_VECTOR_LIST(value, low, high) ROW_TEXT(value, low, high)
#define ROW_TABLE_LIST(value, section, high) .to = (high), .rows = &section_##section

/* The field's name has the unit behind it. */
#define FIELD_OFFSET_BOOL(FIELD, key) FIELD(key)
#define FIELD_OFFSET_TRISTATE(FIELD, key) FIELD(key)
#define FIELD_OFFSET_INT(FIELD, key) FIELD(key)
#define FIELD_OFFSET_SIZE(FIELD, key) FIELD(key)
#define FIELD_OFFSET_REAL(FIELD, key) FIELD(key)
#define FIELD_OFFSET_DURATION_MS(FIELD, key) FIELD(key##_ms)
#define FIELD_OFFSET_PORT(FIELD, key) FIELD(key)
#define FIELD_OFFSET_FILE_MODE(FIELD, key) FIELD(key)
#define FIELD_OFFSET_STRING(FIELD, key) FIELD(key)
#define FIELD_OFFSET_LOG_FILTER(FIELD, key) FIELD(key)
#define FIELD_OFFSET_SECRET(FIELD, key) FIELD(key)
#define FIELD_OFFSET_PASSWORD(FIELD, key) FIELD(key)
#define FIELD_OFFSET_STORED_SECRET(FIELD, key) FIELD(key)
#define FIELD_OFFSET_ENUM(FIELD, key) FIELD(key)
#define FIELD_OFFSET_MAYBE_ENUM(FIELD, key) FIELD(key)
#define FIELD_OFFSET_STRING_LIST(FIELD, key) FIELD(key)
#define FIELD_OFFSET_ADDRESS_LIST(FIELD, key) FIELD(key)
#define FIELD_OFFSET_PASSWORD_LIST(FIELD, key) FIELD(key)
#define FIELD_OFFSET_SECRET_MAP(FIELD, key) FIELD(key)
#define FIELD_OFFSET_VALUE(FIELD, key) FIELD(key)
#define FIELD_OFFSET_VALUE_LIST(FIELD, key) FIELD(key)
#define FIELD_OFFSET_VECTOR_LIST(FIELD, key) FIELD(key)
#define FIELD_OFFSET_TABLE_LIST(FIELD, key) FIELD(key)
#define NO_FIELD(key) OPTION_NOWHERE

#define SECTION(tag, ...) \
	static const struct option_section section_##tag = {.name = #tag, \
		.options = tag##_options, \
		.count = array_len(tag##_options), \
		__VA_ARGS__}

/* Sections with a struct of their own in struct config. */
#define SECTION_ONE(tag, ...) \
	SECTION(tag, .files = OPTION_FILE_CONFIG, .size = sizeof(struct config_##tag), \
		.place = offsetof(struct config, tag), __VA_ARGS__)

#define GENERAL_FIELD(field) offsetof(struct config_general, field)
#define GENERAL_ROW(...) ROW(GENERAL_FIELD, __VA_ARGS__)
static const struct option general_options[] = {
#define OPTION GENERAL_ROW
#include "core/options_general.def"
};

#define TCP_FIELD(field) offsetof(struct config_tcp, field)
#define TCP_ROW(...) ROW(TCP_FIELD, __VA_ARGS__)
static const struct option tcp_options[] = {
#define OPTION TCP_ROW
#include "core/options_tcp.def"
};
SECTION_ONE(tcp, .doc = "Sockets of clients and of servers.");

#define MEMORY_FIELD(field) offsetof(struct config_memory, field)
#define MEMORY_ROW(...) ROW(MEMORY_FIELD, __VA_ARGS__)
static const struct option memory_options[] = {
#define OPTION MEMORY_ROW
#include "core/options_memory.def"
};
SECTION_ONE(memory, .doc = "Buffers.");

#define ADMIN_FIELD(field) offsetof(struct config_admin, field)
#define ADMIN_ROW(...) ROW(ADMIN_FIELD, __VA_ARGS__)
static const struct option admin_options[] = {
#define OPTION ADMIN_ROW
#include "core/options_admin.def"
};
SECTION(admin, .files = OPTION_FILE_CONFIG | OPTION_FILE_USERS, .size = sizeof(struct config_admin),
	.place = offsetof(struct config, admin),
	.doc = "The console. May stand in either file; users.toml wins.");

#define REWRITE_FIELD(field) offsetof(struct config_rewrite, field)
#define REWRITE_ROW(...) ROW(REWRITE_FIELD, __VA_ARGS__)
static const struct option rewrite_options[] = {
#define OPTION REWRITE_ROW
#include "core/options_rewrite.def"
};
SECTION_ONE(rewrite, .doc = "Statements that are changed for sharded databases.");

#define MULTI_TENANT_FIELD(field) offsetof(struct config_multi_tenant, field)
#define MULTI_TENANT_ROW(...) ROW(MULTI_TENANT_FIELD, __VA_ARGS__)
static const struct option multi_tenant_options[] = {
#define OPTION MULTI_TENANT_ROW
#include "core/options_multi_tenant.def"
};
SECTION_ONE(multi_tenant, .lenient = true, .doc = "Statements must name their tenant.");

#define REPLICATION_FIELD(field) offsetof(struct config_replication, field)
#define REPLICATION_ROW(...) ROW(REPLICATION_FIELD, __VA_ARGS__)
static const struct option replication_options[] = {
#define OPTION REPLICATION_ROW
#include "core/options_replication.def"
};
SECTION_ONE(replication, .lenient = true, .doc = "Copying databases.");

#define REPLICA_LAG_ROW(...) ROW(NO_FIELD, __VA_ARGS__)
static const struct option replica_lag_options[] = {
#define OPTION REPLICA_LAG_ROW
#include "core/options_replica_lag.def"
};
SECTION(replica_lag, .files = OPTION_FILE_CONFIG, .place = OPTION_NOWHERE,
	.doc = "Without effect.");

#define OTEL_FIELD(field) offsetof(struct config_otel, field)
#define OTEL_ROW(...) ROW(OTEL_FIELD, __VA_ARGS__)
static const struct option otel_options[] = {
#define OPTION OTEL_ROW
#include "core/options_otel.def"
};
SECTION_ONE(otel, .doc = "Metrics sent to an OpenTelemetry collector.");

#define VAULT_FIELD(field) offsetof(struct config_vault, field)
#define VAULT_ROW(...) ROW(VAULT_FIELD, __VA_ARGS__)
static const struct option vault_options[] = {
#define OPTION VAULT_ROW
#include "core/options_vault.def"
};
SECTION_ONE(vault, .doc = "Credentials from HashiCorp Vault.");

#define DATABASES_FIELD(field) offsetof(struct config_database, field)
#define DATABASES_ROW(...) ROW(DATABASES_FIELD, __VA_ARGS__)
static const struct option databases_options[] = {
#define OPTION DATABASES_ROW
#include "core/options_databases.def"
};

#define USERS_FIELD(field) offsetof(struct config_user, field)
#define USERS_ROW(...) ROW(USERS_FIELD, __VA_ARGS__)
static const struct option users_options[] = {
#define OPTION USERS_ROW
#include "core/options_users.def"
};

/* Sections that are checked and not kept. */
#define CHECKED_ROW(...) ROW(NO_FIELD, __VA_ARGS__)
#define SECTION_CHECKED(tag, ...) \
	SECTION(tag, .files = OPTION_FILE_CONFIG, .place = OPTION_NOWHERE, .many = true, \
		__VA_ARGS__)

static const struct option sharded_mapping_rows_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_SHARDED_MAPPING_ROWS
#include "core/options_sharding.def"
};
static const struct option_section section_sharded_mapping_rows = {
	.name = "sharded_tables.mapping",
	.options = sharded_mapping_rows_options,
	.count = array_len(sharded_mapping_rows_options),
	.files = OPTION_FILE_NONE,
	.place = OPTION_NOWHERE,
	.many = true,
};

static const struct option sharded_tables_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_SHARDED_TABLES
#include "core/options_sharding.def"
};
SECTION_CHECKED(sharded_tables, .doc = "Which column says on which shard a row is.");

static const struct option sharded_mappings_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_SHARDED_MAPPINGS
#include "core/options_sharding.def"
};
SECTION_CHECKED(sharded_mappings, .doc = "Old form of sharded_tables.mapping.");

static const struct option sharded_schemas_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_SHARDED_SCHEMAS
#include "core/options_sharding.def"
};
SECTION_CHECKED(sharded_schemas, .lenient = true, .doc = "Which schema is on which shard.");

static const struct option omnisharded_tables_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_OMNISHARDED_TABLES
#include "core/options_sharding.def"
};
SECTION_CHECKED(omnisharded_tables, .lenient = true, .doc = "Tables that every shard has.");

static const struct option mirroring_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_MIRRORING
#include "core/options_sharding.def"
};
SECTION_CHECKED(mirroring, .doc = "Transactions that are repeated on another database.");

static const struct option plugins_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_PLUGINS
#include "core/options_sharding.def"
};
SECTION_CHECKED(plugins, .doc = "Libraries that route statements.");

static const struct option query_parsers_options[] = {
#define OPTION CHECKED_ROW
#define SECTION_QUERY_PARSERS
#include "core/options_sharding.def"
};
SECTION_CHECKED(query_parsers, .doc = "Which statements are parsed, for one database.");

const struct option_section option_section_general = {
	.name = "general",
	.doc = "Everything that is not about one database or one user.",
	.options = general_options,
	.count = array_len(general_options),
	.files = OPTION_FILE_CONFIG,
	.size = sizeof(struct config_general),
	.place = offsetof(struct config, general),
};

const struct option_section option_section_databases = {
	.name = "databases",
	.doc = "One entry for each server. Entries with the same name are one database.",
	.options = databases_options,
	.count = array_len(databases_options),
	.files = OPTION_FILE_CONFIG,
	.many = true,
	.size = sizeof(struct config_database),
	.place = OPTION_NOWHERE,
};

const struct option_section option_section_users = {
	.name = "users",
	.doc = "Who may connect to what.",
	.options = users_options,
	.count = array_len(users_options),
	.files = OPTION_FILE_USERS,
	.many = true,
	.size = sizeof(struct config_user),
	.place = OPTION_NOWHERE,
};

const struct option_section *const option_sections[] = {
	&option_section_general,
	&section_tcp,
	&section_admin,
	&option_section_databases,
	&option_section_users,
	&section_memory,
	&section_rewrite,
	&section_multi_tenant,
	&section_replication,
	&section_replica_lag,
	&section_otel,
	&section_vault,
	&section_sharded_tables,
	&section_sharded_mappings,
	&section_sharded_schemas,
	&section_omnisharded_tables,
	&section_mirroring,
	&section_plugins,
	&section_query_parsers,
};
const size_t option_section_count = array_len(option_sections);
