/* startup: the packets that open a connection, before any message has a type byte.
 *
 * Read when a client sends them, written when pgring opens a connection to a server. Pure functions; all results borrow the
 * packet's body. Source: PostgreSQL manual, "Message Formats" (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest) and
 * "Message Flow", section "Start-up"; the bounds are PostgreSQL's own.
 *
 * A client's packet is taken in two steps: the first four bytes give the length (startup_length), so that nobody waits for, or
 * makes room for, a packet that is too large; then the body, what follows these four bytes, is parsed as a whole.
 */
#ifndef PGRING_PROTOCOL_STARTUP_H
#define PGRING_PROTOCOL_STARTUP_H

#include "core/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;

enum {
	STARTUP_LENGTH_BYTES = 4,
	STARTUP_BODY_MAX = 10000, /* MAX_STARTUP_PACKET_LENGTH */
	STARTUP_MAJOR = 3,
	STARTUP_MINOR_NEWEST = 2,
	STARTUP_KEY_MIN = 4, /* a cancel key, bytes; longer than 4 only since protocol 3.2 */
	STARTUP_KEY_MAX = 256,
	STARTUP_REASON_MAX = 128,
};

enum startup_kind {
	STARTUP_SESSION,
	STARTUP_SSL_REQUEST,
	STARTUP_GSSENC_REQUEST,
	STARTUP_CANCEL,
};

enum startup_replication {
	STARTUP_REPLICATION_NONE,
	STARTUP_REPLICATION_PHYSICAL, /* the database name then means nothing */
	STARTUP_REPLICATION_LOGICAL,  /* replication=database */
};

/* Why a packet was refused. The text is for the client; it has no bytes of the packet in it. */
struct startup_refusal {
	const char *sqlstate; /* static */
	char message[STARTUP_REASON_MAX];
};

struct startup {
	enum startup_kind kind;

	/* STARTUP_SESSION */
	uint16_t minor;            /* as the client asked; the major version is 3 */
	uint16_t minor_agreed;     /* the older of that and ours */
	uint16_t protocol_options; /* number of parameters whose name starts with "_pq_." */
	enum startup_replication replication;
	const char *user;          /* never empty */
	const char *database;      /* never empty: defaults to the user */
	const char *options;       /* NULL if absent; see startup_options_next() */
	const uint8_t *parameters; /* all of them, checked; see startup_parameter_next() */
	size_t parameters_len;

	/* STARTUP_CANCEL */
	uint32_t pid;
	const uint8_t *key;
	size_t key_len;
};

enum startup_parameter_kind {
	STARTUP_PARAMETER_SETTING, /* anything that is not below: a session parameter of the server */
	STARTUP_PARAMETER_USER,
	STARTUP_PARAMETER_DATABASE,
	STARTUP_PARAMETER_OPTIONS,
	STARTUP_PARAMETER_REPLICATION,
	STARTUP_PARAMETER_PROTOCOL, /* _pq_.*: an option of the protocol itself; pgring knows none */
};

struct startup_parameter {
	const char *name, *value;
};

/* Whether a connection that starts with this byte wants TLS at once (sslnegotiation=direct): no packet can. */
bool startup_is_tls(uint8_t first_byte);

/* Returns the length of the body that follows, 4..STARTUP_BODY_MAX, or ERR_PROTOCOL. */
must_check int startup_length(const uint8_t first[STARTUP_LENGTH_BYTES]);

/* Parses a whole body. `body` is borrowed as long as *ret is used.
 * Returns 0; or ERR_PROTOCOL, ERR_UNSUPPORTED (another major version) or ERR_INVALID (no user, replication neither boolean nor
 * "database"), with *ret_refusal filled and *ret untouched. A cancel request or a request for encryption that is refused gets
 * no answer. */
must_check int startup_parse(
	const uint8_t *body, size_t len, struct startup *ret, struct startup_refusal *ret_refusal);

/* Walks all parameters in the order in which they came, repeated ones included (the last counts, as in PostgreSQL).
 * `*at` starts at 0. Returns false at the end. */
bool startup_parameter_next(const struct startup *s, size_t *at, struct startup_parameter *ret);

/* What the parameter's name says it is. */
enum startup_parameter_kind startup_parameter_kind(const char *name);

/* One setting of the `options` parameter. */
struct startup_option {
	const char *name; /* dashes have become underscores */
	const char *value;
};

struct startup_options {
	const char *at; /* in the parameter */
	char *word;     /* where the next word is unescaped to */
	char *end;
};

/* Prepares the walk over `options`. `buf` takes the unescaped words and must have room for strlen(options) + 1 bytes; both are
 * borrowed as long as the results are used. */
void startup_options_init(struct startup_options *it, const char *options, char *buf, size_t cap);

/* Gives the next setting: `-c name=value`, `-cname=value` or `--name=value`; words are split at white space and a backslash
 * keeps the next character, as PostgreSQL does (pg_split_opts).
 * Returns 1 and fills *ret; 0 at the end; ERR_INVALID for a setting without a name or value and ERR_UNSUPPORTED for any other
 * switch or word, with ret->name naming the word and ret->value NULL. After an error the walk goes on with the next word. */
must_check int startup_options_next(struct startup_options *it, struct startup_option *ret);

/* Composes the packet that starts a session with a server. */
void startup_write_session(
	struct writer *w, uint16_t minor, const struct startup_parameter *parameters, size_t count);

void startup_write_ssl_request(struct writer *w);

/* `key_len` is STARTUP_KEY_MIN..STARTUP_KEY_MAX. */
void startup_write_cancel(struct writer *w, uint32_t pid, const uint8_t *key, size_t key_len);

#endif
