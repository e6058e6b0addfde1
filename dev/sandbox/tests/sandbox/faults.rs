use std::time::{Duration, Instant};

use sandbox::{
    Misbehaviour, Route, Sandbox, Service, When,
    lnd::{Node, NodeOptions},
};
use serde_json::json;

use crate::client::{lnd, sandbox, send};

const BAKE: &str = r#"{"permissions":[{"entity":"info","action":"read"}]}"#;

async fn node12() -> anyhow::Result<(Sandbox, Node)> {
    let sandbox = sandbox().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    Ok((sandbox, node))
}

async fn bake(node: &Node) -> anyhow::Result<(u16, Vec<u8>)> {
    let headers = [("Grpc-Metadata-macaroon", node.admin_macaroon.as_str())];
    let (status, body) = send("POST", &format!("{}/v1/macaroon", node.base_url), &headers, BAKE).await?;
    Ok((status, body.to_vec()))
}

fn baked(sandbox: &Sandbox) -> u64 {
    sandbox.objects().iter().filter(|o| o.kind == "macaroon").map(|o| o.created).sum()
}

fn fail_before() -> Misbehaviour {
    Misbehaviour::FailBefore { status: 503, body: "busy".into() }
}

#[tokio::test]
async fn fail_before_does_nothing_and_fail_after_does_the_work() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let route = Route::service(Service::Lnd).method("POST").path("/node12/v1/macaroon");
    let after = Misbehaviour::FailAfter { status: 504, body: "too late".into() };
    sandbox.faults().add(route.clone(), When::Times(2), fail_before())?;
    sandbox.faults().add(route, When::Times(1), after)?;
    for (status, body, made) in [(503, "busy", 0), (503, "busy", 0), (504, "too late", 1)] {
        assert_eq!(bake(&node).await?, (status, body.into()));
        assert_eq!(baked(&sandbox), made);
    }
    assert_eq!(bake(&node).await?.0, 200, "the script is used up");
    assert_eq!(baked(&sandbox), 2);
    assert_eq!(node.calls().get("/v1/macaroon"), Some(&4), "faulty calls are calls");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_fault_strikes_its_route_only() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let other = sandbox.nodes().create("node13", NodeOptions::default())?;
    for route in [
        Route::service(Service::SecretsManager),
        Route::default().method("PUT"),
        Route::default().path("/node12/v1/getinfo"),
        Route::default().path("/node13"),
    ] {
        sandbox.faults().add(route, When::Always, fail_before())?;
    }
    assert_eq!(bake(&node).await?.0, 200);
    assert_eq!(bake(&other).await?.0, 503);
    sandbox.faults().clear();
    assert_eq!(bake(&other).await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_cut_body_is_promised_whole_and_breaks_off() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    sandbox.faults().add(Route::default(), When::Times(1), Misbehaviour::CutBody { bytes: 9 })?;
    let address = sandbox.base_url().trim_start_matches("http://").to_owned();
    let raw = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(b"GET /node12/v1/state HTTP/1.1\r\nhost: sandbox\r\n\r\n")?;
        let mut raw = String::new();
        stream.read_to_string(&mut raw)?;
        Ok(raw)
    })
    .await??;
    let whole = json!({"state": "SERVER_ACTIVE"}).to_string();
    assert!(raw.contains(&format!("content-length: {}", whole.len())), "{raw}");
    assert!(raw.ends_with(&whole[..9]), "{raw}");
    assert_eq!(bake(&node).await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn garbage_is_no_json_and_closing_gives_no_answer() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let next = |misbehaviour| sandbox.faults().add(Route::default(), When::Times(1), misbehaviour);
    next(Misbehaviour::Garbage)?;
    let (status, body) = bake(&node).await?;
    assert_eq!(status, 200);
    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err());
    assert_eq!(baked(&sandbox), 1);
    next(Misbehaviour::CloseBefore)?;
    assert!(bake(&node).await.is_err());
    assert_eq!(baked(&sandbox), 1);
    next(Misbehaviour::CloseAfter)?;
    assert!(bake(&node).await.is_err());
    assert_eq!(baked(&sandbox), 2);
    next(Misbehaviour::Duplicate)?;
    assert_eq!(bake(&node).await?.0, 200);
    assert_eq!(baked(&sandbox), 4, "done twice");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stall_delays_the_answer_and_others_go_on() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let stall = Duration::from_millis(400);
    sandbox.faults().add(Route::default().method("POST"), When::Times(1), Misbehaviour::stall(stall))?;
    let started = Instant::now();
    let (slow, quick) = tokio::join!(async { (bake(&node).await, started.elapsed()) }, async {
        (lnd(&node, "GET", "/v1/state", "", "").await, started.elapsed())
    });
    assert_eq!((slow.0?.0, quick.0?.0), (200, 200));
    assert!(slow.1 >= stall, "{:?}", slow.1);
    assert!(quick.1 < stall, "{:?}", quick.1);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_probability_strikes_that_often_and_the_same_for_one_seed() -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (sandbox, node) = node12().await?;
        sandbox.faults().add(Route::default(), When::Probability(0.3), fail_before())?;
        let mut struck = Vec::new();
        for _ in 0..200 {
            struck.push(send("GET", &format!("{}/v1/state", node.base_url), &[], "").await?.0 == 503);
        }
        runs.push(struck);
        sandbox.stop().await;
    }
    assert_eq!(runs[0], runs[1]);
    let count = runs[0].iter().filter(|struck| **struck).count();
    assert!((35..=85).contains(&count), "{count} of 200");
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_down_answers_nobody_while_the_others_work() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    sandbox.faults().down(Service::Lnd);
    assert!(bake(&node).await.is_err());
    sandbox.faults().broken(Service::Lnd);
    assert_eq!(bake(&node).await?.0, 500);
    let secrets = [("X-Amz-Target", "secretsmanager.ListSecrets")];
    assert_eq!(send("POST", sandbox.base_url(), &secrets, "{}").await?.0, 400, "unsigned, but answered");
    sandbox.faults().up(Service::Lnd);
    assert_eq!(bake(&node).await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_fault_nobody_can_carry_out_is_refused() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let faults = sandbox.faults();
    assert!(faults.add(Route::default(), When::Probability(1.5), Misbehaviour::Garbage).is_err());
    let status = Misbehaviour::FailBefore { status: 20, body: String::new() };
    assert!(faults.add(Route::default(), When::Always, status).is_err());
    assert_eq!(faults.list(), []);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_blackholed_node_counts_its_calls_and_never_answers() -> anyhow::Result<()> {
    let (sandbox, node) = node12().await?;
    let idle = sandbox.nodes().create("idle", NodeOptions::default())?;
    node.set_blackholed(true);
    idle.set_blackholed(true);
    let call = lnd(&node, "GET", "/v1/getinfo", &node.admin_macaroon, "");
    assert!(tokio::time::timeout(Duration::from_millis(300), call).await.is_err(), "no answer at all");
    assert_eq!(node.calls().into_iter().collect::<Vec<_>>(), [("/v1/getinfo".to_owned(), 1)]);
    assert_eq!(idle.total_calls(), 0);
    node.set_blackholed(false);
    assert_eq!(lnd(&node, "GET", "/v1/getinfo", &node.admin_macaroon, "").await?.0, 200);
    sandbox.stop().await;
    Ok(())
}
