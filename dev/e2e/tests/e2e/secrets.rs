//! Secrets Manager away, and passwords that change under a running service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Answer, Owner, Result, Stack, StackOptions, form};
use sandbox::{Misbehaviour, Route, Service, When};
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::fresh;
use shared::random::Random;
use testing::postgres::{Server, StartOptions};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_cold_start_without_secrets_manager_answers_503_and_works_once_it_is_back() -> Result<()> {
    let stack = Stack::start().await?;
    let stalls = Misbehaviour::stall(Duration::from_mins(1));
    for way in [Some(stalls), None] {
        match way.clone() {
            None => stack.sandbox.faults().down(Service::SecretsManager),
            Some(way) => {
                stack.sandbox.faults().add(Route::service(Service::SecretsManager), When::Always, way)?;
            }
        }
        stack.kill_all().await?;
        let owner = Owner::new(&stack)?;

        let (asked, signed, health) = tokio::join!(
            owner.ask("qrcode_login").send(),
            stack.client.post("/v1/challenges/verify", &a_sign_in(&owner)).send(),
            stack.client.get("/v1/health").send(),
        );
        for answer in [asked?, signed?, health?] {
            assert_unavailable(&answer, way.as_ref())?;
        }
        let nothing_needed = stack.client.get("/.well-known/openid-configuration").send().await?;
        assert_eq!(nothing_needed.status, 200, "{nothing_needed}");

        stack.sandbox.faults().clear();
        owner.sign_in().await?;
        stack.client.get("/v1/health").ok().await?;
    }
    stack.stop().await
}

#[tokio::test]
async fn a_running_service_keeps_working_while_secrets_manager_is_away() -> Result<()> {
    let stack = Stack::start().await?;
    let owner = Owner::new(&stack)?;
    owner.sign_in().await?;
    let reads = || stack.sandbox.calls_to(Service::SecretsManager, "/GetSecretValue");
    let before = reads();

    stack.sandbox.faults().down(Service::SecretsManager);
    for _ in 0..5 {
        let tokens = owner.sign_in().await?;
        owner.register(&tokens).ok().await?;
        owner.node_info(&tokens).ok().await?;
    }

    assert_eq!(reads(), before, "the kept copies were used");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_password_is_rotated_without_one_refused_call() -> Result<()> {
    let cluster = tokio::task::spawn_blocking(|| Server::start(StartOptions::for_tests("rotated"))).await??;
    let stack = Stack::start_with(StackOptions { cluster: Some(cluster), ..StackOptions::default() }).await?;
    let admin = stack.admin().await?;
    let (address, random) = (stack.db.address()?, Random::system());
    let before = Owner::new(&stack)?.sign_in().await?;

    for _ in 0..3 {
        let ending = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..3 {
            clients.spawn(use_it(Owner::new(&stack)?, Arc::clone(&ending)));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        for role in [Role::Auth, Role::Api] {
            let password: Secret<String> = fresh::password(&random);
            let document = fresh::database(&address, role, &password).to_string();
            let change = format!("ALTER ROLE {} PASSWORD '{}'", role.name(), password.expose());
            admin.batch_execute(&change).await?;
            stack.sandbox.secrets().put(&format!("satchel/database/{}", role.short_name()), &document);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        ending.store(true, Ordering::Relaxed);
        let mut calls = 0;
        while let Some(one) = clients.join_next().await {
            calls += one??;
        }
        assert!(calls > 10, "{calls} calls are no load");

        // Until a connection is lost the password is not asked for; then the kept copy is the old one.
        stack.cut_connections().await?;
        let owner = Owner::new(&stack)?;
        let tokens = owner.sign_in().await?;
        owner.register(&tokens).ok().await?;
    }

    let owner = Owner::new(&stack)?;
    let old_session = owner.node_info(&before).send().await?;
    assert_eq!(form::error_code(&old_session)?, "NOT_FOUND", "the session still stands");
    stack.stop().await
}

/// Signs in again and again; anything but success is an error. Says how many calls it made.
async fn use_it(owner: Owner, ending: Arc<AtomicBool>) -> Result<usize> {
    let mut calls = 0;
    while !ending.load(Ordering::Relaxed) {
        let tokens = owner.sign_in().await?;
        owner.register(&tokens).ok().await?;
        owner.node_info(&tokens).ok().await?;
        calls += 4;
    }
    Ok(calls)
}

fn a_sign_in(owner: &Owner) -> serde_json::Value {
    let id = "019b9f5e-5c00-7000-8000-000000000001";
    serde_json::json!({"did": owner.did, "challenge_id": id, "signature": "y".repeat(104)})
}

fn assert_unavailable(answer: &Answer, way: Option<&Misbehaviour>) -> Result<()> {
    assert_eq!(form::error_code(answer)?, "UNAVAILABLE", "{way:?}: {answer}");
    assert_eq!(answer.header("x-gateway-error"), "", "the function itself says so: {way:?}");
    assert!(answer.elapsed < Duration::from_secs(20), "{way:?}: {answer}");
    Ok(())
}
