//! The database restarted under load.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::{Answer, Log, Owner, Result, Stack, StackOptions, form};
use testing::postgres::{Mode, Server, StartOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

const CLIENTS: usize = 6;
const RECOVERED_WITHIN: Duration = Duration::from_secs(5);
const NEVER_LONGER_THAN: Duration = Duration::from_secs(10);

/// What clients were promised.
#[derive(Default)]
struct Acknowledged {
    challenges: BTreeSet<Uuid>,
    signed_in: BTreeSet<Uuid>,
    refused: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_the_database_restarts_under_load() -> Result<()> {
    let cluster =
        tokio::task::spawn_blocking(|| Server::start(StartOptions::for_tests("restarts"))).await??;
    let options = StackOptions { cluster: Some(cluster), max_processes: 4, ..StackOptions::default() };
    let stack = Stack::start_with(options).await?;
    let cluster = stack.cluster.as_ref().expect("it was given");
    let ending = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(sign_in_again_and_again(Owner::new(&stack)?, stack.log.clone(), Arc::clone(&ending)));
    }

    let rounds = if e2e::full() { 20 } else { 3 };
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mode = [Mode::Fast, Mode::Immediate, Mode::Kill][round % 3];
        tokio::task::block_in_place(|| cluster.restart(mode))?;
        let took = recovery(&Owner::new(&stack)?).await?;
        println!("{mode:?}: served again {took:?} after the database was back");
        assert!(took < RECOVERED_WITHIN, "{mode:?}: {took:?}");
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    ending.store(true, Ordering::Relaxed);

    let mut all = Acknowledged::default();
    while let Some(one) = clients.join_next().await {
        let one = one??;
        all.challenges.extend(one.challenges);
        all.signed_in.extend(one.signed_in);
        all.refused += one.refused;
    }
    println!(
        "{} challenges, {} sign-ins, {} refused",
        all.challenges.len(),
        all.signed_in.len(),
        all.refused
    );
    assert!(all.refused > 0 && all.signed_in.len() > rounds, "there was no load");
    let written = rows(&stack, "SELECT id FROM challenges").await?;
    let confirmed = rows(
        &stack,
        "SELECT c.id FROM challenges c JOIN audit_logs a ON a.resource_id = c.id::text
         WHERE c.status = 'confirmed' AND a.resource_type = 'challenge'",
    )
    .await?;
    assert_eq!(all.challenges.difference(&written).count(), 0, "acknowledged challenges are lost");
    assert_eq!(all.signed_in.difference(&confirmed).count(), 0, "acknowledged sign-ins are lost");
    let sessions = stack.db.count("SELECT count(*) FROM sessions").await?;
    assert_eq!(sessions, i64::try_from(confirmed.len())?, "a session for each spent challenge");
    stack.stop().await
}

async fn sign_in_again_and_again(owner: Owner, log: Log, ending: Arc<AtomicBool>) -> Result<Acknowledged> {
    let mut acknowledged = Acknowledged::default();
    while !ending.load(Ordering::Relaxed) {
        let answer = owner.ask("default_registration").send().await?;
        if !judge(&answer, &log, &mut acknowledged).await? {
            continue;
        }
        let challenge = e2e::owner::Challenge::read(&answer.json()?)?;
        let id = challenge.id.parse()?;
        acknowledged.challenges.insert(id);
        let answer = owner.answer(&challenge, &owner.node.sign(&challenge.title)).send().await?;
        if judge(&answer, &log, &mut acknowledged).await? {
            acknowledged.signed_in.insert(id);
        }
    }
    Ok(acknowledged)
}

/// Whether it was done; if not, it must say so in time and in form.
async fn judge(answer: &Answer, log: &Log, acknowledged: &mut Acknowledged) -> Result<bool> {
    assert!(answer.elapsed < NEVER_LONGER_THAN, "{answer}");
    if answer.status == 200 {
        return Ok(true);
    }
    let code = form::error_code(answer)?;
    assert_eq!(code, "UNAVAILABLE", "{answer} {:?}", log.about(answer).await);
    acknowledged.refused += 1;
    Ok(false)
}

/// From the database's return until a whole sign-in succeeds.
async fn recovery(owner: &Owner) -> Result<Duration> {
    let started = Instant::now();
    loop {
        if owner.sign_in().await.is_ok() {
            return Ok(started.elapsed());
        }
        anyhow::ensure!(started.elapsed() < NEVER_LONGER_THAN * 2, "it does not recover");
    }
}

async fn rows(stack: &Stack, sql: &str) -> Result<BTreeSet<Uuid>> {
    let found = stack.admin().await?.query_typed(sql, &[]).await?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}
