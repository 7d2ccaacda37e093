/* What simulated clients accept. */
#include "test/sim/sim_client_private.h"

#include "core/clock.h"
#include "protocol/fault.h"
#include "protocol/frame.h"
#include "protocol/greeting.h"
#include "test/sim/sim.h"
#include "test/sim/sim_notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERDICT(client, x, ...) verdict_check((client), (x), #x, __VA_ARGS__)

static void verdict_check(
	const struct sim_client *client, bool holds, const char *what, const char *text)
{
	const struct sim_client *it = client;
	const struct step *step = it->step_count > 0 ? &it->steps[it->step_begin] : NULL;

	if (unlikely(!holds))
		sim_fail("C%u: %s (%s); the answer to C%u.%u is due, step %d", client->id, text,
			what, client->id, step ? step->statement.seq : 0,
			step ? (int)step->kind : -1);
}

bool sim_verdict_is_peaceful(const struct sim_client *client)
{
	return client->is_strict || (sim_is_peaceful() && !sim_client_expects_shutdown());
}

/* ---- login ---- */

static void verdict_parameter(struct sim_client *client, const uint8_t *body, size_t len)
{
	const char *name, *value;
	char own[16];

	VERDICT(client, greeting_read_parameter(body, len, &name, &value) == 0,
		"a malformed ParameterStatus");
	if (strcmp(name, "application_name") != 0)
		return;
	snprintf(own, sizeof own, "n%u", client->name_set);
	if (strcmp(value, client->name) != 0 && (!client->name_set || strcmp(value, own) != 0))
		sim_fail("C%u hears of application_name \"%s\"; its own is \"%s\"", client->id,
			value, client->name);
	client->has_noticed = true;
}

static void verdict_login(struct sim_client *client, char type, const uint8_t *body, size_t len)
{
	struct greeting_key key;

	switch (type) {
	case 'R':
		VERDICT(client, len >= 4, "a malformed authentication request");
		if (frame_u32(body) == 3)
			sim_bytes_message_string(&client->out, 'p',
				client->knows_wrong_password ? "wrong" : SIM_CLIENT_PASSWORD);
		else
			VERDICT(client, frame_u32(body) == 0, "an unknown authentication request");
		return;
	case 'S':
		verdict_parameter(client, body, len);
		return;
	case 'K':
		VERDICT(client,
			greeting_read_key(body, len, &key) == 0 &&
				key.key_len <= sizeof client->key,
			"a malformed key");
		client->pid = key.pid;
		memcpy(client->key, key.key, key.key_len);
		client->key_len = key.key_len;
		return;
	case 'Z':
		VERDICT(client, len == 1 && body[0] == 'I', "a wrong status after the login");
		VERDICT(client, client->has_noticed, "the greeting has no application_name");
		client->phase = PHASE_READY;
		sim_trace("C%u: logged in", client->id);
		return;
	case 'N':
	case 'v':
		return;
	}
	sim_fail("C%u: message %c during the login", client->id, type);
}

/* ---- errors ---- */

static void verdict_reach(const char *sqlstate, const char *message, bool is_fatal)
{
	static const struct {
		const char *text;
		enum sim_reach what;
	} texts[] = {
		{"checkout timeout", REACH_CHECKOUT_TIMEOUT},
		{"query timeout", REACH_QUERY_TIMEOUT},
		{"transaction timeout", REACH_TRANSACTION_TIMEOUT},
		{"disconnecting idle", REACH_IDLE_TIMEOUT},
		{"client login timeout", REACH_LOGIN_TIMEOUT},
		{"password authentication failed", REACH_WRONG_PASSWORD},
	};

	for (size_t i = 0; i < array_len(texts); i++)
		if (strncmp(message, texts[i].text, strlen(texts[i].text)) == 0)
			sim_reached(texts[i].what);
	if (strcmp(sqlstate, "08P01") == 0)
		sim_reached(REACH_PROTOCOL_VIOLATION);
	if (strcmp(sqlstate, "08006") == 0 ||
		(strcmp(sqlstate, "57P01") == 0 && strstr(message, "administrator")))
		sim_reached(is_fatal ? REACH_FATAL_LOST : REACH_ERROR_LOST);
}

static void verdict_fatal(struct sim_client *client, const struct fault_fields *fields)
{
	bool is_own_fault = client->babbles || client->knows_wrong_password;

	if (sim_verdict_is_peaceful(client) && !is_own_fault)
		sim_fail("C%u: FATAL %s %s in peaceful times", client->id, fields->sqlstate,
			fields->message);
	if (strcmp(fields->sqlstate, "08P01") == 0)
		VERDICT(client, client->babbles, "accused of a broken protocol");
	if (strcmp(fields->sqlstate, "28P01") == 0)
		VERDICT(client, client->knows_wrong_password, "its password is refused");
	client->phase = PHASE_TOLD;
}

/* The statement that may have failed by itself. */
static void verdict_own_error(
	struct sim_client *client, const struct step *step, const struct fault_fields *fields)
{
	unsigned id, seq;

	if (!sim_sql_parse_tag(fields->message, strlen(fields->message), &id, &seq))
		return;
	if (id != client->id || seq != step->statement.seq)
		sim_fail("C%u hears the error of C%u.%u while the answer to C%u.%u is due",
			client->id, id, seq, client->id, step->statement.seq);
}

/* ---- savepoints ---- */

static bool verdict_is_about_savepoint(enum sim_verb verb)
{
	return verb == SIM_SAVEPOINT || verb == SIM_ROLLBACK_TO || verb == SIM_RELEASE;
}

/* How many there are up to the last of that name; 0: none has it. */
static unsigned verdict_savepoint(const struct sim_client *client, unsigned name)
{
	unsigned count = client->savepoint_count;

	while (count > 0 && client->savepoints[count - 1] != name)
		count--;
	return count;
}

static void verdict_savepoint_done(struct sim_client *client, const struct sim_statement *statement)
{
	unsigned count = verdict_savepoint(client, statement->a);

	if (statement->verb == SIM_SAVEPOINT) {
		VERDICT(client, client->status == 'T', "a savepoint in no transaction");
		CHECK(client->savepoint_count < CLIENT_SAVEPOINTS);
		client->savepoints[client->savepoint_count++] = (uint8_t)statement->a;
		return;
	}
	VERDICT(client, count > 0, "there is no such savepoint");
	if (statement->verb == SIM_RELEASE) {
		VERDICT(client, client->status == 'T', "a savepoint in no transaction");
		client->savepoint_count = count - 1;
		sim_reached(REACH_SAVEPOINT_KEPT);
		return;
	}
	sim_reached(client->status == 'E' ? REACH_SAVEPOINT_SAVED : REACH_SAVEPOINT_UNDONE);
	client->savepoint_count = count;
	client->status = 'T';
}

/* ---- errors ---- */

static void verdict_error_kind(
	struct sim_client *client, const struct step *step, const struct fault_fields *fields)
{
	const char *state = fields->sqlstate;
	enum sim_verb verb = step->statement.verb;

	if (strcmp(state, "P0001") == 0) {
		VERDICT(client, verb == SIM_FAIL, "an error nobody asked for");
	} else if (strcmp(state, "25P02") == 0) {
		VERDICT(client, client->status == 'E', "not in a failed transaction");
		sim_reached(REACH_FAILED_TRANSACTION);
	} else if (strcmp(state, "25P01") == 0) {
		VERDICT(client, verdict_is_about_savepoint(verb) && client->status == 'I',
			"in no transaction");
	} else if (strcmp(state, "3B001") == 0) {
		VERDICT(client,
			verdict_is_about_savepoint(verb) && verb != SIM_SAVEPOINT &&
				client->status != 'I' &&
				verdict_savepoint(client, step->statement.a) == 0,
			"a savepoint is missing");
		sim_reached(REACH_SAVEPOINT_REFUSED);
	} else if (strcmp(state, "57014") == 0) {
		VERDICT(client, client->cancels > 0 || verb == SIM_COPY_IN,
			"cancelled, but it did not ask");
		if (strstr(fields->message, "COPY"))
			sim_reached(REACH_COPY_FAILED);
		else
			sim_reached(fields->message[0] == 'C' ? REACH_CANCEL_HIT
							      : REACH_CANCEL_WAITING);
	} else if (strncmp(fields->message, "LISTEN and UNLISTEN while", 25) == 0) {
		/* docs/limits.md; it cannot tell whether the pooler has asked in vain */
		VERDICT(client, sim_sql_listens(verb), "refused as if it listened");
	} else if (strncmp(fields->message, "LISTEN or UNLISTEN behind a ROLLBACK", 36) == 0) {
		VERDICT(client,
			step->kind == STEP_STATEMENT && step->is_multi && client->status != 'I',
			"refused as if it rolled back and listened");
		sim_reached(REACH_LISTEN_REFUSED);
	} else if (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0) {
		VERDICT(client, step->is_refused, "refused without a reason");
		sim_reached(state[0] == '2' ? REACH_UNKNOWN_REFUSED : REACH_NAMED_REFUSED);
	} else if (step->is_refused && strcmp(state, "58000") == 0) {
		sim_reached(REACH_STATEMENT_MODE_REFUSED);
	} else {
		if (sim_verdict_is_peaceful(client))
			sim_fail("C%u: error %s %s in peaceful times", client->id, state,
				fields->message);
		VERDICT(client,
			strncmp(state, "08", 2) == 0 || strncmp(state, "57", 2) == 0 ||
				strcmp(state, "58000") == 0 || strncmp(state, "53", 2) == 0,
			fields->message);
		client->is_lost = true;
	}
}

static void verdict_error(struct sim_client *client, const uint8_t *body, size_t len)
{
	struct fault_fields fields;
	struct step *step = client_step(client);

	VERDICT(client, fault_read(body, len, &fields) == 0, "a malformed error");
	sim_trace("C%u: %s %s %s", client->id, fields.severity, fields.sqlstate, fields.message);
	verdict_reach(fields.sqlstate, fields.message, strcmp(fields.severity, "FATAL") == 0);
	VERDICT(client, !strstr(fields.message, "for the pooler"),
		"the error of a query of the pooler's own");
	if (strcmp(fields.severity, "FATAL") == 0) {
		verdict_fatal(client, &fields);
		return;
	}
	VERDICT(client, client->phase == PHASE_READY && step, "an error although nothing is due");
	if (step->kind != STEP_READY)
		verdict_own_error(client, step, &fields);
	verdict_error_kind(client, step, &fields);
	if (client->status == 'T')
		client->status = 'E';
	client->batch_seq = 0;
	while (client_step(client)->kind != STEP_READY) {
		client->step_begin++;
		client->step_count--;
	}
}

/* ---- answers ---- */

static void verdict_next(struct sim_client *client)
{
	client->step_begin++;
	client->step_count--;
	sim_trace("C%u: step done", client->id);
}

static bool step_runs(const struct step *step)
{
	return step->kind == STEP_STATEMENT || step->kind == STEP_EXECUTE;
}

static void verdict_show(
	struct sim_client *client, const struct step *step, const uint8_t *at, size_t len)
{
	char text[64], mine[64], none[64];

	snprintf(text, sizeof text, "%.*s", (int)(len < 60 ? len : 60), (const char *)at);
	snprintf(mine, sizeof mine, "C%u.%u mine=%u", client->id, step->statement.seq, client->id);
	snprintf(none, sizeof none, "C%u.%u mine=0", client->id, step->statement.seq);
	if (strcmp(text, mine) == 0)
		sim_reached(REACH_OWN_SETTING);
	else if (strcmp(text, none) == 0)
		sim_reached(REACH_NO_SETTING);
	else
		sim_fail("C%u.%u sees \"%s\"", client->id, step->statement.seq, text);
}

static void verdict_row(
	struct sim_client *client, struct step *step, char type, const uint8_t *body, size_t len)
{
	const uint8_t *at = type == 'D' ? body + 6 : body;
	size_t n = type == 'D' ? len - 6 : len;

	VERDICT(client, step_runs(step) && (type == 'd') == (step->statement.verb == SIM_COPY_OUT),
		"a row out of place");
	VERDICT(client, step->rows < step->row_count, "more rows than asked for");
	VERDICT(client, step->has_begun || (step->kind == STEP_EXECUTE && type == 'D'),
		"a row before its description");
	if (step->statement.verb == SIM_SHOW) {
		verdict_show(client, step, at, n);
	} else if (n != step->statement.b ||
		!sim_sql_row_is(
			at, n, client->id, step->statement.seq, step->first_row + step->rows)) {
		sim_fail("C%u.%u gets a foreign row %u: %.*s", client->id, step->statement.seq,
			step->rows, (int)(n < 60 ? n : 60), (const char *)at);
	}
	step->rows++;
	client->answer_bytes += len;
	if (client->answer_bytes > 256 * 1024)
		sim_reached(REACH_LARGE_ANSWER);
}

static void verdict_description(struct sim_client *client, struct step *step)
{
	if (step->kind == STEP_DESCRIBE_STATEMENT || step->kind == STEP_DESCRIBE_PORTAL) {
		VERDICT(client, sim_sql_has_rows(step->statement.verb), "a description of no rows");
		VERDICT(client, step->kind == STEP_DESCRIBE_PORTAL || step->has_begun,
			"no description of parameters");
		verdict_next(client);
		return;
	}
	VERDICT(client,
		step->kind == STEP_STATEMENT && sim_sql_has_rows(step->statement.verb) &&
			!step->has_begun,
		"a description out of place");
	step->has_begun = true;
}

static void verdict_status(struct sim_client *client, const struct sim_statement *statement)
{
	enum sim_verb verb = statement->verb;

	if (verb == SIM_BEGIN) {
		client->status = 'T';
	} else if (verb == SIM_COMMIT || verb == SIM_ROLLBACK) {
		if (client->status == 'T')
			sim_reached(REACH_TRANSACTION);
		client->status = 'I';
		client->savepoint_count = 0;
	} else if (verdict_is_about_savepoint(verb)) {
		verdict_savepoint_done(client, statement);
	}
}

static void verdict_complete(
	struct sim_client *client, struct step *step, const uint8_t *body, size_t len)
{
	enum sim_verb verb = step->statement.verb;
	const char *words = sim_sql_tag(verb);
	char text[64];

	VERDICT(client, step_runs(step) && len > 0 && body[len - 1] == '\0' && !step->is_suspended,
		"CommandComplete out of place");
	VERDICT(client, verb != SIM_FAIL, "what must fail succeeded");
	VERDICT(client, step->rows == step->row_count, "rows are missing");
	VERDICT(client, verb != SIM_COPY_OUT || step->has_ended, "CopyDone is missing");
	VERDICT(client, verb != SIM_COPY_IN || step->has_begun, "CopyInResponse is missing");
	VERDICT(client, verb != SIM_NOTICE || client->has_noticed, "its notice is missing");
	if (verb == SIM_COMMIT && client->status == 'E')
		words = "ROLLBACK";
	if (verb == SIM_COPY_IN)
		snprintf(text, sizeof text, "COPY %u", step->statement.a);
	else if (verb == SIM_ROWS || verb == SIM_SLEEP || verb == SIM_COPY_OUT)
		snprintf(text, sizeof text, "%s %u", words, step->row_count);
	else
		snprintf(text, sizeof text, "%s", words);
	if (strcmp(text, (const char *)body) != 0)
		sim_fail("C%u.%u: tag \"%s\" instead of \"%s\"", client->id, step->statement.seq,
			(const char *)body, text);
	verdict_status(client, &step->statement);
	if (verb == SIM_COPY_IN)
		sim_reached(step->is_eager ? REACH_COPY_IN_EAGER : REACH_COPY_IN);
	else if (verb == SIM_COPY_OUT)
		sim_reached(REACH_COPY_OUT);
	else
		sim_reached(step->kind == STEP_EXECUTE ? REACH_BATCH
				: step->is_multi       ? REACH_MULTI_QUERY
						       : REACH_QUERY);
	if (step->request_bytes > 64 * 1024)
		sim_reached(REACH_LARGE_REQUEST);
	client->has_noticed = false;
	if (step->kind == STEP_EXECUTE)
		client->batch_seq = step->statement.seq;
	verdict_next(client);
}

static void verdict_notice(struct sim_client *client, const uint8_t *body, size_t len)
{
	struct fault_fields fields;
	unsigned id, seq;

	VERDICT(client, fault_read(body, len, &fields) == 0, "a malformed notice");
	if (!sim_sql_parse_tag(fields.message, strlen(fields.message), &id, &seq) ||
		id != client->id)
		sim_fail("C%u hears a foreign notice: %s", client->id, fields.message);
	client->has_noticed = true;
}

static void verdict_notification(struct sim_client *client, const uint8_t *body, size_t len)
{
	const char *channel = (const char *)body + 4, *payload;

	VERDICT(client, len >= 6 && body[len - 1] == '\0', "a malformed notification");
	payload = channel + strlen(channel) + 1;
	VERDICT(client, payload + strlen(payload) + 1 == (const char *)body + len,
		"a malformed notification");
	VERDICT(client, client->status == 'I' || client->is_lost,
		"a notification within a transaction");
	sim_trace("C%u: hears %s on %s", client->id, payload, channel);
	sim_notify_heard(client->id, channel, payload);
}

static void verdict_ready(
	struct sim_client *client, struct step *step, const uint8_t *body, size_t len)
{
	VERDICT(client, step->kind == STEP_READY && len == 1 && !step->owes_sync,
		"ReadyForQuery out of place");
	if (body[0] != client->status &&
		!((client->is_lost || client->is_bereft) && body[0] == 'I'))
		sim_fail("C%u: status %c instead of %c", client->id, body[0], client->status);
	if (client->batch_seq > client->last_synced)
		sim_fail("C%u: the batch of C%u.%u seems to have succeeded, but no server has seen "
			 "its Sync",
			client->id, client->id, client->batch_seq);
	client->batch_seq = 0;
	client->status = (char)body[0];
	if (client->status == 'I')
		client->savepoint_count = 0;
	client->is_lost = client->is_bereft = false;
	client->units_open--;
	client->answer_bytes = 0;
	if (client->units_open == 0)
		client->holds = false;
	verdict_next(client);
}

static void verdict_expect(
	struct sim_client *client, const struct step *step, enum step_kind kind, char type)
{
	if (step->kind != kind)
		sim_fail("C%u: message %c out of place; the answer to C%u.%u is due, step %d",
			client->id, type, client->id, step->statement.seq, (int)step->kind);
	verdict_next(client);
}

static void verdict_copy_begins(struct sim_client *client, struct step *step, enum sim_verb verb)
{
	VERDICT(client, step_runs(step) && step->statement.verb == verb && !step->has_begun,
		"COPY out of place");
	step->has_begun = true;
	if (verb == SIM_COPY_IN && !step->is_eager)
		sim_script_copy(client, &step->statement);
}

static void verdict_answer(
	struct sim_client *client, struct step *step, char type, const uint8_t *body, size_t len)
{
	switch (type) {
	case 'T':
		verdict_description(client, step);
		return;
	case 't':
		VERDICT(client, step->kind == STEP_DESCRIBE_STATEMENT,
			"a description of parameters out of place");
		step->has_begun = true;
		return;
	case 'n':
		VERDICT(client,
			step->kind == STEP_DESCRIBE_STATEMENT || step->kind == STEP_DESCRIBE_PORTAL,
			"NoData out of place");
		VERDICT(client, !sim_sql_has_rows(step->statement.verb), "NoData for rows");
		verdict_next(client);
		return;
	case 'D':
	case 'd':
		VERDICT(client, type == 'd' || len >= 6, "a malformed row");
		verdict_row(client, step, type, body, len);
		return;
	case 'C':
		verdict_complete(client, step, body, len);
		return;
	case 's':
		VERDICT(client,
			step->kind == STEP_EXECUTE && step->is_suspended &&
				step->rows == step->row_count,
			"PortalSuspended out of place");
		sim_reached(REACH_SUSPENDED);
		verdict_next(client);
		return;
	case 'G':
		verdict_copy_begins(client, step, SIM_COPY_IN);
		return;
	case 'H':
		verdict_copy_begins(client, step, SIM_COPY_OUT);
		return;
	case 'c':
		VERDICT(client, step->statement.verb == SIM_COPY_OUT && step->has_begun,
			"CopyDone out of place");
		step->has_ended = true;
		return;
	case '1':
		if (step->is_multi)
			sim_reached(REACH_NAMED_STATEMENT);
		if (step->named && client->kept_count < CLIENT_KEPT)
			client->kept[client->kept_count++] =
				(struct kept_statement){step->named, step->statement};
		verdict_expect(client, step, STEP_PARSE, type);
		return;
	case '2':
		if (step->is_multi && client->pool->mode != POOL_SESSION)
			sim_reached(REACH_NAMED_AGAIN);
		verdict_expect(client, step, STEP_BIND, type);
		return;
	case '3':
		verdict_expect(client, step, STEP_CLOSE, type);
		return;
	case 'V':
		VERDICT(client,
			len > 4 &&
				sim_sql_row_is(
					body + 4, len - 4, client->id, step->statement.seq, 0),
			"a foreign result of a function");
		sim_reached(REACH_FUNCTION_CALL);
		verdict_expect(client, step, STEP_FUNCTION, type);
		return;
	case 'Z':
		verdict_ready(client, step, body, len);
		return;
	}
	sim_fail("C%u: a message of type %c (%d)", client->id, type, type);
}

void sim_verdict_message(struct sim_client *client, char type, const uint8_t *body, size_t len)
{
	struct step *step = client_step(client);

	VERDICT(client, client->phase != PHASE_TOLD, "something follows FATAL");
	if (type == 'E') {
		verdict_error(client, body, len);
	} else if (client->phase == PHASE_LOGIN) {
		verdict_login(client, type, body, len);
	} else if (type == 'N') {
		verdict_notice(client, body, len);
	} else if (type == 'S') {
		verdict_parameter(client, body, len);
	} else if (type == 'A') {
		verdict_notification(client, body, len);
	} else {
		if (!step)
			sim_fail("C%u: message %c although nothing is due", client->id, type);
		verdict_answer(client, step, type, body, len);
	}
	step = client_step(client);
	if (step && step->kind == STEP_READY && step->owes_sync && client->phase == PHASE_READY) {
		step->owes_sync = false;
		sim_bytes_message(&client->out, 'S');
	}
}

void sim_verdict_ended(struct sim_client *client)
{
	bool is_cut = client->conn->actor_is_reset;
	bool has_stood_still = sim_now_ns() - sim_elapsed_ns() != client->still_ns;

	if (client->phase == PHASE_TOLD || client->phase == PHASE_LEAVING ||
		client->phase == PHASE_CANCEL)
		return;
	if (is_cut)
		sim_reached(REACH_CUT_OFF);
	if (sim_verdict_is_peaceful(client) && !client->babbles)
		sim_fail("C%u: its connection ends in peaceful times", client->id);
	/* In the middle of a message nothing can be said; who is slow to read does not get all. */
	if (client->in.len > 0)
		sim_reached(REACH_CUT_SHORT);
	else if (!is_cut && !client->is_slow && !has_stood_still && !client->babbles &&
		!sim_client_expects_shutdown())
		sim_fail("C%u: its connection ends without a word", client->id);
}
