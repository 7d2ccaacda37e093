/* What a server owes: PostgreSQL's rules one by one, then random dialogues against a model of its message loop.
 *
 * What no queue can know is left out here: whether a COPY that fails had read a Sync that was sent before its end. The messages on
 * the wire are the same in both cases but for one ReadyForQuery.
 */
#include "pool/pending.h"

#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static struct pending pending;

static int pending_fresh(void **state)
{
	(void)state;
	memset(&pending, 0xA5, sizeof pending); /* what is in the entries does not matter */
	pending_reset(&pending);
	return 0;
}

/* The queue as a word: a letter for each entry, as below. */
static const char *owed(void)
{
	static const char letters[] = {'?', 'Q', 'F', 'S', 'P', 'B', 'D', 'E', 'C', 'c'};
	static char word[LIMIT_PENDING + 1];

	for (uint32_t i = 0; i < pending.count; i++)
		word[i] = letters[pending.entries[(pending.first + i) % LIMIT_PENDING].kind];
	word[pending.count] = '\0';
	return word;
}

/* Sends a letter: Q Query, F FunctionCall, S Sync, P Parse, B Bind, D Describe, E Execute, C Close, c CopyDone or CopyFail. What is
 * not noted (CopyData, Flush) has no letter. */
static void push(char letter, unsigned flags)
{
	switch (letter) {
	case 'Q':
		pending_push(&pending, PENDING_QUERY, flags);
		return;
	case 'F':
		pending_push(&pending, PENDING_FUNCTION, flags);
		return;
	case 'S':
		pending_push(&pending, PENDING_SYNC, flags);
		return;
	case 'P':
		pending_push(&pending, PENDING_PARSE, flags);
		return;
	case 'B':
		pending_push(&pending, PENDING_BIND, flags);
		return;
	case 'D':
		pending_push(&pending, PENDING_DESCRIBE, flags);
		return;
	case 'E':
		pending_push(&pending, PENDING_EXECUTE, flags);
		return;
	case 'C':
		pending_push(&pending, PENDING_CLOSE, flags);
		return;
	case 'c':
		pending_push_copy_end(&pending);
		return;
	}
	fail_msg("no message '%c'", letter);
}

static void send_all(const char *letters)
{
	for (; *letters; letters++)
		push(*letters, 0);
}

/* An answer of the server, with what answers.c makes of it: the type byte of the message. */
static void hear(char type)
{
	enum pending_kind head = pending_head_kind(&pending);

	if (type == 'E') {
		pending_error(&pending);
		return;
	}
	assert_int_not_equal(head, PENDING_NOTHING); /* or nobody asked for it */
	switch (type) {
	case '1':
		assert_int_equal(head, PENDING_PARSE);
		pending_pop(&pending);
		return;
	case '2':
		assert_int_equal(head, PENDING_BIND);
		pending_pop(&pending);
		return;
	case '3':
		assert_int_equal(head, PENDING_CLOSE);
		pending_pop(&pending);
		return;
	case 'n':
		assert_int_equal(head, PENDING_DESCRIBE);
		pending_pop(&pending);
		return;
	case 's':
		assert_int_equal(head, PENDING_EXECUTE);
		pending_pop(&pending);
		return;
	case 'T':
		if (head == PENDING_DESCRIBE)
			pending_pop(&pending);
		return;
	case 'C':
		pending.copying = false;
		if (head == PENDING_EXECUTE)
			pending_pop(&pending);
		return;
	case 'I':
		if (head == PENDING_EXECUTE)
			pending_pop(&pending);
		return;
	case 'G':
		pending_copy_in(&pending);
		return;
	case 'Z':
		assert_true(head == PENDING_QUERY || head == PENDING_FUNCTION || head == PENDING_SYNC);
		pending.copying = false;
		pending_pop(&pending);
		return;
	}
	assert_non_null(strchr("DdHcVt", type)); /* rows, COPY out, a function's result: nothing to note */
}

static void hear_all(const char *types)
{
	for (; *types; types++)
		hear(*types);
}

/* ---- the rules ---- */

static void answers_end_what_they_answer(void **state)
{
	(void)state;
	send_all("QPBDECSF");
	hear_all("TDDCIC"); /* a Query of several statements, one of them empty */
	assert_string_equal(owed(), "QPBDECSF");
	hear('Z');
	assert_string_equal(owed(), "PBDECSF");
	hear_all("12n");
	assert_string_equal(owed(), "ECSF");
	hear_all("DDC");
	assert_string_equal(owed(), "CSF");
	hear_all("3ZV");
	assert_string_equal(owed(), "F");
	hear('Z');
	assert_true(pending_empty(&pending));
	assert_int_equal(pending_head_kind(&pending), PENDING_NOTHING);
}

static void an_execute_ends_in_one_of_three_ways(void **state)
{
	(void)state;
	send_all("EEES");
	hear_all("DDs");
	assert_string_equal(owed(), "EES");
	hear_all("I");
	assert_string_equal(owed(), "ES");
	hear_all("C");
	assert_string_equal(owed(), "S");
}

/* Manual, "Extended Query": the backend reads and discards messages until a Sync. A Query, too. */
static void an_error_skips_to_the_sync(void **state)
{
	(void)state;
	for (const char *head = "PBDEC"; *head; head++) {
		pending_reset(&pending);
		push(*head, 0);
		send_all("BQFEcSQPS");
		hear('E');
		assert_string_equal(owed(), "SQPS");
		assert_false(pending.skipping); /* the Sync has been sent */
		hear_all("ZZ");
		assert_string_equal(owed(), "PS"); /* what follows is not skipped */
	}
}

static void an_error_skips_what_is_sent_later(void **state)
{
	(void)state;
	send_all("PBE");
	hear_all("1E");
	assert_true(pending_empty(&pending));
	assert_true(pending.skipping);
	send_all("PBEcQFC");
	assert_true(pending_empty(&pending)); /* the server does not even look at them */
	send_all("S");
	assert_false(pending.skipping);
	assert_string_equal(owed(), "S");
	send_all("Q");
	hear('Z');
	assert_string_equal(owed(), "Q");
}

static void an_error_of_a_query_skips_nothing(void **state)
{
	(void)state;
	for (const char *head = "QFS"; *head; head++) { /* a Sync may fail, too: it commits */
		pending_reset(&pending);
		push(*head, 0);
		send_all("PBQS");
		hear('E');
		assert_false(pending.skipping);
		hear('Z');
		assert_string_equal(owed(), "PBQS");
	}
}

/* A Query in the middle of a batch: its own error ends with it, and the batch goes on. */
static void a_query_in_a_batch_fails_alone(void **state)
{
	(void)state;
	send_all("PBQES");
	hear_all("12EZ");
	assert_string_equal(owed(), "ES");
	hear_all("E");
	assert_string_equal(owed(), "S");
}

static void a_notice_of_the_end_needs_nothing(void **state)
{
	(void)state;
	hear('E'); /* an error that nobody asked for: an administrator's, before the connection ends */
	assert_true(pending_empty(&pending));
	assert_false(pending.skipping);
}

/* ---- COPY: the server "will ignore any Flush or Sync messages received during copy-in mode" ("Extended Query") ---- */

static void a_copy_swallows_the_syncs_before_its_end(void **state)
{
	(void)state;
	send_all("ESS"); /* as libpq does: the Sync goes with the Execute */
	hear('G');
	assert_string_equal(owed(), "E");
	assert_true(pending.copying);
	send_all("cS");
	assert_false(pending.copying);
	assert_string_equal(owed(), "ES");
	hear_all("CZ");
	assert_true(pending_empty(&pending));
}

static void a_copy_that_is_under_way_swallows_syncs(void **state)
{
	(void)state;
	send_all("Q");
	hear('G');
	send_all("SSc");
	assert_string_equal(owed(), "Q");
	send_all("S");
	assert_string_equal(owed(), "QS");
	hear_all("CZZ");
	assert_true(pending_empty(&pending));
}

/* The client did not wait for CopyInResponse. */
static void a_copy_may_end_before_it_is_heard_of(void **state)
{
	(void)state;
	send_all("EScSQ");
	hear('G');
	assert_false(pending.copying);
	assert_string_equal(owed(), "ESQ");
	hear_all("CZZ");
	assert_true(pending_empty(&pending));
}

/* It may also turn out that there is no copy: then both the Syncs and the end of the copy mean what they mean elsewhere. */
static void an_end_without_a_copy_is_ignored(void **state)
{
	(void)state;
	send_all("c");
	assert_true(pending_empty(&pending));
	send_all("EScSQcc");
	hear('C');
	assert_string_equal(owed(), "ScSQcc");
	hear('Z');
	assert_string_equal(owed(), "SQcc");
	hear_all("ZZ");
	assert_true(pending_empty(&pending));
}

static void two_copies_in_one_query(void **state)
{
	(void)state;
	/* all at once */
	send_all("QccQ");
	hear_all("GC");
	assert_string_equal(owed(), "QcQ");
	hear_all("GC");
	assert_string_equal(owed(), "QQ");
	hear_all("ZZ");
	assert_true(pending_empty(&pending));

	/* with Syncs between, which the second swallows */
	send_all("QcSScS");
	hear_all("GCG");
	assert_string_equal(owed(), "QS");
	hear_all("CZZ");
	assert_true(pending_empty(&pending));

	/* one after the other */
	send_all("Q");
	hear('G');
	send_all("c");
	hear_all("CG");
	assert_true(pending.copying);
	send_all("S");
	assert_string_equal(owed(), "Q");
	send_all("cS");
	hear_all("CZ");
	assert_string_equal(owed(), "S");
}

/* The first fails: the second never begins, and its Syncs and its end are read by the message loop. */
static void the_first_of_two_copies_fails(void **state)
{
	(void)state;
	send_all("QcScQ");
	hear_all("GE");
	assert_string_equal(owed(), "QScQ");
	hear_all("ZZ");
	assert_string_equal(owed(), "Q");
	hear('Z');
	assert_true(pending_empty(&pending));
}

static void a_copy_fails_in_a_batch(void **state)
{
	(void)state;
	/* before the client has said that it is over: PostgreSQL skips the rest of it */
	send_all("PBES");
	hear_all("12GE");
	assert_true(pending_empty(&pending));
	assert_true(pending.skipping);
	assert_false(pending.copying);
	send_all("c");
	assert_true(pending.skipping);
	send_all("S");
	assert_string_equal(owed(), "S");
	hear('Z');
	assert_true(pending_empty(&pending));

	/* after it */
	send_all("PBEScSQ");
	hear_all("12GE");
	assert_string_equal(owed(), "SQ");
	hear_all("ZZ");
	assert_true(pending_empty(&pending));
}

static void a_copy_fails_in_a_query(void **state)
{
	(void)state;
	send_all("Q");
	hear_all("GE");
	assert_false(pending.copying);
	send_all("cQ"); /* the end is ignored */
	hear('Z');
	assert_string_equal(owed(), "Q");
	hear('Z');
	assert_true(pending_empty(&pending));
}

/* ---- the rest of the contract ---- */

static void flags_stay_with_their_entry(void **state)
{
	(void)state;
	push('P', 1);
	push('B', 2);
	push('E', 3);
	push('S', 4);
	push('c', 0);
	push('S', 255);
	assert_int_equal(pending_head(&pending).flags, 1);
	hear_all("12");
	assert_int_equal(pending_head(&pending).flags, 3);
	hear('G'); /* takes the entries behind the head away, not the head */
	assert_int_equal(pending_head(&pending).flags, 3);
	hear('C');
	assert_int_equal(pending_head(&pending).flags, 255);
	hear('Z');
	push('E', 7);
	push('Q', 8);
	push('S', 9);
	hear('E');
	assert_int_equal(pending_head(&pending).flags, 9);
}

/* pgring may add PENDING_SPARE entries to a queue that had room. */
static void room_leaves_a_spare(void **state)
{
	unsigned sent = 0;

	(void)state;
	for (unsigned first = 0; first < 3 * LIMIT_PENDING; first += 1000) {
		pending_reset(&pending);
		pending.first = first;
		for (sent = 0; pending_has_room(&pending); sent++)
			push(sent % 2 ? 'B' : 'P', sent & 0xFF);
		assert_true(sent > LIMIT_PENDING / 2);
		for (unsigned i = 0; i < PENDING_SPARE - 1; i++, sent++)
			push(sent % 2 ? 'B' : 'P', sent & 0xFF);
		assert_true(pending.count <= LIMIT_PENDING);
		for (unsigned i = 0; i < sent; i++) {
			assert_int_equal(pending_head(&pending).flags, i & 0xFF);
			hear(i % 2 ? '2' : '1');
		}
		assert_true(pending_empty(&pending));
	}
}

static void a_reset_forgets(void **state)
{
	(void)state;
	send_all("QE");
	hear('G');
	pending_reset(&pending);
	assert_true(pending_empty(&pending));
	assert_false(pending.copying);
	send_all("E");
	hear('E');
	assert_true(pending.skipping);
	pending_reset(&pending);
	send_all("Q");
	assert_string_equal(owed(), "Q");
}

static void ready_is_owed_to_the_client(void **state)
{
	static const struct {
		const char *sent;
		bool is_owed;
	} rows[] = {{"", false}, {"P", false}, {"PBDECc", false}, {"Q", true}, {"F", true}, {"S", true}, {"PBES", true},
		{"EcQ", true}};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		pending_reset(&pending);
		send_all(rows[i].sent);
		assert_int_equal(pending_owes_ready(&pending), rows[i].is_owed);
		pending_reset(&pending);
		for (const char *letter = rows[i].sent; *letter; letter++)
			push(*letter, PENDING_HIDDEN); /* pgring's own */
		assert_false(pending_owes_ready(&pending));
	}
}

/* ---- a model of PostgreSQL's message loop (postgres.c: PostgresMain, SocketBackend; copyfromparse.c: CopyGetData) ---- */

enum { MESSAGES = 60, ANSWERS = 2000, STATEMENTS = 4 };

/* What a statement, or another message, will come to:
 *   o done  r done, with rows  e fails  i is empty  n has no rows (Describe)  s suspended  u COPY to the client
 *   g COPY from the client  G the same; its first data fails  k the same; fails at its end */
struct message {
	char type; /* of the client's message */
	char will[STATEMENTS + 1];
};

struct answer {
	char type;
	uint8_t to; /* which message */
};

struct backend {
	struct message messages[MESSAGES]; /* as sent */
	unsigned sent, read;
	struct answer answers[ANSWERS];
	unsigned answered;
	bool ignores_till_sync, is_copying;
	unsigned running, statement; /* the message that is being executed, and where in it */
	bool is_extended;            /* "doing_extended_query_message" */
};

static void backend_say(struct backend *b, const char *types, unsigned to)
{
	for (; *types; types++) {
		assert_true(b->answered < ANSWERS);
		b->answers[b->answered++] = (struct answer){*types, (uint8_t)to};
	}
}

/* The error handler of the loop. */
static void backend_fail(struct backend *b, unsigned at)
{
	b->is_copying = false;
	backend_say(b, "E", at);
	if (b->is_extended)
		b->ignores_till_sync = true;
	else
		backend_say(b, "Z", at);
}

/* Runs statements of the present message until the last, an error, or a COPY that needs data. */
static void backend_go_on(struct backend *b)
{
	const struct message *message = &b->messages[b->running];
	bool is_query = message->type == 'Q';

	for (; message->will[b->statement]; b->statement++) {
		switch (message->will[b->statement]) {
		case 'o':
			backend_say(b, "C", b->running);
			break;
		case 'r':
			backend_say(b, is_query ? "TDDC" : "DDC", b->running);
			break;
		case 'i':
			backend_say(b, "I", b->running);
			break;
		case 's':
			backend_say(b, "Ds", b->running);
			break;
		case 'u':
			backend_say(b, "HddcC", b->running);
			break;
		case 'e':
			backend_fail(b, b->running);
			return;
		default:
			backend_say(b, "G", b->running);
			b->is_copying = true;
			return;
		}
	}
	if (is_query)
		backend_say(b, "Z", b->running);
}

/* A message while COPY takes data. */
static void backend_copy(struct backend *b, char type)
{
	char will = b->messages[b->running].will[b->statement];

	switch (type) {
	case 'H':
	case 'S':
		return;
	case 'd':
		if (will == 'G')
			backend_fail(b, b->running);
		return;
	case 'f':
		backend_fail(b, b->running);
		return;
	case 'c':
		if (will != 'g') {
			backend_fail(b, b->running);
			return;
		}
		b->is_copying = false;
		backend_say(b, "C", b->running);
		b->statement++;
		backend_go_on(b);
		return;
	}
	fail_msg("the client broke the copy"); /* PostgreSQL would end the session */
}

/* A message of the main loop. */
static void backend_loop(struct backend *b, unsigned at)
{
	const struct message *message = &b->messages[at];

	if (message->type == 'S')
		b->ignores_till_sync = false;
	if (b->ignores_till_sync || strchr("Hdcf", message->type))
		return;
	b->is_extended = strchr("PBDEC", message->type) != NULL;
	if (message->will[0] == 'e') {
		backend_fail(b, at);
		return;
	}
	switch (message->type) {
	case 'Q':
	case 'E':
		b->running = at;
		b->statement = 0;
		backend_go_on(b);
		return;
	case 'P':
		backend_say(b, "1", at);
		return;
	case 'B':
		backend_say(b, "2", at);
		return;
	case 'C':
		backend_say(b, "3", at);
		return;
	case 'D':
		backend_say(b, message->will[0] == 'n' ? "tn" : "T", at);
		return;
	case 'F':
		backend_say(b, "VZ", at);
		return;
	case 'S':
		backend_say(b, "Z", at);
		return;
	}
	fail_msg("no message '%c'", message->type);
}

static void backend_run(struct backend *b)
{
	for (; b->read < b->sent; b->read++) {
		if (b->is_copying)
			backend_copy(b, b->messages[b->read].type);
		else
			backend_loop(b, b->read);
	}
}

/* ---- a client that sends anything that does not end its session ---- */

struct client {
	struct rand rand;
	struct message script[MESSAGES];
	unsigned len;
};

static bool one_in(struct client *c, unsigned n)
{
	return rand_below(&c->rand, n) == 0;
}

static void script_add(struct client *c, char type, const char *will)
{
	struct message *message = &c->script[c->len];

	if (c->len == MESSAGES)
		return;
	message->type = type;
	memset(message->will, 0, sizeof message->will);
	memcpy(message->will, will, strlen(will));
	c->len++;
}

static const char *pick(struct client *c, const char *letters)
{
	static char will[2];

	will[0] = letters[rand_below(&c->rand, strlen(letters))];
	return will;
}

/* What belongs to a statement that copies: Syncs that came too early, data, and its end. */
static void script_copy(struct client *c)
{
	if (c->len + 12 > MESSAGES)
		return;
	while (one_in(c, 3))
		script_add(c, one_in(c, 3) ? 'H' : 'S', "o");
	for (uint64_t n = rand_below(&c->rand, 3); n > 0; n--) {
		script_add(c, 'd', "");
		if (one_in(c, 5))
			script_add(c, 'H', "");
	}
	script_add(c, one_in(c, 5) ? 'f' : 'c', "");
}

static void script_query(struct client *c)
{
	char will[STATEMENTS + 1] = {0};
	unsigned len = (unsigned)rand_below(&c->rand, STATEMENTS + 1), copies = 0;

	if (c->len + 1 + 12 * STATEMENTS > MESSAGES)
		len = 0;
	for (unsigned i = 0; i < len; i++) {
		will[i] = *pick(c, one_in(c, 2) ? "gGk" : "oorriue");
		copies += strchr("gGk", will[i]) != NULL;
	}
	script_add(c, 'Q', will[0] ? will : "i");
	for (; copies > 0; copies--)
		script_copy(c); /* also those that do not begin, as one before them fails */
}

static void script_execute(struct client *c)
{
	const char *will = c->len + 13 > MESSAGES ? "o" : pick(c, "oorriuesgGk");
	bool is_copy = strchr("gGk", will[0]) != NULL;

	script_add(c, 'E', will);
	if (is_copy || one_in(c, 10)) /* a client may take something for a copy that is none */
		script_copy(c);
}

static void script_step(struct client *c)
{
	switch (rand_below(&c->rand, 14)) {
	case 0:
	case 1:
		script_query(c);
		return;
	case 2:
	case 3:
		script_execute(c);
		return;
	case 4:
	case 5:
	case 6:
		script_add(c, *pick(c, "PBC"), one_in(c, 6) ? "e" : "o");
		return;
	case 7:
		script_add(c, 'D', pick(c, "oonne"));
		return;
	case 8:
	case 9:
	case 10:
		script_add(c, 'S', one_in(c, 8) ? "e" : "o");
		return;
	case 11:
		script_add(c, 'F', one_in(c, 4) ? "e" : "o");
		return;
	case 12:
		script_add(c, 'H', "");
		return;
	case 13:
		script_add(c, *pick(c, "dcf"), ""); /* late, as after a copy that failed */
		return;
	}
}

static void send_next(struct backend *b, const struct client *c)
{
	const struct message *message = &c->script[b->sent];

	if (message->type == 'f' || message->type == 'c')
		pending_push_copy_end(&pending);
	else if (message->type != 'd' && message->type != 'H')
		push(message->type, b->sent);
	b->messages[b->sent++] = *message;
	backend_run(b);
}

static void hear_next(const struct backend *b, unsigned heard)
{
	const struct answer *answer = &b->answers[heard];

	assert_false(pending_empty(&pending));
	assert_int_equal(pending_head(&pending).flags, answer->to);
	hear(answer->type);
}

/* It owes what has not been heard of yet; and while it takes data, the end of the copy. */
static void assert_owes(const struct backend *b, unsigned heard)
{
	bool owes = heard < b->answered || b->is_copying;

	assert_int_equal(pending_empty(&pending), !owes);
	if (heard < b->answered)
		return;
	assert_int_equal(pending.copying, b->is_copying);
	assert_int_equal(pending.skipping, b->ignores_till_sync);
}

/* The client sends and pgring hears in any order that time allows: pgring may be far behind the server, or close to it. */
static void play(struct client *c, unsigned patience)
{
	static struct backend b;
	unsigned heard = 0;

	memset(&b, 0, sizeof b);
	pending_reset(&pending);
	while (b.sent < c->len || heard < b.answered) {
		bool sends = b.sent < c->len && (heard == b.answered || rand_below(&c->rand, 10) < patience);

		if (sends)
			send_next(&b, c);
		else
			hear_next(&b, heard++);
		assert_owes(&b, heard);
	}
}

static const char *printed(const struct client *c)
{
	static char text[MESSAGES * (STATEMENTS + 4) + 1];
	size_t len = 0;

	for (unsigned i = 0; i < c->len; i++) {
		const struct message *message = &c->script[i];

		text[len++] = message->type;
		if (message->will[0] && strcmp(message->will, "o") != 0) {
			text[len++] = '(';
			memcpy(text + len, message->will, strlen(message->will));
			len += strlen(message->will);
			text[len++] = ')';
		}
	}
	text[len] = '\0';
	return text;
}

static uint64_t dialogue;
static struct client client;

static void random_dialogues_agree_with_postgresql(void **state)
{
	(void)state;
	for (dialogue = 0; dialogue < 60000; dialogue++) {
		unsigned len = 1 + (unsigned)(dialogue % (dialogue < 30000 ? 8 : MESSAGES));

		memset(&client, 0, sizeof client);
		client.rand = (struct rand){{dialogue + 1, 5, 6, 7}};
		for (unsigned i = 0; i < 8; i++)
			rand_next(&client.rand);
		while (client.len < len)
			script_step(&client);
		play(&client, (unsigned)(dialogue % 11));
	}
	dialogue = 0;
}

/* Which one it was, if it failed. */
static int tell_dialogue(void **state)
{
	(void)state;
	if (dialogue > 0)
		print_error("dialogue %llu: %s\n", (unsigned long long)dialogue, printed(&client));
	return 0;
}

#define FRESH(test) cmocka_unit_test_setup(test, pending_fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(answers_end_what_they_answer),
		FRESH(an_execute_ends_in_one_of_three_ways),
		FRESH(an_error_skips_to_the_sync),
		FRESH(an_error_skips_what_is_sent_later),
		FRESH(an_error_of_a_query_skips_nothing),
		FRESH(a_query_in_a_batch_fails_alone),
		FRESH(a_notice_of_the_end_needs_nothing),
		FRESH(a_copy_swallows_the_syncs_before_its_end),
		FRESH(a_copy_that_is_under_way_swallows_syncs),
		FRESH(a_copy_may_end_before_it_is_heard_of),
		FRESH(an_end_without_a_copy_is_ignored),
		FRESH(two_copies_in_one_query),
		FRESH(the_first_of_two_copies_fails),
		FRESH(a_copy_fails_in_a_batch),
		FRESH(a_copy_fails_in_a_query),
		FRESH(flags_stay_with_their_entry),
		FRESH(room_leaves_a_spare),
		FRESH(a_reset_forgets),
		FRESH(ready_is_owed_to_the_client),
		cmocka_unit_test_setup_teardown(
			random_dialogues_agree_with_postgresql, pending_fresh, tell_dialogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
