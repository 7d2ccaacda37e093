/* address: where a socket is: IPv4, IPv6 or a unix path. Plain values without owner. */
#ifndef PGRING_NET_ADDRESS_H
#define PGRING_NET_ADDRESS_H

#include "core/check.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in ip4;
		struct sockaddr_in6 ip6;
		struct sockaddr_un local;
	};
	socklen_t len;
};

enum { ADDRESS_TEXT = 128 };

/* A numeric host ("127.0.0.1", "::1", "[::1]", "*" for all). Returns 0 or ERR_INVALID if it is a name. */
must_check int address_numeric(const char *host, uint16_t port, struct address *ret_address);

/* The socket PostgreSQL would have in that directory: DIR/.s.PGSQL.PORT. Returns 0 or ERR_TOO_LONG. */
must_check int address_unix(const char *directory, uint16_t port, struct address *ret_address);

bool address_is_unix(const struct address *address);
bool address_is_loopback(const struct address *address);
uint16_t address_port(const struct address *address);

/* "127.0.0.1", "::1" or the path ("unix" for a nameless one), without the port. Returns `text`. */
const char *address_text(const struct address *address, char text[ADDRESS_TEXT]);

#endif
