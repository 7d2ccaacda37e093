/* Database URLs. */
#include "admin/config_url.h"

#include <string.h>

#include "core/memory.h"

enum { URL_BYTES_MAX = 4096 };

/* The parts of a URL, still encoded. */
struct url {
	const char *user, *password, *host, *port, *path, *query; /* NULL: not there */
	size_t user_len, password_len, host_len, port_len, path_len, query_len;
};

static void complain(struct config_parse *parse, struct config_place place, const char *what)
{
	config_report_add(parse->report, CONFIG_ERROR, place, "%s", what);
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	if (digit >= 'A' && digit <= 'F')
		return digit - 'A' + 10;
	return -1;
}

/* Undoes %XX, and in a query + for a space, into `buf`. False if that is not possible. */
static bool decode(const char *text, size_t len, bool query, char *buf, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		char letter = text[i];

		if (letter == '%') {
			int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0 || high * 16 + low == 0)
				return false;
			letter = (char)(high * 16 + low);
			i += 2;
		} else if (letter == '+' && query) {
			letter = ' ';
		}
		if (used + 1 >= size)
			return false;
		buf[used++] = letter;
	}
	buf[used] = '\0';
	return true;
}

/* [user[:password]@]host[:port] */
static bool split_authority(const char *text, size_t len, struct url *url)
{
	const char *at = memrchr(text, '@', len);
	const char *colon;

	if (at != NULL) {
		url->user = text;
		url->user_len = (size_t)(at - text);
		colon = memchr(text, ':', url->user_len);
		if (colon != NULL) {
			url->password = colon + 1;
			url->password_len = (size_t)(at - colon) - 1;
			url->user_len = (size_t)(colon - text);
		}
		len -= (size_t)(at + 1 - text);
		text = at + 1;
	}
	url->host = text;
	url->host_len = len;
	if (len > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		if (close == NULL)
			return false;
		url->host = text + 1;
		url->host_len = (size_t)(close - text) - 1;
		len -= (size_t)(close + 1 - text);
		text = close + 1;
		if (len > 0 && text[0] != ':')
			return false;
		colon = len > 0 ? text : NULL;
	} else {
		colon = memchr(text, ':', len);
		if (colon != NULL)
			url->host_len = (size_t)(colon - text);
	}
	if (colon != NULL) {
		url->port = colon + 1;
		url->port_len = len - (size_t)(colon + 1 - text);
	}
	return true;
}

static bool split(const char *text, struct url *ret_url)
{
	static const char *const schemes[] = {"postgres://", "postgresql://"};
	const char *authority = NULL;

	*ret_url = (struct url){0};
	for (size_t i = 0; i < array_len(schemes); i++) {
		if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
			authority = text + strlen(schemes[i]);
	}
	if (authority == NULL)
		return false;

	size_t len = strcspn(authority, "/?#");
	const char *rest = authority + len;

	if (*rest == '/') {
		ret_url->path = rest + 1;
		ret_url->path_len = strcspn(rest + 1, "?#");
		rest = ret_url->path + ret_url->path_len;
	}
	if (*rest == '?') {
		ret_url->query = rest + 1;
		ret_url->query_len = strcspn(rest + 1, "#");
	}
	return split_authority(authority, len, ret_url);
}

/* One key=value of the query. */
static void parse_pair(struct config_parse *parse, const char *pair, size_t len,
	struct config_place place, struct config_database *database)
{
	char name[64], value[URL_BYTES_MAX];
	const char *equals = memchr(pair, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - pair) : len;
	const struct option *option;

	if (!decode(pair, name_len, true, name, sizeof(name)) ||
		!decode(equals != NULL ? equals + 1 : "", equals != NULL ? len - name_len - 1 : 0,
			true, value, sizeof(value))) {
		complain(parse, place, "a parameter of the URL is not encoded as RFC 3986 says");
		return;
	}
	option = option_find(&option_section_databases, name);
	if (option == NULL || strcmp(option->name, "name") == 0)
		config_report_add(parse->report, CONFIG_WARNING, place,
			"the parameter \"%s\" is not known and has no effect", name);
	else
		config_parse_text(parse, &option_section_databases, option, value, place, database);
	memory_wipe(value, sizeof(value));
}

static void parse_query(struct config_parse *parse, const struct url *url,
	struct config_place place, struct config_database *database)
{
	const char *at = url->query, *end;

	if (at == NULL)
		return;
	end = at + url->query_len;
	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));

		if (stop == NULL)
			stop = end;
		if (stop > at)
			parse_pair(parse, at, (size_t)(stop - at), place, database);
		at = stop + 1;
	}
}

/* Decodes a part, or takes the default if it is empty, and stores it in the option `key` of the entry. */
static bool store(struct config_parse *parse, const struct option_section *section, const char *key,
	const char *text, size_t len, const char *if_empty, struct config_place place, void *entry)
{
	char decoded[URL_BYTES_MAX];
	bool good = decode(text, len, false, decoded, sizeof(decoded));

	if (!good) {
		complain(parse, place, "the URL is not encoded as RFC 3986 says");
	} else if (decoded[0] != '\0' || if_empty != NULL) {
		size_t errors = parse->report->errors;

		config_parse_text(parse, section, option_find(section, key),
			decoded[0] != '\0' ? decoded : if_empty, place, entry);
		good = parse->report->errors == errors && !parse->out_of_memory;
	}
	memory_wipe(decoded, sizeof(decoded));
	return good;
}

static bool same_user(const struct config_user *a, const struct config_user *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->database, b->database) == 0 &&
		strcmp(a->password, b->password) == 0;
}

static void add_user(struct config_parse *parse, const struct url *url, const char *default_user,
	const char *database, struct config_place place)
{
	struct config_user *user = config_parse_add_user(parse), *others = parse->users.entries;
	const struct option_section *section = &option_section_users;

	if (user == NULL)
		return;
	if (!store(parse, section, "name", url->user, url->user_len, default_user, place, user) ||
		!store(parse, section, "password", url->password, url->password_len,
			url->password == NULL ? "postgres" : NULL, place, user))
		return;
	user->database = database;
	if (user->password == NULL)
		return;
	for (struct config_user *other = others; other < user; other++) {
		if (other->password != NULL && same_user(other, user)) {
			parse->users.count--;
			return;
		}
	}
}

void config_url_parse(struct config_parse *parse, const char *url, const char *default_user,
	struct config_place place)
{
	const struct option_section *section = &option_section_databases;
	struct config_database *database;
	struct url parts;

	if (strlen(url) >= URL_BYTES_MAX) {
		complain(parse, place, "the URL is too long");
		return;
	}
	if (!split(url, &parts)) {
		complain(parse, place, "expected postgres://user:password@host:port/name");
		return;
	}
	database = config_parse_add_database(parse);
	if (database == NULL)
		return;
	if (!store(parse, section, "name", parts.path, parts.path_len, "postgres", place,
		    database) ||
		!store(parse, section, "host", parts.host, parts.host_len, "127.0.0.1", place,
			database) ||
		!store(parse, section, "port", parts.port, parts.port_len, NULL, place, database))
		return;
	parse_query(parse, &parts, place, database);
	add_user(parse, &parts, default_user, database->name, place);
}
