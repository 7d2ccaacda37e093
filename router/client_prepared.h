/* client_prepared: the client's messages about prepared statements, given the names that servers know.
 *
 * Owner: the client. Thread: the core's. What is rewritten is the beginning of a message up to its statement's name; the rest goes
 * on as it came. Source: PostgreSQL manual, "Message Formats".
 */
#ifndef PGRING_ROUTER_CLIENT_PREPARED_H
#define PGRING_ROUTER_CLIENT_PREPARED_H

#include "protocol/frame.h"
#include "router/client.h"

struct client_request {
	struct frame frame;
	const uint8_t *body; /* the first bytes of it */
	size_t body_len;
	enum lease_refusal refusal; /* if it is refused */
};

/* Whether client_prepared_send must deal with the message. The lease is HELD, and follows. */
bool client_prepared_takes(
	const struct core *core, const struct client *client, const struct client_request *message);

/* Whether a message that it takes must wait: what it means depends on the answer to an earlier one. */
bool client_prepared_must_wait(
	const struct core *core, const struct client *client, const struct client_request *message);

/* A message that it does not take is forwarded as it is: notes what that does to the unnamed statement. The message's own pending
 * entry comes next. */
void client_prepared_note(
	struct core *core, struct client *client, const struct client_request *message);

/* Sends the beginning of the message, and before it what the server lacks, and notes all that. What came before it has been
 * appended to the server's stream. *ret_dealt: how many bytes of the message are dealt with; the rest is to be forwarded. Returns
 * false if the message must wait for the answer to what was sent instead, and then is to be decided on again. */
must_check bool client_prepared_send(struct core *core, struct client *client,
	const struct client_request *message, size_t *ret_dealt);

/* Whether a message may follow one whose statement is being checked (enum lease_check). */
bool client_prepared_may_follow(const struct lease *lease, const struct client_request *message);

/* Answers a Close that comes while the client has no server: it needs none. Returns false if it has to go to one. Otherwise the
 * message is dealt with, and its answer is appended to the client's stream. */
bool client_prepared_close_here(
	struct core *core, struct client *client, const struct client_request *message);

/* Siblings in this folder: client_sql.c. */
/* The statement of that name as it is meant under the present settings. */
struct statement *client_prepared_current(
	struct core *core, struct client *client, struct name *name);
/* Sends a Parse of the statement under the server's name, noted already; and one of a name that the client has, which it notes. */
void client_prepared_send_parse(
	struct core *core, struct client *client, const struct statement *statement);
void client_prepared_send_duplicate(struct core *core, struct client *client,
	const struct name *name, const uint8_t *text_and_types, size_t len);

/* Whether a message is only decided on when it is whole, although it is long. */
bool client_prepared_wants_whole(
	const struct core *core, const struct client *client, const struct client_request *message);

#endif
