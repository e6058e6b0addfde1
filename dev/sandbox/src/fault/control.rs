//! `/sandbox/faults` and `/sandbox/services`: misbehaviour ordered over HTTP.

use anyhow::Context;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Chaos, Fault};
use crate::{Handle, Service};

type Answer = anyhow::Result<(StatusCode, Value)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    away: bool,
}

/// `segments` stand behind `/sandbox/`. `None` for what is not here.
pub(crate) fn answer(sandbox: &Handle, method: &Method, segments: &[&str], body: &[u8]) -> Option<Answer> {
    let faults = sandbox.faults();
    Some(match (method, segments) {
        (&Method::GET, ["faults"]) => Ok((StatusCode::OK, json!({"faults": faults.list()}))),
        (&Method::POST, ["faults"]) => add_fault(sandbox, body),
        (&Method::DELETE, ["faults"]) => {
            faults.clear();
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        (&Method::GET, ["services"]) => {
            let services: Vec<Value> = Service::ALL.iter().map(|of| describe(sandbox, *of)).collect();
            Ok((StatusCode::OK, json!({"services": services, "connections": sandbox.connections()})))
        }
        (&Method::PUT, ["services", name]) => presence(sandbox, name, body),
        (&Method::PUT, ["services", name, "chaos"]) => set_chaos(sandbox, name, body),
        (&Method::DELETE, ["services", name, "chaos"]) => service(name).map(|of| {
            faults.end_chaos(of);
            (StatusCode::NO_CONTENT, Value::Null)
        }),
        _ => return None,
    })
}

fn service(name: &str) -> anyhow::Result<Service> {
    let service = serde_json::from_value(json!(name)).ok().filter(|of| Service::ALL.contains(of));
    service.with_context(|| format!("{name:?} is no service that may misbehave"))
}

fn describe(sandbox: &Handle, service: Service) -> Value {
    let faults = sandbox.faults();
    json!({
        "service": service,
        "away": faults.is_away(service),
        "chaos": faults.chaos(service),
        "struck": faults.chaos_struck(service),
    })
}

fn add_fault(sandbox: &Handle, body: &[u8]) -> Answer {
    let fault: Fault = serde_json::from_slice(body)?;
    sandbox.faults().push(fault.clone())?;
    Ok((StatusCode::CREATED, json!(fault)))
}

fn presence(sandbox: &Handle, name: &str, body: &[u8]) -> Answer {
    let (service, presence) = (service(name)?, serde_json::from_slice::<Presence>(body)?);
    if presence.away {
        sandbox.faults().away(service);
    } else {
        sandbox.faults().back(service);
    }
    Ok((StatusCode::OK, describe(sandbox, service)))
}

fn set_chaos(sandbox: &Handle, name: &str, body: &[u8]) -> Answer {
    let (service, chaos) = (service(name)?, serde_json::from_slice::<Chaos>(body)?);
    sandbox.faults().set_chaos(service, chaos)?;
    Ok((StatusCode::OK, describe(sandbox, service)))
}
