use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use ::http::{HeaderMap, Method};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use url::form_urlencoded;
use uuid::Uuid;

use super::{ApiError, ErrorCode};
use crate::audit::Origin;

/// No body of ours is larger, webhooks apart.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The same for what providers send.
pub const MAX_WEBHOOK_BYTES: usize = 1024 * 1024;

/// A request as the gateway passed it on.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The gateway's id: it is in every answer and in the access log.
    pub id: String,
    pub method: Method,
    pub path: String,
    /// The template's route, such as `GET /v1/nodes/{did}`.
    pub route: String,
    pub path_parameters: HashMap<String, String>,
    /// What stands behind the `?`, encoded.
    pub query: String,
    /// `name=value`, one for each cookie.
    pub cookies: Vec<String>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Who connected to the gateway. Never taken from a header: callers write those.
    pub source_ip: Option<IpAddr>,
}

impl Request {
    /// A header's value; `None` when it is absent or not readable text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A header that may stand there once; `None` when it is absent, there twice, or not readable text.
    pub fn sole_header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { first.to_str().ok() }
    }

    /// Where the request came from, for the audit log.
    pub fn origin(&self) -> Origin<'_> {
        Origin { ip: self.source_ip, request_id: &self.id }
    }

    /// A part of the path. Clients that encode the colons of a DID mean the same DID.
    pub fn path_parameter(&self, name: &str) -> Cow<'_, str> {
        let encoded = self.path_parameters.get(name).map_or("", String::as_str);
        percent_decode_str(encoded).decode_utf8_lossy()
    }

    /// An id in the path.
    pub fn path_id(&self, name: &str) -> Result<Uuid, ApiError> {
        self.path_parameter(name).parse().map_err(|_| ApiError::invalid(name, "must be a UUID"))
    }

    /// A parameter of the query; `None` when it is absent, and when it is there twice.
    pub fn query_parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = form_urlencoded::parse(self.query.as_bytes()).filter(|(found, _)| found == name);
        let (_, first) = values.next()?;
        if values.next().is_some() { None } else { Some(first) }
    }

    /// A cookie's value. A name sent twice is somebody's trick, and reads as absent.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let named = |cookie: &'_ String| cookie.split_once('=').is_some_and(|(found, _)| found == name);
        let mut values = self.cookies.iter().filter(|cookie| named(cookie));
        let first = values.next()?;
        if values.next().is_some() { None } else { first.split_once('=').map(|(_, value)| value) }
    }

    /// The body's media type is that of an HTML form, as `OAuth` clients send theirs.
    pub fn is_form(&self) -> bool {
        let media_type = self.header("content-type").and_then(|value| value.split(';').next());
        media_type.is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    }

    /// The fields of a form as `T`, all of them texts. A field given twice is refused, as RFC 6749 has it.
    pub fn form<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let mut fields = serde_json::Map::new();
        for (name, value) in form_urlencoded::parse(self.bounded()?) {
            if fields.insert(name.to_string(), Value::String(value.into_owned())).is_some() {
                return Err(ApiError::invalid(name, "is there twice"));
            }
        }
        parse(Value::Object(fields))
    }

    /// The body as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        parse(self.value()?)
    }

    /// The body as `T`, bare or wrapped in `{"data": {…}}`, as the callable functions of the first clients
    /// send it. For the endpoints that docs/api.md lists under known quirks, and no others.
    pub fn json_or_data<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        match self.value()? {
            Value::Object(mut outer) if outer.get("data").is_some_and(Value::is_object) => {
                parse(outer.remove("data").unwrap_or_default())
            }
            bare => parse(bare),
        }
    }

    /// The very bytes of a webhook's body: what is signed is these, and not what they parse to.
    pub fn webhook_body(&self) -> Result<&[u8], ApiError> {
        if self.body.len() > MAX_WEBHOOK_BYTES {
            return Err(ApiError::new(ErrorCode::PayloadTooLarge, "the body is larger than 1 MiB"));
        }
        Ok(&self.body)
    }

    fn bounded(&self) -> Result<&[u8], ApiError> {
        if self.body.len() > MAX_BODY_BYTES {
            return Err(ApiError::new(ErrorCode::PayloadTooLarge, "the body is larger than 64 KiB"));
        }
        Ok(&self.body)
    }

    fn value(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(self.bounded()?).map_err(|error| {
            ApiError::new(ErrorCode::MalformedRequest, "the body is not JSON").caused_by(error)
        })
    }
}

/// The answer to a route that the function does not know: only a wrong template sends one there, so it is our mistake and
/// not the caller's.
pub fn unrouted(request: &Request) -> ApiError {
    ApiError::internal(format!("the template sends {} here", request.route))
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        // serde names a missing field in its message only, and the path ends one above it.
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        let known = error.path().iter().next().is_some_and(|segment| !matches!(segment, Segment::Unknown));
        let field = match (known.then(|| error.path().to_string()), missing) {
            (Some(path), Some(missing)) => format!("{path}.{missing}"),
            (None, Some(missing)) => missing.to_owned(),
            (Some(path), None) => path,
            (None, None) => String::from("(body)"),
        };
        // serde also quotes the value it could not take; a caller may have put a secret there by mistake.
        ApiError::invalid(
            field,
            if missing.is_some() { "is missing".to_owned() } else { without_value(message) },
        )
    })
}

/// What serde says, without the value it could not take. `invalid type: string "hunter2", expected u64` and
/// ``unknown variant `hunter2`, expected `a` or `b` `` lose what stands between the first two words and the last
/// comma.
fn without_value(message: &str) -> String {
    let quoting = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];
    let Some(what) = quoting.into_iter().find(|what| message.starts_with(what)) else {
        return message.to_owned();
    };
    let expected = message.rfind(", expected ").map_or("", |comma| &message[comma..]);
    format!("{what}{expected}")
}
