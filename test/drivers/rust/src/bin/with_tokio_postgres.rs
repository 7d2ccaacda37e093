//! tokio-postgres: it prepares everything by name, and pipelines what is polled at the same time.
use std::time::Duration;

use drivers::{all_clients, check, clients, equal, rounds, Outcome};
use futures_util::{future, pin_mut, SinkExt, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_postgres::{error::SqlState, AsyncMessage, Client, Config, Error, IsolationLevel, NoTls};

fn config() -> Config {
    let variable = |name: &str| std::env::var(name).unwrap();
    let mut config = Config::new();
    config
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse().unwrap())
        .user(&variable("PGUSER"))
        .password(variable("PGPASSWORD"))
        .dbname(&variable("PGDATABASE"));
    config
}

async fn connect_as(config: Config) -> Result<Client, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn connect() -> Result<Client, Error> {
    connect_as(config()).await
}

fn wants<T>(result: Result<T, Error>, state: &SqlState) -> Outcome {
    match result {
        Ok(_) => Err(format!("no error, not {}", state.code()).into()),
        Err(problem) => match problem.code() {
            Some(code) => equal(code.code(), state.code()),
            None => Err(problem.into()),
        },
    }
}

async fn fresh_table() -> Outcome {
    let sql = "DROP TABLE IF EXISTS tokio_rows; CREATE TABLE tokio_rows (owner int, n int, word text, PRIMARY KEY (owner, n))";
    Ok(connect().await?.batch_execute(sql).await?)
}

async fn types() -> Outcome {
    let client = connect().await?;
    for _ in 0..3 {
        let sql = "SELECT $1::int, $2::text, $3::bytea, $4::bool, $5::int[], $6::float8, $7::text";
        let nothing: Option<&str> = None;
        let row = client.query_one(sql, &[&7, &"zwölf", &&b"\0\xff"[..], &true, &vec![1, 2], &0.25, &nothing]).await?;
        equal(row.get::<_, i32>(0), 7)?;
        equal(row.get::<_, &str>(1), "zwölf")?;
        equal(row.get::<_, &[u8]>(2), b"\0\xff")?;
        equal(row.get::<_, bool>(3), true)?;
        equal(row.get::<_, Vec<i32>>(4), vec![1, 2])?;
        equal(row.get::<_, f64>(5), 0.25)?;
        equal(row.get::<_, Option<&str>>(6), None)?;
    }
    Ok(())
}

async fn workers() -> Outcome {
    fresh_table().await?;
    all_clients(|owner| async move {
        let mut client = connect().await?;
        for n in 0..rounds() {
            let work = client.transaction().await?;
            work.execute("INSERT INTO tokio_rows VALUES ($1, $2, $3)", &[&owner, &n, &format!("word {n}")]).await?;
            let row = work.query_one("SELECT count(*), sum(n) FROM tokio_rows WHERE owner = $1", &[&owner]).await?;
            equal((row.get(0), row.get(1)), (i64::from(n + 1), i64::from(n * (n + 1) / 2)))?;
            work.commit().await?;
        }
        Ok(())
    })
    .await?;
    let row = connect().await?.query_one("SELECT count(*) FROM tokio_rows", &[]).await?;
    equal(row.get::<_, i64>(0), i64::from(clients() * rounds()))
}

async fn transactions() -> Outcome {
    fresh_table().await?;
    let mut client = connect().await?;
    let mut outer = client.transaction().await?;
    outer.execute("INSERT INTO tokio_rows VALUES (1, 1, 'kept')", &[]).await?;
    let inner = outer.savepoint("here").await?;
    wants(inner.execute("INSERT INTO tokio_rows VALUES (1, 1, 'twice')", &[]).await, &SqlState::UNIQUE_VIOLATION)?;
    wants(inner.execute("SELECT 1", &[]).await, &SqlState::IN_FAILED_SQL_TRANSACTION)?;
    inner.rollback().await?;
    outer.commit().await?;
    let strict = client.build_transaction().isolation_level(IsolationLevel::Serializable).read_only(true).start().await?;
    equal(strict.query_one("SHOW transaction_isolation", &[]).await?.get::<_, &str>(0), "serializable")?;
    wants(strict.execute("DELETE FROM tokio_rows", &[]).await, &SqlState::READ_ONLY_SQL_TRANSACTION)?;
    drop(strict); // rolls back by itself
    equal(client.query_one("SELECT word FROM tokio_rows", &[]).await?.get::<_, &str>(0), "kept")
}

async fn errors() -> Outcome {
    let client = connect().await?;
    for n in 0..3 {
        wants(client.query("SELEC 1", &[]).await, &SqlState::SYNTAX_ERROR)?;
        wants(client.query("SELECT * FROM nowhere_to_be_found WHERE n = $1", &[&n]).await, &SqlState::UNDEFINED_TABLE)?;
        wants(client.query("SELECT 1 / $1::int", &[&0]).await, &SqlState::DIVISION_BY_ZERO)?;
        wants(client.batch_execute("SELECT 1; SELECT 1/0; SELECT 2").await, &SqlState::DIVISION_BY_ZERO)?;
        equal(client.query_one("SELECT $1::int", &[&n]).await?.get::<_, i32>(0), n)?;
    }
    Ok(())
}

/// Statements live as long as their objects; the last drop closes them.
async fn prepared_over_transactions() -> Outcome {
    all_clients(|owner| async move {
        let mut client = connect().await?;
        let mine = client.prepare(&format!("SELECT $1::int + {owner}")).await?;
        for n in 0..rounds() {
            equal(client.query_one(&mine, &[&n]).await?.get::<_, i32>(0), n + owner)?;
            let brief = client.prepare("SELECT $1::int * 2").await?;
            let work = client.transaction().await?;
            equal(work.query_one(&brief, &[&n]).await?.get::<_, i32>(0), 2 * n)?;
            equal(work.query_one(&mine, &[&n]).await?.get::<_, i32>(0), n + owner)?;
            work.commit().await?;
        }
        Ok(())
    })
    .await
}

async fn pipelines() -> Outcome {
    all_clients(|owner| async move {
        let client = connect().await?;
        let statement = client.prepare("SELECT $1::int * 1000 + $2::int").await?;
        let (one, statement) = (&client, &statement);
        for _ in 0..rounds() {
            let all = (0..30).map(|n| async move { one.query_one(statement, &[&owner, &n]).await.map(|row| row.get::<_, i32>(0)) });
            let wrong = client.query("SELECT 1 / $1::int", &[&0]);
            let (answers, failure) = future::join(future::try_join_all(all), wrong).await;
            equal(answers?, (0..30).map(|n| owner * 1000 + n).collect())?;
            wants(failure, &SqlState::DIVISION_BY_ZERO)?;
        }
        Ok(())
    })
    .await
}

/// Portals that are read in portions, which needs their transaction.
async fn portals() -> Outcome {
    let mut client = connect().await?;
    let work = client.transaction().await?;
    let portal = work.bind("SELECT g FROM generate_series(1, $1::int) g", &[&100]).await?;
    let mut next = 1;
    loop {
        let rows = work.query_portal(&portal, 30).await?;
        for row in &rows {
            equal(row.get::<_, i32>(0), next)?;
            next += 1;
        }
        if rows.is_empty() {
            break;
        }
    }
    equal(next, 101)?;
    Ok(work.commit().await?)
}

async fn copy() -> Outcome {
    fresh_table().await?;
    all_clients(|owner| async move {
        let client = connect().await?;
        let lines: String = (0..500).map(|n| format!("{owner}\t{n}\tword\n")).collect();
        for round in 0..2 {
            let sink = client.copy_in("COPY tokio_rows FROM STDIN").await?;
            pin_mut!(sink);
            sink.send(std::io::Cursor::new(lines.clone().into_bytes())).await?;
            match round {
                0 => equal(sink.finish().await?, 500)?,
                _ => wants(sink.finish().await, &SqlState::UNIQUE_VIOLATION)?,
            }
        }
        let chunks: Vec<_> =
            client.copy_out(&format!("COPY (SELECT * FROM tokio_rows WHERE owner = {owner} ORDER BY n) TO STDOUT")).await?.try_collect().await?;
        equal(String::from_utf8(chunks.concat())?, lines)
    })
    .await
}

async fn settings() -> Outcome {
    all_clients(|owner| async move {
        let mine = format!("client {owner}");
        let mut config = config();
        config.application_name(&mine).options(format!("-c app.born={owner}"));
        let client = connect_as(config).await?;
        client.batch_execute(&format!("SET app.who = '{mine}'; SET TimeZone = 'Asia/Tokyo'")).await?;
        client.execute("SELECT set_config('app.computed', $1, false)", &[&mine]).await?;
        for _ in 0..rounds() {
            let sql = "SELECT current_setting('application_name'), current_setting('app.born'), current_setting('app.who'), \
                       current_setting('app.computed'), current_setting('TimeZone')";
            let row = client.query_one(sql, &[]).await?;
            let got: Vec<String> = (0..5).map(|i| row.get(i)).collect();
            equal(got, vec![mine.clone(), owner.to_string(), mine.clone(), mine.clone(), "Asia/Tokyo".to_string()])?;
        }
        Ok(())
    })
    .await
}

async fn cancel() -> Outcome {
    let client = connect().await?;
    let token = client.cancel_token();
    for n in 0..3 {
        let later = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            token.cancel_query(NoTls).await
        };
        let (answer, sent) = future::join(client.batch_execute("SELECT pg_sleep(10)"), later).await;
        sent?;
        wants(answer, &SqlState::QUERY_CANCELED)?;
        equal(client.query_one("SELECT $1::int", &[&n]).await?.get::<_, i32>(0), n)?;
    }
    Ok(())
}

async fn notifications() -> Outcome {
    let (listener, mut connection) = config().connect(NoTls).await?;
    let (tell, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(news) = message {
                let _ = tell.send(news.payload().to_string());
            }
        }
    });
    listener.batch_execute("LISTEN tokio_news").await?;
    let speaker = connect().await?;
    for n in 0..5 {
        let text = format!("number {n}");
        speaker.execute("SELECT pg_notify('tokio_news', $1)", &[&text]).await?;
        equal(tokio::time::timeout(Duration::from_secs(30), heard.recv()).await?, Some(text))?;
    }
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    check("types", types()).await;
    check("workers", workers()).await;
    check("transactions", transactions()).await;
    check("errors", errors()).await;
    check("prepared over transactions", prepared_over_transactions()).await;
    check("pipelines", pipelines()).await;
    check("portals", portals()).await;
    check("copy", copy()).await;
    check("settings", settings()).await;
    check("cancel", cancel()).await;
    check("notifications", notifications()).await;
    std::process::exit(0); // what hangs must not keep us
}
