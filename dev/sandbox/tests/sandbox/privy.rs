//! Privy: an app's keys, and tokens that they signed.

use anyhow::Context;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use sandbox::{PRIVY_APP_ID, Sandbox, privy::PrivyPerson};
use serde_json::{Value, json};

use crate::client::{call, sandbox};

const NOW: i64 = 1_900_000_000;

async fn published(sandbox: &Sandbox) -> anyhow::Result<Value> {
    let url = format!("{}/v1/apps/{PRIVY_APP_ID}/jwks.json", sandbox.privy().url());
    let (status, set) = call("GET", &url, &[], "").await?;
    assert_eq!((status, set["keys"].as_array().map(Vec::len)), (200, Some(1)));
    Ok(set["keys"][0].clone())
}

/// 0x04, x, y.
fn point(jwk: &Value) -> anyhow::Result<Vec<u8>> {
    let coordinate = |name: &str| BASE64URL_NOPAD.decode(jwk[name].as_str().unwrap_or_default().as_bytes());
    Ok([vec![4], coordinate("x")?, coordinate("y")?].concat())
}

/// Header and claims, if this key signed them.
fn opened(token: &str, point: &[u8]) -> anyhow::Result<[Value; 2]> {
    let (signed, signature) = token.rsplit_once('.').context("no signature")?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes())?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &signature).map_err(|_| anyhow::anyhow!("another key's"))?;
    let (header, claims) = signed.split_once('.').context("one part")?;
    let read = |part: &str| anyhow::Ok(serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes())?)?);
    Ok([read(header)?, read(claims)?])
}

#[tokio::test]
async fn tokens_are_signed_with_the_key_that_is_published() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let jwk = published(&sandbox).await?;
    let who = PrivyPerson::new("alice").email("a@example.com").wallet("0xabc");
    let tokens = sandbox.privy().tokens_at(&who, NOW);
    let [header, claims] = opened(&tokens.access, &point(&jwk)?)?;
    assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": jwk["kid"]}));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("privy.io"), &json!(PRIVY_APP_ID)));
    assert_eq!((&claims["sub"], &tokens.id), (&json!("did:privy:alice"), &String::from("did:privy:alice")));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 3_600)));
    assert!(claims["sid"].is_string() && claims.get("linked_accounts").is_none());
    let [_, claims] = opened(&tokens.identity, &point(&jwk)?)?;
    assert!(claims.get("sid").is_none(), "an identity token is of no session");
    let linked: Value = serde_json::from_str(claims["linked_accounts"].as_str().context("a string")?)?;
    assert_eq!(linked[0], json!({"type": "email", "address": "a@example.com", "lv": NOW}));
    assert_eq!((&linked[1]["address"], &linked[1]["chain_type"]), (&json!("0xabc"), &json!("ethereum")));
    assert!(!format!("{tokens:?}").contains(&tokens.access));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_key_is_the_same_for_a_seed_until_it_is_rotated() -> anyhow::Result<()> {
    let (sandbox, again) = (sandbox().await?, sandbox().await?);
    let first = published(&sandbox).await?;
    assert_eq!(first, published(&again).await?);
    let pem = sandbox.privy().verification_key();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(BASE64.decode(body.as_bytes())?.ends_with(&point(&first)?), "{pem}");
    let old = sandbox.privy().tokens_at(&PrivyPerson::new("alice"), NOW);
    sandbox.privy().rotate();
    let second = published(&sandbox).await?;
    assert_ne!(first["kid"], second["kid"]);
    let new = sandbox.privy().tokens_at(&PrivyPerson::new("alice"), NOW);
    assert!(opened(&new.access, &point(&second)?).is_ok());
    assert!(opened(&old.access, &point(&second)?).is_err());
    sandbox.stop().await;
    again.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_process_gets_tokens_too() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let control = format!("{}/sandbox/privy", sandbox.base_url());
    let who = json!({"name": "bob", "email": "b@example.com"}).to_string();
    let (status, made) = call("POST", &format!("{control}/tokens"), &[], &who).await?;
    assert_eq!((status, &made["id"]), (201, &json!("did:privy:bob")));
    let key = point(&published(&sandbox).await?)?;
    for token in ["access", "identity"] {
        opened(made[token].as_str().unwrap_or_default(), &key)?;
    }
    assert_eq!(call("POST", &format!("{control}/tokens"), &[], r#"{"colour":1}"#).await?.0, 400);
    assert_eq!(call("POST", &format!("{control}/rotate"), &[], "").await?.0, 200);
    assert_ne!(point(&published(&sandbox).await?)?, key);
    let other = format!("{}/v1/apps/another/jwks.json", sandbox.privy().url());
    assert_eq!(call("GET", &other, &[], "").await?.0, 404);
    sandbox.stop().await;
    Ok(())
}
