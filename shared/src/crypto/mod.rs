//! Secrets at rest: a type that does not print itself, and a key ring that seals fields.

mod purpose;
mod seal;
mod secret;
#[cfg(test)]
mod tests;

pub use purpose::{Purpose, UnknownPurpose};
pub use seal::{Field, KeyRing, OpenError, SETTLING_TIME, SealError, SealingKey, SealingKeys, beginning};
pub use secret::Secret;

use aws_lc_rs::hmac;

/// HMAC-SHA256 of `parts`, each preceded by its length so that no two lists of parts collide.
pub fn mac(key: &Secret<[u8; 32]>, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}
