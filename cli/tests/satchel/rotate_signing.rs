use std::slice;

use sandbox::{Misbehaviour, Route, Service, When};
use serde_json::Value;
use shared::db::Db;
use shared::token::{AccessGrant, TokenIssuer, TokenVerifier};
use testing::{Result, SignedIn, World};
use time::Duration;

use crate::tool::{Tool, document, secret_values, world_of_today};

const DID: &str = "did:mnemonic:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const PUBKEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const ROTATE: [&str; 3] = ["secrets", "rotate", "signing"];
const TWO_HOURS: Duration = Duration::hours(2);

/// A function that issues tokens and one that checks them, both running all the while.
struct Functions {
    db: Db,
    issuer: TokenIssuer,
    verifier: TokenVerifier,
    user: SignedIn,
}

impl Functions {
    /// The sign-in publishes the first key.
    async fn start(world: &World) -> Result<Self> {
        let user = world.sign_in(DID, PUBKEY).await?;
        let (db, issuer, verifier) = world
            .wire("verify_lightning_signature", |config| {
                (Db::wire(config), TokenIssuer::wire(config), TokenVerifier::wire(config))
            })
            .await?;
        Ok(Self { db, issuer, verifier, user })
    }

    async fn token(&self, world: &World) -> Result<String> {
        let (user_id, session_id) = (self.user.user_id, self.user.session_id);
        let grant = AccessGrant { user_id, session_id, token_id: uuid::Uuid::nil(), admin: false };
        let connection = self.db.connection().await?;
        let token = self.issuer.access(connection.client(), &grant, world.now()).await?;
        Ok(token.expose().clone())
    }

    async fn takes(&self, world: &World, token: &str) -> Result<bool> {
        let connection = self.db.connection().await?;
        Ok(self.verifier.access(connection.client(), token, world.now()).await.is_ok())
    }
}

fn kid(token: &str) -> Result<String> {
    Ok(jsonwebtoken::decode_header(token)?.kid.unwrap_or_default())
}

/// The ids of the keys in the secret.
fn held(world: &World) -> Result<Vec<String>> {
    let document = document(&world.sandbox, "satchel/signing")?;
    let keys = document["keys"].as_array().into_iter().flatten();
    Ok(keys.filter_map(|key| key["kid"].as_str()).map(str::to_owned).collect())
}

/// The ids of the rows, in the order in which they sign.
async fn rows(world: &World) -> Result<Vec<String>> {
    let client = world.db.admin().await?;
    let rows = client.query_typed("SELECT kid FROM signing_keys ORDER BY sign_at", &[]).await?;
    Ok(rows.iter().map(|row| row.get("kid")).collect())
}

#[tokio::test]
async fn the_next_key_signs_two_hours_later_and_nobody_is_signed_out() -> Result<()> {
    let world = world_of_today().await?;
    let functions = Functions::start(&world).await?;
    let old = kid(&functions.user.access_token)?;
    let printed = Tool::at(&world.sandbox).run(&ROTATE).await?.ok();
    let after = held(&world)?;
    assert_eq!((after.len(), &after[0]), (2, &old));
    let new = after[1].clone();
    assert_eq!(rows(&world).await?, [old.clone(), new.clone()], "published, so that everybody can fetch it");
    assert!(printed.contains(&old) && printed.contains(&new), "{printed}");
    for value in secret_values(&document(&world.sandbox, "satchel/signing")?) {
        assert!(!printed.contains(&value), "the private key was printed");
    }

    world.advance(TWO_HOURS - Duration::minutes(2));
    let last_of_old = functions.token(&world).await?;
    assert_eq!(kid(&last_of_old)?, old, "a gateway may not know the new key yet");
    assert!(functions.takes(&world, &last_of_old).await?);

    world.advance(Duration::minutes(3));
    let first_of_new = functions.token(&world).await?;
    assert_eq!(kid(&first_of_new)?, new);
    assert!(functions.takes(&world, &first_of_new).await?);
    assert!(functions.takes(&world, &last_of_old).await?);

    world.advance(Duration::minutes(26));
    assert!(functions.takes(&world, &last_of_old).await?, "until it runs out by itself");
    world.advance(Duration::days(2));
    let fresh = functions.token(&world).await?;
    assert_eq!(kid(&fresh)?, new);
    let published = world.db.admin().await?;
    let published = shared::signing_key::published(&published, world.now()).await?;
    assert_eq!(published.iter().map(|key| &key.kid).collect::<Vec<_>>(), [&new], "the old key has gone");
    Ok(())
}

#[tokio::test]
async fn a_key_of_another_algorithm_takes_over() -> Result<()> {
    let world = world_of_today().await?;
    let functions = Functions::start(&world).await?;
    let arguments = [&ROTATE[..], &["--algorithm", "ES256"]].concat();
    assert!(Tool::at(&world.sandbox).run(&arguments).await?.ok().contains("ES256"));
    let old = functions.token(&world).await?;
    world.advance(TWO_HOURS + Duration::minutes(2));
    let new = functions.token(&world).await?;
    assert_eq!(jsonwebtoken::decode_header(&new)?.alg, jsonwebtoken::Algorithm::ES256);
    assert_ne!(kid(&old)?, kid(&new)?);
    assert!(functions.takes(&world, &new).await?);
    Ok(())
}

#[tokio::test]
async fn a_second_rotation_waits_for_the_first() -> Result<()> {
    let world = world_of_today().await?;
    Functions::start(&world).await?;
    let tool = Tool::at(&world.sandbox);
    let (one, other) = tokio::join!(tool.run(&ROTATE), tool.run(&ROTATE));
    let codes = [one?.code, other?.code];
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(1)), "{codes:?}");
    let said = tool.run(&ROTATE).await?.refused();
    assert!(said.contains("signs from"), "{said}");
    assert_eq!(held(&world)?, rows(&world).await?);
    assert_eq!(held(&world)?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn before_the_first_sign_in_there_is_nothing_to_rotate() -> Result<()> {
    let world = world_of_today().await?;
    let before = held(&world)?;
    let said = Tool::at(&world.sandbox).run(&ROTATE).await?.refused();
    assert!(said.contains("first sign-in"), "{said}");
    assert_eq!(held(&world)?, before);
    assert!(rows(&world).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_rotation_that_broke_off_harms_nobody_and_the_next_run_completes_it() -> Result<()> {
    let world = world_of_today().await?;
    let functions = Functions::start(&world).await?;
    let old = kid(&functions.user.access_token)?;
    let tool = Tool::at(&world.sandbox);

    // Broken off before the secret is written, and before anybody could know whether it was.
    for misbehave in [Misbehaviour::CloseBefore, Misbehaviour::CloseAfter] {
        let writing = Route::service(Service::SecretsManager).path("/PutSecretValue");
        world.sandbox.faults().add(writing, When::Always, misbehave)?;
        tool.run(&ROTATE).await?.refused();
        world.sandbox.faults().clear();
        assert_eq!(rows(&world).await?, slice::from_ref(&old));
    }
    // Broken off between the secret and the table.
    let admin = world.db.admin().await?;
    admin.batch_execute("REVOKE INSERT ON signing_keys FROM satchel_jobs").await?;
    tool.run(&ROTATE).await?.refused();
    admin.batch_execute("GRANT INSERT ON signing_keys TO satchel_jobs").await?;
    let left_over = held(&world)?;
    assert_eq!((left_over.len(), &left_over[0]), (2, &old));
    assert_eq!(rows(&world).await?, slice::from_ref(&old));
    world.advance(TWO_HOURS + Duration::minutes(10));
    assert_eq!(kid(&functions.token(&world).await?)?, old, "a key nobody was told of does not sign");

    let printed = tool.run(&ROTATE).await?.ok();
    assert!(printed.contains(&left_over[1]), "{printed}");
    let now = held(&world)?;
    assert_eq!(now, rows(&world).await?);
    assert!(now.len() == 2 && now[0] == old && now[1] != left_over[1], "{now:?}");
    world.advance(TWO_HOURS);
    assert_eq!(kid(&functions.token(&world).await?)?, now[1]);
    Ok(())
}

#[tokio::test]
async fn a_retired_key_leaves_the_secret_and_one_that_may_still_be_checked_stays() -> Result<()> {
    let world = world_of_today().await?;
    Functions::start(&world).await?;
    let tool = Tool::at(&world.sandbox);
    let admin = world.db.admin().await?;
    // Time passes for the rows: the tool goes by the database's clock.
    let three_hours_pass = "UPDATE signing_keys SET publish_at = publish_at - interval '3 hours',
         sign_at = sign_at - interval '3 hours', retire_at = retire_at - interval '3 hours'";
    for _ in 0..2 {
        tool.run(&ROTATE).await?.ok();
        admin.batch_execute(three_hours_pass).await?;
    }
    let [first, second, third] = <[String; 3]>::try_from(held(&world)?).unwrap();
    assert_eq!(rows(&world).await?, [first.clone(), second.clone(), third.clone()]);
    let retire =
        format!("UPDATE signing_keys SET retire_at = now() - interval '1 second' WHERE kid = '{first}'");
    admin.batch_execute(&retire).await?;
    let printed = tool.run(&ROTATE).await?.ok();
    assert!(printed.contains(&format!("key {first} was taken out")), "{printed}");
    let now = held(&world)?;
    assert_eq!(now[..2], [second, third]);
    assert_eq!((now.len(), rows(&world).await?.len()), (3, 4));
    Ok(())
}

#[tokio::test]
async fn a_key_withdrawn_because_it_leaked_is_not_published_again() -> Result<()> {
    let world = world_of_today().await?;
    Functions::start(&world).await?;
    let tool = Tool::at(&world.sandbox);
    tool.run(&ROTATE).await?.ok();
    let leaked = held(&world)?[0].clone();
    let admin = world.db.admin().await?;
    admin.batch_execute("UPDATE signing_keys SET sign_at = now() WHERE retire_at IS NULL").await?;
    admin.batch_execute(&format!("DELETE FROM signing_keys WHERE kid = '{leaked}'")).await?;
    tool.run(&ROTATE).await?.ok();
    assert!(!held(&world)?.contains(&leaked) && !rows(&world).await?.contains(&leaked));
    Ok(())
}

#[tokio::test]
async fn a_secret_of_another_deployment_is_left_alone() -> Result<()> {
    let world = world_of_today().await?;
    Functions::start(&world).await?;
    let other = shared::fresh::signing(shared::fresh::SigningAlgorithm::Es256).unwrap_or_default();
    world.sandbox.secrets().put("satchel/signing", &other.to_string());
    let said = Tool::at(&world.sandbox).run(&ROTATE).await?.refused();
    assert!(said.contains("do not belong together"), "{said}");
    assert_eq!(document(&world.sandbox, "satchel/signing")?, other);
    world.sandbox.secrets().put("satchel/signing", &Value::from("hunter2").to_string());
    let said = Tool::at(&world.sandbox).run(&ROTATE).await?.refused();
    assert!(said.contains("satchel/signing") && !said.contains("hunter2"), "{said}");
    Ok(())
}

#[tokio::test]
async fn secrets_manager_or_the_database_away_is_said_in_one_line() -> Result<()> {
    let world = world_of_today().await?;
    Functions::start(&world).await?;
    let before = (held(&world)?, rows(&world).await?);
    let tool = Tool::at(&world.sandbox);
    let half_an_answer = r#"{"SecretString":"{\"password\":\"hunter2"#;
    for misbehave in [
        Misbehaviour::FailBefore { status: 200, body: half_an_answer.to_owned() },
        Misbehaviour::CloseBefore,
        Misbehaviour::Garbage,
        Misbehaviour::CutBody { bytes: 150 },
        Misbehaviour::FailBefore { status: 503, body: "busy".to_owned() },
    ] {
        let reading = Route::service(Service::SecretsManager).path("/GetSecretValue");
        world.sandbox.faults().add(reading, When::Always, misbehave)?;
        let said = tool.run(&ROTATE).await?.refused();
        assert!(said.starts_with("satchel: secret satchel/") && !said.contains("hunter2"), "{said}");
        let jobs = document(&world.sandbox, "satchel/database/jobs")?;
        assert!(secret_values(&jobs).iter().all(|value| !said.contains(value)), "a secret was printed");
        world.sandbox.faults().clear();
    }
    let mut jobs = document(&world.sandbox, "satchel/database/jobs")?;
    jobs["port"] = 1.into();
    world.sandbox.secrets().put("satchel/database/jobs", &jobs.to_string());
    let said = tool.run(&ROTATE).await?.refused();
    assert!(said.contains("connecting as satchel_jobs"), "{said}");
    assert_eq!((held(&world)?, rows(&world).await?), before);
    Ok(())
}
