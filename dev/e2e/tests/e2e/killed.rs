//! A process that dies under a request.

use e2e::{Owner, Result, Stack, StackOptions, form};

#[tokio::test]
async fn a_function_killed_while_it_serves_leaves_its_caller_an_answer_and_the_next_one_a_service()
-> Result<()> {
    let stack = Stack::start_with(StackOptions { max_processes: 1, ..StackOptions::default() }).await?;
    let owner = Owner::new(&stack)?;
    let mut admin = stack.admin().await?;

    let holding = admin.transaction().await?;
    holding.batch_execute("LOCK TABLE challenges IN ACCESS EXCLUSIVE MODE").await?;
    let serving = tokio::spawn(owner.ask("qrcode_login").send());
    stack.until_somebody_waits().await?;
    let killed = stack.gateway.kill("create_challenge").await?;
    let answer = serving.await??;
    holding.rollback().await?;

    assert_eq!(form_of(&answer)?, "INTERNAL");
    assert_eq!(answer.header("x-gateway-error"), "function-died");
    assert_eq!(stack.db.count("SELECT count(*) FROM challenges").await?, 0);
    owner.sign_in().await?;
    assert!(!stack.gateway.process_ids("create_challenge").contains(&killed));
    stack.stop().await
}

/// It comes from the gateway, which says nothing about caches.
fn form_of(answer: &e2e::Answer) -> Result<String> {
    let mut answer = answer.clone();
    answer.headers.entry("cache-control").or_insert("no-store".parse()?);
    form::error_code(&answer)
}
