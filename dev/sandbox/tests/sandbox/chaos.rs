use std::time::{Duration, Instant};

use sandbox::{Chaos, Misbehaviour, Route, Service, When, lnd::NodeOptions};
use serde_json::{Value, json};

use crate::{
    btcpay::{made, world},
    client::{call, send},
};

#[tokio::test]
async fn a_stall_after_and_a_late_request_do_the_work_nobody_heard_of() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let next = |what| sandbox.faults().add(Route::service(Service::Btcpay), When::Times(1), what);
    let done = async |stores| {
        let all_made = async {
            while made(&sandbox, "store") != (stores, 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all_made).await
    };
    next(Misbehaviour::StallAfter { millis: 60_000 })?;
    tokio::select! {
        answer = api.new_store("stalled") => anyhow::bail!("answered {answer:?}"),
        done = done(1) => done?,
    }
    next(Misbehaviour::StallAfter { millis: 100 })?;
    let started = Instant::now();
    api.new_store("patient").await?;
    assert!(started.elapsed() >= Duration::from_millis(100));
    next(Misbehaviour::Late { millis: 700 })?;
    assert!(api.new_store("late").await.is_err());
    assert_eq!(made(&sandbox, "store"), (2, 0), "not yet");
    done(3).await?;
    assert_eq!(btcpay.stores()[2].name, "late");
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_duplicate_id_makes_one_thing_and_answers_another() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let route = Route::service(Service::Btcpay).method("POST");
    sandbox.faults().add(route.clone(), When::Times(1), Misbehaviour::DuplicateId)?;
    let first = api.new_store("first").await?;
    assert_eq!(btcpay.stores()[0].id, first, "nothing earlier to answer");
    sandbox.faults().add(route, When::Times(1), Misbehaviour::DuplicateId)?;
    assert_eq!(api.new_store("second").await?, first);
    let held: Vec<String> = btcpay.stores().into_iter().map(|store| store.name).collect();
    assert_eq!(held, ["first", "second"]);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_quote_refuses_with_what_it_was_sent() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let quote = Misbehaviour::Quote { status: 422 };
    sandbox.faults().add(Route::service(Service::Btcpay), When::Times(1), quote)?;
    let (status, answer) = api.ask("POST", "/stores", json!({"name": "alice"})).await?;
    assert_eq!((status, &answer["code"]), (422, &json!("quoted")));
    assert_eq!(answer["message"], r#"authorization: token sandbox-btcpay-key; {"name":"alice"}"#);
    assert!(btcpay.stores().is_empty());
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_names_its_seconds_and_a_hang_says_nothing() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let next = |what| sandbox.faults().add(Route::service(Service::Btcpay), When::Times(1), what);
    next(Misbehaviour::RateLimited { retry_after: 7 })?;
    let address = sandbox.base_url().trim_start_matches("http://").to_owned();
    let raw = tokio::task::spawn_blocking(move || -> anyhow::Result<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address)?;
        let head = "GET /btcpay/api/v1/health HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut raw = String::new();
        stream.read_to_string(&mut raw)?;
        Ok(raw)
    })
    .await??;
    assert!(raw.starts_with("HTTP/1.1 429 ") && raw.contains("\r\nretry-after: 7\r\n"), "{raw}");
    next(Misbehaviour::Hang)?;
    let asked = api.new_store("hung");
    assert!(tokio::time::timeout(Duration::from_millis(200), asked).await.is_err());
    assert_eq!(made(&sandbox, "store"), (0, 0));
    sandbox.stop().await;
    Ok(())
}

/// The answers to 300 requests of one path, other paths called in between or not.
async fn struck(seed: u64, others_between: bool) -> anyhow::Result<Vec<u16>> {
    let (sandbox, btcpay, _) = world().await?;
    let kinds = [503, 502].map(|status| Misbehaviour::FailBefore { status, body: String::new() });
    let chaos = Chaos { seed, fraction: 0.3, kinds: kinds.to_vec() };
    sandbox.faults().set_chaos(Service::Btcpay, chaos)?;
    let mut answers = Vec::new();
    for _ in 0..300 {
        if others_between {
            send("GET", &format!("{}/api/v1/stores", btcpay.base_url()), &[], "").await?;
        }
        answers.push(send("GET", &format!("{}/api/v1/health", btcpay.base_url()), &[], "").await?.0);
    }
    if !others_between {
        let struck = sandbox.faults().chaos_struck(Service::Btcpay);
        let failed = answers.iter().filter(|status| **status != 200).count();
        assert_eq!(struck.into_iter().collect::<Vec<_>>(), [("fail_before", failed as u64)]);
    }
    sandbox.stop().await;
    Ok(answers)
}

#[tokio::test]
async fn chaos_replays_exactly_whatever_else_is_called() -> anyhow::Result<()> {
    let first = struck(1, false).await?;
    assert_eq!(first, struck(1, true).await?);
    assert_ne!(first, struck(2, false).await?);
    for (status, around) in [(200, 210), (503, 45), (502, 45)] {
        let count = first.iter().filter(|answer| **answer == status).count();
        assert!(count.abs_diff(around) < 30, "{count} times {status}");
    }
    Ok(())
}

#[tokio::test]
async fn chaos_of_every_kind_strikes_its_service_alone_until_it_is_ended() -> anyhow::Result<()> {
    let (sandbox, btcpay, api) = world().await?;
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let faults = sandbox.faults();
    faults.set_chaos(Service::Btcpay, Chaos::everything(3, 1.0, Duration::from_millis(1)))?;
    for n in 0..150 {
        let _ = api.new_store(&format!("store {n}")).await;
        assert_eq!(send("GET", &format!("{}/v1/state", node.base_url), &[], "").await?.0, 200);
    }
    let by_kind = faults.chaos_struck(Service::Btcpay);
    assert_eq!(by_kind.len(), 12, "{by_kind:?}");
    assert_eq!(by_kind.values().sum::<u64>(), 150);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let undone: u64 = ["fail_before", "close_before", "rate_limited"].iter().map(|kind| by_kind[kind]).sum();
    let expected = 150 - undone + by_kind["duplicate"];
    assert_eq!(made(&sandbox, "store"), (expected, 0), "what was done and what was not is known exactly");
    assert_eq!(btcpay.stores().len() as u64, expected);
    faults.end_chaos(Service::Btcpay);
    api.new_store("calm").await?;
    for (fraction, kinds) in [(1.5, vec![Misbehaviour::Garbage]), (0.5, Vec::new())] {
        assert!(faults.set_chaos(Service::Btcpay, Chaos { seed: 1, fraction, kinds }).is_err());
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_away_closes_every_connection_until_it_is_back() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    sandbox.faults().away(Service::Btcpay);
    assert!(api.new_store("x").await.is_err());
    assert_eq!(made(&sandbox, "store"), (0, 0));
    assert!(sandbox.faults().is_away(Service::Btcpay) && !sandbox.faults().is_away(Service::Lnd));
    sandbox.faults().back(Service::Btcpay);
    api.new_store("x").await?;
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_process_orders_chaos_and_sends_services_away() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let services = format!("{}/sandbox/services", sandbox.base_url());
    let btcpay = format!("{services}/btcpay");
    let (status, answer) = call("PUT", &btcpay, &[], r#"{"away":true}"#).await?;
    assert_eq!((status, &answer["away"]), (200, &json!(true)));
    assert!(api.get("/stores").await.is_err());
    call("PUT", &btcpay, &[], r#"{"away":false}"#).await?;
    let chaos = json!({"seed": 1, "fraction": 1.0, "kinds": ["close_before", {"late": {"millis": 1}}]});
    let (status, answer) = call("PUT", &format!("{btcpay}/chaos"), &[], &chaos.to_string()).await?;
    assert_eq!((status, &answer["chaos"]), (200, &chaos));
    assert!(api.get("/stores").await.is_err());
    let (_, seen) = call("GET", &services, &[], "").await?;
    let of_btcpay = seen["services"].as_array().into_iter().flatten().find(|s| s["service"] == "btcpay");
    let struck =
        of_btcpay.and_then(|s| s["struck"].as_object()).map(|struck| struck.values().cloned().collect());
    assert_eq!(struck, Some(vec![json!(1)]));
    assert!(seen["connections"]["highest"].as_u64() >= Some(1));
    assert_eq!(call("DELETE", &format!("{btcpay}/chaos"), &[], "").await?.0, 204);
    assert_eq!(api.get("/stores").await?, (200, json!([])));
    for (path, body) in
        [("/control", r#"{"away":true}"#), ("/moon", r#"{"away":true}"#), ("/btcpay/chaos", "{}")]
    {
        assert_eq!(call("PUT", &format!("{services}{path}"), &[], body).await?.0, 400, "{path}");
    }
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_process_runs_the_server_s_own_handle() -> anyhow::Result<()> {
    let (sandbox, _, api) = world().await?;
    let base = format!("{}/sandbox/btcpay", sandbox.base_url());
    let node = sandbox.nodes().create("node12", NodeOptions::default())?;
    let key = json!({"key": "k", "permissions": ["btcpay.store.canviewstoresettings"]});
    assert_eq!(call("POST", &format!("{base}/keys"), &[], &key.to_string()).await?.0, 201);
    assert_eq!(api.with_key("k").get("/stores").await?.0, 200);
    assert_eq!(call("DELETE", &format!("{base}/keys/k"), &[], "").await?.0, 200);
    assert_eq!(api.with_key("k").get("/stores").await?.0, 401);
    let store = api.connected_store(&node).await?;
    let settings = r#"{"store_quota":{"most":1},"retry_factor":0.01,"drop_deliveries":0}"#;
    assert_eq!(call("PUT", &base, &[], settings).await?.0, 200);
    assert_eq!(api.ask("POST", "/stores", json!({"name": "x"})).await?.0, 403);
    assert_eq!(call("PUT", &base, &[], r#"{"store_quota":"unlimited"}"#).await?.0, 200);
    assert_eq!(call("PUT", &base, &[], r#"{"stores":1}"#).await?.0, 400);
    let new = json!({"amount": "5", "currency": "SATS"});
    let (_, invoice) = api.ask("POST", &format!("/stores/{store}/invoices"), new).await?;
    let invoices = format!("{base}/stores/{store}/invoices");
    let id = invoice["id"].as_str().unwrap_or_default();
    assert_eq!(call("POST", &format!("{invoices}/{id}/pay"), &[], "").await?.0, 200);
    let (_, seen) = call("GET", &invoices, &[], "").await?;
    assert_eq!(
        (&seen["invoices"][0]["status"], &seen["invoices"][0]["paid_msat"]),
        (&json!("Settled"), &json!(5000))
    );
    let (_, seen) = call("GET", &format!("{base}/stores/{store}"), &[], "").await?;
    assert_eq!((&seen["name"], &seen["payment_method"]["enabled"]), (&json!("alice"), &json!(true)));
    assert_eq!(call("GET", &format!("{base}/deliveries"), &[], "").await?.1, json!({"deliveries": []}));
    assert_eq!(call("POST", &format!("{base}/deliveries/none/redeliver"), &[], "").await?.0, 400);
    assert_eq!(call("GET", &format!("{base}/stores/none"), &[], "").await?.0, 404);
    assert_eq!(call("POST", &format!("{invoices}/none/pay"), &[], "").await?.0, 400);
    assert_eq!(
        call("POST", &format!("{base}/restart"), &[], "").await?,
        (200, Value::Object(<_>::default()))
    );
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_most_connections_open_at_one_time_are_known() -> anyhow::Result<()> {
    let (sandbox, btcpay, _) = world().await?;
    let stall = Misbehaviour::stall(Duration::from_millis(200));
    sandbox.faults().add(Route::service(Service::Btcpay), When::Always, stall)?;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..7 {
        let url = format!("{}/api/v1/health", btcpay.base_url());
        asked.spawn(async move { send("GET", &url, &[], "").await });
    }
    while let Some(answer) = asked.join_next().await {
        assert_eq!(answer??.0, 200);
    }
    send("GET", &format!("{}/sandbox/calls", sandbox.base_url()), &[], "").await?;
    let connections = sandbox.connections();
    assert_eq!((connections.highest, connections.accepted), (7, 8));
    sandbox.stop().await;
    Ok(())
}
