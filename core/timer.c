/* The wheel: level n has 64 slots of 64^n milliseconds; a slot of a higher level is spread over the lower ones when its time
 * comes. */
#include "core/timer.h"

#include "core/clock.h"

enum { TIMER_BITS = 6 };
#define TIMER_REACH_MS ((UINT64_C(1) << (TIMER_BITS * TIMER_LEVELS)) - 1)

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns)
{
	wheel->origin_ns = now_ns;
	wheel->now_ms = wheel->turn_ms = 0;
	for (int level = 0; level < TIMER_LEVELS; level++) {
		wheel->occupied[level] = 0;
		for (int slot = 0; slot < TIMER_SLOTS; slot++)
			list_init(&wheel->slots[level][slot]);
	}
}

void timer_init(struct timer *timer, timer_fire *fire)
{
	list_init(&timer->link);
	timer->fire = fire;
}

static void timer_place(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t due = timer->due_ms;
	uint64_t delta = due - wheel->now_ms;
	int level = 0;

	if (delta > TIMER_REACH_MS)
		due = wheel->now_ms + TIMER_REACH_MS; /* placed again from there */
	while (level < TIMER_LEVELS - 1 && delta >> (TIMER_BITS * (level + 1)))
		level++;
	timer->level = (uint8_t)level;
	timer->slot = (uint8_t)((due >> (TIMER_BITS * level)) & (TIMER_SLOTS - 1));
	list_push_back(&wheel->slots[level][timer->slot], &timer->link);
	wheel->occupied[level] |= UINT64_C(1) << timer->slot;
}

/* In the wheel's milliseconds. */
static uint64_t timer_due(const struct timer_wheel *wheel, uint64_t now_ns, int64_t delay_ms)
{
	uint64_t elapsed_ms = (now_ns - wheel->origin_ns + NS_PER_MS - 1) / NS_PER_MS;
	uint64_t delay = delay_ms < 0 ? 0 : (uint64_t)delay_ms;

	if (delay > UINT64_C(1) << 40)
		delay = UINT64_C(1) << 40;
	return elapsed_ms + delay > wheel->turn_ms ? elapsed_ms + delay : wheel->turn_ms + 1;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t now_ns, int64_t delay_ms)
{
	timer_stop(wheel, timer);
	timer->due_ms = timer_due(wheel, now_ns, delay_ms);
	timer_place(wheel, timer);
}

void timer_hasten(struct timer_wheel *wheel, struct timer *timer, uint64_t now_ns, int64_t delay_ms)
{
	if (timer_is_set(timer) && timer->due_ms <= timer_due(wheel, now_ns, delay_ms))
		return;
	timer_set(wheel, timer, now_ns, delay_ms);
}

void timer_stop(struct timer_wheel *wheel, struct timer *timer)
{
	if (!timer_is_set(timer))
		return;
	list_remove(&timer->link);
	if (list_empty(&wheel->slots[timer->level][timer->slot]))
		wheel->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
}

/* Takes a slot's timers out: those that are due fire, the others are placed nearer. */
static void timer_empty_slot(struct timer_wheel *wheel, struct core *core, int level, unsigned slot)
{
	struct list taken;
	struct list *link;

	list_init(&taken);
	list_splice_back(&taken, &wheel->slots[level][slot]);
	wheel->occupied[level] &= ~(UINT64_C(1) << slot);
	while ((link = list_pop_front(&taken))) {
		struct timer *timer = container_of(link, struct timer, link);

		if (timer->due_ms > wheel->now_ms)
			timer_place(wheel, timer);
		else
			timer->fire(core, timer);
	}
}

static uint64_t timer_rotate_right(uint64_t bits, unsigned by)
{
	return by == 0 ? bits : (bits >> by) | (bits << (64 - by));
}

/* The millisecond at which the next occupied slot begins, at most; UINT64_MAX if there is none. A slot that holds timers of the
 * wheel's next round counts as far away as it is. */
static uint64_t timer_next_ms(const struct timer_wheel *wheel)
{
	uint64_t best = UINT64_MAX;

	for (int level = 0; level < TIMER_LEVELS; level++) {
		unsigned shift = TIMER_BITS * (unsigned)level;
		uint64_t position = wheel->now_ms >> shift;
		uint64_t ahead, at;

		if (!wheel->occupied[level])
			continue;
		/* bit 0 of `ahead` is the slot after the present one */
		ahead = timer_rotate_right(
			wheel->occupied[level], (unsigned)((position + 1) & (TIMER_SLOTS - 1)));
		at = (position + 1 + (uint64_t)__builtin_ctzll(ahead)) << shift;
		if (at < best)
			best = at;
	}
	return best;
}

void timer_run(struct timer_wheel *wheel, struct core *core, uint64_t now_ns)
{
	uint64_t target_ms = (now_ns - wheel->origin_ns) / NS_PER_MS;

	wheel->turn_ms = target_ms;
	while (wheel->now_ms < target_ms) {
		uint64_t next = timer_next_ms(wheel);

		if (next > target_ms) {
			wheel->now_ms = target_ms;
			return;
		}
		wheel->now_ms = next;
		for (int level = TIMER_LEVELS - 1; level >= 0; level--) {
			unsigned shift = TIMER_BITS * (unsigned)level;

			if (next & ((UINT64_C(1) << shift) - 1))
				continue;
			timer_empty_slot(
				wheel, core, level, (unsigned)(next >> shift) & (TIMER_SLOTS - 1));
		}
	}
}

uint64_t timer_wait_ns(const struct timer_wheel *wheel, uint64_t now_ns)
{
	uint64_t next = timer_next_ms(wheel);
	uint64_t at_ns;

	if (next == UINT64_MAX)
		return UINT64_MAX;
	at_ns = wheel->origin_ns + next * NS_PER_MS;
	return at_ns > now_ns ? at_ns - now_ns : 0;
}
