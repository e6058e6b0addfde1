//! LND's refusals. Nearly all of them are HTTP 500 with `{"code":2,"message":…}`, because LND returns plain errors:
//! what happened is in the message.

use std::ops::RangeInclusive;

use http::StatusCode;
use serde::Deserialize;

use crate::upstream::{Answer, Common, Fate, Trouble, code};

#[derive(Deserialize)]
struct Refusal {
    /// gRPC's, which are small: what speaks of 403 is not LND.
    code: u16,
    #[serde(default)]
    message: Option<String>,
    /// Where LND before 0.13 said it.
    #[serde(default)]
    error: Option<String>,
}

impl Refusal {
    /// What LND said, if it was LND.
    fn said(answer: &Answer) -> Option<String> {
        let refusal: Self = serde_json::from_slice(&answer.body).ok()?;
        let said = refusal.message.filter(|message| !message.is_empty()).or(refusal.error);
        said.filter(|_| GRPC_CODES.contains(&refusal.code))
    }
}

/// From `CANCELLED` to `UNAUTHENTICATED`.
const GRPC_CODES: RangeInclusive<u16> = 1..=16;

/// Parts of LND's messages, and what they mean. Taken in order: the first that is found counts.
const MEANINGS: &[(&str, Meaning)] = &[
    ("wallet already exists", Meaning::WalletExists),
    // The unlocker is gone because there is a wallet, and it is open.
    ("wallet already unlocked", Meaning::WalletExists),
    ("wallet not created", Meaning::NotReady),
    ("wallet locked", Meaning::WalletLocked),
    ("waiting to start", Meaning::NotReady),
    ("not yet ready to accept calls", Meaning::NotReady),
    ("invalid passphrase", Meaning::PasswordRefused),
    ("expected 1 macaroon", Meaning::MacaroonRefused),
    ("encoding/hex", Meaning::MacaroonRefused),
    ("verification failed", Meaning::MacaroonRefused),
    ("cannot get macaroon", Meaning::MacaroonRefused),
    ("cannot determine data format of binary-encoded macaroon", Meaning::MacaroonRefused),
    ("unmarshal v2", Meaning::MacaroonRefused),
    ("permission denied", Meaning::MacaroonRefused),
    ("macaroon has expired", Meaning::MacaroonRefused),
    ("different ip address", Meaning::MacaroonRefused),
];

#[derive(Clone, Copy)]
enum Meaning {
    MacaroonRefused,
    NotReady,
    PasswordRefused,
    WalletExists,
    WalletLocked,
}

/// The answer, if it is a success.
pub(super) fn success(answer: &Answer) -> Result<&Answer, Trouble> {
    if answer.status.is_success() { Ok(answer) } else { Err(refusal(answer)) }
}

fn refusal(answer: &Answer) -> Trouble {
    // A node that starts has a proxy before it that answers first, and has its own reasons to say no.
    let Some(said) = Refusal::said(answer) else {
        return match answer.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => answer.trouble(""),
            status if status.is_client_error() => answer.not_its_own(),
            _ => answer.trouble(""),
        };
    };
    let lower = said.to_ascii_lowercase();
    let found = MEANINGS.iter().find(|(words, _)| lower.contains(words));
    match found {
        Some((_, Meaning::MacaroonRefused)) => Trouble::refused(code::LND_MACAROON_REFUSED, said),
        Some((_, Meaning::PasswordRefused)) => Trouble::refused(code::LND_PASSWORD_REFUSED, said),
        Some((_, Meaning::WalletExists)) => Trouble::refused(code::LND_WALLET_EXISTS, said),
        Some((_, Meaning::WalletLocked)) => not_yet(code::LND_WALLET_LOCKED, said),
        Some((_, Meaning::NotReady)) => not_yet(code::LND_NOT_READY, said),
        None => match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Trouble::refused(code::LND_MACAROON_REFUSED, said)
            }
            StatusCode::NOT_FOUND => answer.common(Common::NotFound, &said),
            _ => answer.trouble(&said),
        },
    }
}

/// The node is well, and waits for something that is not the same request again.
fn not_yet(code: &'static str, detail: String) -> Trouble {
    Trouble { code, fate: Fate::NotYet, detail, blames: Some(false) }
}
