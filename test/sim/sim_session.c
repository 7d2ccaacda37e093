/* What PostgreSQL does with each message, as far as a pooler can tell; and what it must never be asked. */
#include "test/sim/sim_session.h"

#include "core/clock.h"
#include "protocol/reader.h"
#include "test/sim/sim.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_hidden.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSION_OUT_ENOUGH = 32 * 1024, SESSION_ALL_CHANNELS = INT32_MAX };

/* How pgring calls the block by which it listens in a client's batch. */
static const char session_block[] = "pgring_listen";

static void session_next_statement(struct sim_session *session);

/* ---- the judge ---- */

/* A request of that client reaches this session. */
static void session_judge(struct sim_session *session, unsigned client, unsigned seq)
{
	const char *name = sim_client_name(client);
	char own[SESSION_NAME];

	SIM_CHECK(sim_client_port(client) == session->port,
		"C%u.%u reached server %u, which is not its own", client, seq, session->port);
	SIM_CHECK(session->owner == 0 || session->owner == client,
		"C%u.%u runs in the transaction of C%u, session %u", client, seq, session->owner,
		session->pid);
	SIM_CHECK(session->batch_owner == 0 || session->batch_owner == client,
		"C%u.%u comes into the batch of C%u, session %u", client, seq, session->batch_owner,
		session->pid);
	SIM_CHECK(session->dirty_owner == 0 || session->dirty_owner == client,
		"C%u.%u meets what C%u left in the session %u", client, seq, session->dirty_owner,
		session->pid);
	SIM_CHECK(session->mine == 0 || session->mine == client,
		"C%u.%u meets what C%u has set in the session %u", client, seq, session->mine,
		session->pid);
	sim_notify_judge(session, client);
	snprintf(own, sizeof own, "n%u", client);
	SIM_CHECK(strcmp(session->name, own) == 0 || strcmp(session->name, name ? name : "") == 0,
		"C%u.%u runs with application_name \"%s\", session %u; its own is \"%s\"", client,
		seq, session->name, session->pid, name ? name : "");
	if (name)
		sim_reached(REACH_STARTUP_SETTING);
}

/* ---- writing ---- */

void sim_session_error(
	struct sim_session *session, const char *severity, const char *sqlstate, const char *text)
{
	struct sim_bytes *out = &session->out;

	sim_bytes_begin(out, 'E');
	sim_bytes_add(out, "S", 1);
	sim_bytes_add_string(out, severity);
	sim_bytes_add(out, "V", 1);
	sim_bytes_add_string(out, severity);
	sim_bytes_add(out, "C", 1);
	sim_bytes_add_string(out, sqlstate);
	sim_bytes_add(out, "M", 1);
	sim_bytes_add_string(out, text);
	sim_bytes_add(out, "", 1);
	sim_bytes_end(out);
}

void sim_session_notice(struct sim_session *session, const char *text)
{
	struct sim_bytes *out = &session->out;

	sim_bytes_begin(out, 'N');
	sim_bytes_add(out, "SNOTICE\0VNOTICE\0C00000\0M", 24);
	sim_bytes_add_string(out, text);
	sim_bytes_add(out, "", 1);
	sim_bytes_end(out);
}

void sim_session_parameter(struct sim_session *session, const char *name, const char *value)
{
	sim_bytes_begin(&session->out, 'S');
	sim_bytes_add_string(&session->out, name);
	sim_bytes_add_string(&session->out, value);
	sim_bytes_end(&session->out);
}

/* A transaction that nobody has begun is over. */
static void session_ready(struct sim_session *session)
{
	if (session->status == 'I') {
		sim_notify_commit(session);
		sim_notify_tell(session);
	}
	sim_bytes_begin(&session->out, 'Z');
	sim_bytes_add(&session->out, &session->status, 1);
	sim_bytes_end(&session->out);
	sim_trace("session %u: ready %c", session->pid, session->status);
}

void sim_session_row_description(struct sim_session *session)
{
	struct sim_bytes *out = &session->out;

	sim_bytes_begin(out, 'T');
	sim_bytes_add_u16(out, 1);
	sim_bytes_add_string(out, "row");
	sim_bytes_add(out, "\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0", 18);
	sim_bytes_end(out);
}

static void session_row(struct sim_session *session, unsigned row, unsigned len)
{
	struct sim_bytes *out = &session->out;

	sim_bytes_begin(out, 'D');
	sim_bytes_add_u16(out, 1);
	sim_bytes_add_u32(out, len);
	sim_sql_row(out, session->now.client, session->now.seq, row, len);
	sim_bytes_end(out);
}

void sim_session_complete(struct sim_session *session, const char *words, long count)
{
	char text[64];

	if (count >= 0)
		snprintf(text, sizeof text, "%s %ld", words, count);
	else
		snprintf(text, sizeof text, "%s", words);
	sim_bytes_message_string(&session->out, 'C', text);
}

void sim_session_set_name(struct sim_session *session, const char *name)
{
	if (strcmp(session->name, name) == 0)
		return;
	snprintf(session->name, sizeof session->name, "%s", name);
	sim_session_parameter(session, "application_name", name);
}

/* ---- errors ---- */

void sim_session_end_query(struct sim_session *session)
{
	session->in_query = false;
	session->batch_owner = 0; /* a Query ends an implicit transaction, too */
	sim_bytes_free(&session->query);
	session_ready(session);
}

void sim_session_portals_close(struct sim_session *session)
{
	memset(session->portals, 0, sizeof session->portals);
}

void sim_session_fail(struct sim_session *session, const char *sqlstate, const char *text)
{
	sim_trace("session %u: error %s", session->pid, sqlstate);
	sim_session_error(session, "ERROR", sqlstate, text);
	session->is_sleeping = session->is_producing = session->is_copying_in = false;
	session->portal = NULL;
	if (session->status == 'T')
		session->status = 'E'; /* it may yet be rolled back to a savepoint */
	else if (session->status == 'I')
		sim_notify_rollback(session);
	if (session->in_query)
		sim_session_end_query(session);
	else
		session->is_skipping = true;
}

static void session_fail_tagged(struct sim_session *session, const struct sim_statement *statement,
	const char *sqlstate, const char *text)
{
	char tagged[128];

	snprintf(tagged, sizeof tagged, "C%u.%u %s", statement->client, statement->seq, text);
	sim_session_fail(session, sqlstate, tagged);
}

/* ---- statements ---- */

void sim_session_reset(struct sim_session *session)
{
	session->mine = session->dirty_owner = 0;
	memset(&session->unnamed, 0, sizeof session->unnamed);
	memset(session->named, 0, sizeof session->named);
	free(session->block);
	session->block = NULL;
	sim_notify_reset(session);
	sim_session_portals_close(session);
	sim_session_set_name(session, "");
}

/* A statement is through. */
static void session_done(struct sim_session *session)
{
	session->is_sleeping = session->is_producing = session->is_copying_in = false;
	session->portal = NULL;
	if (session->in_query)
		session_next_statement(session);
}

static void session_dirty(struct sim_session *session, unsigned client)
{
	session->dirty_owner = client;
}

static void session_begin_rows(struct sim_session *session, unsigned rows)
{
	session->is_producing = true;
	session->row_limit = rows;
	if (session->now.verb == SIM_COPY_OUT) {
		sim_bytes_begin(&session->out, 'H');
		sim_bytes_add(&session->out, "\0\0\1\0\0", 5);
		sim_bytes_end(&session->out);
	} else if (!session->is_extended) {
		sim_session_row_description(session);
	}
}

static void session_transaction(struct sim_session *session, const struct sim_statement *statement)
{
	const char *tag = sim_sql_tag(statement->verb);

	if (statement->verb == SIM_BEGIN) {
		session->status = 'T';
		session->owner = statement->client;
	} else {
		if (statement->verb == SIM_COMMIT && session->status != 'E')
			sim_notify_commit(session);
		else
			sim_notify_rollback(session);
		if (session->status == 'E')
			tag = "ROLLBACK";
		session->status = 'I';
		session->owner = 0;
	}
	sim_session_complete(session, tag, -1);
}

static void session_savepoint(struct sim_session *session, const struct sim_statement *statement)
{
	bool is_there = true;

	if (session->status == 'I') {
		session_fail_tagged(session, statement, "25P01", "not in a transaction block");
		return;
	}
	if (statement->verb == SIM_SAVEPOINT)
		sim_notify_savepoint(session, statement->a);
	else if (statement->verb == SIM_RELEASE)
		is_there = sim_notify_release(session, statement->a);
	else
		is_there = sim_notify_rollback_to(session, statement->a);
	if (!is_there) {
		session_fail_tagged(session, statement, "3B001", "no such savepoint");
		return;
	}
	session->status = 'T';
	sim_session_complete(session, sim_sql_tag(statement->verb), -1);
	session_done(session);
}

/* Begins to answer session->now. */
static void session_execute(struct sim_session *session)
{
	const struct sim_statement *now = &session->now;
	char text[96];

	session_judge(session, now->client, now->seq);
	sim_client_executes(
		now->client, now->seq, session->portal && session->portal->next_row > 0);
	sim_trace("session %u: runs C%u.%u %s%s", session->pid, now->client, now->seq,
		sim_sql_tag(now->verb), session->is_extended ? " (extended)" : "");
	if (session->status == 'E' && !sim_sql_exits(now->verb)) {
		session_fail_tagged(session, now, "25P02", "current transaction is aborted");
		return;
	}
	snprintf(text, sizeof text, "C%u.%u notice", now->client, now->seq);
	if (now->verb == SIM_NOTICE || sim_fault(FAULT_SERVER_NOTICES))
		sim_session_notice(session, text);
	session->next_row = session->portal ? session->portal->next_row : 0;
	switch (now->verb) {
	case SIM_ROWS:
	case SIM_COPY_OUT:
		session_begin_rows(session, now->a);
		return;
	case SIM_SLEEP:
		session->is_sleeping = true;
		session->busy_until_ns = sim_now_ns() + now->a * NS_PER_MS;
		return;
	case SIM_SHOW:
		session_begin_rows(session, 1);
		return;
	case SIM_SET:
		session->mine = now->client;
		break;
	case SIM_SET_NAME:
		snprintf(text, sizeof text, "n%u", now->a);
		sim_session_set_name(session, text);
		break;
	case SIM_FAIL:
		session_fail_tagged(session, now, "P0001", "as you wish");
		return;
	case SIM_BEGIN:
	case SIM_COMMIT:
	case SIM_ROLLBACK:
		session_transaction(session, now);
		session_done(session);
		return;
	case SIM_SAVEPOINT:
	case SIM_ROLLBACK_TO:
	case SIM_RELEASE:
		session_savepoint(session, now);
		return;
	case SIM_COPY_IN:
		session->is_copying_in = true;
		sim_bytes_begin(&session->out, 'G');
		sim_bytes_add(&session->out, "\0\0\1\0\0", 5);
		sim_bytes_end(&session->out);
		return;
	case SIM_LISTEN:
		sim_notify_listen(session, now->client, 1U << now->a);
		break;
	case SIM_UNLISTEN:
		sim_notify_unlisten(session, now->client, 1U << now->a);
		break;
	case SIM_UNLISTEN_ALL:
		sim_notify_unlisten(session, now->client, SESSION_ALL_CHANNELS);
		break;
	case SIM_NOTIFY:
		sim_notify_post(session, now->client, now->seq, now->a);
		break;
	case SIM_NOTICE:
	case SIM_FUNCTION:
	case SIM_VERB_COUNT:
		break;
	}
	sim_session_complete(session, sim_sql_tag(now->verb), -1);
	session_done(session);
}

static void session_produce(struct sim_session *session)
{
	const struct sim_statement *now = &session->now;
	char text[SIM_ROW_LEAST];
	int len;

	while (session->next_row < session->row_limit && session->out.len < SESSION_OUT_ENOUGH) {
		if (now->verb == SIM_SHOW) {
			len = snprintf(text, sizeof text, "C%u.%u mine=%u", now->client, now->seq,
				session->mine);
			sim_bytes_begin(&session->out, 'D');
			sim_bytes_add_u16(&session->out, 1);
			sim_bytes_add_u32(&session->out, (uint32_t)len);
			sim_bytes_add(&session->out, text, (size_t)len);
			sim_bytes_end(&session->out);
		} else if (now->verb == SIM_COPY_OUT) {
			sim_bytes_begin(&session->out, 'd');
			sim_sql_row(
				&session->out, now->client, now->seq, session->next_row, now->b);
			sim_bytes_end(&session->out);
		} else {
			session_row(session, session->next_row, now->b);
		}
		session->next_row++;
	}
	if (session->next_row < session->row_limit)
		return;
	if (session->portal && now->verb == SIM_ROWS && session->next_row < now->a) {
		session->portal->next_row = session->next_row;
		sim_bytes_message(&session->out, 's');
		session_done(session);
		return;
	}
	if (now->verb == SIM_COPY_OUT)
		sim_bytes_message(&session->out, 'c');
	sim_session_complete(session, sim_sql_tag(now->verb),
		now->verb == SIM_SHOW ? -1
				      : (long)session->next_row -
				(session->portal ? (long)session->portal->next_row : 0));
	session_done(session);
}

bool sim_session_has_news(const struct sim_session *session)
{
	return sim_notify_has_news(session) && !sim_session_is_busy(session);
}

bool sim_session_is_busy(const struct sim_session *session)
{
	return session->is_sleeping || session->is_producing ||
		session->busy_until_ns > sim_now_ns();
}

void sim_session_go_on(struct sim_session *session)
{
	if (session->busy_until_ns > sim_now_ns())
		return;
	if (session->is_sleeping) {
		session->is_sleeping = false;
		session_begin_rows(session, 1);
	}
	if (session->is_producing && session->out.len < SESSION_OUT_ENOUGH)
		session_produce(session);
}

void sim_session_cancel(struct sim_session *session)
{
	if (!session->is_sleeping && !session->is_producing && !session->is_copying_in)
		return;
	/* pgring asks by itself when it gives up a server that is busy */
	SIM_CHECK(sim_client_has_cancelled(session->now.client) || !sim_pooler_uses(session->pid),
		"a cancel hits C%u.%u, which did not ask for it", session->now.client,
		session->now.seq);
	session->busy_until_ns = 0;
	session_fail_tagged(
		session, &session->now, "57014", "canceling statement due to user request");
}

/* ---- the simple protocol ---- */

static void session_next_statement(struct sim_session *session)
{
	size_t used;

	if (session->query.len <= 1) {
		sim_session_end_query(session);
		return;
	}
	SIM_CHECK(sim_sql_parse((const char *)sim_bytes_at(&session->query), session->query.len,
			  &session->now, &used),
		"session %u: a garbled query: %.80s", session->pid,
		(const char *)sim_bytes_at(&session->query));
	sim_bytes_take(&session->query, used);
	session_execute(session);
}

static void session_query(struct sim_session *session, const uint8_t *body, size_t len)
{
	SIM_CHECK(len > 0 && body[len - 1] == '\0', "a query without an end");
	sim_bytes_add(&session->query, body, len);
	session->in_query = true;
	session->is_extended = false;
	memset(&session->unnamed, 0, sizeof session->unnamed);
	if (len > 1 && strncmp((const char *)body, "/*C", 3) != 0) {
		SIM_CHECK(sim_hidden(session), "session %u: a garbled query: %.80s", session->pid,
			(const char *)body);
		return;
	}
	session_next_statement(session);
}

static void session_function(struct sim_session *session, const uint8_t *body, size_t len)
{
	unsigned client, seq;

	SIM_CHECK(len > 14 && sim_sql_parse_tag((const char *)body + 12, len - 14, &client, &seq),
		"a garbled function call");
	session->now = (struct sim_statement){.client = client, .seq = seq, .verb = SIM_FUNCTION};
	session_judge(session, client, seq);
	sim_client_executes(client, seq, false);
	if (session->status == 'E') {
		session->in_query = true;
		session_fail_tagged(
			session, &session->now, "25P02", "current transaction is aborted");
		return;
	}
	sim_bytes_begin(&session->out, 'V');
	sim_bytes_add_u32(&session->out, SIM_ROW_LEAST);
	sim_sql_row(&session->out, client, seq, 0, SIM_ROW_LEAST);
	sim_bytes_end(&session->out);
	session_ready(session);
}

/* ---- the extended protocol ---- */

static struct session_prepared *session_prepared(
	struct sim_session *session, const char *name, bool make)
{
	if (!*name)
		return session->unnamed.is_set || make ? &session->unnamed : NULL;
	for (size_t i = 0; i < SESSION_PREPARED; i++)
		if (session->named[i].is_set && strcmp(session->named[i].name, name) == 0)
			return &session->named[i];
	for (size_t i = 0; make && i < SESSION_PREPARED; i++)
		if (!session->named[i].is_set)
			return &session->named[i];
	return NULL;
}

static struct session_portal *session_portal(
	struct sim_session *session, const char *name, bool make)
{
	for (size_t i = 0; i < SESSION_PORTALS; i++)
		if (session->portals[i].is_set && strcmp(session->portals[i].name, name) == 0)
			return &session->portals[i];
	for (size_t i = 0; make && i < SESSION_PORTALS; i++)
		if (!session->portals[i].is_set)
			return &session->portals[i];
	return NULL;
}

/* A name that pgring gives. */
static bool session_name_is_shared(const char *name)
{
	return strncmp(name, "pgring_", 7) == 0;
}

/* By a block the pooler listens for the client in whose batch it stands. */
static void session_parse_block(struct sim_session *session, const char *text)
{
	SIM_CHECK(!session->block, "session %u: the block is there already", session->pid);
	session->block = sim_hidden_block(session, text);
	if (session->status == 'E') {
		free(session->block);
		session->block = NULL;
		sim_session_fail(session, "25P02", "current transaction is aborted");
		return;
	}
	sim_bytes_message(&session->out, '1');
}

static void session_execute_block(struct sim_session *session)
{
	SIM_CHECK(session->block, "session %u: there is no block", session->pid);
	sim_trace("session %u: the pooler's %.60s", session->pid, session->block);
	sim_notify_block(session, session->block);
	sim_reached(REACH_LISTEN_IN_BATCH);
}

static void session_parse(struct sim_session *session, struct reader *reader)
{
	const char *name = reader_cstring(reader), *text = reader_cstring(reader);
	struct session_prepared *prepared;
	struct sim_statement statement;
	size_t used;

	SIM_CHECK(name && text, "a garbled Parse");
	if (strcmp(name, session_block) == 0) {
		session_parse_block(session, text);
		return;
	}
	if (strcmp(text, ";SELECT;SELECT") == 0) {
		sim_session_fail(session, "42601",
			"cannot insert multiple commands into a prepared statement");
		return;
	}
	SIM_CHECK(sim_sql_parse(text, strlen(text), &statement, &used) && used == strlen(text),
		"session %u: a garbled Parse: %.80s", session->pid, text);
	session_judge(session, statement.client, statement.seq);
	session->batch_owner = statement.client;
	if (session->status == 'E' && !sim_sql_exits(statement.verb)) {
		if (session_name_is_shared(name)) /* the tag may be of another request */
			sim_session_fail(session, "25P02", "current transaction is aborted");
		else
			session_fail_tagged(
				session, &statement, "25P02", "current transaction is aborted");
		return;
	}
	prepared = session_prepared(session, name, true);
	if (session_name_is_shared(name)) {
		SIM_CHECK(prepared && !prepared->is_set,
			"session %u: C%u parses what is there, or too much", session->pid,
			statement.client);
		sim_reached(REACH_NAMED_INJECTED);
	}
	if (!prepared || (*name && prepared->is_set)) {
		session_fail_tagged(
			session, &statement, "42P05", "prepared statement already exists");
		return;
	}
	*prepared = (struct session_prepared){.is_set = true, .statement = statement};
	snprintf(prepared->name, sizeof prepared->name, "%s", name);
	if (*name && !session_name_is_shared(name))
		session_dirty(session, statement.client);
	sim_bytes_message(&session->out, '1');
}

static void session_bind(struct sim_session *session, struct reader *reader)
{
	const char *name = reader_cstring(reader), *from = reader_cstring(reader);
	struct session_prepared *prepared;
	struct session_portal *portal;
	unsigned client, seq;
	uint16_t formats, count;
	const uint8_t *value;
	int32_t len;

	if (from && strcmp(from, session_block) == 0) {
		sim_bytes_message(&session->out, '2');
		return;
	}
	formats = reader_u16(reader);
	count = reader_u16(reader);
	len = reader_i32(reader);
	value = len >= 0 ? reader_bytes(reader, (size_t)len) : NULL;
	SIM_CHECK(name && from && formats == 0 && count == 1 && value &&
			sim_sql_parse_tag((const char *)value, (size_t)len, &client, &seq) &&
			reader_u16(reader) == 0,
		"a garbled Bind");
	session_judge(session, client, seq);
	session->batch_owner = client;
	prepared = session_prepared(session, from, false);
	if (!prepared) {
		sim_session_fail(session, "26000", "prepared statement does not exist");
		return;
	}
	SIM_CHECK(prepared->statement.client == client,
		"C%u.%u binds the statement of C%u, session %u", client, seq,
		prepared->statement.client, session->pid);
	if (session->status == 'E' && !sim_sql_exits(prepared->statement.verb)) {
		session_fail_tagged(session, &(struct sim_statement){.client = client, .seq = seq},
			"25P02", "current transaction is aborted");
		return;
	}
	portal = session_portal(session, name, true);
	CHECK(portal);
	*portal = (struct session_portal){.is_set = true, .statement = prepared->statement};
	portal->statement.seq = seq;
	snprintf(portal->name, sizeof portal->name, "%s", name);
	sim_bytes_message(&session->out, '2');
}

static void session_describe(struct sim_session *session, struct reader *reader)
{
	char what = (char)reader_u8(reader);
	const char *name = reader_cstring(reader);
	struct session_prepared *prepared =
		what == 'S' ? session_prepared(session, name, false) : NULL;
	struct session_portal *portal = what == 'P' ? session_portal(session, name, false) : NULL;
	const struct sim_statement *statement;

	if (!prepared && !portal) {
		sim_session_fail(session, what == 'S' ? "26000" : "34000", "it does not exist");
		return;
	}
	statement = prepared ? &prepared->statement : &portal->statement;
	session_judge(session, statement->client, statement->seq);
	if (prepared) {
		sim_bytes_begin(&session->out, 't');
		sim_bytes_add(&session->out, "\0\1\0\0\0\x19", 6);
		sim_bytes_end(&session->out);
	}
	if (sim_sql_has_rows(statement->verb))
		sim_session_row_description(session);
	else
		sim_bytes_message(&session->out, 'n');
}

static void session_execute_portal(struct sim_session *session, struct reader *reader)
{
	const char *name = reader_cstring(reader);
	uint32_t most = reader_u32(reader);
	struct session_portal *portal = session_portal(session, name, false);

	if (strcmp(name, session_block) == 0) {
		session_execute_block(session);
		return;
	}
	if (!portal) {
		sim_session_fail(session, "34000", "portal does not exist");
		return;
	}
	session->now = portal->statement;
	session->is_extended = true;
	session->portal = portal;
	session->batch_owner = session->now.client;
	session_execute(session);
	if (session->is_producing && session->now.verb == SIM_ROWS && most > 0 &&
		session->row_limit - session->next_row > most)
		session->row_limit = session->next_row + most;
}

/* Dirt are statements under names that are not the pooler's. */
static void session_clean(struct sim_session *session)
{
	for (size_t i = 0; i < array_len(session->named); i++)
		if (session->named[i].is_set && !session_name_is_shared(session->named[i].name))
			return;
	session->dirty_owner = 0;
}

static void session_close(struct sim_session *session, struct reader *reader)
{
	char what = (char)reader_u8(reader);
	const char *name = reader_cstring(reader);
	struct session_prepared *prepared =
		what == 'S' ? session_prepared(session, name, false) : NULL;
	struct session_portal *portal = what == 'P' ? session_portal(session, name, false) : NULL;

	if (what == 'S' && strcmp(name, session_block) == 0) {
		free(session->block);
		session->block = NULL;
	}
	if (prepared && session_name_is_shared(name))
		sim_reached(REACH_NAMED_EVICTED);
	if (prepared) {
		prepared->is_set = false;
		session_clean(session);
	}
	if (portal)
		portal->is_set = false;
	sim_bytes_message(&session->out, '3');
}

static void session_sync(struct sim_session *session)
{
	if (session->batch_owner && !session->is_skipping)
		sim_client_synced(session->batch_owner);
	session->is_skipping = false;
	session->batch_owner = 0;
	if (session->status == 'I')
		sim_session_portals_close(session);
	session_ready(session);
}

/* ---- COPY ---- */

static void session_copy_message(
	struct sim_session *session, char type, const uint8_t *body, size_t len)
{
	switch (type) {
	case 'd':
		SIM_CHECK(sim_sql_row_is(body, len, session->now.client, session->now.seq,
				  session->next_row),
			"session %u: COPY of C%u.%u gets other data than it sent, row %u",
			session->pid, session->now.client, session->now.seq, session->next_row);
		session->next_row++;
		return;
	case 'c':
		sim_session_complete(session, "COPY", (long)session->next_row);
		session_done(session);
		return;
	case 'f':
		session_fail_tagged(session, &session->now, "57014", "COPY from stdin failed");
		return;
	case 'H':
	case 'S':
		return;
	}
	/* PostgreSQL loses its place in the stream, and ends. */
	sim_session_error(session, "FATAL", "08P01",
		"terminating connection because protocol synchronization was lost");
	session->is_closing = true;
}

void sim_session_message(struct sim_session *session, char type, const uint8_t *body, size_t len)
{
	struct reader reader;

	reader_init(&reader, body, len);
	sim_trace("session %u: hears %c of %zu bytes", session->pid, type, len);
	if (session->is_copying_in) {
		session_copy_message(session, type, body, len);
		return;
	}
	if (session->is_skipping && type != 'S' && type != 'X')
		return;
	switch (type) {
	case 'Q':
		session_query(session, body, len);
		return;
	case 'F':
		session_function(session, body, len);
		return;
	case 'P':
		session_parse(session, &reader);
		return;
	case 'B':
		session_bind(session, &reader);
		return;
	case 'D':
		session_describe(session, &reader);
		return;
	case 'E':
		session_execute_portal(session, &reader);
		return;
	case 'C':
		session_close(session, &reader);
		return;
	case 'S':
		session_sync(session);
		return;
	case 'H':
	case 'd':
	case 'c':
	case 'f':
		return;
	case 'X':
		session->is_closing = true;
		return;
	}
	sim_fail("session %u: a message of type %c (%d)", session->pid, type, type);
}
