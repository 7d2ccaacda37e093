/* service: the whole process at work: threads, listeners, signals, shutdown.
 *
 * Thread: main, which becomes control.
 */
#ifndef PGRING_ADMIN_SERVICE_H
#define PGRING_ADMIN_SERVICE_H

#include "admin/config.h"

/* Runs with `config`, which it takes over, until it is told to stop (SIGTERM, SIGINT, SHUTDOWN). `sources` is where the next
 * configuration is read from; it must live as long. Returns the exit status. */
int service_run(const struct config_sources *sources, struct config *config);

#endif
