/* What a server sends once it is logged in: found frame by frame, noted, and passed on to its client.
 *
 * Rows and COPY data are skipped by length. A message that must be looked at and came in pieces is gathered first. What goes to
 * the client goes in runs: one copy, or one borrowed piece, for all that came together.
 */
#include "pool/server.h"

#include "core/clock.h"
#include "pool/lease.h"
#include "pool/pool.h"
#include "pool/server_cancel.h"
#include "protocol/frame.h"
#include "protocol/greeting.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANSWERS_PEEK_TAG = FRAME_HEAD + 16,
	ANSWERS_PEEK_MAX = 64 * 1024,
	ANSWERS_PEEK_SHAPE = 512 * 1024 /* as many columns, or parameters, as PostgreSQL allows */
};

bool answers_at_border(const struct server *server)
{
	return server->left == 0 && server->gather.have == 0;
}

void answers_forget(struct server *server)
{
	free(server->gather.bytes);
	server->gather = (struct server_gather){0};
	server->left = 0;
	server->hides_rest = false;
}

/* Whether it is a Describe with a record whose answer is due. */
static bool answers_describes(const struct pending *pending)
{
	return pending_head_kind(pending) == PENDING_DESCRIBE &&
		unlikely(pending_head(pending).flags & PENDING_TRACKED);
}

/* How many bytes of the frame must be there to decide on it. */
static uint32_t answers_need(const struct server *server, const struct frame *frame)
{
	switch (frame->type) {
	case SERVER_PARAMETER_DESCRIPTION:
	case SERVER_ROW_DESCRIPTION:
		return answers_describes(&server->pending) && frame->bytes <= ANSWERS_PEEK_SHAPE
			? frame->bytes
			: FRAME_HEAD;
	case SERVER_COMMAND_COMPLETE:
		return frame->bytes < ANSWERS_PEEK_TAG ? frame->bytes : ANSWERS_PEEK_TAG;
	case SERVER_DATA_ROW:
		if (likely(!server->traces.asked))
			return FRAME_HEAD;
		return frame->bytes < ANSWERS_PEEK_MAX ? frame->bytes : ANSWERS_PEEK_MAX;
	case SERVER_ERROR:
	case SERVER_NOTIFICATION:
	case SERVER_PARAMETER_STATUS:
		return frame->bytes < ANSWERS_PEEK_MAX ? frame->bytes : ANSWERS_PEEK_MAX;
	case SERVER_READY_FOR_QUERY:
		return frame->bytes;
	}
	return FRAME_HEAD;
}

static void answers_broken(struct core *core, struct server *server, const char *what)
{
	struct fault fault = {"FATAL", SQLSTATE_CONNECTION_FAILURE, what, NULL, NULL};

	core_count(core, METRIC_server_protocol_errors);
	log_error(core, "server %s@%s/%s broke the protocol: %s", server->pool->config->server_user,
		server->pool->config->host, server->pool->config->server_database, what);
	if (server->lease)
		lease_lose(core, server, &fault);
	server_close(core, server, what);
}

/* Passes a run of bytes on to the client, if there is one. */
static void answers_pass(struct core *core, struct server *server, const struct span *span,
	const uint8_t *run, const uint8_t *end)
{
	struct stream *sink;

	if (run == end || !server->lease)
		return;
	sink = server->lease->sink;
	chain_borrow(core, &sink->out, span, run, (size_t)(end - run));
	stream_flush(core, sink);
	server->pool->stats.sent += (uint64_t)(end - run);
	if (unlikely(stream_is_full(sink)))
		stream_pause(core, server->stream);
}

static void answers_send(struct core *core, struct server *server, const uint8_t *bytes, size_t len)
{
	stream_send(core, server->lease->sink, bytes, len);
	server->pool->stats.sent += len;
}

/* Whether the client does not get this message: an answer that pgring asked for, or one that only pgring heeds. */
static bool answers_hides(const struct server *server, uint8_t type)
{
	if (!server->lease)
		return true;
	if (type == SERVER_NOTIFICATION)
		return false; /* answers_hides_notification tells */
	if (!server->lease->sink)
		return true;
	if (type == SERVER_PARAMETER_STATUS && unlikely(server->traces.resets))
		return true; /* answers_parameter tells it */
	if (pending_empty(&server->pending))
		return type == SERVER_NOTICE; /* it belongs to what is over */
	if (unlikely(pending_head(&server->pending).flags)) {
		unsigned flags = pending_head(&server->pending).flags;

		if (flags & PENDING_HIDDEN)
			return true;
		if (type == SERVER_ERROR)
			return flags & PENDING_REFUSED;
		if (type == SERVER_PARSE_COMPLETE && flags & PENDING_AS_PREPARE)
			return true;
		return flags & (PENDING_INJECTED | PENDING_AS_PARSE) &&
			type != SERVER_PARAMETER_STATUS;
	}
	return false;
}

/* What the server says of a text that was not quite the client's. */
struct answers_correction {
	const char *name; /* the client's, instead of ours; NULL: the message is right */
	int name_len;
	char ours[STATEMENT_NAME_BYTES];
	uint32_t position; /* in the client's text; 0: none */
	bool is_needed;
};

static uint32_t answers_shifted(
	const struct server *server, const struct prepared_shift *shift, const char *position)
{
	unsigned long at = position ? strtoul(position, NULL, 10) : 0;
	const char *encoding = params_get(&server->params, "client_encoding");

	if (shift->is_utf8 && !(encoding && strcmp(encoding, "UTF8") == 0))
		return 0;
	return at <= shift->from ? (uint32_t)at : (uint32_t)((int64_t)at + shift->by);
}

static void answers_correct_name(
	struct answers_correction *correction, const struct name *name, bool is_unnamed)
{
	if (is_unnamed) {
		correction->name = "";
	} else if (name) {
		correction->name = name->text;
		correction->name_len = name->len;
	}
}

/* An error that names a statement as the server knows it, or a place in a text that only the server got, is told to the client in
 * its own words. */
static struct answers_correction answers_correct(
	const struct server *server, const struct fault_fields *fields)
{
	static const struct prepared_record none = {.op = PREPARED_INJECT};
	const struct names *names = server->lease->names;
	const struct prepared_record *record = &none;
	unsigned flags = pending_empty(&server->pending) ? 0 : pending_head(&server->pending).flags;
	const struct name *name = NULL;
	struct answers_correction correction = {0};
	struct hash key;

	if (flags & PENDING_TRACKED)
		record = prepared_log_head(&server->prepared);
	correction.position = answers_shifted(server, &record->shift, fields->position);
	if (record->op == PREPARED_DUPLICATE || record->op == PREPARED_EXECUTE)
		name = names_find_serial(names, record->name_hash, record->name_serial);
	if (record->op == PREPARED_DUPLICATE &&
		strcmp(fields->sqlstate, SQLSTATE_DUPLICATE_PREPARED_STATEMENT) == 0 &&
		strstr(fields->message, statement_name_prefix)) {
		memcpy(correction.ours, statement_name_prefix, STATEMENT_NAME_PREFIX + 1);
		answers_correct_name(&correction, name, false);
	} else if (statement_name_find(fields->message, &key)) {
		statement_name(key, correction.ours);
		if (record->op != PREPARED_EXECUTE || !name)
			name = names_find_key(names, key);
		answers_correct_name(&correction, name, flags & PENDING_UNNAMED);
	}
	correction.is_needed = correction.name || record->shift.by != 0;
	return correction;
}

static bool answers_hides_error(const struct server *server, const uint8_t *at, size_t len)
{
	struct fault_fields fields;

	return fault_read(at + FRAME_HEAD, len - FRAME_HEAD, &fields) == 0 &&
		answers_correct(server, &fields).is_needed;
}

static bool answers_hides_notification(
	struct core *core, struct server *server, const uint8_t *at, size_t len)
{
	struct lease *lease = server->lease;

	if (!lease)
		return true;
	if (lease->events->notified)
		return lease->events->notified(core, lease, at, len);
	return (!lease->keeps || lease->subscriber) && subscriber_hears(core, lease, at, len);
}

/* Whether the client does not get the message whose first bytes these are. */
static inline bool answers_hides_it(struct core *core, struct server *server,
	const struct frame *frame, const uint8_t *at, size_t len)
{
	if (answers_hides(server, frame->type))
		return true;
	if (unlikely(frame->type == SERVER_ERROR))
		return answers_hides_error(server, at, len);
	if (unlikely(frame->type == SERVER_NOTIFICATION))
		return answers_hides_notification(core, server, at, len);
	return false;
}

/* ---- what each message means ---- */

/* A tag of a command that may have changed what the text of a statement means, until the transaction ends. */
static bool answers_tag_alters(const char *tag, size_t len)
{
	static const char *const tags[] = {
		"SET", "RESET", "CREATE", "ALTER", "DROP", "CALL", "DO", "DISCARD", "IMPORT"};

	for (size_t i = 0; i < array_len(tags); i++) {
		size_t n = strlen(tags[i]);

		if (len > n && memcmp(tag, tags[i], n) == 0 && (tag[n] == '\0' || tag[n] == ' '))
			return true;
	}
	return false;
}

static bool answers_tag_deallocates(const char *tag, size_t len)
{
	return (len >= sizeof "DEALLOCATE ALL" &&
		       memcmp(tag, "DEALLOCATE ALL", sizeof "DEALLOCATE ALL") == 0) ||
		(len >= sizeof "DISCARD ALL" &&
			memcmp(tag, "DISCARD ALL", sizeof "DISCARD ALL") == 0);
}

/* What a command's tag tells of what it did to the session. */
static void answers_tag(struct core *core, struct server *server, const char *tag, size_t len)
{
	if (likely(tag[0] == 'S' && len > 3 && tag[1] == 'E' && tag[2] == 'L'))
		return; /* SELECT is the most frequent of all */
	if (answers_tag_alters(tag, len))
		server->is_altered = true;
	if (tag[0] == 'D' && answers_tag_deallocates(tag, len))
		lease_deallocated(core, server);
}

static void answers_command_complete(
	struct core *core, struct server *server, const uint8_t *at, size_t len)
{
	struct pending *pending = &server->pending;

	if (!(pending_head(pending).flags & (PENDING_HIDDEN | PENDING_INJECTED)))
		answers_tag(core, server, (const char *)at + FRAME_HEAD, len - FRAME_HEAD);
	pending_copied(pending);
	if (pending_head_kind(pending) == PENDING_EXECUTE)
		pending_pop(pending);
}

/* An error that ends the session: what it says goes to the client from here. */
static void answers_fatal(
	struct core *core, struct server *server, const struct fault_fields *fields)
{
	struct fault fault = {
		"FATAL", fields->sqlstate, fields->message, fields->detail, fields->hint};

	if (server->lease)
		lease_lose(core, server, &fault);
	server_close(core, server, fields->message);
}

/* A query of pgring's own failed: the client's settings, without which its request must not run, or the cleaning. */
static void answers_hidden_error(
	struct core *core, struct server *server, const struct fault_fields *fields)
{
	switch ((enum pending_hidden)(
		pending_head(&server->pending).flags >> PENDING_REASON_SHIFT)) {
	case HIDDEN_ASK:
		server->traces.has_failed = true;
		return;
	case HIDDEN_TRIED:
		return;
	case HIDDEN_NEEDED:
		break;
	}
	if (server->lease) {
		answers_fatal(core, server, fields);
		return;
	}
	server_force_close(core, server, fields->message);
}

/* What an error tells of prepared statements. */
static void answers_note_statement_error(
	struct core *core, struct server *server, const struct fault_fields *fields)
{
	struct prepared_entry *entry;
	struct hash key;

	if (strcmp(fields->sqlstate, SQLSTATE_FEATURE_NOT_SUPPORTED) == 0 &&
		strstr(fields->message, "cached plan"))
		server->pool->stale_ns = core->now_ns;
	if (strcmp(fields->sqlstate, SQLSTATE_INVALID_SQL_STATEMENT_NAME) != 0 ||
		!statement_name_find(fields->message, &key))
		return;
	entry = prepared_find(&server->prepared, key);
	if (entry)
		entry->parsed_ns = 0;
}

/* Sends the error that answers_hides_error has held back. */
static void answers_send_corrected(struct core *core, struct server *server,
	const struct fault_fields *fields, const uint8_t *body, size_t len)
{
	struct answers_correction correction = answers_correct(server, fields);
	size_t before = strlen(fields->message), size = before + NAME_BYTES + 1;
	const char *at;
	char *message;
	uint8_t *error;

	if (!correction.is_needed)
		return;
	message = malloc(size);
	error = malloc(size + len + FAULT_REWRITE_MORE);
	CHECK(message && error);
	memcpy(message, fields->message, before + 1);
	if (correction.name) {
		at = strstr(fields->message, correction.ours);
		CHECK(at);
		snprintf(message, size, "%.*s%.*s%s", (int)(at - fields->message), fields->message,
			correction.name_len, correction.name, at + strlen(correction.ours));
	}
	answers_send(core, server, error,
		fault_rewrite(error, size + len + FAULT_REWRITE_MORE, body, len, message,
			correction.position));
	free(error);
	free(message);
}

/* What the error takes with it. */
static void answers_failed(struct core *core, struct server *server, struct pending_entry head)
{
	unsigned dropped = pending_error(&server->pending);

	if (unlikely(dropped > 0))
		lease_prepared_failed(core, server, head.flags & PENDING_TRACKED, dropped);
}

static void answers_error(struct core *core, struct server *server, const struct frame *frame,
	const uint8_t *at, size_t len)
{
	struct fault_fields fields;
	struct pending_entry head = {0};
	const char *severity;

	if (!pending_empty(&server->pending))
		head = pending_head(&server->pending);
	if (frame->bytes > len || fault_read(at + FRAME_HEAD, len - FRAME_HEAD, &fields) != 0) {
		/* Too long to be looked at: those that end a session are short. */
		if (server->pending.is_doubtful)
			answers_broken(
				core, server, "COPY failed, and a Sync was sent between its data");
		else
			answers_failed(core, server, head);
		return;
	}
	severity = fields.severity_plain ? fields.severity_plain : fields.severity;
	if (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0) {
		answers_fatal(core, server, &fields);
		return;
	}
	if (unlikely(head.flags & PENDING_REFUSED) && server->lease)
		server->lease->events->refused(
			core, server->lease, head.flags >> PENDING_REASON_SHIFT);
	if (unlikely(head.flags & PENDING_HIDDEN) && head.kind == PENDING_QUERY) {
		answers_hidden_error(core, server, &fields);
		return;
	}
	if (unlikely(server->pending.is_doubtful)) {
		answers_broken(core, server, "COPY failed, and a Sync was sent between its data");
		return;
	}
	/* If it failed before it read that Sync, one more ReadyForQuery comes than is owed: the cleaning will meet it. */
	if (unlikely(server->pending.has_swallowed))
		server->dirt |= SERVER_DIRT_SESSION;
	if (likely(!(head.flags & PENDING_HIDDEN)))
		answers_note_statement_error(core, server, &fields);
	if (!(head.flags & (PENDING_HIDDEN | PENDING_REFUSED)) && server->lease)
		answers_send_corrected(core, server, &fields, at + FRAME_HEAD, len - FRAME_HEAD);
	answers_failed(core, server, head);
}

/* A variable was reset to what the server has of itself: to the client, it has again what it asked for when it started, which
 * the server will have once its traces are known. */
static void answers_tell_reset(
	struct core *core, struct server *server, const char *name, const char *value)
{
	const struct settings *base = server->lease->base, *plain = server->pool->plain_settings;
	const char *of_plain = params_get(&plain->reported, name),
		   *asked = params_get(&base->reported, name),
		   *before = params_get(&server->params, name);
	size_t size;
	uint8_t *message;
	struct writer writer;

	if (params_get(&base->wanted, name) && asked && of_plain && strcmp(of_plain, value) == 0)
		value = asked;
	if (before && strcmp(before, value) == 0)
		return;
	size = FRAME_HEAD + strlen(name) + strlen(value) + 2;
	message = malloc(size);
	CHECK(message);
	writer_init(&writer, message, size);
	greeting_write_parameter(&writer, name, value);
	stream_send(core, server->lease->sink, message, writer_len(&writer));
	free(message);
}

static void answers_parameter(
	struct core *core, struct server *server, const uint8_t *at, size_t len)
{
	const char *name, *value;

	if (greeting_read_parameter(at + FRAME_HEAD, len - FRAME_HEAD, &name, &value) != 0)
		return;
	if (unlikely(server->traces.resets) && server->lease && !pending_empty(&server->pending) &&
		!(pending_head(&server->pending).flags & PENDING_HIDDEN))
		answers_tell_reset(core, server, name, value);
	params_set(&server->params, name, value);
}

/* The head is answered. */
static void answers_pop(struct core *core, struct server *server)
{
	static const uint8_t parse_complete[] = {SERVER_PARSE_COMPLETE, 0, 0, 0, 4},
			     prepare_complete[] = {SERVER_COMMAND_COMPLETE, 0, 0, 0, 12, 'P', 'R',
				     'E', 'P', 'A', 'R', 'E', 0};
	unsigned flags = pending_head(&server->pending).flags;

	pending_pop(&server->pending);
	if (unlikely(flags & PENDING_TRACKED))
		lease_prepared_done(core, server);
	if (unlikely(flags & PENDING_AS_PARSE) && server->lease)
		answers_send(core, server, parse_complete, sizeof parse_complete);
	if (unlikely(flags & PENDING_AS_PREPARE) && server->lease)
		answers_send(core, server, prepare_complete, sizeof prepare_complete);
}

/* The head is described: by a RowDescription, or by NoData. */
static void answers_described(struct core *core, struct server *server, const struct frame *frame,
	const uint8_t *at, size_t len)
{
	bool is_tracked = answers_describes(&server->pending);

	pending_pop(&server->pending);
	if (!is_tracked)
		return;
	if (frame->bytes > len)
		lease_described_unseen(core, server);
	else if (frame->type == SERVER_NO_DATA)
		lease_described(core, server, NULL, 0);
	else
		lease_described(core, server, at + FRAME_HEAD, len - FRAME_HEAD);
}

/* Draws the conclusions from a message that may come, except ReadyForQuery. */
static void answers_note(struct core *core, struct server *server, const struct frame *frame,
	const uint8_t *at, size_t len)
{
	struct pending *pending = &server->pending;

	switch (frame->type) {
	case SERVER_DATA_ROW:
		if (unlikely(server->traces.asked))
			traces_row(&server->traces, at + FRAME_HEAD, len - FRAME_HEAD);
		return;
	case SERVER_COPY_DATA:
		return;
	case SERVER_COMMAND_COMPLETE:
		pending->is_answered = true;
		answers_command_complete(core, server, at, len);
		return;
	case SERVER_PARAMETER_DESCRIPTION:
		if (answers_describes(pending) && frame->bytes <= len)
			shape_draft_types(&server->draft, at + FRAME_HEAD, len - FRAME_HEAD);
		return;
	case SERVER_ROW_DESCRIPTION:
	case SERVER_NO_DATA:
		if (pending_head_kind(pending) == PENDING_DESCRIBE)
			answers_described(core, server, frame, at, len);
		return;
	case SERVER_PARSE_COMPLETE:
		server->pool->stats.server_parses++;
		answers_pop(core, server);
		return;
	case SERVER_BIND_COMPLETE:
	case SERVER_CLOSE_COMPLETE:
	case SERVER_PORTAL_SUSPENDED:
		answers_pop(core, server);
		return;
	case SERVER_EMPTY_QUERY:
		pending->is_answered = true;
		if (pending_head_kind(pending) == PENDING_EXECUTE)
			pending_pop(pending);
		return;
	case SERVER_COPY_IN:
		pending_copy_in(pending);
		return;
	case SERVER_FUNCTION_CALL_RESPONSE:
		pending->is_answered = true;
		return;
	case SERVER_ERROR:
		pending->is_answered = true;
		answers_error(core, server, frame, at, len);
		return;
	case SERVER_PARAMETER_STATUS:
		answers_parameter(core, server, at, len);
		if (server->lease && !pending_empty(pending) &&
			!(pending_head(pending).flags & PENDING_HIDDEN)) {
			traces_suspect(&server->traces, TRACE_SETTINGS);
			server->is_altered = true;
		}
		return;
	}
}

static void answers_ready(struct core *core, struct server *server, char status)
{
	struct pending *pending = &server->pending;
	bool hidden = pending_head(pending).flags & PENDING_HIDDEN;

	pending_copied(pending);
	answers_pop(core, server);
	server->status = status;
	server->readies++;
	if (unlikely(server->cancel))
		server_cancel_answered(core, server);
	if (unlikely(status == 'I' && server->is_altered)) {
		server->is_altered = false;
		prepared_doubt_altered(&server->prepared);
	}
	if (server->lease && unlikely(server->lease->names->removed) && pending_empty(pending))
		names_bury(server->lease->names, &core->pools->statements);
	server_ready(core, server, hidden);
}

/* ---- finding them ---- */

/* Why this message may not come now, or NULL. Asked before any of it goes to the client, so that what the client gets does not
 * depend on the pieces in which it came. */
static const char *answers_objection(
	const struct server *server, const struct frame *frame, const uint8_t *at)
{
	static const char other[] = "an answer to something else";
	const struct pending *pending = &server->pending;
	enum pending_kind kind = pending_head_kind(pending);

	if (unlikely(frame->how == FRAME_OWN))
		return "a message that nobody asked for";
	switch (frame->type) {
	case SERVER_NOTICE:
	case SERVER_NOTIFICATION:
	case SERVER_PARAMETER_STATUS:
	case SERVER_ERROR:
		return NULL;
	}
	if (unlikely(kind == PENDING_NOTHING))
		return "a message that nobody asked for";
	switch (frame->type) {
	case SERVER_PARSE_COMPLETE:
		return kind == PENDING_PARSE ? NULL : other;
	case SERVER_BIND_COMPLETE:
		return kind == PENDING_BIND ? NULL : other;
	case SERVER_CLOSE_COMPLETE:
		return kind == PENDING_CLOSE ? NULL : other;
	case SERVER_NO_DATA:
		return kind == PENDING_DESCRIBE ? NULL : other;
	case SERVER_PORTAL_SUSPENDED:
		return kind == PENDING_EXECUTE ? NULL : other;
	case SERVER_READY_FOR_QUERY:
		if (at[FRAME_HEAD] != 'I' && at[FRAME_HEAD] != 'T' && at[FRAME_HEAD] != 'E')
			return "ReadyForQuery with a status that there is not";
		if (kind == PENDING_SYNC)
			return NULL;
		if (kind != PENDING_QUERY && kind != PENDING_FUNCTION)
			return "ReadyForQuery without a query";
		return pending->is_answered ? NULL : "ReadyForQuery without an answer before it";
	}
	return NULL;
}

/* Deals with a frame whose first `len` bytes are at `at`, after what is for the client has been passed on.
 * Returns false when the server is no more. */
static bool answers_frame(struct core *core, struct server *server, const struct frame *frame,
	const uint8_t *at, size_t len)
{
	if (frame->type == SERVER_READY_FOR_QUERY)
		answers_ready(core, server, (char)at[FRAME_HEAD]);
	else
		answers_note(core, server, frame, at, len);
	return server->state != SERVER_CLOSING;
}

static void answers_gather_more(struct server *server, uint32_t need)
{
	struct server_gather *gather = &server->gather;

	gather->need = need;
	if (gather->size >= need)
		return;
	gather->bytes = realloc(gather->bytes, need);
	CHECK(gather->bytes);
	gather->size = need;
}

/* Adds what came to what was gathered. Returns what was used, or a negative number when the server is no more. */
static ptrdiff_t answers_gather(
	struct core *core, struct server *server, const uint8_t *at, const uint8_t *end)
{
	struct server_gather *gather = &server->gather;
	const uint8_t *start = at;

	for (;;) {
		size_t n = gather->need - gather->have;
		struct frame frame;
		const char *objection;
		bool hidden;

		if (n > (size_t)(end - at))
			n = (size_t)(end - at);
		memcpy(gather->bytes + gather->have, at, n);
		gather->have += (uint32_t)n;
		at += n;
		if (gather->have < gather->need)
			return at - start;
		if (frame_read(frame_from_server, gather->bytes, gather->have, &frame) !=
			FRAME_DONE) {
			answers_broken(
				core, server, "an unknown message, or one of impossible length");
			return -1;
		}
		if (gather->have < answers_need(server, &frame)) {
			answers_gather_more(server, answers_need(server, &frame));
			continue;
		}
		objection = answers_objection(server, &frame, gather->bytes);
		if (objection) {
			answers_broken(core, server, objection);
			return -1;
		}
		hidden = answers_hides_it(core, server, &frame, gather->bytes, gather->have);
		n = gather->have;
		gather->have = 0; /* before the frame is dealt with: it may set the server free */
		server->left = frame.bytes - (uint32_t)n;
		server->hides_rest = hidden && server->left > 0;
		if (frame.type ==
			SERVER_ERROR) { /* one that ends the session is not passed on as it is */
			if (!answers_frame(core, server, &frame, gather->bytes, n))
				return -1;
			if (!hidden)
				answers_send(core, server, gather->bytes, n);
			return at - start;
		}
		if (!hidden)
			answers_send(core, server, gather->bytes, n);
		return answers_frame(core, server, &frame, gather->bytes, n) ? at - start : -1;
	}
}

static void answers_span(struct core *core, struct server *server, const struct span *span)
{
	const uint8_t *at = span->bytes, *end = at + span->len, *run = at;

	while (at < end) {
		struct frame frame;
		enum frame_result found;
		const char *objection;
		uint32_t n;

		if (server->left > 0) {
			n = (uint32_t)(end - at) < server->left ? (uint32_t)(end - at)
								: server->left;
			at += n;
			server->left -= n;
			if (unlikely(server->hides_rest)) {
				run = at;
				server->hides_rest = server->left > 0;
			}
			continue;
		}
		if (unlikely(server->gather.have > 0)) {
			ptrdiff_t used = answers_gather(core, server, at, end);

			if (used < 0)
				return;
			at += used;
			run = at;
			continue;
		}
		found = frame_read(frame_from_server, at, (size_t)(end - at), &frame);
		if (unlikely(found == FRAME_BAD)) {
			answers_pass(core, server, span, run, at);
			answers_broken(
				core, server, "an unknown message, or one of impossible length");
			return;
		}
		n = found == FRAME_MORE ? FRAME_HEAD : answers_need(server, &frame);
		if (unlikely((uint32_t)(end - at) < n)) {
			answers_pass(core, server, span, run, at);
			run = end;
			answers_gather_more(server, n);
			if (answers_gather(core, server, at, end) < 0)
				return;
			break;
		}
		objection = answers_objection(server, &frame, at);
		if (unlikely(objection)) {
			answers_pass(core, server, span, run, at);
			answers_broken(core, server, objection);
			return;
		}
		n = (uint32_t)(end - at) < frame.bytes ? (uint32_t)(end - at) : frame.bytes;
		server->left = frame.bytes - n;
		if (unlikely(answers_hides_it(core, server, &frame, at, n))) {
			answers_pass(core, server, span, run, at);
			run = at + n;
			server->hides_rest = server->left > 0;
		} else if (frame.type == SERVER_READY_FOR_QUERY || frame.type == SERVER_ERROR) {
			/* these may take the client away from the server: it gets its bytes first */
			bool is_error = frame.type == SERVER_ERROR;

			answers_pass(core, server, span, run, is_error ? at : at + n);
			run = is_error ? at : at + n;
		}
		if (!answers_frame(core, server, &frame, at, n))
			return;
		at += n;
	}
	answers_pass(core, server, span, run, end);
}

void answers_data(
	struct core *core, struct server *server, const struct span *spans, unsigned count)
{
	server->used_ns = core->now_ns;
	for (unsigned i = 0; i < count && server->state != SERVER_CLOSING; i++)
		answers_span(core, server, &spans[i]);
	if (server->lease && unlikely(server->lease->is_blocked) &&
		pending_has_room(&server->pending))
		core_defer(core, &server->lease->task);
}
