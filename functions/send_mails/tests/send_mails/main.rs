//! Every minute — the mail that waits.

mod runtime;

use std::time::Instant;

use sandbox::Service;
use send_mails::{Deps, Report, run};
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::mail::{Kind, Mails, NewMail};
use shared::runtime::Invocation;
use testing::{Result, World};
use time::Duration;
use uuid::Uuid;

const NAME: &str = "send_mails";
const EMAIL: &str = "alice@example.com";
const TOKEN: &str = "a-token-that-nobody-may-see";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn process(deps: &Deps) -> Result<Report> {
    let ends_at = Instant::now() + std::time::Duration::from_mins(1);
    let invocation = Invocation { id: String::from("an-invocation"), ends_at };
    run(deps, &invocation).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

/// An account, and a mail to it that nobody has sent yet.
async fn write(world: &World, kind: Kind, email: &str) -> Result<Uuid> {
    let person = world.with_email(email, "correct horse battery staple", true).await?;
    let mails = world.wire("verify_email", Mails::wire).await?;
    let (token, to) = (Secret::new(TOKEN.to_owned()), email.parse()?);
    let mail = NewMail { user_id: person.user_id, kind, to: &to, token: Some(&token), about: None };
    mails.put(&world.db.connect(Role::Auth).await?, &mail, world.now()).await?;
    Ok(person.user_id)
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

fn report(sent: u64, waiting: u64, dead: u64) -> Report {
    Report { sent, waiting, dead }
}

#[tokio::test]
async fn what_its_writer_did_not_send_is_sent_once_its_lease_is_over() -> Result<()> {
    let world = World::start().await?;
    write(&world, Kind::VerifyEmail, EMAIL).await?;
    let sealed =
        "mails WHERE content_sealed IS NOT NULL AND position('example.com'::bytea in content_sealed) = 0";
    assert_eq!(rows(&world, sealed).await?, 1);
    let deps = wire(&world).await?;
    assert_eq!(process(&deps).await?, report(0, 0, 0), "it is in its writer's hands");
    world.advance(Duration::seconds(60));
    assert_eq!(process(&deps).await?, report(1, 0, 0));
    assert_eq!(process(&deps).await?, report(0, 0, 0));
    let letters = world.sandbox.mail().inbox(EMAIL);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].text.contains(TOKEN), "{letters:?}");
    let sent = "mails WHERE state = 'sent' AND content_sealed IS NULL AND finished_at = '2026-01-09 12:01Z'";
    assert_eq!(rows(&world, sent).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_was_not_taken_waits_longer_each_time_and_comes_when_somebody_takes_it() -> Result<()> {
    let world = World::start().await?;
    write(&world, Kind::VerifyEmail, EMAIL).await?;
    world.sandbox.faults().down(Service::Mail);
    let deps = wire(&world).await?;
    world.advance(Duration::seconds(60));
    for attempts in 2..6 {
        assert_eq!(process(&deps).await?, report(0, 1, 0), "{attempts}");
        let longest = 30 << (attempts - 1);
        let due = format!(
            "mails WHERE state = 'waiting' AND attempts = {attempts} AND content_sealed IS NOT NULL
             AND last_error_code IS NOT NULL
             AND due_at BETWEEN '{now}'::timestamptz + interval '{half} seconds'
                            AND '{now}'::timestamptz + interval '{longest} seconds'",
            now = world.now(),
            half = longest / 2,
        );
        assert_eq!(rows(&world, &due).await?, 1, "{due}");
        world.advance(Duration::seconds(longest));
    }
    world.sandbox.faults().up(Service::Mail);
    assert_eq!(process(&deps).await?, report(1, 0, 0));
    assert_eq!(world.sandbox.mail().inbox(EMAIL).len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_mail_is_given_up_after_a_day_and_a_new_password_after_an_hour() -> Result<()> {
    for (kind, hours) in [(Kind::VerifyEmail, 24), (Kind::ResetPassword, 1)] {
        let world = World::start().await?;
        write(&world, kind, EMAIL).await?;
        world.sandbox.faults().down(Service::Mail);
        let (deps, started) = (wire(&world).await?, world.now());
        let dead = loop {
            world.advance(Duration::minutes(if hours == 1 { 5 } else { 61 }));
            let done = process(&deps).await?;
            if done.dead == 1 {
                break world.now();
            }
            assert_eq!((done.sent, done.dead), (0, 0));
        };
        let took = dead - started;
        assert!(
            took > Duration::minutes(hours * 60 / 2) && took <= Duration::minutes(hours * 60 + 61),
            "{took}"
        );
        assert_eq!(rows(&world, "mails WHERE state = 'dead' AND content_sealed IS NULL").await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn one_that_is_refused_for_good_keeps_no_other_from_its_reader() -> Result<()> {
    let world = World::start().await?;
    write(&world, Kind::VerifyEmail, "refused@example.com").await?;
    write(&world, Kind::PasswordChanged, EMAIL).await?;
    world.sandbox.mail().refuse("refused@example.com", "MessageRejected");
    world.advance(Duration::seconds(60));
    assert_eq!(process(&wire(&world).await?).await?, report(1, 0, 1));
    Ok(())
}

#[tokio::test]
async fn one_of_a_kind_that_is_not_known_waits_for_who_knows_it_and_holds_up_nobody() -> Result<()> {
    let world = World::start().await?;
    write(&world, Kind::VerifyEmail, "first@example.com").await?;
    let newer = "ALTER TABLE mails DROP CONSTRAINT mails_kind; UPDATE mails SET kind = 'of_the_next_release'";
    world.db.admin().await?.batch_execute(newer).await?;
    write(&world, Kind::PasswordChanged, EMAIL).await?;
    world.advance(Duration::seconds(60));
    assert_eq!(process(&wire(&world).await?).await?, report(1, 0, 0));
    assert_eq!(world.sandbox.mail().inbox(EMAIL).len(), 1);
    let waits = "mails WHERE kind = 'of_the_next_release' AND state = 'waiting' AND attempts = 1";
    assert_eq!(rows(&world, waits).await?, 1);
    Ok(())
}

#[tokio::test]
async fn one_that_does_not_open_is_given_up() -> Result<()> {
    let world = World::start().await?;
    write(&world, Kind::VerifyEmail, EMAIL).await?;
    world
        .db
        .admin()
        .await?
        .batch_execute("UPDATE mails SET content_sealed = content_sealed || '\\x00'")
        .await?;
    world.advance(Duration::seconds(60));
    assert_eq!(process(&wire(&world).await?).await?, report(0, 0, 1));
    assert_eq!(rows(&world, "mails WHERE last_error_code = 'UNREADABLE'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn runs_side_by_side_send_each_mail_once() -> Result<()> {
    let world = World::start().await?;
    for at in 0..12 {
        write(&world, Kind::VerifyEmail, &format!("a{at}@example.com")).await?;
    }
    world.advance(Duration::seconds(60));
    let (one, two, three) = (wire(&world).await?, wire(&world).await?, wire(&world).await?);
    let done = tokio::join!(process(&one), process(&two), process(&three));
    assert_eq!(done.0?.sent + done.1?.sent + done.2?.sent, 12);
    assert_eq!(world.sandbox.mail().letters().len(), 12);
    Ok(())
}
