//! Stripe's refusals: `{"error":{"type","code","message"}}`.

use http::StatusCode;
use serde::Deserialize;

use crate::upstream::{Answer, Common, Fate, Trouble, code};

#[derive(Deserialize)]
struct Refusal {
    error: Problem,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// The answer, if it is a success.
pub(super) fn success(answer: &Answer) -> Result<&Answer, Trouble> {
    if answer.status.is_success() { Ok(answer) } else { Err(advised(answer, refusal(answer))) }
}

fn refusal(answer: &Answer) -> Trouble {
    let problem = serde_json::from_slice::<Refusal>(&answer.body).ok().map(|refusal| refusal.error);
    let Some(problem) = problem else {
        return match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => answer.not_its_own(),
            _ => answer.trouble(""),
        };
    };
    let said = problem.said();
    match (answer.status, problem.code.as_deref()) {
        // Not our key: the connected account is gone, or its owner has disconnected it from us.
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some("account_invalid")) => {
            Trouble::refused(code::STRIPE_ACCOUNT_REFUSED, said)
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            Trouble::refused(code::STRIPE_KEY_REFUSED, said)
        }
        // Without a code it is the path that Stripe does not know, and not the object.
        (StatusCode::NOT_FOUND, Some(_)) => answer.common(Common::NotFound, &said),
        // Somebody else has the object just now; nothing was done.
        (StatusCode::CONFLICT, _) => Trouble {
            code: code::STRIPE_UNAVAILABLE,
            fate: Fate::NotDone { after: answer.retry_after },
            detail: format!("409: {said}"),
            blames: Some(false),
        },
        _ => answer.trouble(&said),
    }
}

/// Stripe knows best whether another try can help. All our calls only read: of one that changes something a `false`
/// would not say whether it was done.
fn advised(answer: &Answer, trouble: Trouble) -> Trouble {
    let fate = match (answer.should_retry, trouble.fate) {
        (Some(false), Fate::NotDone { .. } | Fate::Unknown { .. }) => Fate::NotYet,
        (Some(true), Fate::Refused) => Fate::NotDone { after: answer.retry_after },
        (_, fate) => fate,
    };
    Trouble { fate, ..trouble }
}

impl Problem {
    fn said(&self) -> String {
        let words = [&self.kind, &self.code, &self.message];
        words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}
