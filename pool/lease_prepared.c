/* Prepared statements that follow their client from server to server.
 *
 * A client's Parse always reaches a server, as on PostgreSQL: it fails where it must, and what it prepares is as new as the
 * catalog. Only its name is another: the statement's key, so that a server has each statement once, whoever prepared it. What a
 * client uses on a server that lacks it, or has it from before the client prepared it, is parsed there first, in the same send.
 *
 * It may not be any more what the client was told when it prepared it, because a table has changed: PostgreSQL then answers that a
 * cached plan must not change its result type. What is parsed anew gets the types of parameters that the client knows, and is
 * described in the same send. If the result has other columns, the client's Bind fails. As its answer tells that only when the
 * request has been executed, a request that would have changed something waits for the description; so does one behind which
 * anything else stands in its batch.
 */
#include "pool/lease.h"

#include "core/clock.h"
#include "core/config.h"
#include "pool/harmless.h"
#include "pool/pool.h"
#include "protocol/frame.h"

#include <string.h>

bool lease_follows(const struct core *core, const struct lease *lease)
{
	/* what a client has keeps following it when a reload forbids more */
	return !lease->keeps &&
		(core->pools->config->general.prepared_statements != PREPARED_DISABLED ||
			lease->names->count > 0 || lease->names->unnamed);
}

uint64_t lease_context(struct core *core, const struct lease *lease)
{
	return settings_context(lease->settings, core->pools->statements.key);
}

/* ---- what is sent ---- */

static void lease_send_close(
	struct core *core, struct server *server, struct hash key, unsigned flags)
{
	uint8_t message[FRAME_HEAD + 1 + STATEMENT_NAME_BYTES];

	frame_write(message, CLIENT_CLOSE, 1 + STATEMENT_NAME_BYTES);
	message[FRAME_HEAD] = 'S';
	statement_name(key, (char *)message + FRAME_HEAD + 1);
	stream_send(core, server->stream, message, sizeof message);
	pending_push(&server->pending, PENDING_CLOSE, PENDING_INJECTED | flags);
}

/* With the types of parameters that the client knows, if it does. */
static void lease_send_parse(struct core *core, struct server *server,
	const struct statement *statement, const struct shape *shape, const char *name)
{
	size_t len = strlen(name) + 1, text_len = strlen((const char *)statement->body) + 1;
	size_t types = shape ? 2 + 4u * shape->type_count : statement->len - text_len;
	uint8_t head[FRAME_HEAD], count[2];

	frame_write(head, CLIENT_PARSE, (uint32_t)(len + text_len + types));
	stream_send(core, server->stream, head, sizeof head);
	stream_send(core, server->stream, name, len);
	stream_send(core, server->stream, statement->body, text_len);
	if (shape) {
		count[0] = (uint8_t)(shape->type_count >> 8);
		count[1] = (uint8_t)shape->type_count;
		stream_send(core, server->stream, count, sizeof count);
		stream_send(core, server->stream, shape->types, types - sizeof count);
	} else {
		stream_send(core, server->stream, statement->body + text_len, types);
	}
	core_count(core, METRIC_prepared_injected);
}

static void lease_log_description(struct server *server, struct prepared_record *record)
{
	struct prepared *prepared = &server->prepared;
	struct prepared_entry *entry = prepared_find(prepared, record->key);

	record->batch = server->pending.batch;
	record->described = ++prepared->described;
	if (entry)
		entry->described = record->described;
	prepared_log(prepared, record);
}

/* Has the statement of that name described, which has just been sent to be parsed. */
static void lease_send_describe(
	struct core *core, struct server *server, const char *name, struct prepared_record *record)
{
	unsigned flags = record->is_query ? PENDING_HIDDEN : PENDING_INJECTED;
	size_t len = strlen(name) + 1;
	uint8_t head[FRAME_HEAD + 1];

	frame_write(head, CLIENT_DESCRIBE, (uint32_t)(1 + len));
	head[FRAME_HEAD] = 'S';
	stream_send(core, server->stream, head, sizeof head);
	stream_send(core, server->stream, name, len);
	pending_push(&server->pending, PENDING_DESCRIBE, flags | PENDING_TRACKED);
	lease_log_description(server, record);
}

/* Closes what was used least, so that one more has a place. What an error took out of the books may have made them too full. */
static void lease_make_room(struct core *core, struct server *server)
{
	int64_t limit = core->pools->config->general.prepared_statements_limit;
	struct prepared *prepared = &server->prepared;

	if (limit == CONFIG_UNLIMITED)
		return;
	for (unsigned n = 0; n < 4 && prepared->count > 0 && prepared->count >= limit; n++) {
		struct prepared_entry *oldest = prepared_oldest(prepared);
		struct prepared_record record = {
			.op = PREPARED_EVICT, .key = oldest->key, .batch = server->pending.batch};

		prepared_evict(prepared, oldest);
		oldest->batch = record.batch;
		lease_send_close(core, server, record.key, PENDING_TRACKED);
		prepared_log(prepared, &record);
		core_count(core, METRIC_prepared_evictions);
	}
}

static uint64_t lease_expiry(struct core *core)
{
	const struct config_general *general = &core->pools->config->general;
	int64_t ttl = general->prepared_statements_ttl_ms,
		jitter = general->prepared_statements_ttl_jitter_ms;

	if (ttl == CONFIG_UNSET || ttl == CONFIG_UNLIMITED ||
		ttl > INT64_MAX / 4 / (int64_t)NS_PER_MS)
		return UINT64_MAX;
	if (jitter > ttl)
		jitter = ttl;
	if (jitter > 0)
		ttl += (int64_t)rand_below(&core->rand, (uint64_t)jitter + 1) - jitter / 2;
	return core->now_ns + (uint64_t)ttl * NS_PER_MS;
}

/* A Parse of that key is about to be sent: notes it, and closes what the server may have under that name. */
static void lease_note_parse(struct core *core, struct server *server, struct hash key)
{
	struct prepared *prepared = &server->prepared;
	struct prepared_entry *entry = prepared_find(prepared, key);

	if (entry) {
		if (entry->state == PREPARED_EVICTED)
			lease_make_room(core, server);
		prepared_touch(prepared, entry);
		lease_send_close(core, server, key, 0);
	} else {
		lease_make_room(core, server);
		entry = prepared_add(prepared, key);
	}
	entry->shape = 0;
	entry->described = 0;
	entry->parsed_ns = core->now_ns;
	entry->expires_ns = lease_expiry(core);
	entry->batch = server->pending.batch;
	if (server->is_altered != entry->is_altered) {
		prepared->altered += server->is_altered ? 1 : UINT32_MAX;
		entry->is_altered = server->is_altered;
	}
}

/* Whether it is there for certain, and not from before `since_ns`. A Parse of an earlier batch may have been skipped. */
static bool lease_is_good(struct core *core, const struct server *server,
	const struct prepared_entry *entry, uint64_t since_ns)
{
	return entry->parsed_ns > 0 && entry->parsed_ns >= since_ns &&
		entry->expires_ns > core->now_ns &&
		(entry->batch == 0 || entry->batch == server->pending.batch);
}

/* Whether a request for the statement may be sent before it is known what its result is. What was executed before it in its batch
 * would be rolled back if it failed; when it fails afterwards, that has been committed. */
static bool lease_may_go_along(const struct lease_use *use, bool is_first)
{
	const char *text = (const char *)use->statement->body;

	return use->is_lone && is_first && harmless_is(use->statement->body, strlen(text));
}

/* Has the client's request fail if the statement that has been sent under that name is not what the client knows. */
static bool lease_check(struct core *core, struct lease *lease, const struct lease_use *use,
	const char *name, bool is_first)
{
	struct prepared_record record = {
		.op = PREPARED_DESCRIBE_UNNAMED, .shape = use->shape->link.hash};

	if (*name)
		record.key = use->statement->key;
	lease_send_describe(core, lease->server, name, &record);
	lease->check =
		lease_may_go_along(use, is_first) ? LEASE_CHECK_ALONGSIDE : LEASE_CHECK_FIRST;
	return lease->check == LEASE_CHECK_ALONGSIDE;
}

bool lease_prepare(struct core *core, struct lease *lease, const struct lease_use *use)
{
	struct server *server = lease->server;
	struct prepared_entry *entry = prepared_find(&server->prepared, use->statement->key);
	struct prepared_record record = {
		.op = PREPARED_INJECT, .key = use->statement->key, .batch = server->pending.batch};
	bool is_first = !server->pending.is_open;
	char name[STATEMENT_NAME_BYTES];

	if (likely(entry && lease_is_good(core, server, entry, use->since_ns) &&
		    (!use->shape || use->shape->link.hash == entry->shape))) {
		prepared_touch(&server->prepared, entry);
		return true;
	}
	lease_note_parse(core, server, record.key);
	statement_name(record.key, name);
	lease_send_parse(core, server, use->statement, use->shape, name);
	pending_push(&server->pending, PENDING_PARSE, PENDING_INJECTED | PENDING_TRACKED);
	prepared_log(&server->prepared, &record);
	if (!use->shape) {
		if (use->name)
			lease_describe_named(core, lease, use->name, use->statement);
		return true;
	}
	if (use->shape->has_rows)
		return lease_check(core, lease, use, name, is_first);
	prepared_find(&server->prepared, record.key)->shape = use->shape->link.hash;
	return true;
}

/* What it sends is a batch of its own, of which the client hears nothing: if it fails, so does the Query. */
bool lease_prepare_query(struct core *core, struct lease *lease, const struct lease_use *use)
{
	static const uint8_t sync[] = {CLIENT_SYNC, 0, 0, 0, 4};
	struct server *server = lease->server;
	struct prepared_entry *entry = prepared_find(&server->prepared, use->statement->key);
	struct prepared_record record = {
		.op = PREPARED_INJECT, .key = use->statement->key, .batch = server->pending.batch};
	bool was_lost = lease->check == LEASE_CHECK_LOST;
	char name[STATEMENT_NAME_BYTES];

	lease->check = LEASE_UNCHECKED;
	if (likely(entry && lease_is_good(core, server, entry, use->since_ns) &&
		    (!use->shape || use->shape->link.hash == entry->shape))) {
		prepared_touch(&server->prepared, entry);
		return true;
	}
	if (was_lost)
		return true;
	lease_note_parse(core, server, record.key);
	statement_name(record.key, name);
	lease_send_parse(core, server, use->statement, use->shape, name);
	pending_push(&server->pending, PENDING_PARSE, PENDING_HIDDEN | PENDING_TRACKED);
	prepared_log(&server->prepared, &record);
	if (use->shape && use->shape->has_rows) {
		record = (struct prepared_record){.op = PREPARED_DESCRIBE_UNNAMED,
			.key = record.key,
			.shape = use->shape->link.hash,
			.is_query = true};
		lease_send_describe(core, server, name, &record);
		lease->check = LEASE_CHECK_FIRST;
	} else if (use->shape) {
		prepared_find(&server->prepared, record.key)->shape = use->shape->link.hash;
	}
	stream_send(core, server->stream, sync, sizeof sync);
	pending_push(&server->pending, PENDING_SYNC, PENDING_HIDDEN);
	return lease->check == LEASE_UNCHECKED;
}

bool lease_prepare_unnamed(struct core *core, struct lease *lease, struct statement *statement,
	struct shape *shape, bool is_lone)
{
	struct lease_use use = {.statement = statement, .shape = shape, .is_lone = is_lone};
	bool is_first = !lease->server->pending.is_open;

	lease_send_parse(core, lease->server, use.statement, use.shape, "");
	pending_push(&lease->server->pending, PENDING_PARSE, PENDING_INJECTED);
	lease->knows_unnamed = true;
	if (!use.shape || !use.shape->has_rows)
		return true;
	return lease_check(core, lease, &use, "", is_first);
}

static void lease_note_preparing(struct core *core, struct lease *lease, struct name *name,
	unsigned flags, struct prepared_record *record)
{
	record->op = PREPARED_PARSE;
	record->name_hash = name->hash;
	record->name_serial = name->serial;
	record->batch = lease->server->pending.batch;
	lease_note_parse(core, lease->server, record->key);
	lease_note(core, lease, PENDING_PARSE, PENDING_TRACKED | flags);
	prepared_log(&lease->server->prepared, record);
	name->parsed_ns = core->now_ns;
	name->batch = record->batch;
}

void lease_note_named(struct core *core, struct lease *lease, struct name *name,
	const struct statement *statement)
{
	struct prepared_record record = {.key = statement->key};

	lease_note_preparing(core, lease, name, 0, &record);
}

void lease_note_prepare(
	struct core *core, struct lease *lease, struct name *name, struct prepared_shift shift)
{
	struct prepared_record record = {.key = name->statement->key, .shift = shift};

	lease_note_preparing(core, lease, name, PENDING_AS_PREPARE, &record);
}

void lease_describe_named(struct core *core, struct lease *lease, struct name *name,
	const struct statement *statement)
{
	struct prepared_record record = {
		.op = PREPARED_DESCRIBE,
		.key = statement->key,
		.name_hash = name->hash,
		.name_serial = name->serial,
	};
	char text[STATEMENT_NAME_BYTES];

	statement_name(record.key, text);
	lease_send_describe(core, lease->server, text, &record);
}

bool lease_claim_description(struct lease *lease, const struct name *name)
{
	struct server *server = lease->server;
	const unsigned flags = PENDING_INJECTED | PENDING_TRACKED;
	const struct prepared_record *record;

	if (pending_empty(&server->pending) || server->pending.skipping ||
		pending_last(&server->pending).kind != PENDING_DESCRIBE ||
		(pending_last(&server->pending).flags & flags) != flags)
		return false;
	if (server->pending.count == 1 && server->draft.has_types)
		return false; /* half of the answer has come */
	record = prepared_log_last(&server->prepared);
	if (record->op != PREPARED_DESCRIBE || record->name_serial != name->serial)
		return false;
	pending_reveal_last(&server->pending);
	return true;
}

void lease_note_description(struct core *core, struct lease *lease)
{
	struct prepared_record record = {
		.op = PREPARED_DESCRIBE_UNNAMED, .name_serial = lease->names->unnamed_serial};

	lease_note(core, lease, PENDING_DESCRIBE, PENDING_TRACKED);
	lease_log_description(lease->server, &record);
}

void lease_note_unnamed(struct core *core, struct lease *lease, struct statement *statement)
{
	struct names *names = (names_own(&lease->names), lease->names);
	struct prepared_record record = {
		.op = PREPARED_UNNAMED,
		.statement = names_change_unnamed(names, &core->pools->statements, statement),
		.name_serial = names->unnamed_serial,
		.batch = lease->server->pending.batch,
	};

	names->unnamed_batch = record.batch;
	lease->knows_unnamed = true;
	lease_note(core, lease, PENDING_PARSE, PENDING_TRACKED);
	prepared_log(&lease->server->prepared, &record);
}

bool lease_note_anonymous(struct core *core, struct lease *lease, struct statement *statement)
{
	struct names *names = (names_own(&lease->names), lease->names);
	struct prepared *prepared = &lease->server->prepared;
	struct prepared_entry *entry = prepared_find(prepared, statement->key);
	bool is_there = entry && lease->server->status != 'E' && /* then it fails */
		lease_is_good(core, lease->server, entry, lease->pool->stale_ns + 1);
	struct prepared_record record = {
		.op = PREPARED_UNNAMED,
		.statement = names_change_unnamed(names, &core->pools->statements, statement),
		.name_serial = names->unnamed_serial,
		.batch = lease->server->pending.batch,
	};

	names->unnamed_batch = record.batch;
	if (is_there) {
		prepared_touch(prepared, entry);
		lease_note(core, lease, PENDING_CLOSE, PENDING_AS_PARSE | PENDING_TRACKED);
	} else {
		record.key = statement->key;
		lease_note_parse(core, lease->server, statement->key);
		lease_note(core, lease, PENDING_PARSE, PENDING_TRACKED);
	}
	prepared_log(prepared, &record);
	return is_there;
}

void lease_note_closing(
	struct core *core, struct lease *lease, struct name *name, enum pending_kind kind)
{
	struct prepared_record record = {
		.op = PREPARED_CLOSE,
		.name_hash = name->hash,
		.name_serial = name->serial,
		.batch = lease->server->pending.batch,
	};

	name->is_closing = true;
	name->batch = record.batch;
	if (kind !=
		PENDING_CLOSE) /* it may fail without ending the batch: as if it were of another one */
		name->batch = record.batch > 1 ? record.batch - 1 : UINT32_MAX;
	lease_note(core, lease, kind, PENDING_TRACKED);
	prepared_log(&lease->server->prepared, &record);
}

/* ---- what came of it ---- */

static struct name *lease_recorded_name(struct server *server, const struct prepared_record *record)
{
	return server->lease
		? names_find_serial(server->lease->names, record->name_hash, record->name_serial)
		: NULL;
}

/* An empty statement, without parameters, is parsed in a transaction that has failed, too. */
void lease_occupy(struct core *core, struct lease *lease)
{
	static const uint8_t close_and_parse[] = {CLIENT_CLOSE, 0, 0, 0, 13, 'S', 'p', 'g', 'r',
		'i', 'n', 'g', '_', 0, CLIENT_PARSE, 0, 0, 0, 15, 'p', 'g', 'r', 'i', 'n', 'g', '_',
		0, 0, 0, 0};
	struct server *server = lease->server;

	stream_send(core, server->stream, close_and_parse, sizeof close_and_parse);
	pending_push(&server->pending, PENDING_CLOSE, PENDING_INJECTED);
	pending_push(&server->pending, PENDING_PARSE, PENDING_INJECTED);
}

void lease_note_duplicate(struct core *core, struct lease *lease, const struct name *name,
	enum pending_kind kind, struct prepared_shift shift)
{
	struct prepared_record record = {.op = PREPARED_DUPLICATE,
		.name_hash = name->hash,
		.name_serial = name->serial,
		.shift = shift};

	lease_occupy(core, lease);
	lease_note(core, lease, kind, PENDING_TRACKED);
	prepared_log(&lease->server->prepared, &record);
}

void lease_note_execute(struct core *core, struct lease *lease, const struct name *name,
	struct prepared_shift shift)
{
	struct prepared_record record = {.op = PREPARED_EXECUTE,
		.name_hash = name->hash,
		.name_serial = name->serial,
		.shift = shift};

	lease_note(core, lease, PENDING_QUERY, PENDING_TRACKED);
	prepared_log(&lease->server->prepared, &record);
}

void lease_prepared_done(struct core *core, struct server *server)
{
	struct prepared_record record = prepared_log_pop(&server->prepared);
	struct prepared_entry *entry = prepared_find(&server->prepared, record.key);
	struct names *names = server->lease ? server->lease->names : NULL;
	struct name *name;

	if (entry && entry->batch == record.batch)
		entry->batch = 0;
	switch ((enum prepared_op)record.op) {
	case PREPARED_PARSE:
		if ((name = lease_recorded_name(server, &record)) && !name->is_closing)
			name->batch = 0;
		return;
	case PREPARED_EVICT:
		if (entry && entry->state == PREPARED_EVICTED && entry->batch == 0)
			prepared_remove(&server->prepared, entry);
		return;
	case PREPARED_CLOSE:
		if ((name = lease_recorded_name(server, &record)))
			names_remove(names, name);
		return;
	case PREPARED_UNNAMED:
		if (names && names->unnamed_serial == record.name_serial)
			names->unnamed_batch = 0;
		statement_drop(&core->pools->statements, record.statement);
		return;
	case PREPARED_INJECT:
	case PREPARED_DUPLICATE:
	case PREPARED_EXECUTE:
		return;
	case PREPARED_DESCRIBE:
	case PREPARED_DESCRIBE_UNNAMED:
		break; /* lease_described */
	}
	UNREACHABLE();
}

/* The client hears that its statement is not what it was, and nothing of what the server makes of it; and the server's transaction
 * fails, as it would have by itself. */
static void lease_refuse_stale(struct core *core, struct server *server)
{
	static const uint8_t sync[] = {CLIENT_SYNC, 0, 0, 0, 4};
	bool is_synced;

	server->lease->events->refused(core, server->lease, REFUSAL_STALE_PLAN);
	is_synced = pending_hide(&server->pending);
	lease_send_failing(core, server, PENDING_PARSE, PENDING_HIDDEN);
	if (is_synced) {
		stream_send(core, server->stream, sync, sizeof sync);
		pending_push(&server->pending, PENDING_SYNC, 0);
	}
}

/* What the client knows has been compared with what is. */
static void lease_checked(struct core *core, struct server *server, bool is_same)
{
	struct lease *lease = server->lease;
	bool is_alongside = lease->check == LEASE_CHECK_ALONGSIDE;

	lease->check = is_same || is_alongside ? LEASE_UNCHECKED : LEASE_CHECK_FAILED;
	if (is_same)
		return;
	server->pool->stale_ns = core->now_ns;
	lease->knows_unnamed = false; /* if it was that one, it is to be checked each time */
	if (is_alongside)
		lease_refuse_stale(core, server);
}

/* The client has been told what its statement is. */
static void lease_told(struct server *server, struct shapes *shapes,
	const struct prepared_record *record, uint64_t hash, bool has_rows)
{
	struct name *name = lease_recorded_name(server, record);
	struct names *names = server->lease->names;

	if (hash == 0)
		return;
	if (record->op == PREPARED_DESCRIBE && name && !name->shape)
		name->shape = shape_share(shapes, hash, has_rows, &server->draft);
	if (record->op == PREPARED_DESCRIBE_UNNAMED && names->unnamed && !names->unnamed_shape &&
		names->unnamed_serial == record->name_serial)
		names->unnamed_shape = shape_share(shapes, hash, has_rows, &server->draft);
}

static void lease_settle_description(
	struct core *core, struct server *server, uint64_t hash, bool has_rows)
{
	struct prepared_record record = prepared_log_pop(&server->prepared);
	struct prepared_entry *entry = prepared_find(&server->prepared, record.key);

	if (entry && entry->described == record.described)
		entry->shape = hash;
	if (server->lease && record.shape)
		lease_checked(core, server, hash == record.shape);
	else if (server->lease)
		lease_told(server, &core->pools->statements.shapes, &record, hash, has_rows);
	shape_draft_clear(&server->draft);
}

void lease_described(struct core *core, struct server *server, const uint8_t *body, size_t len)
{
	lease_settle_description(core, server,
		shape_draft_hash(&server->draft, core->pools->statements.key, body, len),
		body != NULL);
}

void lease_described_unseen(struct core *core, struct server *server)
{
	lease_settle_description(core, server, 0, true);
}

static void lease_undo_close(struct lease *lease, struct name *name)
{
	if (names_find(lease->names, name->text, name->len)) {
		names_remove(lease->names, name);
		return;
	}
	name->is_closing = false;
	name->batch = 0;
}

static void lease_undo_unnamed(struct core *core, struct lease *lease,
	const struct prepared_record *record, bool is_skipped)
{
	struct statements *statements = &core->pools->statements;

	if (!lease || lease->names->unnamed_serial != record->name_serial) {
		statement_drop(statements, record->statement);
		return;
	}
	/* A Parse that fails has destroyed the one before; one that is skipped has not. */
	if (is_skipped) {
		names_restore_unnamed(lease->names, statements, record->statement);
		return;
	}
	names_set_unnamed(lease->names, statements, NULL);
	statement_drop(statements, record->statement);
}

static void lease_undo(struct core *core, struct server *server,
	const struct prepared_record *record, bool is_skipped)
{
	struct prepared_entry *entry = prepared_find(&server->prepared, record->key);
	struct name *name;

	if (entry && entry->batch == record->batch) {
		prepared_touch(&server->prepared, entry);
		entry->parsed_ns = 0;
		entry->batch = 0;
	}
	switch ((enum prepared_op)record->op) {
	case PREPARED_PARSE:
		if ((name = lease_recorded_name(server, record)))
			names_remove(server->lease->names, name);
		return;
	case PREPARED_CLOSE:
		if ((name = lease_recorded_name(server, record)))
			lease_undo_close(server->lease, name);
		return;
	case PREPARED_UNNAMED:
		lease_undo_unnamed(core, server->lease, record, is_skipped);
		return;
	case PREPARED_DESCRIBE:
	case PREPARED_DESCRIBE_UNNAMED:
		shape_draft_clear(&server->draft);
		if (server->lease && record->shape)
			server->lease->check =
				record->is_query ? LEASE_CHECK_LOST : LEASE_UNCHECKED;
		return;
	case PREPARED_INJECT:
	case PREPARED_EVICT:
	case PREPARED_DUPLICATE:
	case PREPARED_EXECUTE:
		return;
	}
	UNREACHABLE();
}

/* What was done last is undone first: a Close, and then a Parse of the same name, leave the name as it was. */
void lease_prepared_failed(struct core *core, struct server *server, bool is_head, unsigned dropped)
{
	for (unsigned i = dropped; i-- > 0;)
		lease_undo(core, server, prepared_log_at(&server->prepared, i), i > 0 || !is_head);
	prepared_log_drop(&server->prepared, dropped);
}

void lease_prepared_lost(struct core *core, struct server *server)
{
	lease_prepared_failed(core, server, false, server->prepared.log_count);
}

void lease_deallocated(struct core *core, struct server *server)
{
	struct prepared *prepared = &server->prepared;
	uint32_t kept = server->lease ? server->lease->names->serial + 1 : 0;
	struct prepared_entry *entry;

	prepared_forget(prepared);
	/* What was sent behind it is there again, or will be. */
	for (uint32_t i = 0; i < prepared->log_count; i++) {
		const struct prepared_record *record =
			&prepared->log[(prepared->log_first + i) & (prepared->log_size - 1)];

		if (record->op == PREPARED_EVICT || record->op == PREPARED_DESCRIBE ||
			record->op == PREPARED_DESCRIBE_UNNAMED ||
			(record->key.a == 0 && record->key.b == 0))
			continue;
		if (!prepared_find(prepared, record->key)) {
			entry = prepared_add(prepared, record->key);
			entry->parsed_ns = core->now_ns;
			entry->batch = record->batch;
		}
		if (record->op == PREPARED_PARSE && record->name_serial < kept)
			kept = record->name_serial;
	}
	if (server->lease)
		names_clear_before(server->lease->names, kept);
}
