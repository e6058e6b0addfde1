//! An app's key: on the curve P-256, in every form it is wanted in.

use std::fmt::Write;

use anyhow::anyhow;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::seed::Seed;

/// RFC 5915 around the 32 bytes of a private key: version 1, and that the curve is P-256.
const BEFORE_PRIVATE: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
const AFTER_PRIVATE: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// RFC 5480 before the 65 bytes of a public key.
const BEFORE_PUBLIC: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const PEM_LINE: usize = 64;

pub(super) struct Key {
    pub(super) id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    /// The `serial`th of this seed.
    pub(super) fn new(seed: Seed, serial: u32) -> anyhow::Result<Self> {
        let mut der = BEFORE_PRIVATE.to_vec();
        der.extend(seed.bytes(&format!("privy key {serial}")));
        der.extend(AFTER_PRIVATE);
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der);
        let pair = pair.map_err(|why| anyhow!("no key for Privy: {why}"))?;
        let id = digest(&SHA256, pair.public_key().as_ref());
        Ok(Self { id: BASE64URL_NOPAD.encode(id.as_ref()), pair })
    }

    /// 0x04, x, y.
    fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(super) fn jwk(&self) -> Value {
        let coordinate =
            |from: usize| BASE64URL_NOPAD.encode(self.public().get(from..from + 32).unwrap_or_default());
        json!({
            "kty": "EC",
            "crv": "P-256",
            "x": coordinate(1),
            "y": coordinate(33),
            "kid": self.id,
            "use": "sig",
            "alg": "ES256",
        })
    }

    pub(super) fn pem(&self) -> String {
        let body = BASE64.encode(&[BEFORE_PUBLIC, self.public()].concat());
        let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
        for line in body.as_bytes().chunks(PEM_LINE) {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END PUBLIC KEY-----\n");
        text
    }

    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature =
            signature.map_or_else(|_| String::new(), |bytes| BASE64URL_NOPAD.encode(bytes.as_ref()));
        format!("{signed}.{signature}")
    }
}
