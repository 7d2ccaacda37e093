/* descriptors: how many file descriptors clients may take.
 *
 * Owner: the service. Thread: control.
 */
#ifndef PGRING_ADMIN_DESCRIPTORS_H
#define PGRING_ADMIN_DESCRIPTORS_H

#include "core/config.h"
#include "core/core.h"

/* Raises the process's limit as far as it may go, and shares the descriptors: the pools' servers get what is kept from the clients,
 * up to a quarter; so does what the process itself needs. Warns if there are too few for what is configured. */
void descriptors_share(struct core *core, const struct config *config);

#endif
