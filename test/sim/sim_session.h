/* sim_session: a session of a simulated server, for the files that make it: sim_server.c (connection, login, bytes), sim_session.c
 * (messages and statements), sim_hidden.c (the pooler's own) and sim_notify.c (LISTEN and NOTIFY). */
#ifndef PGRING_TEST_SIM_SIM_SESSION_H
#define PGRING_TEST_SIM_SIM_SESSION_H

#include "protocol/scram.h"
#include "test/sim/sim_net.h"
#include "test/sim/sim_notify.h"
#include "test/sim/sim_sql.h"

#include <stdbool.h>
#include <stdint.h>

enum session_state {
	SESSION_STARTUP,
	SESSION_PASSWORD,
	SESSION_SASL_FIRST,
	SESSION_SASL_FINAL,
	SESSION_READY
};

enum { SESSION_NAME = 64, SESSION_PREPARED = 64, SESSION_PORTALS = 4 };

struct session_prepared {
	bool is_set;
	char name[SESSION_NAME];
	struct sim_statement statement;
	bool is_empty; /* the text has no statement */
};

struct session_portal {
	bool is_set;
	char name[SESSION_NAME];
	struct sim_statement statement;
	bool is_empty;
	unsigned next_row;
};

struct sim_session {
	struct list link;
	struct sim_conn *conn;
	unsigned port, pid, key;
	enum session_state state;
	struct scram_server scram;
	struct sim_bytes in, out;
	uint64_t busy_until_ns; /* says and does nothing before */
	uint64_t due_ns;        /* a cancel request on its way */
	bool is_closing;        /* once everything is sent */

	char status;             /* I, T, E */
	unsigned owner;          /* the client in whose transaction it is; 0 */
	unsigned batch_owner;    /* the client whose batch is unfinished; 0 */
	unsigned dirty_owner;    /* the client that left something that DISCARD ALL undoes; 0 */
	unsigned mine;           /* the variable: a client, 0 if not set */
	char name[SESSION_NAME]; /* application_name */
	struct sim_listening listening;
	char *block; /* the pooler's, which was parsed; NULL: none */

	bool is_skipping; /* until Sync */
	bool in_query;    /* of a Query, with statements in `query` left */
	struct sim_bytes query;
	struct session_prepared unnamed, named[SESSION_PREPARED];
	struct session_portal portals[SESSION_PORTALS];

	struct sim_statement now; /* being answered */
	bool is_sleeping, is_producing, is_copying_in, is_extended;
	struct session_portal *portal; /* whose rows they are */
	unsigned next_row, row_limit;
	bool is_hidden; /* a query of the pooler's own */
};

/* Deals with one message. */
void sim_session_message(struct sim_session *session, char type, const uint8_t *body, size_t len);
/* Whether it has more to do before the next message, and doing a bit of that. */
bool sim_session_is_busy(const struct sim_session *session);
void sim_session_go_on(struct sim_session *session);
/* Notifications have come, and it has nothing else to do. */
bool sim_session_has_news(const struct sim_session *session);
/* A cancel request has come. */
void sim_session_cancel(struct sim_session *session);
void sim_session_reset(struct sim_session *session);
void sim_session_error(
	struct sim_session *session, const char *severity, const char *sqlstate, const char *text);
void sim_session_notice(struct sim_session *session, const char *text);
void sim_session_parameter(struct sim_session *session, const char *name, const char *value);

/* ---- answers ---- */

void sim_session_row_description(struct sim_session *session);
/* CommandComplete; count < 0: without one. */
void sim_session_complete(struct sim_session *session, const char *words, long count);
/* The statement fails, and with it its query or batch, and its transaction. */
void sim_session_fail(struct sim_session *session, const char *sqlstate, const char *text);
void sim_session_end_query(struct sim_session *session);
void sim_session_portals_close(struct sim_session *session);
/* application_name; it is reported. */
void sim_session_set_name(struct sim_session *session, const char *name);

#endif
