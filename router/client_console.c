/* A console client: its statements go to control, which answers them (admin/console.c).
 *
 * Simple and extended protocol; one statement at a time, the next waits in client->in.
 */
#include "router/client.h"

#include "core/memory.h"
#include "protocol/frame.h"
#include "protocol/greeting.h"
#include "protocol/sqlstate.h"
#include "protocol/writer.h"
#include "router/command.h"

#include <stdlib.h>
#include <string.h>

enum { CONSOLE_MESSAGE_MAX = 64 * 1024 };

static void console_next(struct core *core, struct client *client);

void client_console_start(struct core *core, struct client *client)
{
	static const struct {
		const char *name, *value;
	} parameters[] = {
		{"server_version", PGRING_VERSION "/pgring"},
		{"client_encoding", "UTF8"},
		{"server_encoding", "UTF8"},
		{"DateStyle", "ISO"},
		{"TimeZone", "GMT"},
		{"standard_conforming_strings", "on"},
		{"is_superuser", "on"},
	};
	uint8_t message[256];
	struct writer writer;

	for (size_t i = 0; i < array_len(parameters); i++) {
		writer_init(&writer, message, sizeof message);
		greeting_write_parameter(&writer, parameters[i].name, parameters[i].value);
		stream_send(core, client->stream, message, writer_len(&writer));
	}
	writer_init(&writer, message, sizeof message);
	greeting_write_key(&writer, client_pid(core, client), client->key, CLIENT_KEY_BYTES_OLD);
	stream_send(core, client->stream, message, writer_len(&writer));
	core_timer_stop(core, &client->timer);
	core_count(core, METRIC_logins);
	client_login_end(core, client);
	client_say_ready(core, client, 'I');
	console_next(core, client);
}

void client_console_end(struct client *client)
{
	free(client->prepared);
	client->prepared = NULL;
	client->command = NULL; /* comes back and finds the client gone */
}

static void console_send(
	struct core *core, struct client *client, char *text, bool is_simple, bool describes)
{
	struct command *command = calloc(1, sizeof *command);
	struct letter letter = {.kind = LETTER_COMMAND, .a = command};

	CHECK(command && text);
	command->core = (uint16_t)core->index;
	command->slot = slab_index(client);
	command->generation = slab_generation(client);
	command->text = text;
	command->is_simple = is_simple;
	command->describes = describes;
	if (mailbox_send(core, core->world->control, &letter) != 0) {
		free(command->text);
		free(command);
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
		bool is_error = command->answer_len > 0 && command->answer[0] == SERVER_ERROR;

		client->command = NULL;
		chain_adopt(core, &client->stream->out, command->answer, command->answer_len);
		stream_flush(core, client->stream);
		if (command->is_simple)
			client_say_ready(core, client, 'I');
		else
			client->skips = is_error;
		command->answer = NULL;
		if (core->router->is_draining)
			client_fatal_text(
				core, client, SQLSTATE_ADMIN_SHUTDOWN, "pgring is shutting down");
		else
			console_next(core, client);
	}
	free(command->answer);
	free(command->text);
	free(command);
}

static char *console_text(const uint8_t *at, const uint8_t *end)
{
	const uint8_t *nul = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;

	return nul ? memory_copy_text((const char *)at, (size_t)(nul - at)) : NULL;
}

static void console_say(struct core *core, struct client *client, uint8_t type)
{
	uint8_t head[FRAME_HEAD];

	frame_write(head, type, 0);
	stream_send(core, client->stream, head, sizeof head);
}

static void console_parse(
	struct core *core, struct client *client, const uint8_t *body, const uint8_t *end)
{
	const uint8_t *nul = memchr(body, 0, (size_t)(end - body));
	char *text = nul ? console_text(nul + 1, end) : NULL;

	if (!text) {
		client_violation(core, client, "malformed Parse message");
		return;
	}
	free(client->prepared);
	client->prepared = text;
	console_say(core, client, SERVER_PARSE_COMPLETE);
}

static void console_describe(struct core *core, struct client *client, const uint8_t *body)
{
	static const uint8_t no_parameters[] = {'t', 0, 0, 0, 6, 0, 0};

	if (body[0] == 'S')
		stream_send(core, client->stream, no_parameters, sizeof no_parameters);
	console_send(core, client,
		memory_copy_text(client->prepared ? client->prepared : "",
			client->prepared ? strlen(client->prepared) : 0),
		false, true);
}

static void console_message(struct core *core, struct client *client, const struct frame *frame,
	const uint8_t *body, const uint8_t *end)
{
	char *text;

	if (client->skips && frame->type != CLIENT_SYNC && frame->type != CLIENT_TERMINATE)
		return;
	switch (frame->type) {
	case CLIENT_QUERY:
		text = console_text(body, end);
		if (text)
			console_send(core, client, text, true, false);
		else
			client_violation(core, client, "malformed Query message");
		return;
	case CLIENT_PARSE:
		console_parse(core, client, body, end);
		return;
	case CLIENT_BIND:
		console_say(core, client, SERVER_BIND_COMPLETE);
		return;
	case CLIENT_DESCRIBE:
		console_describe(core, client, body);
		return;
	case CLIENT_EXECUTE:
		console_send(core, client,
			memory_copy_text(client->prepared ? client->prepared : "",
				client->prepared ? strlen(client->prepared) : 0),
			false, false);
		return;
	case CLIENT_CLOSE:
		console_say(core, client, SERVER_CLOSE_COMPLETE);
		return;
	case CLIENT_SYNC:
		client->skips = false;
		client_say_ready(core, client, 'I');
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
	while (client->state == CLIENT_CONSOLE && !client->command) {
		uint8_t head[FRAME_HEAD];
		struct frame frame;
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
		console_message(core, client, &frame, message + FRAME_HEAD, message + frame.bytes);
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
