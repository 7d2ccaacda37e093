/* load: the load generator, alone or (--serve) with the null server in the same thread.
 *
 * Two processes on one CPU wake each other, and the pooler pays for waking each of them. With both
 * in one thread the peers cost less, and a fast pooler is busy all the time.
 */
#include "bench/child.h"
#include "bench/load_run.h"
#include "bench/null_service.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert((int)LOAD_RUN_OTHERS_TAG == (int)NULL_SERVICE_TAG, "they tell events apart by it");

enum { EVENTS = 256, LINE = 4096, WORDS = 128 };

static const struct option options[] = {
	{"serve", no_argument, NULL, 'S'},
	{"listen", required_argument, NULL, 'l'},
	{"unix-dir", required_argument, NULL, 'u'},
	{"cpu", required_argument, NULL, 'c'},
	{"lifetime", required_argument, NULL, 't'},
	{"congestion", required_argument, NULL, 'g'},
	{0},
};

/* A line of options is a run. */
static void run_line(char *line, int epoll)
{
	char *words[WORDS], *rest = line;
	int count = 0;

	words[count++] = program_invocation_short_name;
	while (count < WORDS - 1 && (words[count] = strtok_r(rest, " \n", &rest)))
		count++;
	words[count] = NULL;
	load_run(count, words, epoll, null_service_event);
}

/* Reads one line: whoever starts a run waits for its result. Returns whether there was one. */
static bool read_line(char *line)
{
	size_t len = 0;

	while (len < LINE - 1) {
		ssize_t got = read(STDIN_FILENO, line + len, LINE - 1 - len);

		if (got <= 0)
			return false;
		len += (size_t)got;
		line[len] = 0;
		if (line[len - 1] == '\n')
			return true;
	}
	child_fail("a line is too long");
}

/* Serves, and runs what standard input says, until that ends. */
static void serve(int epoll)
{
	struct pollfd waits[] = {
		{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = epoll, .events = POLLIN}};
	struct epoll_event events[EVENTS];
	char line[LINE];

	while (!child_stopping) {
		int ready;

		poll(waits, 2, -1);
		ready = epoll_wait(epoll, events, EVENTS, 0);
		for (int i = 0; i < ready; i++)
			null_service_event(&events[i]);
		if (waits[0].revents) {
			if (!read_line(line))
				return;
			run_line(line, epoll);
		}
		waits[0].revents = 0;
	}
}

static int serve_main(int argc, char **argv, int epoll)
{
	const char *listen = "127.0.0.1:0", *unix_dir = NULL;
	unsigned lifetime_s = CHILD_LIFETIME_S;
	int cpu = -1, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'S':
			break;
		case 'l':
			listen = optarg;
			break;
		case 'u':
			unix_dir = optarg;
			break;
		case 'g':
			child_congestion(optarg);
			break;
		case 'c':
			cpu = (int)child_number("cpu", optarg, 0, 1023);
			break;
		case 't':
			lifetime_s = (unsigned)child_number("lifetime", optarg, 1, 86400);
			break;
		default:
			return 1;
		}
	}
	child_setup(lifetime_s, cpu);
	null_service_start(epoll, listen, unix_dir, 0);
	serve(epoll);
	null_service_end();
	return 0;
}

int main(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		child_fail("epoll: %s", strerror(errno));
	if (argc > 1 && strcmp(argv[1], "--serve") == 0)
		return serve_main(argc, argv, epoll);
	return load_run(argc, argv, epoll, NULL);
}
