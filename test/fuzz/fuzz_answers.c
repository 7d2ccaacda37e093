/* What a server sends, in one piece and in pieces: the client gets the same bytes, and pgring draws the same conclusions.
 *
 * The real pool/answers.c with the real queue of what is owed, parameters and chains, between doubles of its neighbours: the
 * ring's buffers, the stream's flow, and the server and its lease, which here only write down what they are told.
 *
 * The input: how many messages the server has to answer and which ones; then what it sends, as it is or as a list of messages,
 * so that the fuzzer need not find lengths; the sizes of the pieces come from the same bytes. Its memory ends where its bytes end.
 */
#include "pool/lease.h"
#include "pool/names.h"
#include "pool/pool.h"
#include "protocol/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SENT_MAX = 192 * 1024, BUFFERS = 1024, ASKED_MAX = 15, PIECES_AT_ONCE = 3 };

/* ---- doubles ---- */

struct ring {
	uint8_t *bytes[BUFFERS];
	unsigned holders[BUFFERS];
};

void ring_buffer_hold(struct ring *ring, uint16_t buffer)
{
	CHECK(ring->holders[buffer] > 0);
	ring->holders[buffer]++;
}

void ring_buffer_drop(struct ring *ring, uint16_t buffer)
{
	CHECK(ring->holders[buffer] > 0);
	if (--ring->holders[buffer] == 0)
		free(ring->bytes[buffer]);
}

/* One connection with all that hangs on it. */
struct scene {
	struct core core;
	struct net net;
	struct ring ring;
	struct pool pool;
	struct config_pool config;
	struct stream sink, source;
	struct lease lease;
	struct server server;
	uint8_t asked[ASKED_MAX]; /* again each time that all is answered */
	unsigned asked_count;
	bool releases; /* the lease ends with the transaction */
};

/* What happens at a point of the stream is written into what the client gets at that point. */
static void note(struct core *core, const char *format, int number, const char *text)
{
	struct scene *scene = container_of(core, struct scene, core);
	char line[200];
	int len = snprintf(line, sizeof line, format, number, text);

	if (len > (int)sizeof line - 1)
		len = sizeof line - 1;
	chain_copy(core, &scene->sink.out, line, (size_t)len);
}

static void ask(struct scene *scene)
{
	for (unsigned i = 0; i < scene->asked_count; i++) {
		enum pending_kind kind =
			(enum pending_kind)(1 + scene->asked[i] % PENDING_COPY_END);
		unsigned flags = scene->asked[i] / PENDING_COPY_END;

		if (kind == PENDING_COPY_END)
			pending_push_copy_end(&scene->server.pending);
		else if (flags % 8 == 7)
			pending_push(&scene->server.pending, kind, PENDING_HIDDEN);
		else if (flags % 8 == 6)
			pending_push(&scene->server.pending, kind,
				PENDING_REFUSED | 1 << PENDING_REASON_SHIFT);
		else
			pending_push(&scene->server.pending, kind, 0);
	}
}

void server_ready(struct core *core, struct server *server, bool hidden)
{
	struct scene *scene = container_of(core, struct scene, core);

	note(core, "<ready %d %s>", server->status, hidden ? "hidden" : "");
	if (!pending_empty(&server->pending))
		return;
	if (scene->releases && server->status == 'I' && server->lease) {
		server->lease = NULL;
		server->state = SERVER_IDLE;
		return;
	}
	if (server->lease)
		ask(scene);
}

void server_close(struct core *core, struct server *server, const char *reason)
{
	CHECK(!server->lease && server->state != SERVER_CLOSING);
	note(core, "<close %d %s>", 0, reason);
	server->state = SERVER_CLOSING;
}

void lease_lose(struct core *core, struct server *server, const struct fault *fault)
{
	CHECK(server->lease);
	note(core, "<lost %d %s>", server->left > 0 && !server->hides_rest, fault->sqlstate);
	note(core, "<%d %s>", (int)server->pending.count, fault->message);
	server->lease = NULL;
}

static void refused(struct core *core, struct lease *lease, unsigned refusal)
{
	CHECK(lease->server->lease == lease);
	note(core, "<refused %d%s>", (int)refusal, "");
}

static const struct lease_events events = {.refused = refused};

void stream_pause(struct core *core, struct stream *stream)
{
	(void)core;
	stream->reading = false;
}

void log_line(struct core *core, enum log_level level, const char *format, ...)
{
	(void)core;
	(void)level;
	(void)format;
}

/* ---- scenes ---- */

static struct scene *scene_new(const uint8_t *asked, unsigned count, bool releases)
{
	struct scene *scene = calloc(1, sizeof *scene);

	scene->core.net = &scene->net;
	scene->net.ring = &scene->ring;
	list_init(&scene->net.dirty);
	list_init(&scene->net.holders);
	list_init(&scene->core.ready);
	list_init(&scene->sink.dirty);
	list_init(&scene->sink.holder);
	scene->config =
		(struct config_pool){.server_user = "u", .host = "h", .server_database = "d"};
	scene->pool.config = &scene->config;
	scene->lease = (struct lease){.events = &events,
		.pool = &scene->pool,
		.sink = &scene->sink,
		.names = (struct names *)(uintptr_t)&names_none,
		.server = &scene->server};
	scene->server.pool = &scene->pool;
	scene->server.stream = &scene->source;
	scene->server.lease = &scene->lease;
	scene->server.state = SERVER_LEASED;
	scene->server.status = 'I';
	pending_reset(&scene->server.pending);
	memcpy(scene->asked, asked, count);
	scene->asked_count = count;
	scene->releases = releases;
	ask(scene);
	return scene;
}

static void scene_free(struct scene *scene)
{
	chain_clear(&scene->core, &scene->sink.out);
	chain_free_lists(&scene->core);
	params_clear(&scene->server.params);
	answers_forget(&scene->server);
	for (unsigned i = 0; i < BUFFERS; i++)
		CHECK(scene->ring.holders[i] == 0);
	free(scene);
}

/* A receive buffer with these bytes. */
static struct span receive(struct scene *scene, const uint8_t *bytes, size_t len)
{
	struct span span = {.len = (uint32_t)len};

	while (scene->ring.holders[span.buffer] > 0)
		CHECK(++span.buffer < BUFFERS);
	span.bytes = scene->ring.bytes[span.buffer] = malloc(len);
	scene->ring.holders[span.buffer] = 1;
	memcpy(span.bytes, bytes, len);
	return span;
}

static void send_whole(struct scene *scene, const uint8_t *sent, size_t len)
{
	struct span span;

	if (len == 0)
		return;
	span = receive(scene, sent, len);
	answers_data(&scene->core, &scene->server, &span, 1);
	ring_buffer_drop(&scene->ring, span.buffer);
}

/* In buffers of sizes that `sizes` gives, some of them in one completion. */
static void send_pieces(
	struct scene *scene, const uint8_t *sent, size_t len, const uint8_t *sizes, size_t count)
{
	size_t at = 0, next = 0;

	while (at < len && scene->server.state != SERVER_CLOSING) {
		struct span spans[PIECES_AT_ONCE];
		unsigned pieces = 0;

		do {
			unsigned size = count ? sizes[next++ % count] : 0;
			size_t n = size < 250 ? 1 + size : LIMIT_BUFFER_BYTES;

			if (n > len - at)
				n = len - at;
			spans[pieces++] = receive(scene, sent + at, n);
			at += n;
		} while (at < len && pieces < PIECES_AT_ONCE && count && sizes[next++ % count] & 1);
		answers_data(&scene->core, &scene->server, spans, pieces);
		for (unsigned i = 0; i < pieces; i++)
			ring_buffer_drop(&scene->ring, spans[i].buffer);
		if (scene->sink.out.borrowed > BUFFERS / 2)
			chain_unborrow(&scene->core, &scene->sink.out, 0);
	}
}

static void compare(const struct scene *a, const struct scene *b)
{
	static uint8_t to_a[2 * SENT_MAX], to_b[2 * SENT_MAX];
	const struct server *s = &a->server, *t = &b->server;
	size_t len = chain_peek(&a->sink.out, to_a, sizeof to_a);

	CHECK(chain_peek(&b->sink.out, to_b, sizeof to_b) == len);
	CHECK(memcmp(to_a, to_b, len) == 0);
	CHECK(s->state == t->state && s->status == t->status && s->dirt == t->dirt);
	CHECK(!s->lease == !t->lease);
	CHECK(s->pending.count == t->pending.count && s->pending.skipping == t->pending.skipping);
	CHECK(s->pending.copying == t->pending.copying);
	CHECK(s->params.count == t->params.count);
	for (size_t i = 0; i < s->params.count; i++) {
		CHECK(strcmp(s->params.items[i].name, t->params.items[i].name) == 0);
		CHECK(strcmp(s->params.items[i].value, t->params.items[i].value) == 0);
	}
	if (s->state == SERVER_CLOSING)
		return;
	CHECK(answers_at_border(s) == answers_at_border(t));
	CHECK(s->hides_rest == t->hides_rest && s->left == t->left &&
		s->gather.have == t->gather.have);
	CHECK(a->pool.stats.sent == b->pool.stats.sent);
}

/* Messages from rows of type, length and body; a length of 255 is a large one. Messages that must be looked at whole are no larger
 * than what is looked at. */
static size_t compose(const uint8_t *rows, size_t len, uint8_t *sent)
{
	size_t at = 0, used = 0;

	while (at + 2 <= len) {
		uint8_t type = rows[at], length = rows[at + 1];
		bool is_peeked = type == SERVER_ERROR || type == SERVER_PARAMETER_STATUS;
		uint32_t body = length < 255 ? length : is_peeked ? 5000 : 70000;
		size_t given = length < len - at - 2 ? length : len - at - 2;

		if (used + FRAME_HEAD + body > SENT_MAX)
			break;
		frame_write(sent + used, type, body);
		memset(sent + used + FRAME_HEAD, 0, body);
		memcpy(sent + used + FRAME_HEAD, rows + at + 2, given);
		used += FRAME_HEAD + body;
		at += 2 + given;
	}
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t sent[SENT_MAX];
	struct scene *whole, *pieces;
	unsigned asked;
	size_t len;

	if (size < 1 || size < 1 + (size_t)(asked = data[0] & 15))
		return 0;
	if (data[0] & 16) {
		len = compose(data + 1 + asked, size - 1 - asked, sent);
	} else {
		len = size - 1 - asked < SENT_MAX ? size - 1 - asked : SENT_MAX;
		memcpy(sent, data + 1 + asked, len);
	}
	whole = scene_new(data + 1, asked, data[0] & 32);
	pieces = scene_new(data + 1, asked, data[0] & 32);
	send_whole(whole, sent, len);
	send_pieces(pieces, sent, len, data + 1 + asked, size - 1 - asked);
	compare(whole, pieces);
	scene_free(whole);
	scene_free(pieces);
	return 0;
}
