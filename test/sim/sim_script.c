/* What simulated clients send. */
#include "test/sim/sim_client_private.h"

#include "test/sim/sim.h"
#include "test/sim/sim_notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the beginning ---- */

void sim_script_startup(struct sim_client *client)
{
	struct sim_bytes *out = &client->out;

	sim_bytes_begin(out, 0);
	sim_bytes_add_u32(out, sim_percent(30) ? 3 << 16 | 2 : 3 << 16);
	sim_bytes_add_string(out, "user");
	sim_bytes_add_string(out, client->pool->user);
	sim_bytes_add_string(out, "database");
	sim_bytes_add_string(out, client->pool->database);
	if (client->name[0]) {
		sim_bytes_add_string(out, "application_name");
		sim_bytes_add_string(out, client->name);
	}
	sim_bytes_add(out, "", 1);
	sim_bytes_end(out);
}

void sim_script_cancel(struct sim_client *client, unsigned pid, const uint8_t *key, size_t key_len)
{
	sim_bytes_begin(&client->out, 0);
	sim_bytes_add_u32(&client->out, 80877102);
	sim_bytes_add_u32(&client->out, pid);
	sim_bytes_add(&client->out, key, key_len);
	sim_bytes_end(&client->out);
}

void sim_script_babble(struct sim_client *client)
{
	static const char *const nonsense[] = {
		"y\0\0\0\4", "Q\0\0\0\1", "p\0\0\0\4", "S\x7f\0\0\0"};

	client->babbles = true;
	sim_bytes_add(&client->out, nonsense[sim_below(array_len(nonsense))], 5);
}

/* ---- steps ---- */

static struct step *script_step(
	struct sim_client *client, enum step_kind kind, const struct sim_statement *statement)
{
	struct step *step;

	if (client->step_begin + client->step_count == client->step_size) {
		if (client->step_begin > 0) {
			memmove(client->steps, client->steps + client->step_begin,
				client->step_count * sizeof *client->steps);
			client->step_begin = 0;
		} else {
			client->step_size = 2 * client->step_size + 16;
			client->steps =
				realloc(client->steps, client->step_size * sizeof *client->steps);
			CHECK(client->steps);
		}
	}
	step = &client->steps[client->step_begin + client->step_count++];
	*step = (struct step){.kind = kind};
	if (statement)
		step->statement = *statement;
	return step;
}

static void script_end_unit(struct sim_client *client, bool later)
{
	script_step(client, STEP_READY, NULL)->owes_sync = later;
	client->units_open++;
	if (later)
		client->holds = true;
}

/* ---- statements ---- */

static unsigned script_row_bytes(void)
{
	if (sim_percent(80))
		return (unsigned)sim_between(SIM_ROW_LEAST, 120);
	return (unsigned)sim_between(SIM_ROW_LEAST, sim_percent(70) ? 3000 : 30000);
}

/* Listening and savepoints by turns; else SIM_VERB_COUNT. */
static enum sim_verb script_nested(const struct sim_client *client)
{
	bool is_set = client->last == SIM_SAVEPOINT || client->last == SIM_ROLLBACK_TO ||
		client->last == SIM_ROLLBACK;

	if (!client->listens || (client->predicted == 'I' && client->last != SIM_ROLLBACK) ||
		!sim_percent(60))
		return SIM_VERB_COUNT;
	if (client->predicted == 'E')
		return client->savepoints_sent ? SIM_ROLLBACK_TO : SIM_ROLLBACK;
	if (is_set)
		return sim_percent(60) ? SIM_LISTEN : SIM_UNLISTEN;
	if (sim_sql_listens(client->last) && sim_percent(25))
		return SIM_ROLLBACK;
	if (sim_sql_listens(client->last))
		return client->savepoints_sent ? SIM_ROLLBACK_TO : SIM_SAVEPOINT;
	return client->last == SIM_BEGIN ? SIM_SAVEPOINT : SIM_VERB_COUNT;
}

static enum sim_verb script_any_verb(const struct sim_client *client)
{
	static const enum sim_verb idle[] = {SIM_ROWS, SIM_ROWS, SIM_ROWS, SIM_ROWS, SIM_BEGIN,
		SIM_BEGIN, SIM_BEGIN, SIM_SHOW, SIM_SET, SIM_SET_NAME, SIM_FAIL, SIM_NOTICE,
		SIM_SLEEP, SIM_COPY_OUT, SIM_COMMIT};
	static const enum sim_verb inside[] = {SIM_ROWS, SIM_ROWS, SIM_ROWS, SIM_COMMIT, SIM_COMMIT,
		SIM_COMMIT, SIM_SAVEPOINT, SIM_SAVEPOINT, SIM_ROLLBACK_TO, SIM_RELEASE,
		SIM_ROLLBACK, SIM_SHOW, SIM_SET, SIM_FAIL, SIM_NOTICE, SIM_SLEEP, SIM_COPY_OUT};
	static const enum sim_verb about_channels[] = {SIM_LISTEN, SIM_LISTEN, SIM_LISTEN,
		SIM_UNLISTEN, SIM_UNLISTEN_ALL, SIM_NOTIFY, SIM_NOTIFY, SIM_NOTIFY};
	enum sim_verb verb = script_nested(client);

	if (verb != SIM_VERB_COUNT)
		return verb;
	if (sim_percent(client->chatter))
		return client->listens ? about_channels[sim_below(array_len(about_channels))]
				       : SIM_NOTIFY;
	if (client->predicted != 'I')
		return inside[sim_below(array_len(inside))];
	return idle[sim_below(array_len(idle))];
}

static enum sim_verb script_verb(const struct sim_client *client)
{
	enum sim_verb verb = script_any_verb(client);

	if (verb == SIM_BEGIN && client->pool->mode == POOL_STATEMENT)
		return SIM_ROWS;
	if ((verb == SIM_ROLLBACK_TO || verb == SIM_RELEASE) && client->savepoints_sent == 0)
		return SIM_SAVEPOINT;
	/* docs/limits.md: what the transaction has notified before */
	return sim_sql_listens(verb) && (client->has_notified || client->unit_notifies) &&
			client->pool->mode != POOL_SESSION
		? SIM_NOTIFY
		: verb;
}

static void script_predict(struct sim_client *client, enum sim_verb verb)
{
	bool ends = verb == SIM_COMMIT || verb == SIM_ROLLBACK;

	client->last = verb;
	client->unit_notifies |= verb == SIM_NOTIFY;
	client->may_have_begun |= verb == SIM_BEGIN;
	client->has_notified |= client->may_have_begun && client->unit_notifies;
	if (verb == SIM_BEGIN && client->predicted == 'I')
		client->predicted = 'T';
	else if (ends)
		client->predicted = 'I';
	else if (verb == SIM_RELEASE)
		client->savepoints_sent = 0;
	else if (verb == SIM_ROLLBACK_TO && client->predicted == 'E')
		client->predicted = 'T';
	else if (verb == SIM_FAIL && client->predicted == 'T')
		client->predicted = 'E';
}

/* One that may be there; rarely, one that is not. */
static unsigned script_savepoint(const struct sim_client *client)
{
	unsigned name = (unsigned)sim_below(3);

	while (!(client->savepoints_sent & 1U << name) && sim_percent(98))
		name = (name + 1) % 3;
	return name;
}

static struct sim_statement script_statement(struct sim_client *client, enum sim_verb verb)
{
	struct sim_statement statement = {
		.client = client->id, .seq = client->next_seq++, .verb = verb};

	switch (verb) {
	case SIM_ROWS:
	case SIM_COPY_OUT:
		statement.b = script_row_bytes();
		statement.a =
			(unsigned)(sim_percent(80) ? sim_below(8)
						   : sim_below(statement.b > 1000 ? 20 : 600));
		if (sim_percent(2) && statement.b < 400)
			statement.a = (unsigned)sim_between(1000, 5000);
		break;
	case SIM_SLEEP:
		statement.a =
			(unsigned)sim_between(1, client->is_strict || sim_percent(90) ? 50 : 1500);
		statement.b = SIM_ROW_LEAST;
		break;
	case SIM_LISTEN:
	case SIM_UNLISTEN:
	case SIM_NOTIFY:
		statement.a = (unsigned)sim_below(SIM_CHANNELS);
		break;
	case SIM_SAVEPOINT:
		statement.a = (unsigned)sim_below(3);
		client->savepoints_sent |= (uint8_t)(1U << statement.a);
		break;
	case SIM_ROLLBACK_TO:
	case SIM_RELEASE:
		statement.a = script_savepoint(client);
		break;
	case SIM_SET_NAME:
		statement.a = client->id;
		client->name_set = client->id;
		break;
	case SIM_COPY_IN:
		statement.b = script_row_bytes();
		statement.a = (unsigned)sim_below(sim_percent(80) ? 10 : 80);
		break;
	default:
		break;
	}
	if (sim_percent(10))
		statement.pad = (unsigned)sim_below(sim_percent(60) ? 600
				: sim_percent(80)                   ? 9000
								    : 150000);
	script_predict(client, verb);
	return statement;
}

static unsigned script_rows_of(const struct sim_statement *statement)
{
	switch (statement->verb) {
	case SIM_ROWS:
	case SIM_COPY_OUT:
		return statement->a;
	case SIM_SLEEP:
	case SIM_SHOW:
		return 1;
	default:
		return 0;
	}
}

/* ---- COPY in ---- */

static void script_copy_data(struct sim_client *client, const struct sim_statement *statement)
{
	struct sim_bytes *out = &client->out;

	for (unsigned i = 0; i < client->copy_rows; i++) {
		sim_bytes_begin(out, 'd');
		sim_sql_row(out, client->id, statement->seq, i, statement->b);
		sim_bytes_end(out);
	}
	if (client->copy_fails)
		sim_bytes_message_string(out, 'f', "given up");
	else
		sim_bytes_message(out, 'c');
	if (client->copy_syncs)
		sim_bytes_message(out, 'S');
}

void sim_script_copy(struct sim_client *client, const struct sim_statement *statement)
{
	script_copy_data(client, statement);
	client->copy_rows = 0;
}

static void script_copy_in(struct sim_client *client, bool is_extended)
{
	struct sim_statement statement = script_statement(client, SIM_COPY_IN);
	struct sim_bytes *out = &client->out;
	struct sim_bytes text = {0};
	struct step *step;
	bool is_eager = sim_percent(40);

	client->copy_rows = statement.a;
	client->copy_fails = sim_percent(20);
	client->copy_syncs = is_extended && !is_eager;
	sim_sql_format(&text, &statement);
	sim_bytes_add(&text, "", 1);
	if (is_extended) {
		sim_bytes_begin(out, 'P');
		sim_bytes_add(out, "", 1);
		sim_bytes_add(out, sim_bytes_at(&text), text.len);
		sim_bytes_add_u16(out, 0);
		sim_bytes_end(out);
		script_step(client, STEP_PARSE, &statement);
		sim_bytes_begin(out, 'B');
		sim_bytes_add(out, "\0\0\0\0\0\1", 6);
		sim_bytes_add_u32(out, SIM_ROW_LEAST);
		sim_sql_row(out, client->id, statement.seq, 0, SIM_ROW_LEAST);
		sim_bytes_add_u16(out, 0);
		sim_bytes_end(out);
		script_step(client, STEP_BIND, &statement);
		sim_bytes_begin(out, 'E');
		sim_bytes_add(out, "\0\0\0\0\0", 5);
		sim_bytes_end(out);
	} else {
		sim_bytes_begin(out, 'Q');
		sim_bytes_add(out, sim_bytes_at(&text), text.len);
		sim_bytes_end(out);
	}
	step = script_step(client, is_extended ? STEP_EXECUTE : STEP_STATEMENT, &statement);
	step->is_eager = is_eager;
	if (client->copy_fails && client->predicted == 'T')
		client->predicted = 'E';
	if (is_eager)
		script_copy_data(client, &statement);
	else
		client->holds = true;
	if (is_extended)
		sim_bytes_message(out, 'S');
	script_end_unit(client, false);
	sim_bytes_free(&text);
}

/* ---- the simple protocol ---- */

static void script_query(struct sim_client *client)
{
	bool is_nested = client->listens && client->predicted != 'I';
	unsigned count = sim_percent(is_nested ? 40 : 75) ? 1 : (unsigned)sim_between(2, 4);
	struct sim_bytes text = {0};
	bool is_refused = client->pool->mode == POOL_STATEMENT && sim_percent(5);

	if (is_refused)
		count = 1;
	for (unsigned i = 0; i < count; i++) {
		struct sim_statement statement =
			script_statement(client, is_refused ? SIM_BEGIN : script_verb(client));
		struct step *step = script_step(client, STEP_STATEMENT, &statement);

		step->row_count = script_rows_of(&statement);
		step->is_multi = count > 1;
		step->is_refused = is_refused;
		sim_sql_format(&text, &statement);
		step->request_bytes = text.len;
	}
	if (is_refused)
		client->predicted = 'I';
	sim_bytes_add(&text, "", 1);
	sim_bytes_begin(&client->out, 'Q');
	sim_bytes_add(&client->out, sim_bytes_at(&text), text.len);
	sim_bytes_end(&client->out);
	sim_bytes_free(&text);
	script_end_unit(client, false);
}

static void script_function(struct sim_client *client)
{
	struct sim_statement statement = script_statement(client, SIM_FUNCTION);
	struct sim_bytes *out = &client->out;

	sim_bytes_begin(out, 'F');
	sim_bytes_add_u32(out, 4711);
	sim_bytes_add(out, "\0\0\0\1", 4);
	sim_bytes_add_u32(out, SIM_ROW_LEAST);
	sim_sql_row(out, client->id, statement.seq, 0, SIM_ROW_LEAST);
	sim_bytes_add_u16(out, 0);
	sim_bytes_end(out);
	script_step(client, STEP_FUNCTION, &statement);
	script_end_unit(client, false);
}

/* ---- the extended protocol ---- */

struct batch {
	char name[32], portal[32];
	struct sim_statement statement;
};

static void batch_parse(struct sim_client *client, const struct batch *batch, bool is_refused)
{
	struct sim_bytes *out = &client->out;
	struct step *step = script_step(client, STEP_PARSE, &batch->statement);

	sim_bytes_begin(out, 'P');
	sim_bytes_add_string(out, batch->name);
	sim_sql_format(out, &batch->statement);
	sim_bytes_add(out, "", 1);
	sim_bytes_add_u16(out, 0);
	sim_bytes_end(out);
	step->is_refused = is_refused;
	step->is_multi = batch->name[0] != '\0';
}

static void batch_bind(struct sim_client *client, const struct batch *batch, bool is_refused)
{
	struct sim_bytes *out = &client->out;

	sim_bytes_begin(out, 'B');
	sim_bytes_add_string(out, batch->portal);
	sim_bytes_add_string(out, batch->name);
	sim_bytes_add(out, "\0\0\0\1", 4);
	sim_bytes_add_u32(out, SIM_ROW_LEAST);
	sim_sql_row(out, client->id, batch->statement.seq, 0, SIM_ROW_LEAST);
	sim_bytes_add_u16(out, 0);
	sim_bytes_end(out);
	script_step(client, STEP_BIND, &batch->statement)->is_refused = is_refused;
}

static void batch_name(struct sim_client *client, const struct batch *batch, char type, char what)
{
	struct sim_bytes *out = &client->out;

	sim_bytes_begin(out, type);
	sim_bytes_add(out, &what, 1);
	sim_bytes_add_string(out, what == 'S' ? batch->name : batch->portal);
	sim_bytes_end(out);
	script_step(client,
		type == 'C'           ? STEP_CLOSE
			: what == 'S' ? STEP_DESCRIBE_STATEMENT
				      : STEP_DESCRIBE_PORTAL,
		&batch->statement);
}

/* One Execute, or several that take some rows each. */
static void batch_execute(struct sim_client *client, const struct batch *batch)
{
	unsigned rows = script_rows_of(&batch->statement), most = 0, from = 0;
	struct step *step;

	if (batch->statement.verb == SIM_ROWS && rows > 1 && sim_percent(25))
		most = (unsigned)sim_between(1 + rows / 8, rows);
	do {
		sim_bytes_begin(&client->out, 'E');
		sim_bytes_add_string(&client->out, batch->portal);
		sim_bytes_add_u32(&client->out, most);
		sim_bytes_end(&client->out);
		step = script_step(client, STEP_EXECUTE, &batch->statement);
		step->first_row = from;
		step->row_count = most > 0 && rows - from > most ? most : rows - from;
		from += step->row_count;
		step->is_suspended = from < rows;
		step->request_bytes = batch->statement.pad;
	} while (from < rows);
}

static void batch_set_name(struct sim_client *client, struct batch *batch, unsigned named)
{
	snprintf(batch->name, sizeof batch->name, "s%u_%u", client->id, named);
}

/* A batch that uses a statement of long ago, on whatever server it comes to. */
static void script_batch_again(struct sim_client *client)
{
	unsigned i = (unsigned)sim_below(client->kept_count);
	struct batch batch = {.statement = client->kept[i].statement};

	batch.statement.seq = client->next_seq++;
	script_predict(client, batch.statement.verb);
	batch_set_name(client, &batch, client->kept[i].named);
	if (sim_percent(30))
		batch_name(client, &batch, 'D', 'S');
	batch_bind(client, &batch, false);
	client->steps[client->step_begin + client->step_count - 1].is_multi = true;
	batch_execute(client, &batch);
	if (sim_percent(20)) {
		batch_name(client, &batch, 'C', 'S');
		client->kept[i] = client->kept[--client->kept_count];
	}
	sim_bytes_message(&client->out, 'S');
	script_end_unit(client, false);
}

static void script_batch(struct sim_client *client)
{
	bool in_session = client->pool->mode == POOL_SESSION;
	bool is_refused = client->pool->mode == POOL_STATEMENT && sim_percent(5);
	struct batch batch = {.statement = script_statement(
				      client, is_refused ? SIM_BEGIN : script_verb(client))};
	unsigned binds = is_refused ? 1 : (unsigned)sim_between(1, sim_percent(80) ? 1 : 3);
	bool is_unknown =
		!in_session && client->status == 'I' && client->units_open == 0 && sim_percent(4);
	bool is_later = sim_percent(15), closes = sim_percent(60), refuses_names;

	if (sim_percent(in_session || client->follows ? 30 : 3))
		batch_set_name(client, &batch, ++client->named_count);
	if (is_unknown)
		snprintf(batch.name, sizeof batch.name, "%s", client->follows ? "nobody" : "");
	refuses_names = batch.name[0] && !in_session && !client->follows;
	if (is_refused)
		client->predicted = 'I';
	if (!is_unknown)
		batch_parse(client, &batch, is_refused || refuses_names);
	if (!is_unknown && !closes && batch.name[0] && sim_sql_has_rows(batch.statement.verb))
		client->steps[client->step_begin + client->step_count - 1].named =
			client->named_count;
	if (!is_unknown && sim_percent(30))
		batch_name(client, &batch, 'D', 'S');
	for (unsigned i = 0; i < binds; i++) {
		if (i > 0) {
			batch.statement.seq = client->next_seq++;
			script_predict(client, batch.statement.verb);
		}
		if (sim_percent(30))
			snprintf(batch.portal, sizeof batch.portal, "p%u", i);
		batch_bind(client, &batch, is_unknown);
		if (sim_percent(40))
			batch_name(client, &batch, 'D', 'P');
		batch_execute(client, &batch);
		if (sim_percent(10))
			batch_name(client, &batch, 'C', 'P');
		if (sim_percent(10))
			sim_bytes_message(&client->out, 'H');
	}
	if (batch.name[0] && closes)
		batch_name(client, &batch, 'C', 'S');
	if (is_unknown || refuses_names)
		client->predicted = client->predicted == 'T' ? 'E' : client->predicted;
	sim_bytes_message(&client->out, is_later ? 'H' : 'S');
	script_end_unit(client, is_later);
}

/* Several statements in one batch, as drivers send what belongs together. */
static void script_batch_of_several(struct sim_client *client)
{
	unsigned count = (unsigned)sim_between(2, 4);
	bool is_later = sim_percent(15);

	for (unsigned i = 0; i < count; i++) {
		struct batch batch = {.statement = script_statement(client, script_verb(client))};

		batch_parse(client, &batch, false);
		batch_bind(client, &batch, false);
		if (sim_percent(40))
			batch_name(client, &batch, 'D', 'P');
		batch_execute(client, &batch);
		if (sim_percent(10))
			sim_bytes_message(&client->out, 'H');
	}
	sim_bytes_message(&client->out, is_later ? 'H' : 'S');
	script_end_unit(client, is_later);
}

void sim_script_unit(struct sim_client *client)
{
	unsigned dice = (unsigned)sim_below(100);

	client->unit_notifies = false;
	if (client->units_open == 0) {
		client->predicted = client->status;
		client->may_have_begun = client->status != 'I';
		client->has_notified &= client->may_have_begun;
	}
	if (client->predicted == 'I')
		client->savepoints_sent = 0;
	if (dice < 45)
		script_query(client);
	else if (dice < 88 && client->kept_count > 0 && sim_percent(40))
		script_batch_again(client);
	else if (dice < 88 && sim_percent(25))
		script_batch_of_several(client);
	else if (dice < 88)
		script_batch(client);
	else if (dice < 97)
		script_copy_in(client, sim_percent(50));
	else
		script_function(client);
	sim_trace("C%u: sends up to %u", client->id, client->next_seq - 1);
}
