/* A session at work: each message of the client is decided on and sent to its server, or answered here.
 *
 * The fast path walks the received bytes where they are and passes them on in runs. What is incomplete, or has to wait
 * for a server, is copied to client->in, so that it holds no receive buffer, and goes message by message. Source:
 * PostgreSQL manual, "Message Flow".
 */
#include "router/client_prepared.h"

#include "core/clock.h"
#include "pool/sqlword.h"
#include "protocol/sqlstate.h"
#include "router/session.h"

#include <stdio.h>
#include <string.h>

/* Of a message that is looked at; longer ones are copied apart. */
enum { RELAY_PEEK = 2048 };

enum relay_verdict {
	RELAY_FORWARD, /* to the server, noted already */
	RELAY_DROP,    /* dealt with */
	RELAY_REWRITE, /* client_prepared_send deals with its beginning */
	RELAY_REFUSE,  /* a request that fails goes in its place */
	RELAY_WAIT,    /* keep it until there is a server, or room */
	RELAY_AWAIT,   /* keep it until answers have come, and make them come */
	RELAY_RESTORE, /* subscriber_restore first, behind what came before it; then decide again */
	RELAY_END,     /* the session is over */
};

/* ---- looking at messages ---- */

static bool relay_begins_transaction(const uint8_t *at, const uint8_t *end)
{
	struct sqlword_text text = {at, end};

	if (!at)
		return false;
	sqlword_skip_separators(&text);
	return sqlword_take(&text, "BEGIN") || sqlword_take(&text, "START");
}

/* The byte behind the first NUL, or NULL if that is not among the bytes at hand. */
static const uint8_t *relay_behind_name(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;

	return nul && nul + 1 < end ? nul + 1 : NULL;
}

/* Whether it uses the unnamed statement, or one may not tell. */
static bool relay_uses_unnamed(const struct client_request *message)
{
	const uint8_t *end = message->body + message->body_len;
	const uint8_t *name;

	if (message->frame.type == CLIENT_DESCRIBE)
		return message->body_len >= 2 && message->body[0] == 'S' &&
			message->body[1] == '\0';
	name = relay_behind_name(message->body, end);
	return !name || *name == '\0';
}

static enum relay_verdict relay_refused(struct client_request *message, enum lease_refusal refusal)
{
	message->refusal = refusal;
	return RELAY_REFUSE;
}

/* A client that listens, in session mode: a reload has changed the mode, and it listens as others do in this one. */
static enum relay_verdict relay_keep_listening(const struct lease *lease)
{
	const struct pending *pending = &lease->server->pending;

	return subscriber_must_restore(lease->subscriber) && lease->server->status == 'I' &&
			pending_readies(pending) == 0 && !pending->is_open && !pending->skipping
		? RELAY_RESTORE
		: RELAY_FORWARD;
}

static enum relay_verdict relay_note(
	struct core *core, struct client *client, struct client_request *message)
{
	int noted = session_note(core, client, message->frame.type, message->body,
		message->body_len, message->body_len + FRAME_HEAD == message->frame.bytes);

	if (likely(noted == 0))
		return RELAY_FORWARD;
	if (noted == SESSION_RESTORES)
		return RELAY_RESTORE;
	if (noted != SESSION_WAITS)
		return relay_refused(message, (enum lease_refusal)noted);
	client->is_waiting = true;
	return RELAY_AWAIT;
}

/* Whether the request may go to a server that other clients use before and after; then RELAY_FORWARD. */
static enum relay_verdict relay_may_go(
	struct core *core, struct client *client, struct client_request *message)
{
	enum pool_mode mode = (enum pool_mode)client->mode;
	const uint8_t *at = message->body, *end = at + message->body_len;
	enum relay_verdict verdict;

	if (mode == POOL_SESSION)
		return likely(!client->lease.subscriber) ? RELAY_FORWARD
							 : relay_keep_listening(&client->lease);
	verdict = relay_note(core, client, message);
	if (unlikely(verdict != RELAY_FORWARD))
		return verdict;
	switch (message->frame.type) {
	case CLIENT_PARSE:
		if (*at != '\0' && !lease_follows(core, &client->lease))
			return relay_refused(message, REFUSAL_NAMED_STATEMENT);
		if (mode == POOL_STATEMENT &&
			relay_begins_transaction(relay_behind_name(at, end), end))
			return relay_refused(message, REFUSAL_TRANSACTION_CONTROL);
		client->lease.knows_unnamed |= *at == '\0';
		break;
	case CLIENT_QUERY:
		client->lease.knows_unnamed = false; /* a simple query destroys it */
		if (mode == POOL_STATEMENT && relay_begins_transaction(at, end))
			return relay_refused(message, REFUSAL_TRANSACTION_CONTROL);
		break;
	case CLIENT_BIND:
	case CLIENT_DESCRIBE:
		if (!client->lease.knows_unnamed && !client->lease.names->unnamed &&
			relay_uses_unnamed(message))
			return relay_refused(message, REFUSAL_UNKNOWN_UNNAMED);
		break;
	}
	return RELAY_FORWARD;
}

static enum pending_kind relay_pending_kind(uint8_t type)
{
	switch (type) {
	case CLIENT_QUERY:
		return PENDING_QUERY;
	case CLIENT_PARSE:
		return PENDING_PARSE;
	case CLIENT_BIND:
		return PENDING_BIND;
	case CLIENT_DESCRIBE:
		return PENDING_DESCRIBE;
	case CLIENT_EXECUTE:
		return PENDING_EXECUTE;
	case CLIENT_CLOSE:
		return PENDING_CLOSE;
	case CLIENT_FUNCTION_CALL:
		return PENDING_FUNCTION;
	}
	UNREACHABLE();
}

static void relay_count(struct client *client, uint8_t type)
{
	client->pool->stats.parses += type == CLIENT_PARSE;
	client->pool->stats.binds += type == CLIENT_BIND;
}

/* A statement is being checked, and this message may not follow: it waits until that is over; then it may be what fails. */
static enum relay_verdict relay_check(struct client *client, struct client_request *message)
{
	struct lease *lease = &client->lease;

	if (lease->check != LEASE_CHECK_FAILED) {
		client->is_waiting = true;
		return RELAY_AWAIT;
	}
	lease->check = LEASE_UNCHECKED;
	message->refusal = REFUSAL_STALE_PLAN;
	return RELAY_REFUSE;
}

/* A request, which needs a server, unless it is a Close. */
static enum relay_verdict relay_request(
	struct core *core, struct client *client, struct client_request *message)
{
	struct lease *lease = &client->lease;
	enum relay_verdict verdict = RELAY_FORWARD;

	if (lease->state == LEASE_NONE) {
		if (message->frame.type == CLIENT_CLOSE &&
			client_prepared_close_here(core, client, message))
			return RELAY_DROP;
		client->request_ns = core->now_ns;
		if (unlikely(client->mode != client->pool->config->mode))
			client_follow_mode(client); /* it was busy at the reload */
		(void)lease_take(core, lease);
	}
	if (unlikely(lease->state == LEASE_WAITING) || lease_is_blocked(lease)) {
		client->is_waiting = true;
		return RELAY_WAIT;
	}
	if (unlikely(lease->check) && !client_prepared_may_follow(lease, message))
		return relay_check(client, message);
	if (likely(!client->is_cancelled))
		verdict = relay_may_go(core, client, message);
	if (unlikely(verdict == RELAY_AWAIT || verdict == RELAY_RESTORE))
		return verdict;
	if (unlikely(client->has_begun))
		session_begin(core, client);
	if (unlikely(client->is_cancelled)) {
		client->is_cancelled = false;
		message->refusal = REFUSAL_CANCELLED;
		return RELAY_REFUSE;
	}
	if (unlikely(verdict != RELAY_FORWARD))
		return verdict;
	if (lease_follows(core, lease)) {
		if (client_prepared_takes(core, client, message)) {
			if (unlikely(client_prepared_must_wait(core, client, message))) {
				client->is_waiting = true;
				return RELAY_AWAIT;
			}
			return RELAY_REWRITE;
		}
		client_prepared_note(core, client, message);
	}
	relay_count(client, message->frame.type);
	lease_note(core, lease, relay_pending_kind(message->frame.type), 0);
	return RELAY_FORWARD;
}

static enum relay_verdict relay_sync(
	struct core *core, struct client *client, const struct client_request *message)
{
	struct lease *lease = &client->lease;

	client->skips = false;
	if (lease->state == LEASE_NONE) {
		if (message->frame.bytes > FRAME_HEAD) /* as PostgreSQL says of one with a body */
			client_say(core, client,
				&(struct fault){"ERROR", SQLSTATE_PROTOCOL_VIOLATION,
					"invalid message format", NULL, NULL});
		client_say_ready(core, client, client->has_begun ? client->status : 'I');
		return RELAY_DROP;
	}
	if (lease->state == LEASE_WAITING || lease_is_blocked(lease)) {
		client->is_waiting = true;
		return RELAY_WAIT;
	}
	if (unlikely(lease->check) && !client_prepared_may_follow(lease, message)) {
		client->is_waiting = true;
		return RELAY_AWAIT;
	}
	lease_note(core, lease, PENDING_SYNC, 0);
	return RELAY_FORWARD;
}

/* What was asked before a Terminate is answered before the session ends. */
void client_relay_leave(struct core *core, struct client *client)
{
	struct lease *lease = &client->lease;

	client->is_leaving = true;
	if (lease->state == LEASE_HELD && !pending_empty(&lease->server->pending) &&
		!lease->server->pending.copying) {
		if (pending_readies(&lease->server->pending) == 0)
			lease_watch(core, lease); /* a batch without Sync */
		else
			lease->is_blocked = true; /* a COPY may begin, whose end will not come */
		return;
	}
	if (chain_empty(&client->stream->out))
		client_drop(core, client, "the client said goodbye");
	else
		client_close(core, client, "the client said goodbye");
}

/* While the server takes COPY data, only that may come. Whether it has failed meanwhile, and so would take something else, cannot
 * be known here. PostgreSQL ends the session at such messages, too. */
static bool relay_breaks_copy(struct core *core, struct client *client, uint8_t type)
{
	char text[80];

	if (client->lease.state != LEASE_HELD || likely(!client->lease.server->pending.copying) ||
		type == CLIENT_COPY_DATA || type == CLIENT_COPY_DONE || type == CLIENT_COPY_FAIL ||
		type == CLIENT_FLUSH || type == CLIENT_SYNC || type == CLIENT_TERMINATE)
		return false;
	snprintf(text, sizeof text, "unexpected message type 0x%02X during COPY from stdin", type);
	client_violation(core, client, text);
	return true;
}

static enum relay_verdict relay_decide(
	struct core *core, struct client *client, struct client_request *message)
{
	bool has_server = client->lease.state == LEASE_HELD;

	if (unlikely(relay_breaks_copy(core, client, message->frame.type)))
		return RELAY_END;
	if (unlikely(client->skips) && message->frame.type != CLIENT_SYNC &&
		message->frame.how != FRAME_OWN)
		return RELAY_DROP;
	switch (message->frame.type) {
	case CLIENT_QUERY:
		if (!has_server && client->lease.state == LEASE_NONE &&
			client->mode == POOL_TRANSACTION &&
			session_answers(core, client, message->body, message->body_len))
			return RELAY_DROP;
		return relay_request(core, client, message);
	case CLIENT_PARSE:
	case CLIENT_BIND:
	case CLIENT_DESCRIBE:
	case CLIENT_EXECUTE:
	case CLIENT_CLOSE:
	case CLIENT_FUNCTION_CALL:
		return relay_request(core, client, message);
	case CLIENT_SYNC:
		return relay_sync(core, client, message);
	case CLIENT_COPY_DATA:
		/* Outside of COPY PostgreSQL ignores it: it may have been on its way when the copy failed. A server that is
		 * asked what was left on it may be given back at once, and not in the middle of a message. */
		if (!has_server || unlikely(client->lease.server->traces.asked))
			return RELAY_DROP;
		client->lease.server->pending.has_data = true;
		return RELAY_FORWARD;
	case CLIENT_FLUSH:
		return has_server ? RELAY_FORWARD : RELAY_DROP;
	case CLIENT_COPY_DONE:
	case CLIENT_COPY_FAIL:
		if (!has_server)
			return RELAY_DROP;
		if (lease_is_blocked(&client->lease)) {
			client->is_waiting = true;
			return RELAY_WAIT;
		}
		pending_push_copy_end(&client->lease.server->pending);
		return RELAY_FORWARD;
	case CLIENT_TERMINATE:
		client_relay_leave(core, client);
		return RELAY_END;
	}
	client_violation(core, client, "unexpected message: a password after the login");
	return RELAY_END;
}

static void relay_malformed(struct core *core, struct client *client, const struct frame *frame)
{
	char text[80];

	if (frame->how == FRAME_UNKNOWN)
		snprintf(text, sizeof text, "invalid frontend message type %d", frame->type);
	else
		snprintf(text, sizeof text, "invalid message length");
	client_violation(core, client, text);
}

/* A message that does not go as it is: what came before it has been sent. Returns false if it has to wait. Else its first
 * `ret_dealt` bytes are dealt with, and client->left and client->discards say what becomes of the rest. */
static bool relay_divert(struct core *core, struct client *client, struct client_request *message,
	enum relay_verdict verdict, size_t *ret_dealt)
{
	struct lease *lease = &client->lease;
	uint32_t bytes = message->frame.bytes;
	size_t dealt;

	*ret_dealt = 0;
	switch (verdict) {
	case RELAY_WAIT:
		return false;
	case RELAY_RESTORE:
		subscriber_restore(core, lease);
		return true; /* to be decided on again */
	case RELAY_REWRITE:
		if (unlikely(!client_prepared_send(core, client, message, &dealt))) {
			client->is_waiting = true;
			lease_watch(core, lease);
			return false;
		}
		relay_count(client, message->frame.type);
		client->discards = dealt == bytes;
		if (!client->discards)
			*ret_dealt = dealt;
		client->left = bytes - (uint32_t)*ret_dealt;
		return true;
	case RELAY_AWAIT:
		lease_watch(core, lease);
		return false;
	case RELAY_REFUSE:
		lease_refuse(
			core, lease, relay_pending_kind(message->frame.type), message->refusal);
		break;
	case RELAY_DROP:
		break;
	case RELAY_FORWARD:
	case RELAY_END:
		UNREACHABLE();
	}
	client->left = bytes;
	client->discards = true;
	return true;
}

/* ---- the slow path: message by message out of client->in ---- */

/* Moves bytes of the present message on. Returns false if it is still incomplete. */
static bool relay_move(struct core *core, struct client *client)
{
	uint32_t n = client->left < client->in.bytes ? client->left : client->in.bytes;
	struct lease *lease = &client->lease;

	if (client->discards || lease->state != LEASE_HELD) {
		chain_pop(core, &client->in, n);
	} else {
		chain_move(core, &lease->server->stream->out, &client->in, n);
		stream_flush(core, lease->server->stream);
		lease->is_mid_request = client->left > n;
		client->pool->stats.received += n;
	}
	client->left -= n;
	return client->left == 0;
}

/* Texts are looked at as a whole, except of messages too large to be kept. */
static void relay_spread(struct core *core, struct client *client, struct client_request *message)
{
	uint32_t n =
		message->frame.bytes < client->in.bytes ? message->frame.bytes : client->in.bytes;
	uint8_t *whole = statements_scratch(&core->pools->statements, n);

	chain_peek(&client->in, whole, n);
	message->body = whole + FRAME_HEAD;
	message->body_len = n - FRAME_HEAD;
}

/* Deals with the first message of client->in. Returns false if it must stay. */
static bool relay_first(struct core *core, struct client *client)
{
	uint8_t head[RELAY_PEEK];
	size_t have = chain_peek(&client->in, head, sizeof head);
	struct client_request message;
	enum relay_verdict verdict;
	uint32_t enough;
	size_t dealt;

	switch (frame_read(frame_from_client, head, have, &message.frame)) {
	case FRAME_MORE:
		return false;
	case FRAME_BAD:
		relay_malformed(core, client, &message.frame);
		return false;
	case FRAME_DONE:
		break;
	}
	/* A server is not taken before the request is there, unless it is too large to be kept. */
	enough = message.frame.how == FRAME_PASS ? FRAME_HEAD : LIMIT_WHOLE_BYTES;
	message.body = head + FRAME_HEAD;
	message.body_len = (have < message.frame.bytes ? have : message.frame.bytes) - FRAME_HEAD;
	if (client_prepared_wants_whole(core, client, &message))
		enough = message.frame.bytes;
	if (client->in.bytes < message.frame.bytes && client->in.bytes < enough)
		return false;
	if (have < message.frame.bytes && message.frame.how != FRAME_PASS)
		relay_spread(core, client, &message);
	verdict = relay_decide(core, client, &message);
	if (verdict == RELAY_END)
		return false;
	if (verdict == RELAY_FORWARD) {
		client->left = message.frame.bytes;
		client->discards = false;
		return relay_move(core, client);
	}
	if (!relay_divert(core, client, &message, verdict, &dealt))
		return false;
	chain_pop(core, &client->in, (uint32_t)dealt);
	return client->left == 0 || relay_move(core, client);
}

/* Sees to it that a client is read from exactly while there is room for what it sends. */
static void relay_throttle(struct core *core, struct client *client)
{
	bool is_full = !held_update(core, client, !client->is_waiting);

	if (client->state != CLIENT_READY || client->is_leaving)
		return;
	if (!client->is_waiting && client->lease.state == LEASE_HELD &&
		unlikely(lease_is_blocked(&client->lease)))
		is_full = true;
	if (client->lease.state == LEASE_NONE && unlikely(stream_is_full(client->stream)))
		is_full = true; /* it does not read what it is answered here */
	if (unlikely(is_full))
		stream_pause(core, client->stream);
	else if (unlikely(!client->stream->reading))
		stream_read(core, client->stream);
	if (client->lease.state == LEASE_HELD && unlikely(client->lease.is_blocked))
		lease_hurry(core, &client->lease);
}

static void relay_input(struct core *core, struct client *client)
{
	while (client->state == CLIENT_READY && !client->is_waiting && !client->is_leaving &&
		client->in.bytes > 0) {
		if (client->left > 0) {
			if (!relay_move(core, client))
				break;
		} else if (!relay_first(core, client)) {
			break;
		}
	}
}

/* Adds as many bytes to the incomplete message in client->in as it lacks. Returns how many were taken. */
static size_t relay_complete(
	struct core *core, struct client *client, const uint8_t *at, size_t len)
{
	uint8_t head[FRAME_HEAD];
	struct frame frame;
	size_t taken = 0, n;

	if (client->in.bytes < FRAME_HEAD) {
		taken = FRAME_HEAD - client->in.bytes < len ? FRAME_HEAD - client->in.bytes : len;
		chain_copy(core, &client->in, at, taken);
	}
	if (chain_peek(&client->in, head, sizeof head) < sizeof head)
		return taken;
	if (frame_read(frame_from_client, head, sizeof head, &frame) == FRAME_DONE &&
		frame.how != FRAME_PASS && client->in.bytes < frame.bytes) {
		n = frame.bytes - client->in.bytes < len - taken ? frame.bytes - client->in.bytes
								 : len - taken;
		chain_copy(core, &client->in, at + taken, n);
		taken += n;
	}
	relay_input(core, client);
	return taken;
}

/* ---- the fast path: whole messages where they were received ---- */

static void relay_pass(struct core *core, struct client *client, const struct span *span,
	const uint8_t *run, const uint8_t *end)
{
	struct stream *stream;

	if (run == end || client->lease.state != LEASE_HELD)
		return;
	stream = client->lease.server->stream;
	chain_borrow(core, &stream->out, span, run, (size_t)(end - run));
	stream_flush(core, stream);
	client->pool->stats.received += (uint64_t)(end - run);
}

/* Returns how many bytes were dealt with; the rest is an incomplete message, or waits. */
static size_t relay_span(
	struct core *core, struct client *client, const struct span *span, const uint8_t *at)
{
	const uint8_t *start = at, *end = span->bytes + span->len, *run = at;

	while (at < end) {
		struct client_request message;
		enum relay_verdict verdict;
		size_t dealt;
		uint32_t n;

		if (client->left > 0) {
			n = client->left < (uint32_t)(end - at) ? client->left
								: (uint32_t)(end - at);
			at += n;
			client->left -= n;
			if (unlikely(client->discards))
				run = at;
			else if (client->lease.state == LEASE_HELD)
				client->lease.is_mid_request = client->left > 0;
			continue;
		}
		switch (frame_read(frame_from_client, at, (size_t)(end - at), &message.frame)) {
		case FRAME_MORE:
			relay_pass(core, client, span, run, at);
			return (size_t)(at - start);
		case FRAME_BAD:
			relay_pass(core, client, span, run, at);
			relay_malformed(core, client, &message.frame);
			return (size_t)(end - start);
		case FRAME_DONE:
			break;
		}
		n = message.frame.bytes;
		if (unlikely(n > (uint32_t)(end - at)) && message.frame.how != FRAME_PASS) {
			relay_pass(core, client, span, run, at);
			return (size_t)(at - start);
		}
		message.body = at + FRAME_HEAD;
		message.body_len = n - FRAME_HEAD;
		if (unlikely(message.frame.how == FRAME_OWN)) {
			relay_pass(
				core, client, span, run, at); /* what came before it goes first */
			run = at;
		}
		verdict = relay_decide(core, client, &message);
		if (likely(verdict == RELAY_FORWARD)) {
			client->left =
				n; /* the top of the loop takes it from here, and is_mid_request with it */
			client->discards = false;
			continue;
		}
		if (verdict == RELAY_END)
			return (size_t)(end - start);
		relay_pass(core, client, span, run, at);
		if (!relay_divert(core, client, &message, verdict, &dealt))
			return (size_t)(at - start);
		run = at += dealt;
	}
	relay_pass(core, client, span, run, end);
	return (size_t)(end - start);
}

static void relay_take_span(struct core *core, struct client *client, const struct span *span)
{
	const uint8_t *at = span->bytes, *end = at + span->len;

	while (at < end && client->state == CLIENT_READY) {
		if (client->is_leaving)
			return;
		if (client->is_waiting) {
			chain_copy(core, &client->in, at, (size_t)(end - at));
			return;
		}
		if (client->in.bytes > 0) {
			at += relay_complete(core, client, at, (size_t)(end - at));
			continue;
		}
		at += relay_span(core, client, span, at);
		if (at < end && client->state == CLIENT_READY && !client->is_waiting) {
			chain_copy(core, &client->in, at, (size_t)(end - at));
			relay_input(core, client); /* it may be large enough to be streamed */
			return;
		}
	}
}

void client_relay_data(
	struct core *core, struct client *client, const struct span *spans, unsigned count)
{
	client->heard_ns = core->now_ns;
	for (unsigned i = 0; i < count && client->state == CLIENT_READY; i++)
		relay_take_span(core, client, &spans[i]);
	relay_throttle(core, client);
	client_watch(core, client);
}

void client_relay_resume(struct core *core, struct client *client)
{
	client->is_waiting = false;
	relay_input(core, client);
	relay_throttle(core, client);
	client_watch(core, client);
}
