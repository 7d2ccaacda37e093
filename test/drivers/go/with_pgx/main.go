// pgx by its own interface: it prepares and caches each statement by default, and has other modes for poolers.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drivers/checks"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	must  = checks.Must
	equal = checks.Equal
)

func connect(ctx context.Context, change ...func(*pgx.ConnConfig)) *pgx.Conn {
	config := checks.One(pgx.ParseConfig(checks.URL()))
	for _, one := range change {
		one(config)
	}
	return checks.One(pgx.ConnectConfig(ctx, config))
}

func inMode(mode pgx.QueryExecMode) func(*pgx.ConnConfig) {
	return func(config *pgx.ConnConfig) { config.DefaultQueryExecMode = mode }
}

func number(ctx context.Context, from interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, sql string, args ...any) (value int) {
	must(from.QueryRow(ctx, sql, args...).Scan(&value))
	return value
}

func word(ctx context.Context, conn *pgx.Conn, sql string, args ...any) (value string) {
	must(conn.QueryRow(ctx, sql, args...).Scan(&value))
	return value
}

func wantState(err error, state string) {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		panic(fmt.Errorf("no error of the server but %v", err))
	}
	equal(server.Code, state)
}

func freshTable(ctx context.Context) {
	conn := connect(ctx)
	defer conn.Close(ctx)
	checks.One(conn.Exec(ctx, "DROP TABLE IF EXISTS pgx_rows; CREATE TABLE pgx_rows (owner int, n int, word text, PRIMARY KEY (owner, n))"))
}

func types(ctx context.Context) {
	conn := connect(ctx)
	defer conn.Close(ctx)
	for i := 0; i < 3; i++ {
		var n int
		var text string
		var bytes []byte
		var truth bool
		var list []int32
		var day time.Time
		var document map[string]any
		var nothing *string
		must(conn.QueryRow(ctx, "SELECT $1::int, $2::text, $3::bytea, $4::bool, $5::int[], $6::timestamptz, $7::jsonb, $8::text",
			7, "zwölf", []byte{0, 255}, true, []int32{1, 2}, time.Unix(1e9, 0), map[string]any{"a": "b"}, nil).
			Scan(&n, &text, &bytes, &truth, &list, &day, &document, &nothing))
		equal([]any{n, text, bytes, truth, list, day.Unix(), document, nothing},
			[]any{7, "zwölf", []byte{0, 255}, true, []int32{1, 2}, int64(1e9), map[string]any{"a": "b"}, (*string)(nil)})
	}
}

// workers runs the same work in each of pgx's ways to execute.
func workers(mode pgx.QueryExecMode) func(context.Context) {
	return func(ctx context.Context) {
		freshTable(ctx)
		checks.AllClients(func(client int) {
			conn := connect(ctx, inMode(mode))
			defer conn.Close(ctx)
			for n := 0; n < checks.Rounds; n++ {
				must(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
					checks.One(tx.Exec(ctx, "INSERT INTO pgx_rows VALUES ($1, $2, $3)", client, n, fmt.Sprint("word ", n)))
					equal(number(ctx, tx, "SELECT count(*)::int FROM pgx_rows WHERE owner = $1", client), n+1)
					equal(number(ctx, tx, "SELECT sum(n)::int FROM pgx_rows WHERE owner = $1", client), n*(n+1)/2)
					return nil
				}))
			}
		})
		conn := connect(ctx)
		defer conn.Close(ctx)
		equal(number(ctx, conn, "SELECT count(*)::int FROM pgx_rows"), checks.Clients*checks.Rounds)
	}
}

func transactions(ctx context.Context) {
	freshTable(ctx)
	conn := connect(ctx)
	defer conn.Close(ctx)
	tx := checks.One(conn.Begin(ctx))
	checks.One(tx.Exec(ctx, "INSERT INTO pgx_rows VALUES (1, 1, 'kept')"))
	inner := checks.One(tx.Begin(ctx))
	_, err := inner.Exec(ctx, "INSERT INTO pgx_rows VALUES (1, 1, 'twice')")
	wantState(err, "23505")
	must(inner.Rollback(ctx))
	must(tx.Commit(ctx))
	tx = checks.One(conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable}))
	_, err = tx.Exec(ctx, "DELETE FROM pgx_rows")
	wantState(err, "25006")
	_, err = tx.Exec(ctx, "SELECT 1")
	wantState(err, "25P02")
	if err = tx.Commit(ctx); !errors.Is(err, pgx.ErrTxCommitRollback) {
		panic(fmt.Errorf("COMMIT of a failed transaction: %v", err))
	}
	equal(word(ctx, conn, "SELECT word FROM pgx_rows"), "kept")
}

func failures(ctx context.Context) {
	conn := connect(ctx)
	defer conn.Close(ctx)
	for i := 0; i < 3; i++ {
		for state, sql := range map[string]string{"42601": "SELEC 1", "42P01": "SELECT * FROM nowhere_to_be_found", "22012": "SELECT 1/0"} {
			_, err := conn.Exec(ctx, sql)
			wantState(err, state)
			wantState(conn.QueryRow(ctx, sql).Scan(new(int)), state)
		}
		equal(number(ctx, conn, "SELECT $1::int", i), i)
	}
}

func preparedOverTransactions(ctx context.Context) {
	checks.AllClients(func(client int) {
		conn := connect(ctx)
		defer conn.Close(ctx)
		description := checks.One(conn.Prepare(ctx, "mine", fmt.Sprintf("SELECT $1::int + %d", client)))
		equal(len(description.ParamOIDs), 1)
		checks.One(conn.Prepare(ctx, "same", "SELECT $1::int * 2"))
		for n := 0; n < checks.Rounds; n++ {
			equal(number(ctx, conn, "mine", n), n+client)
			must(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				equal(number(ctx, tx, "same", n), 2*n)
				equal(number(ctx, tx, "mine", n), n+client)
				return nil
			}))
		}
		must(conn.Deallocate(ctx, "mine"))
		checks.One(conn.Prepare(ctx, "mine", "SELECT $1::int + 1000"))
		equal(number(ctx, conn, "mine", 1), 1001)
	})
}

func moreStatementsThanKept(ctx context.Context) {
	checks.AllClients(func(client int) {
		conn := connect(ctx, func(config *pgx.ConnConfig) { config.StatementCacheCapacity = 5 })
		defer conn.Close(ctx)
		for n := 0; n < 3*checks.Rounds; n++ {
			equal(number(ctx, conn, fmt.Sprintf("SELECT $1::int + %d", n%13), client), client+n%13)
		}
	})
}

// A batch is a pipeline. By default it prepares all that is new first.
func batches(ctx context.Context) {
	freshTable(ctx)
	checks.AllClients(func(client int) {
		conn := connect(ctx)
		defer conn.Close(ctx)
		for n := 0; n < checks.Rounds; n++ {
			batch := &pgx.Batch{}
			for i := 0; i < 10; i++ {
				batch.Queue(fmt.Sprintf("SELECT $1::int + %d", i), client)
			}
			batch.Queue("INSERT INTO pgx_rows VALUES ($1, $2, 'batch')", client, n)
			results := conn.SendBatch(ctx, batch)
			for i := 0; i < 10; i++ {
				var value int
				must(results.QueryRow().Scan(&value))
				equal(value, client+i)
			}
			equal(checks.One(results.Exec()).RowsAffected(), int64(1))
			must(results.Close())
		}
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO pgx_rows VALUES ($1, 1000, 'undone')", client)
		batch.Queue("INSERT INTO pgx_rows VALUES ($1, 1, 'twice')", client)
		wantState(conn.SendBatch(ctx, batch).Close(), "23505")
		equal(number(ctx, conn, "SELECT count(*)::int FROM pgx_rows WHERE owner = $1", client), checks.Rounds)
	})
}

// pgconn's pipeline mode: several Syncs in flight, an error that skips to the next of them.
func pipelines(ctx context.Context) {
	checks.AllClients(func(client int) {
		conn := connect(ctx)
		defer conn.Close(ctx)
		for n := 0; n < checks.Rounds; n++ {
			pipeline := conn.PgConn().StartPipeline(ctx)
			send := func(sql string) { pipeline.SendQueryParams(sql, [][]byte{[]byte(fmt.Sprint(client))}, nil, nil, nil) }
			send("SELECT $1::int + 1")
			must(pipeline.Sync())
			send("SELECT 1 / ($1::int - $1::int)")
			send("SELECT $1::int + 2")
			must(pipeline.Sync())
			send("SELECT $1::int + 3")
			must(pipeline.Sync())
			wantResult := func(value int) {
				reader := checks.One(pipeline.GetResults()).(*pgconn.ResultReader).Read()
				must(reader.Err)
				equal(string(reader.Rows[0][0]), fmt.Sprint(value))
			}
			wantSync := func() { _ = checks.One(pipeline.GetResults()).(*pgconn.PipelineSync) }
			wantResult(client + 1)
			wantSync()
			_, err := pipeline.GetResults()
			if err == nil {
				panic("no error")
			}
			wantState(err, "22012")
			wantSync()
			wantResult(client + 3)
			wantSync()
			must(pipeline.Close())
		}
	})
}

func copies(ctx context.Context) {
	freshTable(ctx)
	checks.AllClients(func(client int) {
		conn := connect(ctx)
		defer conn.Close(ctx)
		rows := make([][]any, 1000)
		for i := range rows {
			rows[i] = []any{client, i, fmt.Sprint("word ", i)}
		}
		columns := []string{"owner", "n", "word"}
		equal(checks.One(conn.CopyFrom(ctx, pgx.Identifier{"pgx_rows"}, columns, pgx.CopyFromRows(rows))), int64(1000))
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"pgx_rows"}, columns, pgx.CopyFromRows(rows[:1]))
		wantState(err, "23505")
		equal(number(ctx, conn, "SELECT sum(n)::int FROM pgx_rows WHERE owner = $1", client), 999*1000/2)
		collected := checks.One(pgx.CollectRows(checks.One(conn.Query(ctx, "SELECT n FROM pgx_rows WHERE owner = $1 ORDER BY n", client)), pgx.RowTo[int]))
		equal(len(collected), 1000)
		equal(collected[999], 999)
	})
}

func settings(ctx context.Context) {
	checks.AllClients(func(client int) {
		mine := fmt.Sprint("client ", client)
		conn := connect(ctx, func(config *pgx.ConnConfig) {
			config.RuntimeParams["application_name"] = mine
			config.RuntimeParams["app.born"] = mine
		})
		defer conn.Close(ctx)
		checks.One(conn.Exec(ctx, fmt.Sprintf("SET app.who = '%s'", mine)))
		checks.One(conn.Exec(ctx, "SELECT set_config('app.computed', $1, false)", mine))
		for n := 0; n < checks.Rounds; n++ {
			for _, name := range []string{"application_name", "app.born", "app.who", "app.computed"} {
				equal(word(ctx, conn, "SELECT coalesce(current_setting($1, true), 'nothing')", name), mine)
			}
		}
	})
}

func pool(ctx context.Context) {
	config := checks.One(pgxpool.ParseConfig(checks.URL()))
	config.MaxConns = int32(checks.Clients)
	clients := checks.One(pgxpool.NewWithConfig(ctx, config))
	defer clients.Close()
	for i := 0; i < 3; i++ {
		checks.AllClients(func(client int) {
			for n := 0; n < checks.Rounds; n++ {
				equal(number(ctx, clients, "SELECT $1::int * 100 + $2::int", client, n), client*100+n)
			}
		})
	}
}

// After a change the statement cache's plan does not fit: one error at most, then pgx prepares anew.
func aTableChanges(ctx context.Context) {
	conn, other := connect(ctx), connect(ctx)
	defer conn.Close(ctx)
	defer other.Close(ctx)
	checks.One(other.Exec(ctx, "DROP TABLE IF EXISTS pgx_change; CREATE TABLE pgx_change (n int); INSERT INTO pgx_change VALUES (1)"))
	columns := func(of *pgx.Conn) (int, error) {
		rows, err := of.Query(ctx, "SELECT * FROM pgx_change")
		if err != nil {
			return 0, err
		}
		rows.Close()
		return len(rows.FieldDescriptions()), rows.Err()
	}
	for n := 0; n < 4; n++ {
		if count, err := columns(conn); err != nil {
			wantState(err, "0A000")
		} else {
			equal(count, n+1)
		}
		equal(checks.One(columns(conn)), n+1)
		checks.One(other.Exec(ctx, fmt.Sprintf("ALTER TABLE pgx_change ADD COLUMN c%d text", n)))
	}
}

// A context that ends cancels by closing; with a handler that asks the server the connection stays.
func cancels(ctx context.Context) {
	conn := connect(ctx, func(config *pgx.ConnConfig) {
		config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, CancelRequestDelay: 0, DeadlineDelay: 30 * time.Second}
		}
	})
	defer conn.Close(ctx)
	for n := 0; n < 3; n++ {
		short, end := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := conn.Exec(short, "SELECT pg_sleep(10)")
		end()
		wantState(err, "57014")
		equal(number(ctx, conn, "SELECT $1::int", n), n)
	}
}

func notifications(ctx context.Context) {
	listener, speaker := connect(ctx), connect(ctx)
	defer listener.Close(ctx)
	defer speaker.Close(ctx)
	checks.One(listener.Exec(ctx, "LISTEN pgx_news"))
	for n := 0; n < 5; n++ {
		checks.One(speaker.Exec(ctx, "SELECT pg_notify('pgx_news', $1)", fmt.Sprint("number ", n)))
		short, end := context.WithTimeout(ctx, 30*time.Second)
		news := checks.One(listener.WaitForNotification(short))
		end()
		equal(news.Payload, fmt.Sprint("number ", n))
	}
}

func main() {
	checks.Run(
		checks.Check{Name: "types", Run: types},
		checks.Check{Name: "workers, statements cached", Run: workers(pgx.QueryExecModeCacheStatement)},
		checks.Check{Name: "workers, descriptions cached", Run: workers(pgx.QueryExecModeCacheDescribe)},
		checks.Check{Name: "workers, described each time", Run: workers(pgx.QueryExecModeDescribeExec)},
		checks.Check{Name: "workers, unnamed", Run: workers(pgx.QueryExecModeExec)},
		checks.Check{Name: "workers, simple protocol", Run: workers(pgx.QueryExecModeSimpleProtocol)},
		checks.Check{Name: "transactions", Run: transactions},
		checks.Check{Name: "errors", Run: failures},
		checks.Check{Name: "prepared over transactions", Run: preparedOverTransactions},
		checks.Check{Name: "more statements than kept", Run: moreStatementsThanKept},
		checks.Check{Name: "batches", Run: batches},
		checks.Check{Name: "pipelines", Run: pipelines},
		checks.Check{Name: "copy", Run: copies},
		checks.Check{Name: "settings", Run: settings},
		checks.Check{Name: "pool", Run: pool},
		checks.Check{Name: "a table changes", Run: aTableChanges},
		checks.Check{Name: "cancel", Run: cancels},
		checks.Check{Name: "notifications", Run: notifications},
	)
}
