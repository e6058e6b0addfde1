//! What codes and times are in plain words.

use shared::setup::SetupError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What an operator does about an error code, as docs/setup.md has it at more length.
pub fn advice(code: &str) -> &'static str {
    match code {
        "BTCPAY_KEY_REFUSED" => "put a BTCPay key that is good into its secret, then retry",
        "VOLTAGE_KEY_REFUSED" => "put a Voltage key that is good into its secret, then retry",
        "BTCPAY_STORE_LIMIT" => "raise the store quota of the BTCPay user, then retry",
        "STORE_GONE" => "clear its store id in imported_lightning_addresses, then run satchel setup repair",
        "NODE_STOPPED" => "start the node at Voltage: it goes on by itself",
        "NODE_GONE" | "WALLET_TAKEN" => "check EGRESS_ADDRESSES: somebody else reaches the nodes first; then retry",
        "LND_MACAROON_REFUSED" => "its wallet is another's by now: talk to the user, then undo it --with-funds",
        "LND_URL_REFUSED" | "NODE_NOT_REGISTERED" | "MACAROON_MISSING" => {
            "the user has to register the node again; then retry"
        }
        _ if code.ends_with("_NOT_CONFIGURED") => "switch the provider on and retry, or undo the setup",
        _ if code.ends_with("_KEY_UNAVAILABLE") => "see why Secrets Manager does not give the key out, then retry",
        _ if code.ends_with("_CERTIFICATE_REFUSED") => "see whose certificate that is, then retry",
        _ if code.ends_with("_UNAVAILABLE") || code.ends_with("_TIMED_OUT") || code.ends_with("_BREAKER_OPEN") => {
            "the provider is away: retry when it is back"
        }
        _ => "satchel setup show has the story, and docs/setup.md what the code means",
    }
}

/// A time to the second.
pub fn at(time: OffsetDateTime) -> String {
    let seconds = time.replace_nanosecond(0).unwrap_or(time);
    seconds.format(&Rfc3339).unwrap_or_default()
}

/// `1 store`, `2 stores`, `2 addresses`
pub fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') => format!("{number} {what}es"),
        _ => format!("{number} {what}s"),
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
