/* From syntax trees and texts to the structs of the snapshot, by the option tables. */
#include "admin/config_parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/errors.h"
#include "protocol/crypto.h"
#include "protocol/secret.h"

enum { EXPECTED_BYTES = 512, FOUND_BYTES = 96, ADDRESS_BYTES = 256 };

void config_parse_begin(
	struct config_parse *parse, struct config *config, struct config_report *report)
{
	*parse = (struct config_parse){.config = config, .report = report};
}

static struct config_place key_place(
	const struct config_parse *parse, const struct config_toml *node)
{
	return (struct config_place){parse->file, node->key_line, node->key_column};
}

static struct config_place value_place(
	const struct config_parse *parse, const struct config_toml *node)
{
	return (struct config_place){parse->file, node->line, node->column};
}

/* Texts */

/* A part of `text` that can be shown: at most 40 bytes, whole characters, no NUL. */
static void show(const char *text, size_t len, char *buf, size_t size)
{
	enum { SHOWN = 40 };
	size_t shown = len > SHOWN ? SHOWN : len;

	if (shown >= size)
		shown = size - 1;
	while (shown < len && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
		shown--;
	for (size_t i = 0; i < shown; i++)
		buf[i] = text[i] == '\0' ? '?' : text[i];
	buf[shown] = '\0';
}

static bool is_secret(const struct option *option)
{
	switch (option->type) {
	case OPTION_SECRET:
	case OPTION_PASSWORD:
	case OPTION_STORED_SECRET:
	case OPTION_PASSWORD_LIST:
	case OPTION_SECRET_MAP:
		return true;
	default:
		return false;
	}
}

/* What stands in the file, for a message. */
static void found(
	const struct option *option, const struct config_toml *node, char *buf, size_t size)
{
	char shown[FOUND_BYTES / 2];

	switch (node->kind) {
	case CONFIG_TOML_TABLE:
		snprintf(buf, size, "a table");
		return;
	case CONFIG_TOML_ARRAY:
		snprintf(buf, size, "an array of %zu", node->count);
		return;
	case CONFIG_TOML_STRING:
		if (is_secret(option)) {
			snprintf(buf, size, "a string of %zu bytes", node->len);
			return;
		}
		show(node->text, node->len, shown, sizeof(shown));
		snprintf(buf, size, "the string \"%s\"%s", shown,
			strlen(shown) < node->len ? "..." : "");
		return;
	case CONFIG_TOML_INTEGER:
		snprintf(buf, size, is_secret(option) ? "a number" : "%" PRId64, node->integer);
		return;
	case CONFIG_TOML_REAL:
		snprintf(buf, size, is_secret(option) ? "a number" : "%g", node->real);
		return;
	case CONFIG_TOML_BOOLEAN:
		snprintf(buf, size, "%s", node->boolean ? "true" : "false");
		return;
	case CONFIG_TOML_DATE:
		snprintf(buf, size, "a date or time");
		return;
	}
	UNREACHABLE();
}

static void wrong_value(struct config_parse *parse, const struct option_section *section,
	const struct option *option, const struct config_toml *node)
{
	char expected[EXPECTED_BYTES], what[FOUND_BYTES];
	const struct config_toml *bad = parse->bad != NULL ? parse->bad : node;

	option_expected(option, expected, sizeof(expected));
	found(option, bad, what, sizeof(what));
	config_report_add(parse->report, CONFIG_ERROR, value_place(parse, bad),
		"%s.%s: expected %s, found %s%s", section->name, option->name, expected, what,
		bad != node ? " in it" : "");
}

/* A copy in the arena. */
static const char *keep(struct config_parse *parse, const char *text, size_t len)
{
	const char *copy = config_copy(parse->config, text, len);

	if (copy == NULL)
		parse->out_of_memory = true;
	return copy;
}

/* Lists */

static const char **keep_list(struct config_parse *parse, size_t count)
{
	const char **items = config_alloc(parse->config, count * sizeof(*items));

	if (items == NULL)
		parse->out_of_memory = true;
	return items;
}

/* Whether clients can be checked with a text in an option of that type: what begins like a hash must be one. */
static bool is_usable_secret(const struct option *option, const char *text, size_t len)
{
	struct secret secret;
	bool usable;

	if (option->type != OPTION_PASSWORD && option->type != OPTION_PASSWORD_LIST &&
		option->type != OPTION_STORED_SECRET)
		return true;
	if (len == 0)
		return true; /* as if it were not there */
	if (secret_parse(text, len, &secret) != 0)
		return false;
	usable = option->type != OPTION_STORED_SECRET || secret.kind != SECRET_PLAIN;
	crypto_wipe(&secret, sizeof(secret));
	return usable;
}

static int string_list(struct config_parse *parse, const struct option *option,
	const struct config_toml *node, struct option_value *ret_value)
{
	const char **items;
	size_t count = 0;

	if (node->kind != CONFIG_TOML_ARRAY || (int64_t)node->count < option->from ||
		(int64_t)node->count > option->to)
		return ERR_INVALID;
	items = keep_list(parse, node->count);
	if (items == NULL)
		return ERR_NO_MEMORY;
	for (const struct config_toml *item = node->first; item != NULL; item = item->next) {
		if (item->kind != CONFIG_TOML_STRING ||
			memchr(item->text, '\0', item->len) != NULL ||
			!is_usable_secret(option, item->text, item->len)) {
			parse->bad = item;
			return ERR_INVALID;
		}
		items[count] = keep(parse, item->text, item->len);
		if (items[count++] == NULL)
			return ERR_NO_MEMORY;
	}
	*ret_value = (struct option_value){.list = {items, count}};
	return 0;
}

static int string_map(struct config_parse *parse, const struct option *option,
	const struct config_toml *node, struct option_value *ret_value)
{
	const char **items;
	size_t count = 0;

	if (node->kind != CONFIG_TOML_TABLE || (int64_t)node->count > option->to)
		return ERR_INVALID;
	items = keep_list(parse, node->count);
	if (items == NULL)
		return ERR_NO_MEMORY;
	for (const struct config_toml *item = node->first; item != NULL; item = item->next) {
		char *text;

		if (item->kind != CONFIG_TOML_STRING) {
			parse->bad = item;
			return ERR_INVALID;
		}
		text = config_alloc(parse->config, item->key_len + 1 + item->len + 1);
		if (text == NULL) {
			parse->out_of_memory = true;
			return ERR_NO_MEMORY;
		}
		memcpy(text, item->key, item->key_len);
		text[item->key_len] = '=';
		memcpy(text + item->key_len + 1, item->text, item->len);
		items[count++] = text;
	}
	*ret_value = (struct option_value){.list = {items, count}};
	return 0;
}

/* One address to listen on, without the brackets of IPv6. A name is kept as it is. */
static int address(
	struct config_parse *parse, const char *text, size_t len, const char **ret_address)
{
	char name[ADDRESS_BYTES];
	unsigned char numeric[sizeof(struct in6_addr)];

	while (len > 0 && text[0] == ' ') {
		text++;
		len--;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(name))
		return ERR_INVALID;
	memcpy(name, text, len);
	name[len] = '\0';
	if (strlen(name) != len)
		return ERR_INVALID;

	bool good = true;

	if (strchr(name, ':') != NULL)
		good = inet_pton(AF_INET6, name, numeric) == 1;
	else if (strspn(name, "0123456789.") == len)
		good = inet_pton(AF_INET, name, numeric) == 1;
	else
		for (size_t i = 0; i < len; i++)
			good = good &&
				(isalnum((unsigned char)name[i]) || strchr("-._", name[i]) != NULL);
	if (!good)
		return ERR_INVALID;
	*ret_address = keep(parse, name, len);
	return *ret_address != NULL ? 0 : ERR_NO_MEMORY;
}

static int address_list_text(struct config_parse *parse, const struct option *option,
	const char *text, size_t len, struct option_value *ret_value)
{
	const char *end = text + len;
	const char **items = keep_list(parse, (size_t)option->to);
	size_t count = 0;

	if (items == NULL)
		return ERR_NO_MEMORY;
	for (;;) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *stop = comma != NULL ? comma : end;
		int err;

		if ((int64_t)count == option->to)
			return ERR_INVALID;
		err = address(parse, text, (size_t)(stop - text), &items[count++]);
		if (err != 0)
			return err;
		if (comma == NULL)
			break;
		text = comma + 1;
	}
	*ret_value = (struct option_value){.list = {items, count}};
	return 0;
}

static int address_list(struct config_parse *parse, const struct option *option,
	const struct config_toml *node, struct option_value *ret_value)
{
	const char **items;
	size_t count = 0;

	if (node->kind == CONFIG_TOML_STRING)
		return address_list_text(parse, option, node->text, node->len, ret_value);
	if (node->kind != CONFIG_TOML_ARRAY || (int64_t)node->count < option->from ||
		(int64_t)node->count > option->to)
		return ERR_INVALID;
	items = keep_list(parse, node->count);
	if (items == NULL)
		return ERR_NO_MEMORY;
	for (const struct config_toml *item = node->first; item != NULL; item = item->next) {
		int err = ERR_INVALID;

		if (item->kind == CONFIG_TOML_STRING)
			err = address(parse, item->text, item->len, &items[count++]);
		parse->bad = err == ERR_INVALID ? item : NULL;
		if (err != 0)
			return err;
	}
	*ret_value = (struct option_value){.list = {items, count}};
	return 0;
}

/* Values that are checked and not kept. */

static bool is_value(const struct config_toml *node)
{
	return node->kind == CONFIG_TOML_INTEGER || node->kind == CONFIG_TOML_STRING;
}

static bool is_number(const struct config_toml *node)
{
	return node->kind == CONFIG_TOML_INTEGER || node->kind == CONFIG_TOML_REAL;
}

static bool is_array_of(const struct config_toml *node, bool (*is_item)(const struct config_toml *))
{
	if (node->kind != CONFIG_TOML_ARRAY)
		return false;
	for (const struct config_toml *item = node->first; item != NULL; item = item->next) {
		if (!is_item(item))
			return false;
	}
	return true;
}

static bool is_vector(const struct config_toml *node)
{
	return is_array_of(node, is_number);
}

static bool is_table(const struct config_toml *node)
{
	return node->kind == CONFIG_TOML_TABLE;
}

static void parse_entry(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *table, void *entry);

static int table_list(
	struct config_parse *parse, const struct option *option, const struct config_toml *node)
{
	if (!is_array_of(node, is_table))
		return ERR_INVALID;
	for (const struct config_toml *item = node->first; item != NULL; item = item->next)
		parse_entry(parse, option->rows, item, NULL);
	return 0;
}

/* One value */

static int scalar(struct config_parse *parse, const struct option *option,
	const struct config_toml *node, struct option_value *ret_value)
{
	int err;

	switch (node->kind) {
	case CONFIG_TOML_BOOLEAN:
		if (option->type != OPTION_BOOL && option->type != OPTION_TRISTATE)
			return ERR_INVALID;
		*ret_value = (struct option_value){.number = node->boolean};
		return 0;
	case CONFIG_TOML_INTEGER:
		return option_from_number(option, node->integer, ret_value);
	case CONFIG_TOML_REAL:
		return option_from_real(option, node->real, ret_value);
	case CONFIG_TOML_STRING:
		if (!is_usable_secret(option, node->text, node->len))
			return ERR_INVALID;
		err = option_from_string(option, node->text, node->len, ret_value);
		if (err != 0 || ret_value->text == NULL)
			return err;
		ret_value->text = keep(parse, node->text, node->len);
		return ret_value->text != NULL ? 0 : ERR_NO_MEMORY;
	default:
		return ERR_INVALID;
	}
}

static int parse_value(struct config_parse *parse, const struct option *option,
	const struct config_toml *node, struct option_value *ret_value)
{
	*ret_value = (struct option_value){.number = CONFIG_UNSET};
	parse->bad = NULL;
	switch (option->type) {
	case OPTION_STRING_LIST:
	case OPTION_PASSWORD_LIST:
		return string_list(parse, option, node, ret_value);
	case OPTION_ADDRESS_LIST:
		return address_list(parse, option, node, ret_value);
	case OPTION_SECRET_MAP:
		return string_map(parse, option, node, ret_value);
	case OPTION_VALUE:
		return is_value(node) ? 0 : ERR_INVALID;
	case OPTION_VALUE_LIST:
		return is_array_of(node, is_value) ? 0 : ERR_INVALID;
	case OPTION_VECTOR_LIST:
		return is_array_of(node, is_vector) ? 0 : ERR_INVALID;
	case OPTION_TABLE_LIST:
		return table_list(parse, option, node);
	default:
		return scalar(parse, option, node, ret_value);
	}
}

/* Keys and sections */

static size_t section_index(const struct option_section *section)
{
	size_t i = 0;

	while (i < option_section_count && option_sections[i] != section)
		i++;
	return i; /* of the rows of a list: the one behind the last */
}

static const char *without_effect(enum option_honoured honoured)
{
	return honoured == OPTION_DEAD ? "has no effect" : "is not supported yet and has no effect";
}

/* Says once in each file that a key has no effect. */
static void warn_without_effect(struct config_parse *parse, const struct option_section *section,
	const struct option *option, struct config_place place)
{
	size_t index = section_index(section), row = (size_t)(option - section->options);

	if (option->honoured == OPTION_YES || parse->quiet)
		return;
	CHECK(index < CONFIG_PARSE_SECTIONS_MAX && row < CONFIG_PARSE_OPTIONS_MAX);
	if (parse->warned[index][row])
		return;
	parse->warned[index][row] = true;
	config_report_add(parse->report, CONFIG_WARNING, place, "%s.%s %s", section->name,
		option->name, without_effect(option->honoured));
}

/* Another section that has the key, or NULL. */
static const struct option_section *section_with(
	const struct config_parse *parse, const char *key, const struct option_section *except)
{
	for (size_t i = 0; i < option_section_count; i++) {
		const struct option_section *section = option_sections[i];

		if (section != except && (section->files & parse->which) != 0 &&
			option_find(section, key) != NULL)
			return section;
	}
	return NULL;
}

static void unknown_key(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *node)
{
	enum config_severity severity = section->lenient ? CONFIG_WARNING : CONFIG_ERROR;
	bool kept = config_report_has_room(parse->report, severity);
	const char *nearest = kept ? option_nearest(section, node->key) : NULL;
	const struct option_section *other = kept ? section_with(parse, node->key, section) : NULL;
	const char *open = section->many ? "[[" : "[", *close = section->many ? "]]" : "]";
	char key[FOUND_BYTES];

	show(node->key, node->key_len, key, sizeof(key));
	if (nearest != NULL)
		config_report_add(parse->report, severity, key_place(parse, node),
			"unknown key \"%s\" in %s%s%s; did you mean \"%s\"?", key, open,
			section->name, close, nearest);
	else if (other != NULL)
		config_report_add(parse->report, severity, key_place(parse, node),
			"unknown key \"%s\" in %s%s%s; it belongs in %s%s%s", key, open,
			section->name, close, other->many ? "[[" : "[", other->name,
			other->many ? "]]" : "]");
	else
		config_report_add(parse->report, severity, key_place(parse, node),
			"unknown key \"%s\" in %s%s%s", key, open, section->name, close);
}

static void parse_key(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *node, bool *seen, void *entry)
{
	const struct option *option =
		strlen(node->key) == node->key_len ? option_find(section, node->key) : NULL;
	struct option_value value;
	int err;

	if (option == NULL) {
		unknown_key(parse, section, node);
		return;
	}
	if (seen[option - section->options]) {
		config_report_add(parse->report, CONFIG_ERROR, key_place(parse, node),
			"%s.%s is given twice, \"%s\" is another name for it", section->name,
			option->name,
			strcmp(node->key, option->name) == 0 ? option->aliases : node->key);
		return;
	}
	seen[option - section->options] = true;
	err = parse_value(parse, option, node, &value);
	if (err == ERR_INVALID) {
		wrong_value(parse, section, option, node);
		return;
	}
	if (err != 0)
		return; /* out of memory, which is remembered */
	warn_without_effect(parse, section, option, key_place(parse, node));
	if (entry != NULL)
		option_store(option, entry, &value);
}

static bool is_required(const struct option *option)
{
	return option->default_text == config_required || option->default_number == CONFIG_REQUIRED;
}

/* One table of a section. `entry` is its struct, NULL if it is only checked. */
static void parse_entry(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *table, void *entry)
{
	bool seen[CONFIG_PARSE_OPTIONS_MAX] = {0};

	CHECK(section->count <= array_len(seen));
	for (const struct config_toml *node = table->first; node != NULL; node = node->next)
		parse_key(parse, section, node, seen, entry);
	for (size_t i = 0; i < section->count; i++) {
		if (is_required(&section->options[i]) && !seen[i])
			config_report_add(parse->report, CONFIG_ERROR, value_place(parse, table),
				"%s.%s is missing", section->name, section->options[i].name);
	}
}

/* The list's next entry, zeroed; NULL if out of memory. */
static void *list_add(struct config_parse *parse, struct config_parse_list *list, size_t size)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
		char *larger = calloc(capacity, size);

		if (larger == NULL) {
			parse->out_of_memory = true;
			return NULL;
		}
		if (list->count > 0)
			memcpy(larger, list->entries, list->count * size);
		free(list->entries);
		list->entries = larger;
		list->capacity = capacity;
	}
	return (char *)list->entries + list->count++ * size;
}

struct config_database *config_parse_add_database(struct config_parse *parse)
{
	struct config_database *database = list_add(parse, &parse->databases, sizeof(*database));

	if (database != NULL &&
		config_set_defaults(parse->config, &option_section_databases, database) != 0) {
		parse->out_of_memory = true;
		return NULL;
	}
	return database;
}

struct config_user *config_parse_add_user(struct config_parse *parse)
{
	struct config_user *user = list_add(parse, &parse->users, sizeof(*user));

	if (user != NULL && config_set_defaults(parse->config, &option_section_users, user) != 0) {
		parse->out_of_memory = true;
		return NULL;
	}
	return user;
}

static void parse_listed(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *table)
{
	void *entry = NULL;

	if (section == &option_section_databases) {
		struct config_database *database = config_parse_add_database(parse);

		if (database == NULL)
			return;
		database->line = table->line;
		entry = database;
	} else if (section == &option_section_users) {
		struct config_user *user = config_parse_add_user(parse);

		if (user == NULL)
			return;
		user->line = table->line;
		entry = user;
	}
	parse_entry(parse, section, table, entry);
}

static void parse_single(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *table)
{
	void *entry = NULL;

	if (section->place != OPTION_NOWHERE)
		entry = (char *)parse->config + section->place;

	/* [admin] of users.toml replaces the other as a whole. */
	if (parse->which == OPTION_FILE_USERS && entry != NULL &&
		config_set_defaults(parse->config, section, entry) != 0) {
		parse->out_of_memory = true;
		return;
	}
	parse_entry(parse, section, table, entry);
}

static void unknown_section(struct config_parse *parse, const struct config_toml *node)
{
	const char *nearest = NULL;
	const struct option_section *other = section_with(parse, node->key, NULL);
	unsigned slips = option_slips(node->key);
	char key[FOUND_BYTES];

	for (size_t i = 0; i < option_section_count && nearest == NULL; i++) {
		if (option_distance(node->key, option_sections[i]->name, slips) <= slips)
			nearest = option_sections[i]->name;
	}
	show(node->key, node->key_len, key, sizeof(key));
	if (nearest != NULL)
		config_report_add(parse->report, CONFIG_ERROR, key_place(parse, node),
			"unknown section \"%s\"; did you mean \"%s\"?", key, nearest);
	else if (other != NULL && node->kind != CONFIG_TOML_TABLE)
		config_report_add(parse->report, CONFIG_ERROR, key_place(parse, node),
			"\"%s\" stands outside of a section; it belongs in %s%s%s", key,
			other->many ? "[[" : "[", other->name, other->many ? "]]" : "]");
	else
		config_report_add(parse->report, CONFIG_ERROR, key_place(parse, node),
			"unknown section \"%s\"", key);
}

/* A section without any effect is spoken of once, and not again for its keys. */
static void warn_section(struct config_parse *parse, const struct option_section *section,
	const struct config_toml *node)
{
	enum option_honoured honoured = option_section_honoured(section);

	parse->quiet = honoured != OPTION_YES;
	if (parse->quiet)
		config_report_add(parse->report, CONFIG_WARNING, key_place(parse, node),
			"%s%s%s %s", section->many ? "[[" : "[", section->name,
			section->many ? "]]" : "]", without_effect(honoured));
}

static void parse_section(struct config_parse *parse, const struct config_toml *node)
{
	const struct option_section *section =
		strlen(node->key) == node->key_len ? option_section_find(node->key) : NULL;

	if (section == NULL) {
		unknown_section(parse, node);
		return;
	}
	if ((section->files & parse->which) == 0) {
		config_report_add(parse->report, CONFIG_ERROR, key_place(parse, node),
			"\"%s\" belongs in the %s", section->name,
			section->files == OPTION_FILE_USERS ? "users file (users.toml)"
							    : "main file (pgring.toml)");
		return;
	}
	if (section->many ? !is_array_of(node, is_table) : !is_table(node)) {
		config_report_add(parse->report, CONFIG_ERROR, key_place(parse, node),
			section->many ? "\"%s\" can be there more than once: expected [[%s]]"
				      : "\"%s\" can be there only once: expected [%s]",
			section->name, section->name);
		return;
	}
	warn_section(parse, section, node);
	if (section->many) {
		for (const struct config_toml *item = node->first; item != NULL; item = item->next)
			parse_listed(parse, section, item);
	} else {
		parse_single(parse, section, node);
	}
	parse->quiet = false;
}

void config_parse_file(struct config_parse *parse, const struct config_toml *root,
	enum option_file which, const char *file)
{
	parse->file = file;
	parse->which = which;
	memset(parse->warned, 0, sizeof(parse->warned));
	for (const struct config_toml *node = root->first; node != NULL; node = node->next)
		parse_section(parse, node);
}

void config_parse_text(struct config_parse *parse, const struct option_section *section,
	const struct option *option, const char *text, struct config_place place, void *entry)
{
	struct option_value value;
	char expected[EXPECTED_BYTES];
	int err;

	if (option->type == OPTION_ADDRESS_LIST)
		err = address_list_text(parse, option, text, strlen(text), &value);
	else if (!is_usable_secret(option, text, strlen(text)))
		err = ERR_INVALID;
	else
		err = option_from_text(option, text, &value);
	if (err == ERR_INVALID) {
		option_expected(option, expected, sizeof(expected));
		config_report_add(parse->report, CONFIG_ERROR, place, "%s.%s: expected %s",
			section->name, option->name, expected);
		return;
	}
	warn_without_effect(parse, section, option, place);
	if (err == 0 && value.text != NULL) {
		value.text = keep(parse, text, strlen(text));
		if (value.text == NULL)
			err = ERR_NO_MEMORY;
	}
	if (err == 0)
		option_store(option, entry, &value);
}

void config_parse_drop_entries(struct config_parse *parse)
{
	parse->databases.count = 0;
	parse->users.count = 0;
}

static const void *move_list(
	struct config_parse *parse, struct config_parse_list *list, size_t size)
{
	void *entries = config_alloc(parse->config, list->count * size);

	if (entries == NULL)
		parse->out_of_memory = true;
	else if (list->count > 0)
		memcpy(entries, list->entries, list->count * size);
	free(list->entries);
	return entries;
}

int config_parse_finish(struct config_parse *parse)
{
	struct config *config = parse->config;

	config->database_count = parse->databases.count;
	config->user_count = parse->users.count;
	config->databases = move_list(parse, &parse->databases, sizeof(*config->databases));
	config->users = move_list(parse, &parse->users, sizeof(*config->users));
	parse->databases = (struct config_parse_list){0};
	parse->users = (struct config_parse_list){0};
	return parse->out_of_memory ? ERR_NO_MEMORY : 0;
}
