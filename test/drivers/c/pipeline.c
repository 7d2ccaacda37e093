/* pipeline: libpq's pipeline mode, by a program that uses libpq alone. It prints TAP as the other
 * driver programs do; every answer is compared with what it has to be.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

enum { CLIENTS_MAX = 64, DEPTH = 20, TEXT_MAX = 512, WAIT_MS_MAX = 20000 };

static int clients, rounds;
static char problem[TEXT_MAX]; /* of the check that runs; the first one counts */

__attribute__((format(printf, 1, 2))) static bool wrong(const char *format, ...)
{
	va_list args;

	if (*problem)
		return false;
	va_start(args, format);
	vsnprintf(problem, sizeof(problem), format, args);
	va_end(args);
	for (char *at = problem; *at; at++)
		if (*at == '\n')
			*at = ' ';
	return false;
}

static PGconn *opened(void)
{
	PGconn *conn = PQconnectdb(""); /* the environment says where */

	if (PQstatus(conn) != CONNECTION_OK)
		wrong("connect: %s", PQerrorMessage(conn));
	return conn;
}

static PGconn *opened_pipeline(void)
{
	PGconn *conn = opened();

	if (!*problem && (PQsetnonblocking(conn, 1) || !PQenterPipelineMode(conn)))
		wrong("pipeline mode: %s", PQerrorMessage(conn));
	return conn;
}

/* The next result in time, or NULL: the end of one query's results, or nothing came. */
static PGresult *next_result(PGconn *conn)
{
	while (PQisBusy(conn)) {
		struct pollfd wait = {.fd = PQsocket(conn), .events = POLLIN};
		int left = PQflush(conn);

		if (left > 0)
			wait.events |= POLLOUT;
		if (left < 0 || poll(&wait, 1, WAIT_MS_MAX) <= 0) {
			wrong("no answer in time: %s", PQerrorMessage(conn));
			return NULL;
		}
		if ((wait.revents & (POLLIN | POLLHUP)) && !PQconsumeInput(conn)) {
			wrong("the connection is lost: %s", PQerrorMessage(conn));
			return NULL;
		}
	}
	return PQgetResult(conn);
}

/* Takes one result and wants it to be so; `value` NULL: no row is looked at. */
static bool want(PGconn *conn, ExecStatusType status, const char *state, const char *value)
{
	PGresult *result = next_result(conn);
	const char *got_state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	bool fits = result && PQresultStatus(result) == status;

	if (!fits)
		wrong("%s, not %s: %s", result ? PQresStatus(PQresultStatus(result)) : "no result",
			PQresStatus(status),
			result ? PQresultErrorMessage(result) : PQerrorMessage(conn));
	else if (state && (!got_state || strcmp(got_state, state) != 0))
		fits = wrong("SQLSTATE %s, not %s", got_state ? got_state : "none", state);
	else if (value && (PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), value) != 0))
		fits = wrong("%s, not %s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "no row",
			value);
	PQclear(result);
	return fits && !*problem;
}

/* As want(), and the end of this query's results behind it. */
static bool want_all(PGconn *conn, ExecStatusType status, const char *state, const char *value)
{
	if (!want(conn, status, state, value))
		return false;
	PGresult *end = next_result(conn);

	if (!end)
		return !*problem;
	wrong("one result more: %s", PQresStatus(PQresultStatus(end)));
	PQclear(end);
	return false;
}

static bool sent(PGconn *conn, int done)
{
	return done ? true : wrong("send: %s", PQerrorMessage(conn));
}

static bool send_number(PGconn *conn, const char *sql, int number)
{
	char text[16];
	const char *values[] = {text};

	snprintf(text, sizeof(text), "%d", number);
	return sent(conn, PQsendQueryParams(conn, sql, 1, NULL, values, NULL, NULL, 0));
}

static bool want_number(PGconn *conn, int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	return want_all(conn, PGRES_TUPLES_OK, NULL, text);
}

static bool sync_here(PGconn *conn)
{
	return sent(conn, PQpipelineSync(conn));
}

/* More pipelines than servers, all sent before the first answer is read. */
static void many_pipelines(void)
{
	PGconn *conns[CLIENTS_MAX] = {NULL};

	for (int i = 0; i < clients; i++)
		conns[i] = opened_pipeline();
	for (int n = 0; n < rounds && !*problem; n++) {
		for (int i = 0; i < clients; i++) {
			for (int k = 0; k < DEPTH; k++)
				send_number(conns[i], "SELECT $1::int + 1", i * 1000 + k);
			sync_here(conns[i]);
			PQflush(conns[i]);
		}
		for (int i = clients; i-- > 0;) {
			for (int k = 0; k < DEPTH && want_number(conns[i], i * 1000 + k + 1); k++)
				;
			want(conns[i], PGRES_PIPELINE_SYNC, NULL, NULL);
		}
	}
	for (int i = 0; i < clients; i++)
		PQfinish(conns[i]);
}

/* An error skips to the next Sync, and not further. */
static void errors_skip_to_the_sync(void)
{
	PGconn *conn = opened_pipeline();

	for (int n = 0; n < rounds && !*problem; n++) {
		send_number(conn, "SELECT $1::int", 1);
		send_number(conn, "SELECT 1 / $1::int", 0);
		send_number(conn, "SELECT $1::int", 2);
		sync_here(conn);
		send_number(conn, "SELECT $1::int", 3);
		send_number(conn, "SELEC $1::int", 4);
		sync_here(conn);
		sync_here(conn);
		send_number(conn, "SELECT $1::int", 5);
		sync_here(conn);
		want_number(conn, 1);
		want_all(conn, PGRES_FATAL_ERROR, "22012", NULL);
		want_all(conn, PGRES_PIPELINE_ABORTED, NULL, NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		want_number(conn, 3);
		want_all(conn, PGRES_FATAL_ERROR, "42601", NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		want_number(conn, 5);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
	}
	PQfinish(conn);
}

/* A transaction over several Syncs, with an error in it. */
static void a_transaction_over_syncs(void)
{
	PGconn *conn = opened_pipeline();
	static const char *const begin[] = {"BEGIN", "SET LOCAL app.who = 'inside'"};

	for (int n = 0; n < rounds && !*problem; n++) {
		for (int i = 0; i < 2; i++)
			sent(conn, PQsendQueryParams(conn, begin[i], 0, NULL, NULL, NULL, NULL, 0));
		sync_here(conn);
		sent(conn, PQsendQueryParams(conn, "SHOW app.who", 0, NULL, NULL, NULL, NULL, 0));
		send_number(conn, "SELECT 1 / $1::int", 0);
		sync_here(conn);
		send_number(conn, "SELECT $1::int", 1);
		sync_here(conn);
		sent(conn, PQsendQueryParams(conn, "ROLLBACK", 0, NULL, NULL, NULL, NULL, 0));
		sync_here(conn);
		want_all(conn, PGRES_COMMAND_OK, NULL, NULL);
		want_all(conn, PGRES_COMMAND_OK, NULL, NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		want_all(conn, PGRES_TUPLES_OK, NULL, "inside");
		want_all(conn, PGRES_FATAL_ERROR, "22012", NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		want_all(conn, PGRES_FATAL_ERROR, "25P02", NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		want_all(conn, PGRES_COMMAND_OK, NULL, NULL);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
	}
	PQfinish(conn);
}

/* Prepared and described inside a pipeline, executed in later ones. */
static void prepared_in_pipelines(void)
{
	PGconn *conns[CLIENTS_MAX] = {NULL};
	char sql[64], value[16];
	const char *values[] = {"5"};

	for (int i = 0; i < clients; i++) {
		conns[i] = opened_pipeline();
		snprintf(sql, sizeof(sql), "SELECT $1::int + %d", i);
		sent(conns[i], PQsendPrepare(conns[i], "mine", sql, 0, NULL));
		sent(conns[i], PQsendDescribePrepared(conns[i], "mine"));
		sent(conns[i], PQsendQueryPrepared(conns[i], "mine", 1, values, NULL, NULL, 0));
		sync_here(conns[i]);
		PQflush(conns[i]);
	}
	for (int i = 0; i < clients; i++) {
		snprintf(value, sizeof(value), "%d", 5 + i);
		want_all(conns[i], PGRES_COMMAND_OK, NULL, NULL);
		want_all(conns[i], PGRES_COMMAND_OK, NULL, NULL);
		want_all(conns[i], PGRES_TUPLES_OK, NULL, value);
		want(conns[i], PGRES_PIPELINE_SYNC, NULL, NULL);
	}
	for (int n = 0; n < rounds && !*problem; n++) {
		for (int i = 0; i < clients; i++) {
			sent(conns[i],
				PQsendQueryPrepared(conns[i], "mine", 1, values, NULL, NULL, 0));
			sent(conns[i],
				PQsendQueryPrepared(conns[i], "nobodys", 1, values, NULL, NULL, 0));
			sync_here(conns[i]);
			sent(conns[i],
				PQsendQueryPrepared(conns[i], "mine", 1, values, NULL, NULL, 0));
			sync_here(conns[i]);
			PQflush(conns[i]);
		}
		for (int i = 0; i < clients; i++) {
			want_number(conns[i], 5 + i);
			want_all(conns[i], PGRES_FATAL_ERROR, "26000", NULL);
			want(conns[i], PGRES_PIPELINE_SYNC, NULL, NULL);
			want_number(conns[i], 5 + i);
			want(conns[i], PGRES_PIPELINE_SYNC, NULL, NULL);
		}
	}
	for (int i = 0; i < clients; i++)
		PQfinish(conns[i]);
}

/* A Flush makes the answers come before the Sync does. */
static void flush_requests(void)
{
	PGconn *conn = opened_pipeline();

	for (int n = 0; n < rounds && !*problem; n++) {
		send_number(conn, "SELECT $1::int", n);
		sent(conn, PQsendFlushRequest(conn));
		want_number(conn, n);
		send_number(conn, "SELECT $1::int", n + 1);
		sync_here(conn);
		want_number(conn, n + 1);
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
	}
	PQfinish(conn);
}

/* Row by row, more than any buffer holds, while others pipeline. */
static void single_rows(void)
{
	PGconn *conn = opened_pipeline();
	int rows = 0, small;

	sent(conn,
		PQsendQueryParams(conn,
			"SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g", 0, NULL,
			NULL, NULL, NULL, 0));
	send_number(conn, "SELECT $1::int", 1);
	sync_here(conn);
	for (small = 0; !*problem && small < 1;) {
		PQsetSingleRowMode(conn);
		PGresult *result = next_result(conn);
		ExecStatusType status = PQresultStatus(result);

		if (status == PGRES_SINGLE_TUPLE && PQgetlength(result, 0, 1) == 1000)
			rows += strtol(PQgetvalue(result, 0, 0), NULL, 10) == rows + 1;
		else if (status == PGRES_TUPLES_OK)
			small++;
		else
			wrong("%s in row %d", PQresStatus(status), rows);
		PQclear(result);
	}
	if (rows != 20000)
		wrong("%d rows, not 20000", rows);
	PQclear(next_result(conn));
	want_number(conn, 1);
	want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
	PQfinish(conn);
}

/* Some leave in the middle of a pipeline; the next client sees nothing of it. */
static void leaving_in_the_middle(void)
{
	for (int n = 0; n < rounds && !*problem; n++) {
		PGconn *leaver = opened_pipeline(), *stayer = opened_pipeline();

		for (int k = 0; k < DEPTH; k++)
			send_number(leaver, "SELECT $1::int, pg_sleep(0.001)", k);
		if (n % 2)
			sync_here(leaver);
		PQflush(leaver);
		PQfinish(leaver);
		send_number(stayer, "SELECT $1::int", n);
		sync_here(stayer);
		want_number(stayer, n);
		want(stayer, PGRES_PIPELINE_SYNC, NULL, NULL);
		PQfinish(stayer);
	}
}

/* COPY by the simple protocol between pipelines; libpq has none inside of them. */
static void copy_between_pipelines(void)
{
	PGconn *conn = opened();
	PGresult *result =
		PQexec(conn, "DROP TABLE IF EXISTS libpq_rows; CREATE TABLE libpq_rows (n int)");
	char line[32];

	PQclear(result);
	for (int n = 0; n < rounds && !*problem; n++) {
		result = PQexec(conn, "COPY libpq_rows FROM STDIN");
		if (PQresultStatus(result) != PGRES_COPY_IN)
			wrong("COPY: %s", PQerrorMessage(conn));
		PQclear(result);
		for (int i = 0; i < 100; i++) {
			int len = snprintf(line, sizeof(line), "%d\n", i);

			sent(conn, PQputCopyData(conn, line, len) == 1);
		}
		sent(conn, PQputCopyEnd(conn, n % 2 ? "we changed our mind" : NULL) == 1);
		want_all(conn, n % 2 ? PGRES_FATAL_ERROR : PGRES_COMMAND_OK, n % 2 ? "57014" : NULL,
			NULL);
		if (!*problem && !PQenterPipelineMode(conn))
			wrong("pipeline mode: %s", PQerrorMessage(conn));
		sent(conn,
			PQsendQueryParams(conn, "SELECT count(*) FROM libpq_rows", 0, NULL, NULL,
				NULL, NULL, 0));
		sync_here(conn);
		want_number(conn, 100 * (n / 2 + 1));
		want(conn, PGRES_PIPELINE_SYNC, NULL, NULL);
		if (!*problem && !PQexitPipelineMode(conn))
			wrong("end of pipeline mode: %s", PQerrorMessage(conn));
	}
	PQfinish(conn);
}

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{"many pipelines", many_pipelines},
	{"errors skip to the sync", errors_skip_to_the_sync},
	{"a transaction over syncs", a_transaction_over_syncs},
	{"prepared in pipelines", prepared_in_pipelines},
	{"flush requests", flush_requests},
	{"single rows", single_rows},
	{"leaving in the middle", leaving_in_the_middle},
	{"copy between pipelines", copy_between_pipelines},
};

static int number_of(const char *name, int most)
{
	const char *text = getenv(name);
	long number = text ? strtol(text, NULL, 10) : 0;

	if (number < 1 || number > most) {
		fprintf(stderr, "%s has to be 1 to %d\n", name, most);
		exit(2);
	}
	return (int)number;
}

int main(void)
{
	clients = number_of("DRIVERS_CLIENTS", CLIENTS_MAX);
	rounds = number_of("DRIVERS_ROUNDS", 1000);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		problem[0] = 0;
		checks[i].run();
		if (*problem)
			printf("not ok - %s: %s\n", checks[i].name, problem);
		else
			printf("ok - %s\n", checks[i].name);
	}
	return 0;
}
