/* toml++ behind a C interface. Built without exceptions and run-time types: running out of memory ends the process. */
#include "admin/config_toml.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

/* Version 3.3 asserts what a file can make false ("[#"), where its next lines would report an error. Such an assertion must not
 * end a running proxy, and must not become an assumption of the compiler: it is remembered, and the file is refused. */
static thread_local bool assertion_failed;

static void remember_assertion()
{
	assertion_failed = true;
}

#undef NDEBUG
#define TOML_ASSERT(x) ((x) ? static_cast<void>(0) : remember_assertion())

/* The package's shared library has only the variant that throws: take the headers. */
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "core/errors.h"

namespace
{

template <typename T> T *allocate(size_t count)
{
	void *memory = std::calloc(count, sizeof(T));

	if (memory == nullptr)
		std::abort();
	return static_cast<T *>(memory);
}

char *copy(std::string_view text)
{
	char *bytes = allocate<char>(text.size() + 1);

	std::memcpy(bytes, text.data(), text.size());
	return bytes;
}

/* The compiler may not drop these writes. */
void wipe(char *bytes, size_t len)
{
	volatile char *at = bytes;

	while (len-- > 0)
		*at++ = '\0';
}

config_toml *convert(toml::node &node);

bool stands_before(const config_toml *a, const config_toml *b)
{
	if (a->key_line != b->key_line)
		return a->key_line < b->key_line;
	return a->key_column < b->key_column;
}

void convert_table(toml::table &table, config_toml *ret)
{
	config_toml **children = allocate<config_toml *>(table.size() + 1);
	size_t count = 0;

	for (auto &&[key, value] : table) {
		config_toml *child = convert(value);

		child->key = copy(key.str());
		child->key_len = key.str().size();
		child->key_line = key.source().begin.line;
		child->key_column = key.source().begin.column;
		children[count++] = child;
	}
	/* toml++ sorts by name; people read from top to bottom. */
	std::sort(children, children + count, stands_before);
	for (size_t i = 0; i < count; i++)
		children[i]->next = i + 1 < count ? children[i + 1] : nullptr;
	ret->first = count > 0 ? children[0] : nullptr;
	ret->count = count;
	std::free(children);
}

void convert_array(toml::array &array, config_toml *ret)
{
	config_toml **end = &ret->first;

	for (auto &&value : array) {
		*end = convert(value);
		end = &(*end)->next;
		ret->count++;
	}
}

/* Also wipes the strings of the node: the tree that is returned is the only one left with them. */
config_toml *convert(toml::node &node)
{
	config_toml *ret = allocate<config_toml>(1);

	ret->line = node.source().begin.line;
	ret->column = node.source().begin.column;
	switch (node.type()) {
	case toml::node_type::table:
		ret->kind = CONFIG_TOML_TABLE;
		convert_table(*node.as_table(), ret);
		break;
	case toml::node_type::array:
		ret->kind = CONFIG_TOML_ARRAY;
		convert_array(*node.as_array(), ret);
		break;
	case toml::node_type::string: {
		std::string &text = node.as_string()->get();

		ret->kind = CONFIG_TOML_STRING;
		ret->text = copy(text);
		ret->len = text.size();
		wipe(text.data(), text.size());
		break;
	}
	case toml::node_type::integer:
		ret->kind = CONFIG_TOML_INTEGER;
		ret->integer = node.as_integer()->get();
		break;
	case toml::node_type::floating_point:
		ret->kind = CONFIG_TOML_REAL;
		ret->real = node.as_floating_point()->get();
		break;
	case toml::node_type::boolean:
		ret->kind = CONFIG_TOML_BOOLEAN;
		ret->boolean = node.as_boolean()->get();
		break;
	default:
		ret->kind = CONFIG_TOML_DATE;
		break;
	}
	return ret;
}

} // namespace

int config_toml_parse(const char *text, size_t len, struct config_toml **ret_root,
	struct config_toml_error *ret_error)
{
	assertion_failed = false;
	toml::parse_result result = toml::parse(std::string_view{text, len});

	if (result && assertion_failed) {
		*ret_error = {0, 0, "this is not TOML"};
		return ERR_INVALID;
	}
	if (!result) {
		std::string_view what = result.error().description();

		ret_error->line = result.error().source().begin.line;
		ret_error->column = result.error().source().begin.column;
		std::snprintf(ret_error->text, sizeof(ret_error->text), "%.*s",
			static_cast<int>(std::min(what.size(), sizeof(ret_error->text) - 1)),
			what.data());
		return ERR_INVALID;
	}
	*ret_root = convert(result.table());
	return 0;
}

void config_toml_free(struct config_toml *root)
{
	while (root != nullptr) {
		config_toml *next = root->next;

		config_toml_free(root->first);
		if (root->text != nullptr)
			wipe(root->text, root->len);
		std::free(root->text);
		std::free(root->key);
		std::free(root);
		root = next;
	}
}
