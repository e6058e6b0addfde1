//! Every day — make the months ahead that activities are kept in, and drop those that are long past.

mod by_hand;
mod closed;
mod runtime;
mod steps;
mod years;

use std::collections::BTreeSet;

use maintain_partitions::{Deps, run};
use shared::activity::partitions::Report;
use shared::db::Type;
use shared::random::Random;
use testing::{Result, World};
use time::OffsetDateTime;
use uuid::Uuid;

const NAME: &str = "maintain_partitions";

/// A world in which no month is there: those of the migration follow the real clock.
async fn world_without_months() -> Result<World> {
    let world = World::start().await?;
    let months = months(&world).await?.join(", ");
    world.db.admin().await?.batch_execute(&format!("DROP TABLE {months}")).await?;
    Ok(world)
}

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn maintain(deps: &Deps) -> Result<Report> {
    run(deps).await.map_err(|error| anyhow::Error::msg(shared::log::causes(error.as_ref())))
}

/// What a query's one column holds, in order.
async fn texts(world: &World, sql: &str) -> Result<Vec<String>> {
    let rows = world.db.admin().await?.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The months that are there, oldest first.
async fn months(world: &World) -> Result<Vec<String>> {
    let attached = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                    WHERE i.inhparent = 'activity_logs'::regclass AND c.relname <> 'activity_logs_default'
                    ORDER BY c.relname";
    texts(world, attached).await
}

/// Every table of activities there is, attached or not, oldest first.
async fn tables(world: &World) -> Result<Vec<String>> {
    let tables = "SELECT relname::text FROM pg_class
                  WHERE relname LIKE 'activity\\_logs\\_%' AND relkind = 'r' ORDER BY relname";
    texts(world, tables).await
}

/// Writes an activity for each moment, and returns their ids.
async fn put(world: &World, times: &[OffsetDateTime]) -> Result<Vec<Uuid>> {
    let ids: Vec<Uuid> = times.iter().map(|_| Random::system().id(world.now())).collect();
    let insert = "INSERT INTO activity_logs (id, user_id, action, details, created_at)
                  SELECT id, '00000000-0000-0000-0000-000000000007', 'test', '{}', at
                  FROM unnest($1, $2) AS a (id, at)";
    let values = [
        (&ids as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID_ARRAY),
        (&times, Type::TIMESTAMPTZ_ARRAY),
    ];
    world.db.admin().await?.execute_typed(insert, &values).await?;
    Ok(ids)
}

/// The activities that are there, as somebody reads them who may read all.
async fn ids(world: &World) -> Result<BTreeSet<Uuid>> {
    let jobs = world.db.connect(shared::db::roles::Role::Jobs).await?;
    let rows = jobs.query_typed("SELECT id FROM activity_logs", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
