/* One run of the load generator.
 *
 *   OPENING (all clients log in) -> WARM_UP -> MEASURING -> DRAINING (answers still due) -> end
 *
 * With --watch, another process's CPU time is read at the same two moments between which the
 * requests are counted.
 */
#include "bench/load_run.h"

#include "bench/child.h"
#include "bench/crosscore.h"
#include "bench/latency.h"
#include "bench/load_client.h"
#include "bench/watch.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	OPENING_AT_ONCE = 32,
	OPENING_MS_MAX = 30000,
	DRAINING_MS_MAX = 5000,
	LOST_MAX = 1000, /* then nothing is tried any more */
	TURN_SHARE = 6,  /* so many parts of the clients work when it is their core's turn */
	EVENTS = 1024,
	WATCHES = 8,
};

enum style {
	STYLE_LOOP,
	STYLE_CONNECT, /* connect, one request, close */
	STYLE_IDLE,    /* log in (and make one request), then stay */
	STYLE_STUCK,   /* log in, ask for rows, read none of them, stay */
	STYLE_RTT,     /* no load: the distance of two CPUs */
};

enum stage { OPENING, WARM_UP, MEASURING, DRAINING };

static const struct mode {
	const char *name;
	enum load_client_mode mode;
	enum style style;
} modes[] = {
	{"simple", LOAD_CLIENT_SIMPLE, STYLE_LOOP},
	{"extended", LOAD_CLIENT_EXTENDED, STYLE_LOOP},
	{"prepared", LOAD_CLIENT_PREPARED, STYLE_LOOP},
	{"rows", LOAD_CLIENT_ROWS, STYLE_LOOP},
	{"copy-out", LOAD_CLIENT_COPY_OUT, STYLE_LOOP},
	{"copy-in", LOAD_CLIENT_COPY_IN, STYLE_LOOP},
	{"connect", LOAD_CLIENT_SIMPLE, STYLE_CONNECT},
	{"idle", LOAD_CLIENT_SIMPLE, STYLE_IDLE},
	{"stuck", LOAD_CLIENT_ROWS, STYLE_STUCK},
	{"rtt", LOAD_CLIENT_SIMPLE, STYLE_RTT},
};

struct counts {
	uint64_t answered, bytes;
	uint64_t errors, wrong, lost;
};

static struct {
	struct load_client_plan plan;
	const struct mode *mode;
	uint32_t connections, at_once; /* clients; of them opening at the same time */
	double rate;                   /* requests a second; 0: closed loop */
	double warm_up_s, seconds;
	load_run_others *others;
	bool touch; /* idle clients make one request first */
	bool count_syscalls;
	int cpu, peer_cpu;

	enum stage stage;
	struct load_client *clients;
	struct load_client **idle; /* a stack, at a fixed rate */
	uint32_t idle_count;
	uint32_t opened, opening, ready, busy;
	uint64_t turn_ns; /* how long a turn is; 0: there are none */
	uint64_t turn_ends_ns;
	int turn;                  /* the core whose clients work now: 0 or 1 */
	uint64_t scheduled_ns;     /* when the fixed rate began */
	uint64_t due, taken;       /* requests that are due, and those that a client has taken */
	struct counts all, before; /* of the whole run, and until the measured window began */
	uint64_t window_ns;
	struct latency latency;
	struct watch watches[WATCHES];
	unsigned watch_count;
	struct rusage used, used_before;
} load;

static uint64_t seconds_ns(double seconds)
{
	return (uint64_t)(seconds * 1e9);
}

static bool running(void)
{
	return load.stage == WARM_UP || load.stage == MEASURING;
}

/* ---- what a client does next ---- */

static void begin(struct load_client *client, uint64_t due_ns)
{
	client->started_ns = due_ns;
	load.busy++;
	load_client_request(client);
}

/* At a fixed rate a request counts from when it was due, whoever is free to make it. */
static void take_due(uint64_t now)
{
	uint64_t since = now - load.scheduled_ns;

	load.due = (uint64_t)((double)since / 1e9 * load.rate);
	while (load.taken < load.due && load.idle_count > 0) {
		uint64_t due_ns = (uint64_t)((double)++load.taken / load.rate * 1e9);

		begin(load.idle[--load.idle_count], load.scheduled_ns + due_ns);
	}
}

static void next_request(struct load_client *client, uint64_t now)
{
	if (!running() || (load.turn_ns > 0 && client->turn != load.turn))
		return;
	if (load.rate > 0)
		load.idle[load.idle_count++] = client;
	else
		begin(client, now);
}

static void open_client(struct load_client *client)
{
	if (load.all.lost >= LOST_MAX || child_stopping)
		return;
	client->started_ns = child_now_ns();
	if (load_client_open(client) == 0)
		load.opening++;
	else
		load.all.lost++;
}

static void on_logged_in(struct load_client *client, uint64_t now)
{
	load.opening--;
	load.ready++;
	if (load.mode->style == STYLE_CONNECT) {
		load.busy++;
		load_client_request(client);
	} else if (load.mode->style == STYLE_STUCK) {
		load_client_ignore(client);
	} else if (load.touch) {
		begin(client, now);
	} else {
		next_request(client, now);
	}
}

static void on_answered(struct load_client *client, uint64_t now)
{
	load.busy--;
	if (load.mode->style == STYLE_CONNECT) {
		load_client_leave(client);
		return;
	}
	load.all.answered++;
	if (load.stage == MEASURING)
		latency_add(&load.latency, now - client->started_ns);
	next_request(client, now);
}

/* The connection is closed. Another one takes its place while there is work to do. */
static void on_closed(struct load_client *client, enum load_client_phase before)
{
	if (before == LOAD_CLIENT_LOGIN || before == LOAD_CLIENT_PREPARING)
		load.opening--;
	else
		load.ready--;
	if (before == LOAD_CLIENT_BUSY)
		load.busy--;
	if (before == LOAD_CLIENT_READY && load.rate > 0) {
		for (uint32_t i = 0; i < load.idle_count; i++)
			if (load.idle[i] == client)
				load.idle[i--] = load.idle[--load.idle_count];
	}
	if (running() || load.stage == OPENING)
		open_client(client);
}

static void on_left(struct load_client *client, uint64_t now)
{
	load.all.answered++;
	if (load.stage == MEASURING)
		latency_add(&load.latency, now - client->started_ns);
	on_closed(client, LOAD_CLIENT_LEAVING);
}

static void on_event(struct load_client *client, uint32_t events)
{
	enum load_client_phase before = client->phase;
	enum load_client_result result;

	if (before == LOAD_CLIENT_CLOSED)
		return;
	result = load_client_serve(client, events);
	if (result == LOAD_CLIENT_WAITS)
		return;
	load.all.errors += result == LOAD_CLIENT_ERROR;
	load.all.wrong += result == LOAD_CLIENT_WRONG;
	load.all.lost += result == LOAD_CLIENT_LOST;
	if (result == LOAD_CLIENT_LOGGED_IN) {
		on_logged_in(client, child_now_ns());
	} else if (result == LOAD_CLIENT_LEFT) {
		on_left(client, child_now_ns());
	} else if (client->phase == LOAD_CLIENT_CLOSED) {
		on_closed(client, before);
	} else if (result == LOAD_CLIENT_ANSWERED || load.mode->style == STYLE_CONNECT) {
		on_answered(client, child_now_ns());
	} else { /* an error or a wrong answer: it is counted, the work goes on */
		load.busy--;
		next_request(client, child_now_ns());
	}
}

/* ---- turns ---- */

/* Of each core as many clients work. With database_2 each core has its own database, otherwise all have the first one. */
static void plan_turns(void)
{
	uint32_t wanted = load.connections / TURN_SHARE, found[2] = {0, 0};

	for (uint32_t i = 0; i < load.connections; i++) {
		struct load_client *client = &load.clients[i];
		uint32_t core = (client->pid >> WIRE_CORE_SHIFT) - 1;

		client->turn = -1;
		if (core > 1 || found[core] == wanted ||
			load_client_is_second(client) != (load.plan.database_2 && core == 1))
			continue;
		client->turn = (int)core;
		found[core]++;
	}
	if (found[0] == wanted && found[1] == wanted)
		return;
	load.all.lost++;
	snprintf(load.plan.first_problem, sizeof load.plan.first_problem,
		"of two cores %u and %u clients could work, not %u", found[0], found[1], wanted);
}

static void next_turn(uint64_t now)
{
	load.turn = 1 - load.turn;
	load.turn_ends_ns = now + load.turn_ns;
	for (uint32_t i = 0; i < load.connections; i++)
		if (load.clients[i].phase == LOAD_CLIENT_READY)
			next_request(&load.clients[i], now);
}

/* ---- the loop ---- */

/* Waits for events until `end_ns`, or the next due request. */
static void turn(uint64_t end_ns)
{
	static struct epoll_event events[EVENTS];
	uint64_t now = child_now_ns(), until = end_ns;
	struct timespec wait;
	int ready;

	if (running() && load.rate > 0) {
		take_due(now);
		if (load.idle_count > 0) {
			until = load.scheduled_ns +
				(uint64_t)((double)(load.taken + 1) / load.rate * 1e9);
			until = until < end_ns ? until : end_ns;
		}
	}
	if (running() && load.turn_ns > 0) {
		if (now >= load.turn_ends_ns)
			next_turn(now);
		until = load.turn_ends_ns < until ? load.turn_ends_ns : until;
	}
	until = until > now ? until - now : 0;
	wait.tv_sec = (time_t)(until / 1000000000);
	wait.tv_nsec = (long)(until % 1000000000);
	ready = epoll_pwait2(load.plan.epoll, events, EVENTS, &wait, NULL);
	for (int i = 0; i < ready; i++) {
		if (events[i].data.u64 & LOAD_RUN_OTHERS_TAG)
			load.others(&events[i]);
		else
			on_event(events[i].data.ptr, events[i].events);
	}
}

static void turn_until(uint64_t end_ns)
{
	while (!child_stopping && child_now_ns() < end_ns && load.all.lost < LOST_MAX)
		turn(end_ns);
}

/* Logs everybody in (and lets idle clients make their one request), a few at a time. */
static void open_all(void)
{
	uint64_t end_ns = child_now_ns() + OPENING_MS_MAX * 1000000ull;

	load.stage = OPENING;
	while (!child_stopping && child_now_ns() < end_ns && load.all.lost < LOST_MAX &&
		(load.ready < load.connections || load.busy > 0)) {
		while (load.opened < load.connections && load.opening + load.busy < load.at_once)
			open_client(&load.clients[load.opened++]);
		turn(end_ns);
	}
	if (load.ready < load.connections && !child_stopping)
		fprintf(stderr, "load: only %u of %u clients are logged in\n", load.ready,
			load.connections);
}

static void open_window(void)
{
	for (unsigned i = 0; i < load.watch_count; i++)
		watch_start(&load.watches[i]);
	getrusage(RUSAGE_SELF, &load.used_before);
	load.before = load.all;
	load.before.bytes = load.plan.bytes;
	load.stage = MEASURING;
	load.window_ns = child_now_ns();
}

static void close_window(void)
{
	load.window_ns = child_now_ns() - load.window_ns;
	for (unsigned i = 0; i < load.watch_count; i++)
		watch_stop(&load.watches[i]);
	getrusage(RUSAGE_SELF, &load.used);
	load.all.bytes = load.plan.bytes;
	load.before.answered = load.all.answered - load.before.answered;
	load.before.bytes = load.all.bytes - load.before.bytes;
}

static void drain(void)
{
	uint64_t end_ns = child_now_ns() + DRAINING_MS_MAX * 1000000ull;

	load.stage = DRAINING;
	while (load.busy + load.opening > 0 && child_now_ns() < end_ns &&
		load.all.lost < LOST_MAX && !child_stopping)
		turn(end_ns);
	/* An answer that never came. While opening or leaving, the end of the run is as good as
	 * any. */
	if (load.mode->style == STYLE_LOOP && !child_stopping)
		load.all.lost += load.busy;
	for (uint32_t i = 0; i < load.connections; i++) {
		if (load.clients[i].phase == LOAD_CLIENT_READY)
			load_client_leave(&load.clients[i]);
		load_client_close(&load.clients[i]);
	}
}

static void run_loop(void)
{
	if (load.mode->style == STYLE_LOOP)
		open_all();
	if (load.turn_ns > 0)
		plan_turns();
	load.scheduled_ns = child_now_ns();
	load.turn_ends_ns = load.scheduled_ns + load.turn_ns;
	load.stage = WARM_UP;
	for (uint32_t i = 0; i < load.connections; i++) {
		struct load_client *client = &load.clients[i];

		if (load.mode->style == STYLE_CONNECT)
			open_client(client);
		else if (client->phase == LOAD_CLIENT_READY)
			next_request(client, load.scheduled_ns);
	}
	turn_until(load.scheduled_ns + seconds_ns(load.warm_up_s));
	open_window();
	turn_until(child_now_ns() + seconds_ns(load.seconds));
	close_window();
	drain();
}

/* Holds the connections until standard input ends, the time is over or somebody says stop. */
static void run_idle(void)
{
	struct pollfd parent = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t end_ns;
	char byte;

	open_all();
	load.stage = DRAINING; /* nobody is replaced */
	fprintf(stderr, "ready %u\n", load.ready);
	open_window();
	end_ns = child_now_ns() + seconds_ns(load.seconds);
	while (!child_stopping && child_now_ns() < end_ns) {
		turn(child_now_ns() + 20000000);
		if (poll(&parent, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 0)
			break;
	}
	close_window();
	load.all.answered = load.before.answered = load.ready;
	drain();
}

/* ---- the result ---- */

static double used_us(const struct timeval *before, const struct timeval *after)
{
	return (double)(after->tv_sec - before->tv_sec) * 1e6 +
		(double)(after->tv_usec - before->tv_usec);
}

static void print_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar((unsigned char)*text < ' ' ? ' ' : *text);
	}
	putchar('"');
}

static void print_result(void)
{
	double seconds = (double)load.window_ns / 1e9;
	double cpu_us = used_us(&load.used_before.ru_utime, &load.used.ru_utime) +
		used_us(&load.used_before.ru_stime, &load.used.ru_stime);

	printf("{\"mode\": \"%s\", \"connections\": %u, \"logged_in\": %u, \"seconds\": %.6f, ",
		load.mode->name, load.connections, load.ready, seconds);
	printf("\"requests\": %llu, \"requests_per_s\": %.1f, \"bytes\": %llu, ",
		(unsigned long long)load.before.answered, (double)load.before.answered / seconds,
		(unsigned long long)load.before.bytes);
	printf("\"answered_in_all\": %llu, ", (unsigned long long)load.all.answered);
	printf("\"errors\": %llu, \"wrong\": %llu, \"lost\": %llu, \"first_problem\": ",
		(unsigned long long)load.all.errors, (unsigned long long)load.all.wrong,
		(unsigned long long)load.all.lost);
	print_text(load.plan.first_problem);
	printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, ",
		(double)latency_quantile_ns(&load.latency, 0.5) / 1e3,
		(double)latency_quantile_ns(&load.latency, 0.99) / 1e3,
		(double)latency_quantile_ns(&load.latency, 0.999) / 1e3,
		(double)load.latency.max_ns / 1e3);
	printf("\"rate\": %.1f, \"behind\": %llu, \"own_cpu\": %.3f, \"watched\": [", load.rate,
		(unsigned long long)(load.due - load.taken), cpu_us / 1e6 / seconds);
	for (unsigned i = 0; i < load.watch_count; i++) {
		fputs(i ? ", " : "", stdout);
		watch_print(&load.watches[i], stdout);
	}
	puts("]}");
	fflush(stdout);
}

/* ---- options ---- */

static const struct option options[] = {
	{"connect", required_argument, NULL, 'a'},
	{"mode", required_argument, NULL, 'm'},
	{"connections", required_argument, NULL, 'c'},
	{"seconds", required_argument, NULL, 's'},
	{"warm-up", required_argument, NULL, 'w'},
	{"rate", required_argument, NULL, 'r'},
	{"bytes", required_argument, NULL, 'b'},
	{"row-bytes", required_argument, NULL, 'B'},
	{"statements", required_argument, NULL, 'n'},
	{"describe", no_argument, NULL, 'D'},
	{"transaction", no_argument, NULL, 'x'},
	{"touch", required_argument, NULL, 'T'},
	{"user", required_argument, NULL, 'u'},
	{"database", required_argument, NULL, 'd'},
	{"password", required_argument, NULL, 'p'},
	{"watch", required_argument, NULL, 'W'},
	{"count-syscalls", no_argument, NULL, 'S'},
	{"cpu", required_argument, NULL, 'C'},
	{"peer-cpu", required_argument, NULL, 'P'},
	{"lifetime", required_argument, NULL, 't'},
	{"congestion", required_argument, NULL, 'g'},
	{"ask-ssl", no_argument, NULL, 'L'},
	{"own-settings", no_argument, NULL, 'o'},
	{"at-once", required_argument, NULL, 'O'},
	{"turns", required_argument, NULL, 'v'},
	{"own-pools", required_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const char usage[] =
	"usage: load --connect ADDRESS:PORT|SOCKET --mode MODE [option...]\n"
	"  --mode simple|extended|prepared  small requests; answers carry their request's number\n"
	"         rows|copy-out|copy-in     bulk (from the null server)\n"
	"         connect                   connect, one simple request, close\n"
	"         idle                      log in and stay until standard input ends;\n"
	"                                   says \"ready N\" on standard error\n"
	"         stuck                     ask for rows and read none, otherwise as idle\n"
	"         rtt                       no load: nanoseconds between --cpu and --peer-cpu\n"
	"  --connections N    clients (default 1)\n"
	"  --seconds S        of the measured window (5), after --warm-up S (0.5)\n"
	"  --rate R           R requests a second in all, their latency from when they were due\n"
	"                     (default: closed loop)\n"
	"  --bytes N          bulk: of one request (100000000), in values of --row-bytes N (100)\n"
	"  --statements N     prepared: different ones a connection (1)\n"
	"  --describe         prepared: with Describe, as libpq does\n"
	"  --transaction      each request between BEGIN and COMMIT\n"
	"  --touch MODE       idle: one request of MODE (simple, extended, prepared) first\n"
	"  --user, --database, --password   (bench) clear text, MD5 and SCRAM-SHA-256\n"
	"  --ask-ssl          SSLRequest before each login, as libpq does; wants a no\n"
	"  --own-settings     each client has an application_name of its own\n"
	"  --at-once N        idle: so many log in at the same time (32)\n"
	"  --turns MS         through pgring with two workers: a sixth of the clients, all on one "
	"of its\n"
	"                     cores, work for so long, then a sixth on the other core, and so on\n"
	"  --own-pools NAME   --turns: those on the second core use that database\n"
	"  --watch PID        what that process uses in the window (may be repeated)\n"
	"  --count-syscalls   its system calls, too\n"
	"  --congestion NAME  TCP congestion control (default: the machine's)\n"
	"  --cpu N            run there\n"
	"  --lifetime S       end then at the latest (900)\n"
	"One JSON object on standard output; status 1 if there was an error, a wrong answer or a\n"
	"lost connection.\n"
	"   or: load --serve [--listen ADDRESS:PORT] [--unix-dir DIR] [--cpu N] [--lifetime S]\n"
	"            [--congestion NAME]\n"
	"The null server in the same thread; each line of standard input is the options of a "
	"run.\n";

static double number(const char *option, const char *text, double from, double to)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= from && value <= to))
		child_fail("--%s wants a number from %g to %g, not \"%s\"", option, from, to, text);
	return value;
}

static const struct mode *mode_named(const char *name)
{
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	child_fail("there is no mode \"%s\"", name);
}

static void touch(const char *name)
{
	const struct mode *mode = mode_named(name);

	if (mode->style != STYLE_LOOP || mode->mode >= LOAD_CLIENT_ROWS)
		child_fail("--touch wants simple, extended or prepared");
	load.touch = true;
	load.plan.mode = mode->mode;
}

static void add_watch(const char *text)
{
	if (load.watch_count == WATCHES)
		child_fail("no more than %d processes are watched", WATCHES);
	load.watches[load.watch_count++].pid = (pid_t)child_number("watch", text, 1, 1 << 30);
}

static bool set_text_option(int option)
{
	struct load_client_plan *plan = &load.plan;

	switch (option) {
	case 'a':
		plan->endpoint = child_endpoint(optarg);
		return true;
	case 'm':
		load.mode = mode_named(optarg);
		return true;
	case 'T':
		touch(optarg);
		return true;
	case 'D':
		plan->describe = true;
		return true;
	case 'x':
		plan->transaction = true;
		return true;
	case 'u':
		plan->user = optarg;
		return true;
	case 'd':
		plan->database = optarg;
		return true;
	case 'V':
		plan->database_2 = optarg;
		return true;
	case 'p':
		plan->password = optarg;
		return true;
	case 'L':
		plan->ask_ssl = true;
		return true;
	case 'o':
		plan->own_settings = true;
		return true;
	case 'S':
		load.count_syscalls = true;
		return true;
	case 'W':
		add_watch(optarg);
		return true;
	case 'g':
		child_congestion(optarg);
		return true;
	default:
		return false;
	}
}

static unsigned read_options(int argc, char **argv)
{
	struct load_client_plan *plan = &load.plan;
	unsigned lifetime_s = CHILD_LIFETIME_S;
	uint64_t bytes = 100000000;
	int option;

	optind = 0; /* from the start, whoever has used it before */
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (set_text_option(option))
			continue;
		switch (option) {
		case 'c':
			load.connections = (uint32_t)child_number("connections", optarg, 1, 65535);
			break;
		case 'O':
			load.at_once = (uint32_t)child_number("at-once", optarg, 1, 65535);
			break;
		case 's':
			load.seconds = number("seconds", optarg, 0.01, 86400);
			break;
		case 'w':
			load.warm_up_s = number("warm-up", optarg, 0, 3600);
			break;
		case 'r':
			load.rate = number("rate", optarg, 0.1, 1e7);
			break;
		case 'b':
			bytes = (uint64_t)child_number("bytes", optarg, 1, 1ll << 40);
			break;
		case 'B':
			plan->row_bytes = (uint32_t)child_number(
				"row-bytes", optarg, WIRE_ROW_MIN, WIRE_ROW_MAX);
			break;
		case 'n':
			plan->statements = (uint32_t)child_number("statements", optarg, 1, 10000);
			break;
		case 'C':
			load.cpu = (int)child_number("cpu", optarg, 0, 1023);
			break;
		case 'v':
			load.turn_ns = (uint64_t)child_number("turns", optarg, 1, 1000) * 1000000;
			break;
		case 'P':
			load.peer_cpu = (int)child_number("peer-cpu", optarg, 0, 1023);
			break;
		case 't':
			lifetime_s = (unsigned)child_number("lifetime", optarg, 1, 86400);
			break;
		default:
			fputs(usage, option == 'h' ? stdout : stderr);
			exit(option != 'h');
		}
	}
	plan->rows = bytes / plan->row_bytes ? bytes / plan->row_bytes : 1;
	if (!load.touch && load.mode)
		plan->mode = load.mode->mode;
	if (!load.mode || (load.mode->style != STYLE_RTT && !plan->endpoint.len))
		child_fail("--mode and --connect are needed (--help)");
	if (plan->transaction && plan->mode >= LOAD_CLIENT_ROWS)
		child_fail("--transaction is for small requests");
	if (load.turn_ns > 0 && (load.mode->style != STYLE_LOOP || load.rate > 0))
		child_fail("--turns is for a closed loop");
	if (load.touch && load.mode->style != STYLE_IDLE)
		child_fail("--touch is for --mode idle");
	return lifetime_s;
}

static void set_up(int epoll)
{
	for (unsigned i = 0; i < load.watch_count; i++)
		watch_init(&load.watches[i], load.watches[i].pid, load.count_syscalls);
	load.plan.epoll = epoll;
	load.clients = calloc(load.connections, sizeof *load.clients);
	load.idle = calloc(load.connections, sizeof(struct load_client *));
	if (!load.clients || !load.idle)
		child_fail("out of memory");
	for (uint32_t i = 0; i < load.connections; i++)
		load_client_init(&load.clients[i], &load.plan, i);
}

static void tear_down(void)
{
	for (uint32_t i = 0; i < load.connections; i++)
		load_client_free(&load.clients[i]);
	free(load.clients);
	free(load.idle);
}

int load_run(int argc, char **argv, int epoll, load_run_others *others)
{
	unsigned lifetime_s;

	memset(&load, 0, sizeof load);
	load.plan = (struct load_client_plan){.user = "bench",
		.database = "bench",
		.password = "bench",
		.statements = 1,
		.row_bytes = 100};
	load.connections = 1;
	load.at_once = OPENING_AT_ONCE;
	load.seconds = 5;
	load.warm_up_s = 0.5;
	load.cpu = load.peer_cpu = -1;
	load.others = others;
	lifetime_s = read_options(argc, argv);
	if (!others)
		child_setup(lifetime_s, load.cpu);
	if (load.mode->style == STYLE_RTT) {
		printf("{\"rtt_ns\": %llu}\n",
			(unsigned long long)crosscore_rtt_ns(load.cpu, load.peer_cpu));
		return 0;
	}
	set_up(epoll);
	if (load.mode->style == STYLE_IDLE || load.mode->style == STYLE_STUCK)
		run_idle();
	else
		run_loop();
	print_result();
	tear_down();
	return load.all.errors + load.all.wrong + load.all.lost > 0 || load.all.answered == 0;
}
