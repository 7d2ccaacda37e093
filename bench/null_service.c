/* The null server's connections. */
#include "bench/null_service.h"

#include "bench/child.h"
#include "bench/null_session.h"
#include "bench/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	INPUT_BYTES = 256 << 10,
	SENDS_PER_TURN = 16, /* of bulk rows, before others have their turn */
};

struct connection {
	int fd;
	bool lost;
	bool sending; /* epoll waits for room, not for input */
	struct null_session session;
	struct wire_buf in;  /* the start of a message that is not whole */
	struct wire_buf out; /* what the socket did not take */
};

static struct {
	int epoll;
	int listeners[2];
	unsigned listener_count;
	char path[256]; /* of the unix socket */
	uint8_t *input;
	size_t input_cap;
	struct wire_buf out; /* the answers of the connection being served */
	struct null_session_shared shared;
	uint64_t open, peak, total;
} server;

static void *tagged(void *object)
{
	return (char *)object + NULL_SERVICE_TAG;
}

/* Keeps what is not whole; it is in front of the next input. */
static void keep(struct connection *connection, const uint8_t *bytes, size_t len)
{
	wire_clear(&connection->in);
	if (len == 0)
		return;
	wire_bytes(&connection->in, bytes, len);
	if (len < server.input_cap / 2)
		return;
	server.input_cap *= 2;
	server.input = realloc(server.input, server.input_cap);
	if (!server.input)
		child_fail("out of memory");
}

/* Answers what is in server.input, as far as it goes: rows on their way out come first. */
static void take_all(struct connection *connection, size_t len)
{
	struct null_session *session = &connection->session;
	const uint8_t *at = server.input, *end = at + len;

	while (at < end && session->phase < NULL_SESSION_BULK) {
		size_t taken = null_session_take(session, at, (size_t)(end - at));

		if (taken == 0)
			break;
		at += taken;
	}
	keep(connection, at, (size_t)(end - at));
}

static size_t bring_kept(struct connection *connection)
{
	if (connection->in.len)
		memcpy(server.input, connection->in.bytes, connection->in.len);
	return connection->in.len;
}

/* Waits for room to send, or for input. */
static void await(struct connection *connection, bool room)
{
	struct epoll_event event = {.data.ptr = tagged(connection)};

	if (connection->sending == room)
		return;
	connection->sending = room;
	event.events = room ? EPOLLOUT : EPOLLIN | EPOLLRDHUP | EPOLLET;
	epoll_ctl(server.epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

/* Returns how much the socket took. */
static size_t send_some(struct connection *connection, const uint8_t *bytes, size_t len)
{
	ssize_t sent = send(connection->fd, bytes, len, MSG_NOSIGNAL);

	if (sent >= 0)
		return (size_t)sent;
	if (errno != EAGAIN)
		connection->lost = true;
	return 0;
}

/* Sends what is queued. Returns whether all of it is out. */
static bool flush(struct connection *connection)
{
	struct wire_buf *queued = &connection->out;
	size_t sent = 0;

	if (wire_unsent(queued)) {
		queued->sent +=
			send_some(connection, queued->bytes + queued->sent, wire_unsent(queued));
		if (!wire_unsent(queued))
			wire_clear(queued);
	}
	if (server.out.len && !wire_unsent(queued))
		sent = send_some(connection, server.out.bytes, server.out.len);
	if (sent < server.out.len)
		wire_bytes(queued, server.out.bytes + sent, server.out.len - sent);
	wire_clear(&server.out);
	return !wire_unsent(queued);
}

/* Sends bulk rows until the socket is full, all are out or others should have their turn. */
static void pump(struct connection *connection)
{
	for (int turn = 0; turn < SENDS_PER_TURN; turn++) {
		size_t len, sent;
		const uint8_t *rows = null_session_rows(&connection->session, &len);

		if (len == 0)
			return;
		sent = send_some(connection, rows, len);
		null_session_rows_sent(&connection->session, sent);
		if (sent < len)
			return;
	}
}

/* Takes what is there and answers, until there is nothing left to read or no room to write. With
 * edge-triggered epoll a short read means that nothing is left, unless the end of the stream is
 * behind it. */
static void serve(struct connection *connection, bool hangup)
{
	bool drained = false;

	while (flush(connection) && connection->session.phase != NULL_SESSION_CLOSED) {
		size_t kept = bring_kept(connection), room = server.input_cap - kept;
		ssize_t got;

		if (connection->session.phase == NULL_SESSION_BULK) {
			pump(connection);
			if (connection->session.phase == NULL_SESSION_BULK)
				return;
			take_all(connection, kept);
			continue;
		}
		if (drained)
			return;
		got = recv(connection->fd, server.input + kept, room, 0);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			connection->lost = true;
			return;
		}
		drained = (size_t)got < room && !hangup;
		take_all(connection, kept + (size_t)got);
	}
}

static void drop(struct connection *connection)
{
	close(connection->fd);
	null_session_end(&connection->session);
	wire_free(&connection->in);
	wire_free(&connection->out);
	free(connection);
	server.open--;
}

static void on_event(struct connection *connection, uint32_t events)
{
	struct null_session *session = &connection->session;

	serve(connection, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	if (connection->lost || session->phase == NULL_SESSION_CLOSED)
		drop(connection);
	else
		await(connection,
			wire_unsent(&connection->out) || session->phase == NULL_SESSION_BULK);
}

static void accept_all(int listener)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct connection *connection = calloc(1, sizeof *connection);

		if (!connection)
			child_fail("out of memory");
		child_tune(fd);
		connection->fd = fd;
		null_session_start(&connection->session, &server.shared, &server.out);
		event.data.ptr = tagged(connection);
		if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
			child_fail("epoll_ctl: %s", strerror(errno));
		server.total++;
		if (++server.open > server.peak)
			server.peak = server.open;
	}
}

static void add_listener(const char *where, uint16_t *port)
{
	struct child_endpoint endpoint = child_endpoint(where);
	int *listener = &server.listeners[server.listener_count++];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tagged(listener)};

	*listener = child_listen(&endpoint, port);
	if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, *listener, &event) != 0)
		child_fail("epoll_ctl: %s", strerror(errno));
}

void null_service_start(int epoll, const char *listen, const char *unix_dir, uint64_t wrong_every)
{
	uint16_t port = 0;

	server.epoll = epoll;
	server.shared.wrong_every = wrong_every;
	server.input_cap = INPUT_BYTES;
	server.input = malloc(server.input_cap);
	if (!server.input)
		child_fail("out of memory");
	add_listener(listen, &port);
	if (unix_dir) {
		snprintf(server.path, sizeof server.path, "%s/.s.PGSQL.%u", unix_dir, port);
		add_listener(server.path, &port);
	}
	printf("listening on port %u\n", port);
	fflush(stdout);
}

void null_service_event(const struct epoll_event *event)
{
	void *object = (char *)event->data.ptr - NULL_SERVICE_TAG;
	int *listener = object;

	if (listener >= server.listeners && listener < server.listeners + server.listener_count)
		accept_all(*listener);
	else
		on_event(object, event->events);
}

void null_service_end(void)
{
	if (server.path[0])
		unlink(server.path);
	printf("{\"connections\": %llu, \"peak\": %llu, \"open\": %llu, \"queries\": %llu}\n",
		(unsigned long long)server.total, (unsigned long long)server.peak,
		(unsigned long long)server.open, (unsigned long long)server.shared.queries);
	fflush(stdout);
}
