/* The log: a line stays a line, in text and in JSON; a full ring counts what it drops; many threads mix lines, not bytes. */
#include "core/log.h"

#include "core/core.h"
#include "core/rand.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMBERS = 4, CONTROL = 3, PREFIX_MAX = 256 };

static struct world world;
static struct core cores[MEMBERS];
static FILE *file;
static char *text; /* what was written since the last look */

static int log_open(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	file = tmpfile();
	if (!file || log_init(&world.log, MEMBERS, fileno(file)) != 0 ||
		mailboxes_init(&world.boxes, MEMBERS) != 0)
		return -1;
	world.control = CONTROL;
	for (unsigned i = 0; i < MEMBERS; i++)
		core_init(&cores[i], &world, i);
	return 0;
}

static int log_close(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	log_destroy(&world.log);
	mailboxes_destroy(&world.boxes);
	fclose(file);
	return 0;
}

/* What the log has written; the file is empty again. */
static char *written(void)
{
	off_t len = lseek(fileno(file), 0, SEEK_END);

	assert_true(len >= 0);
	free(text);
	text = malloc((size_t)len + 1);
	assert_int_equal(pread(fileno(file), text, (size_t)len, 0), len);
	text[len] = '\0';
	assert_int_equal(ftruncate(fileno(file), 0), 0);
	assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
	assert_int_equal(strlen(text), len); /* no NUL in a log */
	return text;
}

static char *drained(void)
{
	log_drain(&world.log);
	assert_false(log_pending(&world.log));
	return written();
}

/* Takes the next line off; NULL at the end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (*line == '\0')
		return NULL;
	assert_non_null(end);
	*end = '\0';
	*at = end + 1;
	return line;
}

/* '0' in the pattern is any digit; the rest is itself. Returns what is behind it. */
static char *behind(char *line, const char *pattern)
{
	for (; *pattern; pattern++, line++)
		if (*pattern == '0' ? *line < '0' || *line > '9' : *line != *pattern)
			fail_msg("\"%s\" where \"%s\" should be", line, pattern);
	return line;
}

/* The message of a line in text. */
static char *text_message(char *line, const char *level)
{
	char head[64];

	line = behind(line, "0000-00-00 00:00:00.000 UTC [");
	snprintf(head, sizeof head, "%d] %s ", (int)getpid(), level);
	assert_memory_equal(line, head, strlen(head));
	return line + strlen(head);
}

/* ---- JSON, as RFC 8259 has it ---- */

/* The character at `at`, valid UTF-8 (RFC 3629); moves behind it. */
static uint32_t json_utf8(const uint8_t **at)
{
	const uint8_t *s = *at;
	unsigned more = s[0] < 0x80           ? 0
		: s[0] >= 0xC2 && s[0] < 0xE0 ? 1
		: s[0] >= 0xE0 && s[0] < 0xF0 ? 2
					      : 3;
	uint32_t c = more == 0 ? s[0] : s[0] & (0x3FU >> more);

	if (s[0] >= 0x80 && (s[0] < 0xC2 || s[0] > 0xF4))
		fail_msg("byte 0x%02x begins no character of UTF-8", s[0]);
	for (unsigned i = 1; i <= more; i++) {
		if ((s[i] & 0xC0) != 0x80)
			fail_msg("half a character of UTF-8");
		c = c << 6 | (s[i] & 0x3F);
	}
	if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10FFFF)) ||
		(c >= 0xD800 && c < 0xE000))
		fail_msg("U+%X is not encoded like this", c);
	*at = s + more + 1;
	return c;
}

/* Reads a string; returns what is behind its closing quote. `ret` gets the bytes. */
static const char *json_string(const char *at, char *ret)
{
	static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";

	assert_int_equal(*at++, '"');
	while (*at != '"') {
		const uint8_t *bytes = (const uint8_t *)at;
		uint32_t c = json_utf8(&bytes);

		assert_true(c >= 0x20);
		if (c != '\\') {
			size_t len = (size_t)((const char *)bytes - at);

			memcpy(ret, at, len);
			ret += len;
			at += len;
			continue;
		}
		if (at[1] == 'u') {
			unsigned code;
			char digits[5] = {at[2], at[3], at[4], at[5], 0};

			assert_int_equal(sscanf(digits, "%4x", &code), 1);
			assert_in_range(code, 1, 0x7F); /* we escape nothing else */
			*ret++ = (char)code;
			at += 6;
			continue;
		}
		for (size_t i = 0;; i += 2) {
			assert_true(i < sizeof escapes - 1);
			if (escapes[i] == at[1]) {
				*ret++ = escapes[i + 1];
				break;
			}
		}
		at += 2;
	}
	*ret = '\0';
	return at + 1;
}

/* The message of a line in JSON, in place. */
static char *json_message(char *line, const char *level, unsigned member)
{
	static char message[6 * LIMIT_LOG_LINE + PREFIX_MAX];
	char head[64];
	const char *at = behind(line, "{\"timestamp\":\"0000-00-00T00:00:00.000Z\",");

	snprintf(head, sizeof head, "\"level\":\"%s\",\"core\":%u,\"message\":", level, member);
	assert_memory_equal(at, head, strlen(head));
	at = json_string(at + strlen(head), message);
	assert_string_equal(at, "}");
	return message;
}

/* ---- lines ---- */

static void a_line_says_when_who_and_what(void **state)
{
	char *at, *line;

	(void)state;
	log_warn(&cores[1], "seven is %d", 7);
	assert_true(log_pending(&world.log));
	assert_string_equal(written(), ""); /* control writes, nobody else */
	at = drained();
	line = next_line(&at);
	assert_string_equal(text_message(line, "WARN"), "seven is 7");
	assert_null(next_line(&at));

	world.log.style = LOG_JSON;
	log_error(&cores[2], "seven is %d", 7);
	log_write_now(&world.log, LOG_INFO, "at %s", "once");
	at = written();
	assert_string_equal(json_message(next_line(&at), "INFO", 0), "at once");
	assert_null(next_line(&at));
	at = drained();
	assert_string_equal(json_message(next_line(&at), "ERROR", 2), "seven is 7");
}

static void levels_filter(void **state)
{
	static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

	(void)state;
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		char *at;

		world.log.level = (enum log_level)level;
		for (int of = LOG_ERROR; of <= LOG_DEBUG; of++) {
			log_line(&cores[0], (enum log_level)of, "said");
			log_write_now(&world.log, (enum log_level)of, "said");
		}
		at = drained();
		for (int of = LOG_ERROR; of <= level; of++)
			assert_string_equal(text_message(next_line(&at), names[of]), "said");
		for (int of = LOG_ERROR; of <= level; of++)
			assert_string_equal(text_message(next_line(&at), names[of]), "said");
		assert_null(next_line(&at));
		assert_string_equal(log_level_name((enum log_level)level), names[level]);
		assert_int_equal(log_level_of(names[level]), level);
	}
	assert_int_equal(log_level_of("info"), LOG_INFO);
	assert_int_equal(log_level_of("Warn"), LOG_WARN);
	assert_int_equal(log_level_of("warning"), -1);
	assert_int_equal(log_level_of("inf"), -1);
	assert_int_equal(log_level_of(""), -1);
}

static void control_characters_do_not_break_a_line(void **state)
{
	(void)state;
	for (int style = LOG_TEXT; style <= LOG_JSON; style++) {
		world.log.style = (enum log_style)style;
		for (int c = 1; c < 0x80; c++) {
			const char said[] = {'<', (char)c, (char)c, '>', 0};
			char space[] = {'<', ' ', ' ', '>', 0};
			bool is_control = c < 0x20 || c == 0x7F;
			char *at, *line;

			log_info(&cores[0], "%s", said);
			at = drained();
			line = next_line(&at);
			if (style == LOG_JSON)
				assert_string_equal(json_message(line, "INFO", 0), said);
			else
				assert_string_equal(
					text_message(line, "INFO"), is_control ? space : said);
			assert_null(next_line(&at));
		}
	}
}

/* The first and the last character of each length, and those beside the surrogates. */
static void utf8_stays_what_it_is(void **state)
{
	static const char said[] = "h\xC3\xA4tte, \xE2\x82\xAC, \xF0\x9F\x90\x98: "
				   "\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xEF\xBF\xBF "
				   "\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF \xED\x9F\xBF \xEE\x80\x80";
	char *at;

	(void)state;
	log_info(&cores[0], "%s", said);
	at = drained();
	assert_string_equal(text_message(next_line(&at), "INFO"), said);
	world.log.style = LOG_JSON;
	log_info(&cores[0], "%s", said);
	at = drained();
	assert_string_equal(json_message(next_line(&at), "INFO", 0), said);
}

/* Names come from clients. What is not UTF-8 must not make the line something else than JSON (RFC 8259, 8.1). */
static void json_is_utf8_whatever_was_said(void **state)
{
	static const char *const said[] = {"user \"\xFF\" does not exist", "cut \xC3", "\xE2\x82",
		"\x80", "\xBF\xBF", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
		"\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
		"\xF0\x9F\x90", "\xE2(\xA1", "\xC3\"", "\xF0\x9F\\\x98", "\xFE\xFF"};

	(void)state;
	world.log.style = LOG_JSON;
	for (size_t i = 0; i < array_len(said); i++) {
		char *at;

		log_info(&cores[0], "%s", said[i]);
		at = drained();
		json_message(next_line(&at), "INFO", 0); /* fails if it is not */
	}
}

/* A line that is cut in the middle of a character, at each of its bytes. */
static void json_is_utf8_also_when_it_is_cut(void **state)
{
	(void)state;
	world.log.style = LOG_JSON;
	for (unsigned blanks = 0; blanks < 4; blanks++) {
		char said[LIMIT_LOG_LINE + 100], *at;
		size_t len = blanks;

		memset(said, ' ', blanks);
		while (len + 5 < sizeof said) {
			memcpy(said + len, "\xF0\x9F\x90\x98", 4);
			len += 4;
		}
		said[len] = '\0';
		log_info(&cores[0], "%s", said);
		at = drained();
		json_message(next_line(&at), "INFO", 0);
	}
}

static void long_lines_are_cut(void **state)
{
	static const char worst[] = {'\x01', '"', 'x', '\x7F', '\\'};

	(void)state;
	for (int style = LOG_TEXT; style <= LOG_JSON; style++) {
		world.log.style = (enum log_style)style;
		for (size_t i = 0; i < array_len(worst); i++) {
			for (size_t len = LIMIT_LOG_LINE - 3; len < LIMIT_LOG_LINE + 3; len++) {
				size_t expected = len < LIMIT_LOG_LINE ? len : LIMIT_LOG_LINE - 1;
				char said[LIMIT_LOG_LINE + 3] = {0}, *at, *line;

				memset(said, worst[i], len);
				log_info(&cores[0], "%s", said);
				log_write_now(&world.log, LOG_INFO, "%s", said);
				at = drained();
				for (unsigned n = 0; n < 2; n++) {
					line = next_line(&at);
					line = style == LOG_JSON ? json_message(line, "INFO", 0)
								 : text_message(line, "INFO");
					assert_int_equal(strlen(line), expected);
				}
				assert_null(next_line(&at));
			}
		}
	}
}

/* ---- the ring ---- */

/* A line of any length whose content follows from its number. */
static void say(struct core *core, uint32_t number)
{
	static const char dots[] =
		"................................................................................";
	unsigned len = number * 7919 % (sizeof dots - 1);

	log_info(core, "line %u %.*s.", number, (int)len, dots);
}

/* The number of such a line, when it is whole. */
static uint32_t said(const char *message)
{
	unsigned number;
	int at = -1;

	assert_int_equal(sscanf(message, "line %u %n", &number, &at), 1);
	assert_true(at > 0);
	assert_int_equal(strspn(message + at, "."), number * 7919 % 80 + 1);
	assert_int_equal(message[at + (int)strspn(message + at, ".")], '\0');
	return number;
}

static void the_ring_wraps(void **state)
{
	struct rand rand = {{61, 62, 63, 64}};
	uint32_t number = 0, expected = 0;

	(void)state;
	while (number < 100000) {
		char *at, *line;

		for (uint64_t n = rand_below(&rand, 400); n > 0; n--)
			say(&cores[1], number++);
		at = drained();
		while ((line = next_line(&at)))
			assert_int_equal(said(text_message(line, "INFO")), expected++);
		assert_int_equal(expected, number);
	}
	assert_int_equal(cores[1].metrics[METRIC_log_dropped], 0);
}

static void a_full_ring_drops_and_counts(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		uint32_t number = 0, kept = 0, last = 0;
		uint64_t dropped = cores[1].metrics[METRIC_log_dropped];
		char *at, *line;

		while (number < 3000)
			say(&cores[1], number++);
		dropped = cores[1].metrics[METRIC_log_dropped] - dropped;
		assert_true(dropped > 0);
		assert_int_equal(cores[0].metrics[METRIC_log_dropped], 0);
		log_info(&cores[0], "line 0 ."); /* another member's ring has room */
		at = drained();
		assert_int_equal(said(text_message(next_line(&at), "INFO")), 0);
		while ((line = next_line(&at))) {
			uint32_t n = said(text_message(line, "INFO"));

			assert_true(kept == 0 || n > last);
			last = n;
			kept++;
		}
		assert_int_equal(kept + dropped, number);
		assert_true(kept > LIMIT_LOG_RING / 128); /* and it was used to the full */
	}
}

/* Lines whose sum is exactly the ring: the last fits, one more byte does not. */
static void the_ring_may_be_full_to_the_last_byte(void **state)
{
	enum { HEAD = 16, LINE = 512 - HEAD };

	(void)state;
	for (unsigned n = 0; n < LIMIT_LOG_RING / 512; n++)
		log_info(&cores[0], "%0*u", LINE, n);
	assert_int_equal(cores[0].metrics[METRIC_log_dropped], 0);
	log_info(&cores[0], "%s", "");
	assert_int_equal(cores[0].metrics[METRIC_log_dropped], 1);
	log_drain(&world.log);
	log_info(&cores[0], "%s", "");
	assert_int_equal(cores[0].metrics[METRIC_log_dropped], 1);
	log_drain(&world.log);
}

static void a_full_disk_is_counted_and_not_waited_for(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), fd = world.log.fd;

	(void)state;
	assert_true(full >= 0);
	world.log.fd = full;
	for (unsigned n = 0; n < 5; n++)
		log_info(&cores[0], "lost");
	log_drain(&world.log);
	log_write_now(&world.log, LOG_INFO, "lost");
	assert_int_equal(world.log.write_errors, 6);
	assert_false(log_pending(&world.log));
	world.log.fd = fd;
	close(full);
}

static void count_wake(struct core *core, unsigned member)
{
	assert_int_equal(member, CONTROL);
	core->metrics[METRIC_loop_turns]++; /* just a counter here */
}

static void a_line_wakes_control_if_it_sleeps(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MEMBERS; i++)
		cores[i].wake = count_wake;
	log_info(&cores[0], "control is awake");
	assert_int_equal(cores[0].metrics[METRIC_loop_turns], 0);
	assert_true(mailbox_sleep(&cores[CONTROL]));
	log_debug(&cores[0], "not logged");
	assert_int_equal(cores[0].metrics[METRIC_loop_turns], 0);
	log_info(&cores[1], "control sleeps");
	assert_int_equal(cores[1].metrics[METRIC_loop_turns], 1);
	log_info(&cores[0], "somebody woke it already");
	assert_int_equal(cores[0].metrics[METRIC_loop_turns], 0);
	mailbox_awake(&cores[CONTROL]);
	log_info(&cores[CONTROL], "said by control itself");
	assert_int_equal(cores[CONTROL].metrics[METRIC_loop_turns], 0);
	log_drain(&world.log);
}

/* ---- threads ---- */

enum { WRITERS = 3, LINES = 20000, WOKEN_MS_MAX = 40000 };

struct writer {
	struct core *core;
	pthread_t thread;
};

static atomic_uint writers_left;

static void wake_by_eventfd(struct core *core, unsigned member)
{
	uint64_t one = 1;

	if (write(core->world->boxes.members[member].wake_fd, &one, sizeof one) != sizeof one)
		check_failed("the eventfd took no wake-up", __FILE__, __LINE__, __func__);
}

static void *write_lines(void *argument)
{
	struct writer *writer = argument;
	struct letter letter = {.kind = LETTER_STOP};

	for (uint32_t n = 0; n < LINES; n++) {
		say(writer->core, n);
		if (rand_below(&writer->core->rand, 200) == 0)
			usleep(50); /* so that control sleeps, too */
	}
	atomic_fetch_sub(&writers_left, 1);
	CHECK(mailbox_send(writer->core, CONTROL, &letter) == 0);
	return NULL;
}

static void ignore_letter(struct core *core, const struct letter *letter)
{
	(void)core;
	(void)letter;
}

/* As the loop of control does it: it looks for lines after it has said that it sleeps. Returns false if nobody woke it. */
static bool drain_as_control(void)
{
	struct core *core = &cores[CONTROL];
	bool is_woken = true;

	while (is_woken && (atomic_load(&writers_left) > 0 || log_pending(&world.log))) {
		struct pollfd ready = {
			.fd = world.boxes.members[CONTROL].wake_fd, .events = POLLIN};
		uint64_t wakes;

		mailbox_receive(core);
		log_drain(&world.log);
		if (mailbox_sleep(core) && !log_pending(&world.log) &&
			atomic_load(&writers_left) > 0)
			is_woken = poll(&ready, 1, WOKEN_MS_MAX) == 1;
		mailbox_awake(core);
		if (poll(&ready, 1, 0) == 1)
			is_woken = read(ready.fd, &wakes, sizeof wakes) == sizeof wakes;
	}
	return is_woken;
}

static void threads_mix_lines_not_bytes(void **state)
{
	struct writer writers[WRITERS];
	uint32_t lines[WRITERS] = {0}, last[WRITERS] = {0};
	char *at, *line;
	bool is_woken;

	(void)state;
	world.log.style = LOG_JSON; /* it says which core */
	cores[CONTROL].handlers[LETTER_STOP] = ignore_letter;
	atomic_store(&writers_left, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].core = &cores[i];
		cores[i].wake = wake_by_eventfd;
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
	}
	is_woken = drain_as_control();
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
	assert_true(is_woken);
	log_drain(&world.log);

	at = written();
	while ((line = next_line(&at))) {
		const char *core = strstr(line, "\"core\":");
		unsigned member;
		uint32_t n;

		assert_int_equal(sscanf(core, "\"core\":%u", &member), 1);
		assert_true(member < WRITERS);
		n = said(json_message(line, "INFO", member));
		assert_true(lines[member] == 0 || n > last[member]);
		last[member] = n;
		lines[member]++;
	}
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(lines[i] + cores[i].metrics[METRIC_log_dropped], LINES);
}

#define WITH_A_LOG(test) cmocka_unit_test_setup_teardown(test, log_open, log_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_LOG(a_line_says_when_who_and_what),
		WITH_A_LOG(levels_filter),
		WITH_A_LOG(control_characters_do_not_break_a_line),
		WITH_A_LOG(utf8_stays_what_it_is),
		WITH_A_LOG(json_is_utf8_whatever_was_said),
		WITH_A_LOG(json_is_utf8_also_when_it_is_cut),
		WITH_A_LOG(long_lines_are_cut),
		WITH_A_LOG(the_ring_wraps),
		WITH_A_LOG(a_full_ring_drops_and_counts),
		WITH_A_LOG(the_ring_may_be_full_to_the_last_byte),
		WITH_A_LOG(a_full_disk_is_counted_and_not_waited_for),
		WITH_A_LOG(a_line_wakes_control_if_it_sleeps),
		WITH_A_LOG(threads_mix_lines_not_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
