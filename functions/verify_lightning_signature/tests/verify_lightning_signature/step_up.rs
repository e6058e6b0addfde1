//! The approval of one payment: amount and destination signed for, a token of its own, no session.

use serde_json::json;
use shared::challenge::Purpose;
use testing::world::{AUDIENCE, ISSUER_URL};
use testing::{Result, World};

use super::{DID, Given, give, nothing_was_written, part, rows, send, wire};

async fn payment(world: &World) -> Result<Given> {
    let purpose = Purpose::StepUp { amount_msat: 2_500_000, destination: String::from("lnbc25u1pvjluez") };
    give(world, DID, purpose).await
}

#[tokio::test]
async fn an_approval_names_what_was_signed_and_opens_no_session() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    let user = world.sign_in(DID, &node.pubkey).await?;
    let given = payment(&world).await?;
    let answer = send(&wire(&world).await?, &given.signed(&node)).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.text("/data/stepUpToken")?;
    let expected = json!({ "data": {
        "stepUpToken": token,
        "expiresIn": 300,
        "did": DID,
        "amount_msat": 2_500_000,
        "destination": "lnbc25u1pvjluez",
    }});
    assert_eq!(answer.body, expected);
    assert_eq!(part(token, 0)?["typ"], "step-up+jwt");
    let claims = json!({
        "iss": ISSUER_URL,
        "aud": format!("{AUDIENCE}/step-up"),
        "sub": user.user_id,
        "did": DID,
        "amount_msat": 2_500_000,
        "destination": "lnbc25u1pvjluez",
        "jti": given.id,
        "iat": 1_767_960_000,
        "exp": 1_767_960_300,
    });
    assert_eq!(part(token, 1)?, claims);
    assert_eq!(rows(&world, "sessions").await?, 1, "that of the account's making");
    assert_eq!(rows(&world, "audit_logs WHERE action = 'step_up.granted'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn one_signature_approves_once() -> Result<()> {
    let world = World::start().await?;
    let node = world.node("alice")?;
    world.sign_in(DID, &node.pubkey).await?;
    let call = payment(&world).await?.signed(&node);
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &call).await?.status, 200);
    assert_eq!(send(&deps, &call).await?.refusal()?, (410, "CHALLENGE_GONE"));
    Ok(())
}

#[tokio::test]
async fn nobody_else_approves_and_nobody_gets_an_account_that_way() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let unknown = payment(&world).await?.signed(&world.node("alice")?);
    assert_eq!(send(&deps, &unknown).await?.refusal()?, (404, "NOT_FOUND"));
    nothing_was_written(&world).await?;

    world.sign_in(DID, &world.node("bob")?.pubkey).await?;
    let others = payment(&world).await?.signed(&world.node("mallory")?);
    assert_eq!(send(&deps, &others).await?.refusal()?, (401, "SIGNATURE_REJECTED"));
    assert_eq!(rows(&world, "audit_logs").await?, 0);
    Ok(())
}
