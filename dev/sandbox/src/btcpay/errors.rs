//! Refusals as Greenfield writes them: one object with a code, or, for bad input, 422 with a list.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::reply::Reply;

pub(crate) type Answer = Result<Reply, Refusal>;

#[derive(Debug)]
pub(crate) enum Refusal {
    /// Without a body, as the framework under Greenfield answers.
    Bare(StatusCode),
    Error(StatusCode, &'static str, String),
    /// The key lacks this permission, or the store is not one of its user's: the two look alike.
    MissingPermission(&'static str),
    /// Where in the request, and why.
    Invalid(Vec<(String, String)>),
}

impl Refusal {
    pub(crate) fn not_found(code: &'static str, what: &str) -> Self {
        Self::Error(StatusCode::NOT_FOUND, code, format!("no such {what}"))
    }

    pub(crate) fn generic(message: impl Into<String>) -> Self {
        Self::Error(StatusCode::BAD_REQUEST, "generic-error", message.into())
    }

    pub(crate) fn invalid(path: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![(path.to_owned(), message.into())])
    }

    pub(crate) fn unauthenticated() -> Self {
        let message = "an API key is needed: `Authorization: token …`";
        Self::Error(StatusCode::UNAUTHORIZED, "unauthenticated", message.to_owned())
    }

    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Bare(status) => Reply::empty(status),
            Self::Error(status, code, message) => {
                Reply::json(status, &json!({"code": code, "message": message}))
            }
            Self::MissingPermission(permission) => Reply::json(
                StatusCode::FORBIDDEN,
                &json!({
                    "code": "missing-permission",
                    "message": format!("the API key does not have {permission} here"),
                    "missingPermission": permission,
                }),
            ),
            Self::Invalid(problems) => {
                let one = |(path, message): (String, String)| json!({"path": path, "message": message});
                Reply::json(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    &Value::Array(problems.into_iter().map(one).collect()),
                )
            }
        }
    }
}
