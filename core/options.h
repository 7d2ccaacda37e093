/* options: what every key of the configuration files is, as data: type, default, bounds, meaning.
 *
 * One row in core/options_*.def is one key. From it come the field of the struct (core/config.h), what is accepted
 * (admin/config_parse.h), SHOW CONFIG and the manual. Owner: nobody, all of it is constant. Thread: any. Memory: static; where a
 * function makes a text it goes into the caller's buffer and is cut to fit.
 */
#ifndef PGRING_CORE_OPTIONS_H
#define PGRING_CORE_OPTIONS_H

#include "core/check.h"
#include "core/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
	OPTION_BOOL,
	OPTION_TRISTATE, /* a BOOL that may be CONFIG_UNSET */
	OPTION_INT,
	OPTION_SIZE, /* bytes */
	OPTION_REAL,
	OPTION_DURATION_MS,
	OPTION_PORT, /* 0 = not set */
	OPTION_FILE_MODE,
	OPTION_STRING,
	OPTION_LOG_FILTER,    /* a STRING for option_log_level() */
	OPTION_SECRET,        /* a STRING that is never shown */
	OPTION_PASSWORD,      /* a SECRET: a password, or a hash of one (protocol/secret.h) */
	OPTION_STORED_SECRET, /* a SECRET: only a hash, or empty */
	OPTION_ENUM,
	OPTION_MAYBE_ENUM, /* an ENUM that may be CONFIG_UNSET */
	OPTION_STRING_LIST,
	OPTION_ADDRESS_LIST, /* an array of strings, or one string with commas */
	OPTION_PASSWORD_LIST,
	OPTION_SECRET_MAP, /* a table of strings */

	/* Only in sections that are checked and not kept. */
	OPTION_VALUE, /* an integer or a string */
	OPTION_VALUE_LIST,
	OPTION_VECTOR_LIST, /* an array of arrays of numbers */
	OPTION_TABLE_LIST,
};

enum option_change { OPTION_RELOAD, OPTION_RESTART };

/* From the strongest: does what it says; accepted with a warning; accepted with a warning because PgDog ignores it too. */
enum option_honoured { OPTION_YES, OPTION_LATER, OPTION_DEAD };

struct option_words {
	const char *const *words; /* in the order of the enum */
	int count;
};

struct option_section;

struct option {
	const char *name;
	const char *aliases; /* other names, with spaces between; "" if none */
	const char *doc;
	enum option_type type;
	enum option_change change;
	enum option_honoured honoured;

	int64_t default_number;
	double default_real;
	const char *default_text; /* of texts and lists; NULL: not set */
	int64_t from; /* bounds: of the number, of the text's bytes, of the list's items */
	int64_t to;
	const struct option_words *words;  /* of enums */
	const struct option_section *rows; /* of OPTION_TABLE_LIST */

	size_t offset; /* of the field in the section's struct */
};

#define OPTION_NOWHERE SIZE_MAX

enum option_file { OPTION_FILE_CONFIG = 1, OPTION_FILE_USERS = 2, OPTION_FILE_NONE = 0 };

/* One [section] or [[section]]. */
struct option_section {
	const char *name;
	const char *doc;
	const struct option *options;
	size_t count;
	unsigned files; /* enum option_file: where it may stand */
	bool many;      /* [[section]], once for each entry */
	bool lenient;   /* PgDog ignores unknown keys in here: a warning instead of an error */
	size_t size;    /* of the struct of an entry; 0: checked, not kept */
	size_t place;   /* of the struct in struct config, or OPTION_NOWHERE */
};

/* All sections that a file can have, in the manual's order. */
extern const struct option_section *const option_sections[];
extern const size_t option_section_count;

/* The section with that name, or NULL. */
const struct option_section *option_section_find(const char *name);

/* For code that needs one of them. */
extern const struct option_section option_section_general;
extern const struct option_section option_section_databases;
extern const struct option_section option_section_users;

/* The option with that name or alias, or NULL. */
const struct option *option_find(const struct option_section *section, const char *name);

/* The name in the section that is nearest to `name` and at most option_slips() away, or NULL. */
const char *option_nearest(const struct option_section *section, const char *name);

/* How many slips of the keyboard a name of that length may have and still be recognised: 0, 1 or 2. */
unsigned option_slips(const char *name);

/* How many insertions, removals, changes and swaps of neighbours make `b` of `a`; above `limit` it is limit + 1. */
unsigned option_distance(const char *a, const char *b, unsigned limit);

/* What the whole section comes to: OPTION_YES if any of its keys has an effect, OPTION_LATER if one will have, else OPTION_DEAD. */
enum option_honoured option_section_honoured(const struct option_section *section);

/* The enum config_log_level that a filter expression as in RUST_LOG comes to: "info", "warn,pgdog=debug" (its first word counts),
 * "pgdog=debug" (its level); off is error, trace is debug. -1 if there is none. */
int option_log_level(const char *filter);

struct option_value {
	int64_t number;
	double real;
	const char *text;
	struct config_list list;
};

/* The value of a number, if it has the right type and is in bounds. Returns 0 or ERR_INVALID. */
must_check int option_from_number(
	const struct option *option, int64_t number, struct option_value *ret_value);
must_check int option_from_real(
	const struct option *option, double real, struct option_value *ret_value);

/* The value of a string of a file: for texts, enums, file modes, and "unlimited" where that is possible. What is inside of
 * passwords is the caller's to check. `text` is borrowed by *ret_value. Returns 0 or ERR_INVALID. */
must_check int option_from_string(
	const struct option *option, const char *text, size_t len, struct option_value *ret_value);

/* The value of a text that has no type of its own (environment, URL, console): any of the above, true and false. Enums may have
 * capitals, and - for _. Lists are not possible. Returns 0 or ERR_INVALID. */
must_check int option_from_text(
	const struct option *option, const char *text, struct option_value *ret_value);

/* Puts the value into the option's field of `entry`, the section's struct. The value's texts are borrowed by the entry.
 * Nothing happens if the option is not kept. */
void option_store(const struct option *option, void *entry, const struct option_value *value);

/* The value of the field; the counterpart of option_store. */
void option_load(const struct option *option, const void *entry, struct option_value *ret_value);

/* The default. For a list, `list` is empty and `text` has the items with commas between. */
void option_default(const struct option *option, struct option_value *ret_value);

/* What is accepted: "an integer from 1 to 65535", "one of \"a\", \"b\"". */
void option_expected(const struct option *option, char *buf, size_t size);

/* The value as a file would say it (without the quotes), "unlimited", "***" for secrets, "" if not set. */
void option_format(
	const struct option *option, const struct option_value *value, char *buf, size_t size);

#endif
