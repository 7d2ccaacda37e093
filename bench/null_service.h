/* null_service: the null server's sockets: its listeners and connections on an epoll that may have
 * other users, too.
 *
 * Owner: the program; there is one service a process. Thread: one. Memory: its own, until the
 * process ends. What is said over the connections is bench/null_session.c.
 */
#ifndef PGRING_BENCH_NULL_SERVICE_H
#define PGRING_BENCH_NULL_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* The lowest bit of data.ptr is set in the service's events, and in nobody else's. */
enum { NULL_SERVICE_TAG = 1 };

/* Listens on `listen` (ADDRESS:PORT) and on unix_dir/.s.PGSQL.PORT (NULL: not), and prints
 * "listening on port PORT". Every wrong_every-th answer is made wrong (0: none). */
void null_service_start(int epoll, const char *listen, const char *unix_dir, uint64_t wrong_every);

static inline bool null_service_owns(const struct epoll_event *event)
{
	return event->data.u64 & NULL_SERVICE_TAG;
}

/* Serves an event that it owns. */
void null_service_event(const struct epoll_event *event);

/* Removes the unix socket and prints what was seen as one JSON object. */
void null_service_end(void);

#endif
