//! One binary, driven directly.

use crate::world;
use gateway::{RuntimeApi, http_event};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const PROBE: &str = env!("CARGO_BIN_EXE_gateway_probe");

fn starts(how: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("PROBE_START".to_owned(), how.to_owned())])
}

#[tokio::test]
async fn a_binary_answers_events_one_after_another() {
    let api = RuntimeApi::start(PROBE, &BTreeMap::new()).await.unwrap();
    for n in 0..100 {
        let event =
            http_event("POST", "/v1/x?y=1", n.to_string(), &[("content-type", "text/plain")]).unwrap();
        let invocation = api.invoke(&event).await.unwrap();
        assert_eq!((invocation.status(), invocation.is_error), (Some(200), false));
        let echoed: serde_json::Value = serde_json::from_slice(&invocation.body().unwrap()).unwrap();
        assert_eq!(echoed, event);
        assert_eq!(echoed["routeKey"], "POST /v1/x");
        assert_eq!(invocation.header("content-type").unwrap(), "application/json");
    }
    assert!(api.started_after() > Duration::ZERO && api.exit_status().is_none());
}

#[tokio::test]
async fn what_a_binary_writes_is_kept() {
    let api = RuntimeApi::start(PROBE, &BTreeMap::new()).await.unwrap();
    api.invoke(&json!({ "PROBE": "say" })).await.unwrap();
    api.wait_for_log("to stdout", Duration::from_secs(2)).await.unwrap();
    api.wait_for_log("to stderr", Duration::from_secs(2)).await.unwrap();
    assert!(api.logs().contains(&"to stdout".to_owned()));
    let missing = api.wait_for_log("to nobody", Duration::from_millis(10)).await.unwrap_err();
    assert!(missing.to_string().contains("to stdout"));
}

#[tokio::test]
async fn an_event_that_is_not_json_is_an_error_of_the_function() {
    let api = RuntimeApi::start(PROBE, &BTreeMap::new()).await.unwrap();
    let invocation = api.invoke_raw(&b"\xff{"[..]).await;
    assert!(invocation.is_error);
    // What the runtime cannot read ends or answers; either way nobody hangs.
}

#[tokio::test]
async fn a_death_is_an_error_and_the_binary_is_not_restarted() {
    let api = RuntimeApi::start(PROBE, &BTreeMap::new()).await.unwrap();
    let invocation = api.invoke(&json!({ "PROBE": "exit" })).await.unwrap();
    assert!(invocation.is_error);
    assert_eq!(invocation.json().unwrap()["errorType"], "Runtime.ExitError");
    assert_eq!(api.exit_status().unwrap().code(), Some(3));
    assert!(api.invoke(&json!({})).await.unwrap().is_error);
}

#[tokio::test]
async fn the_deadline_is_what_was_asked_for() {
    let api =
        RuntimeApi::start_with_deadline(PROBE, &BTreeMap::new(), Duration::from_millis(300)).await.unwrap();
    let invocation = api.invoke(&json!({ "PROBE": "hang" })).await.unwrap();
    assert!(invocation.is_error && invocation.elapsed >= Duration::from_millis(300));
    assert_eq!(invocation.json().unwrap()["errorType"], "Sandbox.Timedout");
}

#[tokio::test]
async fn a_binary_that_refuses_to_start_is_seen_to_end() {
    let exit = RuntimeApi::expect_exit(PROBE, &starts("exit"), Duration::from_secs(5)).await.unwrap();
    assert_eq!(exit.status.code(), Some(7));
    assert!(exit.lines.contains(&"the setting PROBE_COLOUR is missing".to_owned()), "{:?}", exit.lines);

    let error = RuntimeApi::start(PROBE, &starts("exit")).await.err().unwrap();
    assert!(error.to_string().contains("PROBE_COLOUR"), "{error}");
}

#[tokio::test]
async fn a_binary_that_should_not_start_but_does_or_hangs_is_an_error_and_leaves_nothing() {
    let limit = Duration::from_millis(500);
    let error = RuntimeApi::expect_exit(PROBE, &BTreeMap::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(error.to_string().contains("it started"), "{error}");
    let start = Instant::now();
    let error = RuntimeApi::expect_exit(PROBE, &starts("hang"), limit).await.unwrap_err();
    assert!(error.to_string().contains("neither"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_killed_binary_is_gone() {
    let api = RuntimeApi::start(PROBE, &BTreeMap::new()).await.unwrap();
    assert!(world::is_alive(api.pid()));
    api.kill().await;
    assert!(!world::is_alive(api.pid()));
    assert!(api.exit_status().is_some());
}
