//! sqlx: a cache of named statements on each connection of its pool, and a ping before each use.
use std::time::Duration;

use drivers::{all_clients, check, clients, equal, rounds, Outcome};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolCopyExt, PgPoolOptions, PgSslMode};
use sqlx::{Acquire, ConnectOptions, Connection, Executor, Row};

fn options() -> PgConnectOptions {
    PgConnectOptions::new().ssl_mode(PgSslMode::Disable).disable_statement_logging() // the rest from the environment
}

async fn pool() -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new().max_connections(clients() as u32).connect_with(options()).await
}

fn wants<T>(result: Result<T, sqlx::Error>, state: &str) -> Outcome {
    match result {
        Ok(_) => Err(format!("no error, not {state}").into()),
        Err(problem) => match problem.as_database_error().and_then(|inner| inner.code()) {
            Some(code) => equal(code.as_ref(), state),
            None => Err(problem.into()),
        },
    }
}

async fn fresh_table(pool: &PgPool) -> Outcome {
    let sql = "DROP TABLE IF EXISTS sqlx_rows; CREATE TABLE sqlx_rows (owner int, n int, word text, PRIMARY KEY (owner, n))";
    sqlx::raw_sql(sql).execute(pool).await?;
    Ok(())
}

async fn types() -> Outcome {
    let pool = pool().await?;
    for _ in 0..3 {
        let row = sqlx::query("SELECT $1::int, $2::text, $3::bytea, $4::bool, $5::int[], $6::float8, $7::text")
            .bind(7)
            .bind("zwölf")
            .bind(&b"\0\xff"[..])
            .bind(true)
            .bind(vec![1, 2])
            .bind(0.25)
            .bind(None::<String>)
            .fetch_one(&pool)
            .await?;
        equal(row.try_get::<i32, _>(0)?, 7)?;
        equal(row.try_get::<&str, _>(1)?, "zwölf")?;
        equal(row.try_get::<&[u8], _>(2)?, b"\0\xff")?;
        equal(row.try_get::<bool, _>(3)?, true)?;
        equal(row.try_get::<Vec<i32>, _>(4)?, vec![1, 2])?;
        equal(row.try_get::<f64, _>(5)?, 0.25)?;
        equal(row.try_get::<Option<String>, _>(6)?, None)?;
    }
    Ok(())
}

async fn workers() -> Outcome {
    let pool = pool().await?;
    fresh_table(&pool).await?;
    let shared = pool.clone();
    all_clients(move |owner| {
        let pool = shared.clone();
        async move {
            for n in 0..rounds() {
                let mut work = pool.begin().await?;
                sqlx::query("INSERT INTO sqlx_rows VALUES ($1, $2, $3)").bind(owner).bind(n).bind(format!("word {n}")).execute(&mut *work).await?;
                let sums: (i64, i64) =
                    sqlx::query_as("SELECT count(*), sum(n) FROM sqlx_rows WHERE owner = $1").bind(owner).fetch_one(&mut *work).await?;
                equal(sums, (i64::from(n + 1), i64::from(n * (n + 1) / 2)))?;
                work.commit().await?;
            }
            Ok(())
        }
    })
    .await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlx_rows").fetch_one(&pool).await?;
    equal(count, i64::from(clients() * rounds()))
}

async fn transactions() -> Outcome {
    let pool = pool().await?;
    fresh_table(&pool).await?;
    let mut outer = pool.begin().await?;
    sqlx::query("INSERT INTO sqlx_rows VALUES (1, 1, 'kept')").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    wants(sqlx::query("INSERT INTO sqlx_rows VALUES (1, 1, 'twice')").execute(&mut *inner).await, "23505")?;
    wants(sqlx::query("SELECT 1").execute(&mut *inner).await, "25P02")?;
    inner.rollback().await?;
    outer.commit().await?;
    let dropped = pool.begin().await?;
    drop(dropped); // rolls back at the next use
    let word: String = sqlx::query_scalar("SELECT word FROM sqlx_rows").fetch_one(&pool).await?;
    equal(word.as_str(), "kept")
}

async fn errors() -> Outcome {
    let mut one = options().connect().await?;
    for n in 0..3 {
        wants(sqlx::query("SELEC 1").execute(&mut one).await, "42601")?;
        wants(sqlx::query("SELECT * FROM nowhere_to_be_found WHERE n = $1").bind(n).execute(&mut one).await, "42P01")?;
        wants(sqlx::query("SELECT 1 / $1::int").bind(0).execute(&mut one).await, "22012")?;
        let value: i32 = sqlx::query_scalar("SELECT $1::int").bind(n).fetch_one(&mut one).await?;
        equal(value, n)?;
    }
    one.ping().await?;
    Ok(one.close().await?)
}

async fn more_statements_than_kept() -> Outcome {
    all_clients(|owner| async move {
        let mut one = options().statement_cache_capacity(5).connect().await?;
        for n in 0..3 * rounds() {
            let value: i32 = sqlx::query_scalar(&format!("SELECT $1::int + {}", n % 13)).bind(owner).fetch_one(&mut one).await?;
            equal(value, owner + n % 13)?;
            if n % 20 == 19 {
                one.clear_cached_statements().await?;
            }
        }
        Ok(())
    })
    .await
}

async fn without_a_statement_cache() -> Outcome {
    all_clients(|owner| async move {
        let mut one = options().statement_cache_capacity(0).connect().await?;
        for n in 0..rounds() {
            let value: i32 = sqlx::query_scalar("SELECT $1::int * 1000 + $2::int").bind(owner).bind(n).persistent(false).fetch_one(&mut one).await?;
            equal(value, owner * 1000 + n)?;
        }
        Ok(())
    })
    .await
}

/// Rows that stream, and a stream that is given up in the middle.
async fn streams() -> Outcome {
    let mut one = options().connect().await?;
    for round in 0..4 {
        let mut rows = sqlx::query_scalar::<_, i32>("SELECT g FROM generate_series(1, 3000) g").fetch(&mut one);
        let mut next = 1;
        while let Some(value) = rows.try_next().await? {
            equal(value, next)?;
            next += 1;
            if round % 2 == 0 && next > 10 {
                break;
            }
        }
        drop(rows);
        let value: i32 = sqlx::query_scalar("SELECT $1::int").bind(round).fetch_one(&mut one).await?;
        equal(value, round)?;
    }
    Ok(())
}

async fn copy() -> Outcome {
    let pool = pool().await?;
    fresh_table(&pool).await?;
    let shared = pool.clone();
    all_clients(move |owner| {
        let pool = shared.clone();
        async move {
            let lines: String = (0..500).map(|n| format!("{owner}\t{n}\tword\n")).collect();
            for round in 0..2 {
                let mut sink = pool.copy_in_raw("COPY sqlx_rows FROM STDIN").await?;
                sink.send(lines.as_bytes()).await?;
                match round {
                    0 => equal(sink.finish().await?, 500)?,
                    _ => wants(sink.finish().await, "23505")?,
                }
            }
            let sql = format!("COPY (SELECT * FROM sqlx_rows WHERE owner = {owner} ORDER BY n) TO STDOUT");
            let chunks: Vec<_> = pool.copy_out_raw(&sql).await?.try_collect().await?;
            equal(String::from_utf8(chunks.concat())?, lines)
        }
    })
    .await
}

async fn settings() -> Outcome {
    all_clients(|owner| async move {
        let mine = format!("client {owner}");
        let born = [("app.born", owner.to_string())];
        let mut one = options().application_name(&mine).options(born).connect().await?;
        one.execute(format!("SET app.who = '{mine}'").as_str()).await?;
        sqlx::query("SELECT set_config('app.computed', $1, false)").bind(&mine).execute(&mut one).await?;
        for _ in 0..rounds() {
            let sql = "SELECT current_setting('application_name'), current_setting('app.born'), current_setting('app.who'), current_setting('app.computed')";
            let got: (String, String, String, String) = sqlx::query_as(sql).fetch_one(&mut one).await?;
            equal(got, (mine.clone(), owner.to_string(), mine.clone(), mine.clone()))?;
        }
        Ok(())
    })
    .await
}

async fn advisory_lock() -> Outcome {
    let (mut one, mut two) = (options().connect().await?, options().connect().await?);
    let lock = sqlx::postgres::PgAdvisoryLock::new("the sqlx program");
    for _ in 0..3 {
        let guard = lock.acquire(&mut one).await?;
        let refused = lock.try_acquire(&mut two).await?;
        equal(refused.right().is_some(), true)?;
        guard.release_now().await?;
        let mine = lock.try_acquire(&mut two).await?.left().ok_or("the lock is not free")?;
        mine.release_now().await?;
    }
    Ok(())
}

async fn notifications() -> Outcome {
    let pool = pool().await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("sqlx_news").await?;
    for n in 0..5 {
        let text = format!("number {n}");
        sqlx::query("SELECT pg_notify('sqlx_news', $1)").bind(&text).execute(&pool).await?;
        let news = tokio::time::timeout(Duration::from_secs(30), listener.recv()).await??;
        equal(news.payload(), text.as_str())?;
    }
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    check("types", types()).await;
    check("workers", workers()).await;
    check("transactions", transactions()).await;
    check("errors", errors()).await;
    check("more statements than kept", more_statements_than_kept()).await;
    check("without a statement cache", without_a_statement_cache()).await;
    check("streams", streams()).await;
    check("copy", copy()).await;
    check("settings", settings()).await;
    check("advisory lock", advisory_lock()).await;
    check("notifications", notifications()).await;
    std::process::exit(0); // what hangs must not keep us
}
