//! The only module that knows Lambda: events in, answers out, one access line for each request.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::FutureExt;
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

pub use lambda_runtime::Error;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::{ApiError, ErrorCode, HeaderName, HeaderValue, Reply, Request};
use crate::{log, metrics};

/// A handler at work. Without its name, because it nests deeper than the compiler looks.
type Handling<'a> = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + 'a>>;

/// Kept back from a function's time for its answer.
const LAST_WORDS: Duration = Duration::from_millis(500);

static COLD: AtomicBool = AtomicBool::new(true);

/// Wires a function that answers HTTP requests, and serves them until the environment ends. A configuration
/// that is missing or weak stops it here, before the first request, naming every problem.
pub async fn serve<D>(
    name: &'static str,
    wire: impl FnOnce(&mut Config) -> D,
    handle: impl AsyncFn(&D, &Request) -> Result<Reply, ApiError>,
) -> Result<(), Error> {
    let (deps, clock) = start(name, wire).await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let (deps, handle, clock) = (&deps, &handle, &clock);
        async move { Ok::<_, Error>(answer(name, deps, handle, clock, event).await) }
    }))
    .await
}

/// What a job may know of the invocation it is run for.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The platform's name for it, which stands in its logs.
    pub id: String,
    /// When the platform ends the process, whatever it is at.
    pub ends_at: Instant,
}

/// Wires a function that is run by a schedule or by the operator. Its report is the answer; its failure is the
/// invocation's, so that the platform's own alarm sees it.
pub async fn run_job<D, R: Serialize>(
    name: &'static str,
    wire: impl FnOnce(&mut Config) -> D,
    job: impl AsyncFn(&D) -> Result<R, Error>,
) -> Result<(), Error> {
    run_long_job(name, wire, async |deps: &D, _: &Invocation| job(deps).await).await
}

/// [`run_job`] for a job that has to know when to stop.
pub async fn run_long_job<D, R: Serialize>(
    name: &'static str,
    wire: impl FnOnce(&mut Config) -> D,
    job: impl AsyncFn(&D, &Invocation) -> Result<R, Error>,
) -> Result<(), Error> {
    let (deps, clock) = start(name, wire).await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let (deps, job, clock) = (&deps, &job, &clock);
        async move {
            let ends_at = Instant::now() + time_until_end(&event.context, clock);
            let invocation = Invocation { id: event.context.request_id, ends_at };
            let running: Pin<Box<dyn Future<Output = Result<R, Error>>>> = Box::pin(job(deps, &invocation));
            let done = running.await;
            match &done {
                Ok(report) => {
                    tracing::info!(target: "job", function = name, report = %serde_json::to_string(report)?);
                }
                Err(error) => {
                    let causes = log::causes(error.as_ref());
                    tracing::error!(target: "job", function = name, error = causes);
                }
            }
            // The message is all that whoever invoked it sees.
            done.map_err(|error| Error::from(log::causes(error.as_ref())))
        }
    }))
    .await
}

async fn start<D>(name: &'static str, wire: impl FnOnce(&mut Config) -> D) -> Result<(D, Clock), Error> {
    let mut config = Config::from_process();
    log::start(config.optional("LOG_LEVEL").as_deref());
    metrics::start(name, config.clock());
    let clock = config.clock();
    let deps = wire(&mut config);
    if let Err(problems) = config.finish().await {
        tracing::error!(target: "start", function = name, error = %problems, "the function does not start");
        return Err(problems.into());
    }
    Ok((deps, clock))
}

async fn answer<D>(
    name: &'static str,
    deps: &D,
    handle: &impl AsyncFn(&D, &Request) -> Result<Reply, ApiError>,
    clock: &Clock,
    event: LambdaEvent<Box<RawValue>>,
) -> HttpAnswer {
    let started = Instant::now();
    let (request, refusal) = read(&event.payload);
    let outcome = if let Some(refusal) = refusal {
        Err(refusal)
    } else {
        let handling: Handling<'_> = Box::pin(handle(deps, &request));
        // A panic is answered like any other mistake of ours, and the process lives on.
        let handling = AssertUnwindSafe(handling).catch_unwind();
        match tokio::time::timeout(time_left(&event.context, clock), handling).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(ApiError::internal("the handler panicked"))),
            Err(_) => Err(ApiError::unavailable("the function's time was up")),
        }
    };
    let (code, causes) = match &outcome {
        Ok(_) => (None, None),
        Err(error) => (Some(error.code.parts().0), error.causes()),
    };
    let reply = outcome.unwrap_or_else(|error| error.into_reply(&request.id, clock.now()));
    access_line(name, &request, &reply, &event.context, started, code, causes.as_deref());
    HttpAnswer::new(reply, &request.id)
}

/// Until the platform would end the process, less what it takes to say so in our own words. What was begun is
/// dropped, and its transaction rolled back.
fn time_left(context: &Context, clock: &Clock) -> Duration {
    time_until_end(context, clock).saturating_sub(LAST_WORDS).max(LAST_WORDS)
}

fn time_until_end(context: &Context, clock: &Clock) -> Duration {
    let now = u64::try_from(clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    Duration::from_millis(context.deadline.saturating_sub(now))
}

fn access_line(
    name: &'static str,
    request: &Request,
    reply: &Reply,
    context: &Context,
    started: Instant,
    code: Option<&str>,
    causes: Option<&str>,
) {
    let duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let cold_start = COLD.swap(false, Ordering::Relaxed);
    let trace_id = context.xray_trace_id.as_deref();
    let (request_id, route, status) = (&request.id, &request.route, reply.status.as_u16());
    if reply.status.is_server_error() {
        tracing::error!(target: "access", function = name, request_id, trace_id, route, status, duration_us, cold_start, error = code, cause = causes);
    } else {
        tracing::info!(target: "access", function = name, request_id, trace_id, route, status, duration_us, cold_start, error = code, cause = causes);
    }
}

/// Reads an HTTP API event (payload format 2.0). What is not one, or says its body is base64 when it is not,
/// comes with the refusal it deserves and whatever could be read.
pub fn read(event: &RawValue) -> (Request, Option<ApiError>) {
    let malformed = |message| Some(ApiError::new(ErrorCode::MalformedRequest, message));
    let Some(event) = parse(event) else {
        return (Request::default(), malformed("the event is not a request"));
    };
    let body = event.body.unwrap_or_default();
    let (body, refusal) = if event.is_base64_encoded {
        match BASE64.decode(body.as_bytes()) {
            Ok(bytes) => (Bytes::from(bytes), None),
            Err(_) => (Bytes::new(), malformed("the body is not base64")),
        }
    } else {
        (Bytes::from(body), None)
    };
    let context = event.request_context;
    let request = Request {
        id: context.request_id.unwrap_or_default(),
        method: context.http.method,
        path: event.raw_path.unwrap_or_default(),
        route: event.route_key.unwrap_or_default(),
        path_parameters: event.path_parameters,
        query: event.raw_query_string.unwrap_or_default(),
        cookies: event.cookies.unwrap_or_default(),
        headers: event.headers,
        body,
        source_ip: context.http.source_ip.and_then(|address| address.parse().ok()),
    };
    (request, refusal)
}

/// The library takes only ASCII in headers and refuses the whole event for one `é`, which any caller may send;
/// then the headers are read by themselves.
fn parse(event: &RawValue) -> Option<ApiGatewayV2httpRequest> {
    if let Ok(event) = serde_json::from_str(event.get()) {
        return Some(event);
    }
    let mut event: Value = serde_json::from_str(event.get()).ok()?;
    let headers: HashMap<String, String> =
        serde_json::from_value(event.as_object_mut()?.remove("headers")?).ok()?;
    let mut event: ApiGatewayV2httpRequest = serde_json::from_value(event).ok()?;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            event.headers.append(name, value);
        }
    }
    Some(event)
}

/// An answer as the gateway takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpAnswer {
    status_code: u16,
    headers: HashMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

impl HttpAnswer {
    fn new(reply: Reply, request_id: &str) -> Self {
        let readable = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let mut headers: HashMap<String, String> =
            reply.headers.iter().map(|(name, value)| (name.to_string(), readable(value))).collect();
        headers.insert(String::from("x-request-id"), request_id.to_owned());
        headers.entry(String::from("cache-control")).or_insert_with(|| String::from("no-store"));
        Self {
            status_code: reply.status.as_u16(),
            headers,
            cookies: reply.cookies,
            body: reply.body,
            is_base64_encoded: false,
        }
    }
}

#[cfg(test)]
mod tests;
