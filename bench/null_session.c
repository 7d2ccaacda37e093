/* One connection to the null server: messages in, answers out. */
#include "bench/null_session.h"

#include "bench/child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MESSAGE_MAX = 64 << 20,
	BLOCK_BYTES = 256 << 10,
};

static struct statement_text text_of(const char *text)
{
	return (struct statement_text){text, (uint32_t)strlen(text)};
}

/* Whether the next answer is one that --wrong-every spoils. */
static bool becomes_wrong(struct null_session *session)
{
	struct null_session_shared *shared = session->shared;

	return shared->wrong_every && ++shared->answers % shared->wrong_every == 0;
}

/* ---- single messages ---- */

static void put_ready(struct null_session *session)
{
	wire_begin(session->out, 'Z');
	wire_byte(session->out, session->transaction);
	wire_end(session->out);
}

static void put_tag(struct wire_buf *out, const char *tag)
{
	wire_begin(out, 'C');
	wire_text(out, tag);
	wire_end(out);
}

static void put_parameter(
	struct wire_buf *out, struct statement_text name, struct statement_text value)
{
	wire_begin(out, 'S');
	wire_bytes(out, name.at, name.len);
	wire_byte(out, 0);
	wire_bytes(out, value.at, value.len);
	wire_byte(out, 0);
	wire_end(out);
}

static void put_error(struct null_session *session, const char *severity, const char *sqlstate,
	const char *message)
{
	struct wire_buf *out = session->out;

	wire_begin(out, 'E');
	wire_byte(out, 'S');
	wire_text(out, severity);
	wire_byte(out, 'V');
	wire_text(out, severity);
	wire_byte(out, 'C');
	wire_text(out, sqlstate);
	wire_byte(out, 'M');
	wire_text(out, message);
	wire_byte(out, 0);
	wire_end(out);
	if (session->transaction == 'T')
		session->transaction = 'E';
}

/* An error inside the extended protocol: nothing more is done before Sync. */
static void put_extended_error(
	struct null_session *session, const char *sqlstate, const char *message)
{
	put_error(session, "ERROR", sqlstate, message);
	session->skip_to_sync = true;
}

static void put_fatal(struct null_session *session, const char *message)
{
	put_error(session, "FATAL", "08P01", message);
	session->phase = NULL_SESSION_CLOSED;
}

static void put_row_description(struct wire_buf *out, const struct statement *statement)
{
	wire_begin(out, 'T');
	wire_u16(out, statement->column_count);
	for (unsigned i = 0; i < statement->column_count; i++) {
		const struct statement_column *column = &statement->columns[i];

		wire_bytes(out, column->name.at, column->name.len);
		wire_byte(out, 0);
		wire_u32(out, 0);
		wire_u16(out, 0);
		wire_u32(out, column->type);
		wire_u16(out, column->type == 20 ? 8 : 0xffff);
		wire_u32(out, 0xffffffff);
		wire_u16(out, 0);
	}
	wire_end(out);
}

/* The one row of a SELECT. `portal` gives the parameters' values; NULL where there are none. */
static void put_row(struct null_session *session, const struct statement *statement,
	const struct null_portal *portal)
{
	struct wire_buf *out = session->out;

	wire_begin(out, 'D');
	wire_u16(out, statement->column_count);
	for (unsigned i = 0; i < statement->column_count; i++) {
		const struct statement_column *column = &statement->columns[i];
		struct statement_text value = column->value;

		if (column->parameter)
			value = portal->parameters[column->parameter - 1];
		wire_u32(out, value.at ? value.len : 0xffffffff);
		if (value.at)
			wire_bytes(out, value.at, value.len);
	}
	wire_end(out);
	if (becomes_wrong(session))
		out->bytes[out->len - 1] ^= 1; /* a digit becomes its neighbour */
}

static bool returns_rows(const struct statement *statement)
{
	return statement->kind == STATEMENT_ROW || statement->kind == STATEMENT_BULK;
}

/* ---- statements ---- */

static void start_bulk(struct null_session *session, const struct statement *statement, bool simple)
{
	struct null_session_bulk *bulk = calloc(1, sizeof *bulk);

	if (!bulk)
		child_fail("out of memory");
	bulk->copy = statement->kind == STATEMENT_COPY_OUT;
	bulk->simple = simple;
	bulk->total = statement->rows;
	memcpy(bulk->tag, statement->tag, sizeof bulk->tag);
	wire_rows_init(&bulk->rows, bulk->copy ? 'd' : 'D', statement->row_bytes, BLOCK_BYTES);
	session->bulk = bulk;
	session->phase = NULL_SESSION_BULK;
	if (bulk->copy) {
		wire_begin(session->out, 'H');
		wire_byte(session->out, 0);
		wire_u16(session->out, 1);
		wire_u16(session->out, 0);
		wire_end(session->out);
	}
}

static void start_copy_in(
	struct null_session *session, const struct statement *statement, bool simple)
{
	wire_begin(session->out, 'G');
	wire_byte(session->out, 0);
	wire_u16(session->out, 1);
	wire_u16(session->out, 0);
	wire_end(session->out);
	session->phase = NULL_SESSION_COPY_IN;
	session->copy_simple = simple;
	session->copy_numbered = statement->numbered;
	session->copy_rows = 0;
}

static void report_setting(struct wire_buf *out, const struct statement *statement)
{
	static const char *const reported[] = {"application_name", "client_encoding", "DateStyle",
		"IntervalStyle", "search_path", "standard_conforming_strings", "TimeZone"};

	for (size_t i = 0; i < sizeof reported / sizeof reported[0]; i++)
		if (statement_text_is(statement->name, reported[i]))
			put_parameter(out, text_of(reported[i]), statement->value);
}

/* Runs one statement; the row description has been sent if there is one to send. */
static void execute(struct null_session *session, const struct statement *statement,
	const struct null_portal *portal)
{
	session->shared->queries++;
	switch (statement->kind) {
	case STATEMENT_EMPTY:
		wire_empty(session->out, 'I');
		return;
	case STATEMENT_ROW:
		put_row(session, statement, portal);
		break;
	case STATEMENT_BULK:
	case STATEMENT_COPY_OUT:
		start_bulk(session, statement, portal == NULL);
		return; /* the tag comes when all rows are out */
	case STATEMENT_COPY_IN:
		start_copy_in(session, statement, portal == NULL);
		return;
	case STATEMENT_BEGIN:
		session->transaction = 'T';
		break;
	case STATEMENT_COMMIT:
	case STATEMENT_ROLLBACK:
		if (session->transaction == 'E') {
			session->transaction = 'I';
			put_tag(session->out, "ROLLBACK");
			return;
		}
		session->transaction = 'I';
		break;
	case STATEMENT_SET:
		report_setting(session->out, statement);
		break;
	case STATEMENT_FORGET:
		null_store_forget(&session->store, statement->name);
		break;
	case STATEMENT_FAIL:
		put_error(session, "ERROR", "22012", "the statement says so");
		session->skip_to_sync = portal != NULL;
		return;
	case STATEMENT_OTHER:
		break;
	}
	put_tag(session->out, statement->tag);
}

/* In a failed transaction only its end is executed. */
static bool refused(struct null_session *session, const struct statement *statement)
{
	return session->transaction == 'E' && statement->kind != STATEMENT_EMPTY &&
		statement->kind != STATEMENT_COMMIT && statement->kind != STATEMENT_ROLLBACK;
}

static void handle_query(struct null_session *session, const char *text, const char *end)
{
	struct statement statement;
	bool first = true;

	session->skip_to_sync = false;
	while (text < end || first) {
		size_t before;

		text = statement_read(text, end, &statement);
		if (statement.kind == STATEMENT_EMPTY && !first)
			continue;
		first = false;
		if (statement.parameter_count > 0) {
			put_error(session, "ERROR", "42P02", "there is no parameter $1");
			break;
		}
		if (refused(session, &statement)) {
			put_error(session, "ERROR", "25P02", "the transaction is aborted");
			break;
		}
		if (returns_rows(&statement))
			put_row_description(session->out, &statement);
		before = session->out->len;
		execute(session, &statement, NULL);
		if (session->phase != NULL_SESSION_READY)
			return; /* rows or copy data come first; what follows them is not run */
		if (session->out->bytes[before] == 'E')
			break;
	}
	put_ready(session);
}

/* ---- the extended protocol ---- */

static void handle_parse(struct null_session *session, struct wire_reader body)
{
	const char *name = wire_read_text(&body), *text = wire_read_text(&body);

	if (body.bad) {
		put_fatal(session, "invalid Parse message");
	} else if (*name && null_store_prepared(&session->store, name)) {
		put_extended_error(session, "42P05", "prepared statement already exists");
	} else {
		null_store_prepare(&session->store, name, text);
		wire_empty(session->out, '1');
	}
}

static void handle_bind(struct null_session *session, struct wire_reader body)
{
	const char *name = wire_read_text(&body);
	struct null_prepared *prepared =
		null_store_prepared(&session->store, wire_read_text(&body));
	struct statement_text values[NULL_STORE_PARAMETERS];
	uint16_t count;

	wire_read_bytes(&body, 2 * (size_t)wire_read_u16(&body));
	count = wire_read_u16(&body);
	for (unsigned i = 0; i < count && count <= NULL_STORE_PARAMETERS && !body.bad; i++) {
		uint32_t len = wire_read_u32(&body);

		values[i] = (struct statement_text){0};
		if (len != 0xffffffff)
			values[i] = (struct statement_text){
				(const char *)wire_read_bytes(&body, len), len};
	}
	if (body.bad || count > NULL_STORE_PARAMETERS)
		put_fatal(session, "invalid Bind message");
	else if (!prepared)
		put_extended_error(session, "26000", "prepared statement does not exist");
	else if (count != prepared->statement.parameter_count)
		put_extended_error(session, "08P01", "wrong number of parameters");
	else if (*name && null_store_portal(&session->store, name))
		put_extended_error(session, "42P03", "portal already exists");
	else {
		null_store_bind(&session->store, name, prepared, values, count);
		wire_empty(session->out, '2');
	}
}

static void put_description(struct wire_buf *out, const struct statement *statement)
{
	if (returns_rows(statement))
		put_row_description(out, statement);
	else
		wire_empty(out, 'n');
}

static void handle_describe(struct null_session *session, struct wire_reader body)
{
	uint8_t what = *wire_read_bytes(&body, 1);
	const char *name = wire_read_text(&body);
	struct null_prepared *prepared;
	struct null_portal *portal;

	if (what == 'S') {
		prepared = null_store_prepared(&session->store, name);
		if (!prepared) {
			put_extended_error(session, "26000", "prepared statement does not exist");
			return;
		}
		wire_begin(session->out, 't');
		wire_u16(session->out, prepared->statement.parameter_count);
		for (unsigned i = 0; i < prepared->statement.parameter_count; i++)
			wire_u32(session->out, 20);
		wire_end(session->out);
		put_description(session->out, &prepared->statement);
		return;
	}
	portal = null_store_portal(&session->store, name);
	if (portal)
		put_description(session->out, &portal->statement);
	else
		put_extended_error(session, "34000", "portal does not exist");
}

static void handle_execute(struct null_session *session, struct wire_reader body)
{
	struct null_portal *portal = null_store_portal(&session->store, wire_read_text(&body));

	if (!portal)
		put_extended_error(session, "34000", "portal does not exist");
	else if (refused(session, &portal->statement))
		put_extended_error(session, "25P02", "the transaction is aborted");
	else
		execute(session, &portal->statement, portal);
}

static void handle_close(struct null_session *session, struct wire_reader body)
{
	uint8_t what = *wire_read_bytes(&body, 1);
	const char *name = wire_read_text(&body);

	if (what == 'P') {
		null_store_drop_portal(&session->store, name);
	} else if (*name) {
		null_store_forget(&session->store, text_of(name));
	} else {
		null_store_forget_unnamed(&session->store);
	}
	wire_empty(session->out, '3');
}

static void handle_sync(struct null_session *session)
{
	session->skip_to_sync = false;
	if (session->transaction == 'I')
		null_store_drop_portals(&session->store);
	put_ready(session);
}

static void handle_query_message(struct null_session *session, struct wire_reader body)
{
	if (body.end == body.at || body.end[-1] != 0)
		put_fatal(session, "invalid Query message");
	else
		handle_query(session, (const char *)body.at, (const char *)body.end - 1);
}

static void handle_message(struct null_session *session, char type, struct wire_reader body)
{
	if (type == 'X') {
		session->phase = NULL_SESSION_CLOSED;
		return;
	}
	if (session->skip_to_sync && type != 'S' && type != 'Q')
		return;
	switch (type) {
	case 'Q':
		handle_query_message(session, body);
		break;
	case 'P':
		handle_parse(session, body);
		break;
	case 'B':
		handle_bind(session, body);
		break;
	case 'D':
		handle_describe(session, body);
		break;
	case 'E':
		handle_execute(session, body);
		break;
	case 'C':
		handle_close(session, body);
		break;
	case 'S':
		handle_sync(session);
		break;
	case 'H':
		break; /* everything is sent at the end of the batch */
	case 'c':
	case 'f':
		break; /* left over from a COPY that failed */
	case 'F':
		put_error(session, "ERROR", "0A000", "no function calls here");
		put_ready(session);
		break;
	default:
		put_fatal(session, "unknown message type");
	}
}

/* ---- login ---- */

static void put_settings(struct wire_buf *out, struct statement_text application,
	struct statement_text encoding, struct statement_text user)
{
	static const char *const settings[][2] = {
		{"default_transaction_read_only", "off"},
		{"in_hot_standby", "off"},
		{"integer_datetimes", "on"},
		{"TimeZone", "Etc/UTC"},
		{"IntervalStyle", "postgres"},
		{"is_superuser", "off"},
		{"search_path", "\"$user\", public"},
		{"scram_iterations", "4096"},
		{"DateStyle", "ISO, MDY"},
		{"standard_conforming_strings", "on"},
		{"server_encoding", "UTF8"},
		{"server_version", "18.0"},
	};

	put_parameter(out, text_of("application_name"), application);
	put_parameter(out, text_of("client_encoding"), encoding);
	put_parameter(out, text_of("session_authorization"), user);
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		put_parameter(out, text_of(settings[i][0]), text_of(settings[i][1]));
}

static void login(struct null_session *session, struct wire_reader body, uint32_t version)
{
	struct statement_text application = {"", 0}, encoding = {"UTF8", 4}, user = {"", 0};

	while (body.at < body.end && *body.at && !body.bad) {
		const char *name = wire_read_text(&body), *value = wire_read_text(&body);

		if (strcmp(name, "application_name") == 0)
			application = text_of(value);
		else if (strcmp(name, "client_encoding") == 0)
			encoding = text_of(value);
		else if (strcmp(name, "user") == 0)
			user = text_of(value);
	}
	if (body.bad || !user.len) {
		put_fatal(session, "invalid startup packet");
		return;
	}
	if (version != WIRE_PROTOCOL_3_0) {
		wire_begin(session->out, 'v');
		wire_u32(session->out, WIRE_PROTOCOL_3_0);
		wire_u32(session->out, 0);
		wire_end(session->out);
	}
	wire_begin(session->out, 'R');
	wire_u32(session->out, 0);
	wire_end(session->out);
	put_settings(session->out, application, encoding, user);
	wire_begin(session->out, 'K');
	/* as if two cores of pgring took it in turns, so that load's --turns can be tested */
	session->shared->last_id++;
	wire_u32(session->out,
		(1 + session->shared->last_id % 2) << WIRE_CORE_SHIFT |
			(session->shared->last_id & ((1U << WIRE_CORE_SHIFT) - 1)));
	wire_u32(session->out, session->shared->last_id * 2654435761u);
	wire_end(session->out);
	session->phase = NULL_SESSION_READY;
	session->transaction = 'I';
	put_ready(session);
}

static void handle_startup(struct null_session *session, struct wire_reader body)
{
	uint32_t code = wire_read_u32(&body);

	if (code == WIRE_SSL || code == WIRE_GSSENC)
		wire_byte(session->out, 'N');
	else if (code == WIRE_CANCEL)
		session->phase = NULL_SESSION_CLOSED;
	else if (code >> 16 == 3)
		login(session, body, code);
	else
		put_fatal(session, "unsupported protocol version");
}

/* ---- COPY IN ---- */

static void end_copy(struct null_session *session)
{
	wire_rows_free(&session->copy);
	session->phase = NULL_SESSION_READY;
	if (session->copy_simple)
		put_ready(session);
}

static void fail_copy(struct null_session *session, const char *sqlstate, const char *message)
{
	put_error(session, "ERROR", sqlstate, message);
	session->skip_to_sync = !session->copy_simple;
	end_copy(session);
}

static void handle_copy_message(struct null_session *session, char type)
{
	char tag[24];

	if (type == 'c') {
		snprintf(tag, sizeof tag, "COPY %llu", (unsigned long long)session->copy_rows);
		put_tag(session->out, tag);
		end_copy(session);
	} else if (type == 'f') {
		fail_copy(session, "57014", "COPY from stdin failed");
	} else if (type == 'X') {
		session->phase = NULL_SESSION_CLOSED;
	} else if (type != 'H' && type != 'S') {
		fail_copy(session, "08P01", "unexpected message during COPY from stdin");
	}
}

/* Numbered rows, as far as they are there: a row that has begun goes on without a head. */
static size_t take_numbered(struct null_session *session, const uint8_t *bytes, size_t len)
{
	struct wire_rows *rows = &session->copy;
	ptrdiff_t taken = -1;

	if (!rows->block) {
		uint32_t value = wire_get_u32(bytes + 1) - 4;

		if (value >= WIRE_ROW_MIN && value <= WIRE_ROW_MAX)
			wire_rows_init(rows, 'd', value, 0);
	}
	if (rows->block)
		taken = wire_rows_check(rows, bytes, len);
	session->copy_rows = rows->seen;
	if (taken >= 0)
		return (size_t)taken;
	put_fatal(session, "a row of the COPY is not the one that was due");
	return len;
}

/* ---- bytes in ---- */

static size_t skip(struct null_session *session, size_t len)
{
	size_t skipped = session->skip_bytes < len ? (size_t)session->skip_bytes : len;

	session->skip_bytes -= skipped;
	return skipped;
}

size_t null_session_take(struct null_session *session, const uint8_t *bytes, size_t len)
{
	bool typed = session->phase != NULL_SESSION_STARTUP;
	bool copying = session->phase == NULL_SESSION_COPY_IN;
	size_t head = typed ? 5 : 4, whole;
	struct wire_reader body;

	if (session->skip_bytes)
		return skip(session, len);
	if (copying && session->copy.offset)
		return take_numbered(session, bytes, len);
	if (len < head)
		return 0;
	if (copying && *bytes == 'd' && session->copy_numbered)
		return take_numbered(session, bytes, len);

	whole = wire_get_u32(bytes + typed) + (size_t)typed;
	if (whole < head || whole > MESSAGE_MAX) {
		put_fatal(session, "invalid message length");
		return len;
	}
	if (typed && *bytes == 'd') { /* counted; outside COPY: left over from one that failed */
		session->copy_rows += copying;
		session->skip_bytes = whole;
		return skip(session, len);
	}
	if (len < whole)
		return 0;
	body = (struct wire_reader){.at = bytes + head, .end = bytes + whole};
	if (!typed)
		handle_startup(session, body);
	else if (copying)
		handle_copy_message(session, (char)*bytes);
	else
		handle_message(session, (char)*bytes, body);
	return whole;
}

/* ---- rows out ---- */

static void end_bulk(struct null_session *session)
{
	struct null_session_bulk *bulk = session->bulk;

	session->phase = NULL_SESSION_READY;
	session->bulk = NULL;
	if (bulk->copy)
		wire_empty(session->out, 'c');
	put_tag(session->out, bulk->tag);
	if (bulk->simple)
		put_ready(session);
	wire_rows_free(&bulk->rows);
	free(bulk);
}

const uint8_t *null_session_rows(struct null_session *session, size_t *ret_len)
{
	struct null_session_bulk *bulk = session->bulk;

	if (bulk->block_sent == bulk->block_len) {
		uint64_t left = bulk->total - bulk->numbered;
		uint64_t rows = left < bulk->rows.in_block ? left : bulk->rows.in_block;

		if (rows == 0) {
			end_bulk(session);
			*ret_len = 0;
			return NULL;
		}
		wire_rows_number(&bulk->rows, bulk->numbered + 1 + becomes_wrong(session));
		bulk->numbered += rows;
		bulk->block_len = (size_t)rows * bulk->rows.message;
		bulk->block_sent = 0;
	}
	*ret_len = bulk->block_len - bulk->block_sent;
	return bulk->rows.block + bulk->block_sent;
}

void null_session_rows_sent(struct null_session *session, size_t len)
{
	session->bulk->block_sent += len;
}

/* ---- begin and end ---- */

void null_session_start(
	struct null_session *session, struct null_session_shared *shared, struct wire_buf *out)
{
	session->phase = NULL_SESSION_STARTUP;
	session->transaction = 'I';
	session->shared = shared;
	session->out = out;
}

void null_session_end(struct null_session *session)
{
	null_store_free(&session->store);
	wire_rows_free(&session->copy);
	if (session->bulk) {
		wire_rows_free(&session->bulk->rows);
		free(session->bulk);
	}
}
