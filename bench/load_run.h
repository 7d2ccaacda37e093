/* load_run: one run of the load generator, from its options to its result.
 *
 * Owner: the program; one run at a time. Thread: one. Memory: its own, until the run ends.
 */
#ifndef PGRING_BENCH_LOAD_RUN_H
#define PGRING_BENCH_LOAD_RUN_H

#include <sys/epoll.h>

/* The lowest bit of data.ptr tells the events of others on the same epoll from the clients'. */
enum { LOAD_RUN_OTHERS_TAG = 1 };

typedef void load_run_others(const struct epoll_event *event);

/* argv as on the command line (load --help). Events on `epoll` that are not the clients' go to
 * `others`; if that is NULL the process is set up as --cpu and --lifetime say. Prints the result to
 * standard output. Returns the exit status: 1 if something was wrong. Options that make no sense
 * end the program. */
int load_run(int argc, char **argv, int epoll, load_run_others *others);

#endif
