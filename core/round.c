/* Passing a round on. */
#include "core/round.h"

#include <sched.h>

int round_start(struct core *core, struct round *round)
{
	struct letter letter = {.kind = LETTER_ROUND, .a = round};

	CHECK(core->index == core->world->control);
	return mailbox_send(core, 0, &letter);
}

void round_arrived(struct core *core, const struct letter *letter)
{
	struct round *round = letter->a;
	struct letter next = {.kind = LETTER_ROUND, .a = round};
	unsigned to = core->index + 1;

	round->visit(core, round);
	if (to == core->world->worker_count) {
		next.kind = LETTER_ROUNDED;
		to = core->world->control;
	}
	/* only control starts rounds, few at a time, and each core writes to its successor: no two wait for each other */
	while (mailbox_send(core, to, &next) != 0) {
		core_count(core, METRIC_letters_delayed);
		sched_yield();
	}
}

void round_returned(struct core *core, const struct letter *letter)
{
	struct round *round = letter->a;

	round->returned(core, round);
}
