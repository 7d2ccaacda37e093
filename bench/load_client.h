/* load_client: one client of the load generator: connects, logs in, sends numbered requests one at
 * a time and checks that each answer is whole, well-formed and its own.
 *
 * Owner: load.c. Thread: one (the input buffer is shared by all clients). Memory:
 * load_client_close() frees what it holds. Source: PostgreSQL manual, "Frontend/Backend Protocol",
 * "Message Flow".
 *
 *   CLOSED -> LOGIN -> PREPARING -> READY <-> BUSY
 *                                     \-> LEAVING (Terminate sent, waits for the peer to close)
 */
#ifndef PGRING_BENCH_LOAD_CLIENT_H
#define PGRING_BENCH_LOAD_CLIENT_H

#include "bench/child.h"
#include "bench/signin.h"
#include "bench/wire.h"

enum load_client_mode {
	LOAD_CLIENT_SIMPLE,
	LOAD_CLIENT_EXTENDED, /* unnamed Parse, Bind, Describe, Execute, Sync in one send */
	LOAD_CLIENT_PREPARED, /* named Parse once a connection, then Bind, Execute, Sync */
	LOAD_CLIENT_ROWS,     /* a result of many rows */
	LOAD_CLIENT_COPY_OUT,
	LOAD_CLIENT_COPY_IN,
	LOAD_CLIENT_MODES,
};

/* What all clients have in common. */
struct load_client_plan {
	int epoll;
	enum load_client_mode mode;
	struct child_endpoint endpoint;
	const char *user, *database, *password;
	const char *database_2; /* of every second pair of clients; NULL: no difference */
	uint32_t statements;    /* PREPARED: so many different ones a connection */
	bool describe;          /* PREPARED: with Describe, as libpq does */
	bool ask_ssl;      /* SSLRequest first, as libpq does unless told otherwise; wants a no */
	bool own_settings; /* each client has an application_name of its own */
	bool transaction;  /* each request inside BEGIN and COMMIT: three round trips */
	uint64_t rows;     /* bulk: of one request */
	uint32_t row_bytes;
	uint64_t bytes;          /* bulk: moved so far by all clients, message heads included */
	char first_problem[256]; /* the first error, or what was wrong with an answer */
};

enum load_client_phase {
	LOAD_CLIENT_CLOSED,
	LOAD_CLIENT_LOGIN,
	LOAD_CLIENT_PREPARING,
	LOAD_CLIENT_READY,
	LOAD_CLIENT_BUSY,
	LOAD_CLIENT_LEAVING,
};

struct load_client {
	struct load_client_plan *plan;
	int fd;
	enum load_client_phase phase;
	uint32_t number;
	bool sending;         /* epoll waits for room, too */
	bool asked_ssl;       /* a single byte is due */
	bool failed;          /* this answer has an ErrorResponse */
	bool wrong;           /* this answer is not the right one */
	uint8_t step;         /* within BEGIN, request, COMMIT */
	uint32_t statement;   /* PREPARED: the one used by this request */
	uint64_t sequence;    /* requests so far */
	uint32_t pid;         /* of its session, by BackendKeyData */
	uint64_t started_ns;  /* for the owner: when this request was due */
	int turn;             /* for the owner: whose turn is its own */
	const char *expected; /* types of the messages still to come; '*' is a run of rows */
	char id[16];          /* the number that has to come back */
	struct signin signin;
	struct wire_buf in, out;
	struct wire_rows rows; /* bulk */
	uint64_t rows_sent;    /* COPY_IN: put into blocks so far */
	size_t block_len, block_sent;
};

enum load_client_result {
	LOAD_CLIENT_WAITS,
	LOAD_CLIENT_LOGGED_IN,
	LOAD_CLIENT_ANSWERED,
	LOAD_CLIENT_ERROR, /* a whole answer that says ERROR; the client is READY again */
	LOAD_CLIENT_WRONG, /* an answer that is not ours, or broken; READY again, or CLOSED */
	LOAD_CLIENT_LOST,  /* could not connect, log in or stay; CLOSED */
	LOAD_CLIENT_LEFT,  /* the peer has closed after our Terminate; CLOSED */
};

void load_client_init(struct load_client *client, struct load_client_plan *plan, uint32_t number);

/* Starts to connect and log in. Returns 0, or -1 with the client CLOSED and plan->first_problem
 * set. */
int load_client_open(struct load_client *client);

/* Whether its pair of numbers is an odd one: then it logs in to plan->database_2. */
bool load_client_is_second(const struct load_client *client);

/* Sends the next request; the client is READY. What goes wrong is told by the next
 * load_client_serve(). */
void load_client_request(struct load_client *client);

/* As load_client_request(), but nothing of the answer is ever read: the client stays BUSY until it
 * is closed. */
void load_client_ignore(struct load_client *client);

/* Says Terminate; the client is READY. */
void load_client_leave(struct load_client *client);

/* Closes the connection; the client can be opened again. */
void load_client_close(struct load_client *client);
void load_client_free(struct load_client *client);

/* Takes what epoll reported for this client. At most one result a call: a client has one request
 * at a time. */
enum load_client_result load_client_serve(struct load_client *client, uint32_t events);

#endif
