/* config_parse: one file's syntax tree, the environment and single texts, checked against the option tables and stored.
 *
 * Private to admin/config*.c. Owner: config_load(), for the time of one load. Memory: values go into the snapshot's arena, the
 * lists of entries are malloc'ed until config_parse_finish().
 */
#ifndef PGRING_ADMIN_CONFIG_PARSE_H
#define PGRING_ADMIN_CONFIG_PARSE_H

#include "admin/config_report.h"
#include "admin/config_toml.h"
#include "core/check.h"
#include "core/config.h"
#include "core/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONFIG_PARSE_SECTIONS_MAX = 32, CONFIG_PARSE_OPTIONS_MAX = 192 };

/* Entries of [[databases]] or [[users]] while their number is not known. */
struct config_parse_list {
	void *entries;
	size_t count;
	size_t capacity;
};

struct config_parse {
	struct config *config;
	struct config_report *report;
	const char *file; /* for messages */
	enum option_file which;
	bool quiet; /* in a section without any effect: said once, not for every key */
	/* The item of a list that was not accepted; NULL: the value itself. */
	const struct config_toml *bad;
	bool out_of_memory;
	struct config_parse_list databases;
	struct config_parse_list users;
	/* Keys without effect that were spoken of in this file. */
	bool warned[CONFIG_PARSE_SECTIONS_MAX][CONFIG_PARSE_OPTIONS_MAX];
};

void config_parse_begin(
	struct config_parse *parse, struct config *config, struct config_report *report);

/* Takes over all of a file. `root` and `file` are borrowed for the call. */
void config_parse_file(struct config_parse *parse, const struct config_toml *root,
	enum option_file which, const char *file);

/* Stores the value that a text without a type says in the entry, the section's struct; or adds an error that names `place`. */
void config_parse_text(struct config_parse *parse, const struct option_section *section,
	const struct option *option, const char *text, struct config_place place, void *entry);

/* A new entry with its defaults at the end of the list; NULL if out of memory. Valid until the next. */
struct config_database *config_parse_add_database(struct config_parse *parse);
struct config_user *config_parse_add_user(struct config_parse *parse);

/* Forgets all databases and users. */
void config_parse_drop_entries(struct config_parse *parse);

/* Moves the lists into the snapshot.
 * Returns 0 or ERR_NO_MEMORY; the lists are freed in any case. */
must_check int config_parse_finish(struct config_parse *parse);

#endif
