//! Mail, Discord and Privy, away, silent, or talking nonsense.

use std::time::Duration;

use anyhow::ensure;
use e2e::owner::unique;
use e2e::{Answer, Person, Result, Session, Stack, form};
use sandbox::discord::Person as DiscordPerson;
use sandbox::privy::PrivyPerson;
use sandbox::{Misbehaviour, Route, Service, When};

/// Whoever registers does not wait for a mail to be sent.
const REGISTERED_WITHIN: Duration = Duration::from_secs(3);
/// An HTTP API waits for 30.
const TOLD_WITHIN: Duration = Duration::from_secs(28);

/// Every way not to be of use.
fn ways() -> [(&'static str, Misbehaviour); 6] {
    [
        ("refusing", Misbehaviour::FailBefore { status: 500, body: "{}".to_owned() }),
        ("busy", Misbehaviour::RateLimited { retry_after: 7 }),
        ("closing", Misbehaviour::CloseBefore),
        ("garbage", Misbehaviour::Garbage),
        ("cut", Misbehaviour::CutBody { bytes: 9 }),
        ("silent", Misbehaviour::Hang),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_whatever_becomes_of_its_mail_and_the_mail_comes_when_it_can() -> Result<()> {
    let stack = Stack::start().await?;
    let faults = stack.sandbox.faults();
    for (way, misbehave) in ways() {
        faults.add(Route::service(Service::Mail), When::Always, misbehave)?;
        let person = registers(&stack, way).await?;
        faults.clear();
        its_mail_comes(&stack, &person, way).await?;
    }
    faults.down(Service::Mail);
    let person = registers(&stack, "down").await?;
    let again = stack.client.post("/v1/auth/password/forgot", &serde_json::json!({ "email": person.email }));
    again.answers(202).await?;
    faults.clear();
    its_mail_comes(&stack, &person, "down").await?;
    stack.stop().await
}

async fn registers(stack: &Stack, way: &str) -> Result<Person> {
    let person = Person::new(stack);
    let answer = person.register().send().await?;
    ensure!((200..300).contains(&answer.status), "mail is {way}: {answer}");
    ensure!(answer.elapsed < REGISTERED_WITHIN, "mail is {way}: {answer}");
    Session::from(person.log_in()).await?;
    Ok(person)
}

/// The schedule sends what waits.
async fn its_mail_comes(stack: &Stack, person: &Person, way: &str) -> Result<()> {
    stack.admin().await?.batch_execute("UPDATE mails SET due_at = now() - interval '1 minute'").await?;
    stack.gateway.run_schedule("send_mails").await?;
    let letters = stack.sandbox.mail().inbox(&person.email);
    let token = letters.iter().find_map(|letter| {
        letter.text.contains("verify").then(|| e2e::person::token_in(&letter.text)).flatten()
    });
    let Some(token) = token else { anyhow::bail!("mail was {way}, and none came: {letters:?}") };
    person.verify(&token).success().await?;
    let waiting = "SELECT count(*) FROM mails WHERE state <> 'sent'";
    let left = stack.db.count(waiting).await?;
    ensure!(left == 0, "mail was {way}: {left} letters are left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_by_somebody_who_is_away_says_so_in_time_and_works_when_they_are_back() -> Result<()> {
    let stack = Stack::start().await?;
    let person = Person::new(&stack);
    person.sign_up(&stack).await?;
    for (way, misbehave) in ways() {
        // What was learned of Privy's keys is forgotten.
        stack.kill_all().await?;
        for service in [Service::Discord, Service::Privy] {
            stack.sandbox.faults().add(Route::service(service), When::Always, misbehave.clone())?;
        }
        let (discord, privy) = tokio::join!(by_discord(&stack, way), by_privy(&stack, way));
        discord.and(privy)?;
        Session::from(person.log_in()).await?;
        stack.sandbox.faults().clear();
    }
    let faults = stack.sandbox.faults();
    stack.kill_all().await?;
    faults.down(Service::Discord);
    faults.down(Service::Privy);
    let (discord, privy) = tokio::join!(by_discord(&stack, "down"), by_privy(&stack, "down"));
    discord.and(privy)?;
    faults.clear();

    let journey = stack.to_discord(DiscordPerson::new("80351110224678913", "nelly"), None).await?;
    Session::from(stack.from_discord(&journey, None)).await?;
    Session::from(stack.by_privy(&PrivyPerson::new("nelly"))).await?;
    stack.stop().await
}

async fn by_discord(stack: &Stack, way: &str) -> Result<()> {
    let journey = stack.to_discord(DiscordPerson::new("80351110224678912", "nelly"), None).await?;
    told_to_wait(&stack.from_discord(&journey, None).send().await?, &format!("Discord is {way}"))
}

async fn by_privy(stack: &Stack, way: &str) -> Result<()> {
    let answer = stack.by_privy(&PrivyPerson::new(&unique("p"))).send().await?;
    told_to_wait(&answer, &format!("Privy is {way}"))
}

fn told_to_wait(answer: &Answer, what: &str) -> Result<()> {
    println!("{what}: {} after {:?}", answer.status, answer.elapsed);
    ensure!([502, 503].contains(&answer.status), "{what}: {answer}");
    ensure!(
        ["UNAVAILABLE", "UPSTREAM_FAILED"].contains(&form::error_code(answer)?.as_str()),
        "{what}: {answer}"
    );
    ensure!(answer.header("x-gateway-error").is_empty(), "{what}: the function says nothing: {answer}");
    ensure!(answer.elapsed < TOLD_WITHIN, "{what}: {answer}");
    Ok(())
}
