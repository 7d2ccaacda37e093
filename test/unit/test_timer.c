/* The wheel against a list of due times: nothing fires early, nothing is forgotten, and the wait it asks for is never too long. */
#include "core/timer.h"

#include "core/clock.h"
#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

enum { TIMERS = 40, SEEDS = 200, STEPS = 3000 };

/* 34 years: a longer delay is cut to this. */
#define DELAY_MS_MAX (INT64_C(1) << 40)

struct model_timer {
	struct timer timer;
	uint64_t due_ns; /* when its time is up; what the wheel makes of that is its affair */
	uint64_t set_turn;
	unsigned fired;
	bool is_set;
};

static struct {
	struct timer_wheel wheel;
	struct rand rand;
	uint64_t now_ns, origin_ns;
	uint64_t turn;
	uint64_t last_due_ns; /* of the last that fired in this turn and was set before it */
	struct model_timer timers[TIMERS];
	bool is_busy; /* what fires sets and stops timers */
} model;

static void model_set(struct model_timer *timer, int64_t delay_ms)
{
	int64_t delay = delay_ms < 0 ? 0 : delay_ms > DELAY_MS_MAX ? DELAY_MS_MAX : delay_ms;

	timer_set(&model.wheel, &timer->timer, model.now_ns, delay_ms);
	timer->due_ns = model.now_ns + (uint64_t)delay * NS_PER_MS;
	timer->set_turn = model.turn;
	timer->is_set = true;
	assert_true(timer_is_set(&timer->timer));
}

static void model_hasten(struct model_timer *timer, int64_t delay_ms)
{
	int64_t delay = delay_ms < 0 ? 0 : delay_ms > DELAY_MS_MAX ? DELAY_MS_MAX : delay_ms;
	uint64_t due_ns = model.now_ns + (uint64_t)delay * NS_PER_MS;

	timer_hasten(&model.wheel, &timer->timer, model.now_ns, delay_ms);
	assert_true(timer_is_set(&timer->timer));
	if (timer->is_set && timer->due_ns <= due_ns)
		return;
	timer->due_ns = due_ns;
	timer->set_turn = model.turn;
	timer->is_set = true;
}

static void model_stop(struct model_timer *timer)
{
	timer_stop(&model.wheel, &timer->timer);
	timer->is_set = false;
	assert_false(timer_is_set(&timer->timer));
}

/* Delays around the borders of the levels, where mistakes live. */
static int64_t random_delay(void)
{
	unsigned kind = (unsigned)rand_below(&model.rand, 12);
	int64_t border = INT64_C(1) << (6 * (1 + rand_below(&model.rand, 6)));

	switch (kind) {
	case 0:
		return 0;
	case 1:
		return -1 - (int64_t)(rand_next(&model.rand) >> 1);
	case 2:
		return border + (int64_t)rand_below(&model.rand, 5) - 2;
	case 3:
		return border * (int64_t)(1 + rand_below(&model.rand, 63)) - 1 +
			(int64_t)rand_below(&model.rand, 3);
	case 4:
		return INT64_MAX - (int64_t)rand_below(&model.rand, 2);
	case 5:
		return (int64_t)(rand_next(&model.rand) >> 1 >> rand_below(&model.rand, 63));
	default:
		return (int64_t)rand_below(&model.rand, 300);
	}
}

static void fire(struct core *core, struct timer *raw)
{
	struct model_timer *timer = container_of(raw, struct model_timer, timer);

	assert_null(core);
	assert_true(timer->is_set);
	assert_false(timer_is_set(raw));
	assert_true(timer->due_ns <= model.now_ns); /* never early */
	if (timer->set_turn < model.turn) {
		/* in the order of their milliseconds */
		assert_true(timer->due_ns + NS_PER_MS >= model.last_due_ns);
		if (timer->due_ns > model.last_due_ns)
			model.last_due_ns = timer->due_ns;
	}
	timer->is_set = false;
	timer->fired++;
	if (!model.is_busy)
		return;
	for (uint64_t n = rand_below(&model.rand, 4); n > 0; n--) {
		struct model_timer *other = &model.timers[rand_below(&model.rand, TIMERS)];

		if (rand_below(&model.rand, 3) == 0)
			model_stop(other);
		else
			model_set(other, 1 + (random_delay() & INT64_MAX) % DELAY_MS_MAX);
	}
	if (rand_below(&model.rand, 3) == 0)
		model_set(timer, (int64_t)rand_below(&model.rand, 5000) + 1);
}

static uint64_t earliest_due_ns(void)
{
	uint64_t due_ns = UINT64_MAX;

	for (unsigned i = 0; i < TIMERS; i++)
		if (model.timers[i].is_set && model.timers[i].due_ns < due_ns)
			due_ns = model.timers[i].due_ns;
	return due_ns;
}

/* A turn of the loop at that time. */
static void run_at(uint64_t now_ns)
{
	uint64_t wait_ns, due_ns;

	model.now_ns = now_ns;
	model.turn++;
	model.last_due_ns = 0;
	timer_run(&model.wheel, NULL, now_ns);

	/* At most the rest of a millisecond late. */
	for (unsigned i = 0; i < TIMERS; i++) {
		struct model_timer *timer = &model.timers[i];

		assert_int_equal(timer->is_set, timer_is_set(&timer->timer));
		if (timer->is_set && timer->set_turn < model.turn)
			assert_true(timer->due_ns + NS_PER_MS > now_ns);
	}
	wait_ns = timer_wait_ns(&model.wheel, now_ns);
	due_ns = earliest_due_ns();
	if (due_ns == UINT64_MAX)
		assert_int_equal(wait_ns, UINT64_MAX);
	else
		assert_true(now_ns + wait_ns < due_ns + NS_PER_MS || wait_ns <= NS_PER_MS);
}

static void model_init(uint64_t seed, uint64_t origin_ns)
{
	memset(&model, 0, sizeof model);
	model.rand = (struct rand){{seed + 1, 2, 3, 4}};
	model.origin_ns = model.now_ns = origin_ns;
	memset(&model.wheel, 0xA5, sizeof model.wheel); /* as memory may be */
	timer_wheel_init(&model.wheel, origin_ns);
	for (unsigned i = 0; i < TIMERS; i++)
		timer_init(&model.timers[i].timer, fire);
	for (unsigned i = 0; i < 20; i++)
		rand_next(&model.rand);
}

/* How far the clock goes in one turn: mostly a little, sometimes a laptop's night or the age of a server. */
static uint64_t random_advance_ns(void)
{
	switch (rand_below(&model.rand, 10)) {
	case 0:
		return 0;
	case 1:
		return NS_PER_MS * (1 + rand_below(&model.rand, 100));
	case 2:
		return rand_next(&model.rand) >>
			(9 + rand_below(&model.rand, 50)); /* up to a year */
	case 3:
		return NS_PER_MS << rand_below(&model.rand, 32);
	case 4: {
		uint64_t wait_ns = timer_wait_ns(&model.wheel, model.now_ns);

		return wait_ns == UINT64_MAX ? 0 : wait_ns; /* what the loop does */
	}
	default:
		return rand_below(&model.rand, 3 * NS_PER_MS);
	}
}

static void random_operations(bool is_busy)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		model_init(seed, seed % 2 ? UINT64_C(123456789012345) : 0);
		model.is_busy = is_busy;
		for (unsigned step = 0; step < STEPS; step++) {
			struct model_timer *timer = &model.timers[rand_below(&model.rand, TIMERS)];

			switch (rand_below(&model.rand, 4)) {
			case 0:
			case 1:
				if (rand_below(&model.rand, 3) == 0)
					model_hasten(timer, random_delay());
				else
					model_set(timer, random_delay());
				break;
			case 2:
				model_stop(timer);
				break;
			case 3:
				run_at(model.now_ns + random_advance_ns());
				break;
			}
		}
	}
}

static void random_timers_fire_in_time(void **state)
{
	(void)state;
	random_operations(false);
}

static void so_do_those_that_others_set_and_stop(void **state)
{
	(void)state;
	random_operations(true);
}

/* The loop that only sleeps as long as the wheel says fires a timer in the millisecond in which it is due, after few turns. */
static void the_wait_leads_to_the_timer(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 2000; seed++) {
		struct model_timer *timer = &model.timers[0];
		int64_t delay_ms;
		unsigned turns = 0;

		model_init(seed, seed * 7919);
		run_at(model.now_ns + rand_below(&model.rand, UINT64_C(1) << 50));
		delay_ms = random_delay() & ((DELAY_MS_MAX >> 8) - 1);
		model_set(timer, delay_ms);
		while (timer->is_set) {
			uint64_t wait_ns = timer_wait_ns(&model.wheel, model.now_ns);

			assert_int_not_equal(wait_ns, UINT64_MAX);
			assert_true(wait_ns > 0);
			run_at(model.now_ns + wait_ns);
			turns++;
		}
		assert_true(model.now_ns < timer->due_ns + NS_PER_MS);
		/* once for each level, and once more for each time that it was beyond the wheel */
		assert_in_range(turns, 1, TIMER_LEVELS + ((uint64_t)delay_ms >> 30) + 1);
	}
}

/* Every delay and every offset of the first two levels, turn by turn. */
static void each_millisecond_of_two_levels(void **state)
{
	(void)state;
	for (unsigned offset = 0; offset < 130; offset++) {
		for (int64_t delay_ms = 1; delay_ms < 4200; delay_ms += delay_ms < 200 ? 1 : 37) {
			struct model_timer *timer = &model.timers[0];

			model_init(offset, 0);
			run_at(offset * NS_PER_MS);
			model_set(timer, delay_ms);
			run_at((offset + (uint64_t)delay_ms) * NS_PER_MS - 1);
			assert_int_equal(timer->fired, 0);
			run_at((offset + (uint64_t)delay_ms) * NS_PER_MS);
			assert_int_equal(timer->fired, 1);
		}
	}
}

static void a_delay_beyond_the_wheel_is_34_years(void **state)
{
	struct model_timer *timer = &model.timers[0];
	const uint64_t year_ns = NS_PER_S * 3600 * 24 * 365;

	(void)state;
	model_init(0, 0);
	run_at(12345 * NS_PER_MS);
	model_set(timer, INT64_MAX);
	for (unsigned year = 0; year < 34; year++) {
		run_at(model.now_ns + year_ns);
		assert_int_equal(timer->fired, 0);
	}
	run_at((12345 + (uint64_t)DELAY_MS_MAX) * NS_PER_MS - 1);
	assert_int_equal(timer->fired, 0);
	run_at((12345 + (uint64_t)DELAY_MS_MAX) * NS_PER_MS);
	assert_int_equal(timer->fired, 1);
}

/* ---- from inside a firing ---- */

static void fire_and_stop_the_second(struct core *core, struct timer *timer)
{
	fire(core, timer);
	model_stop(&model.timers[1]);
}

/* Both are in the same slot, and may have been taken out of it together. */
static void a_timer_may_stop_one_of_the_same_slot(void **state)
{
	(void)state;
	for (int64_t delay_ms = 1; delay_ms < 20000; delay_ms += 61) {
		model_init(0, 0);
		model.timers[0].timer.fire = fire_and_stop_the_second;
		for (unsigned i = 0; i < 3; i++)
			model_set(&model.timers[i], delay_ms);
		run_at((uint64_t)delay_ms * NS_PER_MS);
		assert_int_equal(model.timers[0].fired, 1);
		assert_int_equal(model.timers[1].fired, 0);
		assert_int_equal(model.timers[2].fired, 1);
		assert_int_equal(timer_wait_ns(&model.wheel, model.now_ns), UINT64_MAX);
	}
}

static int64_t again_ms;

static void fire_and_set_again(struct core *core, struct timer *timer)
{
	fire(core, timer);
	if (model.timers[0].fired < 5)
		model_set(&model.timers[0], again_ms);
}

static void a_timer_may_set_itself(void **state)
{
	(void)state;
	for (again_ms = 1; again_ms < 10000; again_ms = 2 * again_ms + 1) {
		model_init(0, 0);
		model.timers[0].timer.fire = fire_and_set_again;
		model_set(&model.timers[0], again_ms);
		for (unsigned i = 1; i <= 5; i++) {
			run_at(i * (uint64_t)again_ms * NS_PER_MS - 1);
			assert_int_equal(model.timers[0].fired, i - 1);
			run_at(i * (uint64_t)again_ms * NS_PER_MS);
			assert_int_equal(model.timers[0].fired, i);
		}
		assert_false(timer_is_set(&model.timers[0].timer));
	}
}

/* "Zero means at the next turn": also when this turn is late, and whatever fraction of a millisecond it began at. */
static void zero_from_a_firing_is_the_next_turn(void **state)
{
	static const uint64_t turns_ns[] = {5 * NS_PER_MS, 10 * NS_PER_MS, 10 * NS_PER_MS + 1,
		11 * NS_PER_MS - 1, 5000 * NS_PER_MS};

	(void)state;
	again_ms = 0;
	for (size_t i = 0; i < array_len(turns_ns); i++) {
		model_init(0, 0);
		model.timers[0].timer.fire = fire_and_set_again;
		model_set(&model.timers[0], 5);
		run_at(turns_ns[i]);
		assert_int_equal(model.timers[0].fired, 1);
		run_at(turns_ns[i] + NS_PER_MS);
		assert_int_equal(model.timers[0].fired, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_timers_fire_in_time),
		cmocka_unit_test(so_do_those_that_others_set_and_stop),
		cmocka_unit_test(the_wait_leads_to_the_timer),
		cmocka_unit_test(each_millisecond_of_two_levels),
		cmocka_unit_test(a_delay_beyond_the_wheel_is_34_years),
		cmocka_unit_test(a_timer_may_stop_one_of_the_same_slot),
		cmocka_unit_test(a_timer_may_set_itself),
		cmocka_unit_test(zero_from_a_firing_is_the_next_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
