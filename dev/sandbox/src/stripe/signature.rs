//! `Stripe-Signature`: HMAC-SHA256 of `t.body`, keyed with the whole `whsec_…` text.

use data_encoding::HEXLOWER;

use crate::seed::hmac_sha256;

/// The header for a body: one `v1` per secret, and the `v0` of test mode, which means nothing.
pub(crate) fn header(body: &[u8], secrets: &[&str], at: i64) -> String {
    let signed = [at.to_string().as_bytes(), b".", body].concat();
    let one = |secret: &&str| format!(",v1={}", HEXLOWER.encode(&hmac_sha256(secret.as_bytes(), &signed)));
    let all: String = secrets.iter().map(one).collect();
    format!("t={at}{all},v0={}", HEXLOWER.encode(&hmac_sha256(b"", &signed)))
}

/// As Stripe would sign this body with this secret at this second.
pub fn sign(body: &[u8], secret: &str, at: i64) -> String {
    header(body, &[secret], at)
}
