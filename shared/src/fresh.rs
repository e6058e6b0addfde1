//! Fresh, strong values for every secret, in the documents that functions read them from.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::crypto::{Purpose, Secret, sha256};
use crate::db::roles::Role;
use crate::random::Random;

/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// How tokens are signed: RS256 is what every gateway's authorizer takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningAlgorithm {
    #[default]
    Rs256,
    Es256,
}

/// One entry of `satchel/signing`. The key id is the digest of the private key, which is as unique as it.
pub fn signing_key(algorithm: SigningAlgorithm) -> Result<Value, aws_lc_rs::error::Unspecified> {
    let (name, der) = match algorithm {
        SigningAlgorithm::Rs256 => {
            let pair = KeyPair::generate(KeySize::Rsa2048)?;
            ("RS256", AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?.as_ref().to_vec())
        }
        SigningAlgorithm::Es256 => {
            let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
            ("ES256", made.as_ref().to_vec())
        }
    };
    let kid = BASE64URL_NOPAD.encode(&sha256(&der)[..12]);
    Ok(json!({ "kid": kid, "alg": name, "private_key": pem(&der) }))
}

/// `satchel/signing` with one key.
pub fn signing(algorithm: SigningAlgorithm) -> Result<Value, aws_lc_rs::error::Unspecified> {
    Ok(json!({ "keys": [signing_key(algorithm)?] }))
}

/// One entry of `satchel/sealing`, for these purposes; for every purpose if none is named.
pub fn sealing_key(id: u32, purposes: &[Purpose], now: OffsetDateTime, random: &Random) -> Value {
    let created_at = now.format(&Rfc3339).unwrap_or_default();
    let mut entry =
        json!({ "id": id, "created_at": created_at, "key": BASE64.encode(&random.bytes::<32>()) });
    if !purposes.is_empty() {
        entry["purposes"] = purposes.iter().map(|purpose| purpose.name()).collect();
    }
    entry
}

/// `satchel/sealing` with one key.
pub fn sealing(now: OffsetDateTime, random: &Random) -> Value {
    json!({ "keys": [sealing_key(1, &[], now, random)] })
}

/// `satchel/audit`.
pub fn audit(random: &Random) -> Value {
    json!({ "key": BASE64.encode(&random.bytes::<32>()) })
}

/// `satchel/marker`.
pub fn marker(random: &Random) -> Value {
    json!({ "key": BASE64.encode(&random.bytes::<32>()) })
}

/// A password of 256 bits, in letters that need no quoting anywhere.
pub fn password(random: &Random) -> Secret<String> {
    Secret::new(BASE64URL_NOPAD.encode(&random.bytes::<32>()))
}

/// Where a database is, for [`database`].
#[derive(Clone, Debug)]
pub struct DatabaseAddress {
    pub host: String,
    pub port: u16,
    pub dbname: String,
    /// `require`, or `disable` on loopback.
    pub sslmode: &'static str,
}

/// `satchel/database/<role>`.
pub fn database(address: &DatabaseAddress, role: Role, password: &Secret<String>) -> Value {
    json!({
        "host": address.host,
        "port": address.port,
        "dbname": address.dbname,
        "username": role.name(),
        "password": password.expose(),
        "sslmode": address.sslmode,
    })
}

fn pem(der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in body.as_bytes().chunks(PEM_LINE) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}
