/* config_report: what a configuration's reader has to say, collected so that all of it can be shown at once.
 *
 * Owner: whoever loads. Thread: any, one at a time. Memory: malloc; a zeroed struct is an empty report.
 */
#ifndef PGRING_ADMIN_CONFIG_REPORT_H
#define PGRING_ADMIN_CONFIG_REPORT_H

#include "core/check.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* More than these are counted, not kept. */
enum { CONFIG_ERRORS_MAX = 50, CONFIG_WARNINGS_MAX = 200 };

enum config_severity { CONFIG_WARNING, CONFIG_ERROR };

/* Where something stands. */
struct config_place {
	const char *file; /* path, variable or "database URL 1"; NULL: nowhere in particular */
	uint32_t line;    /* from 1; 0: not known */
	uint32_t column;  /* from 1; 0: not known */
};

struct config_message {
	enum config_severity severity;
	struct config_place place; /* its file belongs to the message */
	char *text;                /* a sentence without a dot at the end; never a secret */
};

struct config_report {
	struct config_message *messages; /* in the order in which they came */
	size_t count;
	size_t capacity;
	size_t errors; /* all of them, also those that are not kept */
	size_t warnings;
};

/* Adds a message. All texts are copied, control characters become question marks. If memory runs out the message is only
 * counted. */
void config_report_add(struct config_report *report, enum config_severity severity,
	struct config_place place, const char *format, ...) printf_like(4, 5);

/* Whether one more message of that severity would be kept: if not, its text need not be thought about. */
bool config_report_has_room(const struct config_report *report, enum config_severity severity);

/* "file:line:column: error: text" without a line end, as much of the place as is known. The length, as snprintf. */
int config_report_format(const struct config_message *message, char *buf, size_t size);

/* Every message on a line of its own, and how many more there were. */
void config_report_print(const struct config_report *report, FILE *out);

/* Frees the messages; the report is empty again. */
void config_report_clear(struct config_report *report);

#endif
