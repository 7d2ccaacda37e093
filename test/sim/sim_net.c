/* Pipes, descriptors and connections. */
#include "test/sim/sim_net.h"

#include "test/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NET_FIRST_FD = 100, NET_FDS = 4096, NET_BACKLOG = 64 };

static struct sim_socket *sockets[NET_FDS];
static unsigned descriptor_count, conn_count;
bool (*sim_net_connected)(const struct address *address, struct sim_conn *conn);

/* ---- pipes ---- */

static void pipe_open(struct sim_pipe *pipe)
{
	static const size_t sizes[] = {256, 1024, 4096, 16384, 65536, 131072};

	pipe->size = sizes[sim_below(array_len(sizes))];
	pipe->bytes = malloc(pipe->size);
	CHECK(pipe->bytes);
}

static size_t pipe_room(const struct sim_pipe *pipe)
{
	return pipe->size - pipe->len;
}

static void pipe_write(struct sim_pipe *pipe, const uint8_t *bytes, size_t len)
{
	size_t at = (pipe->begin + pipe->len) % pipe->size;
	size_t first = len < pipe->size - at ? len : pipe->size - at;

	CHECK(len <= pipe_room(pipe));
	memcpy(pipe->bytes + at, bytes, first);
	memcpy(pipe->bytes, bytes + first, len - first);
	pipe->len += len;
}

static void pipe_read(struct sim_pipe *pipe, uint8_t *bytes, size_t len)
{
	size_t first = len < pipe->size - pipe->begin ? len : pipe->size - pipe->begin;

	CHECK(len <= pipe->len);
	memcpy(bytes, pipe->bytes + pipe->begin, first);
	memcpy(bytes + first, pipe->bytes, len - first);
	pipe->begin = (pipe->begin + len) % pipe->size;
	pipe->len -= len;
}

/* ---- connections ---- */

static struct sim_conn *conn_new(void)
{
	struct sim_conn *conn = calloc(1, sizeof *conn);

	CHECK(conn);
	pipe_open(&conn->to_pgring);
	pipe_open(&conn->to_actor);
	list_init(&conn->link);
	conn_count++;
	return conn;
}

static void conn_try_free(struct sim_conn *conn)
{
	if (!conn->actor_closed || conn->socket || conn->is_queued)
		return;
	free(conn->to_pgring.bytes);
	free(conn->to_actor.bytes);
	free(conn);
	conn_count--;
}

/* ---- descriptors ---- */

void sim_net_begin(void)
{
	CHECK(descriptor_count == 0 && conn_count == 0);
}

void sim_net_end(void)
{
	SIM_CHECK(descriptor_count == 0, "%u descriptors are left open", descriptor_count);
	SIM_CHECK(conn_count == 0, "the simulator has lost %u connections", conn_count);
}

struct sim_socket *sim_net_open(void)
{
	struct sim_socket *socket = calloc(1, sizeof *socket);
	int at = 0;

	CHECK(socket);
	while (at < NET_FDS && sockets[at])
		at++;
	CHECK(at < NET_FDS);
	sockets[at] = socket;
	socket->fd = NET_FIRST_FD + at;
	list_init(&socket->backlog);
	descriptor_count++;
	return socket;
}

struct sim_socket *sim_net_socket(int fd)
{
	SIM_CHECK(fd >= NET_FIRST_FD && fd < NET_FIRST_FD + NET_FDS && sockets[fd - NET_FIRST_FD],
		"descriptor %d is used, but it is not open", fd);
	return sockets[fd - NET_FIRST_FD];
}

void sim_net_close_fd(int fd)
{
	struct sim_socket *socket = sim_net_socket(fd);
	struct sim_conn *conn = socket->conn;
	struct list *link;

	SIM_CHECK(socket->operations == 0, "fd %d is closed while %u operations are in flight", fd,
		socket->operations);
	while ((link = list_pop_front(&socket->backlog))) {
		struct sim_conn *queued = container_of(link, struct sim_conn, link);

		queued->is_queued = false;
		queued->actor_is_reset = true;
		conn_try_free(queued);
	}
	if (conn) {
		/* unread bytes: the kernel answers with a reset, which may overtake what is on its way to the peer */
		if (conn->to_pgring.len > 0) {
			conn->actor_is_reset = true;
			if (sim_fault(FAULT_RESET_LOSES))
				conn->to_actor.len = 0;
		}
		conn->to_actor.is_ended = true;
		conn->socket = NULL;
		conn_try_free(conn);
	}
	sockets[fd - NET_FIRST_FD] = NULL;
	free(socket);
	descriptor_count--;
}

void sim_net_shutdown(struct sim_socket *socket, bool both)
{
	if (!socket->conn)
		return;
	socket->conn->to_actor.is_ended = true;
	if (both)
		socket->is_shut = true;
}

unsigned sim_net_descriptors(void)
{
	return descriptor_count;
}

struct sim_conn *sim_net_connect(struct sim_socket *socket)
{
	struct sim_conn *conn = conn_new();

	CHECK(!socket->conn);
	socket->conn = conn;
	conn->socket = socket;
	return conn;
}

struct sim_socket *sim_net_accept(struct sim_socket *listener)
{
	struct list *link = list_pop_front(&listener->backlog);
	struct sim_conn *conn;

	if (!link)
		return NULL;
	conn = container_of(link, struct sim_conn, link);
	conn->is_queued = false;
	conn->socket = sim_net_open();
	conn->socket->conn = conn;
	return conn->socket;
}

size_t sim_net_readable(const struct sim_socket *socket)
{
	return socket->conn ? socket->conn->to_pgring.len : 0;
}

bool sim_net_is_over(const struct sim_socket *socket, int *ret_error)
{
	const struct sim_conn *conn = socket->conn;

	CHECK(conn);
	if (conn->to_pgring.len > 0)
		return false;
	*ret_error = conn->pgring_is_reset && !socket->is_shut ? -ECONNRESET : 0;
	return conn->pgring_is_reset || conn->to_pgring.is_ended || socket->is_shut;
}

void sim_net_receive(struct sim_socket *socket, void *bytes, size_t len)
{
	pipe_read(&socket->conn->to_pgring, bytes, len);
}

size_t sim_net_writable(const struct sim_socket *socket)
{
	const struct sim_conn *conn = socket->conn;

	CHECK(conn);
	return conn->actor_closed ? conn->to_actor.size : pipe_room(&conn->to_actor);
}

bool sim_net_is_broken(const struct sim_socket *socket, int *ret_error)
{
	const struct sim_conn *conn = socket->conn;

	CHECK(conn);
	*ret_error = conn->pgring_is_reset && !conn->to_actor.is_ended ? -ECONNRESET : -EPIPE;
	return conn->pgring_is_reset || conn->to_actor.is_ended;
}

void sim_net_send(struct sim_socket *socket, const void *bytes, size_t len)
{
	struct sim_conn *conn = socket->conn;

	if (conn->actor_closed) /* nobody reads it: a reset comes back */
		conn->pgring_is_reset = true;
	else
		pipe_write(&conn->to_actor, bytes, len);
}

/* ---- the actors' half ---- */

int sim_net_listen(void)
{
	struct sim_socket *socket = sim_net_open();

	socket->is_listening = true;
	return socket->fd;
}

struct sim_conn *sim_net_dial(int listener)
{
	struct sim_socket *socket = sim_net_socket(listener);
	struct sim_conn *conn;
	unsigned queued = 0;

	list_each(link, &socket->backlog)
		queued++;
	if (queued >= NET_BACKLOG)
		return NULL;
	conn = conn_new();
	conn->is_queued = true;
	list_push_back(&socket->backlog, &conn->link);
	return conn;
}

size_t sim_conn_readable(const struct sim_conn *conn)
{
	return conn->to_actor.len;
}

bool sim_conn_is_ended(const struct sim_conn *conn)
{
	return conn->to_actor.len == 0 && (conn->to_actor.is_ended || conn->actor_is_reset);
}

size_t sim_conn_writable(const struct sim_conn *conn)
{
	if (conn->actor_is_reset || (!conn->socket && !conn->is_queued) ||
		(conn->socket && conn->socket->is_shut))
		return conn->to_pgring.size; /* it goes nowhere */
	return pipe_room(&conn->to_pgring);
}

void sim_conn_read(struct sim_conn *conn, void *bytes, size_t len)
{
	pipe_read(&conn->to_actor, bytes, len);
}

void sim_conn_write(struct sim_conn *conn, const void *bytes, size_t len)
{
	if (conn->actor_is_reset)
		return;
	if (!conn->socket && !conn->is_queued) {
		conn->actor_is_reset =
			true; /* pgring has closed: the kernel answers with a reset */
		return;
	}
	if (conn->socket && conn->socket->is_shut)
		return;
	pipe_write(&conn->to_pgring, bytes, len);
}

void sim_conn_close(struct sim_conn *conn)
{
	/* closing with unread bytes is a reset, too */
	if (conn->to_actor.len > 0)
		conn->pgring_is_reset = true;
	conn->to_pgring.is_ended = true;
	conn->actor_closed = true;
	conn->to_actor.len = 0;
	conn_try_free(conn);
}

void sim_conn_reset(struct sim_conn *conn)
{
	conn->pgring_is_reset = true;
	if (sim_fault(FAULT_RESET_LOSES))
		conn->to_pgring.len = 0;
	sim_conn_close(conn);
}
