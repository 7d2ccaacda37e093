/* The queue between two threads: everything arrives, once, in order; a full queue takes nothing. */
#include "core/spsc.h"

#include "core/check.h"
#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

enum { SIZE_MAX_HERE = 256 };

/* Positions are numbers of 32 bits that wrap. */
static void queue_init(struct spsc *queue, uint32_t position)
{
	atomic_init(&queue->head, position);
	atomic_init(&queue->tail, position);
	queue->head_seen = queue->tail_seen = position;
}

static const uint32_t positions[] = {
	0, 1, 5, INT32_MAX, UINT32_MAX - 300, UINT32_MAX - 2, UINT32_MAX};

static void it_fills_and_empties_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(positions); i++) {
		for (uint32_t size = 1; size <= SIZE_MAX_HERE; size *= 2) {
			uint32_t values[SIZE_MAX_HERE];
			struct spsc queue;

			queue_init(&queue, positions[i]);
			for (unsigned round = 0; round < 3; round++) {
				assert_int_equal(spsc_peek(&queue, size), UINT32_MAX);
				for (uint32_t n = 0; n < size; n++) {
					uint32_t slot = spsc_reserve(&queue, size);

					assert_true(slot < size);
					assert_int_equal(spsc_reserve(&queue, size),
						slot); /* until it is published */
					values[slot] = n;
					spsc_publish(&queue);
				}
				assert_int_equal(spsc_reserve(&queue, size), UINT32_MAX);
				for (uint32_t n = 0; n < size; n++) {
					uint32_t slot = spsc_peek(&queue, size);

					assert_true(slot < size);
					assert_int_equal(spsc_peek(&queue, size),
						slot); /* until it is released */
					assert_int_equal(values[slot], n);
					spsc_release(&queue);
				}
			}
		}
	}
}

static void random_fill_levels(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(positions); i++) {
		struct rand rand = {{51 + i, 52, 53, 54}};
		uint32_t size = 1U << (i + 1), values[SIZE_MAX_HERE], written = 0, read = 0;
		struct spsc queue;

		queue_init(&queue, positions[i]);
		for (unsigned step = 0; step < 20000; step++) {
			if (rand_next(&rand) & 1) {
				uint32_t slot = spsc_reserve(&queue, size);

				assert_int_equal(slot == UINT32_MAX, written - read == size);
				if (slot == UINT32_MAX)
					continue;
				values[slot] = written++;
				spsc_publish(&queue);
			} else {
				uint32_t slot = spsc_peek(&queue, size);

				assert_int_equal(slot == UINT32_MAX, written == read);
				if (slot == UINT32_MAX)
					continue;
				assert_int_equal(values[slot], read++);
				spsc_release(&queue);
			}
		}
	}
}

/* ---- two threads ---- */

struct shared {
	struct spsc queue;
	uint32_t size, count;
	uint64_t values[SIZE_MAX_HERE]; /* not atomic: the queue orders them */
	uint32_t full;                  /* times that the producer had to wait */
};

static void *produce(void *argument)
{
	struct shared *shared = argument;

	for (uint32_t n = 0; n < shared->count;) {
		uint32_t slot = spsc_reserve(&shared->queue, shared->size);

		if (slot == UINT32_MAX) {
			shared->full++;
			sched_yield();
			continue;
		}
		shared->values[slot] = n * UINT64_C(0x9E3779B97F4A7C15);
		spsc_publish(&shared->queue);
		n++;
	}
	return NULL;
}

static void pass_between_threads(uint32_t position, uint32_t size, uint32_t count)
{
	static struct shared shared;
	pthread_t thread;

	queue_init(&shared.queue, position);
	shared.size = size;
	shared.count = count;
	shared.full = 0;
	assert_int_equal(pthread_create(&thread, NULL, produce, &shared), 0);
	for (uint32_t n = 0; n < count;) {
		uint32_t slot = spsc_peek(&shared.queue, size);

		if (slot == UINT32_MAX) {
			sched_yield();
			continue;
		}
		assert_true(shared.values[slot] == n * UINT64_C(0x9E3779B97F4A7C15));
		spsc_release(&shared.queue);
		n++;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(spsc_peek(&shared.queue, size), UINT32_MAX);
}

static void two_threads_lose_nothing(void **state)
{
	(void)state;
	pass_between_threads(0, 256, 2000000);
	pass_between_threads(UINT32_MAX - 100000, 256, 500000); /* over the wrap */
	pass_between_threads(0, 8, 500000);
	pass_between_threads(0, 1, 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_fills_and_empties_in_order),
		cmocka_unit_test(random_fill_levels),
		cmocka_unit_test(two_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
