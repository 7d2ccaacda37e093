/* A console client: its statements go to control, which answers them (admin/console.c).
 *
 * Simple and extended protocol; one statement at a time, the next waits in client->in.
 */
#include "router/client.h"

#include "core/memory.h"
#include "protocol/frame.h"
#include "protocol/greeting.h"
#include "protocol/reader.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"
#include "router/command.h"

#include <stdlib.h>
#include <string.h>

enum {
	CONSOLE_MESSAGE_MAX = 64 * 1024,
	CONSOLE_TEXTS_MAX = 256, /* statements and portals of one client */
};

/* A prepared statement, or a portal. */
struct console_text {
	struct list link;
	uint8_t kind; /* 'S' or 'P' */
	uint16_t format_count;
	uint8_t *formats; /* of a portal's columns, each 0 or 1 */
	char *text;
	char name[LIMIT_NAME_BYTES];
};

struct client_console {
	struct list texts;
	unsigned text_count;
	bool only_looks;
};

static void console_next(struct core *core, struct client *client);

void command_free(struct command *command)
{
	if (!command)
		return;
	free(command->answer);
	free(command->formats);
	free(command->text);
	free(command);
}

void client_console_start(
	struct core *core, struct client *client, const char *user, bool only_looks)
{
	const struct {
		const char *name, *value;
	} parameters[] = {
		{"server_version", PGRING_VERSION "/pgring"},
		{"client_encoding", "UTF8"},
		{"server_encoding", "UTF8"},
		{"DateStyle", "ISO"},
		{"TimeZone", "GMT"},
		{"standard_conforming_strings", "on"},
		{"is_superuser", only_looks ? "off" : "on"},
	};
	char peer[ADDRESS_TEXT];
	uint8_t message[256];
	struct writer writer;

	for (size_t i = 0; i < array_len(parameters); i++) {
		writer_init(&writer, message, sizeof message);
		greeting_write_parameter(&writer, parameters[i].name, parameters[i].value);
		stream_send(core, client->stream, message, writer_len(&writer));
	}
	client->console = calloc(1, sizeof *client->console);
	CHECK(client->console);
	list_init(&client->console->texts);
	client->console->only_looks = only_looks;
	core->router->console_count++;
	client->key_len = CLIENT_KEY_BYTES_OLD;
	rand_secure(client->key, client->key_len);
	writer_init(&writer, message, sizeof message);
	greeting_write_key(&writer, client_pid(core, client), client->key, client->key_len);
	stream_send(core, client->stream, message, writer_len(&writer));
	core_timer_stop(core, &client->timer);
	core_count(core, METRIC_logins);
	if (core->router->config->general.log_connections)
		log_info(core, "client %llu \"%s\" connected to the console [%s]",
			(unsigned long long)client->id, user,
			address_text(client_peer(client), peer));
	client_login_end(core, client);
	client_say_ready(core, client, 'I');
	console_next(core, client);
}

static void console_text_drop(struct client_console *console, struct console_text *text)
{
	list_remove(&text->link);
	console->text_count--;
	free(text->formats);
	free(text->text);
	free(text);
}

void client_console_end(struct core *core, struct client *client)
{
	struct client_console *console = client->console;
	struct list *link;

	if (!console)
		return;
	while ((link = list_first(&console->texts)))
		console_text_drop(console, container_of(link, struct console_text, link));
	free(console);
	client->console = NULL;
	core->router->console_count--;
	client->command = NULL; /* comes back and finds the client gone */
}

void client_console_cancel(struct core *core, struct client *client)
{
	struct letter letter = {.kind = LETTER_COMMAND_CANCEL,
		.number = slab_index(client),
		.a = (void *)(uintptr_t)slab_generation(client)};

	if (mailbox_send(core, core->world->control, &letter) != 0)
		core_count(core, METRIC_cancels_ignored);
}

/* Sends a text to control; it is copied. `portal` is what formats come from, or NULL. */
static void console_send(struct core *core, struct client *client, const char *text,
	const struct console_text *portal, bool is_simple, bool describes)
{
	struct command *command = calloc(1, sizeof *command);
	struct letter letter = {.kind = LETTER_COMMAND, .a = command};

	CHECK(command);
	command->core = (uint16_t)core->index;
	command->slot = slab_index(client);
	command->generation = slab_generation(client);
	command->text = memory_copy_text(text, strlen(text));
	CHECK(command->text);
	if (portal && portal->format_count > 0) {
		command->formats = malloc(portal->format_count);
		CHECK(command->formats);
		memcpy(command->formats, portal->formats, portal->format_count);
		command->format_count = portal->format_count;
	}
	command->is_simple = is_simple;
	command->describes = describes;
	command->only_looks = client->console->only_looks;
	if (mailbox_send(core, core->world->control, &letter) != 0) {
		command_free(command);
		client_fatal_text(core, client, SQLSTATE_INSUFFICIENT_RESOURCES,
			"too many console commands at once");
		return;
	}
	client->command = command;
}

/* Back from control. */
void client_console_answered(struct core *core, const struct letter *letter)
{
	struct command *command = letter->a;
	struct client *client =
		slab_get(&core->router->clients, command->slot, command->generation);

	if (client && client->state == CLIENT_CONSOLE && client->command == command) {
		client->command = NULL;
		chain_adopt(core, &client->stream->out, command->answer, command->answer_len);
		stream_flush(core, client->stream);
		if (command->is_simple)
			client_say_ready(core, client, 'I');
		else
			client->skips = command->has_failed;
		command->answer = NULL;
		if (core->router->is_draining && core->router->drain >= DRAIN_GENTLE)
			client_fatal_text(
				core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
		else
			console_next(core, client);
	}
	command_free(command);
}

static void console_say(struct core *core, struct client *client, uint8_t type)
{
	uint8_t head[FRAME_HEAD];

	frame_write(head, type, 0);
	stream_send(core, client->stream, head, sizeof head);
}

/* An error of the extended protocol: what follows counts from the next Sync on. */
static void console_fail(
	struct core *core, struct client *client, const char *sqlstate, const char *message)
{
	struct fault fault = {"ERROR", sqlstate, message, NULL, NULL};

	client_say(core, client, &fault);
	client->skips = true;
}

static struct console_text *console_find(struct client *client, uint8_t kind, const char *name)
{
	list_each(link, &client->console->texts) {
		struct console_text *text = container_of(link, struct console_text, link);

		if (text->kind == kind && strcmp(text->name, name) == 0)
			return text;
	}
	return NULL;
}

/* Gives a statement or portal its text, a copy. NULL after an error has been sent. */
static struct console_text *console_add(struct core *core, struct client *client, uint8_t kind,
	const char *name, const char *statement)
{
	struct client_console *console = client->console;
	struct console_text *text = console_find(client, kind, name);

	if (text && *name) {
		console_fail(core, client, SQLSTATE_DUPLICATE_PREPARED_STATEMENT,
			"a statement or portal of that name exists already");
		return NULL;
	}
	if (text)
		console_text_drop(console, text);
	if (strlen(name) >= sizeof text->name || console->text_count == CONSOLE_TEXTS_MAX) {
		console_fail(core, client, SQLSTATE_PROGRAM_LIMIT_EXCEEDED,
			"the console takes no more statements, or not with such a long name");
		return NULL;
	}
	text = calloc(1, sizeof *text);
	CHECK(text);
	text->kind = kind;
	list_init(&text->link);
	memcpy(text->name, name, strlen(name) + 1);
	text->text = memory_copy_text(statement, strlen(statement));
	CHECK(text->text);
	list_init(&text->link);
	list_push_back(&console->texts, &text->link);
	console->text_count++;
	return text;
}

static void console_parse(struct core *core, struct client *client, struct reader *body)
{
	const char *name = reader_cstring(body), *statement = reader_cstring(body);

	if (!name || !statement)
		client_violation(core, client, "malformed Parse message");
	else if (console_add(core, client, 'S', name, statement))
		console_say(core, client, SERVER_PARSE_COMPLETE);
}

/* The format codes at the end of a Bind message. Returns false if they are none. */
static bool console_read_formats(struct reader *body, struct console_text *portal)
{
	portal->format_count = reader_u16(body);
	portal->formats = malloc((size_t)portal->format_count + 1);
	CHECK(portal->formats);
	for (uint16_t i = 0; i < portal->format_count; i++) {
		uint16_t code = reader_u16(body);

		if (code > 1)
			return false;
		portal->formats[i] = (uint8_t)code;
	}
	return reader_done(body);
}

static void console_bind(struct core *core, struct client *client, struct reader *body)
{
	const char *portal_name = reader_cstring(body), *name = reader_cstring(body);
	struct console_text *statement = name ? console_find(client, 'S', name) : NULL, *portal;
	uint16_t count = reader_u16(body);

	for (; count > 0; count--)
		(void)reader_u16(body); /* formats of parameters */
	if (!portal_name || !name) {
		client_violation(core, client, "malformed Bind message");
	} else if (!statement) {
		console_fail(core, client, SQLSTATE_INVALID_SQL_STATEMENT_NAME,
			"prepared statement does not exist");
	} else if (reader_u16(body) != 0) {
		console_fail(core, client, SQLSTATE_PROTOCOL_VIOLATION,
			"the console's commands have no parameters");
	} else {
		portal = console_add(core, client, 'P', portal_name, statement->text);
		if (portal && !console_read_formats(body, portal))
			client_violation(core, client, "malformed Bind message");
		else if (portal)
			console_say(core, client, SERVER_BIND_COMPLETE);
	}
}

/* The statement or portal that a Describe, Execute or Close means. NULL after an error has been sent. */
static struct console_text *console_named(
	struct core *core, struct client *client, uint8_t kind, const char *name)
{
	struct console_text *text = name ? console_find(client, kind, name) : NULL;

	if (!text)
		console_fail(core, client,
			kind == 'S' ? SQLSTATE_INVALID_SQL_STATEMENT_NAME
				    : SQLSTATE_INVALID_CURSOR_NAME,
			kind == 'S' ? "prepared statement does not exist"
				    : "portal does not exist");
	return text;
}

static void console_describe(struct core *core, struct client *client, struct reader *body)
{
	static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};
	uint8_t kind = reader_u8(body);
	struct console_text *text = console_named(core, client, kind, reader_cstring(body));

	if (!text)
		return;
	if (kind == 'S')
		stream_send(core, client->stream, no_parameters, sizeof no_parameters);
	console_send(core, client, text->text, text, false, true);
}

static void console_execute(struct core *core, struct client *client, struct reader *body)
{
	struct console_text *portal = console_named(core, client, 'P', reader_cstring(body));

	if (portal)
		console_send(core, client, portal->text, portal, false, false);
}

static void console_close(struct core *core, struct client *client, struct reader *body)
{
	uint8_t kind = reader_u8(body);
	const char *name = reader_cstring(body);
	struct console_text *text = name ? console_find(client, kind, name) : NULL;

	if (text)
		console_text_drop(client->console, text);
	console_say(core, client, SERVER_CLOSE_COMPLETE);
}

/* Portals live as long as their transaction: until the Sync. */
static void console_sync(struct core *core, struct client *client)
{
	list_each_safe(link, &client->console->texts) {
		struct console_text *text = container_of(link, struct console_text, link);

		if (text->kind == 'P')
			console_text_drop(client->console, text);
	}
	client->skips = false;
	client_say_ready(core, client, 'I');
}

static void console_query(struct core *core, struct client *client, struct reader *body)
{
	const char *text = reader_cstring(body);

	if (text)
		console_send(core, client, text, NULL, true, false);
	else
		client_violation(core, client, "malformed Query message");
}

static void console_message(
	struct core *core, struct client *client, const struct frame *frame, struct reader *body)
{
	if (client->skips && frame->type != CLIENT_SYNC && frame->type != CLIENT_TERMINATE)
		return;
	switch (frame->type) {
	case CLIENT_QUERY:
		console_query(core, client, body);
		return;
	case CLIENT_PARSE:
		console_parse(core, client, body);
		return;
	case CLIENT_BIND:
		console_bind(core, client, body);
		return;
	case CLIENT_DESCRIBE:
		console_describe(core, client, body);
		return;
	case CLIENT_EXECUTE:
		console_execute(core, client, body);
		return;
	case CLIENT_CLOSE:
		console_close(core, client, body);
		return;
	case CLIENT_SYNC:
		console_sync(core, client);
		return;
	case CLIENT_FLUSH:
		return;
	case CLIENT_TERMINATE:
		client_drop(core, client, "the client said goodbye");
		return;
	}
	client_violation(core, client, "the console does not take this message");
}

static void console_next(struct core *core, struct client *client)
{
	while (client->state == CLIENT_CONSOLE && !client->command &&
		!stream_is_full(client->stream)) {
		uint8_t head[FRAME_HEAD];
		struct frame frame;
		struct reader body;
		uint8_t *message;

		if (chain_peek(&client->in, head, sizeof head) < sizeof head)
			break;
		if (frame_read(frame_from_client, head, sizeof head, &frame) != FRAME_DONE ||
			frame.bytes > CONSOLE_MESSAGE_MAX) {
			client_violation(
				core, client, "invalid message, or too long for the console");
			return;
		}
		if (client->in.bytes < frame.bytes)
			break;
		message = malloc(frame.bytes);
		CHECK(message);
		chain_peek(&client->in, message, frame.bytes);
		chain_pop(core, &client->in, frame.bytes);
		reader_init(&body, message + FRAME_HEAD, frame.bytes - FRAME_HEAD);
		console_message(core, client, &frame, &body);
		free(message);
	}
	if (client->state != CLIENT_CONSOLE)
		return;
	if (client->in.bytes > 2 * CONSOLE_MESSAGE_MAX)
		stream_pause(core, client->stream);
	else
		stream_read(core, client->stream);
}

void client_console_data(
	struct core *core, struct client *client, const struct span *spans, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		chain_copy(core, &client->in, spans[i].bytes, spans[i].len);
	console_next(core, client);
}

void client_console_drained(struct core *core, struct client *client)
{
	console_next(core, client);
}
