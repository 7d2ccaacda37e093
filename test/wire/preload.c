/* preload: what the wire tests put between the program and libc: a wall clock that can be stepped, and a host name that comes and
 * goes. Loaded by LD_PRELOAD. The file that PRELOAD_FILE names says what holds at present: seconds that the wall clock is off, and
 * the address of moving.test, "-" while it does not resolve, or "?" while its name server says nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void preload_read(long *ret_seconds, char ret_address[64])
{
	const char *name = getenv("PRELOAD_FILE");
	FILE *file = name ? fopen(name, "re") : NULL;

	*ret_seconds = 0;
	memcpy(ret_address, "-", 2);
	if (!file)
		return;
	if (fscanf(file, "%ld %63s", ret_seconds, ret_address) != 2)
		*ret_seconds = 0;
	fclose(file);
}

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
	static int (*real)(clockid_t, struct timespec *);
	char address[64];
	long seconds;
	int result;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	result = real(id, ret_time);
	if (result == 0 && id == CLOCK_REALTIME) {
		preload_read(&seconds, address);
		ret_time->tv_sec += seconds;
	}
	return result;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **ret_found)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	char address[64];
	long seconds;

	if (!real)
		real = (int (*)(const char *, const char *, const struct addrinfo *,
			struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
	if (!host || strcmp(host, "moving.test") != 0)
		return real(host, service, hints, ret_found);
	preload_read(&seconds, address);
	while (strcmp(address, "?") == 0) {
		usleep(10000);
		preload_read(&seconds, address);
	}
	if (strcmp(address, "-") == 0)
		return EAI_NONAME;
	return real(address, service, hints, ret_found);
}
