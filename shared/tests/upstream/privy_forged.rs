//! Tokens that Privy did not make for us, or not for this, or not for now.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use sandbox::PRIVY_APP_ID;
use sandbox::privy::PrivyPerson;
use serde_json::{Value, json};
use shared::privy::Why;
use testing::Result;

use crate::privy::{NOW, Scene, alice, why};

fn part(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// Signed with a shared secret, as the header may claim.
fn with_hmac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
}

/// Somebody else's key, and its public half as a header may hold it.
fn other_key() -> Result<(EcdsaKeyPair, Value)> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let public = pair.public_key().as_ref();
    let coordinate = |from: usize| BASE64URL_NOPAD.encode(&public[from..from + 32]);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33)});
    Ok((pair, jwk))
}

fn with_key(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> Result<String> {
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes())?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())))
}

/// Once with the keys fetched, once with the key in the secret.
async fn scenes() -> Result<[Scene; 2]> {
    Ok([Scene::new().await?, Scene::with_key(|pem| pem).await?])
}

#[tokio::test]
async fn nothing_but_es256_is_taken_whatever_the_header_says() -> Result<()> {
    for scene in scenes().await? {
        let privy = scene.ground.sandbox.privy();
        let (claims, pem) = (privy.claims(&alice(), NOW), privy.verification_key());
        let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": privy.header()["kid"]});
        for alg in ["none", "None", "NONE", "nOnE", "", "ES512", "ES256K", "HS512x"] {
            let unsigned = format!("{}.{}.", part(&header(alg)), part(&claims));
            assert_eq!(scene.why(&unsigned).await, Some(Why::Algorithm), "{alg}");
        }
        // The public key is public: whoever took it for a shared secret would be anybody's.
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = data_encoding::BASE64.decode(body.as_bytes())?;
        for secret in [pem.as_bytes(), pem.trim().as_bytes(), body.as_bytes(), &der, b""] {
            for alg in ["HS256", "HS384", "ES256"] {
                let expected = if alg == "ES256" { Why::Signature } else { Why::Algorithm };
                let forged = with_hmac(&header(alg), &claims, secret);
                assert_eq!(scene.why(&forged).await, Some(expected), "{alg}");
            }
        }
        for alg in ["ES384", "RS256", "PS256", "EdDSA"] {
            assert_eq!(scene.why(&privy.sign(&header(alg), &claims)).await, Some(Why::Algorithm), "{alg}");
        }
        assert_eq!(scene.why(&privy.sign(&header("ES256"), &claims)).await, None, "it is only the algorithm");
    }
    Ok(())
}

#[tokio::test]
async fn a_key_or_an_address_of_one_in_the_header_is_not_looked_at() -> Result<()> {
    let (pair, jwk) = other_key()?;
    for scene in scenes().await? {
        let privy = scene.ground.sandbox.privy();
        let claims = privy.claims(&alice(), NOW);
        let fetches = scene.fetches();
        let server = crate::server::Server::start([crate::server::Reply::json(
            200,
            &json!({"keys": [jwk]}).to_string(),
        )])
        .await?;
        for (name, value) in [("jwk", jwk.clone()), ("jku", json!(server.url)), ("x5u", json!(server.url))] {
            let mut header = privy.header();
            header[name] = value;
            let forged = with_key(&pair, &header, &claims)?;
            assert_eq!(scene.why(&forged).await, Some(Why::Signature), "{name}");
            assert_eq!(scene.why(&privy.sign(&header, &claims)).await, None, "{name} does no harm, either");
        }
        assert!(server.heard().is_empty() && scene.fetches() <= fetches + 1);
        let mut critical = privy.header();
        critical["crit"] = json!(["exp"]);
        assert_eq!(scene.why(&privy.sign(&critical, &claims)).await, Some(Why::Malformed));
    }
    Ok(())
}

#[tokio::test]
async fn another_key_id_is_another_key() -> Result<()> {
    let scene = Scene::new().await?;
    let privy = scene.ground.sandbox.privy();
    let claims = privy.claims(&alice(), NOW);
    let with_kid = |kid: Value| privy.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": kid}), &claims);
    for kid in ["another", "", "../../keys", "x' OR '1'='1"] {
        assert_eq!(scene.why(&with_kid(json!(kid))).await, Some(Why::UnknownKey), "{kid}");
    }
    let (pair, _) = other_key()?;
    let forged = with_key(&pair, &privy.header(), &claims)?;
    assert_eq!(scene.why(&forged).await, Some(Why::Signature));
    let unnamed = privy.sign(&json!({"alg": "ES256"}), &claims);
    assert_eq!(scene.why(&unnamed).await, None, "there is but one key it could be");
    Ok(())
}

#[tokio::test]
async fn each_claim_has_to_be_what_it_has_to_be() -> Result<()> {
    let cases = [
        ("iss", json!("https://privy.io"), Why::Issuer),
        ("iss", json!("evil.example"), Why::Issuer),
        ("iss", json!(null), Why::Claims),
        ("aud", json!("another-app"), Why::Audience),
        ("aud", json!(["another-app"]), Why::Audience),
        ("aud", json!(format!("{PRIVY_APP_ID} ")), Why::Audience),
        ("exp", json!(NOW - 6), Why::Expired),
        ("exp", json!(0), Why::Expired),
        ("exp", json!("2030"), Why::Claims),
        ("exp", json!(i64::MAX), Why::Claims),
        ("iat", json!(NOW + 6), Why::NotYet),
        ("iat", json!("now"), Why::Claims),
        ("sid", json!(""), Why::NoSession),
        ("sid", json!(5), Why::Claims),
        ("sub", json!("alice"), Why::Subject),
        ("sub", json!("did:privy:"), Why::Subject),
        ("sub", json!("did:privy:al ice"), Why::Subject),
        ("sub", json!("did:privy:al\u{0}ice"), Why::Subject),
        ("sub", json!("did:privy:älice"), Why::Subject),
        ("sub", json!(format!("did:privy:{}", "a".repeat(250))), Why::Subject),
        ("sub", json!("did:mnemonic:alice"), Why::Subject),
    ];
    for scene in scenes().await? {
        let privy = scene.ground.sandbox.privy();
        for (name, value, expected) in &cases {
            let mut claims = privy.claims(&alice(), NOW);
            claims[name] = value.clone();
            let token = privy.sign(&privy.header(), &claims);
            assert_eq!(scene.why(&token).await, Some(*expected), "{name} {value}");
        }
        for name in ["iss", "aud", "sub", "exp", "iat", "sid"] {
            let mut claims = privy.claims(&alice(), NOW);
            claims.as_object_mut().and_then(|claims| claims.remove(name));
            let expected = if name == "sid" { Why::NoSession } else { Why::Claims };
            assert_eq!(scene.why(&privy.sign(&privy.header(), &claims)).await, Some(expected), "no {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_and_five_seconds_more() -> Result<()> {
    let scene = Scene::new().await?;
    let access = scene.tokens(&alice()).access;
    for (passed, expected) in
        [(3_600, None), (4, None), (1, Some(Why::Expired)), (86_400, Some(Why::Expired))]
    {
        scene.pass(passed);
        assert_eq!(scene.why(&access).await, expected, "{passed} s on");
    }
    Ok(())
}

#[tokio::test]
async fn one_kind_of_token_is_not_taken_for_the_other_nor_one_person_for_another() -> Result<()> {
    for scene in scenes().await? {
        let tokens = scene.tokens(&alice());
        let bob = scene.tokens(&PrivyPerson::new("bob").email("alice@example.com"));
        assert_eq!(scene.why(&tokens.identity).await, Some(Why::NoSession));
        let with = async |identity: &str| why(&scene.verify(&tokens.access, Some(identity)).await);
        assert_eq!(with(&tokens.access).await, Some(Why::NoAccounts));
        assert_eq!(with(&bob.identity).await, Some(Why::OtherSubject));
        assert_eq!(with("").await, Some(Why::Malformed), "an identity token that is given must be good");
        let privy = scene.ground.sandbox.privy();
        for accounts in [json!("{}"), json!("not json"), json!([]), json!(7)] {
            let mut claims = privy.identity_claims(&alice(), NOW);
            claims["linked_accounts"] = accounts;
            assert_eq!(with(&privy.sign(&privy.header(), &claims)).await, Some(Why::Claims), "{claims}");
        }
        let old = privy.tokens_at(&alice(), NOW - 4_000).identity;
        assert_eq!(with(&old).await, Some(Why::Expired));
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_a_token_is_refused_and_asks_nobody() -> Result<()> {
    let scene = Scene::new().await?;
    let good = scene.tokens(&alice()).access;
    let parts: Vec<&str> = good.split('.').collect();
    let long = "a".repeat(16 * 1024 + 1);
    for token in [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "null",
        parts[0],
        &format!("{}.{}", parts[0], parts[1]),
        &format!("{good}.{}", parts[2]),
        &format!(" {good}"),
        &long,
    ] {
        let refused = scene.why(token).await;
        assert!(refused.is_some(), "{token:?}");
    }
    assert_eq!(scene.why(&format!("{}.{}.", parts[0], parts[1])).await, Some(Why::Signature));
    Ok(())
}

/// One world for all cases: what is tried is the check, not the sandbox.
#[test]
fn a_token_with_one_byte_changed_is_refused() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let scene = runtime.block_on(Scene::with_key(|pem| pem))?;
    let good = scene.tokens(&alice()).access;
    let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(at in 0..good.len(), other in "[A-Za-z0-9_.-]")| {
        let mut changed = good.clone();
        changed.replace_range(at..=at, &other);
        // The last character of a part of this length has bits that belong to no byte; a decoder may not see them.
        if changed != good {
            prop_assert!(runtime.block_on(scene.why(&changed)).is_some(), "{at} {other}");
        }
    });
    Ok(())
}
