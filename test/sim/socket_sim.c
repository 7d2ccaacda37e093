/* The simulator's sockets. Stands in for net/socket.c. */
#include "net/socket.h"

#include "core/errors.h"
#include "test/sim/sim.h"
#include "test/sim/sim_net.h"

#include <arpa/inet.h>
#include <string.h>

void socket_set_options(const struct socket_options *options)
{
	(void)options;
}

int socket_open(const struct address *address)
{
	CHECK(address->len > 0);
	if (sim_fault(FAULT_NO_DESCRIPTOR))
		return ERR_NO_DESCRIPTOR;
	return sim_net_open()->fd;
}

int socket_listen(const struct address *address, int unix_mode)
{
	(void)address, (void)unix_mode;
	return sim_net_listen();
}

void socket_accepted(int fd, bool asks, struct address *ret_peer)
{
	(void)asks;
	socket_peer(fd, ret_peer);
}

void socket_peer(int fd, struct address *ret_peer)
{
	(void)sim_net_socket(fd);
	memset(ret_peer, 0, sizeof *ret_peer);
	ret_peer->ip4.sin_family = AF_INET;
	ret_peer->ip4.sin_port = htons(40000);
	ret_peer->ip4.sin_addr.s_addr = htonl(0x7f000001);
	ret_peer->len = sizeof ret_peer->ip4;
}

void socket_local(int fd, struct address *ret_address)
{
	socket_peer(fd, ret_address);
}

int socket_peer_pid(int fd)
{
	(void)fd;
	return 0;
}

void socket_shutdown(int fd)
{
	sim_net_shutdown(sim_net_socket(fd), true);
}

void socket_shutdown_send(int fd)
{
	sim_net_shutdown(sim_net_socket(fd), false);
}

void socket_close(int fd)
{
	sim_net_close_fd(fd);
}
