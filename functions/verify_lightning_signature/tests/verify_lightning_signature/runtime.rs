//! The real binary, and what it stands on going away.

use testing::{Call, Result, World, binary};

use super::{DID, NAME, ROUTE, nothing_was_written, registration, send, wire};

const BINARY: &str = env!("CARGO_BIN_EXE_verify_lightning_signature");

#[tokio::test]
async fn the_binary_signs_in_and_logs_neither_token_nor_signature() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let node = world.node("alice")?;
    let given = registration(&world, DID).await?;
    let api = world.binary(BINARY, NAME).await?;
    let answer = binary::call(&api, &given.signed(&node)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let again = binary::call(&api, &given.signed(&node)).await?;
    assert_eq!(again.refusal()?, (410, "CHALLENGE_GONE"));

    let logs = api.logs().join("\n");
    let signature = node.sign(&given.text);
    for secret in [answer.text("/data/accessToken")?, answer.text("/data/refreshToken")?, &signature, DID] {
        assert!(!logs.contains(secret), "{secret} is in\n{logs}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_lives_on_after_bad_events() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let api = world.binary(BINARY, NAME).await?;
    let good = registration(&world, DID).await?.signed(&world.node("alice")?);
    binary::survives_bad_base64(&api, &good).await?;
    let other = registration(&world, DID).await?.signed(&world.node("bob")?);
    assert_eq!(binary::call(&api, &other).await?.refusal()?, (409, "DID_ALREADY_BOUND"));
    Ok(())
}

#[tokio::test]
async fn the_event_file_finds_no_challenge_where_nothing_is_seeded() -> Result<()> {
    let world = World::start().await?;
    let answer = binary::event_file(&world.binary(BINARY, NAME).await?, NAME).await?;
    assert_eq!(answer.refusal()?, (410, "CHALLENGE_GONE"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn the_binary_names_every_missing_variable_at_once() -> Result<()> {
    let world = World::start().await?;
    let missing = [
        "DATABASE_SECRET is missing",
        "ISSUER_URL is missing",
        "TOKEN_AUDIENCE is missing",
        "SIGNING_SECRET is missing",
        "SEALING_SECRET is missing",
        "AUDIT_SECRET is missing",
        "LIGHTNING_ADDRESS_DOMAIN is missing",
    ];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await
}

#[tokio::test]
async fn the_binary_names_every_weak_secret_at_once_and_quotes_none() -> Result<()> {
    let world = World::start().await?;
    let secrets = world.sandbox.secrets();
    let one_byte = data_encoding::BASE64.encode(&[0x63; 32]);
    secrets.put(
        "w/database",
        r#"{"host":"db.canary","port":1,"dbname":"d","username":"u","password":"canary","sslmode":"disable"}"#,
    );
    secrets.put("w/signing", r#"{"keys":[{"kid":"canary","alg":"HS256","private_key":"canary"}]}"#);
    let sealing =
        format!(r#"{{"keys":[{{"id":1,"created_at":"2025-01-01T00:00:00Z","key":"{one_byte}"}}]}}"#);
    secrets.put("w/sealing", &sealing);
    secrets.put("w/audit", &format!(r#"{{"key":"{one_byte}"}}"#));
    secrets.put("w/firebase", r#"{"client_email":"canary@example.com","private_key":"canary"}"#);
    let weak = [
        ("ISSUER_URL", "https://canary.example/"),
        ("TOKEN_AUDIENCE", "satchel"),
        ("DATABASE_SECRET", "w/database"),
        ("SIGNING_SECRET", "w/signing"),
        ("SEALING_SECRET", "w/sealing"),
        ("AUDIT_SECRET", "w/audit"),
        ("FIREBASE_SECRET", "w/firebase"),
        ("ACCESS_TTL_SECONDS", "canary-9"),
        ("SESSION_IDLE_DAYS", "0"),
        ("SESSION_ABSOLUTE_DAYS", "366"),
        ("RATE_LIMIT_SIGN_IN_PER_DID", "1.5"),
        ("LIGHTNING_ADDRESS_DOMAIN", "pay.example.com"),
        ("SETUP_ENABLED", "canary"),
    ];
    let problems = [
        "ISSUER_URL is not an https URL",
        "DATABASE_SECRET: secret w/database turns TLS off for a host that is not this machine",
        "SIGNING_SECRET: secret w/signing holds a key whose alg is neither RS256 nor ES256",
        "SEALING_SECRET: secret w/sealing holds a key of one repeated byte",
        "AUDIT_SECRET: secret w/audit is one repeated byte",
        "FIREBASE_SECRET: secret w/firebase holds a private_key that is not an RSA key in PEM",
        "ACCESS_TTL_SECONDS is not a number from 60 to 86400",
        "SESSION_IDLE_DAYS is not a number from 1 to 365",
        "SESSION_ABSOLUTE_DAYS is not a number from 1 to 365",
        "RATE_LIMIT_SIGN_IN_PER_DID is not a number from 1 to 1000000",
        "SETUP_ENABLED is none of true, false",
    ];
    let environment = binary::bare_environment(&world, &weak);
    binary::refuses_to_start(BINARY, &environment, &problems, &["canary", &one_byte]).await
}

#[tokio::test]
async fn without_its_database_it_asks_to_be_called_again() -> Result<()> {
    let world = World::start().await?;
    let call = registration(&world, DID).await?.signed(&world.node("alice")?);
    world.take_database_away("auth")?;
    let answer = send(&wire(&world).await?, &call).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    nothing_was_written(&world).await
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let good = registration(&world, DID).await?.signed(&world.node("alice")?);
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good).await
}

#[tokio::test]
async fn an_event_that_is_no_request_is_answered_in_form() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    for event in ["{}", "[]", r#""text""#, r#"{"version":"1.0","httpMethod":"POST"}"#, "null"] {
        let invocation = api.invoke_raw(event).await;
        assert!(!invocation.is_error, "{event}: {invocation:?}");
        let answer = testing::Outcome::of_payload(&invocation.json()?)?;
        assert_eq!(answer.error().0, 400, "{event}: {answer:?}");
    }
    let wrong = binary::call(&api, &Call::new(ROUTE).body("x")).await?;
    assert_eq!(wrong.refusal()?, (400, "MALFORMED_REQUEST"), "it serves on");
    Ok(())
}
