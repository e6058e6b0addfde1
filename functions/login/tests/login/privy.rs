//! Signing in with Privy, and whom that joins to what.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use sandbox::privy::PrivyPerson;
use serde_json::json;
use shared::account::{self, IdentityKind, NewIdentity};
use shared::db::roles::Role;
use testing::{Call, Result, World};

use super::{GRACE, NAME, PASSWORD, login, rows, send, wire, with};

/// What the app sends after Privy let this person in.
fn privy(world: &World, person: &PrivyPerson) -> Call {
    let tokens = world.sandbox.privy().tokens_at(person, world.now().unix_timestamp());
    with(&json!({ "privyToken": tokens.access, "identityToken": tokens.identity, "platform": "web" }))
}

fn grace() -> PrivyPerson {
    PrivyPerson::new("grace").email(GRACE)
}

#[tokio::test]
async fn a_person_of_privy_gets_an_account_and_comes_back_to_it() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let first = send(&deps, &privy(&world, &grace())).await?;
    assert_eq!(first.status, 200, "{first:?}");
    let again = send(&deps, &privy(&world, &PrivyPerson::new("grace"))).await?;
    assert_eq!(again.text("/userId")?, first.text("/userId")?);
    let stranger = send(&deps, &privy(&world, &PrivyPerson::new("mallory"))).await?;
    assert_ne!(stranger.text("/userId")?, first.text("/userId")?);

    assert_eq!(rows(&world, "identities WHERE kind = 'privy' AND verified_at IS NOT NULL").await?, 2);
    let email =
        format!("identities WHERE kind = 'email' AND subject = '{GRACE}' AND verified_at IS NOT NULL");
    assert_eq!(rows(&world, &email).await?, 1, "the address Privy proved is hers");
    assert_eq!(rows(&world, "sessions WHERE identity_kind = 'privy' AND platform = 'web'").await?, 3);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'account.created'").await?, 2);
    let ids = "audit_logs WHERE details::text LIKE '%did:privy%'";
    assert_eq!(rows(&world, ids).await?, 0, "these rows outlive the account");
    Ok(())
}

#[tokio::test]
async fn a_wallet_that_privy_proved_is_theirs_and_one_that_is_only_claimed_is_not() -> Result<()> {
    const WALLET: &str = "0x52908400098527886e0f7030069857d2e4169ee7";
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let owner = PrivyPerson::new("grace").wallet("0x52908400098527886E0F7030069857D2E4169EE7");
    let answer = send(&deps, &privy(&world, &PrivyPerson::new("mallory"))).await?;
    let claim =
        format!("INSERT INTO wallets VALUES ('{}', '{WALLET}', NULL, now())", answer.text("/userId")?);
    world.db.admin().await?.batch_execute(&claim).await?;
    for _ in 0..2 {
        assert_eq!(send(&deps, &privy(&world, &owner)).await?.status, 200);
    }
    let proven = format!("wallets WHERE address = '{WALLET}' AND verified_at IS NOT NULL");
    assert_eq!(rows(&world, &proven).await?, 1);
    let thief = PrivyPerson::new("mallory").wallet(WALLET);
    assert_eq!(send(&deps, &privy(&world, &thief)).await?.status, 200);
    assert_eq!(rows(&world, &proven).await?, 1, "it stays the first one's");
    Ok(())
}

#[tokio::test]
async fn of_100_first_logins_at_once_one_makes_the_account() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let calls = vec![privy(&world, &grace()); 100];
    let answers = join_all(calls.iter().map(|call| send(&deps, call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().find(|a| a.status != 200)
    );
    let accounts: BTreeSet<_> = answers.iter().map(|answer| answer.body["userId"].to_string()).collect();
    assert_eq!(accounts.len(), 1);
    assert_eq!(rows(&world, "users").await?, 1);
    assert_eq!(rows(&world, "identities").await?, 2);
    assert_eq!(rows(&world, "sessions").await?, 100);
    Ok(())
}

#[tokio::test]
async fn both_sides_proved_the_address_so_privy_joins_the_account_and_its_owner_is_told() -> Result<()> {
    let world = World::start().await?;
    let local = world.with_email(GRACE, PASSWORD, true).await?;
    let answer = send(&wire(&world).await?, &privy(&world, &grace())).await?;
    assert_eq!(answer.text("/userId")?, local.user_id.to_string());
    assert_eq!(rows(&world, "users").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.joined'").await?, 1);
    assert_eq!(rows(&world, "mails WHERE kind = 'identity_linked' AND state = 'waiting'").await?, 1);
    assert_eq!(rows(&world, "passwords").await?, 1, "what was chosen by who proved the mailbox stays");
    Ok(())
}

#[tokio::test]
async fn who_registers_somebody_elses_address_first_gains_nothing_when_they_come() -> Result<()> {
    // given mallory, who registered with grace's address and never saw its mailbox
    let world = World::start().await?;
    let mallory = world.with_email(GRACE, "mallory's own password", false).await?;
    let deps = wire(&world).await?;
    // when grace comes with Privy, which proved that the address is hers
    let answer = send(&deps, &privy(&world, &grace())).await?;
    // then she has an account of her own
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.text("/userId")?, mallory.user_id.to_string());
    let of_mallory = format!("identities WHERE user_id = '{}'", mallory.user_id);
    assert_eq!(rows(&world, &of_mallory).await?, 1);
    // and mallory's password opens mallory's account, and not hers
    let mallorys = send(&deps, &login(GRACE, "mallory's own password")).await?;
    assert_eq!(mallorys.text("/userId")?, mallory.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn an_address_privy_has_not_proven_joins_nothing() -> Result<()> {
    let world = World::start().await?;
    let local = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    // An identity token in which the address was never verified.
    let (privy, at) = (world.sandbox.privy(), world.now().unix_timestamp());
    let person = PrivyPerson::new("mallory").email(GRACE);
    let mut claims = privy.identity_claims(&person, at);
    let accounts = claims["linked_accounts"].as_str().unwrap_or_default().replace("\"lv\"", "\"was\"");
    claims["linked_accounts"] = json!(accounts);
    let identity = privy.sign(&privy.header(), &claims);
    let access = privy.tokens_at(&person, at).access;
    let answer = send(&deps, &with(&json!({ "privyToken": access, "identityToken": identity }))).await?;
    // Whether it is refused or let in by itself, it never comes to the owner's account.
    assert_ne!(answer.body["userId"], local.user_id.to_string());
    assert_eq!(rows(&world, &format!("identities WHERE user_id = '{}'", local.user_id)).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_second_person_of_privy_does_not_join_where_one_is_linked() -> Result<()> {
    let world = World::start().await?;
    let local = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &privy(&world, &grace())).await?.text("/userId")?, local.user_id.to_string());
    let other = PrivyPerson::new("later").email(GRACE);
    let answer = send(&deps, &privy(&world, &other)).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_ne!(answer.text("/userId")?, local.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn what_its_owner_unlinked_is_not_joined_again_until_it_is_linked() -> Result<()> {
    // given an account that Privy joined, and whose owner unlinked it
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let local = world.with_email(GRACE, PASSWORD, true).await?;
    assert_eq!(send(&deps, &privy(&world, &grace())).await?.text("/userId")?, local.user_id.to_string());
    let client = world.db.connect(Role::Auth).await?;
    let unlinked =
        account::unlink(&client, (local.user_id, local.session_id), IdentityKind::Privy, world.now()).await;
    unlinked.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    // when the same person comes again, and then another one with the address
    for person in [grace(), PrivyPerson::new("other").email(GRACE)] {
        let answer = send(&deps, &privy(&world, &person)).await?;
        // then they get accounts of their own, without it
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_ne!(answer.text("/userId")?, local.user_id.to_string());
    }
    assert_eq!(rows(&world, &format!("identities WHERE user_id = '{}'", local.user_id)).await?, 1);
    // and once the owner has linked and lost it otherwise, who has the address joins as before
    let linked = NewIdentity {
        kind: IdentityKind::Privy,
        subject: "did:privy:chosen",
        label: None,
        verified_at: Some(world.now()),
    };
    let linked = account::link(&client, local.user_id, &linked, world.now()).await;
    assert!(linked.map_err(|error| anyhow::anyhow!("{error:?}"))?);
    world
        .db
        .admin()
        .await?
        .batch_execute("DELETE FROM identities WHERE subject = 'did:privy:chosen'")
        .await?;
    let answer = send(&deps, &privy(&world, &PrivyPerson::new("third").email(GRACE))).await?;
    assert_eq!(answer.text("/userId")?, local.user_id.to_string());
    Ok(())
}

#[tokio::test]
async fn a_password_from_before_the_mailbox_answered_goes_when_privy_joins() -> Result<()> {
    // given mallory, who registered with grace's address, and grace, who confirmed it without a thought
    let world = World::start().await?;
    let shared = world.with_email(GRACE, "mallory's own password", false).await?;
    let later = "UPDATE identities SET verified_at = created_at + interval '1 hour'";
    world.db.admin().await?.batch_execute(later).await?;
    let deps = wire(&world).await?;
    // when grace comes with Privy
    let answer = send(&deps, &privy(&world, &grace())).await?;
    assert_eq!(answer.text("/userId")?, shared.user_id.to_string());
    // then mallory is out, and grace is told
    assert_eq!(rows(&world, "passwords").await?, 0);
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 1);
    let hers = format!("sessions WHERE id = '{}' AND revoked_at IS NULL", answer.text("/sessionId")?);
    assert_eq!(rows(&world, &hers).await?, 1);
    assert_eq!(rows(&world, "mails WHERE kind IN ('identity_linked', 'password_changed')").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_not_privys_opens_nothing() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let at = world.now().unix_timestamp();
    let good = world.sandbox.privy().tokens_at(&grace(), at);
    let old = world.sandbox.privy().tokens_at(&grace(), at - 86_400).access;
    let (head, _) = good.access.rsplit_once('.').unwrap_or_default();
    for token in ["", "x", "e30.e30.", &old, &good.identity, &format!("{head}.AAAA"), &"x".repeat(20_000)] {
        let answer = send(&deps, &with(&json!({ "privyToken": token }))).await?;
        assert_eq!(answer.refusal()?, (401, "IDENTITY_REJECTED"), "{token}");
    }
    for table in ["users", "sessions", "identities", "audit_logs"] {
        assert_eq!(rows(&world, table).await?, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn an_account_that_was_deleted_is_not_come_back_to() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    let known = world.with_identity(IdentityKind::Privy, "did:privy:ada").await?;
    let joined = world.with_email(GRACE, PASSWORD, true).await?;
    world.delete_account(known.user_id).await?;
    world.delete_account(joined.user_id).await?;
    for person in [PrivyPerson::new("ada"), grace()] {
        let answer = send(&deps, &privy(&world, &person)).await?;
        assert_eq!(answer.refusal()?, (403, "ACCOUNT_DELETED"));
    }
    assert_eq!(rows(&world, "users").await?, 2);
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_deployment_without_privy_says_so() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire_with(NAME, &[("PRIVY_SECRET", "")], login::Deps::wire).await?;
    let answer = send(&deps, &privy(&world, &grace())).await?;
    assert_eq!(answer.refusal()?, (503, "PROVIDER_NOT_CONFIGURED"));
    Ok(())
}
