/* pending: the answers that a server owes, in order, one entry for each message that was sent to it.
 *
 * Owner: a server. Thread: the core's. Memory: inline, bounded by LIMIT_PENDING: who fills it must make the server flush.
 * The rules are those of PostgreSQL's message loop (manual, "Message Flow"): what an error skips, and what COPY swallows.
 */
#ifndef PGRING_POOL_PENDING_H
#define PGRING_POOL_PENDING_H

#include "core/check.h"
#include "core/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum pending_kind {
	PENDING_NOTHING,
	PENDING_QUERY,    /* until ReadyForQuery */
	PENDING_FUNCTION, /* until ReadyForQuery */
	PENDING_SYNC,     /* ReadyForQuery */
	PENDING_PARSE,    /* ParseComplete */
	PENDING_BIND,     /* BindComplete */
	PENDING_DESCRIBE, /* RowDescription or NoData */
	PENDING_EXECUTE,  /* rows, until CommandComplete, EmptyQueryResponse or PortalSuspended */
	PENDING_CLOSE,    /* CloseComplete */
	PENDING_COPY_END, /* nothing: CopyDone or CopyFail that was sent before the server asked for data */
};

enum pending_flag {
	PENDING_HIDDEN = 1, /* pgring asked, so the client does not hear the answer */
	PENDING_REFUSED =
		2, /* the answer is an error in whose place the client gets pgring's own */
	PENDING_AFTER_DATA = 4, /* a Sync that was sent behind COPY data */
	PENDING_INJECTED =
		8, /* pgring put it before a message of the client, which gets nothing but its error */
	PENDING_TRACKED = 16,  /* the server's log has a record of it (prepared.h) */
	PENDING_AS_PARSE = 32, /* a Close that stands for a Parse: the client gets ParseComplete */
	PENDING_AS_PREPARE =
		64, /* a Parse that stands for SQL's PREPARE: the client gets that command's tag */
	PENDING_UNNAMED = 128, /* it uses the client's unnamed statement, which has a name there */
	PENDING_REASON_SHIFT = 8, /* above: why it is refused, or which query of pgring's own */
};

/* The queries of pgring's own. */
enum pending_hidden {
	HIDDEN_NEEDED, /* without it, the client's request must not run */
	HIDDEN_ASK,    /* what the session has left: traces.h */
	HIDDEN_TRIED,  /* it may fail */
};

struct pending_entry {
	uint8_t kind;
	uint16_t flags;
};

struct pending {
	uint32_t first, count;
	uint32_t
		batch; /* counts Syncs: an error takes with it what was sent behind it in its batch, and no more. Never 0 */
	bool skipping; /* the server skips everything until the next Sync, which has not been sent yet */
	bool copying;  /* the server takes COPY data and ignores Sync until the copy ends */
	bool has_data; /* COPY data was sent since the last Query or Execute */
	bool is_doubtful; /* a Sync was sent between COPY data: if the copy fails, nobody knows whether it counts */
	bool has_swallowed; /* a Sync went the way of COPY data, unless the copy failed before it was read */
	bool is_answered; /* the head's answer has begun: its end may come */
	bool is_open; /* a batch of the extended protocol was begun and has no Sync yet: it may hold a transaction */
	struct pending_entry entries[LIMIT_PENDING];
};

static inline bool pending_empty(const struct pending *pending)
{
	return pending->count == 0;
}

/* Room for one more batch of PENDING_SPARE entries? Entries that pgring adds by itself come out of the spare. */
enum { PENDING_SPARE = 16 };
static inline bool pending_has_room(const struct pending *pending)
{
	return pending->count + PENDING_SPARE <= LIMIT_PENDING;
}

/* The entry whose answer comes next. The queue must not be empty. */
static inline struct pending_entry pending_head(const struct pending *pending)
{
	CHECK(pending->count > 0);
	return pending->entries[pending->first & (LIMIT_PENDING - 1)];
}

static inline enum pending_kind pending_head_kind(const struct pending *pending)
{
	return pending->count > 0 ? (enum pending_kind)pending_head(pending).kind : PENDING_NOTHING;
}

/* The entry whose answer comes last. The queue must not be empty. */
static inline struct pending_entry pending_last(const struct pending *pending)
{
	CHECK(pending->count > 0);
	return pending->entries[(pending->first + pending->count - 1) & (LIMIT_PENDING - 1)];
}

/* Notes a message that is being sent. */
void pending_push(struct pending *pending, enum pending_kind kind, unsigned flags);

/* CopyDone or CopyFail is being sent. */
void pending_push_copy_end(struct pending *pending);

/* The head's answer is complete. */
void pending_pop(struct pending *pending);

/* An ErrorResponse for the head: what the server will skip is dropped. Returns how many of what was dropped are tracked. */
unsigned pending_error(struct pending *pending);

/* Nobody is to hear the answers that are still owed. Returns whether one of them is a Sync's. */
bool pending_hide(struct pending *pending);

/* Whether all answers that are owed are to queries of pgring's own. */
bool pending_is_own(const struct pending *pending);

/* The client is to hear the answer that comes last: it had been injected. */
void pending_reveal_last(struct pending *pending);

/* CommandComplete: a copy, if there was one, is over. */
void pending_copied(struct pending *pending);

/* CopyInResponse for the head: the Syncs that the copy swallows are dropped. */
void pending_copy_in(struct pending *pending);

/* How many ReadyForQuery are owed to the client. */
unsigned pending_readies(const struct pending *pending);

/* Forgets everything. */
void pending_reset(struct pending *pending);

#endif
