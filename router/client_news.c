/* What a session hears of its lease: a server, an answer, an error to be composed, the server's end. */
#include "router/client_listen.h"
#include "router/session.h"

#include "protocol/frame.h"
#include "protocol/sqlstate.h"

void client_relay_fail(struct core *core, struct client *client, const struct fault *fault)
{
	uint8_t type = 0;
	struct fault error = *fault;

	error.severity = "ERROR";
	client->is_waiting = false;
	chain_peek(&client->in, &type, 1);
	client_say(core, client, &error);
	client->status = session_abort(client);
	if (type == CLIENT_QUERY || type == CLIENT_FUNCTION_CALL)
		client_say_ready(core, client, client->status);
	else
		client->skips = true;
	if (client->in.bytes >= FRAME_HEAD) {
		uint8_t head[FRAME_HEAD];

		chain_peek(&client->in, head, sizeof head);
		client->left = frame_u32(head + 1) + 1;
		client->discards = true;
	}
	client_relay_resume(core, client);
}

static struct client *news_client(struct lease *lease)
{
	return container_of(lease, struct client, lease);
}

static void news_granted(struct core *core, struct lease *lease)
{
	struct client *client = news_client(lease);

	if (client->state == CLIENT_SETTLING) {
		/* What the settings do is known when their query is answered, unless none was needed. */
		if (pending_empty(&lease->server->pending))
			client_login_settled(core, client);
		return;
	}
	client_relay_resume(core, client);
}

static void news_tried(struct core *core, struct lease *lease)
{
	client_login_settled(core, news_client(lease));
}

static void news_failed(struct core *core, struct lease *lease, const struct fault *fault)
{
	struct client *client = news_client(lease);

	if (client->state == CLIENT_SETTLING || client->pool->is_removed ||
		core->router->config->general.client_connection_recovery == RECOVERY_DROP)
		client_fatal(core, client, fault);
	else
		client_relay_fail(core, client, fault);
}

/* Whether nothing of it is under way. A server that it keeps nevertheless is a session's, or has what cannot move. */
static bool news_is_at_rest(const struct client *client, bool kept)
{
	const struct lease *lease = &client->lease;

	return !kept ||
		(client->status == 'I' && !lease->is_mid_request &&
			pending_empty(&lease->server->pending) && !lease->server->pending.is_open);
}

static void news_answered(struct core *core, struct lease *lease, char status, bool kept)
{
	struct client *client = news_client(lease);

	client->status = status;
	if (unlikely(client->state == CLIENT_SETTLING)) {
		client_login_settled(core, client);
		return;
	}
	if (unlikely(client->is_leaving)) {
		client_relay_leave(core, client);
		return;
	}
	if (unlikely(client->pool->is_removed) && news_is_at_rest(client, kept)) {
		router_dismiss_removed(core, client);
		return;
	}
	if (router_dismisses(core->router) && news_is_at_rest(client, kept) &&
		client->in.bytes == 0) {
		client_fatal_text(core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
		return;
	}
	if (unlikely(status != 'I') && client->mode == POOL_STATEMENT) {
		client_fatal_text(core, client, SQLSTATE_SYSTEM_ERROR,
			"transaction control statements are not supported in statement pooler "
			"mode");
		return;
	}
	if (unlikely(lease->subscriber))
		client_listen_answered(core, client);
	if (unlikely(!kept && (client->is_waiting || !client->stream->reading)))
		core_defer(core, &client->resume); /* what waited for room needs a server now */
	client_watch(core, client);
}

static void news_released(struct core *core, struct lease *lease)
{
	struct client *client = news_client(lease);

	if (client->is_leaving) {
		client_relay_leave(core, client);
		return;
	}
	if (unlikely(client->pool->is_removed)) {
		router_dismiss_removed(core, client);
		return;
	}
	if (unlikely(core->router->is_draining) && client->in.bytes == 0) {
		client_fatal_text(core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
		return;
	}
	core_defer(core, &client->resume); /* what waited meanwhile needs a server now */
}

static void news_unblocked(struct core *core, struct lease *lease)
{
	struct client *client = news_client(lease);

	if (unlikely(client->is_leaving))
		client_relay_leave(core, client);
	else
		client_relay_resume(core, client);
}

static void news_refused(struct core *core, struct lease *lease, unsigned refusal)
{
	struct client *client = news_client(lease);
	struct fault fault = {"ERROR", SQLSTATE_FEATURE_NOT_SUPPORTED, "", NULL, NULL};

	switch ((enum lease_refusal)refusal) {
	case REFUSAL_NAMED_STATEMENT:
		fault.message = "named prepared statements are disabled in transaction mode";
		fault.hint = "Use unnamed statements (for example prepareThreshold=0, "
			     "prepare_threshold=None, "
			     "statement_cache_size=0), prepared_statements = \"extended\", "
			     "or pooler_mode = \"session\".";
		break;
	case REFUSAL_UNKNOWN_UNNAMED:
		fault.sqlstate = SQLSTATE_INVALID_SQL_STATEMENT_NAME;
		fault.message = "unnamed prepared statement does not exist";
		break;
	case REFUSAL_STATEMENT_MEMORY:
		fault.sqlstate = SQLSTATE_OUT_OF_MEMORY;
		fault.message = "too many prepared statements, or one that is too large";
		fault.hint = "Deallocate statements that are no longer used.";
		break;
	case REFUSAL_NAME_TOO_LONG:
		fault.sqlstate = SQLSTATE_PROGRAM_LIMIT_EXCEEDED;
		fault.message = "the name of a prepared statement or portal is too long";
		break;
	case REFUSAL_STALE_PLAN:
		fault.message = "cached plan must not change result type";
		fault.routine = "RevalidateCachedQuery"; /* that is how drivers know it */
		break;
	case REFUSAL_TRANSACTION_CONTROL:
		fault.sqlstate = SQLSTATE_SYSTEM_ERROR;
		fault.message =
			"transaction control statements are not supported in statement pooler mode";
		break;
	case REFUSAL_CANCELLED:
		fault.sqlstate = SQLSTATE_QUERY_CANCELED;
		fault.message = "canceling statement due to user request";
		break;
	case REFUSAL_LISTEN:
		fault.message = "LISTEN and UNLISTEN while it is not known what came of those in "
				"the transaction before";
		fault.hint = "Send it when what was sent before is answered.";
		break;
	case REFUSAL_LISTEN_UNDONE:
		fault.message = "LISTEN or UNLISTEN behind a ROLLBACK in the same query string";
		fault.hint = "Send it as a query of its own.";
		break;
	case REFUSAL_LISTEN_RESET:
		fault.message = "RESET ALL in the same transaction as LISTEN or UNLISTEN";
		fault.hint = "Send it when the transaction has ended.";
		break;
	case REFUSAL_SEQUENCE:
		fault.sqlstate = SQLSTATE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		fault.message = "the last value of a sequence is not known in this transaction";
		fault.detail = "Other sessions have used the server connection since.";
		fault.hint = "Use INSERT ... RETURNING, or ask in the transaction that took the "
			     "value. From now on this session keeps its server connection.";
		break;
	}
	client_say(core, client, &fault);
}

/* Answers what the lost server owed: an error for each request, and ReadyForQuery where it would have come. */
static void news_answer_for(struct core *core, struct client *client, const struct lease_loss *loss)
{
	struct fault fault = *loss->fault;
	bool in_failed_batch = loss->pending->skipping;

	fault.severity = "ERROR";
	for (uint32_t i = 0; i < loss->pending->count; i++) {
		struct pending_entry entry =
			loss->pending->entries[(loss->pending->first + i) & (LIMIT_PENDING - 1)];

		if (entry.flags & (PENDING_HIDDEN | PENDING_INJECTED) ||
			entry.kind == PENDING_COPY_END)
			continue;
		if (entry.kind == PENDING_SYNC) {
			if (!in_failed_batch && i == 0)
				client_say(core, client,
					&fault); /* all of its batch had been answered */
			client_say_ready(core, client, 'I');
			in_failed_batch = false;
		} else if (in_failed_batch) {
			continue; /* PostgreSQL would skip it */
		} else {
			client_say(core, client, &fault);
			if (entry.kind == PENDING_QUERY || entry.kind == PENDING_FUNCTION)
				client_say_ready(core, client, 'I');
			else
				in_failed_batch = true;
		}
	}
	if (loss->pending->count == 0 && loss->pending->is_open && !in_failed_batch) {
		client_say(core, client, &fault);
		in_failed_batch = true;
	}
	client->skips = in_failed_batch;
}

static void news_lost(struct core *core, struct lease *lease, const struct lease_loss *loss)
{
	struct client *client = news_client(lease);

	if (loss->is_mid_message) {
		client_close(core, client,
			loss->fault->message); /* it could not tell an error from the rest */
		return;
	}
	/* What a session or a transaction had on its server is gone, and what was sent behind the lost request may rely on it:
	 * to go on would be a lie. So it would where a COPY has swallowed a Sync: the client may have no other to send. */
	if (client->state == CLIENT_SETTLING || lease->keeps || loss->held || loss->status != 'I' ||
		client->status != 'I' || pending_readies(loss->pending) > 1 ||
		loss->pending->has_swallowed || client->in.bytes > 0) {
		client_fatal(core, client, loss->fault);
		return;
	}
	news_answer_for(core, client, loss);
	if (client->left > 0)
		client->discards =
			true; /* the rest of a request whose beginning went down with the server */
	client_relay_resume(core, client);
}

const struct lease_events client_lease_events = {
	.granted = news_granted,
	.tried = news_tried,
	.failed = news_failed,
	.answered = news_answered,
	.released = news_released,
	.refused = news_refused,
	.unblocked = news_unblocked,
	.news = client_listen_news,
	.lost = news_lost,
};
