/* sim_hidden: the queries of the pooler's own, which are no client's.
 *
 * They clean a session, set its variables, ask what it has left, and listen.
 */
#ifndef PGRING_TEST_SIM_SIM_HIDDEN_H
#define PGRING_TEST_SIM_SIM_HIDDEN_H

#include <stdbool.h>

struct sim_session;

/* Whether the session's query is one, and then it is answered. */
bool sim_hidden(struct sim_session *session);
/* DO E'...': what it says, to be freed. */
char *sim_hidden_block(const struct sim_session *session, const char *text);

#endif
