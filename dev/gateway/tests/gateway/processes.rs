//! The gateway and its processes: what they are given, how they end, and who takes their place.

use crate::world::{World, is_alive};
use gateway::GatewayOptions;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

fn as_is(_: &mut GatewayOptions) {}

fn broken(start: &'static str) -> impl FnOnce(&mut GatewayOptions) {
    move |options| {
        let environment = BTreeMap::from([("PROBE_START".to_owned(), start.to_owned())]);
        options.function_environment.insert("broken".to_owned(), environment);
    }
}

async fn context(world: &World, function: &str) -> anyhow::Result<Value> {
    let payload = world.gateway.invoke(function, r#"{"PROBE":"context"}"#).await?;
    Ok(serde_json::from_slice(&payload)?)
}

#[tokio::test]
async fn a_function_has_the_templates_environment_and_nothing_of_ours() {
    let world = World::start(|options| {
        options.environment.insert("OVERRIDDEN".to_owned(), "for all".to_owned());
        let own = BTreeMap::from([("LITERAL".to_owned(), "for one".to_owned())]);
        options.function_environment.insert("echo_things".to_owned(), own);
    });
    let context = context(&world.await.unwrap(), "echo_things").await.unwrap();

    let environment = context["environment"].as_object().unwrap();
    let value = |name: &str| environment[name].as_str().unwrap();
    assert_eq!((value("STAGE"), value("OVERRIDDEN"), value("LITERAL")), ("dev", "for all", "for one"));
    assert_eq!((value("AWS_LAMBDA_FUNCTION_NAME"), value("AWS_REGION")), ("echo_things", "us-east-1"));
    assert_eq!(value("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), "256");
    assert!(value("AWS_LAMBDA_RUNTIME_API").starts_with("http://127.0.0.1:"));
    assert!(!environment.contains_key("HOME") && !environment.keys().any(|name| name.starts_with("CARGO")));
    assert!(context["arn"].as_str().unwrap().ends_with(":function:echo_things"));
}

#[tokio::test]
async fn the_deadline_is_the_functions_timeout_from_now() {
    let world = World::start(as_is).await.unwrap();
    for (function, timeout) in [("slow", 1_000), ("echo_things", 5_000)] {
        let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let deadline = u128::from(context(&world, function).await.unwrap()["deadline"].as_u64().unwrap());
        let after = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        // A first event may wait for the process to start.
        assert!((before + timeout..=after + timeout).contains(&deadline), "{function}");
    }
}

#[tokio::test]
async fn a_caller_whose_function_dies_is_told_and_the_next_one_is_served() {
    let world = World::start(as_is).await.unwrap();
    world.gateway.ready().await.unwrap();
    for _ in 0..5 {
        let reply = world.get("/nowhere?PROBE=exit").await.unwrap();
        assert_eq!((reply.status, reply.error().as_deref()), (500, Some("INTERNAL")));
        assert_eq!(reply.header("x-gateway-error"), "function-died");
        assert_eq!(world.get("/nowhere").await.unwrap().status, 200);
    }
    assert!(world.said("unknown_route", "exit status: 3"));
}

#[tokio::test]
async fn a_function_killed_while_it_serves_or_idles_is_replaced() {
    let world = World::start(as_is).await.unwrap();
    world.gateway.ready().await.unwrap();

    let (reply, killed) = tokio::join!(world.get("/nowhere?PROBE=hang"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.gateway.kill("unknown_route").await.unwrap()
    });
    assert_eq!(reply.unwrap().error().as_deref(), Some("INTERNAL"));
    assert!(!is_alive(killed));
    let pid = world.get("/nowhere").await.unwrap().header("x-pid").parse::<u32>().unwrap();
    assert_eq!(world.gateway.process_ids("unknown_route"), [pid]);

    assert_eq!(world.gateway.kill("unknown_route").await.unwrap(), pid);
    assert_eq!(world.get("/nowhere").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_error_or_a_panic_is_told_and_the_process_lives_on() {
    let world = World::start(as_is).await.unwrap();
    let pid = world.get("/nowhere").await.unwrap().header("x-pid").to_owned();
    for probe in ["error", "panic", "no-answer"] {
        let reply = world.get(&format!("/nowhere?PROBE={probe}")).await.unwrap();
        assert_eq!((reply.status, reply.error().as_deref()), (500, Some("INTERNAL")), "{probe}");
        assert_eq!(reply.header("x-gateway-error"), "function-error");
        assert!(!String::from_utf8_lossy(&reply.body).contains("as told"));
    }
    assert_eq!(world.get("/nowhere").await.unwrap().header("x-pid"), pid);
    assert!(world.said("unknown_route", "as told"));
}

#[tokio::test]
async fn a_function_out_of_time_is_killed_and_its_caller_told() {
    let world = World::start(as_is).await.unwrap();
    world.gateway.ready().await.unwrap();
    let hanging = world.gateway.process_ids("slow");
    // The deadline counts from the event, not from the process' start.
    tokio::time::sleep(Duration::from_millis(700)).await;

    let start = Instant::now();
    let reply = world.send("POST", "/v1/slow?PROBE=hang", &[], "").await.unwrap();
    assert_eq!((reply.status, reply.error().as_deref()), (503, Some("UNAVAILABLE")));
    assert_eq!((reply.header("x-gateway-error"), reply.header("retry-after")), ("timeout", "1"));
    assert!((900..2_500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());

    assert_eq!(world.send("POST", "/v1/slow", &[], "").await.unwrap().status, 200);
    assert!(!hanging.into_iter().any(is_alive));
}

#[tokio::test]
async fn a_function_that_does_not_start_is_told_promptly_and_its_reason_logged() {
    for (start, reason) in [("exit", "the setting PROBE_COLOUR is missing"), ("init-error", "no colour")] {
        let world = World::start(broken(start)).await.unwrap();
        let error = world.gateway.ready().await.unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains(reason), "{error}");

        for _ in 0..5 {
            let start = Instant::now();
            let reply = world.get("/v1/broken").await.unwrap();
            assert_eq!((reply.status, reply.error().as_deref()), (503, Some("UNAVAILABLE")));
            assert_eq!((reply.header("x-gateway-error"), reply.header("retry-after")), ("init-failed", "1"));
            assert!(start.elapsed() < Duration::from_secs(3));
            assert!(!String::from_utf8_lossy(&reply.body).contains("colour"));
        }
        assert!(world.said("broken", reason));
        assert_eq!(world.get("/v1/things/1").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_missing_binary_is_a_function_that_does_not_start() {
    let world = World::start(|options| {
        let function = options.template.functions.iter_mut().find(|function| function.name == "broken");
        function.unwrap().binary = "no_such_binary".to_owned();
    });
    let world = world.await.unwrap();
    assert_eq!(world.get("/v1/broken").await.unwrap().error().as_deref(), Some("UNAVAILABLE"));
    assert!(world.gateway.ready().await.unwrap_err().to_string().contains("no_such_binary"));
}

#[tokio::test]
async fn one_caller_at_a_time_is_served_by_one_process() {
    let world = World::start(as_is).await.unwrap();
    for _ in 0..100 {
        assert_eq!(world.get("/nowhere").await.unwrap().status, 200);
    }
    assert_eq!(world.gateway.process_ids("unknown_route").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_at_once_are_all_answered_by_a_few_processes() {
    let world = std::sync::Arc::new(World::start(|options| options.max_processes = 3).await.unwrap());
    let mut requests = JoinSet::new();
    for n in 0..200 {
        let world = std::sync::Arc::clone(&world);
        requests.spawn(async move {
            let reply = world.get(&format!("/v1/things/{n}?PROBE=sleep&MS=5")).await.unwrap();
            assert_eq!(reply.status, 200);
            String::from_utf8(reply.body.to_vec()).unwrap()
        });
    }
    let pids: BTreeSet<String> = requests.join_all().await.into_iter().collect();
    assert_eq!(pids.len(), 3, "{pids:?}");
    assert_eq!(world.gateway.process_ids("echo_things").len(), 3);
}

#[tokio::test]
async fn more_than_the_queue_holds_are_throttled() {
    let world = World::start(|options| (options.max_processes, options.queue_limit) = (1, 1)).await.unwrap();
    world.gateway.ready().await.unwrap();
    let request = || world.get("/nowhere?PROBE=sleep&MS=300");
    let (a, b, c) = tokio::join!(request(), request(), request());
    let mut replies: Vec<_> = [a, b, c].into_iter().map(Result::unwrap).collect();
    replies.sort_by_key(|reply| reply.status);
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 200, 503]);
    assert_eq!(replies[2].header("x-gateway-error"), "throttled");
    assert_eq!(replies[2].error().as_deref(), Some("UNAVAILABLE"));
}

#[tokio::test]
async fn a_rate_runs_by_itself_when_asked_to_and_by_hand_always() {
    let event = |payload: &[u8]| {
        let answer: Value = serde_json::from_slice(payload).unwrap();
        serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap()
    };
    let world = World::start(as_is).await.unwrap();
    let payload = world.gateway.run_schedule("clean_up").await.unwrap();
    assert_eq!(event(&payload)["source"], "aws.scheduler");
    assert!(world.gateway.run_schedule("slow").await.is_err());
    world.gateway.stop().await;

    let world = World::start(|options| options.run_schedules = true).await.unwrap();
    assert!(world.gateway.process_ids("clean_up").is_empty());
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    assert_eq!(world.gateway.process_ids("clean_up").len(), 1);
}

#[tokio::test]
async fn stop_leaves_no_process_and_neither_does_a_drop() {
    for stop in [true, false] {
        let world = World::start(as_is).await.unwrap();
        world.gateway.ready().await.unwrap();
        let functions = ["echo_things", "slow", "broken", "unknown_route"];
        let pids: Vec<u32> = functions.iter().flat_map(|name| world.gateway.process_ids(name)).collect();
        assert_eq!(pids.len(), 4);
        assert!(pids.iter().all(|pid| is_alive(*pid)));

        if stop {
            world.gateway.stop().await;
            assert!(!pids.iter().any(|pid| is_alive(*pid)));
        } else {
            drop(world);
            let start = Instant::now();
            while pids.iter().any(|pid| is_alive(*pid)) {
                assert!(start.elapsed() < Duration::from_secs(5));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_stops_although_a_function_hangs() {
    let world = World::start(as_is).await.unwrap();
    let invocation = world.gateway.invoke("slow", json!({ "PROBE": "hang" }).to_string());
    tokio::select! {
        _ = invocation => panic!("it hangs"),
        () = tokio::time::sleep(Duration::from_millis(100)) => {}
    }
    tokio::time::timeout(Duration::from_secs(2), world.gateway.stop()).await.unwrap();
}
