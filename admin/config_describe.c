/* The manual's page about the configuration, from the option tables. */
#include "admin/config.h"

#include <inttypes.h>
#include <string.h>

#include "core/options.h"

/* What may stand there, short enough for a table. */
static void print_values(const struct option *option, FILE *out)
{
	switch (option->type) {
	case OPTION_BOOL:
	case OPTION_TRISTATE:
		fprintf(out, "true, false");
		return;
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
		fprintf(out, "%s",
			option->type == OPTION_SIZE                  ? "bytes, "
				: option->type == OPTION_DURATION_MS ? "ms, "
								     : "");
		if (option->to == CONFIG_UNLIMITED)
			fprintf(out, "from %" PRId64, option->from);
		else
			fprintf(out, "%" PRId64 " to %" PRId64, option->from, option->to);
		return;
	case OPTION_REAL:
		fprintf(out, "%" PRId64 ".0 to %" PRId64 ".0", option->from, option->to);
		return;
	case OPTION_PORT:
		fprintf(out, "port");
		return;
	case OPTION_FILE_MODE:
		fprintf(out, "octal digits in quotes");
		return;
	case OPTION_STRING:
	case OPTION_SECRET:
	case OPTION_PASSWORD:
	case OPTION_STORED_SECRET:
		fprintf(out, "string");
		return;
	case OPTION_LOG_FILTER:
		fprintf(out, "level or filter");
		return;
	case OPTION_ENUM:
	case OPTION_MAYBE_ENUM:
		for (int i = 0; i < option->words->count; i++)
			fprintf(out, "%s`%s`", i > 0 ? ", " : "", option->words->words[i]);
		return;
	case OPTION_STRING_LIST:
	case OPTION_PASSWORD_LIST:
		fprintf(out, "array of strings");
		return;
	case OPTION_ADDRESS_LIST:
		fprintf(out, "string or array of strings");
		return;
	case OPTION_SECRET_MAP:
		fprintf(out, "table of strings");
		return;
	case OPTION_VALUE:
		fprintf(out, "integer or string");
		return;
	case OPTION_VALUE_LIST:
		fprintf(out, "array of integers and strings");
		return;
	case OPTION_VECTOR_LIST:
		fprintf(out, "array of arrays of numbers");
		return;
	case OPTION_TABLE_LIST:
		fprintf(out, "array of tables");
		return;
	}
}

static void print_row(const struct option *option, FILE *out)
{
	struct option_value value;
	char standard[128];

	option_default(option, &value);
	option_format(option, &value, standard, sizeof(standard));
	fprintf(out, "| `%s` | ", option->name);
	print_values(option, out);
	fprintf(out, standard[0] != '\0' ? " | `%s`" : " | %s", standard);
	fprintf(out, " | %s | ", option->change == OPTION_RELOAD ? "reload" : "restart");
	if (option->honoured == OPTION_LATER)
		fprintf(out, "*Not supported yet.* ");
	fprintf(out, "%s", option->doc);
	if (option->aliases[0] != '\0')
		fprintf(out, " Also `%s`.", option->aliases);
	fprintf(out, " |\n");
}

static void print_rows(const struct option_section *section, FILE *out)
{
	fprintf(out, "| Key | Values | Default | Changes on | Meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < section->count; i++)
		print_row(&section->options[i], out);
	for (size_t i = 0; i < section->count; i++) {
		if (section->options[i].rows == NULL)
			continue;
		fprintf(out, "\nEach table of `%s`:\n\n", section->options[i].name);
		print_rows(section->options[i].rows, out);
	}
}

static void print_section(const struct option_section *section, FILE *out)
{
	const char *open = section->many ? "[[" : "[", *close = section->many ? "]]" : "]";
	const char *files = section->files == OPTION_FILE_CONFIG ? "`pgring.toml`"
		: section->files == OPTION_FILE_USERS            ? "`users.toml`"
								 : "`pgring.toml` or `users.toml`";

	fprintf(out, "\n## `%s%s%s` of %s\n\n%s", open, section->name, close, files, section->doc);
	if (option_section_honoured(section) == OPTION_LATER)
		fprintf(out, " Nothing in this section has an effect yet.");
	fprintf(out, "\n\n");
	print_rows(section, out);
}

void config_describe(FILE *out)
{
	fprintf(out,
		"# Options\n\n"
		"Times are in milliseconds. Where no upper bound is given, `\"unlimited\"` is "
		"possible too. "
		"Changes of `reload` keys take effect with `RELOAD` or SIGHUP, those of "
		"`restart` keys when "
		"the program starts. An empty default means that the key is not set. Keys of "
		"`[general]` "
		"can also be set in the environment as `PGRING_<KEY>` or `PGDOG_<KEY>`; the "
		"file wins.\n");
	for (size_t i = 0; i < option_section_count; i++)
		print_section(option_sections[i], out);
}
