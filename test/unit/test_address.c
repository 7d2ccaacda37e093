/* Addresses from text and back. */
#include "net/address.h"

#include "core/errors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

static void numeric_hosts_are_addresses(void **state)
{
	static const struct {
		const char *host, *text;
		int family;
	} rows[] = {
		{"127.0.0.1", "127.0.0.1", AF_INET},
		{"255.255.255.255", "255.255.255.255", AF_INET},
		{"*", "0.0.0.0", AF_INET},
		{"0.0.0.0", "0.0.0.0", AF_INET},
		{"::", "::", AF_INET6},
		{"[::]", "::", AF_INET6},
		{"::1", "::1", AF_INET6},
		{"[::1]", "::1", AF_INET6},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1", AF_INET6},
		{"[2001:db8::1]", "2001:db8::1", AF_INET6},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1", AF_INET6},
		{"0000:0000:0000:0000:0000:ffff:192.168.100.228", "::ffff:192.168.100.228",
			AF_INET6},
	};
	static const uint16_t ports[] = {0, 1, 5432, 0x1234, 65535};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		for (size_t j = 0; j < array_len(ports); j++) {
			char text[ADDRESS_TEXT];
			struct address address;

			memset(&address, 0x5A, sizeof address);
			assert_int_equal(address_numeric(rows[i].host, ports[j], &address), 0);
			assert_int_equal(address.any.sa_family, rows[i].family);
			assert_int_equal(address.len,
				rows[i].family == AF_INET ? sizeof(struct sockaddr_in)
							  : sizeof(struct sockaddr_in6));
			assert_int_equal(address_port(&address), ports[j]);
			assert_ptr_equal(address_text(&address, text), text);
			assert_string_equal(text, rows[i].text);
			assert_false(address_is_unix(&address));
			if (rows[i].family == AF_INET6) {
				assert_int_equal(address.ip6.sin6_scope_id, 0);
				assert_int_equal(address.ip6.sin6_flowinfo, 0);
			}
		}
	}
}

static void names_are_not(void **state)
{
	static const char *const hosts[] = {"", "localhost", "db.example.com", "256.0.0.1", "1.2.3",
		"1.2.3.4.5", "1.2.3.4 ", " 1.2.3.4", "01.2.3.4", "[", "]", "[]", "[::1", "::1]",
		"[[::1]]", "[*]", "**", ":", ":::", "1::2::3", "12345::", "::1%lo", "::1/128",
		"/tmp", "0x7f000001",
		"[0000:0000:0000:0000:0000:ffff:192.168.100.228.0000:0000:0000:0000:0000:0000]"};

	(void)state;
	for (size_t i = 0; i < array_len(hosts); i++) {
		struct address address, before;

		memset(&address, 0x5A, sizeof address);
		before = address;
		if (address_numeric(hosts[i], 5432, &address) != ERR_INVALID)
			fail_msg("\"%s\" is taken for an address", hosts[i]);
		assert_memory_equal(&address, &before, sizeof address); /* untouched on failure */
	}
}

static void a_unix_socket_is_where_postgresql_has_it(void **state)
{
	struct address address;
	char text[ADDRESS_TEXT];

	(void)state;
	assert_int_equal(address_unix("/var/run/postgresql", 5432, &address), 0);
	assert_true(address_is_unix(&address));
	assert_false(address_is_loopback(&address));
	assert_string_equal(address.local.sun_path, "/var/run/postgresql/.s.PGSQL.5432");
	assert_int_equal(address.len,
		offsetof(struct sockaddr_un, sun_path) + strlen(address.local.sun_path) + 1);
	assert_string_equal(address_text(&address, text), "/var/run/postgresql/.s.PGSQL.5432");
	assert_int_equal(address_port(&address), 0);
}

/* sun_path has 108 bytes, its NUL included. */
static void a_unix_path_has_a_limit(void **state)
{
	(void)state;
	for (size_t len = 80; len < 130; len++) {
		struct address address, before;
		char directory[130] = "/", text[ADDRESS_TEXT];
		size_t whole = len + strlen("/.s.PGSQL.65535");
		int rc;

		memset(directory + 1, 'd', len - 1);
		memset(&address, 0x5A, sizeof address);
		before = address;
		rc = address_unix(directory, 65535, &address);
		assert_int_equal(rc, whole < sizeof address.local.sun_path ? 0 : ERR_TOO_LONG);
		if (rc != 0) {
			assert_memory_equal(&address, &before, sizeof address);
			continue;
		}
		assert_int_equal(strlen(address.local.sun_path), whole);
		assert_string_equal(address_text(&address, text), address.local.sun_path);
	}
}

static void loopback_is_known(void **state)
{
	static const struct {
		const char *host;
		bool is_loopback;
	} rows[] = {
		{"127.0.0.1", true},
		{"127.255.255.254", true},
		{"126.255.255.255", false},
		{"128.0.0.1", false},
		{"0.0.0.0", false},
		{"1.0.0.127", false},
		{"::1", true},
		{"::", false},
		{"::2", false},
		{"::ffff:127.0.0.1", true},
		{"::ffff:127.9.9.9", true},
		{"::ffff:10.0.0.127", false},
		{"::127.0.0.1", false},
		{"7f00::1", false},
		{"2001:db8::1", false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct address address;

		assert_int_equal(address_numeric(rows[i].host, 1, &address), 0);
		if (address_is_loopback(&address) != rows[i].is_loopback)
			fail_msg("%s", rows[i].host);
	}
}

/* What accept(2) tells of a client on a unix socket; unix(7), "pathname, unnamed, abstract". */
static void a_unix_peer_may_have_no_name(void **state)
{
	struct address address;
	char text[ADDRESS_TEXT];

	(void)state;
	memset(&address, 0x5A, sizeof address);
	address.local.sun_family = AF_UNIX;
	address.len = sizeof(sa_family_t); /* unnamed: the path is not there */
	assert_string_equal(address_text(&address, text), "unix");
	memcpy(address.local.sun_path, "\0hidden", 7);
	address.len = sizeof(sa_family_t) + 7;
	assert_string_equal(address_text(&address, text), "unix");
	memcpy(address.local.sun_path, "/tmp/x", 7);
	address.len = sizeof(sa_family_t) + 7;
	assert_string_equal(address_text(&address, text), "/tmp/x");
}

/* A pathname that fills sun_path has no NUL behind it (unix(7), BUGS); the kernel counts one all the same. */
static void a_unix_peer_may_have_no_nul(void **state)
{
	struct address address;
	char text[ADDRESS_TEXT], expected[ADDRESS_TEXT] = {0};

	(void)state;
	memset(&address, 0, sizeof address);
	address.local.sun_family = AF_UNIX;
	memset(address.local.sun_path, '/', sizeof address.local.sun_path);
	memset(expected, '/', sizeof address.local.sun_path);
	address.len = sizeof address.local + 1;
	assert_string_equal(address_text(&address, text), expected);
}

static void other_families_have_no_text(void **state)
{
	struct address address;
	char text[ADDRESS_TEXT] = "old";

	(void)state;
	memset(&address, 0, sizeof address);
	address.any.sa_family = AF_UNSPEC;
	assert_string_equal(address_text(&address, text), "");
	assert_int_equal(address_port(&address), 0);
	assert_false(address_is_loopback(&address));
	assert_false(address_is_unix(&address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numeric_hosts_are_addresses),
		cmocka_unit_test(names_are_not),
		cmocka_unit_test(a_unix_socket_is_where_postgresql_has_it),
		cmocka_unit_test(a_unix_path_has_a_limit),
		cmocka_unit_test(loopback_is_known),
		cmocka_unit_test(a_unix_peer_may_have_no_name),
		cmocka_unit_test(a_unix_peer_may_have_no_nul),
		cmocka_unit_test(other_families_have_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
