/* Transactions that have only begun, and what requests may leave on a server. */
#include "router/session.h"

#include "protocol/frame.h"
#include "router/client_listen.h"
#include "router/client_sql.h"
#include "router/sqlname.h"

#include <string.h>

/* ---- transactions ---- */

static void session_complete(struct core *core, struct client *client, const char *tag, char status)
{
	uint8_t head[FRAME_HEAD];
	size_t len = strlen(tag) + 1;

	frame_write(head, SERVER_COMMAND_COMPLETE, (uint32_t)len);
	stream_send(core, client->stream, head, sizeof head);
	stream_send(core, client->stream, tag, len);
	client_say_ready(core, client, status);
	client->pool->stats.queries++;
	client->lease.queries++;
	client->pool->stats.transactions += status == 'I';
	client->lease.transactions += status == 'I';
	if (client->lease.names->unnamed) /* a simple query destroys it */
		names_set_unnamed(client->lease.names, &core->pools->statements, NULL);
}

bool session_answers(struct core *core, struct client *client, const uint8_t *text, size_t len)
{
	struct sqlscan_begin begin;

	if (len == 0 || text[len - 1] != '\0')
		return false; /* long, or malformed */
	switch (sqlscan_kind(text, len - 1, &begin)) {
	case SQLSCAN_OTHER:
		return false;
	case SQLSCAN_BEGIN:
		if (client->has_begun)
			return false; /* the server shall warn of it */
		client->has_begun = true;
		client->begin = begin;
		session_complete(core, client, begin.is_start ? "START TRANSACTION" : "BEGIN", 'T');
		return true;
	case SQLSCAN_COMMIT:
	case SQLSCAN_ROLLBACK:
		if (!client->has_begun)
			return false; /* likewise */
		break;
	}
	client->has_begun = false;
	session_complete(core, client,
		client->status == 'T' && sqlscan_kind(text, len - 1, &begin) == SQLSCAN_COMMIT
			? "COMMIT"
			: "ROLLBACK",
		'I');
	client_listen_answered(core, client);
	return true;
}

void session_begin(struct core *core, struct client *client)
{
	struct server *server = client->lease.server;
	char text[SQLSCAN_BEGIN_BYTES];

	client->has_begun = false;
	sqlscan_write_begin(&client->begin, text);
	server_query_hidden(core, server, text, HIDDEN_NEEDED);
	if (client->status == 'E')
		server_query_hidden(core, server, "aborted", HIDDEN_TRIED);
}

char session_abort(struct client *client)
{
	if (client->has_begun)
		client->status = 'E';
	return client->has_begun ? 'E' : 'I';
}

/* ---- traces ---- */

static void session_note_names(struct client *client, const uint8_t *at, size_t len)
{
	const uint8_t *end = at + len, *name;
	size_t name_len;

	while (sqlscan_next_name(&at, end, &name, &name_len))
		traces_suspect_name(&client->lease.server->traces, (const char *)name, name_len);
}

/* A client that listens elsewhere brings that to its server before it can change. Whether an earlier attempt came to something is
 * known when what it was sent with is answered; until then, this waits. */
static int session_note_listen(const struct client *client, unsigned traces)
{
	const struct lease *lease = &client->lease;
	struct subscriber *subscriber = lease->subscriber;
	const struct pending *pending;

	if (likely(!subscriber) || !(traces & TRACE_LISTEN) || subscriber_is_restored(subscriber))
		return 0;
	pending = &lease->server->pending;
	if (pending->skipping)
		return 0; /* the server does not look at it */
	if (pending_readies(pending) > 0)
		return SESSION_WAITS;
	if (lease->server->status == 'E' && !pending->is_open)
		return 0; /* it will fail */
	if (subscriber->in_doubt)
		return REFUSAL_LISTEN;
	if (subscriber_must_restore(subscriber))
		return SESSION_RESTORES;
	subscriber->is_silenced |=
		traces & TRACE_SILENCES || (traces & TRACE_EVERYTHING) == TRACE_EVERYTHING;
	return 0;
}

/* An answer on its way may leave it in doubt what the client listens to. Nothing follows before that is settled: it might have
 * to be refused. */
static bool session_must_settle(const struct lease *lease)
{
	const struct subscriber *subscriber = lease->subscriber;

	return unlikely(subscriber) && subscriber->is_silenced &&
		subscriber_is_pending(subscriber) && pending_readies(&lease->server->pending) > 0;
}

/* What was prepared in a transaction is undone by a ROLLBACK in it, and whether it was shows in a variable. In a batch it is
 * prepared once more before the next LISTEN; within a string nothing can be prepared. */
static int session_note_undoing(
	const struct client *client, const uint8_t *text, size_t len, bool listens)
{
	const struct lease *lease = &client->lease;
	const struct pending *pending = &lease->server->pending;
	struct subscriber *subscriber = lease->subscriber;

	if (subscriber_is_restored(subscriber) || pending->skipping)
		return 0;
	if (subscriber_is_pending(subscriber) && !listens)
		subscriber->is_undoable |= sqlscan_is_rollback(text, len);
	if (!(listens || subscriber_is_pending(subscriber)) || !sqlscan_resets_all(text, len))
		return 0;
	if (pending_readies(pending) > 0)
		return SESSION_WAITS;
	return lease->server->status == 'T' || (pending->is_open && !listens) ? REFUSAL_LISTEN_RESET
									      : 0;
}

/* A string of a client that listens elsewhere, and which may listen. If it begins with the roll-back of its transaction, that is
 * done before, and the server is prepared outside of it; the string gets a new transaction to roll back. */
static int session_note_rollback(
	struct core *core, struct client *client, const uint8_t *text, size_t len, unsigned traces)
{
	struct lease *lease = &client->lease;
	struct server *server = lease->server;
	bool has_failed = server->status == 'E';

	if (!(traces & TRACE_LISTEN) || subscriber_is_restored(lease->subscriber) ||
		server->pending.skipping)
		return 0;
	if (pending_readies(&server->pending) > 0)
		return SESSION_WAITS;
	if (server->status == 'I' && !server->pending.is_open)
		return 0;
	if (client->has_begun)
		return SESSION_WAITS; /* for the ROLLBACK */
	if (!server->pending.is_open && sqlscan_rolls_back(text, len, has_failed)) {
		subscriber_rolled_back(core, lease->subscriber);
		server_query_hidden(core, server, "ROLLBACK", HIDDEN_NEEDED);
		client->has_begun = true;
		client->begin = (struct sqlscan_begin){0};
		return SESSION_WAITS;
	}
	return sqlscan_listens_behind_rollback(text, len, has_failed) ? REFUSAL_LISTEN_UNDONE : 0;
}

static void session_note_traces(
	struct client *client, unsigned traces, const uint8_t *text, size_t len)
{
	if (unlikely(client->lease.subscriber) && traces & TRACE_LISTEN)
		traces &= ~(unsigned)TRACE_IF_HELD;
	traces_suspect(&client->lease.server->traces, traces & ~TRACE_SEQUENCES);
	if (traces & TRACE_SETTINGS)
		session_note_names(client, text, len);
}

/* What a sequence gave is known to the server alone, and true only while no other client has been there since. Who may have taken
 * one before, in the same transaction, is told the truth from the next transaction on, in which the server forgets first. */
static int session_note_sequence(struct lease *lease)
{
	if (lease->server->traces.held & TRACE_SEQUENCES)
		return 0;
	if (lease->has_taken) {
		lease->asks_sequences |= !lease->owns_sequences;
		return 0;
	}
	lease->needs_sequences = true;
	if (!lease->owns_sequences)
		return REFUSAL_SEQUENCE;
	traces_suspect(&lease->server->traces, TRACE_SEQUENCES);
	return 0;
}

/* Before a request that may take values itself before it asks for the last: if it does not, the server shall say so, instead of
 * telling what somebody else took. */
static int session_forget_sequences(struct core *core, struct lease *lease)
{
	struct server *server = lease->server;

	if (lease->owns_sequences || lease->has_taken || server->traces.held & TRACE_SEQUENCES ||
		server->pending.skipping)
		return 0;
	if (!pending_is_own(&server->pending))
		return SESSION_WAITS; /* for the answers to a Parse or a Sync */
	server_query_hidden(core, server, "DISCARD SEQUENCES", HIDDEN_NEEDED);
	lease->owns_sequences = true;
	return 0;
}

/* A statement that is a transaction of its own, as most are: hardly anything comes behind it on the same server, and what it calls
 * is not worth looking at. */
static bool session_is_alone(const struct client *client, const uint8_t *text, size_t len)
{
	return client->status == 'I' && client->lease.is_fresh &&
		(len == 0 || !memchr(text, ';', len - 1));
}

static int session_note_text(struct core *core, struct client *client, const uint8_t *text,
	size_t len, bool is_whole, bool is_query)
{
	struct lease *lease = &client->lease;
	int noted = 0;
	const uint8_t *nul = memchr(text, '\0', len);
	unsigned traces;

	len = nul ? (size_t)(nul - text) : len;
	traces = is_whole ? sqlscan_traces(text, len) : TRACE_EVERYTHING | TRACE_TAKES;
	if (unlikely(lease->subscriber)) {
		noted = is_query ? session_note_rollback(core, client, text, len, traces) : 0;
		if (!noted)
			noted = session_note_undoing(client, text, len, traces & TRACE_LISTEN);
		if (noted)
			return noted;
	}
	if (unlikely(traces & ~(unsigned)TRACE_TAKES)) {
		noted = session_note_listen(client, traces);
		if (unlikely(noted))
			return noted;
		session_note_traces(client, traces, text, len);
		if (traces & TRACE_SEQUENCES)
			noted = is_whole && sqlscan_takes_first(text, len)
				? session_forget_sequences(core, lease)
				: session_note_sequence(lease);
		if (unlikely(noted))
			return noted;
	}
	lease->has_taken = lease->has_taken || traces & TRACE_TAKES ||
		session_is_alone(client, text, len) || sqlscan_calls(text, len);
	return 0;
}

static int session_note_executed(struct core *core, struct client *client,
	struct statement *statement, const uint8_t *arguments, const uint8_t *end);

/* A statement whose text was kept when it was parsed, and what it is executed with. */
static int session_note_statement(struct core *core, struct client *client,
	struct statement *statement, const uint8_t *bind, size_t bind_len)
{
	int noted;
	size_t len = strnlen((const char *)statement->body, statement->len);
	const uint8_t *behind;
	struct name *executed;

	if (unlikely(client_sql_executes(statement))) {
		executed = client_sql_executed(
			client, statement->body, statement->body + len, &behind);
		noted = executed && !client_sql_executes(executed->statement)
			? session_note_executed(
				  core, client, executed->statement, behind, statement->body + len)
			: 0;
		if (unlikely(noted))
			return noted;
	}
	if (unlikely(client->lease.subscriber)) {
		noted = session_note_undoing(client, statement->body, len, false);
		if (noted)
			return noted;
	}
	if (unlikely(statement->traces & ~(unsigned)TRACE_TAKES)) {
		noted = session_note_listen(client, statement->traces);
		if (unlikely(noted))
			return noted;
		session_note_traces(client, statement->traces, statement->body, len);
		if (statement->traces & TRACE_SETTINGS)
			session_note_names(
				client, bind, bind_len); /* one may be among the parameters */
		if (statement->traces & TRACE_SEQUENCES)
			noted = session_note_sequence(&client->lease);
		if (unlikely(noted))
			return noted;
	}
	client->lease.has_taken |= (statement->traces & TRACE_TAKES) != 0;
	return 0;
}

/* The same by SQL: the name of a variable may be computed there, and then is not seen. */
static int session_note_executed(struct core *core, struct client *client,
	struct statement *statement, const uint8_t *arguments, const uint8_t *end)
{
	int noted = session_note_statement(
		core, client, statement, arguments, (size_t)(end - arguments));

	if (!noted && statement->traces & TRACE_SETTINGS && !sqlname_has_constants(arguments, end))
		traces_suspect(&client->lease.server->traces, TRACE_UNKNOWN);
	return noted;
}

static int session_note_query(
	struct core *core, struct client *client, const uint8_t *text, size_t len, bool is_whole)
{
	const uint8_t *end = text + len - 1, *behind;
	int noted;
	struct name *executed;

	if (!is_whole || len == 0 || memchr(text, '\0', len) != end)
		return session_note_text(core, client, text, len, is_whole, true);
	if (unlikely(client_sql_adopts(core, client, text, end)))
		return 0; /* it is looked at when it is executed */
	executed = client_sql_executed(client, text, end, &behind);
	if (unlikely(executed)) {
		noted = session_note_executed(core, client, executed->statement, behind, end);
		if (noted)
			return noted;
	}
	return session_note_text(core, client, text, len, is_whole, true);
}

static int session_note_bind(
	struct core *core, struct client *client, const uint8_t *body, size_t len)
{
	struct lease *lease = &client->lease;
	const uint8_t *end = body + len, *name = memchr(body, '\0', len), *nul;
	struct statement *statement = lease->names->unnamed;
	int noted;
	const struct name *known;

	nul = name++ ? memchr(name, '\0', (size_t)(end - name)) : NULL;
	if (unlikely(!nul))
		return 0; /* malformed, or refused for the length of its names */
	if (nul > name) {
		known = names_find(lease->names, (const char *)name, (size_t)(nul - name));
		statement = known ? known->statement : NULL;
		if (!statement)
			return 0; /* nothing that could be executed */
	}
	if (likely(statement != NULL))
		return session_note_statement(core, client, statement, body, len);
	lease->has_taken = true;
	if (lease_follows(core, lease)) { /* it was too long to be kept */
		noted = session_note_listen(client, TRACE_EVERYTHING);
		if (!noted)
			session_note_traces(client, TRACE_EVERYTHING, body, len);
		return noted;
	}
	if (lease->server->traces.suspected & TRACE_SETTINGS)
		session_note_names(client, body, len);
	return 0;
}

/* Functions of large objects, which libraries call in this way, leave nothing. */
static bool session_is_large_object(uint32_t oid)
{
	static const uint16_t oids[] = {
		715, 764, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172};

	for (size_t i = 0; i < array_len(oids); i++)
		if (oids[i] == oid)
			return true;
	return false;
}

static int session_note_function(struct client *client, const uint8_t *body, size_t len)
{
	int noted;

	if (len >= 4 && session_is_large_object(frame_u32(body)))
		return 0;
	noted = session_note_listen(client, TRACE_LISTEN);
	if (unlikely(noted))
		return noted;
	traces_suspect(&client->lease.server->traces, TRACE_EVERYTHING);
	session_note_names(client, body, len);
	client->lease.has_taken = true;
	return 0;
}

/* A statement that follows its client: nothing is executed yet. But if it listens, that is prepared at less cost now than behind
 * this message, when a batch is open. */
static int session_note_parse(const struct client *client, const uint8_t *text, const uint8_t *end)
{
	size_t len = strnlen((const char *)text, (size_t)(end - text));

	if (likely(!client->lease.subscriber))
		return 0;
	return session_note_listen(client, sqlscan_traces(text, len));
}

int session_note(struct core *core, struct client *client, uint8_t type, const uint8_t *body,
	size_t len, bool is_whole)
{
	struct lease *lease = &client->lease;
	const uint8_t *text;
	int noted = 0;

	if (session_must_settle(lease))
		return SESSION_WAITS;
	if (unlikely(lease->needs_sequences))
		traces_suspect(&lease->server->traces, TRACE_SEQUENCES);
	else if (unlikely(lease->asks_sequences) && lease->is_fresh)
		noted = session_forget_sequences(core, lease);
	if (unlikely(noted))
		return noted;
	switch (type) {
	case CLIENT_QUERY:
		noted = session_note_query(core, client, body, len, is_whole);
		break;
	case CLIENT_PARSE:
		text = memchr(body, '\0', len);
		if (lease_follows(core, lease)) /* it is looked at when it is bound */
			return text ? session_note_parse(client, text + 1, body + len) : 0;
		if (text)
			noted = session_note_text(core, client, text + 1,
				(size_t)(body + len - text - 1), is_whole, false);
		break;
	case CLIENT_BIND:
		noted = session_note_bind(core, client, body, len);
		break;
	case CLIENT_FUNCTION_CALL:
		noted = session_note_function(client, body, len);
		break;
	case CLIENT_DESCRIBE:
		return 0;
	}
	if (unlikely(noted < 0))
		return noted;
	lease->is_fresh = false;
	return noted;
}
