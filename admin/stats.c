/* Sampling the counters, and showing them. */
#include "admin/stats.h"

#include "admin/console.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All counters at one moment. */
struct stats_sample {
	struct {
		uint32_t id;
		struct pool_stats stats;
	} * pools;
	size_t pool_count;
	struct {
		uint64_t busy_ns, at_ns;
	} * cores;
	uint64_t at_ns;
};

struct stats {
	struct timer period;
	struct stats_sample now, before;
	bool is_sampling;
};

enum stats_average { PER_SECOND, PER_TRANSACTION, PER_QUERY, PER_CONNECT };

static void stats_period(struct core *core, struct timer *timer);

static struct stats *stats_of(struct core *core)
{
	return console_of(core)->stats;
}

/* ---- sampling ---- */

static void stats_sample_free(struct stats_sample *sample)
{
	free(sample->pools);
	free(sample->cores);
	*sample = (struct stats_sample){0};
}

static int stats_sample_init(struct core *core, struct stats_sample *sample, size_t pool_count)
{
	unsigned workers = core->world->worker_count;

	sample->pools = calloc(pool_count + 1, sizeof *sample->pools);
	sample->pool_count = pool_count;
	sample->cores = calloc(workers, sizeof *sample->cores);
	sample->at_ns = core->now_ns;
	for (unsigned i = 0; sample->cores && i < workers; i++)
		sample->cores[i].at_ns = core->now_ns;
	return sample->pools && sample->cores ? 0 : ERR_NO_MEMORY;
}

static void stats_log(struct core *core, const struct gather *gather);

static void stats_sampled(struct core *core, struct gather *gather)
{
	struct stats *stats = stats_of(core);
	struct stats_sample sample = {0};

	stats->is_sampling = false;
	if (stats_sample_init(core, &sample, gather->pool_count) == 0) {
		for (size_t i = 0; i < gather->pool_count; i++) {
			sample.pools[i].id = gather->pools[i].id;
			sample.pools[i].stats = gather->pools[i].stats;
		}
		for (unsigned i = 0; i < core->world->worker_count; i++) {
			sample.cores[i].busy_ns = gather->cores[i].busy_ns;
			sample.cores[i].at_ns = gather->cores[i].at_ns;
		}
		stats_sample_free(&stats->before);
		stats->before = stats->now;
		stats->now = sample;
		if (core->world->config->general.log_stats)
			stats_log(core, gather);
	} else {
		stats_sample_free(&sample);
	}
	gather_free(gather);
}

static void stats_period(struct core *core, struct timer *timer)
{
	struct stats *stats = container_of(timer, struct stats, period);

	if (!stats->is_sampling)
		stats->is_sampling =
			gather_start(core, GATHER_FIGURES, NULL, stats_sampled, NULL) == 0;
	core_timer_set(core, &stats->period, core->world->config->general.stats_period_ms);
}

int stats_open(struct core *core)
{
	struct stats *stats = calloc(1, sizeof *stats);
	size_t count = core->world->config->pool_count;

	if (!stats)
		return ERR_NO_MEMORY;
	console_of(core)->stats = stats;
	timer_init(&stats->period, stats_period);
	core_timer_set(core, &stats->period, core->world->config->general.stats_period_ms);
	if (stats_sample_init(core, &stats->now, count) != 0 ||
		stats_sample_init(core, &stats->before, count) != 0)
		return ERR_NO_MEMORY;
	return 0;
}

void stats_close(struct core *core)
{
	struct stats *stats = stats_of(core);

	core_timer_stop(core, &stats->period);
	stats_sample_free(&stats->now);
	stats_sample_free(&stats->before);
	free(stats);
	console_of(core)->stats = NULL;
}

unsigned stats_busy(struct core *core, unsigned index)
{
	const struct stats *stats = stats_of(core);
	uint64_t busy = stats->now.cores[index].busy_ns - stats->before.cores[index].busy_ns;
	uint64_t all = stats->now.cores[index].at_ns - stats->before.cores[index].at_ns;

	return all ? (unsigned)((double)busy * 1000.0 / (double)all) : 0;
}

/* ---- sums ---- */

static void stats_add(struct pool_stats *sum, const struct pool_stats *part, int sign)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)part;

	for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] = sign > 0 ? to[i] + from[i] : to[i] - from[i];
}

/* What a sample has of a pool, which probably stands at `index`. */
static const struct pool_stats *stats_of_pool(
	const struct stats_sample *sample, size_t index, uint32_t id)
{
	static const struct pool_stats nothing;

	if (index < sample->pool_count && sample->pools[index].id == id)
		return &sample->pools[index].stats;
	for (size_t i = 0; i < sample->pool_count; i++)
		if (sample->pools[i].id == id)
			return &sample->pools[i].stats;
	return &nothing;
}

/* Of the pools of a database, or of all for NULL: their totals, and what the last period added. */
static void stats_sum(struct core *core, const struct gather *gather, const char *database,
	struct pool_stats *ret_sum, struct pool_stats *ret_delta)
{
	const struct config *config = core->world->config;
	const struct stats *stats = stats_of(core);

	*ret_sum = *ret_delta = (struct pool_stats){0};
	for (size_t i = 0; i < gather->pool_count; i++) {
		if (database && strcmp(config->pools[i].database, database) != 0)
			continue;
		stats_add(ret_sum, &gather->pools[i].stats, 1);
		stats_add(ret_delta, stats_of_pool(&stats->now, i, gather->pools[i].id), 1);
		stats_add(ret_delta, stats_of_pool(&stats->before, i, gather->pools[i].id), -1);
	}
}

static int64_t stats_average(
	struct core *core, const struct pool_stats *delta, uint64_t value, enum stats_average over)
{
	const struct stats *stats = stats_of(core);
	uint64_t ns = stats->now.at_ns - stats->before.at_ns;
	uint64_t per = 0;

	switch (over) {
	case PER_SECOND:
		return ns ? (int64_t)((double)value * (double)NS_PER_S / (double)ns) : 0;
	case PER_TRANSACTION:
		per = delta->transactions;
		break;
	case PER_QUERY:
		per = delta->queries;
		break;
	case PER_CONNECT:
		per = delta->connects;
		break;
	}
	return per ? (int64_t)(value / per) : 0;
}

/* One line for the last period; words and units are PgBouncer's. */
static void stats_log(struct core *core, const struct gather *gather)
{
	struct pool_stats sum, delta, nothing = {0};
	char text[400];
	size_t len = 0;

	stats_sum(core, gather, NULL, &sum, &delta);
	if (memcmp(&delta, &nothing, sizeof delta) == 0)
		return;

	const struct {
		const char *name, *unit;
		uint64_t value;
		enum stats_average over;
	} items[] = {{"", " xacts/s", delta.transactions, PER_SECOND},
		{"", " queries/s", delta.queries, PER_SECOND},
		{"", " client parses/s", delta.parses, PER_SECOND},
		{"", " server parses/s", delta.server_parses, PER_SECOND},
		{"", " binds/s", delta.binds, PER_SECOND},
		{"", " client logins/s", delta.logins, PER_SECOND},
		{"in ", " B/s", delta.received, PER_SECOND},
		{"out ", " B/s", delta.sent, PER_SECOND},
		{"xact ", " us", delta.transaction_us, PER_TRANSACTION},
		{"query ", " us", delta.query_us, PER_QUERY},
		{"wait ", " us", delta.wait_us, PER_SECOND}};

	for (size_t i = 0; i < array_len(items) && len < sizeof text; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%lld%s",
			i > 0 ? ", " : "", items[i].name,
			(long long)stats_average(core, &delta, items[i].value, items[i].over),
			items[i].unit);
	log_info(core, "stats: %s", text);
}

/* ---- the tables ---- */

/* What a table says of one database, behind its name. */
typedef void stats_values(struct core *core, struct rows *rows, const struct pool_stats *sum,
	const struct pool_stats *delta);

static void stats_show_databases(
	struct core *core, const struct gather *gather, struct rows *rows, stats_values *values)
{
	const struct config *config = core->world->config;

	for (size_t i = 0; gather && i < config->database_name_count; i++) {
		struct pool_stats sum, delta;

		stats_sum(core, gather, config->database_names[i], &sum, &delta);
		rows_begin(rows);
		rows_text(rows, config->database_names[i]);
		values(core, rows, &sum, &delta);
		rows_end(rows);
	}
}

static void stats_totals(struct core *core, struct rows *rows, const struct pool_stats *sum,
	const struct pool_stats *delta)
{
	(void)core, (void)delta;
#define STAT(a, b, c, d, e, field, over) rows_number(rows, (int64_t)sum->field);
#include "admin/stats.def"
}

static void stats_averages(struct core *core, struct rows *rows, const struct pool_stats *sum,
	const struct pool_stats *delta)
{
	(void)sum;
#define STAT(a, b, c, d, e, field, over) \
	rows_number(rows, stats_average(core, delta, delta->field, over));
#include "admin/stats.def"
}

static void stats_all(struct core *core, struct rows *rows, const struct pool_stats *sum,
	const struct pool_stats *delta)
{
	stats_totals(core, rows, sum, delta);
	stats_averages(core, rows, sum, delta);
#define STAT(a, b, c, d, e, field, over)
#define STAT_MORE(a, field, over) \
	rows_number(rows, (int64_t)sum->field); \
	rows_number(rows, stats_average(core, delta, delta->field, over));
#include "admin/stats.def"
}

void stats_show(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {
		{"database", ROWS_TEXT},
#define STAT(a, b, c, d, e, field, over) {"total_" a, ROWS_NUMERIC},
#include "admin/stats.def"
#define STAT(a, b, c, d, e, field, over) {"avg_" b, ROWS_NUMERIC},
#define STAT_MORE(a, field, over) {"total_" a, ROWS_NUMERIC}, {"avg_" a, ROWS_NUMERIC},
#include "admin/stats.def"
	};

	rows_columns(rows, columns, array_len(columns));
	stats_show_databases(core, gather, rows, stats_all);
}

void stats_show_totals(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {
		{"database", ROWS_TEXT},
#define STAT(a, b, c, d, e, field, over) {c, ROWS_NUMERIC},
#include "admin/stats.def"
	};

	rows_columns(rows, columns, array_len(columns));
	stats_show_databases(core, gather, rows, stats_totals);
}

void stats_show_averages(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {
		{"database", ROWS_TEXT},
#define STAT(a, b, c, d, e, field, over) {d, ROWS_NUMERIC},
#include "admin/stats.def"
	};

	rows_columns(rows, columns, array_len(columns));
	stats_show_databases(core, gather, rows, stats_averages);
}

static void stats_show_sum(struct rows *rows, const char *name, int64_t value)
{
	rows_begin(rows);
	rows_text(rows, name);
	rows_number(rows, value);
	rows_end(rows);
}

void stats_show_sums(struct core *core, const struct gather *gather, struct rows *rows)
{
	static const struct rows_column columns[] = {{"name", ROWS_TEXT}, {"value", ROWS_NUMERIC}};
	struct pool_stats sum, delta;

	rows_columns(rows, columns, array_len(columns));
	if (!gather)
		return;
	stats_sum(core, gather, NULL, &sum, &delta);
#define STAT(a, b, c, d, e, field, over) stats_show_sum(rows, "total_" e, (int64_t)sum.field);
#include "admin/stats.def"
#define STAT(a, b, c, d, e, field, over) \
	stats_show_sum(rows, "avg_" e, stats_average(core, &delta, delta.field, over));
#include "admin/stats.def"
}
