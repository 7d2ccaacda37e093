/* Finding options, and what can be done with a value that knows its option. */
#include "core/options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/errors.h"

const struct option_section *option_section_find(const char *name)
{
	for (size_t i = 0; i < option_section_count; i++) {
		if (strcmp(option_sections[i]->name, name) == 0)
			return option_sections[i];
	}
	return NULL;
}

/* Whether `name` is one of the words of `words`. */
static bool option_word_in(const char *words, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = words; *at != '\0';) {
		size_t word = strcspn(at, " ");

		if (word == len && memcmp(at, name, len) == 0)
			return true;
		at += word;
		at += strspn(at, " ");
	}
	return false;
}

const struct option *option_find(const struct option_section *section, const char *name)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct option *option = &section->options[i];

		if (strcmp(option->name, name) == 0 || option_word_in(option->aliases, name))
			return option;
	}
	return NULL;
}

const char *option_nearest(const struct option_section *section, const char *name)
{
	const char *nearest = NULL;
	unsigned limit = option_slips(name), best = 0;

	for (size_t i = 0; i < section->count; i++) {
		unsigned distance = option_distance(name, section->options[i].name, limit);

		if (distance <= limit && (nearest == NULL || distance < best)) {
			nearest = section->options[i].name;
			best = distance;
		}
	}
	return nearest;
}

unsigned option_slips(const char *name)
{
	size_t len = strlen(name);

	return len < 3 ? 0 : len < 5 ? 1 : 2;
}

/* Optimal string alignment: Levenshtein's table with swaps of neighbours. */
unsigned option_distance(const char *a, const char *b, unsigned limit)
{
	enum { LONGEST = 64 };
	unsigned rows[3][LONGEST + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > LONGEST || b_len > LONGEST)
		return limit + 1;
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *now = rows[i % 3];
		const unsigned *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return rows[a_len % 3][b_len] <= limit ? rows[a_len % 3][b_len] : limit + 1;
}

enum option_honoured option_section_honoured(const struct option_section *section)
{
	enum option_honoured honoured = OPTION_DEAD;

	for (size_t i = 0; i < section->count; i++) {
		if (section->options[i].honoured < honoured)
			honoured = section->options[i].honoured;
	}
	return honoured;
}

int option_log_level(const char *filter)
{
	static const struct {
		const char *word;
		enum config_log_level level;
	} levels[] = {
		{"off", CONFIG_LOG_ERROR},
		{"error", CONFIG_LOG_ERROR},
		{"warn", CONFIG_LOG_WARN},
		{"info", CONFIG_LOG_INFO},
		{"debug", CONFIG_LOG_DEBUG},
		{"trace", CONFIG_LOG_DEBUG},
	};
	size_t len;

	filter += strspn(filter, " ");
	len = strcspn(filter, ",");

	const char *target_end = memchr(filter, '=', len);

	if (target_end != NULL) {
		len -= (size_t)(target_end + 1 - filter);
		filter = target_end + 1;
	}
	while (len > 0 && filter[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < array_len(levels); i++) {
		if (strlen(levels[i].word) == len && strncasecmp(filter, levels[i].word, len) == 0)
			return (int)levels[i].level;
	}
	return -1;
}

/* Values. */

int option_from_number(const struct option *option, int64_t number, struct option_value *ret_value)
{
	switch (option->type) {
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
	case OPTION_PORT:
		if (number < option->from || number > option->to)
			return ERR_INVALID;
		*ret_value = (struct option_value){.number = number};
		return 0;
	case OPTION_REAL:
		return option_from_real(option, (double)number, ret_value);
	default:
		return ERR_INVALID;
	}
}

int option_from_real(const struct option *option, double real, struct option_value *ret_value)
{
	if (option->type != OPTION_REAL || isnan(real))
		return ERR_INVALID;
	if (real < (double)option->from || real > (double)option->to)
		return ERR_INVALID;
	*ret_value = (struct option_value){.real = real};
	return 0;
}

/* The permissions of a file: octal digits, at most four. */
static int file_mode_from_string(
	const struct option *option, const char *text, size_t len, struct option_value *ret_value)
{
	int64_t mode = 0;

	if (len == 0 || len > 4)
		return ERR_INVALID;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '7')
			return ERR_INVALID;
		mode = mode * 8 + (text[i] - '0');
	}
	if (mode < option->from || mode > option->to)
		return ERR_INVALID;
	*ret_value = (struct option_value){.number = mode};
	return 0;
}

static bool same_letters(const char *text, const char *word, bool loose)
{
	for (;; text++, word++) {
		char letter = *text;

		if (loose && letter >= 'A' && letter <= 'Z')
			letter = (char)(letter - 'A' + 'a');
		if (loose && letter == '-')
			letter = '_';
		if (letter != *word)
			return false;
		if (letter == '\0')
			return true;
	}
}

static int word_from_string(
	const struct option *option, const char *text, bool loose, struct option_value *ret_value)
{
	for (int i = 0; i < option->words->count; i++) {
		if (same_letters(text, option->words->words[i], loose)) {
			*ret_value = (struct option_value){.number = i};
			return 0;
		}
	}
	return ERR_INVALID;
}

int option_from_string(
	const struct option *option, const char *text, size_t len, struct option_value *ret_value)
{
	if (memchr(text, '\0', len) != NULL)
		return ERR_INVALID;

	switch (option->type) {
	case OPTION_STRING:
	case OPTION_LOG_FILTER:
	case OPTION_SECRET:
	case OPTION_PASSWORD:
	case OPTION_STORED_SECRET:
		if ((int64_t)len < option->from || (int64_t)len > option->to)
			return ERR_INVALID;
		if (option->type == OPTION_LOG_FILTER && option_log_level(text) < 0)
			return ERR_INVALID;
		*ret_value = (struct option_value){.text = text};
		return 0;
	case OPTION_ENUM:
	case OPTION_MAYBE_ENUM:
		return word_from_string(option, text, false, ret_value);
	case OPTION_FILE_MODE:
		return file_mode_from_string(option, text, len, ret_value);
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
		if (option->to != CONFIG_UNLIMITED || strcmp(text, "unlimited") != 0)
			return ERR_INVALID;
		*ret_value = (struct option_value){.number = CONFIG_UNLIMITED};
		return 0;
	default:
		return ERR_INVALID;
	}
}

static int flag_from_text(const char *text, struct option_value *ret_value)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"0", "1"}, {"off", "on"}, {"no", "yes"}};

	for (size_t i = 0; i < array_len(words); i++) {
		for (int flag = 0; flag <= 1; flag++) {
			if (same_letters(text, words[i][flag], true)) {
				*ret_value = (struct option_value){.number = flag};
				return 0;
			}
		}
	}
	return ERR_INVALID;
}

int option_from_text(const struct option *option, const char *text, struct option_value *ret_value)
{
	char *end;

	switch (option->type) {
	case OPTION_BOOL:
	case OPTION_TRISTATE:
		return flag_from_text(text, ret_value);
	case OPTION_ENUM:
	case OPTION_MAYBE_ENUM:
		return word_from_string(option, text, true, ret_value);
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
	case OPTION_PORT: {
		if (text[0] < '0' || text[0] > '9')
			break; /* no sign, no space */
		errno = 0;
		int64_t number = strtoll(text, &end, 10);

		if (errno != 0 || *end != '\0')
			return ERR_INVALID;
		return option_from_number(option, number, ret_value);
	}
	case OPTION_REAL: {
		double real = strtod(text, &end);

		if (end == text || *end != '\0')
			return ERR_INVALID;
		return option_from_real(option, real, ret_value);
	}
	default:
		break;
	}
	return option_from_string(option, text, strlen(text), ret_value);
}

void option_store(const struct option *option, void *entry, const struct option_value *value)
{
	if (option->offset == OPTION_NOWHERE)
		return;

	void *field = (char *)entry + option->offset;

	switch (option->type) {
	case OPTION_BOOL:
		*(bool *)field = value->number != 0;
		return;
	case OPTION_TRISTATE:
		*(int8_t *)field = (int8_t)value->number;
		return;
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
		*(int64_t *)field = value->number;
		return;
	case OPTION_REAL:
		*(double *)field = value->real;
		return;
	case OPTION_PORT:
		*(uint16_t *)field = (uint16_t)value->number;
		return;
	case OPTION_FILE_MODE:
		*(uint32_t *)field = (uint32_t)value->number;
		return;
	case OPTION_STRING:
	case OPTION_LOG_FILTER:
	case OPTION_SECRET:
	case OPTION_PASSWORD:
	case OPTION_STORED_SECRET:
		*(const char **)field = value->text;
		return;
	case OPTION_ENUM: /* an enum without negative values, and an int, have the same size */
	case OPTION_MAYBE_ENUM: {
		int number = (int)value->number;

		memcpy(field, &number, sizeof(number));
		return;
	}
	case OPTION_STRING_LIST:
	case OPTION_ADDRESS_LIST:
	case OPTION_PASSWORD_LIST:
	case OPTION_SECRET_MAP:
		*(struct config_list *)field = value->list;
		return;
	case OPTION_VALUE:
	case OPTION_VALUE_LIST:
	case OPTION_VECTOR_LIST:
	case OPTION_TABLE_LIST:
		break;
	}
	UNREACHABLE(); /* those are never kept */
}

_Static_assert(sizeof(enum pool_mode) == sizeof(int), "option_store writes enums as int");

void option_load(const struct option *option, const void *entry, struct option_value *ret_value)
{
	*ret_value = (struct option_value){.number = CONFIG_UNSET};
	if (option->offset == OPTION_NOWHERE)
		return;

	const void *field = (const char *)entry + option->offset;

	switch (option->type) {
	case OPTION_BOOL:
		ret_value->number = *(const bool *)field;
		return;
	case OPTION_TRISTATE:
		ret_value->number = *(const int8_t *)field;
		return;
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
		ret_value->number = *(const int64_t *)field;
		return;
	case OPTION_REAL:
		ret_value->real = *(const double *)field;
		return;
	case OPTION_PORT:
		ret_value->number = *(const uint16_t *)field;
		return;
	case OPTION_FILE_MODE:
		ret_value->number = *(const uint32_t *)field;
		return;
	case OPTION_STRING:
	case OPTION_LOG_FILTER:
	case OPTION_SECRET:
	case OPTION_PASSWORD:
	case OPTION_STORED_SECRET:
		ret_value->text = *(const char *const *)field;
		return;
	case OPTION_ENUM:
	case OPTION_MAYBE_ENUM: {
		int number;

		memcpy(&number, field, sizeof(number));
		ret_value->number = number;
		return;
	}
	case OPTION_STRING_LIST:
	case OPTION_ADDRESS_LIST:
	case OPTION_PASSWORD_LIST:
	case OPTION_SECRET_MAP:
		ret_value->list = *(const struct config_list *)field;
		return;
	case OPTION_VALUE:
	case OPTION_VALUE_LIST:
	case OPTION_VECTOR_LIST:
	case OPTION_TABLE_LIST:
		break;
	}
	UNREACHABLE();
}

void option_default(const struct option *option, struct option_value *ret_value)
{
	*ret_value = (struct option_value){.number = option->default_number,
		.real = option->default_real,
		.text = option->default_text};
	if (ret_value->text == config_required)
		ret_value->text = NULL;
	if (ret_value->number == CONFIG_REQUIRED)
		ret_value->number = CONFIG_UNSET;
}

/* snprintf behind what is in the buffer. */
static void append(char *buf, size_t size, const char *format, ...) printf_like(3, 4);

static void append(char *buf, size_t size, const char *format, ...)
{
	size_t len = strlen(buf);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(buf + len, size - len, format, arguments);
	va_end(arguments);
}

static void expected_number(const struct option *option, const char *what, char *buf, size_t size)
{
	if (option->to == CONFIG_UNLIMITED)
		snprintf(buf, size, "%s, at least %" PRId64 ", or \"unlimited\"", what,
			option->from);
	else
		snprintf(buf, size, "%s from %" PRId64 " to %" PRId64, what, option->from,
			option->to);
}

void option_expected(const struct option *option, char *buf, size_t size)
{
	static const char *const fixed[] = {
		[OPTION_BOOL] = "true or false",
		[OPTION_TRISTATE] = "true or false",
		[OPTION_STORED_SECRET] = "SCRAM-SHA-256$... or md5..., as `pgring hash` prints it",
		[OPTION_LOG_FILTER] =
			"error, warn, info, debug, or a filter that begins with one of them",
		[OPTION_VALUE] = "an integer or a string",
		[OPTION_VALUE_LIST] = "an array of integers and strings",
		[OPTION_VECTOR_LIST] = "an array of arrays of numbers",
		[OPTION_TABLE_LIST] = "an array of tables",
	};

	buf[0] = '\0';
	switch (option->type) {
	case OPTION_INT:
		expected_number(option, "an integer", buf, size);
		return;
	case OPTION_SIZE:
		expected_number(option, "a number of bytes", buf, size);
		return;
	case OPTION_DURATION_MS:
		expected_number(option, "a number of milliseconds", buf, size);
		return;
	case OPTION_PORT:
		expected_number(option, "a port", buf, size);
		return;
	case OPTION_REAL:
		append(buf, size, "a number from %" PRId64 " to %" PRId64, option->from,
			option->to);
		return;
	case OPTION_FILE_MODE:
		append(buf, size,
			"permissions as octal digits in quotes, from \"%" PRIo64 "\" to \"%" PRIo64
			"\"",
			(uint64_t)option->from, (uint64_t)option->to);
		return;
	case OPTION_PASSWORD:
		append(buf, size, "a password of at most %" PRId64 " bytes, or a valid hash of one",
			option->to);
		return;
	case OPTION_STRING:
	case OPTION_SECRET:
		append(buf, size, "a string of %s%" PRId64 " bytes",
			option->from > 0 ? "1 to " : "at most ", option->to);
		return;
	case OPTION_ENUM:
	case OPTION_MAYBE_ENUM:
		append(buf, size, "one of");
		for (int i = 0; i < option->words->count; i++)
			append(buf, size, "%s \"%s\"", i > 0 ? "," : "", option->words->words[i]);
		return;
	case OPTION_PASSWORD_LIST:
		append(buf, size, "an array of at most %" PRId64 " passwords or valid hashes",
			option->to);
		return;
	case OPTION_STRING_LIST:
		append(buf, size, "an array of at most %" PRId64 " strings", option->to);
		return;
	case OPTION_ADDRESS_LIST:
		append(buf, size, "an address or a list of at most %" PRId64, option->to);
		return;
	case OPTION_SECRET_MAP:
		append(buf, size, "a table of at most %" PRId64 " strings", option->to);
		return;
	default:
		CHECK(option->type < array_len(fixed) && fixed[option->type] != NULL);
		append(buf, size, "%s", fixed[option->type]);
		return;
	}
}

static void format_list(const struct option_value *value, char *buf, size_t size)
{
	if (value->text != NULL) /* a default */
		append(buf, size, "%s", value->text);
	for (size_t i = 0; i < value->list.count; i++)
		append(buf, size, "%s%s", i > 0 ? ", " : "", value->list.items[i]);
}

void option_format(
	const struct option *option, const struct option_value *value, char *buf, size_t size)
{
	buf[0] = '\0';
	switch (option->type) {
	case OPTION_BOOL:
	case OPTION_TRISTATE:
		if (value->number != CONFIG_UNSET)
			append(buf, size, "%s", value->number != 0 ? "true" : "false");
		return;
	case OPTION_INT:
	case OPTION_SIZE:
	case OPTION_DURATION_MS:
		if (value->number == CONFIG_UNLIMITED)
			append(buf, size, "unlimited");
		else if (value->number != CONFIG_UNSET)
			append(buf, size, "%" PRId64, value->number);
		return;
	case OPTION_PORT:
		if (value->number != 0)
			append(buf, size, "%" PRId64, value->number);
		return;
	case OPTION_REAL:
		if (value->real >= 0)
			append(buf, size, "%g", value->real);
		return;
	case OPTION_FILE_MODE:
		append(buf, size, "%04" PRIo64, (uint64_t)value->number);
		return;
	case OPTION_STRING:
	case OPTION_LOG_FILTER:
		if (value->text != NULL)
			append(buf, size, "%s", value->text);
		return;
	case OPTION_SECRET:
	case OPTION_PASSWORD:
	case OPTION_STORED_SECRET:
		if (value->text != NULL)
			append(buf, size, "***");
		return;
	case OPTION_ENUM:
	case OPTION_MAYBE_ENUM:
		if (value->number != CONFIG_UNSET)
			append(buf, size, "%s", option->words->words[value->number]);
		return;
	case OPTION_STRING_LIST:
	case OPTION_ADDRESS_LIST:
		format_list(value, buf, size);
		return;
	case OPTION_PASSWORD_LIST:
	case OPTION_SECRET_MAP:
		if (value->list.count > 0)
			append(buf, size, "***");
		return;
	case OPTION_VALUE:
	case OPTION_VALUE_LIST:
	case OPTION_VECTOR_LIST:
	case OPTION_TABLE_LIST:
		return;
	}
}
