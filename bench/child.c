/* A bench program as a bounded child process. */
#include "bench/child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t child_stopping;

static const char *congestion;

static void on_stop(int number)
{
	(void)number;
	child_stopping = 1;
}

void child_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void child_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		child_fail("cannot run on CPU %d: %s", cpu, strerror(errno));
}

void child_setup(unsigned lifetime_s, int cpu)
{
	struct sigaction stop = {.sa_handler = on_stop};
	struct rlimit files;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(lifetime_s); /* also if the parent was gone before the line above */
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	prctl(PR_SET_TIMERSLACK, 1);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	child_pin(cpu);
}

uint64_t child_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

long long child_number(const char *option, const char *text, long long from, long long to)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || *end || value < from || value > to)
		child_fail("--%s wants a number from %lld to %lld, not \"%s\"", option, from, to,
			text);
	return value;
}

static struct child_endpoint unix_endpoint(const char *path)
{
	struct child_endpoint endpoint = {.len = sizeof(struct sockaddr_un)};
	struct sockaddr_un *addr = (struct sockaddr_un *)&endpoint.addr;

	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof addr->sun_path)
		child_fail("%s: too long for a socket's path", path);
	memcpy(addr->sun_path, path, strlen(path) + 1);
	return endpoint;
}

struct child_endpoint child_endpoint(const char *text)
{
	struct child_endpoint endpoint = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *addr = (struct sockaddr_in *)&endpoint.addr;
	const char *colon = strrchr(text, ':');
	char host[64];

	if (text[0] == '/')
		return unix_endpoint(text);
	if (!colon || (size_t)(colon - text) >= sizeof host)
		child_fail("an address is ADDRESS:PORT or a socket's path, not \"%s\"", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = 0;
	addr->sin_family = AF_INET;
	addr->sin_port = htons((uint16_t)child_number("port", colon + 1, 0, 65535));
	if (inet_pton(AF_INET, host, &addr->sin_addr) != 1)
		child_fail("\"%s\" is not an IPv4 address", host);
	return endpoint;
}

int child_listen(const struct child_endpoint *endpoint, uint16_t *ret_port)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;
	int one = 1;
	int family = endpoint->addr.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		child_fail("socket: %s", strerror(errno));
	if (family == AF_UNIX)
		unlink(((const struct sockaddr_un *)&endpoint->addr)->sun_path);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&endpoint->addr, endpoint->len) != 0 ||
		listen(fd, 4096) != 0)
		child_fail("cannot listen: %s", strerror(errno));
	if (family == AF_INET && getsockname(fd, (struct sockaddr *)&bound, &len) == 0)
		*ret_port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
	return fd;
}

void child_congestion(const char *name)
{
	congestion = name;
}

void child_tune(int fd)
{
	int one = 1;

	/* Both fail on unix sockets, and that is fine. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (congestion)
		setsockopt(
			fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion));
}

int child_connect(const struct child_endpoint *endpoint)
{
	int fd = socket(endpoint->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	child_tune(fd);
	if (connect(fd, (const struct sockaddr *)&endpoint->addr, endpoint->len) == 0 ||
		errno == EINPROGRESS)
		return fd;
	err = -errno;
	close(fd);
	return err;
}
