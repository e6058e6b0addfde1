//! Access tokens, read, and signed anew with the deployment's own key.

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::client::text;
use crate::stack::Stack;

/// What a token says, unchecked.
pub fn claims(token: &str) -> Result<Value> {
    Ok(jsonwebtoken::dangerous::insecure_decode::<Value>(token)?.claims)
}

pub fn user_of(token: &str) -> Result<String> {
    Ok(text(&claims(token)?, "/sub")?.to_owned())
}

pub fn session_of(token: &str) -> Result<String> {
    Ok(text(&claims(token)?, "/sid")?.to_owned())
}

/// The same token as it would be an hour after its time.
pub fn expired(stack: &Stack, token: &str) -> Result<String> {
    signed_anew(stack, token, |claims| {
        for time in ["iat", "nbf", "exp"] {
            claims[time] = json!(claims[time].as_i64().unwrap_or_default() - 2 * 3_600);
        }
    })
}

/// The same token with other claims, signed with the real key.
pub fn signed_anew(stack: &Stack, token: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    let secret = stack.sandbox.secrets().get("satchel/signing").context("no signing key")?;
    let secret: Value = serde_json::from_str(&secret)?;
    let key = EncodingKey::from_rsa_pem(text(&secret, "/keys/0/private_key")?.as_bytes())?;
    let known = jsonwebtoken::decode_header(token)?;
    let mut claims = claims(token)?;
    change(&mut claims);
    let header = Header { typ: known.typ, kid: known.kid, ..Header::new(Algorithm::RS256) };
    Ok(jsonwebtoken::encode(&header, &claims, &key)?)
}
