/* loop: the turn of a core: letters, timers, sends, one system call, completions.
 *
 * Thread: the core's, from loop_open to loop_close.
 */
#ifndef PGRING_NET_LOOP_H
#define PGRING_NET_LOOP_H

#include "net/net.h"

/* Gives the core its net and opens the ring. Returns 0, or ERR_* with a sentence in `why`. */
must_check int loop_open(
	struct core *core, const struct ring_options *options, char *why, size_t why_size);

/* Runs until core->stopping. */
void loop_run(struct core *core);

/* Everything of the core that used streams must be gone. */
void loop_close(struct core *core);

/* One turn, waiting `timeout_ns` at most. */
void loop_turn(struct core *core, uint64_t timeout_ns);

#endif
