/* What a server owes, in random dialogues, against a model of PostgreSQL's message loop.
 *
 * Whether a COPY that fails had read a Sync that was sent before its end, no queue can know: the messages are the same in both
 * cases but for one ReadyForQuery. There the queue must say that it is not sure.
 */
#include "test/unit/pending_letters.h"

#include "core/rand.h"

/* ---- a model of PostgreSQL's message loop (postgres.c: PostgresMain, SocketBackend; copyfromparse.c: CopyGetData) ---- */

enum { MESSAGES = 60, ANSWERS = 2000, STATEMENTS = 4 };

/* What a statement, or another message, will come to:
 *   o done  r done, with rows  e fails  i is empty  n has no rows (Describe)  s suspended  u COPY to the client
 *   g COPY from the client  G the same; its first data fails  k the same; fails at its end
 *   v the same; fails before it reads anything, as into a view, or by a trigger */
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
		case 'v':
			backend_say(b, "G", b->running);
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
	const char *copies; /* what may become of one */
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
		if (one_in(c, 8))
			script_add(c, 'S', "o");
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
		will[i] = *pick(c, one_in(c, 2) ? c->copies : "oorriue");
		copies += strchr("gGkv", will[i]) != NULL;
	}
	script_add(c, 'Q', will[0] ? will : "i");
	for (; copies > 0; copies--)
		script_copy(c); /* also those that do not begin, as one before them fails */
}

static void script_execute(struct client *c)
{
	const char *will =
		c->len + 13 > MESSAGES ? "o" : pick(c, one_in(c, 3) ? c->copies : "oorriues");
	bool is_copy = strchr("gGkv", will[0]) != NULL;

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

/* A message's name for its entry's flags, behind those that mean something. */
static unsigned name_of(unsigned message)
{
	return message % (256 >> PENDING_REASON_SHIFT) << PENDING_REASON_SHIFT;
}

static void send_next(struct backend *b, const struct client *c)
{
	const struct message *message = &c->script[b->sent];

	if (message->type == 'f' || message->type == 'c')
		pending_push_copy_end(&pending);
	else if (message->type != 'H')
		push(message->type, name_of(b->sent));
	b->messages[b->sent++] = *message;
	backend_run(b);
}

/* Returns false if the queue is not sure any more: where a COPY failed after a Sync that was sent between its data, or, if some
 * fail before they read anything, after any Sync. */
static bool hear_next(const struct backend *b, unsigned heard, bool some_fail_at_once)
{
	const struct answer *answer = &b->answers[heard];

	assert_false(pending_empty(&pending));
	assert_int_equal(pending_head(&pending).flags & ~PENDING_AFTER_DATA, name_of(answer->to));
	if (answer->type == 'E' &&
		(pending.is_doubtful || (some_fail_at_once && pending.has_swallowed)))
		return false;
	hear(answer->type);
	return true;
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

/* The client sends and pgring hears in any order that time allows: pgring may be far behind the server, or close to it. Returns
 * false if it ended because the queue was not sure. */
static bool play(struct client *c, unsigned patience)
{
	static struct backend b;
	unsigned heard = 0;

	memset(&b, 0, sizeof b);
	pending_reset(&pending);
	while (b.sent < c->len || heard < b.answered) {
		bool sends = b.sent < c->len &&
			(heard == b.answered || rand_below(&c->rand, 10) < patience);

		if (sends)
			send_next(&b, c);
		else if (!hear_next(&b, heard++, strchr(c->copies, 'v') != NULL))
			return false;
		assert_owes(&b, heard);
	}
	return true;
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

static void play_dialogues(const char *copies)
{
	unsigned doubts = 0;

	for (dialogue = 0; dialogue < 60000; dialogue++) {
		unsigned len = 1 + (unsigned)(dialogue % (dialogue < 30000 ? 8 : MESSAGES));

		memset(&client, 0, sizeof client);
		client.rand = (struct rand){{dialogue + 1, 5, 6, 7}};
		client.copies = copies;
		for (unsigned i = 0; i < 8; i++)
			rand_next(&client.rand);
		while (client.len < len)
			script_step(&client);
		doubts += !play(&client, (unsigned)(dialogue % 11));
	}
	assert_in_range(doubts, dialogue / 1000, dialogue / 2); /* some, but most go on */
	dialogue = 0;
}

static void random_dialogues_agree_with_postgresql(void **state)
{
	(void)state;
	play_dialogues("gGk");
}

/* A Sync that goes with the COPY itself, as libpq sends it, is swallowed by a COPY that reads, and answered after one that fails
 * before it reads anything. */
static void so_do_those_with_copies_that_fail_at_once(void **state)
{
	(void)state;
	play_dialogues("gGkv");
}

/* Which one it was, if it failed. */
static int tell_dialogue(void **state)
{
	(void)state;
	if (dialogue > 0)
		print_error("dialogue %llu: %s\n", (unsigned long long)dialogue, printed(&client));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			random_dialogues_agree_with_postgresql, pending_fresh, tell_dialogue),
		cmocka_unit_test_setup_teardown(
			so_do_those_with_copies_that_fail_at_once, pending_fresh, tell_dialogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
