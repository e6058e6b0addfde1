//! The token of an address that is to become one of an account's.

use futures_util::future::join_all;
use shared::one_time_token::Purpose;
use testing::{Result, World};

use super::{EMAIL, PASSWORD, VERIFIED, bringing, issue, rows, send, wire};

const DID: &str = "did:mnemonic:0f1e2d3c4b5a6978";

#[tokio::test]
async fn it_gives_a_node_account_the_address_verified() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let answer = send(&wire(&world).await?, &bringing(&token)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(rows(&world, VERIFIED).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.linked'").await?, 1);
    assert_eq!(world.sandbox.mail().inbox(EMAIL).len(), 1, "the owner is told");
    Ok(())
}

#[tokio::test]
async fn an_address_that_somebody_else_has_by_now_stays_theirs() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, &world.node("alice")?.pubkey).await?;
    let token = issue(&world, user.user_id, Purpose::LinkEmail, EMAIL).await?;
    let other = world.with_email(EMAIL, PASSWORD, false).await?;
    assert_eq!(send(&wire(&world).await?, &bringing(&token)).await?.refusal()?, (409, "EMAIL_TAKEN"));
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
    for user_id in [alice.user_id, bob.user_id] {
        calls.push(bringing(&issue(&world, user_id, Purpose::LinkEmail, EMAIL).await?));
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
    assert_eq!(send(&wire(&world).await?, &bringing(&token)).await?.refusal()?, (403, "ACCOUNT_DELETED"));
    assert_eq!(rows(&world, VERIFIED).await?, 0);
    Ok(())
}
