/* subscriber: a client that listens, outside of session mode, and where its notifications come from.
 *
 * LISTEN and UNLISTEN are PostgreSQL's: the client's server runs them, and is asked after the transaction which channels it
 * listens to (traces.h). Until the pool's herald listens to all of them, the client keeps that server and hears it; then a marker
 * (marker.h) moves the client to the herald and the server is given back. Before a statement that may change what is listened to,
 * the client moves back: a server listens to all that it listens to, and is the truth again. In the middle of a batch of the
 * extended protocol that is one more statement of the batch, and succeeds or fails with it.
 *
 *   SERVER --marker heard by server and herald--> HERALD --likewise--> SERVER
 *
 * While it moves, what the old source tells before the marker is delivered, what the new one tells behind it is held back until the
 * old one has come to the marker, and the rest is dropped. If the herald is lost meanwhile, the next one may come to the marker, or
 * may have begun to listen behind it: what it tells is doubtful until it has come to it, or is asked and says that it will not.
 * Owner: the client's lease. Thread: the core's. Memory: a slot of the core's slab, and malloc; what waits is bounded.
 */
#ifndef PGRING_POOL_SUBSCRIBER_H
#define PGRING_POOL_SUBSCRIBER_H

#include "core/list.h"
#include "net/chain.h"

struct lease;
struct pool;
struct tiding;
struct traces;

/* A variable of the session's: the subscriber_restore that has taken place in it. */
#define SUBSCRIBER_RESTORED "pgring.restored"

enum subscriber_source { SUBSCRIBER_AT_SERVER, SUBSCRIBER_AT_HERALD };

struct subscriber {
	struct lease *lease;
	struct list subscriptions;
	unsigned count;
	unsigned unheard;   /* of the channels: the herald does not listen to them */
	uint32_t turn;      /* of the last marker */
	uint8_t source;     /* enum subscriber_source */
	bool is_moving;     /* to the other source */
	bool server_passed; /* moving: it has come to the marker */
	bool herald_passed; /* ... likewise */
	bool herald_doubted; /* ... to the server: whether the herald comes to the marker is not known */
	bool server_listens; /* the client's server has all that the client listens to */
	bool is_silenced; /* moving back: the server may not listen to the marker any more when it comes */
	bool is_undoable; /* ... a savepoint may have been rolled back since the server was prepared */
	bool in_doubt; /* ... its transaction is over, and the server has to be asked what came of it */
	uint32_t asked;        /* doubted: the question to the herald; 0: not asked yet */
	bool is_overrun;       /* more waits for the client than may: it hears no more */
	struct chain ready;    /* notifications for the client, once it may get them */
	struct chain doubtful; /* those that come behind them, unless the server tells them, too */
	struct chain held;     /* moving: those that come behind them */
	unsigned ready_count, doubtful_count, held_count;
};

/* The client's server was asked, and listens to traces->channels. Called for each lease that was asked. */
void subscriber_found(struct core *core, struct lease *lease, const struct traces *traces);
/* The client's next request may listen or unlisten: prepares the server for that. What was sent before has been appended to the
 * server's stream, and the server owes the client no ReadyForQuery: else nobody knows in what state it will come to it. In the
 * middle of a batch it becomes a part of that, and fails with it. */
void subscriber_restore(struct core *core, struct lease *lease);
static inline bool subscriber_must_restore(const struct subscriber *subscriber)
{
	return subscriber->source == SUBSCRIBER_AT_HERALD &&
		(!subscriber->is_moving || subscriber->is_undoable);
}
/* The server was prepared in a transaction that is not over. */
static inline bool subscriber_is_pending(const struct subscriber *subscriber)
{
	return subscriber->source == SUBSCRIBER_AT_HERALD && subscriber->is_moving &&
		!subscriber->server_passed;
}
/* It is prepared already. Before that is answered it may still turn out to be in vain. */
static inline bool subscriber_is_restored(const struct subscriber *subscriber)
{
	return subscriber->source == SUBSCRIBER_AT_SERVER ||
		(subscriber->is_moving && subscriber->server_passed);
}
/* The server is ready for the client's next request. In a transaction it has to be prepared once more before that: a savepoint may
 * have been rolled back. At the end of one, a preparation that was rolled back did not take place. If the server has not heard the
 * marker, that was so; unless it was silenced, and is asked. */
void subscriber_answered(struct core *core, struct subscriber *subscriber, char status);
/* The transaction in which the server was prepared is being rolled back. */
void subscriber_rolled_back(struct core *core, struct subscriber *subscriber);
/* A NotificationResponse of the client's server. Returns whether the client does not get it from there. */
bool subscriber_hears(struct core *core, struct lease *lease, const uint8_t *message, size_t len);
/* Whether the client must wait, because it leaves its server. */
static inline bool subscriber_is_leaving(const struct subscriber *subscriber)
{
	return subscriber->is_moving && subscriber->source == SUBSCRIBER_AT_SERVER;
}
/* Begins to move to the herald, if that listens to all that the client does. The server is at rest. */
void subscriber_leave(struct core *core, struct lease *lease);
/* The pool is paused, and nobody listens: those at rest need not keep their servers. */
void subscriber_paused(struct core *core, struct pool *pool);
void subscriber_strand(struct lease *lease);
/* Takes the next notification out of what is ready. */
void subscriber_take(struct core *core, struct subscriber *subscriber, struct chain *target);
/* It listens no more. NULL is allowed. */
void subscriber_free(struct core *core, struct lease *lease);

/* A HEARD, NEWS, LOST, STRAY or TOLD has come for the pool; borrowed. */
void subscriber_told(struct core *core, struct pool *pool, const struct tiding *tiding);

#endif
