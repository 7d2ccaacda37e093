/* What sessions leave behind: asking for it, and undoing it. */
#include "pool/traces.h"

#include "core/memory.h"
#include "pool/lease.h"
#include "pool/marker.h"
#include "pool/pool.h"
#include "pool/sqltext.h"
#include "pool/subscriber.h"
#include "protocol/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *word, *condition, *undo;
} traces_table[] = {
#define TRACE(name, word, condition, undo) {word, condition, undo},
#include "pool/traces.def"
};

const char *traces_word(unsigned traces)
{
	for (unsigned i = 0; i < TRACE_COUNT; i++)
		if (traces & 1U << i)
			return traces_table[i].word;
	return "";
}

static void traces_forget_channels(struct traces *traces)
{
	for (unsigned i = 0; i < traces->channel_count; i++)
		free(traces->channels[i]);
	free(traces->channels);
	traces->channels = NULL;
	traces->channel_count = 0;
}

void traces_forget(struct traces *traces)
{
	params_clear(&traces->names);
	params_clear(&traces->settings);
	traces_forget_channels(traces);
	*traces = (struct traces){0};
}

/* The name as PostgreSQL has it, without quotes. */
void traces_suspect_name(struct traces *traces, const char *name, size_t len)
{
	char plain[256];
	size_t used = 0;

	if (traces->names.count >= TRACES_NAMES_MAX || len >= sizeof plain) {
		traces->held |= TRACE_UNKNOWN; /* it cannot be asked for all of them */
		return;
	}
	for (size_t i = 0; i < len; i++)
		if (name[i] != '"')
			plain[used++] = name[i];
	plain[used] = '\0';
	params_set(&traces->names, plain, "");
}

/* ---- the question ---- */

static void traces_add_value(struct sqltext *text, const char *value)
{
	/* whatever the client's encoding is, this is ASCII */
	sqltext_add(text, "pg_catalog.encode(pg_catalog.convert_to(");
	sqltext_add(text, value);
	sqltext_add(text, ", pg_catalog.getdatabaseencoding()), 'escape')");
}

static void traces_add_names(
	struct sqltext *text, const struct params *names, const struct params *but, unsigned *count)
{
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i].name;

		if (!strchr(name, '.') || (but && params_get(but, name)))
			continue;
		sqltext_add(text, (*count)++ ? "," : "");
		sqltext_add_literal(text, name);
	}
}

/* Variables that the user invents are in no list: those whose names were seen, and those that the client had before. */
static void traces_add_custom(struct sqltext *text, const struct server *server)
{
	unsigned count = 0;
	const struct params *before = &server->settings->wanted;

	sqltext_add(text, " UNION ALL SELECT 'v', n, ");
	traces_add_value(text, "pg_catalog.current_setting(n, true)");
	sqltext_add(text, " FROM pg_catalog.unnest(ARRAY[");
	traces_add_names(text, &server->traces.names, NULL, &count);
	traces_add_names(text, before, &server->traces.names, &count);
	sqltext_add(text,
		"]::pg_catalog.text[]) n WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_settings s "
		"WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) pg_catalog.lower(n))");
}

static bool traces_has_custom(const struct server *server)
{
	const struct params *before = &server->settings->wanted;

	for (size_t i = 0; i < before->count; i++)
		if (strchr(before->items[i].name, '.'))
			return true;
	return server->traces.names.count > 0;
}

static void traces_add_settings(struct sqltext *text, const struct server *server)
{
	sqltext_add(text, "SELECT 'v', name, ");
	traces_add_value(text, "setting");
	sqltext_add(text,
		" FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'"
		" UNION ALL SELECT 'v', n, ");
	traces_add_value(text, "pg_catalog.current_setting(n)");
	sqltext_add(text, " FROM pg_catalog.unnest(ARRAY['role', 'session_authorization']) n");
	if (traces_has_custom(server))
		traces_add_custom(text, server);
}

static void traces_add_channels(struct sqltext *text, const struct subscriber *subscriber)
{
	sqltext_add(text, " UNION ALL SELECT 'l', 'c', ");
	traces_add_value(text, "n");
	sqltext_add(text,
		" FROM pg_catalog.pg_listening_channels() n "
		"WHERE n OPERATOR(pg_catalog.<>) '" MARKER_CHANNEL "'");
	if (subscriber && subscriber->in_doubt)
		sqltext_add(text,
			" UNION ALL SELECT 'r', 'c', "
			"pg_catalog.current_setting('" SUBSCRIBER_RESTORED "', true)");
}

void traces_ask(struct core *core, struct server *server)
{
	struct traces *traces = &server->traces;
	const char *separator = "";
	struct sqltext text;

	CHECK(server->lease && !traces->asked && (traces->suspected | traces->unanswered));
	traces->asked = traces->suspected | traces->unanswered;
	traces->suspected = traces->found = 0;
	traces->has_failed = false;
	traces->restored[0] = '\0';
	sqltext_init(&text);
	for (unsigned i = 0; i < TRACE_COUNT; i++) {
		char bit[2] = {(char)('a' + i), '\0'};

		if (!(traces->asked & 1U << i))
			continue;
		sqltext_add(&text, separator);
		separator = " UNION ALL ";
		if (i == TRACE_BIT_SETTINGS) {
			traces_add_settings(&text, server);
			continue;
		}
		sqltext_add(&text, "SELECT 't', '");
		sqltext_add(&text, bit);
		sqltext_add(&text, "', '' WHERE ");
		sqltext_add(&text, traces_table[i].condition);
		if (i == TRACE_BIT_LISTEN)
			traces_add_channels(&text, server->lease->subscriber);
	}
	sqltext_send(core, &server->stream->out, &text);
	stream_flush(core, server->stream);
	pending_push(&server->pending, PENDING_QUERY,
		PENDING_HIDDEN | HIDDEN_ASK << PENDING_REASON_SHIFT);
	core_count(core, METRIC_sessions_asked);
}

/* ---- the answer ---- */

/* encode(..., 'escape'): a backslash stands before itself and before three octal digits. Returns a malloc'ed text. */
static char *traces_unescape(const uint8_t *at, size_t len)
{
	char *text = malloc(len + 1);
	size_t used = 0;

	CHECK(text);
	for (size_t i = 0; i < len; i++) {
		if (at[i] == '\\' && i + 3 < len && at[i + 1] != '\\') {
			text[used++] = (char)((at[i + 1] - '0') << 6 | (at[i + 2] - '0') << 3 |
				(at[i + 3] - '0'));
			i += 3;
		} else {
			i += at[i] == '\\';
			text[used++] = (char)(i < len ? at[i] : 0);
		}
	}
	text[used] = '\0';
	return text;
}

/* The next column of a DataRow. Returns false if it is NULL, or not there. */
static bool traces_column(
	const uint8_t **at, const uint8_t *end, const uint8_t **ret_value, uint32_t *ret_len)
{
	if (end - *at < 4)
		return false;
	*ret_len = frame_u32(*at);
	*at += 4;
	if (*ret_len > (size_t)(end - *at))
		return false;
	*ret_value = *at;
	*at += *ret_len;
	return true;
}

static void traces_add_channel(struct traces *traces, const char *name)
{
	unsigned count = traces->channel_count;

	if ((count & (count - 1)) == 0) /* it is full */
		traces->channels = realloc(
			traces->channels, (count ? 2 * count : 1) * sizeof *traces->channels);
	CHECK(traces->channels);
	traces->channels[count] = strdup(name);
	CHECK(traces->channels[count]);
	traces->channel_count++;
}

void traces_row(struct traces *traces, const uint8_t *body, size_t len)
{
	const uint8_t *at = body + 2, *end = body + len, *kind, *name, *value;
	uint32_t kind_len, name_len, value_len;
	char *name_text, *value_text;

	if (len < 2 || !traces_column(&at, end, &kind, &kind_len) || kind_len != 1 ||
		!traces_column(&at, end, &name, &name_len) || name_len == 0 ||
		!traces_column(&at, end, &value, &value_len))
		return; /* NULL: there is no such variable */
	if (*kind == 't') {
		traces->found |= (uint16_t)(1U << ((*name - 'a') & 15));
		return;
	}
	name_text = memory_copy_text((const char *)name, name_len);
	CHECK(name_text);
	value_text = traces_unescape(value, value_len);
	if (*kind == 'r')
		snprintf(traces->restored, sizeof traces->restored, "%s", value_text);
	else if (*kind == 'l')
		traces_add_channel(traces, value_text);
	else
		params_set(&traces->settings, name_text, value_text);
	free(name_text);
	free(value_text);
}

/* Variables that only look as if the session had set them. */
static void traces_drop_plain(struct server *server)
{
	static const char *const of_transactions[] = {
		"transaction_isolation", "transaction_read_only", "transaction_deferrable"};
	struct params *found = &server->traces.settings;
	const char *role = params_get(found, "role"),
		   *user = params_get(found, "session_authorization");

	if (role && strcmp(role, "none") == 0)
		params_remove(found, "role");
	if (user && strcmp(user, server->pool->config->server_user) == 0)
		params_remove(found, "session_authorization");
	for (size_t i = 0; i < array_len(of_transactions); i++)
		params_remove(found, of_transactions[i]);
}

/* What the client asked for at its start it has again after a RESET. */
static void traces_give_settings(struct lease *lease, struct params *found)
{
	const struct params *asked = &lease->base->wanted;
	struct settings *wanted = lease->settings;

	for (size_t i = 0; i < asked->count; i++)
		if (!params_get(found, asked->items[i].name))
			params_set(found, asked->items[i].name, asked->items[i].value);
	lease->settings = settings_share(lease->pool, found);
	settings_drop(wanted);
}

static void traces_take_settings(struct server *server)
{
	struct params *found = &server->traces.settings;
	struct settings *before = server->settings;

	traces_drop_plain(server);
	server->settings = settings_share(server->pool, found);
	settings_drop(before);
	if (server->lease)
		traces_give_settings(server->lease, found);
	params_clear(found);
	params_clear(&server->traces.names);
}

void traces_answered(struct core *core, struct server *server)
{
	struct traces *traces = &server->traces;
	unsigned asked = traces->asked, before = traces->held;

	traces->asked = 0;
	traces->resets = false;
	if (traces->has_failed) {
		traces->unanswered = (uint16_t)asked;
		traces->held |= TRACE_UNANSWERED | (uint16_t)(asked & ~TRACE_SETTINGS);
		params_clear(&traces->settings);
	} else {
		traces->unanswered = 0;
		traces->held = (uint16_t)((traces->held & ~asked & ~TRACE_UNANSWERED) |
			(traces->found & ~TRACE_SETTINGS));
		if (asked & TRACE_SETTINGS)
			traces_take_settings(server);
		if (asked & TRACE_LISTEN && server->lease)
			subscriber_found(core, server->lease, traces);
	}
	traces_forget_channels(traces);
	if (traces->held && !before && server->lease)
		core_count(core, METRIC_pins);
}

const char *traces_undo(struct server *server, bool *ret_close)
{
	struct traces *traces = &server->traces;

	*ret_close = false;
	traces->held |= traces->suspected | traces->asked;
	traces->suspected = traces->asked = 0;
	for (unsigned i = 0; i < TRACE_COUNT; i++) {
		if (!(traces->held & 1U << i))
			continue;
		traces->held &= (uint16_t) ~(1U << i);
		if (!traces_table[i].undo) {
			*ret_close = true;
			return NULL;
		}
		if (i == TRACE_BIT_SETTINGS || i == TRACE_BIT_UNKNOWN ||
			i == TRACE_BIT_UNANSWERED) {
			settings_drop(server->settings);
			server->settings = server->pool->plain_settings;
			settings_hold(server->settings);
		}
		if (*traces_table[i].undo)
			return traces_table[i].undo;
	}
	traces_forget(traces);
	return NULL;
}
