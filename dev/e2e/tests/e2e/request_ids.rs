//! The number a caller quotes is found in the log, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use e2e::client::Request;
use e2e::{Owner, Result, Stack, StackOptions, Tokens, form, person};
use http::Method;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const CLIENTS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_found_exactly_once_in_the_access_log() -> Result<()> {
    let requests = if e2e::full() { 10_000 } else { 500 };
    let stack = Stack::start_with(StackOptions { max_processes: 2, ..StackOptions::default() }).await?;
    let owner = Owner::new(&stack)?;
    let tokens = owner.sign_in().await?;
    let before = stack.log.accesses(2).await;

    let at_once = Arc::new(Semaphore::new(CLIENTS));
    let mut running = JoinSet::new();
    for number in 0..requests {
        let request = mixed(number, &owner, &tokens);
        let permit = Arc::clone(&at_once).acquire_owned().await?;
        running.spawn(async move {
            let _permit = permit;
            request.send().await
        });
    }
    let (mut ids, mut errors) = (BTreeSet::new(), 0);
    while let Some(answer) = running.join_next().await {
        let answer = answer??;
        if answer.status >= 400 {
            form::error_code(&answer)?;
            errors += 1;
        }
        assert!(ids.insert(answer.request_id().to_owned()), "a request id twice: {answer}");
    }
    assert!((requests / 5..requests * 4 / 5).contains(&errors), "{errors} errors are no mixture");

    let counted = stack.log.accesses(before.len() + requests).await;
    assert_eq!(counted.len(), before.len() + requests);
    for id in &ids {
        assert_eq!(counted.get(id), Some(&1), "{id}");
    }
    for line in stack.log.access_lines() {
        for field in ["function", "route", "status", "duration_us", "cold_start"] {
            assert!(!line[field].is_null(), "{field} is missing: {line}");
        }
    }
    stack.stop().await
}

fn mixed(number: usize, owner: &Owner, tokens: &Tokens) -> Request {
    let client = &owner.client;
    match number % 16 {
        0 => owner.ask("mnemonic_login"),
        1 => owner.node_info(tokens),
        2 => owner.register(tokens),
        3 => client.get("/v1/health"),
        4 => client.get("/.well-known/jwks.json"),
        5 => client.get("/v1/nowhere"),
        6 => client.request(&Method::DELETE, "/v1/health"),
        7 => client.request(&Method::POST, "/v1/challenges/verify").body("{"),
        8 => client.get("/v1/nodes/did:mnemonic:0123456789abcdef"),
        9 => client.get("/v1/auth/me").bearer(&tokens.access),
        10 => client.get("/v1/auth/status"),
        11 => person::refresh(client, &tokens.access),
        12 => client.post("/v1/auth/login", &json!({ "email": "nobody@example.com" })),
        13 => client.get("/v1/users").bearer(&tokens.access),
        14 => client.post("/v1/activity-logs", &json!({ "action": "counted" })).bearer(&tokens.access),
        _ => owner.ask("no such type"),
    }
}
