/* round: a letter that visits every core in turn and comes back to control.
 *
 * Control starts it and owns it again once it has returned; in between it belongs to the core that it visits. What is the same on
 * all cores, or is summed over them, is asked or ordered this way: when it is back, every core has done its part.
 */
#ifndef PGRING_CORE_ROUND_H
#define PGRING_CORE_ROUND_H

#include "core/core.h"

struct round {
	void (*visit)(struct core *core, struct round *round);    /* on each core, in their order */
	void (*returned)(struct core *core, struct round *round); /* on control */
};

/* Sends it off. Thread: control. Returns 0, or ERR_FULL with nothing sent. */
must_check int round_start(struct core *core, struct round *round);

/* The handlers of LETTER_ROUND, of the cores, and of LETTER_ROUNDED, of control. */
void round_arrived(struct core *core, const struct letter *letter);
void round_returned(struct core *core, const struct letter *letter);

#endif
