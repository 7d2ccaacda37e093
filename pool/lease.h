/* lease: a client's hold on a server, from the wait for one to its return.
 *
 * Owner: the client, in whose slot it stands. Thread: the core's. While HELD, answers go to `sink`. No event runs from inside
 * lease_take, lease_abandon or lease_cancel_wait.
 */
#ifndef PGRING_POOL_LEASE_H
#define PGRING_POOL_LEASE_H

#include "net/stream.h"
#include "pool/names.h"
#include "pool/server.h"
#include "pool/subscriber.h"

struct lease;
struct lease_loss;
struct pool;

struct lease_events {
	/* A server was found after a wait. */
	void (*granted)(struct core *core, struct lease *lease);
	/* The settings that this lease was to try have been tried by another; the lease is NONE again. */
	void (*tried)(struct core *core, struct lease *lease);
	/* No server could be had; the lease is NONE again. `fault` is borrowed for the call. */
	void (*failed)(struct core *core, struct lease *lease, const struct fault *fault);
	/* An answer is complete: ReadyForQuery with this status went to the sink. `kept` tells whether the server stays. The
	 * client may have the next request ready. Runs inside the server's completion: do not touch the server. */
	void (*answered)(struct core *core, struct lease *lease, char status, bool kept);
	/* The server that was kept to be asked what the client left on it is given back. */
	void (*released)(struct core *core, struct lease *lease);
	/* The server can take more after lease_is_blocked said no. */
	void (*unblocked)(struct core *core, struct lease *lease);
	/* The error of a request that was sent with lease_refuse comes now: compose it. */
	void (*refused)(struct core *core, struct lease *lease, unsigned refusal);
	/* lease->subscriber has something ready, or is overrun. */
	void (*news)(struct core *core, struct lease *lease);
	/* A herald's: a query of its own was answered; a NotificationResponse came. */
	void (*hidden)(struct core *core, struct lease *lease);
	bool (*notified)(
		struct core *core, struct lease *lease, const uint8_t *message, size_t len);
	/* The server is gone in the middle; the lease is NONE again. */
	void (*lost)(struct core *core, struct lease *lease, const struct lease_loss *loss);
};

enum lease_state { LEASE_NONE, LEASE_WAITING, LEASE_HELD };

/* What was going on when the server was lost. Borrowed for the call. */
struct lease_loss {
	const struct fault *fault;     /* the server's own reason, if it gave one */
	const struct pending *pending; /* what it still owed */
	bool is_mid_message; /* the client got the beginning of a message and will not get its end */
	char status;         /* of the transaction, as last reported */
	unsigned held;       /* what could not follow the client to another server (enum trace) */
};

/* Why pgring has a request fail, in the place and with the consequences that an error of the server has there. */
enum lease_refusal {
	REFUSAL_NAMED_STATEMENT = 1, /* Parse with a name, outside of session mode */
	REFUSAL_UNKNOWN_UNNAMED, /* the unnamed statement of this client is not on this server */
	REFUSAL_TRANSACTION_CONTROL, /* BEGIN in statement mode */
	REFUSAL_STATEMENT_MEMORY,    /* no more statements, or none of that size */
	REFUSAL_NAME_TOO_LONG,       /* of a statement or a portal */
	REFUSAL_SEQUENCE,            /* lastval or currval on a server that others used */
	REFUSAL_CANCELLED,           /* the client had it cancelled before it was sent */
	REFUSAL_LISTEN, /* LISTEN or UNLISTEN while it is not known what came of one before */
	REFUSAL_LISTEN_UNDONE, /* LISTEN or UNLISTEN behind a ROLLBACK in the same string */
	REFUSAL_LISTEN_RESET,  /* RESET ALL in the transaction of a LISTEN or UNLISTEN */
	REFUSAL_STALE_PLAN,    /* the statement's result is another than the client was told */
};

/* A statement was parsed anew for a client that knows what its result is: whether it still is that is not answered yet. */
enum lease_check {
	LEASE_UNCHECKED,
	LEASE_CHECK_ALONGSIDE, /* the client's request is under way with it, and does no harm */
	LEASE_CHECK_FIRST,     /* the client's request waits for the answer */
	LEASE_CHECK_FAILED,    /* ... and fails */
	LEASE_CHECK_LOST, /* ... and is sent, so that the server says that there is no such statement */
};

struct lease {
	const struct lease_events *events;
	struct pool *pool;
	struct stream *sink;
	struct settings *settings; /* what the server must have; held */
	struct settings *base;     /* what the client asked for when it started, who holds it */
	uint64_t user;             /* a number of the client's own, not 0 */
	struct server *server;     /* HELD */
	struct names *names;       /* the client's prepared statements; never NULL */
	struct subscriber
		*subscriber; /* the client listens; NULL: it does not, or its server does */
	struct list link;    /* WAITING: in pool->waiters */
	struct task task;    /* brings the news of granted and unblocked */
	uint64_t since_ns;   /* WAITING: since when; HELD: when its transaction began */
	uint64_t request_ns; /* when the first unanswered request was sent */
	uint64_t queries, transactions; /* so far */
	unsigned failed_attempts; /* WAITING: to connect, begun after the wait did; see pool.h */
	uint8_t state;            /* enum lease_state */
	uint8_t check;            /* enum lease_check */
	bool keeps;               /* session mode: the server stays until the client leaves */
	bool is_mid_request;      /* part of a message of the client has been sent */
	bool is_blocked;          /* unblocked() is owed */
	bool is_new;              /* granted() is owed */
	bool knows_unnamed;       /* the server's unnamed statement is this client's */
	bool is_over;             /* tried() is owed */
	bool is_fresh;            /* HELD: no request has been sent yet */
	bool owns_sequences;      /* HELD: what the server knows of sequences is of nobody else */
	bool has_taken;           /* HELD: the client may have taken values of sequences */
	bool asks_sequences;      /* the client uses lastval or currval behind that */
	bool needs_sequences;     /* ... from one transaction to the next */
	bool is_trial; /* taken only to try the settings; answered() tells that they hold */
};

void lease_init(struct lease *lease, struct pool *pool, struct stream *sink,
	const struct lease_events *events);

/* Asks for a server. Returns the new state: HELD at once, or WAITING until granted() or failed(). */
enum lease_state lease_take(struct core *core, struct lease *lease);

/* The client no longer wants to wait. */
void lease_cancel_wait(struct core *core, struct lease *lease);

/* The client leaves, whatever is going on. The lease is NONE after it. */
void lease_abandon(struct core *core, struct lease *lease);

/* Whether the server can take no more at present; unblocked() tells when it can. */
bool lease_is_blocked(struct lease *lease);
/* Whether the client has got the beginning of a message, and not yet its end: nothing else may be said to it. */
static inline bool lease_is_mid_message(const struct lease *lease)
{
	return lease->state == LEASE_HELD && lease->server->left > 0 && !lease->server->hides_rest;
}

/* Makes a server that owes too many answers send them: it may keep them until a Sync that is not coming. After the client's
 * requests so far have been appended. */
void lease_hurry(struct core *core, struct lease *lease);

/* A request of the client begins: if nothing was under way, its time counts from now, and a transaction's. */
static inline void lease_begin(struct core *core, struct lease *lease)
{
	const struct server *server = lease->server;

	if (!pending_empty(&server->pending))
		return;
	lease->request_ns = core->now_ns;
	if (server->status == 'I' && !server->pending.is_open)
		lease->since_ns = core->now_ns;
}

/* Notes a request of the client, then it is appended to lease->server->stream->out. */
static inline void lease_note(
	struct core *core, struct lease *lease, enum pending_kind kind, unsigned flags)
{
	lease_begin(core, lease);
	pending_push(&lease->server->pending, kind, flags);
}

/* Makes the server send all answers that it owes, and has unblocked() called each time some have come. */
void lease_watch(struct core *core, struct lease *lease);

/* Sends, instead of a request of that kind, one that fails, and has refused() called where its error stands. So the error has
 * the place and the consequences that the server's own would have. */
void lease_refuse(
	struct core *core, struct lease *lease, enum pending_kind kind, enum lease_refusal refusal);

/* A client that took the lease as a trial is satisfied. */
void lease_release(struct core *core, struct lease *lease);

/* The owner ends: no more news. The lease is NONE. */
void lease_forget(struct lease *lease);

/* ---- prepared statements: lease_prepared.c. The lease is HELD. ---- */

/* Whether the client's statements follow it from server to server. */
bool lease_follows(const struct core *core, const struct lease *lease);
/* What else than its text decides what a statement means. */
uint64_t lease_context(struct core *core, const struct lease *lease);

/* A statement that a client is about to use. */
struct lease_use {
	struct statement *statement;
	struct shape *shape; /* what the client knows of it; NULL: nothing */
	struct name *name;   /* who is to know it from now on; NULL: nobody */
	uint64_t since_ns;   /* the server must not have it from before that */
	bool is_lone; /* the client's message may go before it is known whether the statement is still what it was */
};

/* Sees to it that the server has the statement: if need be, a Parse is sent now. Returns false if the client's message must not
 * follow before `check` has changed: then it will be LEASE_UNCHECKED, or LEASE_CHECK_FAILED and the message is to be refused. */
must_check bool lease_prepare(struct core *core, struct lease *lease, const struct lease_use *use);
/* The same for a Query that executes the statement by the name it has on the server. No batch is open. */
must_check bool lease_prepare_query(
	struct core *core, struct lease *lease, const struct lease_use *use);
/* The same without a name, for the client's unnamed statement: what the server gets as such, and what the client knows of it. */
must_check bool lease_prepare_unnamed(struct core *core, struct lease *lease,
	struct statement *statement, struct shape *shape, bool is_lone);
/* Notes the client's Describe of its unnamed statement, whose answer tells it the shape. */
void lease_note_description(struct core *core, struct lease *lease);
/* Lets the client have the answer to the Describe that pgring has sent behind its Parse. Returns false if that is not possible. */
bool lease_claim_description(struct lease *lease, const struct name *name);
/* Notes the client's named Parse, whose name is in lease->names already, and of which the server gets `statement`; its unnamed one
 * (the statement's user moves in); its Close. The message is then appended to the server's stream. */
void lease_note_named(struct core *core, struct lease *lease, struct name *name,
	const struct statement *statement);
/* The same for SQL's PREPARE, for which a Parse is sent. */
void lease_note_prepare(
	struct core *core, struct lease *lease, struct name *name, struct prepared_shift shift);
/* The Parse has been appended: its description is asked for, too. */
void lease_describe_named(struct core *core, struct lease *lease, struct name *name,
	const struct statement *statement);
void lease_note_unnamed(struct core *core, struct lease *lease, struct statement *statement);
/* The client's unnamed Parse, which is to be sent under the statement's name; unless the server has it, and nothing tells that
 * it is too old: then returns true, and a Close that closes nothing is to be sent in its place. */
bool lease_note_anonymous(struct core *core, struct lease *lease, struct statement *statement);
/* A Close of the name, or a Query or Parse that deallocates it. */
void lease_note_closing(
	struct core *core, struct lease *lease, struct name *name, enum pending_kind kind);

/* A Query that executes the client's statement by the name that it has on the server. */
void lease_note_execute(struct core *core, struct lease *lease, const struct name *name,
	struct prepared_shift shift);
/* Sees to it that the server has a statement "pgring_", which is nobody's. */
void lease_occupy(struct core *core, struct lease *lease);
/* A Parse, or a Query that prepares, of a name that the client has: with "pgring_" in its place it is to fail as it would have. */
void lease_note_duplicate(struct core *core, struct lease *lease, const struct name *name,
	enum pending_kind kind, struct prepared_shift shift);

/* Siblings in this folder. */
void lease_send_failing(
	struct core *core, struct server *server, enum pending_kind kind, unsigned flags);
/* The answer to a tracked message has come; an error has come that is the head's if `is_head`, and took that many tracked
 * entries with it; the server is lost. */
void lease_prepared_done(struct core *core, struct server *server);
void lease_prepared_failed(
	struct core *core, struct server *server, bool is_head, unsigned dropped);
void lease_prepared_lost(struct core *core, struct server *server);
/* The answer to a Describe with a record has come: the body of a RowDescription, or NULL for NoData; or too long a one. */
void lease_described(struct core *core, struct server *server, const uint8_t *body, size_t len);
void lease_described_unseen(struct core *core, struct server *server);
/* The client, which may have left meanwhile, has deallocated all its statements, and by that those of everybody on this server. */
void lease_deallocated(struct core *core, struct server *server);
/* It waits only to try its settings, and that is not needed any more. */
void lease_end_trial(struct core *core, struct lease *lease);
/* An idle server for the lease, or NULL; and whether it has idled so long that it must prove to be alive first. */
struct server *lease_choose(struct pool *pool, const struct lease *lease);
bool lease_must_check(struct core *core, const struct server *server);
void lease_grant(struct core *core, struct lease *lease, struct server *server);
void lease_fail(struct core *core, struct lease *lease, const struct fault *fault);
void lease_lose(struct core *core, struct server *server, const struct fault *fault);
/* ReadyForQuery has gone to the client. */
void lease_answered(struct core *core, struct lease *lease, char status);
/* A query of pgring's own has been answered. */
void lease_hidden(struct core *core, struct lease *lease);
/* The server has told what the client left on it. */
void lease_asked(struct core *core, struct lease *lease);

#endif
