//! What the Rust programs share: a list of named checks that each end in time, printed as TAP.
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn number(name: &str) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} has to be a number"))
}

/// More than the pool has servers.
pub fn clients() -> i32 {
    number("DRIVERS_CLIENTS") as i32
}

pub fn rounds() -> i32 {
    number("DRIVERS_ROUNDS") as i32
}

pub fn equal<T: PartialEq + Debug>(got: T, want: T) -> Outcome {
    if got == want {
        return Ok(());
    }
    Err(format!("{got:?}, not {want:?}").into())
}

/// Runs one check and prints how it went.
pub async fn check(name: &str, work: impl Future<Output = Outcome> + Send + 'static) {
    let limit = Duration::from_secs_f64(number("DRIVERS_LIMIT_S"));
    let outcome = match tokio::time::timeout(limit, tokio::spawn(work)).await {
        Err(_) => Err(format!("not done after {limit:?}")),
        Ok(Err(panic)) => Err(format!("it panicked: {panic}")),
        Ok(Ok(result)) => result.map_err(|problem| chain(problem.as_ref())),
    };
    match outcome {
        Ok(()) => println!("ok - {name}"),
        Err(reason) => println!("not ok - {name}: {}", reason.split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}

fn chain(problem: &(dyn std::error::Error + 'static)) -> String {
    let mut text = problem.to_string();
    let mut source = problem.source();
    while let Some(inner) = source {
        text += &format!(": {inner}");
        source = inner.source();
    }
    text
}

/// Runs `work` once for each client, at the same time.
pub async fn all_clients<F>(work: impl Fn(i32) -> F) -> Outcome
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let tasks: Vec<_> = (0..clients()).map(|client| tokio::spawn(work(client))).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
