/* Names of prepared statements, from the client's to the servers'.
 *
 * A name that the client has not prepared goes to the server as it is, so that its error is the server's own; unless it looks
 * like one of ours, which would reach somebody else's statement.
 */
#include "router/client_prepared.h"

#include "core/config.h"
#include "router/client_sql.h"

#include <string.h>

enum { PREPARED_FRAME_ROOM = 64 }; /* how much longer a frame may get */

/* A message, taken apart. */
struct prepared_parts {
	const uint8_t *name; /* the statement's */
	size_t name_len;
	const uint8_t *rest, *end; /* behind the name's NUL */
};

static bool prepared_is_anonymous(const struct core *core)
{
	enum prepared_mode mode = core->router->config->general.prepared_statements;

	return mode == PREPARED_EXTENDED_ANONYMOUS || mode == PREPARED_FULL;
}

/* Returns false if the name's end is not among the bytes at hand. */
static bool prepared_take_apart(
	const struct client_request *message, struct prepared_parts *ret_parts)
{
	const uint8_t *at = message->body, *end = at + message->body_len, *nul;

	if (message->frame.type == CLIENT_BIND) {
		nul = memchr(at, 0, (size_t)(end - at));
		if (!nul)
			return false;
		at = nul + 1;
	} else if (message->frame.type != CLIENT_PARSE) {
		at++; /* 'S' or 'P' */
	}
	nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
	if (!nul)
		return false;
	*ret_parts = (struct prepared_parts){at, (size_t)(nul - at), nul + 1, end};
	return true;
}

/* Whether something stands behind the name that may be all. */
static bool prepared_has_more(
	const struct client_request *message, const struct prepared_parts *parts)
{
	return (message->frame.type == CLIENT_DESCRIBE || message->frame.type == CLIENT_CLOSE) &&
		parts->rest != parts->end;
}

static bool prepared_is_ours(const struct prepared_parts *parts)
{
	return parts->name_len >= STATEMENT_NAME_PREFIX &&
		memcmp(parts->name, statement_name_prefix, STATEMENT_NAME_PREFIX) == 0;
}

/* The text and the types are whole, and nothing is behind them. */
static bool prepared_is_sound(const struct prepared_parts *parts)
{
	const uint8_t *nul = parts->rest < parts->end
		? memchr(parts->rest, 0, (size_t)(parts->end - parts->rest))
		: NULL;
	size_t types;

	if (!nul || parts->end - nul < 3)
		return false;
	types = (size_t)nul[1] << 8 | nul[2];
	return (size_t)(parts->end - nul) == 3 + 4 * types;
}

bool client_prepared_wants_whole(
	const struct core *core, const struct client *client, const struct client_request *message)
{
	return message->frame.type == CLIENT_PARSE &&
		message->frame.bytes <= LIMIT_STATEMENT_BYTES && message->body_len > 0 &&
		message->body[0] != '\0' && lease_follows(core, &client->lease);
}

static struct statement *prepared_statement(
	struct core *core, struct client *client, const struct prepared_parts *parts)
{
	return statement_share(&core->pools->statements, lease_context(core, &client->lease),
		parts->rest, (size_t)(parts->end - parts->rest));
}

/* What goes through pgring's hands although its statement has no name. */
static bool prepared_takes_unnamed(
	const struct core *core, const struct client *client, const struct client_request *message)
{
	const struct lease *lease = &client->lease;

	if (message->frame.type == CLIENT_CLOSE)
		return false;
	if (message->frame.type == CLIENT_PARSE)
		return true;
	return lease->names->unnamed &&
		(!lease->knows_unnamed || prepared_is_anonymous(core) ||
			message->frame.type == CLIENT_DESCRIBE);
}

bool client_prepared_takes(
	const struct core *core, const struct client *client, const struct client_request *message)
{
	struct prepared_parts parts;
	uint8_t type = message->frame.type;

	if (unlikely(client->lease.server->pending.skipping))
		return false; /* the server does not look at it either */
	if (type == CLIENT_QUERY)
		return client_sql_takes(core, client, message);
	if (type != CLIENT_PARSE && type != CLIENT_BIND && type != CLIENT_DESCRIBE &&
		type != CLIENT_CLOSE)
		return false;
	if ((type == CLIENT_DESCRIBE || type == CLIENT_CLOSE) && message->body[0] != 'S')
		return false;
	if (unlikely(!prepared_take_apart(message, &parts)) || parts.name_len > 0)
		return true;
	return prepared_takes_unnamed(core, client, message);
}

bool client_prepared_must_wait(
	const struct core *core, const struct client *client, const struct client_request *message)
{
	const struct names *names = client->lease.names;
	const struct pending *pending = &client->lease.server->pending;
	uint8_t type = message->frame.type;
	struct prepared_parts parts;
	const struct name *name;

	if (likely(pending_empty(pending)))
		return false;
	if ((type == CLIENT_QUERY || type == CLIENT_PARSE) &&
		unlikely(client_sql_must_wait(core, client, message)))
		return true;
	if (type == CLIENT_QUERY || !prepared_take_apart(message, &parts))
		return false;
	if (parts.name_len == 0) {
		if (type == CLIENT_PARSE)
			return false;
		if (names->unnamed && unlikely(client_sql_is_uncertain(client, names->unnamed)))
			return true;
		return prepared_is_anonymous(core) && names->unnamed_batch != 0 &&
			names->unnamed_batch != pending->batch;
	}
	if (names_is_uncertain(names, (const char *)parts.name, parts.name_len, pending->batch))
		return true;
	name = names_find(names, (const char *)parts.name, parts.name_len);
	if (type == CLIENT_PARSE)
		return name && client_sql_may_be_deallocated(pending);
	return name && unlikely(client_sql_is_uncertain(client, name->statement));
}

void client_prepared_note(
	struct core *core, struct client *client, const struct client_request *message)
{
	uint8_t type = message->frame.type;

	if (likely(!client->lease.names->unnamed) || client->lease.server->pending.skipping)
		return;
	if (type == CLIENT_QUERY ||
		(type == CLIENT_CLOSE && message->body[0] == 'S' && message->body[1] == '\0'))
		names_set_unnamed(client->lease.names, &core->pools->statements, NULL);
}

/* Whoever closes a statement may hold a lock that others want who have the servers: waiting for one would last for ever. Outside of
 * a transaction there are no portals, and no answers are due. */
bool client_prepared_close_here(
	struct core *core, struct client *client, const struct client_request *message)
{
	struct statements *statements = &core->pools->statements;
	struct names *names = client->lease.names;
	struct prepared_parts parts;
	uint8_t answer[FRAME_HEAD];
	struct name *name;

	if (!lease_follows(core, &client->lease) || message->body_len < 2 ||
		message->frame.bytes != FRAME_HEAD + message->body_len ||
		(message->body[0] != 'S' && message->body[0] != 'P'))
		return false;
	if (!prepared_take_apart(message, &parts) || prepared_has_more(message, &parts))
		return false;
	if (message->body[0] == 'S' && parts.name_len == 0) {
		client->lease.knows_unnamed = false;
		names_set_unnamed(names, statements, NULL);
	} else if (message->body[0] == 'S') {
		name = names_find(names, (const char *)parts.name, parts.name_len);
		if (name)
			names_remove(names, name);
		names_bury(names, statements);
	}
	frame_write(answer, SERVER_CLOSE_COMPLETE, 0);
	stream_send(core, client->stream, answer, sizeof answer);
	return true;
}

/* ---- sending ---- */

static size_t prepared_refuse(struct core *core, struct client *client,
	const struct client_request *message, enum lease_refusal refusal)
{
	lease_refuse(core, &client->lease, PENDING_PARSE, refusal);
	return message->frame.bytes;
}

/* Sends the head of a message whose name becomes `name`, and what stands before the name. */
static size_t prepared_send_head(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts, const char *name)
{
	struct stream *stream = client->lease.server->stream;
	size_t name_len = strlen(name), before = (size_t)(parts->name - message->body);
	uint8_t head[FRAME_HEAD];
	size_t body = message->frame.bytes - FRAME_HEAD - parts->name_len + name_len;

	frame_write(head, message->frame.type, (uint32_t)body);
	stream_send(core, stream, head, sizeof head);
	stream_send(core, stream, message->body, before);
	stream_send(core, stream, name, name_len + 1);
	return FRAME_HEAD + before + parts->name_len + 1;
}

void client_prepared_send_parse(
	struct core *core, struct client *client, const struct statement *statement)
{
	struct stream *stream = client->lease.server->stream;
	char name[STATEMENT_NAME_BYTES];
	uint8_t head[FRAME_HEAD];

	statement_name(statement->key, name);
	frame_write(head, CLIENT_PARSE, (uint32_t)sizeof name + statement->len);
	stream_send(core, stream, head, sizeof head);
	stream_send(core, stream, name, sizeof name);
	stream_send(core, stream, statement->body, statement->len);
}

/* PostgreSQL looks at the text first. */
void client_prepared_send_duplicate(struct core *core, struct client *client,
	const struct name *name, const uint8_t *text_and_types, size_t len)
{
	struct stream *stream = client->lease.server->stream;
	uint8_t head[FRAME_HEAD];

	lease_note_duplicate(core, &client->lease, name, PENDING_PARSE, (struct prepared_shift){0});
	frame_write(head, CLIENT_PARSE, (uint32_t)(STATEMENT_NAME_PREFIX + 1 + len));
	stream_send(core, stream, head, sizeof head);
	stream_send(core, stream, statement_name_prefix, STATEMENT_NAME_PREFIX + 1);
	stream_send(core, stream, text_and_types, len);
}

static size_t prepared_send_named(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts,
	const struct statement *statement)
{
	char name[STATEMENT_NAME_BYTES];

	statement_name(statement->key, name);
	return prepared_send_head(core, client, message, parts, name);
}

/* A name that the server does not have: "pgring_x" becomes "pgring_pgring_x", which it does not have either. */
static size_t prepared_send_unknown(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts)
{
	struct stream *stream = client->lease.server->stream;
	size_t before = (size_t)(parts->name - message->body);
	uint8_t head[FRAME_HEAD];

	if (likely(!prepared_is_ours(parts)))
		return 0;
	frame_write(head, message->frame.type,
		message->frame.bytes - FRAME_HEAD + STATEMENT_NAME_PREFIX);
	stream_send(core, stream, head, sizeof head);
	stream_send(core, stream, message->body, before);
	stream_send(core, stream, statement_name_prefix, STATEMENT_NAME_PREFIX);
	return FRAME_HEAD + before;
}

struct statement *client_prepared_current(
	struct core *core, struct client *client, struct name *name)
{
	struct statements *statements = &core->pools->statements;
	uint64_t context = lease_context(core, &client->lease);
	struct statement *other;

	if (likely(name->statement->context == context))
		return name->statement;
	other = statement_share(statements, context, name->statement->body, name->statement->len);
	if (other)
		names_replace(client->lease.names, statements, name, other);
	return name->statement;
}

/* SQL may have prepared it on this server, where the client stays for that: then the server says so. */
static void prepared_try_name(
	struct core *core, struct client *client, const struct prepared_parts *parts)
{
	struct server *server = client->lease.server;
	size_t name = parts->name_len + 1, len = (size_t)(parts->end - parts->name);
	uint8_t head[FRAME_HEAD + 1] = {0};

	if (likely(!(server->traces.held & TRACE_PREPARED)) || prepared_is_ours(parts))
		return;
	frame_write(head, CLIENT_PARSE, (uint32_t)len);
	stream_send(core, server->stream, head, FRAME_HEAD);
	stream_send(core, server->stream, parts->name, len);
	pending_push(&server->pending, PENDING_PARSE, PENDING_INJECTED);
	frame_write(head, CLIENT_CLOSE, (uint32_t)(1 + name));
	head[FRAME_HEAD] = 'S';
	stream_send(core, server->stream, head, sizeof head);
	stream_send(core, server->stream, parts->name, name);
	pending_push(&server->pending, PENDING_CLOSE, PENDING_INJECTED);
}

/* The text is new to the client. */
static bool prepared_parse_statement(struct core *core, struct client *client,
	const struct prepared_parts *parts, struct statement *statement)
{
	struct lease *lease = &client->lease;
	struct statement *derived = NULL, *sent = statement;
	struct name *name;

	if (unlikely(client_sql_executes(statement)) &&
		!client_sql_resolve(core, client, statement, &derived)) {
		statement_drop(&core->pools->statements, statement);
		return false;
	}
	if (derived)
		sent = derived;
	prepared_try_name(core, client, parts);
	names_own(&lease->names);
	name = names_add(lease->names, (const char *)parts->name, parts->name_len, statement);
	lease_note_named(core, lease, name, sent);
	client_prepared_send_parse(core, client, sent);
	lease_describe_named(core, lease, name, sent);
	statement_drop(&core->pools->statements, derived);
	return true;
}

static bool prepared_parse_named(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts, size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	struct name *name = names_find(lease->names, (const char *)parts->name, parts->name_len);
	struct statement *statement = NULL;

	*ret_dealt = message->frame.bytes;
	if (unlikely(message->frame.bytes > FRAME_HEAD + message->body_len ||
		    lease->names->bytes + message->frame.bytes > LIMIT_CLIENT_STATEMENTS_BYTES)) {
		(void)prepared_refuse(core, client, message, REFUSAL_STATEMENT_MEMORY);
		return true;
	}
	if (unlikely(!prepared_is_sound(parts))) {
		/* PostgreSQL says what is wrong with it, and prepares nothing. */
		lease_note(core, lease, PENDING_PARSE, 0);
		*ret_dealt = 0;
		return true;
	}
	if (unlikely(name)) {
		client_prepared_send_duplicate(
			core, client, name, parts->rest, (size_t)(parts->end - parts->rest));
		return true;
	}
	statement = prepared_statement(core, client, parts);
	if (likely(statement))
		return prepared_parse_statement(core, client, parts, statement);
	(void)prepared_refuse(core, client, message, REFUSAL_STATEMENT_MEMORY);
	return true;
}

static enum pending_kind prepared_kind(const struct client_request *message)
{
	return message->frame.type == CLIENT_BIND ? PENDING_BIND : PENDING_DESCRIBE;
}

/* Whether the message is all there, and binds the unnamed portal: then it is known what else concerns it. */
static bool prepared_is_lone(const struct client_request *message)
{
	return message->frame.type == CLIENT_BIND && message->body[0] == '\0' &&
		message->frame.bytes == FRAME_HEAD + message->body_len;
}

bool client_prepared_may_follow(const struct lease *lease, const struct client_request *message)
{
	const uint8_t *body = message->body;

	if (lease->check == LEASE_CHECK_LOST)
		return true;
	if (lease->check != LEASE_CHECK_ALONGSIDE || !lease->server->pending.is_open)
		return false;
	switch (message->frame.type) {
	case CLIENT_EXECUTE:
		return message->body_len >= 1 && body[0] == '\0';
	case CLIENT_DESCRIBE:
		return message->body_len >= 2 && body[0] == 'P' && body[1] == '\0';
	case CLIENT_SYNC:
		return true;
	}
	return false;
}

/* Bind and Describe. */
static bool prepared_use(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts, size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	struct name *name = names_find(lease->names, (const char *)parts->name, parts->name_len);
	struct lease_use use = {.name = name, .is_lone = prepared_is_lone(message)};
	struct statement *derived = NULL;
	bool is_ready;

	if (unlikely(!name)) {
		lease_note(core, lease, prepared_kind(message), 0);
		*ret_dealt = prepared_send_unknown(core, client, message, parts);
		return true;
	}
	if (message->frame.type == CLIENT_DESCRIBE && lease_claim_description(lease, name)) {
		*ret_dealt = message->frame.bytes;
		return true;
	}
	use.statement = client_prepared_current(core, client, name);
	use.shape = name->shape;
	use.since_ns = name->parsed_ns;
	if (unlikely(client_sql_executes(use.statement))) {
		if (!client_sql_resolve(core, client, use.statement, &derived))
			return false;
		use.statement = derived ? derived : use.statement;
		use.shape = NULL; /* PostgreSQL compares only what it executes */
		use.name = NULL;
	}
	is_ready = lease_prepare(core, lease, &use);
	if (likely(is_ready)) {
		lease_note(core, lease, prepared_kind(message), 0);
		*ret_dealt = prepared_send_named(core, client, message, parts, use.statement);
	}
	statement_drop(&core->pools->statements, derived);
	return is_ready;
}

static size_t prepared_close(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts)
{
	struct lease *lease = &client->lease;
	struct name *name = names_find(lease->names, (const char *)parts->name, parts->name_len);

	if (name)
		lease_note_closing(core, lease, name, PENDING_CLOSE);
	else
		lease_note(core, lease, PENDING_CLOSE, 0);
	return prepared_send_unknown(core, client, message, parts);
}

/* ---- statements without a name ---- */

/* It executes another statement, and goes without a name, whatever is configured. As that one may be another when it is used, it is
 * then parsed anew. */
static bool prepared_parse_executing(struct core *core, struct client *client,
	const struct client_request *message, struct statement *statement, size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	struct stream *stream = lease->server->stream;
	struct statement *derived;
	uint8_t head[FRAME_HEAD];

	if (!client_sql_resolve(core, client, statement, &derived)) {
		statement_drop(&core->pools->statements, statement);
		return false;
	}
	lease_note_unnamed(core, lease, statement);
	lease->knows_unnamed = false;
	if (!derived)
		return true;
	frame_write(head, CLIENT_PARSE, 1 + derived->len);
	stream_send(core, stream, head, sizeof head);
	stream_send(core, stream, "", 1);
	stream_send(core, stream, derived->body, derived->len);
	statement_drop(&core->pools->statements, derived);
	*ret_dealt = message->frame.bytes;
	return true;
}

static bool prepared_use_executing(struct core *core, struct client *client,
	const struct client_request *message, size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	struct statement *derived;
	bool is_ready;

	if (!client_sql_resolve(core, client, lease->names->unnamed, &derived))
		return false;
	is_ready = lease_prepare_unnamed(
		core, lease, derived ? derived : lease->names->unnamed, NULL, false);
	CHECK(is_ready);
	lease->knows_unnamed = false;
	lease_note(core, lease, prepared_kind(message), 0);
	statement_drop(&core->pools->statements, derived);
	*ret_dealt = 0;
	return true;
}

/* As it is; or, if that is configured, under a name of ours, so that it is parsed only where it is not known. */
static bool prepared_parse_unnamed(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts, size_t *ret_dealt)
{
	static const uint8_t close_nothing[] = {
		CLIENT_CLOSE, 0, 0, 0, 13, 'S', 'p', 'g', 'r', 'i', 'n', 'g', '_', 0};
	struct lease *lease = &client->lease;
	struct statement *statement = NULL;

	*ret_dealt = 0;
	/* One that is too long to be kept lasts as long as the server does. */
	if (message->frame.bytes == FRAME_HEAD + message->body_len &&
		message->frame.bytes <= LIMIT_HELD_BYTES && prepared_is_sound(parts))
		statement = prepared_statement(core, client, parts);
	if (statement && unlikely(client_sql_executes(statement)))
		return prepared_parse_executing(core, client, message, statement, ret_dealt);
	if (!statement || likely(!prepared_is_anonymous(core))) {
		lease_note_unnamed(core, lease, statement);
		return true;
	}
	if (!lease_note_anonymous(core, lease, statement)) {
		*ret_dealt = prepared_send_named(core, client, message, parts, statement);
		return true;
	}
	stream_send(core, lease->server->stream, close_nothing, sizeof close_nothing);
	*ret_dealt = message->frame.bytes;
	return true;
}

/* The client's own Describe tells it what the statement is, if it does not know yet. */
static void prepared_note_use(struct core *core, struct lease *lease,
	const struct client_request *message, unsigned flags)
{
	if (message->frame.type == CLIENT_DESCRIBE && !lease->names->unnamed_shape)
		lease_note_description(core, lease);
	else
		lease_note(core, lease, prepared_kind(message), flags);
}

static bool prepared_use_unnamed(struct core *core, struct client *client,
	const struct client_request *message, const struct prepared_parts *parts, size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	struct names *names = lease->names;

	if (unlikely(client_sql_executes(names->unnamed)))
		return prepared_use_executing(core, client, message, ret_dealt);
	if (prepared_is_anonymous(core)) {
		struct lease_use use = {.statement = names->unnamed,
			.shape = names->unnamed_shape,
			.since_ns = lease->pool->stale_ns + 1,
			.is_lone = prepared_is_lone(message)};

		if (!lease_prepare(core, lease, &use))
			return false;
		prepared_note_use(core, lease, message, PENDING_UNNAMED);
		*ret_dealt = prepared_send_named(core, client, message, parts, use.statement);
		return true;
	}
	if (!lease->knows_unnamed &&
		!lease_prepare_unnamed(core, lease, names->unnamed, names->unnamed_shape,
			prepared_is_lone(message)))
		return false;
	prepared_note_use(core, lease, message, 0);
	*ret_dealt = 0;
	return true;
}

bool client_prepared_send(struct core *core, struct client *client,
	const struct client_request *message, size_t *ret_dealt)
{
	struct prepared_parts parts;

	lease_begin(core, &client->lease);
	if (message->frame.type == CLIENT_QUERY ||
		(message->frame.type == CLIENT_PARSE && client_sql_takes(core, client, message)))
		return client_sql_send(core, client, message, ret_dealt);
	if (unlikely(!prepared_take_apart(message, &parts) || prepared_has_more(message, &parts))) {
		*ret_dealt = 0;
		if (message->frame.bytes == FRAME_HEAD + message->body_len) /* it will fail */
			lease_note(core, &client->lease, prepared_kind(message), 0);
		else
			*ret_dealt = prepared_refuse(core, client, message, REFUSAL_NAME_TOO_LONG);
		return true;
	}
	switch (message->frame.type) {
	case CLIENT_PARSE:
		return parts.name_len > 0
			? prepared_parse_named(core, client, message, &parts, ret_dealt)
			: prepared_parse_unnamed(core, client, message, &parts, ret_dealt);
	case CLIENT_BIND:
	case CLIENT_DESCRIBE:
		return parts.name_len > 0
			? prepared_use(core, client, message, &parts, ret_dealt)
			: prepared_use_unnamed(core, client, message, &parts, ret_dealt);
	case CLIENT_CLOSE:
		*ret_dealt = prepared_close(core, client, message, &parts);
		return true;
	}
	UNREACHABLE();
}
