/* The environment as a source of configuration. */
#include "admin/config_environment.h"

#include <ctype.h>
#include <string.h>

enum { NAME_BYTES = 96 };

const char *config_environment_value(const char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment != NULL && *environment != NULL; environment++) {
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return (*environment)[len + 1] != '\0' ? *environment + len + 1 : NULL;
	}
	return NULL;
}

/* Names that do not follow the rule, weaker than those that do. */
static const char *irregular_variable(const char *key)
{
	static const char *const names[][2] = {
		{"client_login_timeout", "PGDOG_CLIENT_LOG_TIMEOUT"},
		{"reload_schema_on_ddl", "PGDOG_SCHEMA_RELOAD_ON_DDL"},
		{"log_level", "RUST_LOG"},
	};

	for (size_t i = 0; i < array_len(names); i++) {
		if (strcmp(names[i][0], key) == 0)
			return names[i][1];
	}
	return NULL;
}

/* The value for a key and, in `name`, the variable that it came from; NULL if there is none. */
static const char *variable_for(
	const char *const *environment, const char *key, char *name, size_t size)
{
	static const char *const prefixes[] = {"PGRING_", "PGDOG_"};
	const char *value = NULL;

	for (size_t i = 0; i < array_len(prefixes); i++) {
		snprintf(name, size, "%s%s", prefixes[i], key);
		for (char *at = name; *at != '\0'; at++)
			*at = (char)toupper((unsigned char)*at);
		value = config_environment_value(environment, name);
		if (value != NULL)
			return value;
	}
	if (irregular_variable(key) != NULL) {
		snprintf(name, size, "%s", irregular_variable(key));
		value = config_environment_value(environment, name);
	}
	return value;
}

void config_environment_general(struct config_parse *parse, const char *const *environment)
{
	const struct option_section *section = &option_section_general;
	char name[NAME_BYTES];

	for (size_t i = 0; i < section->count; i++) {
		const struct option *option = &section->options[i];
		const char *value = variable_for(environment, option->name, name, sizeof(name));
		struct config_place place = {.file = name};

		if (value == NULL)
			continue;
		/* Kubernetes sets <SERVICE>_PORT to a URL for a service with our name. */
		if (option->type == OPTION_PORT && strstr(value, "://") != NULL) {
			config_report_add(parse->report, CONFIG_WARNING, place,
				"ignored, because it is not a port");
			continue;
		}
		if (strcmp(name, "RUST_LOG") == 0 && option_log_level(value) < 0)
			continue; /* it is about other programs */
		config_parse_text(parse, section, option, value, place, &parse->config->general);
	}
	for (int i = 0; i < 2; i++) {
		static const char *const names[] = {"PGRING_MIRRORING_1", "PGDOG_MIRRORING_1"};

		if (config_environment_value(environment, names[i]) != NULL)
			config_report_add(parse->report, CONFIG_WARNING,
				(struct config_place){.file = names[i]},
				"mirroring is not supported yet and has no effect");
	}
}

void config_environment_admin(struct config_parse *parse, const char *const *environment)
{
	char name[NAME_BYTES];
	const char *password = variable_for(environment, "admin_password", name, sizeof(name));
	const struct option_section *section = option_section_find("admin");

	if (parse->config->admin.password == NULL && password != NULL)
		config_parse_text(parse, section, option_find(section, "password"), password,
			(struct config_place){.file = name}, &parse->config->admin);
}
