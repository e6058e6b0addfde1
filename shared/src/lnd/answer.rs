//! LND's refusals. Nearly all of them are HTTP 500 with `{"code":2,"message":…}`, because LND returns plain errors:
//! what happened is in the message.

use http::StatusCode;
use serde::Deserialize;

use crate::upstream::{Answer, Common, Fate, Trouble, code};

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    /// Where LND before 0.13 said it.
    #[serde(default)]
    error: String,
}

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
    let refusal = serde_json::from_slice::<Refusal>(&answer.body).ok();
    let is_lnds = refusal.is_some();
    let said =
        refusal.map(|it| if it.message.is_empty() { it.error } else { it.message }).unwrap_or_default();
    let lower = said.to_ascii_lowercase();
    let found = MEANINGS.iter().find(|(words, _)| lower.contains(words));
    match found {
        Some((_, Meaning::MacaroonRefused)) => Trouble::refused(code::LND_MACAROON_REFUSED, said),
        Some((_, Meaning::PasswordRefused)) => Trouble::refused(code::LND_PASSWORD_REFUSED, said),
        Some((_, Meaning::WalletExists)) => Trouble::refused(code::LND_WALLET_EXISTS, said),
        Some((_, Meaning::WalletLocked)) => not_yet(code::LND_WALLET_LOCKED, said),
        Some((_, Meaning::NotReady)) => not_yet(code::LND_NOT_READY, said),
        None => match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if is_lnds => {
                Trouble::refused(code::LND_MACAROON_REFUSED, said)
            }
            StatusCode::NOT_FOUND if is_lnds => answer.common(Common::NotFound, &said),
            StatusCode::NOT_FOUND => answer.unexpected("404: not LND's own"),
            _ => answer.trouble(&said),
        },
    }
}

/// The node is well, and waits for something that is not the same request again.
fn not_yet(code: &'static str, detail: String) -> Trouble {
    Trouble { code, fate: Fate::NotYet, detail, blames: false }
}
