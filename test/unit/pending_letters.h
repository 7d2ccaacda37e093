/* What the tests of pool/pending.c share: messages and answers by letters. */
#ifndef PGRING_TEST_UNIT_PENDING_LETTERS_H
#define PGRING_TEST_UNIT_PENDING_LETTERS_H

#include "pool/pending.h"

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

/* Sends a letter: Q Query, F FunctionCall, S Sync, P Parse, B Bind, D Describe, E Execute, C Close, c CopyDone or CopyFail, and
 * d CopyData, which only leaves a trace. Flush has no letter. */
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
	case 'd':
		pending.has_data = true;
		return;
	}
	fail_msg("no message '%c'", letter);
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
		pending_copied(&pending);
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
		assert_true(
			head == PENDING_QUERY || head == PENDING_FUNCTION || head == PENDING_SYNC);
		pending_copied(&pending);
		pending_pop(&pending);
		return;
	}
	assert_non_null(
		strchr("DdHcVt", type)); /* rows, COPY out, a function's result: nothing to note */
}

#endif
