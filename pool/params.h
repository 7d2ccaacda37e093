/* params: what a server has reported of itself by ParameterStatus, name by name.
 *
 * Owner: whoever it stands in. Thread: the core's. Memory: malloc, freed by params_clear.
 */
#ifndef PGRING_POOL_PARAMS_H
#define PGRING_POOL_PARAMS_H

#include <stddef.h>

struct param {
	char *name, *value;
};

struct params {
	struct param *items;
	size_t count;
};

/* Adds or replaces; the texts are copied. */
void params_set(struct params *params, const char *name, const char *value);
/* NULL if it was never reported. Names compare without case, as PostgreSQL's do. */
const char *params_get(const struct params *params, const char *name);
void params_remove(struct params *params, const char *name);
void params_copy(struct params *target, const struct params *source);
void params_clear(struct params *params);

#endif
