//! The exact text to sign, under a clock that stands still and random bytes that are all 5a.

use create_challenge::Deps;
use serde_json::json;
use shared::random::Random;
use testing::{Call, Result, World};

use super::{DID, KEY_1, KEY_2, ROUTE, ask, login, send, wire};

async fn wire_fixed(world: &World, changed: &[(&str, &str)]) -> Result<Deps> {
    let mut environment = world.environment("create_challenge")?;
    environment.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let random = Random::from_fn(|bytes| bytes.fill(0x5a));
    let mut config = shared::config::Config::new(environment, world.clock(), random);
    let deps = Deps::wire(&mut config);
    config.finish().await?;
    Ok(deps)
}

#[tokio::test]
async fn a_sign_in_text_is_exactly_this() -> Result<()> {
    let world = World::start().await?;
    let answer = ask(&wire_fixed(&world, &[]).await?, &login(DID)).await?;
    let expected = "satchel-login:v1\n\
        domain: app.example.com\n\
        purpose: mnemonic_login\n\
        did: did:mnemonic:9f86d081884c7d65\n\
        challenge: 019ba2a0-b600-7a5a-9a5a-5a5a5a5a5a5a\n\
        nonce: 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n\
        issued: 1767960000\n\
        expires: 1767960300";
    assert_eq!(answer.text("/challenge/title")?, expected);
    let whole = json!({ "challenge": {
        "challenge_id": "019ba2a0-b600-7a5a-9a5a-5a5a5a5a5a5a",
        "title": expected,
        "expires_at": "2026-01-09T12:05:00Z",
    }});
    assert_eq!(answer.body, whole);
    Ok(())
}

#[tokio::test]
async fn a_step_up_text_binds_amount_and_destination() -> Result<()> {
    let world = World::start().await?;
    let body = json!({
        "did": DID,
        "challenge_type": "send_btc_or_internal_account_rebalance",
        "amount_msat": 2_500_000,
        "destination": "lnbc25u1pvjluez",
    });
    let answer = ask(&wire_fixed(&world, &[("CHALLENGE_TTL_SECONDS", "60")]).await?, &body).await?;
    let expected = "satchel-login:v1\n\
        domain: app.example.com\n\
        purpose: send_btc_or_internal_account_rebalance\n\
        did: did:mnemonic:9f86d081884c7d65\n\
        amount_msat: 2500000\n\
        destination: lnbc25u1pvjluez\n\
        challenge: 019ba2a0-b600-7a5a-9a5a-5a5a5a5a5a5a\n\
        nonce: 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n\
        issued: 1767960000\n\
        expires: 1767960060";
    assert_eq!(answer.text("/challenge/title")?, expected);
    assert_eq!(answer.text("/challenge/expires_at")?, "2026-01-09T12:01:00Z");
    Ok(())
}

#[tokio::test]
async fn a_rebind_text_names_the_old_key_and_the_new_one() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY_1).await?;
    let body = json!({ "did": DID, "challenge_type": "node_rebind", "new_lightning_pubkey": KEY_2 });
    let call = Call::new(ROUTE).json(&body).bearer(&user.access_token);
    let answer = send(&wire_fixed(&world, &[]).await?, &call).await?;
    let expected = format!(
        "satchel-login:v1\n\
         domain: app.example.com\n\
         purpose: node_rebind\n\
         did: did:mnemonic:9f86d081884c7d65\n\
         lightning_pubkey: {KEY_1}\n\
         new_lightning_pubkey: {KEY_2}\n\
         challenge: 019ba2a0-b600-7a5a-9a5a-5a5a5a5a5a5a\n\
         nonce: 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n\
         issued: 1767960000\n\
         expires: 1767960300"
    );
    assert_eq!(answer.text("/challenge/title")?, expected);
    Ok(())
}

#[tokio::test]
async fn a_link_text_names_the_new_key() -> Result<()> {
    let world = World::start().await?;
    let user = super::account::without_a_node(&world).await?;
    let body = json!({ "did": DID, "challengeType": "node_link", "newLightningPubkey": KEY_2 });
    let call = Call::new(ROUTE).json(&body).bearer(&user.access_token);
    let answer = send(&wire_fixed(&world, &[]).await?, &call).await?;
    let expected = format!(
        "satchel-login:v1\n\
         domain: app.example.com\n\
         purpose: node_link\n\
         did: did:mnemonic:9f86d081884c7d65\n\
         new_lightning_pubkey: {KEY_2}\n\
         challenge: 019ba2a0-b600-7a5a-9a5a-5a5a5a5a5a5a\n\
         nonce: 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\n\
         issued: 1767960000\n\
         expires: 1767960300"
    );
    assert_eq!(answer.text("/challenge/title")?, expected);
    Ok(())
}

#[tokio::test]
async fn the_longest_text_of_all_is_taken() -> Result<()> {
    let world = World::start().await?;
    let domain = "d".repeat(128);
    let deps = world.wire_with("create_challenge", &[("APP_DOMAIN", &domain)], Deps::wire).await?;
    let body = json!({
        "did": format!("did:lightning:{KEY_1}"),
        "challenge_type": "send_btc_or_internal_account_rebalance",
        "amount_msat": 2_100_000_000_000_000_000_i64,
        "destination": "~".repeat(512),
    });
    let answer = ask(&deps, &body).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let title = answer.text("/challenge/title")?;
    assert!((1000..=1024).contains(&title.len()), "{} bytes", title.len());
    assert!(title.bytes().all(|byte| byte == b'\n' || (0x20..=0x7e).contains(&byte)));
    Ok(())
}

#[tokio::test]
async fn the_text_is_kept_as_it_was_given_out() -> Result<()> {
    let world = World::start().await?;
    let answer = ask(&wire(&world).await?, &login(DID)).await?;
    let rows = world.db.admin().await?;
    let row = rows.query_typed("SELECT title, status, wrong_answers FROM challenges", &[]).await?;
    assert_eq!(row[0].get::<_, &str>(0), answer.text("/challenge/title")?);
    assert_eq!((row[0].get::<_, &str>(1), row[0].get::<_, i32>(2)), ("pending", 0));
    Ok(())
}
