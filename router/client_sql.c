/* Statements by SQL: which of them are ours, and how they go to the server.
 *
 * PREPARE becomes a Parse message, so that a statement is the same however it was made. A name that the client has already, and
 * one that is deallocated, become "pgring_", which is there in any case and is nobody's: so tags and errors are the server's, and
 * only the name in them is put right. EXECUTE gets the server's name.
 */
#include "router/client_sql.h"

#include "core/config.h"
#include "router/sqlname.h"
#include "router/sqlscan.h"

#include <string.h>

enum sql_verb {
	SQL_NONE,
	SQL_DEALLOCATE,
	SQL_EXECUTE,
	SQL_DUPLICATE, /* PREPARE of a name that the client has */
	SQL_ADOPT,     /* PREPARE of another one, which becomes the client's */
};

/* ---- looking ---- */

static bool sql_is_ours(const struct sqlname *found)
{
	return found->name_len >= STATEMENT_NAME_PREFIX &&
		memcmp(found->name, statement_name_prefix, STATEMENT_NAME_PREFIX) == 0;
}

/* Warnings about backslashes have positions, which nobody puts right. */
static bool sql_may_warn(const struct client *client, const uint8_t *text, const uint8_t *end)
{
	static const char name[] = "standard_conforming_strings";
	const char *present = params_get(&client->lease.server->params, name),
		   *wanted = params_get(&client->lease.settings->wanted, name);

	if (!memchr(text, '\\', (size_t)(end - text)))
		return false;
	return !present || strcmp(present, "on") != 0 || (wanted && strcmp(wanted, "on") != 0);
}

/* What cannot be adopted stays on its server, which then knows the name; and where there are temporary tables, their names may be
 * meant where a type is named. */
static bool sql_may_adopt(const struct core *core, const struct client *client, const uint8_t *text,
	const uint8_t *end, const struct sqlname *found)
{
	const struct traces *traces = &client->lease.server->traces;
	struct sqlname_prepare prepare;

	return core->router->config->general.prepared_statements == PREPARED_FULL &&
		client->lease.server->status != 'E' && /* it fails */
		lease_follows(core, &client->lease) &&
		!((traces->held | traces->suspected | traces->unanswered) &
			(TRACE_PREPARED | TRACE_TEMP)) &&
		!sql_is_ours(found) && !sql_may_warn(client, text, end) &&
		sqlname_read_prepare(text, end, found, &prepare);
}

static enum sql_verb sql_look(const struct core *core, const struct client *client, bool is_query,
	const uint8_t *text, const uint8_t *end, struct sqlname *ret_found)
{
	const struct names *names = client->lease.names;
	bool has_name, is_known;

	*ret_found = sqlname_find(text, end);
	if (likely(ret_found->kind == SQLNAME_NONE))
		return SQL_NONE;
	has_name = names_find(names, ret_found->name, ret_found->name_len);
	is_known = has_name || names_is_uncertain(names, ret_found->name, ret_found->name_len, 0);
	switch (ret_found->kind) {
	case SQLNAME_NONE:
		break;
	case SQLNAME_DEALLOCATE:
		return is_known || sql_is_ours(ret_found) ? SQL_DEALLOCATE : SQL_NONE;
	case SQLNAME_EXECUTE: /* behind messages without a Sync it is left to the server */
		return is_query && is_known && !client->lease.server->pending.is_open ? SQL_EXECUTE
										      : SQL_NONE;
	case SQLNAME_PREPARE:
		if (!is_query)
			return has_name ? SQL_DUPLICATE : SQL_NONE;
		if (is_known)
			return SQL_DUPLICATE;
		return sql_may_adopt(core, client, text, end, ret_found) ? SQL_ADOPT : SQL_NONE;
	}
	return SQL_NONE;
}

/* The text of a Query or a Parse that is all there. Returns false if it is not, or malformed. */
static bool sql_text(
	const struct client_request *message, const uint8_t **ret_text, const uint8_t **ret_end)
{
	const uint8_t *at = message->body, *end = at + message->body_len, *nul;
	bool is_query = message->frame.type == CLIENT_QUERY;

	if (message->frame.bytes > FRAME_HEAD + message->body_len)
		return false;
	if (!is_query) {
		nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
		at = nul ? nul + 1 : end;
	}
	nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
	if (!nul || (is_query && nul + 1 != end))
		return false;
	*ret_text = at;
	*ret_end = nul;
	return true;
}

static enum sql_verb sql_of_message(const struct core *core, const struct client *client,
	const struct client_request *message, struct sqlname *ret_found)
{
	bool is_query = message->frame.type == CLIENT_QUERY;
	const uint8_t *text, *end;
	enum sql_verb verb;

	if (client->lease.server->pending.skipping || !sql_text(message, &text, &end))
		return SQL_NONE;
	verb = sql_look(core, client, is_query, text, end, ret_found);
	if (verb == SQL_DEALLOCATE && !is_query && message->body[0] != '\0')
		return SQL_NONE; /* it is kept, and who knows what has the name when it is used */
	return verb;
}

bool client_sql_takes(
	const struct core *core, const struct client *client, const struct client_request *message)
{
	struct sqlname found;

	return sql_of_message(core, client, message, &found) != SQL_NONE;
}

bool client_sql_adopts(const struct core *core, const struct client *client, const uint8_t *text,
	const uint8_t *end)
{
	struct sqlname found;
	enum sql_verb verb;

	if (!lease_follows(core, &client->lease) || client->lease.server->pending.skipping)
		return false;
	verb = sql_look(core, client, true, text, end, &found);
	return verb == SQL_ADOPT || verb == SQL_DUPLICATE;
}

struct name *client_sql_executed(const struct client *client, const uint8_t *text,
	const uint8_t *end, const uint8_t **ret_behind)
{
	struct sqlname found;

	if (likely(client->lease.names->count == 0))
		return NULL;
	found = sqlname_find(text, end);
	if (found.kind != SQLNAME_EXECUTE)
		return NULL;
	*ret_behind = text + found.behind;
	return names_find(client->lease.names, found.name, found.name_len);
}

bool client_sql_may_be_deallocated(const struct pending *pending)
{
	for (uint32_t i = 0; i < pending->count; i++) {
		struct pending_entry entry =
			pending->entries[(pending->first + i) & (LIMIT_PENDING - 1)];

		if (entry.kind == PENDING_QUERY || entry.kind == PENDING_EXECUTE)
			return true;
	}
	return false;
}

bool client_sql_must_wait(
	const struct core *core, const struct client *client, const struct client_request *message)
{
	const struct names *names = client->lease.names;
	const struct pending *pending = &client->lease.server->pending;
	struct sqlname found = {.kind = SQLNAME_NONE};
	enum sql_verb verb = sql_of_message(core, client, message, &found);

	if (found.kind == SQLNAME_NONE)
		return false;
	if (verb == SQL_ADOPT) /* the Query would be skipped after an error, but not its Sync */
		return true;
	if (names_is_uncertain(names, found.name, found.name_len, pending->batch))
		return true;
	return verb == SQL_DUPLICATE && client_sql_may_be_deallocated(pending);
}

bool client_sql_is_uncertain(const struct client *client, struct statement *statement)
{
	const char *text = (const char *)statement->body;
	struct sqlname found;

	if (likely(!client_sql_executes(statement)))
		return false;
	found = sqlname_find(statement->body, statement->body + strlen(text));
	return names_is_uncertain(client->lease.names, found.name, found.name_len,
		client->lease.server->pending.batch);
}

void client_sql_scan(struct statement *statement)
{
	size_t len = strnlen((const char *)statement->body, statement->len);
	const uint8_t *text = statement->body;

	statement->traces = (uint16_t)sqlscan_traces(text, len);
	if (sqlscan_calls(text, len))
		statement->traces |= TRACE_TAKES;
	statement->executes = sqlname_find(text, text + len).kind == SQLNAME_EXECUTE;
	statement->is_scanned = true;
}

/* ---- sending ---- */

/* How many characters they are in UTF-8. */
static uint32_t sql_characters(const uint8_t *at, size_t len, bool *is_ascii)
{
	uint32_t count = 0;

	for (size_t i = 0; i < len; i++) {
		*is_ascii &= at[i] < 0x80;
		count += (at[i] & 0xC0) != 0x80;
	}
	return count;
}

/* The text's bytes from `first` to `behind` have been replaced by that many characters. */
static struct prepared_shift sql_shift(
	const uint8_t *text, size_t first, size_t behind, size_t characters)
{
	bool is_ascii = true;
	uint32_t before = sql_characters(text, first, &is_ascii),
		 old = sql_characters(text + first, behind - first, &is_ascii);

	return (struct prepared_shift){
		.from = before, .by = (int32_t)old - (int32_t)characters, .is_utf8 = !is_ascii};
}

/* Sends a Query or a Parse with another word in place of the name that was found. */
static void sql_send_renamed(struct core *core, struct client *client,
	const struct client_request *message, const uint8_t *text, const struct sqlname *found,
	const char *word)
{
	struct stream *stream = client->lease.server->stream;
	const uint8_t *end = message->body + message->body_len;
	size_t before = (size_t)(text + found->first - message->body), len = strlen(word);
	uint8_t head[FRAME_HEAD];

	frame_write(head, message->frame.type,
		(uint32_t)(message->body_len - (found->behind - found->first) + len));
	stream_send(core, stream, head, sizeof head);
	stream_send(core, stream, message->body, before);
	stream_send(core, stream, word, len);
	stream_send(core, stream, text + found->behind, (size_t)(end - (text + found->behind)));
}

/* A name that the server does not have either: "pgring_x" becomes "pgring_pgring_x". */
static void sql_write_unknown(const struct sqlname *found, char ret_word[3 * SQLNAME_BYTES])
{
	char *at = ret_word;

	*at++ = '"';
	memcpy(at, statement_name_prefix, STATEMENT_NAME_PREFIX);
	at += STATEMENT_NAME_PREFIX;
	for (size_t i = 0; i < found->name_len; i++) {
		if (found->name[i] == '"')
			*at++ = '"';
		*at++ = found->name[i];
	}
	*at++ = '"';
	*at = '\0';
}

/* In quotes, because nothing may stand between the client's name and the word before it, if that is quoted. */
enum { SQL_WORD_BYTES = STATEMENT_NAME_BYTES + 2 };
static const char sql_nobodys[] = "\"pgring_\"";

static void sql_write_known(struct hash key, char ret_word[SQL_WORD_BYTES])
{
	ret_word[0] = '"';
	statement_name(key, ret_word + 1);
	ret_word[SQL_WORD_BYTES - 2] = '"';
	ret_word[SQL_WORD_BYTES - 1] = '\0';
}

static void sql_deallocate(struct core *core, struct client *client,
	const struct client_request *message, const uint8_t *text, const struct sqlname *found)
{
	struct lease *lease = &client->lease;
	struct name *name = names_find(lease->names, found->name, found->name_len);
	bool is_query = message->frame.type == CLIENT_QUERY;
	enum pending_kind kind = is_query ? PENDING_QUERY : PENDING_PARSE;
	char word[3 * SQLNAME_BYTES];

	names_set_unnamed(lease->names, &core->pools->statements, NULL);
	lease->knows_unnamed = !is_query;
	if (name) {
		lease_occupy(core, lease);
		lease_note_closing(core, lease, name, kind);
		sql_send_renamed(core, client, message, text, found, sql_nobodys);
	} else {
		lease_note(core, lease, kind, 0);
		sql_write_unknown(found, word);
		sql_send_renamed(core, client, message, text, found, word);
	}
}

static bool sql_execute(struct core *core, struct client *client,
	const struct client_request *message, const uint8_t *text, const struct sqlname *found)
{
	struct lease *lease = &client->lease;
	struct name *name = names_find(lease->names, found->name, found->name_len);
	struct lease_use use = {.name = name,
		.statement = client_prepared_current(core, client, name),
		.shape = name->shape,
		.since_ns = name->parsed_ns};
	char word[SQL_WORD_BYTES];

	if (!lease_prepare_query(core, lease, &use))
		return false;
	names_set_unnamed(lease->names, &core->pools->statements, NULL);
	lease_note_execute(
		core, lease, name, sql_shift(text, found->first, found->behind, sizeof word - 1));
	sql_write_known(use.statement->key, word);
	sql_send_renamed(core, client, message, text, found, word);
	return true;
}

/* By a Parse message the error comes with its answer, and not with that of the Execute. */
static void sql_duplicate(struct core *core, struct client *client,
	const struct client_request *message, const uint8_t *text, const struct sqlname *found)
{
	struct lease *lease = &client->lease;
	const struct name *name = names_find(lease->names, found->name, found->name_len);
	bool is_query = message->frame.type == CLIENT_QUERY;

	if (is_query || message->body[0] == '\0') {
		names_set_unnamed(lease->names, &core->pools->statements, NULL);
		lease->knows_unnamed = false;
	}
	if (is_query) {
		lease_note_duplicate(core, lease, name, PENDING_QUERY,
			sql_shift(text, found->first, found->behind, sizeof sql_nobodys - 1));
		sql_send_renamed(core, client, message, text, found, sql_nobodys);
	} else {
		client_prepared_send_duplicate(core, client, name, text,
			(size_t)(message->body + message->body_len - text));
	}
}

static struct statement *sql_share(struct core *core, struct client *client,
	const struct client_request *message, const uint8_t *text,
	const struct sqlname_prepare *prepare)
{
	const uint8_t *first = text + prepare->statement;
	uint8_t types[2 + 4 * SQLNAME_TYPES] = {
		(uint8_t)(prepare->type_count >> 8), (uint8_t)prepare->type_count};
	struct statement_piece pieces[] = {
		{first, (size_t)(message->body + message->body_len - first)},
		{types, 2 + 4u * prepare->type_count}};

	for (unsigned i = 0; i < prepare->type_count; i++)
		for (unsigned n = 0; n < 4; n++)
			types[2 + 4 * i + n] = (uint8_t)(prepare->types[i] >> (24 - 8 * n));
	return statement_share_pieces(&core->pools->statements, lease_context(core, &client->lease),
		pieces, array_len(pieces));
}

/* PREPARE becomes a Parse of its own batch. */
static void sql_adopt(struct core *core, struct client *client,
	const struct client_request *message, const uint8_t *text, const struct sqlname *found)
{
	static const uint8_t sync[] = {CLIENT_SYNC, 0, 0, 0, 4};
	struct lease *lease = &client->lease;
	struct stream *stream = lease->server->stream;
	struct sqlname_prepare prepare;
	struct statement *statement = NULL;
	struct name *name;

	names_set_unnamed(lease->names, &core->pools->statements, NULL);
	if (!sqlname_read_prepare(text, message->body + message->body_len - 1, found, &prepare))
		UNREACHABLE();
	if (lease->names->bytes + message->frame.bytes <= LIMIT_CLIENT_STATEMENTS_BYTES)
		statement = sql_share(core, client, message, text, &prepare);
	if (!statement) {
		lease_refuse(core, lease, PENDING_QUERY, REFUSAL_STATEMENT_MEMORY);
		return;
	}
	names_own(&lease->names);
	name = names_add(lease->names, found->name, found->name_len, statement);
	lease_note_prepare(core, lease, name, sql_shift(text, 0, prepare.statement, 0));
	client_prepared_send_parse(core, client, statement);
	lease_describe_named(core, lease, name, statement);
	stream_send(core, stream, sync, sizeof sync);
	lease_note(core, lease, PENDING_SYNC, 0);
}

bool client_sql_send(struct core *core, struct client *client, const struct client_request *message,
	size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	const uint8_t *text, *end;
	struct sqlname found;
	enum sql_verb verb = sql_of_message(core, client, message, &found);
	bool has_name = verb != SQL_NONE && names_find(lease->names, found.name, found.name_len);

	if (!sql_text(message, &text, &end))
		UNREACHABLE();
	*ret_dealt = message->frame.bytes;
	switch (verb) {
	case SQL_DEALLOCATE:
		sql_deallocate(core, client, message, text, &found);
		return true;
	case SQL_ADOPT:
		sql_adopt(core, client, message, text, &found);
		return true;
	case SQL_EXECUTE:
		if (has_name)
			return sql_execute(core, client, message, text, &found);
		break;
	case SQL_DUPLICATE:
		if (has_name) {
			sql_duplicate(core, client, message, text, &found);
			return true;
		}
		/* The name is being closed: the server shall have it. */
		traces_suspect(&lease->server->traces, TRACE_PREPARED);
		break;
	case SQL_NONE:
		UNREACHABLE();
	}
	*ret_dealt = 0; /* a Query, as it is */
	names_set_unnamed(lease->names, &core->pools->statements, NULL);
	lease_note(core, lease, PENDING_QUERY, 0);
	return true;
}

/* ---- statements that execute others ---- */

bool client_sql_resolve(struct core *core, struct client *client, const struct statement *statement,
	struct statement **ret_derived)
{
	struct lease *lease = &client->lease;
	const uint8_t *text = statement->body, *end = text + statement->len;
	struct sqlname found = sqlname_find(text, text + strlen((const char *)text));
	struct name *name = names_find(lease->names, found.name, found.name_len);
	struct lease_use use = {.name = name};
	char word[SQL_WORD_BYTES];
	struct statement_piece pieces[] = {{text, found.first}, {word, sizeof word - 1},
		{text + found.behind, (size_t)(end - (text + found.behind))}};

	*ret_derived = NULL;
	if (!name || client_sql_executes(name->statement))
		return true; /* as on PostgreSQL: there is no such statement */
	use.statement = client_prepared_current(core, client, name);
	use.shape = name->shape;
	use.since_ns = name->parsed_ns;
	if (!lease_prepare(core, lease, &use))
		return false;
	sql_write_known(use.statement->key, word);
	*ret_derived = statement_share_pieces(
		&core->pools->statements, lease_context(core, lease), pieces, array_len(pieces));
	return true;
}
