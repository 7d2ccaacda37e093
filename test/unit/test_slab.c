/* A slab's objects: zeroed, in place, named by index and generation, and never more than the limit. */
#include "core/slab.h"

#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static bool is_filled_with(const void *bytes, uint8_t value, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0 && *at == value)
		at++, len--;
	return len == 0;
}

static void objects_are_zeroed_also_again(void **state)
{
	struct slab slab;

	(void)state;
	for (size_t bytes = 1; bytes <= 100; bytes++) {
		uint8_t *object;

		assert_int_equal(slab_init(&slab, bytes, 1000), 0);
		for (unsigned round = 0; round < 3; round++) {
			object = slab_alloc(&slab);
			assert_non_null(object);
			assert_int_equal((uintptr_t)object % 16, 0);
			assert_true(is_filled_with(object, 0, bytes));
			memset(object, 0xA5, bytes);
			slab_free(&slab, object);
		}
		slab_destroy(&slab);
	}
}

static void a_freed_object_has_lost_its_name(void **state)
{
	struct slab slab;
	uint32_t index, generation;
	void *object;

	(void)state;
	assert_int_equal(slab_init(&slab, 24, 10), 0);
	object = slab_alloc(&slab);
	index = slab_index(object);
	generation = slab_generation(object);
	assert_ptr_equal(slab_get(&slab, index, generation), object);
	slab_free(&slab, object);
	assert_null(slab_get(&slab, index, generation));
	assert_null(slab_get(&slab, index, generation + 1)); /* nobody has it yet */

	assert_ptr_equal(slab_alloc(&slab), object); /* the slot is used again */
	assert_null(slab_get(&slab, index, generation));
	assert_int_equal(slab_index(object), index);
	assert_int_not_equal(slab_generation(object), generation);
	slab_free(&slab, object);
	slab_destroy(&slab);
}

static void any_numbers_may_be_asked_for(void **state)
{
	static const uint32_t numbers[] = {
		0, 1, 2, 63, 64, 65, 127, 128, 1 << 20, INT32_MAX, UINT32_MAX - 1, UINT32_MAX};
	struct slab slab;
	void *object;

	(void)state;
	assert_int_equal(slab_init(&slab, 8, 100), 0);
	for (size_t i = 0; i < array_len(numbers); i++)
		for (size_t j = 0; j < array_len(numbers); j++)
			assert_null(slab_get(&slab, numbers[i], numbers[j])); /* no chunk yet */
	object = slab_alloc(&slab);
	for (size_t i = 0; i < array_len(numbers); i++)
		for (size_t j = 0; j < array_len(numbers); j++)
			assert_true(slab_get(&slab, numbers[i], numbers[j]) == object ||
				slab_get(&slab, numbers[i], numbers[j]) == NULL);
	slab_free(&slab, object);
	for (size_t i = 0; i < array_len(numbers); i++)
		for (size_t j = 0; j < array_len(numbers); j++)
			assert_null(slab_get(&slab, numbers[i], numbers[j]));
	slab_destroy(&slab);
}

/* "At most `limit` objects", whatever the size of a chunk. */
static void the_limit_holds(void **state)
{
	static const uint32_t limits[] = {1, 2, 10, SLAB_CHUNK_SLOTS - 1, SLAB_CHUNK_SLOTS,
		SLAB_CHUNK_SLOTS + 1, 3 * SLAB_CHUNK_SLOTS, 3 * SLAB_CHUNK_SLOTS + 5};

	(void)state;
	for (size_t i = 0; i < array_len(limits); i++) {
		void *objects[4 * SLAB_CHUNK_SLOTS];
		uint32_t count = 0;
		struct slab slab;

		assert_int_equal(slab_init(&slab, 8, limits[i]), 0);
		while (count < array_len(objects) && (objects[count] = slab_alloc(&slab)) != NULL)
			count++;
		assert_int_equal(slab.live, count);
		assert_null(slab_alloc(&slab));
		slab_free(&slab, objects[count / 2]);
		assert_ptr_equal(slab_alloc(&slab), objects[count / 2]);
		for (uint32_t j = 0; j < count; j++)
			slab_free(&slab, objects[j]);
		slab_destroy(&slab);
		assert_int_equal(count, limits[i]);
	}
}

/* What a crowd took is given back, and no name of then is ever used again. */
static void empty_chunks_are_given_back(void **state)
{
	enum { MANY = 10 * SLAB_CHUNK_SLOTS };
	uint32_t index[MANY], generation[MANY], at = 0;
	void *objects[MANY];
	struct slab slab;

	(void)state;
	assert_int_equal(slab_init(&slab, 24, MANY), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			objects[i] = slab_alloc(&slab);
			assert_non_null(objects[i]);
			if (round > 0)
				assert_null(slab_get(&slab, index[i], generation[i]));
		}
		assert_null(slab_alloc(&slab));
		for (unsigned i = 0; i < MANY; i++) {
			index[i] = slab_index(objects[i]);
			generation[i] = slab_generation(objects[i]);
			if (i != 70)
				slab_free(&slab, objects[i]);
		}
		assert_true(slab_wants_trim(&slab));
		slab_trim(&slab);
		assert_false(slab_wants_trim(&slab));
		assert_int_equal(slab.chunks_there, 2);
		assert_int_equal(slab_spare(&slab), 2 * SLAB_CHUNK_SLOTS - 1);
		assert_ptr_equal(slab_get(&slab, index[70], generation[70]), objects[70]);
		for (unsigned i = 0; i < MANY; i++)
			if (i != 70)
				assert_null(slab_get(&slab, index[i], generation[i]));
		at = 0;
		assert_ptr_equal(slab_next(&slab, &at), objects[70]);
		assert_null(slab_next(&slab, &at));
		slab_free(&slab, objects[70]);
	}
	slab_destroy(&slab);
}

enum { OBJECTS = 400, STEPS = 100000 };

struct object {
	uint64_t stamp;
	uint8_t rest[37];
};

/* What is live, and under which name. */
struct model {
	struct object *object[OBJECTS];
	uint64_t stamp[OBJECTS];
	uint32_t index[OBJECTS], generation[OBJECTS];
	unsigned count;
};

static void model_alloc(struct model *model, struct slab *slab, uint64_t stamp)
{
	struct object *object;
	unsigned i = model->count;

	if (i == OBJECTS)
		return;
	object = slab_alloc(slab);
	assert_non_null(object);
	assert_true(is_filled_with(object, 0, sizeof *object));
	for (unsigned other = 0; other < i; other++)
		assert_ptr_not_equal(model->object[other], object);
	object->stamp = stamp;
	model->object[i] = object;
	model->stamp[i] = stamp;
	model->index[i] = slab_index(object);
	model->generation[i] = slab_generation(object);
	model->count++;
}

static void model_free(struct model *model, struct slab *slab, unsigned i)
{
	uint32_t index = model->index[i], generation = model->generation[i];

	slab_free(slab, model->object[i]);
	assert_null(slab_get(slab, index, generation));
	model->count--;
	model->object[i] = model->object[model->count];
	model->stamp[i] = model->stamp[model->count];
	model->index[i] = model->index[model->count];
	model->generation[i] = model->generation[model->count];
}

static void assert_slab_holds(const struct model *model, const struct slab *slab)
{
	unsigned walked = 0;
	uint32_t at = 0;

	assert_int_equal(slab->live, model->count);
	for (unsigned i = 0; i < model->count; i++) {
		assert_ptr_equal(
			slab_get(slab, model->index[i], model->generation[i]), model->object[i]);
		assert_int_equal(model->object[i]->stamp, model->stamp[i]);
	}
	while (slab_next(slab, &at))
		walked++;
	assert_int_equal(walked, model->count);
}

static void random_operations_keep_every_object(void **state)
{
	struct rand rand = {{21, 22, 23, 24}};
	struct model model = {.count = 0};
	struct slab slab;

	(void)state;
	assert_int_equal(slab_init(&slab, sizeof(struct object), OBJECTS), 0);
	for (unsigned step = 0; step < STEPS; step++) {
		/* the number of objects wanders between nothing and all */
		bool grows = rand_below(&rand, 8) < (step / 2000 % 2 ? 5U : 3U);

		if (grows)
			model_alloc(&model, &slab, rand_next(&rand));
		else if (model.count > 0)
			model_free(&model, &slab, (unsigned)rand_below(&rand, model.count));
		if (step % 100 == 0)
			assert_slab_holds(&model, &slab);
	}
	while (model.count > 0)
		model_free(&model, &slab, 0);
	assert_slab_holds(&model, &slab);
	slab_destroy(&slab);
}

static void the_walk_survives_frees(void **state)
{
	struct slab slab;
	struct object *object;
	uint32_t at = 0;
	uint64_t seen = 0;

	(void)state;
	assert_int_equal(slab_init(&slab, sizeof *object, 300), 0);
	assert_null(slab_next(&slab, &at));
	for (uint64_t i = 0; i < 300; i++)
		((struct object *)slab_alloc(&slab))->stamp = i;
	at = 0;
	while ((object = slab_next(&slab, &at))) {
		assert_int_equal(object->stamp, seen);
		seen++;
		slab_free(&slab, object);
	}
	assert_int_equal(seen, 300);
	assert_int_equal(slab.live, 0);
	slab_destroy(&slab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_zeroed_also_again),
		cmocka_unit_test(a_freed_object_has_lost_its_name),
		cmocka_unit_test(any_numbers_may_be_asked_for),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(empty_chunks_are_given_back),
		cmocka_unit_test(random_operations_keep_every_object),
		cmocka_unit_test(the_walk_survives_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
