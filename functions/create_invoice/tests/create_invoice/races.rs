//! Many at once, on a real Postgres.

use std::collections::BTreeSet;
use std::time::Duration;

use create_invoice::Deps;
use futures_util::future::join_all;
use testing::{Call, Outcome, Result, World};

use super::{DID, NAME, Owner, order, paid_by, rows, send, start};

/// Each is sent again for as long as it is told to come back.
async fn all_at_once(world: &World, calls: &[Call]) -> Result<Vec<Outcome>> {
    let changed = [("DATABASE_POOL_SIZE", "20"), ("RATE_LIMIT_INVOICES_PER_USER", "100000")];
    let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
    let patiently = async |call: &Call| loop {
        let answer = send(&deps, call).await?;
        if answer.header("retry-after").is_none() {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    join_all(calls.iter().map(patiently)).await.into_iter().collect()
}

#[tokio::test]
async fn of_fifty_twins_at_once_one_is_made_and_all_get_it() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let bare = owner.call(&order()).header("idempotency-key", "one");
    let quoted = owner.call(&order()).header("idempotency-key", "\"one\"");
    let answers = all_at_once(&world, &[vec![bare; 25], vec![quoted; 25]].concat()).await?;

    let bodies: BTreeSet<String> = answers.iter().map(|answer| answer.reply.body.clone()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    for answer in &answers {
        paid_by(answer)?;
    }
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == Some("true"));
    assert_eq!(replayed.count(), 49);
    assert_eq!((owner.at_btcpay(&world), rows(&world, "invoices").await?), (1, 1));
    assert_eq!(rows(&world, "audit_logs").await?, 1);
    Ok(())
}

#[tokio::test]
async fn thirty_invoices_at_once_are_thirty() -> Result<()> {
    let world = start().await?;
    let owner = Owner::new(&world, DID, "alice").await?;
    let calls = vec![owner.call(&order()); 30];
    let answers = all_at_once(&world, &calls).await?;
    let hashes: Result<BTreeSet<_>> =
        answers.iter().map(|answer| Ok(paid_by(answer)?.payment_hash)).collect();
    assert_eq!(hashes?.len(), 30);
    assert_eq!(owner.at_btcpay(&world), 30);
    assert_eq!(rows(&world, "invoices WHERE state = 'open'").await?, 30);
    assert_eq!(rows(&world, "audit_chains WHERE count = 30").await?, 1);
    Ok(())
}
