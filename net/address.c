/* Addresses from text and back. */
#include "net/address.h"

#include "core/errors.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

int address_numeric(const char *host, uint16_t port, struct address *ret_address)
{
	struct address address;
	char plain[INET6_ADDRSTRLEN];
	size_t len = strlen(host);

	memset(&address, 0, sizeof address);
	if (strcmp(host, "*") == 0)
		host = "0.0.0.0";
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']' && len - 2 < sizeof plain) {
		memcpy(plain, host + 1, len - 2);
		plain[len - 2] = '\0';
		host = plain;
	}
	if (inet_pton(AF_INET, host, &address.ip4.sin_addr) == 1) {
		address.ip4.sin_family = AF_INET;
		address.ip4.sin_port = htons(port);
		address.len = sizeof address.ip4;
	} else if (inet_pton(AF_INET6, host, &address.ip6.sin6_addr) == 1) {
		address.ip6.sin6_family = AF_INET6;
		address.ip6.sin6_port = htons(port);
		address.len = sizeof address.ip6;
	} else {
		return ERR_INVALID;
	}
	*ret_address = address;
	return 0;
}

int address_unix(const char *directory, uint16_t port, struct address *ret_address)
{
	struct address address;
	int len;

	memset(&address, 0, sizeof address);
	address.local.sun_family = AF_UNIX;
	len = snprintf(address.local.sun_path, sizeof address.local.sun_path, "%s/.s.PGSQL.%u",
		directory, port);
	if (len < 0 || (size_t)len >= sizeof address.local.sun_path)
		return ERR_TOO_LONG;
	address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len + 1);
	*ret_address = address;
	return 0;
}

bool address_is_unix(const struct address *address)
{
	return address->any.sa_family == AF_UNIX;
}

bool address_is_loopback(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return ntohl(address->ip4.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&address->ip6.sin6_addr) ||
			(IN6_IS_ADDR_V4MAPPED(&address->ip6.sin6_addr) &&
				address->ip6.sin6_addr.s6_addr[12] == 127);
	}
	return false;
}

uint16_t address_port(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return ntohs(address->ip4.sin_port);
	case AF_INET6:
		return ntohs(address->ip6.sin6_port);
	}
	return 0;
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT])
{
	text[0] = '\0';
	switch (address->any.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &address->ip4.sin_addr, text, ADDRESS_TEXT);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &address->ip6.sin6_addr, text, ADDRESS_TEXT);
		break;
	case AF_UNIX:
		snprintf(text, ADDRESS_TEXT, "%s",
			address->len > offsetof(struct sockaddr_un, sun_path) &&
					address->local.sun_path[0]
				? address->local.sun_path
				: "unix");
		break;
	}
	return text;
}
