/* What the pooler asks for itself, and how a simulated server answers it. */
#include "test/sim/sim_hidden.h"

#include "core/check.h"
#include "core/clock.h"
#include "pool/traces.h"
#include "test/sim/sim.h"
#include "test/sim/sim_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool hidden_text_is(const struct sim_bytes *text, const char *what)
{
	return text->len == strlen(what) + 1 && memcmp(sim_bytes_at(text), what, text->len) == 0;
}

/* E'name', then the same for the value. Returns what follows, or NULL. */
static const char *hidden_literal(const char *at, char *ret, size_t size)
{
	size_t len = 0;

	if (strncmp(at, "E'", 2) != 0)
		return NULL;
	for (at += 2; *at; at++) {
		if ((*at == '\'' && at[1] == '\'') || *at == '\\')
			at++;
		else if (*at == '\'')
			break;
		CHECK(len + 1 < size);
		ret[len++] = *at;
	}
	ret[len] = '\0';
	return *at == '\'' ? at + 1 : NULL;
}

char *sim_hidden_block(const struct sim_session *session, const char *text)
{
	size_t size = strlen(text) + 1;
	char *block = malloc(size);

	CHECK(block);
	SIM_CHECK(strncmp(text, "DO ", 3) == 0 && hidden_literal(text + 3, block, size),
		"session %u: a garbled block: %.80s", session->pid, text);
	return block;
}

static void hidden_do(struct sim_session *session, const char *text)
{
	char *block = sim_hidden_block(session, text);

	sim_reached(sim_notify_block(session, block) ? REACH_LISTEN_REDONE : REACH_LISTEN_AGAIN);
	free(block);
}

/* A variable gets a value by a query of the pooler's; NULL resets it. */
static bool hidden_set(struct sim_session *session, const char *name, const char *value)
{
	if (strcmp(name, "application_name") == 0)
		sim_session_set_name(session, value ? value : "");
	else if (strcmp(name, "mine") == 0)
		session->mine = value ? (unsigned)strtoul(value, NULL, 10) : 0;
	else
		return false;
	return true;
}

static void hidden_variable(struct sim_session *session, const char *name, const char *value)
{
	struct sim_bytes *out = &session->out;

	sim_bytes_begin(out, 'D');
	sim_bytes_add_u16(out, 3);
	sim_bytes_add_u32(out, 1);
	sim_bytes_add(out, "v", 1);
	sim_bytes_add_u32(out, (uint32_t)strlen(name));
	sim_bytes_add(out, name, strlen(name));
	sim_bytes_add_u32(out, (uint32_t)strlen(value));
	sim_bytes_add(out, value, strlen(value));
	sim_bytes_end(out);
}

static int hidden_variables(struct sim_session *session)
{
	char mine[16];
	int rows = 2;

	hidden_variable(session, "role", "none");
	hidden_variable(session, "transaction_isolation", "read committed");
	if (*session->name) {
		hidden_variable(session, "application_name", session->name);
		rows++;
	}
	if (session->mine) {
		snprintf(mine, sizeof mine, "%u", session->mine);
		hidden_variable(session, "mine", mine);
		rows++;
	}
	sim_reached(REACH_SESSION_ASKED);
	return rows;
}

static bool hidden_is_question(const char *text)
{
	return strncmp(text, "SELECT 'v'", 10) == 0 || strncmp(text, "SELECT 't'", 10) == 0;
}

/* The question what the session has left: its variables, its channels. It has nothing else that could be asked for. */
static void hidden_tell(struct sim_session *session, const char *question)
{
	int rows = 0;

	sim_session_row_description(session);
	if (strstr(question, "SELECT 'v', name"))
		rows += hidden_variables(session);
	if (strstr(question, "pg_listening_channels()"))
		rows += (int)sim_notify_rows(session, strstr(question, "SELECT 'r'"));
	sim_session_complete(session, "SELECT", rows);
}

/* RESET "name";... SELECT pg_catalog.set_config(E'name',E'value',false),... */
static bool hidden_settings(struct sim_session *session, const char *text)
{
	static const char reset[] = "RESET \"", call[] = "pg_catalog.set_config(";
	char name[SESSION_NAME], value[SESSION_NAME];

	while (strncmp(text, reset, strlen(reset)) == 0) {
		size_t len = strcspn(text + strlen(reset), "\"");

		CHECK(len < sizeof name);
		snprintf(name, sizeof name, "%.*s", (int)len, text + strlen(reset));
		if (!hidden_set(session, name, NULL) ||
			strncmp(text + strlen(reset) + len, "\";", 2) != 0)
			return false;
		sim_session_complete(session, "RESET", -1);
		text += strlen(reset) + len + 2;
	}
	if (strncmp(text, "SELECT ", 7) == 0) {
		text += 7;
		sim_session_row_description(session);
		while (strncmp(text, call, strlen(call)) == 0) {
			text = hidden_literal(text + strlen(call), name, sizeof name);
			if (!text || *text++ != ',' ||
				!(text = hidden_literal(text, value, sizeof value)) ||
				strncmp(text, ",false)", 7) != 0 ||
				!hidden_set(session, name, value))
				return false;
			text += 7;
			if (*text == ',')
				text++;
		}
		sim_bytes_begin(&session->out, 'D');
		sim_bytes_add(&session->out, "\0\1\0\0\0\6hidden", 12);
		sim_bytes_end(&session->out);
		sim_session_complete(session, "SELECT", 1);
	}
	return *text == '\0';
}

/* Statements that undo what a session left. */
static bool hidden_undoes(const struct sim_bytes *text)
{
	static const char *const undoes[] = {
#define TRACE(name, word, condition, undo) undo,
#include "pool/traces.def"
	};

	for (size_t i = 0; i < array_len(undoes); i++)
		if (undoes[i] && *undoes[i] && hidden_text_is(text, undoes[i]))
			return true;
	return false;
}

bool sim_hidden(struct sim_session *session)
{
	const struct sim_bytes *text = &session->query;
	bool is_cleaning = hidden_text_is(text, "ROLLBACK") ||
		hidden_text_is(text, "DISCARD ALL") || hidden_undoes(text) ||
		hidden_is_question((const char *)sim_bytes_at(text));

	SIM_CHECK(session->batch_owner == 0,
		"the pooler asks in the unfinished batch of C%u, session %u", session->batch_owner,
		session->pid);
	if (hidden_text_is(text, "aborted")) {
		sim_session_fail(session, "42601", "syntax error at or near \"aborted\"");
		return true;
	}
	if (hidden_text_is(text, "BEGIN")) {
		session->status = 'T';
		sim_session_complete(session, "BEGIN", -1);
		sim_session_end_query(session);
		return true;
	}
	if (hidden_text_is(text, "refused")) {
		sim_session_fail(session, "42601", "syntax error at or near \"refused\"");
		return true;
	}
	sim_trace("session %u: the pooler's %.60s", session->pid, (const char *)sim_bytes_at(text));
	if (sim_fault(FAULT_SERVER_NOTICES))
		sim_session_notice(session, "for the pooler");
	if ((is_cleaning || hidden_text_is(text, ";") || session->listening.is_herald) &&
		sim_fault(FAULT_CLEANING_FAILS)) {
		if (!is_cleaning)
			sim_notify_lost(session);
		/* a client that keeps the server for something else loses that with it, and is told */
		sim_session_fail(session, "53200",
			hidden_text_is(text, "UNLISTEN *") ? "out of memory"
							   : "out of memory, for the pooler");
		return true;
	}
	if (sim_fault(FAULT_POOLER_WAITS))
		session->busy_until_ns = sim_now_ns() + sim_between(100, 8000) * NS_PER_MS;
	if (hidden_text_is(text, "ROLLBACK")) {
		sim_notify_rollback(session);
		session->status = 'I';
		session->owner = 0;
		sim_session_portals_close(session);
		sim_session_complete(session, "ROLLBACK", -1);
	} else if (hidden_text_is(text, "DISCARD ALL")) {
		SIM_CHECK(session->status == 'I', "DISCARD ALL in a transaction, session %u",
			session->pid);
		sim_session_reset(session);
		sim_session_complete(session, "DISCARD ALL", -1);
	} else if (sim_notify_is_own((const char *)sim_bytes_at(text))) {
		sim_notify_own(session, (const char *)sim_bytes_at(text));
		sim_session_end_query(session); /* perhaps in the transaction of the client */
		return true;
	} else if (strncmp((const char *)sim_bytes_at(text), "DO E'", 5) == 0) {
		hidden_do(session, (const char *)sim_bytes_at(text));
		sim_session_end_query(session);
		return true;
	} else if (hidden_undoes(text)) {
		if (strstr((const char *)sim_bytes_at(text), "RESET ALL")) {
			session->mine = 0;
			sim_session_set_name(session, "");
		}
		sim_session_complete(session, "RESET", -1);
	} else if (hidden_is_question((const char *)sim_bytes_at(text))) {
		hidden_tell(session, (const char *)sim_bytes_at(text));
	} else if (hidden_text_is(text, ";")) {
		if (session->listening.is_herald)
			sim_reached(REACH_HERALD_ASKED);
		sim_bytes_message(&session->out, 'I');
	} else if (!hidden_settings(session, (const char *)sim_bytes_at(text))) {
		return false;
	}
	SIM_CHECK(session->owner == 0, "the pooler asks in the transaction of C%u", session->owner);
	sim_session_end_query(session);
	return true;
}
