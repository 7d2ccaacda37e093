/* Lists keep the order of what was done to them, in both directions. */
#include "core/list.h"

#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

enum { ITEMS = 12, LISTS = 3, STEPS = 200000 };

struct item {
	struct list link;
	unsigned number;
};

/* The lists, and what they should hold. */
struct world {
	struct item items[ITEMS];
	struct list lists[LISTS];
	unsigned held[LISTS][ITEMS]; /* numbers, in order */
	unsigned count[LISTS];
};

static unsigned number_of(struct list *link)
{
	return container_of(link, struct item, link)->number;
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof *w);
	for (unsigned i = 0; i < ITEMS; i++) {
		w->items[i].number = i;
		list_init(&w->items[i].link);
	}
	for (unsigned i = 0; i < LISTS; i++)
		list_init(&w->lists[i]);
}

/* Where the item should stand, or LISTS. */
static unsigned home_of(const struct world *w, unsigned number)
{
	for (unsigned l = 0; l < LISTS; l++)
		for (unsigned i = 0; i < w->count[l]; i++)
			if (w->held[l][i] == number)
				return l;
	return LISTS;
}

static void model_remove(struct world *w, unsigned l, unsigned number)
{
	unsigned i = 0;

	while (w->held[l][i] != number)
		i++;
	w->count[l]--;
	memmove(&w->held[l][i], &w->held[l][i + 1], (w->count[l] - i) * sizeof w->held[l][0]);
}

static void model_insert(struct world *w, unsigned l, unsigned at, unsigned number)
{
	memmove(&w->held[l][at + 1], &w->held[l][at], (w->count[l] - at) * sizeof w->held[l][0]);
	w->held[l][at] = number;
	w->count[l]++;
}

static void assert_lists_hold(struct world *w)
{
	for (unsigned l = 0; l < LISTS; l++) {
		struct list *head = &w->lists[l];
		struct list *back = head->prev;
		unsigned i = 0;

		assert_int_equal(list_empty(head), w->count[l] == 0);
		list_each(link, head) {
			assert_true(i < w->count[l]);
			assert_int_equal(number_of(link), w->held[l][i++]);
		}
		assert_int_equal(i, w->count[l]);
		for (; i > 0; back = back->prev)
			assert_int_equal(number_of(back), w->held[l][--i]);
		assert_ptr_equal(back, head);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		assert_int_equal(list_linked(&w->items[i].link), home_of(w, i) < LISTS);
}

static void push(struct world *w, unsigned l, unsigned number, bool at_front)
{
	if (list_linked(&w->items[number].link))
		return;
	if (at_front)
		list_push_front(&w->lists[l], &w->items[number].link);
	else
		list_push_back(&w->lists[l], &w->items[number].link);
	model_insert(w, l, at_front ? 0 : w->count[l], number);
}

/* Also of one that stands nowhere. */
static void remove_one(struct world *w, unsigned number)
{
	unsigned l = home_of(w, number);

	list_remove(&w->items[number].link);
	if (l < LISTS)
		model_remove(w, l, number);
}

static void pop(struct world *w, unsigned l)
{
	struct list *first = list_first(&w->lists[l]);
	struct list *popped = list_pop_front(&w->lists[l]);

	assert_ptr_equal(first, popped);
	if (w->count[l] == 0) {
		assert_null(popped);
		return;
	}
	assert_int_equal(number_of(popped), w->held[l][0]);
	model_remove(w, l, w->held[l][0]);
}

static void splice(struct world *w, unsigned target, unsigned source)
{
	if (target == source)
		return;
	list_splice_back(&w->lists[target], &w->lists[source]);
	while (w->count[source] > 0) {
		unsigned number = w->held[source][0];

		model_remove(w, source, number);
		model_insert(w, target, w->count[target], number);
	}
}

static void random_operations_keep_the_order(void **state)
{
	struct rand rand = {{11, 12, 13, 14}};
	struct world w;

	(void)state;
	world_init(&w);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned l = (unsigned)rand_below(&rand, LISTS);
		unsigned number = (unsigned)rand_below(&rand, ITEMS);

		switch (rand_below(&rand, 8)) {
		case 0:
		case 1:
			push(&w, l, number, true);
			break;
		case 2:
		case 3:
			push(&w, l, number, false);
			break;
		case 4:
		case 5:
			remove_one(&w, number);
			break;
		case 6:
			pop(&w, l);
			break;
		case 7:
			splice(&w, l, (unsigned)rand_below(&rand, LISTS));
			break;
		}
		assert_lists_hold(&w);
	}
}

/* Every subset of four is removed while the list is walked. */
static void the_walk_survives_removals(void **state)
{
	(void)state;
	for (unsigned subset = 0; subset < 16; subset++) {
		unsigned seen = 0;
		struct world w;

		world_init(&w);
		for (unsigned i = 0; i < 4; i++)
			push(&w, 0, i, false);
		list_each_safe(link, &w.lists[0]) {
			unsigned number = number_of(link);

			assert_int_equal(number, seen++);
			if (subset >> number & 1)
				remove_one(&w, number);
		}
		assert_int_equal(seen, 4);
		assert_lists_hold(&w);
	}
}

static void an_unlinked_link_may_be_removed(void **state)
{
	struct list link;

	(void)state;
	list_init(&link);
	list_remove(&link);
	list_remove(&link);
	assert_false(list_linked(&link));
	assert_true(list_empty(&link));
	assert_null(list_first(&link));
	assert_null(list_pop_front(&link));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_keep_the_order),
		cmocka_unit_test(the_walk_survives_removals),
		cmocka_unit_test(an_unlinked_link_may_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
