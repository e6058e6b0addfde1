//! The header `Stripe-Signature`: `t=<unix seconds>,v1=<hex>[,v1=<hex>…]`.
//!
//! What is signed is the time, a dot and the bytes as they came; parsed and written again they would be others. There
//! are several `v1` while an endpoint's secret is being rolled, and other schemes (`v0`) are filler.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use time::OffsetDateTime;

use super::event::MAX_BODY;
use crate::crypto::Secret;

/// How far from now a delivery may have been signed, either way. Stripe signs every repeat anew.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// Stripe's has some 150 bytes for one secret.
const MAX_HEADER: usize = 8 * 1024;
/// Stripe sends one for each secret that is still good, which are two at most.
const MAX_SIGNATURES: usize = 8;
const MAC_LENGTH: usize = 32;

const PREFIX: &str = "whsec_";
const SHORTEST_SECRET: usize = PREFIX.len() + 12;
const LONGEST_SECRET: usize = 255;
const MOST_SECRETS: usize = 4;

/// The secret document `satchel/stripe-webhooks`.
#[derive(Deserialize)]
pub struct EndpointSecretsDocument {
    platform: Vec<Secret<String>>,
    #[serde(default)]
    connect: Option<Vec<Secret<String>>>,
}

/// The signing secrets of our two endpoints, the current ones first. Without `connect` there is no second endpoint.
#[derive(Debug, Clone)]
pub struct EndpointSecrets {
    /// For what happens in our own account.
    pub platform: Vec<Secret<String>>,
    /// For what happens in connected accounts.
    pub connect: Vec<Secret<String>>,
}

impl TryFrom<EndpointSecretsDocument> for EndpointSecrets {
    type Error = &'static str;

    fn try_from(document: EndpointSecretsDocument) -> Result<Self, Self::Error> {
        let EndpointSecretsDocument { platform, connect } = document;
        let connect = connect.unwrap_or_default();
        if platform.is_empty() {
            return Err("has no secret under platform");
        }
        if platform.len() > MOST_SECRETS || connect.len() > MOST_SECRETS {
            return Err("has more than four secrets for one endpoint");
        }
        for secret in platform.iter().chain(&connect) {
            let secret = secret.expose();
            if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("has a secret that is not printable ASCII without blanks");
            }
            if !secret.starts_with(PREFIX) {
                return Err("has a secret that does not begin with whsec_");
            }
            if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&secret.len()) {
                return Err("has a secret that is not whsec_ and 12 to 249 characters");
            }
        }
        Ok(Self { platform, connect })
    }
}

/// Why a delivery is not believed. Says nothing of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    Missing,
    /// Not one `t` of digits and at least one `v1` of 64 lower-case hex digits.
    Malformed,
    BodyTooLong,
    /// Signed by one of the secrets, at another time: sent again by a stranger, or one of the two clocks is wrong.
    Stale,
    /// By none of the secrets.
    Wrong,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the delivery is not signed",
            Self::Malformed => "the signature is not one of Stripe's",
            Self::BodyTooLong => "the body is longer than any event",
            Self::Stale => "the delivery was signed at another time",
            Self::Wrong => "the signature is wrong",
        })
    }
}

impl std::error::Error for SignatureError {}

/// Whether one of `secrets` signed `body`, and did so now.
pub fn verify(
    header: Option<&str>,
    body: &[u8],
    secrets: &[Secret<String>],
    now: OffsetDateTime,
) -> Result<(), SignatureError> {
    let header = Header::parse(header.ok_or(SignatureError::Missing)?).ok_or(SignatureError::Malformed)?;
    if body.len() > MAX_BODY {
        return Err(SignatureError::BodyTooLong);
    }
    // All of them are tried, so that the time taken does not tell which it was; each comparison is constant in time.
    let mut good = 0;
    for secret in secrets.iter().filter(|secret| !secret.expose().trim().is_empty()) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let signed = [header.time.as_bytes(), b".", body].concat();
        good += header.macs.iter().filter(|mac| hmac::verify(&key, &signed, *mac).is_ok()).count();
    }
    if good == 0 {
        return Err(SignatureError::Wrong);
    }
    // Only now: who can sign nothing learns nothing of our clock, and `Stale` says that it was Stripe.
    if now.unix_timestamp().abs_diff(header.seconds) > TOLERANCE.as_secs() {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

struct Header<'a> {
    /// As it was written, for that is what is signed.
    time: &'a str,
    seconds: i64,
    macs: Vec<[u8; MAC_LENGTH]>,
}

impl<'a> Header<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        if header.len() > MAX_HEADER {
            return None;
        }
        let items = || header.split(',').filter_map(|item| item.split_once('='));
        let mut times = items().filter(|(scheme, _)| *scheme == "t").map(|(_, time)| time);
        let time = times.next().filter(|time| time.bytes().all(|byte| byte.is_ascii_digit()))?;
        if times.next().is_some() {
            return None;
        }
        let signatures = items().filter(|(scheme, _)| *scheme == "v1").map(|(_, hex)| hex);
        let macs: Vec<_> = signatures.take(MAX_SIGNATURES).filter_map(mac).collect();
        if macs.is_empty() { None } else { Some(Self { time, seconds: time.parse().ok()?, macs }) }
    }
}

fn mac(hex: &str) -> Option<[u8; MAC_LENGTH]> {
    let mut mac = [0; MAC_LENGTH];
    if hex.len() != 2 * MAC_LENGTH {
        return None;
    }
    HEXLOWER.decode_mut(hex.as_bytes(), &mut mac).ok()?;
    Some(mac)
}

#[cfg(test)]
mod tests;
