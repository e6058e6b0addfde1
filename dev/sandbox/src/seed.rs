//! Where every "random" byte of the sandbox comes from: HMAC-SHA256 of a label under the seed.
//!
//! Labels rather than one stream, so that what one service draws does not change what another gets.

use aws_lc_rs::hmac;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn bytes(self, label: &str) -> [u8; 32] {
        hmac_sha256(&self.0.to_be_bytes(), label.as_bytes())
    }

    /// Uniform in `0.0 ..= 1.0`.
    pub(crate) fn fraction(self, label: &str) -> f64 {
        let [a, b, c, d, ..] = self.bytes(label);
        f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
    }

    /// Into another order, the same one for the same label.
    pub(crate) fn shuffle<T>(self, label: &str, all: Vec<T>) -> Vec<T> {
        let mut drawn: Vec<([u8; 32], T)> = all
            .into_iter()
            .enumerate()
            .map(|(at, one)| (self.bytes(&format!("{label} {at}")), one))
            .collect();
        drawn.sort_by_key(|(lot, _)| *lot);
        drawn.into_iter().map(|(_, one)| one).collect()
    }

    pub(crate) fn uuid(self, label: &str) -> String {
        let [b @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.bytes(label);
        uuid::Builder::from_random_bytes(b).into_uuid().to_string()
    }
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}
