//! What a look at the queue costs.

use std::time::Instant;

use shared::audit::Origin;
use shared::setup::{Saga, WalletAccess, queue};
use testing::{Result, World};
use tokio_postgres::GenericClient;

use super::{NAME, begin_many, report, resume, run_sql, wire};

const ORIGIN: Origin<'static> = Origin { ip: None, request_id: "a-look" };
const FINISHED: usize = 50_000;

/// Setups that were finished and settled long ago.
async fn put_finished(world: &World, number: usize) -> Result<()> {
    let now = world.now();
    run_sql(
        world,
        &format!(
            "WITH made AS (
                 INSERT INTO users (id, created_at, updated_at)
                 SELECT gen_random_uuid(), '{now}', '{now}' FROM generate_series(1, {number}) RETURNING id)
             INSERT INTO lightning_setups
                 (id, user_id, username, address, node_source, state, step, voltage_node_id, btcpay_store_id,
                  btcpay_webhook_id, due_at, created_at, updated_at, finished_at, settled_at)
             SELECT gen_random_uuid(), id, 'x', id || '@pay.example.com', 'voltage', 'finished', 'activate', id, id, 'w',
                    '{now}'::timestamptz - interval '1 day', '{now}', '{now}', '{now}', '{now}' FROM made;
             ANALYZE lightning_setups"
        ),
    )
    .await
}

/// Rows of the table read in this transaction: by whole scans, and by way of an index.
async fn rows_read(client: &impl GenericClient) -> Result<(i64, i64)> {
    let sql = "SELECT seq_scan, COALESCE(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
               WHERE relname = 'lightning_setups'";
    let row = client.query_typed_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

#[tokio::test]
async fn however_many_are_finished_only_what_is_due_is_read() -> Result<()> {
    let world = World::start().await?;
    put_finished(&world, FINISHED).await?;
    begin_many(&world, 5).await?;
    let saga = world.wire(NAME, |config| Saga::wire(config, WalletAccess::Read)).await?;
    let mut connection = saga.db.connection().await?;

    let tx = connection.transaction().await?;
    assert_eq!(queue::read(&tx, world.now()).await?.due, 5);
    assert_eq!(queue::next_due(&tx).await?, Some(world.now()));
    let (scans, rows) = rows_read(&tx).await?;
    assert!(scans == 0 && rows <= 16, "{scans} scans, {rows} rows for a look at the queue");
    tx.rollback().await?;

    let tx = connection.transaction().await?;
    assert!(saga.take_up_in(&tx, None, ORIGIN).await?.is_some());
    let (scans, rows) = rows_read(&tx).await?;
    assert!(scans == 0 && rows <= 16, "{scans} scans, {rows} rows to take one up");
    tx.rollback().await?;
    Ok(())
}

#[tokio::test]
async fn a_run_takes_no_longer_for_what_is_finished() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    // The first run opens the connections.
    resume(&deps).await?;
    let mut took = Vec::new();
    for finished in [0, FINISHED] {
        put_finished(&world, finished).await?;
        let mut best = f64::MAX;
        for round in 0..5 {
            for at in 0..4 {
                let name = format!("n{finished}-{round}-{at}");
                super::begin(&world, &name, shared::setup::NodeSource::Voltage).await?;
            }
            let started = Instant::now();
            assert_eq!(resume(&deps).await?, report(4, 0, 0));
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("4 setups beside {finished} finished ones: {:.1} ms", best * 1e3);
        took.push(best);
    }
    // A look at every finished one would take several times as long; a busy machine may take twice.
    assert!(took[1] < took[0] * 2.0 + 0.2, "{took:?} s");
    Ok(())
}
