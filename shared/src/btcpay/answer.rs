//! BTCPay's refusals: `{"code","message"}`, or for a request that is not valid an array of `{"path","message"}`.

use http::StatusCode;
use serde::Deserialize;

use crate::upstream::{Answer, Common, Trouble, code};

#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Invalid(Vec<Field>),
    One(Problem),
}

#[derive(Deserialize)]
struct Field {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: Option<String>,
    #[serde(default, alias = "title")]
    message: Option<String>,
}

/// The answer, if it is a success.
pub(super) fn success(answer: &Answer) -> Result<&Answer, Trouble> {
    if answer.status.is_success() { Ok(answer) } else { Err(refusal(answer)) }
}

fn refusal(answer: &Answer) -> Trouble {
    let refusal = serde_json::from_slice::<Refusal>(&answer.body).ok();
    let (code, message) = match &refusal {
        Some(Refusal::One(problem)) => (problem.code.as_deref(), problem.message.as_deref()),
        Some(Refusal::Invalid(_)) | None => (None, None),
    };
    let said = refusal.as_ref().map(Refusal::said).unwrap_or_default();
    match answer.status {
        StatusCode::FORBIDDEN if code == Some("store-limit-reached") => {
            Trouble::refused(code::BTCPAY_STORE_LIMIT, said)
        }
        // The framework under BTCPay says no without a word.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if code.is_some() || answer.body.is_empty() => {
            Trouble::refused(code::BTCPAY_KEY_REFUSED, said)
        }
        StatusCode::NOT_FOUND if code.or(message).is_some() => answer.common(Common::NotFound, &said),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => answer.not_its_own(),
        _ => answer.trouble(&said),
    }
}

impl Refusal {
    fn said(&self) -> String {
        let both = |first: &Option<String>, second: &Option<String>| {
            format!("{} {}", first.as_deref().unwrap_or_default(), second.as_deref().unwrap_or_default())
        };
        match self {
            Self::One(problem) => both(&problem.code, &problem.message),
            Self::Invalid(fields) => {
                let fields = fields.iter().map(|field| both(&field.path, &field.message));
                fields.collect::<Vec<_>>().join("; ")
            }
        }
    }
}
