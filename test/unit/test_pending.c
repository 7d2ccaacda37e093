/* What a server owes: PostgreSQL's rules, one by one. */
#include "test/unit/pending_letters.h"

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

static void send_all(const char *letters)
{
	for (; *letters; letters++)
		push(*letters, 0);
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

/* ---- a Sync between the data of a copy: whether it counts if the copy fails depends on where the server was ---- */

static void a_sync_before_the_data_is_no_doubt(void **state)
{
	(void)state;
	send_all("ESdcS"); /* as libpq does */
	hear('G');
	assert_false(pending.is_doubtful);
	hear_all("EZ");
	assert_true(pending_empty(&pending));
	send_all("Q");
	hear('G');
	send_all("Sdc");
	assert_false(pending.is_doubtful);
	hear_all("EZ");
	assert_true(pending_empty(&pending));
}

/* Every copy that swallowed a Sync says so until it is over: if it fails before it reads, the Sync was not swallowed. */
static void what_a_copy_swallows_is_known(void **state)
{
	(void)state;
	send_all("ES");
	assert_false(pending.has_swallowed);
	hear('G');
	assert_true(pending.has_swallowed);
	send_all("c");
	assert_true(pending.has_swallowed);
	hear('C');
	assert_false(pending.has_swallowed);
	send_all("Q");
	hear('G');
	assert_false(pending.has_swallowed);
	send_all("S");
	assert_true(pending.has_swallowed);
	hear_all("EZ");
	assert_false(pending.has_swallowed);
	send_all("QcS");
	hear('G');
	assert_false(pending.has_swallowed); /* the Sync is behind the end of the copy */
}

static void a_sync_between_the_data_is_a_doubt(void **state)
{
	(void)state;
	send_all("EdSdcS"); /* all at once */
	assert_false(pending.is_doubtful);
	hear('G');
	assert_true(pending.is_doubtful);
	hear('C'); /* it went well: the server has read the Sync, and swallowed it */
	assert_false(pending.is_doubtful);
	assert_string_equal(owed(), "S");
	hear('Z');

	send_all("Q"); /* one after the other */
	hear('G');
	send_all("dS");
	assert_true(pending.is_doubtful);
	send_all("c");
	hear_all("CZ");
	assert_false(pending.is_doubtful);
	assert_true(pending_empty(&pending));

	send_all("dQSc"); /* data of before, which the server ignored, is not this copy's */
	hear('G');
	assert_false(pending.is_doubtful);
	hear_all("CZ");
	assert_true(pending_empty(&pending));
}

/* ---- the rest of the contract ---- */

static void flags_stay_with_their_entry(void **state)
{
	(void)state;
	push('P', 1);
	push('B', 2);
	push('E', 3);
	push('S', 8);
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

/* A batch without its Sync may hold a transaction, whatever the last ReadyForQuery said. */
static void a_batch_is_open_until_its_sync(void **state)
{
	(void)state;
	assert_false(pending.is_open);
	for (const char *letter = "PBDEC"; *letter; letter++) {
		push(*letter, 0);
		assert_true(pending.is_open);
		send_all("c");
		assert_true(pending.is_open);
		push(*letter == 'D' ? 'Q' : *letter == 'E' ? 'F' : 'S', 0);
		assert_false(pending.is_open);
	}
	pending_reset(&pending);

	send_all("ES"); /* a Sync that a copy swallows ends nothing */
	hear('G');
	assert_true(pending.is_open);
	send_all("cS");
	assert_false(pending.is_open);
	hear_all("CZ");

	send_all("QS"); /* a Query's own transaction is none of a batch */
	hear('G');
	assert_false(pending.is_open);
	send_all("c");
	hear_all("CZ");

	send_all("ESQ"); /* what was sent last counts */
	hear('G');
	assert_false(pending.is_open);
	pending.is_open = true;
	pending_reset(&pending);
	assert_false(pending.is_open);
}

/* "The head's answer has begun" is said of one head only. */
static void an_answer_belongs_to_one_head(void **state)
{
	(void)state;
	send_all("QQPES");
	pending.is_answered = true;
	hear('Z');
	assert_false(pending.is_answered);
	pending.is_answered = true;
	hear_all("Z1");
	pending.is_answered = true;
	hear('E'); /* the Execute's: the next answer is the Sync's */
	assert_false(pending.is_answered);
	pending.is_answered = true;
	pending_reset(&pending);
	assert_false(pending.is_answered);
}

static void a_reset_forgets(void **state)
{
	(void)state;
	send_all("QE");
	hear('G');
	pending_reset(&pending);
	assert_true(pending_empty(&pending));
	assert_false(pending.copying);
	send_all("EdS");
	hear('G');
	assert_true(pending.has_data && pending.is_doubtful && pending.has_swallowed);
	pending_reset(&pending);
	assert_false(pending.has_data || pending.is_doubtful || pending.has_swallowed);
	send_all("E");
	hear('E');
	assert_true(pending.skipping);
	pending_reset(&pending);
	send_all("Q");
	assert_string_equal(owed(), "Q");
}

static void what_the_client_waits_for_is_counted(void **state)
{
	static const struct {
		const char *sent;
		unsigned readies;
	} rows[] = {{"", 0}, {"P", 0}, {"PBDECc", 0}, {"Q", 1}, {"F", 1}, {"S", 1}, {"PBES", 1},
		{"EcQ", 1}, {"QPBESFSS", 5}};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		pending_reset(&pending);
		send_all(rows[i].sent);
		assert_int_equal(pending_readies(&pending), rows[i].readies);
		push('Q', PENDING_HIDDEN); /* pgring's own */
		push('S', PENDING_HIDDEN);
		assert_int_equal(pending_readies(&pending), rows[i].readies);
	}
}

static void what_is_pgrings_own_is_known(void **state)
{
	(void)state;
	assert_true(pending_is_own(&pending));
	push('Q', PENDING_HIDDEN);
	push('Q', PENDING_HIDDEN | HIDDEN_ASK << PENDING_REASON_SHIFT);
	assert_true(pending_is_own(&pending));
	push('Q', 0); /* a client's */
	assert_false(pending_is_own(&pending));
	hear_all("ZZ");
	assert_false(pending_is_own(&pending));
	hear('Z');
	assert_true(pending_is_own(&pending));
	push('P', PENDING_HIDDEN); /* on behalf of a request of the client's */
	assert_false(pending_is_own(&pending));
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
		FRESH(a_sync_before_the_data_is_no_doubt),
		FRESH(what_a_copy_swallows_is_known),
		FRESH(a_sync_between_the_data_is_a_doubt),
		FRESH(flags_stay_with_their_entry),
		FRESH(room_leaves_a_spare),
		FRESH(a_batch_is_open_until_its_sync),
		FRESH(an_answer_belongs_to_one_head),
		FRESH(a_reset_forgets),
		FRESH(what_the_client_waits_for_is_counted),
		FRESH(what_is_pgrings_own_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
