//! A function's real binary, driven over a Runtime API of its own, and what every function owes.
//!
//! The tests of a function name its binary by `env!("CARGO_BIN_EXE_<name>")`, which only they can.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use gateway::routed_http_event;
use sandbox::Service;
use serde_json::{Value, json};
use shared::clock::Clock;

pub use gateway::RuntimeApi;

use crate::{Call, Outcome, World};

const REFUSES_WITHIN: Duration = Duration::from_secs(10);
const LOGGED_WITHIN: Duration = Duration::from_secs(5);

/// The event of a call, as the gateway would send it.
pub fn event(call: &Call) -> anyhow::Result<Value> {
    let request = call.request();
    let parameters: BTreeMap<_, _> = request.path_parameters.clone().into_iter().collect();
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
        .collect::<anyhow::Result<_>>()?;
    let method = request.method.as_str();
    let mut event =
        routed_http_event(&request.route, &parameters, method, &request.path, &request.body, &headers)?;
    if !request.query.is_empty() {
        event["rawQueryString"] = json!(request.query);
    }
    if !request.cookies.is_empty() {
        event["cookies"] = json!(request.cookies);
    }
    Ok(event)
}

/// Sends one event and reads the answer, whose request id is checked wherever it stands.
pub async fn send(api: &RuntimeApi, event: &Value) -> anyhow::Result<Outcome> {
    let invocation = api.invoke(event).await?;
    ensure!(!invocation.is_error, "the invocation failed: {:?}", invocation.payload);
    let outcome = Outcome::of_payload(&invocation.json()?)?;
    let id = event.pointer("/requestContext/requestId").and_then(Value::as_str).unwrap_or_default();
    ensure!(outcome.header("x-request-id") == Some(id), "x-request-id is not {id}: {outcome:?}");
    ensure!(
        outcome.status.is_success() || outcome.status.is_redirection() || outcome.body["requestId"] == id,
        "requestId is not {id}: {outcome:?}"
    );
    Ok(outcome)
}

pub async fn call(api: &RuntimeApi, call: &Call) -> anyhow::Result<Outcome> {
    send(api, &event(call)?).await
}

/// Sends `events/<function>.json` as it stands, as `cargo lambda invoke` does.
pub async fn event_file(api: &RuntimeApi, function: &str) -> anyhow::Result<Outcome> {
    send(api, &serde_json::from_str(&crate::request::event_text(function)?)?).await
}

/// A body that is not the base64 it is said to be is a 400, and the process serves on.
pub async fn survives_bad_base64(api: &RuntimeApi, good: &Call) -> anyhow::Result<()> {
    for body in ["%%%", "e30", "e30=\n", "é"] {
        let mut event = event(good)?;
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(true);
        let answer = send(api, &event).await?;
        ensure!(answer.refusal()? == (400, "MALFORMED_REQUEST"), "{body:?}: {answer:?}");
        ensure!(answer.text("/message")? == "the body is not base64", "{body:?}: {answer:?}");
    }
    let answer = call(api, good).await?;
    ensure!(answer.status.is_success(), "it does not serve on: {answer:?}");
    ensure!(api.exit_status().is_none(), "the process ended");
    Ok(())
}

/// The request's id stands in one access line, and in no other.
pub async fn logs_the_request_once(api: &RuntimeApi, good: &Call) -> anyhow::Result<()> {
    let event = event(good)?;
    send(api, &event).await?;
    let id = event.pointer("/requestContext/requestId").and_then(Value::as_str).context("no id")?;
    let line = api.wait_for_log(id, LOGGED_WITHIN).await?;
    let line: Value = serde_json::from_str(&line)?;
    for field in ["function", "request_id", "route", "status", "duration_us", "cold_start"] {
        ensure!(line.get(field).is_some(), "the access line has no {field}: {line}");
    }
    let lines = api.logs().iter().filter(|line| line.contains(id)).count();
    ensure!(lines == 1, "{lines} lines hold the request's id");
    Ok(())
}

/// Secrets Manager away at the start: the process starts, answers 503, and works once it is back.
pub async fn outlives_an_absence_of_secrets(
    world: &World,
    (binary, function): (&str, &str),
    good: &Call,
) -> anyhow::Result<()> {
    world.sandbox.faults().down(Service::SecretsManager);
    let api = RuntimeApi::start(binary, &world.environment(function)?).await?;
    let answer = call(&api, good).await?;
    ensure!(answer.refusal()? == (503, "UNAVAILABLE"), "{answer:?}");
    ensure!(answer.header("retry-after") == Some("1"), "no Retry-After: {answer:?}");
    world.sandbox.faults().up(Service::SecretsManager);
    let answer = call(&api, good).await?;
    ensure!(answer.status.is_success(), "it did not come back: {answer:?}");
    Ok(())
}

/// The process ends before it asks for an event, having named every problem and quoted nothing.
pub async fn refuses_to_start(
    binary: &str,
    environment: &BTreeMap<String, String>,
    problems: &[&str],
    unquoted: &[&str],
) -> anyhow::Result<()> {
    let exit = RuntimeApi::expect_exit(binary, environment, REFUSES_WITHIN).await?;
    ensure!(!exit.status.success(), "it ended as if all were well: {exit:?}");
    let said = exit.lines.join("\n");
    for problem in problems {
        ensure!(said.contains(problem), "not named: {problem:?}\n{said}");
    }
    let count = format!("the configuration has {} problem(s)", problems.len());
    ensure!(said.contains(&count), "not {count:?}:\n{said}");
    for value in unquoted {
        ensure!(!said.contains(value), "quoted: {value:?}\n{said}");
    }
    Ok(())
}

/// An environment in which only Secrets Manager can be reached, and what is given here.
pub fn bare_environment(world: &World, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut environment = crate::deployment::local_environment(world.sandbox.base_url());
    environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    environment
}

impl World {
    /// The function's binary, started in this world. Its clock is the machine's: see [`World::catch_up`].
    pub async fn binary(&self, binary: &str, function: &str) -> anyhow::Result<RuntimeApi> {
        RuntimeApi::start(binary, &self.environment(function)?).await
    }

    /// Sets this world's clock to the machine's, which is the only one a binary has.
    pub fn catch_up(&self) {
        self.advance(Clock::system().now() - self.now());
    }

    /// Moves the database of a role to where nobody listens.
    pub fn take_database_away(&self, role: &str) -> anyhow::Result<()> {
        let secrets = self.sandbox.secrets();
        let name = format!("satchel/database/{role}");
        let mut document: Value = serde_json::from_str(&secrets.get(&name).context("no such secret")?)?;
        // A port that was free a moment ago.
        document["port"] = json!(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        secrets.put(&name, &document.to_string());
        Ok(())
    }
}
