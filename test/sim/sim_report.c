/* The report of a run. */
#include "test/sim/sim_report.h"

#include "pool/pool.h"
#include "pool/server.h"
#include "router/client.h"

#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));
#endif

/* Why servers are closed: the beginnings of the reasons. */
static const char *const closes[] = {
	"server_lifetime is over",
	"idle_timeout is over",
	"pgring is shutting down",
	"connect timeout",
	"could not connect",
	"server login failed",
	"healthcheck timeout",
	"could not be cleaned within",
	"its client left in the middle of a request",
	"its client left before the answer",
	"its client left in a transaction",
	"terminating connection due to",
	"an unknown message",
};
_Static_assert(array_len(closes) <= SIM_CLOSES, "there is room for all reasons");
_Static_assert((int)METRIC_COUNT <= (int)SIM_METRICS, "there is room for all metrics");
_Static_assert(
	(int)SERVER_STATE_COUNT <= (int)SIM_STATES && (int)CLIENT_STATE_COUNT <= (int)SIM_STATES,
	"there is room for all states");

void sim_report_watch(struct sim_coverage *coverage, const struct core *core)
{
	uint32_t at = 0;
	const struct server *server;
	const struct client *client;

	while ((server = slab_next(&core->pools->servers, &at))) {
		coverage->server_states[server->state]++;
		for (size_t i = 0; server->state == SERVER_CLOSING && i < array_len(closes); i++)
			if (strncmp(server->reason, closes[i], strlen(closes[i])) == 0)
				coverage->server_closes[i]++;
	}
	at = 0;
	while ((client = slab_next(&core->router->clients, &at)))
		coverage->client_states[client->state]++;
}

void sim_report_metrics(struct sim_coverage *coverage, const struct core *core)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		coverage->metrics[i] += core->metrics[i];
}

static unsigned report_row(const char *what, const char *name, uint64_t count, bool is_needed)
{
	printf("%-14s %-44s %12llu%s\n", what, name, (unsigned long long)count,
		count == 0 && is_needed ? "  NEVER REACHED" : "");
	return count == 0 && is_needed;
}

/* What the simulator has no way to reach. */
static bool report_metric_needed(enum core_metric metric)
{
	return metric != METRIC_ring_stale && metric != METRIC_ring_queue_full &&
		metric != METRIC_log_dropped && metric != METRIC_letters_delayed &&
		metric != METRIC_clients_out_of_memory && metric != METRIC_clients_refused &&
		metric != METRIC_listeners_overrun;
}

unsigned sim_report_print(const struct sim_coverage *coverage)
{
	unsigned missing = 0;

#define FAULT(name, most, text) \
	missing += report_row("fault", #name, coverage->faults[FAULT_##name], true);
#include "test/sim/faults.def"
#define REACH(name, text) \
	missing += report_row("reached", #name, coverage->reaches[REACH_##name], true);
#include "test/sim/reaches.def"
#define SERVER_STATE(name, next, list, word) \
	missing += report_row("server state", #name, coverage->server_states[SERVER_##name], true);
#include "pool/server_states.def"
#define CLIENT_STATE(name, next, word) \
	missing += report_row("client state", #name, coverage->client_states[CLIENT_##name], \
		CLIENT_##name != CLIENT_CONSOLE);
#include "router/client_states.def"
	for (size_t i = 0; i < array_len(closes); i++)
		missing += report_row("server closed", closes[i], coverage->server_closes[i], true);
	for (int i = 0; i < METRIC_COUNT; i++)
		missing += report_row("metric", core_metric_name((enum core_metric)i),
			coverage->metrics[i], report_metric_needed((enum core_metric)i));
	printf("%llu seeds, %llu steps, %llu s of virtual time, %u things never reached\n",
		(unsigned long long)coverage->seeds, (unsigned long long)coverage->steps,
		(unsigned long long)coverage->virtual_ms / 1000, missing);
	return missing;
}

void sim_report_catch_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_set_death_callback(sim_print_trace);
#endif
}
