/* client: one session of a client, from accept to close.
 *
 *   STARTUP -> DERIVING -> AUTH -> SETTLING -> READY
 *        |-> (console) CONSOLE                   any of them -> CLOSING -> freed
 *        \-> (a cancel request) CANCELLING, until that is dealt with
 *
 * Owner: the core's router. Thread: that core's. Memory: a slot of the client slab; what only the login needs is apart and freed
 * with it. While READY, the lease's state says whether the client idles, waits or has a server.
 * Source: PostgreSQL manual, "Frontend/Backend Protocol".
 */
#ifndef PGRING_ROUTER_CLIENT_H
#define PGRING_ROUTER_CLIENT_H

#include "pool/lease.h"
#include "pool/pool.h"
#include "router/router.h"
#include "router/sqlscan.h"

struct client_console;
struct client_login;
struct command;

enum client_state {
#define CLIENT_STATE(name, next, word) CLIENT_##name,
#include "router/client_states.def"
	CLIENT_STATE_COUNT
};

/* What a client is counted for, all cores together (core/tally.h). */
enum client_count {
	CLIENT_COUNT_PROCESS = 1,  /* from its first packet on, but for the console */
	CLIENT_COUNT_DATABASE = 2, /* once its password was right */
	CLIENT_COUNT_USER = 4,
};

enum { CLIENT_KEY_BYTES = 32, CLIENT_KEY_BYTES_OLD = 4 };

struct client {
	struct stream *stream;
	struct pool *pool; /* from the start-up packet on; NULL for the console */
	struct lease lease;
	struct settings
		*settings; /* what it asked for when it started; the lease has what it set since */
	struct chain in;   /* received and not yet dealt with */
	struct held held;  /* how much of it is counted */
	struct client_login *login; /* until READY or CONSOLE */
	struct timer timer;         /* of the login, then of client_watch.c */
	struct task resume; /* goes on with `in` once the present completion is dealt with */
	uint32_t left;      /* bytes of the present message still to come */
	uint8_t state;      /* enum client_state */
	uint8_t mode; /* enum pool_mode, from the login on; a reload changes it only between two transactions */
	bool discards;     /* ... which go nowhere */
	bool skips;        /* a batch has failed: nothing counts until its Sync */
	bool is_waiting;   /* the first message in `in` waits for a server, or for room */
	bool is_cancelled; /* the request that waits fails with 57014 when its turn comes */
	bool is_leaving;   /* said goodbye, and still gets the answers to what it asked before */
	uint8_t counted;   /* enum client_count: where the tallies have it */
	char status;       /* of the last ReadyForQuery */
	bool has_begun; /* a transaction that no server knows of yet, because nothing else was asked */
	struct sqlscan_begin begin; /* ... in this way */
	uint8_t key_len;
	uint8_t key[CLIENT_KEY_BYTES];
	uint64_t id, connected_ns, request_ns;
	uint64_t heard_ns;              /* when the last bytes came from it */
	struct address peer;            /* length 0: not asked for yet; see client_peer() */
	struct command *command;        /* CONSOLE: under way */
	struct client_console *console; /* CONSOLE: statements and portals */
};

/* A connection that was accepted, and counted in the load of this core; the descriptor is taken over. */
void client_open(struct core *core, int fd);

/* The client of a descriptor's stream. */
static inline struct client *client_of(struct stream *stream)
{
	return stream->owner;
}

/* Who it is. Asks the kernel the first time. */
const struct address *client_peer(struct client *client);

/* The number in its cancel key that leads back to its core and slot, and the way back. */
uint32_t client_pid(const struct core *core, const struct client *client);
bool client_pid_parse(uint32_t pid, uint32_t *ret_core, uint32_t *ret_slot);

/* Moves it to a state. Only this function changes the state. */
void client_enter(struct core *core, struct client *client, enum client_state next);
const char *client_state_name(const struct client *client);

/* Takes over the pool's mode. While no server is held. */
void client_set_mode(struct client *client);
/* The same if a reload has changed it, and if the client is between two transactions. Statements follow a client outside of session
 * mode only: with prepared ones it keeps the mode in which it has made them. */
void client_follow_mode(struct client *client);

/* Ends the session: gives back what it has, sends what is queued. `reason` goes to the log. */
void client_close(struct core *core, struct client *client, const char *reason);
/* The same, at once, for a peer that is gone. */
void client_drop(struct core *core, struct client *client, const char *reason);

/* Says why, with severity FATAL, and ends the session. */
void client_fatal(struct core *core, struct client *client, const struct fault *fault);
void client_fatal_text(
	struct core *core, struct client *client, const char *sqlstate, const char *text);
/* The client broke the protocol. */
void client_violation(struct core *core, struct client *client, const char *text);

/* Appends an ErrorResponse, a ReadyForQuery. */
void client_say(struct core *core, struct client *client, const struct fault *fault);
void client_say_ready(struct core *core, struct client *client, char status);

/* Sees to it that the timer fires once what the client does now takes too long, if the configuration limits that; and the timer
 * has fired. client_watch.c. */
void client_watch(struct core *core, struct client *client);
void client_watch_over(struct core *core, struct client *client);

/* The limits on clients (client_admit.c). A connection that wants a session is counted; then, once its password was right, its
 * session with database and user, unless the database is disabled. Return false after having refused it. */
bool client_admit_connection(struct core *core, struct client *client);
bool client_admit(struct core *core, struct client *client);
/* Its password was right, but it has no such database. */
void client_refuse_database(
	struct core *core, struct client *client, const char *user, const char *database);
/* It counts no longer. */
void client_admit_end(struct core *core, struct client *client);

/* Siblings in this folder: the login (client_login.c), the session (client_relay.c, client_news.c), the
 * console (client_console.c). */
void client_login_data(
	struct core *core, struct client *client, const struct span *spans, unsigned count);
void client_login_end(struct core *core, struct client *client);
void client_login_derived(struct core *core, struct client *client);
void client_login_settled(struct core *core, struct client *client);
void client_login_timeout(struct core *core, struct client *client);
/* Logs why a client is not let in. */
void client_login_refused(struct core *core, struct client *client, const char *reason);
void client_relay_data(
	struct core *core, struct client *client, const struct span *spans, unsigned count);
void client_relay_resume(struct core *core, struct client *client);
/* It has said goodbye: ends once what it asked before is answered. */
void client_relay_leave(struct core *core, struct client *client);
/* The request that waits gets an error instead of a server. */
void client_relay_fail(struct core *core, struct client *client, const struct fault *fault);
extern const struct lease_events client_lease_events;
void client_console_data(
	struct core *core, struct client *client, const struct span *spans, unsigned count);
void client_console_start(
	struct core *core, struct client *client, const char *user, bool only_looks);
void client_console_end(struct core *core, struct client *client);
/* What it was sent has been read, so that it can be answered again. */
void client_console_drained(struct core *core, struct client *client);
/* A cancel request for its command. */
void client_console_cancel(struct core *core, struct client *client);
/* The handler of LETTER_ANSWER. */
void client_console_answered(struct core *core, const struct letter *letter);

#endif
