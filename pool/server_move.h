/* server_move: an idle server connection changes cores: its descriptor and what is known of it travel, the connection stays.
 *
 *   IDLE -> MOVING (the kernel lets go of the receive) -> packed and sent -> unpacked on the other core: IDLE
 *
 * Thread: the core's on each side. A server that ends while it moves sends its permit alone.
 */
#ifndef PGRING_POOL_SERVER_MOVE_H
#define PGRING_POOL_SERVER_MOVE_H

#include "pool/server.h"

/* A server between two cores. Memory: malloc; whoever holds the pointer owns it. */
struct server_parcel;

/* Starts to move the server of the pool that has idled longest. Returns false if none is idle. */
bool server_move_idle(struct core *core, struct pool *pool, unsigned to, bool is_promised);
void server_move(struct core *core, struct server *server, unsigned to, bool is_promised);

/* The stream's event: the descriptor is free to go. */
void server_move_released(struct core *core, struct stream *stream, int fd);

/* The other end. Whatever keeps the server from living on here closes its connection; its permit has arrived all the same. */
void server_move_unpack(struct core *core, struct pool *pool, struct server_parcel *parcel);

/* Nobody wants it: closes the connection. */
void server_move_drop(struct core *core, struct server_parcel *parcel);

#endif
