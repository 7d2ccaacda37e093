/* null_server: a PostgreSQL without a database, so that a bench measures the pooler and not the
 * server.
 *
 * One thread, edge-triggered epoll, one recv and one send per batch of messages. Every connection
 * is trusted; answers are those of bench/null_session.c. On SIGTERM it prints what it saw as one
 * JSON object.
 */
#include "bench/child.h"
#include "bench/null_service.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { EVENTS = 1024 };

static const struct option options[] = {
	{"listen", required_argument, NULL, 'l'},
	{"unix-dir", required_argument, NULL, 'u'},
	{"cpu", required_argument, NULL, 'c'},
	{"lifetime", required_argument, NULL, 't'},
	{"congestion", required_argument, NULL, 'g'},
	{"wrong-every", required_argument, NULL, 'w'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const char usage[] =
	"usage: null_server [--listen ADDRESS:PORT] [--unix-dir DIR] [--cpu N] [--lifetime S]\n"
	"                   [--congestion NAME] [--wrong-every N]\n"
	"Listens on ADDRESS:PORT (default 127.0.0.1:0, a free port) and on DIR/.s.PGSQL.PORT,\n"
	"prints \"listening on port PORT\", and ends with its parent, on SIGTERM or after S "
	"seconds\n"
	"(default 900). --wrong-every makes every Nth answer wrong: a load generator has to "
	"notice.\n";

int main(int argc, char **argv)
{
	const char *listen = "127.0.0.1:0", *unix_dir = NULL;
	unsigned lifetime_s = CHILD_LIFETIME_S;
	struct epoll_event events[EVENTS];
	uint64_t wrong_every = 0;
	int cpu = -1, epoll, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'l':
			listen = optarg;
			break;
		case 'g':
			child_congestion(optarg);
			break;
		case 'u':
			unix_dir = optarg;
			break;
		case 'c':
			cpu = (int)child_number("cpu", optarg, 0, 1023);
			break;
		case 't':
			lifetime_s = (unsigned)child_number("lifetime", optarg, 1, 86400);
			break;
		case 'w':
			wrong_every = (uint64_t)child_number("wrong-every", optarg, 1, 1 << 30);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			return option != 'h';
		}
	}
	child_setup(lifetime_s, cpu);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		child_fail("epoll: %s", strerror(errno));
	null_service_start(epoll, listen, unix_dir, wrong_every);
	while (!child_stopping) {
		int ready = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < ready; i++)
			null_service_event(&events[i]);
	}
	null_service_end();
	return 0;
}
