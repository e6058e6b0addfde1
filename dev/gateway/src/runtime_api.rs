//! The Lambda Runtime API: `GET …/invocation/next`, `POST …/invocation/{id}/response`,
//! `POST …/invocation/{id}/error` and `POST …/init/error`.
//!
//! Each process has a path of its own (`/<function>/<process>/2018-06-01/runtime/…`), so that it is known which
//! one asks.

use crate::{
    answer::{Answer, json_answer, with_status},
    clock,
    failure::Failure,
    lambda::{Delivery, Lambda},
    process, server,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use hyper::body::Incoming;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// The largest answer Lambda takes, and a little for its envelope.
const ANSWER_LIMIT: usize = 6 * 1024 * 1024 + 1024;
/// A function that reported why it cannot start is given this long to leave by itself.
const TIME_TO_LEAVE: Duration = Duration::from_millis(500);

pub(crate) type Lambdas = BTreeMap<String, Arc<Lambda>>;

/// Serves until the returned handle is aborted.
pub(crate) fn serve(listener: TcpListener, lambdas: Arc<Lambdas>) -> server::Running {
    server::serve(listener, move |request, _peer| {
        let lambdas = Arc::clone(&lambdas);
        async move { handle(&lambdas, request).await }
    })
}

async fn handle(lambdas: &Lambdas, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let mut path = parts.uri.path().splitn(4, '/').skip(1);
    let lambda = path.next().and_then(|name| lambdas.get(name));
    let id = path.next().and_then(|id| id.parse::<u64>().ok());
    let (Some(lambda), Some(id), Some(rest)) = (lambda, id, path.next()) else {
        return refuse(StatusCode::NOT_FOUND, "no such process");
    };
    let Some(call) = rest.strip_prefix("2018-06-01/runtime/") else {
        return refuse(StatusCode::NOT_FOUND, "no such version of the Runtime API");
    };
    if (parts.method == Method::GET, call) == (true, "invocation/next") {
        return match lambda.next(id).await {
            Some(delivery) => deliver(&lambda.spec.name, delivery),
            None => refuse(StatusCode::GONE, "there are no more events"),
        };
    }
    if parts.method != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET …/invocation/next is a GET");
    }
    let body = Limited::new(body, ANSWER_LIMIT).collect().await.map(Collected::to_bytes);
    if call == "init/error" {
        init_error(lambda, id, &body.unwrap_or_default());
        return accepted();
    }
    let Some((request_id, kind)) = call.strip_prefix("invocation/").and_then(|rest| rest.split_once('/'))
    else {
        return refuse(StatusCode::NOT_FOUND, "no such call");
    };
    let outcome = match (kind, body) {
        ("response", Ok(body)) => Ok(body),
        ("error", Ok(body)) => Err(Failure::Error(body)),
        ("response" | "error", Err(_)) => {
            let message = format!("the answer is larger than {ANSWER_LIMIT} bytes, or was cut off");
            let error = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
            lambda.answer(id, request_id, Err(Failure::Error(error.to_string().into())));
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        _ => return refuse(StatusCode::NOT_FOUND, "no such call"),
    };
    if lambda.answer(id, request_id, outcome) {
        accepted()
    } else {
        refuse(StatusCode::BAD_REQUEST, "this process was not given that event, or its time is up")
    }
}

fn deliver(function: &str, delivery: Delivery) -> Answer {
    let mut answer = json_answer(StatusCode::OK, delivery.event);
    let trace = format!(
        "Root={};Parent={:016x};Sampled=0",
        clock::trace_root(clock::now()),
        delivery.deadline_millis
    );
    let headers = [
        ("lambda-runtime-aws-request-id", delivery.request_id.to_string()),
        ("lambda-runtime-deadline-ms", delivery.deadline_millis.to_string()),
        ("lambda-runtime-invoked-function-arn", process::arn(function)),
        ("lambda-runtime-trace-id", trace),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// Its callers are told when it is gone, which it is before long.
fn init_error(lambda: &Arc<Lambda>, id: u64, body: &Bytes) {
    let reason = String::from_utf8_lossy(body).into_owned();
    let mut state = lambda.state();
    let Some(worker) = state.workers.get_mut(&id) else { return };
    worker.doomed = true;
    worker.init_error = Some(reason);
    let kill = Arc::clone(&worker.kill);
    tokio::spawn(async move {
        tokio::time::sleep(TIME_TO_LEAVE).await;
        kill.notify_one();
    });
}

fn accepted() -> Answer {
    json_answer(StatusCode::ACCEPTED, Bytes::from_static(br#"{"status":"OK"}"#))
}

fn refuse(status: StatusCode, message: &str) -> Answer {
    let mut answer =
        with_status(status, json!({ "errorType": "InvalidCall", "errorMessage": message }).to_string());
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    answer
}
