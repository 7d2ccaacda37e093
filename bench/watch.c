/* What another process uses between two moments. */
#include "bench/watch.h"

#include "bench/child.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = {0};

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The file's contents up to size - 1 bytes, as text; empty if it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len = 0;

	if (file) {
		len = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[len] = 0;
}

static uint64_t field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The tracepoint's number, or -1 where this process may not see it. */
static int tracepoint(void)
{
	static const char *const paths[] = {
		"/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
		"/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
	};
	char text[32];

	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		read_text(paths[i], text, sizeof text);
		if (*text)
			return (int)strtol(text, NULL, 10);
	}
	return -1;
}

static int open_counter(pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof attr,
		.config = (uint64_t)tracepoint(),
	};

	if (attr.config == UINT64_MAX)
		return -1;
	return (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Adds what a thread has used so far, with sign: -1 at the start, 1 at the end. */
static void add_thread(struct watch *watch, pid_t tid, int sign)
{
	char path[64], text[4096];
	uint64_t cpu_ns, voluntary, involuntary;
	struct watch_thread *thread = NULL;

	snprintf(path, sizeof path, "/proc/%d/task/%d/status", watch->pid, tid);
	read_text(path, text, sizeof text);
	voluntary = field(text, "\nvoluntary_ctxt_switches:");
	involuntary = field(text, "\nnonvoluntary_ctxt_switches:");
	snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", watch->pid, tid);
	read_text(path, text, sizeof text);
	cpu_ns = strtoull(text, NULL, 10);
	watch->voluntary += (uint64_t)sign * voluntary;
	watch->involuntary += (uint64_t)sign * involuntary;

	for (unsigned i = 0; i < watch->thread_count; i++)
		if (watch->threads[i].tid == tid)
			thread = &watch->threads[i];
	if (!thread && watch->thread_count == WATCH_THREADS)
		return;
	if (!thread) {
		thread = &watch->threads[watch->thread_count++];
		*thread = (struct watch_thread){.tid = tid, .counter = -1};
		snprintf(path, sizeof path, "/proc/%d/task/%d/comm", watch->pid, tid);
		read_text(path, thread->name, sizeof thread->name);
		thread->name[strcspn(thread->name, "\n\"\\")] = 0;
		if (watch->count_syscalls && sign < 0)
			thread->counter = open_counter(tid);
	}
	thread->cpu_ns += (uint64_t)sign * cpu_ns;
	thread->switches += (uint64_t)sign * voluntary;
}

static void add_threads(struct watch *watch, int sign)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/task", watch->pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			add_thread(watch, (int)strtol(entry->d_name, NULL, 10), sign);
	closedir(dir);
}

void watch_init(struct watch *watch, pid_t pid, bool count_syscalls)
{
	*watch = (struct watch){.pid = pid, .count_syscalls = count_syscalls, .syscalls = -1};
	errno = clock_getcpuclockid(pid, &watch->clock);
	if (errno)
		child_fail("cannot watch process %d: %s", pid, strerror(errno));
}

void watch_start(struct watch *watch)
{
	add_threads(watch, -1);
	for (unsigned i = 0; i < watch->thread_count; i++)
		if (watch->threads[i].counter >= 0)
			ioctl(watch->threads[i].counter, PERF_EVENT_IOC_RESET, 0);
	watch->started_ns = child_now_ns();
	watch->cpu_ns = clock_ns(watch->clock);
}

void watch_stop(struct watch *watch)
{
	watch->cpu_ns = clock_ns(watch->clock) - watch->cpu_ns;
	watch->elapsed_ns = child_now_ns() - watch->started_ns;
	for (unsigned i = 0; i < watch->thread_count; i++) {
		int64_t count;

		if (watch->threads[i].counter < 0)
			continue;
		if (read(watch->threads[i].counter, &count, sizeof count) == sizeof count)
			watch->syscalls = (watch->syscalls < 0 ? 0 : watch->syscalls) + count;
		close(watch->threads[i].counter);
	}
	add_threads(watch, 1);
}

void watch_print(const struct watch *watch, FILE *file)
{
	fprintf(file,
		"{\"pid\": %d, \"cpu_ns\": %llu, \"elapsed_ns\": %llu, \"voluntary_switches\": "
		"%lld, "
		"\"involuntary_switches\": %lld, \"syscalls\": %lld, \"threads\": [",
		watch->pid, (unsigned long long)watch->cpu_ns,
		(unsigned long long)watch->elapsed_ns, (long long)watch->voluntary,
		(long long)watch->involuntary, (long long)watch->syscalls);
	for (unsigned i = 0; i < watch->thread_count; i++)
		fprintf(file,
			"%s{\"name\": \"%s\", \"cpu_ns\": %lld, \"voluntary_switches\": %lld}",
			i ? ", " : "", watch->threads[i].name, (long long)watch->threads[i].cpu_ns,
			(long long)watch->threads[i].switches);
	fputs("]}", file);
}
