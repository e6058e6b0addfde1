//! `cargo lambda watch`, what an author uses for live reload while working on one function. It is not the local
//! API Gateway: what dies there stays dead. So one function, one call, and behind `--full`: it builds.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::{Client, Result, Stack};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use testing::postgres::target_dir;
use testing::world;
use tokio::process::Command;

const BUILT_WITHIN: Duration = Duration::from_mins(5);

#[tokio::test]
async fn a_function_answers_its_event_under_cargo_lambda_watch() -> Result<()> {
    let Some(cargo_lambda) = cargo_lambda().filter(|_| e2e::full()) else {
        println!("skipped: it takes `cargo xtask test --full`, which fetches cargo-lambda");
        return Ok(());
    };
    let stack = Stack::start().await?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let mut watching = Command::new(cargo_lambda)
        .args(["lambda", "watch", "--ignore-changes", "-A", "127.0.0.1", "-P", &port])
        .current_dir(world::root())
        .envs(stack.environment("create_challenge")?)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = watching.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it runs");

    let answered = invoke(&Client::new(format!("http://127.0.0.1:{port}"))).await;
    kill_process_group(group, Signal::KILL)?;
    watching.wait().await?;
    assert!(answered?.contains("challenge_id"));

    let started = Instant::now();
    while test_kill_process_group(group).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(5), "a process of the group is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stack.db.count("SELECT count(*) FROM challenges").await? > 0);
    stack.stop().await
}

/// Until it listens, nobody answers; the first call then waits for the build.
async fn invoke(client: &Client) -> Result<String> {
    let event: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world::root().join("events/create_challenge.json"))?)?;
    let started = Instant::now();
    loop {
        let path = "/2015-03-31/functions/create_challenge/invocations";
        match client.post(path, &event).send().await {
            Ok(answer) if answer.status == 200 => return Ok(answer.json()?["body"].to_string()),
            Ok(answer) => anyhow::bail!("{answer}"),
            Err(error) if started.elapsed() > BUILT_WITHIN => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Where `cargo xtask` puts it, else on the path.
fn cargo_lambda() -> Option<PathBuf> {
    let fetched = target_dir().join("tools/python/cargo-lambda/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(fetched).chain(std::env::split_paths(&path));
    directories.map(|directory| directory.join("cargo-lambda")).find(|program| program.is_file())
}
