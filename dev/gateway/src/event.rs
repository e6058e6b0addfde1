//! A request as a function sees it: payload format 2.0.

use crate::{ACCOUNT, clock, route::Parameters};
use data_encoding::BASE64;
use http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};
use time::OffsetDateTime;
use url::form_urlencoded;

/// What an event is made from.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) protocol: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    pub(crate) source_ip: &'a str,
    pub(crate) port: u16,
    pub(crate) request_id: &'a str,
    pub(crate) received: OffsetDateTime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: Cow<'a, str>,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<&'a str>,
    headers: BTreeMap<&'a str, Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a Parameters,
    request_context: Context<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: Cow<'a, str>,
    protocol: &'a str,
    source_ip: &'a str,
    user_agent: &'a str,
}

impl Call<'_> {
    /// The event, as JSON.
    pub(crate) fn event(&self, route_key: &str, parameters: &Parameters) -> serde_json::Result<Vec<u8>> {
        // An HTTP API hands the path over decoded, in every place where it stands, but not the query.
        let path = percent_decode_str(self.uri.path()).decode_utf8_lossy();
        let query = self.uri.query().unwrap_or_default();
        let (headers, cookies) = self.headers();
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).and_then(|host| host.split(':').next()).unwrap_or("localhost");
        let (body, is_base64_encoded) = self.body();
        let event = Event {
            version: "2.0",
            route_key,
            raw_path: path.clone(),
            raw_query_string: query,
            cookies,
            query_string_parameters: query_parameters(query),
            path_parameters: parameters,
            request_context: Context {
                account_id: ACCOUNT,
                api_id: "local",
                domain_name: host,
                domain_prefix: host.split('.').next().unwrap_or(host),
                http: Http {
                    method: self.method.as_str(),
                    path,
                    protocol: self.protocol,
                    source_ip: self.source_ip,
                    user_agent: text(header::USER_AGENT).unwrap_or_default(),
                },
                request_id: self.request_id,
                route_key,
                stage: "$default",
                time: clock::common_log(self.received),
                time_epoch: clock::millis(self.received),
            },
            headers,
            body,
            is_base64_encoded,
        };
        serde_json::to_vec(&event)
    }

    /// Repeated headers are joined by commas; the cookies stand apart; the gateway adds its own.
    fn headers(&self) -> (BTreeMap<&str, Cow<'_, str>>, Vec<&str>) {
        let mut headers: BTreeMap<&str, Cow<'_, str>> = BTreeMap::new();
        let mut cookies = Vec::new();
        for (name, value) in self.headers {
            if name == header::COOKIE {
                cookies.extend(value.to_str().unwrap_or_default().split(';').map(str::trim));
                continue;
            }
            let value = String::from_utf8_lossy(value.as_bytes());
            match headers.get_mut(name.as_str()) {
                Some(joined) => joined.to_mut().extend([",", &value]),
                None => {
                    headers.insert(name.as_str(), value);
                }
            }
        }
        match headers.get_mut("x-forwarded-for") {
            Some(chain) => chain.to_mut().extend([", ", self.source_ip]),
            None => {
                headers.insert("x-forwarded-for", self.source_ip.into());
            }
        }
        headers.insert("x-forwarded-port", self.port.to_string().into());
        headers.insert("x-forwarded-proto", "http".into());
        headers
            .entry("x-amzn-trace-id")
            .or_insert_with(|| format!("Root={}", clock::trace_root(self.received)).into());
        (headers, cookies)
    }

    /// Text of a textual type travels as it is, everything else in base64.
    fn body(&self) -> (Option<Cow<'_, str>>, bool) {
        if self.body.is_empty() {
            return (None, false);
        }
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match std::str::from_utf8(self.body) {
            Ok(text) if is_textual(content_type.unwrap_or("text/plain")) => (Some(text.into()), false),
            _ => (Some(BASE64.encode(self.body).into()), true),
        }
    }
}

fn is_textual(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || ["json", "xml", "javascript", "x-www-form-urlencoded"]
            .iter()
            .any(|name| kind.strip_prefix("application/") == Some(name))
}

/// A repeated parameter is joined by commas.
fn query_parameters(query: &str) -> BTreeMap<Cow<'_, str>, Cow<'_, str>> {
    let mut parameters: BTreeMap<_, Cow<'_, str>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match parameters.get_mut(&name) {
            Some(joined) => joined.to_mut().extend([",", &value]),
            None => {
                parameters.insert(name, value);
            }
        }
    }
    parameters
}

/// The event of a request that no gateway saw, for tests and benchmarks of one function: its route is its
/// very path, and it comes from 127.0.0.1.
pub fn http_event(
    method: &str,
    path: &str,
    body: impl AsRef<[u8]>,
    headers: &[(&str, &str)],
) -> anyhow::Result<Value> {
    let path_only = path.split('?').next().unwrap_or(path);
    routed_http_event(&format!("{method} {path_only}"), &BTreeMap::new(), method, path, body, headers)
}

/// [`http_event`] of a route with parameters, as in `GET /v1/nodes/{did}` and `{"did": "…"}`.
pub fn routed_http_event(
    route_key: &str,
    parameters: &BTreeMap<String, String>,
    method: &str,
    path: &str,
    body: impl AsRef<[u8]>,
    headers: &[(&str, &str)],
) -> anyhow::Result<Value> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::try_from(*name)?, value.parse()?);
    }
    let call = Call {
        method: &method.parse()?,
        uri: &path.parse()?,
        protocol: "HTTP/1.1",
        headers: &map,
        body: body.as_ref(),
        source_ip: "127.0.0.1",
        port: 443,
        request_id: &clock::new_id().to_string(),
        received: clock::now(),
    };
    Ok(serde_json::from_slice(&call.event(route_key, parameters)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_textual_type_is_text_and_the_rest_is_base64() {
        let body = |kind: &str, bytes: &[u8]| {
            let event = http_event("POST", "/x", bytes, &[("Content-Type", kind)]).unwrap();
            (event["body"].as_str().unwrap().to_owned(), event["isBase64Encoded"].as_bool().unwrap())
        };
        assert_eq!(body("application/json; charset=utf-8", b"{}"), ("{}".to_owned(), false));
        assert_eq!(body("application/problem+json", b"{}"), ("{}".to_owned(), false));
        assert_eq!(body("application/x-www-form-urlencoded", b"a=b"), ("a=b".to_owned(), false));
        assert_eq!(body("application/octet-stream", b"{}"), ("e30=".to_owned(), true));
        assert_eq!(body("application/json", b"\xff"), ("/w==".to_owned(), true));
    }

    #[test]
    fn repeated_headers_and_parameters_are_joined_and_cookies_stand_apart() {
        let headers =
            [("Accept", "a"), ("accept", "b"), ("Cookie", "x=1; y=2"), ("X-Forwarded-For", "10.0.0.1")];
        let event = http_event("GET", "/a%20b?q=1%2B1&q=2&r", "", &headers).unwrap();
        assert_eq!(event["headers"]["accept"], "a,b");
        assert_eq!(event["headers"]["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
        assert!(event["headers"].get("cookie").is_none());
        assert_eq!(event["cookies"], serde_json::json!(["x=1", "y=2"]));
        assert_eq!(event["queryStringParameters"], serde_json::json!({"q": "1+1,2", "r": ""}));
        assert_eq!(event["rawQueryString"], "q=1%2B1&q=2&r");
        assert_eq!(event["rawPath"], "/a b");
        assert_eq!(event["requestContext"]["http"]["path"], "/a b");
        assert!(event.get("body").is_none());
    }
}
