//! Many at once, through several processes.

use e2e::{Owner, Result, Stack, StackOptions, form};
use tokio::task::JoinSet;

const ANSWERS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_valid_answers_at_once_to_one_challenge_open_one_session() -> Result<()> {
    let stack = Stack::start_with(StackOptions { max_processes: 4, ..StackOptions::default() }).await?;
    let rounds = if e2e::full() { 50 } else { 2 };
    for round in 1..=rounds {
        let owner = Owner::new(&stack)?;
        let challenge = owner.challenge("default_registration").await?;
        let signature = owner.node.sign(&challenge.title);

        let mut running = JoinSet::new();
        for _ in 0..ANSWERS {
            running.spawn(owner.answer(&challenge, &signature).send());
        }
        let mut signed_in = 0;
        while let Some(answer) = running.join_next().await {
            let answer = answer??;
            match answer.status {
                200 => signed_in += 1,
                _ => assert_eq!(form::error_code(&answer)?, "CHALLENGE_GONE"),
            }
        }

        assert_eq!(signed_in, 1);
        for table in ["sessions", "users", "audit_logs", "challenges WHERE status = 'confirmed'"] {
            assert_eq!(stack.db.count(&format!("SELECT count(*) FROM {table}")).await?, round, "{table}");
        }
    }
    assert!(stack.gateway.process_ids("verify_lightning_signature").len() > 1, "one process is no race");
    stack.stop().await
}

#[tokio::test]
async fn a_first_sign_in_that_began_before_another_and_ends_after_it_succeeds_as_well() -> Result<()> {
    let stack = Stack::start().await?;
    let (slow, quick) = (Owner::new(&stack)?, Owner::new(&stack)?);
    let challenge = slow.challenge("default_registration").await?;

    let mut admin = stack.admin().await?;
    let holding = admin.transaction().await?;
    holding.batch_execute("SELECT FROM challenges FOR UPDATE").await?;
    let waiting = tokio::spawn(slow.answer(&challenge, &slow.node.sign(&challenge.title)).send());
    stack.until_somebody_waits().await?;
    quick.sign_in().await?;
    holding.rollback().await?;

    let answer = waiting.await??;
    assert_eq!(answer.status, 200, "the first signing key is the other's, and a moment younger: {answer}");
    assert_eq!(stack.db.count("SELECT count(*) FROM signing_keys").await?, 1);
    stack.stop().await
}
