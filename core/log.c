/* Log lines: formatted by their thread, written by control. */
#include "core/log.h"

#include "core/clock.h"
#include "core/core.h"
#include "core/errors.h"
#include "core/memory.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* In a ring, each line stands behind such a head, in a multiple of 8 bytes. */
struct log_head {
	uint64_t wall_ns;
	uint16_t len;
	uint16_t level;
	uint32_t unused;
};

static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_level_of(const char *name)
{
	for (size_t i = 0; i < array_len(level_names); i++)
		if (strcasecmp(name, level_names[i]) == 0)
			return (int)i;
	return -1;
}

int log_init(struct log *log, unsigned member_count, int fd)
{
	memset(log, 0, sizeof *log);
	log->level = LOG_INFO;
	log->fd = fd;
	log->member_count = member_count;
	log->rings = calloc(member_count, sizeof(struct log_ring *));
	if (!log->rings)
		return ERR_NO_MEMORY;
	for (unsigned i = 0; i < member_count; i++) {
		log->rings[i] = memory_lines(sizeof(struct log_ring));
		if (!log->rings[i])
			return ERR_NO_MEMORY;
		atomic_init(&log->rings[i]->written, 0);
		atomic_init(&log->rings[i]->read, 0);
	}
	return 0;
}

void log_destroy(struct log *log)
{
	for (unsigned i = 0; i < log->member_count; i++)
		free(log->rings[i]);
	free(log->rings);
}

static size_t log_format_line(char *line, size_t size, const char *format, va_list args)
{
	int len = vsnprintf(line, size, format, args);

	if (len < 0)
		return 0;
	return (size_t)len < size ? (size_t)len : size - 1;
}

static void log_ring_copy_in(struct log_ring *ring, uint64_t at, const void *bytes, size_t len)
{
	size_t offset = at % LIMIT_LOG_RING;
	size_t first = len < LIMIT_LOG_RING - offset ? len : LIMIT_LOG_RING - offset;

	memcpy(ring->bytes + offset, bytes, first);
	memcpy(ring->bytes, (const char *)bytes + first, len - first);
}

static void log_ring_copy_out(const struct log_ring *ring, uint64_t at, void *bytes, size_t len)
{
	size_t offset = at % LIMIT_LOG_RING;
	size_t first = len < LIMIT_LOG_RING - offset ? len : LIMIT_LOG_RING - offset;

	memcpy(bytes, ring->bytes + offset, first);
	memcpy((char *)bytes + first, ring->bytes, len - first);
}

static size_t log_padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

void log_line(struct core *core, enum log_level level, const char *format, ...)
{
	struct log *log = &core->world->log;
	struct log_ring *ring;
	struct log_head head = {.level = (uint16_t)level};
	char line[LIMIT_LOG_LINE];
	uint64_t written;
	va_list args;

	if (level > log->level)
		return;
	va_start(args, format);
	head.len = (uint16_t)log_format_line(line, sizeof line, format, args);
	va_end(args);
	head.wall_ns = clock_wall_ns();

	ring = log->rings[core->index];
	written = atomic_load_explicit(&ring->written, memory_order_relaxed);
	if (written + sizeof head + log_padded(head.len) -
			atomic_load_explicit(&ring->read, memory_order_acquire) >
		LIMIT_LOG_RING) {
		core_count(core, METRIC_log_dropped);
		return;
	}
	log_ring_copy_in(ring, written, &head, sizeof head);
	log_ring_copy_in(ring, written + sizeof head, line, head.len);
	atomic_store_explicit(
		&ring->written, written + sizeof head + log_padded(head.len), memory_order_release);
	if (core->index != core->world->control && core->wake &&
		mailbox_must_wake(&core->world->boxes, core->world->control))
		core->wake(core, core->world->control);
}

/* Bytes of the UTF-8 character at `at` (RFC 3629), or 0 if there is none. */
static size_t log_character(const unsigned char *at, size_t len)
{
	size_t n = at[0] < 0x80                 ? 1
		: at[0] >= 0xc2 && at[0] < 0xe0 ? 2
		: (at[0] & 0xf0) == 0xe0        ? 3
		: at[0] >= 0xf0 && at[0] < 0xf5 ? 4
						: 0;

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
		(at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return n;
}

/* Escapes for JSON, where what is not UTF-8 becomes the replacement character; control characters of text lines become spaces so
 * that a line stays a line. */
static size_t log_escape(char *target, size_t size, const char *source, size_t len, bool json)
{
	size_t used = 0;

	for (size_t i = 0; i < len && used + 7 < size; i++) {
		unsigned char c = (unsigned char)source[i];

		if (json && (c == '"' || c == '\\')) {
			target[used++] = '\\';
			target[used++] = (char)c;
		} else if (c < 0x20 || c == 0x7f) {
			if (json)
				used += (size_t)snprintf(target + used, size - used, "\\u%04x", c);
			else
				target[used++] = ' ';
		} else if (json && c >= 0x80) {
			size_t n = log_character((const unsigned char *)source + i, len - i);

			if (n == 0) {
				memcpy(target + used, "\xef\xbf\xbd", 3); /* U+FFFD */
				used += 3;
			} else {
				memcpy(target + used, source + i, n);
				used += n;
				i += n - 1;
			}
		} else {
			target[used++] = (char)c;
		}
	}
	target[used] = '\0';
	return used;
}

/* Writes without waiting: whoever does not read our log must not stop us. A pipe or socket that says it can take something takes
 * a page. Returns false if not all was written. */
static bool log_write(struct log *log, const char *text, size_t len)
{
	enum { LOG_PAGE = 4096 };

	while (len > 0) {
		struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
		ssize_t written;

		if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT))
			return false;
		written = write(log->fd, text, len < LOG_PAGE ? len : LOG_PAGE);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		text += written;
		len -= (size_t)written;
	}
	return true;
}

static void log_emit(
	struct log *log, const struct log_head *head, unsigned member, const char *line)
{
	char text[6 * LIMIT_LOG_LINE + 256], escaped[6 * LIMIT_LOG_LINE + 8], when[32];
	time_t seconds = (time_t)(head->wall_ns / NS_PER_S);
	unsigned ms = (unsigned)(head->wall_ns % NS_PER_S / NS_PER_MS);
	struct tm tm;
	int len;

	gmtime_r(&seconds, &tm);
	log_escape(escaped, sizeof escaped, line, head->len, log->style == LOG_JSON);
	if (log->style == LOG_JSON) {
		strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
		len = snprintf(text, sizeof text,
			"{\"timestamp\":\"%s.%03uZ\",\"level\":\"%s\",\"core\":%u,\"message\":\"%"
			"s\"}\n",
			when, ms, level_names[head->level], member, escaped);
	} else {
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
		len = snprintf(text, sizeof text, "%s.%03u UTC [%d] %s %s\n", when, ms,
			(int)getpid(), level_names[head->level], escaped);
	}
	if (!log_write(log, text, (size_t)len)) {
		log->write_errors++;
		log->lost++;
	} else if (unlikely(log->lost > 0)) {
		uint64_t lost = log->lost;

		log->lost = 0;
		log_write_now(log, LOG_WARN, "%llu log lines could not be written",
			(unsigned long long)lost);
	}
}

void log_write_now(struct log *log, enum log_level level, const char *format, ...)
{
	char line[LIMIT_LOG_LINE];
	struct log_head head = {.level = (uint16_t)level, .wall_ns = clock_wall_ns()};
	va_list args;

	if (level > log->level)
		return;
	va_start(args, format);
	head.len = (uint16_t)log_format_line(line, sizeof line, format, args);
	va_end(args);
	log_emit(log, &head, 0, line);
}

void log_drain(struct log *log)
{
	for (unsigned member = 0; member < log->member_count; member++) {
		struct log_ring *ring = log->rings[member];
		uint64_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
		uint64_t written = atomic_load_explicit(&ring->written, memory_order_acquire);

		while (read < written) {
			struct log_head head;
			char line[LIMIT_LOG_LINE];

			log_ring_copy_out(ring, read, &head, sizeof head);
			log_ring_copy_out(ring, read + sizeof head, line, head.len);
			read += sizeof head + log_padded(head.len);
			atomic_store_explicit(&ring->read, read, memory_order_release);
			log_emit(log, &head, member, line);
		}
	}
}

bool log_pending(const struct log *log)
{
	for (unsigned member = 0; member < log->member_count; member++) {
		struct log_ring *ring = log->rings[member];

		if (atomic_load_explicit(&ring->read, memory_order_relaxed) !=
			atomic_load_explicit(&ring->written, memory_order_acquire))
			return true;
	}
	return false;
}
