/* sim_net: the network in memory: descriptors of pgring, and connections between pgring and the actors, which are the simulated
 * clients and servers.
 *
 * sim_net_* is the kernel's half of it, for ring_sim.c and socket_sim.c; sim_conn_* the actors' half. Each direction of a
 * connection is a pipe of bounded size. A connection lives until both ends have closed it.
 */
#ifndef PGRING_TEST_SIM_SIM_NET_H
#define PGRING_TEST_SIM_SIM_NET_H

#include "core/list.h"
#include "net/address.h"

#include <stddef.h>
#include <stdint.h>

struct sim_pipe {
	uint8_t *bytes;
	size_t begin, len, size;
	bool is_ended; /* the writer has said that nothing follows */
};

struct sim_conn {
	struct sim_pipe to_pgring, to_actor;
	struct sim_socket *socket; /* pgring's end; NULL once closed, or not yet accepted */
	struct list link;          /* in a listener's backlog */
	bool is_queued;            /* it stands there */
	bool actor_closed;
	bool pgring_is_reset, actor_is_reset; /* what that end finds */
};

/* A descriptor of pgring. */
struct sim_socket {
	int fd;
	bool is_listening;
	bool is_shut;                  /* pgring has ended both directions */
	bool is_receiving, is_sending; /* an operation is in flight */
	unsigned operations;
	struct sim_conn *conn;
	struct list backlog; /* of connections */
};

/* Begins with an empty network. */
void sim_net_begin(void);
/* Everything must be closed. */
void sim_net_end(void);

/* ---- the kernel's half ---- */

/* A new descriptor, the lowest that is free. */
struct sim_socket *sim_net_open(void);
struct sim_socket *sim_net_socket(int fd);
void sim_net_close_fd(int fd);
void sim_net_shutdown(struct sim_socket *socket, bool both);
unsigned sim_net_descriptors(void);

/* Connects pgring's socket; the actor's end is returned. */
struct sim_conn *sim_net_connect(struct sim_socket *socket);
/* Takes the next connection from the backlog, or NULL. */
struct sim_socket *sim_net_accept(struct sim_socket *listener);

/* What a receive finds: bytes, else an error (0: the end), else nothing yet. */
size_t sim_net_readable(const struct sim_socket *socket);
bool sim_net_is_over(const struct sim_socket *socket, int *ret_error);
void sim_net_receive(struct sim_socket *socket, void *bytes, size_t len);
/* What a send finds: room, or an error. */
size_t sim_net_writable(const struct sim_socket *socket);
bool sim_net_is_broken(const struct sim_socket *socket, int *ret_error);
void sim_net_send(struct sim_socket *socket, const void *bytes, size_t len);

/* ---- the actors' half ---- */

/* The listening descriptor of pgring, which all cores share. */
int sim_net_listen(void);
/* A connection to it; NULL if there is no room in the backlog. */
struct sim_conn *sim_net_dial(int listener);

/* How many bytes can be read; whether nothing follows them. */
size_t sim_conn_readable(const struct sim_conn *conn);
bool sim_conn_is_ended(const struct sim_conn *conn);
size_t sim_conn_writable(const struct sim_conn *conn);
void sim_conn_read(struct sim_conn *conn, void *bytes, size_t len);
void sim_conn_write(struct sim_conn *conn, const void *bytes, size_t len);
/* The actor closes its end: with a FIN, or with a RST. The connection is the network's from there on. */
void sim_conn_close(struct sim_conn *conn);
void sim_conn_reset(struct sim_conn *conn);

/* Set by the driver: whoever listens at that address, or NULL: nobody does. The callee owns the connection's other end. */
extern bool (*sim_net_connected)(const struct address *address, struct sim_conn *conn);

#endif
