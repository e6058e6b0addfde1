//! `POST /v1/auth/login`

mod counting;
mod flood;
mod privy;
mod property;
mod refused;
mod runtime;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use login::{Deps, handle};
use serde_json::{Value, json};
use testing::{Call, Outcome, Result, World};

const NAME: &str = "login";
const ROUTE: &str = "POST /v1/auth/login";
const GRACE: &str = "grace@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// Limits that no test but theirs comes near.
const MANY: &[(&str, &str)] = &[
    ("RATE_LIMIT_LOGIN_PER_ADDRESS_AND_ACCOUNT", "100000"),
    ("RATE_LIMIT_LOGIN_PER_ACCOUNT", "100000"),
    ("RATE_LIMIT_SIGN_IN_PER_ADDRESS", "100000"),
    ("DATABASE_POOL_SIZE", "20"),
];

async fn wire(world: &World) -> Result<Deps> {
    world.wire_with(NAME, MANY, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

fn with(body: &Value) -> Call {
    Call::new(ROUTE).json(body)
}

fn login(email: &str, password: &str) -> Call {
    with(&json!({ "email": email, "password": password }))
}

fn form(fields: &str) -> Call {
    Call::new(ROUTE).header("content-type", "application/x-www-form-urlencoded").body(fields)
}

async fn rows(world: &World, what: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {what}")).await
}

/// Up to fifty at once: each hash takes its 19 MiB.
async fn all_at_once(deps: &Deps, calls: &[Call]) -> Result<Vec<Outcome>> {
    let mut answers = Vec::new();
    for calls in calls.chunks(50) {
        answers.extend(join_all(calls.iter().map(|call| send(deps, call))).await);
    }
    answers.into_iter().collect()
}

/// [`PASSWORD`], as another system hashed it.
fn imported(cost: u32) -> Result<String> {
    bcrypt::hash(PASSWORD, cost).map_err(|error| anyhow::anyhow!("{error}"))
}

#[tokio::test]
async fn the_event_of_a_registered_user_opens_a_session() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email(GRACE, PASSWORD, true).await?;
    let answer = send(&wire(&world).await?, &Call::from_event(NAME)?).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("/userId")?, grace.user_id.to_string());
    assert_eq!(answer.text("/tokenType")?, "Bearer");
    assert_eq!(answer.body["expiresIn"], 1800);
    let id = answer.text("/sessionId")?;
    let session = format!(
        "sessions WHERE id = '{id}' AND identity_kind = 'email' AND identity_subject = '{GRACE}'
             AND platform = 'ios' AND device_id = '4f0c6f2e' AND node_auth_at IS NULL AND host(ip) = '203.0.113.7'"
    );
    assert_eq!(rows(&world, &session).await?, 1);
    assert_eq!(rows(&world, "users WHERE last_login_at IS NOT NULL").await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'session.created'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_oauth_form_is_answered_in_the_names_of_rfc_6749() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, false).await?;
    let deps = wire(&world).await?;
    let good = "grant_type=password&username=GRACE%40Example.com&password=correct+horse+battery+staple";
    let answer = send(&deps, &form(good)).await?;

    assert_eq!(answer.status, 200, "{answer:?}");
    let mut names: Vec<&String> =
        answer.body.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!(answer.text("/token_type")?, "bearer");
    assert_eq!(answer.text("/scope")?, "user");

    for (wrong, field) in [
        ("grant_type=client_credentials&username=a%40b.cd&password=x", "grant_type"),
        ("username=a%40b.cd&password=x", "grant_type"),
        ("grant_type=password&password=x", "username"),
        ("grant_type=password&username=grace&password=x", "username"),
        ("grant_type=password&username=a%40b.cd", "password"),
        ("grant_type=password&username=a%40b.cd&username=c%40d.ef&password=x", "username"),
        ("grant_type=password&username=a%40b.cd&password=x&platform=amiga", "platform"),
    ] {
        let answer = send(&deps, &form(wrong)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{wrong}");
        assert_eq!(answer.fields(), [field], "{wrong}");
    }
    Ok(())
}

#[tokio::test]
async fn a_browser_gets_its_refresh_token_in_a_cookie_and_nowhere_else() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    let call = login(GRACE, PASSWORD).header("x-refresh-transport", "cookie");
    let answer = send(&wire(&world).await?, &call).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.get("refreshToken"), None);
    let [cookie] = &answer.reply.cookies[..] else { anyhow::bail!("{answer:?}") };
    assert!(
        cookie.starts_with("__Host-rt=") && cookie.contains("HttpOnly; Secure; SameSite=Strict"),
        "{cookie}"
    );
    Ok(())
}

#[tokio::test]
async fn an_administrators_token_says_so_and_nobody_elses_does() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email(GRACE, PASSWORD, true).await?;
    let deps = wire(&world).await?;
    let form = form("grant_type=password&username=grace@example.com&password=correct+horse+battery+staple");
    assert_eq!(send(&deps, &form).await?.text("/scope")?, "user");
    let grant = format!("INSERT INTO admins VALUES ('{}', now())", grace.user_id);
    world.db.admin().await?.batch_execute(&grant).await?;
    assert_eq!(send(&deps, &form).await?.text("/scope")?, "user admin");
    Ok(())
}

#[tokio::test]
async fn a_deleted_account_says_so_to_its_owner_and_to_nobody_else() -> Result<()> {
    let world = World::start().await?;
    let grace = world.with_email(GRACE, PASSWORD, true).await?;
    world.delete_account(grace.user_id).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &login(GRACE, PASSWORD)).await?.refusal()?, (403, "ACCOUNT_DELETED"));
    assert_eq!(send(&deps, &login(GRACE, "a guess of mine")).await?.refusal()?, (401, "INVALID_CREDENTIALS"));
    assert_eq!(rows(&world, "sessions WHERE revoked_at IS NULL").await?, 0);
    assert_eq!(rows(&world, "users WHERE last_login_at IS NOT NULL").await?, 0);
    Ok(())
}

#[tokio::test]
async fn an_imported_bcrypt_password_signs_in_and_is_hashed_anew_once() -> Result<()> {
    let world = World::start().await?;
    let imported = imported(10)?;
    world.with_hash(GRACE, &imported, true).await?;
    let deps = wire(&world).await?;
    assert_eq!(send(&deps, &login(GRACE, "not hers")).await?.refusal()?, (401, "INVALID_CREDENTIALS"));
    assert_eq!(
        rows(&world, &format!("passwords WHERE hash = '{imported}'")).await?,
        1,
        "wrong changes nothing"
    );

    // Eight at once: each is let in, and none undoes what another wrote.
    let answers = all_at_once(&deps, &vec![login(GRACE, PASSWORD); 8]).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(rows(&world, "passwords WHERE hash LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'").await?, 1);
    assert_eq!(rows(&world, "sessions").await?, 9);
    assert_eq!(send(&deps, &login(GRACE, PASSWORD)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn every_refusal_of_a_password_takes_the_same_second() -> Result<()> {
    let world = World::start().await?;
    world.with_email(GRACE, PASSWORD, true).await?;
    world.with_hash("imported@example.com", &imported(8)?, true).await?;
    let without = world.with_email("without@example.com", PASSWORD, true).await?;
    let sql = format!("DELETE FROM passwords WHERE user_id = '{}'", without.user_id);
    world.db.admin().await?.batch_execute(&sql).await?;
    let deps = wire(&world).await?;
    for email in [GRACE, "imported@example.com", "without@example.com", "nobody@example.com"] {
        let started = Instant::now();
        let answer = send(&deps, &login(email, "a wrong password")).await?;
        let took = started.elapsed();
        assert_eq!(answer.refusal()?, (401, "INVALID_CREDENTIALS"));
        assert_eq!(answer.text("/message")?, "the e-mail address or the password is wrong");
        let second = Duration::from_secs(1);
        assert!((second..second + Duration::from_millis(150)).contains(&took), "{email}: {took:?}");
    }
    Ok(())
}
