/* client_sql: SQL's PREPARE, EXECUTE and DEALLOCATE of a client, given the names that servers know.
 *
 * Owner: the client. Thread: the core's. The lease is HELD, and follows. Part of client_prepared, which is for the protocol's
 * messages.
 */
#ifndef PGRING_ROUTER_CLIENT_SQL_H
#define PGRING_ROUTER_CLIENT_SQL_H

#include "router/client_prepared.h"

/* Whether client_sql_send must deal with a Query or a Parse: its first statement names a prepared one of the client, or makes
 * it one. */
bool client_sql_takes(
	const struct core *core, const struct client *client, const struct client_request *message);

/* Whether a Query or a Parse must wait: what the name in it stands for depends on the answer to an earlier message. */
bool client_sql_must_wait(
	const struct core *core, const struct client *client, const struct client_request *message);
/* The same for one that uses this statement, if that executes another by SQL. */
bool client_sql_is_uncertain(const struct client *client, struct statement *statement);

/* Whether a Query or an Execute is under way: it may deallocate statements. */
bool client_sql_may_be_deallocated(const struct pending *pending);

/* As client_prepared_send, for a message that it takes. */
must_check bool client_sql_send(struct core *core, struct client *client,
	const struct client_request *message, size_t *ret_dealt);

/* Whether a Query, whose text this is, leaves no statement on the server, although its first words are those of a PREPARE. */
bool client_sql_adopts(const struct core *core, const struct client *client, const uint8_t *text,
	const uint8_t *end);

/* The client's statement that a text executes by SQL, or NULL; *ret_behind: where the arguments begin. */
struct name *client_sql_executed(const struct client *client, const uint8_t *text,
	const uint8_t *end, const uint8_t **ret_behind);

/* A statement that executes another of the client's by SQL: sees to it that the server has that one, and gives the statement that
 * goes to the server in its place, with one more user; NULL if it goes as it is, because there is no such other. Returns false if
 * the message must wait, as lease_prepare does. */
must_check bool client_sql_resolve(struct core *core, struct client *client,
	const struct statement *statement, struct statement **ret_derived);

/* Looks at the text of a statement: its traces, and whether it executes another one. */
void client_sql_scan(struct statement *statement);
static inline bool client_sql_executes(struct statement *statement)
{
	if (unlikely(!statement->is_scanned))
		client_sql_scan(statement);
	return statement->executes;
}

#endif
