/* socket: the few system calls on sockets that do not go through the ring, because they never wait.
 *
 * Any thread. Descriptors are plain, close-on-exec, and belong to the caller.
 */
#ifndef PGRING_NET_SOCKET_H
#define PGRING_NET_SOCKET_H

#include "net/address.h"

enum { SOCKET_BACKLOG = 4096 }; /* connections that wait to be accepted */

/* What the [tcp] section says, for sockets of both sides. */
struct socket_options {
	bool keepalive;
	int keepalive_idle_s, keepalive_interval_s, keepalive_count; /* 0 = leave */
	int user_timeout_ms;                                         /* 0 = leave */
	const char *congestion;                                      /* NULL = leave */
	bool by_peer; /* set by socket_listen: some connections need other options than their listener */
};

/* Before any thread runs; the strings must live for ever. */
void socket_set_options(const struct socket_options *options);

/* A socket for connecting to that address, with its options set. Returns the descriptor, ERR_NO_DESCRIPTOR or ERR_SYSTEM. */
must_check int socket_open(const struct address *address);

/* A listening socket. `unix_mode` is the mode of the socket file. A unix socket file that nobody listens on is replaced.
 * Returns the descriptor, or ERR_* with errno set. */
must_check int socket_listen(const struct address *address, int unix_mode);

/* Who the peer is; its length is 0 if the connection has gone meanwhile. */
void socket_peer(int fd, struct address *ret_peer);

/* Options that an accepted socket has not inherited. Fills in who the peer is if that had to be known, or is asked for; else its
 * length is 0, and socket_peer() tells later. */
void socket_accepted(int fd, bool asks, struct address *ret_peer);

/* Our end of a connection; a nameless address if it is gone. */
void socket_local(int fd, struct address *ret_address);
/* The process at the other end of a unix socket; 0 for others. */
int socket_peer_pid(int fd);

/* Ends both directions; the peer sees it and every receive ends. */
void socket_shutdown(int fd);
void socket_shutdown_send(int fd);
void socket_close(int fd);

#endif
