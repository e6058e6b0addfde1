//! `POST /v1/challenges`

mod account;
mod refused;
mod runtime;
mod text;

use create_challenge::{Deps, handle};
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, World};
use time::Duration;

const ROUTE: &str = "POST /v1/challenges";
/// A name that proves nothing: the first 16 digits of a phrase's digest.
const DID: &str = "did:mnemonic:9f86d081884c7d65";
/// The public key of the secret key 1, and of 2.
const KEY_1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const KEY_2: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

async fn wire(world: &World) -> Result<Deps> {
    world.wire("create_challenge", Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

async fn ask(deps: &Deps, body: &Value) -> Result<Outcome> {
    send(deps, &Call::new(ROUTE).json(body)).await
}

fn login(did: &str) -> Value {
    json!({ "did": did, "challenge_type": "mnemonic_login" })
}

async fn challenges(world: &World) -> Result<i64> {
    world.db.count("SELECT count(*) FROM challenges").await
}

#[tokio::test]
async fn the_event_file_is_answered_with_a_challenge() -> Result<()> {
    let world = World::start().await?;
    let answer = send(&wire(&world).await?, &Call::from_event("create_challenge")?).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    let title = answer.text("/challenge/title")?;
    assert!(title.contains(&format!("\ndid: did:lightning:{KEY_1}\n")), "{title}");
    let id = answer.text("/challenge/challenge_id")?;
    let stored = format!("SELECT count(*) FROM challenges WHERE id = '{id}' AND title = '{title}'");
    assert_eq!(world.db.count(&stored).await?, 1);
    Ok(())
}

#[tokio::test]
async fn anybody_gets_a_challenge_for_any_did_and_any_sign_in_type() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let long = format!("did:mnemonic:{}", "9f86d081884c7d65".repeat(4));
    let lightning = format!("did:lightning:{KEY_1}");
    let types = [
        "default_registration",
        "litd_account_creation",
        "mnemonic_login",
        "qrcode_login",
        "privkey_login",
        "securestorage_login",
    ];
    for did in [DID, &long, &lightning, "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"] {
        for kind in types {
            let answer = ask(&deps, &json!({ "did": did, "challenge_type": kind })).await?;
            assert_eq!(answer.status, 200, "{did} {kind}: {answer:?}");
            assert!(answer.text("/challenge/title")?.contains(&format!("\npurpose: {kind}\ndid: {did}\n")));
        }
    }
    assert_eq!(challenges(&world).await?, 24);
    Ok(())
}

#[tokio::test]
async fn both_spellings_and_both_wrappings_say_the_same() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let kind = "send_btc_or_internal_account_rebalance";
    let snake = json!({ "did": DID, "challenge_type": kind, "amount_msat": 1, "destination": "lnbc1" });
    let camel = json!({ "did": DID, "challengeType": kind, "amountMsat": 1, "destination": "lnbc1" });
    for body in [json!({ "data": snake }), json!({ "data": camel }), snake, camel] {
        let answer = ask(&deps, &body).await?;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        assert!(answer.text("/challenge/title")?.contains("\namount_msat: 1\ndestination: lnbc1\n"));
    }
    Ok(())
}

#[tokio::test]
async fn two_challenges_never_share_their_id_or_their_nonce() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let (first, second) = (ask(&deps, &login(DID)).await?, ask(&deps, &login(DID)).await?);
    assert_ne!(first.text("/challenge/challenge_id")?, second.text("/challenge/challenge_id")?);
    let nonce = |answer: &Outcome| -> Result<String> {
        let title = answer.text("/challenge/title")?;
        Ok(title.lines().find(|line| line.starts_with("nonce: ")).unwrap_or_default().to_owned())
    };
    assert_ne!(nonce(&first)?, nonce(&second)?);
    Ok(())
}

#[tokio::test]
async fn the_eleventh_request_of_a_minute_for_one_did_and_address_is_refused() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    world.advance(Duration::seconds(20));
    for _ in 0..10 {
        assert_eq!(ask(&deps, &login(DID)).await?.status, 200);
    }
    let refused = ask(&deps, &login(DID)).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), Some("40"));
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""default";q=10;w=60"#));
    assert_eq!(refused.header("ratelimit"), Some(r#""default";r=0;t=40"#));
    assert_eq!(challenges(&world).await?, 10);

    let elsewhere = Call::new(ROUTE).json(&login(DID)).from_address("203.0.113.8");
    assert_eq!(send(&deps, &elsewhere).await?.status, 200, "another address has its own count");
    assert_eq!(ask(&deps, &login("did:mnemonic:0000000000000000")).await?.status, 200, "as has another DID");
    let forwarded = Call::new(ROUTE).json(&login(DID)).header("x-forwarded-for", "203.0.113.9");
    assert_eq!(send(&deps, &forwarded).await?.error().0, 429, "an address is never taken from a header");

    world.advance(Duration::seconds(39));
    assert_eq!(ask(&deps, &login(DID)).await?.error().0, 429);
    world.advance(Duration::seconds(1));
    assert_eq!(ask(&deps, &login(DID)).await?.status, 200, "the next minute counts anew");
    Ok(())
}

#[tokio::test]
async fn one_address_may_ask_so_often_whatever_the_did() -> Result<()> {
    let world = World::start().await?;
    let limit = [("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "5")];
    let deps = world.wire_with("create_challenge", &limit, Deps::wire).await?;
    for at in 0..5 {
        assert_eq!(ask(&deps, &login(&format!("did:mnemonic:{at:016x}"))).await?.status, 200);
    }
    let refused = ask(&deps, &login("did:mnemonic:ffffffffffffffff")).await?;
    assert_eq!(refused.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""default";q=5;w=60"#));
    Ok(())
}

#[tokio::test]
async fn no_address_and_no_did_stand_in_the_counts() -> Result<()> {
    let world = World::start().await?;
    ask(&wire(&world).await?, &login(DID)).await?;
    let readable = "SELECT count(*) FROM rate_limits WHERE length(key) <> 32 OR strpos(key::text, '203') = 1";
    assert_eq!(world.db.count(readable).await?, 0);
    assert_eq!(world.db.count("SELECT count(*) FROM rate_limits").await?, 2);
    Ok(())
}
