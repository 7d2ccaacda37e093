/* prepared: the statements that one server has, by their keys, and what is under way about them.
 *
 * Owner: a server. Thread: the core's. Memory: malloc, which grows and is kept; a struct prepared whose log is empty may be copied
 * to another core, and then is that core's.
 *
 * What is sent is noted at once, as if it had succeeded. For each message whose failure would make a note wrong there is a record
 * in the log, and its pending entry has PENDING_TRACKED. The records are taken in the order of the answers; that of a message
 * which failed or was skipped says what to undo.
 */
#ifndef PGRING_POOL_PREPARED_H
#define PGRING_POOL_PREPARED_H

#include "pool/statement.h"

enum prepared_state {
	PREPARED_FREE,    /* a slot for the next */
	PREPARED_LISTED,  /* in the order of use */
	PREPARED_EVICTED, /* its Close is under way */
};

struct prepared_entry {
	struct hash key;
	/* When it was sent to be parsed. 0: it may be there, and may be old: it is closed and parsed anew before it is used. */
	uint64_t parsed_ns;
	uint64_t expires_ns;
	uint64_t shape;     /* hash of the plan's; 0: not known */
	uint32_t described; /* the record of the Describe that tells it */
	uint32_t
		batch; /* the pending queue's, in which its Parse or Close was sent; 0 once that is answered */
	uint32_t next;         /* with the same place; or the next free one */
	uint32_t newer, older; /* LISTED: by their last use */
	uint8_t state;         /* enum prepared_state */
	bool is_altered;       /* parsed while the transaction had changed what texts mean */
};

enum prepared_op {
	PREPARED_PARSE,            /* the client's named Parse */
	PREPARED_INJECT,           /* a Parse that pgring put before the client's message */
	PREPARED_EVICT,            /* a Close of what was used least */
	PREPARED_CLOSE,            /* the client's Close */
	PREPARED_UNNAMED,          /* the client's unnamed Parse */
	PREPARED_DUPLICATE,        /* a Parse, or SQL's PREPARE, of a name that the client has */
	PREPARED_EXECUTE,          /* a Query that executes the client's statement by SQL */
	PREPARED_DESCRIBE,         /* a Describe of a statement whose answer is looked at */
	PREPARED_DESCRIBE_UNNAMED, /* ... which has no name for the client */
};

/* How a position in the text that a server got is told as one in the client's: what is behind `from` moves. In characters. */
struct prepared_shift {
	uint32_t from;
	int32_t by;
	bool is_utf8; /* not all of them are ASCII: in another encoding, nobody has counted them */
};

struct prepared_record {
	struct hash
		key; /* PARSE, INJECT, EVICT; UNNAMED, DESCRIBE if it has that name on the server */
	struct statement *statement; /* UNNAMED: the one before; the record is a user of it */
	uint64_t shape; /* DESCRIBE: what the client was told, and must find; 0: it is told now */
	uint32_t name_hash,
		name_serial; /* PARSE, CLOSE, DUPLICATE, EXECUTE, DESCRIBE: which name of the client */
	struct prepared_shift shift; /* PARSE, DUPLICATE, EXECUTE */
	uint32_t described;          /* DESCRIBE: its number */
	uint32_t batch;
	uint8_t op;    /* enum prepared_op */
	bool is_query; /* DESCRIBE: for a Query, which waits for it */
};

struct prepared {
	struct prepared_entry *entries; /* [0] is none */
	uint32_t *places;
	uint32_t size;  /* of both, a power of two */
	uint32_t count; /* LISTED */
	uint32_t free;  /* the first free slot */
	uint32_t newest, oldest;
	uint32_t altered;   /* entries with is_altered */
	uint32_t described; /* the number of the last Describe */
	struct prepared_record *log;
	uint32_t log_size, log_first, log_count;
};

/* NULL if the server cannot have it. */
struct prepared_entry *prepared_find(const struct prepared *prepared, struct hash key);
/* Adds one that is not there; it is the newest. The pointer is good until the next call. */
struct prepared_entry *prepared_add(struct prepared *prepared, struct hash key);
void prepared_remove(struct prepared *prepared, struct prepared_entry *entry);
/* Takes it out of the order of use, and puts it in doubt. */
void prepared_evict(struct prepared *prepared, struct prepared_entry *entry);
/* It has been used, and so is LISTED. */
void prepared_touch(struct prepared *prepared, struct prepared_entry *entry);
/* The one whose use is longest ago. There must be one. */
struct prepared_entry *prepared_oldest(const struct prepared *prepared);
/* Puts everything in doubt that was parsed while it was altered. */
void prepared_doubt_altered(struct prepared *prepared);

void prepared_log(struct prepared *prepared, const struct prepared_record *record);
/* The record that was added last. There must be one. */
const struct prepared_record *prepared_log_last(const struct prepared *prepared);
/* The record whose answer comes next. There must be one. */
const struct prepared_record *prepared_log_head(const struct prepared *prepared);
struct prepared_record prepared_log_pop(struct prepared *prepared);
/* The one whose answer comes `i` records behind that one. There must be so many. */
const struct prepared_record *prepared_log_at(const struct prepared *prepared, uint32_t i);
void prepared_log_drop(struct prepared *prepared, uint32_t count);

/* The server has none any more; the log stays. */
void prepared_forget(struct prepared *prepared);
/* The server is gone. `statements` may be NULL if the log is empty. */
void prepared_free(struct prepared *prepared, struct statements *statements);

/* Bytes of memory it holds. */
size_t prepared_bytes(const struct prepared *prepared);

#endif
