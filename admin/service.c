/* Starting the threads, and ending them without losing a transaction.
 *
 * Start: sockets are bound first, so that a wrong address is known before anything runs; then job threads, cores,
 * control. Stop: every core drains (LETTER_DRAIN), says so (LETTER_DRAINED), and when all have, they stop.
 */
#include "admin/service.h"

#include "admin/commands.h"
#include "admin/console.h"
#include "admin/descriptors.h"
#include "admin/reload.h"
#include "admin/supervisor.h"
#include "core/clock.h"
#include "core/core.h"
#include "core/errors.h"
#include "core/jobs.h"
#include "core/memory.h"
#include "core/round.h"
#include "core/snapshot.h"
#include "core/tally.h"
#include "net/loop.h"
#include "net/socket.h"
#include "pool/pool.h"
#include "router/cancel.h"
#include "router/client.h"
#include "router/router.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { SERVICE_WHY = 256 };

/* One core that serves clients, as the main thread sees it. */
struct worker {
	struct core core;
	struct service *service;
	pthread_t thread;
	int cpu; /* to run on, or -1 */
	bool is_started, is_quiet, pools_drained, is_drained;
};

struct service {
	struct world world;
	const struct config *config; /* that it started with; gone after the first reload */
	struct reload reload;
	struct core control;
	struct worker *workers;
	int listeners[LIMIT_LISTENERS];
	char unix_path[128];
	unsigned listener_count;
	char admin_password[32];
	int signal_fd;
	struct signalfd_siginfo signal;
	unsigned quiet, drained; /* cores */
	bool is_draining;
	enum drain_mode drain; /* while it drains */

	/* the start: who is ready, and what went wrong */
	pthread_mutex_t start_lock;
	pthread_cond_t start_changed;
	unsigned ready;
	char why[SERVICE_WHY];
};

/* The console's password: configured, or the random one that nobody knows. */
static const char *service_admin_password(
	const struct service *service, const struct config *config)
{
	return config->admin.password ? config->admin.password : service->admin_password;
}

static struct ring_options service_ring_options(void)
{
	return (struct ring_options){
		.entries = LIMIT_RING_ENTRIES,
		.completions = LIMIT_RING_COMPLETIONS,
		.buffers = LIMIT_BUFFERS,
		.without_bundles = getenv("PGRING_WITHOUT_BUNDLES") != NULL,
	};
}

/* ---- a core that serves clients ---- */

/* Each turn of a draining core: is everybody gone? */
static void worker_drain_turn(struct core *core)
{
	struct worker *worker = container_of(core, struct worker, core);
	struct letter letter = {.kind = LETTER_DRAINED, .number = core->index};
	struct letter quiet = {.kind = LETTER_QUIET, .number = core->index};

	if (worker->is_drained)
		return;
	if (!worker->is_quiet && router_quiet(core))
		worker->is_quiet = mailbox_send(core, core->world->control, &quiet) == 0;
	if (!router_idle(core))
		return;
	listener_stop_all(core);
	if (!listener_all_stopped(core))
		return;
	if (!worker->pools_drained) {
		worker->pools_drained = true;
		pools_drain(core);
	}
	if (!pools_idle(core) || core->net->streams.live > 0 || core->jobs_out > 0)
		return;
	if (mailbox_send(core, core->world->control, &letter) == 0)
		worker->is_drained = true;
}

static void worker_drain(struct core *core, const struct letter *letter)
{
	/* it goes on accepting: who comes now is told why it cannot stay */
	core->each_turn = worker_drain_turn;
	router_drain(core, (enum drain_mode)letter->number);
}

/* Another configuration, from control. */
static void worker_apply(struct core *core, const struct letter *letter)
{
	struct worker *worker = container_of(core, struct worker, core);
	const struct config *config = letter->a;
	struct letter applied = {.kind = LETTER_CONFIG_APPLIED, .number = core->index};

	pools_apply(core, config);
	router_apply(core, config, service_admin_password(worker->service, config));
	snapshot_switch(core, config);
	while (mailbox_send(core, core->world->control, &applied) != 0) {
		core_count(core, METRIC_letters_delayed); /* one letter for each reload */
		sched_yield();
	}
}

static void worker_stop(struct core *core, const struct letter *letter)
{
	(void)letter;
	core->stopping = true;
}

static int worker_open(struct worker *worker, char *why, size_t why_size)
{
	struct core *core = &worker->core;
	struct service *service = worker->service;
	struct ring_options options = service_ring_options();
	int error = loop_open(core, &options, why, why_size);

	if (error)
		return error;
	core->handlers[LETTER_JOB_DONE] = jobs_done;
	core->handlers[LETTER_CLIENT] = router_adopt;
	core->handlers[LETTER_CANCEL] = cancel_arrived;
	core->handlers[LETTER_CANCELLED] = cancel_returned;
	core->handlers[LETTER_PLAIN] = pool_plain_arrived;
	core->handlers[LETTER_TIDING] = tiding_arrived;
	core->handlers[LETTER_ASK] = budget_asked;
	core->handlers[LETTER_PARCEL] = budget_arrived;
	core->handlers[LETTER_EVICT] = places_evict_asked;
	core->handlers[LETTER_ROUND] = round_arrived;
	core->handlers[LETTER_ANSWER] = client_console_answered;
	core->handlers[LETTER_CONFIG] = worker_apply;
	core->handlers[LETTER_DRAIN] = worker_drain;
	core->handlers[LETTER_STOP] = worker_stop;
	snapshot_switch(core, service->config);
	error = pools_open(core, service->config);
	if (!error)
		error = router_open(
			core, service->config, service_admin_password(service, service->config));
	load_open(core);
	for (unsigned i = 0; !error && i < service->listener_count; i++)
		error = listener_start(core, service->listeners[i], router_accept);
	if (error)
		snprintf(why, why_size, "%s", error_text(error));
	return error;
}

static void worker_pin(const struct worker *worker)
{
	cpu_set_t cpus;

	if (worker->cpu < 0)
		return;
	CPU_ZERO(&cpus);
	CPU_SET(worker->cpu, &cpus);
	(void)pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct service *service = worker->service;
	char why[SERVICE_WHY] = "";
	int error;

	worker_pin(worker);
	error = worker_open(worker, why, sizeof why);
	pthread_mutex_lock(&service->start_lock);
	service->ready++;
	if (error && !service->why[0])
		memcpy(service->why, why, sizeof why);
	pthread_cond_signal(&service->start_changed);
	pthread_mutex_unlock(&service->start_lock);
	if (error)
		return NULL; /* the process ends */
	loop_run(&worker->core);
	mailbox_receive(&worker->core); /* what the others sent before they ended, too */
	router_close(&worker->core);
	pools_close(&worker->core);
	snapshot_close(&worker->core);
	load_close(&worker->core);
	loop_close(&worker->core);
	return NULL;
}

/* ---- control ---- */

static void service_drain(struct core *core, enum drain_mode mode)
{
	struct service *service = container_of(core, struct service, control);
	struct letter letter = {.kind = LETTER_DRAIN, .number = (uint32_t)mode};

	if (service->is_draining && mode < service->drain)
		return;
	if (!service->is_draining)
		supervisor_stopping();
	service->is_draining = true;
	service->drain = mode;
	for (unsigned i = 0; i < service->world.worker_count; i++)
		if (mailbox_send(core, i, &letter) != 0)
			log_error(core, "core %u does not read its letters", i);
}

/* The console's SHUTDOWN. The same again while it is under way: at once. */
static void service_shutdown(struct core *core, enum drain_mode mode)
{
	struct service *service = container_of(core, struct service, control);
	bool again = service->is_draining && mode <= service->drain;

	log_info(core, "shutting down: SHUTDOWN on the console%s",
		again ? " again, without waiting" : "");
	service_drain(core, again ? DRAIN_NOW : mode);
}

static bool service_is_stopping(struct core *core)
{
	return container_of(core, struct service, control)->is_draining;
}

/* Once only consoles are left on all cores, they go, too. */
static void service_quiet(struct core *core, const struct letter *letter)
{
	struct service *service = container_of(core, struct service, control);

	(void)letter;
	if (++service->quiet == service->world.worker_count)
		service_drain(core, DRAIN_NOW);
}

static void service_drained(struct core *core, const struct letter *letter)
{
	struct service *service = container_of(core, struct service, control);
	struct letter stop = {.kind = LETTER_STOP};

	(void)letter;
	if (++service->drained < service->world.worker_count)
		return;
	for (unsigned i = 0; i < service->world.worker_count; i++)
		while (mailbox_send(core, i, &stop) != 0)
			sched_yield();
	core->stopping = true;
}

/* The console's RELOAD. */
static int service_reload(struct core *core, reload_done *done, void *owner, char *why)
{
	struct service *service = container_of(core, struct service, control);

	if (service->is_draining) {
		snprintf(why, RELOAD_TEXT, "pooler is shutting down");
		return ERR_FULL;
	}
	return reload_start(&service->reload, done, owner, why);
}

static void service_reloaded(struct core *core, void *owner, const char *why)
{
	(void)owner;
	if (why) /* else the log has it already */
		log_error(core, "nothing was reloaded: %s", why);
	if (!service_is_stopping(core))
		supervisor_ready();
}

static void service_reload_by_signal(struct service *service)
{
	char why[RELOAD_TEXT];

	if (service->is_draining)
		return;
	log_info(&service->control, "reloading the configuration: SIGHUP");
	supervisor_reloading(service->control.now_ns);
	if (reload_start(&service->reload, service_reloaded, NULL, why) != 0)
		service_reloaded(&service->control, NULL, why);
}

static void service_applied(struct core *core, const struct letter *letter)
{
	struct service *service = container_of(core, struct service, control);

	(void)letter;
	reload_applied(&service->reload);
}

static void service_dropped(struct core *core, const struct letter *letter)
{
	reload_dropped(&container_of(core, struct service, control)->reload, letter->a);
}

static void service_arm_signal(struct service *service)
{
	ring_read(service->control.net->ring, RING_SIGNAL, service->signal_fd, &service->signal,
		sizeof service->signal);
}

static void service_signalled(struct core *core, int result)
{
	struct service *service = container_of(core, struct service, control);
	int number = result == (int)sizeof service->signal ? (int)service->signal.ssi_signo : 0;

	service_arm_signal(service);
	if (number == SIGHUP) {
		service_reload_by_signal(service);
	} else if (number == SIGTERM || number == SIGINT || number == SIGQUIT) {
		bool now = number == SIGQUIT ||
			(service->is_draining && service->drain >= DRAIN_GENTLE);

		log_info(core, "shutting down: SIG%s%s", sigabbrev_np(number),
			now ? ", without waiting for transactions" : "");
		service_drain(core, now ? DRAIN_NOW : DRAIN_GENTLE);
	} else if (number == SIGUSR2 || (number == SIGUSR1 && !service->is_draining)) {
		log_info(core, "%s everything: SIG%s", number == SIGUSR1 ? "pausing" : "resuming",
			sigabbrev_np(number));
		commands_pause_all(core, number == SIGUSR1);
	}
}

static void service_write_log(struct core *core)
{
	log_drain(&core->world->log);
}

static bool service_has_log(struct core *core)
{
	return log_pending(&core->world->log);
}

static int service_open_control(struct service *service)
{
	static const struct console_hooks hooks = {.shutdown = service_shutdown,
		.is_stopping = service_is_stopping,
		.reload = service_reload};
	struct core *core = &service->control;
	struct ring_options options = service_ring_options();
	int error;

	options.buffers = 16; /* it has no clients */
	error = loop_open(core, &options, service->why, sizeof service->why);
	if (error)
		return error;
	core->each_turn = service_write_log;
	core->must_stay = service_has_log;
	core->signalled = service_signalled;
	core->handlers[LETTER_JOB_DONE] = jobs_done;
	core->handlers[LETTER_COMMAND] = console_arrived;
	core->handlers[LETTER_COMMAND_CANCEL] = console_cancelled;
	core->handlers[LETTER_ROUNDED] = round_returned;
	core->handlers[LETTER_QUIET] = service_quiet;
	core->handlers[LETTER_DRAINED] = service_drained;
	core->handlers[LETTER_CONFIG_APPLIED] = service_applied;
	core->handlers[LETTER_CONFIG_DROPPED] = service_dropped;
	service_arm_signal(service);
	return console_open(core, &hooks);
}

/* ---- the start ---- */

static int service_fail(struct service *service, const char *what)
{
	log_write_now(&service->world.log, LOG_ERROR, "cannot start: %s", what);
	return 1;
}

static int service_listen_on(struct service *service, const struct address *address)
{
	const struct config_general *general = &service->config->general;
	char text[ADDRESS_TEXT], what[SERVICE_WHY];
	int fd = service->listener_count < LIMIT_LISTENERS
		? socket_listen(address, (int)general->unix_socket_mode)
		: ERR_FULL;

	if (fd < 0) {
		snprintf(what, sizeof what, "cannot listen on %s port %u: %s",
			address_text(address, text), general->port,
			fd == ERR_FULL ? "too many addresses" : strerror(errno));
		return service_fail(service, what);
	}
	service->listeners[service->listener_count++] = fd;
	return 0;
}

static int service_listen(struct service *service)
{
	const struct config_general *general = &service->config->general;
	struct address address;
	char what[SERVICE_WHY];

	for (size_t i = 0; i < general->host.count; i++) {
		const char *host = general->host.items[i];

		if (strcmp(host, "localhost") == 0)
			host = "127.0.0.1";
		if (address_numeric(host, general->port, &address) != 0) {
			snprintf(what, sizeof what,
				"general.host \"%s\" is not an IPv4 or IPv6 address", host);
			return service_fail(service, what);
		}
		if (service_listen_on(service, &address) != 0)
			return 1;
	}
	if (!general->unix_socket_dir || !general->unix_socket_dir[0])
		return 0;
	if (address_unix(general->unix_socket_dir, general->port, &address) != 0)
		return service_fail(
			service, "general.unix_socket_dir is too long for a socket's path");
	if (service_listen_on(service, &address) != 0)
		return 1;
	snprintf(service->unix_path, sizeof service->unix_path, "%s", address.local.sun_path);
	return 0;
}

static void service_set_sockets(const struct config_tcp *tcp)
{
	struct socket_options options = {
		.keepalive = tcp->keepalive,
		.keepalive_idle_s = tcp->time_ms > 0 ? (int)((tcp->time_ms + 999) / 1000) : 0,
		.keepalive_interval_s =
			tcp->interval_ms > 0 ? (int)((tcp->interval_ms + 999) / 1000) : 0,
		.keepalive_count = tcp->retries > 0 ? (int)tcp->retries : 0,
		.user_timeout_ms = tcp->user_timeout_ms > 0 ? (int)tcp->user_timeout_ms : 0,
		.congestion = tcp->congestion_control,
	};

	socket_set_options(&options);
}

static void service_set_log(struct service *service)
{
	static const enum log_level levels[] = {[CONFIG_LOG_ERROR] = LOG_ERROR,
		[CONFIG_LOG_WARN] = LOG_WARN,
		[CONFIG_LOG_INFO] = LOG_INFO,
		[CONFIG_LOG_DEBUG] = LOG_DEBUG};

	service->world.log.level = levels[service->config->log_level];
	service->world.log.style =
		service->config->general.log_format == LOG_FORMAT_TEXT ? LOG_TEXT : LOG_JSON;
}

/* Without a configured password the console is closed: its password is a random one that nobody knows. */
static void service_set_admin_password(struct service *service)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	uint8_t bytes[12];

	rand_secure(bytes, sizeof bytes);
	memcpy(service->admin_password, "_pgring_", 8);
	for (size_t i = 0; i < sizeof bytes; i++)
		service->admin_password[8 + i] = letters[bytes[i] % (sizeof letters - 1)];
	if (service->config->admin.password)
		return;
	log_write_now(&service->world.log, LOG_WARN,
		"the console has a random password: set admin.password or PGRING_ADMIN_PASSWORD to "
		"use it");
}

static unsigned service_cpus(cpu_set_t *ret_cpus)
{
	if (sched_getaffinity(0, sizeof *ret_cpus, ret_cpus) < 0)
		CPU_ZERO(ret_cpus);
	return (unsigned)CPU_COUNT(ret_cpus) > 0 ? (unsigned)CPU_COUNT(ret_cpus) : 1;
}

/* The CPU for a worker, if there is one for each. */
static int service_cpu_for(const cpu_set_t *cpus, unsigned count, unsigned workers, unsigned index)
{
	if (workers > count)
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && index-- == 0)
			return cpu;
	return -1;
}

static int service_start_workers(struct service *service, unsigned count)
{
	cpu_set_t cpus;
	unsigned cpu_count = service_cpus(&cpus);

	service->workers = memory_lines(count * sizeof *service->workers);
	if (!service->workers)
		return service_fail(service, "out of memory");
	pthread_mutex_lock(&service->start_lock);
	for (unsigned i = 0; i < count; i++) {
		struct worker *worker = &service->workers[i];
		char name[16];

		worker->service = service;
		worker->cpu = service_cpu_for(&cpus, cpu_count, count, i);
		core_init(&worker->core, &service->world, i);
		worker->is_started =
			pthread_create(&worker->thread, NULL, worker_main, worker) == 0;
		if (!worker->is_started) {
			pthread_mutex_unlock(&service->start_lock);
			return service_fail(service, "a thread could not be created");
		}
		snprintf(name, sizeof name, "core-%u", i);
		pthread_setname_np(worker->thread, name);
	}
	while (service->ready < count)
		pthread_cond_wait(&service->start_changed, &service->start_lock);
	pthread_mutex_unlock(&service->start_lock);
	return service->why[0] ? service_fail(service, service->why) : 0;
}

static int service_block_signals(struct service *service)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* threads inherit it */
	service->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	return service->signal_fd < 0 ? service_fail(service, "no file descriptor left") : 0;
}

static void service_say_ready(struct service *service)
{
	const struct config *config = service->config;

	log_info(&service->control,
		"pgring " PGRING_VERSION " is ready: port %u, %u cores, %zu pools, %s",
		config->general.port, service->world.worker_count, config->pool_count,
		memory_allocator());
	supervisor_ready();
}

static void service_stop(struct service *service)
{
	for (unsigned i = 0; i < service->world.worker_count; i++)
		pthread_join(service->workers[i].thread, NULL);
	jobs_stop(&service->world);
	mailbox_receive(&service->control); /* what the cores let go of at their end */
	if (service->unix_path[0]) /* while we listen: behind that, it may be another process's */
		unlink(service->unix_path);
	for (unsigned i = 0; i < service->listener_count; i++)
		socket_close(service->listeners[i]);
	log_info(&service->control, "pgring has stopped");
	log_drain(&service->world.log);
	console_close(&service->control);
	tallies_free(service->world.tallies);
	loop_close(&service->control);
	close(service->signal_fd);
	mailboxes_destroy(&service->world.boxes);
	log_destroy(&service->world.log);
	free(service->workers);
	reload_end(&service->reload);
	memory_wipe(service->admin_password, sizeof service->admin_password);
}

static int service_start(struct service *service)
{
	struct world *world = &service->world;
	cpu_set_t cpus;
	unsigned workers = (unsigned)service->config->general.workers;

	if (workers == 0)
		workers = service_cpus(&cpus);
	if (workers >= LIMIT_CORES)
		workers = LIMIT_CORES - 1;
	world->worker_count = workers;
	world->control = workers;
	world->first_job = workers + 1;
	world->config = service->config;
	world->tallies = tallies_new();
	rand_secure(world->secret, sizeof world->secret);
	if (log_init(&world->log, workers + 1 + LIMIT_JOB_THREADS, STDERR_FILENO) != 0)
		return 1;
	service_set_log(service);
	if (!world->tallies || mailboxes_init(&world->boxes, workers + 1 + LIMIT_JOB_THREADS) != 0)
		return service_fail(service, "out of memory or file descriptors");
	service_set_sockets(&service->config->tcp);
	service_set_admin_password(service);
	core_init(&service->control, world, world->control);
	descriptors_share(&service->control, service->config);
	log_drain(
		&world->log); /* what it has to say comes before anything can go wrong with them */
	if (service_block_signals(service) != 0 || service_listen(service) != 0)
		return 1;
	if (service_open_control(service) != 0)
		return service_fail(service, service->why);
	if (budget_assign(world, service->reload.present, NULL) != 0)
		return service_fail(service, error_text(ERR_NO_MEMORY));
	if (jobs_start(world) != 0)
		return service_fail(service, "the job threads could not be started");
	return service_start_workers(service, workers);
}

int service_run(const struct config_sources *sources, struct config *config)
{
	struct service *service = memory_lines(sizeof *service);

	if (!service)
		return 1;
	service->config = config;
	reload_init(&service->reload, &service->control, sources, config, descriptors_share);
	pthread_mutex_init(&service->start_lock, NULL);
	pthread_cond_init(&service->start_changed, NULL);
	if (service_start(service) != 0)
		return 1; /* the process ends, and everything with it */
	service_say_ready(service);
	loop_run(&service->control);
	service_stop(service);
	free(service);
	return 0;
}
