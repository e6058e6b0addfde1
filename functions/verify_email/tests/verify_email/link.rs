//! The token of an address that is to become one of an account's: it is brought by a session of that account.

use futures_util::future::join_all;
use shared::db::roles::Role;
use shared::one_time_token::Purpose;
use shared::session::{Ended, own};
use testing::{Result, World};

use super::{EMAIL, PASSWORD, VERIFIED, bringing, issue, rows, send, wire};

const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";

#[tokio::test]
async fn it_gives_a_node_account_the_address_verified() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let answer = send(&wire(&world).await?, &bringing(&token).bearer(&user.access_token)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(rows(&world, VERIFIED).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.linked'").await?, 1);
    world.deliver_mail().await?;
    assert_eq!(world.sandbox.mail().inbox(EMAIL).len(), 1, "the owner is told");
    Ok(())
}

#[tokio::test]
async fn nobody_links_an_address_to_an_account_they_are_not_signed_in_to() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let other = world.sign_in("did:mnemonic:1111111111111111", &world.node("bob")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let deps = wire(&world).await?;
    let call = bringing(&token);
    assert_eq!(send(&deps, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    let by_other = bringing(&token).bearer(&other.access_token);
    assert_eq!(send(&deps, &by_other).await?.refusal()?, (403, "FORBIDDEN"));
    assert_eq!(rows(&world, VERIFIED).await?, 0);
    let answer = send(&deps, &bringing(&token).bearer(&user.access_token)).await?;
    assert_eq!(answer.status, 200, "the token stayed good: {answer:?}");
    Ok(())
}

#[tokio::test]
async fn an_administrator_links_nothing_to_the_account_of_somebody_else() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let node = world.node("boss")?;
    let boss = world.sign_in("did:mnemonic:1111111111111111", &node.pubkey).await?;
    let boss = world.make_admin(&boss, &node.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let call = bringing(&token).bearer(&boss.access_token);
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (403, "FORBIDDEN"));
    Ok(())
}

#[tokio::test]
async fn a_session_that_was_ended_links_nothing_it_asked_for() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let client = world.db.connect(Role::Auth).await?;
    own::end_all(&client, user.user_id, Ended::ByOwner, world.now()).await?;
    let call = bringing(&token).bearer(&user.access_token);
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(rows(&world, VERIFIED).await?, 0);
    Ok(())
}

#[tokio::test]
async fn of_two_tokens_for_linking_the_newer_one_counts() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let older = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let newer = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let deps = wire(&world).await?;
    let brought = async |token: &str| send(&deps, &bringing(token).bearer(&user.access_token)).await;
    assert_eq!(brought(&older).await?.refusal()?, (410, "TOKEN_GONE"));
    assert_eq!(brought(&newer).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_address_that_somebody_else_has_by_now_stays_theirs() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let other = world.with_email(EMAIL, PASSWORD, false).await?;
    let call = bringing(&token).bearer(&user.access_token);
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (409, "EMAIL_TAKEN"));
    let theirs = format!("identities WHERE subject = '{EMAIL}' AND user_id = '{}'", other.user_id);
    assert_eq!(rows(&world, &theirs).await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_two_accounts_that_bring_tokens_for_one_address_one_gets_it() -> Result<()> {
    let world = World::start().await?;
    let alice = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let bob = world.sign_in("did:mnemonic:1111111111111111", &world.node("bob")?.pubkey).await?;
    let deps = wire(&world).await?;
    let mut calls = Vec::new();
    for user in [alice, bob] {
        let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
        calls.push(bringing(&token).bearer(&user.access_token));
    }
    let mut codes = Vec::new();
    for answer in join_all(calls.iter().map(|call| send(&deps, call))).await {
        codes.push(answer?.status.as_u16());
    }
    codes.sort_unstable();
    assert_eq!(codes, [200, 409]);
    assert_eq!(rows(&world, VERIFIED).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_deleted_account_takes_no_address() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    world.delete_account(user.user_id).await?;
    let call = bringing(&token).bearer(&user.access_token);
    assert_eq!(send(&wire(&world).await?, &call).await?.refusal()?, (401, "UNAUTHENTICATED"));
    assert_eq!(rows(&world, VERIFIED).await?, 0);
    Ok(())
}
