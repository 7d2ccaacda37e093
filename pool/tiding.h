/* tiding: what cores and heralds write to each other about channels, and how it gets there.
 *
 *   core --WANTED, UNWANTED--> the pool's home --HEARD (the channel is listened to), NEWS, LOST, STRAY--> core
 *   core --ASKED--> the pool's home --TOLD--> core
 *
 * Owner: who holds it; it moves with its letter, and the receiver frees it. Thread: the core's. Memory: malloc. Between two cores
 * tidings arrive in the order in which they were sent; while a mailbox is full they wait here.
 */
#ifndef PGRING_POOL_TIDING_H
#define PGRING_POOL_TIDING_H

#include "core/mailbox.h"
#include "core/timer.h"
#include "pool/channels.h"

enum tiding_kind {
	TIDING_WANTED,   /* a core has clients that listen to the channel */
	TIDING_UNWANTED, /* ... and has no longer */
	TIDING_HEARD,    /* the channel is listened to: answers WANTED, and follows LOST */
	TIDING_NEWS,     /* what was heard */
	TIDING_LOST,     /* the herald's connection is gone: nothing is heard until HEARD */
	TIDING_STRAY,    /* answers WANTED: the home does not know the pool yet */
	TIDING_ASKED,    /* whether something is still to come of what was notified before this */
	TIDING_TOLD,     /* answers ASKED: no, all that the herald hears of it has been told */
};

struct tiding {
	struct list link; /* in the outbox; or, at the herald, in the channel's users */
	enum tiding_kind kind;
	unsigned from, to; /* cores */
	uint32_t pool_id;
	uint32_t serial; /* of WANTED and ASKED, and of what answers them */
	size_t name_len;
	char name[CHANNEL_BYTES];
	uint8_t *bytes; /* NEWS: whole NotificationResponses */
	size_t len, size;
};

/* Of a core: what waits for room in a mailbox. */
struct tiding_outbox {
	struct list waiting;
	struct timer timer;
	size_t bytes; /* of news in it */
};

void tiding_open(struct core *core);
void tiding_close(struct core *core);
/* Whether nothing waits. */
bool tiding_idle(const struct core *core);

/* A new one about a channel (NULL: none). */
struct tiding *tiding_new(
	enum tiding_kind kind, unsigned to, uint32_t pool_id, const struct channel *channel);
void tiding_add(struct tiding *tiding, const uint8_t *bytes, size_t len);
/* Moves it on its way. */
void tiding_send(struct core *core, struct tiding *tiding);
void tiding_free(struct tiding *tiding);

/* The handler of LETTER_TIDING. */
void tiding_arrived(struct core *core, const struct letter *letter);

#endif
