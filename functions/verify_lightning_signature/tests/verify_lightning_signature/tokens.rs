//! What the tokens say, who can check them, and how they travel.

use anyhow::Context;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde_json::{Value, json};
use shared::fresh::{self, SigningAlgorithm};
use testing::world::{AUDIENCE, ISSUER_URL};
use testing::{Outcome, Result, World};
use verify_lightning_signature::Deps;

use super::{DID, NAME, part, registration, rows, send, wire};

const GOOGLE: &str =
    "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit";

async fn sign_in(world: &World, changed: &[(&str, &str)], header: Option<&str>) -> Result<Outcome> {
    let deps = world.wire_with(NAME, changed, Deps::wire).await?;
    let mut call = registration(world, DID).await?.signed(&world.node("alice")?);
    if let Some(value) = header {
        call = call.header("x-refresh-transport", value);
    }
    let answer = send(&deps, &call).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Ok(answer)
}

/// The signature checked, and nothing else.
fn checked(token: &str, algorithm: Algorithm, key: &DecodingKey) -> Result<Value> {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    Ok(jsonwebtoken::decode::<Value>(token, key, &validation)?.claims)
}

#[tokio::test]
async fn an_access_token_says_exactly_this() -> Result<()> {
    let world = World::start().await?;
    let answer = sign_in(&world, &[("ACCESS_TTL_SECONDS", "600")], None).await?;
    let token = answer.text("/data/accessToken")?;
    let row = world.db.admin().await?;
    let row = row
        .query_typed("SELECT s.id, s.user_id, k.kid FROM sessions s CROSS JOIN signing_keys k", &[])
        .await?;
    let (session, user) = (row[0].get::<_, uuid::Uuid>(0), row[0].get::<_, uuid::Uuid>(1));
    let kid: &str = row[0].get(2);
    assert_eq!(part(token, 0)?, json!({ "typ": "at+jwt", "alg": "RS256", "kid": kid }));
    let claims = part(token, 1)?;
    let expected = json!({
        "iss": ISSUER_URL,
        "aud": AUDIENCE,
        "sub": user,
        "sid": session,
        "jti": claims["jti"],
        "iat": 1_767_960_000,
        "nbf": 1_767_960_000,
        "exp": 1_767_960_600,
        "scope": "user",
    });
    assert_eq!(claims, expected);
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() == 36));
    assert_eq!(answer.body["data"]["expiresIn"], 600);
    Ok(())
}

#[tokio::test]
async fn tokens_of_both_algorithms_check_with_the_published_key() -> Result<()> {
    for (made, algorithm) in
        [(SigningAlgorithm::Rs256, Algorithm::RS256), (SigningAlgorithm::Es256, Algorithm::ES256)]
    {
        let world = World::start().await?;
        world.sandbox.secrets().put("satchel/signing", &fresh::signing(made)?.to_string());
        let answer = sign_in(&world, &[], None).await?;
        let row = world.db.admin().await?.query_typed("SELECT jwk FROM signing_keys", &[]).await?;
        let jwk: Jwk = serde_json::from_value(row[0].get(0))?;
        let claims = checked(answer.text("/data/accessToken")?, algorithm, &DecodingKey::from_jwk(&jwk)?)?;
        assert_eq!(claims["iss"], ISSUER_URL);
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(row[0].get::<_, Value>(0).get(private).is_none(), "{private} of the key is published");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_stands_in_the_body_unless_a_cookie_is_asked_for() -> Result<()> {
    let world = World::start().await?;
    let answer = sign_in(&world, &[], None).await?;
    assert!(answer.text("/data/refreshToken")?.len() >= 40);
    assert!(answer.reply.cookies.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_in_a_cookie_stands_nowhere_else() -> Result<()> {
    for header in ["cookie", "Cookie"] {
        let world = World::start().await?;
        let days = [("SESSION_ABSOLUTE_DAYS", "2")];
        let answer = sign_in(&world, &days, Some(header)).await?;
        assert!(answer.body["data"].get("refreshToken").is_none(), "{answer:?}");
        let [cookie] = answer.reply.cookies.as_slice() else { anyhow::bail!("not one cookie: {answer:?}") };
        let (value, attributes) = cookie.split_once("; ").context("no attributes")?;
        let token = value.strip_prefix("__Host-rt=").context("not a __Host- cookie")?;
        assert_eq!(attributes, "Path=/; Max-Age=172800; HttpOnly; Secure; SameSite=Strict");
        assert!(token.len() >= 40 && !answer.reply.body.contains(token));
    }
    Ok(())
}

#[tokio::test]
async fn a_session_remembers_how_and_until_when() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let call = registration(&world, DID).await?.signed(&node).header("user-agent", &"x".repeat(300));
    send(&wire(&world).await?, &call).await?;
    let expected = format!(
        "sessions WHERE identity_kind = 'did' AND identity_subject = '{DID}' AND pubkey = '{}'
           AND node_auth_at = '2026-01-09 12:00Z' AND idle_expires_at = '2026-01-16 12:00Z'
           AND absolute_expires_at = '2026-02-08 12:00Z' AND ip = '203.0.113.7'
           AND user_agent = repeat('x', 256) AND revoked_at IS NULL",
        node.pubkey
    );
    assert_eq!(rows(&world, &expected).await?, 1);
    Ok(())
}

#[tokio::test]
async fn no_token_and_no_signature_stands_in_the_database() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let given = registration(&world, DID).await?;
    let signature = node.sign(&given.text);
    let answer = send(&wire(&world).await?, &given.answer(&signature)).await?;
    let admin = world.db.admin().await?;
    let mut everything = String::new();
    for table in
        ["users", "identities", "sessions", "challenges", "audit_logs", "audit_chains", "rate_limits"]
    {
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t");
        everything.push_str(admin.query_typed(&query, &[]).await?[0].get(0));
    }
    assert!(everything.contains(&node.pubkey), "the look into the database sees something");
    for secret in [answer.text("/data/accessToken")?, answer.text("/data/refreshToken")?, &signature] {
        assert!(!everything.contains(secret), "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn with_a_service_account_the_custom_token_is_firebases() -> Result<()> {
    let world = World::start().await?;
    let key = fresh::signing_key(SigningAlgorithm::Rs256)?;
    let pem = key["private_key"].as_str().context("no private key")?;
    let email = "satchel@example.iam.gserviceaccount.com";
    let account = json!({ "type": "service_account", "client_email": email, "private_key": pem });
    world.sandbox.secrets().put("satchel/firebase", &account.to_string());
    let answer = sign_in(&world, &[("FIREBASE_SECRET", "satchel/firebase")], None).await?;

    let token = answer.text("/data/customToken")?;
    assert_ne!(token, answer.text("/data/accessToken")?);
    let header = part(token, 0)?;
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
    let encoding = EncodingKey::from_rsa_pem(pem.as_bytes())?;
    let public = DecodingKey::from_jwk(&Jwk::from_encoding_key(&encoding, Algorithm::RS256)?)?;
    let claims = checked(token, Algorithm::RS256, &public)?;
    for (claim, value) in [("iss", email), ("sub", email), ("aud", GOOGLE), ("uid", DID)] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    let (iat, exp) = (claims["iat"].as_i64().context("iat")?, claims["exp"].as_i64().context("exp")?);
    assert!(iat <= 1_767_960_000 && exp > 1_767_960_000 && exp - iat <= 3_600, "{claims}");
    Ok(())
}
