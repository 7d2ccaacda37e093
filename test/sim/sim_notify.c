/* The order of notifications at each server, and what clients make of it. */
#include "test/sim/sim_notify.h"

#include "core/check.h"
#include "pool/marker.h"
#include "pool/subscriber.h"
#include "pool/traces.h"
#include "protocol/frame.h"
#include "test/sim/sim.h"
#include "test/sim/sim_client.h"
#include "test/sim/sim_server.h"
#include "test/sim/sim_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NOTIFY_MARKER = 1 << SIM_CHANNELS,
	NOTIFY_ALL = 2 * NOTIFY_MARKER - 1,
	NOTIFY_OPEN = UINT32_MAX, /* no end yet */
	NOTIFY_TEXT = 160,
};

struct notification {
	unsigned client, seq, channel;
	bool may_be_lost;
};

/* Of a server: the order of all that were committed there. */
static struct notify_server {
	struct notification *order;
	unsigned count, size;
	unsigned
		lost; /* channels that no listening connection has listened to since the last was lost */
} servers[SIM_SERVERS];

/* A client listens to a channel, from one place in the order to another. */
struct notify_span {
	unsigned client, channel, from, until;
};
static struct notify_span *spans;
static unsigned span_count, span_size;

/* Of a client, by its number: the place behind what it has heard; and before which it owes nothing. */
static struct notify_client {
	unsigned behind, owed;
} * listeners;
static unsigned listener_count;

void sim_notify_begin(void)
{
	CHECK(span_count == 0 && listener_count == 0);
}

void sim_notify_end(void)
{
	for (int i = 0; i < SIM_SERVERS; i++) {
		free(servers[i].order);
		servers[i] = (struct notify_server){0};
	}
	free(spans);
	free(listeners);
	spans = NULL;
	listeners = NULL;
	span_count = span_size = listener_count = 0;
}

static struct notify_server *notify_server(unsigned port)
{
	return &servers[port - SIM_FIRST_PORT];
}

static struct notify_client *notify_client(unsigned client)
{
	unsigned before = listener_count;

	if (client >= before) {
		listener_count = 2 * client + 16;
		listeners = realloc(listeners, listener_count * sizeof *listeners);
		CHECK(listeners);
		memset(listeners + before, 0, (listener_count - before) * sizeof *listeners);
	}
	return &listeners[client];
}

/* ---- channels ---- */

static const char *notify_name(unsigned channel, char name[16])
{
	snprintf(name, 16, "n%u", channel);
	return 1U << channel == NOTIFY_MARKER ? MARKER_CHANNEL : name;
}

/* The bit, or 0. */
static unsigned notify_bit(const char *name)
{
	char own[16];

	for (unsigned i = 0; i <= SIM_CHANNELS; i++)
		if (strcmp(notify_name(i, own), name) == 0)
			return 1U << i;
	return 0;
}

/* ---- who listens since when ---- */

static struct notify_span *notify_open_span(unsigned client, unsigned channel)
{
	for (unsigned i = 0; i < span_count; i++)
		if (spans[i].client == client && spans[i].channel == channel &&
			spans[i].until == NOTIFY_OPEN)
			return &spans[i];
	return NULL;
}

/* All channels to which the client listens. */
static unsigned notify_listens(unsigned client)
{
	unsigned channels = 0;

	for (unsigned i = 0; i < SIM_CHANNELS; i++)
		if (notify_open_span(client, i))
			channels |= 1U << i;
	return channels;
}

static void notify_set(unsigned client, unsigned channel, bool listens, unsigned place)
{
	struct notify_span *span = notify_open_span(client, channel);

	if (span && !listens)
		span->until = place;
	if (span || !listens)
		return;
	if (span_count == span_size) {
		span_size = 2 * span_size + 16;
		spans = realloc(spans, span_size * sizeof *spans);
		CHECK(spans);
	}
	spans[span_count++] = (struct notify_span){client, channel, place, NOTIFY_OPEN};
	sim_trace("C%u: listens to n%u from %u on", client, channel, place);
}

/* Whether the client may hear what stands at that place in its order; and whether it must. */
static bool notify_may_hear(unsigned client, unsigned channel, unsigned place)
{
	for (unsigned i = 0; i < span_count; i++)
		if (spans[i].client == client && spans[i].channel == channel &&
			place >= spans[i].from && place < spans[i].until)
			return true;
	return false;
}

static bool notify_must_hear(unsigned client, const struct notify_server *server, unsigned place)
{
	const struct notification *it = &server->order[place];
	const struct notify_span *span = notify_open_span(client, it->channel);

	return span && place >= span->from && !it->may_be_lost;
}

/* ---- statements ---- */

/* The server must have all that the client listens to, or it does not do with it what the client wants. */
static void notify_judge_all(const struct sim_session *session, unsigned client)
{
	const struct sim_listening *listening = &session->listening;
	unsigned listens = listening->next & ~(unsigned)NOTIFY_MARKER,
		 all = (notify_listens(client) | listening->on) & ~listening->off;

	SIM_CHECK(listens == all,
		"C%u listens to %x, but as it listens or unlistens session %u listens to %x",
		client, all, session->pid, listens);
}

void sim_notify_listen(struct sim_session *session, unsigned client, unsigned channels)
{
	struct sim_listening *listening = &session->listening;

	if (client != 0)
		notify_judge_all(session, client);
	listening->next |= channels;
	if (client == 0)
		return;
	listening->client = client;
	listening->on |= channels;
	listening->off &= ~channels;
}

void sim_notify_unlisten(struct sim_session *session, unsigned client, unsigned channels)
{
	struct sim_listening *listening = &session->listening;

	if (client != 0)
		notify_judge_all(session, client);
	listening->next &= ~channels;
	if (client == 0) {
		if ((listening->next & ~(unsigned)NOTIFY_MARKER) == 0)
			listening->is_restored = listening->is_restored_next = false;
		return;
	}
	listening->off |= channels;
	listening->on &= ~channels;
}

static void notify_post(struct sim_session *session, unsigned client, unsigned seq,
	unsigned channel, const char *payload)
{
	struct sim_bytes *posts = &session->listening.posts;
	char name[16];

	sim_bytes_add_u32(posts, client);
	sim_bytes_add_u32(posts, seq);
	sim_bytes_add_u32(posts, channel);
	sim_bytes_begin(posts, 'A');
	sim_bytes_add_u32(posts, session->pid);
	sim_bytes_add_string(posts, notify_name(channel, name));
	sim_bytes_add_string(posts, payload);
	sim_bytes_end(posts);
}

void sim_notify_post(struct sim_session *session, unsigned client, unsigned seq, unsigned channel)
{
	char payload[32];

	snprintf(payload, sizeof payload, "C%u.%u", client, seq);
	notify_post(session, client, seq, channel, payload);
}

/* ---- the pooler's own ---- */

static const char herald_greeting[] =
	"SELECT pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), false);"
	"SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
	"WHERE name OPERATOR(pg_catalog.=) 'idle_session_timeout';";

bool sim_notify_is_own(const char *text)
{
	return strncmp(text, "LISTEN ", 7) == 0 || strncmp(text, "UNLISTEN ", 9) == 0 ||
		strncmp(text, herald_greeting, strlen(herald_greeting)) == 0;
}

/* A word, or a name in quotes; *at is behind it then. */
static unsigned own_channel(const char **at)
{
	bool is_quoted = **at == '"';
	size_t len;
	char name[64];

	*at += is_quoted;
	len = strcspn(*at, is_quoted ? "\"" : ";, ");
	CHECK(len < sizeof name);
	snprintf(name, sizeof name, "%.*s", (int)len, *at);
	*at += len + is_quoted;
	return strcmp(name, "*") == 0 ? (unsigned)NOTIFY_ALL : notify_bit(name);
}

static void own_done(struct sim_session *session, const char *tag, bool is_block)
{
	if (!is_block)
		sim_bytes_message_string(&session->out, 'C', tag);
}

static bool own_word(const char **at, const char *word)
{
	if (strncmp(*at, word, strlen(word)) != 0)
		return false;
	*at += strlen(word);
	return true;
}

/* One statement; returns what follows, or NULL. */
static const char *own_statement(struct sim_session *session, const char *at, bool is_block)
{
	struct sim_listening *listening = &session->listening;
	char payload[NOTIFY_TEXT];
	unsigned channels;
	size_t len;

	if (own_word(&at, "LISTEN ")) {
		channels = own_channel(&at);
		sim_notify_listen(session, 0, channels);
		if (channels != NOTIFY_MARKER && !listening->is_herald)
			listening->is_restored_next = true;
		own_done(session, "LISTEN", is_block);
		return channels ? at : NULL;
	}
	if (own_word(&at, "UNLISTEN ")) {
		channels = own_channel(&at);
		sim_notify_unlisten(session, 0, channels);
		own_done(session, "UNLISTEN", is_block);
		return at;
	}
	if (own_word(&at, "SET " SUBSCRIBER_RESTORED " = '")) {
		len = strcspn(at, "'");
		CHECK(len < sizeof listening->restored_next);
		snprintf(listening->restored_next, sizeof listening->restored_next, "%.*s",
			(int)len, at);
		own_done(session, "SET", is_block);
		return at[len] == '\'' ? at + len + 1 : NULL;
	}
	if (!own_word(&at, "NOTIFY " MARKER_CHANNEL ", E'"))
		return NULL;
	len = strcspn(at, "'");
	snprintf(payload, sizeof payload, "%.*s", (int)len, at);
	notify_post(session, 0, 0, SIM_CHANNELS, payload);
	own_done(session, "NOTIFY", is_block);
	return at[len] == '\'' ? at + len + 1 : NULL;
}

void sim_notify_own(struct sim_session *session, const char *text)
{
	struct sim_listening *listening = &session->listening;
	const char *at = text;

	if (own_word(&at, herald_greeting)) {
		listening->is_herald = true;
		sim_bytes_message_string(&session->out, 'C', "SELECT 0");
		sim_bytes_message_string(&session->out, 'C', "SELECT 0");
	}
	while (at && *at) {
		at = own_statement(session, at, false);
		at += at ? strspn(at, "; ") : 0;
	}
	SIM_CHECK(at, "session %u: a garbled query of the pooler's: %.80s", session->pid, text);
}

bool sim_notify_block(struct sim_session *session, const char *text)
{
	const char *at = text, *end = strstr(text, ";END IF;END");
	size_t len;
	bool is_done;

	SIM_CHECK(own_word(&at,
			  "BEGIN IF pg_catalog.current_setting('" SUBSCRIBER_RESTORED
			  "', true) IS DISTINCT FROM '") &&
			end && strcmp(end, ";END IF;END") == 0,
		"session %u: a garbled block of the pooler's: %.80s", session->pid, text);
	len = strcspn(at, "'");
	is_done = strlen(session->listening.restored_next) == len &&
		strncmp(session->listening.restored_next, at, len) == 0;
	at += len;
	at = strncmp(at, "' THEN ", 7) == 0 ? at + 7 : NULL;
	while (!is_done && at && at < end) {
		at = own_statement(session, at, true);
		at += at ? strspn(at, "; ") : 0;
	}
	SIM_CHECK(at, "session %u: a garbled block of the pooler's: %.80s", session->pid, text);
	own_done(session, "DO", false);
	return !is_done;
}

void sim_notify_judge(struct sim_session *session, unsigned client)
{
	struct sim_listening *listening = &session->listening;
	unsigned listens = listening->next & ~(unsigned)NOTIFY_MARKER;

	if (listening->is_restored || listening->is_restored_next) {
		SIM_CHECK(listening->client == 0 || listening->client == client,
			"C%u meets what C%u listens to, in the session %u", client,
			listening->client, session->pid);
		SIM_CHECK(listens == notify_listens(client),
			"C%u listens to %x, but what is listened to for it is %x, session %u",
			client, notify_listens(client), listens, session->pid);
		listening->client = client;
		listening->is_restored = listening->is_restored_next = false;
		sim_reached(REACH_LISTEN_RESTORED);
	}
	SIM_CHECK(listens == 0 || listening->client == client,
		"C%u meets what C%u listens to, in the session %u", client, listening->client,
		session->pid);
}

/* ---- the end of a transaction ---- */

/* Who listens hears it once it is idle. */
static void notify_spread(unsigned port, unsigned channel, const uint8_t *message, size_t len)
{
	for (unsigned i = 0; i < sim_server_sessions(); i++) {
		struct sim_session *session = sim_server_session(i);

		if (session->port == port && session->listening.now & 1U << channel)
			sim_bytes_add(&session->listening.heard, message, len);
	}
}

static void notify_append(struct notify_server *server, struct notification notification)
{
	if (server->count == server->size) {
		server->size = 2 * server->size + 64;
		server->order = realloc(server->order, server->size * sizeof *server->order);
		CHECK(server->order);
	}
	notification.may_be_lost = server->lost & 1U << notification.channel;
	sim_trace("n%u is notified by C%u.%u, place %u%s", notification.channel,
		notification.client, notification.seq, server->count,
		notification.may_be_lost ? ", and may be lost" : "");
	server->order[server->count++] = notification;
}

static void notify_take_posts(struct sim_session *session)
{
	struct notify_server *server = notify_server(session->port);
	struct sim_bytes *posts = &session->listening.posts;

	while (posts->len > 0) {
		const uint8_t *at = sim_bytes_at(posts);
		struct notification it = {.client = frame_u32(at),
			.seq = frame_u32(at + 4),
			.channel = frame_u32(at + 8)};
		size_t len = frame_u32(at + 13) + 1;

		if (it.channel < SIM_CHANNELS)
			notify_append(server, it);
		notify_spread(session->port, it.channel, at + 12, len);
		sim_bytes_take(posts, 12 + len);
	}
}

void sim_notify_commit(struct sim_session *session)
{
	struct sim_listening *listening = &session->listening;
	struct notify_server *server = notify_server(session->port);
	unsigned both = listening->on | listening->off;

	for (unsigned i = 0; i < SIM_CHANNELS; i++)
		if (both & 1U << i)
			notify_set(listening->client, i, listening->on & 1U << i, server->count);
	listening->now = listening->next;
	memcpy(listening->restored, listening->restored_next, sizeof listening->restored);
	listening->on = listening->off = listening->savepoint_count = 0;
	listening->is_restored |= listening->is_restored_next;
	listening->is_restored_next = false;
	if (listening->is_herald && server->lost & listening->now) {
		server->lost &= ~listening->now;
		sim_reached(REACH_HEARD_AGAIN);
	}
	notify_take_posts(session);
	if (listening->now ==
		0) { /* it is no listener any more, and loses its place in the order */
		listening->client = 0;
		sim_bytes_free(&listening->heard);
	}
}

void sim_notify_rollback(struct sim_session *session)
{
	struct sim_listening *listening = &session->listening;

	listening->next = listening->now;
	memcpy(listening->restored_next, listening->restored, sizeof listening->restored);
	listening->on = listening->off = listening->savepoint_count = 0;
	listening->is_restored_next = false;
	if (listening->now == 0)
		listening->client = 0;
	sim_bytes_free(&listening->posts);
}

void sim_notify_savepoint(struct sim_session *session, unsigned name)
{
	struct sim_listening *listening = &session->listening;
	struct sim_savepoint *savepoint;

	if (listening->savepoint_count == listening->savepoint_size) {
		listening->savepoint_size = 2 * listening->savepoint_size + 4;
		listening->savepoints = realloc(listening->savepoints,
			listening->savepoint_size * sizeof *listening->savepoints);
		CHECK(listening->savepoints);
	}
	savepoint = &listening->savepoints[listening->savepoint_count++];
	*savepoint = (struct sim_savepoint){.name = name,
		.next = listening->next,
		.on = listening->on,
		.off = listening->off,
		.posts_len = listening->posts.len};
	memcpy(savepoint->restored_next, listening->restored_next, sizeof savepoint->restored_next);
}

static struct sim_savepoint *notify_find_savepoint(
	const struct sim_listening *listening, unsigned name)
{
	for (unsigned i = listening->savepoint_count; i-- > 0;)
		if (listening->savepoints[i].name == name)
			return &listening->savepoints[i];
	return NULL;
}

bool sim_notify_rollback_to(struct sim_session *session, unsigned name)
{
	struct sim_listening *listening = &session->listening;
	const struct sim_savepoint *savepoint = notify_find_savepoint(listening, name);

	if (!savepoint)
		return false;
	listening->next = savepoint->next;
	listening->on = savepoint->on;
	listening->off = savepoint->off;
	memcpy(listening->restored_next, savepoint->restored_next, sizeof listening->restored_next);
	listening->is_restored_next = false;
	listening->posts.len = savepoint->posts_len;
	listening->savepoint_count = (unsigned)(savepoint - listening->savepoints) + 1;
	return true;
}

bool sim_notify_release(struct sim_session *session, unsigned name)
{
	struct sim_listening *listening = &session->listening;
	const struct sim_savepoint *savepoint = notify_find_savepoint(listening, name);

	if (savepoint)
		listening->savepoint_count = (unsigned)(savepoint - listening->savepoints);
	return savepoint != NULL;
}

void sim_notify_reset(struct sim_session *session)
{
	sim_notify_rollback(session);
	session->listening.now = session->listening.next = session->listening.client = 0;
	session->listening.is_herald = session->listening.is_restored = false;
	sim_bytes_free(&session->listening.heard);
}

/* ---- telling ---- */

bool sim_notify_has_news(const struct sim_session *session)
{
	return session->listening.heard.len > 0 && session->status == 'I' && !session->in_query &&
		session->batch_owner == 0 && !session->is_skipping && !session->is_copying_in;
}

void sim_notify_tell(struct sim_session *session)
{
	struct sim_bytes *heard = &session->listening.heard;

	while (heard->len > 0) {
		const uint8_t *at = sim_bytes_at(heard);
		size_t len = frame_u32(at + 1) + 1;

		if (session->listening.now & notify_bit((const char *)at + FRAME_HEAD + 4))
			sim_bytes_add(&session->out, at, len);
		sim_bytes_take(heard, len);
	}
}

static void notify_row(
	struct sim_session *session, const char *kind, const char *name, const char *value)
{
	const char *columns[] = {kind, name, value};

	sim_bytes_begin(&session->out, 'D');
	sim_bytes_add_u16(&session->out, array_len(columns));
	for (size_t i = 0; i < array_len(columns); i++) {
		sim_bytes_add_u32(&session->out, (uint32_t)strlen(columns[i]));
		sim_bytes_add(&session->out, columns[i], strlen(columns[i]));
	}
	sim_bytes_end(&session->out);
}

unsigned sim_notify_rows(struct sim_session *session, bool with_restored)
{
	char bit[2] = {(char)('a' + TRACE_BIT_LISTEN), '\0'}, name[16];
	unsigned count = 0;

	if (with_restored) {
		notify_row(session, "r", "c", session->listening.restored);
		sim_reached(REACH_LISTEN_DOUBTED);
		count++;
	}
	if (session->listening.now == 0)
		return count;
	notify_row(session, "t", bit, "");
	for (unsigned i = 0; i < SIM_CHANNELS; i++) {
		if (!(session->listening.now & 1U << i))
			continue;
		notify_row(session, "l", "c", notify_name(i, name));
		count++;
	}
	return count + 1;
}

/* ---- losing ---- */

/* What listening connections listen to: there is another already if the pooler has noticed before us. */
static unsigned notify_heralded(unsigned port)
{
	unsigned channels = 0;

	for (unsigned i = 0; i < sim_server_sessions(); i++) {
		const struct sim_session *session = sim_server_session(i);

		if (session->port == port && session->listening.is_herald)
			channels |= session->listening.now;
	}
	return channels;
}

void sim_notify_lost(struct sim_session *session)
{
	struct notify_server *server = notify_server(session->port);

	if (!session->listening.is_herald)
		return;
	sim_trace("session %u: what it was to hear may be lost", session->pid);
	for (unsigned i = 0; i < server->count; i++)
		server->order[i].may_be_lost = true;
	session->listening.is_herald = false;
	server->lost = NOTIFY_ALL & ~notify_heralded(session->port);
	sim_reached(REACH_HERALD_LOST);
}

void sim_notify_ended(struct sim_session *session, bool by_itself)
{
	if (by_itself)
		sim_notify_lost(session);
	sim_bytes_free(&session->listening.posts);
	sim_bytes_free(&session->listening.heard);
	free(session->listening.savepoints);
	session->listening.savepoints = NULL;
	session->listening.savepoint_count = session->listening.savepoint_size = 0;
}

/* ---- clients ---- */

void sim_notify_heard(unsigned client, const char *channel, const char *payload)
{
	struct notify_client *listener = notify_client(client);
	const struct notify_server *server = notify_server(sim_client_port(client));
	unsigned from, seq, place = listener->behind;

	SIM_CHECK(sim_sql_parse_tag(payload, strlen(payload), &from, &seq),
		"C%u hears \"%s\" on %s", client, payload, channel);
	while (place < server->count &&
		(server->order[place].client != from || server->order[place].seq != seq))
		place++;
	SIM_CHECK(place < server->count,
		"C%u hears C%u.%u twice, out of order, or although nobody has notified it", client,
		from, seq);
	SIM_CHECK(notify_bit(channel) == 1U << server->order[place].channel,
		"C%u hears C%u.%u on %s instead of n%u", client, from, seq, channel,
		server->order[place].channel);
	SIM_CHECK(notify_may_hear(client, server->order[place].channel, place),
		"C%u hears C%u.%u, place %u, but does not listen to %s", client, from, seq, place,
		channel);
	for (unsigned i = listener->behind; i < place; i++)
		SIM_CHECK(!notify_must_hear(client, server, i),
			"C%u hears C%u.%u, place %u, but has not heard C%u.%u, place %u", client,
			from, seq, place, server->order[i].client, server->order[i].seq, i);
	listener->behind = place + 1;
	sim_reached(REACH_NOTIFIED);
}

bool sim_notify_owes(unsigned client)
{
	struct notify_client *listener = notify_client(client);
	const struct notify_server *server = notify_server(sim_client_port(client));

	if (listener->owed < listener->behind)
		listener->owed = listener->behind;
	while (listener->owed < server->count && !notify_must_hear(client, server, listener->owed))
		listener->owed++;
	return listener->owed < server->count;
}
