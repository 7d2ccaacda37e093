/* Letters between members: in order, none lost, none twice; and who sleeps is woken. */
#include "core/mailbox.h"

#include "core/core.h"
#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum { MEMBERS = 4, RECEIVED_MAX = 4096, WOKEN_MS_MAX = 40000 };

/* The world of each test. What a core receives goes to `received` of its test or thread. */
static struct world world;
static struct core cores[MEMBERS];
static struct letter received[RECEIVED_MAX];
static unsigned received_count;

static void keep(struct core *core, const struct letter *letter)
{
	(void)core;
	assert_true(received_count < RECEIVED_MAX);
	received[received_count++] = *letter;
}

static void count_wake(struct core *core, unsigned member)
{
	(void)member;
	core->metrics[METRIC_loop_turns]++; /* just a counter here */
}

static int world_open(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	received_count = 0;
	if (mailboxes_init(&world.boxes, MEMBERS) != 0)
		return -1;
	for (unsigned i = 0; i < MEMBERS; i++) {
		core_init(&cores[i], &world, i);
		cores[i].wake = count_wake;
		for (unsigned kind = 0; kind < LETTER_COUNT; kind++)
			cores[i].handlers[kind] = keep;
	}
	return 0;
}

static int world_close(void **state)
{
	(void)state;
	mailboxes_destroy(&world.boxes);
	return 0;
}

static int write_to(unsigned from, unsigned to, uint32_t number)
{
	struct letter letter = {
		.kind = LETTER_CANCEL, .from = 999, .number = number, .a = &cores[from]};

	return mailbox_send(&cores[from], to, &letter);
}

/* ---- one thread ---- */

static void letters_arrive_in_order_with_their_sender(void **state)
{
	unsigned next[MEMBERS] = {0};

	(void)state;
	for (uint32_t n = 0; n < 50; n++)
		for (unsigned from = 0; from < MEMBERS; from++)
			assert_int_equal(write_to(from, 2, n), 0);
	for (unsigned i = 0; i < MEMBERS; i++)
		assert_int_equal(mailbox_receive(&cores[i]), i == 2 ? 50 * MEMBERS : 0);
	for (unsigned i = 0; i < received_count; i++) {
		const struct letter *letter = &received[i];

		assert_int_equal(letter->kind, LETTER_CANCEL);
		assert_true(letter->from < MEMBERS);
		assert_int_equal(letter->number, next[letter->from]++);
		assert_ptr_equal(letter->a, &cores[letter->from]);
	}
	assert_int_equal(received_count, 50 * MEMBERS);
	assert_int_equal(mailbox_receive(&cores[2]), 0);
}

static void a_full_queue_takes_nothing(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		received_count = 0;
		for (uint32_t n = 0; n < LIMIT_MAILBOX; n++)
			assert_int_equal(write_to(0, 1, n), 0);
		assert_int_equal(write_to(0, 1, 7777), ERR_FULL);
		assert_int_equal(write_to(0, 1, 7777), ERR_FULL);
		assert_int_equal(write_to(2, 1, 8888), 0); /* another pair has room */
		assert_int_equal(mailbox_receive(&cores[1]), LIMIT_MAILBOX + 1);
		for (uint32_t n = 0; n < LIMIT_MAILBOX; n++)
			assert_int_equal(received[n].number, n);
		assert_int_equal(received[LIMIT_MAILBOX].number, 8888);
	}
}

static void write_one_more(struct core *core, const struct letter *letter)
{
	keep(core, letter);
	assert_int_equal(write_to(0, core->index, letter->number + 1), 0);
}

/* Who is written to faster than it reads gets its turn to an end. */
static void a_turn_receives_a_queue_at_most(void **state)
{
	(void)state;
	cores[1].handlers[LETTER_CANCEL] = write_one_more;
	assert_int_equal(write_to(0, 1, 0), 0);
	assert_in_range(mailbox_receive(&cores[1]), 1, LIMIT_MAILBOX);
}

static void write_to_self(struct core *core, const struct letter *letter)
{
	keep(core, letter);
	assert_int_equal(write_to(core->index, core->index, letter->number + 1), 0);
}

/* "The letter arrives after this turn, also when a core writes to itself." */
static void a_letter_to_oneself_arrives_after_this_turn(void **state)
{
	(void)state;
	cores[1].handlers[LETTER_CANCEL] = write_to_self;
	for (unsigned from = 0; from < MEMBERS; from++) {
		received_count = 0;
		assert_int_equal(write_to(from, 1, 0), 0);
		assert_int_equal(mailbox_receive(&cores[1]), 1);
		assert_false(mailbox_sleep(&cores[1])); /* there is a letter: no sleep */
		assert_int_equal(mailbox_receive(&cores[1]), 1);
		assert_int_equal(received_count, 2);
		cores[1].handlers[LETTER_CANCEL] = keep;
		assert_int_equal(mailbox_receive(&cores[1]), 1);
		cores[1].handlers[LETTER_CANCEL] = write_to_self;
	}
}

static void only_who_sleeps_is_woken_and_once(void **state)
{
	const uint64_t *wakes = &cores[0].metrics[METRIC_loop_turns];

	(void)state;
	assert_int_equal(write_to(0, 1, 0), 0);
	assert_int_equal(*wakes, 0); /* it is awake and will see the letter */
	assert_false(mailbox_sleep(&cores[1]));
	assert_false(mailbox_must_wake(&world.boxes, 1)); /* as it did not sleep */
	assert_int_equal(mailbox_receive(&cores[1]), 1);
	assert_true(mailbox_sleep(&cores[1]));
	assert_int_equal(write_to(0, 1, 1), 0);
	assert_int_equal(*wakes, 1);
	assert_int_equal(write_to(0, 1, 2), 0);
	assert_int_equal(*wakes, 1); /* somebody woke it already */
	assert_int_equal(write_to(0, 2, 2), 0);
	assert_int_equal(*wakes, 1);
	mailbox_awake(&cores[1]);
	assert_int_equal(mailbox_receive(&cores[1]), 2);
	assert_true(mailbox_sleep(&cores[1]));
	mailbox_awake(&cores[1]);
	assert_false(mailbox_must_wake(&world.boxes, 1));
}

/* ---- threads ---- */

/* A member of the stress: sends `count` numbers to each other one, receives theirs, and sleeps whenever it has nothing to do.
 * cmocka's assertions belong to the main thread; what went wrong is written down and looked at there. */
struct member {
	struct core core;
	pthread_t thread;
	uint32_t count;
	unsigned peers;
	uint32_t sent[MEMBERS], next[MEMBERS];
	const char *fault;
};

static void wake_by_eventfd(struct core *core, unsigned member)
{
	uint64_t one = 1;

	if (write(core->world->boxes.members[member].wake_fd, &one, sizeof one) != sizeof one)
		container_of(core, struct member, core)->fault = "the eventfd took no wake-up";
}

static void expect_next(struct core *core, const struct letter *letter)
{
	struct member *member = container_of(core, struct member, core);

	if (letter->from >= member->peers || letter->a != member)
		member->fault = "a letter of nobody, or to somebody else";
	else if (letter->number != member->next[letter->from]++)
		member->fault = "a letter out of order";
}

static bool member_is_done(const struct member *member)
{
	for (unsigned i = 0; i < member->peers; i++)
		if (i != member->core.index &&
			(member->sent[i] < member->count || member->next[i] < member->count))
			return false;
	return true;
}

/* Returns whether anything went out. */
static bool member_send(struct member *member)
{
	bool has_sent = false;

	for (unsigned to = 0; to < member->peers; to++) {
		uint64_t burst = rand_below(&member->core.rand, 4);

		for (; to != member->core.index && member->sent[to] < member->count && burst > 0;
			burst--) {
			struct letter letter = {.kind = LETTER_CANCEL,
				.number = member->sent[to],
				.a = member + ((ptrdiff_t)to - (ptrdiff_t)member->core.index)};

			if (mailbox_send(&member->core, to, &letter) != 0)
				break; /* full */
			member->sent[to]++;
			has_sent = true;
		}
	}
	return has_sent;
}

/* Sleeps until somebody wakes it. Who is not woken although a letter waits sleeps for ever; here, for WOKEN_MS_MAX. */
static void member_sleep(struct member *member)
{
	int fd = member->core.world->boxes.members[member->core.index].wake_fd;
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	uint64_t wakes;

	if (!mailbox_sleep(&member->core))
		return;
	if (poll(&ready, 1, WOKEN_MS_MAX) != 1)
		member->fault = "nobody woke it";
	else if (read(fd, &wakes, sizeof wakes) != sizeof wakes)
		member->fault = "the eventfd had no wake-up";
	mailbox_awake(&member->core);
}

static void *member_run(void *argument)
{
	struct member *member = argument;

	while (!member->fault && !member_is_done(member)) {
		bool has_sent = member_send(member), has_more = false;

		if (mailbox_receive(&member->core) > 0 || has_sent)
			continue;
		for (unsigned i = 0; i < member->peers; i++)
			has_more |= i != member->core.index && member->sent[i] < member->count;
		if (has_more)
			sched_yield(); /* its peer's queue is full */
		else
			member_sleep(member);
	}
	return NULL;
}

static void exchange(unsigned peers, uint32_t count)
{
	static struct member members[MEMBERS];

	memset(members, 0, sizeof members);
	for (unsigned i = 0; i < peers; i++) {
		core_init(&members[i].core, &world, i);
		members[i].core.wake = wake_by_eventfd;
		members[i].core.handlers[LETTER_CANCEL] = expect_next;
		members[i].peers = peers;
		members[i].count = count;
	}
	for (unsigned i = 0; i < peers; i++)
		assert_int_equal(
			pthread_create(&members[i].thread, NULL, member_run, &members[i]), 0);
	for (unsigned i = 0; i < peers; i++)
		assert_int_equal(pthread_join(members[i].thread, NULL), 0);
	for (unsigned i = 0; i < peers; i++) {
		if (members[i].fault)
			fail_msg("member %u: %s", i, members[i].fault);
		assert_int_equal(mailbox_receive(&members[i].core), 0);
	}
}

static void members_lose_nothing(void **state)
{
	(void)state;
	exchange(2, 300000);
	exchange(MEMBERS, 50000);
}

/* One letter to and fro: each sleeps before nearly every answer, which is where a wake-up could get lost. */
struct player {
	struct core core;
	pthread_t thread;
	uint32_t rounds, got;
	uint64_t slept;
	const char *fault;
};

static void answer(struct core *core, const struct letter *letter)
{
	struct player *player = container_of(core, struct player, core);
	struct letter next = {.kind = LETTER_CANCEL, .number = letter->number + 1};

	if (letter->number / 2 != player->got++)
		player->fault = "a letter out of order";
	if (player->got < player->rounds || core->index == 1)
		if (mailbox_send(core, 1 - core->index, &next) != 0)
			player->fault = "a full queue";
}

static void player_wake(struct core *core, unsigned member)
{
	uint64_t one = 1;

	if (write(core->world->boxes.members[member].wake_fd, &one, sizeof one) != sizeof one)
		container_of(core, struct player, core)->fault = "the eventfd took no wake-up";
}

static void *player_run(void *argument)
{
	struct player *player = argument;
	int fd = player->core.world->boxes.members[player->core.index].wake_fd;
	struct letter first = {.kind = LETTER_CANCEL};

	if (player->core.index == 0 && mailbox_send(&player->core, 1, &first) != 0)
		player->fault = "a full queue";
	while (!player->fault && player->got < player->rounds) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		uint64_t wakes;

		if (mailbox_receive(&player->core) > 0)
			continue;
		/* at the edge of sleep for a different while each time */
		for (uint64_t n = rand_below(&player->core.rand, 50); n > 0; n--)
			atomic_signal_fence(memory_order_seq_cst);
		if (!mailbox_sleep(&player->core))
			continue;
		player->slept++;
		if (poll(&ready, 1, WOKEN_MS_MAX) != 1)
			player->fault = "nobody woke it";
		else if (read(fd, &wakes, sizeof wakes) != sizeof wakes)
			player->fault = "the eventfd had no wake-up";
		mailbox_awake(&player->core);
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	static struct player players[2];

	(void)state;
	memset(players, 0, sizeof players);
	for (unsigned i = 0; i < 2; i++) {
		core_init(&players[i].core, &world, i);
		players[i].core.wake = player_wake;
		players[i].core.handlers[LETTER_CANCEL] = answer;
		players[i].rounds = 50000;
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&players[i].thread, NULL, player_run, &players[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(players[i].thread, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		if (players[i].fault)
			fail_msg("player %u: %s", i, players[i].fault);
		assert_int_equal(players[i].got, players[i].rounds);
	}
	assert_true(players[0].slept + players[1].slept > 0); /* or nothing was tried */
}

/* Many see it sleep; one wakes it. */
struct waker {
	pthread_t thread;
	unsigned woke;
};

static atomic_uint wake_round, wake_done;
enum { WAKERS = 3, WAKE_ROUNDS = 20000 };

static void *waker_run(void *argument)
{
	struct waker *waker = argument;

	for (unsigned round = 1; round <= WAKE_ROUNDS; round++) {
		while (atomic_load(&wake_round) != round)
			sched_yield();
		waker->woke += mailbox_must_wake(&world.boxes, 1);
		atomic_fetch_add(&wake_done, 1);
	}
	return NULL;
}

static void one_of_many_wakes(void **state)
{
	static struct waker wakers[WAKERS];
	unsigned woke = 0;

	(void)state;
	memset(wakers, 0, sizeof wakers);
	atomic_store(&wake_round, 0);
	for (unsigned i = 0; i < WAKERS; i++)
		assert_int_equal(pthread_create(&wakers[i].thread, NULL, waker_run, &wakers[i]), 0);
	for (unsigned round = 1; round <= WAKE_ROUNDS; round++) {
		assert_true(mailbox_sleep(&cores[1]));
		atomic_store(&wake_done, 0);
		atomic_store(&wake_round, round);
		while (atomic_load(&wake_done) < WAKERS)
			sched_yield();
	}
	for (unsigned i = 0; i < WAKERS; i++) {
		assert_int_equal(pthread_join(wakers[i].thread, NULL), 0);
		woke += wakers[i].woke;
	}
	assert_int_equal(woke, WAKE_ROUNDS);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(letters_arrive_in_order_with_their_sender),
		IN_A_WORLD(a_full_queue_takes_nothing),
		IN_A_WORLD(a_turn_receives_a_queue_at_most),
		IN_A_WORLD(a_letter_to_oneself_arrives_after_this_turn),
		IN_A_WORLD(only_who_sleeps_is_woken_and_once),
		IN_A_WORLD(members_lose_nothing),
		IN_A_WORLD(no_wake_up_is_lost),
		IN_A_WORLD(one_of_many_wakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
