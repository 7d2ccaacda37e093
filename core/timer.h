/* timer: a hierarchical timer wheel, one per core, with slots of one millisecond.
 *
 * Owner: one core. Thread: that core's. Memory: the timers stand in their owners. A timer fires once, never early, at most a
 * turn late, and never from inside the call that sets it. (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987.)
 */
#ifndef PGRING_CORE_TIMER_H
#define PGRING_CORE_TIMER_H

#include "core/list.h"

#include <stdint.h>

struct core;
struct timer;

typedef void timer_fire(struct core *core, struct timer *timer);

struct timer {
	struct list link;
	uint64_t due_ms; /* of the wheel's own count */
	timer_fire *fire;
	uint8_t level, slot;
};

enum { TIMER_LEVELS = 5, TIMER_SLOTS = 64 };

struct timer_wheel {
	uint64_t origin_ns;
	uint64_t now_ms;
	uint64_t turn_ms;                /* up to which the present turn fires */
	uint64_t occupied[TIMER_LEVELS]; /* a bit per slot */
	struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ns);

/* A timer that is not set. */
void timer_init(struct timer *timer, timer_fire *fire);

/* Sets it, or sets it anew, to fire `delay_ms` from `now_ns` on. Negative and zero mean at the next turn; a delay beyond the
 * wheel (34 years) is cut to it. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t now_ns, int64_t delay_ms);
/* The same, unless it fires by then already: for who looks at the time when it fires, and sets it anew if that was too early. */
void timer_hasten(
	struct timer_wheel *wheel, struct timer *timer, uint64_t now_ns, int64_t delay_ms);
void timer_stop(struct timer_wheel *wheel, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
	return list_linked(&timer->link);
}

/* Fires what is due at `now_ns`. */
void timer_run(struct timer_wheel *wheel, struct core *core, uint64_t now_ns);

/* Nanoseconds from `now_ns` until the wheel next has to run, at most; UINT64_MAX if no timer is set. */
uint64_t timer_wait_ns(const struct timer_wheel *wheel, uint64_t now_ns);

#endif
