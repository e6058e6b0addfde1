//! Linking: by a mail that comes back, and by Privy.

use futures_util::future::join_all;
use sandbox::privy::PrivyPerson;
use serde_json::{Value, json};
use testing::{Call, Result, World};

use super::{DID, GRACE, KEY, LINK, PASSWORD, rows, send, wire};

fn link(token: &str, body: &Value) -> Call {
    Call::new(LINK).bearer(token).json(body)
}

fn by_privy(world: &World, token: &str, person: &PrivyPerson) -> Call {
    let tokens = world.sandbox.privy().tokens_at(person, world.now().unix_timestamp());
    link(token, &json!({ "privyToken": tokens.access, "identityToken": tokens.identity }))
}

#[tokio::test]
async fn an_address_is_asked_by_mail_and_linked_by_nobody_yet() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY).await?;
    let deps = wire(&world).await?;
    let answer = send(&deps, &link(&user.access_token, &json!({ "email": "Grace@Example.com" }))).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    let letters = world.sandbox.mail().inbox(GRACE);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].text.contains("token="), "{}", letters[0].text);
    assert_eq!(rows(&world, "identities WHERE kind = 'email'").await?, 0);
    let token = format!("one_time_tokens WHERE purpose = 'link_email' AND user_id = '{}'", user.user_id);
    assert_eq!(rows(&world, &token).await?, 1);

    // Again, and for another address: the newest token alone is good.
    for email in [GRACE, "grace@example.org"] {
        assert_eq!(send(&deps, &link(&user.access_token, &json!({ "email": email }))).await?.status, 202);
    }
    assert_eq!(rows(&world, &token).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_address_that_is_somebodys_is_answered_like_one_that_is_nobodys() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY).await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let taken = send(&deps, &link(&user.access_token, &json!({ "email": GRACE }))).await?;
    let free = send(&deps, &link(&user.access_token, &json!({ "email": "free@example.com" }))).await?;
    assert_eq!((taken.status, &taken.body), (free.status, &free.body));
    assert_eq!(world.sandbox.mail().letters().len(), 2);
    Ok(())
}

#[tokio::test]
async fn no_number_of_accounts_fills_one_mailbox() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    for at in 0..5 {
        let user = world.with_email(&format!("user{at}@example.com"), PASSWORD, true).await?;
        world.db.admin().await?.batch_execute("DELETE FROM identities WHERE kind = 'email'").await?;
        let answer = send(&deps, &link(&user.access_token, &json!({ "email": GRACE }))).await?;
        assert_eq!((answer.status.as_u16(), answer.text("/status")?), (202, "mail_sent"), "it tells nothing");
    }
    assert_eq!(rows(&world, "mails").await?, 3);
    Ok(())
}

#[tokio::test]
async fn an_account_whose_mailbox_never_answered_links_nothing() -> Result<()> {
    let world = World::start().await?;
    let attacker = world.with_email(GRACE, PASSWORD, false).await?;
    let deps = wire(&world).await?;
    let other = link(&attacker.access_token, &json!({ "email": "mallory@example.com" }));
    assert_eq!(send(&deps, &other).await?.refusal()?, (403, "EMAIL_NOT_VERIFIED"));
    let privy = by_privy(&world, &attacker.access_token, &PrivyPerson::new("mallory"));
    assert_eq!(send(&deps, &privy).await?.refusal()?, (403, "EMAIL_NOT_VERIFIED"));
    assert_eq!((rows(&world, "identities").await?, rows(&world, "mails").await?), (1, 0));
    Ok(())
}

#[tokio::test]
async fn a_person_of_privy_is_linked_once_and_to_one_account() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email(GRACE, PASSWORD, true).await?;
    let other = world.with_email("other@example.com", PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let person = PrivyPerson::new("grace");
    for _ in 0..2 {
        let answer = send(&deps, &by_privy(&world, &grace.access_token, &person)).await?;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!((answer.text("/kind")?, answer.text("/subject")?), ("privy", "did:privy:grace"));
    }
    assert_eq!(rows(&world, "audit_logs WHERE action = 'identity.linked'").await?, 1);
    let taken = by_privy(&world, &other.access_token, &person);
    assert_eq!(send(&deps, &taken).await?.refusal()?, (409, "IDENTITY_TAKEN"));
    let second = by_privy(&world, &grace.access_token, &PrivyPerson::new("second"));
    assert_eq!(send(&deps, &second).await?.refusal()?, (409, "CONFLICT"));
    assert_eq!(rows(&world, "identities WHERE kind = 'privy'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn of_two_accounts_that_link_one_person_at_once_one_gets_it() -> Result<()> {
    let world = World::start().await?;
    let first = world.with_email(GRACE, PASSWORD, true).await?;
    let second = world.with_email("other@example.com", PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let person = PrivyPerson::new("grace");
    let calls: Vec<Call> = (0..20)
        .map(|at| {
            by_privy(&world, if at % 2 == 0 { &first.access_token } else { &second.access_token }, &person)
        })
        .collect();
    let answers = join_all(calls.iter().map(|call| send(&deps, call))).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 10);
    assert_eq!(answers.iter().filter(|answer| answer.error() == (409, "IDENTITY_TAKEN")).count(), 10);
    assert_eq!(rows(&world, "identities WHERE kind = 'privy'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn linking_takes_a_recent_sign_in() -> Result<()> {
    let world = World::start().await?;
    let user = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    world.advance(time::Duration::minutes(16));
    let mail = link(&user.access_token, &json!({ "email": "other@example.com" }));
    assert_eq!(send(&deps, &mail).await?.refusal()?, (403, "STEP_UP_REQUIRED"));
    let privy = by_privy(&world, &user.access_token, &PrivyPerson::new("grace"));
    assert_eq!(send(&deps, &privy).await?.refusal()?, (403, "STEP_UP_REQUIRED"));
    assert_eq!(rows(&world, "mails").await?, 0);
    Ok(())
}

#[tokio::test]
async fn what_names_nothing_to_link_is_refused() -> Result<()> {
    let world = World::start().await?;
    let user = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    for (body, field) in [
        (json!({}), "email"),
        (json!({ "email": "grace" }), "email"),
        (json!({ "email": "a@example.com\r\nBcc: b@example.com" }), "email"),
        (json!({ "email": "a@example.com", "privyToken": "x" }), "privyToken"),
        (json!({ "privyToken": 7 }), "privyToken"),
    ] {
        let answer = send(&deps, &link(&user.access_token, &body)).await?;
        assert_eq!((answer.error(), answer.fields()), ((400, "VALIDATION_FAILED"), vec![field]), "{body}");
    }
    let forged = link(&user.access_token, &json!({ "privyToken": "eyJhbGciOiJub25lIn0.e30." }));
    assert_eq!(send(&deps, &forged).await?.refusal()?, (401, "IDENTITY_REJECTED"));
    let second = link(&user.access_token, &json!({ "email": "other@example.com" }));
    assert_eq!(send(&deps, &second).await?.refusal()?, (409, "CONFLICT"), "it has one");
    assert_eq!(rows(&world, "mails").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_account_has_five_such_mails_a_minute() -> Result<()> {
    let world = World::start().await?;
    let user = world.sign_in(DID, KEY).await?;
    let deps = wire(&world).await?;
    for at in 0..7 {
        let call = link(&user.access_token, &json!({ "email": format!("victim{at}@example.com") }));
        let answer = send(&deps, &call).await?;
        assert_eq!(answer.status.as_u16(), if at < 5 { 202 } else { 429 }, "{answer:?}");
    }
    assert_eq!(world.sandbox.mail().letters().len(), 5);
    Ok(())
}

#[tokio::test]
async fn an_address_an_administrator_wrote_down_does_not_bind_its_owner() -> Result<()> {
    // given an account with Privy and an address that nobody proved
    let world = World::start().await?;
    let user = world.with_identity(shared::account::IdentityKind::Privy, "did:privy:ada").await?;
    let sql = format!(
        "INSERT INTO identities (user_id, kind, subject, created_at)
         VALUES ('{}', 'email', 'ada@exmaple.com', now())",
        user.user_id
    );
    world.db.admin().await?.batch_execute(&sql).await?;
    // then the owner may have the right one asked
    let answer =
        send(&wire(&world).await?, &link(&user.access_token, &json!({ "email": "ada@example.com" }))).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(world.sandbox.mail().inbox("ada@example.com").len(), 1);
    Ok(())
}
