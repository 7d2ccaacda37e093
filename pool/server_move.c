/* Packing a server on one core, unpacking it on another. */
#include "pool/server_move.h"

#include "net/socket.h"
#include "pool/pool.h"

#include <stdlib.h>
#include <string.h>

struct server_parcel {
	int fd;
	struct place place;   /* goes with it */
	struct params wanted; /* the settings that it has applied */
	struct server server; /* as it was; what it points to on its old core is not valid */
};

bool server_move_idle(struct core *core, struct pool *pool, unsigned to, bool is_promised)
{
	struct list *idle = &pool->servers[SERVER_LIST_IDLE];

	if (list_empty(idle) || core->pools->is_draining)
		return false;
	server_move(core, container_of(idle->prev, struct server, link), to, is_promised);
	return true;
}

void server_move(struct core *core, struct server *server, unsigned to, bool is_promised)
{
	server_enter(core, server, SERVER_MOVING);
	server->moves_to = to;
	server->is_promised = is_promised;
	stream_release(core, server->stream);
}

void server_move_released(struct core *core, struct stream *stream, int fd)
{
	struct server *server = stream->owner;
	struct pool *pool = server->pool;
	struct server_parcel *parcel = malloc(sizeof *parcel);
	unsigned to = server->moves_to;
	bool is_promised = server->is_promised, is_whole = answers_at_border(server);

	CHECK(parcel && server->state == SERVER_MOVING);
	CHECK(server->prepared.log_count == 0);
	CHECK(!server->traces.held && !server->traces.suspected && !server->traces.names.items);
	parcel->fd = fd;
	parcel->place = places_of(pool);
	parcel->wanted = (struct params){0};
	params_copy(&parcel->wanted, &server->settings->wanted);
	settings_drop(server->settings);
	free(server->gather.bytes);
	core_timer_stop(core, &server->timer);
	list_remove(&server->link);
	pool->server_count[SERVER_LIST_CLOSING]--;
	parcel->server = *server;
	slab_free(&core->pools->servers, server);
	if (!is_whole) { /* the beginning of a notice has come, and its end cannot follow to the other core */
		server_move_drop(core, parcel);
		parcel = NULL;
	}
	budget_send_server(core, pool, to, is_promised, parcel);
	pool_server_gone(core, pool);
}

void server_move_unpack(struct core *core, struct pool *pool, struct server_parcel *parcel)
{
	struct server *server = NULL;
	struct stream *stream;

	if (!core->pools->is_draining && parcel->server.epoch == pool->server_epoch)
		server = slab_alloc(&core->pools->servers);
	if (!server) {
		server_move_drop(core, parcel);
		return;
	}
	stream = stream_adopt(core, parcel->fd, &server_events, server);
	if (!stream) {
		slab_free(&core->pools->servers, server);
		server_move_drop(core, parcel);
		return;
	}
	*server = parcel->server;
	server->pool = pool;
	server->stream = stream;
	server->settings = settings_share(pool, &parcel->wanted);
	params_clear(&parcel->wanted);
	free(parcel);
	server_adopted(core, server);
}

void server_move_drop(struct core *core, struct server_parcel *parcel)
{
	socket_close(parcel->fd);
	places_give(core, &parcel->place);
	params_clear(&parcel->wanted);
	params_clear(&parcel->server.params);
	prepared_free(&parcel->server.prepared, NULL);
	free(parcel);
}
