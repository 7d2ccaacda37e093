/* config_toml: a TOML 1.0 text as a tree of plain C values, each with the place where it stands.
 *
 * The only file that knows toml++. Owner: the caller. Thread: any; no state. Memory: malloc, one tree; config_toml_free() wipes
 * the strings, since they may be passwords. If memory runs out the process ends (toml++ is built without exceptions): the caller
 * bounds the text's size.
 */
#ifndef PGRING_ADMIN_CONFIG_TOML_H
#define PGRING_ADMIN_CONFIG_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum config_toml_kind {
	CONFIG_TOML_TABLE,
	CONFIG_TOML_ARRAY,
	CONFIG_TOML_STRING,
	CONFIG_TOML_INTEGER,
	CONFIG_TOML_REAL,
	CONFIG_TOML_BOOLEAN,
	CONFIG_TOML_DATE, /* dates and times, without their value */
};

/* Lines and columns count from 1; a column is a character, not a byte. */
struct config_toml {
	enum config_toml_kind kind;
	uint32_t line; /* of the value; of a table, of its header */
	uint32_t column;

	/* In a table: its key, NUL-terminated, and the key's place. NULL in an array and for the root. */
	char *key;
	size_t key_len;
	uint32_t key_line;
	uint32_t key_column;

	char *text; /* of a string: NUL-terminated, may have a NUL within len */
	size_t len;
	int64_t integer;
	double real;
	bool boolean;

	/* Of a table, in the order of the file; of an array, in its order. */
	struct config_toml *first;
	struct config_toml *next;
	size_t count;
};

struct config_toml_error {
	uint32_t line;
	uint32_t column;
	char text[256];
};

/* Reads `len` bytes of UTF-8, borrowed for the call. Returns 0 and the root, a table; or ERR_INVALID (a negative number) and what
 * is wrong where. Source: toml.io, TOML 1.0.0. */
int config_toml_parse(const char *text, size_t len, struct config_toml **ret_root,
	struct config_toml_error *ret_error) __attribute__((warn_unused_result));

/* Wipes and frees the tree. NULL is allowed. */
void config_toml_free(struct config_toml *root);

#ifdef __cplusplus
}
#endif

#endif
