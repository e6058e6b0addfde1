//! The HTTP API: a request becomes an event, the function's payload becomes the answer.

use crate::{
    answer::{self, Answer},
    clock,
    cors::Cors,
    event,
    failure::Failure,
    lambda::Lambda,
    route::Table,
    runtime_api::Lambdas,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::timeout;

/// What an HTTP API takes in one request.
const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// What is read of a body that is too large, so that its sender gets to read the answer.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
/// What an HTTP API waits for a function, its time in the queue included.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Front {
    pub(crate) port: u16,
    pub(crate) routes: Table<Arc<Lambda>>,
    pub(crate) cors: Option<Cors>,
    pub(crate) lambdas: Arc<Lambdas>,
    pub(crate) source_ip_from_header: Option<String>,
}

impl Front {
    pub(crate) async fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let (parts, body) = request.into_parts();
        let preflight = Cors::is_preflight(&parts.method, &parts.headers);
        if let (Some(cors), true) = (&self.cors, preflight) {
            let mut answer = answer::with_status(StatusCode::NO_CONTENT, Bytes::new());
            cors.write(&parts.headers, answer.headers_mut(), true);
            return answer;
        }
        let Some(body) = read(body).await else {
            let mut answer = answer::from_gateway(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return answer;
        };
        if let Some(function) = invocation(&parts) {
            return self.invoke(function, &parts.headers, body).await;
        }
        let mut answer = self.call(&parts, &body, peer).await;
        if let Some(cors) = &self.cors {
            cors.write(&parts.headers, answer.headers_mut(), false);
        }
        answer
    }

    /// A request to the API.
    async fn call(&self, parts: &Parts, body: &Bytes, peer: SocketAddr) -> Answer {
        let Some(route) = self.routes.find(parts.method.as_str(), parts.uri.path()) else {
            return answer::from_gateway(StatusCode::NOT_FOUND, "Not Found");
        };
        let request_id = clock::new_id().to_string();
        let played = self.source_ip_from_header.as_ref().and_then(|name| parts.headers.get(name));
        let played = played.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let call = event::Call {
            method: &parts.method,
            uri: &parts.uri,
            protocol: "HTTP/1.1",
            headers: &parts.headers,
            body,
            source_ip: &played.unwrap_or_else(|| peer.ip().to_string()),
            port: self.port,
            request_id: &request_id,
            received: clock::now(),
        };
        let outcome = match call.event(route.key, &route.parameters) {
            Ok(event) => timeout(INTEGRATION_TIMEOUT, route.target.invoke(event.into()))
                .await
                .unwrap_or(Err(Failure::TimedOut(INTEGRATION_TIMEOUT))),
            Err(error) => Err(Failure::Error(error.to_string().into())),
        };
        let refused = || Failure::Error(Bytes::from_static(b"its answer is none an HTTP API can send"));
        let answer = outcome.and_then(|payload| answer::from_payload(&payload).ok_or_else(refused));
        let mut answer = answer.unwrap_or_else(|failure| {
            route.target.say(&format!("gateway: {} in request {request_id}", failure.describe()));
            answer::from_failure(&failure, &request_id)
        });
        if let Ok(id) = HeaderValue::try_from(request_id) {
            answer.headers_mut().insert("apigw-requestid", id);
        }
        answer
    }

    /// `POST /2015-03-31/functions/<name>/invocations`. A function's failure is a 500 here, where AWS says 200 and
    /// leaves it to `X-Amz-Function-Error`: it is what makes `cargo lambda invoke` fail.
    async fn invoke(&self, function: &str, headers: &HeaderMap, event: Bytes) -> Answer {
        let Some(lambda) = self.lambdas.get(function) else {
            let message = format!("Function not found: {function}");
            let body = json!({ "errorType": "ResourceNotFoundException", "errorMessage": message });
            return answer::json_answer(StatusCode::NOT_FOUND, body.to_string());
        };
        if headers.get("x-amz-invocation-type").is_some_and(|kind| kind == "Event") {
            let lambda = Arc::clone(lambda);
            tokio::spawn(async move { lambda.invoke(event).await });
            return answer::with_status(StatusCode::ACCEPTED, Bytes::new());
        }
        let failure = match lambda.invoke(event).await {
            Ok(payload) => return answer::json_answer(StatusCode::OK, payload),
            Err(failure) => failure,
        };
        let mut answer = answer::json_answer(failure.status(), failure.payload());
        answer.headers_mut().insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
        answer
    }
}

/// The function an invocation is for.
fn invocation(parts: &Parts) -> Option<&str> {
    let name = parts.uri.path().strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    (parts.method == http::Method::POST).then_some(name)
}

/// The body, or `None` when it is larger than the API takes. One that breaks off is as long as it came.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= BODY_LIMIT {
            whole.extend_from_slice(&data);
        } else if seen > DRAIN_LIMIT {
            break;
        }
    }
    (seen <= BODY_LIMIT).then(|| whole.freeze())
}
