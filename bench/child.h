/* child: what every bench program does because it is a measured child process: it ends by itself,
 * it stays on its CPU, it stops when told to, it opens its sockets the same way.
 *
 * Thread: the main one. Failures here end the program with a sentence on standard error: there is
 * nobody to return them to.
 */
#ifndef PGRING_BENCH_CHILD_H
#define PGRING_BENCH_CHILD_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { CHILD_LIFETIME_S = 900 };

/* Set by SIGTERM and SIGINT. */
extern volatile sig_atomic_t child_stopping;

struct child_endpoint {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* Prints "<program>: sentence" and exits with status 1. */
_Noreturn void child_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends with the parent, and after lifetime_s at the latest; SIGPIPE is ignored; the file limit is
 * raised to the hard one; pinned to `cpu` unless that is negative. */
void child_setup(unsigned lifetime_s, int cpu);
void child_pin(int cpu);

/* Monotonic clock. */
uint64_t child_now_ns(void);

/* An option's value as a number within [from, to]; anything else ends the program. */
long long child_number(const char *option, const char *text, long long from, long long to);

/* "host:port" (a numeric IPv4 address) or "/path/of/a/socket". */
struct child_endpoint child_endpoint(const char *text);

/* Non-blocking listener; *ret_port is the chosen one where the endpoint's port was 0 (unix
 * sockets: untouched). */
int child_listen(const struct child_endpoint *endpoint, uint16_t *ret_port);

/* Non-blocking tuned socket with a connect under way. Negative errno on failure. */
int child_connect(const struct child_endpoint *endpoint);

/* The congestion control of all sockets from here on; NULL or one that the kernel does not have:
 * the machine's default. */
void child_congestion(const char *name);

/* For an accepted socket: TCP_NODELAY and the congestion control. */
void child_tune(int fd);

#endif
