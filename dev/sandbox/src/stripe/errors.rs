//! Refusals as Stripe writes them: `{"error":{"type","code","message","param"}}`.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::reply::Reply;

pub(crate) type Answer = Result<Value, Refusal>;

#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    /// What belongs to this refusal alone: the charge that was declined, and why.
    more: Map<String, Value>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, code: None, message: message.into(), param: None, more: Map::new() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(crate) fn param(code: Option<&'static str>, param: &str, message: impl Into<String>) -> Self {
        Self { code, param: Some(param.to_owned()), ..Self::invalid(message) }
    }

    pub(crate) fn missing(param: &str) -> Self {
        Self::param(Some("parameter_missing"), param, format!("Missing required param: {param}."))
    }

    /// The thing the path names.
    pub(crate) fn none_such(object: &str, id: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::none_such_param("id", object, id) }
    }

    /// The thing a parameter names.
    pub(crate) fn none_such_param(param: &str, object: &str, id: &str) -> Self {
        Self::param(Some("resource_missing"), param, format!("No such {object}: '{id}'"))
    }

    pub(crate) fn coded(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::invalid(message) }
    }

    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
    }

    pub(crate) fn foreign(account: &str) -> Self {
        let message = format!(
            "The provided key does not have access to account '{account}' (or that account does not exist). \
             Application access may have been revoked."
        );
        Self { status: StatusCode::FORBIDDEN, ..Self::coded("account_invalid", message) }
    }

    pub(crate) fn idempotency(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", message)
    }

    pub(crate) fn declined(code: &'static str, decline: &str, intent: &Value) -> Self {
        let status = StatusCode::PAYMENT_REQUIRED;
        let mut refusal = Self::new(status, "card_error", "Your card was declined.");
        refusal.code = Some(code);
        refusal.more.insert("decline_code".into(), json!(decline));
        refusal.more.insert("charge".into(), intent["latest_charge"].clone());
        refusal.more.insert("payment_intent".into(), intent.clone());
        refusal
    }

    pub(crate) fn unknown_route(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Self { status: StatusCode::NOT_FOUND, ..Self::invalid(message) }
    }

    pub(crate) fn reply(self) -> Reply {
        let mut error = self.more;
        error.insert("type".into(), json!(self.kind));
        error.insert("message".into(), json!(self.message));
        let optional = [("code", self.code.map(str::to_owned)), ("param", self.param)];
        error.extend(optional.into_iter().filter_map(|(name, text)| Some((name.into(), json!(text?)))));
        Reply::json(self.status, &json!({ "error": error }))
    }
}
