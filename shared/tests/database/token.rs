//! Tokens: issued, checked, and refused.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::firebase::{ServiceAccount, ServiceAccountDocument};
use shared::fresh::{self, SigningAlgorithm};
use shared::random::Random;
use shared::token::{AccessClaims, AccessGrant, StepUp, TokenError, TokenIssuer, TokenVerifier};
use testing::{Result, World};
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::NOW;

pub struct Tokens {
    pub world: World,
    pub client: Client,
    pub issuer: TokenIssuer,
    pub verifier: TokenVerifier,
    pub signing: Value,
}

impl Tokens {
    pub async fn with(algorithm: SigningAlgorithm) -> Result<Self> {
        let world = World::start().await?;
        let signing = fresh::signing(algorithm)?;
        world.sandbox.secrets().put("satchel/signing", &signing.to_string());
        let issuer = world.wire("verify_lightning_signature", TokenIssuer::wire).await?;
        let verifier = world.wire("get_user_node_info", TokenVerifier::wire).await?;
        let client = world.db.connect(Role::Auth).await?;
        Ok(Self { world, client, issuer, verifier, signing })
    }

    pub async fn issue(&self, now: OffsetDateTime) -> Result<String> {
        Ok(self.issuer.access(&self.client, &grant(), now).await?.expose().clone())
    }

    pub async fn verify(&self, token: &str, now: OffsetDateTime) -> Result<AccessClaims, TokenError> {
        self.verifier.access(&self.client, token, now).await
    }

    /// A token of any claims under any header, signed with the issuer's own key.
    fn sign(&self, header: &Header, claims: &Value) -> Result<String> {
        let pem = self.signing["keys"][0]["private_key"].as_str().unwrap_or_default();
        let key = match header.alg {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes())?,
            _ => EncodingKey::from_rsa_pem(pem.as_bytes())?,
        };
        Ok(jsonwebtoken::encode(header, claims, &key)?)
    }
}

pub fn grant() -> AccessGrant {
    AccessGrant {
        user_id: Uuid::from_u128(1),
        session_id: Uuid::from_u128(2),
        token_id: Uuid::from_u128(3),
        admin: false,
    }
}

/// One part of a token, read without any check.
pub fn part(token: &str, nth: usize) -> Result<Value> {
    let part = token.split('.').nth(nth).unwrap_or_default();
    Ok(serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes())?)?)
}

fn unix(at: OffsetDateTime) -> i64 {
    at.unix_timestamp()
}

#[tokio::test]
async fn a_token_says_who_for_whom_and_how_long_under_either_algorithm() -> Result<()> {
    for (algorithm, name) in [(SigningAlgorithm::Rs256, "RS256"), (SigningAlgorithm::Es256, "ES256")] {
        let tokens = Tokens::with(algorithm).await?;
        let token = tokens.issue(NOW).await?;

        let kid = &tokens.signing["keys"][0]["kid"];
        assert_eq!(part(&token, 0)?, json!({ "typ": "at+jwt", "alg": name, "kid": kid }));
        let expected = json!({
            "iss": "https://api.example.com",
            "aud": "satchel",
            "sub": Uuid::from_u128(1),
            "sid": Uuid::from_u128(2),
            "jti": Uuid::from_u128(3),
            "iat": unix(NOW),
            "nbf": unix(NOW),
            "exp": unix(NOW) + 1_800,
            "scope": "user",
        });
        assert_eq!(part(&token, 1)?, expected);
        let claims = tokens.verify(&token, NOW).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        assert_eq!(serde_json::to_value(claims)?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_good_for_the_time_configured_and_the_leeway_between_clocks() -> Result<()> {
    let mut tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let random = Random::system();
    for _ in 0..100 {
        let ttl = 60 + u32::from_be_bytes(random.bytes()) % (86_400 - 60);
        tokens.issuer.access_ttl = std::time::Duration::from_secs(ttl.into());
        let token = tokens.issue(NOW).await?;
        let exp = NOW + Duration::seconds(ttl.into());

        assert_eq!(part(&token, 1)?["exp"], unix(exp), "{ttl}");
        for good in [-1, 0, 4] {
            assert!(tokens.verify(&token, exp + Duration::seconds(good)).await.is_ok(), "{ttl} {good}");
        }
        for late in [5, 6, 86_400] {
            let refused = tokens.verify(&token, exp + Duration::seconds(late)).await.err();
            assert!(matches!(refused, Some(TokenError::Expired)), "{ttl} {late}: {refused:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_lifetime_is_the_environments_to_say() -> Result<()> {
    let world = World::start().await?;
    let client = world.db.connect(Role::Auth).await?;
    for (ttl, good) in
        [("60", true), ("900", true), ("86400", true), ("59", false), ("86401", false), ("0", false)]
    {
        let changed = [("ACCESS_TTL_SECONDS", ttl)];
        let issuer = world.wire_with("verify_lightning_signature", &changed, TokenIssuer::wire).await;
        assert_eq!(issuer.is_ok(), good, "{ttl}");
        let Ok(issuer) = issuer else { continue };
        let token = issuer.access(&client, &grant(), NOW).await?;
        assert_eq!(part(token.expose(), 1)?["exp"], unix(NOW) + ttl.parse::<i64>()?);
    }
    Ok(())
}

#[tokio::test]
async fn a_token_from_the_future_is_refused() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let token = tokens.issue(NOW).await?;
    assert!(tokens.verify(&token, NOW - Duration::seconds(5)).await.is_ok());
    let refused = tokens.verify(&token, NOW - Duration::seconds(6)).await.err();
    assert!(matches!(refused, Some(TokenError::Refused)), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn no_changed_or_foreign_token_is_taken() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let good = tokens.issue(NOW).await?;
    let stranger = Tokens::with(SigningAlgorithm::Es256).await?.issue(NOW).await?;
    let mut wrong = vec![stranger, String::new(), "a.b.c".into(), format!("{good}."), "x".repeat(5_000)];
    // One letter of each part; the last letter of a part may hold unused bits.
    for (at, letter) in good.char_indices().filter(|(at, _)| at % 7 == 3) {
        let mut changed = good.clone().into_bytes();
        changed[at] = if letter == 'A' { b'B' } else { b'A' };
        wrong.extend(String::from_utf8(changed));
    }
    for token in wrong {
        let refused = tokens.verify(&token, NOW).await.err();
        assert!(matches!(refused, Some(TokenError::Refused)), "{token}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn our_signature_under_another_header_or_over_other_claims_is_refused() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Rs256).await?;
    let good = tokens.issue(NOW).await?;
    let claims = part(&good, 1)?;
    let mut header = Header::new(Algorithm::RS256);
    header.typ = Some("at+jwt".into());
    header.kid = tokens.signing["keys"][0]["kid"].as_str().map(str::to_owned);
    assert!(tokens.verify(&tokens.sign(&header, &claims)?, NOW).await.is_ok());

    let mut wrong = Vec::new();
    for (name, value) in [
        ("iss", json!("https://evil.example.com")),
        ("iss", json!("https://api.example.com/")),
        ("aud", json!("satchel/step-up")),
        ("aud", json!("other")),
        ("sub", json!("nobody")),
        ("exp", json!("never")),
        ("exp", json!(i64::MAX)),
        ("nbf", json!(unix(NOW) + 60)),
        ("iat", json!(unix(NOW) + 60)),
    ] {
        let mut changed = claims.clone();
        changed[name] = value;
        wrong.push(tokens.sign(&header, &changed)?);
    }
    for name in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "scope"] {
        let mut changed = claims.clone();
        changed.as_object_mut().and_then(|claims| claims.remove(name));
        wrong.push(tokens.sign(&header, &changed)?);
    }
    for typ in [None, Some("JWT"), Some("step-up+jwt"), Some("AT+JWT")] {
        wrong.push(tokens.sign(&Header { typ: typ.map(str::to_owned), ..header.clone() }, &claims)?);
    }
    wrong.push(tokens.sign(&Header { kid: None, ..header.clone() }, &claims)?);
    wrong.push(tokens.sign(&Header { kid: Some("k".repeat(129)), ..header.clone() }, &claims)?);
    wrong.push(tokens.sign(&Header { alg: Algorithm::RS512, ..header.clone() }, &claims)?);
    wrong.push(tokens.sign(&Header { alg: Algorithm::PS256, ..header.clone() }, &claims)?);
    // Symmetric, with what everybody can read; and not signed at all.
    let public = EncodingKey::from_secret(good.split('.').next().unwrap_or_default().as_bytes());
    wrong.push(jsonwebtoken::encode(&Header { alg: Algorithm::HS256, ..header.clone() }, &claims, &public)?);
    let none = json!({ "typ": "at+jwt", "alg": "none", "kid": header.kid });
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    wrong.push(format!("{}.{}.", encode(&none), encode(&claims)));

    for token in wrong {
        let refused = tokens.verify(&token, NOW).await.err();
        let said = format!("{} {}: {refused:?}", part(&token, 0)?, part(&token, 1)?);
        assert!(matches!(refused, Some(TokenError::Refused)), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn an_approval_of_a_payment_opens_nothing_else() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let approval = StepUp {
        user_id: Uuid::from_u128(1),
        challenge_id: Uuid::from_u128(9),
        did: "did:mnemonic:0123456789abcdef",
        amount_msat: 21_000,
        destination: "bc1q",
    };
    let token = tokens.issuer.step_up(&tokens.client, &approval, NOW).await?;

    assert_eq!(part(token.expose(), 0)?["typ"], "step-up+jwt");
    let expected = json!({
        "iss": "https://api.example.com",
        "aud": "satchel/step-up",
        "sub": Uuid::from_u128(1),
        "did": "did:mnemonic:0123456789abcdef",
        "amount_msat": 21_000,
        "destination": "bc1q",
        "jti": Uuid::from_u128(9),
        "iat": unix(NOW),
        "exp": unix(NOW) + 300,
    });
    assert_eq!(part(token.expose(), 1)?, expected);
    let refused = tokens.verify(token.expose(), NOW).await.err();
    assert!(matches!(refused, Some(TokenError::Refused)), "{refused:?}");
    Ok(())
}

#[test]
fn a_firebase_token_has_the_very_header_and_claims_firebase_asks_for() -> Result<()> {
    let key = fresh::signing_key(SigningAlgorithm::Rs256)?;
    let document: ServiceAccountDocument = serde_json::from_value(json!({
        "type": "service_account",
        "client_email": "satchel@project.iam.gserviceaccount.com",
        "private_key": key["private_key"],
    }))?;
    let account = ServiceAccount::try_from(document).map_err(anyhow::Error::msg)?;

    let token: Secret<String> = account.custom_token("the user", NOW)?;

    assert_eq!(part(token.expose(), 0)?, json!({ "typ": "JWT", "alg": "RS256" }));
    let audience =
        "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit";
    let expected = json!({
        "iss": "satchel@project.iam.gserviceaccount.com",
        "sub": "satchel@project.iam.gserviceaccount.com",
        "aud": audience,
        "iat": unix(NOW) - 5,
        "exp": unix(NOW) - 5 + 3_600,
        "uid": "the user",
    });
    assert_eq!(part(token.expose(), 1)?, expected);
    Ok(())
}
