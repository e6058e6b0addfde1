//! `POST /v1/auth/email/verify`, `POST /v1/auth/email/resend`

mod link;
mod resend;
mod runtime;

use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use shared::db::roles::Role;
use shared::one_time_token::{self, Purpose};
use shared::random::Random;
use testing::{Call, Outcome, Result, World};
use time::Duration;
use uuid::Uuid;
use verify_email::{Deps, handle};

const NAME: &str = "verify_email";
const VERIFY: &str = "POST /v1/auth/email/verify";
const EMAIL: &str = "alice@example.com";
const PASSWORD: &str = "correct horse battery staple";
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

fn bringing(token: &str) -> Call {
    Call::new(VERIFY).json(&json!({ "token": token }))
}

/// A token as it was mailed.
async fn issue(world: &World, user_id: Uuid, purpose: Purpose, email: &str) -> Result<String> {
    let (client, random) = (world.db.connect(Role::Auth).await?, Random::system());
    let token =
        one_time_token::issue(&client, (user_id, purpose, &email.parse()?), &random, world.now()).await?;
    Ok(token.expose().clone())
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

const VERIFIED: &str =
    "identities WHERE kind = 'email' AND subject = 'alice@example.com' AND verified_at IS NOT NULL";

#[tokio::test]
async fn the_token_that_was_mailed_proves_the_address_once() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let token = issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &bringing(&token)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, json!({ "userId": alice.user_id, "email": EMAIL, "emailVerified": true }));
    assert_eq!(rows(&world, VERIFIED).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'email.verified'").await?, 1);
    assert_eq!(send(&deps, &bringing(&token)).await?.refusal()?, (410, "TOKEN_GONE"));
    Ok(())
}

#[tokio::test]
async fn a_password_is_as_new_as_the_proof_when_a_session_of_the_account_brings_it() -> Result<()> {
    for (own, kept) in [(true, 1), (false, 0)] {
        let world = World::start().await?;
        let alice = world.with_email(EMAIL, PASSWORD, false).await?;
        let token = issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?;
        world.advance(Duration::minutes(1));
        let stranger = world.sign_in("did:mnemonic:0f1e2d3c4b5a6978", &world.node("bob")?.pubkey).await?;
        let bearer = if own { &alice.access_token } else { &stranger.access_token };
        let answer = send(&wire(&world).await?, &bringing(&token).bearer(bearer)).await?;
        assert_eq!(answer.status, 200, "a token of somebody else is no reason to refuse: {answer:?}");
        assert_eq!(rows(&world, VERIFIED).await?, 1);
        let as_new = "passwords p, identities i
                      WHERE i.user_id = p.user_id AND i.kind = 'email' AND p.changed_at >= i.verified_at";
        assert_eq!(rows(&world, as_new).await?, kept, "so Discord's joining leaves it, or takes it");
    }
    Ok(())
}

#[tokio::test]
async fn of_fifty_who_bring_one_token_one_is_heard() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let token = issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?;
    let processes = try_join_all((0..5).map(|_| wire(&world))).await?;
    let answers = join_all((0..50).map(|at| {
        let (deps, call) = (&processes[at % 5], bringing(&token));
        async move { send(deps, &call).await }
    }))
    .await;
    let mut heard = 0;
    for answer in answers {
        let answer = answer?;
        match answer.error() {
            (200, _) => heard += 1,
            other => assert_eq!(other, (410, "TOKEN_GONE"), "{answer:?}"),
        }
    }
    assert_eq!(heard, 1);
    assert_eq!(rows(&world, "audit_logs").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_token_lives_for_a_day_and_for_its_purpose_only() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let deps = wire(&world).await?;
    let reset = issue(&world, alice.user_id, Purpose::ResetPassword, EMAIL).await?;
    for token in [&*reset, "", "x", &"A".repeat(43), "\u{0}"] {
        assert_eq!(send(&deps, &bringing(token)).await?.refusal()?, (410, "TOKEN_GONE"), "{token:?}");
    }
    let late = issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?;
    world.advance(Duration::hours(24));
    assert_eq!(send(&deps, &bringing(&late)).await?.refusal()?, (410, "TOKEN_GONE"));
    let good = issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?;
    world.advance(Duration::hours(24) - Duration::seconds(1));
    assert_eq!(send(&deps, &bringing(&good)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn whoever_asks_again_leaves_the_mails_before_good_until_one_is_taken() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let mut tokens = Vec::new();
    for _ in 0..6 {
        world.advance(Duration::seconds(1));
        tokens.push(issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?);
    }
    let reset = "one_time_tokens WHERE purpose = 'reset_password'";
    issue(&world, alice.user_id, Purpose::ResetPassword, EMAIL).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &bringing(&tokens[0])).await?.refusal()?, (410, "TOKEN_GONE"), "five are kept");
    assert_eq!(send(&deps, &bringing(&tokens[1])).await?.status, 200);
    for token in &tokens[1..] {
        assert_eq!(send(&deps, &bringing(token)).await?.refusal()?, (410, "TOKEN_GONE"));
    }
    assert_eq!(rows(&world, reset).await?, 1, "another purpose's stay");
    Ok(())
}

#[tokio::test]
async fn of_several_tokens_brought_at_once_one_is_heard() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let processes = try_join_all((0..5).map(|_| wire(&world))).await?;
    let mut calls = Vec::new();
    for _ in 0..5 {
        calls.push(bringing(&issue(&world, alice.user_id, Purpose::VerifyEmail, EMAIL).await?));
    }
    let answers = join_all((0..50).map(|at| send(&processes[at % 5], &calls[at / 5 % 5]))).await;
    let mut heard = 0;
    for answer in answers {
        let answer = answer?;
        match answer.error() {
            (200, _) => heard += 1,
            other => assert_eq!(other, (410, "TOKEN_GONE"), "{answer:?}"),
        }
    }
    assert_eq!(heard, 1);
    Ok(())
}

#[tokio::test]
async fn a_token_for_an_address_the_account_no_longer_has_is_gone() -> Result<()> {
    let world = World::start().await?;
    let alice = world.with_email(EMAIL, PASSWORD, false).await?;
    let token = issue(&world, alice.user_id, Purpose::VerifyEmail, "former@example.com").await?;
    assert_eq!(send(&wire(&world).await?, &bringing(&token)).await?.refusal()?, (410, "TOKEN_GONE"));
    assert_eq!(rows(&world, VERIFIED).await?, 0);
    Ok(())
}
