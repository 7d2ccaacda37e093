/* server: one connection to PostgreSQL, from connect to close.
 *
 *   CONNECTING -> LOGIN -> IDLE <-> LEASED -> CLEANING -> IDLE
 *                            |-> CHECKING (still alive?) -> IDLE
 *                            \-> MOVING (to another core) -> freed here, IDLE there
 *   any of them -> CLOSING -> freed, once the kernel has let go of every buffer
 *
 * Owner: a pool of one core. Thread: that core's, always. Memory: a slot of the core's server slab; the state says which of the
 * pool's lists it stands in. Source: PostgreSQL manual, "Frontend/Backend Protocol".
 */
#ifndef PGRING_POOL_SERVER_H
#define PGRING_POOL_SERVER_H

#include "net/stream.h"
#include "pool/params.h"
#include "pool/pending.h"
#include "pool/prepared.h"
#include "pool/traces.h"
#include "protocol/fault.h"
#include "protocol/startup.h"

struct lease;
struct pool;
struct server_login;
struct settings;
struct tally;

enum server_list {
	SERVER_LIST_OPENING,
	SERVER_LIST_IDLE,
	SERVER_LIST_BUSY,
	SERVER_LIST_CLOSING,
	SERVER_LIST_COUNT
};

enum server_state {
#define SERVER_STATE(name, next, list, word) SERVER_##name,
#include "pool/server_states.def"
	SERVER_STATE_COUNT
};

/* What a client left behind that the next one must not meet. */
enum server_dirt {
	SERVER_DIRT_SESSION = 1, /* session mode, or something that only DISCARD ALL undoes */
};

/* The part of a message that is not yet decided on, when it came in pieces. */
struct server_gather {
	uint8_t *bytes;
	uint32_t have, need, size;
};

struct server {
	struct pool *pool;
	struct stream *stream;
	struct list link;
	struct lease *lease;       /* LEASED: the client's */
	struct settings *settings; /* applied; never NULL from LOGIN's end on */
	struct params params;      /* as it reports them */
	uint64_t user;             /* of the lease before this one: lease->user */
	struct pending pending;
	struct prepared prepared;   /* the statements it has */
	struct traces traces;       /* what its client leaves on it */
	struct shape_draft draft;   /* of the description that is coming in */
	struct server_login *login; /* LOGIN only */
	struct timer timer;         /* of the present state */
	struct server_gather gather;
	uint32_t left;       /* bytes of the present message still to come */
	uint8_t state;       /* enum server_state */
	char status;         /* of its last ReadyForQuery: 'I', 'T', 'E' */
	uint8_t dirt;        /* enum server_dirt */
	bool hides_rest;     /* the present message is not for the client */
	bool is_reset;       /* CLEANING: DISCARD ALL was sent */
	bool is_out_of_sync; /* CLEANING: its client left in the middle of something */
	bool retires;        /* to be closed when it is free */
	bool is_altered;     /* the present transaction has changed what a statement's text means */
	bool was_moving;     /* CLOSING: another core waits for its permit */
	bool is_promised;    /* MOVING: the other core asked for it */
	struct tally *yielded; /* CLOSING: in favour of others under that limit (places.h) */
	unsigned moves_to;     /* MOVING */
	uint32_t reconnects;   /* the pool's when it was opened */
	uint32_t epoch;        /* the pool's server_epoch when it was opened */
	struct server_cancel
		*cancel;  /* asked for or under way: until it is over it stays with its client */
	uint32_t readies; /* ReadyForQuery that have come */
	uint32_t pid;
	uint8_t key[STARTUP_KEY_MAX];
	uint16_t key_len;
	struct address address;
	uint64_t opened_ns, idle_ns, used_ns, expires_ns;
	uint64_t queries, transactions; /* so far */
	uint64_t rollbacks;             /* ... of what clients left behind */
	uint64_t id;                    /* of the console */
	size_t password;                /* which of the pool's passwords it logs in with */
	char reason[200];               /* CLOSING: why */
};

/* Starts a connection for `pool`; it hears pool_server_ready() or pool_server_failed() on a later turn.
 * Returns 0, or ERR_* with nothing started and the reason in ret_why. */
must_check int server_open(
	struct core *core, struct pool *pool, const struct address *address, const char **ret_why);

extern const struct stream_events server_events;

/* It has come from another core, filled in but for its place here. */
void server_adopted(struct core *core, struct server *server);
/* Its pool's server_lifetime has changed. */
void server_set_expiry(struct core *core, struct server *server);

/* Moves it to a state, and so to that state's list. Only these functions change the state. */
void server_enter(struct core *core, struct server *server, enum server_state next);

/* Ends the connection; politely, with a Terminate, if it is idle. `reason` is copied. */
void server_close(struct core *core, struct server *server, const char *reason);
/* The same, because what a client left on it cannot be undone or must not be: counted, and what it is doing is cancelled. */
void server_force_close(struct core *core, struct server *server, const char *reason);

/* Asks it whether it is alive: an empty query. It is then IDLE again, or gone. */
void server_check(struct core *core, struct server *server);

/* Its client is through with it, or has left: undo what it left behind, then give it to the pool. */
void server_clean(struct core *core, struct server *server);

/* Sends a query of pgring's own, whose answer nobody hears. */
void server_query_hidden(
	struct core *core, struct server *server, const char *text, enum pending_hidden kind);

/* No cancel request is under way any more. */
void server_cancelled(struct core *core, struct server *server);

/* The word for a state. Static memory. */
const char *server_state_name(enum server_state state);

/* ReadyForQuery came; `hidden`: for a query of pgring's own. */
void server_ready(struct core *core, struct server *server, bool hidden);

/* Siblings in this folder: the login (server_login.c) and the answers (answers.c). */
void server_login_start(struct core *core, struct server *server);
void server_login_data(
	struct core *core, struct server *server, const struct span *spans, unsigned count);
void server_login_end(struct server *server);
/* The login is over. */
void server_login_done(struct core *core, struct server *server);
/* The login failed; `fault` is what the client should hear. */
void server_login_failed(struct core *core, struct server *server, const struct fault *fault);
void answers_data(
	struct core *core, struct server *server, const struct span *spans, unsigned count);
/* Whether it stands between two messages. */
bool answers_at_border(const struct server *server);
void answers_forget(struct server *server);

#endif
