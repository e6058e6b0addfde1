//! What codes and times are in plain words.

use shared::setup::SetupError;

pub use crate::words::{at, count};

/// What an operator does about an error code, as docs/setup.md has it at more length.
pub fn advice(code: &str) -> &'static str {
    match code {
        "BTCPAY_KEY_REFUSED" => "put a BTCPay key that is good into its secret, then retry",
        "VOLTAGE_KEY_REFUSED" => "put a Voltage key that is good into its secret, then retry",
        "BTCPAY_STORE_LIMIT" => "raise the store quota of the BTCPay user, then retry",
        "STORE_GONE" => "clear its store id in imported_lightning_addresses, then run satchel setup repair",
        "VOLTAGE_NAME_TAKEN" => "ask Voltage who has a node of its name, then retry",
        "NODE_STARTING" | "WALLET_OPENING" | "LND_NOT_READY" | "LND_WALLET_LOCKED" => {
            "its node is not ready: look at it at Voltage; then retry, if it does not go on by itself"
        }
        "NODE_STOPPED" => "start the node at Voltage; then retry, if it does not go on by itself",
        "STEP_TIMED_OUT" => "the provider is slow: see its status, or give calls less time; then retry",
        "NODE_GONE" => "find out who deletes its nodes, then retry",
        "WALLET_TAKEN" => "check EGRESS_ADDRESSES: somebody else reaches the nodes first; then retry",
        "LND_MACAROON_REFUSED" | "LND_PASSWORD_REFUSED" | "LND_WALLET_EXISTS" => {
            "its wallet is another's by now: talk to the user, then undo it --with-funds"
        }
        "LND_URL_REFUSED" => "correct VOLTAGE_NODE_URL, then retry",
        "NODE_NOT_REGISTERED" => "the user has to register the node again; then retry",
        "SECRET_UNREADABLE" => "see docs/operations.md, OpenFailedAlarm; then retry",
        _ if code.ends_with("_NOT_CONFIGURED") => "switch the provider on and retry, or undo the setup",
        _ if code.ends_with("_KEY_UNAVAILABLE") => {
            "see why Secrets Manager does not give the key out, then retry"
        }
        _ if code.ends_with("_CERTIFICATE_REFUSED") => "see whose certificate that is, then retry",
        _ if ["_UNAVAILABLE", "_TIMED_OUT", "_BREAKER_OPEN"].iter().any(|away| code.ends_with(away)) => {
            "the provider is away: retry when it is back"
        }
        _ if ["_REJECTED", "_NOT_FOUND"].iter().any(|refused| code.ends_with(refused)) => {
            "put right what the provider's words in the log name, then retry"
        }
        _ if code.ends_with("_UNEXPECTED_ANSWER") => {
            "see in the log what answered: the provider changed its API, or something stands between"
        }
        _ => "our own rows do not fit together: docs/setup.md has the code",
    }
}

/// What went wrong and what to do next.
pub fn explain(error: SetupError) -> anyhow::Error {
    match error {
        SetupError::Upstream(error) => anyhow::anyhow!("{error}: {}", advice(error.code)),
        SetupError::Unusable(code) => anyhow::anyhow!("{code}: {}", advice(code)),
        error @ SetupError::NotConfigured(_) => {
            let code = error.to_string();
            anyhow::anyhow!("{code}: {}", advice(&code))
        }
        error => error.into(),
    }
}
