// database/sql over two drivers: pgx, and lib/pq. It prepares, closes and moves statements between its connections by itself.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"drivers/checks"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

var (
	must  = checks.Must
	equal = checks.Equal
)

func open(driver string) *sql.DB {
	db := checks.One(sql.Open(driver, checks.URL()))
	db.SetMaxOpenConns(checks.Clients)
	db.SetMaxIdleConns(checks.Clients)
	return db
}

func wantState(err error, state string) {
	if coded, ok := err.(interface{ SQLState() string }); ok {
		equal(coded.SQLState(), state)
	} else {
		panic(fmt.Errorf("no error of the server but %v", err))
	}
}

func workers(driver string) func(context.Context) {
	return func(ctx context.Context) {
		db := open(driver)
		defer db.Close()
		checks.One(db.Exec("DROP TABLE IF EXISTS go_sql_rows"))
		checks.One(db.Exec("CREATE TABLE go_sql_rows (owner int, n int, word text, PRIMARY KEY (owner, n))"))
		checks.AllClients(func(client int) {
			for n := 0; n < checks.Rounds; n++ {
				tx := checks.One(db.BeginTx(ctx, nil))
				var count, sum int
				checks.One(tx.Exec("INSERT INTO go_sql_rows VALUES ($1, $2, $3)", client, n, fmt.Sprint("word ", n)))
				must(tx.QueryRow("SELECT count(*), sum(n) FROM go_sql_rows WHERE owner = $1", client).Scan(&count, &sum))
				equal([]int{count, sum}, []int{n + 1, n * (n + 1) / 2})
				must(tx.Commit())
			}
		})
		var count int
		must(db.QueryRow("SELECT count(*) FROM go_sql_rows").Scan(&count))
		equal(count, checks.Clients*checks.Rounds)
	}
}

// One sql.Stmt for all: database/sql prepares it on each connection that it happens to use.
func prepared(driver string) func(context.Context) {
	return func(ctx context.Context) {
		db := open(driver)
		defer db.Close()
		statement := checks.One(db.Prepare("SELECT $1::int * 2"))
		defer statement.Close()
		checks.AllClients(func(client int) {
			mine := checks.One(db.Prepare(fmt.Sprintf("SELECT $1::int + %d", client)))
			for n := 0; n < checks.Rounds; n++ {
				var value int
				must(statement.QueryRow(n).Scan(&value))
				equal(value, 2*n)
				tx := checks.One(db.BeginTx(ctx, nil))
				must(tx.Stmt(mine).QueryRow(n).Scan(&value))
				equal(value, n+client)
				must(tx.Rollback())
			}
			must(mine.Close())
		})
	}
}

func transactions(driver string) func(context.Context) {
	return func(ctx context.Context) {
		db := open(driver)
		defer db.Close()
		tx := checks.One(db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true}))
		var level string
		must(tx.QueryRow("SHOW transaction_isolation").Scan(&level))
		equal(level, "serializable")
		_, err := tx.Exec("CREATE TABLE go_sql_never (n int)")
		wantState(err, "25006")
		_, err = tx.Exec("SELECT 1")
		wantState(err, "25P02")
		must(tx.Rollback())
		for n := 0; n < checks.Rounds; n++ {
			_, err = db.Exec("SELECT 1 / $1::int", 0)
			wantState(err, "22012")
			_, err = db.Exec("SELECT * FROM nowhere_to_be_found WHERE n = $1", 0)
			wantState(err, "42P01")
			var value int
			must(db.QueryRow("SELECT $1::int", n).Scan(&value))
			equal(value, n)
		}
	}
}

// A connection of one's own, with settings.
func settings(driver string) func(context.Context) {
	return func(ctx context.Context) {
		db := open(driver)
		defer db.Close()
		checks.AllClients(func(client int) {
			conn := checks.One(db.Conn(ctx))
			defer conn.Close()
			mine := fmt.Sprint("client ", client)
			checks.One(conn.ExecContext(ctx, "SET app.who = '"+mine+"'"))
			checks.One(conn.ExecContext(ctx, "SET search_path = pg_catalog, public"))
			for n := 0; n < checks.Rounds; n++ {
				var who, path string
				must(conn.QueryRowContext(ctx, "SELECT current_setting('app.who'), current_setting('search_path')").Scan(&who, &path))
				equal([]string{who, path}, []string{mine, "pg_catalog, public"})
			}
		})
	}
}

func rowsAbandoned(driver string) func(context.Context) {
	return func(ctx context.Context) {
		db := open(driver)
		defer db.Close()
		checks.AllClients(func(client int) {
			for n := 0; n < checks.Rounds; n++ {
				rows := checks.One(db.Query("SELECT g, repeat('x', 100) FROM generate_series($1::int, $1::int + 5000) g", client))
				var first int
				var text string
				rows.Next()
				must(rows.Scan(&first, &text))
				equal([]any{first, text}, []any{client, strings.Repeat("x", 100)})
				must(rows.Close()) // it reads the rest
			}
		})
	}
}

func main() {
	var list []checks.Check
	for _, driver := range []string{"pgx", "postgres"} {
		name := map[string]string{"pgx": "pgx", "postgres": "pq"}[driver]
		list = append(list,
			checks.Check{Name: name + " workers", Run: workers(driver)},
			checks.Check{Name: name + " prepared", Run: prepared(driver)},
			checks.Check{Name: name + " transactions", Run: transactions(driver)},
			checks.Check{Name: name + " settings", Run: settings(driver)},
			checks.Check{Name: name + " rows abandoned", Run: rowsAbandoned(driver)})
	}
	checks.Run(list...)
}
