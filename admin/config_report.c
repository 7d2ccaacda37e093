/* Messages of a configuration's reader. */
#include "admin/config_report.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1024 };

/* Names in messages come from files: they may not begin new lines or speak to a terminal. */
static void clean(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

static struct config_message *next_message(struct config_report *report)
{
	if (report->count == report->capacity) {
		size_t capacity = report->capacity == 0 ? 16 : report->capacity * 2;
		void *larger = realloc(report->messages, capacity * sizeof(*report->messages));

		if (larger == NULL)
			return NULL;
		report->messages = larger;
		report->capacity = capacity;
	}
	return &report->messages[report->count];
}

void config_report_add(struct config_report *report, enum config_severity severity,
	struct config_place place, const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list arguments;
	struct config_message *message;
	bool kept = config_report_has_room(report, severity);

	if (severity == CONFIG_ERROR)
		report->errors++;
	else
		report->warnings++;
	if (!kept)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	clean(text);

	message = next_message(report);
	if (message == NULL)
		return;
	*message =
		(struct config_message){.severity = severity, .place = place, .text = strdup(text)};
	if (place.file != NULL)
		message->place.file = strdup(place.file);
	if (message->text == NULL || (place.file != NULL && message->place.file == NULL)) {
		free(message->text);
		free((void *)(uintptr_t)message->place.file);
		return;
	}
	report->count++;
}

bool config_report_has_room(const struct config_report *report, enum config_severity severity)
{
	if (severity == CONFIG_ERROR)
		return report->errors < CONFIG_ERRORS_MAX;
	return report->warnings < CONFIG_WARNINGS_MAX;
}

int config_report_format(const struct config_message *message, char *buf, size_t size)
{
	const struct config_place *place = &message->place;
	const char *severity = message->severity == CONFIG_ERROR ? "error" : "warning";
	char where[64] = "";

	if (place->line > 0 && place->column > 0)
		snprintf(where, sizeof(where), ":%u:%u", place->line, place->column);
	else if (place->line > 0)
		snprintf(where, sizeof(where), ":%u", place->line);
	return snprintf(buf, size, "%s%s%s%s: %s", place->file != NULL ? place->file : "", where,
		place->file != NULL ? ": " : "", severity, message->text);
}

void config_report_print(const struct config_report *report, FILE *out)
{
	char line[4096 + TEXT_BYTES];
	size_t kept[2] = {0};

	for (size_t i = 0; i < report->count; i++) {
		config_report_format(&report->messages[i], line, sizeof(line));
		fprintf(out, "%s\n", line);
		kept[report->messages[i].severity]++;
	}
	if (report->errors > kept[CONFIG_ERROR])
		fprintf(out, "and %zu more errors\n", report->errors - kept[CONFIG_ERROR]);
	if (report->warnings > kept[CONFIG_WARNING])
		fprintf(out, "and %zu more warnings\n", report->warnings - kept[CONFIG_WARNING]);
}

void config_report_clear(struct config_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->messages[i].text);
		free((void *)(uintptr_t)report->messages[i].place.file);
	}
	free(report->messages);
	*report = (struct config_report){0};
}
