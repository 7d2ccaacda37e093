/* log: lines from every member, written by one thread.
 *
 * A member formats a line into its own lock-free ring; control writes the rings out. A full ring drops the line and counts it:
 * logging never waits. Before the threads run, and in programs without control, log_write_now writes at once.
 * No secret and no statement text may be logged.
 */
#ifndef PGRING_CORE_LOG_H
#define PGRING_CORE_LOG_H

#include "core/check.h"
#include "core/limits.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct core;

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_style { LOG_TEXT, LOG_JSON };

struct log_ring {
	_Alignas(64) atomic_uint_fast64_t written; /* bytes, by the member */
	_Alignas(64) atomic_uint_fast64_t read;    /* bytes, by the writer */
	char bytes[LIMIT_LOG_RING];
};

struct log {
	enum log_level level;
	enum log_style style;
	int fd;
	unsigned member_count;
	struct log_ring **rings; /* one per member */
	uint64_t write_errors;   /* the writer's */
	uint64_t lost;           /* lines, since the last that could be written */
};

must_check int log_init(struct log *log, unsigned member_count, int fd);
void log_destroy(struct log *log);

/* Puts a line into the core's ring. Thread: core's. */
void log_line(struct core *core, enum log_level level, const char *format, ...) printf_like(3, 4);

#define log_error(core, ...) log_line(core, LOG_ERROR, __VA_ARGS__)
#define log_warn(core, ...) log_line(core, LOG_WARN, __VA_ARGS__)
#define log_info(core, ...) log_line(core, LOG_INFO, __VA_ARGS__)
#define log_debug(core, ...) log_line(core, LOG_DEBUG, __VA_ARGS__)

/* Writes one line at once. Thread: the only one, at start, or control. */
void log_write_now(struct log *log, enum log_level level, const char *format, ...)
	printf_like(3, 4);

/* Writes out what all members have logged. An error of the file (a full disk) is counted and the lines are lost; nothing waits.
 * Thread: control. */
void log_drain(struct log *log);

/* Whether there is something to write out. Thread: control. */
bool log_pending(const struct log *log);

/* The name of a level as printed; the level of a name, or -1. */
const char *log_level_name(enum log_level level);
int log_level_of(const char *name);

#endif
