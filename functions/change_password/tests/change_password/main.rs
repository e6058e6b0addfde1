//! `POST /v1/auth/password/change`

mod runtime;

use change_password::{Deps, handle};
use serde_json::json;
use shared::account::IdentityKind;
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::one_time_token::{Purpose, issue};
use shared::password::{self, Password, Verdict};
use shared::random::Random;
use testing::people::Person;
use testing::{Call, Outcome, Result, World};
use time::Duration;

const NAME: &str = "change_password";
const ROUTE: &str = "POST /v1/auth/password/change";
const EMAIL: &str = "alice@example.com";
const OLD: &str = "correct horse battery staple";
const NEW: &str = "a better horse, a bigger battery";

async fn send(world: &World, call: &Call) -> Result<Outcome> {
    let deps = world.wire(NAME, Deps::wire).await?;
    Outcome::of(handle(&deps, call.request()).await)
}

fn changing(person: &Person, current: &str, new: &str) -> Call {
    let body = json!({ "currentPassword": current, "newPassword": new });
    Call::new(ROUTE).json(&body).bearer(&person.access_token)
}

async fn verdict(world: &World, person: &Person, text: &str) -> Result<Verdict> {
    let stored = password::find(&world.db.connect(Role::Auth).await?, person.user_id).await?;
    Ok(password::verify(&Password::given(&Secret::new(text.to_owned()))?, stored.as_ref()).await?)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test]
async fn the_event_changes_the_password_ends_the_other_sessions_and_tells_the_owner() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    world.open_session_by(alice.user_id, (IdentityKind::Email, EMAIL)).await?;
    let bob = world.with_email("bob@example.com", OLD, true).await?;
    let answer = send(&world, &Call::from_event(NAME)?.bearer(&alice.access_token)).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "sessionsEnded": 1 })), "{answer:?}");
    assert_eq!(verdict(&world, &alice, NEW).await?, Verdict::Right);
    assert_eq!(verdict(&world, &alice, OLD).await?, Verdict::Wrong);
    assert_eq!(verdict(&world, &bob, OLD).await?, Verdict::Right, "nobody else's");
    let standing =
        format!("sessions WHERE revoked_at IS NULL AND id IN ('{}', '{}')", alice.session_id, bob.session_id);
    assert_eq!(rows(&world, &standing).await?, 2);
    assert_eq!(rows(&world, "sessions WHERE revoked_reason = 'password_changed'").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'password.changed'").await?, 1);
    world.deliver_mail().await?;
    assert_eq!(world.sandbox.mail().inbox(EMAIL)[0].subject, "Your password was changed (app.example.com)");
    Ok(())
}

#[tokio::test]
async fn tokens_that_would_undo_it_are_gone_and_those_of_others_stay() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let bob = world.with_email("bob@example.com", OLD, true).await?;
    let (client, random) = (world.db.connect(Role::Auth).await?, Random::system());
    for person in [&alice, &bob] {
        for purpose in [Purpose::ResetPassword, Purpose::LinkEmail, Purpose::VerifyEmail] {
            issue(&client, (person.user_id, purpose, &EMAIL.parse()?), &random, world.now()).await?;
        }
    }
    assert_eq!(send(&world, &changing(&alice, OLD, NEW)).await?.status, 200);
    let hers = format!("one_time_tokens WHERE user_id = '{}'", alice.user_id);
    assert_eq!(rows(&world, &hers).await?, 1);
    assert_eq!(rows(&world, &format!("{hers} AND purpose = 'verify_email'")).await?, 1);
    assert_eq!(rows(&world, "one_time_tokens").await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_hash_of_another_system_is_as_good_a_current_password() -> Result<()> {
    let world = World::start().await?;
    // "password", by bcrypt.
    let hash = "$2a$04$UuTkLRZZ6QofpDOlMz32MuuxEHA43WOemOYHPz6.SjsVsyO1tDU96";
    let alice = world.with_hash(EMAIL, hash, true).await?;
    assert_eq!(send(&world, &changing(&alice, "password", NEW)).await?.status, 200);
    assert_eq!(verdict(&world, &alice, NEW).await?, Verdict::Right);
    Ok(())
}

#[tokio::test]
async fn a_wrong_current_password_changes_nothing_and_is_guessed_ten_times_a_minute() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    for _ in 0..10 {
        let answer = send(&world, &changing(&alice, "a wrong guess", NEW)).await?;
        assert_eq!(answer.refusal()?, (401, "INVALID_CREDENTIALS"));
    }
    assert_eq!(send(&world, &changing(&alice, OLD, NEW)).await?.refusal()?, (429, "RATE_LIMITED"));
    assert_eq!(verdict(&world, &alice, OLD).await?, Verdict::Right);
    let failed = format!(
        "audit_logs WHERE action = 'password.change_failed' AND user_id = '{}' AND resource_id = '{}'",
        alice.user_id, alice.session_id
    );
    assert_eq!(rows(&world, &failed).await?, 1, "the first of a minute is written down");
    world.advance(Duration::minutes(1));
    assert_eq!(send(&world, &changing(&alice, "a wrong guess", NEW)).await?.refusal()?.0, 401);
    assert_eq!(rows(&world, &failed).await?, 2);
    assert_eq!(send(&world, &changing(&alice, OLD, NEW)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn it_takes_a_sign_in_of_the_last_quarter_of_an_hour() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    world.advance(Duration::seconds(901));
    assert_eq!(send(&world, &changing(&alice, OLD, NEW)).await?.refusal()?, (403, "STEP_UP_REQUIRED"));
    assert_eq!(send(&world, &Call::from_event(NAME)?).await?.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(verdict(&world, &alice, OLD).await?, Verdict::Right);
    Ok(())
}

#[tokio::test]
async fn an_account_without_a_password_has_none_to_change() -> Result<()> {
    let world = World::start().await?;
    let nelly = world.with_identity(IdentityKind::Discord, "80351110224678912").await?;
    assert_eq!(send(&world, &changing(&nelly, OLD, NEW)).await?.refusal()?, (409, "CONFLICT"));
    assert_eq!(rows(&world, "passwords").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_new_password_that_cannot_be_one_is_refused_and_not_shown() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    for new in ["canary7", &"canary".repeat(22)] {
        let answer = send(&world, &changing(&alice, OLD, new)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"));
        assert_eq!(answer.fields(), ["newPassword"]);
        assert!(!answer.reply.body.contains("canary"));
    }
    Ok(())
}
