/* One client of the load generator. */
#include "bench/load_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	INPUT_BYTES = 256 << 10,
	MESSAGE_MAX = INPUT_BYTES / 2, /* bulk rows are longer, they are not kept */
	BLOCK_BYTES = 256 << 10,
	SENDS_PER_TURN = 16,
};

static uint8_t input[INPUT_BYTES];

/* Behind Terminate nothing is expected. */
static const char nothing[] = "";

static void note_problem(struct load_client_plan *plan, const char *what, const char *detail)
{
	if (!plan->first_problem[0])
		snprintf(plan->first_problem, sizeof plan->first_problem, "%s%s%s", what,
			*detail ? ": " : "", detail);
}

static bool bulk(const struct load_client_plan *plan)
{
	return plan->mode >= LOAD_CLIENT_ROWS;
}

/* ---- requests ---- */

/* 1, five digits of the client, ten of the request. */
static void number_request(struct load_client *client)
{
	uint64_t value = client->sequence++;

	for (int i = 15; i > 5; i--, value /= 10)
		client->id[i] = (char)('0' + value % 10);
	value = client->number;
	for (int i = 5; i > 0; i--, value /= 10)
		client->id[i] = (char)('0' + value % 10);
	client->id[0] = '1';
}

static void put_query(struct wire_buf *out, const char *text)
{
	wire_begin(out, 'Q');
	wire_text(out, text);
	wire_end(out);
}

static void put_simple(struct load_client *client)
{
	struct wire_buf *out = &client->out;

	wire_begin(out, 'Q');
	wire_bytes(out, "SELECT ", 7);
	wire_bytes(out, client->id, sizeof client->id);
	wire_text(out, "::int8 AS account_balance;");
	wire_end(out);
	client->expected = "TDCZ";
}

static void put_bind(struct load_client *client, const char *statement)
{
	struct wire_buf *out = &client->out;

	wire_begin(out, 'B');
	wire_text(out, "");
	wire_text(out, statement);
	wire_u16(out, 0);
	wire_u16(out, 1);
	wire_u32(out, sizeof client->id);
	wire_bytes(out, client->id, sizeof client->id);
	wire_u16(out, 0);
	wire_end(out);
}

static void put_describe(struct wire_buf *out)
{
	wire_begin(out, 'D');
	wire_byte(out, 'P');
	wire_text(out, "");
	wire_end(out);
}

static void put_execute(struct wire_buf *out)
{
	wire_begin(out, 'E');
	wire_text(out, "");
	wire_u32(out, 0);
	wire_end(out);
	wire_empty(out, 'S');
}

static void put_parse(struct wire_buf *out, const char *name, const char *text)
{
	wire_begin(out, 'P');
	wire_text(out, name);
	wire_text(out, text);
	wire_u16(out, 0);
	wire_end(out);
}

static void put_extended(struct load_client *client)
{
	put_parse(&client->out, "", "SELECT $1::int8 AS account_balance");
	put_bind(client, "");
	put_describe(&client->out);
	put_execute(&client->out);
	client->expected = "12TDCZ";
}

static void put_prepared(struct load_client *client)
{
	char name[16];

	client->statement = (uint32_t)(client->sequence % client->plan->statements);
	snprintf(name, sizeof name, "s%u", client->statement);
	put_bind(client, name);
	if (client->plan->describe)
		put_describe(&client->out);
	put_execute(&client->out);
	client->expected = client->plan->describe ? "2TDCZ" : "2DCZ";
}

static void put_bulk(struct load_client *client)
{
	const struct load_client_plan *plan = client->plan;
	unsigned long long rows = plan->rows;
	char text[128];

	wire_rows_number(&client->rows, 1);
	client->rows.seen = 0;
	switch (plan->mode) {
	case LOAD_CLIENT_ROWS:
		snprintf(text, sizeof text, "SELECT bulk(%llu, %u)", rows, plan->row_bytes);
		client->expected = "T*CZ";
		break;
	case LOAD_CLIENT_COPY_OUT:
		snprintf(text, sizeof text, "COPY (SELECT bulk(%llu, %u)) TO STDOUT", rows,
			plan->row_bytes);
		client->expected = "H*cCZ";
		break;
	default:
		snprintf(text, sizeof text, "COPY bulk FROM STDIN");
		client->expected = "GCZ";
		client->rows_sent = 0;
		client->block_len = client->block_sent = 0;
	}
	put_query(&client->out, text);
}

static void put_request(struct load_client *client)
{
	if (client->plan->transaction && client->step != 1) {
		put_query(&client->out, client->step ? "COMMIT" : "BEGIN");
		client->expected = "CZ";
		return;
	}
	number_request(client);
	switch (client->plan->mode) {
	case LOAD_CLIENT_SIMPLE:
		put_simple(client);
		break;
	case LOAD_CLIENT_EXTENDED:
		put_extended(client);
		break;
	case LOAD_CLIENT_PREPARED:
		put_prepared(client);
		break;
	default:
		put_bulk(client);
	}
}

/* ---- bytes out ---- */

static void await_room(struct load_client *client, bool room)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = client};

	if (client->sending == room)
		return;
	client->sending = room;
	event.events |= room ? EPOLLOUT : EPOLLET;
	epoll_ctl(client->plan->epoll, EPOLL_CTL_MOD, client->fd, &event);
}

/* Returns what the socket took. A lost connection is noticed by the next recv. */
static size_t send_some(struct load_client *client, const uint8_t *bytes, size_t len)
{
	ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL);

	return sent > 0 ? (size_t)sent : 0;
}

static bool copying_in(const struct load_client *client)
{
	return client->plan->mode == LOAD_CLIENT_COPY_IN && client->phase == LOAD_CLIENT_BUSY &&
		!client->failed && *client->expected == 'C' && client->block_len != SIZE_MAX;
}

/* The next block of rows; behind the last one CopyDone, and block_len says that there are no
 * more. */
static void next_block(struct load_client *client)
{
	uint64_t left = client->plan->rows - client->rows_sent;
	uint64_t rows = left < client->rows.in_block ? left : client->rows.in_block;

	client->block_sent = 0;
	if (rows == 0) {
		client->block_len = SIZE_MAX;
		wire_empty(&client->out, 'c');
		return;
	}
	wire_rows_number(&client->rows, client->rows_sent + 1);
	client->rows_sent += rows;
	client->block_len = (size_t)rows * client->rows.message;
}

static void pump(struct load_client *client)
{
	for (int turn = 0; turn < SENDS_PER_TURN && copying_in(client); turn++) {
		size_t sent;

		if (client->block_sent == client->block_len) {
			next_block(client);
			continue;
		}
		sent = send_some(client, client->rows.block + client->block_sent,
			client->block_len - client->block_sent);
		client->block_sent += sent;
		client->plan->bytes += sent;
		if (client->block_sent < client->block_len)
			return;
	}
}

static void flush(struct load_client *client)
{
	struct wire_buf *out = &client->out;

	if (copying_in(client) && !wire_unsent(out))
		pump(client);
	if (wire_unsent(out)) {
		out->sent += send_some(client, out->bytes + out->sent, wire_unsent(out));
		if (!wire_unsent(out))
			wire_clear(out);
	}
	await_room(client, wire_unsent(out) || copying_in(client));
}

/* ---- answers ---- */

static bool row_is_ours(const struct load_client *client, struct wire_reader body)
{
	bool two = client->plan->mode == LOAD_CLIENT_PREPARED && client->plan->statements > 1;
	char statement[16];
	uint32_t len;

	if (wire_read_u16(&body) != (two ? 2 : 1) || wire_read_u32(&body) != sizeof client->id)
		return false;
	if (memcmp(wire_read_bytes(&body, 8), client->id, 8) != 0 ||
		memcmp(wire_read_bytes(&body, 8), client->id + 8, 8) != 0)
		return false;
	if (two) {
		len = wire_read_u32(&body);
		if (len !=
				(uint32_t)snprintf(
					statement, sizeof statement, "%u", client->statement) ||
			len > 8 || memcmp(wire_read_bytes(&body, len), statement, len) != 0)
			return false;
	}
	return !body.bad && body.at == body.end;
}

static const char *bulk_tag(const struct load_client_plan *plan, char *text, size_t size)
{
	snprintf(text, size, "%s %llu", plan->mode == LOAD_CLIENT_ROWS ? "SELECT" : "COPY",
		(unsigned long long)plan->rows);
	return text;
}

static bool tag_is_right(const struct load_client *client, struct wire_reader body)
{
	const struct load_client_plan *plan = client->plan;
	const char *tag = wire_read_text(&body);
	const char *right = "SELECT 1";
	char text[32];

	if (plan->transaction && client->step != 1)
		right = client->step ? "COMMIT" : "BEGIN";
	else if (bulk(plan))
		right = bulk_tag(plan, text, sizeof text);
	if (plan->mode != LOAD_CLIENT_COPY_IN && bulk(plan) && client->rows.seen != plan->rows)
		return false;
	return !body.bad && strcmp(tag, right) == 0;
}

static bool status_is_right(const struct load_client *client, struct wire_reader body)
{
	bool inside =
		client->plan->transaction && client->step < 2 && client->phase == LOAD_CLIENT_BUSY;
	uint8_t status = *wire_read_bytes(&body, 1);

	return !body.bad && (client->failed || status == (inside ? 'T' : 'I'));
}

/* Looks at a message that was due. */
static void check(struct load_client *client, char type, struct wire_reader body)
{
	bool right = true;

	switch (type) {
	case 'D':
		right = row_is_ours(client, body);
		break;
	case 'C':
		right = tag_is_right(client, body);
		break;
	case 'Z':
		right = status_is_right(client, body);
		break;
	default:
		break;
	}
	if (right)
		return;
	client->wrong = true;
	note_problem(client->plan,
		type == 'D'           ? "another request's row"
			: type == 'C' ? "a wrong command tag"
				      : "a wrong transaction status",
		"");
}

static void take_error(struct load_client *client, struct wire_reader body)
{
	const char *message = "";

	while (body.at < body.end && *body.at && !body.bad) {
		char field = (char)*body.at++;
		const char *text = wire_read_text(&body);

		if (field == 'M')
			message = text;
	}
	note_problem(client->plan, "ErrorResponse", message);
	client->failed = true;
	client->expected = "Z";
}

static enum load_client_result start_session(struct load_client *client)
{
	const struct load_client_plan *plan = client->plan;
	char name[16], text[80];

	if (plan->mode != LOAD_CLIENT_PREPARED || client->phase == LOAD_CLIENT_PREPARING) {
		client->phase = LOAD_CLIENT_READY;
		return LOAD_CLIENT_LOGGED_IN;
	}
	client->phase = LOAD_CLIENT_PREPARING;
	for (uint32_t i = 0; i < plan->statements; i++) {
		snprintf(name, sizeof name, "s%u", i);
		snprintf(text, sizeof text, "SELECT $1::int8 AS account_balance");
		if (plan->statements > 1)
			snprintf(text + strlen(text), sizeof text - strlen(text),
				", %u AS statement", i);
		put_parse(&client->out, name, text);
	}
	wire_empty(&client->out, 'S');
	flush(client);
	return LOAD_CLIENT_WAITS;
}

static enum load_client_result finish(struct load_client *client)
{
	bool failed = client->failed, wrong = client->wrong;

	if (client->phase != LOAD_CLIENT_BUSY)
		return failed ? LOAD_CLIENT_LOST : start_session(client);
	if (failed && (client->plan->transaction || client->plan->mode == LOAD_CLIENT_COPY_IN))
		return LOAD_CLIENT_LOST; /* inside a transaction, or of a row */
	client->failed = client->wrong = false;
	if (client->plan->transaction && !failed && !wrong && client->step < 2) {
		client->step++;
		put_request(client);
		flush(client);
		return LOAD_CLIENT_WAITS;
	}
	client->phase = LOAD_CLIENT_READY;
	return wrong ? LOAD_CLIENT_WRONG : failed ? LOAD_CLIENT_ERROR : LOAD_CLIENT_ANSWERED;
}

/* Messages before the first ReadyForQuery, and the answers to the Parse messages. */
static enum load_client_result take_login(
	struct load_client *client, char type, struct wire_reader body)
{
	int in;

	switch (type) {
	case 'R':
		in = signin_answer(&client->signin, client->plan->user, client->plan->password,
			body, &client->out);
		if (in < 0) {
			note_problem(client->plan, "cannot authenticate", "");
			return LOAD_CLIENT_LOST;
		}
		flush(client);
		return LOAD_CLIENT_WAITS;
	case 'E':
		take_error(client, body);
		return LOAD_CLIENT_WAITS;
	case 'Z':
		return finish(client);
	case 'K':
		client->pid = wire_read_u32(&body);
		return LOAD_CLIENT_WAITS;
	case 'v':
	case '1':
		return LOAD_CLIENT_WAITS;
	default:
		note_problem(client->plan, "an unexpected message at login", "");
		return LOAD_CLIENT_LOST;
	}
}

/* A whole message. */
static enum load_client_result take_message(
	struct load_client *client, char type, struct wire_reader body)
{
	if (type == 'N' || type == 'S' || type == 'A')
		return LOAD_CLIENT_WAITS;
	if (client->phase == LOAD_CLIENT_LOGIN || client->phase == LOAD_CLIENT_PREPARING)
		return take_login(client, type, body);
	if (type == 'E' && client->phase == LOAD_CLIENT_BUSY) {
		take_error(client, body);
		return LOAD_CLIENT_WAITS;
	}
	if (*client->expected == '*')
		client->expected++;
	if (client->failed && type != 'Z')
		return LOAD_CLIENT_WAITS;
	if (type != *client->expected) {
		char detail[2] = {type, 0};

		note_problem(client->plan, "a message out of turn", detail);
		client->wrong = true;
		return LOAD_CLIENT_LOST;
	}
	client->expected++;
	check(client, type, body);
	if (type == 'G')
		flush(client); /* the rows begin */
	return type == 'Z' ? finish(client) : LOAD_CLIENT_WAITS;
}

static void put_startup(struct load_client *client)
{
	const struct load_client_plan *plan = client->plan;
	struct wire_buf *out = &client->out;
	char name[24];

	wire_begin(out, 0);
	wire_u32(out, WIRE_PROTOCOL_3_0);
	wire_text(out, "user");
	wire_text(out, plan->user);
	wire_text(out, "database");
	wire_text(out,
		plan->database_2 && load_client_is_second(client) ? plan->database_2
								  : plan->database);
	wire_text(out, "client_encoding");
	wire_text(out, "UTF8");
	wire_text(out, "application_name");
	snprintf(name, sizeof name, plan->own_settings ? "load %u" : "load", client->number);
	wire_text(out, name);
	wire_byte(out, 0);
	wire_end(out);
	flush(client);
}

static void put_ssl_request(struct load_client *client)
{
	wire_begin(&client->out, 0);
	wire_u32(&client->out, WIRE_SSL);
	wire_end(&client->out);
	flush(client);
}

/* Takes one message or a part of a run of rows at `bytes`. *ret_taken is 0 if more has to come
 * first. */
static enum load_client_result take(
	struct load_client *client, const uint8_t *bytes, size_t len, size_t *ret_taken)
{
	struct wire_reader body = {.at = bytes + 5};
	ptrdiff_t rows;
	size_t whole;

	*ret_taken = 0;
	if (client->asked_ssl) {
		client->asked_ssl = false;
		*ret_taken = 1;
		if (*bytes != 'N')
			return LOAD_CLIENT_LOST;
		put_startup(client);
		return LOAD_CLIENT_WAITS;
	}
	if (*client->expected == '*' && (client->rows.offset || *bytes == client->rows.block[0])) {
		rows = wire_rows_check(&client->rows, bytes, len);
		if (rows >= 0) {
			*ret_taken = (size_t)rows;
			return LOAD_CLIENT_WAITS;
		}
		note_problem(client->plan, "a row is not the one that was due", "");
		client->wrong = true;
		return LOAD_CLIENT_LOST;
	}
	if (len < 5)
		return LOAD_CLIENT_WAITS;
	whole = (size_t)wire_get_u32(bytes + 1) + 1;
	if (whole < 5 || whole > MESSAGE_MAX) {
		note_problem(client->plan, "an impossible message length", "");
		client->wrong = true;
		return LOAD_CLIENT_LOST;
	}
	if (len < whole)
		return LOAD_CLIENT_WAITS;
	*ret_taken = whole;
	body.end = bytes + whole;
	return take_message(client, (char)*bytes, body);
}

static enum load_client_result take_all(struct load_client *client, size_t len)
{
	enum load_client_result result = LOAD_CLIENT_WAITS;
	const uint8_t *at = input, *end = input + len;

	while (at < end && result == LOAD_CLIENT_WAITS) {
		size_t taken;

		result = take(client, at, (size_t)(end - at), &taken);
		if (taken == 0)
			break;
		at += taken;
	}
	wire_clear(&client->in);
	if (at < end)
		wire_bytes(&client->in, at, (size_t)(end - at));
	return result;
}

static enum load_client_result lose(struct load_client *client)
{
	bool wrong = client->wrong, leaving = client->phase == LOAD_CLIENT_LEAVING;

	if (!leaving)
		note_problem(client->plan, "the connection was lost", "");
	load_client_close(client);
	return wrong ? LOAD_CLIENT_WRONG : leaving ? LOAD_CLIENT_LEFT : LOAD_CLIENT_LOST;
}

enum load_client_result load_client_serve(struct load_client *client, uint32_t events)
{
	bool hangup = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

	if (client->sending)
		flush(client);
	for (;;) {
		size_t kept = client->in.len, room = INPUT_BYTES - kept;
		enum load_client_result result;
		ssize_t got;

		if (kept)
			memcpy(input, client->in.bytes, kept);
		got = recv(client->fd, input + kept, room, 0);
		if (got < 0 && errno == EAGAIN)
			return LOAD_CLIENT_WAITS;
		if (got <= 0)
			return lose(client);
		if (client->phase == LOAD_CLIENT_BUSY && bulk(client->plan) &&
			client->plan->mode != LOAD_CLIENT_COPY_IN)
			client->plan->bytes += (uint64_t)got;
		result = take_all(client, kept + (size_t)got);
		if (result == LOAD_CLIENT_LOST)
			return lose(client);
		if (result != LOAD_CLIENT_WAITS)
			return result; /* nothing more is due */
		if ((size_t)got < room && !hangup)
			return LOAD_CLIENT_WAITS;
	}
}

/* ---- begin and end ---- */

void load_client_init(struct load_client *client, struct load_client_plan *plan, uint32_t number)
{
	*client =
		(struct load_client){.plan = plan, .fd = -1, .number = number, .expected = nothing};
	if (bulk(plan))
		wire_rows_init(&client->rows, plan->mode == LOAD_CLIENT_ROWS ? 'D' : 'd',
			plan->row_bytes, plan->mode == LOAD_CLIENT_COPY_IN ? BLOCK_BYTES : 0);
}

bool load_client_is_second(const struct load_client *client)
{
	return client->number / 2 % 2;
}

int load_client_open(struct load_client *client)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = client};
	struct load_client_plan *plan = client->plan;
	int fd = child_connect(&plan->endpoint);

	if (fd < 0) {
		note_problem(plan, "cannot connect", strerror(-fd));
		return -1;
	}
	client->fd = fd;
	client->phase = LOAD_CLIENT_LOGIN;
	client->sending = client->failed = client->wrong = false;
	client->expected = nothing;
	client->signin = (struct signin){0};
	client->rows.offset = 0;
	wire_clear(&client->in);
	wire_clear(&client->out);
	if (epoll_ctl(plan->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		child_fail("epoll_ctl: %s", strerror(errno));

	client->asked_ssl = plan->ask_ssl;
	if (plan->ask_ssl)
		put_ssl_request(client);
	else
		put_startup(client);
	return 0;
}

void load_client_request(struct load_client *client)
{
	client->phase = LOAD_CLIENT_BUSY;
	client->step = 0;
	put_request(client);
	flush(client);
}

void load_client_ignore(struct load_client *client)
{
	load_client_request(client);
	epoll_ctl(client->plan->epoll, EPOLL_CTL_DEL, client->fd, NULL);
}

void load_client_leave(struct load_client *client)
{
	client->phase = LOAD_CLIENT_LEAVING;
	client->expected = nothing;
	wire_empty(&client->out, 'X');
	flush(client);
}

void load_client_close(struct load_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->phase = LOAD_CLIENT_CLOSED;
	wire_free(&client->in);
	wire_free(&client->out);
}

void load_client_free(struct load_client *client)
{
	load_client_close(client);
	wire_rows_free(&client->rows);
}
