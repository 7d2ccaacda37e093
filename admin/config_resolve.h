/* config_resolve: from the entries of databases and users to pools, with the checks that need more than one entry.
 *
 * Private to admin/config*.c. Owner: config_load(). Memory: everything stays in the snapshot's arena.
 */
#ifndef PGRING_ADMIN_CONFIG_RESOLVE_H
#define PGRING_ADMIN_CONFIG_RESOLVE_H

#include "admin/config_report.h"
#include "core/check.h"
#include "core/config.h"

enum { CONFIG_POOLS_MAX = 1 << 18 };

/* `config` has its sections, databases and users. Adds the rest, and what is wrong or remarkable to the report; `config_file` and
 * `users_file` are the names for it. Returns 0 or ERR_NO_MEMORY. */
must_check int config_resolve(struct config *config, const char *config_file,
	const char *users_file, struct config_report *report);

#endif
