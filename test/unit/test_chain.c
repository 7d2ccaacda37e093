/* Queues of bytes against plain arrays: nothing lost, nothing moved that is in the kernel's hands, no buffer held too long or too
 * short. The receive buffers are a double: ring.h's two functions that count holders, which is all that a chain calls. */
#include "net/chain.h"

#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

enum { BUFFERS = 16, CHAINS = 3, BYTES_MAX = 1 << 20, SEEDS = 30, STEPS = 4000 };

/* A buffer that nobody holds is the kernel's again: its memory is gone. */
struct ring {
	uint8_t *bytes[BUFFERS];
	unsigned holders[BUFFERS];
};

void ring_buffer_hold(struct ring *ring, uint16_t buffer)
{
	CHECK(buffer < BUFFERS && ring->holders[buffer] > 0);
	ring->holders[buffer]++;
}

void ring_buffer_drop(struct ring *ring, uint16_t buffer)
{
	CHECK(buffer < BUFFERS && ring->holders[buffer] > 0);
	if (--ring->holders[buffer] == 0) {
		free(ring->bytes[buffer]);
		ring->bytes[buffer] = NULL;
	}
}

static struct ring ring;
static struct net net;
static struct core core;

static int net_open(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof ring);
	memset(&net, 0, sizeof net);
	memset(&core, 0, sizeof core);
	net.ring = &ring;
	core.net = &net;
	return 0;
}

/* Whatever was borrowed has been given back. */
static int net_close(void **state)
{
	(void)state;
	chain_free_lists(&core);
	for (unsigned i = 0; i < BUFFERS; i++)
		if (ring.holders[i] > 0)
			return -1;
	return 0;
}

static void fill(struct rand *rand, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rand_next(rand);
}

/* A received buffer, with the caller as its holder; `len` 0 when all are in use. */
static struct span receive(struct rand *rand)
{
	struct span span = {0};

	for (uint16_t i = 0; i < BUFFERS; i++) {
		if (ring.holders[i] > 0)
			continue;
		span.len = 1 + (uint32_t)rand_below(rand, LIMIT_BUFFER_BYTES);
		span.buffer = i;
		span.bytes = ring.bytes[i] = malloc(span.len);
		ring.holders[i] = 1;
		fill(rand, span.bytes, span.len);
		break;
	}
	return span;
}

static void assert_bytes(struct chain *chain, const uint8_t *expected, size_t len)
{
	static uint8_t bytes[BYTES_MAX + 1];

	assert_int_equal(chain->bytes, len);
	assert_int_equal(chain_empty(chain), len == 0);
	assert_int_equal(chain_peek(chain, bytes, sizeof bytes), len);
	assert_memory_equal(bytes, expected, len);
	if (len == 0) {
		assert_null(chain->first); /* it has no memory */
		assert_null(chain->last);
		assert_int_equal(chain->borrowed, 0);
	}
}

/* ---- one thing at a time ---- */

static void copies_are_gathered(void **state)
{
	struct rand rand = {{101, 2, 3, 4}};
	static uint8_t bytes[20000];
	struct chain chain = {0};
	struct iovec pieces[64];

	(void)state;
	fill(&rand, bytes, sizeof bytes);
	for (size_t at = 0, len = 0; at < sizeof bytes; at += len) {
		len = at % 97 + 1 < sizeof bytes - at ? at % 97 + 1 : sizeof bytes - at;
		chain_copy(&core, &chain, bytes + at, len);
	}
	chain_copy(&core, &chain, bytes, 0);
	assert_bytes(&chain, bytes, sizeof bytes);
	/* small ones share blocks: one send takes what 64 pieces hold */
	assert_in_range(chain_pieces(&chain, pieces, 64), 1, sizeof bytes / LIMIT_COPY_BYTES);
	chain_clear(&core, &chain);
	assert_bytes(&chain, bytes, 0);
}

static void small_pieces_are_copied_large_ones_borrowed(void **state)
{
	struct rand rand = {{102, 2, 3, 4}};

	(void)state;
	for (size_t len = LIMIT_COPY_BYTES - 2; len < LIMIT_COPY_BYTES + 3; len++) {
		struct chain chain = {0};
		struct span span;
		uint8_t expected[LIMIT_COPY_BYTES + 3];

		do {
			span = receive(&rand);
			if (span.len < len + 5)
				ring_buffer_drop(&ring, span.buffer);
		} while (span.len < len + 5);
		chain_borrow(&core, &chain, &span, span.bytes + 5, len);
		memcpy(expected, span.bytes + 5, len);
		assert_int_equal(ring.holders[span.buffer], len > LIMIT_COPY_BYTES ? 2 : 1);
		assert_int_equal(chain.borrowed, len > LIMIT_COPY_BYTES);
		ring_buffer_drop(&ring, span.buffer); /* the receiver is done with it */
		assert_bytes(&chain, expected, len);
		chain_pop(&core, &chain, len - 1);
		assert_bytes(&chain, expected + len - 1, 1);
		chain_pop(&core, &chain, 1);
		assert_int_equal(ring.holders[span.buffer], 0);
	}
}

static void bulk_lives_as_long_as_its_last_piece(void **state)
{
	struct rand rand = {{103, 2, 3, 4}};
	struct bulk *bulk = bulk_new();
	struct chain a = {0}, b = {0};
	static uint8_t expected[LIMIT_BULK_BYTES];
	struct span span = {bulk->bytes, sizeof bulk->bytes, 999, bulk};

	(void)state;
	fill(&rand, bulk->bytes, sizeof bulk->bytes);
	memcpy(expected, bulk->bytes, sizeof expected);
	chain_borrow(&core, &a, &span, span.bytes, 100000);
	chain_borrow(&core, &b, &span, span.bytes + 100000, sizeof expected - 100000);
	assert_int_equal(bulk->holders, 3);
	assert_int_equal(a.borrowed, 0); /* it is no receive buffer of the ring */
	bulk_drop(bulk);
	assert_bytes(&a, expected, 100000);
	chain_clear(&core, &a);
	assert_bytes(&b, expected + 100000, sizeof expected - 100000);
	chain_move(&core, &a, &b, 50000); /* part of a piece: both hold it */
	assert_int_equal(bulk->holders, 2);
	assert_bytes(&a, expected + 100000, 50000);
	assert_bytes(&b, expected + 150000, sizeof expected - 150000);
	chain_clear(&core, &b);
	chain_clear(&core, &a);
}

static void what_was_handed_over_is_freed(void **state)
{
	struct chain chain = {0};
	uint8_t *bytes = malloc(1000), expected[1000];

	(void)state;
	memset(bytes, 'x', 1000);
	memset(expected, 'x', 1000);
	chain_adopt(&core, &chain, bytes, 1000);
	chain_adopt(&core, &chain, malloc(1), 0);
	chain_adopt(&core, &chain, NULL, 0);
	assert_bytes(&chain, expected, 1000);
	chain_pop(&core, &chain, 500);
	assert_bytes(&chain, expected, 500);
	chain_clear(&core, &chain);
}

/* The bytes of a send in flight stay where they are, whatever is done behind them. */
static void the_front_does_not_move(void **state)
{
	struct rand rand = {{104, 2, 3, 4}};
	struct chain chain = {0}, other = {0};
	struct iovec before[8], after[8];
	uint8_t bytes[3000];
	unsigned count;
	size_t sending = 0;

	(void)state;
	fill(&rand, bytes, sizeof bytes);
	chain_copy(&core, &chain, bytes, 700);
	for (unsigned i = 0; i < 3; i++) {
		struct span span = receive(&rand);

		chain_borrow(&core, &chain, &span, span.bytes, span.len);
		ring_buffer_drop(&ring, span.buffer);
	}
	chain_copy(&core, &chain, bytes, 100);
	count = chain_pieces(&chain, before, 8);
	for (unsigned i = 0; i < count; i++)
		sending += before[i].iov_len;
	assert_int_equal(sending, chain.bytes);

	chain_copy(&core, &chain, bytes, 50); /* into the block whose beginning is being sent */
	chain_copy(&core, &other, bytes, sizeof bytes);
	chain_move(&core, &chain, &other, sizeof bytes);
	chain_unborrow(&core, &chain, sending);
	assert_true(chain_pieces(&chain, after, 8) >= count);
	for (unsigned i = 0; i < count; i++) {
		assert_ptr_equal(after[i].iov_base, before[i].iov_base);
		assert_true(after[i].iov_len >= before[i].iov_len);
	}
	chain_clear(&core, &chain);
	assert_bytes(&other, NULL, 0);
}

/* Large pieces change their queue as they are; small ones are gathered, so that a batch is one piece of one send. */
static void moves_copy_only_what_is_small(void **state)
{
	struct rand rand = {{106, 2, 3, 4}};
	struct chain source = {0}, target = {0};
	struct iovec before[8], after[8];
	uint8_t bytes[3 * LIMIT_COPY_BYTES];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *large = malloc(sizeof bytes);

		fill(&rand, bytes, sizeof bytes);
		memcpy(large, bytes, sizeof bytes);
		chain_adopt(&core, &source, large, sizeof bytes);
	}
	assert_int_equal(chain_pieces(&source, before, 8), 3);
	chain_move(&core, &target, &source, 3 * sizeof bytes);
	assert_int_equal(chain_pieces(&target, after, 8), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(after[i].iov_base, before[i].iov_base);
	chain_clear(&core, &target);

	for (unsigned i = 0; i < 100; i++) {
		chain_copy(&core, &source, bytes, 50); /* a message that waited */
		chain_move(&core, &target, &source, 50);
	}
	assert_int_equal(target.bytes, 100 * 50);
	assert_in_range(chain_pieces(&target, after, 8), 1, 100 * 50 / LIMIT_COPY_BYTES);
	chain_clear(&core, &target);
}

static void pieces_are_as_many_as_asked_for(void **state)
{
	struct rand rand = {{105, 2, 3, 4}};
	struct chain chain = {0};
	struct iovec pieces[BUFFERS];

	(void)state;
	assert_int_equal(chain_pieces(&chain, pieces, BUFFERS), 0);
	for (unsigned i = 0; i < 5; i++) {
		uint8_t *bytes = malloc(10 + i);

		fill(&rand, bytes, 10 + i);
		chain_adopt(&core, &chain, bytes, 10 + i);
	}
	for (unsigned max = 0; max < 8; max++) {
		unsigned count = chain_pieces(&chain, pieces, max);

		assert_int_equal(count, max < 5 ? max : 5);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(pieces[i].iov_len, 10 + i);
	}
	chain_clear(&core, &chain);
}

/* ---- any order of things ---- */

/* Bytes that a chain should hold. */
struct expected {
	uint8_t bytes[BYTES_MAX];
	size_t len;
};

static struct chain chains[CHAINS];
static struct expected expected[CHAINS];

static void expect_more(unsigned i, const uint8_t *bytes, size_t len)
{
	assert_true(expected[i].len + len <= BYTES_MAX);
	memcpy(expected[i].bytes + expected[i].len, bytes, len);
	expected[i].len += len;
}

static void expect_less(unsigned i, size_t len)
{
	expected[i].len -= len;
	memmove(expected[i].bytes, expected[i].bytes + len, expected[i].len);
}

/* Mostly a few bytes, often around the border between copied and borrowed. */
static size_t random_len(struct rand *rand, size_t max)
{
	size_t len;

	switch (rand_below(rand, 4)) {
	case 0:
		len = rand_below(rand, 20);
		break;
	case 1:
		len = LIMIT_COPY_BYTES - 3 + rand_below(rand, 6);
		break;
	case 2:
		len = rand_below(rand, 3000);
		break;
	default:
		return rand_below(rand, max + 1);
	}
	return len < max ? len : max;
}

static void do_copy(struct rand *rand, unsigned i)
{
	uint8_t bytes[5000];
	size_t len = random_len(rand, sizeof bytes);

	fill(rand, bytes, len);
	chain_copy(&core, &chains[i], bytes, len);
	expect_more(i, bytes, len);
}

/* Several parts of one buffer, as when its messages go to different peers. */
static void do_borrow(struct rand *rand, unsigned i)
{
	struct span span = receive(rand);
	size_t at = 0;

	if (span.len == 0)
		return;
	while (at < span.len) {
		size_t len = random_len(rand, span.len - at);

		if (rand_below(rand, 4)) {
			chain_borrow(&core, &chains[i], &span, span.bytes + at, len);
			expect_more(i, span.bytes + at, len);
		}
		at += len + rand_below(rand, 2);
		i = (i + (unsigned)rand_below(rand, 2)) % CHAINS;
	}
	ring_buffer_drop(&ring, span.buffer);
}

static void do_borrow_bulk(struct rand *rand, unsigned i)
{
	struct bulk *bulk = bulk_new();
	struct span span = {bulk->bytes, 1 + (uint32_t)rand_below(rand, 20000), 0, bulk};

	fill(rand, bulk->bytes, span.len);
	for (unsigned n = 0; n < 3; n++, i = (i + 1) % CHAINS) {
		size_t at = rand_below(rand, span.len), len = random_len(rand, span.len - at);

		chain_borrow(&core, &chains[i], &span, span.bytes + at, len);
		expect_more(i, span.bytes + at, len);
	}
	bulk_drop(bulk);
}

static void do_adopt(struct rand *rand, unsigned i)
{
	size_t len = random_len(rand, 5000);
	uint8_t *bytes = malloc(len + 1);

	fill(rand, bytes, len);
	expect_more(i, bytes, len);
	chain_adopt(&core, &chains[i], bytes, len);
}

static void do_move(struct rand *rand, unsigned from)
{
	unsigned to = (from + 1 + (unsigned)rand_below(rand, CHAINS - 1)) % CHAINS;
	size_t len = random_len(rand, chains[from].bytes);

	if (rand_below(rand, 3) == 0)
		len = chains[from].bytes;
	chain_move(&core, &chains[to], &chains[from], len);
	expect_more(to, expected[from].bytes, len);
	expect_less(from, len);
}

static void do_pop(struct rand *rand, unsigned i)
{
	size_t len = random_len(rand, chains[i].bytes);

	if (rand_below(rand, 10) == 0)
		chain_clear(&core, &chains[i]);
	else
		chain_pop(&core, &chains[i], len);
	expect_less(i, expected[i].len - chains[i].bytes);
}

static void do_peek(struct rand *rand, unsigned i)
{
	size_t len = random_len(rand, chains[i].bytes + 10);
	uint8_t *bytes = malloc(len + 1);
	size_t expect = len < expected[i].len ? len : expected[i].len;

	assert_int_equal(chain_peek(&chains[i], bytes, len), expect);
	assert_memory_equal(bytes, expected[i].bytes, expect);
	free(bytes);
}

/* Buffers that lie in whole behind the first `skip` bytes are given back; those before keep their place. */
static void do_unborrow(struct rand *rand, unsigned i)
{
	struct iovec before[256], after[256];
	unsigned count = chain_pieces(&chains[i], before, 256), borrowed = chains[i].borrowed;
	size_t skip = rand_below(rand, 2) ? 0 : random_len(rand, chains[i].bytes), at = 0;
	unsigned returned = chain_unborrow(&core, &chains[i], skip);

	assert_int_equal(returned + chains[i].borrowed, borrowed);
	if (skip == 0)
		assert_int_equal(chains[i].borrowed, 0);
	assert_int_equal(chain_pieces(&chains[i], after, 256), count);
	for (unsigned n = 0; n < count; n++) {
		if (at < skip)
			assert_ptr_equal(after[n].iov_base, before[n].iov_base);
		assert_int_equal(after[n].iov_len, before[n].iov_len);
		at += before[n].iov_len;
	}
}

/* Pieces that hold receive buffers are the holders of these. */
static void assert_holders(void)
{
	unsigned holders = 0, borrowed = 0;

	for (unsigned i = 0; i < BUFFERS; i++)
		holders += ring.holders[i];
	for (unsigned i = 0; i < CHAINS; i++)
		borrowed += chains[i].borrowed;
	assert_int_equal(holders, borrowed);
}

static void random_step(struct rand *rand)
{
	unsigned i = (unsigned)rand_below(rand, CHAINS);
	size_t all = chains[0].bytes + chains[1].bytes + chains[2].bytes;

	/* what comes and what goes are about the same */
	if (all > BYTES_MAX / 8 && rand_below(rand, 4))
		do_pop(rand, i);
	switch (rand_below(rand, 8)) {
	case 0:
		do_copy(rand, i);
		return;
	case 1:
		do_borrow(rand, i);
		return;
	case 2:
		if (rand_below(rand, 10) == 0)
			do_borrow_bulk(rand, i);
		return;
	case 3:
		do_adopt(rand, i);
		return;
	case 4:
		do_move(rand, i);
		return;
	case 5:
		do_pop(rand, i);
		return;
	case 6:
		do_peek(rand, i);
		return;
	case 7:
		do_unborrow(rand, i);
		return;
	}
}

static void random_operations_keep_the_bytes(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct rand rand = {{seed + 1, 111, 112, 113}};

		memset(chains, 0, sizeof chains);
		for (unsigned i = 0; i < CHAINS; i++)
			expected[i].len = 0;
		for (unsigned step = 0; step < STEPS; step++) {
			random_step(&rand);
			assert_holders();
			for (unsigned i = 0; i < CHAINS; i++)
				if (step % 8 == 0 || step > STEPS - 10)
					assert_bytes(
						&chains[i], expected[i].bytes, expected[i].len);
				else
					assert_int_equal(chains[i].bytes, expected[i].len);
		}
		for (unsigned i = 0; i < CHAINS; i++)
			chain_clear(&core, &chains[i]);
		assert_holders();
	}
}

/* ---- memory ---- */

/* Blocks and pieces are used again, and the lists of the free ones do not grow for ever. */
static void the_free_lists_have_a_bound(void **state)
{
	struct chain chain = {0};
	uint8_t bytes[4096] = {0};

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 10000; i++)
			chain_copy(&core, &chain, bytes, sizeof bytes);
		chain_clear(&core, &chain);
		assert_in_range(net.blocks.count, 1, 4096);
	}
	chain_free_lists(&core);
	assert_null(net.blocks.first);
	assert_null(net.pieces.first);
	assert_int_equal(net.blocks.count, 0);
	chain_copy(&core, &chain, bytes, 1); /* and it goes on */
	chain_clear(&core, &chain);
}

/* What is needed again and again is kept, what only a crowd has needed is not. */
static void what_is_not_needed_is_given_back(void **state)
{
	struct chain chain = {0};
	uint8_t bytes[4096] = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		chain_copy(&core, &chain, bytes, sizeof bytes);
		chain_adopt(&core, &chain, calloc(1, 8), 8);
	}
	chain_clear(&core, &chain);
	assert_true(chain_wants_trim(&net));
	chain_trim(&core); /* in this time there was a moment without any */
	assert_true(net.blocks.count > 300 && net.pieces.count == 100);
	chain_copy(&core, &chain, bytes, 1);
	for (unsigned i = 0; i < 60; i++)
		chain_adopt(&core, &chain, calloc(1, 8), 8);
	chain_clear(&core, &chain);
	chain_trim(&core);
	assert_int_equal(net.blocks.count, CHAIN_SPARES);
	assert_int_equal(net.pieces.count, 60);
	chain_trim(&core);
	assert_int_equal(net.pieces.count, CHAIN_SPARES);
	assert_false(chain_wants_trim(&net));
	chain_trim(&core);
	assert_int_equal(net.blocks.count, CHAIN_SPARES);
}

#define WITH_A_NET(test) cmocka_unit_test_setup_teardown(test, net_open, net_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_NET(copies_are_gathered),
		WITH_A_NET(small_pieces_are_copied_large_ones_borrowed),
		WITH_A_NET(bulk_lives_as_long_as_its_last_piece),
		WITH_A_NET(what_was_handed_over_is_freed),
		WITH_A_NET(the_front_does_not_move),
		WITH_A_NET(moves_copy_only_what_is_small),
		WITH_A_NET(pieces_are_as_many_as_asked_for),
		WITH_A_NET(random_operations_keep_the_bytes),
		WITH_A_NET(the_free_lists_have_a_bound),
		WITH_A_NET(what_is_not_needed_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
