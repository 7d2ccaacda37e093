/* config_environment: what the environment says about the configuration. The files are stronger.
 *
 * Private to admin/config*.c; contract of config_parse.h. An environment is an array of "NAME=value" with NULL at the end, as
 * environ, borrowed for the call; NULL is an empty one. A variable without a value counts as not set.
 */
#ifndef PGRING_ADMIN_CONFIG_ENVIRONMENT_H
#define PGRING_ADMIN_CONFIG_ENVIRONMENT_H

#include "admin/config_parse.h"

/* The value of a variable, borrowed; NULL if it is not set. */
const char *config_environment_value(const char *const *environment, const char *name);

/* Defaults of [general]: PGRING_<KEY>, else PGDOG_<KEY>, else the few names of PgDog that do not follow the rule. Before the
 * files. */
void config_environment_general(struct config_parse *parse, const char *const *environment);

/* The console's password, if no file gave one. After the files. */
void config_environment_admin(struct config_parse *parse, const char *const *environment);

#endif
