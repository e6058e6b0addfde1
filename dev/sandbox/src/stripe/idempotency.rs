//! `Idempotency-Key`: the same key and parameters are answered as before, other parameters are refused.

use std::collections::HashMap;

use hyper::{StatusCode, body::Bytes};

use super::errors::Refusal;

/// By account and key.
#[derive(Debug, Default)]
pub(crate) struct Replays(HashMap<(Option<String>, String), Replay>);

#[derive(Debug, Clone)]
struct Replay {
    /// Method, path and parameters.
    asked: String,
    status: StatusCode,
    body: Bytes,
}

impl Replays {
    pub(crate) fn find(
        &self,
        account: Option<&str>,
        key: &str,
        asked: &str,
    ) -> Result<Option<(StatusCode, Bytes)>, Refusal> {
        let known = self.0.get(&(account.map(str::to_owned), key.to_owned()));
        let Some(known) = known else { return Ok(None) };
        if known.asked != asked {
            return Err(Refusal::idempotency(format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used \
                 with. Try using a key other than '{key}' if you meant to execute a different request."
            )));
        }
        Ok(Some((known.status, known.body.clone())))
    }

    /// What was refused before anything was begun is not kept.
    pub(crate) fn keep(
        &mut self,
        account: Option<&str>,
        key: &str,
        asked: String,
        (status, body): (StatusCode, Bytes),
    ) {
        if status.is_success() || status == StatusCode::PAYMENT_REQUIRED {
            let replay = Replay { asked, status, body };
            self.0.insert((account.map(str::to_owned), key.to_owned()), replay);
        }
    }
}
