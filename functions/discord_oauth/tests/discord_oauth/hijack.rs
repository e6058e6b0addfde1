//! Whom a sign-in by Discord joins to what, told as attacks.

use sandbox::discord::Person;
use shared::account::IdentityKind;
use testing::{Result, World};

use super::{NELLYS_EMAIL, NELLYS_ID, PASSWORD, nelly, rows, sign_in, wire};

#[tokio::test]
async fn both_sides_proved_the_address_so_discord_joins_and_the_owner_is_told() -> Result<()> {
    let world = World::start().await?;
    let local = world.with_email(NELLYS_EMAIL, PASSWORD, true).await?;
    let answer = sign_in(&world, &wire(&world).await?, nelly()).await?;
    assert_eq!(answer.text("/userId")?, local.user_id.to_string());
    assert_eq!(rows(&world, "users").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.joined'").await?, 1);
    assert_eq!(rows(&world, "mails WHERE kind = 'identity_linked'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_discord_account_with_the_victims_unverified_address_does_not_come_to_the_victim() -> Result<()> {
    let world = World::start().await?;
    let victim = world.with_email(NELLYS_EMAIL, PASSWORD, true).await?;
    let attacker = Person::new("666000000000000000", "mallory").email(NELLYS_EMAIL, false);
    let answer = sign_in(&world, &wire(&world).await?, attacker).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.text("/userId")?, victim.user_id.to_string());
    assert_eq!(rows(&world, &format!("identities WHERE user_id = '{}'", victim.user_id)).await?, 1);
    assert_eq!(rows(&world, "identities WHERE kind = 'email'").await?, 1, "nor does it claim the address");
    Ok(())
}

#[tokio::test]
async fn who_registered_the_victims_address_first_is_not_joined_when_the_victim_comes() -> Result<()> {
    let world = World::start().await?;
    let attacker = world.with_email(NELLYS_EMAIL, "the attacker's password", false).await?;
    let answer = sign_in(&world, &wire(&world).await?, nelly()).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.text("/userId")?, attacker.user_id.to_string());
    assert_eq!(rows(&world, &format!("identities WHERE user_id = '{}'", attacker.user_id)).await?, 1);
    assert_eq!(rows(&world, "identities WHERE kind = 'discord'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn who_took_a_discord_account_over_gets_no_second_one_linked() -> Result<()> {
    // given an account with Discord linked, and another Discord account that was given the same address later
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let local = world.with_email(NELLYS_EMAIL, PASSWORD, true).await?;
    assert_eq!(sign_in(&world, &deps, nelly()).await?.text("/userId")?, local.user_id.to_string());
    let later = Person::new("90000000000000001", "nelly2").email(NELLYS_EMAIL, true);
    let answer = sign_in(&world, &deps, later).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.text("/userId")?, local.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn an_address_that_only_looks_the_same_joins_nothing() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let local = world.with_email("nelly@bücher.example", PASSWORD, true).await?;
    for (id, look_alike) in
        [("11", "nelly@bucher.example"), ("12", "nеlly@bücher.example"), ("13", "nelly+x@bücher.example")]
    {
        let answer = sign_in(&world, &deps, Person::new(id, "x").email(look_alike, true)).await?;
        assert_ne!(answer.text("/userId")?, local.user_id.to_string(), "{look_alike}");
    }
    let same = Person::new("14", "x").email("Nelly@XN--BCHER-KVA.example", true);
    assert_eq!(sign_in(&world, &deps, same).await?.text("/userId")?, local.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn an_account_that_was_deleted_is_not_come_back_to() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let linked = world.with_identity(IdentityKind::Discord, NELLYS_ID).await?;
    world.delete_account(linked.user_id).await?;
    assert_eq!(sign_in(&world, &deps, nelly()).await?.refusal()?, (403, "ACCOUNT_DELETED"));
    let joined = world.with_email("ada@example.com", PASSWORD, true).await?;
    world.delete_account(joined.user_id).await?;
    let ada = Person::new("12345678901234567", "ada").email("ada@example.com", true);
    assert_eq!(sign_in(&world, &deps, ada).await?.refusal()?, (403, "ACCOUNT_DELETED"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 0);
    assert_eq!(rows(&world, "users").await?, 2);
    Ok(())
}
