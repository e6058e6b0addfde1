//! Events that are no requests, and answers in the gateway's form.

use serde_json::json;
use time::macros::datetime;

use super::*;

fn raw(event: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(event).unwrap()
}

fn event(body: &str, is_base64_encoded: bool) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "GET /v1/nodes/{did}",
        "rawPath": "/v1/nodes/did%3Akey%3Az",
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "x-forwarded-for": "198.51.100.9" },
        "pathParameters": { "did": "did%3Akey%3Az" },
        "requestContext": {
            "accountId": "1",
            "requestId": "the request",
            "http": { "method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "" },
            "time": "09/Jan/2026:12:00:00 +0000",
            "timeEpoch": 1_767_960_000_000_i64,
        },
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    })
}

fn accepted(event: &Value) -> Request {
    let (request, refusal) = read(&raw(event));
    assert!(refusal.is_none(), "{refusal:?}");
    request
}

#[test]
fn an_event_becomes_a_request() {
    let request = accepted(&event("{\"a\":1}", false));
    assert_eq!(request.id, "the request");
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/v1/nodes/did%3Akey%3Az");
    assert_eq!(request.route, "GET /v1/nodes/{did}");
    assert_eq!(request.path_parameter("did"), "did:key:z");
    assert_eq!(request.body, "{\"a\":1}");
    assert_eq!(request.source_ip, Some([203, 0, 113, 7].into()), "the address is never a header's");
}

#[test]
fn a_base64_body_is_decoded() {
    assert_eq!(accepted(&event("eyJhIjoxfQ==", true)).body, "{\"a\":1}");
    assert_eq!(accepted(&event("/w==", true)).body.as_ref(), [0xff]);
    assert_eq!(accepted(&event("", true)).body, "");
    assert_eq!(accepted(&event("eyJhIjoxfQ==", false)).body, "eyJhIjoxfQ==");
}

#[test]
fn a_body_that_is_not_the_base64_it_claims_is_malformed_and_keeps_its_request_id() {
    for body in ["{\"a\":1}", "eyJhIjoxfQ", "eyJhIjoxfQ=", "ey JhIjoxfQ==", "\u{e9}"] {
        let (request, refusal) = read(&raw(&event(body, true)));
        let reply = refusal.unwrap().into_reply(&request.id, datetime!(2026-01-09 12:00 UTC));
        assert_eq!(reply.status, 400, "{body}");
        let expected = r#"{"success":false,"error":"MALFORMED_REQUEST","message":"the body is not base64","requestId":"the request","timestamp":"2026-01-09T12:00:00Z"}"#;
        assert_eq!(reply.body, expected);
    }
}

#[test]
fn an_event_that_is_no_request_is_malformed() {
    let mut headers = event("", false);
    headers["headers"] = json!("text");
    let mut method = event("", false);
    method["requestContext"]["http"]["method"] = json!(7);
    for event in [json!(null), json!([]), json!("text"), json!(1), headers, method] {
        let (_, refusal) = read(&raw(&event));
        assert_eq!(refusal.map(|refusal| refusal.code), Some(ErrorCode::MalformedRequest), "{event}");
    }
}

#[test]
fn a_header_that_is_not_ascii_costs_nobody_the_request() {
    let mut event = event("{}", false);
    event["headers"]["cloudfront-viewer-city"] = json!("S\u{e3}o Paulo");
    event["headers"]["not a name"] = json!("x");

    let request = accepted(&event);

    assert_eq!(request.id, "the request");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.headers["cloudfront-viewer-city"], "S\u{e3}o Paulo".as_bytes());
    assert_eq!(request.header("cloudfront-viewer-city"), None);
    assert_eq!(request.headers.len(), 3);
}

#[test]
fn an_answer_has_its_request_id_and_is_not_cached() {
    let reply = Reply::ok(&json!({ "a": 1 })).with_cookie("__Host-rt=x".to_owned());
    let answer = serde_json::to_value(HttpAnswer::new(reply, "the request")).unwrap();
    let expected = json!({
        "statusCode": 200,
        "headers": { "content-type": "application/json", "x-request-id": "the request", "cache-control": "no-store" },
        "cookies": ["__Host-rt=x"],
        "body": "{\"a\":1}",
        "isBase64Encoded": false,
    });
    assert_eq!(answer, expected);
}

#[test]
fn an_answer_that_may_be_cached_says_so_itself() {
    let cached = HeaderValue::from_static("public, max-age=60");
    let reply = Reply::ok(&()).with_header(crate::http::header::CACHE_CONTROL, cached);
    let answer = serde_json::to_value(HttpAnswer::new(reply, "r")).unwrap();
    assert_eq!(answer["headers"]["cache-control"], "public, max-age=60");
    assert!(answer.get("cookies").is_none());
}

async fn call(event: &Value, handle: &impl AsyncFn(&(), &Request) -> Result<Reply, ApiError>) -> Value {
    let clock = Clock::from_fn(|| datetime!(2026-01-09 12:00 UTC));
    let event = LambdaEvent::new(raw(event), Context::default());
    serde_json::to_value(answer("under_test", &(), handle, &clock, event).await).unwrap()
}

#[tokio::test]
async fn a_function_whose_time_is_up_says_so_itself() {
    let started = Instant::now();
    let answer = call(&event("{}", false), &async |(): &(), _: &Request| std::future::pending().await).await;
    assert_eq!((&answer["statusCode"], &answer["headers"]["retry-after"]), (&json!(503), &json!("1")));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_panic_is_answered_and_says_nothing() {
    let answer = call(&event("{}", false), &async |(): &(), _: &Request| panic!("hunter2-canary")).await;
    assert_eq!(answer["statusCode"], 500);
    assert_eq!(answer["headers"]["x-request-id"], "the request");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["error"], &body["requestId"]), (&json!("INTERNAL"), &json!("the request")));
    assert!(!answer.to_string().contains("canary"));
}

#[tokio::test]
async fn a_refused_event_never_reaches_the_handler() {
    let handle = async |(): &(), _: &Request| panic!("reached");
    for (event, id) in [(event("*", true), "the request"), (json!({ "detail-type": [] }), "")] {
        let answer = call(&event, &handle).await;
        assert_eq!((&answer["statusCode"], &answer["headers"]["x-request-id"]), (&json!(400), &json!(id)));
    }
}
