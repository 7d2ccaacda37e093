/* fault: ErrorResponse and NoticeResponse, written and read.
 *
 * Pure functions; no memory is kept. Source: PostgreSQL manual, "Message Formats" (ErrorResponse, NoticeResponse) and
 * "Error and Notice Message Fields".
 */
#ifndef PGRING_PROTOCOL_FAULT_H
#define PGRING_PROTOCOL_FAULT_H

#include "core/check.h"

#include <stddef.h>
#include <stdint.h>

/* What pgring says. All strings are borrowed; detail and hint may be NULL. */
struct fault {
	const char *severity; /* ERROR, FATAL, PANIC; WARNING, NOTICE, ... in a notice */
	const char *sqlstate; /* a name of sqlstate.h */
	const char *message;
	const char *detail;
	const char *hint;
	const char *routine; /* of PostgreSQL's, which some drivers look at; short. NULL: none */
};

/* What a server said. All strings are borrowed from the body; absent fields are NULL, except the first three, which then
 * have a stand-in ("ERROR", "XX000", ""), so that they can be used without asking. */
struct fault_fields {
	const char *severity;       /* S, may be translated */
	const char *sqlstate;       /* C, always five characters */
	const char *message;        /* M */
	const char *severity_plain; /* V, never translated; since PostgreSQL 9.6 */
	const char *detail;         /* D */
	const char *hint;           /* H */
	const char *position;       /* P */
	const char *internal_position;
	const char *internal_query;
	const char *where; /* W */
	const char *schema;
	const char *table;
	const char *column;
	const char *data_type;
	const char *constraint;
	const char *file;
	const char *line;
	const char *routine;
};

/* The least buffer in which every fault has a valid message. */
#define FAULT_BYTES_MIN 64

/* Composes a whole message, type byte and length included, with the fields S, V, C, M, D, H, R.
 * `type` is 'E' or 'N'. `cap` is at least FAULT_BYTES_MIN. Never fails: what does not fit is cut, at the border of a UTF-8
 * character: first the routine, then the hint, then the detail, then the message; a malformed SQLSTATE becomes XX000.
 * Returns the bytes written. */
size_t fault_write(uint8_t *buf, size_t cap, char type, const struct fault *fault);

/* Reads the body (what follows the length) of an ErrorResponse or NoticeResponse. Field types that are not known are
 * skipped, as the manual asks; of a repeated field the last counts.
 * Returns 0, or ERR_PROTOCOL when a string or the terminator is missing, bytes follow it, or the SQLSTATE is malformed. */
must_check int fault_read(const void *body, size_t len, struct fault_fields *ret);

/* Composes a whole ErrorResponse from the body of another one that fault_read has read, with this message, and this position if it
 * had one (0: without). Everything else stays as it was. `cap` is at least FAULT_REWRITE_MORE and the lengths of body and message.
 * Returns the bytes written. */
enum { FAULT_REWRITE_MORE = 32 };
size_t fault_rewrite(uint8_t *buf, size_t cap, const void *body, size_t len, const char *message,
	uint32_t position);

#endif
