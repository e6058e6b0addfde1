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
    let code = match &refusal {
        Some(Refusal::One(problem)) => problem.code.as_deref().unwrap_or_default(),
        Some(Refusal::Invalid(_)) | None => "",
    };
    let said = refusal.as_ref().map(Refusal::said).unwrap_or_default();
    match answer.status {
        StatusCode::FORBIDDEN if code == "store-limit-reached" => {
            Trouble::refused(code::BTCPAY_STORE_LIMIT, said)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::refused(code::BTCPAY_KEY_REFUSED, said),
        // A 404 that BTCPay did not write says that BTCPAY_URL leads elsewhere, and nothing of the object.
        StatusCode::NOT_FOUND if refusal.is_none() => answer.unexpected("404: not BTCPay's own"),
        StatusCode::NOT_FOUND => answer.common(Common::NotFound, &said),
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
