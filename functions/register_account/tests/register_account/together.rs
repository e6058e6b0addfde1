//! Many at once, and whoever they are.

use std::collections::HashSet;

use futures_util::future::{join_all, try_join_all};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use register_account::Deps;
use serde_json::json;
use testing::{Result, World};

use super::{EMAIL, MANY, NAME, registering, rows, send, wire, with};

const AT_ONCE: usize = 100;
const PROCESSES: usize = 10;

#[tokio::test]
async fn of_a_hundred_who_register_one_address_one_gets_the_account() -> Result<()> {
    let world = World::start().await?;
    let processes = try_join_all((0..PROCESSES).map(|_| wire(&world))).await?;
    let calls = (0..AT_ONCE).map(|at| {
        let deps = &processes[at % PROCESSES];
        async move { send(deps, &registering(EMAIL)).await }
    });
    let mut accounts = 0;
    for answer in join_all(calls).await {
        let answer = answer?;
        match answer.error() {
            (201, _) => accounts += 1,
            other => assert_eq!(other, (409, "EMAIL_TAKEN"), "{answer:?}"),
        }
    }
    assert_eq!(accounts, 1);
    for table in ["users", "identities", "passwords", "sessions", "one_time_tokens", "mails", "audit_logs"] {
        assert_eq!(rows(&world, table).await?, 1, "{table}");
    }
    assert!(world.sandbox.mail().letters().len() <= 1, "a machine this busy may leave it to send_mails");
    Ok(())
}

/// Whoever registers, with whatever password and device: the session in the answer stands in the database, is theirs,
/// and no other does.
#[test]
fn after_every_registration_there_is_a_session() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let world = runtime.block_on(World::start())?;
    let deps = runtime.block_on(world.wire_with(NAME, MANY, Deps::wire))?;
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(120) });
    let cases = (
        "[a-z0-9+]{1,12}",
        "\\PC{8,40}",
        prop::option::of(prop::sample::select(vec!["web", "ios", "android"])),
        prop::option::of("[a-z0-9-]{1,40}"),
    );
    let seen = std::cell::RefCell::new(HashSet::new());
    runner.run(&cases, |(name, password, platform, device)| {
        let at = seen.borrow().len();
        let body = json!({
            "email": format!("{name}.{at}@example.com"), "password": password, "platform": platform, "deviceId": device,
        });
        let failed = |error: anyhow::Error| TestCaseError::fail(error.to_string());
        let answer = runtime.block_on(send(&deps, &with(&body))).map_err(failed)?;
        // NFKC may make a long password of a short text, or a text too long.
        prop_assume!(answer.error() != (400, "VALIDATION_FAILED"));
        prop_assert_eq!(answer.status, 201, "{:?}", answer);
        let (user, session) = (answer.text("/userId").map_err(failed)?, answer.text("/sessionId").map_err(failed)?);
        let own = format!("sessions WHERE user_id = '{user}' AND id = '{session}' AND revoked_at IS NULL");
        prop_assert_eq!(runtime.block_on(rows(&world, &own)).map_err(failed)?, 1);
        prop_assert!(seen.borrow_mut().insert(session.to_owned()));
        let all = runtime.block_on(rows(&world, "sessions")).map_err(failed)?;
        prop_assert_eq!(all, i64::try_from(seen.borrow().len()).unwrap_or_default());
        Ok(())
    })?;
    drop(world);
    Ok(())
}
