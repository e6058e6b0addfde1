use std::time::{Duration, Instant};

use sandbox::{Sandbox, SandboxOptions, lnd::NodeOptions};
use tokio::net::TcpStream;

use crate::client::{lnd, sandbox, send};

async fn fingerprint(seed: u64) -> anyhow::Result<Vec<String>> {
    let sandbox = Sandbox::start(SandboxOptions { port: 0, seed }).await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let version = sandbox.secrets().put("s", "x");
    let print =
        vec![node.pubkey.clone(), node.admin_macaroon.clone(), node.bake(&[("info", "read")])?, version];
    sandbox.stop().await;
    Ok(print)
}

#[tokio::test]
async fn one_seed_makes_one_world_and_another_another() -> anyhow::Result<()> {
    let first = fingerprint(1).await?;
    assert_eq!(first, fingerprint(1).await?);
    assert!(first.iter().zip(fingerprint(2).await?).all(|(a, b)| *a != b));
    Ok(())
}

#[tokio::test]
async fn it_listens_on_loopback_and_says_when_a_port_is_taken() -> anyhow::Result<()> {
    let first = sandbox().await?;
    let port = first.base_url().strip_prefix("http://127.0.0.1:").unwrap_or_default().parse()?;
    let second = Sandbox::start(SandboxOptions { port, seed: 0 }).await;
    assert!(second.err().is_some_and(|e| e.to_string().contains(&port.to_string())));
    first.stop().await;
    Sandbox::start(SandboxOptions { port, seed: 0 }).await?.stop().await;
    Ok(())
}

#[tokio::test]
async fn stop_lets_an_answer_finish_and_does_not_wait_for_a_black_hole() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let slow = sandbox.nodes().create("slow", NodeOptions::default())?;
    let hole = sandbox.nodes().create("hole", NodeOptions::default())?;
    hole.set_blackholed(true);
    let stall = sandbox::Misbehaviour::stall(Duration::from_millis(100));
    sandbox.faults().add(sandbox::Route::default().path("/slow"), sandbox::When::Always, stall)?;
    let (slow_url, hole_url) = (format!("{}/v1/state", slow.base_url), format!("{}/v1/state", hole.base_url));
    let answered = tokio::spawn(async move { send("GET", &slow_url, &[], "").await });
    let swallowed = tokio::spawn(async move { send("GET", &hole_url, &[], "").await });
    while slow.total_calls() + hole.total_calls() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let address = sandbox.base_url().trim_start_matches("http://").to_owned();
    let started = Instant::now();
    sandbox.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(answered.await??.0, 200);
    assert!(swallowed.await?.is_err());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    Ok(())
}

#[tokio::test]
async fn a_dropped_sandbox_stops_by_itself() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    assert_eq!(lnd(&node, "GET", "/v1/state", "", "").await?.0, 200);
    let address = sandbox.base_url().trim_start_matches("http://").to_owned();
    drop(sandbox);
    let gone = async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), gone).await?;
    Ok(())
}
