/* sim_server: simulated PostgreSQL servers, and the first judge: what may a server be asked, and by whom.
 *
 * One server per port; sessions are made as connections come. A session keeps the state that must not leak from one client to the
 * next: transaction, variable, application_name, prepared statements. A request of the wrong client fails the run.
 */
#ifndef PGRING_TEST_SIM_SIM_SERVER_H
#define PGRING_TEST_SIM_SIM_SERVER_H

#include "test/sim/sim_net.h"

#include <stdbool.h>
#include <stdint.h>

struct sim_session;

enum { SIM_FIRST_PORT = 5432, SIM_SERVERS = 6 };

/* What a server that wants a password wants. */
#define SIM_SERVER_PASSWORD "open sesame"

void sim_server_begin(void);
/* No session may be left. */
void sim_server_end(void);

/* A connection has come; false if nobody listens there. */
bool sim_server_connected(const struct address *address, struct sim_conn *conn);

/* For the driver: the sessions, whether one has something to do, when it will have by itself, and doing some of it. */
unsigned sim_server_sessions(void);
struct sim_session *sim_server_session(unsigned i);
bool sim_server_is_ready(const struct sim_session *session);
uint64_t sim_server_due_ns(const struct sim_session *session);
void sim_server_step(struct sim_session *session);
/* Fails the run unless every session is idle, outside of transactions and clean. */
void sim_server_check_idle(void);

#endif
