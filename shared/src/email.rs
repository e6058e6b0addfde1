//! E-mail addresses: one spelling for each mailbox, and nothing in it that a mail's header could be broken with.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use url::Host;

use crate::crypto::Secret;

const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;
const MAX_LABEL_BYTES: usize = 63;
/// What may stand before the `@` besides letters, digits and single dots (RFC 5322 `atext`).
const LOCAL_MARKS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";

/// An address in its one spelling: lower-cased, its domain in ASCII. Two that are equal are the same mailbox.
///
/// Its `Debug` is redacted: addresses are personal, and no log line holds one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// The text is not an address we can send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEmail;

impl fmt::Display for InvalidEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not an e-mail address")
    }
}

impl std::error::Error for InvalidEmail {}

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    /// Takes an ASCII local part and a domain in any script. A local part in another script is refused: which of
    /// its look-alikes are one mailbox is known to its server alone.
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        if local.len() > MAX_LOCAL_BYTES || domain.len() > MAX_BYTES || !is_local(local) {
            return Err(InvalidEmail);
        }
        let address = format!("{}@{}", local.to_ascii_lowercase(), ascii(domain)?);
        if address.len() > MAX_BYTES { Err(InvalidEmail) } else { Ok(Self(address)) }
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a secret, whose errors do not quote what they found.
        let text = Secret::<String>::deserialize(deserializer)?;
        text.expose().parse().map_err(D::Error::custom)
    }
}

/// Words of letters, digits and marks, with single dots between them.
fn is_local(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || LOCAL_MARKS.contains(&byte);
    text.split('.').all(|word| !word.is_empty() && word.bytes().all(known))
}

/// The domain as DNS has it.
fn ascii(domain: &str) -> Result<String, InvalidEmail> {
    // A URL's host may be percent-encoded; a mail's may not.
    if domain.contains('%') {
        return Err(InvalidEmail);
    }
    match Host::parse(domain) {
        Ok(Host::Domain(name)) if is_domain(&name) => Ok(name),
        _ => Err(InvalidEmail),
    }
}

/// At least two labels of letters, digits and inner hyphens, the last of them no number.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.contains('.') && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
