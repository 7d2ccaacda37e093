/* Any text: no other statement hides what the first one leaves, a transaction's beginning can be repeated, and the names found are
 * inside of the text; another name in the place of a statement's leaves the rest as it was. Reading past the end is what the
 * sanitizer sees. */
#include "router/sqlscan.h"

#include "core/check.h"
#include "pool/traces.h"
#include "router/sqlname.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_names(const uint8_t *text, size_t size)
{
	const uint8_t *at = text, *name, *before = text;
	size_t len;

	while (sqlscan_next_name(&at, text + size, &name, &len)) {
		CHECK(name >= before && len >= 3 && name + len == at && at <= text + size);
		CHECK(memchr(name, '.', len));
		before = at;
	}
}

static void read_kind(const uint8_t *text, size_t size)
{
	char again[SQLSCAN_BEGIN_BYTES];
	struct sqlscan_begin begin, same;
	size_t len;

	if (sqlscan_kind(text, size, &begin) != SQLSCAN_BEGIN)
		return;
	len = sqlscan_write_begin(&begin, again);
	CHECK(sqlscan_kind((const uint8_t *)again, len - 1, &same) == SQLSCAN_BEGIN);
	CHECK(memcmp(&begin, &same, sizeof begin) == 0);
	CHECK((sqlscan_traces(text, size) & TRACE_EVERYTHING) == 0 || memchr(text, '-', size) ||
		memchr(text, '*', size)); /* a comment may hold any word */
}

/* The text with another name is the same statement of that name. */
static void read_statement(const uint8_t *text, size_t size)
{
	static const char other[] = "\"pgring_\"";
	struct sqlname found = sqlname_find(text, text + size), again;
	struct sqlname_prepare prepare, same;
	size_t tail = size - found.behind, behind, len;
	bool is_prepared;
	uint8_t *renamed;

	if (found.kind == SQLNAME_NONE)
		return;
	CHECK(found.first < found.behind && found.behind <= size && found.name_len > 0);
	(void)sqlname_has_constants(text + found.behind, text + size);
	is_prepared = found.kind == SQLNAME_PREPARE &&
		sqlname_read_prepare(text, text + size, &found, &prepare);
	renamed = malloc(size + sizeof other);
	CHECK(renamed);
	memcpy(renamed, text, found.first);
	memcpy(renamed + found.first, other, sizeof other - 1);
	behind = found.first + sizeof other - 1;
	len = behind + tail;
	memcpy(renamed + behind, text + found.behind, tail);
	again = sqlname_find(renamed, renamed + len);
	CHECK(again.kind == found.kind && again.first == found.first);
	CHECK(again.name_len == 7 && again.behind == behind);
	if (is_prepared) {
		CHECK(prepare.statement > found.behind && prepare.statement < size);
		CHECK(sqlname_read_prepare(renamed, renamed + len, &again, &same));
		CHECK(same.statement - behind == prepare.statement - found.behind);
		CHECK(same.type_count == prepare.type_count);
	}
	free(renamed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *text = malloc(size + 1); /* of its own size, so that the sanitizer sees its end */
	unsigned traces = sqlscan_traces(data, size);

	CHECK(text);
	CHECK((traces &
		      ~(unsigned)(TRACE_ALL | TRACE_TAKES | TRACE_SILENCES | TRACE_RESETS |
			      TRACE_IF_HELD)) == 0);
	memcpy(text, data, size);
	if (size >= 8) {
		memcpy(text, "SET a=1;", 8);
		CHECK(sqlscan_traces(text, size) & TRACE_SETTINGS);
	}
	memcpy(text, data, size);
	CHECK(sqlscan_rolls_back(text, size, true) || !sqlscan_rolls_back(text, size, false));
	CHECK(sqlscan_listens_behind_rollback(text, size, true) ||
		!sqlscan_listens_behind_rollback(text, size, false));
	CHECK(sqlscan_is_rollback(text, size) || !sqlscan_rolls_back(text, size, false));
	(void)sqlscan_resets_all(text, size);
	read_names(data, size);
	read_kind(data, size);
	read_statement(data, size);
	free(text);
	return 0;
}
