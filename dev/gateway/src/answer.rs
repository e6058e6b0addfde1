//! What goes back to the caller: a function's answer (payload format 2.0), or why there is none.

use crate::{clock, failure::Failure};
use bytes::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) type Answer = Response<Full<Bytes>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    status_code: Option<u16>,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    multi_value_headers: Option<BTreeMap<String, Vec<Value>>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

/// The HTTP answer a function's payload stands for; `None` when it stands for none.
pub(crate) fn from_payload(payload: &Bytes) -> Option<Answer> {
    match serde_json::from_slice::<Payload>(payload) {
        Ok(Payload {
            status_code: Some(status),
            headers,
            multi_value_headers,
            cookies,
            body,
            is_base64_encoded,
        }) => {
            let body = body.unwrap_or_default();
            let encoded = is_base64_encoded.unwrap_or(false);
            let body = if encoded { BASE64.decode(body.as_bytes()).ok()? } else { body.into_bytes() };
            let mut answer = with_status(StatusCode::from_u16(status).ok()?, body);
            let multiple = multi_value_headers.unwrap_or_default();
            let single =
                headers.unwrap_or_default().into_iter().filter(|(name, _)| !multiple.contains_key(name));
            for (name, value) in single {
                append(answer.headers_mut(), &name, &value)?;
            }
            for (name, values) in &multiple {
                values.iter().try_for_each(|value| append(answer.headers_mut(), name, value))?;
            }
            for cookie in cookies.unwrap_or_default() {
                answer.headers_mut().append(header::SET_COOKIE, cookie.parse().ok()?);
            }
            let plain = HeaderValue::from_static("text/plain;charset=UTF-8");
            answer.headers_mut().entry(header::CONTENT_TYPE).or_insert(plain);
            Some(answer)
        }
        // No status: whatever it is, is the body.
        _ => match serde_json::from_slice::<Value>(payload).ok()? {
            Value::Object(fields) if fields.contains_key("statusCode") => None,
            Value::String(text) => Some(json_answer(StatusCode::OK, text)),
            _ => Some(json_answer(StatusCode::OK, payload.clone())),
        },
    }
}

fn append(headers: &mut HeaderMap, name: &str, value: &Value) -> Option<()> {
    let name = HeaderName::try_from(name).ok()?;
    // How the body travels is this connection's matter.
    if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&name) {
        return Some(());
    }
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    headers.append(name, HeaderValue::from_str(&value).ok()?);
    Some(())
}

/// The one error body, for a caller whose function gave no answer. What happened is in `x-gateway-error`.
pub(crate) fn from_failure(failure: &Failure, request_id: &str) -> Answer {
    let (status, code, message) = match failure {
        Failure::Error(_) | Failure::Died(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "something went wrong on our side")
        }
        Failure::TimedOut(_) | Failure::Init(_) | Failure::Throttled | Failure::Stopped => (
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "the service is not available, try again shortly",
        ),
    };
    let body = json!({
        "success": false,
        "error": code,
        "message": message,
        "requestId": request_id,
        "timestamp": clock::rfc3339(clock::now()),
    });
    let mut answer = json_answer(status, body.to_string());
    let headers = answer.headers_mut();
    headers.insert("x-gateway-error", HeaderValue::from_static(failure.kind()));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// What API Gateway answers by itself, in its own form.
pub(crate) fn from_gateway(status: StatusCode, message: &str) -> Answer {
    json_answer(status, json!({ "message": message }).to_string())
}

pub(crate) fn json_answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = with_status(status, body);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(crate) fn with_status(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn read(payload: &str) -> (u16, HeaderMap, String) {
        let answer = from_payload(&Bytes::copy_from_slice(payload.as_bytes())).unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_payload_becomes_status_headers_cookies_and_body() {
        let (status, headers, body) = read(
            r#"{"statusCode":201,"headers":{"a":"1","n":5,"content-length":"99"},"multiValueHeaders":{"m":["x","y"]},
                "cookies":["c=1","d=2"],"body":"aGk=","isBase64Encoded":true}"#,
        )
        .await;
        assert_eq!((status, body.as_str()), (201, "hi"));
        assert_eq!((&headers["a"], &headers["n"]), (&"1".parse().unwrap(), &"5".parse().unwrap()));
        assert_eq!(headers.get_all("m").iter().count(), 2);
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert!(!headers.contains_key("content-length"));
    }

    #[tokio::test]
    async fn a_payload_without_a_status_is_the_body() {
        assert_eq!(read(r#"{"a":1}"#).await.2, r#"{"a":1}"#);
        assert_eq!(read(r#"{"a":1}"#).await.1["content-type"], "application/json");
        assert_eq!(read(r#""hello""#).await.2, "hello");
    }

    #[test]
    fn a_payload_that_is_no_answer_is_refused() {
        for payload in [
            "not json",
            r#"{"statusCode":"many"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"body":"!","isBase64Encoded":true}"#,
        ] {
            assert!(from_payload(&Bytes::from_static(payload.as_bytes())).is_none(), "{payload}");
        }
    }
}
