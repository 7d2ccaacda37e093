/* sim_client: simulated clients, and the second judge: does each get exactly the answers to its own requests, in order?
 *
 * A client logs in, sends some units of work (a Query, a batch up to its Sync, a function call), several at a time perhaps, checks
 * every byte that comes back, and leaves, well or badly. An answer that is not its own fails the run; so does waiting without end.
 */
#ifndef PGRING_TEST_SIM_SIM_CLIENT_H
#define PGRING_TEST_SIM_SIM_CLIENT_H

#include "core/config.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_client;

#define SIM_CLIENT_PASSWORD "let me in"

/* Where clients go. */
struct sim_pool {
	const char *database, *user;
	enum pool_mode mode;
	unsigned port;
};

void sim_client_begin(const struct sim_pool *pools, unsigned count, int listener);
void sim_client_end(void);

/* A new client, of that pool, with `units` of work. A strict one accepts no error that it has not asked for. */
void sim_client_new(unsigned pool, unsigned units, bool is_strict, uint64_t start_ns);
/* Named statements work outside of session mode. Before the first client. */
void sim_client_names_follow(void);
/* How many percent of the statements of those that listen are about channels. Before the first client. */
void sim_client_chatter(unsigned percent);
/* pgring is shutting down: clients may be sent away. */
void sim_client_expect_shutdown(void);
/* The listening descriptor has been closed: who has not dialled yet is refused. */
void sim_client_no_listener(void);

/* For the driver, as in sim_server.h. */
unsigned sim_client_count(void);
struct sim_client *sim_client_at(unsigned i);
bool sim_client_is_gone(const struct sim_client *client);
bool sim_client_is_ready(const struct sim_client *client);
uint64_t sim_client_due_ns(const struct sim_client *client);
void sim_client_step(struct sim_client *client);
unsigned sim_client_alive(void);
/* Fails the run if one has waited too long. */
void sim_client_check_waiting(void);

/* For the judge at the servers. */
const char *sim_client_name(unsigned id);
unsigned sim_client_port(unsigned id);
bool sim_client_has_cancelled(unsigned id);
/* A request begins to run at a server: once, and in order. `again`: more of the same portal. */
void sim_client_executes(unsigned id, unsigned seq, bool again);
/* A batch of that client has reached its Sync without an error: what it did is kept. */
void sim_client_synced(unsigned id);
/* The server that works for it (0: nobody) is lost, or about to be: what its batch has begun is rolled back. */
void sim_client_bereft(unsigned id);

#endif
