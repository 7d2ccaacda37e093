/* Reading the files again, and keeping count of who uses which snapshot. */
#include "admin/reload.h"

#include "core/errors.h"
#include "core/options.h"
#include "pool/budget.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

void reload_init(struct reload *reload, struct core *core, const struct config_sources *sources,
	struct config *present, reload_switched *switched)
{
	memset(reload, 0, sizeof *reload);
	reload->core = core;
	reload->switched = switched;
	reload->sources = *sources;
	reload->present = present;
	config_sources_need(&reload->sources);
}

/* ---- options that need a restart ---- */

static bool reload_same(
	const struct option *option, const struct option_value *a, const struct option_value *b)
{
	char text_a[512], text_b[512];

	option_format(option, a, text_a, sizeof text_a);
	option_format(option, b, text_b, sizeof text_b);
	return strcmp(text_a, text_b) == 0;
}

/* A text of the present snapshot for the next one. */
static const char *reload_copy_text(struct config *config, const char *text)
{
	return text ? config_copy(config, text, strlen(text)) : NULL;
}

static int reload_copy_value(struct config *config, struct option_value *value)
{
	const char **items;

	if (value->text) {
		value->text = reload_copy_text(config, value->text);
		if (!value->text)
			return ERR_NO_MEMORY;
	}
	if (value->list.count == 0)
		return 0;
	items = config_alloc(config, value->list.count * sizeof *items);
	if (!items)
		return ERR_NO_MEMORY;
	for (size_t i = 0; i < value->list.count; i++) {
		items[i] = reload_copy_text(config, value->list.items[i]);
		if (!items[i])
			return ERR_NO_MEMORY;
	}
	value->list.items = items;
	return 0;
}

static int reload_keep_section(
	struct reload *reload, struct config *next, const struct option_section *section)
{
	for (size_t i = 0; i < section->count; i++) {
		const struct option *option = &section->options[i];
		struct option_value before, now;

		if (option->change != OPTION_RESTART)
			continue;
		memset(&before, 0, sizeof before);
		memset(&now, 0, sizeof now);
		option_load(option, (const char *)reload->present + section->place, &before);
		option_load(option, (const char *)next + section->place, &now);
		if (reload_same(option, &before, &now))
			continue;
		if (option->honoured == OPTION_YES)
			log_warn(reload->core, "reload: %s.%s has changed, which needs a restart",
				section->name, option->name);
		if (reload_copy_value(next, &before) != 0)
			return ERR_NO_MEMORY;
		option_store(option, (char *)next + section->place, &before);
	}
	return 0;
}

static int reload_keep(struct reload *reload, struct config *next)
{
	next->log_level = reload->present->log_level;
	for (size_t i = 0; i < option_section_count; i++)
		if (option_sections[i]->place != OPTION_NOWHERE &&
			reload_keep_section(reload, next, option_sections[i]) != 0)
			return ERR_NO_MEMORY;
	return 0;
}

/* ---- snapshots ---- */

static void reload_free_config(struct config *config)
{
	budget_forget(config);
	config_free(config);
}

static void reload_sweep(struct reload *reload)
{
	if (reload->users > 0)
		return;
	for (size_t i = 0; i < RELOAD_SNAPSHOTS; i++) {
		if (!reload->old[i].config || reload->old[i].holders > 0)
			continue;
		reload_free_config(reload->old[i].config);
		reload->old[i].config = NULL;
	}
}

void reload_hold(struct reload *reload)
{
	reload->users++;
}

void reload_release(struct reload *reload)
{
	CHECK(reload->users > 0);
	reload->users--;
	reload_sweep(reload);
}

void reload_dropped(struct reload *reload, const struct config *config)
{
	for (size_t i = 0; i < RELOAD_SNAPSHOTS; i++) {
		if (reload->old[i].config != config)
			continue;
		CHECK(reload->old[i].holders > 0);
		reload->old[i].holders--;
		reload_sweep(reload);
		return;
	}
	UNREACHABLE();
}

void reload_end(struct reload *reload)
{
	for (size_t i = 0; i < RELOAD_SNAPSHOTS; i++)
		if (reload->old[i].config)
			reload_free_config(reload->old[i].config);
	if (reload->present)
		reload_free_config(reload->present);
	memset(reload, 0, sizeof *reload);
}

/* ---- the reload ---- */

static void reload_log(struct reload *reload, const struct config_report *report, char *why)
{
	char text[RELOAD_TEXT];

	why[0] = '\0';
	for (size_t i = 0; i < report->count; i++) {
		const struct config_message *message = &report->messages[i];

		config_report_format(message, text, sizeof text);
		if (message->severity == CONFIG_ERROR)
			log_error(reload->core, "reload: %s", text);
		else
			log_warn(reload->core, "reload: %s", text);
		if (message->severity == CONFIG_ERROR && !why[0])
			memcpy(why, text, RELOAD_TEXT);
	}
}

static int reload_load(struct reload *reload, struct config **ret_next, char *why)
{
	struct config_report report = {0};
	struct config *next;
	int error = config_load(&reload->sources, &next, &report);

	reload_log(reload, &report, why);
	config_report_clear(&report);
	if (error) {
		if (!why[0])
			snprintf(why, RELOAD_TEXT, "%s", error_text(error));
		return error;
	}
	if (next->pool_count == 0 && reload->present->pool_count > 0) {
		/* A file that was cut short is likelier than the wish to disconnect everybody. */
		snprintf(why, RELOAD_TEXT,
			"the files name no database with a user any more: if that is meant, stop "
			"pgring");
		config_free(next);
		return ERR_INVALID;
	}
	error = reload_keep(reload, next);
	if (!error)
		error = budget_assign(reload->core->world, next, reload->present);
	if (error) {
		snprintf(why, RELOAD_TEXT, "%s", error_text(error));
		reload_free_config(next);
		return error;
	}
	config_sources_need(&reload->sources);
	*ret_next = next;
	return 0;
}

/* The place for the snapshot that is about to become an old one, or -1. */
static int reload_place(const struct reload *reload)
{
	for (int i = 0; i < RELOAD_SNAPSHOTS; i++)
		if (!reload->old[i].config)
			return i;
	return -1;
}

/* Reads the files for all who wait. */
static int reload_run(struct reload *reload, char why[RELOAD_TEXT])
{
	struct core *core = reload->core;
	unsigned cores = core->world->worker_count;
	struct letter letter = {.kind = LETTER_CONFIG};
	struct config *next;
	int place = reload_place(reload), error;

	if (place < 0) {
		snprintf(why, RELOAD_TEXT,
			"clients of databases that were removed still use too many older "
			"configurations: try again when they have ended");
		return ERR_FULL;
	}
	error = reload_load(reload, &next, why);
	if (error)
		return error;
	reload->old[place].config = reload->present;
	reload->old[place].holders = cores;
	reload->present = next;
	core->world->config = next;
	reload->applying = cores;
	reload->served = reload->request_count;
	letter.a = next;
	for (unsigned i = 0; i < cores; i++)
		while (mailbox_send(core, i, &letter) != 0) {
			core_count(core, METRIC_letters_delayed); /* one letter for each reload */
			sched_yield();
		}
	return 0;
}

int reload_start(struct reload *reload, reload_done *done, void *owner, char why[RELOAD_TEXT])
{
	int error;

	if (reload->request_count == RELOAD_REQUESTS) {
		snprintf(why, RELOAD_TEXT, "too many reloads wait for their turn: try again");
		return ERR_FULL;
	}
	reload->requests[reload->request_count++] = (struct reload_request){done, owner};
	if (reload->applying > 0)
		return 0;
	error = reload_run(reload, why);
	if (error)
		reload->request_count = 0;
	return error;
}

/* Takes the first so many who wait out of the queue. */
static void reload_take(struct reload *reload, struct reload_request *ret_requests, unsigned count)
{
	memcpy(ret_requests, reload->requests, count * sizeof *ret_requests);
	reload->request_count -= count;
	memmove(reload->requests, reload->requests + count,
		reload->request_count * sizeof *ret_requests);
}

static void reload_tell(struct reload *reload, const struct reload_request *requests,
	unsigned count, const char *why)
{
	for (unsigned i = 0; i < count; i++)
		requests[i].done(reload->core, requests[i].owner, why);
}

void reload_applied(struct reload *reload)
{
	struct reload_request served[RELOAD_REQUESTS], failed[RELOAD_REQUESTS];
	unsigned served_count = reload->served, failed_count = 0;
	char why[RELOAD_TEXT];

	CHECK(reload->applying > 0);
	if (--reload->applying > 0)
		return;
	reload->switched(reload->core, reload->present);
	log_info(reload->core, "the configuration was reloaded: %zu pools",
		reload->present->pool_count);
	reload_take(reload, served, served_count);
	if (reload->request_count > 0 && reload_run(reload, why) != 0) {
		failed_count = reload->request_count;
		reload_take(reload, failed, failed_count);
	}
	/* whoever hears it may ask for the next one */
	reload_tell(reload, served, served_count, NULL);
	reload_tell(reload, failed, failed_count, why);
}
