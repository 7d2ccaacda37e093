/* A short list is enough: a server reports some fourteen parameters, in the order in which clients then get them. */
#include "pool/params.h"

#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct param *params_find(const struct params *params, const char *name)
{
	for (size_t i = 0; i < params->count; i++)
		if (strcasecmp(params->items[i].name, name) == 0)
			return &params->items[i];
	return NULL;
}

static char *params_text(const char *text)
{
	char *copy = memory_copy_text(text, strlen(text));

	CHECK(copy);
	return copy;
}

void params_set(struct params *params, const char *name, const char *value)
{
	struct param *param = params_find(params, name);

	if (param) {
		if (strcmp(param->value, value) == 0)
			return;
		free(param->value);
		param->value = params_text(value);
		return;
	}
	param = realloc(params->items, (params->count + 1) * sizeof *param);
	CHECK(param);
	params->items = param;
	params->items[params->count++] = (struct param){params_text(name), params_text(value)};
}

const char *params_get(const struct params *params, const char *name)
{
	struct param *param = params_find(params, name);

	return param ? param->value : NULL;
}

void params_remove(struct params *params, const char *name)
{
	struct param *param = params_find(params, name);
	size_t i;

	if (!param)
		return;
	i = (size_t)(param - params->items);
	free(param->name);
	free(param->value);
	for (params->count--; i < params->count; i++)
		params->items[i] = params->items[i + 1];
}

void params_copy(struct params *target, const struct params *source)
{
	params_clear(target);
	for (size_t i = 0; i < source->count; i++)
		params_set(target, source->items[i].name, source->items[i].value);
}

void params_clear(struct params *params)
{
	for (size_t i = 0; i < params->count; i++) {
		free(params->items[i].name);
		free(params->items[i].value);
	}
	free(params->items);
	params->items = NULL;
	params->count = 0;
}
