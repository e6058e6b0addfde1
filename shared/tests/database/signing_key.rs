//! Keys that change while tokens are out.

use anyhow::Context;
use serde_json::{Value, json};
use shared::db::roles::Role;
use shared::fresh::{self, SigningAlgorithm};
use shared::signing_key::{PUBLISHED_AHEAD, PrivateKeys, SigningDocument, publish_next, published};
use shared::token::{IssueError, TokenError, TokenIssuer, TokenVerifier};
use testing::Result;
use time::{Duration, OffsetDateTime};

use crate::token::{Tokens, grant, part};
use crate::{NOW, number};

const TTL: Duration = Duration::seconds(1_800);

fn private(document: &Value) -> Result<PrivateKeys> {
    let document: SigningDocument = serde_json::from_value(document.clone())?;
    PrivateKeys::try_from(document).map_err(anyhow::Error::msg)
}

/// Adds a key to the secret and publishes it, as `satchel secrets rotate` does. Returns its id.
async fn rotate(tokens: &mut Tokens, now: OffsetDateTime) -> Result<String> {
    let next = fresh::signing_key(SigningAlgorithm::Es256)?;
    let kid = next["kid"].as_str().context("no kid")?.to_owned();
    tokens.signing["keys"].as_array_mut().context("no keys")?.push(next);
    tokens.world.sandbox.secrets().put("satchel/signing", &tokens.signing.to_string());
    let jobs = tokens.world.db.connect(Role::Jobs).await?;
    let keys = private(&tokens.signing)?;
    let sign_at = publish_next(&jobs, keys.find(&kid).context("not there")?, TTL, now).await?;
    assert_eq!(sign_at, now + PUBLISHED_AHEAD);
    // What a function holds of the secret is at most this old.
    tokens.world.advance(Duration::seconds(301));
    Ok(kid)
}

async fn kid_of_a_token(tokens: &Tokens, now: OffsetDateTime) -> Result<Value> {
    Ok(part(&tokens.issue(now).await?, 0)?["kid"].clone())
}

#[tokio::test]
async fn the_first_key_is_published_by_its_first_use_and_once() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let rows = "SELECT count(*) FROM signing_keys";
    let admin = tokens.world.db.admin().await?;
    assert_eq!(number(&admin, rows).await?, 0);
    for _ in 0..3 {
        let issuer = tokens.world.wire("verify_lightning_signature", TokenIssuer::wire).await?;
        issuer.access(&tokens.client, &grant(), NOW).await?;
    }
    assert_eq!(number(&admin, rows).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_published_has_no_private_half() -> Result<()> {
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::Es256] {
        let tokens = Tokens::with(algorithm).await?;
        tokens.issue(NOW).await?;
        let keys = published(&tokens.client, NOW).await?;
        let jwk = keys[0].jwk.as_object().context("no object")?;
        let mut members: Vec<&str> = jwk.keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected: &[&str] = match algorithm {
            SigningAlgorithm::Rs256 => &["alg", "e", "kid", "kty", "n", "use"],
            SigningAlgorithm::Es256 => &["alg", "crv", "kid", "kty", "use", "x", "y"],
        };
        assert_eq!(members, expected);
        assert_eq!((&jwk["use"], jwk["kid"].as_str()), (&json!("sig"), Some(keys[0].kid.as_str())));
    }
    Ok(())
}

#[tokio::test]
async fn the_next_key_is_published_at_once_and_signs_two_hours_later() -> Result<()> {
    let mut tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let first = kid_of_a_token(&tokens, NOW).await?;

    let next = rotate(&mut tokens, NOW).await?;

    let now_published: Vec<String> =
        published(&tokens.client, NOW).await?.into_iter().map(|key| key.kid).collect();
    assert_eq!(now_published, [next.clone(), first.as_str().unwrap_or_default().to_owned()]);
    let sign_at = NOW + Duration::hours(2);
    assert_eq!(kid_of_a_token(&tokens, sign_at - Duration::MICROSECOND).await?, first);
    assert_eq!(kid_of_a_token(&tokens, sign_at).await?, json!(next));
    Ok(())
}

#[tokio::test]
async fn tokens_of_the_old_key_verify_until_it_is_retired_and_every_token_has_ended_by_then() -> Result<()> {
    let mut tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    tokens.issue(NOW).await?;
    rotate(&mut tokens, NOW).await?;
    let sign_at = NOW + PUBLISHED_AHEAD;
    let last_of_the_old = tokens.issue(sign_at - Duration::SECOND).await?;

    let claims = tokens.verify(&last_of_the_old, sign_at + Duration::minutes(20)).await;
    assert!(claims.is_ok(), "{claims:?}");
    let ended = tokens.verify(&last_of_the_old, sign_at + TTL + Duration::seconds(10)).await.err();
    assert!(matches!(ended, Some(TokenError::Expired)), "its key is still known: {ended:?}");
    let retired = sign_at + TTL + PUBLISHED_AHEAD;
    assert_eq!(published(&tokens.client, retired - Duration::MICROSECOND).await?.len(), 2);
    assert_eq!(published(&tokens.client, retired).await?.len(), 1);
    let unknown = tokens.verify(&last_of_the_old, retired + Duration::minutes(2)).await.err();
    assert!(matches!(unknown, Some(TokenError::Refused)), "{unknown:?}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_key_id_makes_a_verifier_look_once_a_second_and_no_more() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let token = tokens.issue(NOW).await?;
    assert!(tokens.verify(&token, NOW).await.is_ok());
    let verify = async |at| tokens.verifier.access(&tokens.client, &token, at).await.is_ok();

    // The key set is kept for a minute, so taking a key out does not show at once…
    let kid = part(&token, 0)?["kid"].as_str().unwrap_or_default().to_owned();
    let admin = tokens.world.db.admin().await?;
    admin.batch_execute("UPDATE signing_keys SET kid = 'hidden'").await?;
    assert!(verify(NOW + Duration::seconds(59)).await);
    assert!(!verify(NOW + Duration::seconds(60)).await);
    // …but a key that appears is found at the next token that names it, if the last look is a second old.
    admin.batch_execute(&format!("UPDATE signing_keys SET kid = '{kid}'")).await?;
    assert!(!verify(NOW + Duration::milliseconds(60_999)).await);
    assert!(verify(NOW + Duration::seconds(61)).await);
    Ok(())
}

#[tokio::test]
async fn a_token_of_a_key_published_a_moment_ago_is_good_everywhere_at_once() -> Result<()> {
    let mut tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let old = tokens.issue(NOW).await?;
    assert!(tokens.verify(&old, NOW).await.is_ok());
    rotate(&mut tokens, NOW).await?;
    let jobs = tokens.world.db.connect(Role::Owner).await?;
    jobs.batch_execute("UPDATE signing_keys SET sign_at = publish_at").await?;
    let issuer = tokens.world.wire("verify_lightning_signature", TokenIssuer::wire).await?;
    let later = NOW + Duration::seconds(2);
    let new = issuer.access(&tokens.client, &grant(), later).await?;

    assert_ne!(part(&old, 0)?["kid"], part(new.expose(), 0)?["kid"]);
    assert!(tokens.verify(new.expose(), later).await.is_ok(), "though the verifier's set is two seconds old");
    Ok(())
}

#[tokio::test]
async fn no_token_is_signed_with_a_key_nobody_can_find() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    tokens.issue(NOW).await?;
    // The secret was replaced, and nothing was published.
    let other = fresh::signing(SigningAlgorithm::Es256)?;
    tokens.world.sandbox.secrets().put("satchel/signing", &other.to_string());
    let issuer = tokens.world.wire("verify_lightning_signature", TokenIssuer::wire).await?;

    let refused = issuer.access(&tokens.client, &grant(), NOW).await.err();

    assert!(matches!(refused, Some(IssueError::NoKey)), "{refused:?}");
    assert_eq!(number(&tokens.world.db.admin().await?, "SELECT count(*) FROM signing_keys").await?, 1);
    Ok(())
}

#[tokio::test]
async fn two_first_users_at_once_publish_one_key() -> Result<()> {
    let tokens = Tokens::with(SigningAlgorithm::Es256).await?;
    let other = tokens.world.wire("verify_lightning_signature", TokenIssuer::wire).await?;
    let client = tokens.world.db.connect(Role::Auth).await?;
    let grant = grant();
    let (one, two) = tokio::join!(tokens.issue(NOW), other.access(&client, &grant, NOW));
    let two = two?;
    let verifier = tokens.world.wire("get_user_node_info", TokenVerifier::wire).await?;
    for token in [one?.as_str(), two.expose()] {
        assert!(verifier.access(&client, token, NOW).await.is_ok());
    }
    Ok(())
}

#[test]
fn a_document_that_holds_no_usable_key_is_refused_without_being_quoted() -> Result<()> {
    let rsa = fresh::signing_key(SigningAlgorithm::Rs256)?;
    let ec = fresh::signing_key(SigningAlgorithm::Es256)?;
    let with = |key: &Value, name: &str, value: &str| {
        let mut key = key.clone();
        key[name] = json!(value);
        key
    };
    let no_key = "holds a private key that is not PKCS#8 in PEM";
    for (keys, problem) in [
        (vec![], "holds no key"),
        (vec![with(&rsa, "alg", "HS256")], "holds a key whose alg is neither RS256 nor ES256"),
        (vec![with(&rsa, "alg", "none")], "holds a key whose alg is neither RS256 nor ES256"),
        (vec![with(&rsa, "alg", "ES256")], no_key),
        (vec![with(&ec, "alg", "RS256")], no_key),
        (vec![with(&ec, "private_key", "hunter2-canary")], no_key),
        (vec![rsa.clone(), with(&ec, "private_key", "")], no_key),
    ] {
        let refused = private(&json!({ "keys": keys })).err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some(problem));
    }
    assert!(private(&json!({ "keys": [rsa, ec] })).is_ok());
    Ok(())
}
