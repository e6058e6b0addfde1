use tokio_postgres::GenericClient;

use super::{DbError, query_one};

/// How many transactions of this database were rolled back since its counters began. What reads it as a metric looks
/// at how fast it grows.
pub async fn rollbacks(client: &impl GenericClient) -> Result<u64, DbError> {
    let row = query_one(
        client,
        "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()",
        &[],
    )
    .await?;
    Ok(row.get::<_, i64>("xact_rollback").unsigned_abs())
}
