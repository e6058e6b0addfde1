//! `GET /.well-known/openid-configuration`, `GET /.well-known/jwks.json`

use anyhow::Context;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use openid::{Deps, handle};
use serde_json::{Value, json};
use shared::db::roles::Role;
use shared::fresh::{self, SigningAlgorithm};
use shared::signing_key::{self, PrivateKeys, SigningDocument};
use testing::{Call, Outcome, Result, World, binary, request};
use time::Duration;

const CONFIGURATION: &str = "GET /.well-known/openid-configuration";
const KEY_SET: &str = "GET /.well-known/jwks.json";
const BINARY: &str = env!("CARGO_BIN_EXE_openid");
const NAME: &str = "openid";

const DID: &str = "did:mnemonic:9f86d081884c7d65";
/// The public key of the secret key 1.
const KEY_1: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
/// And of 2 and 3.
const KEY_2: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
const KEY_3: &str = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
/// How long [`World`]'s access tokens live: the template's default.
const ACCESS_TTL: Duration = Duration::minutes(30);
const AHEAD: Duration = Duration::hours(2);
const TICK: Duration = Duration::microseconds(1);
/// The private members of every kind of key (RFC 7518, section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

async fn ask(world: &World, route: &str) -> Result<Outcome> {
    let deps = world.wire(NAME, Deps::wire).await?;
    Outcome::of(handle(&deps, Call::new(route).request()).await)
}

/// The published keys, once nothing private was found in any of them.
async fn key_set(world: &World) -> Result<Vec<Value>> {
    let answer = ask(world, KEY_SET).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let keys = answer.body["keys"].as_array().cloned().unwrap_or_default();
    assert_eq!(answer.body, json!({ "keys": keys }));
    for key in &keys {
        assert!(PRIVATE.iter().all(|member| key.get(member).is_none()), "{key}");
    }
    Ok(keys)
}

fn ids(keys: &[Value]) -> Vec<&str> {
    keys.iter().filter_map(|key| key["kid"].as_str()).collect()
}

/// What a token says, checked as a stranger does: with its key from a key set, and nothing else.
fn read(token: &str, keys: &[Value]) -> Result<Value> {
    let header = jsonwebtoken::decode_header(token)?;
    let key = keys.iter().find(|key| key["kid"] == json!(header.kid)).cloned().unwrap_or_default();
    assert_eq!(key["alg"], json!(header.alg), "{key}");
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[testing::world::ISSUER_URL]);
    validation.set_audience(&[testing::world::AUDIENCE]);
    // The world's clock stands in the past.
    validation.validate_exp = false;
    let key = DecodingKey::from_jwk(&serde_json::from_value(key)?)?;
    Ok(jsonwebtoken::decode::<Value>(token, &key, &validation)?.claims)
}

/// Adds a key to the signing secret and publishes it, as the operator's tool does.
async fn rotate(world: &World) -> Result<String> {
    let next = fresh::signing_key(SigningAlgorithm::Es256).unwrap_or_default();
    let (secrets, name) = (world.sandbox.secrets(), "satchel/signing");
    let mut document: Value = serde_json::from_str(&secrets.get(name).unwrap_or_default())?;
    document["keys"].as_array_mut().context("no keys")?.push(next.clone());
    secrets.put(name, &document.to_string());
    let document: SigningDocument = serde_json::from_value(json!({ "keys": [next] }))?;
    let keys = PrivateKeys::try_from(document).map_err(anyhow::Error::msg)?;
    let key = keys.first().context("no key")?;
    let client = world.db.connect(Role::Jobs).await?;
    let sign_at = signing_key::publish_next(&client, key, ACCESS_TTL, world.now()).await?;
    assert_eq!(sign_at, world.now() + AHEAD);
    Ok(key.kid.clone())
}

#[tokio::test]
async fn the_event_file_is_answered_with_the_discovery_document() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;

    let answer = Outcome::of(handle(&deps, Call::from_event(NAME)?.request()).await)?;

    assert_eq!(answer.status, 200);
    let document = json!({
        "issuer": "https://api.example.com",
        "jwks_uri": "https://api.example.com/.well-known/jwks.json",
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    });
    assert_eq!(answer.body, document);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    Ok(())
}

#[tokio::test]
async fn before_the_first_sign_in_the_key_set_is_empty_and_nobody_is_to_keep_it() -> Result<()> {
    let world = World::start().await?;

    let answer = ask(&world, KEY_SET).await?;

    assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "keys": [] })));
    // A copy kept for an hour would refuse everybody who signs in within it.
    assert_eq!(answer.header("cache-control"), None);

    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::call(&api, &Call::new(KEY_SET)).await?;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    Ok(())
}

#[tokio::test]
async fn the_key_set_holds_the_key_that_verifies_an_issued_token() -> Result<()> {
    let members = [
        (SigningAlgorithm::Rs256, Algorithm::RS256, ["alg", "e", "kid", "kty", "n", "use"].as_slice()),
        (SigningAlgorithm::Es256, Algorithm::ES256, &["alg", "crv", "kid", "kty", "use", "x", "y"]),
    ];
    for (kind, algorithm, members) in members {
        let world = World::start().await?;
        world.sandbox.secrets().put("satchel/signing", &fresh::signing(kind).unwrap().to_string());
        let user = world.sign_in(DID, KEY_1).await?;

        let answer = ask(&world, KEY_SET).await?;
        assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
        assert_eq!(answer.header("content-type"), Some("application/json"));

        let keys = key_set(&world).await?;
        let [key] = keys.as_slice() else { panic!("not one key: {keys:?}") };
        let mut found: Vec<&String> = key.as_object().unwrap().keys().collect();
        found.sort();
        assert_eq!(found, members);
        assert_eq!((&key["use"], &key["alg"]), (&json!("sig"), &json!(algorithm)));
        let claims = read(&user.access_token, &keys)?;
        assert_eq!(claims["sub"], json!(user.user_id));
        assert_eq!(claims["sid"], json!(user.session_id));
    }
    Ok(())
}

#[tokio::test]
async fn a_next_key_is_listed_two_hours_before_it_signs() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, KEY_1).await?;
    let first = ids(&key_set(&world).await?)[0].to_owned();

    let next = rotate(&world).await?;
    let kept = key_set(&world).await?;
    assert_eq!(ids(&kept), [&next, &first]);

    // Whoever keeps this copy for two hours can check every token signed meanwhile, and the first ones after.
    world.advance(AHEAD - TICK);
    let user = world.sign_in("did:mnemonic:0000000000000001", KEY_2).await?;
    assert_eq!(jsonwebtoken::decode_header(&user.access_token)?.kid, Some(first));
    assert_eq!(read(&user.access_token, &kept)?["sub"], json!(user.user_id));
    world.advance(TICK);
    let user = world.sign_in("did:mnemonic:0000000000000002", KEY_3).await?;
    assert_eq!(jsonwebtoken::decode_header(&user.access_token)?.kid, Some(next));
    assert_eq!(read(&user.access_token, &kept)?["sub"], json!(user.user_id));
    Ok(())
}

#[tokio::test]
async fn a_retired_key_is_gone_once_no_token_of_its_can_be_good() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, KEY_1).await?;
    let first = ids(&key_set(&world).await?)[0].to_owned();
    let next = rotate(&world).await?;

    // Its last token is signed as the next key takes over, and a gateway may have kept the set since before.
    world.advance(AHEAD + ACCESS_TTL + AHEAD - TICK);
    assert_eq!(ids(&key_set(&world).await?), [&next, &first]);
    world.advance(TICK);
    assert_eq!(ids(&key_set(&world).await?), [&next]);
    Ok(())
}

#[tokio::test]
async fn a_key_whose_time_to_be_published_has_not_come_is_not_listed() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, KEY_1).await?;
    let later =
        "UPDATE signing_keys SET publish_at = '2026-01-09 12:00:01Z', sign_at = '2026-01-09 12:00:01Z'";
    world.db.admin().await?.batch_execute(later).await?;

    assert_eq!(key_set(&world).await?.len(), 0);
    world.advance(Duration::seconds(1));
    assert_eq!(key_set(&world).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn no_private_member_is_published_even_if_somebody_stored_one() -> Result<()> {
    let world = World::start().await?;
    world.sign_in(DID, KEY_1).await?;
    rotate(&world).await?;
    let private: Value = PRIVATE.iter().map(|member| ((*member).to_owned(), json!("Y2FuYXJ5"))).collect();
    let spoil = format!("UPDATE signing_keys SET jwk = jwk || '{private}'");
    world.db.admin().await?.batch_execute(&spoil).await?;

    let keys = key_set(&world).await?;

    assert_eq!(keys.len(), 2);
    assert!(!json!(keys).to_string().contains("Y2FuYXJ5"));
    Ok(())
}

#[tokio::test]
async fn without_its_database_only_the_discovery_document_is_answered() -> Result<()> {
    let world = World::start().await?;
    world.take_database_away("api")?;

    assert_eq!(ask(&world, CONFIGURATION).await?.status, 200);
    let answer = ask(&world, KEY_SET).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("cache-control"), None, "an error is not to be kept");
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_both_and_lives_on_after_bad_events() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = world.sign_in(DID, KEY_1).await?;
    let api = world.binary(BINARY, NAME).await?;

    let answer = binary::send(&api, &serde_json::from_str(&request::event_text(NAME)?)?).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["issuer"], "https://api.example.com");
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    let answer = binary::call(&api, &Call::new(KEY_SET)).await?;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=3600"));
    let keys = answer.body["keys"].as_array().cloned().unwrap_or_default();
    assert_eq!(read(&user.access_token, &keys)?["sub"], json!(user.user_id));
    binary::survives_bad_base64(&api, &Call::new(KEY_SET)).await?;
    binary::logs_the_request_once(&api, &Call::new(KEY_SET)).await
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let missing = ["ISSUER_URL is missing", "DATABASE_SECRET is missing"];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await?;

    world.sandbox.secrets().put("satchel/weak", r#"{"password":"canary-7"}"#);
    let weak = [
        ("ISSUER_URL", "https://canary.example/"),
        ("DATABASE_SECRET", "satchel/weak"),
        ("DATABASE_POOL_SIZE", "canary"),
    ];
    let problems = [
        "ISSUER_URL is not an https URL",
        "DATABASE_SECRET: secret satchel/weak is not the document expected",
        "DATABASE_POOL_SIZE is not a number from 1 to 50",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &weak), &problems, &["canary"]).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &Call::new(KEY_SET)).await
}
