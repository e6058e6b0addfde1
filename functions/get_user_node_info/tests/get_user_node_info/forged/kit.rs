//! What a forger has and has not: the real key to sign odd forms with, and keys of their own.

use anyhow::Context;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::KeyPair;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use shared::fresh::{self, SigningAlgorithm};
use testing::world::{AUDIENCE, ISSUER_URL};
use testing::{Result, SignedIn, World};

use super::super::{KEY_2, OTHER_DID, owner};

pub struct Kit<'a> {
    pub world: &'a World,
    pub user: SignedIn,
    pub other: SignedIn,
    /// A token that gets in.
    pub good: String,
    pub kid: String,
    pub real: EncodingKey,
    pub public: Public,
    pub attacker: EncodingKey,
    pub attacker_public: Public,
    pub attacker_elliptic: EncodingKey,
    pub now: i64,
}

/// A public RSA key in all its spellings.
pub struct Public {
    pub pkcs1: Vec<u8>,
    pub spki: Vec<u8>,
    pub jwk: Value,
}

impl<'a> Kit<'a> {
    pub async fn new(world: &'a World) -> Result<Self> {
        let user = owner(world).await?;
        let other = world.sign_in(OTHER_DID, KEY_2).await?;
        let document = world.sandbox.secrets().get("satchel/signing").context("no signing secret")?;
        let document: Value = serde_json::from_str(&document)?;
        let real = &document["keys"][0];
        let attacker = make(SigningAlgorithm::Rs256)?;
        Ok(Self {
            good: user.access_token.clone(),
            kid: real["kid"].as_str().context("no kid")?.to_owned(),
            real: EncodingKey::from_rsa_pem(pem(real)?.as_bytes())?,
            public: Public::of(real)?,
            attacker: EncodingKey::from_rsa_pem(pem(&attacker)?.as_bytes())?,
            attacker_public: Public::of(&attacker)?,
            attacker_elliptic: EncodingKey::from_ec_pem(pem(&make(SigningAlgorithm::Es256)?)?.as_bytes())?,
            now: world.now().unix_timestamp(),
            world,
            user,
            other,
        })
    }

    /// The header of a good token.
    pub fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": self.kid })
    }

    /// What a good token claims.
    pub fn claims(&self) -> Value {
        json!({
            "iss": ISSUER_URL,
            "aud": AUDIENCE,
            "sub": self.user.user_id,
            "sid": self.user.session_id,
            "jti": self.user.session_id,
            "iat": self.now,
            "nbf": self.now,
            "exp": self.now + 1800,
            "scope": "user",
        })
    }

    /// Signed with the real key, whatever the header says.
    pub fn signed(&self, header: &Value, claims: &Value) -> Result<String> {
        self.signed_text(&header.to_string(), &claims.to_string())
    }

    pub fn signed_text(&self, header: &str, claims: &str) -> Result<String> {
        jws(header, claims, &self.real, Algorithm::RS256)
    }

    /// Signed with the forger's own RSA key.
    pub fn forged(&self, header: &Value) -> Result<String> {
        jws(&header.to_string(), &self.claims().to_string(), &self.attacker, Algorithm::RS256)
    }
}

impl Public {
    fn of(key: &Value) -> Result<Self> {
        let body: String = pem(key)?.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = rsa::KeyPair::from_pkcs8(&BASE64.decode(body.as_bytes())?)?;
        let public = pair.public_key();
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(public)?.as_ref().to_vec();
        let number = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let (n, e) = (public.modulus(), public.exponent());
        let jwk = json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": key["kid"],
            "n": number(n.big_endian_without_leading_zero()),
            "e": number(e.big_endian_without_leading_zero()),
        });
        Ok(Self { pkcs1: public.as_ref().to_vec(), spki, jwk })
    }

    pub fn pem(kind: &str, der: &[u8]) -> String {
        let body = BASE64.encode(der);
        let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
    }
}

fn make(algorithm: SigningAlgorithm) -> Result<Value> {
    fresh::signing_key(algorithm).map_err(|_| anyhow::anyhow!("no key was made"))
}

fn pem(key: &Value) -> Result<&str> {
    key["private_key"].as_str().context("no private key")
}

/// A JWS of these two texts, whatever they are.
pub fn jws(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> Result<String> {
    let signed = format!("{}.{}", base64(header), base64(claims));
    let signature = crypto::sign(signed.as_bytes(), key, algorithm)?;
    Ok(format!("{signed}.{signature}"))
}

pub fn base64(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

/// `object` with one field in place of what it says, or without it.
pub fn changed(object: &Value, field: &str, value: Option<Value>) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
    }
    object
}
