//! `POST /v1/auth/password/forgot`, `POST /v1/auth/password/reset`

mod forgot;
mod proven;
mod runtime;

use futures_util::future::{join_all, try_join_all};
use reset_password::{Deps, handle};
use serde_json::json;
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::one_time_token::{self, Purpose};
use shared::password::{self, Password, Verdict};
use shared::random::Random;
use testing::{Call, Outcome, Result, World};
use time::Duration;
use uuid::Uuid;

const NAME: &str = "reset_password";
const RESET: &str = "POST /v1/auth/password/reset";
const EMAIL: &str = "alice@example.com";
const OLD: &str = "correct horse battery staple";
const NEW: &str = "a better horse, a bigger battery";
const MANY: &[(&str, &str)] = &[
    ("RATE_LIMIT_MAIL_PER_ADDRESS", "1000000"),
    ("RATE_LIMIT_MAIL_PER_EMAIL", "1000000"),
    ("DATABASE_POOL_SIZE", "3"),
];

async fn wire(world: &World) -> Result<Deps> {
    world.wire_with(NAME, MANY, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

fn setting(token: &str, password: &str) -> Call {
    Call::new(RESET).json(&json!({ "token": token, "password": password }))
}

async fn issue(world: &World, user_id: Uuid) -> Result<String> {
    let (client, random) = (world.db.connect(Role::Auth).await?, Random::system());
    let what = (user_id, Purpose::ResetPassword, &EMAIL.parse()?);
    Ok(one_time_token::issue(&client, what, &random, world.now()).await?.expose().clone())
}

/// Whether the account is signed in to with this password.
async fn is_password(world: &World, user_id: Uuid, text: &str) -> Result<bool> {
    let stored = password::find(&world.db.connect(Role::Auth).await?, user_id).await?;
    let given = Password::given(&Secret::new(text.to_owned()))?;
    Ok(password::verify(&given, stored.as_ref()).await? == Verdict::Right)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test]
async fn the_token_sets_a_new_password_ends_all_sessions_and_tells_the_owner() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let bob = world.with_email("bob@example.com", OLD, true).await?;
    let token = issue(&world, alice.user_id).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &setting(&token, NEW)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, json!({ "userId": alice.user_id, "sessionsEnded": 1 }));
    assert!(
        is_password(&world, alice.user_id, NEW).await? && !is_password(&world, alice.user_id, OLD).await?
    );
    assert!(is_password(&world, bob.user_id, OLD).await?, "nobody else's");
    let ended = "sessions WHERE revoked_reason = 'password_reset'";
    assert_eq!(
        (rows(&world, ended).await?, rows(&world, "sessions WHERE revoked_at IS NULL").await?),
        (1, 1)
    );
    assert_eq!(rows(&world, "audit_logs WHERE action = 'password.reset'").await?, 1);
    world.deliver_mail().await?;
    assert_eq!(world.sandbox.mail().inbox(EMAIL)[0].subject, "Your password was changed (app.example.com)");
    assert_eq!(send(&deps, &setting(&token, OLD)).await?.refusal()?, (410, "TOKEN_GONE"));
    Ok(())
}

#[tokio::test]
async fn of_fifty_who_bring_one_token_one_sets_the_password() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let token = issue(&world, alice.user_id).await?;
    let processes = try_join_all((0..5).map(|_| wire(&world))).await?;
    let calls = (0..50).map(|at| {
        let (deps, call) = (&processes[at % 5], setting(&token, &format!("password number {at}")));
        async move { send(deps, &call).await }
    });
    let mut winner = None;
    for (at, answer) in join_all(calls).await.into_iter().enumerate() {
        let answer = answer?;
        match answer.error() {
            (200, _) => assert_eq!(winner.replace(at), None, "a second one"),
            other => assert_eq!(other, (410, "TOKEN_GONE"), "{answer:?}"),
        }
    }
    let winner = winner.unwrap_or(usize::MAX);
    assert!(is_password(&world, alice.user_id, &format!("password number {winner}")).await?, "{winner}");
    Ok(())
}

#[tokio::test]
async fn a_password_that_is_refused_does_not_cost_the_token() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let token = issue(&world, alice.user_id).await?;
    let deps = wire(&world).await?;
    for password in ["", "canary7", &"x".repeat(129)] {
        let answer = send(&deps, &setting(&token, password)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"));
        assert_eq!(answer.fields(), ["password"]);
        assert!(!answer.reply.body.contains("canary"));
    }
    assert_eq!(send(&deps, &setting(&token, NEW)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_token_lives_for_an_hour() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, OLD, true).await?;
    let deps = wire(&world).await?;
    let token = issue(&world, alice.user_id).await?;
    world.advance(Duration::hours(1));
    assert_eq!(send(&deps, &setting(&token, NEW)).await?.refusal()?, (410, "TOKEN_GONE"));
    let token = issue(&world, alice.user_id).await?;
    world.advance(Duration::hours(1) - Duration::seconds(1));
    assert_eq!(send(&deps, &setting(&token, NEW)).await?.status, 200);
    Ok(())
}
