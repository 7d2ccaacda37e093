/* service: the whole process at work: threads, listeners, signals, shutdown.
 *
 * Thread: main, which becomes control.
 */
#ifndef PGRING_ADMIN_SERVICE_H
#define PGRING_ADMIN_SERVICE_H

#include "core/config.h"

/* Runs until it is told to stop (SIGTERM, SIGINT, SHUTDOWN). Returns the exit status. */
int service_run(struct config *config);

#endif
