//! Postgres: one small pool per process, one round trip per statement, errors by the name of the constraint.

mod connect;
mod error;
pub mod roles;
mod statement;
mod statistics;

pub use connect::{Credentials, Database};
pub use error::DbError;
pub use statement::{Param, delete_in_batches, execute, query, query_one, query_opt};
pub use statistics::rollbacks;
pub use tokio_postgres::types::Type;
pub use tokio_postgres::{GenericClient, Row, Transaction};

use std::time::Duration;

use deadpool::managed::{Object, Pool, PoolError, QueueMode};

use crate::config::Config;
use connect::Connector;

/// How long a request waits for a free connection before it is told to come back.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(5);

const RETRIES: u32 = 5;
const FIRST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The database as one role sees it. Which role is the caller's choice of secret.
#[derive(Clone)]
pub struct Db {
    pool: Pool<Connector>,
}

/// A connection on loan; it returns to the pool when dropped.
pub struct Connection(Object<Connector>);

impl Db {
    /// Wires `DATABASE_SECRET` and `DATABASE_POOL_SIZE`. Nothing is connected before the first use.
    pub fn wire(config: &mut Config) -> Self {
        let database = config.secret::<Credentials, Database>("DATABASE_SECRET");
        let size = config.number("DATABASE_POOL_SIZE", 1, 1..=50);
        let built = Pool::builder(Connector::new(database, config.clock()))
            .max_size(size as usize)
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(WAIT_FOR_CONNECTION))
            .runtime(deadpool::Runtime::Tokio1)
            .build();
        match built {
            Ok(pool) => Self { pool },
            // Building fails only when a timeout is set without a runtime, and a runtime is set above.
            Err(_) => unreachable!("the pool has a runtime"),
        }
    }

    /// A connection for work that can wait: tried again after 1, 2, 4, 8 and 16 seconds while the database is
    /// away.
    pub async fn connection_for_job(&self) -> Result<Connection, DbError> {
        let mut wait = FIRST_RETRY_AFTER;
        for _ in 0..RETRIES {
            match self.connection().await {
                Err(error @ DbError::Unavailable(_)) => {
                    tracing::warn!(error = %error, wait_seconds = wait.as_secs(), "the database is away");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        self.connection().await
    }

    pub async fn connection(&self) -> Result<Connection, DbError> {
        match self.pool.get().await {
            Ok(connection) => Ok(Connection(connection)),
            Err(PoolError::Backend(error)) => Err(error),
            Err(other) => Err(DbError::unavailable(other)),
        }
    }
}

impl Connection {
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, DbError> {
        Ok(self.0.client.transaction().await?)
    }

    pub fn client(&self) -> &tokio_postgres::Client {
        &self.0.client
    }
}

/// Makes everything the transaction did so, at once and for good.
pub async fn commit(transaction: Transaction<'_>) -> Result<(), DbError> {
    Ok(transaction.commit().await?)
}
