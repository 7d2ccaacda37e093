/* relay: the floor of the comparison: a bare 1:1 relay without parsing and without pooling. Client
 * connection i gets server connection i; bytes go from one to the other.
 *
 * Two relays: edge-triggered epoll with recv and send, and (--uring) a ring with multishot recv and
 * one send at a time per socket from a ring of provided buffers. What a pooler costs more than this
 * is what it does.
 */
#include "bench/relay_uring.h"

#include "bench/child.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 1024, READS_PER_EVENT = 16 };

/* Edge-triggered: a short read means that nothing is left, unless the end is behind it. */
#define INPUT (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* One socket of a pair. */
struct side {
	int fd;
	uint32_t events; /* those epoll watches */
	struct pair *pair;
	struct side *peer;
	uint8_t *rest; /* what this socket has not taken yet */
	size_t rest_len, rest_sent;
};

struct pair {
	struct side client, server;
	bool closed;
	struct pair *next_closed;
};

static struct {
	int epoll;
	uint8_t *buffer;
	size_t buffer_bytes;
	struct child_endpoint target;
	struct pair *closed; /* freed when no event of this turn can name them */
} relay;

static void watch_for(struct side *side, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = side};

	if (side->events == events)
		return;
	side->events = events;
	epoll_ctl(relay.epoll, EPOLL_CTL_MOD, side->fd, &event);
}

static void close_pair(struct pair *pair)
{
	if (pair->closed)
		return;
	close(pair->client.fd);
	close(pair->server.fd);
	pair->closed = true;
	pair->next_closed = relay.closed;
	relay.closed = pair;
}

static void free_closed(void)
{
	while (relay.closed) {
		struct pair *pair = relay.closed;

		relay.closed = pair->next_closed;
		free(pair->client.rest);
		free(pair->server.rest);
		free(pair);
	}
}

/* The rest that `to` does not take now is kept, and the other side is not read until it is out. */
static void keep_rest(struct side *to, const uint8_t *bytes, size_t len)
{
	if (!to->rest)
		to->rest = malloc(relay.buffer_bytes);
	if (!to->rest)
		child_fail("out of memory");
	memcpy(to->rest, bytes, len);
	to->rest_len = len;
	to->rest_sent = 0;
	watch_for(to->peer, 0);
	watch_for(to, EPOLLOUT);
}

static void on_readable(struct side *from, bool hangup)
{
	struct side *to = from->peer;

	for (int turn = 0; turn < READS_PER_EVENT; turn++) {
		ssize_t got = recv(from->fd, relay.buffer, relay.buffer_bytes, 0), sent;

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			close_pair(from->pair);
			return;
		}
		sent = send(to->fd, relay.buffer, (size_t)got, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			close_pair(from->pair);
			return;
		}
		if (sent < got) {
			sent = sent < 0 ? 0 : sent;
			keep_rest(to, relay.buffer + sent, (size_t)(got - sent));
			return;
		}
		if ((size_t)got < relay.buffer_bytes && !hangup)
			return;
	}
	from->events = 0; /* others have their turn; asking again brings the edge again */
	watch_for(from, INPUT);
}

static void on_room(struct side *to)
{
	ssize_t sent =
		send(to->fd, to->rest + to->rest_sent, to->rest_len - to->rest_sent, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN) {
		close_pair(to->pair);
		return;
	}
	to->rest_sent += sent > 0 ? (size_t)sent : 0;
	if (to->rest_sent < to->rest_len)
		return;
	to->rest_len = to->rest_sent = 0;
	watch_for(to, to->peer->rest_len ? 0 : INPUT);
	watch_for(to->peer, to->peer->rest_len ? EPOLLOUT : INPUT);
}

static void add_side(struct side *side, struct side *peer, struct pair *pair, int fd)
{
	struct epoll_event event = {.events = INPUT, .data.ptr = side};

	*side = (struct side){.fd = fd, .events = INPUT, .pair = pair, .peer = peer};
	if (epoll_ctl(relay.epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		child_fail("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int listener)
{
	int client;

	while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		int server = child_connect(&relay.target);
		struct pair *pair;

		if (server < 0) {
			close(client);
			continue;
		}
		pair = calloc(1, sizeof *pair);
		if (!pair)
			child_fail("out of memory");
		child_tune(client);
		add_side(&pair->client, &pair->server, pair, client);
		add_side(&pair->server, &pair->client, pair, server);
	}
}

static void on_event(struct side *side, uint32_t events)
{
	if (side->pair->closed)
		return;
	if (side->rest_len && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		on_room(side);
	else if (!side->peer->rest_len)
		on_readable(side, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else if (events & (EPOLLERR | EPOLLHUP))
		close_pair(side->pair);
}

static void run_epoll(int listener)
{
	struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];

	relay.epoll = epoll_create1(EPOLL_CLOEXEC);
	relay.buffer = malloc(relay.buffer_bytes);
	if (relay.epoll < 0 || !relay.buffer ||
		epoll_ctl(relay.epoll, EPOLL_CTL_ADD, listener, &event) != 0)
		child_fail("cannot start: %s", strerror(errno));
	while (!child_stopping) {
		int ready = epoll_wait(relay.epoll, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			if (events[i].data.ptr)
				on_event(events[i].data.ptr, events[i].events);
			else
				accept_all(listener);
		}
		free_closed();
	}
}

static const struct option options[] = {
	{"listen", required_argument, NULL, 'l'},
	{"to", required_argument, NULL, 'T'},
	{"uring", no_argument, NULL, 'u'},
	{"congestion", required_argument, NULL, 'g'},
	{"buffer", required_argument, NULL, 'b'},
	{"cpu", required_argument, NULL, 'c'},
	{"lifetime", required_argument, NULL, 't'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const char usage[] =
	"usage: relay --to ADDRESS:PORT|SOCKET [--listen ADDRESS:PORT] [--uring] [--buffer BYTES]\n"
	"             [--congestion NAME] [--cpu N] [--lifetime S]\n"
	"Relays each connection to one of its own, byte by byte. Prints \"listening on port "
	"PORT\";\n"
	"ends with its parent, on SIGTERM or after S seconds (default 900). --buffer (epoll; "
	"default\n"
	"65536) is what one recv takes. With --uring the status is 77 where the kernel does not\n"
	"offer what it needs.\n";

int main(int argc, char **argv)
{
	const char *listen = "127.0.0.1:0";
	unsigned lifetime_s = CHILD_LIFETIME_S;
	struct child_endpoint endpoint;
	int cpu = -1, option, listener;
	bool uring = false;
	uint16_t port = 0;

	relay.buffer_bytes = 64 << 10;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			listen = optarg;
			break;
		case 'g':
			child_congestion(optarg);
			break;
		case 'T':
			relay.target = child_endpoint(optarg);
			break;
		case 'u':
			uring = true;
			break;
		case 'b':
			relay.buffer_bytes = (size_t)child_number("buffer", optarg, 512, 64 << 20);
			break;
		case 'c':
			cpu = (int)child_number("cpu", optarg, 0, 1023);
			break;
		case 't':
			lifetime_s = (unsigned)child_number("lifetime", optarg, 1, 86400);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			return option != 'h';
		}
	}
	if (!relay.target.len)
		child_fail("--to is needed (--help)");
	child_setup(lifetime_s, cpu);
	if (uring && relay_uring_start() != 0)
		return 77;
	endpoint = child_endpoint(listen);
	listener = child_listen(&endpoint, &port);
	printf("listening on port %u\n", port);
	fflush(stdout);
	if (uring)
		relay_uring_run(listener, &relay.target);
	else
		run_epoll(listener);
	return 0;
}
