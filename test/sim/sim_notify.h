/* sim_notify: LISTEN and NOTIFY of simulated servers, and the third judge: does each client hear what it listens to, all of it,
 * once, and in the one order that all share?
 *
 * Each server has one order of notifications, made by the commits. A client may hear what is notified between the commits of its
 * LISTEN and its UNLISTEN, and nothing else. While it listens it must hear it, unless the listening connection of its pool was lost
 * and does not listen to that channel again yet.
 */
#ifndef PGRING_TEST_SIM_SIM_NOTIFY_H
#define PGRING_TEST_SIM_SIM_NOTIFY_H

#include "test/sim/sim_bytes.h"

#include <stdbool.h>

struct sim_session;

enum { SIM_CHANNELS = 3 };

/* What it takes a transaction back to. */
struct sim_savepoint {
	unsigned name, next, on, off;
	char restored_next[48];
	size_t posts_len;
};

/* Of a session. Channels are bits; the one above them is the marker's. */
struct sim_listening {
	unsigned now, next; /* as committed; as the transaction has it */
	unsigned client;    /* whose they are; 0: not known */
	char restored[48],
		restored_next[48]; /* the variable by which the pooler knows what was rolled back */
	unsigned on, off;          /* what its statements in this transaction change */
	bool is_restored, is_restored_next; /* by the pooler, for a client that is still to come */
	bool is_herald;                     /* the pool's listening connection */
	struct sim_savepoint *savepoints;   /* of the transaction, the innermost last */
	unsigned savepoint_count, savepoint_size;
	struct sim_bytes
		posts; /* of the transaction: whole messages, and before each who posts it */
	struct sim_bytes heard; /* whole messages that wait until the session is idle */
};

void sim_notify_begin(void);
void sim_notify_end(void);

/* ---- sessions ---- */

/* A statement of the client's. `channels` are bits. */
void sim_notify_listen(struct sim_session *session, unsigned client, unsigned channels);
void sim_notify_unlisten(struct sim_session *session, unsigned client, unsigned channels);
void sim_notify_post(struct sim_session *session, unsigned client, unsigned seq, unsigned channel);
/* Statements of the pooler's own: whether the text is of this kind; and runs them, each answered. */
bool sim_notify_is_own(const char *text);
void sim_notify_own(struct sim_session *session, const char *text);
/* BEGIN IF that has not been done THEN ...;END IF;END: as one statement. Returns whether it did it. */
bool sim_notify_block(struct sim_session *session, const char *text);
/* The client is about to run something there: what is listened to must be its own. */
void sim_notify_judge(struct sim_session *session, unsigned client);
void sim_notify_commit(struct sim_session *session);
void sim_notify_rollback(struct sim_session *session);
/* Within the transaction. The others tell whether there is a savepoint of that name. */
void sim_notify_savepoint(struct sim_session *session, unsigned name);
bool sim_notify_rollback_to(struct sim_session *session, unsigned name);
bool sim_notify_release(struct sim_session *session, unsigned name);
/* Everything is unlistened, and forgotten. */
void sim_notify_reset(struct sim_session *session);
/* Whether it has something to tell, if it is idle; and tells it. */
bool sim_notify_has_news(const struct sim_session *session);
void sim_notify_tell(struct sim_session *session);
/* Rows for the question what it listens to, and whether what the pooler did was rolled back. Returns how many. */
unsigned sim_notify_rows(struct sim_session *session, bool with_restored);
/* The session ends; `by_itself`: not because the pooler wanted it. Or it has failed as a listening connection. */
void sim_notify_lost(struct sim_session *session);
void sim_notify_ended(struct sim_session *session, bool by_itself);

/* ---- clients ---- */

void sim_notify_heard(unsigned client, const char *channel, const char *payload);
/* Whether it has not heard yet what it must hear. */
bool sim_notify_owes(unsigned client);

#endif
