//! A session for each login that succeeds, and none for one that fails.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use testing::{Call, Result, World};
use url::form_urlencoded::Serializer;

use super::{all_at_once, form, login, rows, wire};

#[derive(Clone, Debug)]
struct Try {
    person: usize,
    password: usize,
    as_form: bool,
    in_cookie: bool,
}

const PASSWORDS: [&str; 4] = ["correct horse", "pass wörd ①②③", "ﬁne ligatures", "1234567890"];

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = (0..5_usize, 0..4_usize, any::<bool>(), any::<bool>());
    let one =
        one.prop_map(|(person, password, as_form, in_cookie)| Try { person, password, as_form, in_cookie });
    prop::collection::vec(one, 100..120)
}

fn call(one: &Try) -> Call {
    let (email, password) = (format!("user{}@example.com", one.person), PASSWORDS[one.password]);
    let call = if one.as_form {
        let fields = [("grant_type", "password"), ("username", &email), ("password", password)];
        form(&Serializer::new(String::new()).extend_pairs(fields).finish())
    } else {
        login(&email, password)
    };
    if one.in_cookie { call.header("x-refresh-transport", "cookie") } else { call }
}

#[test]
fn a_session_stands_after_every_login_that_succeeded_and_after_no_other() -> Result<()> {
    // Each case is more than a hundred logins, which run at once.
    let cases = if std::env::var_os("SATCHEL_FULL").is_some() { 10 } else { 1 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&tries(), |tries| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(check(&tries)).map_err(|error| TestCaseError::fail(format!("{error:?}")))
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}

/// Persons 0 to 3 have the password of their number; person 4 has no account.
async fn check(tries: &[Try]) -> Result<()> {
    let world = World::start().await?;
    for (person, password) in PASSWORDS.iter().enumerate() {
        world.with_email(&format!("user{person}@example.com"), password, person % 2 == 0).await?;
    }
    world.db.admin().await?.batch_execute("DELETE FROM sessions").await?;
    let calls: Vec<Call> = tries.iter().map(call).collect();
    let answers = all_at_once(&wire(&world).await?, &calls).await?;
    let mut opened = BTreeSet::new();
    for (one, answer) in tries.iter().zip(&answers) {
        if one.person == one.password {
            anyhow::ensure!(answer.status == 200, "{one:?}: {answer:?}");
            anyhow::ensure!(answer.reply.cookies.len() == usize::from(one.in_cookie), "{one:?}: {answer:?}");
            let token = ["/accessToken", "/access_token"].iter().find_map(|at| answer.body.pointer(at));
            opened.insert(session_of(token)?);
        } else {
            anyhow::ensure!(answer.refusal()? == (401, "INVALID_CREDENTIALS"), "{one:?}: {answer:?}");
            anyhow::ensure!(answer.reply.cookies.is_empty(), "{one:?}: {answer:?}");
        }
    }
    let kept: i64 = rows(&world, "sessions WHERE revoked_at IS NULL").await?;
    anyhow::ensure!(usize::try_from(kept)? == opened.len(), "{kept} sessions for {} logins", opened.len());
    for id in opened {
        anyhow::ensure!(rows(&world, &format!("sessions WHERE id = '{id}'")).await? == 1, "no session {id}");
    }
    Ok(())
}

/// The session an access token names.
fn session_of(token: Option<&Value>) -> Result<String> {
    let token = token.and_then(Value::as_str).unwrap_or_default();
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes())?)?;
    Ok(claims["sid"].as_str().unwrap_or_default().to_owned())
}
