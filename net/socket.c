/* Sockets: making them, their options, their end. */
#include "net/socket.h"

#include "core/errors.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct socket_options socket_options = {.keepalive = true};

void socket_set_options(const struct socket_options *options)
{
	socket_options = *options;
}

static void socket_set(int fd, int level, int option, int value)
{
	/* A kernel that does not know an option works as well without it. */
	(void)setsockopt(fd, level, option, &value, sizeof value);
}

/* Pacing by BBR costs 30-50 % more CPU on loopback and serves nothing there. */
static void socket_set_congestion(int fd, const struct address *peer)
{
	const char *congestion = socket_options.congestion;

	if (!congestion && address_is_loopback(peer))
		congestion = "cubic";
	if (congestion)
		(void)setsockopt(
			fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion));
}

static void socket_set_tcp(int fd, const struct address *peer)
{
	const struct socket_options *options = &socket_options;

	socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, options->keepalive);
	if (options->keepalive_idle_s)
		socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepalive_idle_s);
	if (options->keepalive_interval_s)
		socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepalive_interval_s);
	if (options->keepalive_count)
		socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_count);
	if (options->user_timeout_ms)
		socket_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
	socket_set_congestion(fd, peer);
}

static int socket_make(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? ERR_NO_DESCRIPTOR : ERR_SYSTEM;
	return fd;
}

int socket_open(const struct address *address)
{
	int fd = socket_make(address);

	if (fd >= 0 && !address_is_unix(address))
		socket_set_tcp(fd, address);
	return fd;
}

/* A file left behind by a process that is gone: nobody answers there. */
static void socket_remove_stale(const struct address *address)
{
	struct stat status;
	int fd;

	if (stat(address->local.sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return;
	/* without waiting: somebody whose backlog is full is there, too */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &address->any, address->len) < 0 && errno == ECONNREFUSED)
		unlink(address->local.sun_path);
	close(fd);
}

int socket_listen(const struct address *address, int unix_mode)
{
	int fd, saved;

	if (address_is_unix(address))
		socket_remove_stale(address);
	fd = socket_make(address);
	if (fd < 0)
		return fd;
	if (address_is_unix(address)) {
		/* the file appears with its final mode */
		mode_t mask = umask((mode_t)(0777 & ~unix_mode));
		int result = bind(fd, &address->any, address->len);

		umask(mask);
		if (result < 0)
			goto fail;
	} else {
		socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (address->any.sa_family == AF_INET6)
			socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		socket_set_tcp(fd, address); /* accepted sockets inherit all of it, ... */
		socket_options.by_peer |=    /* ... but what depends on the peer */
			!socket_options.congestion && !address_is_loopback(address);
		if (bind(fd, &address->any, address->len) < 0)
			goto fail;
	}
	if (listen(fd, SOCKET_BACKLOG) < 0)
		goto fail;
	return fd;
fail:
	saved = errno;
	close(fd);
	errno = saved;
	return ERR_SYSTEM;
}

void socket_peer(int fd, struct address *ret_peer)
{
	memset(ret_peer, 0, sizeof *ret_peer);
	ret_peer->len = sizeof ret_peer->ip6 > sizeof ret_peer->local ? sizeof ret_peer->ip6
								      : sizeof ret_peer->local;
	if (getpeername(fd, &ret_peer->any, &ret_peer->len) < 0)
		ret_peer->len = 0;
}

void socket_accepted(int fd, bool asks, struct address *ret_peer)
{
	ret_peer->len = 0;
	if (asks || socket_options.by_peer)
		socket_peer(fd, ret_peer);
	if (socket_options.by_peer && ret_peer->len > 0 && !address_is_unix(ret_peer))
		socket_set_congestion(fd, ret_peer);
}

void socket_local(int fd, struct address *ret_address)
{
	memset(ret_address, 0, sizeof *ret_address);
	ret_address->len = sizeof ret_address->local;
	if (getsockname(fd, &ret_address->any, &ret_address->len) < 0)
		memset(ret_address, 0, sizeof *ret_address);
}

int socket_peer_pid(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
}

void socket_shutdown(int fd)
{
	(void)shutdown(fd, SHUT_RDWR);
}

void socket_shutdown_send(int fd)
{
	(void)shutdown(fd, SHUT_WR);
}

void socket_close(int fd)
{
	(void)close(fd);
}
