//! Voltage's refusals: 400 with `{"message"}`, whatever the reason.

use http::StatusCode;
use serde::Deserialize;

use crate::upstream::{Answer, Common, Trouble, code};

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: Option<String>,
}

/// The answer, if it is a success.
pub(super) fn success(answer: &Answer) -> Result<&Answer, Trouble> {
    if answer.status.is_success() { Ok(answer) } else { Err(refusal(answer)) }
}

fn refusal(answer: &Answer) -> Trouble {
    let refusal = serde_json::from_slice::<Refusal>(&answer.body).ok();
    let message = refusal.and_then(|refusal| refusal.message);
    let is_voltages = message.is_some();
    let said = message.unwrap_or_default();
    let says = |words: &[&str]| {
        let said = said.to_ascii_lowercase();
        words.iter().any(|word| said.contains(word))
    };
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND if !is_voltages => {
            answer.not_its_own()
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::refused(code::VOLTAGE_KEY_REFUSED, said),
        StatusCode::NOT_FOUND => answer.common(Common::NotFound, &said),
        StatusCode::BAD_REQUEST if says(&["taken", "name already", "name is already", "name exists"]) => {
            Trouble::refused(code::VOLTAGE_NAME_TAKEN, said)
        }
        StatusCode::BAD_REQUEST if says(&["unauthorized", "not authorized", "api key", "api token"]) => {
            Trouble::refused(code::VOLTAGE_KEY_REFUSED, said)
        }
        StatusCode::BAD_REQUEST if says(&["not found", "node_id", "does not exist"]) => {
            answer.common(Common::NotFound, &said)
        }
        _ => answer.trouble(&said),
    }
}
