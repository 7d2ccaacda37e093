/* config_url: a database and a user from one URL, postgres://user:password@host:port/name?key=value&...
 *
 * Private to admin/config*.c; contract of config_parse.h. The keys are those of [[databases]]; the user may connect to that
 * database. Source: RFC 3986; PgDog's --database-url.
 */
#ifndef PGRING_ADMIN_CONFIG_URL_H
#define PGRING_ADMIN_CONFIG_URL_H

#include "admin/config_parse.h"

/* Adds an entry to the databases, and one to the users unless the same is there already. `default_user` is for a URL without
 * one. Errors go to the report with `place`; they never show the URL, which has a password. */
void config_url_parse(struct config_parse *parse, const char *url, const char *default_user,
	struct config_place place);

#endif
