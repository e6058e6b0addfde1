//! Connections that are gone, and connections that are not to be had.

use std::time::Duration;

use e2e::{Owner, Result, Stack, StackOptions, Tokens, form};
use rustix::process::Signal;
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::fresh;
use testing::postgres::{Server, StartOptions};

#[tokio::test]
async fn the_first_call_succeeds_after_postgres_closed_every_idle_connection() -> Result<()> {
    let stack = Stack::start().await?;
    let owner = Owner::new(&stack)?;
    let tokens = one_of_each(&stack, &owner).await?;

    stack.cut_connections().await?;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    owner.node_info(&tokens).ok().await?;
    one_of_each(&stack, &owner).await?;
    stack.stop().await
}

#[tokio::test]
async fn the_first_call_succeeds_when_the_connection_was_cut_while_the_function_was_frozen() -> Result<()> {
    let stack = Stack::start().await?;
    let owner = Owner::new(&stack)?;

    let tokens = one_of_each(&stack, &owner).await?;
    stack.signal_all(Signal::STOP)?;
    stack.cut_connections().await?;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    // The event is there before the function has had a moment to notice anything.
    let calls = [
        owner.ask("qrcode_login"),
        owner.register(&tokens),
        owner.node_info(&tokens),
        stack.client.get("/v1/health"),
        stack.client.get("/.well-known/jwks.json"),
    ];
    let calls = calls.map(|call| tokio::spawn(call.send()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    stack.signal_all(Signal::CONT)?;

    for call in calls {
        let answer = call.await??;
        assert_eq!(answer.status, 200, "{answer}");
    }
    one_of_each(&stack, &owner).await?;
    stack.stop().await
}

#[tokio::test]
async fn a_full_database_is_a_prompt_503_and_no_longer_than_it_is_full() -> Result<()> {
    let options = StartOptions { max_connections: 12, ..StartOptions::for_tests("full") };
    let cluster = tokio::task::spawn_blocking(|| Server::start(options)).await??;
    let stack = Stack::start_with(StackOptions { cluster: Some(cluster), ..StackOptions::default() }).await?;
    let owner = Owner::new(&stack)?;

    let mut taken = Vec::new();
    while let Ok(one) = stack.db.connect(Role::Jobs).await {
        taken.push(one);
    }
    for _ in 0..3 {
        let answer = owner.ask("qrcode_login").send().await?;
        assert_eq!(form::error_code(&answer)?, "UNAVAILABLE");
        assert!(answer.elapsed < Duration::from_secs(5), "{answer}");
    }
    drop(taken);

    let free = async {
        while owner.ask("qrcode_login").send().await?.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        one_of_each(&stack, &owner).await
    };
    tokio::time::timeout(Duration::from_secs(5), free).await??;
    stack.stop().await
}

#[tokio::test]
async fn a_database_that_never_answers_is_a_503_and_not_a_hang() -> Result<()> {
    let stack = Stack::start().await?;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut address = stack.db.address()?;
    address.port = silent.local_addr()?.port();
    let secrets = stack.sandbox.secrets();
    let there = secrets.get("satchel/database/auth").unwrap_or_default();
    let elsewhere = fresh::database(&address, Role::Auth, &Secret::new("unused".to_owned()));
    secrets.put("satchel/database/auth", &elsewhere.to_string());
    stack.kill_all().await?;

    let answer = Owner::new(&stack)?.ask("qrcode_login").send().await?;
    assert_eq!(form::error_code(&answer)?, "UNAVAILABLE");
    assert!(answer.elapsed < Duration::from_secs(10), "{answer}");
    assert_eq!(stack.client.get("/.well-known/openid-configuration").send().await?.status, 200);

    secrets.put("satchel/database/auth", &there);
    stack.kill_all().await?;
    Owner::new(&stack)?.sign_in().await?;
    stack.stop().await
}

/// A call to every function that holds a connection.
async fn one_of_each(stack: &Stack, owner: &Owner) -> Result<Tokens> {
    let tokens = owner.sign_in().await?;
    owner.register(&tokens).ok().await?;
    owner.node_info(&tokens).ok().await?;
    stack.client.get("/v1/health").ok().await?;
    stack.client.get("/.well-known/jwks.json").ok().await?;
    Ok(tokens)
}
